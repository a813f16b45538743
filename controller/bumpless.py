"""A start off the plan is planned away, never stepped: the set-point begins where the vehicle is.

With e0, v0 what is measured at the first step, less what the plan says, the set-point is plan + m,

    m(s) = H0(s) e0 + T H1(s) v0      s = (t - t_0) / T,    0 from s = 1 on

H0 and H1 are the polynomials of degree 7 with H0(0) = 1, H1'(0) = 1 and every other value and derivative
up to the third 0 at both ends: neither place nor speed of the set-point jumps against the vehicle's, and
its acceleration and jerk begin and end at 0. T is ``JOINING``; longer for a start so far off that m would
ask for more than ``GENTLE`` by its place or by its speed. What is left of m after a shorter hover goes
along with the descent.

The certificate's reference is plan + m, too: ``StartFamily`` bounds it for every start that it is for.

Source: bumpless transfer (e.g. Astrom, Hagglund, "Advanced PID Control", 2006, 3.5), with Hermite
polynomials.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.compiled import compiled
from neural_lander.controller.errors import InputError
from neural_lander.controller.rotation import Vector
from neural_lander.controller.smooth_step import STEP, greatest_within

Array = npt.NDArray[np.float64]

JOINING = 2.0
"""Time in which the set-point joins the plan [s]. In half of it, it would ask for more of a vehicle than
the step it replaces."""

GENTLE = 2.6
"""Acceleration along an axis for which that time is enough [m/s^2]."""

BENT, TURNED = 7.5132, 5.0284
"""max |H0''|, and max |H1''| beside a speed: m'' is at most BENT |e0| / T^2 + TURNED |v0| / T."""

PLACE = 1.0 - STEP
"""H0."""
SPEED = np.polynomial.Polynomial([0.0, 1.0, 0.0, 0.0, -20.0, 45.0, -36.0, 10.0])
"""H1."""

ORDERS = 5
"""Derivatives of m that are bounded: place, speed, acceleration, jerk, and the next."""

RECORD_FIELDS = [
    ("joining", np.float64),
    # memory
    ("joined_from", np.float64),
    ("start_offset", np.float64, (3,)),
    ("start_speed", np.float64, (3,)),
]
"""What this adds to a record that holds a plan: T [s], t_0 [s], e0 [m], v0 [m/s]."""


@compiled
def begin_at(c: Any, t: float, p: Vector, v: Vector, planned: Vector, speed: Vector) -> None:
    """Let the set-point begin at p [m] with v [m/s] at time t, where the plan says ``planned, speed``."""
    c.joined_from, c.joining = t, JOINING
    for i in range(3):
        e, fast = p[i] - planned[i], v[i] - speed[i]
        c.start_offset[i], c.start_speed[i] = e, fast
        c.joining = max(c.joining, math.sqrt(BENT * abs(e) / GENTLE), TURNED * abs(fast) / GENTLE)


@compiled
def moved_at_start(c: Any, i: int, s: float) -> tuple[float, float, float, float]:
    """Return m and three derivatives along axis i, at s in (0, 1)."""
    T, e, v = c.joining, c.start_offset[i], c.start_speed[i]
    r = 1.0 - s
    s2, s3, r3 = s * s, s * s * s, r * r * r
    return (
        r3 * r * (1.0 + 4.0 * s + 10.0 * s2 + 20.0 * s3) * e
        + T * s * r3 * r * (1.0 + 4.0 * s + 10.0 * s2) * v,
        -140.0 * s3 * r3 * e / T + r3 * (1.0 + 3.0 * s + 6.0 * s2 - 70.0 * s3) * v,
        (-420.0 * s2 * r * r * (1.0 - 2.0 * s) * e / T
        - 60.0 * s2 * r * r * (4.0 - 7.0 * s) * v) / T,
        (-840.0 * s * r * (1.0 - 5.0 * s + 5.0 * s2) * e / T
        - 60.0 * s * r * (8.0 - 37.0 * s + 35.0 * s2) * v) / (T * T),
    )  # fmt: skip


@compiled
def height_to_go(c: Any, t: float, height: float) -> float:
    """Return the set-point's ``height`` [m] over the floor at t, or the plan's if that is higher.

    A vehicle that begins on the floor has not landed.
    """
    s = (t - c.joined_from) / c.joining
    if s >= 1.0:
        return height
    return max(height, height - moved_at_start(c, 2, max(s, 0.0))[0])


@dataclass(frozen=True)
class StartFamily:
    """Every reference plan + m with a start no farther off, and no faster, on any axis."""

    offset: float
    """Bound of |e0| as it is measured [m]."""
    speed: float
    """Bound of |v0| as it is measured [m/s]."""

    def __post_init__(self) -> None:
        """Check that all of them join their plan in the same time.

        Raises:
            InputError: they do not, or a bound is no number of at least 0.
        """
        far, fast = GENTLE * JOINING**2 / BENT, GENTLE * JOINING / TURNED
        if not (0 <= self.offset <= far and 0 <= self.speed <= fast):
            raise InputError(
                f"starts are within {self.offset:g} m and {self.speed:g} m/s of a plan, as measured; "
                f"expected 0 to {far:.2f} m and 0 to {fast:.2f} m/s: from farther off it takes longer to "
                "join it, and nothing is proved; lower start_spread or start_speed_spread"
            )

    def bounds(self, cell: float, count: int) -> Array:
        """Return bounds (count, 5) of |m| and four derivatives over cells of ``cell`` [s], for any axis.

        The cells begin with the flight.
        """
        T = JOINING
        starts = np.arange(count, dtype=np.float64) * cell
        found = np.zeros((count, ORDERS))
        inside = starts < T
        a, b = starts[inside] / T, np.minimum((starts[inside] + cell) / T, 1.0)
        for k in range(ORDERS):
            of_place = greatest_within(PLACE.deriv(k), a, b) / T**k
            of_speed = greatest_within(SPEED.deriv(k), a, b) / T ** (k - 1)
            found[inside, k] = of_place * self.offset + of_speed * self.speed
        return found

    def as_dict(self) -> dict[str, float]:
        """Return the JSON form."""
        return {"offset_m": self.offset, "speed_m_s": self.speed}

    @staticmethod
    def of(table: Any) -> "StartFamily":
        """Read the JSON form.

        Raises:
            InputError: it lacks a number.
        """
        try:
            return StartFamily(float(table["offset_m"]), float(table["speed_m_s"]))
        except (KeyError, TypeError, ValueError, InputError) as error:
            raise InputError(
                f"the starts of the certificate are {table!r}, expected offset_m and speed_m_s; run "
                "`neural-lander certify` again"
            ) from error
