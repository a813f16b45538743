"""How many seconds of flight it takes to land well: a learned residual force, against PPO.

    python scripts/data_efficiency.py --out DIR [--ppo NAME=curve.json ...] [--seeds 0:40]

The residual: flies sets of collection flights (--sets, flights x seconds), trains on each, lands every
seed uncertified. PPO: the learning curves that train_ppo.py wrote, and the look on fresh seeds,
as those of the curve ended the training. Beside them every simple controller, which flies
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
from neural_lander.controller.landing_controller import CONTROLLERS
from neural_lander.controller.model_parts import needs_model
from neural_lander.controller.network import load_network
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.learning.training import TrainingSettings, train
from neural_lander.scripts.cli_flight import seeds_of
from neural_lander.scripts.exit_status import exits
from neural_lander.sim.collect import collect
from neural_lander.sim.pairs import SIMPLE
from neural_lander.sim.plots.efficiency import draw_efficiency
from neural_lander.sim.quality import qualities, reached
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario

WITHOUT_DATA = tuple(name for name in CONTROLLERS if name in SIMPLE and not needs_model(name))
"""Controllers that learn nothing, though their one gain was tuned by landings (docs/baselines.md)."""

SETS = "1x5,1x8,1x15,1x30,1x60,2x60,4x60"
"""Collection flights and the duration of each [s]."""


def sets_of(text: str) -> list[tuple[int, float]]:
    """Read ``NxS,...``: N flights of S seconds."""
    try:
        return [(int(n), float(s)) for n, s in (one.split("x") for one in text.split(","))]
    except ValueError:
        raise InputError(f"--sets is '{text}', expected flights x seconds like {SETS}") from None


def landed(flight: Flight, seeds: Sequence[int]) -> dict[str, Any]:
    """Land every seed."""
    return qualities([fly(flight, seed).summary for seed in seeds])


def residual_curves(
    vehicle: Vehicle,
    aero: str,
    sets: Sequence[tuple[int, float]],
    seeds: Sequence[int],
    out: Path,
    console: Console,
) -> dict[str, list[dict[str, Any]]]:
    """Collect, train and land with each set; return a curve a controller."""
    scenario = load_scenario("flat")
    curves: dict[str, list[dict[str, Any]]] = {"learned": [], "learned+observer": []}
    for flights, duration in sets:
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


def ppo_curve(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Return the looks of a training by time, and the one on fresh seeds, at the policy that was best."""
    told = json.loads(path.read_text(encoding="utf-8"))
    fresh = told.get("fresh")
    looks = told["curve"] + ([fresh] if fresh else [])
    return sorted(looks, key=lambda look: float(look["flown_s"])), fresh


def reached_and_kept(curve: Sequence[dict[str, Any]], fresh: dict[str, Any] | None) -> float | None:
    """Return the data from which on every look was good [s], None: never, or not on fresh seeds."""
    return None if fresh and reached([fresh]) is None else reached(curve)


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
    parser.add_argument("--sets", default=SETS, help="flights x seconds, ascending")
    args = parser.parse_args()
    console, seeds, sets = Console(), seeds_of(args.seeds), sets_of(args.sets)
    require_folder(args.out)
    curves: dict[str, list[dict[str, Any]]] = {}
    fresh: dict[str, dict[str, Any] | None] = {}
    for given in args.ppo:
        name, equals, path = given.partition("=")
        if not equals or not Path(path).is_file():
            raise InputError(f"--ppo is '{given}', expected NAME=FILE that train_ppo.py wrote")
        curves[name], fresh[name] = ppo_curve(Path(path))
    vehicle = load_vehicle(args.vehicle)
    without = {
        name: landed(
            Flight(vehicle, name, load_scenario("flat"), aero=args.aero, engine="hybrid"), seeds
        )
        for name in WITHOUT_DATA
    }
    curves = residual_curves(vehicle, args.aero, sets, seeds, args.out, console) | curves
    result = {
        "seeds": args.seeds, "without_data": without, "curves": curves, "on_fresh_seeds": fresh,
        "reached_s": {
            name: reached_and_kept(curve, fresh.get(name)) for name, curve in curves.items()
        },
    }  # fmt: skip
    write_json(args.out / "data_efficiency.json", result)
    pictures = draw_efficiency(curves, without, args.out / "data_efficiency.png")
    table = Table(
        "way to learn",
        "good from\n[s of flight]",
        "at most\nflown [s]",
        "good at the end,\nPPO: its best",
    )
    for name, entry in without.items():
        table.add_row(f"{name} (no data)", "-", "0", f"{entry['good']} of {entry['flown']}")
    for name, curve in curves.items():
        at, end = result["reached_s"][name], fresh.get(name) or curve[-1]
        unjudged = name in fresh and fresh[name] is None
        where = ",\nof those it stopped by" if unjudged else ""
        table.add_row(
            name, "not reached" if at is None else f"{at:.0f}", f"{curve[-1]['flown_s']:.0f}",
            f"{end['good']} of {end['flown']}{where}",
        )  # fmt: skip
    console.print(table)
    for path in (args.out / "data_efficiency.json", *pictures):
        console.print(str(path))


if __name__ == "__main__":
    main()
