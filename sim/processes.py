"""Pieces of work over the processes of this machine (joblib), a few under way for each."""

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from neural_lander.controller.compiled import is_cold

Piece = TypeVar("Piece")
Result = TypeVar("Result")

AHEAD = 3
"""Pieces under way for each worker, whatever the number of all."""


class WorkerDied(Exception):
    """A process is gone; what it had under way is lost."""


def spread(
    function: Callable[[Piece], Result],
    pieces: Iterable[Piece],
    workers: int,
    in_order: bool = False,
) -> Iterator[Result]:
    """Yield what a function makes of each piece, in ``workers`` processes; one: in this one.

    The results come as they are done, or in order. Where the flight step is not compiled yet the first
    piece is done here, so that it is compiled once, and not in every process.

    Raises:
        WorkerDied: a process was killed or crashed.
    """
    pieces = iter(pieces)
    if workers == 1:
        yield from map(function, pieces)
        return
    if is_cold():
        for piece in pieces:
            yield function(piece)
            break
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    with parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = Parallel(
            n_jobs=workers,
            return_as="generator" if in_order else "generator_unordered",
            pre_dispatch=AHEAD * workers,
            batch_size=1,
        )
        done = parallel(delayed(_as_child)(function, piece, os.getpid()) for piece in pieces)
    try:
        yield from done
    except TerminatedWorkerError as error:
        raise WorkerDied(str(error).split("\n")[0]) from error
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of results under way that an interrupt leaves behind
            done.close()


def _as_child(function: Callable[[Piece], Result], piece: Piece, parent: int) -> Result:
    """Do a piece in a process that leaves when its parent has."""
    _leave_with(parent)
    return function(piece)


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
