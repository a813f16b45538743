"""``report.html``: one file that says what a campaign found, and how to repeat it.

It loads nothing from elsewhere. Every name in it that came from a file is escaped (jinja2), and a
policy in its head forbids scripts.
"""

import json
import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pyarrow.compute as pc

from neural_lander.controller.files import read_json, write_whole
from neural_lander.sim.campaign import pictures
from neural_lander.sim.campaign.folder import FOUND, IDENTITY, REPORT, RESULTS
from neural_lander.sim.campaign.rows import ERROR, parameter_column
from neural_lander.sim.campaign.spec import Spec
from neural_lander.sim.campaign.tables import (
    FIGURES,
    Group,
    groups,
    points_of,
    select,
    shards_of_cells,
)
from neural_lander.sim.campaign.worst import fly_again, worst_rows
from neural_lander.sim.statistics import CONFIDENCE
from neural_lander.sim.verdict import OUTCOMES

MOST_ERRORS = 5
HEADS = {
    "landing_time_s": ("time [s]", 1.0, 2),
    "touchdown_speed_m_s": ("touchdown [m/s]", 1.0, 3),
    "contact_speed_max_m_s": ("contact, max [m/s]", 1.0, 3),
    "terminal_z_error_m": ("z end [mm]", 1e3, 1),
    "z_rmse_m": ("z rms [mm]", 1e3, 1),
    "z_max_error_m": ("z max [mm]", 1e3, 1),
    "xy_end_m": ("xy end [mm]", 1e3, 1),
    "final_height_m": ("rest [mm]", 1e3, 1),
}
"""Figure -> head of its column, what it is multiplied by to be read, and decimals."""
assert HEADS.keys() == set(FIGURES)


def write_report(spec: Spec, out: Path) -> dict[str, Any]:
    """Write the report of what is on disk, and the runs of its worst landings; return its tables."""
    paths = sorted((out / RESULTS).glob("*.parquet"))
    where = shards_of_cells(spec, paths)
    shown: list[dict[str, Any]] = []
    for group in groups(spec, paths) if paths else ():
        shown.append(
            {
                "scenario": group.scenario,
                "aero": group.aero,
                "baseline": group.baseline,
                "baseline_is": group.baseline_is,
                "lines": group.lines,
                "picture": pictures.outcomes(group),
                "scatter": _scatter(spec, where, group),
            }
        )
    worst = fly_again(spec, worst_rows(paths), out)
    found = read_json(out / FOUND)["cells"] if (out / FOUND).is_file() else []
    page = _template().render(
        spec=spec,
        groups=shown,
        heads=HEADS,
        outcomes=OUTCOMES,
        worst=worst,
        errors=_errors(paths),
        search=found,
        identity=read_json(out / IDENTITY),
        confidence=CONFIDENCE,
        done=sum(line["landings"] for group in shown for line in group["lines"]),
    )
    write_whole(out / REPORT, lambda path: _write(path, page))
    return {
        "groups": [{k: v for k, v in g.items() if k not in ("picture", "scatter")} for g in shown],
        "worst": [
            {"row": bad.row, "run": bad.folder, "command": bad.command, "repeats": bad.repeats}
            for bad in worst
        ],
        "search": found,
    }


def _template() -> jinja2.Template:
    text = (resources.files("neural_lander.sim.campaign") / "report.html.jinja").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"figure": _figure, "spread": _spread, "percent": _percent}
    environment.filters["as_json"] = lambda value: json.dumps(value, indent=1, ensure_ascii=False)
    return environment.from_string(text)


def _figure(value: float | str | None, key: str) -> str:
    """Return a figure as people read it; an infinite one may stand as text."""
    _, scale, decimals = HEADS[key]
    value = None if value is None else float(value)
    if value is not None and math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return "–" if value is None else f"{round(scale * value, decimals) + 0.0:.{decimals}f}"


def _spread(entry: dict[str, Any] | None, key: str) -> str:
    """Return a median with its interval."""
    if entry is None:
        return "–"
    m = entry["median"]
    ends = [m["low"], m["high"]]
    middle = _figure(m["value"], key)
    return (
        middle
        if ends == [None, None]
        else f"{middle} ({' … '.join(_figure(x, key) for x in ends)})"
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.3g} %"


def _scatter(spec: Spec, where: Sequence[Sequence[Path]], group: Group) -> list[tuple[str, str]]:
    """Return controller and picture of severity over the parameters."""
    shown = []
    for cell in spec.cells if spec.parameters else ():
        if (cell.scenario, cell.aero) != (group.scenario, group.aero) or not where[cell.number]:
            continue
        table = points_of(spec, where[cell.number], cell)
        table = table.filter(pc.is_valid(table["severity"]))
        if len(table):
            names = [p.name for p in spec.parameters]
            values = np.stack([table[parameter_column(n)].to_numpy() for n in names], axis=1)
            crashed = np.array(table["crashed"].to_pylist(), bool)
            picture = pictures.points(names, values, table["severity"].to_numpy(), crashed)
            shown.append((cell.controller, picture))
    return shown


def _errors(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the first landings of different errors."""
    if not paths:
        return []
    columns = ("landing", "scenario", "aero", "controller", "seed", "error", "traceback")
    different: dict[str, dict[str, Any]] = {}
    for path in paths:
        for row in select([path], columns, status=ERROR).to_pylist():
            different.setdefault(row["error"].split(":")[0] + row["traceback"][-200:], row)
            if len(different) == MOST_ERRORS:
                return list(different.values())
    return list(different.values())


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
