"""Rounds that prove a tube along a plan: boxes, slopes on them, the tube, boxes from the tube.

The slopes hold in a box around each segment of the plan; the tube holds while the flight is inside
the boxes. Both together hold where the tube lies strictly inside (H4), by the first exit: the first
flight to leave a box would leave a tube that is still valid at that instant. So the boxes grow
until they hold their own tube, then shrink onto it; every round that ends with H4 is a proof.

    H1   1 + min a_u > 0 in the box, and for every thrust between the rotors' limits   (one solution)
    H2   the last segment's linear model is stable                                (the time after)
    H3   rho(G S) < 1 inside every cell; rho(M S) < 1 in the last segment, for the time after
    H4   reference + tube + noise strictly inside the box, thrusts commanded and real included
    H5   thrusts inside the rotors' limits; the observer below its limit
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from neural_lander.controller.bumpless import JOINING
from neural_lander.controller.condition import Condition
from neural_lander.controller.errors import InputError
from neural_lander.controller.loop_model import Interval, VerticalLoop, VerticalSlopes
from neural_lander.controller.reference_cells import ReferenceCells, reference_cells
from neural_lander.controller.setpoint import Plan
from neural_lander.controller.tube import (
    ErrorBounds,
    Segment,
    Start,
    Tube,
    segment_ranges,
    tube_along,
)
from neural_lander.controller.vehicle import GRAVITY

Array = npt.NDArray[np.float64]

COARSE, FINE = 0.016, 0.004
"""Cells of the time grid while the boxes are sought, and for the proof [s]."""

SETTLING = 3.0
"""How long the grid goes on after the plan came to rest [s]."""

ROOM = 1.02
"""A box is this much larger than the tube it was made for."""

GROWTH = 1.03
"""A box that did not hold its tube becomes this much larger than the tube."""

Progress = Callable[[float, str], None]


class VerticalForce(Protocol):
    """A learned vertical force, its slopes included."""

    def force(self, height: Array, speed: Array, thrust: Array) -> Array:
        """Return the force (...,) [N]."""
        ...

    def slopes(self, height: Interval, speed: Interval, thrust: Interval) -> VerticalSlopes:
        """Return intervals of every tangent and secant in a box."""
        ...


@dataclass(frozen=True)
class SegmentBox:
    """Where the slopes of one segment were bounded, and where the flight can be."""

    name: str
    start_s: float
    end_s: float
    height: Interval
    """Box, true heights cut at 0, noise included [m]."""
    vertical_speed: Interval
    """[m/s]"""
    thrust: Interval
    """[N]"""
    slopes: VerticalSlopes
    reached_height: Interval
    """Reference, tube and noise together [m]."""
    reached_speed: Interval
    """[m/s]"""
    reached_thrust: Interval
    """Wanted, commanded, held and real [N]."""


@dataclass(frozen=True)
class TubeProof:
    """What came out: the conditions, and the tube with its boxes where there is one."""

    conditions: tuple[Condition, ...]
    tube: Tube | None
    cells: ReferenceCells
    boxes: tuple[SegmentBox, ...]
    segments: tuple[Segment, ...]
    rounds: int
    start: Start
    errors: ErrorBounds

    @property
    def certified(self) -> bool:
        """Whether every condition holds."""
        return self.tube is not None and all(c.holds for c in self.conditions)

    def height(self) -> float:
        """Return the greatest height error, the time after the plan included [m]."""
        return math.inf if self.tube is None else self.tube.bound("height error", after=True)


def prove_tube(
    plan: Plan,
    force: VerticalForce,
    loop: VerticalLoop,
    errors: ErrorBounds,
    start: Start | None = None,
    cell: float = FINE,
    progress: Progress | None = None,
    max_rounds: int = 14,
) -> TubeProof:
    """Prove a tube of ``loop`` with the learned ``force`` along ``plan``, or say what fails.

    Args:
        plan: the motion of the set-point; heights above standing.
        force: the learned vertical force.
        loop: the loop's numbers.
        errors: of the learned force.
        start: of the flight; None: at rest on the plan, in equilibrium.
        cell: time grid of the final round [s].
        progress: told how far it is.
        max_rounds: on the coarse grid.
    """
    if not (errors.changing >= 0 and errors.constant >= 0 and math.isfinite(errors.total)):
        raise InputError(
            f"the error bounds are {errors.changing} N and {errors.constant} N; expected finite, >= 0"
        )
    tell = progress or (lambda share, text: None)
    start = start or Start()
    coarse = _Round.on(plan, force, loop, errors, start, max(cell, COARSE))
    radii = [(loop.noise_position, loop.noise_velocity, 0.1)] * len(coarse.ranges)
    proof = None
    for k in range(max_rounds):
        tell(0.1 + 0.5 * k / max_rounds, f"round {k + 1}")
        proof, needed = coarse.prove(radii, k + 1)
        if needed is None:
            return proof
        if proof.certified:
            break
        inside = all(n < r for need, rad in zip(needed, radii, strict=True)
                     for n, r in zip(need, rad, strict=True))  # fmt: skip
        if inside:
            return proof  # H4 holds, something else fails: larger boxes cannot help
        radii = [_larger(need, rad, GROWTH) for need, rad in zip(needed, radii, strict=True)]
    assert proof is not None
    if not proof.certified:
        return proof
    tell(0.65, "final rounds")
    fine = _Round.on(plan, force, loop, errors, start, cell)
    assert needed is not None
    if len(fine.ranges) != len(coarse.ranges):
        radii = [tuple(np.max(radii, axis=0))] * len(fine.ranges)
    else:
        radii = [_shrunk(need, rad) for need, rad in zip(needed, radii, strict=True)]
    best = proof
    for k in range(2):
        tell(0.7 + 0.15 * k, "final rounds")
        tried, needed = fine.prove(radii, proof.rounds + k + 1)
        if tried.certified and tried.height() <= best.height():
            gained = best.height() / tried.height()
            best = tried
            if k and gained < 1.01:
                break
        if needed is None:
            break
        radii = (
            [_shrunk(need, rad) for need, rad in zip(needed, radii, strict=True)]
            if tried.certified
            else [_larger(need, rad, 1.02) for need, rad in zip(needed, radii, strict=True)]
        )
    return best


Radii = tuple[float, float, float]
"""Half-widths around the reference: height [m], speed [m/s], thrust [N]."""


def _larger(need: Radii, have: Radii, growth: float) -> Radii:
    z, v, t = (growth * max(n, h) if n >= h else h for n, h in zip(need, have, strict=True))
    return z, v, t


def _shrunk(need: Radii, have: Radii) -> Radii:
    z, v, t = (min(ROOM * n + 1e-9, h) for n, h in zip(need, have, strict=True))
    return z, v, t


@dataclass(frozen=True)
class _Round:
    """What stays the same from round to round on one grid."""

    cells: ReferenceCells
    ranges: list[tuple[int, int]]
    force: VerticalForce
    loop: VerticalLoop
    errors: ErrorBounds
    start: Start
    rest: int
    thrust: Array
    """(cells,) thrust that holds the middle of the reference [N]."""

    @staticmethod
    def on(
        plan: Plan,
        force: VerticalForce,
        loop: VerticalLoop,
        errors: ErrorBounds,
        start: Start,
        cell: float,
    ) -> "_Round":
        cells = reference_cells(plan, cell, plan.end + SETTLING)
        rest = min(len(cells.low) - 2, math.ceil(plan.end / cell))
        cuts = []
        if start.joined is not None:
            cells = cells.widened(start.joined.bounds(cell, len(cells.low)))
            cuts = [math.ceil(JOINING / cell)]
        ranges = segment_ranges(cells, rest, cuts=cuts)
        z, v, a, _ = cells.middle.T
        thrust = reference_thrust(force.force, loop.mass, loop.thrust_limits, z, v, a)
        return _Round(cells, ranges, force, loop, errors, start, rest, thrust)

    def prove(self, radii: Sequence[Radii], count: int) -> tuple[TubeProof, list[Radii] | None]:
        """Return the proof tried with these radii, and the radii that it would have needed.

        None in their place: there is no tube at all with these boxes.
        """
        segments, spans, conditions = [], [], []
        for (first, end), radius in zip(self.ranges, radii, strict=True):
            segment, span, unique = self._segment(first, end, radius)
            segments.append(segment)
            spans.append(span)
            conditions += unique
        boxes = [self._box(s, r, span) for s, r, span in zip(segments, radii, spans, strict=True)]
        if not all(c.holds for c in conditions):
            return self._proof(conditions, None, boxes, segments, count), None
        start = self._start(segments[0], spans[0])
        tube = tube_along(self.cells, segments, self.loop, self.errors, start, self.rest)
        conditions += self._gains(tube, segments)
        if not tube.finite:
            return self._proof(conditions, None, boxes, segments, count), None
        needed, reached = [], []
        for k, (segment, box) in enumerate(zip(segments, boxes, strict=True)):
            last = k == len(segments) - 1
            need, full = self._reach(tube, segment, spans[k], last)
            needed.append(need)
            reached.append(full)
            conditions += self._inside(box, full, tube, segment, last)
        return self._proof(conditions, tube, reached, segments, count), needed

    def _start(self, segment: Segment, span: Interval) -> Start:
        """Return the start with its thrust error: weight against what the errors there want."""
        loop, slopes = self.loop, segment.slopes
        if self.start.thrust is not None:
            # the observer starts with the noise of one speed: T0 has it at once, thrust does not
            noisy = loop.observer * loop.mass * loop.noise_velocity / (1 + slopes.thrust[0])
            return replace(self.start, thrust=self.start.thrust + noisy)
        moved = (
            (loop.k_p + _magnitude(slopes.height)) * self.start.height
            + (loop.k_v + _magnitude(slopes.vertical_speed)) * self.start.speed
            + loop.observer * loop.mass * loop.noise_velocity
        )
        weight = loop.mass * GRAVITY
        off = max(abs(weight - span[0]), abs(weight - span[1]))
        return replace(self.start, thrust=off + moved / (1 + slopes.thrust[0]))

    def _proof(
        self,
        conditions: list[Condition],
        tube: Tube | None,
        boxes: list[SegmentBox],
        segments: list[Segment],
        count: int,
    ) -> TubeProof:
        return TubeProof(
            tuple(conditions), tube, self.cells, tuple(boxes), tuple(segments), count, self.start,
            self.errors,
        )  # fmt: skip

    def _segment(
        self, first: int, end: int, radius: Radii
    ) -> tuple[Segment, Interval, list[Condition]]:
        """Bound the slopes around one segment; return it, its reference thrusts, and H1."""
        part = slice(first, end)
        low, high = self.cells.low[part], self.cells.high[part]
        name = f"{max(low[:, 0].min(), 0):.2f} to {high[:, 0].max():.2f} m"
        n_z, n_v = self.loop.noise_position, self.loop.noise_velocity
        height = (
            max(0.0, float(low[:, 0].min()) - radius[0]) - n_z,
            float(high[:, 0].max()) + radius[0] + n_z,
        )
        speed = (
            float(low[:, 1].min()) - radius[1] - n_v,
            float(high[:, 1].max()) + radius[1] + n_v,
        )
        limits = self.loop.thrust_limits
        everywhere = (limits[0], limits[1] if math.isfinite(limits[1]) else 3 * GRAVITY *
                      self.loop.mass)  # fmt: skip
        whole = self.force.slopes(height, speed, everywhere)
        span = (float(self.thrust[part].min()), float(self.thrust[part].max()))
        box = (max(span[0] - radius[2], everywhere[0]), min(span[1] + radius[2], everywhere[1]))
        slopes = self.force.slopes(height, speed, box) if box[0] < box[1] else whole
        spread = self._spread(slopes, part)
        span = (span[0] - spread, span[1] + spread)
        box = (max(span[0] - radius[2], everywhere[0]), min(span[1] + radius[2], everywhere[1]))
        slopes = self.force.slopes(height, speed, box) if box[0] < box[1] else whole
        h1 = [
            Condition.of("H1", "z", name, "1 + min a_u > 0 in the box: one thrust gives the wanted force",
                       1 + slopes.thrust[0], 0.0, True),
            Condition.of("H1", "z", name, "1 + min a_u > 0 for every thrust the rotors have",
                       1 + whole.thrust[0], 0.0, True),
        ]  # fmt: skip
        return Segment(first, end, name, slopes, box), span, h1

    def _spread(self, slopes: VerticalSlopes, part: slice) -> float:
        """Return how far the reference's thrust can be from that of the middles of the cells [N]."""
        if 1 + slopes.thrust[0] <= 0:
            return 0.0
        z, v, a, _ = self.cells.radius[part].max(axis=0)
        moved = (
            self.loop.mass * a
            + _magnitude(slopes.height) * z
            + _magnitude(slopes.vertical_speed) * v
        )
        return float(moved / (1 + slopes.thrust[0]))

    def _box(self, segment: Segment, radius: Radii, span: Interval) -> SegmentBox:
        part = slice(segment.first, segment.end)
        low, high = self.cells.low[part], self.cells.high[part]
        n_z, n_v = self.loop.noise_position, self.loop.noise_velocity
        height = (
            max(0.0, float(low[:, 0].min()) - radius[0]) - n_z,
            float(high[:, 0].max()) + radius[0] + n_z,
        )
        speed = (
            float(low[:, 1].min()) - radius[1] - n_v,
            float(high[:, 1].max()) + radius[1] + n_v,
        )
        cell = self.cells.cell
        return SegmentBox(
            segment.name, segment.first * cell, segment.end * cell, height, speed, segment.thrust,
            segment.slopes, height, speed, segment.thrust,
        )  # fmt: skip

    def _reach(
        self, tube: Tube, segment: Segment, span: Interval, last: bool
    ) -> tuple[Radii, SegmentBox]:
        """Return the radii the tube needs in one segment, and its box with what is reached."""
        slopes = segment.slopes
        z = tube.bound("height error", segment, last)
        v = tube.bound("speed error", segment, last)
        wanted = tube.bound("wanted force error", segment, last)
        delta = tube.bound("thrust error", segment, last)
        nu = float(tube.command[segment.first : segment.end].max())
        if last:
            nu = max(nu, tube.command_after)
        # T0 - T_ref = -((k_p + a_z) z~ + (k_v + a_v) v~ + d) / (1 + a_u), bounded in two ways
        loop = self.loop
        k_p = loop.k_p + slopes.height[0], loop.k_p + slopes.height[1]
        k_v = loop.k_v + slopes.vertical_speed[0], loop.k_v + slopes.vertical_speed[1]
        d = tube.bound("disturbance", segment, last) if loop.observer else 0.0
        ideal = min(
            wanted + _magnitude(slopes.height) * z + _magnitude(slopes.vertical_speed) * v,
            _magnitude(k_p) * z + _magnitude(k_v) * v + d,
        ) / (1 + slopes.thrust[0])
        thrust = ideal + max(delta, nu)
        box = self._box(segment, (z, v, thrust), span)
        t = (span[0] - thrust, span[1] + thrust)
        return (z, v, thrust), replace(
            box, reached_height=box.height, reached_speed=box.vertical_speed, reached_thrust=t
        )

    def _gains(self, tube: Tube, segments: Sequence[Segment]) -> list[Condition]:
        """Return H2 and H3."""
        last = segments[-1].name
        found = [
            Condition.of(
                "H3", "z", s.name, "rho(G S) < 1 inside a cell of the time grid", float(g), 1.0
            )
            for s, g in zip(segments, tube.small_gain, strict=True)
        ]
        found.append(
            Condition.of("H2", "z", last, "max Re eig(A) < 0 after the plan [1/s]",
                       tube.abscissa_after, 0.0)
        )  # fmt: skip
        gain = tube.small_gain_after if math.isfinite(tube.small_gain_after) else None
        found.append(Condition.of("H3", "z", last, "rho(M S) < 1 after the plan", gain, 1.0))
        return found

    def _inside(
        self, box: SegmentBox, reached: SegmentBox, tube: Tube, segment: Segment, last: bool
    ) -> list[Condition]:
        """Return H4 and H5 of one segment."""
        found = []
        for what, unit, have, need in (
            ("height", "m", box.height, reached.reached_height),
            ("vertical speed", "m/s", box.vertical_speed, reached.reached_speed),
            ("thrust", "N", box.thrust, reached.reached_thrust),
        ):
            found.append(
                Condition.of("H4", "z", box.name, f"greatest {what} below the box's end [{unit}]",
                           need[1], have[1])
            )  # fmt: skip
            if what == "height" and have[0] <= -self.loop.noise_position:
                continue  # the box reaches down to the surface: contact comes first
            found.append(
                Condition.of("H4", "z", box.name, f"the box's lower end below the least {what} [{unit}]",
                           have[0], need[0])
            )  # fmt: skip
        limits = self.loop.thrust_limits
        found.append(
            Condition.of("H5", "z", box.name, "greatest thrust below the rotors' limit [N]",
                       reached.reached_thrust[1], limits[1])
        )  # fmt: skip
        found.append(
            Condition.of("H5", "z", box.name, "the rotors' lower limit below the least thrust [N]",
                       limits[0], reached.reached_thrust[0])
        )  # fmt: skip
        if self.loop.observer:
            noise = self.loop.observer * self.loop.mass * self.loop.noise_velocity
            found.append(
                Condition.of("H5", "z", box.name, "disturbance estimate below its limit [N]",
                           tube.bound("disturbance", segment, last) + noise,
                           self.loop.observer_limit)
            )  # fmt: skip
        return [c for c in found if math.isfinite(c.rhs)]


def reference_thrust(
    force: Callable[[Array, Array, Array], Array],
    mass: float,
    limits: Interval,
    height: Array,
    speed: Array,
    acceleration: Array,
) -> Array:
    """Return the thrust (...,) with T + phi(z, v, T) = m (g + a), by bisection [N].

    ``force`` is phi, upward [N]; ``limits`` are those of the thrust, the upper one may be infinite.
    """
    wanted = mass * (GRAVITY + acceleration)
    low = np.full(wanted.shape, limits[0])
    high = np.full(wanted.shape, limits[1] if math.isfinite(limits[1]) else 3 * GRAVITY * mass)
    for _ in range(60):
        middle = (low + high) / 2
        above = middle + force(height, speed, middle) > wanted
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.asarray((low + high) / 2)


def _magnitude(interval: Interval) -> float:
    return max(abs(interval[0]), abs(interval[1]))
