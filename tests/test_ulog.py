"""PX4 logs: NED and wxyz turned, slow commands kept slow, nothing made of guesses."""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyulog import ULog

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.vehicle import ThrustLaw, Vehicle
from neural_lander.learning.fitness import judge
from neural_lander.learning.recording import to_flight_log
from neural_lander.learning.ulog import decode, recording

from .ulog_file import Fields, hop, message, ulog_file

QUAD: Mapping[str, float] = {"MAV_TYPE": 2}


def read(data: bytes, vehicle: Vehicle) -> FlightLog:
    return to_flight_log(recording(decode(data, "made"), vehicle, "made"), vehicle, "made")


def made(vehicle: Vehicle, parameters: Mapping[str, float] = QUAD, **changes: Any) -> FlightLog:
    return read(ulog_file(hop(**changes), parameters), vehicle)


def without(topics: Fields, *names: str) -> Fields:
    return {k: v for k, v in topics.items() if k not in names}


def test_the_test_files_are_what_pyulog_reads() -> None:
    log = ULog(io.BytesIO(ulog_file(hop(), QUAD)))
    assert not log.file_corruption
    assert log.get_dataset("vehicle_attitude").data["q[0]"][0] == 1


def test_north_east_down_becomes_east_north_up(intel_aero: Vehicle) -> None:
    log = made(intel_aero)
    np.testing.assert_allclose(log["position"][:, :2], [[7, 5]] * len(log))
    assert log["position"][:, 2].max() == pytest.approx(3, abs=1e-6)
    assert log["velocity"][:, 2].max() == 1
    np.testing.assert_allclose(log["rate"][0], [0.1, -0.2, -0.3], atol=1e-7)
    np.testing.assert_allclose(log["attitude"][0], np.sqrt([0, 0, 0.5, 0.5]), atol=1e-7)
    np.testing.assert_allclose(log["specific_force"], [[0, 0, 9.81]] * len(log), atol=1e-6)


def test_ten_commands_a_second_make_a_log_of_ten_hertz(intel_aero: Vehicle) -> None:
    fast = hop(rate=100.0)
    slow = {**fast, ("actuator_motors", 0): hop()["actuator_motors", 0]}
    log = read(ulog_file(slow, QUAD), intel_aero)
    assert 1 / np.median(np.diff(log["time"])) == pytest.approx(10)
    np.testing.assert_allclose(log["specific_force"][:, 2], 9.81, atol=1e-5)


def test_vibration_is_averaged_over_a_row(intel_aero: Vehicle) -> None:
    sensor = hop()["sensor_combined", 0]
    shaken = sensor["accelerometer_m_s2"].copy()
    shaken[:, 2] += 5 * np.sin(2 * np.pi * 61 * sensor["t"])
    log = made(intel_aero, sensor_combined={**sensor, "accelerometer_m_s2": shaken})
    assert np.std(log["specific_force"][2:-2, 2]) < 0.3


def test_without_a_range_sensor_there_is_no_height(intel_aero: Vehicle) -> None:
    log = made(intel_aero)
    assert "height" not in log
    assert "no range sensor" in log.metadata["missing"]["height"]
    assert "rotor_speed" not in log


def test_a_range_sensor_gives_the_height_above_standing(intel_aero: Vehicle) -> None:
    position = hop()["vehicle_local_position", 0]
    ranged = {**position, "dist_bottom_sensor_bitfield": position["dist_bottom_valid"]}
    sensor = {"t": position["t"], "current_distance": position["dist_bottom"]}
    log = made(intel_aero, vehicle_local_position=ranged, distance_sensor=sensor)
    np.testing.assert_allclose(log["height"], log["position"][:, 2], atol=0.02)
    invalid = {**ranged, "dist_bottom_valid": 0 * ranged["dist_bottom_valid"]}
    log = made(intel_aero, vehicle_local_position=invalid, distance_sensor=sensor)
    assert "height" not in log


def test_in_the_air_is_less_than_the_land_detector_says(intel_aero: Vehicle) -> None:
    log = made(intel_aero)
    flying = log["time"][log["contact"] == 0]
    # It says so from 2 to 18 s; the vehicle lifts at 4 s and stands again at 16 s.
    assert 4 < flying[0] < 4.2
    assert 15.8 < flying[-1] < 16.1
    assert np.all(np.diff(flying) < 0.11)  # hovering for six seconds is flying


def test_a_vehicle_shaken_by_hand_never_flew(intel_aero: Vehicle) -> None:
    position = hop()["vehicle_local_position", 0]
    slow = {**position, "vz": (0.2 * position["vz"]).astype(np.float32)}
    log = made(intel_aero, vehicle_local_position=slow)
    np.testing.assert_array_equal(log["contact"], 1)
    report = judge(log, intel_aero)
    assert "no flight: 0.0 s" in report.why[0]


def test_stopped_motors_are_logged_as_nan_and_mean_zero(intel_aero: Vehicle) -> None:
    motors = hop()["actuator_motors", 0]
    control = motors["control"].copy()
    control[:10] = np.nan
    log = made(intel_aero, actuator_motors={**motors, "control": control})
    np.testing.assert_array_equal(log["rotor_command"][:10], 0)
    assert len(log) == 200


def pulses(low: float, high: float) -> dict[tuple[str, int], Fields]:
    topics = hop(actuator_motors=None)
    motors = hop()["actuator_motors", 0]
    auxiliary = {"t": motors["t"], "output": np.full((len(motors["t"]), 4), 1500, np.float32)}
    output = (low + motors["control"] * (high - low)).astype(np.float32)
    output[:5] = 900  # disarmed
    return {
        **topics,
        ("actuator_outputs", 0): auxiliary,
        ("actuator_outputs", 1): {"t": motors["t"], "output": output},
    }


@pytest.mark.parametrize(
    "parameters",
    [
        {"PWM_MAIN_MIN": 1075, "PWM_MAIN_MAX": 1950, "PWM_MAIN_MIN1": -1},
        {"PWM_MIN": 1075, "PWM_MAX": 1950},
        {f"PWM_MAIN_{e}{i}": v for e, v in (("MIN", 1075), ("MAX", 1950)) for i in (1, 2, 3, 4)},
    ],
)
def test_pulses_of_older_versions_become_the_same_shares(
    parameters: dict[str, float], intel_aero: Vehicle
) -> None:
    log = read(ulog_file(pulses(1075, 1950), {**QUAD, **parameters}), intel_aero)
    same = made(intel_aero)
    np.testing.assert_allclose(log["rotor_command"][5:], same["rotor_command"][5:], atol=1e-4)
    np.testing.assert_array_equal(log["rotor_command"][:5], 0)


def test_pulses_without_their_limits_are_no_commands(intel_aero: Vehicle) -> None:
    log = read(ulog_file(pulses(1075, 1950), QUAD), intel_aero)
    assert "rotor_command" not in log
    assert "pulse limits" in log.metadata["missing"]["rotor_command"]


def test_rotors_are_matched_by_where_they_stand(intel_aero: Vehicle, crazyflie: Vehicle) -> None:
    ours, theirs = made(intel_aero)["rotor_command"], made(crazyflie)["rotor_command"]
    # intel-aero counts as PX4 does; a Crazyflie goes around: front right, rear right, rear left...
    np.testing.assert_array_equal(theirs, ours[:, [0, 3, 1, 2]])
    around: dict[str, float] = {"CA_ROTOR_COUNT": 4, "MAV_TYPE": 2}
    for i, (x, y) in enumerate(((1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0))):
        around |= {f"CA_ROTOR{i}_PX": 0.2 * x, f"CA_ROTOR{i}_PY": 0.2 * y}
    np.testing.assert_array_equal(made(crazyflie, around)["rotor_command"], ours)


def test_a_log_of_no_quadrotor_has_no_rotor_commands(intel_aero: Vehicle) -> None:
    log = made(intel_aero, {"MAV_TYPE": 22})
    assert "rotor_command" not in log
    assert "MAV_TYPE is 22" in log.metadata["missing"]["rotor_thrust_command"]


def test_thrust_needs_a_law_of_the_vehicle(intel_aero: Vehicle) -> None:
    assert "rotor_thrust_command" not in made(intel_aero)
    law = ThrustLaw(np.array([0.0, 0.0, 0.0, 20.0, 0.0]), 12.6)
    named = {f"thrust_law.{key}": "made up" for key in ("coefficients_n", "full_voltage_v")}
    log = made(replace(intel_aero, thrust_law=law, sources={**intel_aero.sources, **named}))
    np.testing.assert_allclose(log["rotor_thrust_command"], 20 * log["rotor_command"] ** 2)


def test_measured_rotor_speed_is_taken(intel_aero: Vehicle) -> None:
    t = hop()["vehicle_attitude", 0]["t"]
    topics = hop()
    rpm = {f"esc[{i}].esc_rpm": np.full(len(t), 3000 + i, np.int32) for i in range(4)}
    raw = decode(ulog_file(topics, QUAD), "made")
    stamps = raw.topics["vehicle_attitude", 0]["timestamp"]
    more = {**raw.topics, ("esc_status", 0): {"timestamp": stamps, **rpm}}
    found = recording(replace(raw, topics=more), intel_aero, "made")
    log = to_flight_log(found, intel_aero, "made")
    np.testing.assert_allclose(log["rotor_speed"][0, 0], 100 * np.pi)


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("vehicle_local_position", "topic vehicle_local_position was not logged"),
        ("vehicle_attitude", "topic vehicle_attitude was not logged"),
        ("vehicle_angular_velocity", "no body rates"),
    ],
)
def test_a_missing_topic_is_named(topic: str, said: str, intel_aero: Vehicle) -> None:
    with pytest.raises(InputError, match=f"made: {said}"):
        made(intel_aero, **{topic: None})


def test_a_missing_field_is_named(intel_aero: Vehicle) -> None:
    position = without(hop()["vehicle_local_position", 0], "vy")
    with pytest.raises(InputError, match="vehicle_local_position has no field vy"):
        made(intel_aero, vehicle_local_position=position)


def test_what_is_cut_off_is_said(intel_aero: Vehicle) -> None:
    data = ulog_file(hop(), QUAD)
    log = read(data[: len(data) * 2 // 3 + 1], intel_aero)
    assert 100 < len(log) < 150
    assert "cut short" in log.metadata["dropped"][0]
    assert read(data, intel_aero).metadata["dropped"] == []


def test_damage_in_the_middle_costs_little_and_is_said(intel_aero: Vehicle) -> None:
    data = bytearray(ulog_file(hop(), QUAD))
    middle = len(data) // 2
    data[middle : middle + 30] = b"\xff" * 30
    log = read(bytes(data), intel_aero)
    assert len(log) > 50
    assert any("damaged" in what for what in log.metadata["dropped"])


def test_an_array_that_no_message_holds_is_refused(intel_aero: Vehicle) -> None:
    data = ulog_file(hop(), QUAD)
    evil = message("F", b"vehicle_attitude:uint64_t timestamp;float[99999999] q;")
    with pytest.raises(InputError, match="an array of 99999999 elements"):
        decode(data[:59] + evil + data[59:], "made")


def test_dropouts_of_the_logger_are_said(intel_aero: Vehicle) -> None:
    data = ulog_file(hop(), QUAD) + message("O", b"\x1e\x00")
    assert "1 dropouts of the logger on board, 0.03 s" in str(
        read(data, intel_aero).metadata["dropped"]
    )


def test_a_stray_stamp_does_not_lengthen_the_flight(intel_aero: Vehicle) -> None:
    position = hop()["vehicle_local_position", 0]
    for stray in (1174.0, -0.3):
        t = position["t"].copy()
        t[50] = stray
        log = made(intel_aero, vehicle_local_position={**position, "t": np.sort(t)})
        assert log["time"][-1] < 20


# Real logs: the traps that the data's description names.


@pytest.fixture(scope="module")
def folder(data_folder: Path) -> Path:
    return data_folder / "flights" / "px4"


@pytest.mark.parametrize(
    ("name", "release", "rows", "lift_off", "touch_down", "hover"),
    [
        ("quad_s500_fmuv5_v1.11_TestFlight1", "1.11.0", 585, 8.3, 52.9, 0.545),
        ("quad_6s_cubeorange_v1.15dev_test", "1.15.0", 329, 3.9, 29.1, 0.466),
    ],
)
def test_both_generations_of_px4_are_read(
    folder: Path, name: str, release: str, rows: int, lift_off: float, touch_down: float,
    hover: float, intel_aero: Vehicle,
) -> None:  # fmt: skip
    log = read((folder / f"{name}.ulg").read_bytes(), intel_aero)
    assert log.metadata["px4_release"] == release
    assert len(log) == rows  # of 10 Hz
    assert np.median(log["rotor_command"][log["contact"] == 0]) == pytest.approx(hover, abs=0.03)
    flying = log["time"][log["contact"] == 0]
    assert flying[0] == pytest.approx(lift_off, abs=0.15)
    assert flying[-1] == pytest.approx(touch_down, abs=0.15)
    assert log["specific_force"][:, 2].mean() == pytest.approx(9.81, abs=0.1)  # up is up
    speed = np.gradient(log["position"][:, 2], log["time"])
    assert np.corrcoef(speed, log["velocity"][:, 2])[0, 1] > 0.9  # GPS
    report = judge(log, intel_aero)
    assert report.verdict == "not"
    assert "0.0 s of usable data below three rotor radii" in report.why[0]
    flown = float(report.why[0].split("taken out, ")[1].split(" s")[0])
    assert 0.3 < flown < 1.0  # under a second
    assert any("no range sensor" in why for why in report.why)
    assert any("10 samples a second" in why for why in report.why)


def test_the_drift_of_the_height_is_measured(folder: Path, intel_aero: Vehicle) -> None:
    log = read((folder / "quad_s500_fmuv5_v1.11_TestFlight1.ulg").read_bytes(), intel_aero)
    assert judge(log, intel_aero).height_drift == pytest.approx(0.65, abs=0.05)


def test_the_bench_log_is_no_flight(folder: Path, intel_aero: Vehicle) -> None:
    data = (folder / "parser_fixture_pyulog_sample_log_small.ulg").read_bytes()
    log = read(data, intel_aero)
    assert log["time"][-1] < 7  # and not 1174 s, as a stray stamp has it
    assert any("dropout" in what for what in log.metadata["dropped"])
    report = judge(log, intel_aero)
    assert report.verdict == "not"
    assert report.why[0].startswith("no flight: 0.0 s of 6.3 s in the air")
    assert "MAV_TYPE is 22" in report.why[1]
