"""The figures of a landing, from its log alone.

    z error        = height - max(reference, 0), in the world, over the descent until first contact
    landing time   = from the start of the descent to the first moment after which the height stays
                     below 10 mm and the speed below 0.1 m/s
    touchdown speed = downward speed of the reference point one control step before first contact,
                     over the surface where that is tilted or moves, as height and error are
    final height   = mean over the last second, of a vehicle that cut its motors since then

What does not apply is None, never 0. What became of the flight is judged in ``sim/verdict.py``.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.deck_log import off_the_reference
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.landing_controller import KINDS
from neural_lander.controller.monitor import EVENTS, Limits
from neural_lander.controller.setpoint import Plan
from neural_lander.controller.vehicle import Vehicle
from neural_lander.sim.verdict import (
    LANDED,
    REFUSED,
    SLIPPED,
    Outcome,
    ground_of,
    slide,
    stand_on,
    verdict,
    was_cut_in_air,
)

Array = npt.NDArray[np.float64]

LANDED_HEIGHT, LANDED_SPEED = 0.010, 0.1
LOW = 0.15
"""Below this height the learned force is compared with the true one [m]."""
STOOD_UP = (LANDED, SLIPPED)
"""Outcomes of a vehicle that stands in the end."""


def summarise(
    log: FlightLog,
    outcome: Outcome,
    plan: Plan,
    vehicle: Vehicle,
    limits: Limits | None = None,
    lands: bool = True,
) -> dict[str, Any]:
    """Return the figures of one landing, in SI, by the names of the design.

    ``limits`` are those of the certificate it flew with; none: no tube, no monitor. ``lands``: whether
    it was to end on the ground.
    """
    t, height = log["time"], log["truth_height"]
    velocity, position = velocity_over_surface(log), log["truth_position"]
    speed = np.linalg.norm(velocity, axis=-1)
    begin = int(np.searchsorted(t, plan.descent_start))
    contact = outcome.contact_at
    until = contact if contact is not None else len(t)
    error = height_over_end(log) - np.maximum(log["reference_height"], 0.0)
    period = float(t[1] - t[0])
    descent = slice(begin, until)
    descended = until > begin
    half = slice(max(begin, until - round(0.5 / period)), until)
    last = slice(max(0, len(t) - round(1.0 / period), outcome.cut_at or 0), len(t))
    stand = stand_on(log, vehicle, *ground_of(log))
    became = verdict(outcome, stand, log["truth_contact_force"], lands)
    tilt = np.arccos(np.clip(1 - 2 * (log["truth_attitude"][:, :2] ** 2).sum(axis=-1), -1, 1))
    xy = np.linalg.norm(position[:, :2] - log["setpoint_position"][:, :2], axis=-1)
    command = log["rotor_thrust_command"]
    before_cut = slice(0, outcome.cut_at)
    at_limit = (command <= vehicle.rotors.thrust_min) | (command >= vehicle.rotors.thrust_max)
    return {
        "controller": log.metadata["controller"],
        "scenario": log.metadata["scenario"],
        "reference": log.metadata["reference"],
        "aero": log.metadata["aero"],
        "vehicle": log.metadata["vehicle"],
        "seed": log.metadata["seed"],
        "certified": log.metadata["certified"],
        "crashed": bool(outcome.crash),
        "crash_reason": outcome.crash or None,
        "outcome": became,
        "landed": became == LANDED,
        "lands": lands,
        "motors_cut": outcome.cut_at is not None,
        "touched": outcome.contact_at is not None,
        "cut_in_air": was_cut_in_air(outcome, log["truth_contact_force"], period),
        "landing_time_s": None
        if outcome.crash or became in REFUSED
        else _landing_time(t, height, speed, begin),
        "touchdown_speed_m_s": None if not contact else float(-velocity[contact - 1, 2]),
        "contact_speed_max_m_s": None
        if not contact
        else float(max(0, -velocity[contact:, 2].min())),
        "rise_after_contact_m": None
        if not contact
        else float(max(0.0, (height[contact:] - height[contact]).max())),
        "slide_m": slide(stand, outcome)[0] if became in STOOD_UP else None,
        "terminal_z_error_m": float(error[half].mean()) if descended else None,
        "final_height_m": float(height[last].mean()),
        "z_rmse_m": float(np.sqrt((error[descent] ** 2).mean())) if descended else None,
        "z_max_error_m": float(np.abs(error[descent]).max()) if descended else None,
        "force_rmse_low_n": _force_rmse_low(log, slice(begin, until)),
        "xy_end_m": float(xy[-1]),
        "xy_max_m": float(xy[descent].max()) if descended else None,
        "tilt_max_rad": float(tilt.max()),
        "saturated_share": float(at_limit[before_cut].any(axis=-1).mean()),
        "solver_failures": int((log["solver_ok"][before_cut] == 0).sum()),
        **_tube(log, until, limits, plan),
    }


def height_over_end(log: FlightLog) -> Array:
    """Return the true height above standing on the surface under the plan's end (n,) [m].

    That is the surface which the reference's height is over, too, whatever lies below on the way.
    """
    if "truth_surface_height" in log:
        standing = log["truth_surface_height"] + log.metadata["rest_height_m"]
        return np.asarray(log["truth_position"][:, 2] - standing)
    floor = log["setpoint_position"][:, 2] - log["reference_height"]
    return np.asarray(log["truth_position"][:, 2] - floor)


def hover_of(log: FlightLog) -> float:
    """Return when the plan begins to move [s]; where the log does not say, when the set-point does."""
    if "hover_s" in log.metadata:
        return float(log.metadata["hover_s"])
    place = log["setpoint_position"]
    moving = np.flatnonzero((np.abs(place - place[0]) > 1e-6).any(axis=1))
    return float(log["time"][moving[0]]) if len(moving) else 0.0


def velocity_over_surface(log: FlightLog) -> Array:
    """Return the true velocity (n, 3) [m/s], upward that over the surface under the plan's end."""
    velocity = log["truth_velocity"]
    if "truth_surface_speed" not in log:
        return velocity
    return np.asarray(velocity - log["truth_surface_speed"][:, None] * (0.0, 0.0, 1.0))


def along_the_plan(log: FlightLog, contact: int | None) -> int:
    """Return how many rows a certificate is about: until contact, or until the law pushes down.

    From then on the set-point leaves the plan for the floor.
    """
    until = len(log) if contact is None else contact
    pushing = np.flatnonzero(log["phase"][:until] > 0)
    return int(pushing[0]) if len(pushing) else until


def _tube(log: FlightLog, until: int, limits: Limits | None, plan: Plan) -> dict[str, Any]:
    """Return how the true flight stood to its tube until first contact, and what the monitor said."""
    until = along_the_plan(log, until)
    figures: dict[str, Any] = {
        "tube_xyz_m": None, "tube_violations": None, "tube_used_xyz": None,
        "monitor_events": None, "monitor_event": None, "monitor_event_s": None,
    }  # fmt: skip
    if limits is None:
        return figures
    rows = slice(0, until)
    off = np.abs(off_the_reference(log, plan.descent_start)[rows])
    tube = limits.tube_at(log["time"][rows])
    event = log["monitor"]
    at = int(np.argmax(event > 0)) if (event > 0).any() else None
    return figures | {
        "tube_xyz_m": [float(x) for x in limits.position.max(axis=0)],
        "tube_violations": int((off > tube).any(axis=1).sum()),
        "tube_used_xyz": [float(x) for x in (off / tube).max(axis=0)],
        "monitor_events": int(at is not None),
        "monitor_event": None if at is None else EVENTS[int(event[at])],
        "monitor_event_s": None if at is None else float(log["time"][at]),
    }


def _landing_time(t: Array, height: Array, speed: Array, begin: int) -> float | None:
    """Return the time from the start of the descent until low and slow for good."""
    moving = (height >= LANDED_HEIGHT) | (speed >= LANDED_SPEED)
    if moving[-1]:
        return None
    still = int(np.flatnonzero(moving)[-1]) + 1 if moving.any() else 0
    return float(t[max(still, begin)] - t[begin])


def _force_rmse_low(log: FlightLog, flying: slice) -> float | None:
    """Return the RMSE of learned against true vertical force below 15 cm [N]."""
    if log.metadata["controller"].removesuffix("+observer") not in KINDS:
        return None
    low = log["truth_height"][flying] < LOW
    if not low.any():
        return None
    gap = log["learned_force"][flying, 2][low] - log["truth_force"][flying, 2][low]
    return float(np.sqrt((gap**2).mean()))
