from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_lander.controller import fastest
from neural_lander.controller.errors import InputError
from neural_lander.controller.fastest import DescentLimits, plan_fastest
from neural_lander.controller.setpoint import RECORD_FIELDS, setpoint_ahead, store_plan
from neural_lander.controller.vehicle import GRAVITY, load_vehicle

AERO = load_vehicle("intel-aero")
HOVER = 0.5


def descent(height=1.5, touchdown=0.15, speed=3.0, vehicle=AERO):
    return plan_fastest((0.0, 0.0, height), HOVER, DescentLimits.of(vehicle, touchdown, speed))


def motion(plan, step=1e-3):
    """Times and height, speed, acceleration, jerk of a plan."""
    record = np.zeros(1, np.dtype(RECORD_FIELDS, align=True)).view(np.recarray)
    store_plan(record[0], plan, 0.0)
    times = np.arange(0.0, plan.end + 0.2, step)
    return times, np.array([[q[2] for q in setpoint_ahead(record[0], t)] for t in times])


@given(
    height=st.floats(0.2, 4.0), touchdown=st.floats(0.05, 0.3), speed=st.floats(0.5, 4.0)
)  # fmt: skip
def test_every_limit_is_kept_and_the_floor_is_met_at_touchdown_speed(height, touchdown, speed):
    plan = descent(height, touchdown, speed)
    t, z = motion(plan)
    assert -z[:, 1].min() <= speed + 1e-9
    lag = AERO.rotors.lag
    until = t <= HOVER + plan.metadata["touchdown_s"]
    command = AERO.mass * (GRAVITY + z[until, 2] + lag * z[until, 3])
    low, high = AERO.thrust_limits
    assert command.max() <= (1 - fastest.RESERVE) * high + 1e-9
    # out of an acceleration the lead may take the command lower than into one, but never below zero
    assert command.min() >= low - 1e-9
    at = np.searchsorted(t, HOVER + plan.metadata["touchdown_s"])
    assert abs(z[at, 0]) < touchdown * 2e-3  # a millisecond of the grid
    assert -z[at, 1] == pytest.approx(touchdown, abs=2e-4)


def test_motion_is_smooth_and_ends_at_rest_below_the_floor():
    t, z = motion(descent(), 1e-4)
    for order in range(2):  # height and speed are the integrals of speed and acceleration
        np.testing.assert_allclose(np.diff(z[:, order]) / 1e-4, z[:-1, order + 1], atol=0.01)
    assert z[-1, 0] == pytest.approx(-fastest.OVERTRAVEL, abs=1e-3)
    np.testing.assert_allclose(z[-1, 1:], 0, atol=1e-9)


def test_no_limit_of_speed_and_jerk_comes_close_to_bang_bang(monkeypatch):
    """With no lag, no settling and endless jerk: v^2 / 2 (1 / fall + 1 / brake) covers the drop."""
    monkeypatch.setattr(fastest, "SETTLE", 0.0)
    monkeypatch.setattr(fastest, "JERK_OUT", 1e7)
    monkeypatch.setattr(fastest, "JERKS", [1e7])
    quick = replace(DescentLimits.of(AERO, 0.02, 50.0), lag=1e-12, touchdown_speed=1e-6)
    plan = plan_fastest((0.0, 0.0, 1.5), HOVER, quick)
    fall, brake = quick.fall(0.0), quick.brake(0.0)
    peak = np.sqrt(2 * 1.5 / (1 / fall + 1 / brake))
    assert plan.metadata["touchdown_s"] == pytest.approx(peak / fall + peak / brake, rel=1e-3)


def test_plan_says_what_binds():
    assert descent(speed=4.0).metadata["binds"] == "the rotors' thrust"
    assert "1 m/s" in descent(speed=1.0).metadata["binds"]
    assert descent(speed=1.0).metadata["touchdown_s"] > descent(speed=4.0).metadata["touchdown_s"]


def test_impossible_descents_are_refused_with_a_cure():
    with pytest.raises(InputError, match=r"expected 0\.02 to 0\.6"):
        descent(touchdown=0.0)
    with pytest.raises(InputError, match=r"expected 0\.02 to 0\.6"):
        descent(touchdown=float("nan"))
    with pytest.raises(InputError, match="not below the greatest descent speed"):
        descent(touchdown=0.3, speed=0.2)
    with pytest.raises(InputError, match="start higher"):
        descent(height=0.005)
    weak = replace(AERO, rotors=replace(AERO.rotors, thrust_max=AERO.weight / 4 * 1.05))
    with pytest.raises(InputError, match="too little to brake"):
        descent(vehicle=weak)
