"""When a landing is a good one: the mark that ways to learn are compared by."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

TERMINAL_Z_ERROR = 0.006
"""[m]"""
TOUCHDOWN_SPEED = 0.3
"""[m/s]"""
SHARE = 0.95
"""Of all seeds."""


def is_good(summary: dict[str, Any]) -> bool:
    """Whether it landed, at most 6 mm off the reference in its last half second, at most 0.3 m/s fast."""
    error, touch = summary["terminal_z_error_m"], summary["touchdown_speed_m_s"]
    return bool(
        summary["landed"]
        and error is not None
        and abs(error) <= TERMINAL_Z_ERROR
        and touch is not None
        and touch <= TOUCHDOWN_SPEED
    )


def qualities(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return how many of several landings are good, landed, crashed, and their figures' medians."""

    def median(key: str) -> float | None:
        values = [abs(s[key]) for s in summaries if s[key] is not None]
        return float(np.median(values)) if values else None

    return {
        "flown": len(summaries),
        "good": sum(is_good(s) for s in summaries),
        "landed": sum(s["landed"] for s in summaries),
        "crashed": sum(s["crashed"] for s in summaries),
        **{key: median(key) for key in ("terminal_z_error_m", "touchdown_speed_m_s", "xy_end_m")},
    }


def reached(curve: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the data [s] from which on 95 % of the landings were good at every look; None: never."""
    good = [entry["good"] >= SHARE * entry["flown"] for entry in curve]
    if not good or not good[-1]:
        return None
    last_bad = max((i for i, well in enumerate(good) if not well), default=-1)
    return float(curve[last_bad + 1]["flown_s"])
