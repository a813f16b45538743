"""L1 adaptive augmentation of the force loop: predict velocity, explain the error, cancel slowly.

    predictor    v^' = (F + sigma) / m - a v~,             v~ = v^ - v,  F the known force
    adaptation   sigma = -m a v~ / (exp(a h) - 1)           constant over each period h
    filter       d' = w (sigma - d),   F_d -= d             |d| <= d_max per axis

The adaptation is as fast as the period lets it be; how fast is *answered* is the filter's matter alone,
so that fast adaptation does not cost margins. sigma is the mean unexplained force of the period before
times a h / (exp(a h) - 1), which is what a slow predictor pole a leaves of exact: 0.1 % short.

The source's input is thrust along the body's axis, and sideways forces are unmatched, estimated and not
cancelled. Here the attitude loop turns the thrust, the input of this loop is the force vector, and all
of it is matched. Thrust comes from measured rotor speed, where the source takes the command.

Source: Wu, Cheng, Zhao, Gahlawat, Ackerman, Lakshmanan, Yang, Yu, Hovakimyan, "L1 Quad: L1 adaptive
augmentation of geometric control for agile quadrotors with performance guarantees", arXiv 2302.07208;
Hovakimyan, Cao, "L1 Adaptive Control Theory", SIAM 2010, section 3.3 (piecewise constant adaptation).
"""

import math
from typing import Any

import numpy as np

from neural_lander.controller.compiled import compiled
from neural_lander.controller.rotation import Vector

POLE = 1.0
"""a, the predictor's pole [1/s]."""

RECORD_FIELDS = [
    ("l1_share", np.float64),
    # memory
    ("l1_velocity", np.float64, (3,)),
    ("l1_force", np.float64, (3,)),
    ("l1_begun", np.int64),
]
"""What this adds to a controller's record: the filter's share of a period, v^ [m/s], d [N]."""


def store_filter(c: Any, bandwidth: float, period: float) -> None:
    """Write the filter with w = ``bandwidth`` [1/s], for a control period [s], into a record."""
    c["l1_share"] = 1 - math.exp(-bandwidth * period)


@compiled
def adaptive_force(
    c: Any, v: Vector, mass: Vector, known: Vector, limit: float, held: Vector, frozen: bool
) -> Vector:
    """Return d [N] and advance predictor, adaptation and filter by one period.

    Args:
        c: a record with ``RECORD_FIELDS``, changed in place.
        v: velocity, world frame [m/s].
        mass: what is accelerated along each axis [kg].
        known: thrust, residual model and gravity together [N], world frame.
        limit: d_max [N].
        held: d while frozen [N], free of the noise of one step.
        frozen: hold d (in contact the floor's force is no disturbance to cancel).
    """
    if c.l1_begun == 0:
        c.l1_begun = 1
        for i in range(3):
            c.l1_velocity[i] = v[i]
    return (
        _axis(c, 0, v[0], mass[0], known[0], limit, held[0], frozen),
        _axis(c, 1, v[1], mass[1], known[1], limit, held[1], frozen),
        _axis(c, 2, v[2], mass[2], known[2], limit, held[2], frozen),
    )


@compiled
def _axis(
    c: Any,
    i: int,
    v: float,
    mass: float,
    known: float,
    limit: float,
    held: float,
    frozen: bool,
) -> float:
    error = c.l1_velocity[i] - v
    left = math.exp(-POLE * c.period)
    sigma = -mass * POLE * left * error / (1.0 - left)
    d = c.l1_force[i] + c.l1_share * (sigma - c.l1_force[i])
    c.l1_force[i] = held if frozen else min(max(d, -limit), limit)
    # exact for F and sigma held over the period, with v moving as F says
    adapted = sigma * (1.0 - left) / POLE
    c.l1_velocity[i] = v + left * error + (c.period * known + adapted) / mass
    return float(c.l1_force[i])
