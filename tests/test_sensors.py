"""Noise stays inside its bounds, reaches them, and has the colour it claims."""

import numpy as np
from numpy.testing import assert_array_equal

from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.sensors import draw_noise, noise_bounds

AERO = load_vehicle("intel-aero")


def test_no_sample_leaves_its_bound_and_the_bound_is_not_idle():
    noise = np.abs(draw_noise(AERO, 200_000, np.random.default_rng(1)))
    bound = noise_bounds(AERO)
    assert np.all(noise <= bound)
    assert np.all(noise.max(axis=0) > 0.9 * bound)


def test_half_is_white_and_half_is_correlated_over_the_stated_time():
    noise = draw_noise(AERO, 400_000, np.random.default_rng(2))[:, 0] / AERO.noise.position
    variance = noise.var()
    lag = round(AERO.noise.correlation_time / AERO.timing.period)
    next_one = np.mean(noise[:-1] * noise[1:])
    far = np.mean(noise[: -2 * lag] * noise[2 * lag :])
    white = 0.25 / 3  # variance of half a uniform in [-1, 1]
    slow = 0.25 / 3 * 2 / 3  # lines between knots keep two thirds of the knots' variance
    assert abs(variance - (white + slow)) < 0.003
    assert abs(next_one - slow) < 0.003
    assert abs(far) < 0.003


def test_same_seed_same_noise():
    draws = [draw_noise(AERO, 100, np.random.default_rng(5)) for _ in range(2)]
    assert_array_equal(*draws)
