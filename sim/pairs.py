"""Paired comparison: the same start and the same noise, flown by a controller and by a baseline.

Landings are paired by seed, inside one group (one scenario, say). Of a figure that is better when it
is smaller, a pair has the difference |mine| - |the baseline's|, and a winner:

    both succeeded              the smaller one wins; the same figure is a tie
    one failed                  it loses the pair: difference + infinity (mine), - infinity (theirs)
    both failed                 a tie: difference 0
    no such figure, though      the pair decides nothing, and is counted as ``not_comparable``:
    both succeeded              whether a flight that never touched met the floor softly has no answer

A failure is a crash, a refusal, a flight that raised an error, or a vehicle that was to land and did
not. None is dropped: an infinite difference has its rank like any other, so the median and its exact
interval hold with failures among them. The mean has no meaning with them: it is that of the pairs in
which both succeeded, and says of how many. The win rate is that of the pairs that were decided, as in
the sign test, so that it turns to its complement when baseline and controller change places.

Source of the win rate: Dixon, Mood, "The statistical sign test", JASA 41, 1946.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.sim.statistics import mean, middle, share

Array = npt.NDArray[np.float64]
Row = Mapping[str, Any]
"""A landing: the keys of a summary, and ``refused`` or ``error``: text where there was no flight."""

PAIRED = (
    "z_max_error_m",
    "z_rmse_m",
    "terminal_z_error_m",
    "touchdown_speed_m_s",
    "landing_time_s",
    "xy_end_m",
)
"""Figures that are compared pair by pair; of each the smaller size is better."""

SIMPLE = ("observer", "pid", "textbook", "textbook-fitted", "pd", "indi", "l1")
"""Controllers without a network and without the simulator's truth: what a baseline is taken from."""

STRONGEST = "the simple controller with the smallest median z RMSE there, a failure's infinite"
FIRST = "the first controller: no simple one flew"
GIVEN = "given"
"""How a baseline was come by."""


def failed(row: Row) -> bool:
    """Whether a landing failed: it crashed, was refused, raised, or was to land and did not."""
    if row.get("refused") or row.get("error") or row.get("crashed", True):
        return True
    return bool(row.get("lands", True)) and not row["landed"]


def strongest_simple(rows: Sequence[Row]) -> str | None:
    """Return the simple controller with the smallest median z RMSE; a failure's is infinite.

    Of equals that with fewer failures. Call it with the landings of one scenario: what is strong over
    a table need not be in a gust. It is chosen from the flights it is then compared on: that favours
    the baseline, never its challenger. None where no simple controller flew.
    """
    ranks = []
    for name in dict.fromkeys(row["controller"] for row in rows):
        if name not in SIMPLE:
            continue
        mine = [row for row in rows if row["controller"] == name]
        sizes = [math.inf if failed(row) else row.get("z_rmse_m") for row in mine]
        known = [size for size in sizes if size is not None]
        typical = float(np.median(known)) if known else math.inf
        ranks.append((typical, sum(map(failed, mine)), name))
    return min(ranks)[2] if ranks else None


def baseline_of(rows: Sequence[Row], given: str | None = None) -> tuple[str, str]:
    """Return whom the controllers of one scenario are paired with, and how that was chosen."""
    if given is not None:
        return given, GIVEN
    strongest = strongest_simple(rows)
    return (strongest, STRONGEST) if strongest else (rows[0]["controller"], FIRST)


def compare_pairs(
    rows: Sequence[Row],
    baseline: str,
    by: Sequence[str] = ("scenario",),
    figures: Sequence[str] = PAIRED,
) -> list[dict[str, Any]]:
    """Compare every controller with the baseline, group by group; return an entry for each two.

    An entry has the keys of ``by``, ``controller``, ``baseline``, ``pairs`` (how many),
    ``failed_both``, ``failed_only_controller``, ``failed_only_baseline``, and for each figure what
    ``compare_figure`` returns.

    Args:
        rows: landings, in any order.
        baseline: name of a controller.
        by: keys that all landings of a pair share, beside the seed.
        figures: keys of a summary.

    Raises:
        ValueError: two landings of one controller share group and seed, or one lacks its partner.
    """
    table: dict[tuple[Any, ...], dict[str, dict[Any, Row]]] = {}
    for row in rows:
        group = table.setdefault(tuple(row.get(key) for key in by), {})
        mine = group.setdefault(row["controller"], {})
        if row["seed"] in mine:
            raise ValueError(f"two landings of {row['controller']} with seed {row['seed']}")
        mine[row["seed"]] = row
    entries = []
    for values, group in table.items():
        theirs = group.get(baseline, {})
        for name, mine in group.items():
            if name == baseline:
                continue
            if mine.keys() != theirs.keys():
                raise ValueError(f"{name} and {baseline} flew different seeds")
            pairs = [(mine[seed], theirs[seed]) for seed in sorted(mine)]
            entries.append(
                {
                    **dict(zip(by, values, strict=True)),
                    "controller": name,
                    "baseline": baseline,
                    "pairs": len(pairs),
                    "failed_both": sum(failed(a) and failed(b) for a, b in pairs),
                    "failed_only_controller": sum(failed(a) and not failed(b) for a, b in pairs),
                    "failed_only_baseline": sum(failed(b) and not failed(a) for a, b in pairs),
                    **{key: compare_figure(pairs, key) for key in figures},
                }
            )
    return entries


def differences(pairs: Sequence[tuple[Row, Row]], key: str) -> Array:
    """Return |mine| - |the baseline's| of each pair (n,), NaN where the pair is not comparable."""
    return np.array([_difference(mine, theirs, key) for mine, theirs in pairs], dtype=np.float64)


def _difference(mine: Row, theirs: Row, key: str) -> float:
    if failed(mine) or failed(theirs):
        return 0.0 if failed(theirs) and failed(mine) else math.inf if failed(mine) else -math.inf
    a, b = mine.get(key), theirs.get(key)
    return math.nan if a is None or b is None else abs(a) - abs(b)


def compare_figure(
    pairs: Sequence[tuple[Row, Row]], key: str, average: bool = True
) -> dict[str, Any] | None:
    """Return how one figure stands in pairs (mine, the baseline's); None where it does not apply.

    It does not where no pair of two successes has it.

    Keys: ``wins, losses, ties, not_comparable`` (counts); ``win_rate`` of the decided pairs with
    Clopper and Pearson's interval, None where none was decided; ``median`` of the differences, all
    failures in it, with its exact interval; ``mean`` of the ``mean_of`` pairs in which both succeeded,
    with its bootstrap interval, which takes memory for thousands of resamples (``average`` false: none);
    ``differences`` pair by pair, by increasing seed. Infinite numbers
    stand as the text "inf" or "-inf", which ``float`` reads; a difference that does not apply is None.
    """
    every = differences(pairs, key)
    known = every[~np.isnan(every)]
    both = np.array([not (failed(a) or failed(b)) for a, b in pairs])
    if both.any() and np.isnan(every[both]).all():
        return None
    wins, losses = int((known < 0).sum()), int((known > 0).sum())
    flown = every[both & ~np.isnan(every)]
    return {
        "wins": wins,
        "losses": losses,
        "ties": len(known) - wins - losses,
        "not_comparable": len(every) - len(known),
        "win_rate": share(wins, wins + losses) if wins + losses else None,
        "median": {name: plain(value) for name, value in middle(known).items()},
        "mean": mean(flown) if average and len(flown) else None,
        "mean_of": len(flown),
        "differences": [None if np.isnan(d) else plain(float(d)) for d in every],
    }


def plain(value: Any) -> Any:
    """Return a number as JSON can hold it: an infinite one as the text that ``float`` reads."""
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value
