"""What became of a flight: real ones that slide and tip, and both sides of every limit."""

import math
from dataclasses import replace

import numpy as np
import pytest

from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.compare import summarise_seeds
from neural_lander.sim.legs import Footing
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.verdict import (
    BRIEFLY,
    OUTCOMES,
    SLID,
    SLIDES,
    STOOD,
    TIPPED,
    Outcome,
    Stand,
    is_still,
    slide,
    stand_on,
    verdict,
    was_cut_in_air,
)
from neural_lander.sim.wind import Wind

AERO = load_vehicle("intel-aero")
PUSHED = replace(
    load_scenario("flat"), wind=Wind(gust=(6.0, 0.0, 0.0), gust_start=5.2, gust_length=1.0)
)
PERIOD, ROWS, TOUCH, CUT = 0.002, 1000, 500, 600


def flown(friction, vehicle=AERO, scenario=PUSHED, seed=1):
    footed = replace(scenario, legs=Footing(friction=friction))
    return fly(Flight(vehicle, "observer", footed, engine="hybrid"), seed)


def test_a_gust_at_touchdown_slides_on_a_slippery_floor_and_lands_on_one_that_holds():
    """It touches at 0.1 m/s sideways: stopped within v^2 / (2 mu g), 8 mm at 0.06 and 25 at 0.02."""
    ice, floor = flown(0.0).summary, flown(0.6).summary
    assert (ice["outcome"], floor["outcome"]) == ("slid", "landed")
    assert ice["motors_cut"]
    assert not ice["landed"]
    assert not ice["crashed"]
    assert ice["landing_time_s"] is None
    assert ice["slide_m"] > 0.2 > SLID > 0.02 > floor["slide_m"]


def test_a_sliding_vehicle_is_watched_until_it_rests_and_a_standing_one_as_ever():
    watched = []
    for friction in (0.0, 0.02, 0.6):
        log = flown(friction).log
        watched.append(log["time"][-1] - log["time"][int(np.argmax(log["phase"] == 2))])
    assert watched[0] == pytest.approx(3.3, abs=0.01)
    assert watched[2] == pytest.approx(0.3, abs=0.01)
    assert watched[2] < watched[1] < watched[0]


def test_a_tall_narrow_vehicle_with_sideways_speed_tips_and_in_still_air_stands():
    tall = replace(AERO, legs=replace(AERO.legs, feet=AERO.legs.feet * np.array([0.2, 0.2, 2.8])))
    tipped = flown(1.0, tall).summary
    still = flown(1.0, tall, load_scenario("flat")).summary
    assert (tipped["outcome"], still["outcome"]) == ("tipped over", "landed")
    assert tipped["crashed"]  # its arms meet the floor, which is what crashed has always said
    assert tipped["landing_time_s"] is None
    assert tipped["slide_m"] is None


def test_the_table_of_seeds_counts_what_slid_beside_what_landed():
    rows = [
        flown(friction, seed=s).summary | {"refused": None} for s, friction in ((1, 0.0), (2, 0.6))
    ]
    (entry,) = summarise_seeds(rows)
    assert (entry["landed"], entry["slipped"], entry["crashed"]) == (1, 1, 0)


def stand(tilt_end=0.0, way=0.0, speed=0.0):
    """A stand that touches at row TOUCH, moves by ``way`` at once and goes on at ``speed``."""
    t = PERIOD * np.arange(ROWS)
    height = np.where(np.arange(ROWS) < TOUCH, 0.5, 0.0)
    tilt = np.where(np.arange(ROWS) < ROWS - 10, 0.0, tilt_end)
    feet = np.zeros((ROWS, 2))
    feet[:, 0] = np.where(t > PERIOD * (TOUCH + 20), way, 0.0) + speed * np.maximum(t - t[-60], 0)
    return Stand(height, tilt, feet, PERIOD)


CARRIED = np.where(np.arange(ROWS) < TOUCH, 0.0, 1.0)
STOOD_STILL = Outcome(TOUCH, CUT, "")


@pytest.mark.parametrize(
    ("how", "outcome", "wanted"),
    [
        ({}, STOOD_STILL, "landed"),
        ({"way": 0.99 * SLID}, STOOD_STILL, "landed"),
        ({"way": 1.01 * SLID}, STOOD_STILL, "slid"),
        ({"speed": 0.98 * SLIDES}, STOOD_STILL, "landed"),
        ({"speed": 1.02 * SLIDES}, STOOD_STILL, "slid"),
        ({"tilt_end": 0.99 * TIPPED}, STOOD_STILL, "landed"),
        ({"tilt_end": 1.01 * TIPPED}, STOOD_STILL, "tipped over"),
        ({"tilt_end": 1.01 * TIPPED}, Outcome(TOUCH, None, "by an arm"), "tipped over"),
        ({"tilt_end": 1.01 * TIPPED}, Outcome(None, None, "tilt"), "crashed"),
        ({}, Outcome(TOUCH, CUT, "first contact"), "crashed"),
        ({"way": 1.0}, Outcome(TOUCH, None, ""), "slid"),
        ({}, Outcome(TOUCH, None, ""), "hangs"),
        ({}, Outcome(TOUCH, TOUCH - 100, ""), "cut in air"),
    ],
)
def test_each_outcome_begins_at_its_limit(how, outcome, wanted):
    assert verdict(outcome, stand(**how), CARRIED, True) == wanted
    assert wanted in OUTCOMES


@pytest.mark.parametrize("period", [0.002, 0.004])
def test_in_the_air_are_legs_that_carried_nothing_for_20_ms(period):
    """One meaning, for the verdict and for the summary, whatever the period."""
    s, few = replace(stand(), period=period), round(BRIEFLY / period)
    for rows, wanted in ((1, "landed"), (few, "landed"), (few + 1, "cut in air")):
        carried = np.zeros(ROWS)
        carried[CUT - rows] = 1.0
        assert verdict(STOOD_STILL, s, carried, True) == wanted
        assert was_cut_in_air(STOOD_STILL, carried, period) is (wanted == "cut in air")
    assert was_cut_in_air(Outcome(TOUCH, None, ""), CARRIED, period) is None


def test_a_flight_that_is_not_to_land_is_flown_unless_it_crashes():
    assert verdict(Outcome(None, None, ""), stand(), 0 * CARRIED, False) == "flown"
    assert verdict(Outcome(None, None, "tilt"), stand(), 0 * CARRIED, False) == "crashed"


def test_a_brush_before_the_landing_is_no_slide():
    """Touched, flew 1 m sideways, landed: the way counts from where it stood."""
    s = stand()
    s.feet[TOUCH + 50 :, 0] = 1.0
    assert slide(s, STOOD_STILL)[0] == 1.0
    s.height[TOUCH + 40 : TOUCH + 60] = 1.1 * STOOD
    assert slide(s, STOOD_STILL) == (0.0, 0.0)


def test_a_slope_is_no_tilt_and_a_decks_motion_no_slide():
    log = flown(0.6, seed=2).log
    level = stand_on(log, AERO)
    lean = math.radians(8)
    tilted = stand_on(log, AERO, normal=(math.sin(lean), 0.0, math.cos(lean)))
    assert tilted.tilt[-1] == pytest.approx(lean, abs=math.radians(0.1))
    assert level.tilt[-1] < math.radians(0.1)
    deck = np.zeros((len(log), 3))
    deck[:, 0] = 0.1 * log["time"]
    moved = stand_on(log, AERO, moved=deck)
    outcome = Outcome(int(np.argmax(log["truth_contact_force"] > 0)), None, "")
    assert slide(level, outcome)[1] < 1e-3
    assert slide(moved, outcome)[1] == pytest.approx(0.1, abs=1e-3)


def test_stillness_has_a_limit_for_speed_and_one_for_rate():
    assert is_still((0.019, 0, 0), (0, 0.049, 0))
    assert not is_still((0, 0.021, 0), (0, 0, 0))
    assert not is_still((0, 0, 0), (0, 0, 0.051))


def test_feet_that_stand_on_a_pitching_plane_do_not_move_along_it():
    """By its middle they stay to rounding; by the point below the vehicle within r sin^2(pitch)."""
    t = np.linspace(0, 3, 300)
    angle = 0.3 * np.sin(2 * t)
    normal = np.stack([np.sin(angle), 0 * t, np.cos(angle)], axis=-1)
    middle = np.stack([0 * t, 0 * t, 0.5 + 0.1 * np.sin(3 * t)], axis=-1)
    there = middle + np.stack([0.4 * np.cos(angle), 0.2 + 0 * t, -0.4 * np.sin(angle)], axis=-1)
    log = {
        "truth_attitude": np.stack([0 * t, np.sin(angle / 2), 0 * t, np.cos(angle / 2)], axis=-1),
        "truth_position": there + AERO.rest_height * normal,
        "truth_height": 0 * t,
        "time": t,
    }
    stand = stand_on(log, AERO, normal, middle)
    assert np.abs(stand.feet - [0.4, 0.2]).max() < 1e-12
    assert stand.tilt.max() < 1e-7
    below = stand_on(log, AERO, normal, there * (0, 0, 1))
    off = np.abs(below.feet - [0.4, 0.2]).max()
    assert off == pytest.approx(0.4 * math.sin(0.3) ** 2, rel=1e-3)
