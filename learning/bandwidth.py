"""The corner of the low pass behind which labels are learned, chosen from the flights themselves.

A label is noisy, and its noise grows with bandwidth: it holds a derivative. A corner too low takes
force away with the noise. So the corner is the lowest that takes less than a hundredth away:

    rms(f - low pass of f) < LOST rms(f - mean f)

f is a rough force, fitted to the labels by least squares with a constant for each flight: decays
of several lengths in height, alone and times vertical speed. Thrust is left out on purpose: it is
part of the label, so its noise would pass for force. The low pass runs both ways: no phase.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.labels import CUTOFF, Labels, low_passed, smoothed

Array = npt.NDArray[np.float64]

CORNERS = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""Corners tried [Hz]."""

LOST = 0.01
"""Share of the rough force's variation that the low pass may take."""

WIDEST = 20.0
"""Faster than this nothing is force: what is left of the rough force there is noise [Hz]."""

LENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Lengths of the decays, in rotor radii."""

RIDGE = 1e-6
"""Keeps the fit determined where flights were flown at one height."""


def force_lost(flights: Sequence[Labels], vehicle: Vehicle) -> dict[float, float]:
    """Return by corner [Hz] the share of the rough force's variation that a low pass takes.

    ``flights`` are unfiltered labels; without any force they lose none.
    """
    weights = _rough_fit(flights, vehicle)
    taken, total = dict.fromkeys(CORNERS, 0.0), 0.0
    for raw in flights:
        wide = low_passed((_basis(raw, vehicle) @ weights)[:, None], raw.run, WIDEST)
        total += float(np.sum((wide - wide.mean()) ** 2))
        for corner in CORNERS:
            taken[corner] += float(np.sum((wide - low_passed(wide, raw.run, corner)) ** 2))
    return {c: float(np.sqrt(t / total)) if total > 0 else 0.0 for c, t in taken.items()}


def chosen_cutoff(lost: dict[float, float]) -> float:
    """Return the lowest corner [Hz] that takes little of the force; the highest if none does."""
    return next((corner for corner in sorted(lost) if lost[corner] < LOST), max(lost))


def _rough_fit(flights: Sequence[Labels], vehicle: Vehicle) -> Array:
    """Return the least-squares weights of the basis; constants of flights are projected out."""
    size = 2 * len(LENGTHS) + 1
    gram, right = np.zeros((size, size)), np.zeros(size)
    for raw in flights:
        labels = smoothed(raw, CUTOFF)
        x, y = _basis(labels, vehicle)[labels.valid], labels.force[labels.valid, 2]
        if len(y):
            x, y = x - x.mean(axis=0), y - y.mean()
            gram, right = gram + x.T @ x, right + x.T @ y
    ridge = RIDGE * max(float(np.trace(gram)), 1e-12)
    return np.asarray(np.linalg.solve(gram + ridge * np.eye(size), right))


def _basis(labels: Labels, vehicle: Vehicle) -> Array:
    """Return the columns of the rough force (n, 2 lengths + 1)."""
    height = np.maximum(labels.height, 0)[:, None] / vehicle.rotors.radius
    speed = labels.velocity[:, 2:] / vehicle.induced_velocity
    decays = np.exp(-height / np.array(LENGTHS))
    return np.concatenate([decays, speed * decays, speed], axis=1)
