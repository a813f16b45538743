"""The monitor from the other side: what it must not miss, and commands that must not jump."""

import math

from neural_lander.controller import landing_controller as lc
from neural_lander.controller.monitor import CONTRACT, EVENTS, QUIET, SOLVER

from .test_monitor import AERO, Bench


def test_a_solver_that_fails_in_flight_lets_no_thrust_jump(tmp_path, monkeypatch):
    bench = Bench(tmp_path / "model")
    total = bench.settle()
    cancelled = abs(float(bench.c.learned_force[2]))
    assert cancelled > 0.5  # there is something to lose
    refine = lc.refine

    def fails(search, towards, tolerance):
        found = list(refine(search, towards, tolerance))
        found[lc.STAGE] = lc.NO_SOLUTION
        return tuple(found)

    monkeypatch.setattr(lc, "refine", fails)
    monkeypatch.setattr(lc, "cancel", lc.cancel.py_func)
    after = [bench.step(thrust=total)]
    monkeypatch.undo()
    after += [bench.step(thrust=total) for _ in range(3)]
    assert bench.c.event == SOLVER, EVENTS.get(int(bench.c.event))
    assert max(abs(f - total) for f in after) < 0.2 * cancelled, [f - total for f in after]


def test_a_start_that_is_not_at_weight_is_noticed(tmp_path):
    bench = Bench(tmp_path / "model", contract=(1.0, 1.0, 1.0))
    bench.step(thrust=AERO.weight + 1.5)
    assert bench.c.event == CONTRACT


def test_an_attitude_that_is_no_number_is_noticed(tmp_path):
    bench = Bench(tmp_path / "model")
    bench.settle()
    bench.step(tilt=math.nan)
    assert bench.c.event != QUIET
