"""Whether flights show a ground effect is told from flights that have one and flights that do not."""

import json

import numpy as np
import pytest

from neural_lander.controller.flight_log import write_flight_log
from neural_lander.learning.height_dependence import LEAST, height_dependence
from neural_lander.learning.labels import residual_labels
from neural_lander.scripts import cli

from .vertical_flight import cushion, vertical_flight


def judged(vehicle, force, flights=4, noise=1.0, **kwargs):
    labels = [
        residual_labels(vertical_flight(vehicle, i, force=force, noise=noise, **kwargs), vehicle)
        for i in range(flights)
    ]
    return height_dependence(labels, vehicle)


def near(vehicle, share):
    """A force of ``share`` of weight, standing, of the very shape that is fitted."""
    length = 2 * vehicle.rotors.radius
    return lambda height, speed, thrust: share * vehicle.weight * np.exp(-height / length)


def test_flights_over_a_cushion_show_it(intel_aero):
    found = judged(intel_aero, cushion)
    assert found.shown is True
    assert found.remark.startswith("shown: standing +")
    assert found.interval_95[0] > LEAST  # 13 % of weight
    assert found.flights == 4


def test_the_force_that_goes_with_height_is_measured(intel_aero):
    found = judged(intel_aero, near(intel_aero, 0.1), noise=0.0)
    assert found.standing_weight == pytest.approx(0.1, abs=0.005)  # what the low pass takes
    low, high = found.interval_95
    assert low < found.standing_weight < high


@pytest.mark.parametrize(
    "force",
    [
        lambda height, speed, thrust: 0 * height,
        lambda height, speed, thrust: -0.5 * speed,  # inflow: up while it comes down
        lambda height, speed, thrust: 0 * height + 1.0,  # a flat battery
    ],
    ids=["nothing", "drag", "constant"],
)
def test_what_does_not_go_with_height_is_no_ground_effect(intel_aero, force):
    found = judged(intel_aero, force)
    assert found.shown is False
    assert found.remark.startswith("none: these flights show no ground effect")
    low, high = found.interval_95
    assert abs(found.standing_weight) < LEAST
    assert low < LEAST


def test_the_least_that_counts_is_told_from_both_sides(intel_aero):
    # without noise anything is significant: it is the size that decides
    for share, shown in ((0.8 * LEAST, False), (1.2 * LEAST, True)):
        found = judged(intel_aero, near(intel_aero, share), noise=0.0)
        assert found.interval_95[0] > 0
        assert found.shown is shown
    assert "less than 1 %" not in found.remark


def test_flights_that_disagree_show_nothing(intel_aero):
    labels = [
        residual_labels(vertical_flight(intel_aero, i, force=near(intel_aero, share)), intel_aero)
        for i, share in enumerate((0.2, -0.1, 0.05))
    ]
    found = height_dependence(labels, intel_aero)
    assert found.standing_weight > LEAST
    assert found.shown is False
    assert "not told from zero" in found.remark


def test_a_single_flight_is_judged_by_size_and_says_so(intel_aero):
    found = judged(intel_aero, cushion, flights=1)
    assert found.shown is True
    assert found.interval_95 is None
    assert "one flight" in found.remark


def test_flights_that_never_came_low_cannot_tell(intel_aero):
    found = judged(intel_aero, cushion, lowest=0.5)
    assert found.shown is None
    assert found.flights == 0
    assert "no flight came below 0.211 m" in found.remark


def test_train_says_it_in_words(tmp_path, intel_aero, capsys):
    for i in range(2):
        log = vertical_flight(intel_aero, i, 10.0, force=near(intel_aero, 0.0), noise=1.0)
        write_flight_log(tmp_path / "flights" / f"f{i}.parquet", log)
    with pytest.raises(SystemExit) as ended:
        cli.main(
            ["train", str(tmp_path / "flights"), "--vehicle", "intel-aero", "--epochs", "2",
             "--out", str(tmp_path / "model")]
        )  # fmt: skip
    assert ended.value.code == 0
    heard = " ".join(capsys.readouterr().out.split())
    assert "ground effect none: these flights show no ground effect: standing" in heard
    written = json.loads((tmp_path / "model" / "model.json").read_text())["ground_effect"]
    assert written["shown"] is False
    assert written["flights"] == 2
