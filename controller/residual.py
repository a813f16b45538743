"""What a residual-force model is: anything that says which force the known physics leaves out.

    m v' = -m g e3 + T R e3 + f_a        f_a: the residual force, in the world frame [N]

A learned network, a textbook formula, the simulator's own truth and zero are all residual models.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ResidualInput:
    """The state that a residual force may depend on; leading axes are the batch."""

    height: Array
    """Height above standing on the surface below (...,) [m]."""
    velocity: Array
    """World velocity (..., 3) [m/s]."""
    attitude: Array
    """Quaternion xyzw, body to world (..., 4)."""
    rotor_thrust: Array
    """Thrust of each rotor (..., 4) [N]."""


class ResidualModel(Protocol):
    """A model of the residual force."""

    def force(self, state: ResidualInput) -> Array:
        """Return the residual force in the world frame (..., 3) [N]."""
        ...


class ZeroResidual:
    """No residual force: the nominal physics is all there is."""

    def force(self, state: ResidualInput) -> Array:
        """Return zeros (..., 3) [N]."""
        return np.zeros((*np.shape(state.height), 3))
