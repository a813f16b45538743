"""Rows on disk: Parquet shards that are whole or not there, a few seconds of landings each.

A shard is written under a temporary name, synced, renamed, and its folder synced, so that neither
``kill -9`` nor a power cut leaves half of one. Rows not yet in a shard are flown again.
"""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import write_whole

ROWS, SECONDS = 512, 5.0
"""A shard is written when this many rows wait, or the first has waited for so long [s]."""
PATTERN = "shard-*.parquet"
DAMAGED = ".damaged"


class Shards:
    """The rows of one folder."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        """Open a folder, made if need be; remove what a killed writer left under temporary names.

        Raises:
            InputError: the folder cannot be made.
        """
        self.folder, self.schema = folder, schema
        self._waiting: list[dict[str, Any]] = []
        self._since = 0.0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob(f".{PATTERN}.*"):
                left.unlink()
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be written into ({error.strerror}); choose another folder"
            ) from error

    def paths(self) -> list[Path]:
        """Return the shards, oldest first."""
        return sorted(self.folder.glob(PATTERN))

    def landings_done(self, count: int) -> tuple[npt.NDArray[np.bool_], list[Path]]:
        """Return which of ``count`` landings are on disk (count,), and shards that were set aside.

        A shard that is no Parquet file is renamed, and its landings are flown again.

        Raises:
            InputError: a landing is there twice, or a shard is of another campaign.
        """
        done = np.zeros(count, bool)
        aside = []
        for path in self.paths():
            try:
                file = pq.ParquetFile(path)
                mine = file.read(columns=["landing"])["landing"].to_numpy()
            except (pa.ArrowException, OSError, KeyError):
                path.rename(path.with_name(path.name + DAMAGED))
                aside.append(path)
                continue
            if not file.schema_arrow.equals(self.schema):
                raise InputError(
                    f"{path}: has other columns than this campaign's; move it out of the way"
                )
            inside = mine[(mine >= 0) & (mine < count)]
            if len(inside) < len(mine) or len(np.unique(mine)) < len(mine) or done[inside].any():
                raise InputError(
                    f"{path}: has landings that are in another shard, too, or in none of this "
                    "campaign's cells; move it out of the way"
                )
            done[inside] = True
        return done, aside

    def add(self, rows: Sequence[dict[str, Any]]) -> bool:
        """Take rows; return whether a shard was written."""
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.extend(rows)
        if len(self._waiting) >= ROWS or time.monotonic() - self._since >= SECONDS:
            return self.flush()
        return False

    def flush(self) -> bool:
        """Write the rows that wait; return whether there were any.

        Raises:
            InputError: they cannot be written; they wait on.
        """
        if not self._waiting:
            return False
        rows = sorted(self._waiting, key=lambda row: int(row["landing"]))
        table = pa.Table.from_pylist(rows, schema=self.schema)
        known = [int(path.name.split("-")[1].split(".")[0]) for path in self._numbered()]
        path = self.folder / f"shard-{max(known, default=-1) + 1:06d}.parquet"
        write_whole(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))
        _sync(self.folder)
        self._waiting = []
        return True

    def _numbered(self) -> list[Path]:
        return [*self.paths(), *self.folder.glob(PATTERN + DAMAGED)]

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the rows on disk, a shard in memory at a time."""
        for path in self.paths():
            yield from pq.read_table(path, columns=columns, partitioning=None).to_pylist()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
