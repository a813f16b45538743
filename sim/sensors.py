"""What the state estimate is off by: noise inside bounds, and the table [sensors] of a scenario.

    noise = c b U_k + (1 - c) b (knots of U every correlation time, joined by lines)

with U uniform in [-1, 1], drawn once a flight, so |noise| <= b at every step, which is what a
certificate counts on; c = 1/2 unless a scenario says otherwise. Beyond that a scenario can make
position and velocity late, let position drift (a random walk reflected at a bound), and let both
stand still for a while. Attitude and rate come from the gyroscopes on board and do none of this. The
accelerometer is in ``sim/accelerometer.py``, a range finder that may look down in
``sim/range_finder.py``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.compiled import compiled
from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import MAX_LATENCY_STEPS, Vehicle
from neural_lander.sim.table import check, one_of, within, yes_or_no

Array = npt.NDArray[np.float64]

POSITION, VELOCITY, ATTITUDE, RATE, ROTOR_SPEED, CHANNELS = 0, 3, 6, 9, 12, 16
"""First column of each group in a row of noise."""

WHITE_SHARE = {"mixed": 0.5, "white": 1.0, "correlated": 0.0}
"""c above, for each colour of noise."""


@dataclass(frozen=True)
class Sensors:
    """How the vehicle's estimate is worse than its noise alone; not at all by default."""

    position_latency: float = within(0.0, 0.0, 1.0, "s")
    """Age of estimated position and velocity [s], at most 64 control periods."""
    position_bias_walk: float = within(0.0, 0.0, 0.1, "m/sqrt(s)")
    """Growth of the error of position along each axis [m/sqrt(s)], beside the noise."""
    position_bias_bound: float = within(0.05, 0.001, 1.0, "m")
    """That error is reflected here [m]."""
    drop_out_share: float = within(0.0, 0.0, 0.9, "of the time")
    """Share of time in which estimated position and velocity stand still."""
    drop_out_length: float = within(0.1, 0.02, 5.0, "s")
    """How long they do so each time [s]."""
    rotor_speed: bool = yes_or_no(True)
    """Whether rotor speeds are measured; if not, the command behind the file's latency and lag is
    taken for them."""
    range_finder: bool = yes_or_no(False)
    """Whether one looks along body -z (``sim/range_finder.py``); its range is logged."""
    range_noise: float = within(0.005, 0.0, 0.5, "m")
    """Bound of its noise [m]; 5 mm: assumed, as sellers say of the VL53L1X."""
    range_limit: float = within(4.0, 0.1, 100.0, "m")
    """It says nothing beyond [m]; 4 m: VL53L1X in the dark."""
    range_cone: float = within(0.0, 0.0, 0.5, "rad")
    """Half the angle of its view, of which it reports the nearest [rad]; 0: a single ray."""
    height: str = one_of("map", "map", "range")
    """Where the controller's height comes from: position over the map, or the range finder alone."""
    accelerometer: bool = yes_or_no(True)
    """Whether there is one."""
    accelerometer_noise: float = within(0.3, 0.0, 20.0, "m/s^2")
    """Bound of its noise per axis [m/s^2]; assumed: a damped one on a frame that rotors shake."""
    accelerometer_bias: float = within(0.0, 0.0, 5.0, "m/s^2")
    """Bound of its bias per axis [m/s^2], drawn once a flight."""
    colour: str = one_of("mixed", *WHITE_SHARE)
    """Of all noise: ``mixed`` is half white, half correlated."""

    def __post_init__(self) -> None:
        check(self)

    @property
    def has_range_finder(self) -> bool:
        """Whether there is a range finder: asked for, or needed for the height."""
        return self.range_finder or self.height == "range"

    def late_steps(self, vehicle: Vehicle) -> int:
        """Return the age of position and velocity in control periods, rounded.

        Raises:
            InputError: older than the simulator remembers.
        """
        period = vehicle.timing.period
        if self.position_latency > MAX_LATENCY_STEPS * period + 1e-12:
            raise InputError(
                f"sensors.position_latency is {self.position_latency} s, expected 0 to "
                f"{MAX_LATENCY_STEPS * period:g} s: {MAX_LATENCY_STEPS} control periods of "
                f"{vehicle.name}"
            )
        return round(self.position_latency / period)


def noise_bounds(vehicle: Vehicle) -> Array:
    """Return the bound of each channel (16,) in m, m/s, rad, rad/s, share of rotor speed."""
    n = vehicle.noise
    return np.repeat([n.position, n.velocity, n.attitude, n.rate, n.rotor_speed], [3, 3, 3, 3, 4])


def draw_noise(
    vehicle: Vehicle, steps: int, rng: np.random.Generator, colour: str = "mixed"
) -> Array:
    """Return noise (steps, 16), every entry within ``noise_bounds``."""
    spacing = vehicle.noise.correlation_time / vehicle.timing.period
    knots = rng.uniform(-1, 1, (int(steps / spacing) + 3, CHANNELS))
    noise = rng.uniform(-1, 1, (steps, CHANNELS))
    phase = rng.uniform(0, 1, CHANNELS)
    add_lines(noise, knots, phase, spacing, noise_bounds(vehicle), WHITE_SHARE[colour])
    return noise


def draw_range_noise(
    sensors: Sensors, vehicle: Vehicle, steps: int, rng: np.random.Generator
) -> Array:
    """Return noise of the range finder (steps,) within its bound, coloured as all noise is [m]."""
    return _draw_one(sensors.range_noise, sensors, vehicle, steps, rng)


def draw_marker_noise(
    sensors: Sensors, vehicle: Vehicle, steps: int, rng: np.random.Generator
) -> Array:
    """Return noise of the height over a deck by a marker on it (steps,), bounded as position's [m]."""
    return _draw_one(vehicle.noise.position, sensors, vehicle, steps, rng)


def _draw_one(
    bound: float, sensors: Sensors, vehicle: Vehicle, steps: int, rng: np.random.Generator
) -> Array:
    spacing = vehicle.noise.correlation_time / vehicle.timing.period
    knots = rng.uniform(-1, 1, (int(steps / spacing) + 3, 1))
    noise = rng.uniform(-1, 1, (steps, 1))
    white = WHITE_SHARE[sensors.colour]
    add_lines(noise, knots, rng.uniform(0, 1, 1), spacing, np.array([bound]), white)
    return np.asarray(noise[:, 0])


@compiled
def add_lines(
    noise: Any, knots: Any, phase: Any, spacing: float, bounds: Any, white: float
) -> None:
    """Turn white numbers in [-1, 1] into a share of them and a share of lines, times the bounds."""
    for k in range(noise.shape[0]):
        for i in range(noise.shape[1]):
            place = k / spacing + phase[i]
            left = int(place)
            share = place - left
            line = (1 - share) * knots[left, i] + share * knots[left + 1, i]
            noise[k, i] = (white * noise[k, i] + (1 - white) * line) * bounds[i]


def draw_bias(sensors: Sensors, steps: int, period: float, rng: np.random.Generator) -> Array:
    """Return the error of position (steps, 3) [m]: a random walk from 0, reflected at the bound.

    A walk that is folded like a strip of paper is one that is reflected at the folds.
    """
    kicks = sensors.position_bias_walk * np.sqrt(period) * rng.standard_normal((steps, 3))
    kicks[0] = 0.0
    bound = sensors.position_bias_bound
    return np.asarray(bound - np.abs((kicks.cumsum(axis=0) + bound) % (4 * bound) - 2 * bound))


def draw_drop_outs(sensors: Sensors, steps: int, period: float, rng: np.random.Generator) -> Array:
    """Return 1 where position and velocity stand still (steps,), else 0; never at the first step.

    Each drop-out lasts its length; the time between two is geometric, with the mean that makes
    the share of time come out.
    """
    lost = np.zeros(steps)
    share, length = sensors.drop_out_share, max(1, round(sensors.drop_out_length / period))
    if share == 0.0:
        return lost
    mean = length * (1 - share) / share
    k = 0
    while k < steps:
        k += int(rng.geometric(1 / max(mean, 1.0)))
        lost[k : k + length] = 1.0
        k += length
    return lost
