"""The accelerometer feels thrust, air and ground, not gravity; nothing else of a flight knows of it."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from neural_lander.controller.vehicle import GRAVITY, load_vehicle
from neural_lander.sim.accelerometer import draw_feeling, stream
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.sensors import Sensors

AERO = load_vehicle("intel-aero")
QUIET = replace(AERO, noise=replace(AERO.noise, attitude=0.0))
FLAT = load_scenario("flat")
LOW = replace(FLAT, start_height=0.3, hover=0.5)
SILENT = Sensors(accelerometer_noise=0.0)


def flown(sensors=SILENT, vehicle=QUIET, controller="observer", seed=3, scenario=LOW, **more):
    scenario = replace(scenario, sensors=sensors)
    return fly(Flight(vehicle, controller, scenario, engine="hybrid", **more), seed).log


def test_in_the_air_it_is_thrust_and_air_over_mass():
    log = flown()
    z = Rotation.from_quat(log["truth_attitude"]).apply([0, 0, 1])
    total = z * log["truth_rotor_thrust"].sum(axis=1, keepdims=True) + log["truth_force"]
    air = log["truth_contact_force"] == 0.0
    rows = np.flatnonzero(air[1:] & air[:-1])
    assert len(rows) > 1000
    # the mean over the period before is the force of the row before, seen from this row's attitude
    assert_allclose(log["specific_force"][rows + 1], total[rows] / AERO.mass, atol=1e-6)


def test_standing_on_the_floor_with_motors_cut_it_feels_what_carries_the_vehicle():
    log = flown()
    end = log["specific_force"][-20:]
    assert log["phase"][-1] == 2
    assert_allclose(end.mean(axis=0), [0, 0, GRAVITY], atol=0.05)


def test_it_measures_at_the_origin_wherever_the_centre_of_mass_is():
    from neural_lander.sim.deviation import Deviation

    log = flown(deviation=Deviation(centre_of_mass=(0.02, 0.0, 0.0)))
    v = log["truth_velocity"]
    change = np.diff(v, axis=0) / AERO.timing.period + [0, 0, GRAVITY]
    assert_allclose(log["specific_force"][1:], change, atol=1e-9)


def test_noise_and_bias_stay_inside_their_bounds_and_use_them():
    sensors = Sensors(accelerometer_noise=0.3, accelerometer_bias=0.5)
    off = draw_feeling(AERO, sensors, 100_000, np.random.default_rng(1))
    bias = off.mean(axis=0)
    assert np.abs(bias).max() <= 0.51
    assert len({round(b, 6) for b in bias}) == 3
    assert 0.27 < np.abs(off - bias).max() <= 0.31
    biases = [draw_feeling(AERO, sensors, 500, np.random.default_rng(i)).mean() for i in range(200)]
    assert np.std(biases) == pytest.approx(0.5 / 3, rel=0.2)  # three uniform axes, averaged


def test_it_draws_from_a_stream_of_its_own():
    rng = np.random.default_rng(7)
    stream(rng).uniform(size=100)
    assert rng.uniform() == np.random.default_rng(7).uniform()
    same, other = (stream(np.random.default_rng(7)).uniform(size=5) for _ in range(2))
    assert_array_equal(same, other)
    assert not np.array_equal(same, np.random.default_rng(7).uniform(size=5))


@pytest.mark.parametrize("controller", ["observer", "l1"])
def test_no_other_number_of_a_flight_depends_on_it(controller):
    logs = [
        flown(sensors, AERO, controller)
        for sensors in (Sensors(accelerometer=False), Sensors(), Sensors(accelerometer_bias=1.0))
    ]
    assert "specific_force" not in logs[0]
    assert not np.array_equal(logs[1]["specific_force"], logs[2]["specific_force"])
    for name, column in logs[0].columns.items():
        assert_array_equal(column, logs[1][name])
        assert_array_equal(column, logs[2][name])


def test_a_biased_accelerometer_moves_indi_by_mass_times_bias():
    """In hover that is a height error of -b / (K_v / m Lambda); the filter of the noise leaves 0.3 mm."""
    still = replace(FLAT, hover=6.0, start_height=1.0, target_height=0.9)
    biased = Sensors(accelerometer_bias=1.0)
    g = AERO.gains
    for seed in (1, 2):
        logs = [flown(s, AERO, "indi", seed, still) for s in (Sensors(), biased)]
        rows = slice(1500, 2900)
        bias = (logs[1]["specific_force"] - logs[0]["specific_force"])[rows].mean(axis=0)
        height = [log["truth_position"][rows, 2].mean() for log in logs]
        expected = -bias[2] / (g.velocity[2] * g.position[2])
        assert height[1] - height[0] == pytest.approx(expected, abs=0.0003)
        assert abs(expected) > 0.002


def test_without_accelerometer_indi_lands_by_the_derivative_of_velocity():
    landing = fly(Flight(AERO, "indi", replace(FLAT, sensors=Sensors(accelerometer=False))), 1)
    assert landing.summary["landed"]
    assert not landing.summary["crashed"]
