"""Measures what learning from real flights is worth on a flight it has not seen.

Imports the seven Crazyflie flights of Neural-Swarm, learns from all flights of a vehicle but one,
and scores the one left out, beside two models that anybody could write down:

    zero           the known physics alone
    exponential    f_a,z = A exp(-h / l), A and l fitted to the flights learned from

A constant of each flight is a nuisance in learning, fitting and scores alike. Of the flights to
learn from, one decides when learning stops; `exponential` is fitted to all of them.

    NEURAL_LANDER_DATA=DATA python scripts/leave_one_flight_out.py --seeds 3
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError
from neural_lander.controller.network import load_network
from neural_lander.controller.residual import ResidualInput, ZeroResidual
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.learning.dataset import LabelledFlight, label_flights, samples
from neural_lander.learning.evaluation import mean_scores, scores
from neural_lander.learning.importing import import_flights
from neural_lander.learning.training import TrainingSettings, train
from neural_lander.scripts.exit_status import exits

Array = npt.NDArray[np.float64]

VEHICLES = {"crazyflie": ("*_small_*", "*_s_*"), "crazyflie-large": ("*_large_*", "*_l_*")}
"""Vehicle -> patterns of the names of its flights."""

LENGTHS = np.geomspace(0.01, 0.5, 80)
"""Lengths tried in the exponential [m]."""


@dataclass(frozen=True)
class Exponential:
    """A force that dies out with height. Implements ``ResidualModel``."""

    amplitude: float
    """Vertical force when standing [N]."""
    length: float
    """Height over which it falls to 1/e [m]."""

    def force(self, state: ResidualInput) -> Array:
        """Return the force in the world frame (..., 3) [N]."""
        vertical = self.amplitude * np.exp(-np.asarray(state.height) / self.length)
        return np.stack([np.zeros_like(vertical), np.zeros_like(vertical), vertical], axis=-1)


def fit_exponential(flights: Sequence[LabelledFlight]) -> Exponential:
    """Return the exponential of least squares, with a constant for each flight beside it."""
    data = samples(flights)
    constants = np.eye(len(flights))[data.flight]
    best = (np.inf, 0.0, 0.0)
    for length in LENGTHS:
        design = np.column_stack([np.exp(-data.state.height / length), constants])
        solution = np.linalg.lstsq(design, data.force[:, 2], rcond=None)[0]
        error = float(np.sum((design @ solution - data.force[:, 2]) ** 2))
        best = min(best, (error, float(solution[0]), float(length)))
    return Exponential(best[1], best[2])


def measure(folder: Path, seeds: int, work: Path) -> list[dict[str, Any]]:
    """Return a row of scores for every flight left out, model and seed."""
    rows: list[dict[str, Any]] = []
    for name, patterns in VEHICLES.items():
        vehicle = load_vehicle(name)
        sources = sorted({f for pattern in patterns for f in folder.glob(f"{pattern}.usdlog")})
        results = import_flights(sources, vehicle, work / name, "crazyflie")
        errors = [r.error for r in results if r.error]
        paths = [r.path for r in results if r.path]
        if errors or len(paths) < 3:
            raise InputError("; ".join(errors) or f"{folder}: fewer than three flights of {name}")
        for out in label_flights(paths, vehicle):
            others = [p for p in paths if p.stem != out.name]
            rows += _leave_out(out, others, vehicle, seeds, work)
    return rows


def _leave_out(
    out: LabelledFlight, others: Sequence[Path], vehicle: Vehicle, seeds: int, work: Path
) -> list[dict[str, Any]]:
    about = {"flight": out.name, "vehicle": vehicle.name}
    exponential = fit_exponential(label_flights(others, vehicle))
    rows = [
        {**about, "model": "zero", **scores(ZeroResidual(), out.raw, vehicle)},
        {
            **about,
            "model": "exponential",
            "amplitude_n": exponential.amplitude,
            "length_m": exponential.length,
            **scores(exponential, out.raw, vehicle),
        },
    ]
    for seed in range(seeds):
        _tell(f"{out.name}: learning from {len(others)} other flights, seed {seed}")
        bundle = work / f"{out.name}-{seed}"
        train(others, vehicle, TrainingSettings(seed=seed, device="cpu"), bundle)
        network = load_network(bundle, vehicle)
        rows.append(
            {**about, "model": "learned", "seed": seed, **scores(network, out.raw, vehicle)}
        )
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the scores as text, learned ones as means over the seeds."""
    lines = [
        f"{'flight left out':37} {'model':12} {'R2':>6} {'RMSE mN':>8} {'% wt':>5}   "
        f"{'R2 5Hz':>6} {'RMSE mN':>8} {'% wt':>5} {'low % wt':>8}   R2 5Hz of the seeds"
    ]
    for flight in dict.fromkeys(row["flight"] for row in rows):
        for model in ("zero", "exponential", "learned"):
            of = [r for r in rows if (r["flight"], r["model"]) == (flight, model)]
            figures = [{k: v for k, v in r.items() if k in of[0] and _is_score(k)} for r in of]
            weight = load_vehicle(of[0]["vehicle"]).weight
            each = [r["r2_z_5hz"] for r in of if r["r2_z_5hz"] is not None]
            spread = f"{min(each):.2f} to {max(each):.2f}" if len(each) > 1 else ""
            m = {k: np.nan if v is None else v for k, v in mean_scores(figures).items()}
            lines.append(
                f"{flight if model == 'zero' else '':37} {model:12} {m['r2_z']:6.2f} "
                f"{1e3 * m['rmse_z_n']:8.2f} {100 * m['rmse_z_n'] / weight:5.2f}   "
                f"{m['r2_z_5hz']:6.2f} {1e3 * m['rmse_z_5hz_n']:8.2f} "
                f"{100 * m['rmse_z_5hz_weight']:5.2f} {100 * m['rmse_z_5hz_low_weight']:8.2f}   "
                f"{spread}"
            )
    return "\n".join(lines)


def _is_score(key: str) -> bool:
    return key.startswith(("r2_", "rmse_"))


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@exits
def main() -> None:
    """Read options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=3, help="learn this often (default 3)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    data = os.environ.get("NEURAL_LANDER_DATA")
    if options.seeds < 1:
        raise InputError(f"--seeds is {options.seeds}, expected 1 or more")
    if not data:
        raise InputError("NEURAL_LANDER_DATA is not set; expected the folder of real flights")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(data) / "flights" / "neural-swarm"
        rows = measure(folder, options.seeds, Path(work))
    print(json.dumps({"seeds": options.seeds, "rows": rows}) if options.json else table(rows))


if __name__ == "__main__":
    main()
