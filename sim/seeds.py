"""Many landings: every case flown with every seed, on one process or several, with the same result."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from joblib import Parallel, delayed

from neural_lander.controller.compiled import is_cold
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.trace import Trace, trace_of

Progress = Callable[[float, str], None]
"""Told the share done, 0 to 1, and a phrase."""

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
    """
    chunks = [seeds[i : i + CHUNK] for i in range(0, len(seeds), CHUNK)]
    traced_seeds = frozenset(seeds[:traced])
    work = [
        delayed(_fly_chunk)(case.flight, chunk, traced_seeds)
        for case in cases
        if isinstance(case.flight, Flight)
        for chunk in chunks
    ]
    if workers > 1 and work and is_cold():
        function, arguments, _ = work[0]  # compiles once, here, and not in every process
        function(arguments[0], arguments[1][:1], frozenset())
    flown = _landings(work, workers)
    rows: list[dict[str, Any]] = []
    traces: list[Trace] = []
    flying = sum(isinstance(case.flight, Flight) for case in cases)
    rate = _Rate(flying * len(seeds), progress)
    for case in cases:
        if isinstance(case.flight, str):
            rows += [
                {
                    "controller": case.controller,
                    "scenario": case.scenario,
                    "seed": seed,
                    "refused": case.flight,
                }
                for seed in seeds
            ]
            continue
        for chunk in chunks:
            summaries, seen = next(flown)
            rows += [summary | {"refused": None} for summary in summaries]
            traces += seen
            rate.tell(len(chunk), case.controller)
    return Flown(rows, traces)


def _landings(work: Sequence[Any], workers: int) -> Iterator[Any]:
    """Yield the result of each piece of work, in order."""
    if not work:
        return iter(())
    return iter(Parallel(n_jobs=workers, return_as="generator")(work))


def _fly_chunk(
    flight: Flight, seeds: Sequence[int], traced: frozenset[int]
) -> tuple[list[dict[str, Any]], list[Trace]]:
    """Fly a few seeds; return their summaries, and the traces of those that are drawn."""
    summaries, traces = [], []
    for seed in seeds:
        landing = fly(flight, seed)
        summaries.append({k: v for k, v in landing.summary.items() if k not in WALL_CLOCK})
        if seed in traced:
            traces.append(trace_of(landing.log, landing.summary, flight.limits))
    return summaries, traces


class _Rate:
    """Says how many landings a second are flown, and how long the rest takes."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total, self.progress = total, progress
        self.done, self.begun = 0, time.perf_counter()

    def tell(self, more: int, what: str) -> None:
        self.done += more
        if self.progress is None:
            return
        rate = self.done / max(time.perf_counter() - self.begun, 1e-9)
        left = round((self.total - self.done) / rate)
        self.progress(
            self.done / self.total,
            f"{what}, {rate:.1f} landings/s, {left // 60}:{left % 60:02d} left",
        )
