"""Measures what learning from real flights is worth on a flight it has not seen.

Imports the seven Crazyflie flights of Neural-Swarm, learns from all flights of a vehicle but one,
and scores the one left out as `evaluate` does, beside what anybody could write down (see
learning/baselines.py) and a network without bound. Everything, the corner of the low pass included,
comes from the other flights. Networks are means over training seeds, with their range.

    NEURAL_LANDER_DATA=DATA python scripts/leave_one_flight_out.py --seeds 5
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from neural_lander.controller.errors import InputError
from neural_lander.controller.residual import ResidualModel
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.learning.baselines import NAMES, fit_baselines, parameters
from neural_lander.learning.dataset import LabelledFlight, label_flights
from neural_lander.learning.evaluation import scores
from neural_lander.learning.fitting import Task, fit_networks, thinning
from neural_lander.learning.importing import import_flights
from neural_lander.learning.settings import TrainingSettings
from neural_lander.learning.training import FREE, labelled

VEHICLES = {
    "crazyflie": ("*_small_*", "*_s_cf*"),
    "crazyflie-large": ("*_large_*", "*_l_cf*"),
}
"""Vehicle -> patterns of the names of its flights."""

NETWORK = "network"
MODELS = (NETWORK, FREE, *reversed(NAMES))

Rows = list[dict[str, Any]]


def measure(folder: Path, seeds: int, lipschitz: float, work: Path) -> Rows:
    """Return a row of scores for every flight left out, model and seed."""
    rows: Rows = []
    settings = TrainingSettings(lipschitz=lipschitz, device="cpu")
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
            rows += _leave_out(out, others, vehicle, settings, seeds)
    return rows


def _leave_out(
    out: LabelledFlight,
    others: Sequence[Path],
    vehicle: Vehicle,
    settings: TrainingSettings,
    seeds: int,
) -> Rows:
    _tell(f"{out.name}: learning from {len(others)} other flights, {seeds} seeds")
    flights, cutoff = labelled(others, vehicle, settings)
    every = thinning(cutoff["hz"])
    named: list[tuple[str, int | None, ResidualModel]] = []
    baselines = fit_baselines(flights, vehicle, settings.inputs, every)
    named += [(name, None, model) for name, model in baselines.items()]
    both = ((NETWORK, settings.lipschitz), (FREE, None))
    tasks = [Task(tuple(flights), bound, seed) for _, bound in both for seed in range(seeds)]
    fits = iter(fit_networks(tasks, vehicle, settings, every))
    named += [(name, seed, next(fits).network) for name, _ in both for seed in range(seeds)]
    about = {"flight": out.name, "vehicle": vehicle.name, "cutoff_hz": cutoff["hz"]}
    return [
        {
            **about,
            "model": name,
            "seed": seed,
            **parameters(model),
            **scores(model, out.raw, vehicle),
        }
        for name, seed, model in named
    ]


def table(rows: Rows, key: str, scale: float, title: str) -> Table:
    """Return one score by model and flight; the last columns are the mean and its range over seeds."""
    flights = list(dict.fromkeys(row["flight"] for row in rows))
    result = Table(title=title, title_justify="left", box=None, pad_edge=False)
    result.add_column("model", no_wrap=True)
    for flight in flights:
        result.add_column(flight.replace("_", "\n"), justify="right")
    result.add_column("mean", justify="right")
    result.add_column("of the seeds", justify="right")
    for model in MODELS:
        own = [r for r in rows if r["model"] == model]
        by_flight = np.array([[scale * r[key] for r in own if r["flight"] == f] for f in flights])
        means = by_flight.mean(axis=0)
        spread = f"{means.min():.3f} to {means.max():.3f}" if len(means) > 1 else ""
        each = [f"{value:.2f}" for value in by_flight.mean(axis=1)]
        result.add_row(model, *each, f"{means.mean():.3f}", spread)
    return result


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Read options, measure, print; leave with status 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5, help="learn this often (default 5)")
    parser.add_argument(
        "--lipschitz",
        type=float,
        default=TrainingSettings.lipschitz,
        help=f"bound on the slope, dimensionless (default {TrainingSettings.lipschitz})",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    data = os.environ.get("NEURAL_LANDER_DATA")
    try:
        if options.seeds < 1:
            raise InputError(f"--seeds is {options.seeds}, expected 1 or more")
        if not data:
            raise InputError("NEURAL_LANDER_DATA is not set; expected the folder of real flights")
        with tempfile.TemporaryDirectory() as work:
            folder = Path(data) / "flights" / "neural-swarm"
            rows = measure(folder, options.seeds, options.lipschitz, Path(work))
    except InputError as error:
        _tell(f"error: {error}")
        sys.exit(2)
    if options.json:
        print(json.dumps({"seeds": options.seeds, "lipschitz": options.lipschitz, "rows": rows}))
        return
    console = Console(highlight=False)
    for shown in (
        table(rows, "r2_z_5hz", 1, "R2 on the flight left out, behind 5 Hz"),
        table(rows, "r2_z", 1, "R2 on the flight left out, no low pass"),
        table(rows, "rmse_z_5hz_weight", 100, "RMSE behind 5 Hz [% of weight]"),
        table(rows, "rmse_z_5hz_low_weight", 100, "RMSE below 15 cm behind 5 Hz [% of weight]"),
    ):
        console.print(shown)


if __name__ == "__main__":
    main()
