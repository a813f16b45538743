"""``--search``: the worst case that each cell has inside the limits of its parameters.

Every point is flown with the first seeds of the spec, and the worst of these landings counts. Rows
go to ``search/`` as they come; a search that was stopped asks for the same points again and takes
from disk what it has flown.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.files import write_json
from neural_lander.sim.campaign.climb import Array, Climb
from neural_lander.sim.campaign.distributions import points
from neural_lander.sim.campaign.folder import CASES, FOUND, SEARCH
from neural_lander.sim.campaign.rows import parameter_column, schema
from neural_lander.sim.campaign.run import (
    Crew,
    claimed,
    died,
    require_flyable,
    sealed,
)
from neural_lander.sim.campaign.shards import Shards
from neural_lander.sim.campaign.spec import Cell, Spec
from neural_lander.sim.campaign.worker import Chunk, Row, Task
from neural_lander.sim.campaign.worst import fly_again
from neural_lander.sim.gate import flight_of
from neural_lander.sim.pace import Progress
from neural_lander.sim.processes import WorkerDied


@dataclass
class Hunt:
    """The search in one cell."""

    cell: Cell
    climb: Climb
    rows: dict[int, Row] = field(default_factory=dict)
    """Landing -> row."""
    round: list[list[Task]] = field(default_factory=list)
    """Landings of each point under way."""
    first: float | None = None
    """Median severity of the first round."""

    def finish_round(self) -> None:
        """Tell the climb what the landings of the round gave; one that did not fly is not bad."""
        severities = [
            max(self.rows[task.landing]["severity"] or 0.0 for task in tasks)
            for tasks in self.round
        ]
        if self.first is None:
            self.first = float(np.median(severities))
        self.climb.tell(severities)


def search(
    spec: Spec,
    out: Path,
    crew: Crew,
    resume: bool = False,
    told: Progress | None = None,
) -> list[dict[str, Any]]:
    """Search every cell, fly its worst case again into ``worst-case/``, and write ``search.json``.

    Returns:
        for each cell what was found, as JSON: ``worst`` is a severity, None where nothing flew.

    Raises:
        InputError: the spec has no parameters; as ``fly_campaign``.
    """
    if not spec.parameters:
        raise InputError(
            f"spec '{spec.name}' has nothing to search over; add [[parameter]] tables to it"
        )
    require_flyable(spec)
    crew.require()
    with claimed(spec, out, resume, SEARCH):
        shards = Shards(out / SEARCH, schema(tuple(p.name for p in spec.parameters)))
        total = len(spec.cells) * spec.search.points * spec.search.seeds
        shards.landings_done(total)
        known = {row["landing"]: row for row in shards.rows()}
        hunts, refused = _begin(spec)
        active = list(hunts)
        while active:
            for hunt in active:
                _ask(spec, hunt)
            _fly_round(spec, active, known, shards, crew)
            for hunt in active:
                hunt.finish_round()
            active = [hunt for hunt in active if not hunt.climb.done]
            if told:
                tried = sum(hunt.climb.tried for hunt in hunts)
                share = tried / (len(hunts) * spec.search.points)
                told(min(share, 1.0), f"{tried} points, worst {_worst_of(hunts):.3g}")
        found = _found(spec, hunts, refused, out)
        write_json(out / FOUND, {"cells": found})
        return found


def _begin(spec: Spec) -> tuple[list[Hunt], dict[int, str]]:
    """Return the cells to search, and why others are refused."""
    hunts, refused = [], {}
    for cell in spec.cells:
        try:
            flight_of(cell.options, cell.flown)
        except Refused as refusal:
            refused[cell.number] = str(refusal)
            continue
        climb = Climb(len(spec.parameters), spec.search.points, spec.search.seed)
        hunts.append(Hunt(cell, climb))
    return hunts, refused


def _ask(spec: Spec, hunt: Hunt) -> None:
    """Let a hunt choose its next points."""
    settings = spec.search
    number = (hunt.cell.number * settings.points + hunt.climb.tried) * settings.seeds
    shares: Array = np.array(hunt.climb.ask())
    hunt.round = []
    for values in points(spec.parameters, shares).tolist():
        seeds = spec.seeds[: settings.seeds]
        hunt.round.append([Task(number + i, seed, tuple(values)) for i, seed in enumerate(seeds)])
        number += settings.seeds


def _fly_round(
    spec: Spec, hunts: list[Hunt], known: dict[int, Row], shards: Shards, crew: Crew
) -> None:
    """Fly what the hunts asked for and is not on disk."""
    names = tuple(p.name for p in spec.parameters)
    owner = {task.landing: hunt for hunt in hunts for tasks in hunt.round for task in tasks}
    deaths, seals = 0, sealed(spec)
    for hunt in hunts:
        for task in (task for tasks in hunt.round for task in tasks):
            row = known.pop(task.landing, None)
            if row is not None:
                if tuple(row[parameter_column(name)] for name in names) != task.values:
                    raise InputError(
                        f"{shards.folder}: landing {task.landing} is at another point than this search "
                        "asks for; another version of cma? Move the folder out of the way"
                    )
                hunt.rows[task.landing] = row
    while True:
        chunks = [
            Chunk(hunt.cell, names, missing, *seals)
            for hunt in hunts
            for tasks in hunt.round
            if (missing := tuple(t for t in tasks if t.landing not in hunt.rows))
        ]
        if not chunks:
            return
        try:
            for rows in crew.fly(chunks):
                shards.add(rows)
                for row in rows:
                    owner[row["landing"]].rows[row["landing"]] = row
        except WorkerDied as death:
            deaths = died(deaths, death)
        finally:
            shards.flush()


def _worst_of(hunts: list[Hunt]) -> float:
    return max(
        (row["severity"] or 0.0 for hunt in hunts for row in hunt.rows.values()), default=0.0
    )


def _found(
    spec: Spec, hunts: list[Hunt], refused: dict[int, str], out: Path
) -> list[dict[str, Any]]:
    """Fly the worst cases again and return what each cell gave."""
    worst = {}
    for hunt in hunts:
        flown = [row for row in hunt.rows.values() if row["severity"] is not None]
        if flown:
            worst[hunt.cell.number] = max(flown, key=lambda r: (r["severity"], -r["landing"]))
    again = fly_again(spec, list(worst.values()), out, CASES)
    bad = dict(zip(worst, again, strict=True))
    counts = {hunt.cell.number: (len(hunt.rows), hunt.first) for hunt in hunts}
    found = []
    for cell in spec.cells:
        landings, first = counts.get(cell.number, (0, None))
        case = bad.get(cell.number)
        found.append(
            {
                "scenario": cell.scenario,
                "aero": cell.aero,
                "controller": cell.controller,
                "landings": landings,
                "start": first,
                "worst": case.row["severity"] if case else None,
                "crashed": case.row["crashed"] if case else None,
                "at": case.values if case else None,
                "seed": case.row["seed"] if case else None,
                "run": case.folder if case else None,
                "command": case.command if case else None,
                "why": None if case else refused.get(cell.number, "no landing flew"),
            }
        )
    return found
