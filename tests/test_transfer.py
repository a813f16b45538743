import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_lander.controller.errors import InputError
from neural_lander.controller.fastest import DescentLimits, plan_fastest
from neural_lander.controller.setpoint import RECORD_FIELDS, setpoint_ahead, store_plan
from neural_lander.controller.transfer import TransferLimits, joined, plan_transfer
from neural_lander.controller.vehicle import load_vehicle

place = st.tuples(*[st.floats(-3, 3)] * 2, st.floats(0.1, 2))


def motion(plan, step=2e-3):
    """Times and (n, 4, 3): position, velocity, acceleration, jerk."""
    record = np.zeros(1, np.dtype(RECORD_FIELDS, align=True)).view(np.recarray)
    store_plan(record[0], plan, 0.0)
    times = np.arange(0.0, plan.end + 0.1, step)
    return times, np.array([setpoint_ahead(record[0], t) for t in times])


@given(start=place, end=place, speed=st.floats(0.2, 3.0))
def test_way_is_straight_smooth_and_inside_its_limits(start, end, speed):
    length = np.linalg.norm(np.subtract(end, start))
    if length < 0.01:
        return
    limits = TransferLimits(speed=speed)
    t, m = motion(plan_transfer(start, end, 0.5, limits))
    np.testing.assert_allclose(m[0, 0], start, atol=1e-12)
    np.testing.assert_allclose(m[-1, 0], end, atol=1e-9)
    np.testing.assert_allclose(m[-1, 1:], 0, atol=1e-9)
    for order, most in ((1, speed), (2, limits.acceleration), (3, limits.jerk)):
        assert np.linalg.norm(m[:, order], axis=-1).max() <= most * (1 + 1e-9)
    unit = np.subtract(end, start) / length
    off = m[:, 0] - start - np.outer((m[:, 0] - start) @ unit, unit)
    np.testing.assert_allclose(off, 0, atol=1e-9)
    for order in range(2):
        slope = np.diff(m[:, order], axis=0) / np.diff(t)[:, None]
        np.testing.assert_allclose(slope, m[:-1, order + 1], atol=limits.jerk * 2e-3 + 1e-6)


def test_a_long_way_cruises_and_a_short_one_does_not_reach_the_speed():
    for length, reached in ((3.0, 1.0), (0.05, None)):
        _, m = motion(plan_transfer((0, 0, 1), (length, 0, 1), 0.5))
        peak = m[:, 1, 0].max()
        assert peak == pytest.approx(reached) if reached else peak < 0.5


def test_joined_plan_is_one_after_the_other():
    first = plan_transfer((1.0, -0.5, 1.5), (0.0, 0.0, 1.5), 0.5)
    limits = DescentLimits.of(load_vehicle("intel-aero"), 0.15)
    second = plan_fastest((0.0, 0.0, 1.5), 1.0, limits)
    both = joined(first, second)
    t, m = motion(both)
    _, a = motion(first)
    n = np.searchsorted(t, first.end)
    np.testing.assert_allclose(m[:n, 0], a[:n, 0], atol=1e-12)
    assert both.end == pytest.approx(first.end + second.end)
    assert both.descent_start == pytest.approx(first.end + 1.0)
    np.testing.assert_allclose(np.diff(m[:, 0], axis=0), 0, atol=0.006)  # nothing steps: 3 m/s
    assert both.compensated


def test_a_way_to_nowhere_is_refused():
    with pytest.raises(InputError, match="nowhere"):
        plan_transfer((1, 1, 1), (1, 1, 1), 0.5)
