"""Laws that the world has to obey whoever flies in it, in the compiled flight and in the engine."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp
from scipy.spatial.transform import Rotation

from neural_lander.controller.network import network_record
from neural_lander.controller.vehicle import GRAVITY, load_vehicle
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.legs import Footing
from neural_lander.sim.physics import (
    NO_AERODYNAMICS,
    ROTOR,
    aerodynamic_wrench,
    spin_up,
    world_record,
)
from neural_lander.sim.rigid_body import fall_freely
from neural_lander.sim.world import World

AERO = load_vehicle("intel-aero")
LEVEL, STILL = (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0)
TUMBLING = ((0.0, 0.0, 50.0), LEVEL, (1.0, -0.5, 2.0), (3.0, -2.0, 5.0))
NET = network_record(None)[0]


def stepping(period, vehicle=AERO):
    return replace(vehicle, timing=replace(vehicle.timing, period=period))


def record(vehicle=AERO, aerodynamics=NO_AERODYNAMICS, **more):
    return world_record(vehicle, aerodynamics, **more).view(np.recarray)[0]


def compiled_flight(state, steps, period=0.002, force=STILL, torque=STILL):
    w = record(stepping(period))
    for _ in range(steps):
        state = fall_freely.py_func(w, *state, force, torque)
    return state


def engine_flight(state, steps, period=0.002, force=STILL, torque=STILL):
    world = World(stepping(period))
    world.reset(*state)
    world.feel_ground(False)
    for _ in range(steps):
        if force != STILL:
            world.push(world.body, -1, force, world.pose(world.body)[0], world.frame)
        if torque != STILL:
            world.turn(world.body, -1, torque, world.frame)
        world.advance()
    ended = (*world.pose(world.body), *world.twist(world.body))
    world.close()
    return ended


BOTH = pytest.mark.parametrize("flight", [compiled_flight, engine_flight])


def angular_momentum(state):
    rotation = Rotation.from_quat(state[1])
    return rotation.apply(AERO.body.inertia * rotation.apply(state[3], inverse=True))


@BOTH
def test_momentum_of_a_tumbling_body_changes_by_its_weight_alone(flight):
    t = 1.0
    _, _, v, _ = flight(TUMBLING, 500)
    assert_allclose(v, np.array(TUMBLING[2]) - [0, 0, GRAVITY * t], atol=1e-11)


@BOTH
def test_angular_momentum_is_kept_to_first_order_in_the_step(flight):
    """The explicit gyroscopic term errs by h |omega| / 2 of it at most; half the step, half the error."""
    before = angular_momentum(TUMBLING)
    errors = [
        np.linalg.norm(angular_momentum(flight(TUMBLING, round(1.0 / h), h)) - before)
        for h in (0.002, 0.001)
    ]
    speed = np.linalg.norm(TUMBLING[3])
    assert errors[0] < 0.5 * 0.002 * speed * np.linalg.norm(before) * speed
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.05)


@BOTH
def test_free_fall_is_the_schemes_own_sum_and_half_a_step_from_newtons(flight):
    """p falls by g h^2 n (n + 1) / 2: symplectic Euler, which is g h t / 2 more than g t^2 / 2."""
    n, h = 500, 0.002
    (_, _, z), _, _, _ = flight(((0.0, 0.0, 50.0), LEVEL, STILL, STILL), n, h)
    assert 50.0 - z == pytest.approx(GRAVITY * h * h * n * (n + 1) / 2, rel=1e-12)
    assert 50.0 - z - GRAVITY * 0.5 == pytest.approx(GRAVITY * h * 1.0 / 2, rel=1e-9)


@BOTH
def test_hover_thrust_holds_it_where_it_is(flight):
    force = (0.0, 0.0, AERO.weight)
    p, q, v, omega = flight(((0.0, 0.0, 5.0), LEVEL, STILL, STILL), 500, force=force)
    assert_allclose([*p, *q, *v, *omega], [0, 0, 5, 0, 0, 0, 1, *6 * [0]], atol=1e-9)


def motion(t, y, torque):
    """Euler's equations and Newton's, as a reference: position, attitude, velocity, body rate."""
    del t
    q, v, rate = y[3:7], y[7:10], y[10:]
    j = AERO.body.inertia
    rotation = Rotation.from_quat(q)
    x, y_, z, w = q
    a, b, c = rate
    turning = 0.5 * np.array([w * a + y_ * c - z * b, w * b + z * a - x * c,
                              w * c + x * b - y_ * a, -x * a - y_ * b - z * c])  # fmt: skip
    body_torque = rotation.apply(torque, inverse=True)
    return np.concatenate(
        [v, turning, [0, 0, -GRAVITY], (body_torque - np.cross(rate, j * rate)) / j]
    )


def test_with_the_step_halved_the_error_halves_so_the_scheme_is_of_first_order():
    """Against DOP853 at 1e-12, tumbling under a constant torque for half a second."""
    torque = (0.01, -0.02, 0.015)
    begin = np.concatenate(TUMBLING)  # world and body frame are one at the start
    exact = solve_ivp(motion, (0, 0.5), begin, "DOP853", rtol=1e-12, atol=1e-12, args=(torque,)).y[
        :, -1
    ]
    errors = []
    for h in (0.004, 0.002, 0.001, 0.0005):
        p, q, v, omega = compiled_flight(TUMBLING, round(0.5 / h), h, torque=torque)
        turned = Rotation.from_quat(exact[3:7]).inv() * Rotation.from_quat(q)
        rate = np.array(omega) - Rotation.from_quat(exact[3:7]).apply(exact[10:])
        errors.append(
            [np.linalg.norm(np.array(p) - exact[:3]), turned.magnitude(), np.linalg.norm(rate)]
        )
        assert_allclose(v, exact[7:10], atol=1e-9)  # a constant force is summed up exactly
    orders = np.log2(np.array(errors)[:-1] / np.array(errors)[1:])
    assert_allclose(orders, 1.0, atol=0.06)


def test_order_near_the_ground_is_the_first_too():
    """Falling into the ground effect at hover thrust, tilted: no closed form, so against h / 16."""
    ends = []
    for h in (0.004, 0.002, 0.001, 0.00025):
        w = record(stepping(h), ROTOR)
        state = (
            (0.0, 0.0, 0.4),
            (0.0, math.sin(0.05), 0.0, math.cos(0.05)),
            (0.0, 0.0, -0.6),
            STILL,
        )
        for _ in range(round(0.2 / h)):
            force, torque, _ = aerodynamic_wrench.py_func(w, NET, *state, (AERO.weight / 4,) * 4)
            state = fall_freely.py_func(w, *state, force, torque)
        ends.append(np.concatenate([state[0], state[2]]))
    far, near = (np.linalg.norm(e - ends[-1]) for e in ends[1:3])
    # with errors c h: (2 - 1/4) / (1 - 1/4) of each other
    assert far / near == pytest.approx(1.75 / 0.75, rel=0.05)


def test_sideways_it_comes_to_a_terminal_speed_across_its_rotors_and_never_along_their_axis():
    """Tilted by a, thrust m g cos a: v = tan a / drag (1 - exp(-drag g cos a t)) in the rotors' plane."""
    drag, a, h = 0.2, 0.2, 0.002
    vehicle = replace(AERO, rotors=replace(AERO.rotors, drag=drag))
    w = record(vehicle, ROTOR)
    thrust = (AERO.weight * math.cos(a) / 4,) * 4
    q = (0.0, math.sin(a / 2), 0.0, math.cos(a / 2))
    state = ((0.0, 0.0, 500.0), q, STILL, STILL)
    for n in range(1, 2001):
        force, _, _ = aerodynamic_wrench.py_func(w, NET, *state, thrust)
        state = fall_freely.py_func(w, *state, force, STILL)
        if n in (250, 2000):
            v = np.array(state[2])
            across = v @ [math.cos(a), 0.0, -math.sin(a)]
            grown = 1 - math.exp(-drag * GRAVITY * math.cos(a) * n * h)
            assert across == pytest.approx(math.tan(a) / drag * grown, rel=0.005)
            # 400 m up the room's circulation still lifts by 2e-6 of thrust
            assert v @ [math.sin(a), 0.0, math.cos(a)] == pytest.approx(0.0, abs=1e-3)


def test_with_stopped_rotors_nothing_brakes_the_fall():
    """Drag goes with thrust: this world has no drag of the body, so no terminal speed either."""
    w = record(AERO, ROTOR)
    fast = ((0.0, 0.0, 50.0), LEVEL, (8.0, 0.0, -20.0), STILL)
    force, torque, residual = aerodynamic_wrench.py_func(w, NET, *fast, (0.0,) * 4)
    assert not np.any([force, torque, residual])


@pytest.mark.parametrize("slower", [0.0, 0.5])
def test_a_rotor_makes_63_percent_of_a_step_within_its_lag_upward_and_downward(slower):
    w = record(deviation=Deviation(lag_down_share=slower))
    lag, period = AERO.rotors.lag, AERO.timing.period
    for begin, end, time in ((1.0, 4.0, lag), (4.0, 1.0, lag * (1 + slower))):
        w["thrusts"] = begin
        for _ in range(round(time / period)):
            f = spin_up.py_func(w, (end,) * 4)
        assert_allclose((np.array(f) - begin) / (end - begin), 1 - math.exp(-1), rtol=1e-9)


def height_and_speed(world, steps):
    rows = []
    for _ in range(steps):
        world.advance()
        rows.append(
            (world.pose(world.body)[0][2], world.twist(world.body)[0][2], world.contact_force())
        )
    return np.array(rows).T


@pytest.mark.parametrize("height", [0.05, 0.2, 0.4])
def test_a_drop_touches_at_the_root_of_2gh_and_comes_to_rest_on_rigid_legs(height):
    """Restitution 0: it comes back by no more than the millimetre that one step of the solver leaves."""
    world = World(AERO)
    world.reset((0.0, 0.0, AERO.rest_height + height), LEVEL, STILL)
    z, speed, force = height_and_speed(world, 1000)
    world.close()
    touch = int(np.argmax(force > 0))
    assert speed[touch - 1] == pytest.approx(
        -math.sqrt(2 * GRAVITY * height), abs=2 * GRAVITY * 0.002
    )
    assert z[touch + 1 :].max() - AERO.rest_height < 1e-3
    assert_allclose(z[-100:], AERO.rest_height, atol=1e-4)
    assert np.abs(speed[-100:]).max() < 1e-3


@pytest.mark.parametrize("damping", [0.1, 0.3, 0.5])
def test_on_springs_it_never_rises_above_e_squared_of_its_height(damping):
    """e = exp(-pi d / sqrt(1 - d^2)) of a damped oscillator; nearer to it, the finer the step."""
    height, sag = 0.05, 0.002
    e = math.exp(-math.pi * damping / math.sqrt(1 - damping**2))
    rises = []
    for period in (0.002, 0.00025):
        world = World(stepping(period), springs=Footing(sag=sag, damping=damping).springs(AERO))
        world.reset((0.0, 0.0, AERO.rest_height + sag + height), LEVEL, STILL)
        z, _, _ = height_and_speed(world, round(0.5 / period))
        world.close()
        lowest = int(np.argmin(z[: round(0.2 / period)]))
        rises.append(max(z[lowest:].max() - AERO.rest_height - sag, 0.0))
    assert max(rises) < e * e * height
    assert rises[0] <= rises[1]


@pytest.mark.parametrize("footing", [Footing(), Footing(sag=0.001, damping=0.3)])
def test_energy_never_grows_in_contact(footing):
    """Dropped tilted, moving sideways: of motion, height and springs in sum, less at every step."""
    springs = footing.springs(AERO)
    world = World(AERO, springs=springs)
    q = tuple(Rotation.from_euler("xy", [0.15, -0.1]).as_quat())
    world.reset((0.0, 0.0, AERO.rest_height + 0.05), q, (0.2, 0.1, 0.0))
    feet = springs.unloaded(AERO).legs.feet
    energies = []
    for _ in range(500):
        p, q = world.pose(world.body)
        v, omega = world.twist(world.body)
        rotation = Rotation.from_quat(q)
        rate = rotation.apply(omega, inverse=True)
        low = np.minimum((np.array(p) + rotation.apply(feet.copy()))[:, 2], 0.0)
        energies.append(
            AERO.weight * p[2]
            + 0.5 * AERO.mass * np.dot(v, v)
            + 0.5 * rate @ (AERO.body.inertia * rate)
            + 0.5 * (springs.stiffness or 0.0) * low @ low
        )
        world.advance()
    world.close()
    lost = energies[0] - energies[-1]
    assert lost > 0.4 * AERO.weight * 0.05
    assert np.diff(energies).max() < 1e-5 * lost  # rigid contacts are pushed out of the floor
