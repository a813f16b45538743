"""Noise stays inside its bounds and has the colour it claims; estimates are as late, as far off and as
often lost as a scenario says."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import MAX_LATENCY_STEPS, load_vehicle
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.rollout import Flight, fly, with_chances
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.sensors import (
    Sensors,
    draw_bias,
    draw_drop_outs,
    draw_noise,
    noise_bounds,
)

AERO = load_vehicle("intel-aero")
PERIOD = AERO.timing.period
SILENT = replace(AERO, noise=replace(AERO.noise, position=0.0, velocity=0.0, rotor_speed=0.0))
LOW = replace(load_scenario("hover-low"), hover=0.5, after=1.0)

NOISE_SEEN = [-9.205042995929233e-05, 0.0011227579430248009, -0.00623453730924497]
FLIGHT_SEEN = [
    [-0.01625575656886812, -0.02968124623074992, 1.6026819122275824],
    [0.0003093500800093966, -0.0004891521876257392, 1.3300297418056515],
]


def flown(sensors, vehicle=AERO, controller="observer", **more):
    scenario = replace(LOW, sensors=sensors)
    return fly(Flight(vehicle, controller, scenario, engine="hybrid", **more), 0).log


def without_torque_observer(vehicle):
    return replace(vehicle, gains=replace(vehicle.gains, torque_observer=0.0))


@pytest.mark.parametrize("colour", ["mixed", "white", "correlated"])
def test_no_sample_leaves_its_bound_and_the_bound_is_not_idle(colour):
    noise = np.abs(draw_noise(AERO, 200_000, np.random.default_rng(1), colour))
    bound = noise_bounds(AERO)
    assert np.all(noise <= bound)
    assert np.all(noise.max(axis=0) > 0.9 * bound)


def test_half_is_white_and_half_is_correlated_over_the_stated_time():
    noise = draw_noise(AERO, 400_000, np.random.default_rng(2))[:, 0] / AERO.noise.position
    variance = noise.var()
    lag = round(AERO.noise.correlation_time / AERO.timing.period)
    next_one = np.mean(noise[:-1] * noise[1:])
    far = np.mean(noise[: -2 * lag] * noise[2 * lag :])
    white = 0.25 / 3  # variance of half a uniform in [-1, 1]
    slow = 0.25 / 3 * 2 / 3  # lines between knots keep two thirds of the knots' variance
    assert abs(variance - (white + slow)) < 0.003
    assert abs(next_one - slow) < 0.003
    assert abs(far) < 0.003


def test_same_seed_same_noise():
    draws = [draw_noise(AERO, 100, np.random.default_rng(5)) for _ in range(2)]
    assert_array_equal(*draws)


def test_white_noise_forgets_at_once_and_correlated_noise_over_its_time():
    """Lines between knots have two thirds of the knots' variance, and a sixth of it one knot later
    (the cubic B-spline at 1), which is a quarter of their own; knots have 1/3."""
    lag = round(AERO.noise.correlation_time / PERIOD)
    assert lag == 25
    for colour, variance, next_one, at_lag in (
        ("white", 1 / 3, 0.0, 0.0),
        ("correlated", 2 / 9, 2 / 9, 1 / 18),
    ):
        noise = draw_noise(AERO, 400_000, np.random.default_rng(4), colour)
        x = noise[:, :3].T.ravel() / AERO.noise.position
        assert x.var() == pytest.approx(variance, abs=0.004)
        assert np.mean(x[:-1] * x[1:]) == pytest.approx(next_one, abs=0.004)
        assert np.mean(x[:-lag] * x[lag:]) == pytest.approx(at_lag, abs=0.004)


def test_noise_as_it_always_was_has_the_digits_that_it_always_had():
    noise = draw_noise(AERO, 3000, np.random.default_rng(5))
    seen = [noise[0, 0], noise[1234, 7], noise[2999, 15]]
    assert_allclose(seen, NOISE_SEEN, rtol=1e-12)


def test_a_flight_of_flat_is_the_one_that_was_recorded():
    """Recorded in free flight, where nothing makes a rounding grow: to a nanometre."""
    before = without_torque_observer(AERO)
    log = fly(Flight(before, "observer", load_scenario("flat"), engine="hybrid"), 3).log
    assert_allclose(log["truth_position"][[500, 1500]], FLIGHT_SEEN, atol=1e-9)


@pytest.mark.parametrize("latency", [0.01, MAX_LATENCY_STEPS * PERIOD])
def test_the_estimate_is_the_truth_of_its_age_ago(latency):
    late = round(latency / PERIOD)
    log = flown(Sensors(position_latency=latency), SILENT)
    for seen, truth in (("position", "truth_position"), ("velocity", "truth_velocity")):
        assert_array_equal(log[seen][late:], log[truth][:-late])
        assert_array_equal(log[seen][:late], np.repeat(log[truth][:1], late, axis=0))
    off = np.abs(log["rate"] - log["truth_rate"])
    assert off.max() <= AERO.noise.rate + 1e-12  # gyroscopes are never late


def test_a_latency_longer_than_the_simulator_remembers_is_refused():
    longest = MAX_LATENCY_STEPS * PERIOD
    assert Sensors(position_latency=longest).late_steps(AERO) == MAX_LATENCY_STEPS
    with pytest.raises(InputError, match=r"sensors.position_latency is .* expected 0 to 0\.128 s"):
        Sensors(position_latency=longest + PERIOD).late_steps(AERO)


def test_the_bias_grows_as_the_square_root_of_time_before_its_bound():
    """500 walks of 3 axes: the RMS is known to 2 %, three times that is allowed."""
    sensors = Sensors(position_bias_walk=0.01, position_bias_bound=1.0)
    walks = np.stack([draw_bias(sensors, 1001, 0.01, np.random.default_rng(i)) for i in range(500)])
    assert_array_equal(walks[:, 0], 0.0)
    for k in (100, 400, 1000):
        rms = np.sqrt(np.mean(walks[:, k] ** 2))
        assert rms == pytest.approx(0.01 * math.sqrt(k * 0.01), rel=0.06)


def test_the_bias_turns_at_its_bound_and_fills_the_room_inside():
    sensors = Sensors(position_bias_walk=0.05, position_bias_bound=0.02)
    bias = draw_bias(sensors, 500_000, 0.01, np.random.default_rng(1))
    assert np.abs(bias).max() <= 0.02
    assert np.abs(bias).max() > 0.0199
    assert bias.std() == pytest.approx(0.02 / math.sqrt(3), rel=0.03)  # spread evenly
    steps = np.abs(np.diff(bias, axis=0))
    assert steps.max() < 6 * 0.05 * 0.1  # no jump at the bound


def test_position_alone_is_biased_and_stays_inside_noise_and_bound():
    log = flown(Sensors(position_bias_walk=0.02, position_bias_bound=0.01))
    off = np.abs(log["position"] - log["truth_position"])
    assert AERO.noise.position < off.max() <= AERO.noise.position + 0.01 + 1e-12
    assert np.abs(log["velocity"] - log["truth_velocity"]).max() <= AERO.noise.velocity + 1e-12


@pytest.mark.parametrize(("share", "length"), [(0.05, 0.1), (0.5, 0.02), (0.9, 0.02)])
def test_drop_outs_take_their_share_of_time_in_pieces_of_their_length(share, length):
    sensors = Sensors(drop_out_share=share, drop_out_length=length)
    lost = draw_drop_outs(sensors, 1_000_000, PERIOD, np.random.default_rng(2))
    assert lost[0] == 0.0
    assert lost.mean() == pytest.approx(share, rel=0.1)  # three errors of 1000 drop-outs
    begins = np.flatnonzero(np.diff(lost) == 1)
    ends = np.flatnonzero(np.diff(lost) == -1)
    assert set((ends - begins[: len(ends)]).tolist()) == {round(length / PERIOD)}
    assert_array_equal(draw_drop_outs(Sensors(), 1000, PERIOD, np.random.default_rng(2)), 0.0)


def test_a_lost_estimate_stands_still_and_attitude_goes_on():
    sensors = Sensors(drop_out_share=0.2, drop_out_length=0.05)
    log = flown(sensors)
    still = np.all(np.diff(log["position"], axis=0) == 0, axis=1)
    assert_array_equal(still, np.all(np.diff(log["velocity"], axis=0) == 0, axis=1))
    assert 0.1 < still.mean() < 0.3
    assert not np.any(np.all(np.diff(log["attitude"], axis=0) == 0, axis=1))


def test_rotor_speeds_that_nobody_measures_are_the_command_behind_the_files_lag():
    """Battery, weakness and real lag are not seen: f' = (command - f) / lag of the file."""
    other = Deviation(lag_s=0.06, latency=0.01, battery_share_s=0.01)
    log = flown(Sensors(rotor_speed=False), deviation=other)
    commands, seen = log["rotor_thrust_command"], AERO.rotors.k_f * log["rotor_speed"] ** 2
    late, share = round(AERO.timing.latency / PERIOD), 1 - math.exp(-PERIOD / AERO.rotors.lag)
    f = np.full(4, AERO.weight / 4)
    for k in range(1, 400):
        command = commands[k - 1 - late] if k - 1 >= late else np.full(4, AERO.weight / 4)
        f = f + share * (np.clip(command, AERO.rotors.thrust_min, AERO.rotors.thrust_max) - f)
        assert_allclose(seen[k], f, rtol=1e-9)


def test_where_the_file_is_right_the_supposed_speeds_are_the_real_ones():
    same = without_torque_observer(SILENT)  # it is slower where nobody measures
    unseen = flown(Sensors(rotor_speed=False), same)
    seen = flown(Sensors(), same)
    assert_array_equal(unseen["rotor_speed"], seen["rotor_speed"])


def test_what_one_scenario_leaves_to_chance_does_not_move_the_dice_of_another():
    """Air, bias and drop-outs have streams of their own: each is the same with the others or without."""
    noise = np.zeros((500, 16))
    both = Sensors(position_bias_walk=0.01, drop_out_share=0.3)
    rows = [
        with_chances(noise, Flight(AERO, "pd", replace(LOW, sensors=s)), np.random.default_rng(1))
        for s in (both, replace(both, drop_out_share=0.0), replace(both, position_bias_walk=0.0))
    ]
    assert_array_equal(rows[0][:, :3], rows[1][:, :3])
    assert_array_equal(rows[0][:, 16], rows[2][:, 16])
    assert rows[0][:, 16].any()
    flat = Flight(AERO, "pd", replace(LOW, sensors=Sensors(accelerometer=False)))
    assert with_chances(noise, flat, np.random.default_rng(1)) is noise
    felt = with_chances(noise, Flight(AERO, "pd", LOW), np.random.default_rng(1))
    assert_array_equal(felt[:, 23:], rows[0][:, 23:])
    assert felt[:, 23:].any()
    assert not felt[:, :23].any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"position_latency": -0.01}, "position_latency is -0.01, expected a number from 0 to 1 s"),
        ({"position_bias_walk": 1.0}, "position_bias_walk is 1.0"),
        ({"position_bias_bound": 0.0}, "position_bias_bound is 0.0"),
        ({"drop_out_share": 0.95}, "drop_out_share is 0.95, expected a number from 0 to 0.9"),
        ({"drop_out_length": 0.001}, "drop_out_length is 0.001"),
        ({"accelerometer_noise": -0.1}, "accelerometer_noise is -0.1, expected a number from 0"),
        ({"accelerometer_bias": 6.0}, "accelerometer_bias is 6.0, expected a number from 0 to 5"),
        ({"rotor_speed": 1}, "rotor_speed is 1, expected true or false; change it"),
        ({"colour": "pink"}, "colour is 'pink', expected 'mixed' or 'white' or 'correlated'"),
    ],
)
def test_impossible_sensors_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Sensors(**wrong)
