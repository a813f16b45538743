"""From a model bundle to its certificate: bound the slopes, decide, say what is assumed, write.

The slopes are bounded over the bundle's envelope and over the whole of the inputs' clamps, and
the intervals are widened to contain 0: beyond its clamp an input does not change the network any
more, so the slope in it is 0 there. Hence the intervals hold at every state, not only inside the
envelope.

Beside the verdict stand the two conditions of the paper, reported and not proved (Shi et al.,
"Neural Lander", ICRA 2019, Lemma 3.1 and Theorem 3.2).
"""

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neural_lander.controller.certificate import (
    CERTIFIED,
    REFUSED,
    Certificate,
    binding,
    certificate_path,
    decide,
    package_version,
    remedies,
    write_certificate,
)
from neural_lander.controller.errors import InputError
from neural_lander.controller.files import read_json
from neural_lander.controller.loop_model import VerticalLoop
from neural_lander.controller.network import SOURCES, Network, load_network
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.slopes import UNITS, Box, Interval, layer_norm_bound, slope_intervals

CONTROLLERS = ("learned", "learned+observer")
"""Controllers with a learned force, which is what there is to certify."""

Progress = Callable[[float, str], None]
"""Called with the share done, 0 to 1, and what is being done."""


def certify(
    model: Path,
    vehicle: Vehicle,
    controller: str = "learned+observer",
    out: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Certificate, Path]:
    """Decide on a model bundle in the vertical loop of ``vehicle`` and write the certificate.

    Returns the certificate, which may say ``refused``, and where it was written: ``out``, or
    MODEL/certificates/HASH.json.

    Raises:
        InputError: a controller without a learned force, a bundle that cannot be read, whose
            inputs are others than height, vertical speed and thrust, or without clamp or envelope.
    """
    if controller not in CONTROLLERS:
        raise InputError(
            f"controller {controller!r} has nothing to certify; "
            f"take one of {', '.join(CONTROLLERS)}"
        )
    report = progress or (lambda share, text: None)
    report(0.0, "reading the model")
    network = load_network(model, vehicle)
    where = model / "model.json" if model.is_dir() else model.with_suffix(".json")
    info = read_json(where)
    box = _box(network, info, where)

    report(0.1, "bounding the slopes")
    slopes = slope_intervals(network, box).with_zero()
    report(0.6, "deciding")
    loop = VerticalLoop.of(vehicle, controller)
    vertical = slopes.vertical()
    decision = decide(vertical, loop)
    if not decision.certified:
        report(0.7, "looking for what would pass")
    bound = binding(network, vehicle, controller)
    certificate = Certificate(
        verdict=CERTIFIED if decision.certified else REFUSED,
        controller=controller,
        version=package_version(),
        conditions=decision.conditions,
        channels=decision.channels,
        slopes={
            **slopes.as_dict(),
            "holds": "everywhere: over the box, and beyond it the clamped inputs leave slope 0",
        },
        loop={
            **asdict(loop),
            "lag": list(loop.lag),
            "command_noise_n": loop.command_noise(vertical) if vertical.thrust[0] > -1 else None,
        },
        tube=None,
        error_bounds=None,
        reported=_paper(network, vehicle, info),
        assumptions=_assumptions(loop, vehicle),
        monitor=_monitor(loop, vehicle),
        binding=bound,
        remedies=() if decision.certified else remedies(vertical, loop),
    )
    path = out or certificate_path(model, bound)
    write_certificate(path, certificate)
    report(1.0, certificate.verdict)
    return certificate, path


def _box(network: Network, info: dict[str, Any], where: Path) -> Box:
    """Return the box around envelope and clamps; outside the clamps the network is flat."""
    others = [entry.name for entry in network.inputs if entry.name not in UNITS]
    if others:
        raise InputError(
            f"{where}: has the inputs {', '.join(others)}; this version certifies networks of "
            "height, vertical_speed and collective_thrust: train one with these inputs"
        )
    envelope = info.get("envelope")
    if not isinstance(envelope, dict):
        raise InputError(f"{where}: has no envelope (input -> [low, high], SI); train it again")
    box: dict[str, Interval] = {}
    for entry in network.inputs:
        low, high = _interval(envelope, entry.name, where)
        si = SOURCES[entry.name][2][entry.unit]
        if not (math.isfinite(entry.low) and math.isfinite(entry.high)):
            raise InputError(
                f"{where}: clamp.{entry.name} is missing or infinite; without it the slopes cannot "
                "be bounded everywhere: expected [low, high], train it again"
            )
        box[entry.name] = (min(low, entry.low * si), max(high, entry.high * si))
    return box


def _interval(envelope: dict[str, Any], name: str, where: Path) -> Interval:
    try:
        low, high = (float(x) for x in envelope[name])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{where}: envelope.{name} is {envelope.get(name)!r}, expected [low, high] in SI"
        ) from error
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(
            f"{where}: envelope.{name} is [{low}, {high}], expected finite numbers, low < high"
        )
    return low, high


def _paper(network: Network, vehicle: Vehicle, info: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the paper's two conditions with the product of layer norms as Lipschitz constant."""
    norm = layer_norm_bound(network)
    slope = float(norm["inputs"].get("collective_thrust", 0.0))
    k_v = vehicle.mass * float(vehicle.gains.velocity.min())
    rho, error = _number(info.get("paper_rho")), _number(info.get("error_estimate_n"))
    ball = rest = None
    if rho is not None:
        rest = k_v - slope * rho
        if error is not None and rest > 0:
            ball = error / rest
    status = "reported, not proved"
    return (
        {
            "name": "contraction of the thrust iteration",
            "statement": "sigma(B0^-1) L_a < 1, L_a: product of layer norms, N/N for thrust",
            "status": status,
            "lhs": slope,
            "rhs": 1.0,
            "holds": slope < 1,
            "layer_norms": norm,
        },
        {
            "name": "ball of the composite speed error s",
            "statement": "L_a rho < lambda_min(K_v), ball epsilon / (lambda_min(K_v) - L_a rho)",
            "status": status,
            "lhs": None if rho is None else slope * rho,
            "rhs": k_v,
            "holds": None if rest is None else rest > 0,
            "rho_n_s_m": rho,
            "error_estimate_n": error,
            "ball_m_s": ball,
        },
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _assumptions(loop: VerticalLoop, vehicle: Vehicle) -> tuple[str, ...]:
    low, high = loop.lag
    lines = [
        "vertical axis only, flown level: attitude, sideways motion and unequal rotors are not in "
        "the proof; what they add to the vertical force counts as error of the learned force",
        "the proof says that the errors stay bounded, not how far: no tube, because the error of "
        "the learned force has not been calibrated on unseen flights",
        "no rotor leaves its limits, and the solver of the thrust finds a solution within "
        f"{loop.tolerance:.2g} N",
        f"thrust follows its command with a first-order lag between {low:g} and {high:g} s",
        f"control every {loop.period:g} s, applied at most {loop.latency:g} s after the "
        "measurement",
        f"the estimate is off by at most {loop.noise_position:g} m and "
        f"{loop.noise_velocity:g} m/s; it does not lag",
        f"mass {vehicle.mass:g} kg as in the vehicle's file; a wrong mass counts as error",
        "free flight over a level surface at rest: no contact, and height changes with z alone",
    ]
    if loop.observer:
        lines.append(
            "the observer stays inside its limit, and its rotor speeds and velocities are of the "
            f"same moment, at most {loop.period:g} s old"
        )
    return tuple(lines)


def _monitor(loop: VerticalLoop, vehicle: Vehicle) -> tuple[str, ...]:
    lines = [
        f"residual of the thrust solver at most {loop.tolerance:.2g} N",
        f"control period + latency at most {loop.period + loop.latency:g} s",
        "no rotor saturated",
    ]
    if loop.observer:
        limit = vehicle.gains.observer_limit * vehicle.weight
        lines.append(f"disturbance estimate below {limit:.3g} N")
    return tuple(lines)
