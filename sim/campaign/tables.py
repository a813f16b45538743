"""The rows of a campaign as tables: a group for each scenario and aerodynamics, a line a controller.

Nothing is dropped: refusals and errors are counted beside what flew, and a figure says of how many
landings it is. Differences are paired: the same seed, so the same start, noise and point, flown by
the controller and by the baseline.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from neural_lander.sim.campaign.failures import failures
from neural_lander.sim.campaign.rows import ERROR, FLOWN, REFUSED, parameter_column
from neural_lander.sim.campaign.spec import Spec
from neural_lander.sim.statistics import quantile

Array = npt.NDArray[np.float64]

FIGURES = (
    "landing_time_s",
    "touchdown_speed_m_s",
    "contact_speed_max_m_s",
    "terminal_z_error_m",
    "z_rmse_m",
    "z_max_error_m",
    "xy_end_m",
    "final_height_m",
)
"""Summarised by their size."""
COUNTED = ("status", "crashed", "landed", "lands", "cut_in_air")


@dataclass(frozen=True)
class Group:
    """What one scenario and aerodynamics gave."""

    scenario: str
    aero: str
    lines: list[dict[str, Any]]
    """One for each controller, in the order of the spec."""
    figures: dict[str, dict[str, Array]]
    """Controller -> figure -> its size where it applies (n,)."""


def groups(spec: Spec, paths: Sequence[Path]) -> Iterator[Group]:
    """Yield the groups of a campaign, one in memory at a time."""
    cells = {(c.scenario, c.aero): [] for c in spec.cells}  # type: ignore[var-annotated]
    for cell in spec.cells:
        cells[cell.scenario, cell.aero].append(cell.controller)
    for (scenario, aero), controllers in cells.items():
        columns = {c: _columns(spec, paths, scenario, aero, c) for c in controllers}
        yield Group(
            scenario,
            aero,
            [_line(spec, c, columns[c], columns[spec.baseline]) for c in controllers],
            {
                c: {key: _size(columns[c], key)[1] for key in FIGURES}
                | {"severity": _severities(columns[c])}
                for c in controllers
            },
        )


def select(paths: Sequence[Path], columns: Sequence[str], **wanted: str | int) -> pa.Table:
    """Return some columns of the rows that have the values wanted."""
    if not paths:
        return pa.table({key: [] for key in columns})
    condition = None
    for key, value in wanted.items():
        this = pc.field(key) == value
        condition = this if condition is None else condition & this
    return pq.read_table(
        [str(path) for path in paths], columns=list(columns), filters=condition, partitioning=None
    )


def points_of(
    spec: Spec, paths: Sequence[Path], scenario: str, aero: str, controller: str
) -> pa.Table:
    """Return the parameters' values, severity and status of a cell."""
    names = [parameter_column(p.name) for p in spec.parameters]
    wanted = {"scenario": scenario, "aero": aero, "controller": controller}
    return select(paths, [*names, "severity", "status", "crashed"], **wanted)


def _columns(
    spec: Spec, paths: Sequence[Path], scenario: str, aero: str, controller: str
) -> pa.Table:
    wanted = {"scenario": scenario, "aero": aero, "controller": controller}
    table = select(paths, ["seed", *COUNTED, *FIGURES, "severity", "refused"], **wanted)
    return table.sort_by("seed")


def _size(table: pa.Table, key: str) -> tuple[Array, Array]:
    """Return seeds and sizes of a figure, where it applies."""
    here = table.filter(pc.is_valid(table[key]))
    return here["seed"].to_numpy(), np.abs(here[key].to_numpy())


def _severities(table: pa.Table) -> Array:
    return np.asarray(table["severity"].drop_null().to_numpy(), np.float64)


def _line(spec: Spec, controller: str, mine: pa.Table, baseline: pa.Table) -> dict[str, Any]:
    """Return what one controller did."""
    status = mine["status"].to_pylist()
    flown = mine.filter(pc.equal(mine["status"], FLOWN))
    crashed, landed, lands = (
        np.array(flown[key].to_pylist(), bool) for key in ("crashed", "landed", "lands")
    )
    errors, refused = status.count(ERROR), status.count(REFUSED)
    failed = crashed | (lands & ~landed)
    line: dict[str, Any] = {
        "controller": controller,
        "landings": len(status),
        "flown": len(flown),
        "missing": len(spec.seeds) - len(status),
        "refused": refused,
        "errors": errors,
        "landed": int(landed.sum()),
        "crashed": int(crashed.sum()),
        "stayed_up": int((lands & ~landed & ~crashed).sum()),
        "cut_in_air": flown["cut_in_air"].to_pylist().count(True),
        # a landing that raised was not a success
        "failures": failures(int(failed.sum()) + errors, len(flown) + errors, spec.is_independent),
        "why_refused": next((why for why in mine["refused"].to_pylist() if why), None),
    }
    for key in FIGURES:
        seeds, sizes = _size(mine, key)
        line[key] = _summary(sizes, spec.is_independent)
        if controller != spec.baseline:
            others, theirs = _size(baseline, key)
            _, i, j = np.intersect1d(seeds, others, return_indices=True)
            gap = sizes[i] - theirs[j]
            line[f"{key} difference"] = _summary(gap, spec.is_independent, wins=True)
    return line


def _summary(values: Array, independent: bool, wins: bool = False) -> dict[str, Any] | None:
    """Return median and 95 %; with an interval of the median where landings are independent."""
    if not len(values):
        return None
    found: dict[str, Any] = {"n": len(values)}
    for name, q in (("median", 0.5), ("p95", 0.95)):
        entry = quantile(values, q)
        found[name] = entry if independent else entry | {"low": None, "high": None}
    if wins:
        found["smaller"] = float((values < 0).mean())
    return found
