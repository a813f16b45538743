"""The tube: how far from its plan the vertical loop can be, at every instant, whatever happens.

Along the plan the linear model of ``loop_model`` changes from one segment of heights to the next,
and its channels with it. What comes from outside (noise of command and observer, the force error,
the reference between its samples, jumps of it, the start) is put together here for every cell of
the time grid; ``causal_bounds`` turns it into bounds. A constant part of the force error is a step
of unknown size and answers with its step response instead of the integral of |kernel|.

Source: small gain on sup-norms (Desoer, Vidyasagar, "Feedback Systems", 1975), in its causal form.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from neural_lander.controller.bumpless import StartFamily
from neural_lander.controller.causal_bounds import (
    Block,
    CausalBounds,
    CoupledModel,
    bounds_along,
    running_maximum,
)
from neural_lander.controller.loop_model import (
    Interval,
    LinearModel,
    VerticalLoop,
    VerticalSlopes,
)
from neural_lander.controller.reference_cells import ReferenceCells

Array = npt.NDArray[np.float64]

UNKNOWN = ("force error", "reference speed", "reference acceleration", "reference jerk")
"""Unknown inputs beside the channels: errors, and how far the reference is from its middle."""


@dataclass(frozen=True)
class ErrorBounds:
    """How far the learned force may be from the real one, vertically."""

    changing: float
    """Bound of the part that may change in any way [N]."""
    constant: float = 0.0
    """Bound of the part that stays the same through the flight [N]."""
    source: str = "given"
    """Where the numbers come from."""

    @property
    def total(self) -> float:
        """Bound of the whole [N]."""
        return self.changing + self.constant


@dataclass(frozen=True)
class Start:
    """What is known of the first instant."""

    height: float = 0.0
    """Bound of the height error [m]."""
    speed: float = 0.0
    """Bound of the speed error [m/s]."""
    thrust: float | None = 0.0
    """Bound of |T - T0|, and of |command in the pipeline - T0| [N]; None: both are at weight."""
    joined: StartFamily | None = None
    """How far off the plan the set-point may begin; None: it is the plan, and errors are from that."""


@dataclass(frozen=True)
class Segment:
    """Consecutive cells of the plan with one box, one set of slopes, one linear model."""

    first: int
    end: int
    """Cells first ... end - 1."""
    name: str
    """Its range of planned heights."""
    slopes: VerticalSlopes
    thrust: Interval
    """Range of thrust in its box [N]."""


@dataclass(frozen=True)
class Tube:
    """Bounds over each cell; ``after`` for all the time beyond the last one.

    Columns of ``seen`` and ``errors`` are named in ``names``.
    """

    cell: float
    """Length of a cell [s]."""
    errors: Array
    """(cells, outputs) bounds of height error [m], speed error [m/s], wanted force error [N] ..."""
    seen: Array
    """(cells, seen) bounds of what the channels see."""
    command: Array
    """(cells,) bound of |T_held - T0| [N]."""
    errors_after: Array
    """(outputs,)"""
    seen_after: Array
    """(seen,)"""
    command_after: float
    small_gain: Array
    """(segments,) rho(G S) inside a cell: below 1."""
    small_gain_after: float
    """rho(M S) of the last segment: below 1."""
    abscissa_after: float
    """Largest real part of the last segment's eigenvalues [1/s]: below 0."""
    shares: dict[str, float]
    """Where the greatest height error comes from: share of each channel and outside input."""
    names: dict[str, tuple[str, ...]]

    @property
    def finite(self) -> bool:
        """Whether there is a bound at all."""
        return bool(np.isfinite(self.errors).all() and np.isfinite(self.errors_after).all())

    def bound(self, name: str, segment: Segment | None = None, after: bool = False) -> float:
        """Return the greatest bound of one signal by name, over a segment and, or, after it all."""
        if name in self.names["outputs"]:
            j = self.names["outputs"].index(name)
            values, last = self.errors[:, j], self.errors_after[j]
        else:
            j = self.names["seen"].index(name)
            values, last = self.seen[:, j], self.seen_after[j]
        part = values if segment is None else values[segment.first : segment.end]
        return float(max(part.max(), last)) if after else float(part.max())


HEIGHT_EDGES = (0.0, 0.03, 0.07, 0.12, 0.18, 0.26, 0.36, 0.48, 0.62, 0.8, 1.0, 1.3, 1.7, 2.2, 3.0)
"""Borders of the segments [m]: fine where the ground effect is steep."""


def segment_ranges(
    cells: ReferenceCells,
    rest: int,
    edges: Sequence[float] = HEIGHT_EDGES,
    cuts: Sequence[int] = (),
) -> list[tuple[int, int]]:
    """Return (first, end) of runs of cells whose middle height is between the same two edges.

    From cell ``rest`` on the plan does not move: a run of its own, with the smallest box. Others
    begin at the cells of ``cuts``.
    """
    band = np.searchsorted(np.asarray(edges), cells.middle[:, 0], side="right")
    borders = sorted({0, *(np.flatnonzero(np.diff(band)) + 1).tolist(), rest, len(band), *cuts})
    return [(a, b) for a, b in pairwise(borders) if b > a]


def tube_along(
    cells: ReferenceCells,
    segments: Sequence[Segment],
    loop: VerticalLoop,
    errors: ErrorBounds,
    start: Start,
    rest: int,
) -> Tube:
    """Return the tube along a plan; infinite where a condition of the recursion fails.

    Args:
        cells: the reference; from cell ``rest`` on it is at rest, in the last segment.
        segments: they cover the cells in order; every 1 + slopes.thrust[0] > 0.
        loop: the loop's numbers.
        errors: of the learned force.
        start: at the first cell's start.
        rest: first cell at which the plan is at rest.
    """
    assert start.thrust is not None
    models = [loop.channels(s.slopes, loop.effective_lag(s.thrust)) for s in segments]
    first = models[0]
    n_x, n_q, n_r = len(first.A), len(first.delta), first.delta.shape[1]
    of_cell = np.concatenate(
        [np.full(s.end - s.first, k, dtype=np.int64) for k, s in enumerate(segments)]
    )
    assert len(of_cell) == len(cells.low)
    begin = np.array([start.height, start.speed, start.thrust, _first_disturbance(loop)][:n_x])
    inject = np.zeros((len(of_cell), n_x))  # jumps of T0 act on the thrust error
    for at, size in cells.jumps:
        i = int(at / cells.cell + 1e-9)
        if i < len(of_cell):
            inject[i, 2] += loop.mass * abs(size) / (1 + segments[of_cell[i]].slopes.thrust[0])
    found = bounds_along(
        [CoupledModel((Block.of(m, n_q, n_r, UNKNOWN),), m.delta, m.looks_back) for m in models],
        of_cell,
        cells.cell,
        _outside(cells, segments, loop, errors, start, first, of_cell),
        [begin],
        [inject],
        cells.middle[:, None, 1:],
        np.array([errors.constant]),
        rest,
    )
    (rows,), (after,), commands = found.rows, found.rows_after, _commands(first)
    return Tube(
        cell=cells.cell,
        errors=rows[:, n_r:],
        seen=rows[:, :n_r],
        command=found.amplitude[:, commands].sum(axis=1),
        errors_after=after[n_r:],
        seen_after=after[:n_r],
        command_after=float(found.amplitude_after[commands].sum()),
        small_gain=found.small_gain,
        small_gain_after=found.small_gain_after,
        abscissa_after=found.abscissa_after,
        shares=_named(found, first),
        names=first.names,
    )


def _commands(model: LinearModel) -> list[int]:
    """Return the channels whose sum bounds |T_held - T0|."""
    wanted = ("hold and latency", "estimator's lag")
    return [i for i, name in enumerate(model.names["channels"]) if name in wanted]


def _first_disturbance(loop: VerticalLoop) -> float:
    """Return the bound of d at the start: the observer starts with d^ = 0 at a noisy speed [N]."""
    return loop.observer * loop.mass * loop.noise_velocity


def _outside(
    cells: ReferenceCells,
    segments: Sequence[Segment],
    loop: VerticalLoop,
    errors: ErrorBounds,
    start: Start,
    model: LinearModel,
    of_cell: npt.NDArray[np.int64],
) -> Array:
    """Return the amplitude (cells, unknown) of what comes from outside, channel by channel."""
    n_q = len(model.delta)
    w = np.zeros((len(of_cell), n_q + 4))
    w[:, n_q] = errors.changing
    w[:, n_q + 1 :] = cells.radius[:, 1:]
    noise = np.array([loop.command_noise(s.slopes) for s in segments])[of_cell]
    reach = math.ceil((loop.period + loop.latency) / cells.cell - 1e-9)
    hold = model.names["channels"].index("hold and latency")
    w[:, hold] = running_maximum(noise, reach)
    w[: reach + 1, hold] = np.maximum(w[: reach + 1, hold], start.thrust or 0.0)
    for at, size in cells.jumps:
        i = int(at / cells.cell + 1e-9)
        if i < len(w):
            jump = loop.mass * abs(size) / (1 + segments[of_cell[i]].slopes.thrust[0])
            w[i : i + reach + 2, hold] += jump
    w[:, model.names["channels"].index("motor lag")] = loop.unequal_rotors
    if loop.observer:
        measured = np.array([loop.observer_noise(s.slopes, s.thrust[1]) for s in segments])[of_cell]
        column = model.names["channels"].index("observer's sampling")
        w[:, column] = running_maximum(measured, reach)
    return w


def _named(found: CausalBounds, model: LinearModel) -> dict[str, float]:
    """Return the shares of the greatest height error by name; they add up to 1."""
    if not found.shares:
        return {}
    (parts,) = found.shares
    n_q = len(model.delta)
    values = [*parts[: n_q + 1], parts[n_q + 1 : n_q + 4].sum(), *parts[-2:], parts[-3]]
    names = (*model.names["channels"], "force error", "reference between samples", "reference",
             "constant force error", "start")  # fmt: skip
    return dict(zip(names, map(float, values), strict=True))
