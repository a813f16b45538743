"""Landings in RotorPy and PyFlyt with what was learned there, beside what learned nothing.

    python scripts/peer_landings.py --out DIR [--peers RotorPy,PyFlyt] [--seeds 0:10] [--json]

For each simulator, once as it is (no ground effect) and once with a ground effect added through its
own force interface: flies landings with `observer`, logs them, trains, and lands with every
controller from 10 degrees of tilt and any heading. The simulators' states are exact; noise within
the bounds of the vehicle file is put on what the controllers see. Learned controllers fly
uncertified.

`observer` flies with the bandwidth of the vehicle file, chosen with --tune, which flies it with
several over the ground effect, on seeds of their own, and takes the smallest within 5 % of the best
median z RMSE + median |z end|.

Prints what `train` says of a ground effect, counts, the median of each figure's size with its exact
95 % interval, and the same of the differences from `observer`, seed by seed.
"""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import require_folder
from neural_lander.controller.flight_log import FlightLog, write_flight_log
from neural_lander.controller.onboard import LandingController, State
from neural_lander.controller.recorder import Recorder
from neural_lander.controller.setpoint import plan_descent
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.learning.training import TrainingSettings, train
from neural_lander.scripts.case_table import COUNTS
from neural_lander.scripts.cli_flight import seeds_of
from neural_lander.scripts.exit_status import exits
from neural_lander.scripts.peer_worlds import VEHICLES, WORLDS, PeerWorld
from neural_lander.sim.episode import CRASH_SPEED
from neural_lander.sim.pairs import compare_pairs
from neural_lander.sim.sensors import draw_noise
from neural_lander.sim.statistics import middle
from neural_lander.sim.summary import summarise
from neural_lander.sim.verdict import Outcome

HEIGHTS = (0.3, 0.5)
"""Starts of landings, above standing [m]."""
TRAINING_HEIGHTS = (0.2, 0.8)
"""Starts of the landings that are learned from [m]."""
TILT = math.radians(10)
HOVER, AFTER = 1.5, 1.0
"""Before the descent, and after it until a flight is given up [s]."""
BANDWIDTHS = (4.0, 8.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0)
"""Of the observer, with --tune [1/s]."""
TUNING_SEEDS = range(1000, 1004)
AIRS = {"with ground effect": True, "as it is": False}
"""What is flown in each peer -> whether a ground effect is added."""
CONTROLLERS = {
    True: ("pd", "observer", "learned+observer"),
    False: ("observer", "learned+observer"),
}
"""Flown with a ground effect, and without one, where `pd` is `observer` with nothing to observe."""
FIGURES = {
    "landing_time_s": ("time\ns", 1.0, 2),
    "touchdown_speed_m_s": ("touchdown\nm/s", 1.0, 3),
    "terminal_z_error_m": ("z end\nmm", 1e3, 2),
    "z_rmse_m": ("z RMSE\nmm", 1e3, 2),
    "z_max_error_m": ("z max\nmm", 1e3, 2),
}
"""Figure -> head of its column, what it is multiplied by to be read, and decimals."""
HEADS = [head for head, _, _ in FIGURES.values()]
Array = npt.NDArray[np.float64]
MakeWorld = Callable[[Vehicle, Array, Rotation], PeerWorld]


def land(
    make: MakeWorld, vehicle: Vehicle, controller: str, seed: int, heights: tuple[float, float],
    reference: str = "s-curve", model: Path | None = None,
) -> tuple[FlightLog, dict[str, Any]]:  # fmt: skip
    """Land once from a height, heading and tilt drawn from ``seed``; return log and figures."""
    rng = np.random.default_rng(seed)
    height, yaw = float(rng.uniform(*heights)), float(rng.uniform(-math.pi, math.pi))
    lean = rng.uniform(-math.pi, math.pi)
    tilt = Rotation.from_rotvec(TILT * np.array([math.cos(lean), math.sin(lean), 0.0]))
    start = np.array([0.0, 0.0, height + vehicle.rest_height])
    world = make(vehicle, start, Rotation.from_euler("z", yaw) * tilt)
    pilot = LandingController(
        vehicle, controller, start=(0, 0, height), model=model, uncertified=True,
        reference=reference, hover=HOVER, yaw=yaw,
    )  # fmt: skip
    plan = plan_descent(reference, (0, 0, height), 0.0, HOVER)
    noise = draw_noise(vehicle, round((plan.end + AFTER) / pilot.period), rng)
    flight, truth, touched = Recorder(pilot, "peer"), [], []
    for k, off in enumerate(noise):
        truth.append(world.state())
        world.advance(flight.step(seen(truth[-1], off), k * pilot.period))
        touched.append(world.touches())
        if pilot.phase == "cut":
            break
    world.close()
    log = flight.log(scenario="peer", aero="peer", seed=seed)
    summary = summarise(
        as_truth(log, truth, touched), _outcome(truth, touched, pilot.phase), plan, vehicle
    )
    return log, summary


def seen(state: State, off: Array) -> State:
    """Return what sensors with the noise ``off`` (16,) see of a state."""
    assert state.rotor_thrust is not None
    turn = Rotation.from_rotvec(off[6:9]) * Rotation.from_quat(state.attitude)
    return State(
        state.position + off[:3], state.velocity + off[3:6], turn.as_quat(),
        state.rate + off[9:12], state.rotor_thrust * (1 + off[12:16]) ** 2,
    )  # fmt: skip


def as_truth(log: FlightLog, truth: Sequence[State], touched: Sequence[bool]) -> FlightLog:
    """Return a log with what the peer knows: states (steps), and whether it feels the floor.

    What the peer pushes with is not asked: a force of zero stands there, and is not shown.
    """
    exact = {
        f"truth_{name}": np.array([getattr(state, name) for state in truth])
        for name in ("position", "velocity", "attitude")
    }
    exact["truth_height"] = exact["truth_position"][:, 2] - log.metadata["rest_height_m"]
    exact["truth_contact_force"] = np.array(touched, dtype=np.float64)
    exact["truth_force"] = np.zeros((len(log), 3))
    return replace(log, columns={**log.columns, **exact})


def _outcome(truth: Sequence[State], touched: Sequence[bool], phase: str) -> Outcome:
    """Return what became of the flight; ``touched`` (steps,) is after each step."""
    contact = int(np.argmax(touched)) + 1 if any(touched[:-1]) else None
    fast = contact is not None and truth[contact - 1].velocity[2] < -CRASH_SPEED
    return Outcome(contact, len(truth) - 1 if phase == "cut" else None, "too fast" if fast else "")


def learn(
    make: MakeWorld, vehicle: Vehicle, flights: int, out: Path
) -> tuple[Path, dict[str, Any]]:
    """Fly landings with `observer`, along both references, and learn from their logs."""
    paths = []
    for i in range(flights):
        reference = ("s-curve", "exponential")[i % 2]
        log, _ = land(make, vehicle, "observer", 10_000 + i, TRAINING_HEIGHTS, reference)
        paths.append(out / "flights" / f"landing-{i:02d}.parquet")
        write_flight_log(paths[-1], log)
    settings = TrainingSettings(baselines=False, device="cpu")
    return out / "model", train(paths, vehicle, settings, out / "model")


def in_peer(
    name: str, ground_effect: bool, flights: int, seeds: Sequence[int], out: Path
) -> dict[str, Any]:
    """Collect, learn and land in one simulator."""
    _, file, world = WORLDS[name]
    vehicle = load_vehicle(VEHICLES / file)
    make = partial(world, ground_effect=ground_effect)
    model, written = learn(make, vehicle, flights, out)
    flown = {
        controller: [land(make, vehicle, controller, s, HEIGHTS, model=model)[1] for s in seeds]
        for controller in CONTROLLERS[ground_effect]
    }
    named = [
        {**row, "controller": controller, "seed": seed}
        for controller, rows in flown.items()
        for seed, row in zip(seeds, rows, strict=True)
    ]
    return {
        "train": written["ground_effect"],
        "controllers": {controller: sizes(rows) for controller, rows in flown.items()},
        "pairs": compare_pairs(named, "observer", by=(), figures=tuple(FIGURES)),
    }


def sizes(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return counts, and of each figure's size the median with its interval, None where none has it."""
    entry: dict[str, Any] = {"n": len(rows)}
    entry |= {key: sum(row[key] for row in rows) for key in COUNTS}
    for key in FIGURES:
        values = [abs(row[key]) for row in rows if row[key] is not None]
        entry[key] = middle(np.array(values)) if values else None
    return entry


def counted(entry: dict[str, Any]) -> list[str]:
    """Return the counts and figures of a controller as text."""
    counts = [f"{entry[key]}/{entry['n']}" for key in COUNTS]
    return counts + [told(key, entry[key]) for key in FIGURES]


def told(key: str, found: dict[str, Any] | None, sign: str = "") -> str:
    """Return a median and its interval as text."""
    if found is None:
        return "-"
    _, scale, decimals = FIGURES[key]
    ends = [found[end] for end in ("value", "low", "high")]
    value, low, high = (
        "?" if end is None else f"{scale * float(end):{sign}.{decimals}f}" for end in ends
    )
    return f"{value}\n[{low}, {high}]"


def tune(name: str, console: Console) -> dict[str, Any]:
    """Fly `observer` with several bandwidths over the ground effect, on seeds of their own."""
    _, file, world = WORLDS[name]
    given = load_vehicle(VEHICLES / file)
    make = partial(world, ground_effect=True)
    table = Table("bandwidth\n1/s", *COUNTS, *HEADS, title=f"observer in {name}")
    result = {}
    for bandwidth in BANDWIDTHS:
        vehicle = replace(given, gains=replace(given.gains, observer=bandwidth))
        rows = [land(make, vehicle, "observer", s, HEIGHTS)[1] for s in TUNING_SEEDS]
        result[f"{bandwidth:g}"] = entry = sizes(rows)
        table.add_row(f"{bandwidth:g}", *counted(entry))
    console.print(table)
    of = ("z_rmse_m", "terminal_z_error_m")
    score = {b: sum(entry[key]["value"] for key in of) for b, entry in result.items()}
    good = [float(b) for b in score if score[b] <= 1.05 * min(score.values())]
    console.print(f"chosen: {min(good):g} 1/s")
    return {"chosen": min(good), "flown": result}


def peers_of(text: str) -> list[str]:
    """Read ``RotorPy,PyFlyt``; each must be known and installed."""
    names = text.split(",")
    for name in names:
        if name not in WORLDS:
            raise InputError(f"--peers has '{name}', expected {', '.join(WORLDS)}")
        if find_spec(WORLDS[name][0]) is None:
            raise InputError(f"{name} is not installed; docs/other-simulators.md says how")
    return names


@exits
def main() -> None:
    """Read the options, measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--peers", default=",".join(WORLDS))
    parser.add_argument("--seeds", default="0:10", help="first:last, the last left out")
    parser.add_argument("--flights", type=int, default=8, help="landings to learn from")
    parser.add_argument("--tune", action="store_true", help="the observer's bandwidth instead")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    console = Console(stderr=options.json, width=140)
    peers, seeds = peers_of(options.peers), seeds_of(options.seeds)
    require_folder(options.out)
    result: dict[str, Any] = {}
    if options.tune:
        result = {name: tune(name, console) for name in peers}
        peers = []
    for air, ground_effect in AIRS.items():
        for name in peers:
            out = options.out / f"{name}, {air}"
            found = in_peer(name, ground_effect, options.flights, seeds, out)
            result.setdefault(name, {})[air] = found
            table = Table("controller", *COUNTS, *HEADS, title=f"{name}, {air}")
            for controller, entry in found["controllers"].items():
                table.add_row(controller, *counted(entry))
            for pair in found["pairs"]:
                paired = (
                    (pair[key] and told(key, pair[key]["median"], "+")) or "-" for key in FIGURES
                )
                table.add_row(f"{pair['controller']}\n- observer", "", "", "", *paired)
            console.print(table)
            console.print(f"train says: ground effect {found['train']['remark']}")
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
