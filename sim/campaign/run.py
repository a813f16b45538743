"""A campaign from its spec to its rows: what is not on disk yet is flown.

A folder is one campaign's: ``spec.toml``, ``campaign.json`` (what the rows depend on), ``results/``.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.files import read_json, write_json, write_whole
from neural_lander.controller.pilot import find_pilot, is_foreign, require_known
from neural_lander.sim.campaign.cluster import client_of, fly_on_dask
from neural_lander.sim.campaign.distributions import require_drawable
from neural_lander.sim.campaign.folder import IDENTITY, LOCK, RESULTS, SPEC
from neural_lander.sim.campaign.identity import code_digest, differences, files_of, identity
from neural_lander.sim.campaign.rows import schema
from neural_lander.sim.campaign.shards import Shards
from neural_lander.sim.campaign.spec import Spec
from neural_lander.sim.campaign.worker import Chunk, Row, Task, fly_chunk
from neural_lander.sim.gate import flight_of, require_one_plan
from neural_lander.sim.pace import Pace, Progress
from neural_lander.sim.processes import WorkerDied, spread
from neural_lander.sim.rollout import Flight

CHUNK = 16
"""Landings in one chunk: a third of a second or more, a thousandth of what sending them takes."""
DEATHS = 3
"""So many workers may die before a campaign gives up."""


@dataclass(frozen=True)
class Crew:
    """Who flies."""

    workers: int = 0
    """Processes of this machine; 0: one for each core."""
    dask: str | None = None
    """Address of a Dask scheduler, instead."""

    def require(self) -> None:
        """Refuse a cluster that does not answer, before anything is written.

        Raises:
            InputError: as ``client_of``.
        """
        if self.dask is not None:
            client_of(self.dask).close()

    def fly(self, chunks: Iterable[Chunk]) -> Iterator[list[Row]]:
        """Fly chunks; rows come chunk by chunk, in any order."""
        if self.dask is not None:
            return fly_on_dask(chunks, self.dask)
        return spread(fly_chunk, chunks, self.workers or len(os.sched_getaffinity(0)))


@dataclass(frozen=True)
class Flown:
    """What one run of the program did."""

    landings: int
    """Flown by it."""
    before: int
    """That were on disk already."""
    seconds: float
    deaths: int
    """Workers that died."""
    aside: tuple[Path, ...]
    """Shards that were no Parquet files any more, set aside and flown again."""

    @property
    def rate(self) -> float:
        """Landings per second."""
        return self.landings / self.seconds if self.seconds > 0 else 0.0


def require_flyable(spec: Spec) -> None:
    """Refuse, before anything is flown, a spec with a cell that cannot be; a refusal by a
    certificate is an outcome, not an error.

    Raises:
        InputError: naming scenario, aerodynamics and controller.
    """
    worlds: dict[tuple[str, str], dict[str, Flight]] = {}
    for cell in spec.cells:
        where = f"cell {cell.scenario}, {cell.aero}, {cell.controller}"
        require_known(cell.flown)
        if is_foreign(cell.flown):
            find_pilot(cell.flown)
        try:
            flight = flight_of(cell.options, cell.flown)
        except Refused:
            continue
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        try:
            for p in spec.parameters:
                require_drawable(flight.scenario, p)
            world = worlds.setdefault((cell.scenario, cell.aero), {})
            world[cell.controller] = flight
            require_one_plan(world)
            _ = flight.air
        except InputError as error:
            raise InputError(f"{where}: {error}") from error


@contextlib.contextmanager
def claimed(spec: Spec, out: Path, resume: bool, part: str = RESULTS) -> Iterator[dict[str, Any]]:
    """Hold a folder for this campaign, alone; gives what its rows depend on.

    Raises:
        InputError: it is another campaign's, or has rows and ``resume`` is false, or another process
            writes into it.
    """
    now = identity(spec)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(
            f"{out}: is no folder that can be written into ({error.strerror}); choose another"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"{out}: another process flies a campaign into it; wait") from error
        if (out / IDENTITY).exists():
            _require_same(out, now)
        if any((out / part).glob("*.parquet")) and not resume:
            raise InputError(
                f"{out}: has landings of this campaign already; go on with --resume, or give another "
                "folder with --out DIR"
            )
        write_whole(out / SPEC, lambda path: _write(path, spec.text))
        write_json(out / IDENTITY, now)
        yield now
    finally:
        os.close(lock)


def _require_same(out: Path, now: dict[str, Any]) -> None:
    try:
        changes = differences(read_json(out / IDENTITY), now)
    except InputError as error:
        raise InputError(f"{error}; give another folder with --out DIR") from error
    if changes:
        raise InputError(
            f"{out}: holds a campaign that this one would not be mixed with: {'; '.join(changes)}. "
            "Give another folder with --out DIR, or undo the change"
        )


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def chunks_of(spec: Spec, done: npt.NDArray[np.bool_], size: int = CHUNK) -> Iterator[Chunk]:
    """Yield chunks of the landings not done yet, cells of one scenario after each other."""
    names = tuple(p.name for p in spec.parameters)
    seals = sealed(spec)
    n = len(spec.seeds)
    for cell in spec.cells:
        left = np.flatnonzero(~done[cell.number * n : (cell.number + 1) * n])
        for first in range(0, len(left), size):
            tasks = tuple(
                Task(cell.number * n + int(k), spec.seeds[k], tuple(spec.points[k].tolist()))
                for k in left[first : first + size]
            )
            yield Chunk(cell, names, tasks, *seals)


def sealed(spec: Spec) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return digests of the source text and of the files, as workers check them."""
    digests = identity(spec)["files"]
    return code_digest(), tuple((str(path), digests[name]) for name, path in files_of(spec).items())


def fly_campaign(
    spec: Spec, out: Path, crew: Crew, resume: bool = False, told: Progress | None = None
) -> Flown:
    """Fly every landing that is not on disk yet.

    Raises:
        InputError: as ``claimed``, ``require_flyable`` and the pools; rows cannot be written; workers
            die again and again.
        KeyboardInterrupt: rows done are on disk then.
    """
    require_flyable(spec)
    crew.require()
    with claimed(spec, out, resume):
        shards = Shards(out / RESULTS, schema(tuple(p.name for p in spec.parameters)))
        done, aside = shards.landings_done(spec.landings)
        pace, deaths = Pace(spec.landings, told, int(done.sum())), 0
        while not done.all():
            try:
                for rows in crew.fly(chunks_of(spec, done.copy())):
                    shards.add(rows)
                    done[[row["landing"] for row in rows]] = True
                    pace.add(len(rows))
            except WorkerDied as death:
                deaths = died(deaths, death)
            finally:
                shards.flush()
        return Flown(pace.flown, pace.before, pace.seconds, deaths, tuple(aside))


def died(deaths: int, death: WorkerDied) -> int:
    """Return one more death.

    Raises:
        InputError: it is one too many.
    """
    if deaths >= DEATHS:
        raise InputError(
            f"workers died {deaths + 1} times ({death}); the landings done are safe: take fewer "
            "--workers, or find what kills them, and go on with --resume"
        ) from death
    return deaths + 1
