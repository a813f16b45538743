"""What was flown elsewhere becomes a flight log like any other."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import read_flight_log, write_flight_log
from neural_lander.controller.onboard import LandingController, State
from neural_lander.controller.recorder import Recorder
from neural_lander.learning.labels import raw_labels

from .pages import blocks_of
from .test_onboard import Foreign

STILL = State((0, 0, 1.6), (0, 0, 0), (0, 0, 0, 1), (0, 0, 0))


def flown(vehicle, steps, speeds_known=True, begin=0.0):
    """Recorder and what it was shown, over the first steps of a landing; and a plain pilot's answers."""
    pilot, plain = (LandingController(vehicle, start=(0, 0, 0.2), hover=0.5) for _ in range(2))
    start = (0.0, 0.0, 0.21 + vehicle.rest_height)
    sim = Foreign(vehicle, start, (0.0, 0.0, 0.0, 1.0), speeds_known)
    flight, states, answers = Recorder(pilot), [], []
    for k in range(steps):
        time = begin + k * pilot.period
        state = State(sim.position, sim.velocity, sim.attitude, sim.rate, sim.rotor_thrust)
        answer = flight.step(state, time)
        assert_array_equal(answer, plain.step(state, time))
        sim.advance(answer, pilot.period)
        states.append(state)
        answers.append(answer)
    return flight, states, np.array(answers)


def test_a_recorded_pilot_flies_the_same_bits_and_the_log_is_what_it_saw(tmp_path, intel_aero):
    flight, states, answers = flown(intel_aero, 400, begin=100.0)
    write_flight_log(tmp_path / "one.parquet", flight.log(seed=3))
    log = read_flight_log(tmp_path / "one.parquet")
    assert log["time"][0] == 0.0
    assert_allclose(np.diff(log["time"]), 0.002, atol=1e-12)
    for name in ("position", "velocity", "attitude", "rate"):
        assert_array_equal(log[name], [getattr(state, name) for state in states])
    assert_array_equal(log["rotor_thrust_command"], answers)
    measured = [state.rotor_thrust for state in states]
    assert_allclose(intel_aero.rotors.k_f * log["rotor_speed"] ** 2, measured)
    assert_allclose(log["height"], log["position"][:, 2] - intel_aero.rest_height)
    assert log["reference_height"][0] == pytest.approx(log["height"][0])
    assert log["reference_height"][-1] < 0.2  # 0.3 s into the descent
    assert log.metadata["vehicle_digest"] == intel_aero.digest
    assert (log.metadata["controller"], log.metadata["certified"]) == ("observer", None)
    assert log.metadata["seed"] == 3
    labels = raw_labels(log, intel_aero)
    # the simulator's own ground effect, 13 % of thrust exp(-height / 0.1)
    lift = labels.rotor_thrust.sum(axis=1)
    expected = 0.13 * lift * np.exp(-labels.height / 0.1)
    assert_allclose(labels.force[:, 2], expected, atol=0.02 * intel_aero.weight)


def test_the_page_records_and_writes(tmp_path, monkeypatch, intel_aero):
    monkeypatch.chdir(tmp_path)
    make, write = (b.text for b in blocks_of("other-simulators.md") if b.name == "recorder")
    names = {"pilot": LandingController(intel_aero)}
    exec(make, names)
    for k in range(3):
        names["flight"].step(STILL, k * intel_aero.timing.period)
    exec(write, names)
    assert len(read_flight_log(tmp_path / "flights" / "one.parquet")) == 3


def test_a_specific_force_is_logged_in_the_world(intel_aero):
    flight = Recorder(LandingController(intel_aero))
    north = (0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5))  # body x along world y
    for k in range(2):
        state = State((0, 0, 1.6), (0, 0, 0), north, (0, 0, 0), None, (1.0, 0.0, 9.81))
        flight.step(state, k * intel_aero.timing.period)
    assert_allclose(flight.log()["specific_force"], [[0, 1.0, 9.81]] * 2, atol=1e-12)


def test_speeds_that_were_not_measured_are_not_in_the_log(intel_aero):
    flight, _, _ = flown(intel_aero, 5, speeds_known=False)
    assert "rotor_speed" not in flight.log()


def test_a_flight_of_one_step_is_none(intel_aero):
    flight, _, _ = flown(intel_aero, 1)
    with pytest.raises(InputError, match="1 steps were recorded, expected at least 2"):
        flight.log()
