"""The worst landings of a campaign, flown again: their runs on disk, and how to repeat each."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from neural_lander.controller.fastest import FASTEST, SPEED
from neural_lander.controller.files import write_whole
from neural_lander.sim.campaign.folder import WORST
from neural_lander.sim.campaign.rows import FIGURES, parameter_column
from neural_lander.sim.campaign.run import sealed
from neural_lander.sim.campaign.scenario_file import scenario_text
from neural_lander.sim.campaign.severity import severity
from neural_lander.sim.campaign.spec import Cell, Spec
from neural_lander.sim.campaign.worker import flight_at, hold_to
from neural_lander.sim.rollout import fly
from neural_lander.sim.run_folder import FLIGHT, PICTURE, SUMMARY, write_run

COUNT = 5
SCENARIO = "scenario.toml"


@dataclass(frozen=True)
class Bad:
    """One of the worst landings."""

    row: dict[str, Any]
    values: dict[str, float]
    """Of the parameters."""
    folder: str
    """Its run, relative to the campaign's folder."""
    command: str
    """What repeats it, run in the campaign's folder."""
    repeats: bool
    """Whether flying it again gave the row's figures to the last digit."""

    @property
    def files(self) -> dict[str, str]:
        """What lies in the run -> its path relative to the campaign's folder."""
        names = {"log": FLIGHT, "figures": SUMMARY, "picture": PICTURE}
        return {what: f"{self.folder}/{name}" for what, name in names.items()}


def worst_rows(paths: list[Path], count: int = COUNT) -> list[dict[str, Any]]:
    """Return the rows of the greatest severity, worst first; of equals the first landing."""
    found: list[dict[str, Any]] = []
    for path in paths:
        table = pq.read_table(path, partitioning=None)
        flown = table.filter(pc.is_valid(table["severity"]))
        order = [("severity", "descending"), ("landing", "ascending")]
        found += flown.sort_by(order).slice(0, count).to_pylist()
        found = sorted(found, key=lambda row: (-row["severity"], row["landing"]))[:count]
    return found


def fly_again(spec: Spec, rows: list[dict[str, Any]], out: Path, part: str = WORST) -> list[Bad]:
    """Fly rows again and write their runs below ``out``; return them with their commands."""
    found = []
    hold_to(*sealed(spec))
    for i, row in enumerate(rows):
        cell = next(
            c for c in spec.cells
            if (c.scenario, c.aero, c.controller) == (row["scenario"], row["aero"], row["controller"])
        )  # fmt: skip
        values = {p.name: row[parameter_column(p.name)] for p in spec.parameters}
        folder = f"{part}/{i + 1}"
        flight = flight_at(cell, values)
        landing = fly(flight, row["seed"])
        write_run(out / folder, landing)
        scenario = cell.options.scenario
        if values:
            scenario = f"{folder}/{SCENARIO}"
            text = scenario_text(flight.scenario)
            write_whole(out / scenario, lambda path, text=text: _write(path, text))  # type: ignore[misc]
        same = all(row[key] == landing.summary[key] for key in FIGURES)
        same = same and row["severity"] == severity(landing.summary)
        command = command_of(cell, scenario, row["seed"], f"{folder}-again")
        found.append(Bad(row, values, folder, command, same))
    return found


def command_of(cell: Cell, scenario: str, seed: int, out: str) -> str:
    """Return the command line that flies one landing of a cell."""
    o = cell.options
    words = ["neural-lander", "land", "--vehicle", o.vehicle, "--controller", cell.flown]
    words += ["--scenario", scenario, "--reference", o.reference, "--aero", o.aero]
    words += ["--engine", o.engine]
    if o.reference == FASTEST:
        words += ["--touchdown-speed", repr(o.touchdown_speed)]
        if o.descent_speed != SPEED:
            words += ["--descent-speed", repr(o.descent_speed)]
    if o.model is not None:
        words += ["--model", str(o.model)]
    if o.certificate is not None:
        words += ["--certificate", str(o.certificate)]
    if o.uncertified:
        words += ["--uncertified"]
    return shlex.join([*words, "--seed", str(seed), "--out", out])


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
