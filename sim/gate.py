"""The gate: from what a user asks for to a flight that may be flown.

What has learned flies with a certificate that fits it, or is refused; ``uncertified`` says that it flies
all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neural_lander.controller.bumpless import StartFamily
from neural_lander.controller.certificate import plan_digest, require_certificate
from neural_lander.controller.deck import PREDICTED
from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.fastest import FASTEST, SPEED, speed_seen
from neural_lander.controller.landing_controller import is_learned
from neural_lander.controller.model_parts import bundle_of, fitted_radius, needs_model
from neural_lander.controller.monitor import Limits
from neural_lander.controller.network import load_network
from neural_lander.controller.thrust_room import ThrustRoom
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.deck import Deck
from neural_lander.sim.landing_site import check_site
from neural_lander.sim.rollout import Flight
from neural_lander.sim.scenario import Scenario, load_scenario

__all__ = [
    "FlightOptions",
    "descent_speed_of",
    "flight_of",
    "is_learned",
    "require_one_plan",
    "require_possible",
    "with_model",
]


@dataclass(frozen=True)
class FlightOptions:
    """What is asked for: everything about a flight but its controller and seed."""

    vehicle: str
    scenario: str
    reference: str
    aero: str
    model: Path | None = None
    certificate: Path | None = None
    uncertified: bool = False
    engine: str = "pybullet"
    touchdown_speed: float = 0.15
    thrust_room: ThrustRoom | None = None
    descent_speed: float = SPEED
    """Greatest speed of the fastest reference; the model that flies may set a lower one [m/s]."""


def with_model(flight: Flight, model: Path | None) -> Flight:
    """Return a flight with what its controller takes from a model's folder; without asking for a
    certificate.

    Raises:
        InputError: it takes something, and the folder is not given or does not hold it.
    """
    if not needs_model(flight.controller):
        return flight
    if model is None:
        raise InputError(
            f"controller '{flight.controller}' needs a model; give --model MODEL, or model = in a spec"
        )
    if not is_learned(flight.controller):
        return replace(flight, fitted_radius=fitted_radius(model))
    bundle = bundle_of(model, flight.controller)
    return replace(flight, network=load_network(bundle, flight.vehicle))


def flight_of(options: FlightOptions, controller: str, scenario: Scenario | None = None) -> Flight:
    """Return the flight of one controller, in another scenario than the options name if given.

    Raises:
        InputError: something named does not exist or cannot be used.
        Refused: the controller learned something, and no certificate fits it.
    """
    vehicle = load_vehicle(options.vehicle)
    flight = Flight(
        vehicle=vehicle,
        controller=controller,
        scenario=scenario or load_scenario(options.scenario),
        reference=options.reference,
        aero=options.aero,
        engine=options.engine,
        touchdown_speed=options.touchdown_speed,
        thrust_room=options.thrust_room,
        descent_speed=options.descent_speed,
    )
    require_possible(flight, options.scenario)
    flight = with_model(flight, options.model)
    model = options.model
    if model is None or not is_learned(controller):
        return flight
    if options.uncertified:
        return replace(flight, certified=False)
    deck = flight.scenario.deck
    if deck is not None and flight.deck_way != PREDICTED:
        raise Refused(
            "the deck's motion is not fed forward here, and a certificate is about one that is; fly with "
            "--uncertified"
        )
    if deck is not None and flight.plan.compensated:
        raise Refused(
            f"--reference {flight.reference} feeds its own delays forward, which no certificate over a "
            "deck is about; take s-curve, or fly with --uncertified"
        )
    if flight.scenario.terrain.surfaces:
        raise Refused(
            f"scenario '{flight.scenario.name}' has surfaces with edges, and a certificate is about one "
            "level surface: at an edge the learned force changes sideways, too; fly with --uncertified"
        )
    age = flight.scenario.sensors.position_latency
    if age > 0:
        raise Refused(
            f"scenario '{flight.scenario.name}' has estimates {age} s "
            "old (sensors.position_latency), which no certificate is about; fly with --uncertified"
        )
    if flight.scenario.sensors.height == "range":
        raise Refused(
            f"scenario '{flight.scenario.name}' takes its height from a range finder (sensors.height), "
            "whose noise and edges no certificate is about; fly with --uncertified"
        )
    if not flight.scenario.sensors.rotor_speed:
        raise Refused(
            f"scenario '{flight.scenario.name}' does not measure rotor speeds (sensors.rotor_speed), and "
            "a certificate is about an observer that hears measured thrusts; fly with --uncertified"
        )
    network = flight.network
    assert network is not None
    certificate = require_certificate(
        bundle_of(model, controller), network, vehicle, controller, options.certificate,
        options.vehicle, flight.plan,
        None if deck is None else deck.family(flight.scenario.start_x),
    )  # fmt: skip
    tube = certificate.tube
    if tube is not None:
        _require_start(flight, StartFamily.of(tube.get("start", {}).get("joined")))
    limits = Limits.of(tube) if tube is not None and "watch" in tube else None
    if deck is not None:
        assert limits is not None
        _require_under_rotors(flight, deck, limits)
    return replace(flight, certified=True, limits=limits)


def _require_start(flight: Flight, certified: StartFamily) -> None:
    """Refuse flights that may begin farther off their plan, or faster, than the certificate is for."""
    scenario, noise = flight.scenario, flight.vehicle.noise
    for field, spread, unseen, most, unit in (
        ("start_spread", scenario.start_spread, noise.position, certified.offset, "m"),
        ("start_speed_spread", scenario.start_speed_spread, noise.velocity, certified.speed, "m/s"),
    ):
        if spread + unseen > most * (1 + 1e-9):
            raise Refused(
                f"scenario '{scenario.name}': {field} is {spread:g} {unit}, the certificate is for at "
                f"most {max(most - unseen, 0.0):g} {unit}; lower it, or certify with this --scenario"
            )


def _require_under_rotors(flight: Flight, deck: Deck, limits: Limits) -> None:
    """Refuse a deck with an edge that may come under a rotor: there the learned force is another."""
    x, y = flight.scenario.end
    rotors, tube = flight.vehicle.rotors, limits.position.max(axis=0)
    beyond = float(np.linalg.norm(rotors.positions[:, :2], axis=1).max()) + rotors.radius
    needed = beyond + float(tube[:2].max()) + limits.noise[0]
    found = deck.surface.inside(x, y)
    if found < needed:
        raise Refused(
            f"scenario '{flight.scenario.name}': the deck ends {found:.2f} m from where the vehicle "
            f"comes down, and its rotors may reach {needed:.2f} m; land nearer to its middle, or on a "
            "larger one"
        )


def descent_speed_of(options: FlightOptions, controllers: Sequence[str]) -> float:
    """Return the greatest descent speed [m/s] that every model among the controllers has seen.

    With it all of them, those without a model too, fly the same fastest descent.

    Raises:
        InputError: a model cannot be read.
    """
    speed = options.descent_speed
    if options.reference != FASTEST or options.model is None:
        return speed
    vehicle = load_vehicle(options.vehicle)
    for controller in filter(is_learned, controllers):
        network = load_network(bundle_of(options.model, controller), vehicle)
        speed, _ = speed_seen(network, speed)
    return speed


def require_one_plan(flights: Mapping[str, Flight]) -> None:
    """Refuse to pair flights (name -> flight) of one scenario along different plans.

    Raises:
        InputError: naming two; or one cannot be planned.
    """
    plans = {name: plan_digest(flight.plan) for name, flight in flights.items()}
    for name, digest in plans.items():
        first = next(iter(plans))
        if digest != plans[first]:
            raise InputError(
                f"scenario '{flights[name].scenario.name}': {first} and {name} would fly different "
                "references, and no pair of them says which controller is better; compare them apart"
            )


def require_possible(flight: Flight, where: str) -> None:
    """Refuse a scenario that this vehicle cannot be in, before anything is flown; ``where`` names it.

    Raises:
        InputError: saying why.
    """
    try:
        _ = flight.really
        flight.scenario.sensors.late_steps(flight.vehicle)
        if flight.aero != "rotor":
            flight.scenario.aerodynamics.require_none()
        check_site(flight.scenario, flight.vehicle)
    except InputError as error:
        raise InputError(f"scenario {where}: {error}") from error
