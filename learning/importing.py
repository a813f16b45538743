"""Turns log files of other flight stacks into flight logs, and says what was in them.

Each source ``NAME.*`` becomes ``OUT/NAME.parquet``. Of several sources the good ones are written
and the bad ones named in the results.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog, write_flight_log
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.crazyflie import decode, looks_like_crazyflie, to_flight_log

FORMATS = ("auto", "crazyflie", "ulog", "neural-fly", "csv")
"""Formats that the command line knows by name."""

READ = ("crazyflie",)
"""Formats that this version reads."""

MAGIC = {
    b"PAR1": "Parquet; a flight log needs no import",
    b"ULog": "a PX4 ULog",
    b"PK\x03\x04": "a zip archive, such as .npz",
    b"\x93NUMPY": "a numpy array",
    b"\x89HDF": "an HDF5 or MATLAB file",
    b"MATLAB": "a MATLAB file",
    b"\x1f\x8b": "a gzip archive; unpack it first",
}
"""First bytes -> what such a file is."""

GAP = 0.05
"""Steps in time longer than this are counted as gaps [s]."""


@dataclass(frozen=True)
class ImportResult:
    """What became of one source. ``error`` is set, or all the rest is."""

    source: Path
    error: str | None = None
    """Why nothing was written."""
    path: Path | None = None
    """The flight log written."""
    format: str | None = None
    """Format of the source."""
    seconds: float | None = None
    """Length of the flight [s]."""
    rows: int | None = None
    """Samples in the flight log."""
    rate: float | None = None
    """Samples per second: one over the median step [Hz]."""
    gaps: int | None = None
    """Number of steps longer than ``GAP``."""
    longest_gap: float | None = None
    """Longest step [s]."""
    height_min: float | None = None
    """Lowest height above standing [m]; a few millimetres below 0 is how well standing is known."""
    height_max: float | None = None
    """Greatest height above standing [m]."""
    seconds_airborne: float | None = None
    """Time off the ground with motors on [s]."""
    seconds_low: float | None = None
    """Of it, time lower than three rotor radii above standing, where the ground effect is [s]."""
    battery_min: float | None = None
    """Lowest battery voltage [V], if measured."""
    battery_max: float | None = None
    """Greatest battery voltage [V], if measured."""
    dropped_rows: int = 0
    """Rows left out because their time did not increase."""
    dropped: tuple[str, ...] = ()
    """Damaged parts of the source that were left out, a phrase each."""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, with units in the keys."""
        value = asdict(self)
        value["source"] = str(self.source)
        value["path"] = None if self.path is None else str(self.path)
        value["dropped"] = list(self.dropped)
        return {UNITS.get(key, key): entry for key, entry in value.items()}


UNITS = {
    "rate": "rate_hz",
    "longest_gap": "longest_gap_s",
    "height_min": "height_min_m",
    "height_max": "height_max_m",
    "battery_min": "battery_min_v",
    "battery_max": "battery_max_v",
}
"""Field of a result -> its key in JSON, where the two differ."""


def import_flights(
    sources: Sequence[Path], vehicle: Vehicle, out: Path, format: str = "auto"
) -> list[ImportResult]:
    """Import each source into ``out``, and return a result for each, in order.

    Raises:
        InputError: there are no sources, or ``format`` is not one that this version reads.
    """
    if format not in FORMATS:
        raise InputError(f"format '{format}' is unknown; this version reads {', '.join(READ)}")
    if format != "auto" and format not in READ:
        raise InputError(
            f"format '{format}' cannot be imported yet; this version reads {', '.join(READ)}"
        )
    if not sources:
        raise InputError("no logs to import; give one or more files")
    results: list[ImportResult] = []
    written: dict[Path, Path] = {}
    for source in sources:
        path = out / f"{source.stem}.parquet"
        try:
            if path in written:
                raise InputError(
                    f"{source}: would overwrite {path}, just made from {written[path]}; "
                    "import it into another folder"
                )
            log = _read(source, vehicle, format)
            write_flight_log(path, log)
        except InputError as error:
            results.append(ImportResult(source, error=str(error)))
            continue
        written[path] = source
        results.append(_describe(source, path, log, vehicle))
    return results


def _read(source: Path, vehicle: Vehicle, format: str) -> FlightLog:
    try:
        data = source.read_bytes()
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from error
    if format == "auto" and not looks_like_crazyflie(data):
        raise InputError(
            f"{source}: is {_what(data)}; this version imports {', '.join(READ)} logs "
            "(binary, from the micro-SD deck)"
        )
    return to_flight_log(decode(data, str(source)), vehicle, source.name)


def _what(data: bytes) -> str:
    """Say what a file seems to be."""
    if not data:
        return "empty"
    for magic, name in MAGIC.items():
        if data.startswith(magic):
            return name
    head = data[:200]
    if all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head):
        return f"text beginning {head.splitlines()[0][:40].decode('ascii')!r}"
    return f"of no known format (begins with bytes {data[:8].hex(' ')})"


def _describe(source: Path, path: Path, log: FlightLog, vehicle: Vehicle) -> ImportResult:
    step = np.diff(log["time"])
    running = log["rotor_thrust_command"].sum(axis=-1) > 0
    airborne = running & (log["contact"] == 0)
    low = airborne & (log["height"] < 3 * vehicle.rotors.radius)
    held = np.minimum(step, GAP)  # what a sample stands for; nothing is known of a gap
    battery = log.columns.get("battery")
    return ImportResult(
        source=source,
        path=path,
        format=log.metadata["format"],
        seconds=float(log["time"][-1] - log["time"][0]),
        rows=len(log),
        rate=float(1 / np.median(step)),
        gaps=int((step > GAP).sum()),
        longest_gap=float(step.max()),
        height_min=float(log["height"].min()),
        height_max=float(log["height"].max()),
        seconds_airborne=float(held[airborne[:-1]].sum()),
        seconds_low=float(held[low[:-1]].sum()),
        battery_min=None if battery is None else float(battery.min()),
        battery_max=None if battery is None else float(battery.max()),
        dropped_rows=log.metadata["dropped_rows"],
        dropped=tuple(log.metadata["dropped"]),
    )
