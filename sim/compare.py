"""Comparing landings: runs side by side in a picture, or controllers over many seeds in a table.

Over seeds every controller flies the same starts and the same noise. Failures are counted, never
dropped: a figure is summarised over the flights where it applies, and the table says how many of
all flights landed, crashed, or were refused.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import write_json
from neural_lander.sim.figures import draw_comparison
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.run_folder import read_run
from neural_lander.sim.statistics import quantile, share
from neural_lander.sim.verdict import REFUSED

SPREADS = (
    "terminal_z_error_m",
    "z_rmse_m",
    "z_max_error_m",
    "force_rmse_low_n",
    "touchdown_speed_m_s",
    "landing_time_s",
    "xy_end_m",
    "final_height_m",
)
"""Figures that are summarised by median and 95 % of their absolute value."""


def compare_runs(runs: Sequence[Path], out: Path) -> dict[str, Any]:
    """Draw several runs side by side and write ``comparison.png``, ``.pdf`` and ``.json``.

    Raises:
        InputError: a folder is no run, or the runs are not of one scenario and reference.
    """
    if not runs:
        raise InputError("no runs given; `neural-lander land` makes them")
    loaded = [read_run(folder) for folder in runs]
    for key in ("vehicle", "scenario", "reference", "aero"):
        values = sorted({str(summary[key]) for _, summary in loaded})
        if len(values) > 1:
            raise InputError(
                f"the runs differ in {key} ({', '.join(values)}); compare runs of one {key} at a time"
            )
    (out / "comparison.json").unlink(missing_ok=True)  # last written, first removed
    pictures = draw_comparison(loaded, out / "comparison.png")
    result = {
        "runs": [
            summary | {"run": str(folder)}
            for folder, (_, summary) in zip(runs, loaded, strict=True)
        ],
        "pictures": [str(path) for path in pictures],
    }
    write_json(out / "comparison.json", result)
    return result


def fly_seeds(
    flights: Sequence[Flight | str],
    names: Sequence[str],
    seeds: Sequence[int],
    progress: Callable[[float, str], None] | None = None,
) -> list[dict[str, Any]]:
    """Fly every flight with every seed; return a summary a landing.

    A flight given as text was refused: it stands in the result as that refusal.
    """
    rows: list[dict[str, Any]] = []
    for i, (flight, name) in enumerate(zip(flights, names, strict=True)):
        for seed in seeds:
            if isinstance(flight, str):
                rows.append({"controller": name, "seed": seed, "refused": flight})
            else:
                rows.append(fly(flight, seed).summary | {"refused": None})
            if progress and seed % 8 == 0:
                progress((i + (seed - seeds[0] + 1) / len(seeds)) / len(flights), name)
    return rows


def summarise_seeds(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Summarise landings by controller: counts of outcomes, medians and 95 % of each figure."""
    table: list[dict[str, Any]] = []
    for name in dict.fromkeys(row["controller"] for row in rows):
        mine = [row for row in rows if row["controller"] == name]
        flown = [row for row in mine if not row["refused"]]
        entry: dict[str, Any] = {
            "controller": name,
            "landings": len(mine),
            "refused": len(mine) - len(flown),
            "landed": sum(row["landed"] for row in flown),
            "landed_share": share(sum(row["landed"] for row in flown), len(mine)),
            "crashed": sum(row["crashed"] for row in flown),
            "slipped": sum(row["outcome"] in REFUSED for row in flown),
            "touched": sum(row["touched"] for row in flown),
            "cut_in_air": sum(bool(row["cut_in_air"]) for row in flown),
        }
        for key in SPREADS:
            values = [abs(row[key]) for row in flown if row[key] is not None]
            entry[key] = (
                {
                    "n": len(values),
                    "median": quantile(np.array(values), 0.5),
                    "p95": quantile(np.array(values), 0.95),
                }
                if values
                else None
            )
        table.append(entry)
    return table
