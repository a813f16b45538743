"""A family of references over a deck: one plan, and every motion of a deck inside bounds.

The law's set-point is plan + g d^, with d^ the deck's motion as it is believed and g the blend of
``deck``. The *reference* is plan + g d with the real motion d of the deck at the place of the plan. Of d
only bounds are known,

    |d^(k)(t)| <= D_k = swing (2 pi frequency)^k,      k = 0 ... 4

so that a pure sine no larger and no faster, of whatever phase, gives a reference of the family. For the
tube's recursion alone a sum of sines inside the same bounds does, too; a law that takes the deck for one
sine knows less of it than the errors below allow. By Leibniz, with intervals of g's derivatives over
every cell,

    |(g d)^(k)| <= sum_i (k over i) |g^(k-i)| D_i,     and the same of (g - 1) d over the surface.

The deck pitches, too: under a vehicle that is off its place by x~ the surface is s x~ higher, |s| <=
``slope``, and rises faster by s' x~ + s x~'. ``SWAY`` is how far and how fast x~ is taken to be; the
proof has to show that it is no more.

What the set-point is off by (g d^ against g d) is no reference any more: it acts on the command, like
noise, and is measured in calibration flights (``DeckErrors``). That is known of their deck alone: of a
smaller or slower one the filters may know less, so the gate takes a certificate over no other.
"""

import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.deck import BLEND
from neural_lander.controller.errors import InputError
from neural_lander.controller.reference_cells import ReferenceCells
from neural_lander.controller.setpoint import Plan
from neural_lander.controller.smooth_step import STEP, greatest_within

Array = npt.NDArray[np.float64]

ORDERS = 5
"""Derivatives of the deck's motion that are bounded: height, speed, acceleration, jerk, and the next."""

EARLY = 0.05
"""So long before the blend a deck is to be known as well as during it; no cell is longer [s]."""

SWAY = (0.2, 0.6)
"""Sideways error [m] and its rate [m/s] for which a deck's pitch is counted."""

SAME = 1e-6
"""Decks whose swing, frequency and tilt differ by no more than this share are one."""


@dataclass(frozen=True)
class DeckFamily:
    """Decks that swing no farther, no faster, and tilt no more than this."""

    swing: float
    """Greatest rise of the surface at the place of the plan, heave and pitch together [m]."""
    frequency: float
    """Greatest frequency [Hz]."""
    slope: float = 0.0
    """Greatest tangent of its tilt along x."""

    def bounds(self) -> Array:
        """Return D_0 ... D_4 (5,), in m and s."""
        return self.swing * (2 * math.pi * self.frequency) ** np.arange(ORDERS, dtype=np.float64)

    @property
    def moves(self) -> bool:
        """Whether anything in it moves."""
        return self.swing > 0 or self.slope > 0

    def sway(self) -> tuple[float, float]:
        """Return how much higher [m] the surface may be for a vehicle off its place, and how much
        faster it rises there [m/s]."""
        turning = 2 * math.pi * self.frequency * self.slope
        return self.slope * SWAY[0], turning * SWAY[0] + self.slope * SWAY[1]

    def differs(self, other: "DeckFamily") -> Iterator[str]:
        """Yield in what a deck, ``other``, is not this one, number by number."""
        for name, ours, theirs, unit in (
            (
                "its swing under the vehicle (heave and pitch together)",
                self.swing,
                other.swing,
                "m",
            ),
            ("its frequency", self.frequency, other.frequency, "Hz"),
            ("its tilt", _degrees(self.slope), _degrees(other.slope), "degrees"),
        ):
            if not math.isclose(theirs, ours, rel_tol=SAME):
                by = f"{abs(theirs - ours):.3g} {unit} {'more' if theirs > ours else 'less'}"
                yield f"{name} is {theirs:.3g} {unit}, certified is {ours:.3g} {unit}: {by}"

    def as_dict(self) -> dict[str, float]:
        """Return the JSON form."""
        return {"swing_m": self.swing, "frequency_hz": self.frequency, "slope": self.slope}

    @staticmethod
    def of(table: Any) -> "DeckFamily":
        """Read the JSON form.

        Raises:
            InputError: it lacks a number.
        """
        try:
            return DeckFamily(
                float(table["swing_m"]), float(table["frequency_hz"]), float(table["slope"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the deck of the certificate or flight is {table!r}, expected swing_m, frequency_hz "
                "and slope; fly or certify it again"
            ) from error


def _degrees(slope: float) -> float:
    return math.degrees(math.atan(slope))


@dataclass(frozen=True)
class DeckErrors:
    """Bounds of how far off the deck's motion is believed to be; until contact."""

    heard: float = 0.0
    """Of the height of the surface under the vehicle, before the blend [m]."""
    surface: float = 0.0
    """The same, from then on [m]."""
    place: float = 0.0
    """Of the set-point, |g d^ - g d|, from the blend on [m]."""
    speed: float = 0.0
    """And of its derivatives, as they are asked about now [m/s],"""
    acceleration: float = 0.0
    """a latency ahead [m/s^2],"""
    jerk: float = 0.0
    """and so, too [m/s^3]."""
    force: float = 0.0
    """Of the command for it all, k_p, k_v, m and m lead times these four, signs included [N]."""

    NAMES = (
        "heard_m", "surface_m", "place_m", "speed_m_s", "acceleration_m_s2", "jerk_m_s3", "force_n"
    )  # fmt: skip
    """In JSON, in order."""

    def values(self) -> Array:
        """(7,) In order."""
        return np.array(astuple(self), dtype=np.float64)

    def as_dict(self) -> dict[str, float]:
        """Return the JSON form."""
        return dict(zip(self.NAMES, astuple(self), strict=True))


@dataclass(frozen=True)
class DeckCells:
    """Bounds over each cell of what a family adds to the plan; for all time after, the last ones."""

    over: Array
    """(cells, 2) of (g - 1) d and its rate, and what pitch adds: height [m] and speed [m/s] of the
    reference over the surface, against those of the plan."""
    moves: Array
    """(cells, 5) of g d and four derivatives, in the world."""

    def around(self, cells: ReferenceCells) -> ReferenceCells:
        """Return where reference and surface are: place over the surface, the rest in the world."""
        return cells.widened(np.column_stack([self.over[:, :1], self.moves[:, 1:4]]))

    def felt(self, cells: ReferenceCells) -> ReferenceCells:
        """Return what slopes of the learned force act on: place and speed over the surface,
        acceleration in the world; the jerk is the plan's."""
        still = np.zeros(len(self.moves))
        return cells.widened(np.column_stack([self.over, self.moves[:, 2], still]))


def deck_cells(family: DeckFamily, plan: Plan, cell: float, count: int) -> DeckCells:
    """Return the bounds of a family over ``count`` cells of ``cell`` seconds."""
    D = family.bounds()
    starts = np.arange(count, dtype=np.float64) * cell
    taken = taking_up_within(plan.descent_start, starts, starts + cell, 0.0)
    missing = taking_up_within(plan.descent_start, starts, starts + cell, 1.0)
    moves = np.stack([_leibniz(taken, D, k) for k in range(ORDERS)], axis=1)
    rise, rate = family.sway()
    over = np.stack([_leibniz(missing, D, 0) + rise, _leibniz(missing, D, 1) + rate], axis=1)
    return DeckCells(over, moves)


def _leibniz(g: Array, D: Array, k: int) -> Array:
    """Return sum_i (k over i) |g^(k - i)| D_i for bounds g (n, 5) of |g|, |g'| ..."""
    return np.asarray(sum(math.comb(k, i) * g[:, k - i] * D[i] for i in range(k + 1)))


def taking_up(descent_start: float, times: Array) -> Array:
    """Return g and its first four derivatives (n, 5) at times (n,) [s]."""
    s = (np.asarray(times) - descent_start) / BLEND + 1
    found = np.zeros((len(s), ORDERS))
    inside = (s > 0) & (s < 1)
    found[s >= 1, 0] = 1.0
    for k in range(ORDERS):
        found[inside, k] = STEP.deriv(k)(s[inside]) / BLEND**k
    return found


def taking_up_within(descent_start: float, a: Array, b: Array, less: float) -> Array:
    """Return bounds (n, 5) of |g - less|, |g'|, ... over the times from a to b (n,) [s]."""
    found = np.zeros((len(a), ORDERS))
    early = a < descent_start - BLEND
    late = b >= descent_start
    found[early, 0] = abs(less)
    found[late, 0] = np.maximum(found[late, 0], abs(1 - less))
    s, e = (np.clip((x - descent_start) / BLEND + 1, 0.0, 1.0) for x in (a, b))
    within = e > s
    for k in range(ORDERS):
        size = greatest_within((STEP - less).deriv(k), s[within], e[within])
        found[within, k] = np.maximum(found[within, k], size / BLEND**k)
    return found
