"""Landings as fast as the rotors allow: every controller, worlds other than believed, the same seeds.

    python scripts/fast_landings.py --out DIR [--aero rotor PATH ...] [--seeds 0:200] [--json]

For each aerodynamics: collects eight flights of 60 s and, because a network flies no faster than it has
seen, eight landings along the fastest reference flown by `observer`; trains, certifies, and flies
--reference fastest from 1.5 m with every controller. Worlds: as believed, mass +-10 %, a gust of
4 m/s through the descent, and 50 ms of latency that the vehicle file knows (gains chosen for it: attitude
and sideways as in robustness.py; for learned controllers vertical times 0.7, too, which is certified
where 0.8 is not).

Prints counts, and median / 97.5 % of the size of each figure. The plan is the same for all: its speed
limit is that of the model.
"""

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from neural_lander.controller.certificate import require_certificate
from neural_lander.controller.errors import Refused
from neural_lander.controller.fastest import FASTEST, speed_seen
from neural_lander.controller.files import require_folder
from neural_lander.controller.network import Network, load_network
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.learning.certify import certify
from neural_lander.learning.training import TrainingSettings, train
from neural_lander.scripts.case_table import Figures, fly_cases, parser_of
from neural_lander.scripts.cli_flight import controllers_of, seeds_of
from neural_lander.scripts.exit_status import exits
from neural_lander.scripts.robustness import known_latency, put_into
from neural_lander.sim.calibration_flights import collect_landings
from neural_lander.sim.collect import collect
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.gate import is_learned, with_model
from neural_lander.sim.physics import load_aerodynamics
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.wind import Wind

LATE = "latency 50 ms, known"
WORLDS: dict[str, Deviation | Wind] = {
    "as believed": Deviation(),
    "mass + 10 %": Deviation(mass_share=0.1),
    "mass - 10 %": Deviation(mass_share=-0.1),
    "gust of 4 m/s": Wind(gust=(4.0, 0.0, 0.0), gust_start=1.8),
    LATE: Deviation(),
}
FIGURES = Figures(
    {
        "landing_time_s": ("time\ns", 1.0, 2),
        "touchdown_speed_m_s": ("touchdown\nm/s", 1.0, 3),
        "contact_speed_max_m_s": ("later legs\nm/s", 1.0, 3),
        "rise_after_contact_m": ("rise\nmm", 1e3, 1),
        "terminal_z_error_m": ("z end\nmm", 1e3, 1),
        "z_max_error_m": ("z max\nmm", 1e3, 1),
        "saturated_share": ("saturated\n%", 1e2, 1),
    },
    high=0.975,
)


@dataclass(frozen=True)
class Case:
    """What is flown in one world, but for the controller and the seed."""

    vehicle: Vehicle
    aero: str
    touchdown_speed: float
    network: Network
    model: Path


def learn(vehicle: Vehicle, aero: str, touchdown_speed: float, seed: int, out: Path) -> Path:
    """Collect in one world, train and certify; return the model folder."""
    slow = collect(vehicle, 8, 60.0, seed, out / "flights", aero)
    teacher = Flight(vehicle, "observer", load_scenario("flat"), FASTEST, aero, engine="hybrid",
                     touchdown_speed=touchdown_speed)  # fmt: skip
    fast = collect_landings(teacher, 8, seed, out / "fast-flights")
    train([*slow, *fast], vehicle, TrainingSettings(seed=seed), out / "model")
    for controller in ("learned", "learned+observer"):
        certify(out / "model", vehicle, controller)
    return out / "model"


def late(vehicle: Vehicle) -> Vehicle:
    """Return the vehicle with 50 ms of latency, which its file says, and gains chosen for that."""
    slower = known_latency(vehicle, 0.05)
    z = np.array([1.0, 1.0, 0.7])
    gains = replace(
        slower.gains, velocity=slower.gains.velocity * z, position=slower.gains.position * z
    )
    return replace(slower, gains=gains)


def flight_of(case: Case, world: str, controller: str) -> Flight:
    """Return the flight of one controller in one world."""
    vehicle = case.vehicle
    if world == LATE:
        vehicle = late(vehicle) if is_learned(controller) else known_latency(vehicle, 0.05)
    flight = Flight(
        vehicle, controller, load_scenario("flat"), FASTEST, case.aero, engine="hybrid",
        touchdown_speed=case.touchdown_speed, descent_speed=speed_seen(case.network)[0],
    )  # fmt: skip
    return put_into(with_model(flight, case.model), WORLDS[world])


def checked_flight(case: Case, world: str, controller: str) -> Flight | str:
    """Return the flight if a certificate lets it fly, or the refusal."""
    flight = flight_of(case, world, controller)
    if controller == "learned-unbounded":
        return replace(flight, certified=False)
    if not is_learned(controller):
        return flight
    if world == LATE:  # another vehicle file: another certificate
        certify(case.model, flight.vehicle, controller)
    try:
        require_certificate(case.model, case.network, flight.vehicle, controller)
    except Refused as refusal:
        return str(refusal)
    return replace(flight, certified=True)


@exits
def main() -> None:
    """Learn, fly and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--touchdown-speed", type=float, default=0.13, help="m/s")
    args = parser.parse_args()
    seeds, controllers = seeds_of(args.seeds), controllers_of(args.controllers)
    vehicle = load_vehicle(args.vehicle)
    for aero in args.aero:
        load_aerodynamics(aero, vehicle)
    require_folder(args.out)
    console = Console(stderr=args.json, width=150)
    result: dict[str, Any] = {}
    for aero in args.aero:
        name = Path(aero).stem
        console.print(f"{name}: collecting, training, certifying ...")
        model = learn(vehicle, aero, args.touchdown_speed, args.train_seed, args.out / name)
        case = Case(vehicle, aero, args.touchdown_speed, load_network(model, vehicle), model)
        plan = flight_of(case, "as believed", "oracle").plan.metadata
        title = (
            f"{name}, fastest from 1.5 m; n = {len(seeds)} seeds; planned: touchdown after "
            f"{plan['touchdown_s']:.2f} s, {plan['speed_m_s']:.2f} m/s at most; "
            f"what binds: {plan['binds']}; median / 97.5 %"
        )
        result[name] = fly_cases(
            title, list(WORLDS), controllers, seeds, partial(checked_flight, case),
            lambda flight, seed: fly(flight, seed).summary, FIGURES, console,
        )  # fmt: skip
    if args.json:
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
