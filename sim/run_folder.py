"""A run on disk: ``flight.parquet``, ``summary.json`` and ``landing.png`` in one folder."""

from pathlib import Path
from typing import Any

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import read_json, write_json
from neural_lander.controller.flight_log import FlightLog, read_flight_log, write_flight_log
from neural_lander.sim.figures import draw_landing
from neural_lander.sim.rollout import Landing

FLIGHT, SUMMARY, PICTURE = "flight.parquet", "summary.json", "landing.png"


def write_run(out: Path, landing: Landing) -> list[Path]:
    """Write a landing into a folder and return the files; the summary comes last."""
    write_flight_log(out / FLIGHT, landing.log)
    draw_landing(landing.log, landing.summary, out / PICTURE)
    write_json(out / SUMMARY, landing.summary)
    return [out / FLIGHT, out / PICTURE, out / SUMMARY]


def read_run(folder: Path) -> tuple[FlightLog, dict[str, Any]]:
    """Read log and summary of a run.

    Raises:
        InputError: the folder is no run, or a file in it cannot be used.
    """
    if not (folder / SUMMARY).is_file():
        raise InputError(
            f"{folder}: is no run (it has no {SUMMARY}); `neural-lander land` makes one"
        )
    return read_flight_log(folder / FLIGHT), read_json(folder / SUMMARY)
