"""Intervals hold the truth as often as they say."""

import numpy as np
import pytest

from neural_lander.sim.statistics import mean, middle, quantile, share


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_quantile_intervals_cover_the_truth_in_95_percent(q):
    rng = np.random.default_rng(0)
    truth = -np.log(1 - q)  # of the exponential distribution
    found = [quantile(rng.exponential(size=200), q) for _ in range(1000)]
    covered = np.mean([f["low"] <= truth <= (f["high"] or np.inf) for f in found])
    assert 0.94 <= covered <= 0.985  # order statistics are discrete: a little more than 95 %


def test_too_few_samples_leave_an_end_open():
    assert quantile(np.arange(20.0), 0.95)["high"] is None
    assert quantile(np.arange(20.0), 0.95)["value"] == 18.0


def test_shares_know_the_rule_of_three():
    assert share(0, 100)["high"] == pytest.approx(1 - 0.025 ** (1 / 100))
    assert share(100, 100)["low"] == pytest.approx(0.025 ** (1 / 100))
    assert share(50, 100)["value"] == 0.5


def test_the_bootstrap_interval_of_a_mean_covers_the_truth():
    rng = np.random.default_rng(1)
    found = [mean(rng.exponential(size=40)) for _ in range(200)]
    covered = np.mean([f["low"] <= 1.0 <= f["high"] for f in found])
    assert 0.90 <= covered <= 0.98  # of a skewed distribution BCa falls a little short of 95 %
    assert np.mean([f["high"] - f["low"] for f in found]) == pytest.approx(
        2 * 1.96 / 40**0.5, rel=0.15
    )


def test_the_same_samples_give_the_same_interval_and_one_gives_none():
    values = np.arange(7.0)
    assert mean(values) == mean(values.copy())
    assert (mean(values[:1])["low"], mean(values[:1])["value"]) == (None, 0.0)
    assert mean(np.full(5, 0.1))["high"] == mean(np.full(5, 0.1))["value"]


def test_the_middle_turns_its_sign_with_the_samples():
    inf = np.inf
    for values in (
        [1.0, 2.0, 4.0, 9.0],
        [3.0, 1.0, 2.0],
        [inf, inf, 1.0],
        [-inf, inf],
        [-inf, 1.0],
    ):
        one, other = middle(np.array(values)), middle(-np.array(values))
        assert one["value"] == -other["value"]
    assert middle(np.array([1.0, 2.0, 4.0, 9.0]))["value"] == 3.0
    assert middle(np.array([inf, inf, 1.0]))["value"] == inf
