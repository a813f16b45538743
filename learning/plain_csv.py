"""Reads plain CSV of any stack, told by a column map in TOML what its columns are.

The first line names the columns, a row is a line, cells are numbers; an empty cell was not
measured at that row. The map (``column_map.EXAMPLE``) gives, for each quantity, its columns in order
and their unit, and once for the file the frames. What it does not name is missing from the flight
log.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError
from neural_lander.learning.frames import Frames
from neural_lander.learning.recording import NEEDED, Recording
from neural_lander.learning.resampling import Kind, Track, values_at
from neural_lander.learning.text_table import number_in, read_rows, split_table

Array = npt.NDArray[np.float64]

METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}
SPEEDS = {"m/s": 1.0, "cm/s": 1e-2, "mm/s": 1e-3}
FORCES = {"N": 1.0, "gram-force": 9.81e-3}
ANGLES = {"rad": 1.0, "deg": np.pi / 180}

UNITS: dict[str, dict[str, float]] = {
    "time": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    "position": METRES,
    "velocity": SPEEDS,
    "attitude": {"1": 1.0, **ANGLES},
    "rate": {"rad/s": 1.0, "deg/s": np.pi / 180, "mrad/s": 1e-3},
    "rotor_command": {"1": 1.0},
    "rotor_thrust_command": FORCES,
    "thrust_command": FORCES,
    "rotor_speed": {"rad/s": 1.0, "rpm": 2 * np.pi / 60},
    "height": METRES,
    "specific_force": {"m/s^2": 1.0, "g": 9.81},
    "battery": {"V": 1.0, "mV": 1e-3},
    "contact": {"1": 1.0},
    "setpoint_position": METRES,
    "setpoint_velocity": SPEEDS,
}
"""Quantity -> its units in SI; the first is the one assumed."""

COUNTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("time", "thrust_command", "height", "battery", "contact"), (1,)),
    **dict.fromkeys(
        ("position", "velocity", "rate", "specific_force", "setpoint_position",
         "setpoint_velocity"), (3,),
    ),
    **dict.fromkeys(("rotor_command", "rotor_thrust_command", "rotor_speed"), (4,)),
    "attitude": (4, 3),
}  # fmt: skip
"""Quantity -> how many columns it may have; an attitude of three is roll, pitch, yaw."""

WORLD_VECTORS = ("position", "velocity", "setpoint_position", "setpoint_velocity")

OPTIONS: dict[str, dict[str, type]] = {
    "rotor_command": {"zero": float, "full": float},
    "height": {"standing": float},
    "specific_force": {"frame": str},
}
"""Quantity -> what its table may hold besides columns and unit."""

KINDS: dict[str, Kind] = {"attitude": "attitude", "contact": "state"}


@dataclass(frozen=True)
class Entry:
    """Where a quantity stands in a file."""

    columns: tuple[str, ...]
    """Names of its columns in order."""
    unit: str
    """One of ``UNITS``."""
    options: Mapping[str, Any]
    """As in ``OPTIONS``."""


@dataclass(frozen=True)
class ColumnMap:
    """What the columns of a file are."""

    frames: Frames
    entries: Mapping[str, Entry]
    """By quantity."""


def read_column_map(path: Path) -> ColumnMap:
    """Read a column map.

    Raises:
        InputError: the file cannot be read, or says something that is not known.
    """
    try:
        return parse_column_map(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text in UTF-8 ({error.reason})") from error


def parse_column_map(text: str, where: str) -> ColumnMap:
    """Build a column map from the text of its TOML file; ``where`` names it in messages."""
    try:
        tree = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{where}: is not TOML ({error})") from error
    names = {key: tree.pop(key) for key in ("world", "body", "quaternion") if key in tree}
    for key, value in names.items():
        if not isinstance(value, str):
            raise InputError(f"{where}: {key} is {value!r}, expected a name")
    try:
        frames = Frames(**names)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    unknown = sorted(set(tree) - set(UNITS))
    if unknown:
        raise InputError(f"{where}: [{unknown[0]}] is unknown; expected {', '.join(UNITS)}")
    for name in ("time", *NEEDED):
        if name not in tree:
            raise InputError(f"{where}: [{name}] is missing; `import --help` shows an example")
    entries = {name: _entry(name, table, f"{where}: [{name}]") for name, table in tree.items()}
    return ColumnMap(frames, entries)


def _entry(name: str, table: Any, where: str) -> Entry:
    if not isinstance(table, dict):
        raise InputError(f"{where} is {table!r}, expected a table")
    columns = table.get("columns")
    counts = COUNTS[name]
    if (
        not isinstance(columns, list)
        or len(columns) not in counts
        or not all(isinstance(column, str) for column in columns)
    ):
        raise InputError(
            f"{where}: columns is {columns!r}, expected a list of "
            f"{' or '.join(map(str, counts))} names of columns"
        )
    known = UNITS[name]
    unit = table.get(
        "unit", "rad" if name == "attitude" and len(columns) == 3 else next(iter(known))
    )
    if not isinstance(unit, str) or unit not in known:
        raise InputError(f"{where}: unit is {unit!r}, expected {', '.join(known)}")
    if name == "attitude" and (unit == "1") != (len(columns) == 4):
        raise InputError(f"{where}: unit {unit!r} does not go with {len(columns)} columns")
    options = {key: value for key, value in table.items() if key not in ("columns", "unit")}
    allowed = OPTIONS.get(name, {})
    for key, value in options.items():
        if key not in allowed:
            raise InputError(
                f"{where}: {key} is unknown; expected {', '.join(('columns', 'unit', *allowed))}"
            )
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and abs(value) < 1e9 if allowed[key] is float else isinstance(value, str)):
            raise InputError(
                f"{where}: {key} is {value!r}, expected a "
                f"{'number' if allowed[key] is float else 'name'}"
            )
    if name == "height" and "standing" not in options:
        raise InputError(f"{where}: standing is missing: what it reads when the vehicle stands")
    if options.get("frame", "body") not in ("body", "world"):
        raise InputError(f"{where}: frame is {options['frame']!r}, expected body or world")
    if name == "rotor_command" and options.get("full", 1) == options.get("zero", 0):
        raise InputError(f"{where}: full and zero are both {options.get('full', 1)}")
    return Entry(tuple(columns), unit, options)


def recording(data: bytes, column_map: ColumnMap, where: str) -> Recording:
    """Return what a file says about a flight.

    Raises:
        InputError: a column of the map is not in the file, or no row can be read.
    """
    table = split_table(data, where)
    wanted = list(dict.fromkeys(c for e in column_map.entries.values() for c in e.columns))
    for column in wanted:
        if column not in table.head:
            raise InputError(
                f"{where}: has no column {column!r}, which the map asks for; the first line names "
                f"{', '.join(table.head)[:200] or 'none'}"
            )

    def parse(cells: Mapping[str, str]) -> list[float]:
        return [number_in(cells[c], c) if cells[c] else np.nan for c in wanted]

    rows, dropped = read_rows(table, parse, where)
    cells = dict(zip(wanted, rows.T, strict=True))

    def quantity(name: str) -> Array:
        entry = column_map.entries[name]
        values = np.stack([cells[c] for c in entry.columns], axis=-1)
        return _quantity(name, entry, values, column_map.frames)

    clock = column_map.entries["time"]
    stamps = cells[clock.columns[0]]
    number = np.isfinite(stamps)
    first = stamps[number][0] if number.any() else 0.0
    time = (stamps - first) * UNITS["time"][clock.unit]
    tracks = {
        name: Track(time, quantity(name), KINDS.get(name, "number"))
        for name in column_map.entries
        if name != "time"
    }
    force = column_map.entries.get("specific_force")
    if force is not None and force.options.get("frame", "body") == "body":
        tracks["specific_force"] = _turned(tracks["specific_force"], tracks["attitude"])
    missing = {name: "the column map does not name it" for name in UNITS if name not in tracks}
    del missing["time"]
    return Recording(
        format="csv",
        frame=f"world {column_map.frames.world} and body {column_map.frames.body} of the file, turned "
        "to z up and x forward, y left, z up; time from the first row",
        tracks=tracks,
        missing=missing,
        dropped=dropped,
    )


def _quantity(name: str, entry: Entry, values: Array, frames: Frames) -> Array:
    """Return values (n, k) of a file in SI and our frames; (n,) for scalars."""
    options = entry.options
    if name == "rotor_command":
        zero, full = float(options.get("zero", 0)), float(options.get("full", 1))
        return np.clip((values - zero) / (full - zero), 0, 1)
    if name == "height":
        values = values - float(options["standing"])
    values = values * UNITS[name][entry.unit]
    if name == "attitude":
        if len(entry.columns) == 3:
            return frames.attitude_from_angles(values)
        return frames.attitude(values)
    if name in WORLD_VECTORS:
        return frames.world_vector(values)
    if name == "rate":
        return frames.body_vector(values)
    if name == "specific_force":
        world = options.get("frame", "body") == "world"
        return frames.world_vector(values) if world else frames.body_vector(values)
    if name == "contact":
        return np.where(np.isfinite(values), (values > 0.5).astype(np.float64), np.nan)[:, 0]
    return values[:, 0] if len(entry.columns) == 1 else values


def _turned(force: Track, attitude: Track) -> Track:
    """Return body vectors (n, 3) in the world, by the attitude of their own rows."""
    good = np.isfinite(attitude.values).all(axis=1) & np.isfinite(attitude.time)
    if good.sum() < 2:
        return Track(force.time, np.full_like(force.values, np.nan))
    order = np.argsort(attitude.time[good], kind="stable")
    known = Track(attitude.time[good][order], attitude.values[good][order], "attitude")
    q = values_at(np.nan_to_num(force.time), known)
    q[good] = attitude.values[good]
    q[np.linalg.norm(q, axis=1) == 0] = (0, 0, 0, 1)
    return Track(force.time, Rotation.from_quat(q).apply(force.values))
