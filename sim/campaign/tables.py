"""The rows of a campaign as tables: a group for each scenario and aerodynamics, a line a controller.

Nothing is dropped: refusals and errors are counted beside what flew, and a figure says of how many
landings it is. Differences are paired: the same seed, so the same start, noise and point, flown by
the controller and by the baseline; there, as in ``pairs``, who crashes, is refused or raises loses,
however small the errors were until then. A world in which no vehicle can be is nobody's failure: it is
counted as ``impossible``, and in no share and no pair. ``failures`` are of the landings that flew,
``unsuccessful`` of those that were refused, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from neural_lander.controller.files import read_json
from neural_lander.sim.campaign.failures import failures
from neural_lander.sim.campaign.folder import IDENTITY, RESULTS
from neural_lander.sim.campaign.rows import (
    ERROR,
    FLOWN,
    IMPOSSIBLE,
    REFUSED,
    parameter_column,
    schema,
)
from neural_lander.sim.campaign.shards import PATTERN
from neural_lander.sim.campaign.spec import Cell, Spec
from neural_lander.sim.pairs import Row, baseline_of, compare_figure, failed
from neural_lander.sim.statistics import quantile
from neural_lander.sim.verdict import OUTCOMES

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
COUNTS = ("scenario", "aero", "controller", "status", "landed", "crashed")
COUNTED = ("status", "crashed", "landed", "lands", "outcome")


@dataclass(frozen=True)
class Group:
    """What one scenario and aerodynamics gave."""

    scenario: str
    aero: str
    baseline: str
    """The controller that the others are paired with."""
    baseline_is: str
    """How that was chosen."""
    lines: list[dict[str, Any]]
    """One for each controller, in the order of the spec."""
    figures: dict[str, dict[str, Array]]
    """Controller -> figure -> its size where it applies (n,)."""


def counts(folder: Path) -> dict[str, Any]:
    """Return how many landings of each cell of a campaign's folder are on disk, and of which outcome."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for path in sorted((folder / RESULTS).glob(PATTERN)):
        for row in pq.read_table(path, columns=list(COUNTS), partitioning=None).to_pylist():
            key = row["scenario"], row["aero"], row["controller"]
            names = ("landings", "landed", "crashed", "refused", "impossible", "errors")
            line = found.setdefault(key, dict.fromkeys(names, 0))
            line["landings"] += 1
            line["landed"] += bool(row["landed"])
            line["crashed"] += bool(row["crashed"])
            line["refused"] += row["status"] == REFUSED
            line["impossible"] += row["status"] == IMPOSSIBLE
            line["errors"] += row["status"] == ERROR
    cells = [
        {"scenario": s, "aero": a, "controller": c, **line} for (s, a, c), line in found.items()
    ]
    return {"version": read_json(folder / IDENTITY)["version"], "cells": cells}


def groups(spec: Spec, paths: Sequence[Path]) -> Iterator[Group]:
    """Yield the groups of a campaign, one in memory at a time."""
    cells: dict[tuple[str, str], list[Cell]] = {}
    for cell in spec.cells:
        cells.setdefault((cell.scenario, cell.aero), []).append(cell)
    where = shards_of_cells(spec, paths)
    for (scenario, aero), members in cells.items():
        names = [cell.controller for cell in members]
        columns = {c.controller: _columns(c, where[c.number]) for c in members}
        rows = {name: _possible(columns[name]) for name in names}
        every = [row for name in names for row in rows[name].values()]
        blank = [{"controller": names[0]}]
        baseline, how = baseline_of(every or blank, spec.baseline)
        yield Group(
            scenario,
            aero,
            baseline,
            how,
            [
                _line(spec, name, columns[name])
                | ({} if name == baseline else _pairs(spec, rows[name], rows[baseline]))
                for name in names
            ],
            {
                name: {
                    **{key: _size(columns[name], key) for key in FIGURES},
                    "severity": _severities(columns[name]),
                }
                for name in names
            },
        )


def shards_of_cells(spec: Spec, paths: Sequence[Path]) -> list[list[Path]]:
    """Return for each cell the shards that may hold landings of it: few of all."""
    found: list[list[Path]] = [[] for _ in spec.cells]
    for path in paths:
        about = pq.read_metadata(path)
        at = about.schema.names.index("landing")
        for i in range(about.num_row_groups):
            seen = about.row_group(i).column(at).statistics
            for number in range(seen.min // len(spec.seeds), seen.max // len(spec.seeds) + 1):
                if not found[number] or found[number][-1] != path:
                    found[number].append(path)
    return found


def select(paths: Sequence[Path], columns: Sequence[str], **wanted: str | int) -> pa.Table:
    """Return some columns of the rows that have the values wanted."""
    if not paths:
        return schema(()).empty_table().select(list(columns))
    condition = None
    for key, value in wanted.items():
        this = pc.field(key) == value
        condition = this if condition is None else condition & this
    return pq.read_table(
        [str(path) for path in paths], columns=list(columns), filters=condition, partitioning=None
    )


def points_of(spec: Spec, paths: Sequence[Path], cell: Cell) -> pa.Table:
    """Return the parameters' values, severity and outcome of a cell's landings."""
    names = [parameter_column(p.name) for p in spec.parameters]
    return select(paths, [*names, "severity", "status", "crashed"], **_key(cell))


def _key(cell: Cell) -> dict[str, str]:
    return {"scenario": cell.scenario, "aero": cell.aero, "controller": cell.controller}


def _columns(cell: Cell, paths: Sequence[Path]) -> pa.Table:
    names = ["controller", "seed", *COUNTED, *FIGURES, "severity", "refused", "error"]
    table = select(paths, names, **_key(cell))
    return table.sort_by("seed")


def _possible(table: pa.Table) -> dict[int, Row]:
    """Return seed -> landing, of the worlds that a vehicle can be in."""
    here = table.filter(pc.not_equal(table["status"], IMPOSSIBLE))
    return {row["seed"]: row for row in here.to_pylist()}


def _size(table: pa.Table, key: str) -> Array:
    """Return the sizes of a figure, where it applies."""
    return np.asarray(np.abs(table[key].drop_null().to_numpy()), np.float64)


def _severities(table: pa.Table) -> Array:
    return np.asarray(table["severity"].drop_null().to_numpy(), np.float64)


def _line(spec: Spec, controller: str, mine: pa.Table) -> dict[str, Any]:
    """Return what one controller did."""
    status = mine["status"].to_pylist()
    flown = mine.filter(pc.equal(mine["status"], FLOWN))
    crashed, landed, lands = (
        np.array(flown[key].to_pylist(), bool) for key in ("crashed", "landed", "lands")
    )
    became = flown["outcome"].to_pylist()
    impossible = mine.filter(pc.equal(mine["status"], IMPOSSIBLE))["error"]
    errors, refused = status.count(ERROR), status.count(REFUSED)
    # a landing that raised was not a success
    bad, n = int((crashed | (lands & ~landed)).sum()) + errors, len(flown) + errors
    line: dict[str, Any] = {
        "controller": controller,
        "landings": len(status),
        "flown": len(flown),
        "missing": len(spec.seeds) - len(status),
        "refused": refused,
        "impossible": len(impossible),
        "errors": errors,
        "outcomes": {name: became.count(name) for name in OUTCOMES},
        "failures": failures(bad, n, spec.is_independent),
        "unsuccessful": failures(bad + refused, n + refused, spec.is_independent),
        "why_refused": next((why for why in mine["refused"].to_pylist() if why), None),
        "why_impossible": impossible[0].as_py() if len(impossible) else None,
    }
    for key in FIGURES:
        line[key] = _summary(_size(mine, key), spec.is_independent)
    return line


def _pairs(spec: Spec, mine: Mapping[int, Row], theirs: Mapping[int, Row]) -> dict[str, Any]:
    """Return how one controller stands to the baseline, over the seeds that both have.

    ``pairs`` counts them and who failed; ``KEY difference`` is that of a figure (``compare_figure``): a
    median with its interval, wins, losses, ties and the win rate.
    """
    pairs = [(mine[seed], theirs[seed]) for seed in sorted(mine.keys() & theirs.keys())]
    line: dict[str, Any] = {
        "pairs": {
            "n": len(pairs),
            "failed_both": sum(failed(a) and failed(b) for a, b in pairs),
            "failed_only_controller": sum(failed(a) and not failed(b) for a, b in pairs),
            "failed_only_baseline": sum(failed(b) and not failed(a) for a, b in pairs),
        }
    }
    for key in FIGURES:
        figure = compare_figure(pairs, key, average=False) if pairs else None
        if figure is not None:
            del figure["differences"]
            if not spec.is_independent:
                for name in ("median", "win_rate"):
                    figure[name] = figure[name] and figure[name] | {"low": None, "high": None}
        line[f"{key} difference"] = figure
    return line


def _summary(values: Array, independent: bool) -> dict[str, Any] | None:
    """Return median and 95 %; with an interval of the median where landings are independent."""
    if not len(values):
        return None
    found: dict[str, Any] = {"n": len(values)}
    for name, q in (("median", 0.5), ("p95", 0.95)):
        entry = quantile(values, q)
        found[name] = entry if independent else entry | {"low": None, "high": None}
    return found
