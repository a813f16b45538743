"""The solver finds the thrust that cancels a force depending on it, or says there is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_lander.controller import cancellation as cc

LOW, HIGH, TOLERANCE = 0.0, 24.0, 1e-3


def solve(phi, wanted, first=14.0):
    search = cc.start.py_func(first, LOW, HIGH)
    while cc.unfinished.py_func(search):
        towards = cc.thrust_towards((0.0, 0.0, wanted), (0.0, 0.0, phi(search[cc.THRUST])))
        search = cc.refine.py_func(search, towards, TOLERANCE)
    return search


@given(slope=st.floats(-0.9, 3.0), offset=st.floats(-2, 2), wanted=st.floats(6, 20))
def test_an_affine_force_is_cancelled_to_the_tolerance(slope, offset, wanted):
    """T (1 + slope) + offset = wanted has one solution, also where the plain iteration diverges."""
    exact = (wanted - offset) / (1 + slope)
    search = solve(lambda t: slope * t + offset, wanted)
    if LOW + 0.01 < exact < HIGH - 0.01 and wanted - slope * exact - offset >= 0:
        assert search[cc.STAGE] == cc.SOLVED
        thrust = search[cc.THRUST]
        assert abs(wanted - slope * thrust - offset - thrust) <= TOLERANCE
        assert thrust == pytest.approx(exact, abs=TOLERANCE / (1 + slope) + 1e-9)


def test_a_gentle_slope_takes_few_iterations():
    assert solve(lambda t: 0.1 * t, 14.0)[cc.ITERATIONS] <= 6


def test_a_steep_slope_needs_the_bisection_and_gets_it():
    search = solve(lambda t: 2.0 * (t - 10.0), 14.0)
    assert search[cc.STAGE] == cc.SOLVED
    assert search[cc.ITERATIONS] > cc.MAX_FIXED_POINT / 2
    assert search[cc.THRUST] == pytest.approx(34 / 3, abs=1e-3)


@pytest.mark.parametrize("wanted", [30.0, 100.0])
def test_more_than_the_rotors_can_give_has_no_solution(wanted):
    assert solve(lambda t: 0.1 * t, wanted)[cc.STAGE] == cc.NO_SOLUTION


def test_a_force_that_jumps_over_the_answer_has_no_solution():
    search = solve(lambda t: 4.0 if t > 12.0 else -4.0, 12.0)
    assert search[cc.STAGE] == cc.NO_SOLUTION
    assert np.isfinite(search[cc.RESIDUAL])
