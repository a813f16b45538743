"""The planned motion keeps its limits, meets its ends, and is the derivative of itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from neural_lander.controller.errors import InputError
from neural_lander.controller.setpoint import (
    RECORD_FIELDS,
    SCurve,
    plan_descent,
    plan_through,
    setpoint,
    store_plan,
)


def follow(plan, floor=0.09, step=0.002, until=None):
    record = np.zeros(1, np.dtype(RECORD_FIELDS, align=True)).view(np.recarray)
    store_plan(record[0], plan, floor)
    times = np.arange(0, (until or plan.end) + 0.1, step)
    rows = [setpoint.py_func(record[0], t) for t in times]
    return times, *(np.array([row[i] for row in rows]) for i in range(3))


def test_exponential_is_the_authors_formula():
    plan = plan_descent("exponential", (0.1, -0.2, 1.5), 0.0, 1.0, decay=2.0)
    t, p, v, a = follow(plan)
    s = np.maximum(t - 1.0, 0)
    assert_allclose(p[:, 2] - 0.09, 1.5 * (1 + 2 * s) * np.exp(-2 * s), atol=1e-12)
    assert_allclose(p[:, :2], np.broadcast_to([0.1, -0.2], p[:, :2].shape))
    # it takes 3.55 s from 1.5 m to 1 cm, as the design says
    assert t[np.argmax(p[:, 2] - 0.09 < 0.01)] - 1.0 == pytest.approx(3.55, abs=0.01)
    assert a[np.argmax(t >= 1.0), 2] == pytest.approx(-1.5 * 4, rel=0.01)  # it steps at the start


@given(
    height=st.floats(0.06, 5.0),
    target=st.floats(0.0, 0.05),
    speed=st.floats(0.2, 2.0),
    jerk=st.floats(2.0, 20.0),
)
@settings(max_examples=25, deadline=None)
def test_s_curve_keeps_its_limits_and_ends_at_rest(height, target, speed, jerk):
    limits = SCurve(speed=speed, jerk=jerk)
    plan = plan_descent("s-curve", (0, 0, height), target, 0.5, limits=limits)
    t, p, v, a = follow(plan)
    assert -v[:, 2].min() <= speed * (1 + 1e-6) + 1e-9
    assert np.abs(a[:, 2]).max() <= limits.acceleration * (1 + 1e-6)
    assert np.abs(np.diff(a[:, 2])).max() <= jerk * 0.002 * (1 + 1e-6) + 1e-9  # no step
    assert v[:, 2].max() <= 1e-9  # never up again
    assert_allclose(p[[0, -1], 2] - 0.09, [height, target], atol=1e-9)
    assert_allclose(v[-1], 0, atol=1e-9)


@pytest.mark.parametrize("name", ["exponential", "s-curve"])
def test_velocity_and_acceleration_are_derivatives(name):
    t, p, v, a = follow(plan_descent(name, (0, 0, 1.5), 0.0, 0.5), step=1e-3)
    inside = t[1:-1] > 0.51
    assert_allclose(((p[2:] - p[:-2]) / 2e-3)[inside], v[1:-1][inside], atol=1e-5)
    assert_allclose(((v[2:] - v[:-2]) / 2e-3)[inside], a[1:-1][inside], atol=4e-3)  # jerk * step


def test_flare_speed_is_held_below_the_flare_height():
    t, p, v, _ = follow(plan_descent("s-curve", (0, 0, 1.5), 0.0, 0.5))
    height = p[:, 2] - 0.09
    low = (height < 0.099) & (height > 0.035)
    assert_allclose(v[low, 2], -SCurve().flare_speed, atol=1e-6)


def test_way_points_are_met_at_rest():
    times, points = np.array([0.0, 1.0, 2.5]), np.array([[0, 0, 1], [0.3, -0.2, 0.4], [0, 0, 0.1]])
    plan = plan_through(times, points)
    t, p, v, a = follow(plan, floor=0.0)
    for time, point in zip(times, points, strict=True):
        i = round(time / 0.002)
        assert_allclose(p[i], point, atol=1e-9)
        assert_allclose(v[i], 0, atol=1e-9)
        assert_allclose(a[i], 0, atol=1e-9)


def test_unknown_reference_and_climbing_descent_are_refused():
    with pytest.raises(InputError, match="reference 'ramp' is unknown; take one of exponential"):
        plan_descent("ramp", (0, 0, 1), 0.0, 1.0)
    with pytest.raises(InputError, match="above the start"):
        plan_descent("s-curve", (0, 0, 1), 2.0, 1.0)
