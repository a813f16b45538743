"""Quantities at times of their own come onto one row of times, and nothing is made up between."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_lander.controller.errors import InputError
from neural_lander.learning.resampling import Joined, Track, increasing, join


def joined(needed: tuple[str, ...] = (), **tracks: Track) -> Joined:
    return join(tracks, needed or tuple(tracks), "made")


def at(rate: float, seconds: float, start: float = 0.0) -> np.ndarray:
    return start + np.arange(round(seconds * rate)) / rate


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12))
def test_no_larger_choice_of_rows_goes_forward(stamps: list[int]) -> None:
    time = np.array(stamps, dtype=np.float64)
    kept = time[increasing(time)]
    assert np.all(np.diff(kept) > 0)
    longest = [1] * len(time)
    for i in range(len(time)):
        for j in range(i):
            if time[j] < time[i]:
                longest[i] = max(longest[i], longest[j] + 1)
    assert len(kept) == max(longest)


def test_a_stray_stamp_costs_its_own_row_alone() -> None:
    for stray in (1174.0, -18.0):
        time = at(100, 1)
        time[30] = stray
        np.testing.assert_array_equal(np.flatnonzero(~increasing(time)), [30])


def test_the_slowest_quantity_gives_the_rows() -> None:
    fast, slow = at(200, 5), at(10, 5, 0.003)
    columns = joined(a=Track(fast, fast), b=Track(slow, slow)).columns
    np.testing.assert_array_equal(columns["time"], slow)


def test_shared_times_pass_unchanged() -> None:
    time, rng = np.sort(np.random.default_rng(0).uniform(0, 1, 50)), np.random.default_rng(1)
    values = rng.normal(size=(50, 3))
    result = joined(a=Track(time, values), b=Track(time, values[:, 0]))
    np.testing.assert_array_equal(result.columns["a"], values)
    np.testing.assert_array_equal(result.columns["b"], values[:, 0])
    assert (result.dropped_rows, result.notes) == (0, ())


def test_a_straight_line_stays_one_at_any_rate() -> None:
    slow = at(10, 5, 0.05)
    for rate in (4.0, 12.0, 100.0, 1000.0):
        fast = at(rate, 5.5, -0.2)
        columns = joined(("b",), a=Track(fast, 3 * fast - 1), b=Track(slow, slow)).columns
        np.testing.assert_allclose(
            columns["a"], 3 * slow - 1, atol=1e-9
        )  # no delay, not half a row


def test_a_vibration_faster_than_the_rows_is_averaged_not_aliased() -> None:
    fast, slow = at(200, 10), at(10, 9, 0.5)
    # 39 Hz would show at 1 Hz and full height if every twentieth sample were taken.
    shaken = Track(fast, np.sin(2 * np.pi * 39 * fast))
    columns = joined(a=shaken, b=Track(slow, slow)).columns
    assert np.abs(columns["a"]).max() < 0.1


def test_states_are_held_not_interpolated() -> None:
    time = at(10, 5)
    state = Track(np.array([0.0, 2.04]), np.array([1.0, 0.0]), "state")
    columns = joined(("b",), a=state, b=Track(time, time)).columns
    np.testing.assert_array_equal(columns["a"], np.where(time < 2.04, 1, 0))


def test_attitudes_of_either_sign_are_one_attitude() -> None:
    fast, slow = at(50, 4), at(7, 3, 0.5)
    angle = 0.3 * fast
    q = np.stack([np.sin(angle / 2), 0 * fast, 0 * fast, np.cos(angle / 2)], axis=-1)
    q[::2] *= -1
    result = joined(a=Track(fast, q, "attitude"), b=Track(slow, slow)).columns["a"]
    np.testing.assert_allclose(np.linalg.norm(result, axis=1), 1)
    turned = 2 * np.arctan2(result[:, 0], result[:, 3])
    np.testing.assert_allclose(np.angle(np.exp(1j * (turned - 0.3 * slow))), 0, atol=0.3 * 0.02)


def test_a_gap_in_a_needed_quantity_is_left_out_and_said() -> None:
    slow, fast = at(10, 5), at(100, 5)
    holed = fast[(fast < 2) | (fast > 3)]
    result = joined(a=Track(holed, holed), b=Track(slow, slow))
    assert not np.any((result.columns["time"] > 2.05) & (result.columns["time"] < 2.95))
    assert "11 of 50 rows of b: without a" in result.notes[0]  # 2.0 to 3.0
    assert len(result.columns["time"]) == 39


def test_values_that_are_none_cost_their_row_and_are_counted() -> None:
    time = at(100, 1)
    values = time.copy()
    values[[3, 70]] = np.nan
    values[5] = 1e30
    result = joined(a=Track(time, values), b=Track(time, time))
    assert len(result.columns["time"]) == 97
    assert "3 of 100 rows of a: not a number" in result.notes


def test_an_optional_quantity_may_be_slow_and_is_left_out_if_of_another_time() -> None:
    time = at(100, 10)
    volts = Track(np.array([0.0, 5.0, 9.0]), np.array([12.0, 11.0, 10.0]))
    late = Track(np.array([20.0, 21.0]), np.array([1.0, 1.0]))
    result = joined(("a",), a=Track(time, time), battery=volts, late=late)
    assert result.columns["battery"][500] == pytest.approx(11)
    assert result.columns["battery"][-1] == 10
    assert "late" not in result.columns
    assert "late: logged at other times than the flight" in result.notes


def test_too_little_is_refused_with_what_there_was() -> None:
    time = at(10, 1)
    with pytest.raises(InputError, match="a has 1 usable rows of 1"):
        joined(a=Track(time[:1], time[:1]), b=Track(time, time))
    with pytest.raises(InputError, match="10 of 10 rows of a: not a number"):
        joined(a=Track(time, np.full(10, np.nan)), b=Track(time, time))
    with pytest.raises(InputError, match="logged together at 0 times"):
        joined(a=Track(time, time), b=Track(time + 100, time))
