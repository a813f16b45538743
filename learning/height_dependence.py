"""Whether flights show a ground effect at all: does the vertical force depend on height?

Of each flight, by least squares over its filtered labels,

    f_z / weight = c + a exp(-h / 2 R) + b v_z        h height, R rotor radius

a is what nearness to the ground does, standing; c is the flight's own constant, b what goes with
vertical speed (drag, inflow), which near the ground is slow and would pass for an effect of height.
Thrust is left out on purpose: near the ground it is low *because* of the force.

A ground effect is shown where the 95 % interval of the mean of a over flights (Student's) excludes
zero *and* the mean is at least ``LEAST`` of weight: a simulator without noise makes any small
defect of the thrust's model significant, and less than that is no reason to fly a network.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.labels import Labels

LENGTH = 2.0
"""Height over which the effect falls to 1/e [rotor radii]."""

LEAST = 0.01
"""A smaller effect is none [share of weight]."""

CONFIDENCE = 0.95

NEAR, CLEAR = 0.4, 0.1
"""A flight tells if exp(-h / 2 R) was above NEAR and below CLEAR on it: 1.8 and 4.6 radii."""


@dataclass(frozen=True)
class HeightDependence:
    """What height does to the vertical force of some flights."""

    shown: bool | None
    """Whether they show a ground effect; None: none of them can tell."""
    standing_weight: float | None
    """Mean over flights of the force that height explains, standing [share of weight]."""
    interval_95: tuple[float, float] | None
    """Of that mean; None for less than two flights."""
    flights: int
    """How many flights came near the ground and away from it."""
    remark: str
    """All this in words."""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def height_dependence(flights: Sequence[Labels], vehicle: Vehicle) -> HeightDependence:
    """Return what height does to the vertical force of ``flights``, filtered labels each."""
    found = [a for a in (_amplitude(labels, vehicle) for labels in flights) if a is not None]
    if not found:
        low, high = (-LENGTH * math.log(share) for share in (NEAR, CLEAR))
        return HeightDependence(
            None, None, None, 0,
            f"cannot be told: no flight came below {low * vehicle.rotors.radius:.3f} m "
            f"and above {high * vehicle.rotors.radius:.3f} m",
        )  # fmt: skip
    mean, interval = float(np.mean(found)), None
    if len(found) > 1:
        reach = student.ppf(0.5 + CONFIDENCE / 2, len(found) - 1)
        half = float(reach * np.std(found, ddof=1) / math.sqrt(len(found)))
        interval = (mean - half, mean + half)
    certain = interval is None or interval[0] > 0
    shown = certain and mean >= LEAST
    how_sure = (
        f"95 % {interval[0]:+.2%} to {interval[1]:+.2%} over {len(found)} flights"
        if interval
        else "one flight, so without an interval"
    )
    size = f"standing {mean:+.2%} of weight go with height ({how_sure})"
    remark = f"shown: {size}"
    if not shown:
        why = f"less than {LEAST:.0%}" if mean < LEAST else "not told from zero"
        remark = f"none: these flights show no ground effect: {size}, {why}"
    return HeightDependence(shown, mean, interval, len(found), remark)


def _amplitude(labels: Labels, vehicle: Vehicle) -> float | None:
    """Return ``a`` of one flight [share of weight]; None if it was not both near and clear."""
    height = np.maximum(labels.height[labels.valid], 0.0)
    nearness = np.exp(-height / (LENGTH * vehicle.rotors.radius))
    if not len(nearness) or nearness.max() < NEAR or nearness.min() > CLEAR:
        return None
    speed = labels.velocity[labels.valid, 2]
    force = labels.force[labels.valid, 2] / vehicle.weight
    basis = np.stack([np.ones_like(nearness), nearness, speed], axis=1)
    return float(np.linalg.lstsq(basis, force, rcond=None)[0][1])
