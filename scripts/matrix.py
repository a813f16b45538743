"""The whole matrix in one command, and how fast it goes: controllers x scenarios x seeds x worlds.

    python scripts/matrix.py --out DIR [--seeds 0:32] [--aero rotor PATH ...] [--uncertified]
    python scripts/matrix.py --out DIR --measure [--seeds 0:100] [--landings 400] [--memory 5000]

Without --measure: for each aerodynamics collects eight flights of 60 s, trains and certifies as in
`experiment.py` (once: DIR keeps the models), then flies every controller in every bundled scenario as
a campaign, and goes on where an earlier call stopped. A refused certificate is a row. By default two
seeds; the whole matrix is --seeds 0:32.

With --measure: the rate of one process, of two, of two apart, which nobody hands anything meanwhile
(what the machine has to give), and of a Dask cluster of two workers beside two processes, in turns, with
processes warm; the memory of the program that hands out the landings, over --memory of them; and what
that makes of 100,000. CPU time is measured beside the clock, and what others took of the machine.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import astuple, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import require_folder
from neural_lander.controller.model_parts import needs_model
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.scripts.cli_campaign import fly
from neural_lander.scripts.cli_flight import controllers_of, seeds_of
from neural_lander.scripts.cli_options import CONTROLLERS
from neural_lander.scripts.cli_output import progress_bar
from neural_lander.scripts.exit_status import exits
from neural_lander.scripts.experiment import Settings, learn
from neural_lander.sim.campaign.run import CHUNK, Crew, chunks_of, fly_campaign
from neural_lander.sim.campaign.spec import Spec, read_spec
from neural_lander.sim.campaign.worker import Chunk, fly_chunk
from neural_lander.sim.physics import load_aerodynamics
from neural_lander.sim.scenario import bundled_scenarios, load_scenario
from neural_lander.sim.verdict import FLOWN, LANDED

WIDE = 200
"""Columns of a table that goes into a file."""
UNFLOWN = {"errors": "raised", "impossible": "impossible"}
"""Count of a line -> what became of these landings."""
PLANNED, CLUSTER = 100_000, 64
"""Landings and workers that are planned on paper."""


def write_spec(args: argparse.Namespace, names: list[str], seeds: range, console: Console) -> Path:
    """Learn what the controllers need and write the spec of the matrix."""
    models: dict[str, str] = {}
    for aero in args.aero if any(map(needs_model, names)) else ():
        label = Path(aero).stem
        model = args.out / label / "model"
        if not (model / "model.json").is_file():
            settings = Settings(
                load_vehicle(args.vehicle), aero, args.out, seeds, range(1), "level", tuple(names)
            )
            learn(settings, console)
        models[label] = f"{label}/model"
    lines = {
        "name": "matrix",
        "vehicle": args.vehicle,
        "controllers": names,
        "scenarios": args.scenarios.split(","),
        "aero": [a if a in ("rotor", "none") else str(Path(a).resolve()) for a in args.aero],
        "seeds": f"{seeds[0]}:{seeds[-1] + 1}",
        "uncertified": args.uncertified,
    }
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())
    text += "\n[model]\n" + "".join(f'{key} = "{value}"\n' for key, value in models.items())
    path: Path = args.out / "matrix.toml"
    path.write_text(text, encoding="utf-8")
    return path


def fly_matrix(args: argparse.Namespace, spec: Spec, console: Console) -> dict[str, Any]:
    """Fly the matrix, or the rest of it, and print its table."""
    with progress_bar("matrix") as told:
        result = fly(spec, args.out / "campaign", Crew(args.workers), True, told)
    worlds = {(g["scenario"], g["aero"]): g["lines"] for g in result["groups"]}
    for aero in dict.fromkeys(aero for _, aero in worlds):
        names = [scenario for scenario, where in worlds if where == aero]
        table = Table(
            aero, *names, title="largest height error, median in mm, or what became of how many"
        )
        columns = [{line["controller"]: line for line in worlds[name, aero]} for name in names]
        for controller in columns[0]:
            table.add_row(controller, *(cell(column[controller]) for column in columns))
        console.print(table)
    for line in result["said"]:
        console.print(line)
    return {key: value for key, value in result.items() if key != "said"}


def cell(line: dict[str, Any]) -> str:
    """Return a controller's figure in one world; where not every flight ended well, the other ends."""
    if line["refused"]:
        return "refused" if line["refused"] == line["landings"] else f"{line['refused']} refused"
    ill = {end: n for end, n in line["outcomes"].items() if n and end not in (LANDED, FLOWN)}
    ill |= {end: line[key] for key, end in UNFLOWN.items() if line[key]}
    if ill:
        whole = list(ill.values()) == [line["landings"]]
        return ", ".join(end if whole else f"{n} {end}" for end, n in ill.items())
    z = line["z_max_error_m"]
    return "-" if z is None else f"{1e3 * z['median']['value']:.1f}"


@dataclass(frozen=True)
class Turn:
    """How fast some chunks were flown once."""

    per_s: float
    """Landings per second of the clock."""
    per_cpu_s: float
    """Landings per second of CPU time, of this process and its children."""
    others: float
    """Share of the machine's time that others took meanwhile."""


def turn_of(fly: Callable[[Sequence[Chunk]], int], chunks: Sequence[Chunk]) -> Turn:
    """Fly chunks and return how fast that went."""
    mine, busy, begun = _cpu(), _busy(), time.perf_counter()
    flown = fly(chunks)
    wall = time.perf_counter() - begun
    mine, busy = _cpu() - mine, _busy() - busy
    share = max(0.0, busy - mine) / (wall * (psutil.cpu_count() or 1))
    return Turn(flown / wall, flown / mine, share)


def turns_of(
    ways: Mapping[str, Callable[[Sequence[Chunk]], int]], chunks: Sequence[Chunk], repeats: int
) -> dict[str, Turn]:
    """Fly chunks in each way, in turns, all of them warm; return the median turn of each."""
    for way in ways.values():
        way(chunks[:4])  # imports, worlds
    seen: dict[str, list[Turn]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            seen[name].append(turn_of(way, chunks))
    return {name: Turn(*np.median([astuple(t) for t in v], axis=0)) for name, v in seen.items()}


def crew_flies(crew: Crew) -> Callable[[Sequence[Chunk]], int]:
    """Return what flies chunks with a crew."""
    return lambda chunks: sum(len(rows) for rows in crew.fly(chunks))


def fly_apart(pool: Executor) -> Callable[[Sequence[Chunk]], int]:
    """Return what flies half of the chunks in each of two processes, which are told nothing meanwhile."""

    def fly(chunks: Sequence[Chunk]) -> int:
        return sum(pool.map(_fly_all, (chunks[0::2], chunks[1::2])))

    return fly


def _fly_all(chunks: Sequence[Chunk]) -> int:
    return sum(len(fly_chunk(chunk)) for chunk in chunks)


def _cpu() -> float:
    me = psutil.Process()
    family = [me, *me.children(recursive=True)]
    return float(sum(p.cpu_times().user + p.cpu_times().system for p in family))


def _busy() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def measure(args: argparse.Namespace, spec: Spec, console: Console) -> dict[str, Any]:
    """Measure rates in turns, and memory; print both and the plan."""
    from distributed import LocalCluster

    if spec.landings < args.landings:
        raise InputError(
            f"--landings is {args.landings}, and these seeds make {spec.landings}, too few to time; "
            "give more --seeds"
        )
    chunks = list(chunks_of(spec, np.zeros(spec.landings, bool)))
    chunks = chunks[: max(4, args.landings // CHUNK // 2 * 2)]
    one, two, apart, dask = (
        "one process",
        "two processes",
        "two processes apart",
        "Dask, two workers",
    )
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        ways = {one: crew_flies(Crew(1)), two: crew_flies(Crew(2)), apart: fly_apart(pool)}
        turns = turns_of(ways, chunks, args.repeats)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        ways = {two: ways[two], dask: crew_flies(Crew(dask=cluster.scheduler_address))}
        beside = turns_of(ways, chunks, args.repeats)
    turns[dask] = beside[dask]
    result: dict[str, Any] = {
        "landings_per_turn": sum(len(chunk.tasks) for chunk in chunks),
        "landings_per_s": {name: turn.per_s for name, turn in turns.items()},
        "landings_per_cpu_s": {name: turn.per_cpu_s for name, turn in turns.items()},
        "efficiency_of_two": turns[two].per_s / (2 * turns[one].per_s),
        "efficiency_of_two_by_cpu": turns[two].per_cpu_s / turns[one].per_cpu_s,
        "efficiency_of_two_apart": turns[apart].per_s / (2 * turns[one].per_s),
        "efficiency_of_two_apart_by_cpu": turns[apart].per_cpu_s / turns[one].per_cpu_s,
        "two_over_two_apart": turns[two].per_s / turns[apart].per_s,
        "two_over_two_apart_by_cpu": turns[two].per_cpu_s / turns[apart].per_cpu_s,
        "dask_over_joblib": beside[dask].per_s / beside[two].per_s,
        "dask_over_joblib_by_cpu": beside[dask].per_cpu_s / beside[two].per_cpu_s,
        "taken_by_others": {name: turn.others for name, turn in turns.items()},
        "load": os.getloadavg()[0],
    }
    result["hours_for_100000"] = {
        "two cores": PLANNED / result["landings_per_s"][two] / 3600,
        "64 workers": PLANNED / (CLUSTER * result["landings_per_s"][dask] / 2) / 3600,
        "64 workers of their own": PLANNED / (CLUSTER * result["landings_per_cpu_s"][dask]) / 3600,
    }
    result = json.loads(json.dumps(result, default=float))
    for key, value in result.items():
        console.print(f"{key}: {value}")
    if args.memory:
        result["memory_mib"] = memory(args, spec, console)
    return result


def memory(args: argparse.Namespace, spec: Spec, console: Console) -> list[tuple[int, float]]:
    """Return landings flown and the memory of this process [MiB], over a long campaign."""
    long = replace(spec, seeds=range(-(-args.memory // len(spec.cells))))
    me, seen = psutil.Process(), [(0, 0.0)]

    def told(share: float, _phrase: str) -> None:
        flown = round(share * long.landings)
        if flown - seen[-1][0] >= args.memory // 10:
            seen.append((flown, me.memory_info().rss / 2**20))

    fly_campaign(long, args.out / "memory", Crew(args.workers), False, told)
    for flown, mib in seen[1:]:
        console.print(f"after {flown} landings: {mib:.1f} MiB")
    return seen[1:]


@exits
def main() -> None:
    """Read the options, and fly or measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--vehicle", default="intel-aero")
    parser.add_argument("--controllers", default=CONTROLLERS.replace(" ", ""))
    parser.add_argument("--scenarios", default=",".join(bundled_scenarios()))
    parser.add_argument("--aero", nargs="+", default=["rotor"])
    parser.add_argument("--seeds", default="0:2", help="first:last, the last left out")
    parser.add_argument("--uncertified", action="store_true", help="fly without certificates")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--measure", action="store_true", help="rates and memory, not the matrix")
    parser.add_argument("--landings", type=int, default=400, help="of each turn of --measure")
    parser.add_argument("--repeats", type=int, default=3, help="turns of --measure")
    parser.add_argument("--memory", type=int, default=0, help="landings that memory is seen over")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    if min(args.workers, args.repeats, args.landings) < 1 or args.memory < 0:
        raise InputError("--workers, --repeats and --landings are expected to be 1 or more")
    names, seeds = controllers_of(args.controllers), seeds_of(args.seeds)
    vehicle = load_vehicle(args.vehicle)
    for aero in args.aero:
        load_aerodynamics(aero, vehicle)
    for scenario in args.scenarios.split(","):
        load_scenario(scenario)
    require_folder(args.out)
    args.out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=args.json, width=None if sys.stdout.isatty() else WIDE)
    spec = read_spec(write_spec(args, names, seeds, console))
    result = (measure if args.measure else fly_matrix)(args, spec, console)
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
