"""The workers of a Dask scheduler, who fly chunks as this machine's processes do (``sim/processes``).

They take chunks as they are needed and give rows as they are done, in any order.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from neural_lander.controller.errors import InputError
from neural_lander.sim.campaign.worker import Chunk, Row, fly_chunk
from neural_lander.sim.processes import AHEAD, WorkerDied

PATIENCE = 15
"""Until a scheduler has answered [s]."""


def client_of(address: str) -> Any:
    """Return a client of a Dask scheduler that has workers; it is to be closed.

    Raises:
        InputError: Dask is not installed, or no scheduler or worker answers.
    """
    try:
        from distributed import Client
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
    if not client.nthreads():
        client.close()
        raise InputError(
            f"--dask {address}: the scheduler has no workers; start some with "
            f"`dask worker {address} --nthreads 1`"
        )
    return client


def fly_on_dask(chunks: Iterable[Chunk], address: str) -> Iterator[list[Row]]:
    """Fly chunks on the workers of a Dask scheduler.

    Raises:
        WorkerDied: a chunk took several workers down with it.
        InputError: of ``client_of`` and ``fly_chunk``.
    """
    with client_of(address) as client:
        from distributed import as_completed
        from distributed.scheduler import KilledWorker

        left = iter(chunks)
        ahead = AHEAD * sum(client.nthreads().values())
        first = [_send(client, chunk) for chunk in itertools.islice(left, ahead)]
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
