"""Landings in worlds that are other than the controllers believe, all controllers, the same seeds.

    python scripts/robustness.py --model MODEL [--aero rotor] [--seeds 0:50] [--json]

Worlds: mass +-10 %, every rotor 5 % weak, one rotor 10 % weak, a gust of 4 m/s, latency 30 ms that
nobody knows of, an estimate that lags by 20 ms, and 50 ms of latency that the vehicle file knows:
its attitude and sideways gains are then chosen for it, lower by (lag + 4 ms) / (lag + 50 ms), which
keeps the attitude loop's phase margin.
Prints median / 95 % of the size of each figure. No monitor: every controller flies to the end.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from neural_lander.controller.network import load_network
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.scripts.cli_flight import controllers_of, seeds_of
from neural_lander.scripts.exit_status import exits
from neural_lander.sim.compare import summarise_seeds
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.gate import with_model
from neural_lander.sim.physics import load_aerodynamics
from neural_lander.sim.rollout import Flight
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.seeds import Case, fly_seeds
from neural_lander.sim.wind import Wind

WORLDS: dict[str, Deviation | Wind] = {
    "as believed": Deviation(),
    "mass + 10 %": Deviation(mass_share=0.1),
    "mass - 10 %": Deviation(mass_share=-0.1),
    "thrust - 5 %": Deviation(thrust_shares=(-0.05,) * 4),
    "one rotor - 10 %": Deviation(thrust_shares=(-0.1, 0.0, 0.0, 0.0)),
    "gust of 4 m/s": Wind(gust=(4.0, 0.0, 0.0)),
    "latency 30 ms, unknown": Deviation(latency=0.03),
    "estimate 20 ms late": Deviation(estimate_lag=0.02),
    "latency 50 ms, known": Deviation(),
}

FIGURES = {
    "terminal_z_error_m": ("|terminal z| mm", 1e3, 1),
    "z_max_error_m": ("max |z| mm", 1e3, 1),
    "xy_end_m": ("xy end mm", 1e3, 1),
    "touchdown_speed_m_s": ("touchdown m/s", 1.0, 3),
}


def put_into(flight: Flight, world: Deviation | Wind) -> Flight:
    """Return the flight in another world."""
    if isinstance(world, Wind):
        return replace(flight, scenario=replace(flight.scenario, wind=world))
    return replace(flight, deviation=world)


def known_latency(vehicle: Vehicle, seconds: float) -> Vehicle:
    """Return the vehicle with another latency, which its file says, and gains chosen for that."""
    lag, gains = vehicle.rotors.lag, vehicle.gains
    share = (lag + vehicle.timing.latency) / (lag + seconds)
    slower = np.array([share, share, 1.0])
    return replace(
        vehicle,
        timing=replace(vehicle.timing, latency=seconds),
        gains=replace(
            gains,
            attitude=gains.attitude * share,
            yaw=gains.yaw * share,
            velocity=gains.velocity * slower,
            position=gains.position * slower,
        ),
    )


@exits
def main() -> None:
    """Fly and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--vehicle", default="intel-aero")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--aero", default="rotor")
    parser.add_argument("--scenario", default="flat")
    parser.add_argument("--reference", default="s-curve")
    parser.add_argument("--seeds", default="0:50", help="first:last, the last left out")
    parser.add_argument(
        "--controllers", default="observer,learned,learned+observer,oracle,oracle+observer"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    seeds, controllers = seeds_of(args.seeds), controllers_of(args.controllers)
    vehicle, scenario = load_vehicle(args.vehicle), load_scenario(args.scenario)
    load_aerodynamics(args.aero, vehicle)
    load_network(args.model, vehicle)
    console = Console(stderr=args.json, width=150)
    result: dict[str, Any] = {}
    heads = [head for head, _, _ in FIGURES.values()]
    table = Table("world", "controller", "landed", "crashed", *heads)
    table.title = f"{args.aero}, {args.scenario}, {args.reference}; n = {len(seeds)} seeds"
    with Progress(console=console) as progress:
        task = progress.add_task("flying", total=len(WORLDS) * len(controllers))
        for world, different in WORLDS.items():
            flown = known_latency(vehicle, 0.05) if world == "latency 50 ms, known" else vehicle
            for controller in controllers:
                flight = Flight(
                    flown, controller, scenario, args.reference, args.aero, engine="hybrid",
                    certified=False,
                )  # fmt: skip
                flight = with_model(flight, args.model)
                flight = put_into(flight, different)
                rows = fly_seeds([Case(controller, scenario.name, flight)], seeds).rows
                entry = summarise_seeds(rows)[0]
                result.setdefault(world, {})[controller] = entry
                counts = [f"{entry[key]}/{entry['landings']}" for key in ("landed", "crashed")]
                table.add_row(world, controller, *counts, *(_cell(entry, key) for key in FIGURES))
                progress.advance(task)
            table.add_section()
    console.print(table)
    if args.json:
        print(json.dumps(result, indent=1))


def _cell(entry: dict[str, Any], key: str) -> str:
    figure = entry.get(key)
    if figure is None:
        return "-"
    _, scale, decimals = FIGURES[key]
    return " / ".join(f"{scale * figure[q]['value']:.{decimals}f}" for q in ("median", "p95"))


if __name__ == "__main__":
    main()
