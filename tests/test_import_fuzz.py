"""Whatever bytes come in: a clear refusal, or a log that says what was left out of it."""

import contextlib
import gzip
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import read_flight_log
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.learning.column_map import EXAMPLE
from neural_lander.learning.importing import ImportResult, import_flights
from neural_lander.learning.plain_csv import UNITS, parse_column_map

from .ulog_file import hop, ulog_file

SMALL = load_vehicle("crazyflie")
AERO = load_vehicle("intel-aero")

FUZZ = settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def crazyflie_file() -> bytes:
    state = ("x", "y", "z", "vx", "vy", "vz", "ax", "ay", "az", "rateRoll", "ratePitch", "rateYaw")
    names = [
        "tick(I)", *(f"stateEstimateZ.{n}(h)" for n in state), "stateEstimateZ.quat(I)",
        *(f"pwm.m{i}_pwm(I)" for i in (1, 2, 3, 4)), "pm.vbatMV(H)",
    ]  # fmt: skip
    data = with_crc(bytes([len(names)]) + "".join(f"{n}," for n in names).encode())
    for i in range(60):
        values = [
            10_000 * i,
            0,
            0,
            60 + i,
            0,
            0,
            0,
            0,
            0,
            9810,
            0,
            0,
            0,
            3 << 30,
            *[40_000] * 4,
            3700,
        ]
        data += with_crc(b"\x01" + struct.pack("<I12hI4IH", *values))
    return data


def with_crc(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data) ^ 0xFFFFFFFF)


def neural_fly_file() -> bytes:
    lines = [",t,p,v,q,w,T_sp,hover_throttle"]
    for i in range(60):
        lines.append(
            f'{i},{0.02 * i},"[1.0, 2.0, {2 + 0.01 * i}]","[0.1, 0.2, 0.3]","[0.0, 0.0, 0.0, -1.0]",'
            '"[0.0, 0.1, 0.2]",[0.55],[0.5]'
        )
    return "\n".join([*lines, ""]).encode()


def plain_csv_file() -> bytes:
    lines = ["t_us,x,y,z,vx,vy,vz,q0,q1,q2,q3,p,q,r,m1,m2,m3,m4,range,ax,ay,az,vbat"]
    for i in range(60):
        lines.append(f"{10000 * i},1,2,-3,0,0,0,1,0,0,0,1,2,3,1500,1500,1500,1500,0.3,0,0,-9.81,11")
    return "\n".join([*lines, ""]).encode()


FILES: dict[str, tuple[bytes, Vehicle]] = {
    "a.usdlog": (crazyflie_file(), SMALL),
    "a.ulg": (ulog_file(hop(), {"MAV_TYPE": 2}), AERO),
    "a.csv": (neural_fly_file(), AERO),
    "b.csv": (plain_csv_file(), AERO),
    "a.csv.gz": (gzip.compress(neural_fly_file()), AERO),
}
"""Name of a source -> a good file of its format, and the vehicle."""

FORMATS = {"a.usdlog": "crazyflie", "a.ulg": "ulog", "a.csv": "neural-fly", "b.csv": "csv",
           "a.csv.gz": "neural-fly"}  # fmt: skip


@pytest.fixture
def brought(tmp_path: Path) -> Callable[..., ImportResult]:
    """Import bytes under a name; whatever comes is an error with a message, or a log in order."""
    (tmp_path / "map.toml").write_text(EXAMPLE)

    def brought(data: bytes, name: str, vehicle: Vehicle, format: str = "auto") -> ImportResult:
        source = tmp_path / name
        source.write_bytes(data)
        columns = tmp_path / "map.toml" if format in ("csv", "auto") else None
        (result,) = import_flights([source], vehicle, tmp_path / "out", format, columns)
        if result.error is not None:
            assert str(source) in result.error or source.name in result.error
            assert len(result.error) > 30
            assert result.path is None
        else:
            assert result.path is not None
            assert result.fitness is not None
            assert len(read_flight_log(result.path)) == result.fitness.rows >= 2
        return result

    return brought


def refused_or_read(result: ImportResult) -> bool:
    """Whether it is an error and no log, or a log and no error."""
    return (result.error is None) == (result.path is not None and rows(result) > 0)


def rows(result: ImportResult) -> int:
    return 0 if result.fitness is None else result.fitness.rows


@pytest.mark.parametrize("name", FILES)
def test_the_good_files_are_good(name: str, brought: Callable[..., ImportResult]) -> None:
    data, vehicle = FILES[name]
    result = brought(data, name, vehicle)
    assert (result.error, result.format, result.dropped) == (None, FORMATS[name], ())


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_refused_or_shorter_and_said(
    name: str, brought: Callable[..., ImportResult]
) -> None:
    data, vehicle = FILES[name]
    whole = rows(brought(data, name, vehicle))
    silent = 0
    cuts = np.unique(np.linspace(0, len(data) - 1, 60).astype(int))
    for length in cuts:
        result = brought(data[:length], name, vehicle, FORMATS[name])
        if result.error is None:
            assert rows(result) < whole or result.dropped
            silent += not result.dropped
    # Neither binary format has an end mark: a cut between two messages is a shorter log.
    assert silent <= 2


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_or_read_but_never_a_traceback(
    name: str, brought: Callable[..., ImportResult]
) -> None:
    data, vehicle = FILES[name]

    @FUZZ
    @given(
        at=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=6),
        put=st.binary(min_size=0, max_size=8),
        cut=st.integers(0, 8),
    )
    def fuzz(at: list[float], put: bytes, cut: int) -> None:
        worn = bytearray(data)
        for share in at:
            place = int(share * len(worn))
            worn[place : place + cut] = put
        assert refused_or_read(brought(bytes(worn), name, vehicle, FORMATS[name]))

    fuzz()


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_head_is_refused_or_read_but_never_a_traceback(
    name: str, brought: Callable[..., ImportResult]
) -> None:
    data, vehicle = FILES[name]

    @FUZZ
    @given(at=st.integers(0, 600), put=st.binary(min_size=1, max_size=4))
    def fuzz(at: int, put: bytes) -> None:
        worn = bytearray(data)
        worn[at : at + len(put)] = put
        assert refused_or_read(brought(bytes(worn), name, vehicle))
        assert refused_or_read(brought(bytes(worn), name, vehicle, FORMATS[name]))

    fuzz()


@pytest.mark.parametrize("format", ["auto", "crazyflie", "ulog", "neural-fly", "csv"])
def test_any_bytes_are_refused(format: str, brought: Callable[..., ImportResult]) -> None:
    @FUZZ
    @given(st.binary(max_size=300))
    def fuzz(data: bytes) -> None:
        assert brought(data, "any.bin", AERO, format).error is not None

    fuzz()


@FUZZ
@given(
    number=st.floats() | st.just(1e300) | st.integers(-(2**70), 2**70),
    column=st.integers(0, 22),
    every=st.integers(1, 3),
)
def test_any_number_in_a_cell_is_a_number_or_left_out(
    number: float, column: int, every: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = plain_csv_file().decode().splitlines()
    for i in range(1, len(lines), every):
        cells = lines[i].split(",")
        cells[column] = str(number)
        lines[i] = ",".join(cells)
    folder = tmp_path_factory.mktemp("cells")
    (folder / "f.csv").write_text("\n".join([*lines, ""]))
    (folder / "f.toml").write_text(EXAMPLE)
    (result,) = import_flights([folder / "f.csv"], AERO, folder)
    if result.error is None and rows(result) < 60:
        assert result.dropped


@given(st.text(max_size=60), st.integers(0, len(EXAMPLE)), st.integers(0, 30))
@settings(max_examples=300)
def test_any_map_is_read_or_refused(text: str, at: int, cut: int) -> None:
    worn = EXAMPLE[:at] + text + EXAMPLE[at + cut :]
    with contextlib.suppress(InputError):
        assert set(parse_column_map(worn, "map.toml").entries) <= set(UNITS)


# Real files.


def cut_real(
    paths: Iterable[Path],
    vehicle: Callable[[Path], Vehicle],
    lengths: Callable[[int], Iterable[int]],
    brought: Callable[..., ImportResult],
) -> int:
    """Cut files at lengths, check what becomes of each, and return how many cuts there were.

    Silent is a shorter log that does not say what was dropped: few cuts fall between two messages.
    """
    total = 0
    for path in paths:
        data = path.read_bytes()
        whole = rows(brought(data, path.name, vehicle(path)))
        assert whole > 300
        silent = cuts = 0
        for length in lengths(len(data)):
            result = brought(data[:length], path.name, vehicle(path))
            cuts += 1
            if result.error is None:
                assert rows(result) <= whole
                silent += not result.dropped
        assert silent <= max(1, 0.02 * cuts), path.name
        total += cuts
    return total


def large_or_small(path: Path) -> Vehicle:
    return load_vehicle("crazyflie-large") if {"large", "l"} & set(path.name.split("_")) else SMALL


def test_a_real_ulog_cut_at_sixty_places(
    data_folder: Path, brought: Callable[..., ImportResult]
) -> None:
    path = data_folder / "flights/px4/parser_fixture_pyulog_sample_log_small.ulg"
    cuts = cut_real(
        [path], lambda _: AERO, lambda n: np.linspace(0, n - 1, 60).astype(int).tolist(), brought
    )
    assert cuts == 60


def test_real_flights_cut_at_a_few_places(
    data_folder: Path, brought: Callable[..., ImportResult]
) -> None:
    flights = data_folder / "flights"
    small = flights / "neural-swarm/dc20_takeoff_landing_small_cf50_00.usdlog"
    assert cut_real([small], large_or_small, lambda n: range(997, n, 9 * 997), brought) > 0
    fly = flights / "neural-fly/custom_figure8_NF_nowind.csv.gz"
    assert cut_real([fly], lambda _: AERO, lambda n: range(997, n, 45 * 997), brought) > 0


@pytest.mark.campaign
def test_every_real_file_cut_at_every_997th_byte(
    data_folder: Path, brought: Callable[..., ImportResult]
) -> None:
    flights = data_folder / "flights"

    def every(n: int) -> Iterable[int]:
        return range(0, n, 997)

    assert (
        cut_real(
            sorted((flights / "neural-swarm").glob("*.usdlog")), large_or_small, every, brought
        )
        > 0
    )
    assert (
        cut_real(sorted((flights / "neural-fly").glob("*.gz")), lambda _: AERO, every, brought) > 0
    )


@pytest.mark.campaign
def test_every_real_ulog_cut_at_sixty_places(
    data_folder: Path, brought: Callable[..., ImportResult]
) -> None:
    paths = sorted((data_folder / "flights/px4").glob("*.ulg"))
    cuts = cut_real(
        paths, lambda _: AERO, lambda n: np.linspace(0, n - 1, 60).astype(int).tolist(), brought
    )
    assert cuts == 60 * len(paths) > 0
