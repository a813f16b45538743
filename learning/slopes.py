"""How steep a residual network can be: sound bounds of its slopes over a box of inputs.

The network is piecewise linear; on each piece its slope is

    df/du = s W_n G_{n-1} W_{n-1} ... G_1 W_1 diag(scale),      G_k diagonal, gates 0 or 1

Over a box of inputs some gates are known and the others may take either value (at a kink: all of
[0, 1]). Two linear relaxations bound what that can do, both propagated backwards through the
layers (CROWN): one of relu(y) between two lines, for the pre-activations y, which decides the
gates; one of g t, 0 <= g <= 1, between two lines in t, for the tangents t = dy/du. The bound of
a box is sound but loose; boxes are halved where the bound exceeds the steepest slope sampled so
far, until the two agree within a gap. The largest bound left is the answer: a slope inside the
box cannot be larger, and the sampled slope beside it says how far from the truth it can be.

Bounds hold for secants too: along a straight line in the box a secant is a mean of slopes.

Sources: Zhang et al., "Efficient Neural Network Robustness Certification with General
Activation Functions" (CROWN), NeurIPS 2018; Zhang et al., "RecurJac", AAAI 2019.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError
from neural_lander.controller.loop_model import VerticalSlopes
from neural_lander.controller.network import SOURCES, Network

Array = npt.NDArray[np.float64]
Interval = tuple[float, float]
Box = Mapping[str, Interval]
"""Input -> (low, high) in SI: height [m], vertical_speed [m/s], collective_thrust [N]."""

UNITS = {"height": "N/m", "vertical_speed": "N/(m/s)", "collective_thrust": "N/N"}
"""Input -> unit of the slope of the force in it."""

AXES = ("x", "y", "z")
"""Rows of the force, in the network's frame; z is the world's in either."""

METHOD = "CROWN intervals of gates and tangents, box splitting"

WIDENING = 1e-9
"""Relative outward widening. A chain of at most 8 layers, 128 wide, in float64 is off by less than
8 * 128 * 2^-53 < 2e-13 of the magnitudes summed; this leaves three orders to spare, also for the
flight code, whose own rounding moves a kink by as little."""

CHUNK = 256
"""Boxes bounded at once; their matrices fit a core's cache."""


@dataclass(frozen=True)
class SlopeIntervals:
    """Bounds of the slopes of the force in each input over a box.

    Arrays are (3, inputs): row x, y, z of the force, columns as ``names``; SI (see ``UNITS``).
    """

    names: tuple[str, ...]
    lower: Array
    upper: Array
    sampled_lower: Array
    """Least slope found by sampling: ``lower`` cannot be above it."""
    sampled_upper: Array
    """Greatest slope found by sampling: ``upper`` cannot be below it."""
    box: dict[str, Interval] = field(default_factory=dict)
    method: str = METHOD
    boxes: int = 1
    """Number of boxes that were bounded."""

    def interval(self, axis: str, name: str) -> Interval:
        """Return (lower, upper) of d force[axis] / d input; a missing input has slope 0."""
        if name not in self.names:
            return 0.0, 0.0
        row, column = AXES.index(axis), self.names.index(name)
        return float(self.lower[row, column]), float(self.upper[row, column])

    def with_zero(self) -> "SlopeIntervals":
        """Return the intervals widened to contain 0, as needed where inputs leave their clamps."""
        return replace(
            self,
            lower=np.minimum(self.lower, 0),
            upper=np.maximum(self.upper, 0),
            sampled_lower=np.minimum(self.sampled_lower, 0),
            sampled_upper=np.maximum(self.sampled_upper, 0),
        )

    def vertical(self) -> VerticalSlopes:
        """Return what the vertical loop needs: the slopes of the vertical force."""
        return VerticalSlopes(*(self.interval("z", name) for name in UNITS))

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "box": {name: list(interval) for name, interval in self.box.items()},
            "method": self.method,
            "boxes": self.boxes,
            "intervals": [
                {
                    "force": axis,
                    "input": name,
                    "unit": UNITS[name],
                    "lower": float(self.lower[i, j]),
                    "upper": float(self.upper[i, j]),
                    "sampled_lower": float(self.sampled_lower[i, j]),
                    "sampled_upper": float(self.sampled_upper[i, j]),
                }
                for i, axis in enumerate(AXES)
                for j, name in enumerate(self.names)
            ],
        }


def slope_intervals(
    network: Network,
    box: Box,
    relative_gap: float = 0.02,
    budget_s: float = 20.0,
    max_boxes: int = 8_000,
    tight: tuple[str, ...] = ("z",),
) -> SlopeIntervals:
    """Bound the slopes of ``network`` in its inputs over ``box``.

    Splits until bound and best sample of the rows ``tight`` agree within ``relative_gap`` of the
    steeper end of each interval, or the number of boxes or the time is spent; the bounds are
    sound whenever it stops (where kinks meet they may stay above every slope there is). Time is
    a last resort: 8000 boxes of a 25-30-15 network take about two seconds. Where the box reaches
    beyond an input's clamp, the network is flat there, and that input's intervals contain 0.

    Raises:
        InputError: the network has other inputs than the three, or the box lacks one, is empty
            or not finite.
    """
    names = _names(network)
    low, high, beyond = _clamped(network, box, names)
    layers = _layers(network)
    search = _Search(layers, low, high, [AXES.index(axis) for axis in tight])
    search.run(relative_gap, time.monotonic() + budget_s, max_boxes)
    lower, upper = _widened(layers, search)
    return SlopeIntervals(
        names=names,
        lower=np.where(beyond, np.minimum(lower, 0), lower),
        upper=np.where(beyond, np.maximum(upper, 0), upper),
        sampled_lower=np.where(beyond, np.minimum(search.found_lower, 0), search.found_lower),
        sampled_upper=np.where(beyond, np.maximum(search.found_upper, 0), search.found_upper),
        box={name: (float(box[name][0]), float(box[name][1])) for name in names},
        boxes=search.bounded,
    )


def bound_slopes(
    layers: "Layers",
    low: Array,
    high: Array,
    relative_gap: float,
    max_boxes: int,
    tight: list[int] | None = None,
) -> tuple[Array, Array]:
    """Return bounds (outputs, inputs) of the slopes of plain layers over a box of their inputs.

    ``tight``: the outputs whose gap decides where to split; None: all.
    """
    search = _Search(layers, low, high, tight or list(range(len(layers[-1][0]))))
    search.run(relative_gap, math.inf, max_boxes)
    return _widened(layers, search)


def decided_gates(
    layers: "Layers", low: Array, high: Array
) -> list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
    """Return for each hidden layer which neurons are open all over a box, and which undecided."""
    on, undecided = _gates(layers, low[None], high[None])
    return [(a[0], b[0]) for a, b in zip(on, undecided, strict=True)]


def _widened(layers: "Layers", search: "_Search") -> tuple[Array, Array]:
    """Return the bounds of a search, outward by more than rounding can be."""
    magnitude = np.eye(layers[0][0].shape[1])
    for weight, _ in layers:
        magnitude = np.abs(weight) @ magnitude
    lower = search.lower - WIDENING * np.abs(search.lower) - 1e-3 * WIDENING * magnitude
    upper = search.upper + WIDENING * np.abs(search.upper) + 1e-3 * WIDENING * magnitude
    return np.asarray(lower), np.asarray(upper)


def layer_norm_bound(network: Network) -> dict[str, Any]:
    """Return the product of the layers' exact largest singular values, with the scaling inside.

    ``dimensionless``: from the first layer's inputs to the last layer's outputs. ``inputs``: the
    same for each input in SI, N/m, N/(m/s), N/N ..., input and output scaling included.
    """
    product = math.prod(float(np.linalg.norm(w, 2)) for w in network.weights) * (1 + WIDENING)
    return {
        "dimensionless": product,
        "inputs": {
            entry.name: product
            * abs(entry.scale / SOURCES[entry.name][2][entry.unit] * network.output_scale)
            for entry in network.inputs
        },
    }


def slopes_at(network: Network, u: Array) -> Array:
    """Return the slopes (..., 3, inputs) at inputs u (..., inputs) inside the clamps, in SI."""
    return tangents_at(_layers(network), np.asarray(u, dtype=np.float64))


Layers = list[tuple[Array, Array]]
"""Weights [out, in] and biases; the first takes inputs in SI, the last gives newton."""


def _names(network: Network) -> tuple[str, ...]:
    names = tuple(entry.name for entry in network.inputs)
    for name in names:
        if name not in UNITS:
            raise InputError(
                f"the network has the input {name!r}; slopes are bounded for networks of "
                f"{', '.join(UNITS)} only: train one with these inputs"
            )
    return names


def _clamped(network: Network, box: Box, names: tuple[str, ...]) -> tuple[Array, Array, Array]:
    """Return the box inside the clamps, and which inputs leave their clamp somewhere in the box."""
    low, high = np.empty(len(names)), np.empty(len(names))
    beyond = np.zeros(len(names), dtype=bool)
    for i, entry in enumerate(network.inputs):
        unit = UNITS[entry.name].removeprefix("N/").strip("()")
        if entry.name not in box:
            raise InputError(f"the box lacks the input {entry.name!r} (low, high) [{unit}]")
        a, b = map(float, box[entry.name])
        if not (math.isfinite(a) and math.isfinite(b) and a <= b):
            raise InputError(
                f"the box holds {entry.name} from {a} to {b} {unit}; expected finite, low <= high"
            )
        si = SOURCES[entry.name][2][entry.unit]
        low[i], high[i] = np.clip([a, b], entry.low * si, entry.high * si)
        beyond[i] = a < entry.low * si or b > entry.high * si
    return low, high, beyond


def _layers(network: Network) -> Layers:
    """Return the layers with the scaling of inputs (SI) and output (N) folded in."""
    scale = np.array([e.scale / SOURCES[e.name][2][e.unit] for e in network.inputs])
    offset = np.array([e.offset for e in network.inputs])
    layers = [(w.copy(), b.copy()) for w, b in zip(network.weights, network.biases, strict=True)]
    weight, bias = layers[0]
    layers[0] = (weight * scale, bias + weight @ offset)
    weight, bias = layers[-1]
    layers[-1] = (weight * network.output_scale, bias * network.output_scale)
    return layers


def tangents_at(layers: Layers, u: Array) -> Array:
    """Return the slopes (..., outputs, inputs) of plain layers at u (..., inputs)."""
    weight, bias = layers[0]
    batch, n = u.shape[:-1], weight.shape[1]
    y = u.reshape(-1, n) @ weight.T + bias
    tangent = np.broadcast_to(
        weight.T, (len(y), n, len(weight))
    )  # of each input, (points, n, width)
    for weight, bias in layers[1:]:
        gate = y > 0
        y = np.where(gate, y, 0) @ weight.T + bias
        open_ = np.where(gate[:, None, :], tangent, 0).reshape(-1, weight.shape[1])
        tangent = (open_ @ weight.T).reshape(len(y), n, len(weight))
    return np.asarray(np.swapaxes(tangent, -1, -2).reshape(*batch, -1, n))


class _Search:
    """Branch and bound on the box: halve where bound and best sample are furthest apart."""

    def __init__(self, layers: Layers, low: Array, high: Array, tight: list[int]) -> None:
        self.layers, self.tight = layers, tight
        self.rng = np.random.default_rng(0)
        self.low, self.high = low[None], high[None]
        self.box_lower, self.box_upper, self.cut = _bound(layers, self.low, self.high)
        self.bounded = 1
        shape = self.box_lower.shape[1:]
        self.done_lower, self.done_upper = np.full(shape, np.inf), np.full(shape, -np.inf)
        self.found_lower, self.found_upper = np.full(shape, np.inf), np.full(shape, -np.inf)
        self._sample(
            np.broadcast_to(low, (1024, len(low))), np.broadcast_to(high, (1024, len(low)))
        )

    @property
    def lower(self) -> Array:
        """Least lower bound over all boxes."""
        return np.asarray(np.minimum(self.done_lower, self.box_lower.min(axis=0, initial=np.inf)))

    @property
    def upper(self) -> Array:
        """Greatest upper bound over all boxes."""
        return np.asarray(np.maximum(self.done_upper, self.box_upper.max(axis=0, initial=-np.inf)))

    def run(self, relative_gap: float, deadline: float, max_boxes: int) -> None:
        """Split boxes until the gap is closed or the budget spent."""
        while True:
            excess = self._excess(relative_gap)
            self._retire(excess <= 0)
            excess = excess[excess > 0]
            if not len(excess) or self.bounded >= max_boxes or time.monotonic() > deadline:
                return
            order = np.argsort(-excess, kind="stable")
            self._split(order[:CHUNK])

    def _excess(self, relative_gap: float) -> Array:
        """Return by how much each box's bounds exceed the samples, less the gap allowed."""
        scale = np.maximum(np.abs(self.found_lower), np.abs(self.found_upper))
        above = self.box_upper - self.found_upper
        below = self.found_lower - self.box_lower
        allowed = relative_gap * scale + 1e-12
        share = (np.maximum(above, below) - allowed) / allowed
        return np.asarray(share[:, self.tight].max(axis=(1, 2)))

    def _retire(self, mask: npt.NDArray[np.bool_]) -> None:
        """Keep only the bounds of boxes that need no splitting."""
        self.done_lower = np.minimum(
            self.done_lower, self.box_lower[mask].min(axis=0, initial=np.inf)
        )
        self.done_upper = np.maximum(
            self.done_upper, self.box_upper[mask].max(axis=0, initial=-np.inf)
        )
        self._keep(~mask)

    def _keep(self, mask: npt.NDArray[np.bool_]) -> None:
        self.low, self.high, self.cut = self.low[mask], self.high[mask], self.cut[mask]
        self.box_lower, self.box_upper = self.box_lower[mask], self.box_upper[mask]

    def _split(self, chosen: npt.NDArray[np.intp]) -> None:
        """Halve the chosen boxes; a child's bound is never looser than its parent's."""
        rows = np.arange(len(chosen))
        axis = self.cut[chosen]
        low, high = self.low[chosen], self.high[chosen]
        middle = (low[rows, axis] + high[rows, axis]) / 2
        left_high, right_low = high.copy(), low.copy()
        left_high[rows, axis] = right_low[rows, axis] = middle
        low, high = np.concatenate([low, right_low]), np.concatenate([left_high, high])
        lower, upper, cut = _bound(self.layers, low, high)
        lower = np.maximum(lower, np.tile(self.box_lower[chosen], (2, 1, 1)))
        upper = np.minimum(upper, np.tile(self.box_upper[chosen], (2, 1, 1)))
        self.bounded += len(low)
        self._sample(low, high)
        mask = np.ones(len(self.low), dtype=bool)
        mask[chosen] = False
        self._keep(mask)
        self.low, self.high = np.concatenate([self.low, low]), np.concatenate([self.high, high])
        self.cut = np.concatenate([self.cut, cut])
        self.box_lower = np.concatenate([self.box_lower, lower])
        self.box_upper = np.concatenate([self.box_upper, upper])

    def _sample(self, low: Array, high: Array) -> None:
        """Look at one slope at a random place of every box (a centre may lie on a kink)."""
        slopes = tangents_at(self.layers, low + (high - low) * self.rng.random(low.shape))
        self.found_lower = np.minimum(self.found_lower, slopes.min(axis=0))
        self.found_upper = np.maximum(self.found_upper, slopes.max(axis=0))


def _bound(layers: Layers, low: Array, high: Array) -> tuple[Array, Array, npt.NDArray[np.intp]]:
    """Bound the slopes over each box (B, inputs): lower, upper (B, 3, inputs), and where to halve.

    A box is halved across the input that moves the undecided pre-activations most.
    """
    on, undecided = _gates(layers, low, high)
    n = low.shape[1]
    lower = np.empty((len(low), len(layers[-1][0]), n))
    upper = np.empty_like(lower)
    reach = np.zeros((len(low), n))
    for i in range(n):
        tangents = _tangents(layers, on, undecided, i)
        lower[..., i], upper[..., i] = tangents[-1]
        for (t_low, t_high), open_ in zip(tangents, undecided, strict=False):
            reach[:, i] += np.where(open_, np.maximum(np.abs(t_low), np.abs(t_high)), 0).sum(axis=1)
    return lower, upper, np.argmax(reach * (high - low), axis=1)


Gate = npt.NDArray[np.bool_]
"""Of one hidden layer, (B, width)."""
Gates = list[Gate]
"""Per hidden layer."""


def _gates(layers: Layers, low: Array, high: Array) -> tuple[Gates, Gates]:
    """Return which gates are open all over each box, and which may be either."""
    centre, radius = (low + high) / 2, (high - low) / 2
    magnitude = np.maximum(np.abs(low), np.abs(high))
    lines: list[Lines] = []
    on: Gates = []
    undecided: Gates = []
    for k, (weight, bias) in enumerate(layers[:-1]):
        magnitude = magnitude @ np.abs(weight).T + np.abs(bias)
        slack = WIDENING * magnitude
        y_low, y_high = (
            _through(layers, lines, k, sign, biased=True, centre=centre, radius=radius)
            + sign * slack
            for sign in (-1, 1)
        )
        on.append(y_low > 0)
        undecided.append((y_low <= 0) & (y_high >= 0))
        lines.append(_relu_lines(y_low, y_high))
    return on, undecided


Lines = tuple[Array, Array, Array, Array]
"""Lower slope and intercept, upper slope and intercept of a nonlinearity, per box and neuron."""


def _relu_lines(low: Array, high: Array) -> Lines:
    """Return lines below and above relu(y) for y in [low, high]."""
    mixed = (low < 0) & (high > 0)
    width = np.where(mixed, high - low, 1.0)
    active = (low >= 0).astype(np.float64)
    above = np.where(mixed, high / width, active)
    below = np.where(mixed, (high > -low).astype(np.float64), active)
    return below, np.zeros_like(low), above, np.where(mixed, -low * high / width, 0.0)


def _gated_lines(low: Array, high: Array, on: Gate, undecided: Gate) -> Lines:
    """Return lines below and above g t for t in [low, high], g open, shut or anything in [0, 1]."""
    mixed = (low < 0) & (high > 0)
    width = np.where(mixed, high - low, 1.0)
    below = np.where(mixed, -low / width, (high <= 0).astype(np.float64))
    above = np.where(mixed, high / width, (low >= 0).astype(np.float64))
    bend = np.where(mixed & undecided, low * high / width, 0.0)
    shut_or_open = on.astype(np.float64)
    return (
        np.where(undecided, below, shut_or_open),
        bend,
        np.where(undecided, above, shut_or_open),
        -bend,
    )


def _tangents(layers: Layers, on: Gates, undecided: Gates, i: int) -> list[tuple[Array, Array]]:
    """Return bounds of the tangents d y_k / d u_i of every layer, the output's last."""
    batch = len(on[0]) if on else 1
    column = np.broadcast_to(layers[0][0][:, i], (batch, len(layers[0][0])))
    bounds = [(column, column)]
    lines: list[Lines] = []
    for k in range(1, len(layers)):
        lines.append(_gated_lines(*bounds[-1], on[k - 1], undecided[k - 1]))
        low, high = (
            _through(layers, lines, k, sign, biased=False, start=column) for sign in (-1, 1)
        )
        bounds.append((low, high))
    return bounds


def _through(
    layers: Layers,
    lines: list[Lines],
    k: int,
    sign: int,
    biased: bool,
    centre: Array | None = None,
    radius: Array | None = None,
    start: Array | None = None,
) -> Array:
    """Return the upper (sign +1) or lower (-1) bounds (B, width) of layer k's linear output.

    Goes back from layer k to the input, replacing each nonlinearity by the line that errs on the
    right side. Ends in the box centre +- radius, or, for tangents, in the known first tangent
    ``start``.
    """
    weight, bias = layers[k]
    a = weight[None]
    total = bias[None] if biased else np.zeros((1, len(weight)))
    for j in range(k - 1, -1, -1):
        low_slope, low_shift, high_slope, high_shift = lines[j]
        if sign < 0:
            low_slope, low_shift, high_slope, high_shift = (
                high_slope,
                high_shift,
                low_slope,
                low_shift,
            )
        plus, minus = np.maximum(a, 0), np.minimum(a, 0)
        total = total + (plus @ high_shift[..., None] + minus @ low_shift[..., None])[..., 0]
        a = plus * high_slope[:, None, :] + minus * low_slope[:, None, :]
        if biased:
            total = total + a @ layers[j][1]
        if j > 0 or start is None:
            a = a @ layers[j][0]
    if start is not None:
        return np.asarray(total + (a @ start[..., None])[..., 0])
    assert centre is not None
    assert radius is not None
    spread = (np.abs(a) @ radius[..., None])[..., 0]
    return np.asarray(total + (a @ centre[..., None])[..., 0] + sign * spread)
