"""What an agent sees: only what the vehicle measures, relative to set-point and ground.

Axes are those of the heading to keep (x forward, y left, z up), so that the way north does not matter.
Each entry is divided by its scale and clipped to +- ``CLIP``.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.compiled import compiled
from neural_lander.controller.measurement import Measurement
from neural_lander.controller.touchdown import FLYING

CLIP = 10.0
POSITION, VELOCITY, ATTITUDE, RATE, THRUST, ACCELERATION = 0.1, 0.5, 0.2, 1.0, 0.5, 1.0
"""Scales, in m, m/s, rad, rad/s, shares of hover thrust, m/s^2."""

TABLE = (
    ("position - set-point", 3, "0.1 m"),
    ("velocity - set-point's", 3, "0.5 m/s"),
    ("attitude against level at the heading to keep, as a rotation vector", 3, "0.2 rad"),
    ("body rate", 3, "1 rad/s"),
    ("measured rotor thrusts, more than hover", 4, "0.5 of hover"),
    ("set-point's velocity", 3, "0.5 m/s"),
    ("set-point's acceleration", 3, "1 m/s^2"),
    ("height above standing on the surface below", 1, "1 m"),
    ("exp(-height / rotor radius): how near the ground is", 1, "1"),
    ("1 where the law pushes down onto the floor, else 0", 1, "1"),
    ("last action, the residual's fourth number 0", 4, "1"),
)
"""Entries in their order: what, how many, and their scale."""
SIZE = sum(entries for _, entries, _ in TABLE)


@compiled
def _turned(cos: float, sin: float, x: float, y: float) -> tuple[float, float]:
    """Return a world vector's x, y in the axes of the heading."""
    return cos * x + sin * y, cos * y - sin * x


@compiled
def write_observation(c: Any, measured: Measurement, action: Any, out: Any) -> None:
    """Write the entries of ``TABLE`` into ``out`` (SIZE,).

    ``c`` is the law's record after it advanced to this measurement; ``action`` (4,) the last one.
    """
    p, q, v, rate, f, height = (
        measured[0], measured[1], measured[2], measured[3], measured[4], measured[5],
    )  # fmt: skip
    cos, sin = math.cos(c.yaw), math.sin(c.yaw)
    sp, sv, sa = c.setpoint_position, c.setpoint_velocity, c.setpoint_acceleration
    x, y = _turned(cos, sin, p[0] - sp[0], p[1] - sp[1])
    out[0], out[1], out[2] = x / POSITION, y / POSITION, (p[2] - sp[2]) / POSITION
    x, y = _turned(cos, sin, v[0] - sv[0], v[1] - sv[1])
    out[3], out[4], out[5] = x / VELOCITY, y / VELOCITY, (v[2] - sv[2]) / VELOCITY
    # conj(heading) * q, twice its vector part: the rotation vector where it is small
    z, w = math.sin(-0.5 * c.yaw), math.cos(0.5 * c.yaw)
    scale = 2.0 / ATTITUDE if w * q[3] - z * q[2] >= 0.0 else -2.0 / ATTITUDE
    out[6], out[7] = scale * (w * q[0] - z * q[1]), scale * (w * q[1] + z * q[0])
    out[8] = scale * (w * q[2] + z * q[3])
    for i in range(3):
        out[9 + i] = rate[i] / RATE
    hover = 0.25 * c.weight
    for i in range(4):
        out[12 + i] = (f[i] / hover - 1.0) / THRUST
    x, y = _turned(cos, sin, sv[0], sv[1])
    out[16], out[17], out[18] = x / VELOCITY, y / VELOCITY, sv[2] / VELOCITY
    x, y = _turned(cos, sin, sa[0], sa[1])
    out[19], out[20], out[21] = x / ACCELERATION, y / ACCELERATION, sa[2] / ACCELERATION
    out[22] = height
    out[23] = math.exp(-max(height, 0.0) / c.radius)
    out[24] = 0.0 if c.phase == FLYING else 1.0
    for i in range(4):
        out[25 + i] = action[i]
    for i in range(29):
        out[i] = min(max(out[i], -CLIP), CLIP)


def blank_observation() -> npt.NDArray[np.float32]:
    """Return zeros (SIZE,)."""
    return np.zeros(SIZE, np.float32)
