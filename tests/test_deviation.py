"""A world that is other than the vehicle file says, seen in what a hovering vehicle does."""

from dataclasses import replace

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import GRAVITY
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.physics import ROTOR, blow, world_record
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario

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


def test_a_gust_begins_and_ends_at_rest_and_peaks_in_the_middle(intel_aero):
    gust = Deviation(gust=(4.0, 0.0, -1.0), gust_start=1.0, gust_length=2.0)
    w = world_record(intel_aero, ROTOR, deviation=gust).view(np.recarray)[0]
    speeds = []
    for t in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0):
        blow.py_func(w, t)
        speeds.append(tuple(w.wind))
    np.testing.assert_allclose(np.array(speeds)[:, 0], [0, 0, 2, 4, 2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(np.array(speeds)[:, 2], [0, 0, -0.5, -1, -0.5, 0, 0], atol=1e-12)


def test_a_gust_pushes_with_the_rotors_drag(intel_aero):
    """Blown at 4 m/s, a hovering vehicle feels drag T u, whoever plays its aerodynamics."""
    gust = Deviation(gust=(4.0, 0.0, 0.0), gust_start=1.2, gust_length=0.6)
    log, _ = settled(intel_aero, gust, aero="rotor")
    at = int(np.argmax(log["truth_force"][:, 0]))
    thrust = log["truth_rotor_thrust"][at].sum()
    past = 4.0 - log["truth_velocity"][at, 0]  # it has begun to move with the wind
    wanted = intel_aero.rotors.drag * thrust * past
    assert log["truth_force"][at, 0] == pytest.approx(wanted, rel=0.02)


def test_impossible_deviations_are_refused(intel_aero):
    with pytest.raises(InputError, match="latency is 1"):
        Deviation(latency=1.0).real(intel_aero)
    with pytest.raises(InputError, match="mass_share"):
        Deviation(mass_share=-1.0).real(intel_aero)


def test_engines_agree_on_another_world_too(intel_aero):
    odd = Deviation(0.1, (-0.1, 0, 0, 0), 0.02, 0.01, (3.0, 0.0, 0.0), 0.5, 1.0)
    logs = [
        fly(Flight(intel_aero, "observer", LOW, deviation=odd, engine=engine), 3).log
        for engine in ("pybullet", "hybrid")
    ]
    for name in ("truth_position", "truth_attitude", "observer_force"):
        np.testing.assert_allclose(logs[0][name], logs[1][name], atol=1e-9)
