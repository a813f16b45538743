"""The controller lands in RotorPy and PyFlyt, flown by the very lines that the page shows."""

import os
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from neural_lander.controller.onboard import LandingController
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.learning.labels import raw_labels
from neural_lander.scripts.peer_landings import HEIGHTS, land
from neural_lander.scripts.peer_worlds import VEHICLES, WORLDS
from neural_lander.sim.ground_effect import ground_effect_gain

from .pages import DOCS, blocks_of


def peer(name):
    """Name of a peer, skipped where it cannot be flown."""
    package = WORLDS[name][0]
    missing = find_spec(package) is None
    return pytest.param(
        name,
        marks=pytest.mark.skipif(
            missing, reason=f"{name} is not installed: docs/other-simulators.md"
        ),
    )


PEERS = [peer(name) for name in WORLDS]


def vehicle_of(name):
    return load_vehicle(VEHICLES / WORLDS[name][1])


def world_of(name, height=1.0, attitude=None, ground_effect=False):
    vehicle = vehicle_of(name)
    start = np.array([0.0, 0.0, height + vehicle.rest_height])
    return WORLDS[name][2](vehicle, start, attitude or Rotation.identity(), ground_effect)


def code_of(name):
    return [b.text for b in blocks_of("other-simulators.md") if b.name == name.lower()]


# --- the page ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PEERS)
def test_it_lands_as_the_page_shows_in_under_fifteen_lines(name, monkeypatch):
    make, loop, *_ = code_of(name)
    assert len(loop.strip().splitlines()) < 15
    flown, own = [], LandingController.step

    def watched(pilot, state, time):
        flown.append([time, *state.position, *state.velocity, *state.attitude])
        assert time < 12, "it does not land"
        return own(pilot, state, time)

    monkeypatch.setattr(LandingController, "step", watched)
    monkeypatch.chdir(DOCS.parent)
    names = {}
    exec(make, names)
    exec(loop, names)
    pilot, vehicle = names["pilot"], vehicle_of(name)
    t, p, v, q = np.split(np.array(flown), [1, 4, 7], axis=1)
    heading, *tilt = Rotation.from_quat(q[0]).as_euler("ZYX", degrees=True)
    assert_allclose([heading, *tilt], [60, 0, 10], atol=1e-6)
    descent = pilot.record["descent_start"]
    late = (t[:, 0] > descent - 0.5) & (t[:, 0] < descent)  # the last half second of the hover
    assert np.abs(p[late] - [0, 0, 0.3 + vehicle.rest_height]).max() < 5e-3
    down = int(np.argmax(p[:, 2] <= vehicle.rest_height + 0.001))
    assert down > 0
    assert 0.0 < -v[down - 1, 2] < 0.2  # the flare is at 0.12 m/s
    assert pilot.phase == "cut"
    assert abs(p[-1, 2] - vehicle.rest_height) < 1e-3
    assert np.hypot(*p[-1, :2]) < 5e-3
    last = Rotation.from_quat(q[-1]).as_euler("ZYX", degrees=True)
    assert_allclose(last, [60, 0, 0], atol=0.5)


def test_the_ground_effect_that_the_page_adds_to_rotorpy_is_that_of_our_world():
    pytest.importorskip("rotorpy", reason="RotorPy is not installed: docs/other-simulators.md")
    names = {}
    for block in (code_of("RotorPy")[0], code_of("RotorPy")[2]):
        exec(block, names)
    air, over = (
        kind(names["quad_params"], control_abstraction="cmd_motor_thrusts")
        for kind in (names["Multirotor"], names["OverGround"])
    )
    s = names["s"] | {"x": np.array([0, 0, 0.02]), "q": np.array([0, 0, 0, 1.0])}
    hover = {"cmd_motor_thrusts": np.full(4, air.mass * 9.81 / 4)}
    rise = [sim.step(s, hover, 0.005)["v"][2] for sim in (air, over)]
    gain = ground_effect_gain(0.05, 0.023) - 1
    assert_allclose(rise[1] - rise[0], 0.005 * gain * 9.81, rtol=0.01)


def test_the_ground_effect_that_the_page_adds_to_pyflyt_is_that_of_our_world():
    pytest.importorskip("PyFlyt", reason="PyFlyt is not installed: docs/other-simulators.md")
    names = {}
    exec(code_of("PyFlyt")[2], names)
    fall = []
    for pushed in (False, True):
        world = world_of("PyFlyt", 0.03)
        if pushed:
            names["push"](world.sim)
        world.advance(np.full(4, world.vehicle.weight / 4))
        fall.append(world.state().velocity[2])
        world.close()
    gain = ground_effect_gain(0.04, 0.023) - 1
    assert_allclose(fall[1] - fall[0], gain * 9.81 / 240, rtol=0.01)


# --- frames, rotors, numbers ---------------------------------------------------------------------


def test_the_rotorpy_file_is_rotorpys_own_vehicle():
    pytest.importorskip("rotorpy", reason="RotorPy is not installed: docs/other-simulators.md")
    sim, vehicle = world_of("RotorPy").sim, vehicle_of("RotorPy")
    assert_allclose(vehicle.mixing, sim.f_to_TM, rtol=1e-4, atol=1e-9)
    assert vehicle.mass == sim.mass
    assert_allclose(vehicle.body.inertia[:2], [sim.Ixx, sim.Iyy])
    assert sim.Izz > sim.Ixx + sim.Iyy  # which no body has: the file holds the most there can be
    assert_allclose(vehicle.body.inertia[2], sim.Ixx + sim.Iyy)
    assert (vehicle.rotors.lag, vehicle.rotors.k_f) == (sim.tau_m, sim.k_eta)
    assert_allclose(vehicle.rotors.thrust_max, sim.k_eta * sim.rotor_speed_max**2)


def test_the_pyflyt_file_is_pyflyts_own_vehicle():
    pytest.importorskip("PyFlyt", reason="PyFlyt is not installed: docs/other-simulators.md")
    vehicle, world = vehicle_of("PyFlyt"), world_of("PyFlyt")
    motors, drone = world.drone.motors, world.drone
    mass, _, inertia, *_ = world.sim.getDynamicsInfo(drone.Id, -1)
    assert_allclose([vehicle.mass, *vehicle.body.inertia], [mass, *inertia])
    rpm = 60 / (2 * np.pi)
    assert_allclose(vehicle.rotors.k_f, motors.thrust_coef[0, 0] * rpm**2, rtol=1e-5)
    assert_allclose(vehicle.rotors.thrust_max, motors.thrust_coef[0] * motors.max_rpm[0] ** 2)
    kept = np.exp(-vehicle.timing.period / vehicle.rotors.lag)
    assert_allclose(1 - kept, motors.physics_period / motors.tau[0], rtol=1e-3)
    world.close()


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("rotor", range(4))
def test_a_stronger_rotor_turns_the_body_as_the_vehicle_file_says(name, rotor):
    world, vehicle = world_of(name), vehicle_of(name)
    f = np.full(4, vehicle.weight / 4)
    f[rotor] *= 1.2
    turning = np.zeros(3)
    for _ in range(6):
        thrust = world.state().rotor_thrust
        world.advance(f)
        thrust = (thrust + world.state().rotor_thrust) / 2
        turning += vehicle.timing.period * (vehicle.mixing @ thrust)[1:] / vehicle.body.inertia
    rate = world.state().rate
    world.close()
    assert np.abs(turning).min() > 0.01
    assert_allclose(rate, turning, rtol=0.25)  # PyFlyt turns its rotors before it pushes


# --- what is learned -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", PEERS)
def test_a_flight_flown_there_shows_the_force_that_was_added(name):
    vehicle, make = vehicle_of(name), partial(WORLDS[name][2], ground_effect=True)
    log, figures = land(make, vehicle, "observer", 1, HEIGHTS)
    assert figures["landed"]
    labels = raw_labels(log, vehicle)
    low = labels.height < 0.02
    share = labels.force[low, 2] / labels.rotor_thrust[low].sum(axis=1)
    discs = labels.height[low] + vehicle.rest_height
    gain = np.mean([ground_effect_gain(float(z), 0.023) - 1 for z in discs])
    assert gain > 0.1
    assert_allclose(np.mean(share), gain, atol=0.02)  # noise over the tenth of a second flown there


@pytest.mark.campaign
@pytest.mark.parametrize("name", PEERS)
def test_what_was_learned_lands_better_over_a_ground_effect_and_not_worse_without(name, tmp_path):
    from neural_lander.scripts.peer_landings import in_peer

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    without = in_peer(name, False, 6, range(4), tmp_path / "without")
    over = in_peer(name, True, 6, range(4), tmp_path / "over")
    assert without["train"]["shown"] is False
    assert over["train"]["shown"] is True
    for figures, least in ((without, 1.05), (over, 0.9)):
        by = figures["controllers"]
        assert by["learned+observer"]["landed"] == by["observer"]["landed"] == 4
        learned, observer = (by[c]["z_rmse_m"]["value"] for c in ("learned+observer", "observer"))
        assert learned < least * observer
