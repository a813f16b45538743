"""Tune the gains of the baselines, each on the same training seeds and with the same budget.

    python scripts/tune_baselines.py [--aero PATH ...] [--seeds 1000:1012]

For each baseline one gain is scanned over the same number of values; the score is the sum of the
median z RMSE and the median |terminal z error| over both references and every aerodynamics given,
plus 50 mm for the share of flights that did not land. The vehicle file holds the best values.
Evaluation elsewhere uses seeds from 0 on, never these.
"""

import argparse
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from neural_lander.controller.vehicle import Gains, Vehicle, load_vehicle
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario

GRIDS: dict[str, tuple[str, list[float]]] = {
    "pid": ("integral", [10, 20, 30, 40, 50, 60, 70, 80]),
    "observer": ("observer", [3, 5, 8, 10, 12, 15, 20, 30]),
    "textbook": ("textbook_radius", [0.115, 0.16, 0.20, 0.24, 0.26, 0.28, 0.30, 0.32]),
}
"""Baseline -> (gain, values tried)."""


def score(vehicle: Vehicle, controller: str, aeros: list[str], seeds: range) -> dict[str, float]:
    """Return the figures of a baseline over both references and all aerodynamics."""
    parts = []
    for aero in aeros:
        for reference in ("exponential", "s-curve"):
            flight = Flight(vehicle, controller, load_scenario("flat"), reference, aero)
            rows = [fly(flight, seed).summary for seed in seeds]
            rmse = np.median([row["z_rmse_m"] for row in rows])
            end = np.median([abs(row["terminal_z_error_m"]) for row in rows])
            landed = np.mean([row["landed"] for row in rows])
            parts.append((rmse, end, landed, rmse + end + 0.05 * (1 - landed)))
    rmse, end, landed, total = np.mean(parts, axis=0)
    return {"rmse": rmse, "terminal": end, "landed": landed, "score": total}


def main() -> None:
    """Scan and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--vehicle", default="intel-aero")
    parser.add_argument("--aero", nargs="+", default=["rotor"])
    parser.add_argument("--seeds", default="1000:1012")
    args = parser.parse_args()
    first, last = map(int, args.seeds.split(":"))
    vehicle = load_vehicle(args.vehicle)
    table = Table("baseline", "gain", "value", "z RMSE mm", "|terminal| mm", "landed %", "score mm")
    jobs = [(c, gain, value) for c, (gain, values) in GRIDS.items() for value in values]
    for controller, gain, value in track(jobs, description="tuning", console=Console(stderr=True)):
        gains: Gains = replace(vehicle.gains, **{gain: value})  # type: ignore[arg-type]
        changed = replace(vehicle, gains=gains)
        figures = score(changed, controller, args.aero, range(first, last))
        table.add_row(
            controller,
            gain,
            f"{value:g}",
            f"{1e3 * figures['rmse']:.1f}",
            f"{1e3 * figures['terminal']:.1f}",
            f"{100 * figures['landed']:.0f}",
            f"{1e3 * figures['score']:.1f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
