"""The figures of a landing, on hand-made flights whose figures are known."""

import numpy as np
import pytest

from neural_lander.controller.flight_log import QUANTITIES, FlightLog
from neural_lander.controller.setpoint import plan_descent
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.step import LOGGED
from neural_lander.sim.summary import summarise
from neural_lander.sim.verdict import Outcome

AERO = load_vehicle("intel-aero")
PLAN = plan_descent("s-curve", (0, 0, 1.0), 0.0, 1.0)


def flight(height, reference, contact_force, speed=None, controller="learned"):
    n = len(height)
    columns = {
        name: np.zeros((n, len(QUANTITIES[name].components)) if QUANTITIES[name].components else n)
        for name in LOGGED
    }
    columns["time"] = 0.002 * np.arange(n)
    columns["attitude"][:, 3] = columns["truth_attitude"][:, 3] = 1
    columns["truth_height"], columns["reference_height"] = height, reference
    columns["truth_position"][:, 2] = height + AERO.rest_height
    columns["setpoint_position"][:, 2] = reference + AERO.rest_height
    columns["truth_velocity"][:, 2] = np.gradient(height, 0.002) if speed is None else speed
    columns["truth_contact_force"] = contact_force
    columns["rotor_thrust_command"][:] = 3.6
    keys = ("scenario", "reference", "aero", "vehicle", "seed", "certified")
    return FlightLog(columns, {"controller": controller} | dict.fromkeys(keys))


def straight_down():
    """Hover 1 s at 1 m, 0.5 m/s down to the floor at 3 s, 2 s on it; the reference 10 mm below."""
    t = 0.002 * np.arange(2500)
    height = np.clip(1.0 - 0.5 * (t - 1.0), 0.0, 1.0)
    contact = np.where(t >= 3.0, AERO.weight, 0.0)
    return t, height, contact


def test_a_flight_that_is_always_10_mm_too_high():
    t, height, contact = straight_down()
    at = int(np.argmax(contact > 0))
    s = summarise(flight(height, height - 0.010, contact), Outcome(at, at + 50, ""), PLAN, AERO)
    # clipping the reference at 0 takes the last 20 ms off
    assert s["terminal_z_error_m"] == pytest.approx(0.010, abs=4e-4)
    assert s["z_rmse_m"] == pytest.approx(0.010, abs=1e-4)
    assert s["touchdown_speed_m_s"] == pytest.approx(0.5, rel=1e-6)
    assert s["landed"]
    assert s["final_height_m"] == 0
    assert s["rise_after_contact_m"] == 0
    # 1 cm is passed 20 ms before the floor, but the speed falls only there
    assert s["landing_time_s"] == pytest.approx(2.0, abs=0.005)


def test_a_vehicle_that_hangs_has_not_landed_and_shows_how_high():
    t, height, contact = straight_down()
    height = np.maximum(height, 0.07)
    s = summarise(flight(height, height * 0, contact * 0), Outcome(None, None, ""), PLAN, AERO)
    assert not s["landed"]
    assert s["final_height_m"] == pytest.approx(0.07)
    assert s["terminal_z_error_m"] == pytest.approx(0.07)
    for key in ("touchdown_speed_m_s", "rise_after_contact_m", "landing_time_s", "cut_in_air"):
        assert s[key] is None


def test_a_hover_that_touches_the_floor_once_is_counted():
    t, height, contact = straight_down()
    high = summarise(flight(height, height, contact), Outcome(None, None, ""), PLAN, AERO)
    low = summarise(flight(height, height, contact), Outcome(1500, None, ""), PLAN, AERO)
    assert (high["touched"], low["touched"]) == (False, True)


def test_motors_cut_in_the_air_are_no_landing():
    t, height, contact = straight_down()
    s = summarise(flight(height, height, contact), Outcome(1000, 900, ""), PLAN, AERO)
    assert s["cut_in_air"]
    assert not s["landed"]


def test_a_bounce_is_seen():
    t, height, contact = straight_down()
    at = int(np.argmax(contact > 0))
    height[at + 50 : at + 100] = 0.012
    s = summarise(flight(height, height * 0, contact), Outcome(at, at + 300, ""), PLAN, AERO)
    assert s["rise_after_contact_m"] == pytest.approx(0.012)


def test_a_crash_has_no_landing_time():
    t, height, contact = straight_down()
    s = summarise(flight(height, height, contact), Outcome(1500, None, "tilt"), PLAN, AERO)
    assert s["crashed"]
    assert s["crash_reason"] == "tilt"
    assert s["landing_time_s"] is None


def test_force_error_counts_below_15_cm_and_only_where_something_was_learned():
    t, height, contact = straight_down()
    at = int(np.argmax(contact > 0))
    log = flight(height, height, contact)
    log["truth_force"][:, 2] = np.where(height < 0.15, 1.0, 100.0)
    log["learned_force"][:, 2] = 0.9
    assert summarise(log, Outcome(at, None, ""), PLAN, AERO)["force_rmse_low_n"] == pytest.approx(
        0.1
    )
    blind = flight(height, height, contact, controller="pid")
    assert summarise(blind, Outcome(at, None, ""), PLAN, AERO)["force_rmse_low_n"] is None


def test_the_other_legs_may_hit_harder_than_the_first():
    t, height, contact = straight_down()
    at = int(np.argmax(contact > 0))
    speed = np.where(height > 0, -0.1, 0.0)
    speed[at + 5] = -0.4
    s = summarise(flight(height, height, contact, speed), Outcome(at, at + 99, ""), PLAN, AERO)
    assert s["touchdown_speed_m_s"] == pytest.approx(0.1)
    assert s["contact_speed_max_m_s"] == pytest.approx(0.4)
