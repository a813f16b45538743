"""Replay the model's worst noise in the simulated world, and search on from there.

    python scripts/falsify_world.py --model MODEL --certificate FILE [--aero rotor] [--climbs 60]

For each axis and sign: the start and the noise that the adjoint finds worst for the linear loop's
model (bang-bang, inside the vehicle's bounds) are flown in PyBullet with the certified loop, from
the corner of the allowed start; hill climbing then turns stretches of the noise round and keeps what
comes closer to the tube. Prints the share of the tube used, before and after the search, beside the
most that as many ordinary landings use. Above 1 the certificate is false.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from neural_lander.controller.certificate import read_certificate
from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.spatial_model import AXES, SpatialLoop
from neural_lander.controller.spatial_terms import SpatialErrors
from neural_lander.learning.restricted_force import RestrictedForce
from neural_lander.learning.spatial_falsifier import Inputs, World, worst_inputs
from neural_lander.scripts.exit_status import exits
from neural_lander.sim.gate import FlightOptions, flight_of
from neural_lander.sim.rollout import Flight, flight_log, fly, run
from neural_lander.sim.summary import along_the_plan

Array = npt.NDArray[np.float64]

SETTLED = 0.5
"""Shares are counted from here on; the start itself may fill the tube [s]."""

TARGETS = (3.0, 4.5, 5.5)
"""Times at which the model's worst flights are aimed [s]."""


def sensor_noise(inputs: Inputs, steps: int) -> Array:
    """Return noise (steps, 16) of the simulator's sensors from that of the model."""
    n = inputs.noise[:steps]
    noise = np.zeros((steps, 16))
    noise[: len(n), :6] = n[:, :6]
    noise[: len(n), 6], noise[: len(n), 7] = -n[:, 8], n[:, 7]  # axis = rotation x e3
    noise[: len(n), 12:] = (np.sqrt(1 + n[:, 6]) - 1)[:, None]
    return noise


def used(flight: Flight, noise: Array, start: Array, yaw: float) -> Array:
    """Fly in the world and return the greatest share of the tube per axis (3,)."""
    assert flight.limits is not None
    known = flight.scenario
    at = (
        float(start[0]) + known.start_x,
        float(start[1]) + known.start_y,
        float(start[2]) + known.start_height,
    )
    velocity = (float(start[3]), float(start[4]), float(start[5]))
    rng = np.random.default_rng(0)
    duration = len(noise) * flight.vehicle.timing.period
    rows, outcome = run(flight, flight.plan, rng, at, velocity, yaw, duration, True, noise)
    log = flight_log(rows, flight, 0)
    return shares(flight, log, outcome.contact_at)


def shares(flight: Flight, log: FlightLog, contact: int | None) -> Array:
    """Return the greatest share of the tube that a flight used per axis (3,), once settled."""
    assert flight.limits is not None
    rows = slice(0, along_the_plan(log, contact))
    t = log["time"][rows]
    off = np.abs(log["truth_position"][rows] - log["setpoint_position"][rows])
    return np.asarray((off / flight.limits.tube_at(t))[t > SETTLED].max(axis=0))


def turned_round(noise: Array, rng: np.random.Generator) -> Array:
    """Return noise with one stretch of one to three channels turned round."""
    tried = noise.copy()
    a = int(rng.integers(0, len(noise)))
    b = min(len(noise), a + int(rng.integers(5, 500)))
    for channel in rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 12], size=rng.integers(1, 4), replace=False):
        columns = slice(12, 16) if channel == 12 else slice(channel, channel + 1)
        tried[a:b, columns] *= -1
    return tried


@exits
def main() -> None:
    """Search and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--vehicle", default="intel-aero")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--aero", default="rotor")
    parser.add_argument("--reference", default="s-curve")
    parser.add_argument(
        "--climbs", type=int, default=60, help="flights of the search an axis, sign"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    options = FlightOptions(
        args.vehicle, "flat", args.reference, args.aero, args.model, args.certificate, False,
        "hybrid",
    )  # fmt: skip
    certificate = read_certificate(args.certificate)
    flight = flight_of(options, certificate.controller)
    bounds = certificate.error_bounds or {}
    if flight.limits is None or flight.network is None or "contract_n" not in bounds:
        raise InputError(f"{args.certificate}: has no tube in three dimensions to attack")
    errors = SpatialErrors(
        tuple(bounds["changing_n"]), tuple(bounds["constant_n"]), tuple(bounds["contract_n"])
    )
    loop = SpatialLoop.of(flight.vehicle, certificate.controller)
    calm = World(flight.plan, RestrictedForce.of(flight.network), loop, flight.plan.end + 1.0)
    period = flight.vehicle.timing.period
    steps = round((flight.plan.end + flight.scenario.after) / period)
    spread = np.array([flight.scenario.start_spread] * 3 + [flight.scenario.start_speed_spread] * 3)
    rng, console = np.random.default_rng(args.seed), Console(stderr=args.json, width=110)
    result: dict[str, Any] = {}
    table = Table("axis", "ordinary landings", "model's worst", "searched on", "tube")
    with Progress(console=console) as progress:
        task = progress.add_task("flying", total=3)
        flights = 2 * (len(TARGETS) + args.climbs)
        ordinary = np.max([_ordinary(flight, seed) for seed in range(flights)], axis=0)
        for axis in range(3):
            replayed = searched = 0.0
            for sign in (1, -1):
                best, noise = -1.0, np.zeros((steps, 16))
                start = sign * spread * np.eye(6)[[axis, axis + 3]].sum(axis=0)
                x, y, z, vx, vy, vz = start.tolist()
                world = replace(calm, offset=(x, y, z), speed=(vx, vy, vz))
                for target in TARGETS:
                    inputs = worst_inputs(world, errors, target, axis, sign)
                    tried = sensor_noise(inputs, steps)
                    share = float(used(flight, tried, start, 0.0)[axis])
                    if share > best:
                        best, noise = share, tried
                replayed = max(replayed, best)
                for _ in range(args.climbs):
                    tried = turned_round(noise, rng)
                    share = float(used(flight, tried, start, 0.0)[axis])
                    if share > best:
                        best, noise = share, tried
                searched = max(searched, best)
            name = AXES[axis]
            result[name] = {
                "ordinary": float(ordinary[axis]), "replayed": replayed, "searched": searched,
            }  # fmt: skip
            table.add_row(
                name, f"{ordinary[axis]:.2f}", f"{replayed:.2f}", f"{searched:.2f}",
                "holds" if searched <= 1 else "FALSE",
            )  # fmt: skip
            progress.advance(task)
    console.print(table)
    if args.json:
        print(json.dumps(result, indent=1))


def _ordinary(flight: Flight, seed: int) -> Array:
    """Return the shares of the tube that an ordinary landing uses."""
    log = fly(flight, seed).log
    contact = np.flatnonzero(log["truth_contact_force"] > 0)
    return shares(flight, log, int(contact[0]) if len(contact) else None)


if __name__ == "__main__":
    main()
