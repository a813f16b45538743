"""One landing, one row: what it was, what became of it, its figures.

``status`` is ``flown``, ``refused`` (a certificate is missing or says no), ``impossible`` (no vehicle can
be in the world that was drawn, whatever flies it) or ``error`` (it raised).
Columns that begin with ``wall_`` are of the clock on the wall; all others are the same bytes wherever
and whenever the landing is flown.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pyarrow as pa

FLOWN, REFUSED, IMPOSSIBLE, ERROR = "flown", "refused", "impossible", "error"
WALL = "wall_"

OWN = {
    "landing": pa.int64(),
    "scenario": pa.string(),
    "aero": pa.string(),
    "controller": pa.string(),
    "seed": pa.int64(),
    "status": pa.string(),
    "refused": pa.string(),
    "error": pa.string(),
    "traceback": pa.string(),
    "severity": pa.float64(),
}
"""What a campaign says of a landing itself."""

FIGURES = {
    "reference": pa.string(),
    "vehicle": pa.string(),
    "certified": pa.bool_(),
    "lands": pa.bool_(),
    "crashed": pa.bool_(),
    "crash_reason": pa.string(),
    "outcome": pa.string(),
    "landed": pa.bool_(),
    "motors_cut": pa.bool_(),
    "touched": pa.bool_(),
    "cut_in_air": pa.bool_(),
    "landing_time_s": pa.float64(),
    "touchdown_speed_m_s": pa.float64(),
    "contact_speed_max_m_s": pa.float64(),
    "rise_after_contact_m": pa.float64(),
    "slide_m": pa.float64(),
    "terminal_z_error_m": pa.float64(),
    "final_height_m": pa.float64(),
    "z_rmse_m": pa.float64(),
    "z_max_error_m": pa.float64(),
    "force_rmse_low_n": pa.float64(),
    "xy_end_m": pa.float64(),
    "xy_max_m": pa.float64(),
    "tilt_max_rad": pa.float64(),
    "saturated_share": pa.float64(),
    "solver_failures": pa.int64(),
    "tube_xyz_m": pa.list_(pa.float64()),
    "tube_violations": pa.int64(),
    "tube_used_xyz": pa.list_(pa.float64()),
    "monitor_events": pa.int64(),
    "monitor_event": pa.string(),
    "monitor_event_s": pa.float64(),
}
"""Those of ``summary.json``."""

CLOCK = {"wall_s": pa.float64(), "wall_real_time_factor": pa.float64()}


def parameter_column(name: str) -> str:
    """Return the column of a parameter's value."""
    return f"parameter {name}"


@cache
def schema(parameters: Sequence[str]) -> pa.Schema:
    """Return the columns of a campaign with these parameters (a tuple)."""
    drawn = {parameter_column(name): pa.float64() for name in parameters}
    return pa.schema({**OWN, **drawn, **FIGURES, **CLOCK})


def figures_of(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that a summary fills.

    Raises:
        KeyError: a figure that no column is made for, or one that is missing.
    """
    known = FIGURES.keys() | {"scenario", "aero", "controller", "seed", "real_time_factor"}
    if summary.keys() != known:
        raise KeyError(f"summary and columns differ in {sorted(summary.keys() ^ known)}")
    found = {key: summary[key] for key in FIGURES}
    return found | {"wall_real_time_factor": summary["real_time_factor"]}


def without_clock(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without what the clock on the wall says."""
    return {key: value for key, value in row.items() if not key.startswith(WALL)}
