"""What the law feeds forward along a plan that says so, flown in the world."""

from dataclasses import replace

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.feed_forward import as_old
from neural_lander.controller.hover_mass import shown
from neural_lander.controller.landing_controller import RECORD
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


@pytest.mark.parametrize("hover", [1.5, 4.0])
def test_mass_is_found_whatever_the_hover_lasts(hover):
    """The low passes that it is seen through are undone: kappa is the mass's share, to 1 %."""
    scenario = replace(FLAT, hover=hover)
    flight = Flight(
        AERO, "oracle+observer", scenario, "fastest", engine="hybrid", deviation=Deviation(0.1)
    )
    log = fly(flight, 3).log
    at = np.searchsorted(log["time"], hover + 0.01)  # the observer's force stands for -kappa weight
    kappa = -log["observer_force"][at, 2] / AERO.weight
    assert kappa == pytest.approx(0.1, abs=0.01)
    # and from the other side: just before, the observer had found less
    before = -log["observer_force"][at - 20, 2] / AERO.weight
    assert before < 0.1 - 0.9 * 0.1 * np.exp(-hover) + 0.005


def test_share_that_is_shown_is_that_of_two_low_passes_in_a_row():
    for rate in (1.0, 5.0, 18.0):
        d = steady = 0.0
        for _ in range(20000):
            d, steady = d + 1e-4 * rate * (1 - d), steady + 1e-4 * 5.0 * (d - steady)
        assert shown(rate, 2.0) == pytest.approx(steady, abs=1e-3)


def test_taking_the_force_for_a_mass_does_not_shake_the_observer():
    flight = Flight(
        AERO, "oracle+observer", FLAT, "fastest", engine="hybrid", deviation=Deviation(0.1)
    )
    log = fly(flight, 3).log
    at = np.searchsorted(log["time"], FLAT.hover - 0.01)
    steps = np.abs(np.diff(log["observer_force"][at : at + 100, 2]))
    jump = steps.max()  # once, by what the low passes had not shown yet
    assert jump < 0.2 * 0.1 * AERO.weight + 0.05
    assert np.sort(steps)[-2] < 0.05


def test_a_hover_too_short_to_find_the_mass_is_refused():
    short = replace(FLAT, hover=0.5)
    with pytest.raises(InputError, match="lengthen the scenario's hover"):
        fly(Flight(AERO, "oracle+observer", short, "fastest", engine="hybrid"), 0)
    assert Flight(AERO, "observer", short, "fastest").plan.compensated  # 18 1/s is quick enough
