"""The search for the worst point of a unit cube, by evolution of a Gaussian (CMA-ES).

Each round draws points from a Gaussian, and moves and shapes it towards the worst of them: the
cross-entropy method, with a path of its own for the step. Where it has drawn together it begins
anew from elsewhere. Points are clustered around what is bad; no probability follows from them.

Source: Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772 (as in the package cma);
Rubinstein, Kroese, "The Cross-Entropy Method", Springer 2004.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError

Array = npt.NDArray[np.float64]

SPREAD = 0.3
"""Standard deviation of the first points, of the cube's side."""


class Climb:
    """One search: ``ask`` for points, ``tell`` how bad they are, until it is ``done``."""

    def __init__(self, dimensions: int, budget: int, seed: int) -> None:
        """Begin in the middle.

        Args:
            dimensions: of the cube.
            budget: points tried at most; one round at least.
            seed: of all draws.

        Raises:
            InputError: the package cma is not installed.
        """
        self.dimensions, self.budget, self.tried = dimensions, budget, 0
        self._rng = np.random.default_rng(seed)
        self._strategy = self._begin(np.full(self._cube, 0.5))

    @property
    def _cube(self) -> int:
        # the package takes no line: a line gets a second coordinate that nobody looks at
        return max(self.dimensions, 2)

    def _begin(self, middle: Array) -> Any:
        try:
            import cma
        except ImportError as error:
            raise InputError("--search needs the package cma; pip install cma") from error
        options = {
            "bounds": [0.0, 1.0],
            "verbose": -9,
            "seed": np.nan,  # leaves numpy's global state alone; draws are ours
            "randn": lambda *shape: self._rng.standard_normal(shape),
        }
        return cma.CMAEvolutionStrategy(middle, SPREAD, options)

    @property
    def done(self) -> bool:
        """Whether another round is over the budget."""
        return self.tried > 0 and self.tried + int(self._strategy.popsize) > self.budget

    def ask(self) -> list[Array]:
        """Return the points of a round, each (dimensions,) in [0, 1]."""
        if self._strategy.stop():
            self._strategy = self._begin(self._rng.random(self._cube))
        self._asked = self._strategy.ask()
        self.tried += len(self._asked)
        return [np.clip(x[: self.dimensions], 0.0, 1.0) for x in self._asked]

    def tell(self, badness: Sequence[float]) -> None:
        """Say how bad each point of the round is."""
        self._strategy.tell(self._asked, [-b for b in badness])
