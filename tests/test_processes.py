"""Pieces over processes: in order or as they come, each once, and a death is said."""

import os
import time

import pytest

from neural_lander.sim import processes
from neural_lander.sim.pace import Pace
from neural_lander.sim.processes import WorkerDied, spread


@pytest.fixture(autouse=True)
def warm(monkeypatch) -> None:
    """Whether the flight step is compiled or not, nothing is done in this process."""
    monkeypatch.setattr(processes, "is_cold", lambda: False)


def test_every_piece_is_done_once_on_any_number_of_processes() -> None:
    pieces = [0.3, *([0.0] * 20)]
    assert list(spread(time.sleep, pieces, 1)) == list(spread(time.sleep, pieces, 2)) == [None] * 21
    numbers = list(range(-40, 0))
    assert list(spread(abs, numbers, 2, in_order=True)) == [abs(n) for n in numbers]
    assert sorted(spread(abs, numbers, 2)) == sorted(abs(n) for n in numbers)


def test_pieces_are_drawn_as_they_are_needed() -> None:
    drawn = []

    def endless():
        while True:
            drawn.append(len(drawn))
            yield -len(drawn)

    results = spread(abs, endless(), 2, in_order=True)
    assert [next(results) for _ in range(5)] == [1, 2, 3, 4, 5]
    results.close()
    assert len(drawn) < 100


def test_where_nothing_is_compiled_the_first_piece_is_done_here(monkeypatch) -> None:
    monkeypatch.setattr(processes, "is_cold", lambda: True)
    first, *others = spread(os.path.realpath, ["/proc/self"] * 6, 2, in_order=True)
    assert first == f"/proc/{os.getpid()}"
    assert first not in others


def test_a_process_that_dies_is_said() -> None:
    with pytest.raises(WorkerDied):
        list(spread(os._exit, [3], 2))
    assert list(spread(abs, [-1, -2], 2, in_order=True)) == [1, 2]  # others take its place


def test_progress_counts_what_was_there_but_not_into_the_rate(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr("neural_lander.sim.pace.time.monotonic", lambda: now[0])
    said = []
    pace = Pace(10_000, lambda share, phrase: said.append((share, phrase)), before=2000)
    now[0] += 20
    pace.add(40)
    assert said == [(0.204, "2040 of 10000, 2.0 landings/s, 1:06:20 left")]  # 7960 at 2 each second
    assert (pace.flown, pace.seconds) == (40, 20)
