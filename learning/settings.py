"""How a residual network is learned: every setting, its unit and what it may be."""

import math
from dataclasses import dataclass
from typing import Literal

from neural_lander.controller.errors import InputError
from neural_lander.controller.network import MAX_LAYERS, MAX_WIDTH
from neural_lander.learning.dataset import InputSet


@dataclass(frozen=True)
class TrainingSettings:
    """How a residual network is learned."""

    inputs: InputSet = "level"
    """``level``: height, vertical speed, thrust. ``full``: height, velocity, attitude, rotors."""
    hidden: tuple[int, ...] = (25, 30, 15)
    """Widths of the hidden layers."""
    lipschitz: float | None = 0.3
    """Bound on the slope from dimensionless inputs to force over weight; none (or infinity) leaves
    it free. Below 1 the learned force always answers a change of thrust with a smaller one."""
    cutoff_hz: float | None = None
    """Corner of the low pass of labels and inputs [Hz]; none: chosen from the flights."""
    epochs: int = 300
    """Most passes over the labels, thinned to what the low pass left in them."""
    patience: int = 50
    """Passes in which the loss finds no new low before it stops."""
    batch_size: int = 1024
    """Most rows a step; fewer where there are few."""
    learning_rate: float = 1.5e-2
    """Highest rate of Adam."""
    folds: int = 4
    """Parts that are kept apart in turns, to score on flights not seen; 2 or more."""
    baselines: bool = True
    """Score what anybody could write down, and a network without bound, on the same flights."""
    seed: int = 0
    """Decides the folds, the first weights and the order of the rows."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` takes CUDA where it is present."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot be meant."""
        if self.lipschitz == math.inf:
            object.__setattr__(self, "lipschitz", None)
        if self.lipschitz is not None and not self.lipschitz > 0:
            raise InputError(
                f"lipschitz is {self.lipschitz}, expected a positive number, or none for no bound"
            )
        if not 1 <= len(self.hidden) < MAX_LAYERS or not all(
            1 <= width <= MAX_WIDTH for width in self.hidden
        ):
            raise InputError(
                f"hidden is {self.hidden}, expected 1 to {MAX_LAYERS - 1} widths up to {MAX_WIDTH}"
            )
        for name, least in (("epochs", 1), ("patience", 1), ("batch_size", 1), ("folds", 2)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}, expected {least} or more")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate is {self.learning_rate}, expected more than 0")
        if self.device not in ("auto", "cpu", "cuda"):
            raise InputError(f"device is {self.device!r}, expected auto, cpu or cuda")
