"""The compiled free flight is the engine's own, to the last digits; landings are the same."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import GRAVITY, bundled_vehicles, load_vehicle
from neural_lander.sim.physics import NO_AERODYNAMICS, clearance, world_record
from neural_lander.sim.rigid_body import fall_freely
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import bundled_scenarios, load_scenario
from neural_lander.sim.world import world_of

AERO = load_vehicle("intel-aero")
STATE = ("truth_position", "truth_velocity", "truth_attitude", "truth_rate")


@pytest.mark.parametrize("name", bundled_vehicles())
def test_a_tumbling_body_under_random_wrenches_is_the_engines(name):
    vehicle = load_vehicle(name)
    engine, rng = world_of(vehicle), np.random.default_rng(0)
    w = world_record(vehicle, NO_AERODYNAMICS).view(np.recarray)[0]
    state = ((0.0, 0.0, 50.0), (0.0, 0.0, 0.0, 1.0), (1.0, 0.0, 5.0), (3.0, -2.0, 1.0))
    engine.reset(*state)
    arm = vehicle.rotors.positions[0, 0]
    for _ in range(500):
        force = tuple(rng.normal(0, 0.3 * vehicle.weight, 3))
        torque = tuple(rng.normal(0, 0.05 * vehicle.weight * arm, 3))
        engine.push(engine.body, -1, force, engine.pose(engine.body)[0], engine.frame)
        engine.turn(engine.body, -1, torque, engine.frame)
        engine.advance()
        state = fall_freely.py_func(w, *state, force, torque)
    p, q = engine.pose(engine.body)
    sign = np.sign(np.dot(q, state[1]))  # q and -q are one attitude; the engine may turn it over
    theirs = np.concatenate([p, sign * np.array(q), *engine.twist(engine.body)])
    np.testing.assert_allclose(np.concatenate(state), theirs, atol=1e-11)


def test_free_flight_keeps_angular_momentum_and_falls_by_g():
    w = world_record(AERO, NO_AERODYNAMICS).view(np.recarray)[0]
    state = ((0.0, 0.0, 9.0), (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0), (0.5, 0.2, 2.0))

    def momentum(s):
        rotation = Rotation.from_quat(s[1])
        return rotation.apply(AERO.body.inertia * rotation.apply(s[3], inverse=True))

    before = momentum(state)
    for _ in range(500):
        state = fall_freely.py_func(w, *state, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    # the scheme is of first order: over 1 s it keeps momentum within h |omega| / 2
    np.testing.assert_allclose(momentum(state), before, atol=0.004 * np.linalg.norm(before))
    assert state[2][2] == pytest.approx(-GRAVITY, abs=1e-9)


@pytest.mark.parametrize("scenario", bundled_scenarios())
@pytest.mark.parametrize("controller", ["pd", "observer", "oracle+observer"])
def test_landings_of_both_engines_are_equal_to_a_nanometre(scenario, controller):
    """Over 20 seeds: the same steps, the same touchdown, the same figures."""
    flown = load_scenario(scenario)
    way_first = flown.travels and not flown.stays_level
    references = ("s-curve", "fastest" if way_first else "exponential")
    for seed in range(20):
        flight = Flight(AERO, controller, flown, references[seed % 2])
        ours = fly(flight, seed)
        fast = fly(replace(flight, engine="hybrid"), seed)
        assert len(ours.log) == len(fast.log)
        touching = [np.flatnonzero(x.log["truth_contact_force"])[:1].tolist() for x in (ours, fast)]
        assert touching[0] == touching[1]
        flying = slice(0, touching[0][0] if touching[0] and flown.deck else None)
        for name in STATE:
            np.testing.assert_allclose(ours.log[name][flying], fast.log[name][flying], atol=1e-9)
        # on a deck a foot may slip a step earlier for a last digit: a hundredth of a millimetre
        standing = [x.log["truth_position"] for x in (ours, fast)]
        np.testing.assert_allclose(*standing, atol=1e-4)
        assert ours.summary["landed"] == fast.summary["landed"]


def test_a_crash_is_the_same_crash_in_both_engines():
    soft = replace(AERO, rotors=replace(AERO.rotors, thrust_max=3.62))
    flight = Flight(soft, "pd", load_scenario("flat"), "exponential", "none")
    reasons = [
        fly(replace(flight, engine=e), 0).summary["crash_reason"] for e in ("pybullet", "hybrid")
    ]
    assert reasons[0] == reasons[1]
    assert reasons[0] is not None


def test_clearance_is_that_of_the_lowest_point_tilted_or_upside_down():
    w = world_record(AERO, NO_AERODYNAMICS).view(np.recarray)[0]
    assert clearance.py_func(w, (0, 0, 1.0), (0.0, 0.0, 0.0, 1.0)) == pytest.approx(0.91)
    upside_down = clearance.py_func(w, (0, 0, 1.0), (1.0, 0.0, 0.0, 0.0))
    assert upside_down == pytest.approx(1.0 - 0.03 - 0.2 * 0.09)  # the top of the arms' box
    side = tuple(Rotation.from_euler("x", math.pi / 2).as_quat())
    half = 0.127 + 0.5 * AERO.rotors.radius
    assert clearance.py_func(w, (0, 0, 1.0), side) == pytest.approx(1.0 - half)


def test_an_unknown_engine_is_named():
    with pytest.raises(
        InputError, match="engine 'unreal' is unknown; take one of pybullet, hybrid"
    ):
        fly(Flight(AERO, "pd", load_scenario("flat"), engine="unreal"), 0)
