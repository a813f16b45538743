"""What the state estimate is off by: drawn once a flight, inside bounds, half white, half correlated.

    noise = b/2 U_k + b/2 (knots of U every correlation time, joined by lines),   U uniform in [-1, 1]

so |noise| <= b at every step, which is what a certificate counts on.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.compiled import compiled
from neural_lander.controller.vehicle import Vehicle

Array = npt.NDArray[np.float64]

POSITION, VELOCITY, ATTITUDE, RATE, ROTOR_SPEED, CHANNELS = 0, 3, 6, 9, 12, 16
"""First column of each group in a row of noise."""


def noise_bounds(vehicle: Vehicle) -> Array:
    """Return the bound of each channel (16,) in m, m/s, rad, rad/s, share of rotor speed."""
    n = vehicle.noise
    return np.repeat([n.position, n.velocity, n.attitude, n.rate, n.rotor_speed], [3, 3, 3, 3, 4])


def draw_noise(vehicle: Vehicle, steps: int, rng: np.random.Generator) -> Array:
    """Return noise (steps, 16), every entry within ``noise_bounds``."""
    spacing = vehicle.noise.correlation_time / vehicle.timing.period
    knots = rng.uniform(-1, 1, (int(steps / spacing) + 3, CHANNELS))
    noise = rng.uniform(-1, 1, (steps, CHANNELS))
    add_lines(noise, knots, rng.uniform(0, 1, CHANNELS), spacing, noise_bounds(vehicle))
    return noise


@compiled
def add_lines(noise: Any, knots: Any, phase: Any, spacing: float, bounds: Any) -> None:
    """Turn white numbers in [-1, 1] into half white, half lines through knots, times the bounds."""
    for k in range(noise.shape[0]):
        for i in range(noise.shape[1]):
            place = k / spacing + phase[i]
            left = int(place)
            share = place - left
            line = (1 - share) * knots[left, i] + share * knots[left + 1, i]
            noise[k, i] = 0.5 * (noise[k, i] + line) * bounds[i]
