"""One round of the proof in three dimensions: boxes of given sizes, their slopes, tube, conditions.

With F_ref = T_ref e3 the thrust that holds the reference upright, and a_T the secant of phi_z from
T_ref to |F0|,

    (1 + a_T) (F0_z - T_ref) = -(k_p + a_z) z~ - (k_v + a_v) v_z~ - d_z - a_T (|F0| - F0_z),
    F0_xy = m a_d - k_p p~ - k_v v~ - d - phi_xy,

which with delta = F_a - F0 and nu = F_held - F0 says what thrusts and tilts are reached. Along a
compensated plan commands are ahead of F_ref by what is fed forward, and the learned force is asked
about where the plan will be: both belong into the box.

Over a deck heights are those over its surface, and speeds and thrusts those in the world, whatever motion
of the family it makes (``deck_family``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from neural_lander.controller.bumpless import JOINING, StartFamily
from neural_lander.controller.condition import Condition
from neural_lander.controller.deck import BLEND
from neural_lander.controller.deck_family import EARLY, SWAY, DeckCells, deck_cells
from neural_lander.controller.force_slopes import ForceSlopes, Z
from neural_lander.controller.loop_model import Interval
from neural_lander.controller.reference_cells import ReferenceCells, reference_cells
from neural_lander.controller.setpoint import Plan
from neural_lander.controller.spatial_lead import cells_ahead, cells_back, weighing_cell, window
from neural_lander.controller.spatial_model import AXES, SpatialLoop, Triple
from neural_lander.controller.spatial_terms import (
    AxisCells,
    SpatialErrors,
    SpatialSegment,
    SpatialStart,
    SpatialTube,
)
from neural_lander.controller.spatial_tube import tube_in_space
from neural_lander.controller.tube import segment_ranges
from neural_lander.controller.vehicle import GRAVITY
from neural_lander.learning.spatial_boxes import (
    Radii,
    SpatialBox,
    SpatialForce,
    SpatialProof,
    Swinging,
)
from neural_lander.learning.tube_proof import SETTLING, reference_thrust

Array = npt.NDArray[np.float64]

ROUGH = (0.1, 600)
"""Gap and number of boxes when bounding slopes, while the boxes are sought."""
THOROUGH = (0.04, 2500)

PARTS = 6
"""Into which each side of a box is cut to bound the force along x and y, where thrust varies much."""

APART = 8
"""Cells that two borders of segments are apart at least, where one of them may be left out."""

TOUCH = 1e-6
"""Boxes of a plan below the floor reach up to here: until first contact nothing is lower than 0 [m]."""


@dataclass(frozen=True)
class Span:
    """Vertical thrusts of one segment's reference [N]."""

    reference: Interval
    """That hold it."""
    held: Interval
    """That are commanded along it, with what is fed forward."""


@dataclass(frozen=True)
class Round:
    """What stays the same from round to round on one grid."""

    cells: AxisCells
    """What is followed, of a deck's motion what slopes act on."""
    around: ReferenceCells
    """Where it goes vertically: height over the surface, the rest in the world."""
    ranges: list[tuple[int, int]]
    force: SpatialForce
    loop: SpatialLoop
    errors: SpatialErrors
    start: SpatialStart
    rest: int
    thrust: Array
    """(cells,) thrust that holds the middle of the reference, upright [N]."""
    effort: tuple[float, int]
    descent: float = 0.0
    """When the descent begins [s]."""
    deck: Swinging | None = None
    moved: DeckCells | None = None
    """What the deck adds; None: it stands still."""

    @staticmethod
    def on(
        plan: Plan,
        force: SpatialForce,
        loop: SpatialLoop,
        errors: SpatialErrors,
        start: SpatialStart,
        cell: float,
        effort: tuple[float, int],
        deck: Swinging | None = None,
    ) -> "Round":
        """Return the rounds' common part on a grid of ``cell`` seconds, slopes with ``effort``."""
        x, y, z = (reference_cells(plan, cell, plan.end + SETTLING, axis) for axis in range(3))
        rest = min(len(z.low) - 2, math.ceil(plan.end / cell))
        height, speed, acceleration, _ = z.middle.T
        thrust = reference_thrust(
            lambda *state: force.force(*state)[..., Z],
            loop.mass,
            loop.thrust_limits,
            height,
            speed,
            acceleration,
        )
        loop = loop.along(plan)
        cuts = [] if loop.lead is None else [weighing_cell(loop, plan.descent_start, cell)]
        if start.joined is not None:
            joined = start.joined.bounds(cell, len(z.low))
            x, y, z = (c.widened(joined) for c in (x, y, z))
            end = math.ceil(JOINING / cell)
            cuts += [end] if all(abs(end - c) > APART for c in cuts) else []
        around, moved = z, None
        if deck is not None:
            moved = deck_cells(deck.family, plan, cell, len(z.low))
            loop = loop.over(deck.family, deck.lead)
            if deck.family.moves or deck.errors.values().any():
                cuts.append(blend_cell(plan.descent_start, loop, cell))
            z, around = moved.felt(z), moved.around(z)
        ranges = segment_ranges(around, rest, cuts=cuts)
        return Round(
            (x, y, z), around, ranges, force, loop, errors, start, rest, thrust, effort,
            plan.descent_start, deck, moved,
        )  # fmt: skip

    def prove(self, radii: Sequence[Radii], count: int) -> tuple[SpatialProof, list[Radii] | None]:
        """Return the proof tried with these radii, and the radii that it would have needed.

        None in their place: there is no tube at all with these boxes.
        """
        boxes, spans, conditions = [], [], []
        for (first, end), radius in zip(self.ranges, radii, strict=True):
            box, span, unique = self._box(first, end, radius)
            boxes.append(box)
            spans.append(span)
            conditions += unique
        segments = [
            SpatialSegment(
                first, end, b.name, b.slopes, b.thrust, b.tilt, b.sideways, *self._deck_noise(first)
            )
            for (first, end), b in zip(self.ranges, boxes, strict=True)
        ]
        if not all(c.holds for c in conditions):
            return self._proof(conditions, None, boxes, segments, count), None
        start = self._start(segments[0], boxes[0], spans[0].reference)
        tube = tube_in_space(
            self.cells, segments, self.loop, self.errors, start, self.rest, self.descent,
            None if self.moved is None else self.moved.moves,
        )  # fmt: skip
        conditions += self._gains(tube, segments)
        if not tube.finite:
            return self._proof(conditions, None, boxes, segments, count), None
        needed, reached = [], []
        for k, (segment, box) in enumerate(zip(segments, boxes, strict=True)):
            need, full, felt = self._reach(tube, segment, box, spans[k], k == len(segments) - 1)
            needed.append(need)
            reached.append(full)
            noise = self._height_noise(segment.first)
            conditions += self._inside(full, felt, self._asked(*self.ranges[k])[0], noise)
        if self.deck is not None and self.deck.family.slope > 0:
            conditions += self._sway(tube)
        return self._proof(conditions, tube, reached, segments, count), needed

    def _proof(
        self,
        conditions: list[Condition],
        tube: SpatialTube | None,
        boxes: list[SpatialBox],
        segments: list[SpatialSegment],
        count: int,
    ) -> SpatialProof:
        return SpatialProof(
            tuple(conditions), tube, self.cells, tuple(boxes), tuple(segments), count, self.start,
            self.errors, self.rest, self.deck,
        )  # fmt: skip

    def _deck_noise(self, first: int) -> tuple[float, float]:
        """Return bounds of the error of the deck's believed height [m], and of what a set-point off the
        reference asks for [N], from cell ``first`` to the end of its segment."""
        if self.deck is None:
            return 0.0, 0.0
        errors = self.deck.errors
        if first < blend_cell(self.descent, self.loop, self.cells[Z].cell):
            return max(errors.heard, errors.surface), 0.0
        return errors.surface, errors.force

    def _height_noise(self, first: int) -> float:
        """Return the bound of the error of the height that the learned force is asked about [m]."""
        return self.loop.noise_position[Z] + self._deck_noise(first)[0]

    def _sway(self, tube: SpatialTube) -> list[Condition]:
        """Return that the vehicle is where the pitch of the deck was counted."""
        found = []
        n = len(tube.times)
        starts = self.start.joined or StartFamily(0.0, 0.0)
        joined = starts.bounds(tube.cell, n)
        place = max((tube.position[:, 0] + joined[:, 0]).max(), tube.after.position[0])
        speed = max((tube.velocity[:, 0] + joined[:, 1]).max(), tube.after.velocity[0])
        for what, unit, most, limit in (
            ("distance", "m", place, SWAY[0]),
            ("speed", "m/s", speed, SWAY[1]),
        ):
            statement = (
                f"greatest sideways {what} from the plan below what the deck's pitch was counted for "
                f"[{unit}]"
            )
            found.append(Condition.of("H4", "x", "all heights", statement, float(most), limit))
        return found

    def _asked(self, first: int, end: int) -> tuple[Interval, Interval]:
        """Return how far over the vehicle the learned force is asked about [m], and at which of the
        plan's speeds [m/s]."""
        z = self.around
        if self.loop.lead is None:
            part = slice(first, end)
            return (0.0, 0.0), (float(z.low[part, 1].min()), float(z.high[part, 1].max()))
        part = slice(first, end + cells_ahead(self.loop, z.cell))
        ahead = self.loop.lead[Z] + self.loop.latency
        low, high = float(z.low[part, 1].min()), float(z.high[part, 1].max())
        floor = max(float(z.high[first:end, 0].max()), 0.0)
        return (max(ahead * min(low, 0.0), -floor), ahead * max(high, 0.0)), (low, high)

    def _fed(self, slopes: ForceSlopes, tilt: float, first: int, end: int) -> Interval:
        """Return the least and the greatest vertical command that the plan asks for, F0 as it holds
        the reference [N]."""
        loop, span = self.loop, self.thrust[first:end]
        if loop.lead is None:
            return float(span.min()), float(span.max())
        z = self.cells[Z]
        reach, ahead = cells_back(loop, z.cell), cells_ahead(loop, z.cell)
        soonest, latest = loop.lead[Z] - loop.period, loop.lead[Z] + loop.latency + loop.period
        _, _, beta = loop.centres(slopes, tilt, Z)
        least, most = np.zeros(end - first), np.zeros(end - first)
        for order, factor, late in (
            (3, (loop.mass, loop.mass), reach), (1, slopes.at(0), ahead), (2, slopes.at(1), ahead),
        ):  # fmt: skip
            low = -window(-z.low[:, order], reach, late)[first:end]
            high = window(z.high[:, order], reach, late)[first:end]
            sign = 1.0 if order == 3 else -1.0
            moved = [sign * f * u * x for f in factor for u in (soonest, latest)
                     for x in (low, high)]  # fmt: skip
            # asked about is one instant, passed by is the time until another
            changed = max(map(abs, factor)) * loop.period * (high - low)
            least = least + np.min(moved, axis=0) - changed
            most = most + np.max(moved, axis=0) + changed
        keep = 1 - beta
        return (
            float((span + np.minimum(keep * least, 0)).min()),
            float((span + np.maximum(keep * most, 0)).max()),
        )

    def _box(self, first: int, end: int, r: Radii) -> tuple[SpatialBox, "Span", list[Condition]]:
        """Bound the slopes around one segment; return its box, reference thrusts, and H1."""
        part = slice(first, end)
        low, high = self.around.low[part], self.around.high[part]
        name = f"{max(low[:, 0].min(), 0):.2f} to {max(high[:, 0].max(), 0):.2f} m"
        n_z, n_v = self._height_noise(first), self.loop.noise_velocity[Z]
        (under, over), (slowest, quickest) = self._asked(first, end)
        height = (
            max(0.0, float(low[:, 0].min()) - r.height) + under - n_z,
            max(float(high[:, 0].max()) + r.height, TOUCH) + over + n_z,
        )
        speed = (slowest - r.speed - n_v, quickest + r.speed + n_v)
        everywhere = self._limits()
        span = (float(self.thrust[part].min()), float(self.thrust[part].max()))
        slopes = self._slopes(height, speed, self._thrust_box(span, r))
        spread = self._spread(slopes, part)
        span = (span[0] - spread, span[1] + spread)
        less, more = self._fed(slopes, r.tilt, first, end)
        held = (less - spread, more + spread)
        thrust = self._thrust_box(held, r)
        slopes = self._slopes(height, speed, thrust)
        effect = self.loop.cancelled(slopes, r.tilt)
        found = [
            Condition.of("H1", "z", name, "1 + min u' a_T > 0: one force gives the wanted force",
                       effect.least, 0.0, above=True),
        ]  # fmt: skip
        if self.effort == THOROUGH:
            whole = self.force.slopes(height, speed, everywhere, 0.2, 200).magnitude[:, 2]
            found.append(
                Condition.of("H1", "z", name, "1 - max|a_T| > 0 for every thrust the rotors have",
                           1 - float(np.linalg.norm(whole)), 0.0, above=True)
            )  # fmt: skip
        box = SpatialBox(
            name, first * self.cells[Z].cell, end * self.cells[Z].cell, height, speed, thrust,
            r.tilt, slopes, height, speed, thrust, r.tilt, r.sideways, planned_thrust=held,
        )  # fmt: skip
        return box, Span(span, held), found

    def _limits(self) -> Interval:
        low, high = self.loop.thrust_limits
        return low, high if math.isfinite(high) else 3 * GRAVITY * self.loop.mass

    def _thrust_box(self, span: Interval, r: Radii) -> Interval:
        """Return the collective thrusts around vertical forces ``span``, tilt included."""
        low, high = self._limits()
        a = max(span[0] - r.thrust, low)
        return a, max(min((span[1] + r.thrust) / math.cos(r.tilt), high), a + 1e-6)

    def _slopes(self, height: Interval, speed: Interval, thrust: Interval) -> ForceSlopes:
        return self.force.slopes(height, speed, thrust, *self.effort)

    def _spread(self, slopes: ForceSlopes, part: slice) -> float:
        """Return how far the reference's thrust can be from that of the middles of the cells [N]."""
        least = 1 + slopes.at(2)[0]
        if least <= 0:
            return 0.0
        z, v, a, _ = self.around.radius[part].max(axis=0)
        size = slopes.magnitude[Z]
        return float((self.loop.mass * a + size[0] * z + size[1] * v) / least)

    def _sideways(self, box: SpatialBox) -> Array:
        """Return bounds (2,) of the learned force along x and y in a box [N]."""
        parts = 1 if self.loop.lead is None else PARTS
        return self.force.sideways(box.height, box.vertical_speed, box.thrust, parts)

    def _start(self, segment: SpatialSegment, box: SpatialBox, span: Interval) -> SpatialStart:
        """Return the start with its force: upright at weight, against what the errors there want."""
        if self.start.force is not None:
            return self.start
        loop, start = self.loop, self.start
        weight = loop.mass * GRAVITY
        size = segment.slopes.magnitude
        linear, beyond = np.zeros(3), np.zeros(3)
        acceleration = [max(abs(c.low[0, 2]), abs(c.high[0, 2])) for c in self.cells]
        for j in range(3):
            linear[j] = loop.k_p[j] * start.position[j] + loop.k_v[j] * start.velocity[j]
            linear[j] += loop.observer * loop.mass * loop.noise_velocity[j]
        sideways = self._sideways(box)
        beyond[:Z] = loop.mass * np.array(acceleration[:Z]) + sideways
        lean = _longer(linear[:Z] + beyond[:Z], box.thrust[0] * math.cos(box.tilt))
        beyond[Z] = size[Z, 0] * start.position[Z] + size[Z, 1] * start.velocity[Z]
        beyond[Z] = (beyond[Z] + size[Z, 2] * lean) / (1 + segment.slopes.at(2)[0])
        beyond[Z] += max(abs(weight - span[0]), abs(weight - span[1]))
        reply, half = loop.reply(segment.slopes, Z)
        force = beyond + linear * np.array([1.0, 1.0, reply + half])
        beyond[Z] += half * linear[Z]
        beyond += loop.cancelled(segment.slopes, box.tilt).rest @ loop.shift()
        return replace(start, force=_triple(force), beyond=_triple(beyond))

    def _reach(
        self,
        tube: SpatialTube,
        segment: SpatialSegment,
        box: SpatialBox,
        spans: "Span",
        last: bool,
    ) -> tuple[Radii, SpatialBox, Array]:
        """Return the radii that the tube needs, the box with what is reached, and |d^| (3,)."""
        loop, slopes, size = self.loop, segment.slopes, segment.slopes.magnitude
        over, span = tube.over(segment, last), spans.reference
        part = slice(segment.first, segment.end)
        sideways = self._sideways(box)
        lean, swing = np.zeros(2), np.zeros(2)  # of F0; of F0, F_a, F_c and F_held
        for j in range(Z):
            c = self.cells[j]
            a = max(float(np.abs(c.low[part, 2]).max()), float(np.abs(c.high[part, 2]).max()))
            still = loop.mass * a + sideways[j]
            lean[j] = still + over.wanted[j]
            if loop.lead is not None:
                asked = slice(
                    max(0, segment.first - cells_back(loop, c.cell)),
                    segment.end + cells_ahead(loop, c.cell),
                )
                jerk = float(np.maximum(np.abs(c.low), np.abs(c.high))[asked, 3].max())
                still += loop.mass * (loop.lead[j] + loop.latency + loop.period) * jerk
            swing[j] = still + max(over.wanted[j] + over.command[j], over.real[j])
        most = float(np.hypot(*swing))
        k_p = max(abs(loop.k_p[Z] + x) for x in slopes.at(0))
        k_v = max(abs(loop.k_v[Z] + x) for x in slopes.at(1))
        z, v = float(over.position[Z]), float(over.velocity[Z])
        least = box.thrust[0] * math.cos(box.tilt)  # of F0_z, as F0 is in box and cone
        felt = size[Z, 0] * z + size[Z, 1] * v
        shorter = size[Z, 2] * _longer(lean, least)
        steepest = 1 / (1 + slopes.at(2)[0])
        ideal = steepest * shorter + steepest * min(
            float(over.wanted[Z]) + felt, k_p * z + k_v * v + float(over.disturbance[Z])
        )
        real = float(over.real[Z]) + loop.reply(slopes, Z)[1] * float(over.wanted[Z])
        real += steepest * (felt + shorter)
        command = ideal + float(over.command[Z])
        thrust = max(command, real)
        if segment.first == 0 and self.start.force is None:  # the pipeline at the start
            weight = loop.mass * GRAVITY
            thrust = max(thrust, abs(weight - span[0]), abs(weight - span[1]))
        low, high = span[0] - thrust, span[1] + thrust
        if loop.lead is not None:
            less, more = self._fed(slopes, segment.tilt, segment.first, segment.end)
            still = max(ideal, real)
            spread = self._spread(slopes, part)
            low = min(span[0] - still, less - spread - command)
            high = max(span[1] + still, more + spread + command)
            if segment.first == 0 and self.start.force is None:
                low, high = min(low, loop.mass * GRAVITY), max(high, loop.mass * GRAVITY)
            thrust = max(spans.held[0] - low, high - spans.held[1])
        tilt = math.atan2(most, low) if low > 0 else math.pi / 2
        part_z = self.around
        n_z, n_v = self._height_noise(segment.first), loop.noise_velocity[Z]
        (under, above), (slowest, quickest) = self._asked(segment.first, segment.end)
        full = replace(
            box,
            reached_height=(
                max(0.0, float(part_z.low[part, 0].min()) - z) + under - n_z,
                max(float(part_z.high[part, 0].max()) + z, 0.0) + above + n_z,
            ),
            reached_speed=(slowest - v - n_v, quickest + v + n_v),
            reached_thrust=(low, math.hypot(high, most)),
            reached_tilt=tilt,
            reached_sideways=most,
        )
        heard = loop.observer * loop.mass * np.array(loop.noise_velocity)
        noise = heard * (1 + tube.load) + loop.shift()
        need = Radii(z, v, thrust, tilt, most if math.isfinite(box.sideways) else math.inf)
        return need, full, over.disturbance + noise

    def _gains(self, tube: SpatialTube, segments: Sequence[SpatialSegment]) -> list[Condition]:
        """Return H2 and H3."""
        last = segments[-1].name
        found = [
            Condition.of("H3", "xyz", s.name, "rho(G S) < 1 inside a cell of the time grid", float(g),
                       1.0)
            for s, g in zip(segments, tube.small_gain, strict=True)
        ]  # fmt: skip
        for axis, abscissa in zip(AXES, tube.abscissa_after, strict=True):
            found.append(
                Condition.of("H2", axis, last, "max Re eig(A) < 0 after the plan [1/s]",
                           float(abscissa), 0.0)
            )  # fmt: skip
        gain = tube.small_gain_after if math.isfinite(tube.small_gain_after) else None
        found.append(Condition.of("H3", "xyz", last, "rho(M S) < 1 after the plan", gain, 1.0))
        if not tube.finite and all(c.holds for c in found):
            found.append(Condition.of("H3", "xyz", last, "the bounds stay finite", None, 1.0))
        return found

    def _inside(
        self, box: SpatialBox, felt: Array, asked: Interval, noise: float
    ) -> list[Condition]:
        """Return H4 and H5 of one segment; ``asked``: how far over it phi is asked about [m];
        ``noise``: of the height that it is asked about [m]."""
        found = []
        for what, unit, have, need in (
            ("height", "m", box.height, box.reached_height),
            ("vertical speed", "m/s", box.vertical_speed, box.reached_speed),
            ("thrust", "N", box.thrust, box.reached_thrust),
        ):
            found.append(
                Condition.of("H4", "z", box.name, f"greatest {what} below the box's end [{unit}]",
                           need[1], have[1])
            )  # fmt: skip
            if what == "height" and have[0] <= asked[0] - noise:
                continue  # the box reaches down to the surface: contact comes first
            found.append(
                Condition.of("H4", "z", box.name,
                           f"the box's lower end below the least {what} [{unit}]", have[0], need[0])
            )  # fmt: skip
        found.append(
            Condition.of("H4", "xy", box.name, "greatest tilt of a force inside the cone [rad]",
                       box.reached_tilt, box.tilt)
        )  # fmt: skip
        if math.isfinite(box.sideways):
            found.append(
                Condition.of("H4", "xy", box.name, "greatest sideways force below the box's end [N]",
                           box.reached_sideways, box.sideways)
            )  # fmt: skip
        low, high = self.loop.thrust_limits
        found += [
            Condition.of("H5", "xy", box.name, "greatest tilt below the contract's limit [rad]",
                       box.reached_tilt, self.loop.tilt_limit),
            Condition.of("H5", "z", box.name, "greatest thrust below the rotors' limit [N]",
                       box.reached_thrust[1], high),
            Condition.of("H5", "z", box.name, "the rotors' lower limit below the least thrust [N]",
                       low, box.reached_thrust[0]),
        ]  # fmt: skip
        if self.loop.observer:
            found += [
                Condition.of("H5", axis, box.name, "disturbance estimate below its limit [N]",
                           float(d), self.loop.observer_limit)
                for axis, d in zip(AXES, felt, strict=True)
            ]  # fmt: skip
        return [c for c in found if math.isfinite(c.rhs)]


def blend_cell(descent: float, loop: SpatialLoop, cell: float) -> int:
    """Return the cell from which on the set-point may take up a deck's motion."""
    begin = descent - BLEND - loop.latency - loop.period
    assert cell + loop.latency + loop.period <= EARLY, "cells longer than a deck is known ahead"
    return max(0, int(begin / cell))


def _longer(lean: Array, least: float) -> float:
    """Return how much longer a force is than its vertical part, at least ``least`` [N]."""
    side = float(np.hypot(lean[0], lean[1]))
    return min(side, side**2 / (2 * max(least, 1e-9)))


def _triple(values: Array) -> Triple:
    x, y, z = values
    return float(x), float(y), float(z)
