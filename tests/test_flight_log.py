"""A flight log comes back as it was written, or is refused with its file, column and row."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import (
    QUANTITIES,
    SCHEMA_VERSION,
    FlightLog,
    digests,
    flight_paths,
    read_flight_log,
    read_flight_logs,
    write_flight_log,
)

Array = npt.NDArray[np.float64]

REQUIRED = [name for name, quantity in QUANTITIES.items() if quantity.required]
OPTIONAL = [name for name in QUANTITIES if name not in REQUIRED]


def columns(n: int, seed: int, names: list[str] | None = None) -> dict[str, Array]:
    """Return random columns of a flight of ``n`` rows that no rule refuses."""
    rng = np.random.default_rng(seed)
    made: dict[str, Array] = {}
    for name in QUANTITIES if names is None else names:
        k = len(QUANTITIES[name].components)
        made[name] = rng.normal(size=(n, k) if k else n) * 10.0 ** rng.integers(-12, 12)
    made["time"] = np.cumsum(rng.uniform(1e-6, 0.1, n))
    q = rng.normal(size=(n, 4))
    made["attitude"] = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return made


@pytest.fixture
def flight() -> FlightLog:
    return FlightLog(columns(20, 1), {"vehicle": "intel-aero", "source": "a test"})


def rewritten(path: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    """Change the table in a file without asking the package."""
    table = pq.read_table(path)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)
    return path


def with_cell(table: pa.Table, column: str, row: int, value: float | None) -> pa.Table:
    values = table[column].to_pylist()
    values[row] = value
    at = table.column_names.index(column)
    return table.set_column(at, column, pa.array(values, pa.float64()))


@given(
    n=st.integers(2, 40),
    seed=st.integers(0, 2**32),
    optional=st.sets(st.sampled_from(OPTIONAL)),
    metadata=st.dictionaries(
        st.text(min_size=1).filter(lambda key: key != "schema_version"),
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.floats(allow_nan=False)),
    ),
)
def test_a_flight_survives_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    n: int,
    seed: int,
    optional: set[str],
    metadata: dict[str, Any],
) -> None:
    names = REQUIRED + [name for name in OPTIONAL if name in optional]
    log = FlightLog(columns(n, seed, names), metadata)
    path = tmp_path_factory.mktemp("flight") / "flight.parquet"
    write_flight_log(path, log)
    back = read_flight_log(path)
    assert set(back.columns) == set(log.columns)
    for name in log.columns:
        np.testing.assert_array_equal(back[name], log[name])
    assert back.metadata == log.metadata


def test_the_same_flight_gives_the_same_bytes(tmp_path: Path, flight: FlightLog) -> None:
    write_flight_log(tmp_path / "a.parquet", flight)
    shuffled = dict(reversed(list(flight.columns.items())))
    write_flight_log(tmp_path / "b.parquet", FlightLog(shuffled, flight.metadata))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    a, b = (digests([tmp_path / name]) for name in ("a.parquet", "b.parquet"))
    assert a["a.parquet"] == b["b.parquet"]


def test_another_last_bit_gives_other_bytes(tmp_path: Path, flight: FlightLog) -> None:
    height = flight["height"].copy()
    height[7] = np.nextafter(height[7], np.inf)
    write_flight_log(tmp_path / "a.parquet", flight)
    write_flight_log(
        tmp_path / "b.parquet", FlightLog({**flight.columns, "height": height}, flight.metadata)
    )
    a, b = (digests([tmp_path / name]) for name in ("a.parquet", "b.parquet"))
    assert a["a.parquet"] != b["b.parquet"]


def test_column_names_say_frame_and_unit(tmp_path: Path, flight: FlightLog) -> None:
    write_flight_log(tmp_path / "flight.parquet", flight)
    names = pq.read_schema(tmp_path / "flight.parquet").names
    assert {"time_s", "p_world_z_m", "v_world_x_m_s", "omega_body_y_rad_s", "height_m"} <= set(
        names
    )


def test_what_was_not_measured_is_absent(flight: FlightLog) -> None:
    log = FlightLog({name: flight[name] for name in REQUIRED})
    assert "battery" not in log
    with pytest.raises(KeyError):
        log["battery"]


def test_a_part_of_a_flight_is_a_flight(flight: FlightLog) -> None:
    part = flight.rows(slice(5, 12))
    assert len(part) == 7
    np.testing.assert_array_equal(part["velocity"], flight["velocity"][5:12])
    with pytest.raises(InputError, match="holds 1 rows"):
        flight.rows(slice(5, 6))


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_column_is_named(tmp_path: Path, flight: FlightLog, name: str) -> None:
    column = QUANTITIES[name].columns[-1]
    write_flight_log(tmp_path / "flight.parquet", flight)
    path = rewritten(tmp_path / "flight.parquet", lambda table: table.drop_columns([column]))
    with pytest.raises(InputError, match=rf"flight\.parquet: column {column} is missing"):
        read_flight_log(path)


def test_an_optional_quantity_with_one_component_missing_is_refused(
    tmp_path: Path, flight: FlightLog
) -> None:
    write_flight_log(tmp_path / "flight.parquet", flight)
    path = rewritten(
        tmp_path / "flight.parquet", lambda table: table.drop_columns(["rotor_3_speed_rad_s"])
    )
    with pytest.raises(InputError, match="rotor_3_speed_rad_s is missing"):
        read_flight_log(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_value_that_is_no_number_is_named_by_column_and_row(
    tmp_path: Path, flight: FlightLog, value: float | None
) -> None:
    write_flight_log(tmp_path / "flight.parquet", flight)
    path = rewritten(
        tmp_path / "flight.parquet", lambda table: with_cell(table, "v_world_y_m_s", 13, value)
    )
    with pytest.raises(InputError, match=r"flight\.parquet: column v_world_y_m_s, row 13 is "):
        read_flight_log(path)


@pytest.mark.parametrize("step", [0.0, -0.001])
def test_time_that_stands_or_goes_backwards_is_named_by_row(
    tmp_path: Path, flight: FlightLog, step: float
) -> None:
    write_flight_log(tmp_path / "flight.parquet", flight)
    time = float(flight["time"][8]) + step
    path = rewritten(tmp_path / "flight.parquet", lambda table: with_cell(table, "time_s", 9, time))
    with pytest.raises(InputError, match=r"column time_s, row 9 is .* expected time to increase"):
        read_flight_log(path)


def test_an_attitude_that_is_no_rotation_is_named_by_row(tmp_path: Path, flight: FlightLog) -> None:
    write_flight_log(tmp_path / "flight.parquet", flight)
    path = rewritten(
        tmp_path / "flight.parquet", lambda table: with_cell(table, "q_body_to_world_w", 4, 1.5)
    )
    with pytest.raises(InputError, match=r"row 4 have length .* unit quaternion xyzw"):
        read_flight_log(path)


def test_text_where_numbers_belong_is_named_by_column(tmp_path: Path, flight: FlightLog) -> None:
    write_flight_log(tmp_path / "flight.parquet", flight)

    def as_text(table: pa.Table) -> pa.Table:
        at = table.column_names.index("height_m")
        return table.set_column(at, "height_m", pa.array(["low"] * table.num_rows))

    path = rewritten(tmp_path / "flight.parquet", as_text)
    with pytest.raises(InputError, match="column height_m holds string, expected numbers"):
        read_flight_log(path)


def test_a_quantity_of_another_shape_or_name_is_refused(flight: FlightLog) -> None:
    with pytest.raises(InputError, match=r"velocity has shape \(20, 2\), expected \(20, 3\)"):
        FlightLog({**flight.columns, "velocity": flight["velocity"][:, :2]})
    with pytest.raises(InputError, match="'altitude' is no quantity"):
        FlightLog({**flight.columns, "altitude": flight["height"]})


def test_another_schema_version_is_refused(tmp_path: Path, flight: FlightLog) -> None:
    path = tmp_path / "flight.parquet"
    write_flight_log(path, flight)
    metadata = {"schema_version": SCHEMA_VERSION + 1, **flight.metadata}
    table = pq.read_table(path).replace_schema_metadata(
        {b"neural_lander": json.dumps(metadata).encode()}
    )
    pq.write_table(table, path)
    with pytest.raises(
        InputError,
        match=f"schema version {SCHEMA_VERSION + 1}, this package reads {SCHEMA_VERSION}",
    ):
        read_flight_log(path)


@pytest.mark.parametrize("raw", [None, b"no json", b"[1]"])
def test_parquet_of_somebody_else_is_refused(
    tmp_path: Path, flight: FlightLog, raw: bytes | None
) -> None:
    path = tmp_path / "flight.parquet"
    write_flight_log(path, flight)
    table = pq.read_table(path).replace_schema_metadata({b"neural_lander": raw} if raw else None)
    pq.write_table(table, path)
    with pytest.raises(InputError, match="no neural_lander metadata"):
        read_flight_log(path)


def test_a_file_cut_anywhere_is_refused_by_name(tmp_path: Path, flight: FlightLog) -> None:
    path = tmp_path / "flight.parquet"
    write_flight_log(path, flight)
    whole = path.read_bytes()
    for length in [0, 1, 3, 4, 5, 8, 12, *range(16, len(whole), 997), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"flight\.parquet: is no readable Parquet file"):
            read_flight_log(path)


def test_a_damaged_file_is_refused_or_read_but_never_a_defect(
    tmp_path: Path, flight: FlightLog
) -> None:
    path = tmp_path / "flight.parquet"
    write_flight_log(path, flight)
    whole = path.read_bytes()
    rng = np.random.default_rng(5)
    refused = 0
    for at in rng.integers(0, len(whole), 150):
        damaged = bytearray(whole)
        damaged[at] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(damaged))
        try:
            read_flight_log(path)
        except InputError as refusal:
            assert "flight.parquet" in str(refusal)  # noqa: PT017
            refused += 1
    assert refused > 75  # half of the file is pages, and each has a checksum


def test_text_a_missing_file_and_an_empty_folder_are_refused_by_name(tmp_path: Path) -> None:
    text = tmp_path / "flight.parquet"
    text.write_text("time_s,height_m\n0,1\n")
    with pytest.raises(InputError, match=r"flight\.parquet: is no readable Parquet file"):
        read_flight_log(text)
    with pytest.raises(InputError, match=r"nowhere\.parquet: no such file"):
        read_flight_log(tmp_path / "nowhere.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: holds no \*\.parquet"):
        flight_paths([tmp_path / "empty"])
    with pytest.raises(InputError, match="no flight logs given"):
        flight_paths([])


def test_a_folder_stands_for_its_flights_by_name(tmp_path: Path, flight: FlightLog) -> None:
    for name in ("b", "a"):
        write_flight_log(tmp_path / f"{name}.parquet", FlightLog(flight.columns, {"vehicle": name}))
    assert [log.metadata["vehicle"] for log in read_flight_logs([tmp_path])] == ["a", "b"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, flight: FlightLog) -> None:
    path = tmp_path / "flight.parquet"
    write_flight_log(path, flight)
    path.chmod(0)
    with pytest.raises(InputError, match=r"flight\.parquet"):
        read_flight_log(path)
