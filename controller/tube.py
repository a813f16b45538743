"""The tube: how far from its plan the vertical loop can be, at every instant, whatever happens.

Along the plan the linear model of ``loop_model`` changes from one segment of heights to the next,
and its channels with it. With K(t, s) the kernel of that time-varying model, what the channels see
and the errors themselves are bounded by one causal recursion,

    r(t) <= integral_0^t |K(t, s)| a(s) ds + |D| a(t) + |known response| + |response to the start|
    a(s)  = w(s) + S sup r over [s - (h + L), s]

with w the bounds of what comes from outside. A constant part of the force error is a step of
unknown size and answers with its step response instead of the integral of |K|.

On a grid of cells of length c every term is rounded up. Over a cell, |g| lies below the chord of
its ends by at most s (c - s) / 2 sup |g''|, both where the source acts (the trapezoid and
c^3 / 12 sup |g''|) and where it is looked at (the larger end and c^2 / 8 sup |g''|); the reference
enters with its middle in each cell, its half-width counts as an unknown input; no part of the
history is dropped. Inside a cell r and a depend on each other through D and the cell itself, which
has one solution where rho(G S) < 1.

After the last cell the model does not change any more: r stays below the fixed point of the
time-invariant gains plus what the old sources still contribute.

Source: small gain on sup-norms (Desoer, Vidyasagar, "Feedback Systems", 1975), in its causal form:
a Volterra inequality with a non-negative kernel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import expm

from neural_lander.controller.compiled import compiled
from neural_lander.controller.loop_model import (
    Interval,
    LinearModel,
    VerticalLoop,
    VerticalSlopes,
    peak_to_peak_gains,
)
from neural_lander.controller.reference_cells import ReferenceCells

Array = npt.NDArray[np.float64]

ROUNDING = 1e-6
"""Relative margin on the result for rounding; a sum of 1e5 products in float64 needs 1e-11."""

SETTLED = 0.25
"""The share of the time after the plan's end that old sources get to fade."""


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
    cells: ReferenceCells, rest: int, edges: Sequence[float] = HEIGHT_EDGES
) -> list[tuple[int, int]]:
    """Return (first, end) of runs of cells whose middle height is between the same two edges.

    From cell ``rest`` on the plan does not move: a run of its own, with the smallest box.
    """
    band = np.searchsorted(np.asarray(edges), cells.middle[:, 0], side="right")
    cuts = sorted({0, *(np.flatnonzero(np.diff(band)) + 1).tolist(), rest, len(band)})
    return [(a, b) for a, b in pairwise(cuts) if b > a]


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
    parts = [_discretised(model, cells.cell) for model in models]
    stack = {key: np.stack([part[key] for part in parts]) for key in parts[0]}
    of_cell = np.concatenate(
        [np.full(s.end - s.first, k, dtype=np.int64) for k, s in enumerate(segments)]
    )
    assert len(of_cell) == len(cells.low)
    outside = _outside(cells, segments, loop, errors, start, first, of_cell)
    back = np.where(
        np.isinf(first.looks_back),
        len(of_cell),
        np.ceil(np.where(np.isinf(first.looks_back), 0, first.looks_back) / cells.cell - 1e-9),
    ).astype(np.int64)
    begin = np.array([start.height, start.speed, start.thrust, _first_disturbance(loop)][:n_x])
    inject = np.zeros((len(of_cell), n_x))  # jumps of T0 act on the thrust error
    for at, size in cells.jumps:
        i = int(at / cells.cell + 1e-9)
        if i < len(of_cell):
            inject[i, 2] += loop.mass * abs(size) / (1 + segments[of_cell[i]].slopes.thrust[0])
    small = np.array(
        [
            _radius(part["G"][:n_r, :n_q] @ model.delta)
            for part, model in zip(parts, models, strict=True)
        ]
    )
    rows = len(first.C)
    if not (small < 1).all():
        return _no_tube(cells, first, small, models[-1])
    bounds, amplitude, old, states, shares = _recursion(
        of_cell, stack["P"], stack["C"], stack["B"], stack["G"], stack["ends"], stack["late"],
        stack["rest"], stack["bend"], stack["known"], stack["hold"], stack["known_D"],
        stack["known_bend"], stack["grow"], stack["S"], outside, back, begin, inject,
        cells.middle[:, 1:], errors.constant, n_r, n_q, _fading(len(of_cell), rest),
        cells.cell / 2,
    )  # fmt: skip
    bounds = bounds * (1 + ROUNDING)
    if not np.isfinite(bounds).all():
        return _no_tube(cells, first, small, models[-1])
    recent = bounds[_fading(len(of_cell), rest) :, :n_r].max(axis=0)
    last = _after(models[-1], outside[-1], old, states, errors.constant, recent)
    command = amplitude[:, _commands(first)].sum(axis=1)
    command_after = math.inf
    if np.isfinite(last[0]).all():
        now = outside[-1, :n_q] + models[-1].delta @ last[0][:n_r]
        command_after = float(now[_commands(first)].sum())
    names = (*first.names["channels"], "force error", "reference between samples", "reference",
             "constant force error", "start")  # fmt: skip
    return Tube(
        cell=cells.cell,
        errors=bounds[:, n_r:rows],
        seen=bounds[:, :n_r],
        command=command,
        errors_after=last[0][n_r:],
        seen_after=last[0][:n_r],
        command_after=command_after,
        small_gain=small,
        small_gain_after=last[1],
        abscissa_after=last[2],
        shares=_named(shares, names, n_q),
        names=first.names,
    )


def _fading(cells: int, rest: int) -> int:
    """Return the cell from which sources count as recent after the plan."""
    return min(cells - 1, rest + int(SETTLED * (cells - rest)))


def _commands(model: LinearModel) -> list[int]:
    """Return the channels whose sum bounds |T_held - T0|."""
    wanted = ("hold and latency", "estimator's lag")
    return [i for i, name in enumerate(model.names["channels"]) if name in wanted]


def _first_disturbance(loop: VerticalLoop) -> float:
    """Return the bound of d at the start: the observer starts with d^ = 0 at a noisy speed [N]."""
    return loop.observer * loop.mass * loop.noise_velocity


def _radius(matrix: Array) -> float:
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def _unknown(model: LinearModel) -> list[int]:
    """Return the columns of B of what is unknown: channels, force error, reference deviations."""
    n_q = len(model.delta)
    names = ("force error", "reference speed", "reference acceleration", "reference jerk")
    return [*range(n_q), *(n_q + model.names["outside"].index(name) for name in names)]


def _discretised(model: LinearModel, cell: float) -> dict[str, Array]:
    """Return what the recursion needs of one segment, each bound rounded up over a cell."""
    A, C = model.A, model.C
    columns = _unknown(model)
    known = columns[len(model.delta) + 1 :] + columns[len(model.delta) : len(model.delta) + 1]
    B, D = model.B[:, columns], model.D[:, columns]
    P, grow = expm(A * cell), expm(np.abs(A) * cell)
    square = np.abs(A @ A) @ grow
    bend = np.abs(C @ A @ A) @ grow
    right, left = np.abs(C @ B), np.abs(C @ P @ B)
    inside = cell * (right + left) / 2 + cell**3 / 12 * bend @ np.abs(B)
    n = len(A)
    block = np.zeros((2 * n, 2 * n))
    block[:n, :n], block[:n, n:] = A, np.eye(n)
    hold = expm(block * cell)[:n, n:]
    return {
        "P": P,
        "C": np.ascontiguousarray(C),
        "B": np.ascontiguousarray(B),
        "G": np.abs(D) + inside,
        "ends": cell / 2 * right,
        "late": np.ascontiguousarray(P @ B),
        "rest": cell**3 / 12 * square @ np.abs(B),
        "bend": cell**2 / 8 * bend,
        "known": np.ascontiguousarray(A),
        "hold": np.ascontiguousarray(hold @ model.B[:, known]),
        "known_D": np.concatenate([model.B[:, known], model.D[:, known]]),
        "known_bend": cell**2 / 8 * np.abs(C @ A) @ grow,
        "grow": grow,
        "S": model.delta,
    }


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
    w[:, hold] = _running_maximum(noise, reach)
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
        w[:, column] = _running_maximum(measured, reach)
    return w


def _running_maximum(values: Array, reach: int) -> Array:
    """Return the maximum over each value and the ``reach`` before it."""
    reach = min(reach, len(values) - 1)
    shifted = [np.r_[np.full(k, values[0]), values[: len(values) - k]] for k in range(reach + 1)]
    return np.asarray(np.max(shifted, axis=0), dtype=np.float64)


@compiled
def _recursion(
    of_cell: Any, P: Any, C: Any, B: Any, G: Any, ends: Any, late: Any, rest: Any, bend: Any,
    A: Any, hold: Any, known_D: Any, known_bend: Any, grow: Any, S: Any, outside: Any, back: Any,
    begin: Any, inject: Any, reference: Any, constant: float, n_r: int, n_q: int, fading: int,
    half: float,
) -> Any:  # fmt: skip
    """Walk over the cells; every node is the end of a source cell, carried to the present.

    Returns bounds (cells, rows), channel amplitudes (cells, channels), what sources before cell
    ``fading`` still amount to in the state at the end, the known states at the end, and the
    parts of the greatest height error by column. ``half``: half the length of a cell [s].
    """
    n, rows, n_x, n_w = len(of_cell), C.shape[1], P.shape[1], B.shape[2]
    n_c = n_w + n_x  # columns of a node: unknown inputs, and the state itself
    room = n + 2 * len(P) + 8
    X = np.zeros((room, n_x, n_c))
    amp = np.zeros((room, n_c))
    born = np.zeros(room, np.int64)
    nodes = 1
    for k in range(n_x):
        X[0, k, n_w + k] = 1.0
        amp[0, n_w + k] = begin[k]
    bounds, amplitude = np.zeros((n, rows)), np.zeros((n, n_q))
    x_known = np.zeros((n_x, 2))  # response to the reference; to the constant error
    weight = np.zeros((rows, n_c))
    at_left, at_right = np.zeros(rows), np.zeros(rows)
    known = np.zeros((rows, 2))
    magnitude = np.zeros(n_x)
    r, r_new, a, before = np.zeros(n_r), np.zeros(n_r), np.zeros(n_w), np.zeros((n_q, n_r))
    moved = np.zeros((n_x, n_c))
    greatest, shares = 0.0, np.zeros(n_c + 3)
    for i in range(n):
        b = of_cell[i]
        changed = i == 0 or of_cell[i - 1] != b
        if changed:  # another model looks at the same past
            at_left[:] = 0.0
            for node in range(nodes):
                for row in range(rows):
                    for c in range(n_c):
                        value = 0.0
                        for k in range(n_x):
                            value += C[b, row, k] * X[node, k, c]
                        at_left[row] += abs(value) * amp[node, c]
        magnitude[:] = 0.0
        weight[:, :] = 0.0
        for node in range(nodes):
            for k in range(n_x):
                value = 0.0
                for c in range(n_c):
                    value += abs(X[node, k, c]) * amp[node, c]
                magnitude[k] += value
            moved[:, :] = 0.0
            for k in range(n_x):
                for j in range(n_x):
                    p = P[b, k, j]
                    for c in range(n_c):
                        moved[k, c] += p * X[node, j, c]
            X[node] = moved
            for row in range(rows):
                for c in range(n_c):
                    value = 0.0
                    for k in range(n_x):
                        value += C[b, row, k] * moved[k, c]
                    weight[row, c] += abs(value) * amp[node, c]
        for row in range(rows):
            at_right[row] = weight[row].sum()
        # what is known: the reference with its middle, the constant error as a unit step
        for kind in range(2):
            for row in range(rows):
                direct, bent = 0.0, 0.0
                if kind == 0:
                    for c in range(3):
                        direct += known_D[b, n_x + row, c] * reference[i, c]
                else:
                    direct = known_D[b, n_x + row, 3]
                left, right = direct, direct
                for k in range(n_x):
                    slope = 0.0
                    later = 0.0
                    if kind == 0:
                        for c in range(3):
                            slope += known_D[b, k, c] * reference[i, c]
                            later += hold[b, k, c] * reference[i, c]
                    else:
                        slope, later = known_D[b, k, 3], hold[b, k, 3]
                    for j in range(n_x):
                        slope += A[b, k, j] * x_known[j, kind]
                        later += P[b, k, j] * x_known[j, kind]
                    left += C[b, row, k] * x_known[k, kind]
                    right += C[b, row, k] * later
                    bent += known_bend[b, row, k] * abs(slope)
                known[row, kind] = max(abs(left), abs(right)) + bent
        for kind in range(2):
            later_state = np.zeros(n_x)
            for k in range(n_x):
                for j in range(n_x):
                    later_state[k] += P[b, k, j] * x_known[j, kind]
                if kind == 0:
                    for c in range(3):
                        later_state[k] += hold[b, k, c] * reference[i, c]
                else:
                    later_state[k] += hold[b, k, 3]
            x_known[:, kind] = later_state
        # a jump inside this cell: at once, and as a state from the next cell on
        jumped = np.zeros(n_x)
        for k in range(n_x):
            for j in range(n_x):
                jumped[k] += grow[b, k, j] * inject[i, j]
        base = np.zeros(rows)
        for row in range(rows):
            base[row] = max(at_left[row], at_right[row]) + known[row, 0] + constant * known[row, 1]
            for k in range(n_x):
                base[row] += bend[b, row, k] * magnitude[k] + abs(C[b, row, k]) * jumped[k]
        for q in range(n_q):
            for j in range(n_r):
                before[q, j] = 0.0
                for m in range(max(0, i - back[q]), i):
                    before[q, j] = max(before[q, j], bounds[m, j])
        r[:] = 0.0
        for _ in range(400):
            for c in range(n_w):
                a[c] = outside[i, c]
            for q in range(n_q):
                for j in range(n_r):
                    a[q] += S[b, q, j] * max(r[j], before[q, j])
            change = 0.0
            for row in range(n_r):
                r_new[row] = base[row]
                for c in range(n_w):
                    r_new[row] += G[b, row, c] * a[c]
                change = max(change, (r_new[row] - r[row]) / (1e-300 + r_new[row]))
            r[:] = r_new
            if change < 1e-10:
                break
        for j in range(n_r):
            r[j] *= 1 + 1e-8  # past the fixed point, so that it is a bound
        for c in range(n_w):
            a[c] = outside[i, c]
        for q in range(n_q):
            for j in range(n_r):
                a[q] += S[b, q, j] * max(r[j], before[q, j])
            amplitude[i, q] = a[q]
        for row in range(rows):
            bounds[i, row] = base[row]
            for c in range(n_w):
                bounds[i, row] += G[b, row, c] * a[c]
        for row in range(n_r):
            if bounds[i, row] > r[row] * (1 + 1e-7) or not bounds[i, row] < 1e12:
                bounds[i, row] = np.inf
        if not bounds[i, n_r] < 1e12 or not np.isfinite(bounds[i]).all():
            bounds[:, :] = np.inf
            break
        if bounds[i, n_r] > greatest:
            greatest = bounds[i, n_r]
            for c in range(n_c):
                shares[c] = weight[n_r, c]
                if c < n_w:
                    shares[c] += G[b, n_r, c] * a[c]
            shares[n_c], shares[n_c + 1] = known[n_r, 0], constant * known[n_r, 1]
        # the cell just passed becomes a source: its two ends, and what the chord leaves
        if changed:
            X[nodes, :, :] = 0.0
            for k in range(n_x):
                for c in range(n_w):
                    X[nodes, k, c] = late[b, k, c]
            left_node = nodes
            born[nodes] = i
            nodes += 1
        else:
            left_node = nodes - 1
        X[nodes, :, :] = 0.0
        for k in range(n_x):
            X[nodes, k, n_w + k] = 1.0
            left_over = jumped[k]
            for c in range(n_w):
                X[nodes, k, c] = B[b, k, c]
                left_over += rest[b, k, c] * a[c]
            amp[nodes, n_w + k] = left_over
        born[nodes] = i
        for c in range(n_w):
            amp[left_node, c] += half * a[c]
            amp[nodes, c] += half * a[c]
        for row in range(rows):
            at_left[row] = at_right[row]
            for c in range(n_w):
                value = 0.0
                for k in range(n_x):
                    value += C[b, row, k] * late[b, k, c]
                at_left[row] += (abs(value) * half + ends[b, row, c]) * a[c]
            for k in range(n_x):
                at_left[row] += abs(C[b, row, k]) * amp[nodes, n_w + k]
        nodes += 1
    old = np.zeros(n_x)
    for node in range(nodes):
        if born[node] < fading:
            for k in range(n_x):
                for c in range(n_c):
                    old[k] += abs(X[node, k, c]) * amp[node, c]
    return bounds, amplitude, old, x_known, shares


def _after(
    model: LinearModel,
    outside: Array,
    old: Array,
    states: Array,
    constant: float,
    recent: Array,
) -> tuple[Array, float, float]:
    """Return bounds (rows,) for all time after the grid, rho(M S), and the spectral abscissa.

    Sources since the fade are counted as if they had always acted; what is older, and the known
    states, fade from where they are. The constant error ends in its steady state.
    """
    n_q, n_r = model.delta.shape
    rows = len(model.C)
    abscissa = float(np.linalg.eigvals(model.A).real.max())
    if abscissa >= 0:
        return np.full(rows, np.inf), math.inf, abscissa
    columns = _unknown(model)
    B, D = model.B[:, columns], model.D[:, columns]
    gains = peak_to_peak_gains(model.A, B, model.C, D)
    fade = greatest_response(model.A, model.C)
    force = model.B[:, columns[n_q]]
    steady = -np.linalg.solve(model.A, force)
    base = fade @ (old + np.abs(states[:, 0]) + constant * np.abs(states[:, 1] - steady))
    base += constant * np.abs(model.C @ steady + model.D[:, columns[n_q]])
    radius = _radius(gains[:n_r, :n_q] @ model.delta)
    if not radius < 1:
        return np.full(rows, np.inf), radius, abscissa
    r = recent.copy()
    total = np.zeros(rows)
    for _ in range(100_000):
        w = outside.copy()
        w[:n_q] += model.delta @ r
        total = (base + gains @ w) * (1 + ROUNDING)
        if (total[:n_r] <= r * (1 + 1e-9)).all():
            return total, radius, abscissa
        r = np.maximum(r, total[:n_r] * (1 + 1e-9))
    return np.full(rows, np.inf), radius, abscissa


def greatest_response(A: Array, C: Array, steps: int = 8192) -> Array:
    """Return bounds of sup_t |C e^{At}| element by element; A Hurwitz."""
    slowest = float(-np.linalg.eigvals(A).real.max())
    horizon = 20 / slowest
    cell = horizon / steps
    powers = np.eye(len(A))[None]
    while len(powers) <= steps:
        powers = np.concatenate([powers, powers @ expm(A * cell * len(powers))])
    powers = powers[: steps + 1]
    bent = np.abs(C @ A @ A @ powers).max(axis=0) @ expm(np.abs(A) * cell) * cell**2 / 8
    peak = np.abs(C @ powers).max(axis=0) + bent
    end = np.abs(powers[-1])
    if _radius(end) >= 0.5:
        return np.full(peak.shape, np.inf)
    return np.asarray(peak @ np.linalg.inv(np.eye(len(A)) - end) * (1 + 1e-9))


def _no_tube(cells: ReferenceCells, model: LinearModel, small: Array, last: LinearModel) -> Tube:
    n_r = model.delta.shape[1]
    n, outputs = len(cells.low), len(model.C) - n_r
    abscissa = float(np.linalg.eigvals(last.A).real.max())
    return Tube(
        cells.cell, np.full((n, outputs), np.inf), np.full((n, n_r), np.inf), np.full(n, np.inf),
        np.full(outputs, np.inf), np.full(n_r, np.inf), math.inf, small, math.inf, abscissa, {},
        model.names,
    )  # fmt: skip


def _named(shares: Array, names: Sequence[str], n_q: int) -> dict[str, float]:
    """Return the shares of the greatest height error by name; they add up to 1."""
    parts = [*shares[: n_q + 1], shares[n_q + 1 : n_q + 4].sum(), *shares[-3:-1]]
    parts.append(shares[n_q + 4 : -3].sum())
    total = sum(parts)
    return {name: float(p / total) for name, p in zip(names, parts, strict=True) if total > 0}
