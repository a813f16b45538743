"""A table of cases and controllers, flown with the same seeds: what the measuring scripts share."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from neural_lander.sim.rollout import Flight

CONTROLLERS = "pd,pid,observer,learned,learned+observer,oracle,oracle+observer"
COUNTS = ("landed", "touched", "crashed")


@dataclass(frozen=True)
class Figures:
    """What of a landing is shown."""

    columns: Mapping[str, tuple[str, float, int]]
    """Figure -> head of its column, what it is multiplied by to be read, and decimals."""
    high: float
    """Quantile that is shown beside the median."""

    def of(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return counts, and median and high quantile of each figure's size, of those that have it."""
        entry: dict[str, Any] = {"n": len(rows)}
        for key in COUNTS:
            entry[key] = sum(row[key] for row in rows)
        for key in self.columns:
            values = [abs(row[key]) for row in rows if row[key] is not None]
            found = [float(np.quantile(values, q)) for q in (0.5, self.high)] if values else None
            entry[key] = found
        return entry

    def cells(self, entry: dict[str, Any]) -> list[str]:
        """Return an entry as text."""
        cells = [f"{entry[key]}/{entry['n']}" for key in COUNTS]
        for key, (_, scale, decimals) in self.columns.items():
            values = entry[key]
            text = (
                "-" if values is None else " / ".join(f"{scale * v:.{decimals}f}" for v in values)
            )
            cells.append(text)
        return cells


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that every such script has; ``doc`` is its help."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--vehicle", default="intel-aero")
    parser.add_argument("--aero", nargs="+", default=["rotor"])
    parser.add_argument("--seeds", default="0:200", help="first:last, the last left out")
    parser.add_argument("--train-seed", type=int, default=0)
    parser.add_argument("--controllers", default=CONTROLLERS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def fly_cases(
    title: str,
    cases: Sequence[str],
    controllers: Sequence[str],
    seeds: Sequence[int],
    flight_of: Callable[[str, str], Flight | str],
    landing: Callable[[Flight, int], dict[str, Any]],
    figures: Figures,
    console: Console,
) -> dict[str, dict[str, Any]]:
    """Fly every controller in every case, print the table, and return its entries.

    Args:
        title: over the table.
        cases: their names.
        controllers: their names.
        seeds: flown in every case by every controller.
        flight_of: case, controller -> flight; a refusal is text, and stands in the table as that.
        landing: flight, seed -> summary.
        figures: what is shown.
        console: where.
    """
    heads = [head for head, _, _ in figures.columns.values()]
    table = Table("case", "controller", *COUNTS, *heads, title=title)
    result: dict[str, dict[str, Any]] = {}
    with Progress(console=console) as progress:
        task = progress.add_task("flying", total=len(cases) * len(controllers) * len(seeds))
        for case in cases:
            for controller in controllers:
                flight = flight_of(case, controller)
                if isinstance(flight, str):
                    result.setdefault(case, {})[controller] = flight
                    table.add_row(case, controller, "refused")
                    progress.advance(task, len(seeds))
                    continue
                rows = []
                for seed in seeds:
                    rows.append(landing(flight, seed))
                    progress.advance(task)
                entry = figures.of(rows)
                result.setdefault(case, {})[controller] = entry
                table.add_row(case, controller, *figures.cells(entry))
            table.add_section()
    console.print(table)
    return result
