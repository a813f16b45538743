"""Whether a log is of a flight that may calibrate a certificate: its loop, plan, deck, and start."""

from pathlib import Path
from typing import Any

import numpy as np

from neural_lander.controller.bumpless import begin_at
from neural_lander.controller.deck_family import DeckFamily
from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.network import Network
from neural_lander.controller.setpoint import Plan, plan_record, setpoint
from neural_lander.controller.vehicle import Vehicle

SAME_PLAN = 1e-3
"""Set-points closer than this are of one plan [m]."""

SAME_START = 1e-6
"""Set-point and measured place of the first row are no farther apart [m]."""

EVERY = 25
"""Every so many rows of a log are compared with the plan."""


def check_loop(
    log: FlightLog, path: Path, vehicle: Vehicle, network: Network, controller: str
) -> None:
    """Refuse a log that another loop flew."""
    for key, wanted, name in (
        ("controller", controller, controller),
        ("vehicle_digest", vehicle.digest, f"{vehicle.name}, with the numbers and gains given"),
        ("model", network.digest, "the model given"),
    ):
        found = log.metadata.get(key)
        if found != wanted:
            other = (
                f"controller {found!r}" if key == "controller" else f"another {key.split('_')[0]}"
            )
            raise InputError(
                f"{path}: flown with {other}, expected {name}; calibration flights are "
                "flown with the loop that is to be certified: `neural-lander collect --controller "
                f"{controller} --model MODEL --uncertified`"
            )
    log.require(("force_command", "rotor_speed", "contact", "height"), "a calibration flight")
    if log.metadata.get("rotor_speed_measured") is False:
        raise InputError(
            f"{path}: its rotor speeds are supposed from commands, not measured, so that nothing is seen "
            "of how thrust follows them; fly calibration flights with sensors.rotor_speed = true"
        )
    if "monitor" in log and (log["monitor"] > 0).any():
        raise InputError(
            f"{path}: its monitor dropped the learned force on the way, so it is not of one loop; fly "
            "calibration flights --uncertified"
        )


def check_deck(log: FlightLog, path: Path, deck: DeckFamily | None) -> None:
    """Refuse a log of a flight over another deck, or over one where none is asked for."""
    found = log.metadata.get("deck")
    if found == (None if deck is None else deck.as_dict()):
        return
    here, there = (
        "a surface at rest" if d is None else f"a deck with {d}"
        for d in (found, None if deck is None else deck.as_dict())
    )
    raise InputError(
        f"{path}: flown over {here}, expected {there}; calibration flights are flown in the scenario "
        "that is to be certified: give it to `collect` and to `certify`, with --scenario"
    )


def check_plan(log: FlightLog, path: Path, plan: Plan) -> None:
    """Refuse a log of another plan: its errors are those of other heights and speeds."""
    columns = ("reference_height", "setpoint_position", "setpoint_velocity", "position")
    log.require(columns, "a calibration flight")
    flying = log["contact"] < 0.5
    if "phase" in log:
        flying &= log["phase"] == 0
    rows = np.flatnonzero(flying)[::EVERY]
    record = _begun(log, path, plan)
    wanted = np.array([setpoint(record, float(t))[0][2] for t in log["time"][rows]])
    if len(rows) and flying.all() and log["time"][-1] < plan.end:
        raise InputError(
            f"{path}: ends at {log['time'][-1]:.2f} s in the air, the plan goes on to {plan.end:.2f} s; "
            "a calibration flight has to see every height that the certificate is for"
        )
    off = np.abs(log["reference_height"][rows] - wanted)
    if not len(rows) or off.max() > SAME_PLAN:
        raise InputError(
            f"{path}: its set-point is up to {off.max(initial=0.0):.3g} m away from that of the plan "
            f"{plan.name!r}; calibration flights follow the very reference that is to be certified, "
            "in the same scenario"
        )


def _begun(log: FlightLog, path: Path, plan: Plan) -> Any:
    """Return the record of a plan joined from where the log says that its set-point began.

    Raises:
        InputError: that is not where the vehicle was.
    """
    off = float(np.abs(log["setpoint_position"][0] - log["position"][0]).max())
    if off > SAME_START:
        raise InputError(
            f"{path}: its set-point began {off:.3g} m away from where the vehicle was; that of the loop "
            "which is to be certified begins there: collect the calibration flights again"
        )
    record = plan_record(plan)
    time = float(log["time"][0])
    p, v, _ = setpoint(record, time)
    fast = float(log["setpoint_velocity"][0, 2])
    begin_at(
        record, time, (p[0], p[1], float(log["reference_height"][0])), (v[0], v[1], fast), p, v
    )
    return record


def starts_of(log: FlightLog) -> tuple[float, float] | None:
    """Return within what flights like this one begin, place [m] and speed [m/s]; None: not said."""
    found = log.metadata.get("start_spread_m"), log.metadata.get("start_speed_spread_m_s")
    if found[0] is None or found[1] is None:
        return None
    return float(found[0]), float(found[1])
