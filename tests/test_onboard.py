"""The controller lands in simulators that are not ours, and says what it cannot use."""

import math
import re
import subprocess
import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from neural_lander.controller import onboard
from neural_lander.controller.certificate import read_certificate
from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.monitor import EVENTS, Limits
from neural_lander.controller.network import load_network
from neural_lander.controller.onboard import LandingController, State
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.learning.certify import certify
from neural_lander.sim.rollout import Flight, flight_log, run
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.sensors import Sensors, draw_noise

from .test_certificate import bundle

README = Path(__file__).parents[1] / "README.md"

EXAMPLE = re.search(
    r"## In your own simulator.*?```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL
)[1]

YAW, TILT = np.radians(60), np.radians(10)
LEVEL = np.array([0.0, 0.0, 0.0, 1.0])
STILL = np.zeros(3)


class Foreign:
    """A rigid body over a springy floor, in numpy; rotors with lag, and a little ground effect."""

    def __init__(self, vehicle, position, attitude, speeds_known=True):
        self.vehicle, self.speeds_known = vehicle, speeds_known
        self.position, self.attitude = np.array(position), np.array(attitude)
        self.velocity, self.rate = np.zeros(3), np.zeros(3)
        self.thrust = np.full(4, vehicle.weight / 4)
        self.time, self.flown = 0.0, []

    @property
    def rotor_thrust(self):
        return self.thrust if self.speeds_known else None

    def advance(self, command, period):
        v, body = self.vehicle, self.vehicle.body
        assert self.time < 20, "it does not land"
        self.flown.append([self.time, *self.position, *self.velocity])
        self.thrust = self.thrust + (1 - np.exp(-period / v.rotors.lag)) * (command - self.thrust)
        lift, *torque = v.mixing @ self.thrust
        turn = Rotation.from_quat(self.attitude)
        depth = v.rest_height - self.position[2]
        force = lift * turn.apply([0, 0, 1]) - [0, 0, v.weight]
        force[2] += 0.13 * lift * np.exp(min(depth, 0) / 0.1)  # ground effect
        if depth > 0:  # critically damped, 1 mm under the weight
            stiff = v.weight / 1e-3
            force[2] += max(stiff * depth - 2 * np.sqrt(stiff * v.mass) * self.velocity[2], 0.0)
        self.velocity = self.velocity + period * force / v.mass
        gyro = np.cross(self.rate, body.inertia * self.rate)
        self.rate = self.rate + period * (np.array(torque) - gyro) / body.inertia
        self.position = self.position + period * self.velocity
        self.attitude = (turn * Rotation.from_rotvec(period * self.rate)).as_quat()
        self.time += period


# --- a foreign simulator -------------------------------------------------------------------------


@pytest.mark.parametrize("speeds_known", [True, False])
def test_the_readme_lands_a_foreign_simulator_in_under_fifteen_lines(intel_aero, speeds_known):
    assert len(EXAMPLE.strip().splitlines()) < 15
    attitude = (Rotation.from_euler("z", YAW) * Rotation.from_euler("x", TILT)).as_quat()
    start = (0.0, 0.0, 1.0 + intel_aero.rest_height)
    sim = Foreign(intel_aero, start, attitude, speeds_known)
    names = {"sim": sim}
    exec(EXAMPLE, names)
    pilot = names["pilot"]
    t, p, v = np.split(np.array(sim.flown), [1, 4], axis=1)
    late = (t[:, 0] > 1.5) & (t[:, 0] < 2.0)  # the last half second of the hover
    assert np.abs(p[late] - start).max() < 5e-3
    down = np.argmax(p[:, 2] <= intel_aero.rest_height)
    assert down > 0
    assert 0.0 < -v[down, 2] < 0.2  # the flare is at 0.12 m/s
    assert np.hypot(*p[-1, :2]) < 5e-3
    heading = Rotation.from_quat(sim.attitude).as_euler("ZYX")
    assert_allclose(heading, [YAW, 0, 0], atol=np.radians(0.5))
    assert pilot.phase == "cut"
    assert_array_equal(pilot.step(State(*at_rest(sim)), names["time"]), np.zeros(4))


def at_rest(sim):
    return sim.position, sim.velocity, sim.attitude, sim.rate


def test_it_imports_neither_torch_nor_pybullet_nor_our_world(tmp_path, intel_aero):
    model = bundle(tmp_path / "model", intel_aero)
    code = f"""
import sys
from neural_lander.controller.onboard import LandingController, State
for name in ("observer", "learned+observer"):
    pilot = LandingController("intel-aero", name, model={str(model)!r}, uncertified=True)
    pilot.step(State((0, 0, 1.59), (0, 0, 0), (0, 0, 0, 1), (0, 0, 0)), 0.0)
banned = ("torch", "pybullet", "neural_lander.sim", "neural_lander.learning")
found = [m for m in sys.modules if any(m == b or m.startswith(b + ".") for b in banned)]
assert not found, found
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- our own loop --------------------------------------------------------------------------------


@pytest.fixture
def certified(tmp_path, intel_aero):
    model = bundle(tmp_path / "model", intel_aero)
    certify(model, intel_aero)
    return model


@pytest.mark.parametrize("speeds_known", [True, False])
@pytest.mark.parametrize("reference", ["s-curve", "exponential", "fastest"])
@pytest.mark.parametrize("controller", ["pid", "textbook", "observer", "learned+observer"])
def test_it_commands_what_our_own_loop_commands_bit_for_bit(
    certified, intel_aero, controller, reference, speeds_known
):
    network = load_network(certified, intel_aero) if "learned" in controller else None
    scenario = replace(load_scenario("flat"), hover=1.5, sensors=Sensors(rotor_speed=speeds_known))
    flight = Flight(intel_aero, controller, scenario, reference, network=network)
    pilot = LandingController(
        "intel-aero", controller, model=certified, uncertified=True, reference=reference,
        hover=1.5, yaw=0.7,
    )  # fmt: skip
    fly_both(pilot, flight)
    if reference != "exponential":  # which takes longer than these six seconds
        assert pilot.phase == "cut"


@pytest.mark.parametrize("felt", [True, False])
@pytest.mark.parametrize("controller", ["indi", "l1"])
def test_so_it_does_with_and_without_accelerometer(intel_aero, controller, felt):
    scenario = replace(load_scenario("flat"), hover=1.5, sensors=Sensors(accelerometer=felt))
    flight = Flight(intel_aero, controller, scenario, "fastest")
    pilot = LandingController("intel-aero", controller, reference="fastest", hover=1.5, yaw=0.7)
    fly_both(pilot, flight)
    assert pilot.phase == "cut"


def fly_both(pilot, flight):
    """Fly in our own world, and show the library what was measured there."""
    vehicle = flight.vehicle
    rng = np.random.default_rng(3)
    noise = draw_noise(vehicle, round(6.0 / vehicle.timing.period), rng)
    start = (0.02, -0.03, 1.5)
    rows, _ = run(flight, flight.plan, rng, start, (0.0, 0.0, 0.0), 0.7, 6.0, True, noise)
    log = flight_log(rows, flight, 3).columns
    # measured at step k: the thrust of step k - 1, with the noise of the speed
    hover = np.linalg.solve(vehicle.mixing, [vehicle.weight, 0, 0, 0])
    factor = 1 + noise[: len(rows), 12:16]
    thrust = np.vstack([hover, log["truth_rotor_thrust"][:-1]]) * factor * factor
    if flight.scenario.sensors.accelerometer:
        turned = Rotation.from_quat(log["attitude"])
        turned_back = turned.apply(log["specific_force"], inverse=True)
    for k, t in enumerate(log["time"]):
        state = State(
            log["position"][k], log["velocity"][k], log["attitude"][k], log["rate"][k],
            thrust[k] if flight.scenario.sensors.rotor_speed else None,
            turned_back[k] if flight.scenario.sensors.accelerometer else None,
        )  # fmt: skip
        # the log has the specific force turned into the world; turning it back costs the last digit
        loose = 1e-9 if flight.controller == "indi" else 0.0
        wanted = log["rotor_thrust_command"][k]
        assert_allclose(pilot.step(state, t), wanted, rtol=0, atol=loose)
        assert_array_equal(pilot.setpoint, log["setpoint_position"][k])
    assert log["phase"][-1] == ("flying", "pushing", "cut").index(pilot.phase)
    assert EVENTS.get(int(log["monitor"][-1])) == pilot.event


@pytest.mark.parametrize(("tube", "event"), [(0.5, None), (0.004, "outside the tube")])
def test_a_certificates_monitor_flies_along(certified, intel_aero, monkeypatch, tube, event):
    # a certificate with a tube takes minutes; its table alone is what the monitor reads
    xyz = {
        "p_m": [[tube] * 3] * 400, "v_m_s": [[2.0] * 3] * 400, "observer_n": [[5.0] * 3] * 400,
        "after_p_m": [tube] * 3, "after_v_m_s": [2.0] * 3, "after_observer_n": [5.0] * 3,
    }  # fmt: skip
    watch = {
        "contract_n": [5.0] * 3, "noise_position_m": 0.0, "noise_velocity_m_s": 0.0,
        "tolerance_n": 0.1, "longest_step_s": 0.002, "tilt_rad": 0.5,
    }  # fmt: skip
    start = {"joined": {"offset_m": 0.1, "speed_m_s": 0.1}}
    table = {"xyz": xyz, "watch": watch, "cell_s": 0.02, "start": start}
    (own,) = (certified / "certificates").glob("*.json")
    certificate = replace(read_certificate(own), tube=table)
    monkeypatch.setattr(onboard, "require_certificate", lambda *_: certificate)
    pilot = LandingController("intel-aero", "learned+observer", model=certified, hover=0.5, yaw=0.7)
    flight = Flight(
        intel_aero, "learned+observer", replace(load_scenario("flat"), hover=0.5),
        network=load_network(certified, intel_aero), limits=Limits.of(table),
    )  # fmt: skip
    fly_both(pilot, flight)
    assert pilot.event == event


# --- symmetries ----------------------------------------------------------------------------------


def some_states(vehicle, n=200):
    rng = np.random.default_rng(1)
    for _ in range(n):
        tilt = Rotation.from_rotvec(rng.normal(0, 0.1, 3))
        yield State(
            rng.normal((0, 0, 1.5 + vehicle.rest_height), 0.05),
            rng.normal(0, 0.1, 3),
            tilt.as_quat(),
            rng.normal(0, 0.1, 3),
            vehicle.weight / 4 * rng.uniform(0.9, 1.1, 4),
        )


def test_rotors_named_in_another_order_push_as_before(tmp_path, intel_aero):
    order, rotors = [2, 0, 3, 1], intel_aero.rotors
    text = (resources.files("neural_lander.controller") / "vehicles/intel-aero.toml").read_text()
    for key, value in (("positions_m", rotors.positions), ("spins", rotors.spins)):
        text, n = re.subn(
            rf"{key} = .*? source", f"{key} = {{ value = {value[order].tolist()}, source", text
        )
        assert n == 1
    file = tmp_path / "permuted.toml"
    file.write_text(text)
    one, other = LandingController("intel-aero"), LandingController(file)
    for k, state in enumerate(some_states(intel_aero)):
        t = k * one.period
        expected = one.step(state, t)[order]
        moved = replace(state, rotor_thrust=state.rotor_thrust[order])
        assert np.ptp(expected) > 1e-3  # or any order would do
        # sums and an inverse in another order: rounding of numbers of some newton
        assert_allclose(other.step(moved, t), expected, atol=1e-9)


def test_the_other_quaternion_of_an_attitude_and_another_clock_change_nothing(intel_aero):
    one, other = LandingController(intel_aero), LandingController(intel_aero)
    for k, state in enumerate(some_states(intel_aero)):
        turned = replace(state, attitude=-state.attitude)
        expected = one.step(state, k * one.period)
        # time since the first step is rounded to that of the clock, 2e-13 s
        assert_allclose(other.step(turned, 1000.0 + k * one.period), expected, atol=1e-8)


def test_rotor_speeds_make_the_thrusts(intel_aero):
    pilot = LandingController(intel_aero)
    f = np.array([0.0, 1.0, 2.0, 3.0])
    assert_allclose(intel_aero.rotors.k_f * pilot.rotor_speeds(f) ** 2, f)
    with pytest.raises(InputError, match=r"thrusts is .* expected at least 0 N"):
        pilot.rotor_speeds([-1.0, 1.0, 1.0, 1.0])


# --- the gate ------------------------------------------------------------------------------------


def test_what_has_learned_wants_its_certificate(certified, tmp_path):
    pilot = LandingController("intel-aero", "learned+observer", model=certified)
    assert pilot.certificate.certified
    with pytest.raises(Refused, match=r"controller: learned\+observer → learned"):
        LandingController("intel-aero", "learned", model=certified)
    other = bundle(tmp_path / "other", load_vehicle("intel-aero"), bias=0.01)
    with pytest.raises(Refused, match=r"no certificate .*--vehicle intel-aero"):
        LandingController("intel-aero", "learned+observer", model=other)
    (own,) = (certified / "certificates").glob("*.json")
    with pytest.raises(Refused, match="weights: "):
        LandingController("intel-aero", "learned+observer", model=other, certificate=own)
    taken = LandingController(
        "intel-aero", "learned+observer", model=str(certified), certificate=str(own)
    )
    assert taken.certificate.certified
    free = LandingController("intel-aero", "learned+observer", model=other, uncertified=True)
    assert free.certificate is None
    with pytest.raises(InputError, match="needs a model"):
        LandingController("intel-aero", "learned")


def test_only_our_own_simulator_has_an_oracle():
    for name in ("oracle", "oracle+observer"):
        with pytest.raises(InputError, match=f"'{re.escape(name)}' cancels the true force"):
            LandingController("intel-aero", name)
    with pytest.raises(InputError, match="'lqr' is unknown; take one of pd, pid"):
        LandingController("intel-aero", "lqr")


# --- what cannot be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("position", [0.0, 1.0], r"position has shape \(2,\), expected \(3,\)"),
        ("position", [[0.0, 0.0, 1.0]], r"position has shape \(1, 3\)"),
        ("velocity", [0.0, np.nan, 0.0], "velocity is .*nan.* expected 3 finite numbers"),
        ("velocity", "fast", "velocity is 'fast', expected"),
        ("velocity", None, "velocity is None, expected"),
        ("rate", [0.0, 0.0, np.inf], "rate is .*inf.*rad/s"),
        ("rate", [[0.0], [0.0, 1.0]], "rate is"),
        ("attitude", [0.0, 0.0, 0.0], r"attitude has shape \(3,\), expected \(4,\)"),
        ("attitude", [0.0, 0.0, 0.0, 1.002], "norm 1.002, expected a unit quaternion"),
        ("attitude", [0.0, 0.0, 0.0, 0.0], "norm 0, expected a unit quaternion"),
        ("rotor_thrust", [1.0, 1.0, 1.0, -0.1], "rotor_thrust is .* expected at least 0 N"),
        ("rotor_thrust", [1.0, 1.0, 1.0], r"rotor_thrust has shape \(3,\)"),
        ("height", math.nan, "height is nan"),
        ("height", [1.0], "height is"),
    ],
)
def test_a_state_that_cannot_be_is_refused_by_name(name, value, said):
    values = {"position": STILL, "velocity": STILL, "attitude": LEVEL, "rate": STILL}
    State(**values)
    State(**{**values, "attitude": 1.0009 * LEVEL})
    with pytest.raises(InputError, match=said):
        State(**{**values, name: value})


def test_a_measured_height_is_believed_and_without_one_the_floor_is_at_zero(intel_aero):
    where = [0.0, 0.0, 1.5 + intel_aero.rest_height]
    thrusts, contacts = [], []
    for height in (None, where[2] - intel_aero.rest_height, 0.0):
        pilot = LandingController(intel_aero)
        thrusts.append(pilot.step(State(where, STILL, LEVEL, STILL, height=height), 0.0))
        contacts.append(float(pilot.record["contact"]))
    assert_array_equal(thrusts[0], thrusts[1])
    assert contacts == [0.0, 0.0, 1.0]


def test_a_state_is_a_copy(intel_aero):
    position = np.zeros(3)
    state = State(position, STILL, LEVEL, STILL)
    position[0] = 1.0
    assert state.position[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        state.position[0] = 1.0


def test_a_step_at_another_time_is_refused_and_leaves_the_controller_as_it_was(intel_aero):
    pilot, other = LandingController(intel_aero), LandingController(intel_aero)
    state = State([0, 0, 1.6], STILL, LEVEL, STILL)
    h = pilot.period
    for p in (pilot, other):
        p.step(state, 5.0)
    for t, said in (
        (
            5.0 + 1.011 * h,
            "comes 0.002022 s after the last, expected the control period .* 0.002 s",
        ),
        (5.0 + 0.989 * h, "comes 0.001978 s after"),
        (5.0, "comes 0 s after"),
        (4.9, "time is 4.9 s, before the last step's 5.0 s"),
        (np.nan, "time is nan, expected a finite number"),
        (None, "time is None"),
    ):
        with pytest.raises(InputError, match=said):
            pilot.step(state, t)
    with pytest.raises(InputError, match="state is a tuple, expected a State"):
        pilot.step(at_rest(state), 5.0 + h)
    for factor in (1.009, 1.0, 0.991):  # inside the clock's hundredth
        last = pilot._last
        assert_array_equal(*(p.step(state, last + factor * h) for p in (pilot, other)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start": (0, 0)}, r"start has shape \(2,\)"),
        ({"start": (0, 0, 0)}, "start has height 0.0 m, expected more than 0"),
        ({"hover": -0.1}, "hover is -0.1 s"),
        ({"hover": np.inf}, "hover is inf"),
        ({"yaw": np.nan}, "yaw is nan"),
        ({"reference": "dive"}, "reference 'dive' is unknown"),
    ],
)
def test_a_landing_that_cannot_be_is_refused_by_name(options, said):
    with pytest.raises(InputError, match=said):
        LandingController("intel-aero", **options)


def test_before_the_first_step_it_wants_to_hover_at_the_start(intel_aero):
    pilot = LandingController(intel_aero, start=(1, 2, 3))
    assert_allclose(pilot.setpoint, [1, 2, 3 + intel_aero.rest_height])
    assert pilot.phase == "flying"
    assert pilot.event is None
