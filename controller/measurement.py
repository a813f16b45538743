"""What a controller sees of its vehicle in one step."""

import math

from neural_lander.controller.allocation import Thrusts
from neural_lander.controller.rotation import Quaternion, Vector

Measurement = tuple[Vector, Quaternion, Vector, Vector, Thrusts, float, Vector]
"""Position, attitude, velocity (world), rate (body), rotor thrusts from measured speed, height,
specific force (body; that of the accelerometer over the last control period)."""

NOT_FELT = (math.nan, math.nan, math.nan)
"""The specific force of a vehicle without accelerometer."""
