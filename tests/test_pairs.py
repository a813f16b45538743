"""Pairs: who wins is what one would say by hand, both ways round, and no failure is ever dropped."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_lander.sim.pairs import compare_pairs, failed, strongest_simple

KEY = "z_rmse_m"


def row(controller, seed, z=0.001, **more):
    """Return a landing."""
    figures = {
        "z_rmse_m": z, "z_max_error_m": 2 * z if z is not None else None, "landing_time_s": 3.0,
        "touchdown_speed_m_s": 0.1, "terminal_z_error_m": -z if z is not None else None,
        "xy_end_m": 0.0,
    }  # fmt: skip
    return {
        "controller": controller, "scenario": "flat", "seed": seed, "refused": None, "lands": True,
        "landed": True, "crashed": False, **figures, **more,
    }  # fmt: skip


def crash(controller, seed):
    return row(controller, seed, crashed=True, landed=False)


def refusal(controller, seed):
    return {"controller": controller, "scenario": "flat", "seed": seed, "refused": "no certificate"}


def hang(controller, seed):
    return row(controller, seed, landed=False, touchdown_speed_m_s=None)


def pair(mine, theirs, baseline="b"):
    return compare_pairs([*mine, *theirs], baseline)[0]


def test_three_pairs_by_hand():
    mine = [row("a", s, z) for s, z in enumerate((0.001, 0.005, 0.002))]
    theirs = [row("b", s, z) for s, z in enumerate((0.004, 0.003, 0.002))]
    figure = pair(mine, theirs)[KEY]
    assert (figure["wins"], figure["losses"], figure["ties"]) == (1, 1, 1)
    np.testing.assert_allclose(figure["differences"], [-0.003, 0.002, 0.0])
    assert figure["median"]["value"] == 0.0
    assert figure["mean"]["value"] == pytest.approx(-0.001 / 3)
    assert figure["win_rate"]["value"] == 0.5  # of the two that were decided
    assert (figure["median"]["low"], figure["median"]["high"]) == (None, None)  # 3 pairs give none


def test_eight_wins_of_eight_by_hand():
    mine = [row("a", s, 0.001 * (s + 1)) for s in range(8)]
    theirs = [row("b", s, 0.002 * (s + 1)) for s in range(8)]
    figure = pair(mine, theirs)[KEY]
    assert figure["win_rate"]["value"] == 1
    assert figure["win_rate"]["low"] == pytest.approx(0.025 ** (1 / 8))  # Clopper, Pearson
    assert figure["median"]["value"] == pytest.approx(-0.0045)
    # for n = 8 the median lies between the extremes with probability 1 - 2/2^8 = 99.2 %
    assert (figure["median"]["low"], figure["median"]["high"]) == pytest.approx((-0.008, -0.001))


def test_seeds_are_what_pairs_not_the_order_of_rows():
    mine, theirs = (
        [row(name, s, z * (s + 1)) for s in range(5)] for name, z in (("a", 0.001), ("b", 0.002))
    )
    straight = pair(mine, theirs)
    assert pair(mine[::-1], theirs[2:] + theirs[:2]) == straight


def test_sizes_are_compared_not_signs():
    figure = pair([row("a", 0, 0.003), row("a", 1, 0.003)], [row("b", 0), row("b", 1)])
    assert figure["terminal_z_error_m"]["losses"] == 2  # -3 mm is worse than -1 mm


@pytest.mark.parametrize("failure", [crash, refusal, hang])
def test_a_failure_loses_its_pair_however_small_its_errors(failure):
    mine = [row("a", s, 0.001) for s in range(7)]
    theirs = [row("b", s, 0.009) for s in range(7)]
    clean = pair(mine, theirs)[KEY]
    worse = pair([failure("a", 0), *mine[1:]], theirs)
    figure = worse[KEY]
    assert (clean["wins"], clean["losses"]) == (7, 0)
    assert (figure["wins"], figure["losses"]) == (6, 1)
    assert figure["differences"][0] == "inf"
    assert worse["failed_only_controller"] == 1
    assert figure["mean_of"] == 6
    assert float(figure["median"]["high"]) == math.inf  # of 7 the interval reaches to the largest
    figure = pair(mine, [failure("b", 0), *theirs[1:]])[KEY]
    assert (figure["wins"], figure["losses"], figure["differences"][0]) == (7, 0, "-inf")


def test_two_failures_are_a_tie_and_most_failures_decide_the_median():
    both = pair([crash("a", 0), row("a", 1)], [hang("b", 0), row("b", 1, 0.002)])
    assert both["failed_both"] == 1
    assert both[KEY]["ties"] == 1
    assert both[KEY]["differences"][0] == 0
    bad = pair([crash("a", s) for s in range(3)], [row("b", s) for s in range(3)])
    assert bad[KEY]["median"]["value"] == "inf"
    assert bad[KEY]["mean"] is None


def test_hanging_is_no_failure_where_nothing_was_to_land():
    assert failed(hang("a", 0))
    assert not failed(hang("a", 0) | {"lands": False})
    assert failed(row("a", 0, error="ZeroDivisionError"))


def test_a_figure_that_does_not_apply_decides_nothing():
    level = {"lands": False, "landed": False, "touchdown_speed_m_s": None}
    entry = pair([row("a", s, **level) for s in range(2)], [row("b", s, **level) for s in range(2)])
    assert entry["touchdown_speed_m_s"] is None
    one = pair(
        [row("a", 0, **level), row("a", 1, **level | {"touchdown_speed_m_s": 0.3})],
        [row("b", s, **level | {"touchdown_speed_m_s": 0.2}) for s in range(2)],
    )["touchdown_speed_m_s"]
    assert (one["losses"], one["not_comparable"], one["differences"][0]) == (1, 1, None)


LANDINGS = st.lists(
    st.tuples(*[st.one_of(st.sampled_from([crash, hang, refusal]), st.floats(0, 0.05))] * 2),
    min_size=2,
    max_size=12,
)


def made(name, seed, what):
    return what(name, seed) if callable(what) else row(name, seed, what)


@settings(max_examples=30)
@given(LANDINGS)
def test_changing_places_turns_every_sign_and_every_rate(landings):
    a = [made("a", s, x) for s, (x, _) in enumerate(landings)]
    b = [made("b", s, y) for s, (_, y) in enumerate(landings)]
    one, other = pair(a, b, "b"), pair(a, b, "a")
    assert one["failed_only_controller"] == other["failed_only_baseline"]
    for key in (KEY, "landing_time_s", "touchdown_speed_m_s"):
        f, g = one[key], other[key]
        assert (f is None) == (g is None)
        if f is None:
            continue
        counted = f["wins"] + f["losses"] + f["ties"] + f["not_comparable"]
        assert counted == one["pairs"] == len(landings)  # nobody is lost
        assert (f["wins"], f["losses"], f["ties"]) == (g["losses"], g["wins"], g["ties"])
        for mine, theirs in (("value", "value"), ("low", "high"), ("high", "low")):
            if f["median"][mine] is None:
                assert g["median"][theirs] is None
            else:
                assert float(f["median"][mine]) == -float(g["median"][theirs])
        if f["win_rate"] is not None:
            assert f["win_rate"]["value"] == pytest.approx(1 - g["win_rate"]["value"])
            assert f["win_rate"]["low"] == pytest.approx(1 - g["win_rate"]["high"])
        if f["mean"] is not None:
            assert f["mean"]["value"] == pytest.approx(-g["mean"]["value"])


def test_scenarios_are_compared_each_by_itself():
    rows = [row(n, s, z) for n, z in (("a", 0.001), ("b", 0.002)) for s in (0, 1)]
    rows += [r | {"scenario": "gust", KEY: 0.003 - r[KEY]} for r in rows]
    flat, gust = compare_pairs(rows, "b")
    assert (flat["scenario"], flat[KEY]["wins"]) == ("flat", 2)
    assert (gust["scenario"], gust[KEY]["losses"]) == ("gust", 2)


def test_what_is_no_pair_is_no_comparison():
    with pytest.raises(ValueError, match="different seeds"):
        compare_pairs([row("a", 0), row("b", 1)], "b")
    with pytest.raises(ValueError, match="two landings of a with seed 0"):
        compare_pairs([row("a", 0), row("a", 0), row("b", 0)], "b")


def flown(name, z, bad=0, n=3):
    return [crash(name, s) if s < bad else row(name, s, z) for s in range(n)]


def test_the_strongest_simple_controller_has_the_smallest_median_error_failures_in_it():
    rows = flown("learned", 1e-5) + flown("oracle", 1e-6) + flown("pid", 0.001, 2)
    rows += flown("pd", 0.05)
    assert strongest_simple(rows) == "pd"  # of pid's three two are infinite
    assert strongest_simple(rows + flown("observer", 0.004)) == "observer"
    assert strongest_simple(flown("learned", 0.001)) is None


def test_one_failure_in_many_does_not_choose_a_worse_baseline():
    rows = flown("observer", 0.004, 1, 200) + flown("pid", 0.012, 0, 200)
    assert strongest_simple(rows) == "observer"
    assert strongest_simple(flown("indi", 0.004, 1) + flown("pid", 0.004)) == "pid"
