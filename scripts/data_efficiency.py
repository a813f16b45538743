"""How many seconds of flight it takes to land well: a learned residual force, against PPO.

    python scripts/data_efficiency.py --out DIR [--ppo NAME=curve.json ...] [--seeds 0:40]

The residual: flies 1 x 15, 1 x 30, 1 x 60, 2 x 60, 4 x 60 s of collection flights, trains on each set,
lands every seed uncertified. PPO: the learning curves that train_ppo.py wrote. Beside them what flies
without any data. A landing is good as sim/quality.py says. Writes data_efficiency.json, .png, .pdf.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from rich.console import Console
from rich.table import Table

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import require_folder, write_json
from neural_lander.controller.network import load_network
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.learning.training import TrainingSettings, train
from neural_lander.scripts.cli_flight import seeds_of
from neural_lander.scripts.exit_status import exits
from neural_lander.sim.collect import collect
from neural_lander.sim.plots.efficiency import draw_efficiency
from neural_lander.sim.quality import qualities, reached
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario

SETS = ((1, 15.0), (1, 30.0), (1, 60.0), (2, 60.0), (4, 60.0))
"""Collection flights and the duration of each [s]."""


def landed(flight: Flight, seeds: Sequence[int]) -> dict[str, Any]:
    """Land every seed."""
    return qualities([fly(flight, seed).summary for seed in seeds])


def residual_curves(
    vehicle: Vehicle, aero: str, seeds: Sequence[int], out: Path, console: Console
) -> dict[str, list[dict[str, Any]]]:
    """Collect, train and land with each set; return a curve a controller."""
    scenario = load_scenario("flat")
    curves: dict[str, list[dict[str, Any]]] = {"learned": [], "learned+observer": []}
    for flights, duration in SETS:
        folder = out / f"{flights}x{duration:.0f}s"
        paths = collect(vehicle, flights, duration, 0, folder / "flights", aero)
        train(paths, vehicle, TrainingSettings(folds=2, baselines=False), folder / "model")
        network = load_network(folder / "model", vehicle)
        for controller, curve in curves.items():
            flight = Flight(vehicle, controller, scenario, aero=aero, engine="hybrid")
            flight = replace(flight, network=network, certified=False)
            seen = landed(flight, seeds) | {"flown_s": flights * duration}
            curve.append(seen)
            console.print(f"{controller}, {flights * duration:.0f} s: {seen['good']} good")
    return curves


@exits
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ppo", action="append", default=[], metavar="NAME=curve.json")
    parser.add_argument("--vehicle", default="intel-aero")
    parser.add_argument("--aero", default="rotor")
    parser.add_argument("--seeds", default="0:40")
    args = parser.parse_args()
    console, seeds = Console(), seeds_of(args.seeds)
    require_folder(args.out)
    curves: dict[str, list[dict[str, Any]]] = {}
    for given in args.ppo:
        name, equals, path = given.partition("=")
        if not equals or not Path(path).is_file():
            raise InputError(f"--ppo is '{given}', expected NAME=FILE that train_ppo.py wrote")
        curves[name] = json.loads(Path(path).read_text(encoding="utf-8"))["curve"]
    vehicle = load_vehicle(args.vehicle)
    without = {
        name: landed(
            Flight(vehicle, name, load_scenario("flat"), aero=args.aero, engine="hybrid"), seeds
        )
        for name in ("pd", "observer")
    }
    curves = residual_curves(vehicle, args.aero, seeds, args.out, console) | curves
    result = {
        "seeds": args.seeds, "without_data": without, "curves": curves,
        "reached_s": {name: reached(curve) for name, curve in curves.items()},
    }  # fmt: skip
    write_json(args.out / "data_efficiency.json", result)
    pictures = draw_efficiency(curves, without, args.out / "data_efficiency.png")
    table = Table(
        "way to learn", "good from\n[s of flight]", "at most\nflown [s]", "good at\nthe end"
    )
    for name, entry in without.items():
        table.add_row(f"{name} (learns nothing)", "-", "0", f"{entry['good']} of {entry['flown']}")
    for name, curve in curves.items():
        at, end = result["reached_s"][name], curve[-1]
        table.add_row(
            name, "not reached" if at is None else f"{at:.0f}", f"{end['flown_s']:.0f}",
            f"{end['good']} of {end['flown']}",
        )  # fmt: skip
    console.print(table)
    for path in (args.out / "data_efficiency.json", *pictures):
        console.print(str(path))


if __name__ == "__main__":
    main()
