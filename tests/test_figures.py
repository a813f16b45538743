"""The pictures say what happened: a crash and where, and a force however small."""

import json

import numpy as np
import pytest

from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim import figures
from neural_lander.sim.plots.style import STYLES
from neural_lander.sim.rollout import Flight, Landing, fly
from neural_lander.sim.scenario import load_scenario

FLAT = load_scenario("flat")


def landing(name: str) -> Landing:
    return fly(Flight(load_vehicle(name), "observer", FLAT, engine="hybrid"), 0)


@pytest.mark.parametrize("name", ["intel-aero", "crazyflie"])
def test_the_force_fills_its_axis_whatever_the_weight(name):
    flown = landing(name)
    force = figures._figure([(flown.log, flown.summary)]).axes[3]
    low, high = force.get_ylim()
    strongest = flown.log["truth_force"][:, 2].max()
    assert 0.4 < strongest / (high - low) < 1.0


def test_a_crash_is_in_the_title_with_time_height_and_reason():
    flown = landing("intel-aero")
    log = flown.log.rows(slice(0, 1500))
    crashed = flown.summary | {"crashed": True, "crash_reason": "tilt over 60 degrees"}
    figure = figures._figure([(log, crashed)])
    height = log["truth_height"][-1]
    said = f"observer crashed at {log['time'][-1]:.2f} s, {height:.2f} m up (tilt over 60 degrees)"
    assert said in figure.get_suptitle()
    marks = [line for line in figure.axes[0].lines if line.get_marker() == "X"]
    assert [line.get_xydata()[0].tolist() for line in marks] == [[log["time"][-1], height]]
    assert "crashed" not in figures._figure([(log, flown.summary)]).get_suptitle()


def test_every_controller_keeps_apart_in_grey():
    shades = {}
    for name, (colour, dashes, width) in STYLES.items():
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        shades[name] = (json.dumps(dashes), width, 0.299 * red + 0.587 * green + 0.114 * blue)
    assert set(STYLES) == {
        "pd", "pid", "textbook", "textbook-fitted", "observer", "indi", "l1", "learned",
        "learned+observer", "learned-unbounded", "oracle", "oracle+observer",
    }  # fmt: skip
    for a, (dashes, width, grey) in shades.items():
        for b, (others, wide, shade) in shades.items():
            apart = dashes != others or width > 2 * wide or wide > 2 * width
            assert a == b or apart or abs(grey - shade) > 50, (a, b)


def test_the_weight_is_read_from_hover():
    flown = landing("crazyflie")
    assert figures._weight(flown.log) == pytest.approx(load_vehicle("crazyflie").weight, rel=0.02)
    assert np.isfinite(figures._weight(flown.log.rows(slice(0, 2))))


def test_a_picture_says_what_slid_and_how_far_and_what_tipped():
    flown = landing("intel-aero")
    figure = figures._figure([(flown.log, flown.summary | {"outcome": "slid", "slide_m": 0.316})])
    assert "observer slid 0.32 m along the surface" in figure.get_suptitle()
    tipped = {"outcome": "tipped over", "crashed": True, "crash_reason": "by an arm"}
    title = figures._figure([(flown.log, flown.summary | tipped)]).get_suptitle()
    assert "observer tipped over at" in title
    assert "by an arm" in title
