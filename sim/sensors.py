"""What the state estimate is off by: drawn once a flight, inside bounds, half white, half correlated.

    noise = b/2 U_k + b/2 (knots of U every correlation time, joined by lines),   U uniform in [-1, 1]

so |noise| <= b at every step, which is what a certificate counts on.
"""

import numpy as np
import numpy.typing as npt

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
    knots = int(steps / spacing) + 3
    white = rng.uniform(-1, 1, (steps, CHANNELS))
    values = rng.uniform(-1, 1, (knots, CHANNELS))
    place = np.arange(steps)[:, None] / spacing + rng.uniform(0, 1, CHANNELS)
    left = place.astype(np.int64)
    share = place - left
    columns = np.arange(CHANNELS)
    slow = (1 - share) * values[left, columns] + share * values[left + 1, columns]
    return np.ascontiguousarray(0.5 * (white + slow) * noise_bounds(vehicle))
