"""How well a model foretells the residual force of flights it has not seen.

Scored is the vertical force, label against prediction from the same rows, unfiltered and behind a
zero-phase second-order Butterworth low-pass at 5 Hz run over both, run by run. A constant of the
flight (battery, calibration: as large as the ground effect on real flights) is no part of a model:
the median of label - prediction far from the ground is taken from both scores.

    R^2 = 1 - sum (label - prediction - offset)^2 / sum (label - mean label)^2

Source: the authors' own filters for "Neural-Swarm" (Shi et al., ICRA 2020) and its data.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.network import load_network
from neural_lander.controller.residual import ResidualModel
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.dataset import label_flights
from neural_lander.learning.labels import Labels, low_passed

Array = npt.NDArray[np.float64]

SCORE_CUTOFF = 5.0
"""Corner of the low pass of the ``5hz`` scores [Hz]."""

FAR_FIELD_HEIGHT = 0.25
"""Heights above this, and above ``FAR_FIELD_RADII``, are far from the ground [m]."""

FAR_FIELD_RADII = 6.0
"""In rotor radii: a large vehicle still feels the ground at 0.25 m."""

LOW_HEIGHT = 0.15
"""Scores called ``low`` are of heights below this [m]."""


def evaluate(model: Path, paths: Sequence[Path], vehicle: Vehicle) -> dict[str, Any]:
    """Return the scores of a model bundle by flight, and their mean.

    Raises:
        InputError: the model or a flight cannot be read, or belongs to another vehicle.
    """
    network = load_network(model, vehicle)
    flights = [
        {"flight": f.name, **scores(network, f.raw, vehicle)} for f in label_flights(paths, vehicle)
    ]
    return {"flights": flights, "mean": mean_scores(flights)}


def scores(model: ResidualModel, raw: Labels, vehicle: Vehicle) -> dict[str, Any]:
    """Return the scores of a model on unfiltered labels of one flight.

    Newton (``_n``) and shares of weight (``_weight``); None where there is nothing to score.
    ``offset_n`` is the constant taken out: label - prediction far from the ground.
    """
    label = raw.force[:, 2]
    prediction = model.force(raw.state)[:, 2]
    both = low_passed(np.stack([label, prediction], axis=1), raw.run, SCORE_CUTOFF)
    far = raw.height > max(FAR_FIELD_HEIGHT, FAR_FIELD_RADII * vehicle.rotors.radius)
    low = raw.height < LOW_HEIGHT
    offset = _far_field(label - prediction, far)
    offset_5hz = _far_field(both[:, 0] - both[:, 1], far)
    error = label - prediction - (offset or 0.0)
    error_5hz = both[:, 0] - both[:, 1] - (offset_5hz or 0.0)
    rmse_5hz, rmse_low = _rms(error_5hz), _rms(error_5hz[low])
    return {
        "samples": len(raw),
        "samples_low": int(low.sum()),
        "offset_n": offset_5hz,
        "r2_z": _r2(label, error),
        "rmse_z_n": _rms(error),
        "r2_z_5hz": _r2(both[:, 0], error_5hz),
        "rmse_z_5hz_n": rmse_5hz,
        "rmse_z_5hz_weight": None if rmse_5hz is None else rmse_5hz / vehicle.weight,
        "rmse_z_5hz_low_n": rmse_low,
        "rmse_z_5hz_low_weight": None if rmse_low is None else rmse_low / vehicle.weight,
    }


def mean_scores(flights: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the mean over flights of every figure; flights without it are left out."""
    mean: dict[str, float | None] = {}
    for key in flights[0]:
        if key != "flight":
            values = [f[key] for f in flights if f[key] is not None]
            mean[key] = float(np.mean(values)) if values else None
    return mean


def _far_field(difference: Array, far: npt.NDArray[np.bool_]) -> float | None:
    return float(np.median(difference[far])) if far.any() else None


def _rms(error: Array) -> float | None:
    return float(np.sqrt(np.mean(error**2))) if len(error) else None


def _r2(label: Array, error: Array) -> float | None:
    spread = float(np.sum((label - label.mean()) ** 2)) if len(label) else 0.0
    return float(1 - np.sum(error**2) / spread) if spread > 0 else None
