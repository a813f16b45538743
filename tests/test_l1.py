"""L1: adaptation in one period, answered at the filter's bandwidth and nothing else."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neural_lander.controller import l1
from neural_lander.controller.compiled import blank_record

MASS, PERIOD, RATE = 1.5, 0.002, 8.0
MASSES = (MASS,) * 3
HELD = (0.0, 0.0, 0.6)
RECORD = np.dtype([("period", np.float64), *l1.RECORD_FIELDS], align=True)
LEFT = l1.POLE * PERIOD / math.expm1(l1.POLE * PERIOD)
"""What the predictor's pole leaves of a constant force."""


def watch(force, steps, limit=10.0, frozen=lambda k: False, known=lambda k: np.zeros(3), start=0.0):
    """Fly under a force; return d of each step (steps, 3)."""
    c = blank_record(RECORD).view(np.recarray)[0]
    c.period = PERIOD
    l1.store_filter(c, RATE, PERIOD)
    velocity, found = np.full(3, start), []
    for k in range(steps):
        d = l1.adaptive_force.py_func(
            c, tuple(velocity), MASSES, tuple(known(k)), limit, HELD, frozen(k)
        )
        found.append(d)
        velocity = velocity + PERIOD * (known(k) + force(k)) / MASS
    return np.array(found)


def test_a_constant_force_is_found_at_the_bandwidth_of_the_filter():
    force = np.array([0.5, 0.0, -1.0])
    d = watch(lambda k: force, 3000)
    t = PERIOD * np.arange(3000)
    assert_allclose(d, LEFT * (1 - np.exp(-RATE * t))[:, None] * force, atol=1e-9)
    assert 0.998 < LEFT < 1
    late = PERIOD * np.argmax(-d[:, 2] > (1 - math.exp(-1)) * LEFT)
    assert late == pytest.approx(1 / RATE, abs=PERIOD)


def test_a_sine_comes_through_as_the_low_pass_lets_it():
    w = 20.0
    d = watch(lambda k: np.array([0, 0, math.sin(w * PERIOD * k)]), 4000)[2000:, 2]
    # 1 / sqrt(1 + (w / RATE)^2); a period's hold and delay change the size by less than 1 %
    assert d.max() == pytest.approx(1 / math.hypot(1, w / RATE), rel=0.01)


def test_known_forces_and_speed_are_no_disturbance():
    d = watch(
        lambda k: np.zeros(3), 500, known=lambda k: np.array([0.3, -0.2, 0.01 * k]), start=2.0
    )
    assert_allclose(d, 0, atol=1e-9)


def test_frozen_it_holds_what_it_is_given_and_goes_on_from_there():
    d = watch(lambda k: np.array([0, 0, 1.0]), 2000, frozen=lambda k: 300 <= k < 1000)[:, 2]
    assert_allclose(d[300:1000], HELD[2], rtol=0)
    assert abs(d[1000] - d[999]) < 0.02
    assert d[-1] == pytest.approx(LEFT, abs=1e-3)


def test_it_leaves_its_limit_at_once_when_the_force_turns():
    d = watch(lambda k: np.array([0, 0, 5.0 if k < 1000 else 0.0]), 1200, limit=2.0)[:, 2]
    assert d.max() == 2.0
    assert d[1000] == 2.0
    after = np.argmax(d[1000:] < 2.0 * math.exp(-1))
    assert 0 < after * PERIOD <= 1.05 / RATE
