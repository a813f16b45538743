"""Quantities that were logged at times of their own, brought onto one row of times.

The times are those of the slowest quantity that is needed: a log whose commands come ten times a
second becomes a log of 10 Hz, not one of 100 Hz with nine invented rows in ten. At a row

    faster quantities    are averaged over the row's interval: their lines' integral over it
    others               are interpolated on a straight line, or held (states)
    attitudes            the same on quaternions of one hemisphere, then normalised

A row for which a needed quantity has a gap is left out. Quantities that share their times pass
unchanged. Whatever is left out is counted and said.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Kind = Literal["number", "attitude", "state"]

LARGEST = 1e9
"""No quantity of a flight is larger, in SI; beyond it a value counts as not measured."""

LONGEST = 1e7
"""No flight is longer; beyond it a stamp counts as damaged [s]."""

FASTER = 1.5
"""A quantity logged this much faster than the rows is averaged, not interpolated."""

GAP_STEPS = 2.5
"""A gap is longer than so many steps of the quantity, or of the rows if these are longer."""


@dataclass(frozen=True)
class Track:
    """One quantity at its own times."""

    time: Array
    """(n,) [s], from any start that all tracks of a log share."""
    values: Array
    """(n,) or (n, k), SI, our frames; NaN where not measured."""
    kind: Kind = "number"


@dataclass(frozen=True)
class Joined:
    """Quantities on one row of times."""

    columns: dict[str, Array]
    """``time`` and the quantities."""
    dropped_rows: int
    """Rows of the slowest needed quantity that were left out."""
    notes: tuple[str, ...]
    """What was left out, a phrase each."""


def increasing(time: Array) -> Mask:
    """Return the most rows (n,) whose times increase strictly: a longest increasing subsequence.

    A stamp that is off, early or late, costs its own row and no other.
    """
    if not np.any(np.diff(time) <= 0):
        return np.ones(len(time), dtype=np.bool_)
    last: list[float] = []  # least time that ends an increasing choice of each length
    row_of: list[int] = []
    before = np.full(len(time), -1)
    for row, stamp in enumerate(time.tolist()):
        length = bisect_left(last, stamp)
        if length == len(last):
            last.append(stamp)
            row_of.append(row)
        else:
            last[length], row_of[length] = stamp, row
        before[row] = row_of[length - 1] if length else -1
    keep = np.zeros(len(time), dtype=np.bool_)
    row = row_of[-1]
    while row >= 0:
        keep[row] = True
        row = int(before[row])
    return keep


def join(tracks: Mapping[str, Track], needed: Sequence[str], where: str) -> Joined:
    """Bring ``tracks`` onto the times of the slowest of those ``needed``.

    A track that is not needed and does not reach over the rows is left out.

    Raises:
        InputError: a needed track has fewer than two usable rows, or no row has all of them.
    """
    clean: dict[str, Track] = {}
    notes: list[str] = []
    for name, track in tracks.items():
        good, why = _usable(name, track)
        notes += why
        if len(good.time) >= 2:
            clean[name] = good
        elif name in needed:
            raise InputError(
                f"{where}: {name} has {len(good.time)} usable rows of {len(track.time)}, expected at "
                f"least 2{'; ' + '; '.join(why) if why else ''}"
            )
    base = max(needed, key=lambda name: (_step(clean[name]), -len(clean[name].time)))
    rows = clean[base].time
    time = _covered(rows, [clean[name] for name in needed])
    if len(time) < 2:
        raise InputError(
            f"{where}: {', '.join(needed)} were logged together at {len(time)} times, expected at "
            "least 2; was the log cut short?"
        )
    columns = {"time": time}
    step = float(np.median(np.diff(time)))
    for name, track in clean.items():
        if name not in needed and (track.time[0] > time[-1] or track.time[-1] < time[0]):
            notes.append(f"{name}: logged at other times than the flight")
            continue
        columns[name] = values_at(time, track, step)
    if len(time) < len(rows):
        notes.append(
            f"{len(rows) - len(time)} of {len(rows)} rows of {base}: without "
            f"{', '.join(name for name in needed if name != base) or 'the rest'}"
        )
    most = max(len(track.time) for track in tracks.values())
    shared = all(len(track.time) == most for track in tracks.values())
    dropped = (most if shared else len(rows)) - len(time)
    return Joined(columns, dropped, tuple(_merged(notes)))


def _usable(name: str, track: Track) -> tuple[Track, list[str]]:
    """Return the rows that are numbers at increasing times, and what was left out."""
    if not len(track.time):
        return track, []
    flat = track.values.reshape(len(track.time), -1)
    number = (np.abs(flat) <= LARGEST).all(axis=1) & (np.abs(track.time) <= LONGEST)
    keep = np.flatnonzero(number)
    keep = keep[increasing(track.time[keep])]
    why = []
    if not number.all():
        why.append(f"{int((~number).sum())} of {len(number)} rows of {name}: not a number")
    if len(keep) < number.sum():
        why.append(
            f"{int(number.sum()) - len(keep)} of {len(number)} rows of {name}: time repeats or jumps"
        )
    return Track(track.time[keep], track.values[keep], track.kind), why


def _merged(notes: Sequence[str]) -> list[str]:
    """Say once what befell several quantities alike."""
    alike: dict[tuple[str, str], list[str]] = {}
    for note in notes:
        head, _, tail = note.partition(": ")
        count, of, name = head.rpartition(" of ")
        alike.setdefault((count, tail) if of else (note, ""), []).append(name if of else "")
    return [
        f"{count} of {', '.join(names)}: {tail}" if tail else count
        for (count, tail), names in alike.items()
    ]


def _step(track: Track) -> float:
    return float(np.median(np.diff(track.time)))


def _covered(time: Array, tracks: Sequence[Track]) -> Array:
    """Return the times that every track has samples around, no further apart than a gap."""
    step = float(np.median(np.diff(time)))
    keep = np.ones(len(time), dtype=np.bool_)
    for track in tracks:
        after = np.searchsorted(track.time, time)
        left = track.time[np.clip(after - 1, 0, None)]
        right = track.time[np.clip(after, None, len(track.time) - 1)]
        longest = GAP_STEPS * max(step, _step(track))
        on_row = np.isin(time, track.time)
        keep &= on_row | ((left <= time) & (time <= right) & (right - left <= longest))
    return time[keep]


def values_at(time: Array, track: Track, step: float = 0.0) -> Array:
    """Return a track's values at ``time``, averaged over ``step`` [s] if they are faster."""
    if track.kind == "state":
        held = np.searchsorted(track.time, time, side="right") - 1
        return track.values[np.clip(held, 0, None)]
    values = track.values.reshape(len(track.time), -1)
    if track.kind == "attitude":
        flip = np.where(np.sum(values[1:] * values[:-1], axis=1) < 0, -1.0, 1.0)
        values = values * np.concatenate([[1.0], np.cumprod(flip)])[:, None]
    half = np.zeros(len(time))
    if step > FASTER * _step(track):  # as far as the track reaches to both sides
        half = np.minimum(step / 2, np.minimum(time - track.time[0], track.time[-1] - time))
    wide = half > step / 20
    result = _interpolated(time, track.time, values)
    ends = [_integral(time[wide] + sign * half[wide], track.time, values) for sign in (-1, 1)]
    result[wide] = (ends[1] - ends[0]) / (2 * half[wide, None])
    if track.kind == "attitude":
        length = np.linalg.norm(result, axis=1, keepdims=True)
        result = result / np.where(length > 0, length, 1.0)
    return result.reshape(len(time), *track.values.shape[1:])


def _interpolated(at: Array, time: Array, values: Array) -> Array:
    """Return the straight lines through ``values`` (n, k) at ``at``."""
    return np.stack([np.interp(at, time, column) for column in values.T], axis=1)


def _integral(at: Array, time: Array, values: Array) -> Array:
    """Return the integral of the straight lines through ``values`` (n, k) from the start to ``at``."""
    steps = np.diff(time)[:, None]
    whole = np.cumsum(steps * (values[1:] + values[:-1]) / 2, axis=0)
    before = np.clip(np.searchsorted(time, at, side="right") - 1, 0, len(time) - 1)
    sums = np.concatenate([np.zeros((1, values.shape[1])), whole])
    part = (at - time[before])[:, None] * (values[before] + _interpolated(at, time, values)) / 2
    return np.asarray(sums[before] + part)
