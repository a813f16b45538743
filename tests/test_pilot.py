"""A controller from outside the package flies what ours fly, and is told what is wrong with it."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.landing_controller import controller_record, yaw_of
from neural_lander.controller.onboard import State
from neural_lander.controller.pilot import Task, find_pilot
from neural_lander.controller.setpoint import plan_descent
from neural_lander.controller.terrain import FLAT
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.scripts import cli
from neural_lander.scripts.cli_flight import controllers_of
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario

from .pages import draw_pictures

SCENARIO = """
name = "short"
description = "a landing from low"
start_height = 0.3
hover = 0.5
"""

MINE = """
import numpy as np
from neural_lander.controller.onboard import LandingController


class Wrapped:
    '''Our own observer behind the protocol.'''

    def __init__(self, task):
        start = task.plan.coefficients[0, :, 0]
        self.law = LandingController(
            task.vehicle, "observer", start=start, yaw=task.yaw, hover=task.plan.descent_start
        )

    def step(self, state, time):
        return self.law.step(state, time)


class Climb:
    '''Thrust for hover and nothing else.'''

    def __init__(self, task):
        self.task = task

    def step(self, state, time):
        return np.full(4, self.task.vehicle.weight / 4)


class Fails(Climb):
    def step(self, state, time):
        return 1 / (0.0 if time > 0.01 else 1.0) * np.ones(4)


class Short(Climb):
    def step(self, state, time):
        return [1.0, 2.0]


class Pulls(Climb):
    def step(self, state, time):
        return [1.0, 2.0, -3.0, 1.0]


class Leaves(Climb):
    def step(self, state, time):
        raise SystemExit(3)


class Alone:
    def __init__(self):
        pass


class Timeless(Climb):
    def step(self, state):
        pass


class Mute:
    def __init__(self, task):
        pass


class Broken:
    def __init__(self, task):
        raise KeyError("gains")


def spies(task):
    spies.task = task
    spies.seen = []

    class Spy(Climb):
        def step(self, state, time):
            spies.seen.append((time, state, self.task.setpoint, self.task.phase))
            return super().step(state, time)

    return Spy(task)
"""


@pytest.fixture
def flight(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "short.toml").write_text(SCENARIO)

    def make(name, **more):
        return Flight(
            vehicle=load_vehicle("intel-aero"),
            controller=name if ":" not in name else f"{tmp_path}/{name}",
            scenario=load_scenario(str(tmp_path / "short.toml")),
            **more,
        )

    return make


@pytest.mark.parametrize("engine", ["pybullet", "hybrid"])
def test_our_own_law_behind_the_protocol_flies_the_same_bits(flight, engine):
    ours = fly(flight("observer", engine=engine), 3)
    theirs = fly(flight("mine.py:Wrapped", engine=engine), 3)
    # up to the floor; from there on the logic that cuts the motors feels the observer's force, too,
    # which it cannot know of a controller from outside
    until = int(np.argmax(ours.log["phase"] > 0))
    assert until == int(np.argmax(theirs.log["phase"] > 0)) > 1000
    for name in ("rotor_thrust_command", "truth_position", "truth_attitude", "setpoint_position"):
        np.testing.assert_array_equal(
            ours.log[name][:until], theirs.log[name][:until], err_msg=name
        )
    for key in ("landed", "landing_time_s", "touchdown_speed_m_s", "z_max_error_m"):
        assert ours.summary[key] == theirs.summary[key], key
    assert theirs.summary["landed"]
    assert theirs.summary["controller"].endswith("mine.py:Wrapped")
    assert theirs.summary["force_rmse_low_n"] is None


def test_a_pilot_sees_what_is_measured_and_where_it_is_to_be(flight, tmp_path):
    landing = fly(flight("mine.py:spies"), 1)
    spies = find_pilot(f"{tmp_path}/mine.py:spies")
    log = landing.log
    for i in (0, 100, 400):
        time, state, setpoint, phase = spies.seen[i]
        assert time == log["time"][i]
        np.testing.assert_array_equal(state.position, log["position"][i])
        np.testing.assert_array_equal(state.velocity, log["velocity"][i])
        np.testing.assert_array_equal(state.attitude, log["attitude"][i])
        np.testing.assert_array_equal(state.rate, log["rate"][i])
        np.testing.assert_array_equal(setpoint.position, log["setpoint_position"][i])
        np.testing.assert_array_equal(setpoint.velocity, log["setpoint_velocity"][i])
        assert phase == "flying"
        assert not np.shares_memory(setpoint.position, spies.task.memory["setpoint_position"])
    vehicle = load_vehicle("intel-aero")
    assert spies.task.floor == vehicle.rest_height
    assert not landing.summary["landed"]  # thrust of hover and no feedback


def test_a_bare_file_is_refused_by_land_with_the_cure(flight):
    with pytest.raises(InputError, match=r"name the class in your file: mine\.py:MyController"):
        fly(flight("mine.py"), 0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Fails", r"failed at 0\.012 s: ZeroDivisionError.*mine\.py, line \d+"),
        ("Short", r"at 0\.000 s: thrusts has shape \(2,\), expected \(4,\)"),
        ("Pulls", r"at 0\.000 s: thrusts is .*-3\.0.* N, expected at least 0 N each"),
        ("Mute", "made a Mute without a method step"),
        ("Broken", r"could not be made from its task: KeyError: 'gains' .*mine\.py, line"),
        ("Absent", "has no 'Absent'; it defines (?!.*np).*Wrapped"),
        ("Leaves", r"failed at 0\.000 s: SystemExit: 3 \(.*mine\.py, line \d+\)$"),
        ("Alone", r"1 positional argument but 2 were given; it is made as Name\(task\)"),
        (
            "Timeless",
            r"2 positional arguments but 3 were given; it is asked as step\(state, time\)",
        ),
    ],
)
def test_what_is_wrong_with_a_pilot_is_said_with_its_place(flight, name, message):
    with pytest.raises(InputError, match=message):
        fly(flight(f"mine.py:{name}"), 0)


def test_names_that_lead_nowhere_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "typo.py").write_text("def broken(:\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit(3)\n")
    for name, message in (
        ("nowhere_at_all:X", "module 'nowhere_at_all' cannot be imported"),
        ("absent.py:X", r"there is no file absent\.py"),
        ("typo.py:X", r"typo\.py cannot be imported \(SyntaxError.*line 1"),
        ("leaves.py:X", r"leaves\.py cannot be imported \(SystemExit: 3"),
        (":X", "is no module:Name"),
        ("json:", "is no module:Name"),
    ):
        with pytest.raises(InputError, match=message):
            controllers_of(name)
    with pytest.raises(InputError, match=r"'nonsense' is unknown.*file\.py:Name, module:Name"):
        controllers_of("nonsense")
    with pytest.raises(InputError, match=r"name the class in your file: typo\.py:MyController"):
        controllers_of("pd,typo.py")


def test_a_module_of_the_working_directory_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "pilot_of_this_test.py").write_text(MINE)
    assert controllers_of("pd,pilot_of_this_test:Wrapped") == ["pd", "pilot_of_this_test:Wrapped"]
    assert find_pilot("pilot_of_this_test:Wrapped").__name__ == "Wrapped"


def test_it_enters_the_table_beside_ours(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw_pictures(monkeypatch, 0)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "short.toml").write_text(SCENARIO)
    with pytest.raises(SystemExit) as ended:
        cli.main(
            ["compare", "--controllers", "observer,mine.py:Wrapped", "--scenario", "short.toml",
             "--seeds", "0:2", "--out", "table", "--json"]
        )  # fmt: skip
    assert ended.value.code == 0
    ours, theirs = json.loads(capsys.readouterr().out)["controllers"]
    assert theirs["controller"] == "mine.py:Wrapped"
    for key in ("landings", "landed", "crashed", "z_max_error_m", "touchdown_speed_m_s"):
        assert ours[key] == theirs[key], key


def task_of(vehicle, yaw):
    plan = plan_descent("s-curve", (0.0, 0.0, 0.3), 0.0, 0.5)
    return Task(vehicle, plan, yaw, FLAT, controller_record(vehicle, "pd", plan, yaw)[0])


def test_a_force_becomes_the_thrusts_that_our_own_law_makes_of_it(flight, intel_aero):
    # what the torque observer remembers is no part of a single call
    calm = replace(intel_aero, gains=replace(intel_aero.gains, torque_observer=0.0))
    log = fly(replace(flight("pd"), vehicle=calm), 2).log
    yaw = yaw_of(log["truth_attitude"][0])  # starts level, at the heading that it is to keep
    task = task_of(calm, yaw)
    flying = np.flatnonzero(log["phase"] == 0)[::50]
    assert len(flying) > 10
    for i in flying:
        state = State(log["position"][i], log["velocity"][i], log["attitude"][i], log["rate"][i])
        thrusts = task.thrusts(log["force_command"][i], state)
        # the heading is rounded once more here: 1e-16 rad of yaw
        np.testing.assert_allclose(thrusts, log["rotor_thrust_command"][i], rtol=0, atol=1e-12)


def test_what_the_torque_observer_found_is_taken_off_for_others_too(intel_aero):
    task = task_of(intel_aero, 0.0)
    state = State(np.zeros(3), np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(3))
    before = task.thrusts((0.0, 0.0, intel_aero.weight), state)
    task.memory["torque_found"] = 0.01, -0.02, 0.003
    after = task.thrusts((0.0, 0.0, intel_aero.weight), state)
    np.testing.assert_allclose(
        intel_aero.mixing @ (after - before), [0, -0.01, 0.02, -0.003], atol=1e-12
    )


def test_a_force_pushes_with_its_size_and_turns_the_vehicle_towards_it(intel_aero):
    task, level = task_of(intel_aero, 0.0), State((0, 0, 1), (0, 0, 0), (0, 0, 0, 1), (0, 0, 0))
    weight = intel_aero.weight
    np.testing.assert_allclose(task.thrusts([0, 0, weight], level), weight / 4)
    lift, roll, pitch, _ = intel_aero.mixing @ task.thrusts([1.0, 0, weight], level)
    np.testing.assert_allclose(lift, np.hypot(1.0, weight))
    assert pitch > 0  # nose down, to push to the front
    assert abs(roll) < 1e-12
    with pytest.raises(InputError, match=r"force is .*nan.*, expected 3 finite numbers: x, y, z"):
        task.thrusts([0, np.nan, 1], level)
