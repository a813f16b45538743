"""95 % intervals from how much an estimate changes when a part of the flights is left out.

    se^2 = (G - 1)/G sum_i (theta_(i) - mean)^2,     interval  theta +- t_{G-1} se

theta_(i) is the estimate without group i (delete-one jackknife). A group is a flight, so whatever
noise, wind or battery does within a flight counts as one sample, however correlated its rows are;
of fewer than ``FEWEST`` flights, groups are runs, and the interval then knows nothing of what
differs from flight to flight.

Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 11; Cameron, Miller,
"A Practitioner's Guide to Cluster-Robust Inference", J. Human Resources 50(2), 2015.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.stats import t as student

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.95
"""Share of intervals that hold the true value."""

FEWEST = 3
"""From so many flights on a group is a flight; and no interval comes from fewer groups."""


@dataclass(frozen=True)
class Interval:
    """An estimate (k,), and what it was without each group (groups, k)."""

    value: Array
    without: Array

    @property
    def half_width(self) -> Array:
        """Half the 95 % interval (k,)."""
        count = len(self.without)
        deviation = self.without - self.without.mean(axis=0)
        error = np.sqrt((count - 1) / count * np.sum(deviation**2, axis=0))
        return np.asarray(student.ppf(0.5 + CONFIDENCE / 2, count - 1) * error)

    def combined(self, matrix: Array) -> "Interval":
        """Return the interval of ``matrix @ value``."""
        return Interval(matrix @ self.value, self.without @ matrix.T)


def grouped(flights: Sequence[int]) -> list[list[int]]:
    """Return the indices of runs in each group, given the flight of each run."""
    numbers = sorted(set(flights))
    if len(numbers) < FEWEST:
        return [[i] for i in range(len(flights))]
    return [[i for i, flight in enumerate(flights) if flight == number] for number in numbers]


def jackknife(estimate: Callable[[Sequence[int]], Array], groups: Sequence[list[int]]) -> Interval:
    """Return an estimate and its interval; ``estimate`` takes the indices of runs to use."""
    everything = [i for group in groups for i in group]
    value = estimate(everything)
    without = np.array(
        [estimate([i for g in groups if g is not group for i in g]) for group in groups]
    )
    return Interval(value, without)


def ratio(above: Array, below: Array, groups: Sequence[list[int]]) -> Interval:
    """Return sum of ``above`` over sum of ``below``, each (runs,), as (1,)."""

    def estimate(runs: Sequence[int]) -> Array:
        return np.array([above[runs].sum() / below[runs].sum()])

    return jackknife(estimate, groups)


def linear(design: Array, target: Array, groups: Sequence[list[int]]) -> Interval:
    """Return the least squares of ``design`` (runs, r, k) against ``target`` (runs, r), as (k,)."""
    normal = np.einsum("irk,irl->ikl", design, design)
    right = np.einsum("irk,ir->ik", design, target)

    def estimate(runs: Sequence[int]) -> Array:
        found = np.linalg.lstsq(normal[runs].sum(axis=0), right[runs].sum(axis=0), rcond=None)[0]
        return np.asarray(found)

    return jackknife(estimate, groups)


def nonlinear(
    errors: Callable[[Array], Sequence[Array]],
    start: Array,
    scale: Array,
    bounds: tuple[Array, Array],
    groups: Sequence[list[int]],
) -> Interval:
    """Return the least squares of ``errors``, one array a run, over k parameters.

    Leaving a group out moves the minimum by one Gauss-Newton step from the common one.
    """

    def together(parameters: Array) -> Array:
        return np.concatenate(errors(parameters))

    value = least_squares(
        together, start, x_scale=scale, bounds=bounds, diff_step=1e-4, xtol=1e-6
    ).x
    at = errors(value)
    steps = 1e-3 * scale
    slopes = [
        (np.concatenate(errors(value + d)) - np.concatenate(errors(value - d))) / (2 * d.sum())
        for d in np.diag(steps)
    ]
    ends = np.cumsum([len(e) for e in at])[:-1]
    jacobian = np.split(np.stack(slopes, axis=1), ends)
    normal = np.array([j.T @ j for j in jacobian])
    right = np.array([j.T @ e for j, e in zip(jacobian, at, strict=True)])

    def estimate(runs: Sequence[int]) -> Array:
        return np.asarray(
            value
            - np.linalg.lstsq(normal[runs].sum(axis=0), right[runs].sum(axis=0), rcond=None)[0]
        )

    return Interval(value, jackknife(estimate, groups).without)
