"""The attitude law turns the thrust axis the short way, without moving what is right already."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp
from scipy.spatial.transform import Rotation

from neural_lander.controller.attitude_law import attitude_torque
from neural_lander.controller.landing_controller import controller_record
from neural_lander.controller.setpoint import plan_descent
from neural_lander.controller.vehicle import load_vehicle

AERO = load_vehicle("intel-aero")
RECORD = controller_record(AERO, "pd", plan_descent("s-curve", (0, 0, 1), 0.0, 1.0), 0.0).view(
    np.recarray
)[0]
UP = (0.0, 0.0, 1.0)


def torque(rotation, rate=(0.0, 0.0, 0.0), z=UP, yaw=0.0):
    return np.array(attitude_torque.py_func(RECORD, tuple(rotation.as_quat()), rate, z, yaw))


def test_no_torque_at_the_wanted_attitude_at_any_heading():
    for yaw in np.linspace(-3, 3, 7):
        tilt = Rotation.from_euler("ZYX", [yaw, 0.2, -0.1])
        z = tilt.apply(UP)
        heading = np.arctan2(*(tilt.as_matrix()[[1, 0], 0]))
        found = torque(tilt, z=tuple(z), yaw=heading)
        # body x projects on the heading, so roll and pitch errors vanish; so does yaw
        assert_allclose(found, 0, atol=2e-2 * AERO.body.inertia[0] * 14**2)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_small_error_gives_the_linear_loop(axis):
    angle = 1e-4
    vector = np.zeros(3)
    vector[axis] = angle
    found = torque(Rotation.from_rotvec(vector))
    stiffness = [14**2, 14**2, 4**2][axis] * AERO.body.inertia[axis]
    expected = np.zeros(3)
    expected[axis] = -stiffness * angle
    assert_allclose(found, expected, atol=1e-3 * stiffness * angle)


def test_body_rate_is_damped():
    found = torque(Rotation.identity(), rate=(0.1, 0.0, 0.0))
    assert_allclose(found[0], -2 * 0.9 * 14 * AERO.body.inertia[0] * 0.1)


def test_a_large_tilt_comes_back():
    """60 degrees of roll and 40 of heading error settle below 1 degree in 1.5 s."""
    j = AERO.body.inertia

    def motion(_, y):
        rotation = Rotation.from_quat(y[:4] / np.linalg.norm(y[:4]))
        vector, scalar, omega = y[:3], y[3], y[4:]
        turning = 0.5 * np.array([*(scalar * omega + np.cross(vector, omega)), -vector @ omega])
        m = torque(rotation, rate=tuple(omega))
        return [*turning, *((m - np.cross(omega, j * omega)) / j)]

    start = Rotation.from_euler("ZX", [0.7, 1.05])
    end = solve_ivp(motion, (0, 1.5), [*start.as_quat(), 0, 0, 0], rtol=1e-6).y[:4, -1]
    assert Rotation.from_quat(end).magnitude() < np.deg2rad(1.5)


def test_gyroscopic_torque_is_carried_so_that_the_rate_only_decays():
    omega = np.array([1.0, -2.0, 0.5])
    found = torque(Rotation.identity(), rate=tuple(omega))
    j = AERO.body.inertia
    damping = 2 * np.array([0.9 * 14, 0.9 * 14, 4.0]) * j * omega
    assert_allclose(found - np.cross(omega, j * omega), -damping)
