"""Rows of numbers from a text file, a row a line; lines that cannot be read cost only themselves.

The first line names the columns. A last line without a line end may be cut short in the middle of
a number, so it is left out.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError

Array = npt.NDArray[np.float64]

LONGEST_LINE = 65_536
"""Longer lines are damaged [characters]."""

LARGEST = 1e19
"""Larger numbers are damaged; nanoseconds since 1970 are smaller."""


@dataclass(frozen=True)
class TextTable:
    """The lines of a file."""

    head: tuple[str, ...]
    """Names of the columns."""
    lines: tuple[str, ...]
    """Lines after the first that have a line end."""
    cut: bool
    """Whether the last line had none."""


def split_table(data: bytes, where: str) -> TextTable:
    """Take a file apart.

    Raises:
        InputError: the first line cannot be read, or is all there is.
    """
    text = data.decode("utf-8-sig", "replace")
    lines = text.splitlines()
    cut = bool(lines) and not text.endswith(("\n", "\r"))
    if len(lines) - cut < 2:
        raise InputError(
            f"{where}: has {len(lines) - cut} whole lines, expected the names of the columns and "
            "rows; was it cut short?"
        )
    try:
        head = tuple(name.strip() for name in next(csv.reader(lines[:1]), []))
    except csv.Error as error:
        raise InputError(f"{where}: the first line cannot be read ({error})") from error
    return TextTable(head, tuple(lines[1 : len(lines) - cut]), cut)


def read_rows(
    table: TextTable, parse: Callable[[Mapping[str, str]], list[float]], where: str
) -> tuple[Array, tuple[str, ...]]:
    """Return what ``parse`` makes of each line's cells (rows, k), and what could not be read.

    ``parse`` raises ValueError, saying what is wrong with a line.

    Raises:
        InputError: no line can be read.
    """
    rows: list[list[float]] = []
    bad: list[tuple[int, str]] = []
    for number, line in enumerate(table.lines, 2):
        if not line.strip():
            continue
        try:
            rows.append(parse(_cells(line, table.head)))
        except ValueError as error:
            bad.append((number, str(error)))
    if not rows:
        why = f"; line {bad[0][0]}: {bad[0][1]}" if bad else ""
        raise InputError(f"{where}: no row of {len(table.lines)} can be read{why}")
    dropped = []
    if bad:
        dropped.append(
            f"{len(bad)} of {len(table.lines)} lines; the first, {bad[0][0]}: {bad[0][1]}"
        )
    if table.cut:
        dropped.append("the last line: it has no line end, so it may be cut short")
    values = np.array(rows, dtype=np.float64)
    return np.where(np.abs(values) <= LARGEST, values, np.nan), tuple(dropped)


def number_in(cell: str, column: str) -> float:
    """Return the number in a cell.

    Raises:
        ValueError: it is none; the message names the column.
    """
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"{column} reads {cell[:40]!r}, expected a number") from None


def _cells(line: str, head: tuple[str, ...]) -> dict[str, str]:
    if len(line) > LONGEST_LINE:
        raise ValueError(f"{len(line)} characters long")
    try:
        row = next(csv.reader([line]), [])
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if len(row) != len(head):
        raise ValueError(f"{len(row)} cells, expected {len(head)}")
    return dict(zip(head, (cell.strip() for cell in row), strict=True))
