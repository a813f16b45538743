import numpy as np
import pytest

from neural_lander.controller.residual import ZeroResidual
from neural_lander.learning.evaluation import (
    LOW_HEIGHT,
    LOWEST,
    intervals,
    mean_scores,
    scores,
    summary,
)
from neural_lander.learning.labels import raw_labels

from .vertical_flight import cushion, vertical_flight


class Cushion:
    """The force that the flights were made with, and what is wrong with it. A ``ResidualModel``."""

    def __init__(self, wrong=lambda state: 0.0):
        self.wrong = wrong

    def force(self, state):
        thrust = np.asarray(state.rotor_thrust).sum(axis=-1)
        up = cushion(state.height, state.velocity[..., 2], thrust) + self.wrong(state)
        return np.stack([0 * up, 0 * up, up], axis=-1)


@pytest.fixture(scope="module")
def labels(intel_aero):
    return raw_labels(vertical_flight(intel_aero, seed=1, seconds=20), intel_aero)


def test_the_true_force_scores_one(labels, intel_aero):
    result = scores(Cushion(), labels, intel_aero)
    assert result["r2_z"] > 0.9999
    assert result["r2_z_5hz"] > 0.9999
    assert result["r2_z_5hz_low"] > 0.9999
    assert result["rmse_z_n"] < 2e-3
    assert result["samples"] == len(labels)


def test_a_constant_of_the_flight_is_no_part_of_the_score(intel_aero):
    log = vertical_flight(intel_aero, seed=1, seconds=20, offset=0.7)
    result = scores(Cushion(), raw_labels(log, intel_aero), intel_aero)
    assert result["offset_n"] == pytest.approx(0.7 * 1.05, abs=0.05)  # the thrust answers it
    assert result["rmse_z_5hz_n"] < 0.01


def test_a_wave_on_the_prediction_is_scored_at_its_size(labels, intel_aero):
    """0.2 sin(2 pi f t) has an RMS of 0.1414; 0.5 Hz passes 5 Hz, 20 Hz does not."""

    def wave(frequency):
        return lambda state: 0.2 * np.sin(2 * np.pi * frequency * labels.time)

    slow = scores(Cushion(wave(0.5)), labels, intel_aero)
    fast = scores(Cushion(wave(20.0)), labels, intel_aero)
    for result in (slow, fast):
        assert result["rmse_z_n"] == pytest.approx(0.1414, abs=0.005)
    assert slow["rmse_z_5hz_n"] == pytest.approx(0.1414, abs=0.005)
    assert slow["rmse_z_5hz_weight"] == pytest.approx(0.1414 / intel_aero.weight, rel=0.05)
    assert fast["rmse_z_5hz_n"] < 0.005


def test_an_error_near_the_ground_shows_in_the_low_score(labels, intel_aero):
    result = scores(Cushion(lambda s: 0.5 * (s.height < LOW_HEIGHT)), labels, intel_aero)
    assert result["samples_low"] == (labels.height < LOW_HEIGHT).sum() > 50
    assert result["rmse_z_5hz_low_n"] > 2 * result["rmse_z_5hz_n"]
    assert result["offset_n"] == pytest.approx(0, abs=2e-3)  # far from the ground nothing is wrong


def test_zero_explains_no_more_than_the_mean(labels, intel_aero):
    result = scores(ZeroResidual(), labels, intel_aero)
    assert result["r2_z_5hz"] < 0.1
    error = labels.force[:, 2] - np.median(labels.force[labels.height > 0.69, 2])
    assert result["rmse_z_n"] == pytest.approx(np.sqrt(np.mean(error**2)))


def test_what_was_not_flown_is_not_scored(labels, intel_aero):
    high = labels.rows(labels.height > 0.3)
    result = scores(Cushion(), high, intel_aero)
    assert result["rmse_z_5hz_low_n"] is None
    assert result["r2_z_5hz_low"] is None
    low = labels.rows(labels.height < 0.3)
    assert scores(Cushion(), low, intel_aero)["offset_n"] is None


def test_the_mean_leaves_out_flights_without_the_figure():
    mean = mean_scores([{"flight": "a", "x": 1.0, "y": None}, {"flight": "b", "x": 3.0, "y": 5.0}])
    assert mean == {"x": 2.0, "y": 5.0}


def test_the_interval_over_flights_is_student_s():
    """Of 0.1, 0.2, 0.3: mean 0.2, deviation 0.1, t(2) at 97.5 % is 4.303."""
    flights = [
        {"flight": str(x), "rmse_z_n": x, "r2_z": 1 - x, "samples": 9} for x in (0.1, 0.2, 0.3)
    ]
    found = intervals(flights)
    assert found["rmse_z_n"] == [0.0, pytest.approx(0.2 + 4.3027 * 0.1 / 3**0.5, abs=1e-4)]
    assert found["r2_z"] == [pytest.approx(0.8 - 0.2484, abs=1e-4), 1.0]  # nothing scores above 1
    assert "samples" not in found
    assert intervals(flights[:1])["r2_z"] is None


def test_bands_of_height_share_the_rows_and_show_where_it_is_wrong(labels, intel_aero):
    radius = intel_aero.rotors.radius

    def wrong(state):
        return 0.5 * ((state.height > 2 * radius) & (state.height < 4 * radius))

    whole = summary([{"flight": "a", **scores(Cushion(wrong), labels, intel_aero)}])
    assert sum(b["samples"] for b in whole["flights"][0]["bands"]) == len(labels)
    edges = [(b["from_m"], b["to_m"]) for b in whole["bands"]]
    assert [low for low, _ in edges[1:]] == [high for _, high in edges[:-1]]
    errors = [b["rmse_z_5hz_n"] for b in whole["bands"]]
    assert int(np.argmax(errors)) == 2
    assert errors[2] > 0.3 > 5 * errors[4]


def test_of_the_crazyflie_the_lowest_centimetres_are_not_scored(crazyflie):
    log = vertical_flight(crazyflie, seed=2, seconds=20, lowest=0.0, force=lambda h, v, u: 0 * h)
    raw = raw_labels(log, crazyflie)
    above = raw.height > LOWEST["crazyflie"]
    assert 0 < above.sum() < len(raw)
    assert scores(ZeroResidual(), raw, crazyflie)["samples"] == len(raw.rows(above))
