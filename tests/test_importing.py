"""Import of other stacks' logs: the good are written, the bad are named."""

import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import read_flight_log
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.learning.importing import import_flights

SMALL = load_vehicle("crazyflie")
LEVEL = 3 << 30
STATE = ("x", "y", "z", "vx", "vy", "vz", "ax", "ay", "az", "rateRoll", "ratePitch", "rateYaw")
HEADER = (
    "tick(I),"
    + "".join(f"stateEstimateZ.{name}(h)," for name in STATE)
    + "stateEstimateZ.quat(I),"
    + "".join(f"pwm.m{i}_pwm(I)," for i in (1, 2, 3, 4))
    + "pm.vbatMV(H),"
)


def usdlog(times_ms: list[int], heights_mm: list[int], pwm: list[int]) -> bytes:
    """Return a log of a level vehicle, one block a row; height of the origin over the floor."""

    def with_crc(data: bytes) -> bytes:
        return data + struct.pack("<I", zlib.crc32(data) ^ 0xFFFFFFFF)

    data = with_crc(bytes([HEADER.count(",")]) + HEADER.encode())
    for t, z, p in zip(times_ms, heights_mm, pwm, strict=True):
        values = [1000 * t, 0, 0, z, 0, 0, 0, 0, 0, 9810, 0, 0, 0, LEVEL, p, p, p, p, 3700]
        data += with_crc(b"\x01" + struct.pack("<I12hI4IH", *values))
    return data


def hop() -> bytes:
    """One second each: standing with motors off, at 10 mm, at 250 mm over standing; 100 Hz."""
    times = list(range(0, 3000, 10))
    return usdlog(times, [50] * 100 + [60] * 100 + [300] * 100, [0] * 100 + [40_000] * 200)


def test_a_flight_is_written_and_described(tmp_path: Path) -> None:
    source = tmp_path / "hop.usdlog"
    source.write_bytes(hop())
    (result,) = import_flights([source], SMALL, tmp_path / "out")
    assert result.error is None
    assert result.path == tmp_path / "out" / "hop.parquet"
    log = read_flight_log(result.path)
    assert result.rows == len(log) == 300
    assert log.metadata["vehicle"] == "crazyflie"
    assert log.metadata["source"] == "hop.usdlog"
    np.testing.assert_allclose(result.seconds, 2.99)
    np.testing.assert_allclose(result.rate, 100)
    np.testing.assert_allclose([result.height_min, result.height_max], [0, 0.25], atol=1e-12)
    np.testing.assert_allclose([result.battery_min, result.battery_max], 3.7)
    np.testing.assert_allclose(result.seconds_airborne, 2, atol=0.011)
    # Three radii are 69 mm: 10 mm is lower, 250 mm is not.
    np.testing.assert_allclose(result.seconds_low, 1, atol=0.011)
    assert (result.gaps, result.dropped_rows, result.dropped) == (0, 0, ())
    assert json.loads(json.dumps(result.as_dict(), allow_nan=False))["rate_hz"] == result.rate


def test_a_gap_is_counted_and_not_flown(tmp_path: Path) -> None:
    source = tmp_path / "gap.usdlog"
    times = [0, 10, 20, 430, 440, 450, 501, 551]
    source.write_bytes(usdlog(times, [300] * 8, [40_000] * 8))
    (result,) = import_flights([source], SMALL, tmp_path)
    assert result.gaps == 2  # 410 ms and 51 ms, not 50 ms
    np.testing.assert_allclose(result.longest_gap, 0.41)
    assert result.seconds_airborne < 0.2


def test_rows_that_repeat_and_bytes_that_are_damaged_are_counted(tmp_path: Path) -> None:
    source = tmp_path / "worn.usdlog"
    source.write_bytes(usdlog([0, 10, 10, 20], [300] * 4, [40_000] * 4)[:-1])
    (result,) = import_flights([source], SMALL, tmp_path)
    assert result.rows == 2
    assert result.dropped_rows == 1
    assert "cut short" in result.dropped[0]


def test_of_several_the_good_are_written_and_the_bad_named(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.usdlog", tmp_path / "bad.usdlog"
    good.write_bytes(hop())
    bad.write_bytes(hop()[:100])
    missing = tmp_path / "missing.usdlog"
    results = import_flights([bad, good, missing], SMALL, tmp_path / "out")
    assert [r.source for r in results] == [bad, good, missing]
    assert [r.error is None for r in results] == [False, True, False]
    assert "bad.usdlog" in (results[0].error or "")
    assert "No such file" in (results[2].error or "")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good.parquet"]


def test_a_single_bad_source_writes_nothing(tmp_path: Path) -> None:
    source = tmp_path / "short.usdlog"
    source.write_bytes(hop()[: len(HEADER) + 20])  # a good header and half a block
    (result,) = import_flights([source], SMALL, tmp_path / "out")
    assert result.error is not None
    assert result.path is None
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"", "empty"),
        (b"PAR1\x15\x04\x15", "Parquet"),
        (b"ULog\x01\x12\x35\x01", "ULog"),
        (b"t,p,v,q\n0,0,0,0\n", "text beginning 't,p,v,q'"),
        (b"\n", "text beginning ''"),
        (b"\x93NUMPY\x01\x00", "numpy"),
        (b"\xff\xd8\xff\xe0 a photograph", "ff d8 ff e0"),
    ],
)
def test_another_kind_of_file_is_named_for_what_it_seems(
    content: bytes, seen: str, tmp_path: Path
) -> None:
    source = tmp_path / "odd.bin"
    source.write_bytes(content)
    (result,) = import_flights([source], SMALL, tmp_path / "out")
    assert result.error is not None
    assert seen in result.error
    assert "crazyflie" in result.error


def test_two_sources_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    sources = [tmp_path / folder / "flight.usdlog" for folder in ("a", "b")]
    for source in sources:
        source.parent.mkdir()
        source.write_bytes(hop())
    first, second = import_flights(sources, SMALL, tmp_path / "out")
    assert first.error is None
    assert "would overwrite" in (second.error or "")


@pytest.mark.parametrize("format", ["ulog", "neural-fly", "csv", "matlab"])
def test_formats_that_this_version_does_not_read_are_refused(format: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this version reads crazyflie"):
        import_flights([tmp_path / "flight"], SMALL, tmp_path, format)


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    source = tmp_path / "hop.usdlog"
    source.write_bytes(hop())
    written = []
    for folder in ("one", "two"):
        (result,) = import_flights([source], SMALL, tmp_path / folder)
        assert result.path is not None
        written.append(result.path.read_bytes())
    assert written[0] == written[1]


def test_the_real_flights_come_in_whole(tmp_path: Path) -> None:
    root = os.environ.get("NEURAL_LANDER_DATA")
    if not root:
        pytest.skip("NEURAL_LANDER_DATA is not set: no real flights here")
    folder = Path(root) / "flights" / "neural-swarm"
    small = sorted(folder.glob("*small*.usdlog")) + sorted(folder.glob("*_s_*.usdlog"))
    large = sorted(folder.glob("*large*.usdlog")) + sorted(folder.glob("*_l_*.usdlog"))
    results = import_flights(small, SMALL, tmp_path)
    results += import_flights(large, load_vehicle("crazyflie-large"), tmp_path)
    assert [r.error for r in results] == [None] * 7
    assert sorted(r.rows or 0 for r in results) == [1802, 1822, 1826, 6344, 6364, 6439, 6455]
    assert sorted(r.gaps or 0 for r in results) == [0, 0, 0, 0, 1, 2, 7]
    np.testing.assert_allclose(max(r.longest_gap or 0 for r in results), 0.41, atol=0.01)
    for result in results:
        assert result.dropped_rows == 0
        assert 99 < (result.rate or 0) < 104
        assert abs(result.height_min or 0) < 0.007  # how well standing is known
