"""Where the vehicle touches, from geometry alone: the lowest foot over the surface, tilt included.

    lowest foot = height + rest_height + min_i (R r_i)_z        r_i: foot i in the body frame

*Height* is that of the body's origin above standing level, so a level vehicle's lowest foot is at
its height, and a tilted one's is lower. One foot on the ground already carries the vehicle: a
label taken there calls the floor's push a residual force.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.compiled import compiled
from neural_lander.controller.rotation import Quaternion
from neural_lander.controller.vehicle import Vehicle

Array = npt.NDArray[np.float64]

FOOT_CLEARANCE = 0.002
"""A foot this close to the surface may already push: contact points appear early [m]."""


def lowest_foot(vehicle: Vehicle, height: Array, attitude: Array) -> Array:
    """Return the height of the lowest foot over the surface (...,) [m], negative if pressed in.

    ``height`` (...,) [m] is that of the vehicle above standing, ``attitude`` (..., 4) is xyzw.
    """
    attitude = attitude / np.linalg.norm(attitude, axis=-1, keepdims=True)
    x, y, z, w = np.moveaxis(attitude, -1, 0)
    up = np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], axis=-1)
    lowest = (up @ vehicle.legs.feet.T).min(axis=-1)  # up: third row of R
    return np.asarray(height + vehicle.rest_height + lowest)


def may_touch(vehicle: Vehicle, height: Array, attitude: Array) -> npt.NDArray[np.bool_]:
    """Return whether a leg may touch, given that the measured height is off by its noise bound."""
    limit = FOOT_CLEARANCE + vehicle.noise.position
    return np.asarray(lowest_foot(vehicle, height, attitude) < limit)


@compiled
def lowest_foot_compiled(feet: Any, origin: float, q: Quaternion) -> float:
    """Return the height of the lowest of ``feet`` (4, 3) [m] for a body's origin this high [m]."""
    x, y, z, w = q
    row = (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y))
    lowest = 1e9
    for i in range(len(feet)):
        lowest = min(lowest, row[0] * feet[i, 0] + row[1] * feet[i, 1] + row[2] * feet[i, 2])
    return origin + lowest
