"""Measure how fast the environment flies, as a ratio to ``land``'s own loop in the same process.

    python scripts/benchmark_env.py [--json] [--rounds N] [--flights 64]

``land``'s loop: whole landings by ``observer``, set-up of each counted, with either engine. The
environment: the same landings, as a residual of zero on ``observer``, an action every 10 ms, through
``step``: a batch in one process, and a single environment made by ``gymnasium.make``. One core; the runs
take turns, and each ratio is the median over the rounds. The environment flies as engine ``hybrid`` does.
"""

import argparse
import json
import os
import statistics
import time
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import gymnasium
import numpy as np
from rich.console import Console
from rich.table import Table

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.scripts.exit_status import exits
from neural_lander.sim.env import ID
from neural_lander.sim.rollout import ENGINES, Flight, fly
from neural_lander.sim.scenario import load_scenario

WINDOW = 8.0
"""Each flight of the batch is flown this long a round, about a landing [s]."""


def land(engine: str, seeds: range) -> float:
    """Return simulated seconds per second of this process's time."""
    flight = Flight(load_vehicle("intel-aero"), "observer", load_scenario("flat"), engine=engine)
    begun = time.process_time()
    simulated = sum(float(fly(flight, seed).log["time"][-1]) for seed in seeds)
    return simulated / (time.process_time() - begun)


def batch(envs: Any, seconds: float) -> float:
    """Return the same of a batch."""
    still = np.zeros(envs.action_space.shape, np.float32)
    begun = time.process_time()
    for _ in range(round(seconds / 0.01)):
        envs.step(still)
    return float(envs.num_envs * seconds / (time.process_time() - begun))


def single(env: Any, seconds: float) -> float:
    """Return the same of one environment."""
    still = np.zeros(3, np.float32)
    begun = time.process_time()
    for _ in range(round(seconds / 0.01)):
        _, _, terminated, truncated, _ = env.step(still)
        if terminated or truncated:
            env.reset()
    return seconds / (time.process_time() - begun)


def measure(rounds: int, flights: int) -> dict[str, Any]:
    """Return real-time factors and their ratios, of each round and their medians."""
    envs = gymnasium.make_vec(
        ID, flights, vectorization_mode="vector_entry_point", nominal="observer"
    )
    env = gymnasium.make(ID, nominal="observer")
    envs.reset(seed=0)
    env.reset(seed=0)
    batch(envs, WINDOW)  # compiles, and makes the engines
    single(env, WINDOW)
    for engine in ENGINES:
        land(engine, range(1))
    factors: dict[str, list[float]] = {}
    for i in range(rounds):
        seeds = range(8 * i, 8 * i + 8)
        for name, factor in (
            *((f"land, {engine}", land(engine, seeds)) for engine in ENGINES),
            (f"batch of {flights}", batch(envs, WINDOW)),
            ("single", single(env, 4 * WINDOW)),
        ):
            factors.setdefault(name, []).append(factor)
    ratios = {
        f"{name} / land, {engine}": statistics.median(
            a / b for a, b in zip(factors[name], factors[f"land, {engine}"], strict=True)
        )
        for name in (f"batch of {flights}", "single")
        for engine in ENGINES
    }
    return {"ratio": ratios, "real_time_factor": factors}


@exits
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--flights", type=int, default=64)
    args = parser.parse_args()
    if args.rounds < 1 or args.flights < 1:
        raise InputError("--rounds and --flights must be 1 or more")
    result = measure(args.rounds, args.flights)
    if args.json:
        print(json.dumps(result, indent=1))
        return
    table = Table("figure", "of", "value")
    for name, value in result["ratio"].items():
        table.add_row("ratio", name, f"{value:.2f}")
    for name, values in result["real_time_factor"].items():
        table.add_row("real-time factor", name, f"{statistics.median(values):.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
