"""What the law knows of its own delays beforehand, and feeds forward along a plan that says so.

    F_d += m lead j_d(t + L),  a_d = a_d(t + L),  lead_z = motor lag, lead_xy = 2 zeta / w
    p~, v~ against the set-point an estimate's age ago
    phi at p + p_d(t + L + lag) - p_d(t - age), and likewise vertical speed

with latency L from measurement to rotors. All of it is known from the plan alone, so that no slope and
no feedback of the loop changes by it. The momentum observer compares momentum with the forces of the
time that the estimate is of, whatever the plan.

Source: the inverse of a first-order lag, and of the attitude loop's slowest part, to first order in
time; standard feed-forward (e.g. Franklin, Powell, Emami-Naeini, "Feedback Control of Dynamic Systems").
"""

from typing import Any

import numpy as np

from neural_lander.controller.compiled import compiled
from neural_lander.controller.errors import InputError
from neural_lander.controller.measurement import Measurement
from neural_lander.controller.rotation import Vector
from neural_lander.controller.setpoint import Plan, setpoint_ahead
from neural_lander.controller.vehicle import MAX_LATENCY_STEPS, Vehicle

RECORD_FIELDS = [
    ("compensated", np.int64),
    ("lead", np.float64, (3,)),
    ("latency", np.float64),
    ("age_steps", np.int64),
    # memory
    ("steps", np.int64),
    ("known_before", np.float64, (MAX_LATENCY_STEPS + 1, 3)),
    ("moved", np.float64, (4,)),
]
"""What this adds to a controller's record; ``moved``: how far the plan moves x, y, z and v_z until the
command has become thrust."""


def lead_of(vehicle: Vehicle) -> tuple[float, float, float]:
    """Return what lag is fed forward on each axis [s]."""
    turning = 2 * vehicle.gains.damping / vehicle.gains.attitude
    return turning, turning, vehicle.rotors.lag


def store_feed_forward(c: Any, vehicle: Vehicle, plan: Plan, age: float) -> None:
    """Write the vehicle's delays and the age of its estimates [s] into a controller's record.

    Raises:
        InputError: estimates older than the controller can remember.
    """
    steps = round(age / vehicle.timing.period)
    if not 0 <= steps <= MAX_LATENCY_STEPS:
        raise InputError(
            f"the estimates' age is {age} s, expected 0 to {MAX_LATENCY_STEPS * vehicle.timing.period} s"
        )
    c["age_steps"], c["latency"] = steps, vehicle.timing.latency
    c["compensated"], c["lead"] = plan.compensated, lead_of(vehicle)


@compiled
def shortly(c: Any, measured: Measurement) -> Measurement:
    """Return where the plan says that the vehicle will be when the command has become thrust."""
    if c.compensated == 0:
        return measured
    p, q, v, rate, f, height, felt = measured
    there = (p[0] + c.moved[0], p[1] + c.moved[1], p[2] + c.moved[2])
    return there, q, (v[0], v[1], v[2] + c.moved[3]), rate, f, height + c.moved[2], felt


@compiled
def look_ahead(c: Any, t: float, place: Vector, speed: float) -> tuple[Vector, Vector]:
    """Return acceleration [m/s^2] and lead m j_d [N] to command at t, and note how far the plan moves.

    ``place`` [m] and vertical ``speed`` [m/s]: the set-point of the time that the estimate is of.
    """
    soon = t + c.latency
    _, _, a, j = setpoint_ahead(c, soon)
    lag = c.lead[2]
    p, v, _, _ = setpoint_ahead(c, soon + lag)
    c.piece_ahead = c.piece
    c.moved[0], c.moved[1] = p[0] - place[0], p[1] - place[1]
    c.moved[2] = max(p[2], c.floor) - max(place[2], c.floor)
    c.moved[3] = v[2] - speed
    k = c.mass
    heavier = 1.0 + c.load
    a = (a[0], a[1], a[2] * heavier)
    return a, (k * c.lead[0] * j[0], k * c.lead[1] * j[1], k * lag * j[2] * heavier)


@compiled
def as_old(c: Any, known: Vector) -> Vector:
    """Return the known force of the time that position and velocity are of, and remember this one."""
    n = c.age_steps + 1
    now = c.steps % n
    for i in range(3):
        c.known_before[now, i] = known[i]
    c.steps += 1
    old = c.steps % n if c.steps >= n else 0
    b = c.known_before
    return (b[old, 0], b[old, 1], b[old, 2])
