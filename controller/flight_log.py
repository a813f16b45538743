"""One flight, a row a sample, as a Parquet table with metadata.

World: x east, y north, z up. Body: x forward, y left, z up. Quaternions xyzw turn body vectors
into world vectors. *Height* is that of the vehicle above standing on the surface below it.
What was not measured is missing from the table, never invented; ``missing`` in the metadata may
say why, and who cannot do without asks by ``FlightLog.require``. Columns named ``truth_*`` come
from a simulator; nothing that learns reads them.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import sha256_of_file, write_whole

Array = npt.NDArray[np.float64]

SCHEMA_VERSION = 1
"""Raised whenever a column changes its meaning."""

XYZ = ("x", "y", "z")
ROTORS = ("1", "2", "3", "4")


@dataclass(frozen=True)
class Quantity:
    """A group of columns that belong together, the last axis of the quantity."""

    template: str
    """Column name with ``{}`` where the component stands; frame and unit in the name."""
    components: tuple[str, ...] = ()
    """Names of the components; none for a scalar."""
    required: bool = False
    help: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in order."""
        if not self.components:
            return (self.template,)
        return tuple(self.template.format(c) for c in self.components)


QUANTITIES: dict[str, Quantity] = {
    "time": Quantity("time_s", (), True, "time since the log began"),
    "position": Quantity("p_world_{}_m", XYZ, True, "estimated position of the body's origin"),
    "velocity": Quantity("v_world_{}_m_s", XYZ, True, "estimated velocity"),
    "attitude": Quantity("q_body_to_world_{}", ("x", "y", "z", "w"), True, "estimated attitude"),
    "rate": Quantity("omega_body_{}_rad_s", XYZ, True, "measured body rate"),
    "rotor_thrust_command": Quantity("rotor_{}_thrust_command_n", ROTORS, help="commanded thrust"),
    "rotor_command": Quantity(
        "rotor_{}_command_share", ROTORS, help="command sent to each rotor, 0 to 1 of full"
    ),
    "thrust_command": Quantity("thrust_command_n", help="commanded thrust of all rotors together"),
    "height": Quantity("height_m", help="measured height above standing on the surface below"),
    "contact": Quantity("contact", help="1 where a leg may touch the surface, by measurement"),
    "range": Quantity("range_m", help="range finder along body -z: distance, or its limit"),
    "rotor_speed": Quantity("rotor_{}_speed_rad_s", ROTORS, False, "measured rotor speed"),
    "specific_force": Quantity("specific_force_world_{}_m_s2", XYZ, False, "accelerometer, turned"),
    "battery": Quantity("battery_v", (), False, "battery voltage"),
    "setpoint_position": Quantity("setpoint_p_world_{}_m", XYZ, False, "wanted position"),
    "setpoint_velocity": Quantity("setpoint_v_world_{}_m_s", XYZ, False, "wanted velocity"),
    "reference_height": Quantity("reference_height_m", (), False, "wanted height above standing"),
    "force_command": Quantity(
        "force_command_world_{}_n", XYZ, False, "thrust vector asked of the inner loop"
    ),
    "learned_force": Quantity(
        "learned_force_world_{}_n", XYZ, False, "residual force the law used"
    ),
    "observer_force": Quantity("observer_force_world_{}_n", XYZ, False, "disturbance observer"),
    "solver_iterations": Quantity("solver_iterations", (), False, "steps of the cancellation"),
    "solver_residual": Quantity("solver_residual_n", (), False, "what the cancellation left over"),
    "solver_ok": Quantity("solver_ok", (), False, "0 where there was no solution: nominal command"),
    "phase": Quantity("phase", (), False, "0 flying, 1 pushing down, 2 motors cut"),
    "monitor": Quantity(
        "monitor", (), False, "0, or what voided the certificate: see controller/monitor.py"
    ),
    "truth_position": Quantity("truth_p_world_{}_m", XYZ, False, "simulator: position"),
    "truth_velocity": Quantity("truth_v_world_{}_m_s", XYZ, False, "simulator: velocity"),
    "truth_attitude": Quantity(
        "truth_q_body_to_world_{}", ("x", "y", "z", "w"), False, "simulator"
    ),
    "truth_rate": Quantity("truth_omega_body_{}_rad_s", XYZ, False, "simulator: body rate"),
    "truth_height": Quantity("truth_height_m", (), False, "simulator: height above standing"),
    "truth_surface_height": Quantity(
        "truth_surface_height_m",
        help="simulator: height of the tilted or moving surface landed on, at this place and time",
    ),
    "truth_surface_normal": Quantity(
        "truth_surface_normal_world_{}",
        XYZ,
        help="simulator: upward normal of that surface, world frame",
    ),
    "truth_surface_speed": Quantity(
        "truth_surface_speed_m_s", help="simulator: how fast that height changes for the vehicle"
    ),
    "truth_surface_rise": Quantity(
        "truth_surface_rise_{}", ("x", "y"), help="simulator: slope of that surface along x and y"
    ),
    "truth_force": Quantity(
        "truth_residual_force_world_{}_n", XYZ, False, "simulator: residual force"
    ),
    "truth_rotor_thrust": Quantity("truth_rotor_{}_thrust_n", ROTORS, False, "simulator: thrust"),
    "truth_contact_force": Quantity(
        "truth_contact_force_n", (), False, "simulator: upward force of the ground"
    ),
}


@dataclass(frozen=True)
class FlightLog:
    """Columns of one flight and what is known about it.

    ``columns`` maps quantity names of ``QUANTITIES`` to arrays: (n,) for scalars, (n, k) else.
    ``metadata`` holds at least ``vehicle`` (name) and ``source``; simulated flights add
    ``vehicle_digest, scenario, controller, reference, aero, seed, certified``, imported ones
    ``missing`` (quantity -> why it is not there).
    """

    columns: Mapping[str, Array]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check names, shapes, finiteness and time."""
        check_columns(self.columns)

    def __len__(self) -> int:
        return len(self.columns["time"])

    def __getitem__(self, quantity: str) -> Array:
        """Return a quantity by name; KeyError where it was not measured."""
        return self.columns[quantity]

    def __contains__(self, quantity: object) -> bool:
        return quantity in self.columns

    def require(self, quantities: Iterable[str], purpose: str) -> None:
        """Refuse a log without one of ``quantities``, which ``purpose`` cannot do without.

        Raises:
            InputError: naming the column, what it means, and why it is missing if that is known.
        """
        for name in quantities:
            if name not in self:
                known = self.metadata.get("missing")
                why = known.get(name) if isinstance(known, dict) else None
                quantity = QUANTITIES[name]
                raise InputError(
                    f"column {quantity.columns[0]} is missing ({quantity.help}"
                    f"{f'; {why}' if why else ''}); {purpose} cannot do without it"
                )

    def rows(self, keep: slice | npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "FlightLog":
        """Return the same flight with the rows ``keep`` alone."""
        return replace(self, columns={k: v[keep] for k, v in self.columns.items()})


def check_columns(columns: Mapping[str, Array], where: str = "flight log") -> None:
    """Refuse columns that are unknown, missing, of the wrong shape, not finite, or out of order.

    Raises:
        InputError: with ``where``, the column, the row (0-based) and what was expected.
    """
    for name, quantity in QUANTITIES.items():
        if quantity.required and name not in columns:
            raise InputError(f"{where}: column {quantity.columns[0]} is missing ({quantity.help})")
    for name in columns:
        if name not in QUANTITIES:
            raise InputError(f"{where}: '{name}' is no quantity of a flight log")
    n = len(columns["time"])
    if n < 2:
        raise InputError(f"{where}: holds {n} rows, expected at least 2")
    for name, values in columns.items():
        quantity = QUANTITIES[name]
        shape = (n, len(quantity.components)) if quantity.components else (n,)
        if values.shape != shape:
            raise InputError(f"{where}: {name} has shape {values.shape}, expected {shape}")
        if not math.isfinite(values.sum()):  # one NaN or infinity spoils the sum
            row, component = np.argwhere(~np.isfinite(values.reshape(n, -1)))[0]
            raise InputError(
                f"{where}: column {quantity.columns[component]}, row {row} is "
                f"{values.reshape(n, -1)[row, component]}, expected a finite number; cut the flight "
                "there, or leave the column out if it was not measured"
            )
    backwards = np.flatnonzero(np.diff(columns["time"]) <= 0)
    if len(backwards):
        row = int(backwards[0]) + 1
        raise InputError(
            f"{where}: column time_s, row {row} is {columns['time'][row]} s after "
            f"{columns['time'][row - 1]} s; expected time to increase from row to row"
        )
    length = np.linalg.norm(columns["attitude"], axis=-1)
    if np.any(np.abs(length - 1) > 1e-2):
        row = int(np.flatnonzero(np.abs(length - 1) > 1e-2)[0])
        raise InputError(
            f"{where}: columns q_body_to_world_*, row {row} have length {length[row]:.3f}, expected "
            "a unit quaternion xyzw"
        )


def write_flight_log(path: Path, log: FlightLog) -> None:
    """Write a flight log whole or not at all; the same log gives the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names: list[str] = []
    arrays: list[Any] = []
    for name, quantity in QUANTITIES.items():
        if name in log.columns:
            values = log.columns[name].reshape(len(log), -1)
            for i, column in enumerate(quantity.columns):
                names.append(column)
                arrays.append(pa.array(values[:, i], type=pa.float64()))
    metadata = {"schema_version": SCHEMA_VERSION, **log.metadata}
    table = pa.table(arrays, names=names).replace_schema_metadata(
        {b"neural_lander": json.dumps(metadata, sort_keys=True).encode()}
    )
    write_whole(
        path,
        lambda temporary: pq.write_table(
            table, temporary, compression="zstd", write_page_checksum=True
        ),
    )


def read_flight_log(path: Path) -> FlightLog:
    """Read a flight log.

    Raises:
        InputError: the file is missing or no Parquet, holds another schema version, or fails
            ``check_columns``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, page_checksum_verification=True)
        names = set(table.column_names)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: is no readable Parquet file ({str(error).splitlines()[0]}); was it cut short? "
            "Logs of other stacks are turned by `neural-lander import`"
        ) from error
    raw = (table.schema.metadata or {}).get(b"neural_lander")
    try:
        metadata = json.loads(raw) if raw else None
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        raise InputError(
            f"{path}: has no neural_lander metadata; expected a flight log of this package"
        )
    version = metadata.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path}: has schema version {version}, this package reads {SCHEMA_VERSION}"
        )
    columns: dict[str, Array] = {}
    for name, quantity in QUANTITIES.items():
        present = [c for c in quantity.columns if c in names]
        if not present:
            continue
        missing = [c for c in quantity.columns if c not in names]
        if missing:
            raise InputError(f"{path}: column {missing[0]} is missing ({quantity.help})")
        parts = [_numbers(table, column, path) for column in quantity.columns]
        columns[name] = np.stack(parts, axis=-1) if quantity.components else parts[0]
    check_columns(columns, str(path))
    return FlightLog(columns, metadata)


def _numbers(table: Any, column: str, path: Path) -> Array:
    import pyarrow as pa

    values = table[column]
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        raise InputError(f"{path}: column {column} holds {values.type}, expected numbers")
    return np.asarray(values.to_numpy(), dtype=np.float64)


def read_flight_logs(paths: Iterable[Path]) -> list[FlightLog]:
    """Read flight logs; a folder stands for the ``*.parquet`` files in it, sorted by name."""
    return [read_flight_log(path) for path in flight_paths(paths)]


def flight_paths(paths: Iterable[Path]) -> list[Path]:
    """Replace each folder by the ``*.parquet`` files in it, sorted by name.

    Raises:
        InputError: a folder holds none, or nothing was given.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(path.glob("*.parquet"))
            if not inside:
                raise InputError(f"{path}: holds no *.parquet flight log")
            found += inside
        else:
            found.append(path)
    if not found:
        raise InputError("no flight logs given")
    return found


def digests(paths: Sequence[Path]) -> dict[str, str]:
    """Return SHA-256 by file name, to say in a bundle what it was trained on."""
    return {path.name: sha256_of_file(path) for path in paths}
