"""The accelerometer: what the body feels of all forces but gravity, as a strap-down sensor gives it.

    s_k = R^T ((v_k - v_{k-1}) / h + g e3) + bias + noise          body frame [m/s^2]

the mean over the control period before step k, at the vehicle file's origin, the ground's push with it.
Noise has the law of all other sensors'; the bias is one draw a flight. Both come from a stream of their
own, so that no other number of a flight depends on there being an accelerometer.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.compiled import compiled
from neural_lander.controller.rotation import Quaternion, Vector, rotate_back
from neural_lander.controller.vehicle import GRAVITY, Vehicle
from neural_lander.sim.sensors import WHITE_SHARE, Sensors, add_lines

Array = npt.NDArray[np.float64]

RECORD_FIELDS = [
    ("accelerometer", np.int64),
    # memory
    ("origin_velocity", np.float64, (3,)),
    ("moving", np.int64),
]
"""What this adds to a world's record: whether there is one, and the velocity a step before."""


def stream(rng: np.random.Generator) -> np.random.Generator:
    """Return the generator of a flight's accelerometer, which takes nothing from ``rng``."""
    seed: Any = rng.bit_generator.seed_seq
    key = (*seed.spawn_key, *b"accelerometer")
    return np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=key))


def draw_feeling(vehicle: Vehicle, sensors: Sensors, steps: int, rng: np.random.Generator) -> Array:
    """Return what is added to the true specific force (steps, 3) [m/s^2]: bias and noise."""
    own = stream(rng)
    bias = own.uniform(-1, 1, 3) * sensors.accelerometer_bias
    spacing = vehicle.noise.correlation_time / vehicle.timing.period
    knots = own.uniform(-1, 1, (int(steps / spacing) + 3, 3))
    noise = own.uniform(-1, 1, (steps, 3))
    phase = own.uniform(0, 1, 3)
    bounds = np.full(3, sensors.accelerometer_noise)
    add_lines(noise, knots, phase, spacing, bounds, WHITE_SHARE[sensors.colour])
    return np.asarray(noise + bias)


@compiled
def feel(w: Any, q: Quaternion, v: Vector, off: Vector) -> Vector:
    """Return the specific force that is measured [m/s^2], body frame, and remember the velocity.

    ``v`` is that of the origin in the world frame, ``off`` bias and noise. Before the first step the
    vehicle has moved as it does.
    """
    b = w.origin_velocity
    if w.moving == 0:
        w.moving = 1
        b[0], b[1], b[2] = v[0], v[1], v[2]
    h = w.period
    s = rotate_back(q, ((v[0] - b[0]) / h, (v[1] - b[1]) / h, (v[2] - b[2]) / h + GRAVITY))
    b[0], b[1], b[2] = v[0], v[1], v[2]
    return (s[0] + off[0], s[1] + off[1], s[2] + off[2])
