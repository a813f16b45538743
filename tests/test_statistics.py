"""Intervals hold the truth as often as they say."""

import numpy as np
import pytest

from neural_lander.sim.statistics import quantile, share


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
