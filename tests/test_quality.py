"""The mark by which ways to learn are compared, from both sides."""

import pytest

from neural_lander.sim.plots.efficiency import draw_efficiency
from neural_lander.sim.quality import is_good, qualities, reached

GOOD = {
    "landed": True, "crashed": False, "terminal_z_error_m": -0.006, "touchdown_speed_m_s": 0.3,
    "xy_end_m": 0.01,
}  # fmt: skip


def look(flown_s, good):
    return {"flown_s": flown_s, "good": good, "flown": 20, "terminal_z_error_m": 0.05 / (1 + good)}


def test_a_good_landing_is_on_the_mark_and_a_bad_one_just_over_it():
    assert is_good(GOOD)
    for key, value in (
        ("landed", False),
        ("terminal_z_error_m", 0.00601),
        ("terminal_z_error_m", None),
        ("touchdown_speed_m_s", 0.301),
        ("touchdown_speed_m_s", None),
    ):
        assert not is_good(GOOD | {key: value}), key


def test_qualities_count_all_and_take_medians_of_sizes():
    hangs = GOOD | {"landed": False, "terminal_z_error_m": 0.07, "touchdown_speed_m_s": None}
    seen = qualities([GOOD, hangs, GOOD | {"terminal_z_error_m": 0.002}])
    assert (seen["flown"], seen["good"], seen["landed"], seen["crashed"]) == (3, 2, 2, 0)
    assert seen["terminal_z_error_m"] == pytest.approx(0.006)
    assert qualities([hangs])["touchdown_speed_m_s"] is None


def test_it_is_reached_from_where_it_stays():
    assert reached([look(10, 0), look(20, 19), look(30, 20)]) == 20
    assert reached([look(10, 20), look(20, 18), look(30, 19)]) == 30
    assert reached([look(10, 20), look(20, 18)]) is None
    assert reached([look(10, 19)]) == 10
    assert reached([]) is None


def test_the_picture_is_drawn(tmp_path):
    curves = {"learned": [look(15, 3), look(60, 20)], "PPO": [look(0, 0), look(900, 20)]}
    paths = draw_efficiency(curves, {"pd": look(0, 0)}, tmp_path / "e.png")
    assert sorted(p.suffix for p in paths) == [".pdf", ".png"]
    assert all(p.stat().st_size > 5000 for p in paths)
