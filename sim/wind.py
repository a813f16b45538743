"""How the air moves, and how roughly it pushes near the ground: the table [wind] of a scenario.

    wind = steady + gust (1 - cos(2 pi (t - start) / length)) / 2 + turbulence

The gust is the one that airworthiness codes draw (e.g. CS-25.341). Turbulence is Dryden's, with the
forms and the lengths of MIL-F-8785C below 1000 ft (3.7.3.4): white noise through

    H_u = s_u sqrt(2 L_u / V) / (1 + L_u s / V),   L_u = L_v = h / (0.177 + 0.000823 h)^1.2
    H_v = s_v sqrt(L_v / V) (1 + sqrt(3) L_v s / V) / (1 + L_v s / V)^2,    L_w = h     [ft]

(unit intensity; H_w as H_v), with s_w = s_u (0.177 + 0.000823 h)^0.4. The standard begins at 10 ft,
so h is never taken lower. Near the ground, air that recirculates pushes at random, which is assumed
to be a force of three independent Ornstein-Uhlenbeck processes x of RMS 1:

    F = share weight exp(-height / length) x
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from neural_lander.controller.compiled import compiled
from neural_lander.controller.rotation import Vector
from neural_lander.controller.vehicle import GRAVITY
from neural_lander.sim.table import check, within

Array = npt.NDArray[np.float64]

FOOT = 0.3048
"""[m]"""
LOWEST = 10.0
"""Height that Dryden turbulence is taken at when the flight is lower [ft]."""


@dataclass(frozen=True)
class Wind:
    """What the air does; still by default. World frame."""

    steady: tuple[float, ...] = within((0.0,) * 3, -15.0, 15.0, "m/s", 3)
    """Speed of the air all the time [m/s]."""
    gust: tuple[float, ...] = within((0.0,) * 3, -15.0, 15.0, "m/s", 3)
    """Greatest speed that the gust adds [m/s]."""
    gust_start: float = within(3.0, 0.0, 600.0, "s")
    """When it begins [s]."""
    gust_length: float = within(1.5, 0.1, 60.0, "s")
    """How long it lasts [s]."""
    turbulence: float = within(0.0, 0.0, 5.0, "m/s")
    """RMS of the turbulent speed along each horizontal axis [m/s]."""
    airspeed: float = within(5.0, 0.5, 30.0, "m/s")
    """Mean speed at which turbulence is carried past the vehicle [m/s]."""
    near_ground: float = within(0.0, 0.0, 0.5, "of the weight")
    """RMS of the random force along each axis at the surface, as a share of weight."""
    near_ground_length: float = within(0.15, 0.01, 2.0, "m")
    """Height over which that falls to 1 / e [m]; assumed."""
    near_ground_time: float = within(0.1, 0.01, 2.0, "s")
    """Correlation time of that force [s]; assumed."""

    def __post_init__(self) -> None:
        check(self)


def dryden_lengths(height: float) -> tuple[float, float]:
    """Return L_u = L_v and L_w [m] at a height [m]."""
    h = max(height / FOOT, LOWEST)
    return h / (0.177 + 0.000823 * h) ** 1.2 * FOOT, h * FOOT


def dryden_ratio(height: float) -> float:
    """Return s_w / s_u, the vertical turbulence over the horizontal, at a height [m]."""
    h = max(height / FOOT, LOWEST)
    return float((0.177 + 0.000823 * h) ** 0.4)


def draw_air(
    wind: Wind, height: float, steps: int, period: float, rng: np.random.Generator
) -> Array:
    """Return rows (steps, 6): turbulent speed [m/s] along world x, y, z, and the random x, RMS 1.

    The first axis of turbulence lies along the steady wind, or along x without one. ``height`` [m]
    is that of the whole flight. Exact at the period: the rows have the covariance of the processes.
    """
    long, short = dryden_lengths(height)
    v, s = wind.airspeed, wind.turbulence
    u = s * first_order(rng.standard_normal(steps), period * v / long)
    side = s * second_order(rng.standard_normal((steps, 2)), period * v / long)
    up = (
        s * dryden_ratio(height) * second_order(rng.standard_normal((steps, 2)), period * v / short)
    )
    x, y, _ = wind.steady
    along = math.hypot(x, y)
    c, d = (x / along, y / along) if along > 0 else (1.0, 0.0)
    white = rng.standard_normal((3, steps))
    force = [first_order(w, period / wind.near_ground_time) for w in white]
    return np.stack([c * u - d * side, d * u + c * side, up, *force], axis=1)


def first_order(white: Array, step: float) -> Array:
    """Return a stationary process of RMS 1 with correlation exp(-x), sampled every ``step``."""
    a = math.exp(-step)
    kicks = math.sqrt(1 - a * a) * white
    kicks[0] = white[0]
    return np.asarray(lfilter([1.0], [1.0, -a], kicks))


def second_order(white: Array, step: float) -> Array:
    """Return a stationary process of RMS 1 with correlation (1 - x / 2) exp(-x), sampled every ``step``.

    Its state is white noise once and twice through 1 / (1 + s), with covariance P = F P F' + Q over
    a step; the output sqrt(3) x_1 + (1 - sqrt(3)) x_2 has the numerator 1 + sqrt(3) s.
    """
    a = math.exp(-step)
    f = a * np.array([[1.0, 0.0], [step, 1.0]])
    p = np.array([[0.5, 0.25], [0.25, 0.25]])
    kicks = white @ np.linalg.cholesky(p - f @ p @ f.T).T
    kicks[0] = np.linalg.cholesky(p) @ white[0]
    x1 = lfilter([1.0], [1.0, -a], kicks[:, 0])
    fed = kicks[:, 1].copy()
    fed[1:] += step * a * x1[:-1]
    x2 = lfilter([1.0], [1.0, -a], fed)
    return np.asarray(math.sqrt(3) * x1 + (1 - math.sqrt(3)) * x2)


@compiled
def blow(w: Any, t: float, row: Any, first: int) -> None:
    """Set the wind of this moment; a row of ``draw_air`` begins at column ``first`` of ``row``."""
    share = (t - w.gust_start) / max(w.gust_length, 1e-9)
    size = 0.5 * (1 - math.cos(2 * math.pi * share)) if 0.0 < share < 1.0 else 0.0
    for i in range(3):
        w.wind[i] = w.steady[i] + size * w.gust[i]
        if w.rough == 1:
            w.wind[i] += row[first + i]


@compiled
def near_ground_force(w: Any, height: float, row: Any, first: int) -> Vector:
    """Return the random force of air near the ground [N] at a height over standing [m], world frame."""
    if w.near_ground == 0.0:
        return (0.0, 0.0, 0.0)
    size = w.near_ground * w.mass * GRAVITY * math.exp(-max(height, 0.0) / w.near_ground_length)
    return (size * row[first + 3], size * row[first + 4], size * row[first + 5])
