"""Incremental nonlinear dynamic inversion of the force loop: trust the accelerometer, not a model.

    F_d = F_f + m (a_wanted - a_f),   F_f, a_f: thrust vector and acceleration behind H(s) each
    H(s) = w^2 / (s^2 + 2 zeta w s + w^2)

Whatever pushes is in the measured acceleration, so only the increment from the present thrust has to be
right. H is linear, and the same for both, so that with a_f from the specific force s

    F_d = m (g e3 + a_wanted) - d,   d = H (m s - F)

and d takes the place of an observer's force. Without accelerometer, s is the difference of two velocity
estimates over a period, plus g: behind H that is the derivative of the filtered velocity. A biased
accelerometer is believed: a bias b leaves m b of force.

zeta = 1 / sqrt(2) (Butterworth); the source takes 0.55. Discrete: exact for a force held over a period.

Source: Smeur, de Croon, Chu, "Cascaded incremental nonlinear dynamic inversion for MAV disturbance
rejection", Control Engineering Practice 73, 2018 (arXiv 1701.07254), outer loop.
"""

import math
from typing import Any

import numpy as np

from neural_lander.controller.compiled import compiled
from neural_lander.controller.rotation import Quaternion, Vector, rotate
from neural_lander.controller.vehicle import GRAVITY

RECORD_FIELDS = [
    ("indi_step", np.float64, (2, 2)),
    ("indi_input", np.float64, (2,)),
    # memory
    ("indi_force", np.float64, (3,)),
    ("indi_slope", np.float64, (3,)),
    ("indi_velocity", np.float64, (3,)),
    ("indi_begun", np.int64),
]
"""What this adds to a controller's record: filter, its output d [N] and d' [N/s], the velocity before."""


def store_filter(c: Any, cutoff: float, period: float) -> None:
    """Write the filter H with w = ``cutoff`` [rad/s], for a control period [s], into a record."""
    a = cutoff / math.sqrt(2)  # the poles are -a +- i a
    left, cos, sin = math.exp(-a * period), math.cos(a * period), math.sin(a * period)
    c["indi_step"] = [
        [left * (cos + sin), left * sin / a],
        [-2 * a * left * sin, left * (cos - sin)],
    ]
    c["indi_input"] = [1 - left * (cos + sin), 2 * a * left * sin]


@compiled
def specific_force(c: Any, q: Quaternion, v: Vector, felt: Vector) -> Vector:
    """Return the specific force in the world frame [m/s^2]: the accelerometer's, or from velocity."""
    b = c.indi_velocity
    if c.indi_begun == 0:
        c.indi_begun = 1
        b[0], b[1], b[2] = v[0], v[1], v[2]
    s = (
        (v[0] - b[0]) / c.period,
        (v[1] - b[1]) / c.period,
        (v[2] - b[2]) / c.period + GRAVITY,
    )
    b[0], b[1], b[2] = v[0], v[1], v[2]
    return s if math.isnan(felt[0]) else rotate(q, felt)


@compiled
def incremental_force(
    c: Any, s: Vector, mass: Vector, known: Vector, limit: float, held: Vector, frozen: bool
) -> Vector:
    """Return d [N] and advance the filter by one period.

    Args:
        c: a record with ``RECORD_FIELDS``, changed in place.
        s: specific force, world frame [m/s^2].
        mass: what is accelerated along each axis [kg].
        known: thrust, residual model and gravity together [N], world frame, of the time of ``s``.
        limit: greatest |d| per axis [N]; there the filter stands still, so that nothing winds up.
        held: d while frozen [N], free of the noise of one step.
        frozen: hold d (in contact the floor's force is no disturbance to cancel).
    """
    return (
        _axis(c, 0, mass[0] * s[0] - known[0], limit, held[0], frozen),
        _axis(c, 1, mass[1] * s[1] - known[1], limit, held[1], frozen),
        _axis(c, 2, mass[2] * (s[2] - GRAVITY) - known[2], limit, held[2], frozen),
    )


@compiled
def _axis(c: Any, i: int, force: float, limit: float, held: float, frozen: bool) -> float:
    if frozen:
        c.indi_force[i], c.indi_slope[i] = held, 0.0
        return held
    x, r = c.indi_force[i], c.indi_slope[i]
    a, b = c.indi_step, c.indi_input
    new = a[0, 0] * x + a[0, 1] * r + b[0] * force
    slope = a[1, 0] * x + a[1, 1] * r + b[1] * force
    d = min(max(new, -limit), limit)
    c.indi_force[i] = d
    c.indi_slope[i] = slope if d == new else 0.0
    return float(d)
