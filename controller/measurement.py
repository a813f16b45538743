"""What a controller sees of its vehicle in one step."""

from neural_lander.controller.allocation import Thrusts
from neural_lander.controller.rotation import Quaternion, Vector

Measurement = tuple[Vector, Quaternion, Vector, Vector, Thrusts, float]
"""Position, attitude, velocity (world), rate (body), rotor thrusts from measured speed, height."""
