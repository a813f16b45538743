"""The momentum observer is a first-order filter of the force that nothing else explains."""

import numpy as np
from numpy.testing import assert_allclose

from neural_lander.controller.observer import observe

MASS, PERIOD, RATE = 1.5, 0.002, 8.0


def watch(force, steps, limit=10.0, frozen=lambda k: False, known=(0.0, 0.0, 0.0)):
    memory, velocity, d = np.zeros(3), np.zeros(3), (0.0, 0.0, 0.0)
    history = []
    for k in range(steps):
        momentum = tuple(MASS * velocity)
        d = observe.py_func(memory, d, momentum, known, RATE, limit, PERIOD, frozen(k))
        history.append(d)
        velocity = velocity + PERIOD * (np.array(known) + force(k)) / MASS
    return np.array(history)


def test_a_constant_force_is_found_as_one_minus_exponential():
    d = watch(lambda k: np.array([0.5, 0.0, -1.0]), 1500)
    t = PERIOD * np.arange(1500)
    # the discrete filter has the pole 1 - l h instead of exp(-l h): 1 % of the force at most
    assert_allclose(d[:, 2], -(1 - np.exp(-RATE * t)), atol=0.01)
    assert_allclose(d[-1], [0.5, 0, -1.0], atol=1e-3)


def test_known_forces_are_not_disturbances():
    d = watch(lambda k: np.zeros(3), 500, known=(0.3, -0.2, 1.0))
    assert_allclose(d, 0, atol=1e-9)


def test_it_leaves_its_limit_at_once_when_the_force_turns():
    """Two seconds against the limit and no longer than one filter time constant to leave it."""
    d = watch(lambda k: np.array([0, 0, 5.0 if k < 1000 else 0.0]), 1200, limit=2.0)[:, 2]
    assert d.max() <= 2.0
    assert d[999] == 2.0
    after = np.argmax(d[1000:] < 2.0 * np.exp(-1))
    assert 0 < after * PERIOD <= 1.2 / RATE


def test_frozen_it_keeps_its_value_and_goes_on_from_there():
    d = watch(lambda k: np.array([0, 0, 1.0]), 2000, frozen=lambda k: 500 <= k < 1000)[:, 2]
    assert_allclose(d[500:1000], d[499])
    assert abs(d[1000] - d[999]) < 0.02
    assert d[-1] > 0.99
