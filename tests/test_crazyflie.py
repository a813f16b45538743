"""Micro-SD logs of a Crazyflie: what was logged comes out, what is damaged is left out and said."""

import csv
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.learning.crazyflie import (
    CONTACT_MARGIN,
    RawLog,
    decode,
    elapsed,
    measurements,
    recording,
    unpack_quaternion,
)
from neural_lander.learning.labels import raw_labels
from neural_lander.learning.recording import to_flight_log as log_of

SMALL = load_vehicle("crazyflie")

FLIGHT = [
    ("tick", "I"),
    *((f"stateEstimateZ.{n}", "h") for n in ("x", "y", "z", "vx", "vy", "vz", "ax", "ay", "az")),
    ("stateEstimateZ.quat", "I"),
    *((f"stateEstimateZ.{n}", "h") for n in ("rateRoll", "ratePitch", "rateYaw")),
    *((f"pwm.m{i}_pwm", "I") for i in (1, 2, 3, 4)),
    ("pm.vbatMV", "H"),
]
"""The variables that a flight log needs."""

W_ONLY = 3 << 30
"""The packed quaternion of a level vehicle, nose along x."""


def with_crc(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data) ^ 0xFFFFFFFF)


def encode(
    variables: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]], sizes: Sequence[int]
) -> bytes:
    """Write a file: variables as (name, type letter), rows cut into blocks of ``sizes`` rows."""
    entries = "".join(f"{name}({letter})," for name, letter in variables)
    data = with_crc(bytes([len(variables)]) + entries.encode())
    row = "<" + "".join(letter for _, letter in variables)
    first = 0
    for size in sizes:
        body = b"".join(struct.pack(row, *r) for r in rows[first : first + size])
        data += with_crc(bytes([size]) + body)
        first += size
    assert first == len(rows)
    return data


def hover_row(
    tick: int, z_mm: int = 300, quat: int = W_ONLY, pwm: int = 40_000, mv: int = 3700
) -> list[int]:
    return [
        tick % 2**32,
        10,
        -20,
        z_mm,
        1,
        2,
        -3,
        0,
        0,
        9810,
        quat,
        4,
        5,
        6,
        pwm,
        pwm,
        pwm,
        pwm,
        mv,
    ]


def flight(ticks: Sequence[int], **state: int) -> RawLog:
    return decode(encode(FLIGHT, [hover_row(t, **state) for t in ticks], [len(ticks)]), "made")


def to_flight_log(raw: RawLog, vehicle: Vehicle, name: str) -> FlightLog:
    return log_of(recording(raw, vehicle, name), vehicle, name)


def pack_quaternion(q: np.ndarray) -> int:
    """The firmware's quatcompress, the other way: nine bits and a sign for all but the largest."""
    largest = int(np.argmax(np.abs(q)))
    negate = q[largest] < 0
    packed = largest
    for i in range(4):
        if i != largest:
            sign = int((q[i] < 0) ^ negate)
            magnitude = int(511 * (abs(q[i]) * np.sqrt(2)) + 0.5)
            packed = (packed << 10) | (sign << 9) | magnitude
    return packed


def real_folder() -> Path:
    root = os.environ.get("NEURAL_LANDER_DATA")
    if not root:
        pytest.skip("NEURAL_LANDER_DATA is not set: no real flights here")
    return Path(root) / "flights" / "neural-swarm"


RANGES = {
    "b": (-(2**7), 2**7 - 1),
    "B": (0, 2**8 - 1),
    "h": (-(2**15), 2**15 - 1),
    "H": (0, 2**16 - 1),
    "i": (-(2**31), 2**31 - 1),
    "I": (0, 2**32 - 1),
    "q": (-(2**63), 2**63 - 1),
    "Q": (0, 2**64 - 1),
    "f": (-1.5, 2.0**100),
    "d": (-1e300, 0.1),
}
"""Type letter -> numbers at the ends of what it holds."""


@pytest.mark.parametrize("sizes", [[2], [1, 1], [0, 2, 0]])
def test_every_type_comes_out_as_it_went_in(sizes: list[int]) -> None:
    variables = [(f"var.{letter}", letter) for letter in RANGES]
    rows = list(zip(*RANGES.values(), strict=True))
    raw = decode(encode(variables, rows, sizes), "made")
    assert list(raw.columns) == [name for name, _ in variables]
    assert raw.dropped == ()
    for letter, limits in RANGES.items():
        assert raw.columns[f"var.{letter}"].tolist() == list(limits)


def test_rows_stay_in_order_across_blocks() -> None:
    rows = [hover_row(1000 * i) for i in range(300)]
    raw = decode(encode(FLIGHT, rows, [1, 21, 23, 255]), "made")
    np.testing.assert_array_equal(raw.columns["tick"], 1000 * np.arange(300))
    assert raw.blocks == 4


def test_any_changed_byte_costs_its_block_and_no_other() -> None:
    sizes = [2, 3, 2]
    rows = [hover_row(10_000 * i) for i in range(7)]
    good = encode(FLIGHT, rows, sizes)
    row_size = struct.calcsize("<" + "".join(letter for _, letter in FLIGHT))
    start = len(good) - sum(5 + n * row_size for n in sizes)
    second = range(start + 5 + 2 * row_size, start + 10 + 5 * row_size)
    for byte in second:  # the count of rows, the rows, the checksum
        bad = bytearray(good)
        bad[byte] ^= 0x10
        raw = decode(bytes(bad), "made")
        np.testing.assert_array_equal(raw.columns["tick"], 10_000 * np.array([0, 1, 5, 6]))
        assert "checksum" in raw.dropped[0]
        assert len(raw.dropped) == 1


def test_any_changed_byte_of_the_header_is_refused() -> None:
    good = encode(FLIGHT, [hover_row(0), hover_row(1)], [2])
    header = 1 + sum(len(name) + 4 for name, _ in FLIGHT) + 4
    for byte in range(header):
        bad = bytearray(good)
        bad[byte] ^= 0x01
        with pytest.raises(InputError, match="made: "):
            decode(bytes(bad), "made")


def test_a_name_twice_in_the_header_is_refused() -> None:
    with pytest.raises(InputError, match="names tick twice"):
        decode(encode([("tick", "I"), ("tick", "I")], [[1, 2]], [1]), "made")


def test_every_cut_gives_a_shorter_log_that_says_so_or_a_refusal() -> None:
    rows = [hover_row(10_000 * i) for i in range(4)]
    good = encode(FLIGHT, rows, [1, 1, 2])
    whole = 0
    for length in range(len(good)):
        try:
            raw = decode(good[:length], "made")
        except InputError:
            pass
        else:
            assert 0 < len(raw) < 4
            whole += not raw.dropped
    assert whole == 2  # only a cut between two blocks leaves no trace in the bytes


def test_every_cut_of_a_real_file_gives_a_shorter_log_that_says_so_or_a_refusal() -> None:
    data = (real_folder() / "dc20_takeoff_landing_small_cf50_00.usdlog").read_bytes()
    total = len(decode(data, "real"))
    said = refused = 0
    for length in range(0, len(data), 997):
        try:
            raw = decode(data[:length], "real")
            log = to_flight_log(raw, SMALL, "real")
        except InputError:
            refused += 1
            continue
        assert len(log) == len(raw) < total
        said += bool(raw.dropped)
    assert said >= 180  # of 192 cuts, all but those before the second row and between two blocks
    assert refused <= 2


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).map(np.array))
def test_attitude_survives_its_thirty_two_bits(q: np.ndarray) -> None:
    length = np.linalg.norm(q)
    if length < 1e-3:
        return
    back = unpack_quaternion(np.array([pack_quaternion(q / length)], np.uint32))[0]
    error = Rotation.from_quat(back) * Rotation.from_quat(q / length).inv()
    # Three components are off by half a step, h = 1/(2 511 sqrt 2) = 0.0007; the fourth, which is
    # no smaller than any of them, by up to 3 h. Twice the length of that is the angle.
    assert error.magnitude() < 2 * np.sqrt(12) * 0.0007
    np.testing.assert_allclose(np.linalg.norm(back), 1, atol=1e-12)


@pytest.mark.parametrize(("axis", "i"), [("x", 0), ("y", 1), ("z", 2)])
def test_a_turn_to_the_positive_side_reads_positive(axis: str, i: int) -> None:
    q = Rotation.from_euler(axis, 20, degrees=True).as_quat()
    back = unpack_quaternion(np.array([pack_quaternion(q)], np.uint32))[0]
    np.testing.assert_allclose(back[i], np.sin(np.radians(10)), atol=0.0014 / 2)


def test_real_rows_equal_the_sources_own_decoder_exactly() -> None:
    folder = real_folder()
    stem = "dc20_takeoff_landing_small_cf50_00"
    raw = decode((folder / f"{stem}.usdlog").read_bytes(), stem)
    m = measurements(raw, stem)
    with (folder / f"{stem}.expected_rows.csv").open() as file:
        expected = list(csv.DictReader(file))
    assert len(expected) == 41
    i = [int(row["row"]) for row in expected]
    motors = ("1", "2", "3", "4")
    for ours, columns in (
        (raw.columns["tick"][:, None], ["time[ms]"]),  # microseconds, in truth
        (m.position, ["x[m]", "y[m]", "z[m]"]),
        (m.velocity, ["vx[m/s]", "vy[m/s]", "vz[m/s]"]),
        (m.specific_force, ["ax[m/s^2]", "ay[m/s^2]", "az[m/s^2]"]),
        (m.attitude, ["qx", "qy", "qz", "qw"]),
        (m.rate, ["wx[rad/s]", "wy[rad/s]", "wz[rad/s]"]),
        (m.pwm, [f"u{k}[PWM]" for k in motors]),
        (m.battery[:, None], ["Vbat[V]"]),
    ):
        theirs = np.array([[float(row[c]) for c in columns] for row in expected])
        np.testing.assert_array_equal(ours[i], theirs)
    log = to_flight_log(raw, SMALL, stem)
    np.testing.assert_array_equal(log["position"], m.position)
    np.testing.assert_array_equal(log["velocity"], m.velocity)


def test_the_flight_log_is_in_si() -> None:
    log = to_flight_log(flight([5_000, 15_000, 25_000]), SMALL, "made.usdlog")
    np.testing.assert_allclose(log["time"], [0, 0.01, 0.02])
    np.testing.assert_allclose(log["position"][0], [0.010, -0.020, 0.300])
    np.testing.assert_allclose(log["velocity"][0], [0.001, 0.002, -0.003])
    np.testing.assert_allclose(log["rate"][0], [0.004, 0.005, 0.006])
    np.testing.assert_allclose(log["specific_force"][0], [0, 0, 9.81])
    np.testing.assert_allclose(log["height"], 0.300 - SMALL.rest_height)
    np.testing.assert_allclose(log["battery"], 3.7)
    assert "rotor_speed" not in log  # not measured, not invented
    assert "setpoint_position" not in log
    assert log.metadata["source"] == "made.usdlog"


def test_thrust_is_the_load_cells_polynomial_in_gram_force() -> None:
    log = to_flight_log(flight([0, 10_000]), SMALL, "made")
    p, v = 40_000 / 65_536, 3.7 / 4.2
    c = [
        11.093358483549203,
        -39.08104165843915,
        -9.525647087583181,
        20.573302305476638,
        38.42885066644033,
    ]
    gram_force = c[0] + c[1] * p + c[2] * v + c[3] * p**2 + c[4] * p * v
    np.testing.assert_allclose(log["rotor_thrust_command"], gram_force * 9.81e-3, rtol=1e-6)


def test_a_motor_without_pwm_pushes_nothing_and_none_pulls() -> None:
    stopped = to_flight_log(flight([0, 10_000], pwm=0), SMALL, "made")["rotor_thrust_command"]
    np.testing.assert_array_equal(stopped, 0)  # the polynomial itself would give 0.027 N
    assert SMALL.thrust_law is not None
    for pwm in range(1, 65_536, 5_000):
        assert (
            to_flight_log(flight([0, 10_000], pwm=pwm), SMALL, "made")["rotor_thrust_command"].min()
            >= 0
        )


def test_a_tilted_vehicle_touches_with_its_lowest_foot() -> None:
    mm = round(1000 * (SMALL.rest_height + CONTACT_MARGIN))
    tilted = pack_quaternion(Rotation.from_euler("x", 10, degrees=True).as_quat())
    # 10 degrees lower one of two feet 30 mm off the axis by 30 sin 10 = 5 mm.
    for z, quat, touches in (
        (mm - 1, W_ONLY, 1),
        (mm + 1, W_ONLY, 0),
        (mm + 3, tilted, 1),
        (mm + 6, tilted, 0),
    ):
        log = to_flight_log(flight([0, 10_000], z_mm=z, quat=quat), SMALL, "made")
        np.testing.assert_array_equal(log["contact"], touches)


def test_standing_real_vehicles_are_in_contact_and_flying_ones_are_not() -> None:
    for name, vehicle in (
        ("dc20_takeoff_landing_small_cf50_00", SMALL),
        ("dc21_takeoff_s_cf51_00", SMALL),
        ("dc20_takeoff_landing_large_cf101_00", load_vehicle("crazyflie-large")),
    ):
        path = real_folder() / f"{name}.usdlog"
        log = to_flight_log(decode(path.read_bytes(), name), vehicle, name)
        end = log["time"] > log["time"][-1] - 0.1
        assert log["contact"][end].all()
        assert not log["contact"][log["height"] > 0.02].any()


def test_the_clock_may_wrap() -> None:
    ticks = [2**32 - 15_000, 2**32 - 5_000, 2**32 + 5_000, 2**32 + 15_000]
    log = to_flight_log(flight(ticks), SMALL, "made")
    np.testing.assert_allclose(log["time"], [0, 0.01, 0.02, 0.03], atol=1e-9)
    assert log.metadata["dropped_rows"] == 0


def test_rows_whose_time_is_off_are_left_out_and_counted() -> None:
    raw = flight([0, 10_000, 10_000, 30_000, 20_000, 25_000, 40_000])
    log = to_flight_log(raw, SMALL, "made")
    np.testing.assert_allclose(log["time"], [0, 0.01, 0.02, 0.025, 0.04])
    assert log.metadata["dropped_rows"] == 2
    assert any("time repeats or jumps" in what for what in log.metadata["dropped"])


def test_a_stamp_far_ahead_costs_one_row() -> None:
    ticks = [10_000 * i for i in range(50)]
    ticks[20] += 1_000_000_000
    assert len(to_flight_log(flight(ticks), SMALL, "made")) == 49
    assert elapsed(flight(ticks), "made")[20] > 1000


def test_an_accelerometer_at_its_limit_is_counted() -> None:
    rows = [hover_row(10_000 * i) for i in range(5)]
    rows[2][9] = 32_767
    rows[3][7] = -32_768
    rows[4][9] = 32_766
    log = to_flight_log(decode(encode(FLIGHT, rows, [5]), "made"), SMALL, "made")
    assert log.metadata["clipped_samples"] == 2


def test_a_variable_that_was_not_logged_is_named() -> None:
    for name, _ in FLIGHT:
        raw = flight([0, 10_000])
        less = replace(raw, columns={k: v for k, v in raw.columns.items() if k != name})
        with pytest.raises(InputError, match=f"made: variable {name}"):
            to_flight_log(less, SMALL, "made")


def test_a_number_that_is_none_is_named_with_its_row() -> None:
    variables = [(n, "f" if n == "stateEstimateZ.az" else t) for n, t in FLIGHT]
    rows = [[float(v) if n == 9 else v for n, v in enumerate(hover_row(t))] for t in (0, 10_000)]
    rows[1][9] = float("nan")
    with pytest.raises(InputError, match=r"stateEstimateZ\.az, row 1 is nan"):
        to_flight_log(decode(encode(variables, rows, [2]), "made"), SMALL, "made")


def test_without_a_thrust_law_the_command_stays_and_the_thrust_is_missing() -> None:
    vehicle = load_vehicle("intel-aero")
    log = to_flight_log(flight([0, 10_000]), vehicle, "made")
    assert "rotor_thrust_command" not in log
    assert "thrust_law" in log.metadata["missing"]["rotor_thrust_command"]
    np.testing.assert_allclose(log["rotor_command"], 40_000 / 65_536)
    with pytest.raises(InputError, match="thrust_law"):
        raw_labels(log, vehicle)
