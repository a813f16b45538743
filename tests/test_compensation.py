"""What the law feeds forward along a plan that says so, flown in the world."""

from dataclasses import replace

import numpy as np
import pytest

from neural_lander.controller.landing_controller import RECORD, as_old
from neural_lander.controller.setpoint import plan_descent
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.scripts.robustness import known_latency
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario

AERO = load_vehicle("intel-aero")
FLAT = load_scenario("flat")


def landing(controller="oracle+observer", vehicle=AERO, seed=3, **deviation):
    flight = Flight(
        vehicle, controller, FLAT, "fastest", engine="hybrid", deviation=Deviation(**deviation)
    )
    return fly(flight, seed).summary


def quiet(vehicle):
    """The vehicle without noise."""
    n = vehicle.noise
    return replace(
        vehicle,
        noise=replace(n, position=0.0, velocity=0.0, attitude=0.0, rate=0.0, rotor_speed=0.0),
    )


class Uncompensated(Flight):
    """The same descent, with a law that does not count on its delays."""

    @property
    def plan(self):
        return replace(super().plan, compensated=False)


def test_lag_and_latency_are_what_makes_a_fast_descent_hit_the_floor():
    """Without feed-forward even the oracle is late by m lag j_d: it comes down far too fast."""
    with_it = Flight(AERO, "oracle+observer", FLAT, "fastest", engine="hybrid")
    without = Uncompensated(AERO, "oracle+observer", FLAT, "fastest", engine="hybrid")
    good, bad = fly(with_it, 3).summary, fly(without, 3).summary
    assert good["landed"]
    assert good["touchdown_speed_m_s"] < 0.18
    assert good["z_max_error_m"] < 0.010
    assert bad["z_max_error_m"] > 4 * good["z_max_error_m"]
    assert bad["crashed"] or bad["touchdown_speed_m_s"] > 2 * good["touchdown_speed_m_s"]


@pytest.mark.parametrize("share", [0.1, -0.1])
def test_another_mass_is_found_in_hover_and_lands_as_softly(share):
    heavy = landing(mass_share=share)
    assert heavy["landed"]
    assert heavy["touchdown_speed_m_s"] < 0.2
    assert abs(heavy["terminal_z_error_m"]) < 0.010
    # from the other side: without an observer the wrong mass is not found
    alone = landing("oracle", mass_share=share)
    assert not alone["landed"] or alone["touchdown_speed_m_s"] > 0.4


def test_known_latency_costs_a_quiet_loop_next_to_nothing():
    """The same plan, 30 ms later at the rotors: the law sends everything 30 ms earlier."""
    vehicle = quiet(AERO)
    for flown in (vehicle, known_latency(vehicle, 0.030)):
        got = landing("oracle", flown)
        assert got["landed"]
        assert (
            got["z_max_error_m"] < 0.006 + 0.05 * 0.030
        )  # start's own error, and what decays of it


def test_known_force_is_remembered_for_the_estimates_age():
    record = np.zeros(1, RECORD).view(np.recarray)
    c = record[0]
    c.age_steps = 3
    seen = [as_old(c, (float(k), 0.0, 0.0))[0] for k in range(10)]
    assert seen == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]  # the first one until there is an older one


def test_references_with_a_tube_are_flown_without_compensation():
    for name in ("s-curve", "exponential"):
        assert not plan_descent(name, (0, 0, 1.5), 0.0, 1.0).compensated
