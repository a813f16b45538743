"""Every controller in the scenarios where the ground effect matters, the same seeds, in tables.

    python scripts/scenario_tables.py --out DIR [--aero rotor PATH ...] [--seeds 0:200]
        [--cases slope deck ...] [--json]

For each aerodynamics: collects eight flights of 60 s over a flat floor, trains, and flies

    cross-table, off and onto    a low pass over a table's edge at 1 m/s
    hover-low                    3 cm over the floor; mean and greatest error of the last 3 s
    table                        landing with a leg 5 cm from the edge, along s-curve and fastest
    mass + 10 %, mass - 10 %     which only the world knows
    lag 80 ms                    of the motors; the vehicle file says 40
    position 50 ms late          which the controller knows; along fastest
    start 30 cm off              on every axis; along s-curve
    gap                          a low pass over a gap between tables, landing beside it
    slope                        landing on a ramp of 8 degrees, along s-curve and fastest
    deck                         landing on a deck that heaves by 10 cm and pitches by 2 degrees, 0.3 Hz,
                                 along s-curve and fastest, and with a set-point that only follows the
                                 measured deck instead of the estimated swing

Flights are uncertified where the scenario has edges (a certificate is about one level surface), and
all of them here, so that every controller flies to the end. Prints counts, and median / 95 % of the
size of each figure.
"""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from neural_lander.controller.deck import FOLLOWED, PREDICTED
from neural_lander.controller.fastest import speed_seen
from neural_lander.controller.files import require_folder
from neural_lander.controller.network import load_network
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.learning.training import TrainingSettings, train
from neural_lander.scripts.case_table import Figures, fly_cases, parser_of
from neural_lander.scripts.cli_flight import controllers_of, seeds_of
from neural_lander.scripts.exit_status import exits
from neural_lander.sim.collect import collect
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.gate import with_model
from neural_lander.sim.physics import load_aerodynamics
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.sensors import Sensors
from neural_lander.sim.summary import hover_of

LAST = 3.0
"""Of a hover, over which its error is taken [s]."""


@dataclass(frozen=True)
class Case:
    """What is flown."""

    scenario: str
    reference: str = "s-curve"
    vehicle: Deviation | None = None
    sensors: Sensors | None = None
    deck_way: int = PREDICTED
    start_spread: float | None = None
    """Instead of the scenario's [m]."""


CASES = {
    "cross-table, off": Case("cross-table-off"),
    "cross-table, onto": Case("cross-table"),
    "hover-low": Case("hover-low"),
    "table": Case("table"),
    "table, fastest": Case("table", "fastest"),
    "mass + 10 %": Case("flat", vehicle=Deviation(mass_share=0.1)),
    "mass - 10 %": Case("flat", vehicle=Deviation(mass_share=-0.1)),
    "lag 80 ms, unknown": Case("flat", vehicle=Deviation(lag_s=0.08)),
    "position 50 ms late": Case("flat", "fastest", sensors=Sensors(position_latency=0.05)),
    "start 30 cm off": Case("flat", start_spread=0.3),
    "gap": Case("gap"),
    "slope": Case("slope"),
    "slope, fastest": Case("slope", "fastest"),
    "deck": Case("deck"),
    "deck, fastest": Case("deck", "fastest"),
    "deck, only followed": Case("deck", deck_way=FOLLOWED),
}
FIGURES = Figures(
    {
        "z_max_error_m": ("z max\nmm", 1e3, 1),
        "terminal_z_error_m": ("z end\nmm", 1e3, 1),
        "hover_mean_m": ("hover, mean\nmm", 1e3, 1),
        "hover_max_m": ("hover, max\nmm", 1e3, 1),
        "touchdown_speed_m_s": ("touchdown\nm/s", 1.0, 3),
        "xy_max_m": ("xy max\nmm", 1e3, 0),
        "tilt_in_hover_rad": ("tilt in hover\ndeg", math.degrees(1.0), 1),
    },
    high=0.95,
)


def flight_of(case: Case, controller: str, vehicle: Vehicle, aero: str, model: Path) -> Flight:
    """Return the flight of one controller in one case."""
    scenario = load_scenario(case.scenario)
    if case.sensors is not None:
        scenario = replace(scenario, sensors=case.sensors)
    if case.start_spread is not None:
        scenario = replace(scenario, start_spread=case.start_spread)
    flight = Flight(
        vehicle, controller, scenario, case.reference, aero, engine="hybrid", certified=False,
        descent_speed=speed_seen(load_network(model, vehicle))[0],
        deviation=case.vehicle or Deviation(),
        deck_way=case.deck_way,
    )  # fmt: skip
    return with_model(flight, model)


def landing(flight: Flight, seed: int) -> dict[str, Any]:
    """Fly, and return the summary with the tilt before the plan moves, and the error of a last hover."""
    flown = fly(flight, seed)
    log = flown.log
    hovers = log["time"] < hover_of(log)
    upright = 1 - 2 * (log["truth_attitude"][hovers, :2] ** 2).sum(axis=1)
    figures: dict[str, float | None] = {
        "tilt_in_hover_rad": float(np.arccos(np.clip(upright, -1, 1)).max()),
        "hover_mean_m": None,
        "hover_max_m": None,
    }
    if flight.scenario.target_height > 0 and not flight.scenario.travels:
        error = log["truth_height"] - flight.scenario.target_height
        error = error[log["time"] > log["time"][-1] - LAST]
        figures["hover_mean_m"] = float(error.mean())
        figures["hover_max_m"] = float(np.abs(error).max())
    return flown.summary | figures


@exits
def main() -> None:
    """Learn, fly and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    args = parser.parse_args()
    seeds, controllers = seeds_of(args.seeds), controllers_of(args.controllers)
    vehicle = load_vehicle(args.vehicle)
    for aero in args.aero:
        load_aerodynamics(aero, vehicle)
    require_folder(args.out)
    console = Console(stderr=args.json, width=140)
    result: dict[str, Any] = {}
    for aero in args.aero:
        name = Path(aero).stem
        console.print(f"{name}: collecting and training ...")
        logs = collect(vehicle, 8, 60.0, args.train_seed, args.out / name / "flights", aero)
        model = args.out / name / "model"
        train(logs, vehicle, TrainingSettings(seed=args.train_seed), model)

        def flight(case: str, controller: str, aero: str = aero, model: Path = model) -> Flight:
            return flight_of(CASES[case], controller, vehicle, aero, model)

        title = f"{name}; n = {len(seeds)} seeds; median / 95 %"
        result[name] = fly_cases(
            title, args.cases, controllers, seeds, flight, landing, FIGURES, console
        )
    if args.json:
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
