"""What the real thrust vector makes of the commanded one: the contract of the inner loop.

    F_a,j = H_j [F_held]_j + c_j,     H_z = 1/(tau s + 1),   H_xy = w^2/(tau s^3 + s^2 + 2 zeta w s + w^2)

F_held is the commanded force vector, a latency late and held for a control period; w and zeta are the
attitude loop's, tau the motors' lag. c is what the linear model leaves: small as long as nothing
saturates and the thrust axis stays near the vertical.

Source: linearisation of Lee, Leok, McClamroch, CDC 2010, about hover, with a first-order motor lag.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import expm

from neural_lander.controller.vehicle import Vehicle

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class InnerLoop:
    """Numbers of the contract."""

    bandwidth: float
    """w of the attitude loop [1/s]."""
    damping: float
    """zeta of the attitude loop."""
    lag: float
    """tau of the motors [s]."""
    latency: float
    """From a measurement to its command at the rotors [s]."""

    @staticmethod
    def of(vehicle: Vehicle) -> "InnerLoop":
        """Return the contract of a vehicle with its gains."""
        return InnerLoop(
            vehicle.gains.attitude,
            vehicle.gains.damping,
            vehicle.rotors.lag,
            vehicle.timing.latency,
        )

    def sideways(self, period: float) -> tuple[Array, Array]:
        """Return (3, 3) and (3,): x' = P x + G u over a period, x = force, its rate, its rate's."""
        w2 = self.bandwidth**2
        A = np.zeros((4, 4))
        A[0, 1] = A[1, 2] = 1.0
        A[2] = np.array([-w2, -2 * self.damping * self.bandwidth, -1.0, w2]) / self.lag
        exact = expm(A * period)
        return exact[:3, :3], exact[:3, 3]

    def vertical(self, period: float) -> float:
        """Return e^(-period / tau)."""
        return float(np.exp(-period / self.lag))
