"""A run on disk: ``flight.parquet``, ``summary.json`` and ``landing.png`` in one folder.

The summary is removed first and written last, so a folder with a summary holds one flight, whole;
one without is unfinished. Log and summary both say what was flown, and have to say the same.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import read_json, write_json
from neural_lander.controller.flight_log import FlightLog, read_flight_log, write_flight_log
from neural_lander.sim.figures import DRAWN, draw_landing
from neural_lander.sim.rollout import Landing

FLIGHT, SUMMARY, PICTURE = "flight.parquet", "summary.json", "landing.png"

KEYS: dict[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys(
        ("controller", "scenario", "reference", "aero", "vehicle", "outcome"), ((str,), "text")
    ),
    "seed": ((int,), "a whole number"),
    "certified": ((bool, type(None)), "true, false or null"),
    **dict.fromkeys(("crashed", "landed", "motors_cut"), ((bool,), "true or false")),
    "crash_reason": ((str, type(None)), "text or null"),
}
"""What every summary says, and as what; any other key that it has is a figure, text or null."""

NUMBER = (int, float, type(None))


def write_run(out: Path, landing: Landing) -> list[Path]:
    """Write a landing into a folder and return the files.

    Raises:
        InputError: the folder cannot be written to.
    """
    for name in (SUMMARY, PICTURE, FLIGHT):
        _remove(out / name)
    write_flight_log(out / FLIGHT, landing.log)
    draw_landing(landing.log, landing.summary, out / PICTURE)
    write_json(out / SUMMARY, landing.summary)
    return [out / FLIGHT, out / PICTURE, out / SUMMARY]


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be replaced ({error.strerror}); choose another folder"
        ) from error


def read_run(folder: Path) -> tuple[FlightLog, dict[str, Any]]:
    """Read log and summary of a run.

    Raises:
        InputError: the folder is no run, or an unfinished one; a file in it cannot be used; log and
            summary are of different flights.
    """
    if not (folder / SUMMARY).is_file():
        if (folder / FLIGHT).is_file():
            raise InputError(
                f"{folder}: is an unfinished run (it has no {SUMMARY}); fly it again with "
                "`neural-lander land`"
            )
        raise InputError(
            f"{folder}: is no run (it has no {SUMMARY}); `neural-lander land` makes one"
        )
    summary = read_json(folder / SUMMARY)
    _check(summary, folder / SUMMARY)
    log = read_flight_log(folder / FLIGHT)
    try:
        log.require(DRAWN, "a run")
    except InputError as error:
        raise InputError(f"{folder / FLIGHT}: {error}") from error
    for key in sorted(summary.keys() & log.metadata.keys()):
        if summary[key] != log.metadata[key]:
            raise InputError(
                f"{folder}: holds files of two flights ({key} is {log.metadata[key]!r} in {FLIGHT}, "
                f"{summary[key]!r} in {SUMMARY}); fly it again with `neural-lander land`"
            )
    return log, summary


def _check(summary: Mapping[str, Any], where: Path) -> None:
    """Refuse a summary that lacks a key or holds one of the wrong type."""
    for key, (types, expected) in KEYS.items():
        if key not in summary:
            raise InputError(
                f"{where}: {key} is missing, expected {expected}; fly it again with "
                "`neural-lander land`"
            )
        if type(summary[key]) not in types:
            raise InputError(f"{where}: {key} is {summary[key]!r}, expected {expected}")
    for key, value in summary.items():
        numbers = value if key.endswith("_xyz_m") and isinstance(value, list) else [value]
        if key.endswith(UNITS) and not all(type(x) in NUMBER for x in numbers):
            raise InputError(f"{where}: {key} is {value!r}, expected a number or null")


UNITS = ("_m", "_s", "_n", "_rad", "_m_s")
"""Ends of the names of figures, which are numbers or null."""
