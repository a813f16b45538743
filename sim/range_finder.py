"""A range finder that looks along body -z: the distance to whatever its beam meets first.

    r = min over the beam's rays of the ray's length to floor or box, at most the range limit
    height = r (R e3)_z - standing height,     with the attitude that the vehicle measures

A ray meets a box where it has come inside all of its sides (clipping a line by a convex body: Cyrus,
Beck, Computers & Graphics 3, 1978). A cone is its axis and eight rays on its rim; a sensor of that kind
reports the nearest surface in view. The sensor sits in the body's origin. Over an edge it sees what is
under its beam, not under the vehicle: a tilt of 10 degrees looks 18 cm aside from 1 m.
"""

import math
from typing import Any

import numpy as np

from neural_lander.controller.compiled import compiled
from neural_lander.controller.rotation import Quaternion, Vector, rotate
from neural_lander.controller.terrain import height_of

RIM = 8
"""Rays on the rim of a cone."""

RECORD_FIELDS = [
    ("range_finder", np.int64),
    ("height_by_range", np.int64),
    ("range_limit", np.float64),
    ("range_cone", np.float64),
    ("range", np.float64),
]
"""What the compiled step keeps: whether there is one, whether the height is taken from it, its limit
[m], half its cone [rad], and what it said last [m]."""


@compiled
def clipped(inside: tuple[float, float], at: float, slope: float) -> tuple[float, float]:
    """Return the part of a ray's interval in which ``at + slope t <= 0``; empty: first > last."""
    first, last = inside
    if slope == 0.0:
        return (first, last) if at <= 0.0 else (1.0, 0.0)
    t = -at / slope
    return (first, min(last, t)) if slope > 0.0 else (max(first, t), last)


@compiled
def ray_length(w: Any, o: Vector, d: Vector) -> float:
    """Return how far the ray from o along the unit vector d goes to the floor or a box [m]."""
    nearest = 1e9
    if d[2] < 0.0:
        nearest = max(o[2] - w.surface, 0.0) / -d[2]
    for s in range(w.surface_count):
        b = w.surfaces[s]
        part = (0.0, nearest)
        for axis in range(2):
            part = clipped(part, o[axis] - b[axis] - b[2 + axis], d[axis])
            part = clipped(part, b[axis] - b[2 + axis] - o[axis], -d[axis])
        over = o[2] - height_of(w, s + 1, o[0], o[1])
        part = clipped(part, over, d[2] - b[5] * d[0] - b[6] * d[1])
        if part[0] <= part[1]:
            nearest = part[0]
    return nearest


@compiled
def seen_range(w: Any, p: Vector, q: Quaternion, noise: float) -> float:
    """Return what the range finder says with the body's origin at p [m], noise [m] on it."""
    nearest = ray_length(w, p, rotate(q, (0.0, 0.0, -1.0)))
    if w.range_cone > 0.0:
        c, s = math.cos(w.range_cone), math.sin(w.range_cone)
        for i in range(RIM):
            turn = 2.0 * math.pi * i / RIM
            d = rotate(q, (s * math.cos(turn), s * math.sin(turn), -c))
            nearest = min(nearest, ray_length(w, p, d))
    return float(min(max(nearest + noise, 0.0), w.range_limit))


@compiled
def height_by_range(w: Any, attitude: Quaternion, otherwise: float) -> float:
    """Return the height over what is under the beam, from range and measured attitude [m].

    Beyond its range the sensor says nothing, and ``otherwise`` is the height.
    """
    if w.range >= w.range_limit:
        return otherwise
    upright = 1.0 - 2.0 * (attitude[0] * attitude[0] + attitude[1] * attitude[1])
    return float(w.range * upright - w.rest_height)
