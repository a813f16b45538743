"""The standard experiment: every controller, both references, the same seeds, in a table.

    python scripts/experiment.py --out DIR [--aero rotor PATH ...] [--seeds 0:200] [--json]

For each aerodynamics: collects eight flights of 60 s in that world, trains, certifies `learned` and
`learned+observer`, then flies all controllers over all seeds with both references, and over a hover
3 cm above the floor. Prints median / 95 % of
the size of each figure, the latter with its exact 95 % interval; --json has the intervals of both.
Seeds of training (--train-seed) and of evaluation are different draws.
"""

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from neural_lander.controller.certificate import require_certificate
from neural_lander.controller.errors import Refused
from neural_lander.controller.landing_controller import CONTROLLERS
from neural_lander.controller.network import load_network
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.learning.certify import certify
from neural_lander.learning.training import TrainingSettings, train
from neural_lander.sim.collect import collect
from neural_lander.sim.compare import fly_seeds, summarise_seeds
from neural_lander.sim.rollout import Flight
from neural_lander.sim.scenario import load_scenario

CASES = (("flat", "exponential"), ("flat", "s-curve"), ("hover-low", "s-curve"))
FIGURES = {
    "terminal_z_error_m": ("|terminal z| mm", 1e3),
    "z_rmse_m": ("z RMSE mm", 1e3),
    "z_max_error_m": ("max |z| mm", 1e3),
    "final_height_m": ("final height mm", 1e3),
    "touchdown_speed_m_s": ("touchdown m/s", 1.0),
    "xy_end_m": ("xy end mm", 1e3),
    "landing_time_s": ("landing s", 1.0),
    "force_rmse_low_n": ("force < 15 cm N", 1.0),
}


@dataclass(frozen=True)
class Settings:
    """What is run."""

    vehicle: Vehicle
    aero: str
    out: Path
    seeds: range
    train_seed: int
    inputs: str
    controllers: tuple[str, ...]


def learn(settings: Settings, console: Console) -> Path:
    """Collect, train and certify in one world; return the model folder."""
    folder = settings.out / Path(settings.aero).stem
    model = folder / "model"
    with Progress(console=console) as progress:
        task = progress.add_task("collecting", total=1.0)

        def told(done: float, text: str) -> None:
            progress.update(task, completed=done, description=text)

        flights = collect(
            settings.vehicle, 8, 60.0, settings.train_seed, folder / "flights", settings.aero, told
        )
        inputs = TrainingSettings(seed=settings.train_seed, inputs=settings.inputs)  # type: ignore[arg-type]
        info = train(flights, settings.vehicle, inputs, model, told)
    mean = info["scores"]["mean"]
    console.print(
        f"unseen flights: R2 {mean['r2_z_5hz']:.3f}, RMSE {mean['rmse_z_5hz_n']:.3f} N (5 Hz)"
    )
    if settings.inputs == "level":
        for controller in ("learned", "learned+observer"):
            certificate, _ = certify(model, settings.vehicle, controller)
            console.print(f"{controller}: {certificate.verdict}")
    return model


def fly_all(settings: Settings, model: Path, console: Console) -> list[dict[str, Any]]:
    """Fly every controller in every case; a refusal is an outcome."""
    network = load_network(model, settings.vehicle)
    results = []
    for scenario, reference in CASES:
        flights: list[Flight | str] = []
        for controller in settings.controllers:
            plain = Flight(
                settings.vehicle,
                controller,
                load_scenario(scenario),
                reference,
                settings.aero,
                engine="hybrid",
            )
            if not controller.startswith("learned"):
                flights.append(plain)
                continue
            certified = settings.inputs == "level"
            try:
                if certified:
                    require_certificate(model, network, settings.vehicle, controller)
            except Refused as refusal:
                flights.append(str(refusal))
                continue
            flights.append(replace(plain, network=network, certified=certified))
        with Progress(console=console) as progress:
            task = progress.add_task(f"{scenario}, {reference}", total=1.0)

            def told(
                done: float, text: str, progress: Progress = progress, task: Any = task
            ) -> None:
                progress.update(task, completed=done, description=text)

            rows = fly_seeds(flights, settings.controllers, settings.seeds, told)
        results.append(
            {
                "aero": Path(settings.aero).stem,
                "scenario": scenario,
                "reference": reference,
                "table": summarise_seeds(rows),
            }
        )
    return results


def show(result: dict[str, Any], console: Console) -> None:
    """Print one case: median / 95 % of each figure, below it the interval of the 95 %."""
    heads = [head for head, _ in FIGURES.values()]
    title = f"{result['aero']}, {result['scenario']}, {result['reference']}"
    table = Table("controller", "landed", "crashed", "cut in air", *heads, title=title)
    for entry in result["table"]:
        cells = [_cell(entry[key], scale) for key, (_, scale) in FIGURES.items()]
        counts = [f"{entry[k]}/{entry['landings']}" for k in ("landed", "crashed", "cut_in_air")]
        if entry["refused"]:
            counts[0] = f"refused {entry['refused']}"
        table.add_row(entry["controller"], *counts, *cells)
    console.print(table)


def _cell(figure: dict[str, Any] | None, scale: float) -> str:
    """Return median / 95 % of a figure over the interval of the latter."""
    if figure is None:
        return "-"
    p95 = figure["p95"]
    ends = [f"{scale * p95[k]:.3g}" if p95[k] is not None else "?" for k in ("low", "high")]
    head = f"{scale * figure['median']['value']:.3g} / {scale * p95['value']:.3g}"
    return f"{head}\n({ends[0]}..{ends[1]})"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--vehicle", default="intel-aero")
    parser.add_argument("--aero", nargs="+", default=["rotor"])
    parser.add_argument("--seeds", default="0:200", help="first:last, the last left out")
    parser.add_argument("--train-seed", type=int, default=0)
    parser.add_argument("--inputs", default="level", choices=("level", "full"))
    parser.add_argument("--controllers", default=",".join(CONTROLLERS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON list on standard output"
    )
    args = parser.parse_args()
    first, last = map(int, args.seeds.split(":"))
    console = Console(stderr=args.json, width=170)
    results = []
    for aero in args.aero:
        settings = Settings(
            load_vehicle(args.vehicle),
            aero,
            args.out,
            range(first, last),
            args.train_seed,
            args.inputs,
            tuple(args.controllers.split(",")),
        )
        model = learn(settings, console)
        for result in fly_all(settings, model, console):
            results.append(result)
            show(result, console)
    if args.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
