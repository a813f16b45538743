"""Air that moves: its gust, its turbulence, and what they push with."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neural_lander.controller.errors import InputError
from neural_lander.controller.network import network_record
from neural_lander.controller.vehicle import GRAVITY
from neural_lander.sim.physics import ROTOR, aerodynamic_wrench, world_record
from neural_lander.sim.rigid_body import fall_freely
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.wind import (
    Wind,
    blow,
    draw_air,
    dryden_lengths,
    dryden_ratio,
    first_order,
    near_ground_force,
    second_order,
)

LOW = replace(load_scenario("hover-low"), hover=1.0, after=2.0)
NO_ROW = np.zeros(6)


def flown(intel_aero, wind, aero="rotor", controller="observer", scenario=LOW):
    return fly(Flight(intel_aero, controller, replace(scenario, wind=wind), aero=aero,
                      engine="hybrid"), 0).log  # fmt: skip


def record(intel_aero, wind):
    return world_record(intel_aero, ROTOR, wind=wind).view(np.recarray)[0]


def correlation(x, lag):
    return np.mean(x[:-lag] * x[lag:]) / x.var()


def test_a_gust_begins_and_ends_at_rest_and_peaks_in_the_middle_of_a_steady_wind(intel_aero):
    wind = Wind(steady=(0.5, 0.0, 0.0), gust=(4.0, 0.0, -1.0), gust_start=1.0, gust_length=2.0)
    w = record(intel_aero, wind)
    speeds = []
    for t in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0):
        blow.py_func(w, t, NO_ROW, 0)
        speeds.append(tuple(w.wind))
    assert_allclose(np.array(speeds)[:, 0], np.array([0, 0, 2, 4, 2, 0, 0]) + 0.5, atol=1e-12)
    assert_allclose(np.array(speeds)[:, 2], [0, 0, -0.5, -1, -0.5, 0, 0], atol=1e-12)


def test_turbulence_comes_on_top_only_where_it_is_asked_for(intel_aero):
    row = np.array([9.0, 1.0, 2.0, 3.0, 0.0, 0.0, 0.0])
    for turbulence, wanted in ((0.0, (2.0, 0.0, 0.0)), (1.0, (3.0, 2.0, 3.0))):
        w = record(intel_aero, Wind(steady=(2.0, 0.0, 0.0), turbulence=turbulence))
        blow.py_func(w, 0.0, row, 1)
        assert tuple(w.wind) == wanted


def test_a_gust_pushes_with_the_rotors_drag(intel_aero):
    """Blown at 4 m/s, a hovering vehicle feels drag T u, whoever plays its aerodynamics."""
    gust = Wind(gust=(4.0, 0.0, 0.0), gust_start=1.2, gust_length=0.6)
    log = flown(intel_aero, gust)
    at = int(np.argmax(log["truth_force"][:, 0]))
    thrust = log["truth_rotor_thrust"][at].sum()
    past = 4.0 - log["truth_velocity"][at, 0]  # it has begun to move with the wind
    wanted = intel_aero.rotors.drag * thrust * past
    assert log["truth_force"][at, 0] == pytest.approx(wanted, rel=0.02)


def test_left_alone_the_vehicle_comes_to_drift_with_the_wind(intel_aero):
    """Level, thrust = weight: v' = drag g (u - v), so v = u (1 - exp(-drag g t)), and u in the end.

    0.1 %: the engine's steps of 2 ms over a drift that takes 5 s.
    """
    w = record(intel_aero, Wind(steady=(3.0, -2.0, 0.0)))
    blow.py_func(w, 0.0, NO_ROW, 0)
    net, hover = network_record(None)[0], (intel_aero.weight / 4,) * 4
    state = ((0.0, 0.0, 50.0), (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    for _ in range(1000):
        force, _, _ = aerodynamic_wrench.py_func(w, net, *state, hover)
        state = fall_freely.py_func(w, *state, force, (0.0, 0.0, 0.0))
    share = 1 - math.exp(-intel_aero.rotors.drag * GRAVITY * 2.0)
    assert_allclose(state[2][:2], [3.0 * share, -2.0 * share], rtol=1e-3)
    drifting = (state[0], state[1], (3.0, -2.0, 0.0), state[3])
    force, _, _ = aerodynamic_wrench.py_func(w, net, *drifting, hover)
    assert_allclose(force[:2], 0.0, atol=1e-12)


def test_in_a_steady_wind_the_vehicle_leans_until_thrust_carries_the_drag(intel_aero):
    """Held in place, far from the ground: drag T u sideways, found by the observer.

    3 %: the vehicle still moves by centimetres a second, and drag acts across the leaning rotors.
    """
    high = replace(LOW, target_height=1.2)
    for u in (1.0, 3.0):
        log = flown(intel_aero, Wind(steady=(0.0, u, 0.0)), scenario=high)
        end = log["time"] > log["time"][-1] - 0.5
        thrust = log["truth_rotor_thrust"][end].sum(axis=1).mean()
        wanted = intel_aero.rotors.drag * thrust * u
        assert log["truth_force"][end, 1].mean() == pytest.approx(wanted, rel=0.03)
        assert log["observer_force"][end, 1].mean() == pytest.approx(wanted, rel=0.1)


def test_lengths_are_those_of_the_standard_and_stop_at_ten_feet():
    """MIL-F-8785C: at 1000 ft all lengths are 1000 ft and all intensities equal."""
    assert_allclose(dryden_lengths(304.8), (304.8, 304.8), rtol=1e-9)
    assert dryden_ratio(304.8) == pytest.approx(1.0)
    low, at_ten_feet = dryden_lengths(1.5), dryden_lengths(3.048)
    assert low == at_ten_feet
    assert_allclose(low, (10 / 0.18523**1.2 * 0.3048, 3.048))
    assert dryden_lengths(3.1) > at_ten_feet


@pytest.mark.parametrize("step", [0.001, 0.3])
def test_forming_filters_have_rms_one_and_the_correlation_of_dryden_at_any_step(step):
    """exp(-x) along the wind, (1 - x/2) exp(-x) across it; 3 standard errors of 400 000 steps."""
    rng, n = np.random.default_rng(3), 400_000
    along, across = (
        first_order(rng.standard_normal(n), step),
        second_order(rng.standard_normal((n, 2)), step),
    )
    error = 3 * math.sqrt(2 / (n * step + 1))  # standard error over independent stretches
    assert along.std() == pytest.approx(1, abs=error)
    assert across.std() == pytest.approx(1, abs=error)
    for about in (0.3, 1.0, 3.0):
        lag = round(about / step)
        x = lag * step
        assert correlation(along, lag) == pytest.approx(math.exp(-x), abs=error)
        assert correlation(across, lag) == pytest.approx((1 - x / 2) * math.exp(-x), abs=error)


def test_filters_start_as_they_go_on():
    """The first sample is as strong as any other: 4000 flights, 3 % is more than 2.5 errors."""
    rng = np.random.default_rng(0)
    first = [(first_order(rng.standard_normal(3), 0.01)[[0, 2]],
              second_order(rng.standard_normal((3, 2)), 0.01)[[0, 2]]) for _ in range(4000)]  # fmt: skip
    assert_allclose(np.std(first, axis=0), 1.0, atol=0.03)


def test_turbulence_has_the_rms_asked_for_and_lies_along_the_wind():
    """Along the wind it lasts longest, L_u / V = 4.6 s, across it is as strong, upward half as strong."""
    wind = Wind(steady=(0.0, 3.0, 0.0), turbulence=0.8)
    air = draw_air(wind, 1.5, 1_000_000, 0.02, np.random.default_rng(1))
    assert_allclose(air[:, :3].std(axis=0), [0.8, 0.8, 0.8 * dryden_ratio(1.5)], rtol=0.05)
    long, _ = dryden_lengths(1.5)
    lag = round(2 * long / wind.airspeed / 0.02)  # across the wind the correlation is 0 here
    assert correlation(air[:, 1], lag) == pytest.approx(math.exp(-2), abs=0.04)
    assert correlation(air[:, 0], lag) == pytest.approx(0, abs=0.04)


def test_same_seed_same_air_and_twice_the_turbulence_is_twice_the_speed():
    air = [
        draw_air(Wind(turbulence=s), 1.5, 500, 0.002, np.random.default_rng(7)) for s in (1, 1, 2)
    ]
    assert_array_equal(air[0], air[1])
    assert_allclose(2 * air[0][:, :3], air[2][:, :3])
    assert_array_equal(air[0][:, 3:], air[2][:, 3:])


def test_the_force_near_the_ground_falls_by_e_every_length_and_forgets_in_its_time(intel_aero):
    wind = Wind(near_ground=0.05, near_ground_length=0.2, near_ground_time=0.08)
    w = record(intel_aero, wind)
    air = draw_air(wind, 1.5, 400_000, 0.002, np.random.default_rng(2))
    assert_allclose(air[:, 3:].std(axis=0), 1.0, rtol=0.05)
    assert_allclose([correlation(x, 40) for x in air[:, 3:].T], math.exp(-1), atol=0.03)
    row = np.array([0.0, 0.0, 0.0, 1.0, -1.0, 0.5])
    for height, share in ((0.0, 0.05), (0.2, 0.05 / math.e), (0.4, 0.05 / math.e**2)):
        force = near_ground_force.py_func(w, height, row, 0)
        assert_allclose(force, share * intel_aero.mass * GRAVITY * row[3:], rtol=1e-12)
    still = record(intel_aero, Wind())
    assert near_ground_force.py_func(still, 0.0, row, 0) == (0.0, 0.0, 0.0)


def test_a_hover_over_the_floor_feels_it_and_a_high_one_hardly(intel_aero):
    wind = Wind(near_ground=0.05, near_ground_length=0.1)
    log = flown(intel_aero, wind, aero="none", controller="observer")
    forces = log["truth_force"] / intel_aero.weight
    low, high = log["truth_height"] < 0.035, log["truth_height"] > 1.4
    assert 0.5 * 0.037 < forces[low].std() < 1.5 * 0.037  # 0.05 exp(-0.3), over 20 forgetting times
    assert np.abs(forces[high]).max() < 1e-6


def test_wind_leaves_the_sensors_noise_alone(intel_aero):
    off = [
        log["attitude"][0] - log["truth_attitude"][0]
        for log in (flown(intel_aero, Wind()), flown(intel_aero, Wind(turbulence=1.0)))
    ]
    assert_array_equal(*off)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steady": (16.0, 0.0, 0.0)}, "steady is .* expected 3 numbers, each from -15 to 15 m/s"),
        ({"gust_length": 0.0}, "gust_length is 0.0, expected a number from 0.1 to 60 s"),
        ({"turbulence": -0.1}, "turbulence is -0.1, expected a number from 0 to 5 m/s; change it"),
        ({"airspeed": 0.0}, "airspeed is 0.0"),
        ({"near_ground": 0.6}, "near_ground is 0.6"),
    ],
)
def test_impossible_air_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Wind(**wrong)
    Wind(steady=(15.0, -15.0, 0.0), gust_length=0.1, turbulence=5.0, near_ground=0.5)
