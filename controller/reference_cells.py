"""One planned coordinate and its derivatives over every cell of a time grid, as intervals.

A proof may not trust samples of a plan: between two samples it may be higher, faster or rougher.
Inside a cell, a piece of polynomial is its Taylor series about the middle of the part it covers,

    |p^(k)(m + s) - p^(k)(m)| <= sum_{l >= 1} |p^(k+l)(m)| S^l / l!,   |s| <= S,

which is exact to rounding because it ends at the fifth derivative; for the exponential the
derivatives of (1 + x) e^-x, (-1)^n (x + 1 - n) e^-x, are summed as far and the rest bounded.

Where the acceleration jumps, the jump is listed: the wanted thrust jumps with it.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from neural_lander.controller.setpoint import DEGREE, Plan

Array = npt.NDArray[np.float64]

ORDERS = 4
"""Place [m], speed [m/s], acceleration [m/s^2], jerk [m/s^3]."""


@dataclass(frozen=True)
class ReferenceCells:
    """Where the set-point is during each cell [i c, (i + 1) c] of the time grid."""

    cell: float
    """Length c of a cell [s]."""
    low: Array
    """(cells, 4) least place (z: above standing) [m], speed [m/s], acceleration, jerk [m/s^3]."""
    high: Array
    """(cells, 4) greatest of each."""
    jumps: tuple[tuple[float, float], ...]
    """Times [s] and sizes [m/s^2] of steps of the acceleration, the first sample's included."""
    kinks: tuple[tuple[float, float], ...] = ()
    """Times [s] and sizes [m/s^3] of steps of the jerk."""
    snap: Array | None = None
    """(cells,) bound of |d jerk / dt| between them [m/s^4]; None: of the plan alone, not asked for."""

    @property
    def middle(self) -> Array:
        """(cells, 4) middles of the intervals."""
        return np.asarray((self.low + self.high) / 2)

    @property
    def radius(self) -> Array:
        """(cells, 4) half-widths of the intervals."""
        return np.asarray((self.high - self.low) / 2)

    def widened(self, by: Array) -> "ReferenceCells":
        """Return the cells of every reference that is this one and something more.

        ``by`` (cells, 4) or (cells, 5): bounds of it and its derivatives, the fourth for ``snap``.
        """
        more = by[:, :ORDERS]
        snap = self.snap
        if by.shape[1] > ORDERS:
            snap = by[:, ORDERS] + (0.0 if snap is None else snap)
        return replace(self, low=self.low - more, high=self.high + more, snap=snap)


def reference_cells(plan: Plan, cell: float, duration: float, axis: int = 2) -> ReferenceCells:
    """Return the intervals of ``plan`` on a grid of ``cell`` seconds that covers ``duration``.

    ``axis``: 0, 1, 2 for x, y, height.
    """
    n = max(1, math.ceil(duration / cell - 1e-9))
    low, high = np.full((n, ORDERS), np.inf), np.full((n, ORDERS), -np.inf)
    starts = np.arange(n) * cell
    ends = np.append(plan.times[1:], np.inf)
    for piece, (begin, end) in enumerate(zip(plan.times, ends, strict=True)):
        first = begin if piece else 0.0
        inside = np.flatnonzero((starts < end) & (starts + cell >= first))
        if not len(inside):
            continue
        a = np.maximum(starts[inside], first)
        b = np.minimum(starts[inside] + cell, end)
        middle, radius = (a + b) / 2 - begin, np.maximum(b - a, 0) / 2
        derivatives, rest = _derivatives(plan, piece, middle, axis)
        for order in range(ORDERS):
            spread = sum(
                np.abs(derivatives[:, order + k]) * radius**k / math.factorial(k)
                for k in range(1, DEGREE + 1 - order)
            )
            last = DEGREE + 1 - order
            spread = spread + rest * radius**last / math.factorial(last)
            spread = spread + 1e-12 * (1 + np.abs(derivatives[:, order]))
            low[inside, order] = np.minimum(low[inside, order], derivatives[:, order] - spread)
            high[inside, order] = np.maximum(high[inside, order], derivatives[:, order] + spread)
    return ReferenceCells(cell, low, high, _jumps(plan, axis, 2), _jumps(plan, axis, 3))


def _derivatives(plan: Plan, piece: int, s: Array, axis: int) -> tuple[Array, float]:
    """Return derivatives 0 to 5 (n, 6) of one coordinate at s in a piece, and a bound of the sixth."""
    c = plan.coefficients[piece, axis]
    result = np.zeros((len(s), DEGREE + 1))
    for order in range(DEGREE + 1):
        for k in range(order, DEGREE + 1):
            result[:, order] += math.perm(k, order) * c[k] * s ** (k - order)
    if plan.decay == 0 or piece == 0 or axis != 2:  # only the height decays
        return result, 0.0
    drop, r = plan.coefficients[0, 2, 0] - plan.coefficients[1, 2, 0], plan.decay
    x = r * np.maximum(s, 0)
    for order in range(DEGREE + 1):
        result[:, order] += drop * (-r) ** order * (x + 1 - order) * np.exp(-x)
    return result, float(abs(drop) * r ** (DEGREE + 1) * DEGREE)


def _jumps(plan: Plan, axis: int, order: int) -> tuple[tuple[float, float], ...]:
    """Return the steps of one derivative where pieces meet."""
    found = []
    for piece in range(1, len(plan.times)):
        at = float(plan.times[piece])
        before, _ = _derivatives(plan, piece - 1, np.array([at - plan.times[piece - 1]]), axis)
        after, _ = _derivatives(plan, piece, np.array([0.0]), axis)
        size = float(after[0, order] - before[0, order])
        if abs(size) > 1e-9:
            found.append((at, size))
    return tuple(found)
