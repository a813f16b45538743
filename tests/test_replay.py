"""The world's force along a log: what acted in the simulator, and nothing where nothing can act."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError
from neural_lander.controller.residual import ResidualInput
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.ground_effect import ground_effect_gain
from neural_lander.sim.replay import WorldForce, replayed_force
from neural_lander.sim.rollout import Flight, flight_log, run
from neural_lander.sim.scenario import load_scenario


def flown(vehicle, noise):
    """Return the log of a landing of ``pid`` that begins off the set-point and turned by 0.7 rad."""
    flight = Flight(vehicle, "pid", load_scenario("flat"))
    steps = round(6.0 / vehicle.timing.period)
    rows, _ = run(
        flight, flight.plan, np.random.default_rng(0), (0.1, -0.05, flight.scenario.start_height),
        (0.2, 0.1, 0.0), 0.7, 6.0, True, noise(steps),
    )  # fmt: skip
    return flight_log(rows, flight, 0)


def measured(log, vehicle):
    """A row's speeds were measured before the rotors followed its command: the next row's acted."""
    thrust = vehicle.rotors.k_f * np.roll(log["rotor_speed"], -1, axis=0) ** 2
    return ResidualInput(log["height"], log["velocity"], log["attitude"], thrust)


@pytest.fixture(scope="module", params=["intel-aero", "crazyflie", "crazyflie-large"])
def quiet(request):
    vehicle = load_vehicle(request.param)
    return vehicle, flown(vehicle, lambda steps: np.zeros((steps, 16)))


def test_the_measured_flight_gives_back_the_force_that_acted_in_it(quiet):
    """To 1e-12 of weight: rounding, and that of the square root in the rotors' speed."""
    vehicle, log = quiet
    force = replayed_force(vehicle, measured(log, vehicle), log["rate"])
    assert_allclose(force[:-1], log["truth_force"][:-1], rtol=0, atol=1e-12 * vehicle.weight)
    assert np.abs(log["truth_force"][:, 2]).max() > 0.05 * vehicle.weight  # it came near the ground
    assert np.abs(log["truth_force"][:, :2]).max() > 1e-3 * vehicle.weight  # and flew sideways


def test_without_the_rate_the_vertical_force_is_nearly_the_same(quiet):
    """To 0.02 % of weight, in a correction that begins with a tilt: rotors over the origin swing."""
    vehicle, log = quiet
    force = WorldForce(vehicle).force(measured(log, vehicle))[:-1, 2]
    assert_allclose(force, log["truth_force"][:-1, 2], rtol=0, atol=2e-4 * vehicle.weight)


def test_a_wrong_height_is_seen(quiet):
    """One centimetre too high, standing: the law falls by more than a thousandth of weight."""
    vehicle, log = quiet
    state = measured(log, vehicle)
    higher = ResidualInput(state.height + 0.01, state.velocity, state.attitude, state.rotor_thrust)
    low = np.flatnonzero(
        (log["truth_height"] < 0.05) & (state.rotor_thrust.sum(axis=1) > 0.5 * vehicle.weight)
    )
    off = WorldForce(vehicle).force(higher)[low, 2] - log["truth_force"][low, 2]
    assert off.min() < -1e-3 * vehicle.weight


def states(n=50):
    rng = np.random.default_rng(3)
    return ResidualInput(
        rng.uniform(0, 1, n), rng.normal(0, 0.5, (n, 3)),
        Rotation.from_euler("ZYX", rng.normal(0, 0.2, (n, 3))).as_quat(), rng.uniform(1, 4, (n, 4)),
    )  # fmt: skip


def test_stopped_rotors_have_no_ground_effect_and_no_drag(intel_aero):
    state = states()
    off = ResidualInput(state.height, state.velocity, state.attitude, 0 * state.rotor_thrust)
    assert np.array_equal(WorldForce(intel_aero).force(off), np.zeros((50, 3)))


def test_the_force_is_a_share_of_thrust(intel_aero):
    state, rate = states(), np.random.default_rng(4).normal(0, 1, (50, 3))
    twice = ResidualInput(state.height, state.velocity, state.attitude, 2 * state.rotor_thrust)
    once = replayed_force(intel_aero, state, rate)
    assert_allclose(replayed_force(intel_aero, twice, rate), 2 * once, rtol=1e-12)


def test_level_and_at_rest_each_row_is_the_ground_effects_formula(crazyflie):
    height = np.linspace(0, 0.5, 20)
    thrust = np.full((20, 4), crazyflie.weight / 4)
    level = ResidualInput(height, np.zeros((20, 3)), np.tile([0.0, 0, 0, 1], (20, 1)), thrust)
    gain = [ground_effect_gain(h + crazyflie.rest_height, crazyflie.rotors.radius) for h in height]
    expected = np.outer(np.array(gain) - 1, [0, 0, crazyflie.weight])
    assert_allclose(WorldForce(crazyflie).force(level), expected, atol=1e-14)


def test_a_row_by_itself_is_the_row_in_the_batch(intel_aero):
    state = states()
    every = WorldForce(intel_aero).force(state)
    for i in (0, 17, 49):
        one = ResidualInput(*(x[i : i + 1] for x in vars(state).values()))
        assert np.array_equal(WorldForce(intel_aero).force(one)[0], every[i])


def test_aerodynamics_are_chosen_by_name(intel_aero):
    state = states()
    assert_allclose(WorldForce(intel_aero, "none").force(state), 0, atol=1e-12)
    with pytest.raises(InputError, match="aerodynamics 'storm' is unknown"):
        WorldForce(intel_aero, "storm").force(state)
