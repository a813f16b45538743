"""Who flies the chunks: the cores of this machine (joblib), or a cluster (Dask).

Both take chunks as they are needed and give rows as they are done, in any order: a few chunks for
each worker are under way, whatever the size of the campaign.
"""

import itertools
import os
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from neural_lander.controller.errors import InputError
from neural_lander.sim.campaign.worker import Chunk, Row, fly_chunk

AHEAD = 3
"""Chunks under way for each worker."""
PATIENCE = 15
"""Until a scheduler has answered [s]."""


class WorkerDied(Exception):
    """A process that flew landings is gone; what it had under way is lost."""


def fly_here(chunks: Iterable[Chunk], workers: int) -> Iterator[list[Row]]:
    """Fly chunks in ``workers`` processes of this machine; one: in this process.

    Raises:
        WorkerDied: a process was killed or crashed.
        InputError: of ``fly_chunk``.
    """
    if workers == 1:
        yield from map(fly_chunk, chunks)
        return
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    with parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = Parallel(
            n_jobs=workers,
            return_as="generator_unordered",
            pre_dispatch=AHEAD * workers,
            batch_size=1,
        )
        flown = parallel(delayed(_fly_as_child)(chunk, os.getpid()) for chunk in chunks)
    try:
        yield from flown
    except TerminatedWorkerError as error:
        raise WorkerDied(str(error).split("\n")[0]) from error
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of rows under way that an interrupt leaves behind
            flown.close()


def _fly_as_child(chunk: Chunk, parent: int) -> list[Row]:
    """Fly a chunk in a process that leaves when its parent has."""
    _leave_with(parent)
    return fly_chunk(chunk)


_watched: set[int] = set()


def _leave_with(parent: int) -> None:
    """End this process soon after its parent: nobody else would, after a ``kill -9``."""
    if parent in _watched:
        return
    _watched.add(parent)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def fly_on_dask(chunks: Iterable[Chunk], address: str) -> Iterator[list[Row]]:
    """Fly chunks on the workers of a Dask scheduler.

    Raises:
        WorkerDied: a chunk took several workers down with it.
        InputError: Dask is not installed, or no scheduler or worker answers; of ``fly_chunk``.
    """
    try:
        from distributed import Client, as_completed
        from distributed.scheduler import KilledWorker
    except ImportError as error:
        raise InputError(
            "--dask needs the package distributed; pip install 'dask[distributed]'"
        ) from error
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"--dask {address}: no scheduler answers there ({error or 'timeout'}); start one with "
            "`dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`"
        ) from error
    with client:
        threads = sum(client.nthreads().values())
        if threads == 0:
            raise InputError(
                f"--dask {address}: the scheduler has no workers; start some with "
                f"`dask worker {address} --nthreads 1`"
            )
        left = iter(chunks)
        first = [_send(client, chunk) for chunk in itertools.islice(left, AHEAD * threads)]
        under_way = as_completed(first, loop=client.loop, raise_errors=False)
        del first
        for future in under_way:
            try:
                rows: list[Row] = future.result()
            except KilledWorker as error:
                raise WorkerDied(str(error)) from error
            future.release()
            for chunk in itertools.islice(left, 1):
                under_way.add(_send(client, chunk))
            yield rows


def _send(client: Any, chunk: Chunk) -> Any:
    return client.submit(fly_chunk, chunk, pure=False)
