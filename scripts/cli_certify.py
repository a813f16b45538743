"""From the options of ``certify`` to the plan, the start and the error bounds of a tube."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

ALPHA = 0.1
"""Default probability that a flight leaves the bounds of its calibration."""

if TYPE_CHECKING:
    from neural_lander.controller.deck_family import DeckFamily
    from neural_lander.controller.setpoint import Plan
    from neural_lander.controller.thrust_room import ThrustRoom
    from neural_lander.controller.vehicle import Vehicle
    from neural_lander.learning.calibration import Calibration
    from neural_lander.sim.scenario import Scenario


def calibration_of(
    flights: Sequence[Path], alpha: float, model: Path, vehicle: "Vehicle", controller: str,
    plan: "Plan | None" = None, deck: "DeckFamily | None" = None,
) -> "Calibration | None":  # fmt: skip
    """Return the bounds from calibration flights; None where there are none.

    Raises:
        InputError: flights that cannot be used, or that training saw.
        Refused: too few flights.
    """
    from neural_lander.controller.errors import InputError

    if not flights:
        if alpha != ALPHA:
            raise InputError("--alpha is for --calibration; give flights")
        return None
    from neural_lander.controller.landing_controller import is_learned
    from neural_lander.controller.model_parts import bundle_of

    if not is_learned(controller):
        raise InputError(f"controller '{controller}' has nothing to certify; take learned+observer")
    from neural_lander.controller.files import read_json
    from neural_lander.controller.flight_log import flight_paths
    from neural_lander.controller.network import load_network
    from neural_lander.learning.calibration import calibrate

    model = bundle_of(model, controller)
    network = load_network(model, vehicle)
    where = model / "model.json" if model.is_dir() else model.with_suffix(".json")
    logs = read_json(where).get("training_logs")
    seen = list(logs.values()) if isinstance(logs, dict) else []
    return calibrate(flight_paths(flights), vehicle, network, controller, seen, alpha, plan, deck)


@dataclass(frozen=True)
class Flown:
    """What the fastest plan depends on beside the scenario."""

    model: Path
    vehicle: "Vehicle"
    controller: str
    touchdown_speed: float = 0.15
    """[m/s]"""
    thrust_room: "ThrustRoom | None" = None
    descent_speed: float | None = None
    """Greatest one asked for [m/s]; None: the default. The model may set a lower one."""

    def plan(self, scenario: "Scenario") -> "Plan":
        """Return the fastest plan, which is the one that ``land`` flies in a scenario.

        Raises:
            InputError: no such plan, or the model cannot be read.
        """
        from neural_lander.controller.fastest import FASTEST, SPEED
        from neural_lander.controller.model_parts import bundle_of
        from neural_lander.controller.network import load_network
        from neural_lander.sim.rollout import Flight

        speed = SPEED if self.descent_speed is None else self.descent_speed
        return Flight(
            self.vehicle, self.controller, scenario, FASTEST,
            touchdown_speed=self.touchdown_speed, descent_speed=speed, thrust_room=self.thrust_room,
            network=load_network(bundle_of(self.model, self.controller), self.vehicle),
        ).plan  # fmt: skip


def tube_options(
    reference: str | None,
    scenario: str,
    epsilon: float | None,
    constant: float,
    flown: Flown | None = None,
    calibrated: bool = False,
) -> dict[str, Any]:
    """Return plan, errors, start and deck for ``certify``; nothing where no reference is given.

    The plan is the one that ``land`` flies in the same scenario, the start what it allows there.
    ``flown`` is for the fastest one, whose tube needs flights to calibrate it with (``calibrated``).

    Raises:
        InputError: unknown names; a bound without a reference, which has no use for it.
    """
    from neural_lander.controller.errors import InputError
    from neural_lander.controller.fastest import FASTEST
    from neural_lander.controller.setpoint import plan_descent
    from neural_lander.controller.tube import ErrorBounds, Start
    from neural_lander.sim.scenario import load_scenario

    if reference is None:
        if epsilon is not None or constant:
            raise InputError("--epsilon is for a tube; say along which --reference it is to be")
        if scenario != "flat":
            raise InputError(
                f"--scenario {scenario} is for a tube; give --reference or --calibration, too"
            )
        return {}
    if reference == FASTEST and (flown is None or not calibrated):
        raise InputError(
            f"a tube along --reference {FASTEST} is in three dimensions, with bounds from flights: give "
            "--calibration FLIGHTS, or leave --reference away: a certificate for every reference lets it "
            "fly, without tube and monitor"
        )
    known = load_scenario(scenario)
    if known.terrain.surfaces or known.travels:
        raise InputError(
            f"there is no tube in scenario '{scenario}': the proof is of a descent over one level "
            "surface; take a scenario without [[surface]] and end_x, end_y"
        )
    if known.deck is not None and reference == FASTEST:
        raise InputError(
            f"there is no tube along --reference {FASTEST} in scenario '{scenario}': over a deck the "
            "proof is about plans that do not feed their own delays forward; take s-curve"
        )
    if known.deck is not None and not calibrated:
        raise InputError(
            f"scenario '{scenario}' has a deck that moves, and a tube over it wants flights to calibrate "
            "it with: give --calibration FLIGHTS"
        )
    if reference == FASTEST and flown is not None:
        plan = flown.plan(known)
        asked = flown

        def replan(room: "ThrustRoom | None") -> "Plan":
            return replace(asked, thrust_room=room).plan(known)

    else:
        plan = plan_descent(reference, known.start, known.target_height, known.hover)
    if epsilon is None and constant:
        raise InputError("--epsilon-constant needs --epsilon, the part that changes, beside it")
    errors = None if epsilon is None else ErrorBounds(epsilon, constant, "given by --epsilon")
    options = {
        "plan": plan,
        "errors": errors,
        "start": Start(known.start_spread, known.start_speed_spread, None),
        "deck": None if known.deck is None else known.deck.family(known.start_x),
    }
    return options | ({"replan": replan} if reference == FASTEST else {})
