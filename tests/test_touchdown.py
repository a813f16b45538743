"""The motors are cut on the ground, never on the air cushion."""

from types import SimpleNamespace

from neural_lander.controller.touchdown import CUT, CUT_TIME, FLYING, PUSHING, touchdown_phase

PERIOD = 0.002


def memory(phase=FLYING):
    return SimpleNamespace(phase=phase, push_start=0.0, felt=0.0, period=PERIOD)


def feel(c, seconds, force, speed=0.01, height=0.0):
    for k in range(round(seconds / PERIOD)):
        touchdown_phase.py_func(c, 0.0, height, speed, force, k * PERIOD)
    return c.phase


def test_it_arms_only_when_reference_height_and_speed_all_say_so():
    for reference, height, speed in [(0.01, 0.0, 0.0), (0.0, 0.03, 0.0), (0.0, 0.0, 0.2)]:
        c = memory()
        assert touchdown_phase.py_func(c, reference, height, speed, 1.0, 1.0) == FLYING
    c = memory()
    assert touchdown_phase.py_func(c, 0.0, 0.0, 0.0, 0.0, 1.0) == PUSHING
    assert c.push_start == 1.0


def test_low_and_slow_alone_does_not_cut():
    assert feel(memory(), 5.0, force=0.0) == PUSHING


def test_the_ground_effect_beyond_a_blind_model_does_not_cut():
    """13 % of weight is what `pd` does not model; with 4 % of noise on it the motors stay on."""
    assert feel(memory(), 5.0, force=0.17) == PUSHING


def test_the_floor_cuts_after_its_time_and_stays_cut():
    c = memory(PUSHING)
    assert feel(c, CUT_TIME - 2 * PERIOD, force=0.5) == PUSHING
    assert feel(c, 4 * PERIOD, force=0.5) == CUT
    assert feel(c, 1.0, force=0.0, speed=1.0, height=1.0) == CUT


def test_a_bump_in_passing_does_not_add_up():
    c = memory(PUSHING)
    for _ in range(10):
        feel(c, CUT_TIME / 2, force=0.5)
        feel(c, 2 * PERIOD, force=0.0)
    assert c.phase == PUSHING


def test_a_vehicle_that_still_moves_is_not_cut():
    assert feel(memory(PUSHING), 5.0, force=0.5, speed=0.2) == PUSHING
