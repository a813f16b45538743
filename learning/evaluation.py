"""How well a model foretells the residual force of flights it has not seen.

Scored is the vertical force, label against prediction from the same rows, unfiltered and behind a
zero-phase second-order Butterworth low-pass at 5 Hz run over both, run by run. A constant of the
flight (battery, calibration: as large as the ground effect on real flights) is no part of a model:
the median of label - prediction far from the ground is taken from both scores.

    R^2 = 1 - sum (label - prediction - offset)^2 / sum (label - mean label)^2

Flights differ more than rows do, so intervals are over flights: Student's, 95 %. Bands of height are
in rotor radii, the scale on which the ground effect dies out.

Source: the authors' own filters for "Neural-Swarm" (Shi et al., ICRA 2020) and its data.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from neural_lander.controller.files import read_json
from neural_lander.controller.network import load_network
from neural_lander.controller.residual import ResidualModel
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.dataset import label_flights, measured_digest
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


LOWEST = {"crazyflie": 0.02, "crazyflie-large": 0.025}
"""Vehicle -> height at and below which its flights are not scored [m]: there the floor may push.

The authors' touch filter for their flights: z <= 0.07 m and 0.085 m, less the height at rest. Other
vehicles are scored wherever no leg may touch."""

BANDS = (0.0, 1.0, 2.0, 4.0, 8.0, math.inf)
"""Limits of the bands of height, in rotor radii; the lowest reaches down to the lowest label."""

CONFIDENCE = 0.95
"""Of the intervals over flights."""


def evaluate(model: Path, paths: Sequence[Path], vehicle: Vehicle) -> dict[str, Any]:
    """Return the scores of a model bundle by flight, their mean, and its interval over flights.

    ``seen`` says of a flight whether the model was learned from it, by what was measured on it.

    Raises:
        InputError: the model or a flight cannot be read, or belongs to another vehicle.
    """
    network = load_network(model, vehicle)
    learned_from = set(read_json(model / "model.json").get("training_logs", {}).values())
    return summary(
        [
            {
                "flight": f.name,
                "seen": measured_digest(f.log) in learned_from,
                **scores(network, f.raw, vehicle),
            }
            for f in label_flights(paths, vehicle)
        ]
    )


def summary(flights: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return scores by flight with their mean, its interval, and both by band of height."""
    bands = []
    for number, band in enumerate(flights[0]["bands"]):
        figures = [flight["bands"][number] for flight in flights]
        bands.append(
            {
                "from_m": band["from_m"],
                "to_m": band["to_m"],
                **mean_scores(figures),
                "interval_95": intervals(figures),
            }
        )
    return {
        "flights": list(flights),
        "mean": mean_scores(flights),
        "interval_95": intervals(flights),
        "bands": bands,
    }


def scores(model: ResidualModel, raw: Labels, vehicle: Vehicle) -> dict[str, Any]:
    """Return the scores of a model on unfiltered labels of one flight.

    Newton (``_n``) and shares of weight (``_weight``); None where there is nothing to score.
    ``offset_n`` is the constant taken out: label - prediction far from the ground. Of some vehicles
    the lowest centimetres are left out (``LOWEST``).
    """
    if vehicle.name in LOWEST:
        raw = raw.rows(raw.height > LOWEST[vehicle.name])
    label = raw.force[:, 2]
    prediction = model.force(raw.state)[:, 2]
    both = low_passed(np.stack([label, prediction], axis=1), raw.run, SCORE_CUTOFF)
    far = raw.height > max(FAR_FIELD_HEIGHT, FAR_FIELD_RADII * vehicle.rotors.radius)
    low = raw.height < LOW_HEIGHT
    offset = _far_field(label - prediction, far)
    offset_5hz = _far_field(both[:, 0] - both[:, 1], far)
    error = label - prediction - (offset or 0.0)
    error_5hz = both[:, 0] - both[:, 1] - (offset_5hz or 0.0)
    edges = np.array(BANDS) * vehicle.rotors.radius
    bands = []
    for bottom, top in pairwise(edges.tolist()):
        inside = (raw.height < top) & ((raw.height >= bottom) | (bottom == 0))
        bands.append(
            {
                "from_m": float(bottom),
                "to_m": float(top) if math.isfinite(top) else None,
                "samples": int(inside.sum()),
                "r2_z_5hz": _r2(both[inside, 0], error_5hz[inside]),
                **_rms("z_5hz", error_5hz[inside], vehicle),
            }
        )
    return {
        "samples": len(raw),
        "samples_low": int(low.sum()),
        "offset_n": offset_5hz,
        "r2_z": _r2(label, error),
        **_rms("z", error, vehicle),
        "r2_z_5hz": _r2(both[:, 0], error_5hz),
        **_rms("z_5hz", error_5hz, vehicle),
        "r2_z_5hz_low": _r2(both[low, 0], error_5hz[low]),
        **_rms("z_5hz_low", error_5hz[low], vehicle),
        "bands": bands,
    }


def mean_scores(flights: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the mean over flights of every figure; flights without it are left out."""
    return {key: float(np.mean(v)) if v else None for key, v in _figures(flights).items()}


def intervals(flights: Sequence[Mapping[str, Any]]) -> dict[str, list[float] | None]:
    """Return Student's interval over flights of every score's mean; None for less than two.

    It ends where the score itself must: R^2 at 1, an RMSE at 0.
    """
    found: dict[str, list[float] | None] = {}
    for key, values in _figures(flights).items():
        if not key.startswith(("r2_", "rmse_")):
            continue
        found[key] = None
        if len(values) > 1:
            reach = student.ppf(0.5 + CONFIDENCE / 2, len(values) - 1)
            half = float(reach * np.std(values, ddof=1) / math.sqrt(len(values)))
            low, high = float(np.mean(values)) - half, float(np.mean(values)) + half
            found[key] = [low, min(high, 1.0)] if key.startswith("r2_") else [max(low, 0.0), high]
    return found


def _figures(flights: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    keys = [k for k in flights[0] if k not in ("flight", "seen", "bands", "from_m", "to_m")]
    return {key: [f[key] for f in flights if f[key] is not None] for key in keys}


def _far_field(difference: Array, far: npt.NDArray[np.bool_]) -> float | None:
    return float(np.median(difference[far])) if far.any() else None


def _rms(name: str, error: Array, vehicle: Vehicle) -> dict[str, float | None]:
    """Return the RMS of ``error`` (n,) [N], in Newton and as a share of weight."""
    rms = float(np.sqrt(np.mean(error**2))) if len(error) else None
    share = None if rms is None else rms / vehicle.weight
    return {f"rmse_{name}_n": rms, f"rmse_{name}_weight": share}


def _r2(label: Array, error: Array) -> float | None:
    spread = float(np.sum((label - label.mean()) ** 2)) if len(label) else 0.0
    return float(1 - np.sum(error**2) / spread) if spread > 0 else None
