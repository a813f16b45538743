"""Many landings: every case flown with every seed, on one process or several, with the same result."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neural_lander.controller.errors import InputError
from neural_lander.sim.pace import Pace, Progress
from neural_lander.sim.processes import WorkerDied, spread
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.trace import Trace, trace_of

CHUNK = 4
"""Landings that a process is given at a time: a fraction of a second of work."""
TRACED = 200
"""Of each case the traces of so many seeds are kept, the first ones: tens of megabytes in all."""
WALL_CLOCK = ("real_time_factor",)
"""Figures that are not of the landing: left out, so that the same seed gives the same bytes."""


@dataclass(frozen=True)
class Case:
    """One controller in one scenario."""

    controller: str
    scenario: str
    flight: Flight | str
    """What is flown, or as text why it may not be."""


@dataclass(frozen=True)
class Flown:
    """What came of many landings, case by case and seed by seed in the order asked for."""

    rows: list[dict[str, Any]]
    """A summary each, with ``refused``: None, or why it did not fly."""
    traces: list[Trace]
    """For pictures, of the landings that flew."""


def fly_seeds(
    cases: Sequence[Case],
    seeds: Sequence[int],
    progress: Progress | None = None,
    workers: int = 1,
    traced: int = 0,
) -> Flown:
    """Fly every case with every seed.

    Args:
        cases: a refused one has a row a seed, too.
        seeds: the same for all cases.
        progress: told after each chunk the rate and the time left.
        workers: processes. The result does not depend on it.
        traced: of so many seeds a trace is kept.

    Raises:
        InputError: a process that flew died.
    """
    chunks = [seeds[i : i + CHUNK] for i in range(0, len(seeds), CHUNK)]
    flying = [case.flight for case in cases if isinstance(case.flight, Flight)]
    pieces = ((flight, chunk, seeds[:traced]) for flight in flying for chunk in chunks)
    flown = spread(_fly_chunk, pieces, workers, in_order=True)
    pace = Pace(len(flying) * len(seeds), progress)
    rows: list[dict[str, Any]] = []
    traces: list[Trace] = []
    for case in cases:
        if isinstance(case.flight, str):
            named = {"controller": case.controller, "scenario": case.scenario}
            rows += [named | {"seed": seed, "refused": case.flight} for seed in seeds]
            continue
        for chunk in chunks:
            try:
                summaries, seen = next(flown)
            except WorkerDied as death:
                raise InputError(
                    f"a process that flew landings died ({death}); take fewer --workers, or find what "
                    "kills them (memory?)"
                ) from death
            rows += [summary | {"refused": None} for summary in summaries]
            traces += seen
            pace.add(len(chunk))
    return Flown(rows, traces)


def _fly_chunk(
    piece: tuple[Flight, Sequence[int], Sequence[int]],
) -> tuple[list[dict[str, Any]], list[Trace]]:
    """Fly a few seeds; return their summaries, and the traces of those that are drawn."""
    flight, seeds, traced = piece
    summaries, traces = [], []
    for seed in seeds:
        landing = fly(flight, seed)
        summaries.append({k: v for k, v in landing.summary.items() if k not in WALL_CLOCK})
        if seed in traced:
            traces.append(trace_of(landing.log, landing.summary, flight.limits))
    return summaries, traces
