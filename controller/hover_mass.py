"""The mass that is flown, from the vertical force that an observer finds in hover.

What has been found until the descent begins is taken for a share kappa of weight, as a wrong mass or
weak rotors make it:

    kappa = -d / (seen m g),   seen = 1 - (s exp(-l t) - l exp(-s t)) / (s - l)

with the observer's rate l and s = ``STEADY_RATE`` the two low passes that the force d was seen through.
From then on the plan's acceleration and lead, and the momentum that the observers see, are multiplied
by 1 + kappa, |kappa| at most the observer's limit. That moves one gain of the observer, l m, by the
share kappa, which the proof does not know.
"""

import math
from typing import Any

import numpy as np

from neural_lander.controller.compiled import compiled
from neural_lander.controller.touchdown import FORCE_BANDWIDTH

SETTLED = 0.5
"""Share of a constant force that an observer has to show before its force is taken for a mass."""
STEADY_RATE = 5.0
"""Low pass of the observer's force; what it keeps while frozen is free of the noise of one step [1/s]."""

RECORD_FIELDS = [("descending", np.int64), ("load", np.float64)]
"""What this adds to a controller's record; ``load`` is kappa."""


@compiled
def shown(rate: float, t: float) -> float:
    """Return the share of a constant force that the observer's low-passed force shows at time t [s]."""
    s = STEADY_RATE
    if abs(s - rate) < 1e-6 * s:
        return 1 - (1 + s * t) * math.exp(-s * t)
    return 1 - (s * math.exp(-rate * t) - rate * math.exp(-s * t)) / (s - rate)


@compiled
def weigh(c: Any, t: float, v: float) -> None:
    """When the descent begins, take the vertical force found so far for a share of weight.

    ``v``: vertical speed of the estimate [m/s]."""
    if c.descending == 1 or t < c.descent_start - c.latency:
        return
    c.descending = 1
    if c.observer_rate <= 0.0:
        return
    seen = shown(c.observer_rate, t)
    if seen < SETTLED:
        return
    d = c.observer_steady[2] / seen
    d = min(max(d, -c.observer_limit), c.observer_limit)
    c.observer_force[2] = c.observer_steady[2] = d
    c.load = -d / c.weight
    c.indi_force[2] = c.l1_force[2] = d
    momentum = c.mass * (1.0 + c.load) * v
    c.observer_memory[2] = momentum - d / c.observer_rate
    c.ground_memory[2] = momentum - c.ground_force / FORCE_BANDWIDTH
