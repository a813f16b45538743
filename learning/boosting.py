"""Gradient boosting: a sum of small regression trees, a baseline that knows no physics.

Each tree is fitted to what those before it left over, and a share of it is added:

    F_k = F_(k-1) + rate * tree_k(x),    tree_k by least squares to y - F_(k-1) - o_flight

Splits are sought among quantiles of each input, all nodes of a level at once. It has no slope
bound, being piecewise constant: it can judge a network, not fly.

Source: Friedman, "Greedy function approximation: a gradient boosting machine", Ann. Stat. 29, 2001.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neural_lander.controller.network import NetworkInput
from neural_lander.controller.residual import ResidualInput
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.dataset import features

Array = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

TREES, DEPTH, RATE = 150, 4, 0.08
"""Trees, levels of each, and share of each that is added."""

BINS = 48
"""Quantiles of an input among which a split is sought."""

FEWEST = 30
"""Rows that a leaf has at least."""

SHRINK = 5.0
"""A leaf's mean is taken over this many more rows, of value zero."""


@dataclass(frozen=True)
class Tree:
    """A full tree of ``DEPTH`` levels; node 0 is the root, children of k are 2k + 1 and 2k + 2."""

    feature: Numbers
    """Input asked for at each inner node."""
    split: Numbers
    """Rows whose bin is above this go right."""
    leaf: Array
    """Value of each leaf."""

    def values(self, bins: Numbers) -> Array:
        """Return the leaf's value for each row of ``bins`` (n, inputs)."""
        node = np.zeros(len(bins), dtype=np.int64)
        rows = np.arange(len(bins))
        for _ in range(DEPTH):
            right = bins[rows, self.feature[node]] > self.split[node]
            node = 2 * node + 1 + right
        return np.asarray(self.leaf[node - (2**DEPTH - 1)])


@dataclass(frozen=True)
class BoostedTrees:
    """Vertical force by boosted trees. Implements ``ResidualModel``."""

    vehicle: Vehicle
    inputs: tuple[NetworkInput, ...]
    edges: Array
    """Limits between bins of each input (inputs, BINS - 1)."""
    trees: tuple[Tree, ...]
    """Each adds RATE times its value, in weights."""

    def force(self, state: ResidualInput) -> Array:
        """Return the force in the world frame (n, 3) [N]."""
        bins = binned(features(self.inputs, state, self.vehicle), self.edges)
        up = RATE * self.vehicle.weight * sum(tree.values(bins) for tree in self.trees)
        return np.stack([np.zeros(len(bins)), np.zeros(len(bins)), up + np.zeros(len(bins))], -1)


def fit_boosted_trees(
    inputs: Sequence[NetworkInput], x: Array, y: Array, flight: Numbers, vehicle: Vehicle
) -> BoostedTrees:
    """Fit trees to vertical forces ``y`` (n,) [weights] at inputs ``x`` (n, inputs).

    A constant of each ``flight`` (n,) is taken out of what is left before every tree.
    """
    edges = np.quantile(x, np.linspace(0, 1, BINS + 1)[1:-1], axis=0).T
    bins, count = binned(x, edges), np.bincount(flight)
    rest, trees = y.copy(), []
    for _ in range(TREES):
        rest -= (np.bincount(flight, rest) / np.maximum(count, 1))[flight]
        tree = _grown(bins, rest)
        rest -= RATE * tree.values(bins)
        trees.append(tree)
    return BoostedTrees(vehicle, tuple(inputs), edges, tuple(trees))


def binned(x: Array, edges: Array) -> Numbers:
    """Return the number of the bin of each input (n, inputs)."""
    columns = [np.searchsorted(e, c) for e, c in zip(edges, x.T, strict=True)]
    return np.stack(columns, axis=1).astype(np.int64)


def _grown(bins: Numbers, rest: Array) -> Tree:
    """Return the tree whose every split lowers the sum of squares most, level by level."""
    inner = 2**DEPTH - 1
    feature, split = np.zeros(inner, dtype=np.int64), np.full(inner, BINS, dtype=np.int64)
    node = np.zeros(len(rest), dtype=np.int64)
    for level in range(DEPTH):
        first, nodes = 2**level - 1, 2**level
        best = np.zeros(nodes)
        for k in range(bins.shape[1]):
            place = (node - first) * BINS + bins[:, k]
            total = np.bincount(place, rest, nodes * BINS).reshape(nodes, BINS).cumsum(axis=1)
            count = np.bincount(place, minlength=nodes * BINS).reshape(nodes, BINS).cumsum(axis=1)
            gain = _gain(total, count)
            at = gain.argmax(axis=1)
            better = np.flatnonzero(gain[np.arange(nodes), at] > best)
            best[better] = gain[better, at[better]]
            feature[first + better], split[first + better] = k, at[better]
        right = bins[np.arange(len(rest)), feature[node]] > split[node]
        node = 2 * node + 1 + right
    leaf = node - inner
    sums, count = (np.bincount(leaf, w, 2**DEPTH) for w in (rest, np.ones(len(rest))))
    return Tree(feature, split, sums / (count + SHRINK))


def _gain(left: Array, count: Numbers) -> Array:
    """Return what each split (nodes, bins) saves, given running sums and counts from the left."""
    right, right_count = left[:, -1:] - left, count[:, -1:] - count
    saved = left**2 / np.maximum(count, 1) + right**2 / np.maximum(right_count, 1)
    saved -= left[:, -1:] ** 2 / np.maximum(count[:, -1:], 1)
    return np.where((count >= FEWEST) & (right_count >= FEWEST), saved, 0.0)
