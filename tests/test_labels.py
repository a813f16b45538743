import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neural_lander.controller.contact import (
    FOOT_CLEARANCE,
    lowest_foot,
    lowest_foot_compiled,
    may_touch,
)
from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.vehicle import GRAVITY
from neural_lander.learning.labels import (
    LONGEST_GAP,
    REACH,
    lagged_thrust,
    raw_labels,
    residual_labels,
    run_slices,
)

from .vertical_flight import cushion, vertical_flight

MILLI = 1e-3


def with_columns(log, **columns):
    return replace(log, columns={**log.columns, **columns})


def true_force(log, labels):
    return np.stack([np.interp(labels.time, log["time"], f) for f in log["truth_force"].T], axis=1)


def error(log, labels):
    """Label minus true force where valid, all axes [N]."""
    return (labels.force - true_force(log, labels))[labels.valid]


def test_labels_of_a_flight_without_noise_are_the_force_itself(intel_aero):
    log = vertical_flight(intel_aero, seed=1)
    labels = residual_labels(log, intel_aero)
    # 3 mN: the spline; 30 mN, 2 per mille of weight: what 5 Hz takes off a force that changes fast
    assert np.abs(error(log, raw_labels(log, intel_aero))).max() < 3 * MILLI
    assert np.abs(error(log, labels)).max() < 30 * MILLI


def test_labels_of_a_noisy_flight_are_off_by_noise_but_not_biased(intel_aero):
    log = vertical_flight(intel_aero, seed=2, seconds=40, noise=1.0)
    e = error(log, residual_labels(log, intel_aero))[:, 2]
    assert abs(e.mean()) < 10 * MILLI
    assert e.std() < 0.15  # a tenth of the ground effect when standing


def test_inputs_go_through_the_same_filter_as_the_force(intel_aero):
    """A force that is linear in the inputs keeps its equation behind any filter."""
    log = vertical_flight(intel_aero, seed=3, force=lambda h, v, T: 1 - 0.5 * h - 0.3 * v + 0.1 * T)
    for cutoff in (1.0, 5.0):
        low = residual_labels(log, intel_aero, cutoff)
        foretold = 1 - 0.5 * low.height - 0.3 * low.velocity[:, 2] + 0.1 * low.rotor_thrust.sum(1)
        np.testing.assert_allclose(low.force[low.valid, 2], foretold[low.valid], atol=3 * MILLI)


def test_free_fall_and_hover_without_air_leave_nothing(intel_aero):
    n = 200
    t = np.arange(n) / 100
    share = 0.1  # rotors idle at a tenth of weight, so that the motors count as running
    a = -GRAVITY * (1 - share)
    each = np.full((n, 4), share * intel_aero.weight / 4)
    zero = np.zeros((n, 3))
    columns = {
        "time": t,
        "position": zero,
        "velocity": np.stack([0 * t, 0 * t, a * t], axis=1),
        "attitude": np.tile([0.0, 0, 0, 1], (n, 1)),
        "rate": zero,
        "rotor_thrust_command": each,
        "rotor_speed": np.sqrt(each / intel_aero.rotors.k_f),
        "height": 30 + a * t**2 / 2,
        "contact": np.zeros(n),
    }
    labels = residual_labels(FlightLog(columns), intel_aero)
    np.testing.assert_allclose(labels.force, 0, atol=1e-9)


def test_thrust_of_a_tilted_vehicle_is_turned_into_the_world(intel_aero):
    """At 20 degrees of roll the rotors push 34 % of their thrust sideways."""
    log = vertical_flight(intel_aero, seed=4, tilt=math.radians(20), lowest=0.2)
    labels = raw_labels(log, intel_aero)
    assert np.abs(error(log, labels)).max() < 3 * MILLI
    assert abs(labels.force[:, 1]).min() > 3.0


def test_a_specific_force_is_used_where_there_is_one_and_already_holds_gravity(intel_aero):
    log = vertical_flight(intel_aero, seed=5)
    push = log["truth_rotor_thrust"].sum(axis=1)[:, None] * [0, 0, 1]
    specific = (log["truth_force"] + push) / intel_aero.mass
    wrong_velocity = log["velocity"] + np.sin(7 * log["time"])[:, None]
    measured = with_columns(log, specific_force=specific, velocity=wrong_velocity)
    assert np.abs(error(log, raw_labels(measured, intel_aero))).max() < 1e-6


def test_without_rotor_speed_the_command_behind_the_lag_gives_the_thrust(intel_aero):
    log = vertical_flight(intel_aero, seed=6, rotor_speed=False)
    thrust = lagged_thrust(log["time"], log["rotor_thrust_command"], intel_aero)
    settled = log["time"] > 0.5
    np.testing.assert_allclose(
        thrust[settled], log["truth_rotor_thrust"][settled], atol=intel_aero.weight * 1e-3
    )
    labels = residual_labels(log, intel_aero)
    late = labels.rows(labels.time > 0.5)
    assert np.abs(error(log, late)).max() < 30 * MILLI


def test_a_wrong_lag_is_seen_in_the_labels(intel_aero):
    """With 80 ms for a true 40 ms the thrust is 40 ms late: 40 ms x 10 N/s = 0.4 N."""
    log = vertical_flight(intel_aero, seed=6, rotor_speed=False, lag=0.08)
    labels = residual_labels(log, intel_aero)
    late = labels.rows(labels.time > 0.5)
    assert np.abs(error(log, late))[:, 2].max() > 0.3


def test_lag_follows_the_true_time_steps(intel_aero):
    rng = np.random.default_rng(0)
    time = np.cumsum(rng.uniform(0.002, 0.02, 400))
    command = np.repeat((3 + 0.5 * np.minimum(time, 1.0))[:, None], 4, axis=1)
    thrust = lagged_thrust(time, command, intel_aero)
    wait = intel_aero.timing.latency + intel_aero.timing.period / 2
    ramp = (time > 0.6) & (time < 1.0)  # long after the start a ramp is followed one lag behind
    expected = 3 + 0.5 * (time - wait - intel_aero.rotors.lag)
    np.testing.assert_allclose(thrust[ramp, 0], expected[ramp], atol=1e-4)


def test_jitter_and_a_faster_log_give_the_same_labels(intel_aero):
    for rate, jitter in ((100, 0.0005), (500, 0.0)):
        log = vertical_flight(intel_aero, seed=7, rate=rate, jitter=jitter)
        labels = residual_labels(log, intel_aero)
        assert np.abs(error(log, labels)).max() < 20 * MILLI
        np.testing.assert_allclose(np.diff(labels.time), 0.01, atol=1e-9)


def test_a_gap_cuts_the_run_and_short_runs_are_dropped(intel_aero):
    log = vertical_flight(intel_aero, seed=8, seconds=6)
    t = log["time"]
    keep = ~((t > 2.0) & (t < 2.0 + LONGEST_GAP + 0.02)) & ~((t > 2.3) & (t < 3.0))
    labels = residual_labels(log.rows(keep), intel_aero)
    assert len(list(run_slices(labels.run))) == 2
    inside = labels.time[labels.valid]
    assert not np.any((inside > 2.0) & (inside < 3.0))
    small_gap = ~((t > 2.0) & (t < 2.0 + LONGEST_GAP - 0.02))
    assert residual_labels(log.rows(small_gap), intel_aero).run.max() == 0


def test_ends_of_a_run_are_left_out_by_the_reach_of_the_filter(intel_aero):
    log = vertical_flight(intel_aero, seed=9)
    for cutoff in (1.0, 5.0):
        valid = residual_labels(log, intel_aero, cutoff).valid
        reach = round(REACH / cutoff * 100)
        assert not valid[:reach].any()
        assert not valid[-reach:].any()
        assert valid[reach:-reach].all()


def test_standing_vehicle_has_its_lowest_foot_at_its_height(intel_aero):
    level = np.array([0, 0, 0, 1.0])
    assert lowest_foot(intel_aero, np.array(0.3), level) == pytest.approx(0.3)


def test_tilt_lowers_the_lowest_foot_by_its_lever_and_not_by_yaw(intel_aero):
    feet = intel_aero.legs.feet
    tilt = math.radians(10)
    q = Rotation.from_euler("x", [[tilt], [-tilt]]).as_quat()
    lever, rest = abs(feet[0, 1]), intel_aero.rest_height
    expected = 0.05 + rest - lever * math.sin(tilt) - rest * math.cos(tilt)
    np.testing.assert_allclose(lowest_foot(intel_aero, np.full(2, 0.05), q), expected)
    turned = Rotation.from_euler("z", 1.0) * Rotation.from_quat(q)
    np.testing.assert_allclose(
        lowest_foot(intel_aero, np.full(2, 0.05), turned.as_quat()), expected
    )


def test_the_compiled_lowest_foot_is_the_same(intel_aero):
    rng = np.random.default_rng(0)
    for q in Rotation.random(20, random_state=1).as_quat():
        height = float(rng.uniform(0, 1))
        compiled = lowest_foot_compiled(
            intel_aero.legs.feet, height + intel_aero.rest_height, tuple(q)
        )
        assert compiled == pytest.approx(float(lowest_foot(intel_aero, np.array(height), q)))


def test_one_foot_on_the_ground_at_10_degrees_counts_as_contact_though_the_height_is_15_mm(
    intel_aero,
):
    q = Rotation.from_euler("x", 10, degrees=True).as_quat()
    limit = FOOT_CLEARANCE + intel_aero.noise.position
    touch = 0.02 - float(lowest_foot(intel_aero, np.array(0.02), q))  # height of the touch
    assert touch > 0.015
    for above, expected in ((limit - MILLI, True), (limit + MILLI, False)):
        assert may_touch(intel_aero, np.array(touch + above), q) == expected
    log = vertical_flight(intel_aero, seed=10, tilt=math.radians(10), lowest=touch)
    lowest = residual_labels(log, intel_aero).height.min()
    assert touch + limit - MILLI < lowest < touch + limit + 0.02


def test_a_touch_is_left_out_and_does_not_leak_into_its_neighbours(intel_aero):
    log = vertical_flight(intel_aero, seed=11, lowest=0.05)
    touching = (log["time"] > 9) & (log["time"] < 10)
    bump = np.where(touching, 0.1 * np.sin(20 * log["time"]), 0.0)
    velocity = log["velocity"] + bump[:, None]
    bumped = with_columns(log, velocity=velocity, contact=touching.astype(float))
    assert np.abs(error(log, residual_labels(bumped, intel_aero))).max() < 30 * MILLI
    blind = with_columns(log, velocity=velocity)
    assert np.abs(error(log, residual_labels(blind, intel_aero))).max() > 0.5


def test_the_last_three_centimetres_are_kept(intel_aero):
    log = vertical_flight(intel_aero, seed=12, seconds=60, lowest=0.006, noise=1.0)
    labels = residual_labels(log, intel_aero)
    low = (log["truth_height"] < 0.03).sum()
    assert (labels.height[labels.valid] < 0.03).sum() > 0.6 * low


def test_motors_off_and_impossible_forces_are_left_out(intel_aero):
    log = vertical_flight(intel_aero, seed=13, lowest=0.2)
    off = log["time"] > 15
    command = np.where(off[:, None], 0.0, log["rotor_thrust_command"])
    labels = residual_labels(with_columns(log, rotor_thrust_command=command), intel_aero)
    assert labels.time.max() < 15
    struck = (log["time"] > 5) & (log["time"] < 5.2)
    speed = np.where(struck[:, None], 0.0, log["rotor_speed"])  # a dropped packet reads zero
    labels = residual_labels(with_columns(log, rotor_speed=speed), intel_aero)
    assert np.abs(error(log, labels)).max() < 0.2
    assert not np.any((labels.time > 5.01) & (labels.time < 5.19))


def test_what_the_simulator_knows_is_never_read(intel_aero):
    log = vertical_flight(intel_aero, seed=14, noise=1.0)
    rng = np.random.default_rng(0)
    scrambled = {k: rng.permutation(v) for k, v in log.columns.items() if k.startswith("truth_")}
    a = residual_labels(log, intel_aero)
    b = residual_labels(with_columns(log, **scrambled), intel_aero)
    np.testing.assert_array_equal(a.force, b.force)


def test_a_quaternion_that_changes_its_sign_is_the_same_attitude(intel_aero):
    log = vertical_flight(intel_aero, seed=15, tilt=0.1, lowest=0.1)
    sign = np.where(np.arange(len(log)) % 2, 1.0, -1.0)[:, None]
    flipped = with_columns(log, attitude=log["attitude"] * sign)
    np.testing.assert_allclose(
        residual_labels(flipped, intel_aero).force,
        residual_labels(log, intel_aero).force,
        atol=1e-9,
    )


def test_a_flight_that_teaches_nothing_is_refused_and_says_why(intel_aero, crazyflie):
    log = vertical_flight(intel_aero, seed=16, seconds=5)
    standing = with_columns(log, height=np.zeros(len(log)))
    with pytest.raises(InputError, match=r"may touch on 500"):
        residual_labels(standing, intel_aero)
    with pytest.raises(InputError, match=r"of vehicle 'intel-aero', not of 'crazyflie'"):
        residual_labels(log, crazyflie)
    with pytest.raises(InputError, match=r"cutoff is 60"):
        residual_labels(log, intel_aero, 60.0)


def test_cushion_is_the_size_of_the_ground_effect(intel_aero):
    standing = cushion(np.zeros(1), np.zeros(1), np.full(1, intel_aero.weight))[0]
    assert standing / intel_aero.weight == pytest.approx(0.128, abs=0.01)
