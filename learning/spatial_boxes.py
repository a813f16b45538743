"""What a proof in three dimensions is made of: the force asked for, boxes, their sizes, the answer."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from neural_lander.controller.condition import Condition
from neural_lander.controller.deck_family import DeckErrors, DeckFamily
from neural_lander.controller.force_slopes import ForceSlopes
from neural_lander.controller.loop_model import Interval
from neural_lander.controller.spatial_terms import (
    AxisBounds,
    AxisCells,
    SpatialErrors,
    SpatialSegment,
    SpatialStart,
    SpatialTube,
)
from neural_lander.learning.tube_proof import ROOM

Array = npt.NDArray[np.float64]

STEEPEST = 1.3
"""No cone is wider [rad]."""


class SpatialForce(Protocol):
    """A learned force in R^3 of height, vertical speed and thrust, its slopes included."""

    def force(self, height: Array, speed: Array, thrust: Array) -> Array:
        """Return the force (..., 3) [N]."""
        ...

    def slopes(
        self, height: Interval, speed: Interval, thrust: Interval, relative_gap: float,
        max_boxes: int,
    ) -> ForceSlopes:  # fmt: skip
        """Return intervals of every tangent and secant in a box."""
        ...

    def sideways(
        self, height: Interval, speed: Interval, thrust: Interval, parts: int = 1
    ) -> Array:
        """Return bounds (2,) of the force along x and y over a box [N], cut into ``parts`` a side."""
        ...


@dataclass(frozen=True)
class Swinging:
    """A deck under the plan: which family it is of, and how the law knows and follows it."""

    family: DeckFamily
    errors: DeckErrors
    lead: float
    """Lag that the law feeds forward of its motion [s]."""


@dataclass(frozen=True)
class SpatialBox:
    """Where the slopes of one segment were bounded, and where the flight can be."""

    name: str
    start_s: float
    end_s: float
    height: Interval
    """Box, true heights cut at 0, noise included [m]."""
    vertical_speed: Interval
    """[m/s]"""
    thrust: Interval
    """Collective [N]."""
    tilt: float
    """Half angle of the cone [rad]."""
    slopes: ForceSlopes
    reached_height: Interval
    """Reference, tube and noise together [m]."""
    reached_speed: Interval
    """[m/s]"""
    reached_thrust: Interval
    """Wanted, commanded, held and real [N]."""
    reached_tilt: float
    """Of wanted, commanded, held and real force [rad]."""
    sideways: float = math.inf
    """Horizontal part of a force [N]; inf: no more than cone and thrust say."""
    reached_sideways: float = 0.0
    """[N]"""
    planned_thrust: Interval = (0.0, math.inf)
    """Vertical, that the plan alone commands, with what is fed forward [N]."""


@dataclass(frozen=True)
class SpatialProof:
    """What came out: the conditions, and the tube with its boxes where there is one."""

    conditions: tuple[Condition, ...]
    tube: SpatialTube | None
    cells: AxisCells
    boxes: tuple[SpatialBox, ...]
    segments: tuple[SpatialSegment, ...]
    rounds: int
    start: SpatialStart
    errors: SpatialErrors
    rest: int
    """First cell at which the plan is at rest."""
    deck: Swinging | None = None
    """What the plan goes down to, if it moves."""

    @property
    def certified(self) -> bool:
        """Whether every condition holds."""
        return self.tube is not None and all(c.holds for c in self.conditions)

    @property
    def after(self) -> AxisBounds | None:
        """Bounds per axis for all time after the grid; None without a tube."""
        return None if self.tube is None else self.tube.after

    def greatest(self) -> Array:
        """Return the greatest position error per axis, the time after included [m]."""
        return np.full(3, math.inf) if self.tube is None else self.tube.greatest


@dataclass(frozen=True)
class Radii:
    """Half-widths of a box around its reference."""

    height: float
    """[m]"""
    speed: float
    """[m/s]"""
    thrust: float
    """Of the vertical force [N]."""
    tilt: float
    """[rad]"""
    sideways: float = math.inf
    """Of the horizontal part of a force [N]; inf: no more than cone and thrust say."""

    def values(self) -> Array:
        """(4,) or, with ``sideways``, (5,) In order."""
        sides = [self.sideways] if math.isfinite(self.sideways) else []
        return np.array([self.height, self.speed, self.thrust, self.tilt, *sides])

    def larger(self, need: "Radii", growth: float) -> "Radii":
        """Return these, grown beyond ``need`` where they do not hold it."""
        a, b = need.values(), self.values()
        z, v, thrust, tilt, *sides = np.where(a >= b, growth * np.maximum(a, b), b)
        rest = [float(x) for x in sides]
        return Radii(float(z), float(v), float(thrust), min(float(tilt), STEEPEST), *rest)

    def shrunk(self, need: "Radii") -> "Radii":
        """Return these, drawn in to a little more than ``need``."""
        return Radii(*map(float, np.minimum(ROOM * need.values() + 1e-9, self.values())))
