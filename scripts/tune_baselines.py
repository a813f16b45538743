"""Tune the gains of the baselines, each on the same training seeds and with the same budget.

    python scripts/tune_baselines.py [--aero rotor PATH ...] [--seeds 1000:1032] [--out FILE.toml]
                                     [--record FILE.json] [--controllers pid,...]

For each baseline one gain is scanned over the same number of values. A value's score is the mean over
both references and every aerodynamics given of

    median z RMSE + median |terminal z error|
    + 50 mm * share that did not land
    + 100 mm/(m/s) * mean of the touchdown speed over 0.2 m/s
    + 50 mm * share of hard contacts: a leg over 0.3 m/s after first contact, or a rise over 5 mm

Chosen is the smallest value that is within 5 % of the best score: near the best the score is flat, and
a smaller gain passes less noise on. The chosen value and the vehicle file's are then flown with seeds
that no value was chosen by (--held-out). --out writes a vehicle file in which a gain is replaced where
the chosen value has the better score there too; its source says what was flown. --record writes every
value's figures. Evaluation elsewhere uses seeds from 0 on.

Not tuned: `pd` (the paper's gains, which all share), `textbook-fitted` (least squares on flights).
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from neural_lander.controller.certificate import package_version
from neural_lander.controller.errors import InputError
from neural_lander.controller.files import require_file, write_json, write_whole
from neural_lander.controller.vehicle import Baselines, Vehicle, load_vehicle
from neural_lander.learning.vehicle_file import Number, changed, vehicle_text
from neural_lander.scripts.cli_flight import seeds_of
from neural_lander.scripts.exit_status import exits
from neural_lander.sim.physics import load_aerodynamics
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario

SCENARIO, REFERENCES = "flat", ("exponential", "s-curve")

GRIDS: dict[str, tuple[str, str, list[float]]] = {
    "pid": (
        "integral",
        "gains.integral_1_s3",
        [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80],
    ),
    "observer": (
        "observer",
        "gains.observer_1_s",
        [2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 25, 30, 40, 50, 60],
    ),
    "indi": (
        "indi",
        "baselines.indi_rad_s",
        [4, 5.3, 7.1, 9.5, 13, 17, 22, 30, 40, 53, 71, 95, 127, 169, 225, 300],
    ),
    "l1": (
        "l1",
        "baselines.l1_1_s",
        [2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 25, 30, 40, 50, 60],
    ),
    "textbook": (
        "textbook_radius",
        "gains.textbook_radius_m",
        [0.10, 0.115, 0.13, 0.15, 0.17, 0.19, 0.21, 0.23, 0.24, 0.25, 0.26, 0.27, 0.28, 0.29, 0.30,
         0.32],
    ),
}  # fmt: skip
"""Baseline -> (gain, its name in the vehicle file, values tried)."""

NOT_LANDED = 0.050
"""Cost of not landing [m]."""
SOFT, HARDER = 0.2, 0.100
"""Touchdown speed that costs nothing [m/s], and cost of what is over it [m/(m/s)]."""
HARD_SPEED, HARD_RISE, HARD = 0.3, 0.005, 0.050
"""A contact is hard over this speed [m/s] or this rise [m]; its cost [m]."""


NEARLY = 1.05
"""A score of at most this times the best is as good."""


@dataclass(frozen=True)
class World:
    """What a gain is tuned for, but for the seeds."""

    vehicle: Vehicle
    aeros: tuple[str, ...]


def cost(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the score of landings of one kind, and what it is made of."""
    rmse, end = (
        float(np.median([np.inf if row[key] is None else abs(row[key]) for row in rows]))
        for key in ("z_rmse_m", "terminal_z_error_m")
    )
    landed = float(np.mean([row["landed"] for row in rows]))
    touchdown = [row["touchdown_speed_m_s"] for row in rows]
    fast = float(np.mean([max(0.0, speed - SOFT) for speed in touchdown if speed is not None] or 0))
    hard = float(np.mean([is_hard(row) for row in rows]))
    score = rmse + end + NOT_LANDED * (1 - landed) + HARDER * fast + HARD * hard
    return {"rmse": rmse, "end": end, "landed": landed, "fast": fast, "hard": hard, "score": score}


def is_hard(row: dict[str, Any]) -> bool:
    """Whether a leg met the floor hard after first contact, or the vehicle rose again."""
    return (row["contact_speed_max_m_s"] or 0.0) > HARD_SPEED or (
        row["rise_after_contact_m"] or 0.0
    ) > HARD_RISE


def figures(world: World, controller: str, seeds: range) -> dict[str, float]:
    """Return the means of ``cost`` over both references and all aerodynamics."""
    parts = []
    for aero in world.aeros:
        for reference in REFERENCES:
            flight = Flight(
                world.vehicle,
                controller,
                load_scenario(SCENARIO),
                reference,
                aero,
                engine="hybrid",
            )
            parts.append(cost([fly(flight, seed).summary for seed in seeds]))
    return {key: float(np.mean([part[key] for part in parts])) for key in parts[0]}


def chosen(scores: Mapping[float, float]) -> float:
    """Return the smallest value whose score is nearly the best."""
    return min(value for value, score in scores.items() if score <= NEARLY * min(scores.values()))


def with_gain(vehicle: Vehicle, gain: str, value: float) -> Vehicle:
    """Return the vehicle with another gain, of its gains or of the baselines'."""
    if hasattr(vehicle.gains, gain):
        return replace(vehicle, gains=replace(vehicle.gains, **{gain: value}))  # type: ignore[arg-type]
    others = vehicle.baselines or Baselines(indi=value, l1=value)
    return replace(vehicle, baselines=replace(others, **{gain: value}))


def gain_of(vehicle: Vehicle, gain: str) -> float | None:
    """Return a gain of the vehicle file; None where it has none."""
    own = vehicle.gains if hasattr(vehicle.gains, gain) else vehicle.baselines
    return None if own is None else float(getattr(own, gain))


def flown(world: World, values: Sequence[float], seeds: range) -> int:
    """Return how many landings choosing a gain takes."""
    return len(values) * len(world.aeros) * len(REFERENCES) * len(seeds)


def provenance(world: World, seeds: range, held_out: range) -> str:
    """Return what a tuned gain's source says."""
    aeros = ", ".join(Path(aero).stem for aero in world.aeros)
    return (
        f"chosen by scripts/tune_baselines.py, neural-lander {package_version()}: scenario "
        f"{SCENARIO}, references {', '.join(REFERENCES)}, aerodynamics {aeros}, seeds "
        f"{seeds[0]} to {seeds[-1]}; better on seeds {held_out[0]} to {held_out[-1]} too"
    )


def row_of(controller: str, key: str, value: float, what: str, got: dict[str, float]) -> list[str]:
    """Return a row of the table."""
    scales = {"rmse": 1e3, "end": 1e3, "landed": 100, "fast": 1e3, "hard": 100, "score": 1e3}
    return [
        controller,
        key,
        f"{value:g}",
        what,
        *(f"{scale * got[name]:.2f}" for name, scale in scales.items()),
    ]


@exits
def main() -> None:
    """Scan, fly the best on other seeds, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--vehicle", default="intel-aero")
    parser.add_argument("--aero", nargs="+", default=["rotor"])
    parser.add_argument("--seeds", default="1000:1032", help="to choose by, the last left out")
    parser.add_argument("--held-out", default="2000:2200", help="to judge by, the last left out")
    parser.add_argument("--controllers", default=",".join(GRIDS), help="to tune")
    parser.add_argument("--out", type=Path, help="vehicle file to write")
    parser.add_argument("--record", type=Path, help="JSON to write every value's figures to")
    args = parser.parse_args()
    seeds, held_out = seeds_of(args.seeds), seeds_of(args.held_out)
    world = World(load_vehicle(args.vehicle), tuple(args.aero))
    for aero in world.aeros:
        load_aerodynamics(aero, world.vehicle)
    for file in filter(None, (args.out, args.record)):
        require_file(file)
    chosen_ones = args.controllers.split(",")
    if not set(chosen_ones) <= set(GRIDS):
        raise InputError(f"--controllers is '{args.controllers}', expected of {', '.join(GRIDS)}")
    table = Table(
        "baseline", "gain", "value", "seeds", "z RMSE\nmm", "|terminal|\nmm", "landed\n%",
        "over\n0.2 m/s\nmm/s", "hard\n%", "score\nmm",
    )  # fmt: skip
    better: dict[str, Number] = {}
    record: dict[str, Any] = {
        "vehicle": world.vehicle.name, "scenario": SCENARIO, "references": REFERENCES,
        "aerodynamics": [Path(aero).stem for aero in world.aeros],
        "seeds": [seeds[0], seeds[-1]], "held_out": [held_out[0], held_out[-1]],
        "version": package_version(), "baselines": {},
    }  # fmt: skip
    for controller in chosen_ones:
        gain, key, values = GRIDS[controller]
        scores: dict[float, float] = {}
        tries: list[dict[str, float]] = []
        for value in track(values, description=controller, console=Console(stderr=True)):
            tried = replace(world, vehicle=with_gain(world.vehicle, gain, value))
            got = figures(tried, controller, seeds)
            scores[value] = got["score"]
            tries.append({"value": value, **got})
            table.add_row(*row_of(controller, key, value, "chosen by", got))
        best = chosen(scores)
        stands = gain_of(world.vehicle, gain)
        held: dict[str, dict[str, float]] = {}
        for what, gained in (("stands", stands), ("chosen", best)):
            if gained is not None:
                tried = replace(world, vehicle=with_gain(world.vehicle, gain, gained))
                held[what] = {"value": gained, **figures(tried, controller, held_out)}
                table.add_row(*row_of(controller, key, gained, f"held out, {what}", held[what]))
        table.add_section()
        if stands is None or held["chosen"]["score"] < held["stands"]["score"]:
            better[key] = Number(best, provenance(world, seeds, held_out))
        record["baselines"][controller] = {
            "gain": key, "budget": {"values": len(values), "landings": flown(world, values, seeds)},
            "tried": tries, "held_out": held, "replaced": key in better,
        }  # fmt: skip
    Console(width=130).print(table)
    if args.record is not None:
        write_json(args.record, record)
        print(f"wrote {args.record}")
    if args.out is not None:
        text = changed(vehicle_text(args.vehicle), better)
        write_whole(args.out, lambda file: _write(file, text))
        print(f"wrote {args.out} with {', '.join(better) or 'nothing'} replaced")


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
