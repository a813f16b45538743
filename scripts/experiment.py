"""The standard experiment: every controller, both references, the same seeds, in a table.

    python scripts/experiment.py --out DIR [--aero rotor PATH ...] [--seeds 0:200] [--json]

For each aerodynamics: collects eight flights of 60 s in that world, trains, certifies `learned` and
`learned+observer`, then flies all controllers over all seeds with both references, and over a hover
3 cm above the floor. Prints median / 95 % of the size of each figure, the latter with its exact 95 %
interval; --json has the intervals of both. Seeds of training (--train-seed) and of evaluation are
different draws.

With --train-seeds N, N networks are trained from the same flights, with seeds from --train-seed on. A
learned controller then has a row for each network, and one for all: the middle of the networks' own
figures, over the range that these span.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from neural_lander.controller.certificate import require_certificate
from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.files import require_folder
from neural_lander.controller.model_parts import bundle_of, needs_model
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.learning.certify import certify
from neural_lander.learning.training import TrainingSettings, train
from neural_lander.scripts.cli_flight import controllers_of, seeds_of
from neural_lander.scripts.cli_options import CONTROLLERS
from neural_lander.scripts.exit_status import exits
from neural_lander.sim.collect import collect
from neural_lander.sim.compare import summarise_seeds
from neural_lander.sim.gate import with_model
from neural_lander.sim.physics import load_aerodynamics
from neural_lander.sim.rollout import Flight
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.seeds import Case, fly_seeds
from neural_lander.sim.statistics import share

CASES = (("flat", "exponential"), ("flat", "s-curve"), ("hover-low", "s-curve"))
FIGURES = {
    "terminal_z_error_m": ("|terminal z|\nmm", 1e3, 1),
    "z_rmse_m": ("z RMSE\nmm", 1e3, 1),
    "z_max_error_m": ("max |z|\nmm", 1e3, 1),
    "final_height_m": ("final height\nmm", 1e3, 1),
    "touchdown_speed_m_s": ("touchdown\nm/s", 1.0, 3),
    "xy_end_m": ("xy end\nmm", 1e3, 1),
    "landing_time_s": ("landing\ns", 1.0, 2),
    "force_rmse_low_n": ("force < 15 cm\nN", 1.0, 3),
}
"""Figure -> head of its column, what it is multiplied by to be read, and decimals."""


@dataclass(frozen=True)
class Settings:
    """What is run."""

    vehicle: Vehicle
    aero: str
    out: Path
    seeds: range
    train_seeds: range
    """One network each."""
    inputs: str
    controllers: tuple[str, ...]


def learn(settings: Settings, console: Console) -> list[Path]:
    """Collect, train and certify in one world; return the model folder of each training seed."""
    folder = settings.out / Path(settings.aero).stem
    with _bar("collecting", console) as told:
        flights = collect(
            settings.vehicle,
            8,
            60.0,
            settings.train_seeds[0],
            folder / "flights",
            settings.aero,
            told,
        )
    models = []
    for seed in settings.train_seeds:
        model = folder / ("model" if len(settings.train_seeds) == 1 else f"model-{seed}")
        with _bar("training", console) as told:
            inputs = TrainingSettings(seed=seed, inputs=settings.inputs)  # type: ignore[arg-type]
            info = train(flights, settings.vehicle, inputs, model, told)
        mean = info["scores"]["mean"]
        console.print(
            f"training seed {seed}, unseen flights: R2 {mean['r2_z_5hz']:.3f}, "
            f"RMSE {mean['rmse_z_5hz_n']:.3f} N (5 Hz)"
        )
        if settings.inputs == "level":
            for controller in ("learned", "learned+observer"):
                certificate, _ = certify(model, settings.vehicle, controller)
                console.print(f"{controller}: {certificate.verdict}")
        models.append(model)
    return models


@contextmanager
def _bar(title: str, console: Console) -> Iterator[Any]:
    with Progress(console=console) as progress:
        task = progress.add_task(title, total=1.0)
        yield lambda done, text: progress.update(task, completed=done, description=text)


def flight_of(
    settings: Settings, scenario: str, reference: str, controller: str, model: Path | None
) -> Flight | str:
    """Return a flight, with the model of a learned controller; a refusal is text."""
    plain = Flight(
        settings.vehicle,
        controller,
        load_scenario(scenario),
        reference,
        settings.aero,
        engine="hybrid",
    )
    flight = with_model(plain, model)
    if model is None or flight.network is None:
        return flight
    bundle, certified = bundle_of(model, controller), settings.inputs == "level"
    try:
        if certified and controller != "learned-unbounded":
            require_certificate(bundle, flight.network, settings.vehicle, controller)
    except Refused as refusal:
        return str(refusal)
    return replace(flight, certified=certified and controller != "learned-unbounded")


def fly_all(settings: Settings, models: Sequence[Path], console: Console) -> list[dict[str, Any]]:
    """Fly every controller in every case; a learned one with each network."""
    results = []
    for scenario, reference in CASES:
        table: list[dict[str, Any]] = []
        with _bar(f"{scenario}, {reference}", console) as told:
            for controller in settings.controllers:
                own = []
                for model in models if needs_model(controller) else [None]:
                    flight = flight_of(settings, scenario, reference, controller, model)
                    rows = fly_seeds(
                        [Case(controller, scenario, flight)], settings.seeds, told
                    ).rows
                    own += summarise_seeds(rows)
                table += own if len(own) == 1 else over_networks(own, settings.train_seeds)
        results.append(
            {
                "aero": Path(settings.aero).stem,
                "scenario": scenario,
                "reference": reference,
                "seeds": [settings.seeds[0], settings.seeds[-1]],
                "train_seeds": list(settings.train_seeds),
                "table": table,
            }
        )
    return results


def over_networks(entries: Sequence[dict[str, Any]], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Return an entry for all networks of one controller together, then each network's own.

    Counts are added up; of each figure's median and 95 %, each over the flights of one network, the
    middle network's is the value and the networks' range its ends.
    """
    together: dict[str, Any] = {
        key: value if isinstance(value, str) else sum(entry[key] for entry in entries)
        for key, value in entries[0].items()
        if isinstance(value, int | str)
    }
    together["networks"] = len(entries)
    together["landed_share"] = share(together["landed"], together["landings"])
    for key in FIGURES:
        known = [entry[key] for entry in entries if entry[key] is not None]
        together[key] = (
            {
                "n": sum(figure["n"] for figure in known),
                **{
                    q: {
                        "value": float(np.median([figure[q]["value"] for figure in known])),
                        "low": min(figure[q]["value"] for figure in known),
                        "high": max(figure[q]["value"] for figure in known),
                    }
                    for q in ("median", "p95")
                },
            }
            if known
            else None
        )
    each = [entry | {"train_seed": seed} for entry, seed in zip(entries, seeds, strict=True)]
    return [together, *each]


def show(result: dict[str, Any], console: Console) -> None:
    """Print one case: median / 95 % of each figure, and below it how sure that is."""
    heads = [head for head, _, _ in FIGURES.values()]
    first, last = result["seeds"]
    title = f"{result['aero']}, {result['scenario']}, {result['reference']}; n = {last - first + 1} seeds"
    counts = ("landed", "touched", "crashed", "cut_in_air")
    table = Table("controller", *(c.replace("_", " ") for c in counts), *heads, title=title)
    for entry in result["table"]:
        cells = [_cell(entry[key], key, "networks" in entry) for key in FIGURES]
        shown = [f"{entry[count]}/{entry['landings']}" for count in counts]
        if entry["refused"]:
            shown[0] = f"refused {entry['refused']}"
        table.add_row(_name(entry), *shown, *cells)
    console.print(table)
    console.print(
        "median / 95 % over flights (95 % interval of the latter); of several networks: the middle "
        "one's (medians' range; 95 %s' range)"
    )


def _name(entry: dict[str, Any]) -> str:
    if "networks" in entry:
        return f"{entry['controller']}, {entry['networks']} networks"
    seed = entry.get("train_seed")
    return entry["controller"] if seed is None else f"  training seed {seed}"


def _cell(figure: dict[str, Any] | None, key: str, networks: bool) -> str:
    """Return median / 95 % of a figure over their ranges, or the interval of the latter."""
    if figure is None:
        return "-"
    _, scale, decimals = FIGURES[key]

    def read(q: str, end: str) -> str:
        value = figure[q][end]
        return "?" if value is None else f"{scale * value:.{decimals}f}"

    head = f"{read('median', 'value')} / {read('p95', 'value')}"
    ends = [f"{read(q, 'low')}..{read(q, 'high')}" for q in ("median", "p95")]
    return f"{head}\n({'; '.join(ends)})" if networks else f"{head}\n({ends[1]})"


@exits
def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--vehicle", default="intel-aero")
    parser.add_argument("--aero", nargs="+", default=["rotor"])
    parser.add_argument("--seeds", default="0:200", help="first:last, the last left out")
    parser.add_argument("--train-seed", type=int, default=0)
    parser.add_argument("--train-seeds", type=int, default=1, metavar="N", help="so many networks")
    parser.add_argument("--inputs", default="level", choices=("level", "full"))
    parser.add_argument("--controllers", default=CONTROLLERS.replace(" ", ""))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON list on standard output"
    )
    args = parser.parse_args()
    seeds, vehicle = seeds_of(args.seeds), load_vehicle(args.vehicle)
    controllers = tuple(controllers_of(args.controllers))
    if args.train_seed < 0 or args.train_seeds < 1:
        raise InputError(
            f"--train-seed is {args.train_seed} and --train-seeds is {args.train_seeds}, expected 0 "
            "or more and 1 or more"
        )
    for aero in args.aero:
        load_aerodynamics(aero, vehicle)
    require_folder(args.out)
    console = Console(stderr=args.json, width=205)
    results = []
    for aero in args.aero:
        settings = Settings(
            vehicle,
            aero,
            args.out,
            seeds,
            range(args.train_seed, args.train_seed + args.train_seeds),
            args.inputs,
            controllers,
        )
        models = learn(settings, console)
        for result in fly_all(settings, models, console):
            results.append(result)
            show(result, console)
    if args.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
