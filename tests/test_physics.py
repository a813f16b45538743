"""Forces of the world: free of the ground they are the rotors' alone; near it, what the law says."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError
from neural_lander.controller.network import network_record
from neural_lander.controller.vehicle import GRAVITY, load_vehicle
from neural_lander.sim.ground_effect import ground_effect_gain
from neural_lander.sim.physics import (
    NO_AERODYNAMICS,
    ROTOR,
    aerodynamic_wrench,
    delayed,
    load_aerodynamics,
    spin_up,
    world_record,
)

AERO = load_vehicle("intel-aero")
LEVEL, STILL = (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0)
HOVER = (AERO.weight / 4,) * 4


def record(kind):
    return world_record(AERO, kind).view(np.recarray)[0]


def wrench(kind, p=(0.0, 0.0, 1.0), q=LEVEL, v=STILL, omega=STILL, f=HOVER):
    w = record(kind)
    return [
        np.array(x)
        for x in aerodynamic_wrench.py_func(w, network_record(None)[0], p, q, v, omega, f)
    ]


def test_hover_thrust_carries_the_weight_without_aerodynamics():
    force, torque, residual = wrench(NO_AERODYNAMICS)
    assert_allclose(force, [0, 0, AERO.weight])
    assert_allclose(torque, 0, atol=1e-12)
    assert_allclose(residual, 0, atol=1e-12)


@pytest.mark.parametrize("kind", [NO_AERODYNAMICS, ROTOR])
def test_turning_the_world_about_the_vertical_turns_the_wrench(kind):
    tilt, yaw = Rotation.from_euler("ZYX", [0.4, 0.1, -0.2]), Rotation.from_euler("z", 1.1)
    v, omega, f = np.array([0.5, -0.3, 0.2]), np.array([0.1, 0.2, -0.3]), (3.0, 3.5, 4.0, 3.2)
    here = wrench(kind, (0, 0, 0.2), tuple(tilt.as_quat()), tuple(v), tuple(omega), f)
    there = wrench(
        kind,
        (0, 0, 0.2),
        tuple((yaw * tilt).as_quat()),
        tuple(yaw.apply(v)),
        tuple(yaw.apply(omega)),
        f,
    )
    for a, b in zip(here, there, strict=True):
        assert_allclose(yaw.apply(a), b, atol=1e-12)


def test_a_higher_floor_is_the_same_floor():
    here = wrench(ROTOR, (0, 0, 0.2))
    w = world_record(AERO, ROTOR, surface=0.7).view(np.recarray)[0]
    there = aerodynamic_wrench.py_func(
        w, network_record(None)[0], (0, 0, 0.9), LEVEL, STILL, STILL, HOVER
    )
    for a, b in zip(here, there, strict=True):
        assert_allclose(a, b, atol=1e-12)


def test_torque_of_rotor_thrusts_is_the_mixing_matrix():
    f = np.array([3.0, 3.5, 4.0, 3.2])
    force, torque, _ = wrench(NO_AERODYNAMICS, f=tuple(f))
    assert_allclose([force[2], *torque], AERO.mixing @ f, atol=1e-12)


def test_near_the_ground_each_rotor_gains_by_its_own_height():
    q = Rotation.from_euler("x", 0.1)
    force, _, residual = wrench(ROTOR, (0, 0, 0.15), tuple(q.as_quat()))
    axis = q.apply([0, 0, 1])
    heights = 0.15 + q.apply(AERO.rotors.positions.copy())[:, 2]
    gains = [ground_effect_gain.py_func(z, AERO.rotors.radius) for z in heights]
    assert_allclose(force, AERO.weight / 4 * sum(gains) * axis, atol=1e-12)
    assert_allclose(residual, force - AERO.weight * axis, atol=1e-12)


def test_the_air_cushion_turns_a_tilted_vehicle_level():
    q = Rotation.from_euler("x", 0.1)  # left side up: the right rotors are lower and gain more
    _, torque, _ = wrench(ROTOR, (0, 0, 0.15), tuple(q.as_quat()))
    assert torque[0] < 0


def test_rotor_drag_opposes_sideways_motion_and_takes_power():
    v = np.array([1.0, -0.5, 0.0])
    _, _, residual = wrench(ROTOR, (0, 0, 50.0), v=tuple(v))
    assert residual[:2] @ v[:2] < 0
    assert_allclose(residual[:2], -AERO.rotors.drag * AERO.weight * v[:2], rtol=1e-9)


def test_rotors_follow_their_command_as_a_first_order_lag():
    w = record(ROTOR)
    w["thrusts"] = 0.0
    steps = round(AERO.rotors.lag / AERO.timing.period)
    for _ in range(steps):
        f = spin_up.py_func(w, (4.0, 4.0, 4.0, 99.0))
    assert_allclose(f[:3], 4.0 * (1 - math.exp(-1)), rtol=1e-9)  # 63 % after one lag
    assert f[3] < AERO.rotors.thrust_max  # commands beyond the limit are held there


def test_a_command_reaches_the_rotors_after_the_latency():
    w = record(ROTOR)
    seen = [delayed.py_func(w, k, (float(k),) * 4)[0] for k in range(10)]
    n = round(AERO.timing.latency / AERO.timing.period)
    assert n == 2
    assert seen[n:] == [float(k) for k in range(10 - n)]
    assert_allclose(seen[:n], AERO.weight / 4)


def test_unknown_aerodynamics_are_named():
    with pytest.raises(InputError, match="aerodynamics 'windy' is unknown; take rotor, none"):
        load_aerodynamics("windy", AERO)


def test_the_published_network_plays_the_vehicle_at_every_heading(data_folder):
    kind, network = load_aerodynamics(
        str(data_folder / "nets/Fa_net_12_3_full_Lip16.safetensors"), AERO
    )
    w, net = record(kind), network_record(network)[0]
    p = (0.0, 0.0, AERO.rest_height)
    strengths = []
    for yaw in np.linspace(-3, 3, 5):
        q = tuple(Rotation.from_euler("z", yaw).as_quat())
        residual = aerodynamic_wrench(w, net, p, q, STILL, STILL, HOVER)[2]
        strengths.append(residual[2] / AERO.weight)
        assert math.hypot(residual[0], residual[1]) == pytest.approx(0.33, abs=0.02)
    assert_allclose(strengths, 0.128, atol=1e-3)  # +12.8 % of weight standing
    assert GRAVITY == 9.81
