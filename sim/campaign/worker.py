"""One chunk of landings, flown in whatever process it came to: the same bytes everywhere.

A chunk is of one cell, so that the world, which costs as much as a landing, is built once for it.
"""

import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from neural_lander.controller.errors import InputError, Refused
from neural_lander.sim.campaign.distributions import changed
from neural_lander.sim.campaign.identity import code_digest, digest_of_path
from neural_lander.sim.campaign.rows import (
    ERROR,
    FLOWN,
    IMPOSSIBLE,
    REFUSED,
    figures_of,
    parameter_column,
    schema,
)
from neural_lander.sim.campaign.severity import severity
from neural_lander.sim.campaign.spec import Cell
from neural_lander.sim.gate import FlightOptions, flight_of, require_possible
from neural_lander.sim.rollout import Flight, draw_start, fly

Row = dict[str, Any]

_ONE_AT_A_TIME = threading.Lock()
"""A process has one world, and a Dask worker may have several threads."""


@dataclass(frozen=True)
class Task:
    """One landing of a cell."""

    landing: int
    """Its number in the campaign."""
    seed: int
    values: tuple[float, ...]
    """Of the parameters."""


@dataclass(frozen=True)
class Chunk:
    """Landings of one cell, and what must be the same where they are flown."""

    cell: Cell
    parameters: tuple[str, ...]
    tasks: tuple[Task, ...]
    code: str
    """Digest of the source text."""
    files: tuple[tuple[str, str], ...]
    """Paths and their digests."""


def fly_chunk(chunk: Chunk) -> list[Row]:
    """Fly a chunk and return its rows; a landing that raises is a row with its error.

    Raises:
        InputError: source text or files here are others than where the campaign began; memory or a
            disk failed, which says nothing of a landing.
    """
    with _ONE_AT_A_TIME, threadpool_limits(1):
        hold_to(chunk.code, chunk.files)
        return [_row(chunk, task) for task in chunk.tasks]


def flight_at(cell: Cell, values: Mapping[str, float]) -> Flight:
    """Return the flight of a cell at a point of its parameters.

    Raises:
        InputError: the point cannot be flown.
        Refused: no certificate fits.
    """
    flight = _flight(cell.options, cell.flown)
    if isinstance(flight, str):
        raise Refused(flight)
    if not values:
        return flight
    if not flight.certified:  # what the gate asks of a scenario, it asks of certified flights alone
        flight = replace(flight, scenario=changed(flight.scenario, values))
        require_possible(flight, f"'{cell.scenario}' with {dict(values)}")
        return flight
    return flight_of(cell.options, cell.flown, changed(flight.scenario, values))


def begun_at(cell: Cell, values: Mapping[str, float], seed: int) -> Flight:
    """Return the flight of a cell at a point, where it can begin with this seed.

    Raises:
        InputError: there is no such flight: plan, start or surface do not go with the vehicle.
        Refused: no certificate fits.
    """
    flight = flight_at(cell, values)
    _ = flight.plan
    draw_start(flight, np.random.default_rng(seed))
    return flight


def _row(chunk: Chunk, task: Task) -> Row:
    row: Row = dict.fromkeys(schema(chunk.parameters).names)
    values = dict(zip(chunk.parameters, task.values, strict=True))
    row |= {
        "landing": task.landing,
        "scenario": chunk.cell.scenario,
        "aero": chunk.cell.aero,
        "controller": chunk.cell.controller,
        "seed": task.seed,
        **{parameter_column(name): value for name, value in values.items()},
    }
    begun = time.perf_counter()
    flight = None
    try:
        flight = begun_at(chunk.cell, values, task.seed)
        summary = fly(flight, task.seed).summary
        row |= {"status": FLOWN, **figures_of(summary), "severity": severity(summary)}
    except Refused as refusal:
        row |= {"status": REFUSED, "refused": str(refusal)}
    except (MemoryError, OSError) as error:
        raise InputError(
            f"landing {task.landing} was not flown, for {type(error).__name__}: {error}; the landings "
            "done are safe: see to that, and go on with --resume"
        ) from error
    except Exception as error:
        impossible = flight is None and isinstance(error, InputError)
        row |= {
            "status": IMPOSSIBLE if impossible else ERROR,
            "error": f"{type(error).__name__}: {error}",
            "traceback": traceback.format_exc(),
        }
    return row | {"wall_s": time.perf_counter() - begun}


@lru_cache(maxsize=64)
def _flight(options: FlightOptions, controller: str) -> Flight | str:
    """Return a cell's flight where nothing is drawn, or why it is refused."""
    try:
        return flight_of(options, controller)
    except Refused as refusal:
        return str(refusal)


_imported: dict[str, str] = {}
"""File of a controller from outside -> its digest when this process met it."""


@lru_cache(maxsize=1)
def hold_to(code: str, files: tuple[tuple[str, str], ...]) -> None:
    """Hold this process to source text and files with these digests, and forget what it made of others.

    Raises:
        InputError: source text or files here are others.
    """
    if code != code_digest():
        raise InputError(
            "a worker has another version of neural-lander than the campaign; install the same one"
        )
    for path, digest in files:
        if digest_of_path(Path(path)) != digest:
            raise InputError(
                f"{path}: is another file on a worker than where the campaign began; workers need the "
                "same files at the same paths"
            )
        if _imported.setdefault(path, digest) != digest and path.endswith(".py"):
            for name, module in [*sys.modules.items()]:
                if getattr(module, "__file__", None) == path:
                    del sys.modules[name]
        _imported[path] = digest
    _flight.cache_clear()
