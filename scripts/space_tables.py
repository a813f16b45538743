"""Tables that judge the proof in three dimensions; ``certificate_tables.py`` prints them.

The standard instance: the published network, 1.0 to 0.12 m at 0.4 m/s with a 0.1 m sideways transfer
in 2.4 s, the Intel Aero's attitude loop (14 rad/s, damping 0.9, motor lag 40 ms), K_xy/m 4, Lambda 2,
position noise 2 mm, no observer. The full network's other inputs (attitude, sideways speed, unequal
rotors) are worth 0.03/0.03/0.085 N and stand in the second row of each pair.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from neural_lander.controller.errors import InputError
from neural_lander.controller.network import load_network
from neural_lander.controller.setpoint import Plan, plan_descent, plan_through
from neural_lander.controller.spatial_model import AXES, SpatialLoop
from neural_lander.controller.spatial_terms import SpatialErrors, SpatialStart
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.learning.restricted_force import RestrictedForce
from neural_lander.learning.spatial_boxes import SpatialProof
from neural_lander.learning.spatial_falsifier import World, falsify_in_space
from neural_lander.learning.spatial_proof import prove_space

BEYOND = (0.03, 0.03, 0.085)
"""What attitude, sideways speed and unequal rotors are worth per axis [N]."""

AIMS = (4.2, 4.2, 3.8)
"""Of the tube at 1 cm/s of velocity noise [cm]."""

ROWS = ((0.01, 4.0, (0.15, 0.15, 0.015)), (0.02, 5.0, (0.17, 0.17, 0.026)))
"""Velocity noise [m/s], K_z/m [1/s], c [N]."""

TARGETS = (0.004, 0.02, 0.1, 0.4, 0.8, 1.3, 1.9, 2.5, 3.1, 3.5, 4.0)


def published_force() -> RestrictedForce:
    """Return the published network, restricted."""
    folder = os.environ.get("NEURAL_LANDER_DATA")
    if not folder:
        raise InputError("NEURAL_LANDER_DATA is unset: it names the folder with nets/")
    file = Path(folder) / "nets" / "Fa_net_12_3_full_Lip16.safetensors"
    return RestrictedForce.of(load_network(file, load_vehicle("intel-aero")))


def space_loop(vertical: float, noise: float) -> SpatialLoop:
    """Return the standard loop with K_z/m ``vertical`` [1/s], velocity noise ``noise`` [m/s]."""
    mass, sideways, position = 1.47, 4.0, 2.0
    bandwidth = np.array([sideways, sideways, vertical])
    k_p, k_v = mass * bandwidth * position, mass * (bandwidth + position)
    return SpatialLoop(
        mass=mass,
        k_p=(k_p[0], k_p[1], k_p[2]),
        k_v=(k_v[0], k_v[1], k_v[2]),
        bandwidth=14.0,
        damping=0.9,
        lag=(0.040, 0.040),
        period=0.002,
        latency=0.004,
        noise_position=(0.002,) * 3,
        noise_velocity=(noise,) * 3,
        tolerance=0.002,
        thrust_limits=load_vehicle("intel-aero").thrust_limits,
    )


def with_transfer(plan: Plan, offset: float, duration: float) -> Plan:
    """Return a descent that also comes sideways from x = ``offset`` [m] within ``duration`` [s]."""
    begin = plan.descent_start
    side = plan_through(
        np.array([0.0, begin, begin + duration]),
        np.array([[offset, 0, 0], [offset, 0, 0], [0, 0, 0]]),
    )
    times = np.unique(np.concatenate([plan.times, side.times]))
    coefficients = np.zeros((len(times), 3, 6))
    for i, t in enumerate(times):
        for axis, part in enumerate((side, plan, plan)):
            piece = int(np.searchsorted(part.times, t + 1e-12)) - 1
            shift = np.polynomial.Polynomial([t - part.times[piece], 1.0])
            moved = np.polynomial.Polynomial(part.coefficients[piece, axis])(shift).coef
            coefficients[i, axis, : len(moved)] = moved
    return replace(plan, times=times, coefficients=coefficients, end=max(plan.end, side.end))


def space_table(plan: Plan) -> Iterator[str]:
    """Tube, worst flight found and their ratio per axis; ``plan``: the descent."""
    force, plan = published_force(), with_transfer(plan, 0.1, 2.4)
    yield "| velocity noise | K_z/m | eps N | c N | tube x/y/z cm | rho | falsified cm | ratio (aim 2) |"
    yield "| | | | | per time p, v, F (must stay below 1) | | proof s (aim 20) | |"
    for noise, vertical, contract in ROWS:
        loop = space_loop(vertical, noise)
        for beyond in ((0.0, 0.0, 0.0), BEYOND):
            x, y, z = (0.04 + b for b in beyond)
            errors = SpatialErrors((x, y, z), contract=contract)
            force.found.clear()
            begun = time.process_time()
            proof = prove_space(plan, force, loop, errors)
            seconds = time.process_time() - begun
            head = f"| {100 * noise:g} cm/s | {vertical:g} | {x:.3g}/{y:.3g}/{z:.3g} | {contract} |"
            if not proof.certified or proof.tube is None:
                yield f"{head} REFUSED | | | |"
                continue
            world = World(plan, force, loop, plan.end + 0.8)
            worst = falsify_in_space(world, errors, TARGETS)
            found = worst.worst[:, :3].max(axis=0)
            tube, ratio = proof.greatest(), proof.greatest() / found
            aims = ""
            if noise == 0.01:
                missed = 100 * tube - AIMS
                aims = " met" if (missed <= 0).all() else f" MISSED by {missed.max():.2f}"
            yield (
                f"{head} {_cm(tube)}{aims} | {proof.tube.small_gain_after:.2f} | {_cm(found)} | "
                f"{'/'.join(f'{r:.2f}' for r in ratio)} {'met' if ratio.max() <= 2 else 'MISSED'} |"
            )
            p, v, f = (worst.ratio_to(proof.tube)[1:, k : k + 3].max() for k in (0, 3, 6))
            yield (
                f"| | | | | {p:.3f}, {v:.3f}, {f:.3f} of {worst.flights} flights | | "
                f"{seconds:.1f} {'met' if seconds <= 20 else 'MISSED'} | |"
            )


def vehicle_table() -> Iterator[str]:
    """What the shipped vehicles' gains allow; published network, scaled by weight."""
    aero = load_vehicle("intel-aero")
    plan = plan_descent("s-curve", (0.0, 0.0, 1.5), 0.0, 1.0)
    yield "eps 0.04 N constant + 0.04 N changing, c 0.15/0.15/0.015 N, scaled by weight"
    yield "| vehicle | observer 1/s | velocity noise m/s | verdict | tube x/y/z cm | tilt deg | fails |"
    for name in ("intel-aero", "crazyflie"):
        vehicle = load_vehicle(name)
        share = vehicle.weight / aero.weight
        force = by_weight(published_force(), share)
        errors = SpatialErrors(
            (0.04 * share,) * 3, (0.04 * share,) * 3,
            (0.15 * share, 0.15 * share, 0.015 * share),
            contract_step=(0.015 * share, 0.015 * share, 0.005 * share),
        )  # fmt: skip
        shipped = SpatialLoop.of(vehicle, "learned+observer")
        for observer, noise in ((shipped.observer, 0.02), (0.0, 0.02), (2.0, 0.01), (2.0, 0.005)):
            loop = replace(shipped, observer=observer, noise_velocity=(noise,) * 3)
            proof = prove_space(plan, force, loop, errors, SpatialStart(force=None))
            yield _verdict(f"| {name} | {observer:g} | {noise:g} |", proof)
        wild = replace(shipped, k_p=tuple_of(shipped.k_p, 25 * vehicle.mass * 2.5),
                       k_v=tuple_of(shipped.k_v, 27.5 * vehicle.mass))  # fmt: skip
        proof = prove_space(plan, force, wild, errors, SpatialStart(force=None))
        yield _verdict(f"| {name}, 25 1/s sideways | {shipped.observer:g} | 0.02 |", proof)


def tuple_of(values: tuple[float, float, float], sideways: float) -> tuple[float, float, float]:
    """Return ``values`` with another number for x and y."""
    return sideways, sideways, values[2]


def by_weight(force: RestrictedForce, share: float) -> RestrictedForce:
    """Return the force on a vehicle of ``share`` of the weight whose rotors turn as fast."""
    weight, bias = force.layers[-1]
    layers = [*force.layers[:-1], (share * weight, share * bias)]
    k_f = None if force.k_f is None else force.k_f * share
    return RestrictedForce(layers, force.low, force.high, k_f, force.turns)


def _verdict(head: str, proof: SpatialProof) -> str:
    tilt = max(np.degrees(box.reached_tilt) for box in proof.boxes)
    failed = sorted({f"{c.name} {c.axis}" for c in proof.conditions if not c.holds})
    verdict = "certified" if proof.certified else "refused"
    return f"{head} {verdict} | {_cm(proof.greatest())} | {tilt:.0f} | {', '.join(failed)} |"


def _cm(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    assert len(values) == len(AXES)
    return "/".join(f"{100 * v:.2f}" for v in values)
