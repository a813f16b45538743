"""What became of a flight: landed, or refused by the world, and how.

    tipped over   upright when it touched, but in the end leaning more than 20 degrees from the
                  surface's normal
    crashed       contact by anything but the legs, tilt over 60 degrees, first contact over 1 m/s
    flown         a flight that was not to land
    hangs         never cut its motors
    cut in air    cut them after its legs had carried nothing for 20 ms
    slid          stood, but its feet moved more than 5 cm along the surface, or still move at 5 cm/s
    landed        none of these

The first that applies is the outcome. Tilt, way and speed are those relative to the surface, so that a
slope is no tilt and a deck's motion no slide; a level floor at rest is where both are the world's.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.vehicle import Vehicle

Array = npt.NDArray[np.float64]

TIPPED = math.radians(20)
"""[rad]"""
SLID = 0.05
"""[m]"""
SLIDES = 0.05
"""[m/s]"""
STOOD = 0.010
"""Feet lower than this over the surface are counted as standing on it [m]."""
BRIEFLY = 0.020
"""Legs that last carried something longer ago than this are in the air [s]."""
STILL_SPEED, STILL_RATE = 0.02, 0.05
"""A vehicle slower than this after its motors were cut is not watched any longer [m/s, rad/s]."""

LANDED, CRASHED, TIPPED_OVER, SLIPPED = "landed", "crashed", "tipped over", "slid"
HANGS, CUT_IN_AIR, FLOWN = "hangs", "cut in air", "flown"
OUTCOMES = (LANDED, CRASHED, TIPPED_OVER, SLIPPED, HANGS, CUT_IN_AIR, FLOWN)
"""All there are."""
REFUSED = (TIPPED_OVER, SLIPPED)
"""Landings that the world did not take."""


@dataclass(frozen=True)
class Outcome:
    """What the flight loop saw happen."""

    contact_at: int | None
    """Step of first contact."""
    cut_at: int | None
    """Step at which the controller cut the motors."""
    crash: str
    """Why it counts as a crash, or nothing."""


@dataclass(frozen=True)
class Stand:
    """How a vehicle stood to the surface below it, a row a step."""

    height: Array
    """Above standing on it (n,) [m]."""
    tilt: Array
    """Angle between body z and its normal (n,) [rad]."""
    feet: Array
    """Middle of the feet along it, in a frame that moves and turns with it (n, 2) [m]."""
    period: float
    """[s]"""


def stand_on(
    log: FlightLog,
    vehicle: Vehicle,
    normal: Array | tuple[float, float, float] = (0.0, 0.0, 1.0),
    moved: Array | float = 0.0,
) -> Stand:
    """Return how the true flight stood to a surface.

    Args:
        log: of the flight.
        vehicle: what flew.
        normal: of the surface, upward, (3,) or (n, 3) in the world frame.
        moved: where a point of the surface is, (3,) or (n, 3) in the world frame [m]; exact where that
            point stays the same one, and off by r sin^2(pitch), r from the axis that a deck pitches
            about, where it is the one below the vehicle.
    """
    x, y, z, w = np.moveaxis(log["truth_attitude"], -1, 0)
    axis = np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], axis=-1)
    up = np.broadcast_to(np.asarray(normal, dtype=np.float64), axis.shape)
    tilt = np.arccos(np.clip((axis * up).sum(axis=-1), -1.0, 1.0))
    feet = log["truth_position"] - vehicle.rest_height * axis - moved
    along = np.array([1.0, 0.0, 0.0]) - up[:, :1] * up
    along /= np.linalg.norm(along, axis=-1, keepdims=True)
    aside = np.cross(up, along)
    feet = np.stack([(feet * along).sum(axis=-1), (feet * aside).sum(axis=-1)], axis=-1)
    return Stand(log["truth_height"], tilt, feet, float(log["time"][1] - log["time"][0]))


def ground_of(log: FlightLog) -> tuple[Array | tuple[float, float, float], Array | float]:
    """Return the normal of the surface under a flight and where it is, as ``stand_on`` takes them.

    Where: the height of its place under the flight's end, so that the feet are seen from there, and a
    surface that pitches does not swing them.
    """
    if "truth_surface_normal" not in log:
        return (0.0, 0.0, 1.0), 0.0
    normal = log["truth_surface_normal"]
    slope = -normal[:, :2] / normal[:, 2:]
    off = log["truth_position"][:, :2] - log["truth_position"][-1, :2]
    height = log["truth_surface_height"] - (slope * off).sum(axis=1)
    moved = np.zeros_like(normal)
    moved[:, 2] = height
    return normal, moved


def slide(stand: Stand, outcome: Outcome) -> tuple[float, float]:
    """Return how far the feet moved since they stood [m], and how fast they move in the end [m/s].

    They stand from the last row on before which the vehicle was off the surface.
    """
    if outcome.contact_at is None:
        return 0.0, 0.0
    off = np.flatnonzero(stand.height > STOOD)
    since = max(outcome.contact_at, int(off[-1]) + 1 if len(off) else 0)
    way = stand.feet[since:]
    few = max(2, round(0.02 / stand.period))
    if len(way) < few:
        return 0.0, 0.0
    last = way[-few:]
    speed = np.linalg.norm(last[-1] - last[0]) / ((few - 1) * stand.period)
    return float(np.linalg.norm(way - way[0], axis=1).max()), float(speed)


def verdict(outcome: Outcome, stand: Stand, carried: Array, lands: bool) -> str:
    """Return one of ``OUTCOMES``.

    Args:
        outcome: what the flight loop saw.
        stand: to the surface below.
        carried: force of the ground (n,) [N].
        lands: whether the flight was to end on the ground.
    """
    contact, cut = outcome.contact_at, outcome.cut_at
    if contact is not None and stand.tilt[contact] <= TIPPED < stand.tilt[-1]:
        return TIPPED_OVER
    if outcome.crash:
        return CRASHED
    if not lands:
        return FLOWN
    if was_cut_in_air(outcome, carried, stand.period):
        return CUT_IN_AIR
    way, speed = slide(stand, outcome)
    if (way > SLID or speed > SLIDES) and (cut is not None or carried[-1] > 0):
        return SLIPPED
    return HANGS if cut is None else LANDED


def was_cut_in_air(outcome: Outcome, carried: Array, period: float) -> bool | None:
    """Whether the legs carried nothing ``BRIEFLY`` before the motors were cut; None: never cut.

    A vehicle that stands rattles, so that one step without force is no air.

    Args:
        outcome: what the flight loop saw.
        carried: force of the ground (n,) [N].
        period: between two rows [s].
    """
    if outcome.cut_at is None:
        return None
    before = carried[max(outcome.cut_at - round(BRIEFLY / period), 0) : outcome.cut_at]
    return not bool((before > 0.0).any())


def is_still(velocity: Any, omega: Any) -> bool:
    """Whether a vehicle rests: velocity [m/s] and rate [rad/s] relative to its surface."""
    v, w = velocity, omega
    speed = v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
    rate = w[0] * w[0] + w[1] * w[1] + w[2] * w[2]
    return bool(speed < STILL_SPEED**2 and rate < STILL_RATE**2)
