"""Turns log files of other flight stacks into flight logs, and says what they can teach.

Each source ``NAME.*`` becomes ``OUT/NAME.parquet``. Of several sources the good ones are written
and the bad ones named in the results. A format is a reader: bytes in, ``Recording`` out; what comes
after is the same for all.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog, write_flight_log
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning import crazyflie, neural_fly, plain_csv, ulog
from neural_lander.learning.fitness import Fitness, judge
from neural_lander.learning.recording import Recording, to_flight_log

FORMATS = ("auto", "crazyflie", "ulog", "neural-fly", "csv")
"""Formats that the command line knows by name."""

MAGIC = {
    b"PAR1": "Parquet; a flight log needs no import",
    b"PK\x03\x04": "a zip archive, such as .npz",
    b"\x93NUMPY": "a numpy array",
    b"\x89HDF": "an HDF5 or MATLAB file",
    b"MATLAB": "a MATLAB file",
    b"SQLite": "an SQLite database, such as a ROS 2 bag; export its topics as CSV",
    b"#ROSBAG": "a ROS bag; export its topics as CSV",
}
"""First bytes -> what such a file is."""

GZIP = b"\x1f\x8b"
"""First bytes of a gzipped file."""

LARGEST_FILE = 2 * 10**9
"""Unpacked files may have so many bytes."""

CHUNK = 1 << 20
"""Bytes unpacked at a time."""

ENDINGS = (".gz", ".csv", ".txt", ".ulg", ".usdlog")
"""Ends of a source's name that its flight log does without; others are kept but for the last."""


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
    fitness: Fitness | None = None
    """What the flight can teach."""
    missing: tuple[tuple[str, str], ...] = ()
    """Quantities that the source does not hold, and why."""
    dropped_rows: int = 0
    """Rows left out because of their time, or because a needed quantity was not there."""
    dropped: tuple[str, ...] = ()
    """What was left out, a phrase each."""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, with units in the keys."""
        return {
            "source": str(self.source),
            "error": self.error,
            "path": None if self.path is None else str(self.path),
            "format": self.format,
            **({} if self.fitness is None else self.fitness.as_dict()),
            "missing": dict(self.missing),
            "dropped_rows": self.dropped_rows,
            "dropped": list(self.dropped),
        }


def import_flights(
    sources: Sequence[Path],
    vehicle: Vehicle,
    out: Path,
    format: str = "auto",
    columns: Path | None = None,
) -> list[ImportResult]:
    """Import each source into ``out``, and return a result for each, in order.

    ``columns`` is the column map of plain CSV; without it ``NAME.toml`` beside the source is taken.

    Raises:
        InputError: there are no sources, ``format`` is unknown, or the column map is none.
    """
    if format not in FORMATS:
        raise InputError(f"format '{format}' is unknown; expected {', '.join(FORMATS)}")
    if not sources:
        raise InputError("no logs to import; give one or more files")
    if columns is not None:
        plain_csv.read_column_map(columns)
    results: list[ImportResult] = []
    written: dict[Path, Path] = {}
    for source in sources:
        path = out / f"{stem(source)}.parquet"
        try:
            if path in written:
                raise InputError(
                    f"{source}: would overwrite {path}, just made from {written[path]}; "
                    "import it into another folder"
                )
            log = read_log(source, vehicle, format, columns)
            write_flight_log(path, log)
        except InputError as error:
            results.append(ImportResult(source, error=str(error)))
            continue
        written[path] = source
        results.append(
            ImportResult(
                source=source,
                path=path,
                format=log.metadata["format"],
                fitness=judge(log, vehicle),
                missing=tuple(log.metadata["missing"].items()),
                dropped_rows=log.metadata["dropped_rows"],
                dropped=tuple(log.metadata["dropped"]),
            )
        )
    return results


def stem(source: Path) -> str:
    """Return the name of a source's flight log, without ending."""
    name = source.name
    while Path(name).suffix in ENDINGS and Path(name).stem:
        name = Path(name).stem
    return name if name != source.name else source.stem


def read_log(
    source: Path, vehicle: Vehicle, format: str = "auto", columns: Path | None = None
) -> FlightLog:
    """Read one log file of any format.

    Raises:
        InputError: the file cannot be read, is of no known format, or holds no usable row.
    """
    try:
        packed = source.read_bytes()
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from error
    data, lost = unpacked(packed, str(source))
    if format == "auto":
        format = _format_of(data, source, columns)
    try:
        found = _reader(format, source, columns)(data, vehicle, str(source))
    except InputError as error:
        raise InputError(f"{error} ({'; '.join(lost)})" if lost else str(error)) from error
    found = replace(found, dropped=(*lost, *found.dropped))
    return to_flight_log(found, vehicle, source.name)


def unpacked(data: bytes, where: str) -> tuple[bytes, tuple[str, ...]]:
    """Return a gzipped file's content as far as it can be unpacked, and what was lost.

    Raises:
        InputError: nothing can be unpacked, or it is larger than ``LARGEST_FILE``.
    """
    if not data.startswith(GZIP):
        return data, ()
    unpack = zlib.decompressobj(wbits=31)
    parts: list[bytes] = []
    size, lost, rest = 0, "", data
    try:
        while rest and not unpack.eof:
            parts.append(unpack.decompress(rest, CHUNK))
            size += len(parts[-1])
            rest = unpack.unconsumed_tail
            if size > LARGEST_FILE:
                raise InputError(f"{where}: unpacks to more than {LARGEST_FILE} bytes; cut it up")
        if not unpack.eof:
            lost = "the end of the gzipped file: cut short"
        elif unpack.unused_data.strip(b"\0"):
            lost = f"{len(unpack.unused_data)} bytes behind the gzipped file"
    except zlib.error as error:
        lost = f"what follows {size} unpacked bytes: damaged gzip ({error})"
    if not size:
        raise InputError(f"{where}: nothing can be unpacked ({lost or 'it is empty'})")
    return b"".join(parts), ((lost,) if lost else ())


def _format_of(data: bytes, source: Path, columns: Path | None) -> str:
    if crazyflie.looks_like_crazyflie(data):
        return "crazyflie"
    if ulog.looks_like_ulog(data):
        return "ulog"
    if neural_fly.looks_like_neural_fly(data):
        return "neural-fly"
    if columns is not None or _map_beside(source).is_file():
        return "csv"
    hint = ""
    if ".csv" in source.suffixes or _is_text(data):
        hint = (
            "; plain CSV is read with a column map: --columns MAP.toml, or "
            f"{_map_beside(source).name} beside it (`import --help` shows one)"
        )
    raise InputError(f"{source}: is {_what(data)}; expected a {', '.join(FORMATS[1:])} log{hint}")


def _map_beside(source: Path) -> Path:
    return source.with_name(f"{stem(source)}.toml")


def _reader(
    format: str, source: Path, columns: Path | None
) -> Callable[[bytes, Vehicle, str], Recording]:
    """Return the reader of a format."""
    if format == "crazyflie":
        return lambda data, vehicle, where: crazyflie.recording(
            crazyflie.decode(data, where), vehicle, where
        )
    if format == "ulog":
        return lambda data, vehicle, where: ulog.recording(ulog.decode(data, where), vehicle, where)
    if format == "neural-fly":
        return neural_fly.recording
    path = columns or _map_beside(source)
    if not path.is_file():
        raise InputError(
            f"{source}: plain CSV is read with a column map: give --columns MAP.toml, or write "
            f"{path} (`import --help` shows one)"
        )
    column_map = plain_csv.read_column_map(path)
    return lambda data, vehicle, where: plain_csv.recording(data, column_map, where)


def _is_text(data: bytes) -> bool:
    return all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in data[:200])


def _what(data: bytes) -> str:
    """Say what a file seems to be."""
    if not data:
        return "empty"
    for magic, name in MAGIC.items():
        if data.startswith(magic):
            return name
    if _is_text(data):
        return f"text beginning {data[:200].splitlines()[0][:40].decode('ascii')!r}"
    return f"of no known format (begins with bytes {data[:8].hex(' ')})"
