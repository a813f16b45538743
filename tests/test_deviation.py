"""A world that is other than the vehicle file says, seen in what a hovering vehicle does."""

import math
from dataclasses import replace

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.network import network_record
from neural_lander.controller.vehicle import GRAVITY, MAX_LATENCY_STEPS
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.physics import (
    NO_AERODYNAMICS,
    ROTOR,
    aerodynamic_wrench,
    spin_up,
    world_record,
)
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.sensors import Sensors
from neural_lander.sim.wind import Wind

LOW = replace(load_scenario("hover-low"), hover=1.0, after=2.0)


def settled(intel_aero, deviation, controller="observer", aero="none"):
    flight = Flight(intel_aero, controller, LOW, aero=aero, deviation=deviation, engine="hybrid")
    log = fly(flight, 0).log
    return log, log["time"] > log["time"][-1] - 1.0


def test_the_observer_finds_the_mass_that_the_file_does_not_know(intel_aero):
    log, end = settled(intel_aero, Deviation(mass_share=0.1))
    assert log["observer_force"][end, 2].mean() == pytest.approx(-0.1 * intel_aero.weight, rel=0.02)
    assert log["truth_rotor_thrust"][end].sum(axis=1).mean() == pytest.approx(
        1.1 * intel_aero.mass * GRAVITY, rel=0.01
    )


def test_weak_rotors_spin_faster_for_the_same_thrust(intel_aero):
    log, end = settled(intel_aero, Deviation(thrust_shares=(-0.05,) * 4))
    by_speed = intel_aero.rotors.k_f * (log["rotor_speed"][end] ** 2).sum(axis=1).mean()
    assert by_speed == pytest.approx(intel_aero.weight / 0.95, rel=0.01)
    assert log["truth_rotor_thrust"][end].sum(axis=1).mean() == pytest.approx(
        intel_aero.weight, rel=0.01
    )


def test_one_weak_rotor_leaves_its_torque_to_the_attitude_law(intel_aero):
    log, end = settled(intel_aero, Deviation(thrust_shares=(-0.1, 0.0, 0.0, 0.0)))
    speed = log["rotor_speed"][end].mean(axis=0)
    assert speed[0] > 1.03 * speed[1:].mean()
    upright = 1 - 2 * (log["truth_attitude"][end, :2] ** 2).sum(axis=1)
    assert upright.min() > np.cos(np.radians(5))


def test_an_estimate_that_lags_trails_a_descent_by_speed_times_lag(intel_aero):
    landing = load_scenario("flat")
    flight = Flight(intel_aero, "pd", landing, aero="none", deviation=Deviation(estimate_lag=0.02))
    log = fly(flight, 0).log
    falling = log["truth_velocity"][:, 2] < -0.6
    behind = (log["height"] - log["truth_height"])[falling].mean()
    assert behind == pytest.approx(-0.02 * log["truth_velocity"][falling, 2].mean(), rel=0.1)


def record(intel_aero, **deviation):
    w = world_record(intel_aero, ROTOR, deviation=Deviation(**deviation))
    return w.view(np.recarray)[0]


def test_rotors_take_their_real_lag_up_and_a_longer_one_down(intel_aero):
    w = record(intel_aero, lag_s=0.08, lag_down_share=0.5)
    w["thrusts"] = 0.0
    for _ in range(round(0.08 / intel_aero.timing.period)):
        up = spin_up.py_func(w, (4.0,) * 4)
    np.testing.assert_allclose(up, 4.0 * (1 - math.exp(-1)), rtol=1e-9)  # 63 % after one lag
    w["thrusts"] = 4.0
    for _ in range(round(0.12 / intel_aero.timing.period)):
        down = spin_up.py_func(w, (0.0,) * 4)
    np.testing.assert_allclose(down, 4.0 * math.exp(-1), rtol=1e-9)  # 37 % left after 1.5 lags


def test_a_battery_takes_its_share_of_thrust_every_second_and_stops_at_none(intel_aero):
    w = record(intel_aero, battery_share_s=0.02, thrust_shares=(-0.1, 0.0, 0.0, 0.0))
    w["thrusts"] = 4.0
    f = [spin_up.py_func(w, (4.0,) * 4, t) for t in (0.0, 10.0, 60.0)]
    np.testing.assert_allclose(np.array(f)[:, 1], [4.0, 4.0 * 0.8, 0.0], rtol=1e-12)
    np.testing.assert_allclose(np.array(f)[:, 0], 0.9 * np.array(f)[:, 1], rtol=1e-12)


def test_the_observer_finds_what_the_battery_has_lost(intel_aero):
    """At time t the loss is b t of the commanded thrust, and a hover needs weight / (1 - b t)."""
    log, end = settled(intel_aero, Deviation(battery_share_s=0.01))
    by_speed = intel_aero.rotors.k_f * (log["rotor_speed"][end] ** 2).sum(axis=1).mean()
    left = 1 - 0.01 * log["time"][end].mean()
    assert by_speed == pytest.approx(intel_aero.weight / left, rel=0.01)


def test_a_centre_of_mass_beside_the_middle_turns_hover_thrust_into_weight_times_offset(intel_aero):
    """Equal thrusts push through the middle, which is off by -c from the centre of mass:
    the torque is -c x W e3 = (-c_y W, c_x W, 0)."""
    c = (0.02, -0.01, 0.015)
    w = record(intel_aero, centre_of_mass=c)
    w["aerodynamics"] = NO_AERODYNAMICS
    level, still = (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0)
    hover = (intel_aero.weight / 4,) * 4
    _, torque, _ = aerodynamic_wrench.py_func(
        w, network_record(None)[0], (0.0, 0.0, 1.0), level, still, still, hover
    )
    wanted = [-c[1] * intel_aero.weight, c[0] * intel_aero.weight, 0.0]
    np.testing.assert_allclose(torque, wanted, atol=1e-12)
    real = Deviation(centre_of_mass=c).real(intel_aero)
    np.testing.assert_allclose(real.legs.feet, intel_aero.legs.feet - np.array(c))


def test_a_hovering_vehicle_balances_its_weight_about_the_real_centre_of_mass(intel_aero):
    """Thrusts settle where their own torque about the middle is W (c_y, -c_x): sum r x f = c x W."""
    c = np.array([0.01, 0.005, 0.0])
    log, end = settled(intel_aero, Deviation(centre_of_mass=tuple(c)))
    f = log["truth_rotor_thrust"][end].mean(axis=0)
    _, about_x, about_y, _ = intel_aero.mixing @ f
    wanted = intel_aero.weight * np.array([c[1], -c[0]])
    np.testing.assert_allclose([about_x, about_y], wanted, atol=0.03 * np.abs(wanted).max())


def test_truth_is_told_of_the_point_that_the_vehicle_file_calls_its_origin(intel_aero):
    """Standing, it is at rest height, wherever the centre of mass may be."""
    high = Deviation(centre_of_mass=(0.01, 0.0, 0.02))
    flight = Flight(intel_aero, "observer", load_scenario("flat"), deviation=high, engine="hybrid")
    landing = fly(flight, 0)
    assert landing.summary["landed"]
    assert abs(landing.log["truth_height"][-1]) < 0.005  # the legs' play on the floor
    off = landing.log["position"] - landing.log["truth_position"]
    assert np.abs(off).max() <= intel_aero.noise.position + 1e-12


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mass_share": -1.0}, "mass_share is -1.0, expected a number from -0.9 to 5 of the mass"),
        (
            {"thrust_shares": (0.1,) * 3},
            "thrust_shares is .* expected 4 numbers, each from -1 to 1",
        ),
        ({"lag_s": 0.0}, "lag_s is 0.0, expected a number from 0.001 to 1 s"),
        ({"lag_down_share": -0.1}, "lag_down_share is -0.1"),
        ({"battery_share_s": 0.2}, "battery_share_s is 0.2"),
        ({"centre_of_mass": (0.2, 0.0, 0.0)}, "centre_of_mass is"),
        ({"estimate_lag": float("nan")}, "estimate_lag is nan"),
    ],
)
def test_impossible_deviations_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Deviation(**wrong)


def test_what_this_vehicle_cannot_be_is_refused_and_the_last_that_it_can_is_not(intel_aero):
    longest = MAX_LATENCY_STEPS * intel_aero.timing.period
    Deviation(latency=longest).real(intel_aero)
    with pytest.raises(InputError, match=r"latency is 0\.13 s, expected 0 to 0\.128 s: 64 control"):
        Deviation(latency=longest + intel_aero.timing.period).real(intel_aero)
    Deviation(centre_of_mass=(0.099, 0.0, -0.089)).real(intel_aero)  # feet at 0.10 and -0.09
    for beyond in ((0.1, 0.0, 0.0), (0.0, 0.0, -0.09)):
        with pytest.raises(InputError, match="expected a point above and between them"):
            Deviation(centre_of_mass=beyond).real(intel_aero)


def test_a_flight_has_its_vehicle_from_the_scenario_or_its_own_but_not_both(intel_aero):
    heavy = Flight(intel_aero, "pd", load_scenario("heavy"))
    assert heavy.real == Deviation(mass_share=0.1)
    own = Deviation(mass_share=0.2)
    assert Flight(intel_aero, "pd", load_scenario("flat"), deviation=own).real == own
    with pytest.raises(InputError, match=r"has a table \[vehicle\].*leave one of them out"):
        fly(replace(heavy, deviation=own), 0)


def test_engines_agree_on_another_world_too(intel_aero):
    odd = Deviation(
        0.1, (-0.1, 0, 0, 0), 0.02, 0.01, 0.05, 0.3, 0.002, (0.005, -0.003, 0.01)
    )  # fmt: skip
    wind = Wind(steady=(1.0, 0.0, 0.0), gust=(3.0, 0.0, 0.0), turbulence=0.5, near_ground=0.02)
    sensors = Sensors(0.01, 0.001, drop_out_share=0.05, rotor_speed=False, colour="correlated")
    low = replace(LOW, wind=wind, sensors=sensors)
    logs = [
        fly(Flight(intel_aero, "observer", low, deviation=odd, engine=engine), 3).log
        for engine in ("pybullet", "hybrid")
    ]
    for name in ("truth_position", "truth_attitude", "observer_force"):
        np.testing.assert_allclose(logs[0][name], logs[1][name], atol=1e-9)
