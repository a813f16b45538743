"""The engine's body falls, rests and touches as physics says."""

import subprocess
import sys

import numpy as np
import pytest

from neural_lander.controller.vehicle import GRAVITY, bundled_vehicles, load_vehicle
from neural_lander.sim.physics import NO_AERODYNAMICS, clearance, ground_force, world_record
from neural_lander.sim.world import world_of

LEVEL, STILL = (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0)


@pytest.fixture
def engine():
    return world_of(load_vehicle("intel-aero"))


def test_free_fall_is_free_of_damping(engine):
    engine.reset((0.0, 0.0, 50.0), LEVEL, (1.0, 0.0, 0.0))
    for _ in range(500):
        engine.advance()
    velocity, _ = engine.twist(engine.body)
    assert velocity[0] == pytest.approx(1.0, abs=1e-12)
    assert velocity[2] == pytest.approx(-GRAVITY, abs=1e-9)


def test_torque_turns_the_body_by_its_own_inertia(engine):
    engine.reset((0.0, 0.0, 50.0), LEVEL, STILL)
    engine.turn(engine.body, -1, (0.0, 0.0, 0.01), engine.frame)
    engine.advance()
    _, omega = engine.twist(engine.body)
    assert omega[2] == pytest.approx(0.002 * 0.01 / engine.vehicle.body.inertia[2], rel=1e-9)


@pytest.mark.parametrize("name", bundled_vehicles())
def test_it_stands_at_its_rest_height_and_the_legs_carry_it(name):
    vehicle = load_vehicle(name)
    world = world_of(vehicle)
    world.reset((0.0, 0.0, vehicle.rest_height + 0.01), LEVEL, STILL)
    for _ in range(1000):
        world.advance()
    p, q = world.pose(world.body)
    assert p[2] == pytest.approx(vehicle.rest_height, abs=1e-4)  # a tenth of a millimetre
    assert world.contact_force() == pytest.approx(vehicle.weight, rel=1e-3)
    assert not world.touches_with_body(p, q)


def test_the_grounds_force_by_momentum_is_the_sum_of_the_engines_contacts(engine):
    """From a drop at 0.2 m/s with some tilt through the impact to standing."""
    v = engine.vehicle
    w = world_record(v, NO_AERODYNAMICS).view(np.recarray)[0]
    engine.reset((0.0, 0.0, v.rest_height + 0.01), (0.02, 0.01, 0.0, 0.99975), (0.0, 0.0, -0.2))
    most = theirs = 0.0
    for k in range(400):
        p, q = engine.pose(engine.body)
        low = clearance.py_func(w, p, q)
        ours = ground_force.py_func(w, k, engine.twist(engine.body)[0], low)
        if k > 0:
            assert ours == pytest.approx(theirs, abs=1e-6 * v.weight)
        w.speed_before, w.lift_before = engine.twist(engine.body)[0][2], 0.0
        engine.advance()
        theirs = engine.contact_force()
        most = max(most, theirs)
    assert most > 3 * v.weight  # there was an impact


def test_touching_with_the_body_is_no_landing(engine):
    upside_down = (1.0, 0.0, 0.0, 0.0)
    engine.reset((0.0, 0.0, 0.1), upside_down, STILL)
    for _ in range(300):
        engine.advance()
    assert engine.touches_with_body(*engine.pose(engine.body))


def test_a_reset_world_repeats_itself_to_the_bit(engine):
    ends = []
    for _ in range(3):
        engine.reset((0.0, 0.0, 0.12), (0.02, 0.01, 0.0, 0.99975), (0.1, 0.0, -0.3))
        for _ in range(400):
            engine.advance()
        ends.append(np.concatenate([*engine.pose(engine.body), *engine.twist(engine.body)]))
    assert np.array_equal(ends[0], ends[1])
    assert np.array_equal(ends[1], ends[2])


def test_importing_the_engine_prints_nothing():
    code = "import neural_lander.sim.world"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_another_client_in_the_process_is_left_alone():
    """A world made beside somebody else's uses its own client in every call."""
    code = (
        "import pybullet as p\n"
        "c = p.connect(p.DIRECT); b = p.createMultiBody(1.0, -1, -1, [0, 0, 3])\n"
        "from neural_lander.controller.vehicle import load_vehicle\n"
        "from neural_lander.sim.rollout import Flight, fly\n"
        "from neural_lander.sim.scenario import load_scenario\n"
        "s = fly(Flight(load_vehicle('intel-aero'), 'observer', load_scenario('flat')), 0).summary\n"
        "print(s['landed'], p.getBasePositionAndOrientation(b)[0][2], p.getNumBodies())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True 3.0 1"
