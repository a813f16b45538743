"""Plain CSV with a column map: the map is checked, units and frames are turned, gaps are gaps."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.column_map import EXAMPLE
from neural_lander.learning.importing import import_flights
from neural_lander.learning.plain_csv import COUNTS, UNITS, parse_column_map, recording
from neural_lander.learning.recording import to_flight_log

HEAD = "t_us,x,y,z,vx,vy,vz,q0,q1,q2,q3,p,q,r,m1,m2,m3,m4,range,ax,ay,az,vbat"
STATE = "0.1,0.2,-0.3,1,0,0,0,10,20,30"


def row(t_us: int, range_m: float = 0.3, battery: str = "11.1") -> str:
    return f"{t_us},1,2,-3,{STATE},1000,1250,1500,2000,{range_m},0.1,0.2,-9.81,{battery}"


def read(
    text: str, vehicle: Vehicle, column_map: str = EXAMPLE, name: str = "made.csv"
) -> FlightLog:
    found = recording(text.encode(), parse_column_map(column_map, "map"), name)
    return to_flight_log(found, vehicle, name)


def flight(*rows: str) -> str:
    return "\n".join([HEAD, *rows, ""])


def test_the_example_in_the_help_reads_a_file(intel_aero: Vehicle) -> None:
    log = read(flight(row(5_000_000), row(5_010_000), row(5_020_000)), intel_aero)
    np.testing.assert_allclose(log["time"], [0, 0.01, 0.02])
    np.testing.assert_allclose(log["position"][0], [2, 1, 3])  # north, east, down to ENU
    np.testing.assert_allclose(log["velocity"][0], [0.2, 0.1, 0.3])
    np.testing.assert_allclose(log["rate"][0], np.radians([10, -20, -30]))
    np.testing.assert_allclose(log["rotor_command"][0], [0, 0.25, 0.5, 1])
    np.testing.assert_allclose(log["height"], 0.21)
    np.testing.assert_allclose(log["specific_force"][0], [0.2, 0.1, 9.81], atol=1e-12)
    np.testing.assert_allclose(log["battery"], 11.1)
    np.testing.assert_array_equal(log["contact"], 0)
    nose = Rotation.from_quat(log["attitude"][0]).apply([1, 0, 0])
    np.testing.assert_allclose(nose, [0, 1, 0], atol=1e-12)  # north
    assert log.metadata["missing"]["rotor_speed"] == "the column map does not name it"


def test_the_example_names_every_quantity_that_can_be_read() -> None:
    for name in UNITS:
        assert name in EXAMPLE
    assert UNITS.keys() == COUNTS.keys()
    for name, unit in (("rotor_thrust_command", "gram-force"), ("rotor_speed", "rpm")):
        assert unit in UNITS[name]


def test_roll_pitch_and_yaw_will_do(intel_aero: Vehicle) -> None:
    angles = EXAMPLE.replace(
        'columns = ["q0", "q1", "q2", "q3"]', 'columns = ["q1", "q2", "q3"]\nunit = "deg"'
    )
    text = flight(*(f"{t},0,0,0,0,0,0,9,10,-5,90,0,0,0,1,1,1,1,1,0,0,0,1" for t in (0, 10_000)))
    log = read(text, intel_aero, angles)
    theirs = Rotation.from_euler("ZYX", [90, -5, 10], degrees=True).apply([0, 0, -1])  # up
    ours = Rotation.from_quat(log["attitude"][0]).apply([0, 0, 1])
    np.testing.assert_allclose(ours, [theirs[1], theirs[0], -theirs[2]], atol=1e-12)


def test_empty_cells_are_not_measured_rather_than_zero(intel_aero: Vehicle) -> None:
    rows = [row(10_000 * i, battery=f"{12 - 0.1 * i}" if i % 5 == 0 else "") for i in range(21)]
    log = read(flight(*rows), intel_aero)
    np.testing.assert_allclose(log["battery"], 12 - 0.1 * np.arange(21))
    assert len(log) == 21
    # Without a position there is no row.
    holed = [r.replace("1,2,-3", ",,", 1) if i == 7 else r for i, r in enumerate(rows)]
    log = read(flight(*holed), intel_aero)
    assert len(log) == 20
    assert any("1 of 21 rows of position: not a number" in d for d in log.metadata["dropped"])


def test_the_surface_is_where_the_vehicle_stands(intel_aero: Vehicle) -> None:
    log = read(flight(row(0, 0.09), row(10_000, 0.2)), intel_aero)
    np.testing.assert_allclose(log["height"], [0, 0.11], atol=1e-12)
    np.testing.assert_array_equal(log["contact"], [1, 0])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('world = "ned"', 'world = "enu"', "world is 'enu', expected z-up or ned"),
        ('world = "ned"', "world = 3", "world is 3, expected a name"),
        ('unit = "us"', 'unit = "min"', r"\[time\]: unit is 'min', expected s, ms, us, ns"),
        ('"vz"]', '"vz", "v4"]', r"\[velocity\]: columns is .*, expected a list of 3 names"),
        ("[rate]", "[speed]", r"\[speed\] is unknown; expected time"),
        ("standing = 0.09", "", r"\[height\]: standing is missing"),
        ("full = 2000", "full = 1000", "full and zero are both 1000"),
        ("full = 2000", 'full = "max"', "full is 'max', expected a number"),
        ("full = 2000", "half = 2000", "half is unknown"),
        ('frame = "body"', 'frame = "hip"', "frame is 'hip'"),
        ("[battery]", "[battery", "is not TOML"),
        ('["t_us"]', "4", "columns is 4"),
        (EXAMPLE[EXAMPLE.index("[rate]") : EXAMPLE.index("# All")], "", r"\[rate\] is missing"),
    ],
)
def test_a_wrong_map_is_refused_with_its_table(old: str, new: str, said: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(InputError, match=said):
        parse_column_map(EXAMPLE.replace(old, new), "map.toml")


def test_a_column_that_the_file_lacks_is_named(intel_aero: Vehicle) -> None:
    with pytest.raises(InputError, match=r"no column 'range'.*t_us, x, y"):
        read(flight(row(0), row(10_000)).replace("range", "distance"), intel_aero)


def test_a_map_beside_the_file_is_found(tmp_path: Path, intel_aero: Vehicle) -> None:
    source = tmp_path / "hop.csv"
    source.write_text(flight(*(row(10_000 * i) for i in range(100))))
    (tmp_path / "hop.toml").write_text(EXAMPLE)
    (beside,) = import_flights([source], intel_aero, tmp_path / "a")
    assert beside.error is None
    assert beside.format == "csv"
    (tmp_path / "hop.toml").rename(tmp_path / "other.toml")
    (given,) = import_flights([source], intel_aero, tmp_path / "b", columns=tmp_path / "other.toml")
    assert given.error is None
    assert (tmp_path / "a/hop.parquet").read_bytes() == (tmp_path / "b/hop.parquet").read_bytes()
    with pytest.raises(InputError, match=r"gone\.toml: cannot be read"):
        import_flights([source], intel_aero, tmp_path, columns=tmp_path / "gone.toml")
