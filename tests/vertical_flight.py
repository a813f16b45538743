"""Flights made by a formula, so that the residual force behind every sample is known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.vehicle import GRAVITY, Vehicle

Array = npt.NDArray[np.float64]
Force = Callable[[Array, Array, Array], Array]
"""Vertical residual force [N] of height [m], vertical speed [m/s] and collective thrust [N]."""


def cushion(height: Array, speed: Array, thrust: Array) -> Array:
    """A smooth stand-in for the ground effect of the Intel Aero: 13 % of weight when standing."""
    return 1.8 * np.exp(-height / 0.25) - 0.2 * speed + 0.05 * (thrust - 14.4)


def vertical_flight(
    vehicle: Vehicle,
    seed: int,
    seconds: float = 20.0,
    force: Force = cushion,
    noise: float = 0.0,
    offset: float = 0.0,
    lowest: float = 0.01,
    tilt: float = 0.0,
    rotor_speed: bool = True,
    rate: float = 100.0,
    jitter: float = 0.0,
    lag: float | None = None,
) -> FlightLog:
    """Fly straight up and down along a random smooth path, obeying m z'' = -m g + T cos(tilt) + f.

    ``noise`` scales the vehicle's noise bounds, ``offset`` [N] is added to the force, ``lowest``
    and 1.5 m bound the height, ``tilt`` [rad] is kept about x, and held sideways by the residual
    force along y; ``jitter`` [s] moves the sample times, ``lag`` [s] is the true lag.
    """
    rng = np.random.default_rng(seed)
    fine = np.arange(-0.5, seconds + 0.5, 0.002)
    z = _path(rng, fine, lowest, 1.5)
    thrust = np.full(len(fine), vehicle.weight)
    for _ in range(15):
        lift = vehicle.mass * (z[2] + GRAVITY) - force(z[0], z[1], thrust) - offset
        thrust = lift / np.cos(tilt)
    path, push = CubicSpline(fine, z, axis=1), CubicSpline(fine, thrust)

    n = int(seconds * rate)
    t = np.arange(n) / rate + rng.uniform(-jitter, jitter, n)
    height, speed, _ = path(t)
    late = t + vehicle.timing.latency + vehicle.timing.period / 2
    true_lag = vehicle.rotors.lag if lag is None else lag
    command = (push(late) + true_lag * push(late, 1)) / 4

    def off(bound: float, columns: int) -> Array:
        time = vehicle.noise.correlation_time
        return noise * bounded_noise(rng, n, columns, bound, time, rate)

    zero = np.zeros(n)
    speeds = np.sqrt(push(t) / 4 / vehicle.rotors.k_f)[:, None]
    lean = np.array([np.sin(tilt / 2), 0, 0, np.cos(tilt / 2)])
    half_turn = np.concatenate([off(vehicle.noise.attitude, 3) / 2, zero[:, None]], axis=1)
    attitude = lean + half_turn
    measured = height + off(vehicle.noise.position, 1)[:, 0]
    up = force(height, speed, push(t)) + offset
    columns: dict[str, Any] = {
        "time": t,
        "position": np.stack([zero, zero, measured + vehicle.rest_height], axis=1),
        "velocity": np.stack([zero, zero, speed], axis=1) + off(vehicle.noise.velocity, 3),
        "attitude": attitude / np.linalg.norm(attitude, axis=1, keepdims=True),
        "rate": np.zeros((n, 3)),
        "rotor_thrust_command": np.repeat(command[:, None], 4, axis=1),
        "height": measured,
        "contact": zero,
        "truth_height": height,
        "truth_velocity": np.stack([zero, zero, speed], axis=1),
        "truth_rotor_thrust": np.repeat(push(t)[:, None] / 4, 4, axis=1),
        "truth_force": np.stack([zero, push(t) * np.sin(tilt), up], axis=1),
    }
    if rotor_speed:
        columns["rotor_speed"] = speeds * (1 + off(vehicle.noise.rotor_speed, 4))
    return FlightLog(columns, {"vehicle": vehicle.name, "source": "formula"})


def _path(rng: np.random.Generator, t: Array, low: float, high: float) -> Array:
    """Return height, speed and acceleration (3, n): slow swings between the limits, and shaking."""
    w, phi = 2 * np.pi * rng.uniform(0.05, 0.25, 4), rng.uniform(0, 6, 4)
    a = rng.uniform(0.2, 0.4, 4)
    angle = 1.1 * t + phi[0] + np.sum(a * np.sin(t[:, None] * w + phi), axis=1)
    turn = 1.1 + np.sum(a * w * np.cos(t[:, None] * w + phi), axis=1)
    bend = -np.sum(a * w**2 * np.sin(t[:, None] * w + phi), axis=1)
    w, phi = 2 * np.pi * rng.uniform(0.8, 2.5, 3), rng.uniform(0, 6, 3)
    size = 0.6 / w**2  # millimetres, each worth 0.6 m/s^2
    span = (high - low) / 2 - size.sum()
    angles = t[:, None] * w + phi
    return np.stack(
        [
            low + size.sum() + span * (1 - np.cos(angle)) + np.sum(size * np.sin(angles), axis=1),
            span * np.sin(angle) * turn + np.sum(size * w * np.cos(angles), axis=1),
            span * (np.cos(angle) * turn**2 + np.sin(angle) * bend)
            - np.sum(size * w**2 * np.sin(angles), axis=1),
        ]
    )


def bounded_noise(
    rng: np.random.Generator, n: int, columns: int, bound: float, correlation: float, rate: float
) -> Array:
    """Half of the bound white and uniform, half correlated in time and clipped (n, columns)."""
    white = rng.uniform(-bound / 2, bound / 2, (n, columns))
    keep = np.exp(-1 / (rate * correlation))
    drive = rng.normal(0, bound / 12**0.5 * np.sqrt(1 - keep**2), (n, columns))
    slow = np.zeros((n, columns))
    for i in range(1, n):
        slow[i] = keep * slow[i - 1] + drive[i]
    return white + np.clip(slow, -bound / 2, bound / 2)
