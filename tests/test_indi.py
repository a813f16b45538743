"""INDI: a force is found as fast as its second-order filter lets it, by accelerometer or by velocity."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neural_lander.controller import indi
from neural_lander.controller.compiled import blank_record
from neural_lander.controller.measurement import NOT_FELT
from neural_lander.controller.vehicle import GRAVITY

MASS, PERIOD, CORNER = 1.5, 0.002, 30.0
MASSES = (MASS,) * 3
LEVEL = (0.0, 0.0, 0.0, 1.0)
HELD = (0.0, 0.0, 0.6)
RECORD = np.dtype([("period", np.float64), *indi.RECORD_FIELDS], align=True)


def memory():
    c = blank_record(RECORD).view(np.recarray)[0]
    c.period = PERIOD
    indi.store_filter(c, CORNER, PERIOD)
    return c


def watch(force, steps, bias=(0.0, 0.0, 0.0), felt=True, limit=10.0, frozen=lambda k: False):
    """Hover under a force, held over each period; return d of each step (steps, 3)."""
    c, velocity, acceleration, found = memory(), np.zeros(3), np.zeros(3), []
    weight = (0.0, 0.0, -MASS * GRAVITY)
    thrust = np.array([0.1, -0.2, MASS * GRAVITY])
    for k in range(steps):
        specific = acceleration + np.array([0, 0, GRAVITY]) + bias
        s = indi.specific_force.py_func(
            c, LEVEL, tuple(velocity), tuple(specific) if felt else NOT_FELT
        )
        known = tuple(thrust + weight)
        found.append(indi.incremental_force.py_func(c, s, MASSES, known, limit, HELD, frozen(k)))
        acceleration = (thrust + weight + force(k)) / MASS
        velocity = velocity + PERIOD * acceleration
    return np.array(found)


def step_response(t):
    """Of w^2 / (s^2 + 2 zeta w s + w^2) with zeta = 1 / sqrt(2)."""
    a = CORNER / math.sqrt(2)
    return np.where(t > 0, 1 - np.exp(-a * t) * (np.cos(a * t) + np.sin(a * t)), 0.0)


@pytest.mark.parametrize("felt", [True, False])
def test_a_force_step_is_answered_as_the_filter_answers(felt):
    force = np.array([0.5, 0.0, -1.0])
    d = watch(lambda k: force, 400, felt=felt)[3:]
    # step k sees the acceleration of the period before it; the first has none to see
    d0 = watch(lambda k: 0 * force, 400, felt=felt)[3:]
    t = PERIOD * np.arange(3, 403)[:397]
    expected = step_response(t)[:, None] * force
    assert_allclose((d - d0)[:, [0, 2]], expected[:, [0, 2]], atol=1e-9)


def test_the_time_to_63_percent_is_that_of_the_filter():
    d = watch(lambda k: np.array([0, 0, 1.0]), 400)[:, 2] - watch(lambda k: np.zeros(3), 400)[:, 2]
    t = np.linspace(0, 0.2, 20_001)
    exact = t[np.argmax(step_response(t) > 1 - math.exp(-1))]
    assert PERIOD * np.argmax(d > 1 - math.exp(-1)) == pytest.approx(exact, abs=PERIOD)


def test_without_bias_a_constant_force_is_found_exactly_and_with_it_off_by_mass_times_bias():
    force, bias = np.array([0.5, -0.3, 1.0]), np.array([0.1, -0.2, 0.3])
    assert_allclose(watch(lambda k: force, 1500)[-1], force, atol=1e-9)
    assert_allclose(watch(lambda k: force, 1500, bias)[-1], force + MASS * bias, atol=1e-9)
    # no accelerometer, no bias
    assert_allclose(watch(lambda k: force, 1500, bias, felt=False)[-1], force, atol=1e-9)


def test_the_accelerometer_is_turned_into_the_world():
    c, half = memory(), math.sqrt(0.5)
    on_its_side = (half, 0.0, 0.0, half)  # a quarter turn about x: body z points to world -y
    s = indi.specific_force.py_func(c, on_its_side, (0.0, 0.0, 0.0), (0.0, 0.0, 2.0))
    assert_allclose(s, [0, -2, 0], atol=1e-12)


def test_frozen_it_holds_what_it_is_given_and_goes_on_from_there():
    d = watch(lambda k: np.array([0, 0, 1.0]), 2000, frozen=lambda k: 100 <= k < 1000)[:, 2]
    assert_allclose(d[100:1000], HELD[2], rtol=0)
    assert abs(d[1000] - d[999]) < 0.02
    assert d[-1] == pytest.approx(1.0, abs=1e-6)


def test_at_its_limit_nothing_winds_up():
    d = watch(lambda k: np.array([0, 0, 5.0 if k < 1000 else 0.0]), 1400, limit=2.0)[:, 2]
    assert d.max() == 2.0
    assert d[1000] == 2.0
    free = watch(lambda k: np.array([0, 0, 2.0 if k < 1000 else 0.0]), 1400)[:, 2]
    below = [np.argmax(x[1001:] < 2 * math.exp(-1)) for x in (d, free)]
    assert abs(below[0] - below[1]) <= 1
