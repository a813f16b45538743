"""Comparing landings: runs side by side in a picture, or controllers over many seeds in a table.

Over seeds every controller flies the same starts and the same noise. Failures are counted, never
dropped: a figure is summarised over the flights where it applies, the table says how many of all
flights landed, crashed, or were refused, and in pairs a failure loses (``sim/pairs.py``).

``comparison.json`` of runs has the keys

    runs       a summary each, and ``run``: its folder
    pictures   the files that were drawn

and where every controller flew the same two seeds or more also ``baseline, controllers, pairs`` of

    seeds        first and last
    scenarios    their names
    baseline     scenario -> the controller that the others are paired with; empty where there is but one
    baseline_is  "given", or how it was chosen
    controllers  for each scenario and controller: counts of outcomes, medians, 95 % quantiles
                 (``summarise_seeds``)
    pairs        for each scenario and each other controller (``pairs.compare_pairs``)
    landings     a row a landing: its summary, less wall-clock times, and ``refused``
    pictures     names of files in the same folder
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neural_lander.controller.certificate import read_certificate
from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.files import write_json
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.monitor import Limits
from neural_lander.sim.figures import draw_comparison
from neural_lander.sim.gate import FlightOptions, descent_speed_of, flight_of, require_one_plan
from neural_lander.sim.pace import Progress
from neural_lander.sim.pairs import Row, baseline_of, compare_pairs
from neural_lander.sim.plots.paper import draw_paper
from neural_lander.sim.rollout import Flight
from neural_lander.sim.run_folder import read_run
from neural_lander.sim.scenario import Scenario, load_scenario
from neural_lander.sim.seeds import TRACED, Case, fly_seeds
from neural_lander.sim.statistics import ORDER, quantile, share
from neural_lander.sim.trace import trace_of
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

MOST = 10_000
"""Seeds: all rows are in memory."""

FLOWN_ALIKE = {
    "vehicle_digest": "the vehicle's file",
    "scenario_digest": "the scenario's file",
    "plan": "the reference's motion",
    "engine": "the engine",
    "version": "the version",
}
"""What the logs of runs that are compared say alike -> what that is of."""

Run = tuple[FlightLog, dict[str, Any]]


def compare_runs(
    runs: Sequence[Path],
    out: Path,
    baseline: str | None = None,
    certificates: Sequence[Path] = (),
    scenario: str | None = None,
    paper: bool = False,
) -> dict[str, Any]:
    """Draw several runs side by side and write ``comparison.png``, ``.pdf`` and ``.json``.

    Args:
        runs: folders that ``land`` wrote.
        out: folder to write into.
        baseline: what pairs are made with; None: the strongest simple controller of the scenario.
        certificates: files; where a run flew with one of them its tube is drawn.
        scenario: file of the runs' scenario, where it is none of the bundled ones.
        paper: whether to draw the figures of ``sim/plots``, too.

    Raises:
        InputError: a folder is no run, the runs are not of one scenario and reference, the baseline
            is none of their controllers.
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
    for key, what in FLOWN_ALIKE.items():
        ways = {log.metadata.get(key) for log, _ in loaded}
        if len(ways) > 1:
            shown = ", ".join(sorted(str(way or "not said")[:12] for way in ways))
            raise InputError(
                f"the runs differ in {what} ({shown}), though its name is the same; fly them again "
                "alike with `neural-lander land`"
            )
    summaries = [summary for _, summary in loaded]
    require_baseline(baseline, [str(summary["controller"]) for summary in summaries])
    world = scenario_of(summaries[0], scenario) if paper else None
    (out / "comparison.json").unlink(missing_ok=True)  # last written, first removed
    pictures = draw_comparison(loaded, out / "comparison.png")
    result: dict[str, Any] = {
        "runs": [
            summary | {"run": str(folder)} for folder, summary in zip(runs, summaries, strict=True)
        ],
    }
    rows = [summary | {"refused": None} for summary in summaries]
    paired = same_seeds(rows)
    if paired:
        result |= statistics_of(rows, baseline)
    elif baseline is not None:
        raise InputError(
            f"--baseline {baseline} asks for pairs, and the runs are no pairs: every controller needs "
            "one run each of the same two or more seeds"
        )
    if paper:
        limits = [read_certificate(path).tube for path in certificates]
        traces = [trace_of(*run, _limits_of(run[1], limits)) for run in loaded]
        worlds = {str(summaries[0]["scenario"]): world}
        pictures += draw_paper(out, traces, rows, result.get("baseline", {}), worlds)
    result["pictures"] = [str(path) for path in pictures]
    write_json(out / "comparison.json", result)
    return result


def _limits_of(summary: Row, tubes: Sequence[dict[str, Any] | None]) -> Limits | None:
    """Return the limits that a run flew with, where they are among those of some certificates."""
    for tube in tubes:
        if tube is not None and "watch" in tube:
            limits = Limits.of(tube)
            if limits.position.max(axis=0).tolist() == summary.get("tube_xyz_m"):
                return limits
    return None


def scenario_of(summary: Row, given: str | None = None) -> Scenario | None:
    """Return the scenario of a run: the one given, or the bundled one of its name, or None.

    Raises:
        InputError: the one given has another name.
    """
    name = summary["scenario"]
    if given is not None:
        scenario = load_scenario(given)
        if scenario.name == name:
            return scenario
        raise InputError(
            f"--scenario {given} is called '{scenario.name}', and the runs are of '{name}'"
        )
    try:
        return load_scenario(str(name))
    except InputError:
        return None


def same_seeds(rows: Sequence[Row]) -> bool:
    """Whether every controller flew the same two or more seeds, each once."""
    flown: dict[str, list[int]] = {}
    for row in rows:
        flown.setdefault(row["controller"], []).append(row["seed"])
    first, *others = [sorted(seeds) for seeds in flown.values()]
    return len(set(first)) == len(first) > 1 and all(seeds == first for seeds in others)


def compare_seeds(
    options: FlightOptions,
    controllers: Sequence[str],
    scenarios: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    progress: Progress | None = None,
    baseline: str | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Fly every controller in every scenario with every seed; write tables and pictures.

    A refusal is an outcome in the table, not an end. Along the fastest reference all fly at most as
    fast as every model among them has seen, so that a pair has one reference.

    Raises:
        InputError: something named does not exist, a single seed or too many, two scenarios of one
            name, a baseline that does not fly.
    """
    if len(seeds) < 2:
        raise InputError(
            f"--seeds is the single seed {seeds[0]}, and one pair says nothing of the next; give A:B "
            "with at least two, or `neural-lander land` it and compare the runs"
        )
    if len(seeds) > MOST:
        raise InputError(
            f"--seeds are {len(seeds)}, expected at most {MOST}, which fit into memory; fly more with "
            "`neural-lander campaign`"
        )
    require_baseline(baseline, controllers)
    worlds = {scenario.name: scenario for scenario in map(load_scenario, scenarios)}
    if len(worlds) < len(scenarios):
        raise InputError(
            f"--scenario is '{','.join(scenarios)}', and two of them have one name; give each its own"
        )
    options = replace(options, descent_speed=descent_speed_of(options, controllers))
    cases = [
        _case(replace(options, scenario=file), name, controller)
        for name, file in zip(worlds, scenarios, strict=True)
        for controller in controllers
    ]
    for name in worlds:
        here = {c.controller: c.flight for c in cases if c.scenario == name}
        flying = {k: flight for k, flight in here.items() if isinstance(flight, Flight)}
        require_one_plan(flying)
        for flight in flying.values():
            _ = flight.air  # read before anything flies
    flown = fly_seeds(cases, seeds, progress, workers, TRACED)
    result = {
        "seeds": [seeds[0], seeds[-1]],
        "scenarios": list(worlds),
        **statistics_of(flown.rows, baseline),
        "landings": flown.rows,
    }
    (out / "comparison.json").unlink(missing_ok=True)  # last written, first removed
    pictures = draw_paper(out, flown.traces, flown.rows, result["baseline"], worlds)
    result["pictures"] = [path.name for path in pictures]
    write_json(out / "comparison.json", result)
    return result


def _case(options: FlightOptions, scenario: str, controller: str) -> Case:
    try:
        return Case(controller, scenario, flight_of(options, controller))
    except Refused as refusal:
        return Case(controller, scenario, str(refusal))


def require_baseline(baseline: str | None, controllers: Sequence[str]) -> None:
    """Refuse a baseline that is none of the controllers.

    Raises:
        InputError: naming those that are.
    """
    if baseline is not None and baseline not in controllers:
        raise InputError(
            f"--baseline is '{baseline}', expected one of the controllers compared: "
            f"{', '.join(dict.fromkeys(controllers))}"
        )


def statistics_of(rows: Sequence[Row], baseline: str | None = None) -> dict[str, Any]:
    """Return ``baseline, baseline_is, controllers, pairs`` of landings with the same seeds each."""
    scenarios: dict[str, list[Row]] = {}
    for row in rows:
        scenarios.setdefault(row["scenario"], []).append(row)
    chosen: dict[str, tuple[str, str]] = {}
    for scenario, here in scenarios.items():
        if baseline is not None or len({row["controller"] for row in here}) > 1:
            chosen[scenario] = baseline_of(here, baseline)
    return {
        "baseline": {scenario: name for scenario, (name, _) in chosen.items()},
        "baseline_is": next((how for _, how in chosen.values()), None),
        "controllers": summarise_seeds(rows),
        "pairs": [
            entry
            for scenario, (name, _) in chosen.items()
            for entry in compare_pairs(scenarios[scenario], name)
        ],
    }


def summarise_seeds(rows: Sequence[Row], by: Sequence[str] = ("scenario",)) -> list[dict[str, Any]]:
    """Summarise landings by group and controller: outcomes, median and 95 % quantile of each figure.

    An entry has the keys of ``by``, ``controller``; the counts ``landings, refused, errors, landed,
    crashed, touched, cut_in_air``; ``landed_share`` of all landings with its exact interval; and for
    each of ``SPREADS`` its size's ``median`` and ``p95`` (``value, low, high``, exact intervals) over the
    ``n`` flights where it applies, None where it never does.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        group = (*(row.get(key) for key in by), row["controller"])
        groups.setdefault(group, []).append(row)
    table: list[dict[str, Any]] = []
    for group, mine in groups.items():
        flown = [row for row in mine if not row["refused"] and not row.get("error")]
        entry: dict[str, Any] = {
            **dict(zip((*by, "controller"), group, strict=True)),
            "landings": len(mine),
            "refused": sum(bool(row["refused"]) for row in mine),
            "errors": sum(bool(row.get("error")) for row in mine),
            "landed": sum(row["landed"] for row in flown),
            "landed_share": share(sum(row["landed"] for row in flown), len(mine)),
            "crashed": sum(row["crashed"] for row in flown),
            "slipped": sum(row["outcome"] in REFUSED for row in flown),
            "touched": sum(row["touched"] for row in flown),
            "cut_in_air": sum(bool(row["cut_in_air"]) for row in flown),
            "intervals": ORDER,
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
