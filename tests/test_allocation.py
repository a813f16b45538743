"""Rotor thrusts make the wanted wrench, and yaw gives way first."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from neural_lander.controller.allocation import rotor_thrusts
from neural_lander.controller.landing_controller import controller_record
from neural_lander.controller.setpoint import plan_descent
from neural_lander.controller.vehicle import load_vehicle

AERO = load_vehicle("intel-aero")
RECORD = controller_record(AERO, "pd", plan_descent("s-curve", (0, 0, 1), 0.0, 1.0), 0.0).view(
    np.recarray
)[0]


@given(f=st.lists(st.floats(0.1, 6.0), min_size=4, max_size=4))
def test_thrusts_survive_the_round_trip(f):
    thrust, *torque = AERO.mixing @ np.array(f)
    result, saturated = rotor_thrusts.py_func(RECORD, thrust, tuple(torque))
    assert_allclose(result, f, atol=1e-9)
    assert not saturated


@given(
    thrust=st.floats(4, 20),
    roll=st.floats(-0.4, 0.4),
    pitch=st.floats(-0.4, 0.4),
    yaw=st.floats(-3, 3),
)
def test_yaw_gives_way_before_thrust_roll_and_pitch(thrust, roll, pitch, yaw):
    without_yaw = np.linalg.solve(AERO.mixing, [thrust, roll, pitch, 0])
    if without_yaw.min() < 0 or without_yaw.max() > AERO.rotors.thrust_max:
        return
    f, _ = rotor_thrusts.py_func(RECORD, thrust, (roll, pitch, yaw))
    assert min(f) >= 0
    assert max(f) <= AERO.rotors.thrust_max
    made = AERO.mixing @ np.array(f)
    assert_allclose(made[:3], [thrust, roll, pitch], atol=1e-9)
    assert abs(made[3]) <= abs(yaw) + 1e-9
    assert made[3] * yaw >= -1e-9  # never the wrong way


def test_yaw_is_made_in_full_where_there_is_room():
    f, saturated = rotor_thrusts.py_func(RECORD, 14.0, (0.0, 0.0, 0.1))
    assert_allclose((AERO.mixing @ np.array(f))[3], 0.1, atol=1e-12)
    assert not saturated


def test_left_rotors_stronger_roll_to_the_right():
    f, _ = rotor_thrusts.py_func(RECORD, 14.0, (0.2, 0.0, 0.0))
    left = AERO.rotors.positions[:, 1] > 0
    assert np.array(f)[left].min() > np.array(f)[~left].max()


def test_beyond_the_limits_every_rotor_is_clipped_and_it_is_said():
    f, saturated = rotor_thrusts.py_func(RECORD, 40.0, (0.0, 0.0, 0.0))
    assert_allclose(f, AERO.rotors.thrust_max)
    assert saturated
