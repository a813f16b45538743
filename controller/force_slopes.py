"""Slopes of the learned force in R^3 over a box, and what they do to the command.

F + phi(|F|) = wanted has (I + a_T u') dF = d wanted with a unit vector u along F, so that

    dF = (I - beta) d wanted,    beta = a_T u' / (1 + u' a_T),

bounded here for every a_T in its intervals and every u in a cone about the vertical.

Source: Sherman, Morrison, "Adjustment of an inverse matrix", Ann. Math. Stat. 21, 1950.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neural_lander.controller.loop_model import Interval

Array = npt.NDArray[np.float64]

Z = 2
"""The vertical axis."""


@dataclass(frozen=True)
class ForceSlopes:
    """Intervals of the slopes of the learned force.

    Rows are the world's x, y, z; columns height [N/m], vertical speed [N/(m/s)], thrust [N/N].
    """

    lower: Array
    """(3, 3)"""
    upper: Array
    """(3, 3)"""

    @property
    def magnitude(self) -> Array:
        """(3, 3) Greatest absolute values."""
        return np.asarray(np.maximum(np.abs(self.lower), np.abs(self.upper)))

    def scaled(self, factor: float) -> "ForceSlopes":
        """Return the slopes of ``factor`` times the force."""
        a, b = factor * self.lower, factor * self.upper
        return ForceSlopes(np.minimum(a, b), np.maximum(a, b))

    def at(self, column: int) -> Interval:
        """Return the interval of the vertical force's slope in one column."""
        return float(self.lower[Z, column]), float(self.upper[Z, column])


@dataclass(frozen=True)
class Cancelled:
    """How a wanted force turns into a commanded one, over one box: bounds of beta and I - beta."""

    least: float
    """1 + min u' a_T: above 0 there is one command for a wanted force."""
    product: Interval
    """a_Tz u_z."""
    beta: Interval
    """beta_zz."""
    beta_magnitude: Array
    """(3, 3) |beta|."""
    rest: Array
    """(3, 3) |I - beta|."""


def cancelled(slopes: ForceSlopes, tilt: float) -> Cancelled:
    """Return what slopes in a box and a tilt cone of half angle ``tilt`` [rad] do to commands."""
    c, s = math.cos(tilt), math.sin(tilt)
    size = slopes.magnitude[:, 2]
    low, high = slopes.at(2)
    product = product_of((low, high), (c, 1.0))
    sideways = s * math.hypot(size[0], size[1])
    least = 1 + product[0] - sideways
    rest, beta_size = np.full((3, 3), np.inf), np.full((3, 3), np.inf)
    beta = (-math.inf, math.inf)
    if least > 0 and sideways < 1:
        unit = np.array([s, s, 1.0])
        beta_size = np.outer(size, unit) / least
        rest = np.eye(3) + beta_size
        # x / (1 + x + y) is monotone in x and in y where 1 + y > 0 and 1 + x + y > 0
        ends = [(x, y) for x in product for y in (-sideways, sideways)]
        found = [x / (1 + x + y) for x, y in ends]
        beta = min(found), max(found)
        beta_size[Z, Z] = max(abs(beta[0]), abs(beta[1]))
        rest[Z, Z] = max((1 + y) / (1 + x + y) for x, y in ends)
    else:
        least = min(least, 1 - sideways)
    return Cancelled(least, product, beta, beta_size, rest)


def product_of(a: Interval, b: Interval) -> Interval:
    """Return the interval of all products."""
    corners = [x * y for x in a for y in b]
    return min(corners), max(corners)
