"""Bounds over a time grid of what a linear model with uncertain channels can do.

Along the plan the model changes from one segment to the next, and its channels with it; it may
fall into blocks that meet only in what the channels see (``CoupledModel``). The recursion itself is
``volterra.walk``. On a grid of cells of length c every term is rounded up here. Over a cell, |g|
lies below the chord of its ends by at most s (c - s) / 2 sup |g''|, both where the source acts
(the trapezoid and c^3 / 12 sup |g''|) and where it is looked at (the larger end and
c^2 / 8 sup |g''|); the reference enters with its middle in each cell, its half-width counts as an
unknown input; no part of the history is dropped. Inside a cell r and a depend on each other through
D and the cell itself, which has one solution where rho(G S) < 1.

After the last cell the model does not change any more: r stays below the fixed point of the
time-invariant gains plus what the old sources still contribute.

Source: small gain on sup-norms (Desoer, Vidyasagar, "Feedback Systems", 1975), in its causal form:
a Volterra inequality with a non-negative kernel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag, expm

from neural_lander.controller import volterra
from neural_lander.controller.loop_model import LinearModel, peak_to_peak_gains

Array = npt.NDArray[np.float64]

ROUNDING = 1e-6
"""Relative margin on the result for rounding; a sum of 1e5 products in float64 needs 1e-11."""

SETTLED = 0.25
"""The share of the time after the plan's end that old sources get to fade."""

KNOWN = ("reference speed", "reference acceleration", "reference jerk", "force error")
"""Outside inputs that are known but for their deviations: the motion, and a constant of any size."""


@dataclass(frozen=True)
class Block:
    """x' = A x + B q + B_known k, r = C x + D q + D_known k; no other block's state enters."""

    A: Array
    B: Array
    """Columns: the block's channels, then its other unknown inputs."""
    C: Array
    """Rows: what channels see, then outputs."""
    D: Array
    B_known: Array
    """(states, 4) columns as ``KNOWN``."""
    D_known: Array
    """(rows, 4)"""
    channels: int
    seen: int

    @staticmethod
    def of(model: LinearModel, channels: int, seen: int, unknown: Sequence[str]) -> "Block":
        """Take out of a linear model its first ``channels`` inputs and the ``unknown`` ones."""
        n_q, outside = channels, model.names["outside"]
        columns = [*range(n_q), *(n_q + outside.index(name) for name in unknown)]
        known = [n_q + outside.index(name) for name in KNOWN]
        return Block(
            model.A, model.B[:, columns], model.C, model.D[:, columns], model.B[:, known],
            model.D[:, known], channels, seen,
        )  # fmt: skip


@dataclass(frozen=True)
class CoupledModel:
    """Blocks whose channels may see each other: |q_i(t)| <= w_i(t) + sum_j S_ij sup |r_j|."""

    blocks: tuple[Block, ...]
    S: Array
    """(all channels, all seen), block after block."""
    looks_back: Array
    """(all channels,) The sup is over the last so many seconds; 0: now, inf: all before."""


@dataclass(frozen=True)
class CausalBounds:
    """Bounds over every cell and for all time after the last; lists go block by block."""

    rows: list[Array]
    """(cells, rows)"""
    amplitude: Array
    """(cells, all channels) bounds of the channels' inputs, what comes from outside included."""
    rows_after: list[Array]
    """(rows,)"""
    amplitude_after: Array
    """(all channels,)"""
    small_gain: Array
    """(segments,) rho(G S) inside a cell: below 1."""
    small_gain_after: float
    """rho(M S) of the last model: below 1."""
    abscissa_after: float
    """Largest real part of the last model's eigenvalues [1/s]: below 0."""
    shares: list[Array]
    """What the greatest first output of a block is made of: unknown inputs, start, reference,
    constant error; they add up to 1."""


def bounds_along(
    models: Sequence[CoupledModel],
    of_cell: npt.NDArray[np.int64],
    cell: float,
    outside: Array,
    begin: Sequence[Array],
    inject: Sequence[Array],
    reference: Array,
    constant: Array,
    rest: int,
    shapes: Sequence[Array] | None = None,
) -> CausalBounds:
    """Return the bounds of models that follow each other; infinite where a condition fails.

    Args:
        models: all with the same blocks' sizes.
        of_cell: (cells,) which model holds in each cell.
        cell: length of a cell [s].
        outside: (cells, all unknown inputs) bounds of what comes from outside, block after block.
        begin: bounds of the states at the start, or of the start's independent parts, by block.
        inject: (cells, states) bounds of jumps of the states inside a cell, block by block.
        reference: (cells, blocks, 3) middles of the known motion, as the first three of ``KNOWN``.
        constant: (blocks,) bounds of the constant force error.
        rest: cell from which on the last model holds and the reference is at rest.
        shapes: (states, states) by block: what each independent part of the start is as a state, by
            column; None: each is one state.
    """
    blocks = models[0].blocks
    parts = [[_discretised(block, cell) for block in model.blocks] for model in models]
    sizes = np.array(
        [(len(b.A), b.B.shape[1], b.channels, b.seen, len(b.C)) for b in blocks], dtype=np.int64
    )
    gains = [block_diag(*(p["G"][: b.seen, : b.channels] for p, b in zip(ps, blocks, strict=True)))
             for ps in parts]  # fmt: skip
    small = np.array([_radius(g @ m.S) for g, m in zip(gains, models, strict=True)])
    if not (small < 1).all():
        return _no_bounds(models, len(of_cell), small)
    back = np.where(
        np.isinf(models[0].looks_back),
        len(of_cell),
        np.ceil(np.where(np.isinf(models[0].looks_back), 0, models[0].looks_back) / cell - 1e-9),
    ).astype(np.int64)
    fading = rest + int((len(of_cell) - rest) * SETTLED)
    n_x = int(sizes[:, 0].max())
    shapes = shapes or [np.eye(len(b.A)) for b in blocks]
    stack = {key: _padded([[p[key] for p in ps] for ps in parts]) for key in parts[0][0]}
    values, amplitude, old, states, shares = volterra.walk(
        of_cell, sizes, stack["P"], stack["C"], stack["B"], stack["G"], stack["ends"],
        stack["late"], stack["rest"], stack["bend"], stack["A"], stack["hold"], stack["known_x"],
        stack["known_r"], stack["known_bend"], stack["grow"], np.stack([m.S for m in models]),
        outside, back, np.stack([np.pad(b, (0, n_x - len(b))) for b in begin]),
        np.stack([np.pad(s, (0, n_x - len(s))) for s in shapes]),
        np.stack([np.pad(j, ((0, 0), (0, n_x - j.shape[1]))) for j in inject], axis=1),
        np.ascontiguousarray(reference), constant, fading, cell / 2,
    )  # fmt: skip
    values = values * (1 + ROUNDING)
    if not np.isfinite(values).all():
        return _no_bounds(models, len(of_cell), small)
    rows = [values[:, b, : sizes[b, 4]] for b in range(len(blocks))]
    recent = np.concatenate(
        [r[fading:, : b.seen].max(axis=0) for r, b in zip(rows, blocks, strict=True)]
    )
    after, radius, abscissa = _after(models[-1], outside[-1], old, states, constant, recent)
    now = np.full(len(models[-1].S), np.inf)
    if all(np.isfinite(a).all() for a in after):
        seen = np.concatenate([a[: b.seen] for a, b in zip(after, blocks, strict=True)])
        at = _channel_places(blocks)
        now = outside[-1][at] + models[-1].S @ seen
    return CausalBounds(
        rows, amplitude, after, now, small, radius, abscissa,
        [_parts(s, size, n_x) for s, size in zip(shares, sizes, strict=True)],
    )  # fmt: skip


def _channel_places(blocks: Sequence[Block]) -> list[int]:
    """Return where the channels stand among all unknown inputs."""
    places: list[int] = []
    at = 0
    for block in blocks:
        places += range(at, at + block.channels)
        at += block.B.shape[1]
    return places


def _parts(shares: Array, size: npt.NDArray[np.int64], n_x: int) -> Array:
    """Return unknown inputs, start, reference, constant error as shares of 1."""
    n_w = size[1]
    found = np.array([*shares[:n_w], shares[n_w:-3].sum(), *shares[-3:-1]])
    return np.asarray(found / max(found.sum(), 1e-300))


def _padded(arrays: list[list[Array]]) -> Array:
    """Stack (models, blocks) of matrices of unequal sizes, zeros after each."""
    shape = np.max([[a.shape for a in row] for row in arrays], axis=(0, 1))
    result = np.zeros((len(arrays), len(arrays[0]), *shape))
    for i, row in enumerate(arrays):
        for j, a in enumerate(row):
            result[i, j, : a.shape[0], : a.shape[1]] = a
    return result


def _radius(matrix: Array) -> float:
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def _discretised(block: Block, cell: float) -> dict[str, Array]:
    """Return what the recursion needs of one block, each bound rounded up over a cell."""
    A, B, C = block.A, block.B, block.C
    P, grow = expm(A * cell), expm(np.abs(A) * cell)
    square = np.abs(A @ A) @ grow
    bend = np.abs(C @ A @ A) @ grow
    right, left = np.abs(C @ B), np.abs(C @ P @ B)
    inside = cell * (right + left) / 2 + cell**3 / 12 * bend @ np.abs(B)
    n = len(A)
    twice = np.zeros((2 * n, 2 * n))
    twice[:n, :n], twice[:n, n:] = A, np.eye(n)
    hold = expm(twice * cell)[:n, n:]
    return {
        "P": P,
        "C": C,
        "B": B,
        "G": np.abs(block.D) + inside,
        "ends": cell / 2 * right,
        "late": P @ B,
        "rest": cell**3 / 12 * square @ np.abs(B),
        "bend": cell**2 / 8 * bend,
        "A": A,
        "hold": hold @ block.B_known,
        "known_x": block.B_known,
        "known_r": block.D_known,
        "known_bend": cell**2 / 8 * np.abs(C @ A) @ grow,
        "grow": grow,
    }


def running_maximum(values: Array, reach: int) -> Array:
    """Return the maximum over each value (cells, ...) and the ``reach`` before it."""
    reach = min(reach, len(values) - 1)
    first = values[:1]
    shifted = [
        np.concatenate([np.repeat(first, k, axis=0), values[: len(values) - k]])
        for k in range(reach + 1)
    ]
    return np.asarray(np.max(shifted, axis=0), dtype=np.float64)


def _after(
    model: CoupledModel, outside: Array, old: Array, states: Array, constant: Array, recent: Array
) -> tuple[list[Array], float, float]:
    """Return bounds for all time after the grid by block, rho(M S), and the spectral abscissa.

    Sources since the fade are counted as if they had always acted; what is older, and the known
    states, fade from where they are. The constant error ends in its steady state.
    """
    blocks = model.blocks
    abscissa = max(float(np.linalg.eigvals(b.A).real.max()) for b in blocks)
    none = [np.full(len(b.C), np.inf) for b in blocks]
    if abscissa >= 0:
        return none, math.inf, abscissa
    gains, base = [], []
    for i, b in enumerate(blocks):
        n_x = len(b.A)
        gains.append(peak_to_peak_gains(b.A, b.B, b.C, b.D))
        fade = greatest_response(b.A, b.C)
        steady = -np.linalg.solve(b.A, b.B_known[:, 3])
        fading = old[i, :n_x] + np.abs(states[i, :n_x, 0])
        fading += constant[i] * np.abs(states[i, :n_x, 1] - steady)
        base.append(fade @ fading + constant[i] * np.abs(b.C @ steady + b.D_known[:, 3]))
    seen = block_diag(*(g[: b.seen, : b.channels] for g, b in zip(gains, blocks, strict=True)))
    if not np.isfinite(seen).all():
        return none, math.inf, abscissa
    radius = _radius(seen @ model.S)
    if not radius < 1:
        return none, radius, abscissa
    places = _channel_places(blocks)
    starts = np.cumsum([0, *(b.B.shape[1] for b in blocks)])
    r = recent.copy()
    for _ in range(100_000):
        w = outside.copy()
        w[places] += model.S @ r
        total = [
            (base[i] + gains[i] @ w[starts[i] : starts[i + 1]]) * (1 + ROUNDING)
            for i in range(len(blocks))
        ]
        found = np.concatenate([t[: b.seen] for t, b in zip(total, blocks, strict=True)])
        if (found <= r * (1 + 1e-9)).all():
            return total, radius, abscissa
        r = np.maximum(r, found * (1 + 1e-9))
    return none, radius, abscissa


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


def _no_bounds(models: Sequence[CoupledModel], cells: int, small: Array) -> CausalBounds:
    blocks = models[-1].blocks
    abscissa = max(float(np.linalg.eigvals(b.A).real.max()) for b in blocks)
    n_q = len(models[-1].S)
    return CausalBounds(
        [np.full((cells, len(b.C)), np.inf) for b in blocks], np.full((cells, n_q), np.inf),
        [np.full(len(b.C), np.inf) for b in blocks], np.full(n_q, np.inf), small, math.inf,
        abscissa, [],
    )  # fmt: skip
