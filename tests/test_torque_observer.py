"""The torque observer is a first-order filter of the torque that rotors and gyroscopics leave."""

from dataclasses import replace
from importlib import resources

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neural_lander.controller.errors import InputError
from neural_lander.controller.landing_controller import controller_record
from neural_lander.controller.onboard import LandingController, State
from neural_lander.controller.setpoint import plan_descent
from neural_lander.controller.torque_observer import LIMIT, SUPPOSED, hear_torque
from neural_lander.controller.vehicle import load_vehicle, parse_vehicle
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.sensors import Sensors

AERO = load_vehicle("intel-aero")
INERTIA, PERIOD = AERO.body.inertia, AERO.timing.period
RATE = AERO.gains.torque_observer


def with_rate(rate):
    return replace(AERO, gains=replace(AERO.gains, torque_observer=rate))


def turned(torque, rotors, steps, rate=RATE, frozen=lambda k: False, turning=(0.0, 0.0, 0.0)):
    """Return what is found (steps, 3) on a body under a torque beside that of its rotors [N m]."""
    plan = plan_descent("s-curve", (0, 0, 1), 0.0, 1.0)
    c = controller_record(with_rate(rate), "pd", plan, 0.0).view(np.recarray)[0]
    thrusts = np.linalg.solve(AERO.mixing, np.array([AERO.weight, *rotors]))
    omega, found = np.array(turning, dtype=float), []
    for k in range(steps):
        hear_torque.py_func(c, tuple(omega), tuple(thrusts), k == 0, frozen(k))
        found.append(np.array(c.torque_found))
        gyroscopic = np.cross(omega, INERTIA * omega)
        omega = omega + PERIOD * (np.array(rotors) + torque - gyroscopic) / INERTIA
    return np.array(found)


def test_a_constant_torque_is_found_as_one_minus_exponential():
    wanted = np.array([0.02, -0.05, 0.01])
    t = PERIOD * np.arange(1000)[:, None]
    found = turned(wanted, (0.0, 0.0, 0.0), 1000)
    assert_allclose(found, wanted * (1 - np.exp(-RATE * t)), atol=0.01 * np.abs(wanted).max())


def test_torques_of_rotors_and_of_turning_are_none_to_find():
    found = turned(np.zeros(3), (0.03, 0.02, -0.01), 200, turning=(1.0, -2.0, 3.0))
    assert_allclose(found, 0, atol=1e-9)


def test_it_keeps_what_it_has_on_the_floor_and_never_exceeds_its_limit():
    limit = LIMIT * AERO.weight * np.abs(AERO.rotors.positions[:, :2]).max()
    found = turned(np.array([0.0, 2 * limit, 0.0]), (0.0,) * 3, 1500)
    assert found[:, 1].max() == pytest.approx(limit, rel=1e-12)
    kept = turned(np.array([0.05, 0, 0]), (0.0,) * 3, 800, frozen=lambda k: k >= 400)[:, 0]
    assert_allclose(kept[400:], kept[399])
    assert kept[399] > 0.5 * 0.05


@pytest.mark.parametrize("deviation", [
    Deviation(centre_of_mass=(0.02, -0.01, 0.0)), Deviation(thrust_shares=(-0.1, 0.0, 0.0, 0.0)),
])  # fmt: skip
def test_it_lands_on_the_spot_where_the_attitude_law_alone_does_not(deviation):
    def end(rate):
        flight = Flight(
            with_rate(rate), "observer", load_scenario("flat"), deviation=deviation, engine="hybrid"
        )
        summary = fly(flight, 0).summary
        assert summary["landed"]
        return summary["xy_end_m"]

    assert end(RATE) < 0.008
    assert end(0.0) > 0.03


def test_with_torques_as_believed_it_leaves_the_flight_as_it_is():
    def flown(rate):
        return fly(Flight(with_rate(rate), "observer", load_scenario("flat"), engine="hybrid"), 3)

    a, b = flown(RATE).log, flown(0.0).log
    n = min(len(a["time"]), len(b["time"]))
    apart = a["truth_position"][:n] - b["truth_position"][:n]
    assert 0 < np.abs(apart[:, 2]).max() < 0.5e-3
    assert np.abs(apart).max() < 4e-3


def test_a_file_may_leave_it_out_and_is_then_what_it_always_was():
    text = _file()
    without = "\n".join(s for s in text.splitlines() if not s.startswith("torque_observer"))
    vehicle = parse_vehicle(without, "mine")
    assert vehicle.gains.torque_observer == 0.0
    assert vehicle.digest == with_rate(0.0).digest != AERO.digest
    assert "torque_observer_1_s" not in vehicle.as_dict()["gains"]
    assert AERO.as_dict()["gains"]["torque_observer_1_s"] == RATE


def test_a_negative_rate_is_refused():
    wrong = _file().replace(
        "torque_observer_1_s = { value = 4.0", "torque_observer_1_s = { value = -4.0"
    )
    with pytest.raises(
        InputError, match=r"gains\.torque_observer_1_s is -4\.0, expected 0 <= value"
    ):
        parse_vehicle(wrong, "mine")


def _file():
    folder = resources.files("neural_lander.controller") / "vehicles"
    return (folder / "intel-aero.toml").read_text(encoding="utf-8")


def test_where_thrusts_are_supposed_it_is_slow_and_slower_motors_do_not_upset_it():
    """At the full rate slow motors look like a torque of the wrong sign: the loop loses its damping."""
    blind = replace(load_scenario("flat"), sensors=Sensors(rotor_speed=False))

    def widest(rate):
        flight = Flight(
            with_rate(rate), "observer", blind, deviation=Deviation(lag_s=0.09), engine="hybrid"
        )
        return fly(flight, 0).summary["xy_max_m"]

    assert widest(RATE) < 1.6 * widest(0.0) + 2e-3
    assert widest(RATE / SUPPOSED) > 3 * widest(0.0)


def test_what_flies_without_rotor_speeds_says_so_and_takes_a_quarter_of_the_rate():
    level, still = np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(3)
    place = np.array([0.0, 0.0, 1.0 + AERO.rest_height])
    thrusts = np.full(4, AERO.weight / 4)
    for measured, share in ((thrusts, 1.0), (None, SUPPOSED)):
        pilot = LandingController(AERO, start=(0.0, 0.0, 1.0), controller="observer")
        for k in range(3):
            pilot.step(State(place, still, level, still, measured), k * PERIOD)
        assert pilot._memory[0]["torque_rate"] == RATE * share
