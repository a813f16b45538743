"""A step from 0 to 1 over a unit of time with three derivatives zero at both ends, and its bounds.

g(s) = s^4 (35 - 84 s + 70 s^2 - 20 s^3)        0 <= s <= 1
"""

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

STEP = np.polynomial.Polynomial([0.0, 0.0, 0.0, 0.0, 35.0, -84.0, 70.0, -20.0])
"""g."""


def greatest_within(p: np.polynomial.Polynomial, a: Array, b: Array) -> Array:
    """Return bounds (n,) of |p| between a and b (n,), by the Taylor series about the middle."""
    middle, radius = (a + b) / 2, (b - a) / 2
    size = np.abs(p(middle))
    for i in range(1, p.degree() + 1):
        size = size + np.abs(p.deriv(i)(middle)) * radius**i / math.factorial(i)
    return np.asarray(size) * (1 + 1e-12)
