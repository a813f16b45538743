"""What a landing is worth to an agent: between 0 and 100, and most to the best landing.

    while it flies    100 / T * 1/2 s dt,   s = 0.5 c(|z|, 2 cm) + 0.2 c(|xy|, 10 cm)
                                              + 0.2 c(|v|, 0.3 m/s) + 0.1 c(|rate|, 1 rad/s)
    landed at t       100 / T * (T - t) * 1/2 (1 + g),
                      g = mean of c(terminal z error, 2 cm), c(xy at the end, 10 cm),
                                  1 - touchdown speed / (1 m/s)
    crashed, lost     nothing any more

with c(e, e0) = 1 / (1 + e / e0) and T the time limit. z, xy, v, rate are the true ones, off the set-point
(which is never taken lower than the floor). A second after a landing is worth more than any second in the
air, so nothing is won by hanging over the floor; figures of a landing are those of ``summarise``.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.compiled import compiled
from neural_lander.controller.rotation import Vector
from neural_lander.controller.touchdown import FLYING

Array = npt.NDArray[np.float64]

BEST = 100.0
"""What no flight is worth more than."""
HEIGHT, SIDEWAYS, SPEED, RATE = 0.02, 0.1, 0.3, 1.0
"""e0 above, in m, m, m/s, rad/s."""
HARD = 1.0
"""Touchdown speed that is worth nothing [m/s]."""
ROOM = 3.0
"""A vehicle farther than this from its set-point is lost [m]."""


@compiled
def off_setpoint(c: Any, p: Vector) -> tuple[float, float]:
    """Return how far a true position of the origin is off the set-point, in height and sideways [m]."""
    z = p[2] - max(c.setpoint_position[2], c.floor + c.deck_moved)
    return z, math.hypot(p[0] - c.setpoint_position[0], p[1] - c.setpoint_position[1])


@compiled
def score(c: Any, p: Vector, v: Vector, omega: Vector) -> float:
    """Return s above, in [0, 1], for the true state of the origin, world frame."""
    z, sideways = off_setpoint(c, p)
    s = c.setpoint_velocity
    down = s[2] if c.phase == FLYING else 0.0
    speed = math.sqrt((v[0] - s[0]) ** 2 + (v[1] - s[1]) ** 2 + (v[2] - down) ** 2)
    turning = math.sqrt(omega[0] ** 2 + omega[1] ** 2 + omega[2] ** 2)
    return float(
        0.5 / (1 + abs(z) / HEIGHT)
        + 0.2 / (1 + sideways / SIDEWAYS)
        + 0.2 / (1 + speed / SPEED)
        + 0.1 / (1 + turning / RATE)
    )


def worth_in_flight(value: Array, steps: npt.NDArray[np.int64], total: int) -> Array:
    """Return the rewards (n,) of ``steps`` of ``total`` flown with the scores ``value``."""
    return 0.5 * BEST * value * steps / total


def worth_landed(summary: dict[str, Any], steps: int, total: int) -> float:
    """Return the reward of a landing with ``steps`` of ``total`` left; nothing where it did not land."""
    if not summary["landed"]:
        return 0.0
    off = summary["terminal_z_error_m"], summary["xy_end_m"]
    parts = [0.0 if off[0] is None else 1 / (1 + abs(off[0]) / HEIGHT), 1 / (1 + off[1] / SIDEWAYS)]
    touch = summary["touchdown_speed_m_s"]
    parts.append(0.0 if touch is None else 1 - min(max(touch, 0.0) / HARD, 1.0))
    return float(0.5 * BEST * (1 + np.mean(parts)) * steps / total)
