"""The parts of a control step work together as each of them promises."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neural_lander.controller import landing_controller as lc
from neural_lander.controller.cancellation import NO_SOLUTION, STAGE
from neural_lander.controller.errors import InputError
from neural_lander.controller.ground_effect_formula import cheeseman_bennett
from neural_lander.controller.network import network_record
from neural_lander.controller.own_force import TEXTBOOK
from neural_lander.controller.setpoint import plan_descent
from neural_lander.controller.touchdown import FLYING, PUSHING
from neural_lander.controller.vehicle import GRAVITY, load_vehicle

AERO = load_vehicle("intel-aero")
HOVER = (AERO.weight / 4,) * 4
LEVEL, STILL = (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0)
PLAN = plan_descent("s-curve", (0, 0, 1.0), 0.0, 1000.0)
NO_NETWORK = network_record(None).view(np.recarray)[0]


def controller(name, vehicle=AERO, height=1.0):
    plan = plan_descent("s-curve", (0, 0, height), 0.0, 1000.0)
    return lc.controller_record(vehicle, name, plan, 0.0).view(np.recarray)[0]


def measured(height=1.0, velocity=STILL, thrusts=HOVER, x=0.0):
    place = (x, 0.0, height + AERO.rest_height)
    return place, LEVEL, velocity, STILL, thrusts, height, (0.0, 0.0, GRAVITY)


def steps(c, m, n, explained=STILL):
    for k in range(n):
        wanted = lc.wanted_force.py_func(c, 0.002 * k, m, explained)
    return np.array(wanted)


def test_at_the_set_point_it_wants_the_weight_and_commands_hover():
    c = controller("pd")
    assert_allclose(steps(c, measured(), 1), [0, 0, AERO.weight], atol=1e-9)
    assert_allclose(lc.control_step.py_func(c, NO_NETWORK, 0.0, measured()), HOVER, atol=1e-9)


def test_gains_are_neural_landers():
    c = controller("pd")
    m, g = AERO.mass, AERO.gains
    steps(c, measured(), 1)  # the set-point begins where the vehicle is
    force = steps(c, measured(height=1.1, velocity=(0.2, 0.0, 0.0)), 1)
    assert force[2] == pytest.approx(AERO.weight - 0.1 * m * g.velocity[2] * g.position[2])
    assert force[0] == pytest.approx(-0.2 * m * (g.velocity[0] + g.position[0]))


def test_the_observer_believes_the_measured_thrust_not_the_commanded():
    c = controller("observer")
    c.thrusts[:] = 0.9 * AERO.weight / 4  # what was commanded last
    steps(c, measured(), 500)
    assert_allclose(c.observer_force, 0, atol=1e-9)
    # standing still at 10 % less thrust than weight means 10 % of weight from elsewhere
    c = controller("observer")
    steps(c, measured(thrusts=tuple(0.9 * f for f in HOVER)), 2000)
    assert c.observer_force[2] == pytest.approx(0.1 * AERO.weight, rel=1e-3)


def test_what_the_model_explains_is_no_disturbance_and_what_the_observer_found_is_no_ground():
    c = controller("oracle+observer")
    lifted = tuple(0.9 * f for f in HOVER)
    steps(c, measured(thrusts=lifted), 2000, explained=(0.0, 0.0, 0.1 * AERO.weight))
    assert_allclose(c.observer_force, 0, atol=1e-9)
    c = controller("observer")
    steps(c, measured(thrusts=lifted), 2000)
    assert abs(c.ground_force) < 1e-3 * AERO.weight
    blind = controller("pd")
    steps(blind, measured(thrusts=lifted), 2000)
    assert blind.ground_force == pytest.approx(0.1 * AERO.weight, rel=1e-2)


@pytest.mark.parametrize("name", ["indi", "l1"])
def test_indi_and_l1_find_the_missing_thrust_and_are_no_ground(name):
    c = controller(name)
    wanted = steps(c, measured(thrusts=tuple(0.9 * f for f in HOVER)), 2000)
    assert c.observer_force[2] == pytest.approx(0.1 * AERO.weight, rel=2e-3)
    assert wanted[2] == pytest.approx(0.9 * AERO.weight, rel=1e-3)
    assert abs(c.ground_force) < 1e-3 * AERO.weight


@pytest.mark.parametrize("name", ["indi", "l1"])
def test_a_vehicle_without_their_gains_is_refused(name):
    bare = replace(AERO, baselines=None)
    with pytest.raises(InputError, match=rf"no table \[baselines\], so controller '{name}' has no"):
        controller(name, bare)
    assert controller("observer", bare).observer_rate == AERO.gains.observer


def test_the_fitted_radius_is_flown_and_asked_for():
    c = lc.controller_record(AERO, "textbook-fitted", PLAN, 0.0, fitted_radius=0.2)[0]
    assert (c["textbook_radius"], c["residual"]) == (0.2, TEXTBOOK)
    with pytest.raises(InputError, match="'textbook-fitted' needs a model"):
        controller("textbook-fitted")


@pytest.mark.parametrize("name", ["observer", "indi", "l1"])
@pytest.mark.parametrize("why", ["contact", "pushing"])
def test_the_observer_is_frozen_in_contact_and_while_pushing(why, name):
    c = controller(name)
    steps(c, measured(thrusts=tuple(0.9 * f for f in HOVER)), 2000)
    found = c.observer_force[2]
    if why == "pushing":
        c.phase = PUSHING
    height = 0.0 if why == "contact" else 1.0
    steps(c, measured(height=height, thrusts=tuple(0.5 * f for f in HOVER)), 500)
    assert c.observer_force[2] == pytest.approx(found, rel=1e-3)


@pytest.mark.parametrize("name", ["observer", "indi", "l1"])
def test_at_first_contact_it_holds_the_smoothed_force_not_the_last_steps(name):
    c = controller(name)
    steps(c, measured(thrusts=tuple(0.9 * f for f in HOVER)), 2000)
    steps(c, measured(thrusts=tuple(0.6 * f for f in HOVER)), 20)
    last, smooth = c.observer_force[2], c.observer_steady[2]
    assert last - smooth > 0.05 * AERO.weight
    for height in (0.0, 0.02):  # and when a foot leaves the floor again while pushing
        steps(c, measured(height=height, thrusts=tuple(0.6 * f for f in HOVER)), 1)
        assert (c.observer_force[2], c.observer_steady[2]) == (smooth, smooth)
        c.phase = PUSHING
    c.phase = FLYING  # it goes on from what it held
    steps(c, measured(height=0.5, thrusts=tuple(0.9 * f for f in HOVER)), 1)
    assert abs(c.observer_force[2] - smooth) < 0.1 * (last - smooth)


def test_the_integral_stops_at_its_limit_and_in_contact():
    c = controller("pid")
    steps(c, measured(), 1)
    steps(c, measured(height=1.2), 20_000)
    limit = AERO.gains.integral_limit * AERO.weight
    assert c.integral[2] == pytest.approx(limit)
    c = controller("pid", height=0.5)
    steps(c, measured(height=0.0), 100)
    assert c.contact == 1.0
    assert c.integral[2] == 0.0
    assert c.phase == FLYING


def test_without_a_solution_the_step_says_so_and_uses_the_nominal_force():
    c = controller("textbook")
    wanted = (0.0, 0.0, 2 * AERO.thrust_limits[1])
    force, phi, search = lc.cancel.py_func(c, NO_NETWORK, measured(height=0.05), wanted)
    assert search[STAGE] == NO_SOLUTION
    assert phi == (0.0, 0.0, 0.0)
    assert force == wanted
    lc.command.py_func(c, measured(height=0.05), force, phi, search)
    assert c.solver_ok == 0.0


def test_the_textbook_counts_from_the_rotor_discs():
    c = controller("textbook")
    lift = lc.residual_force.py_func(c, NO_NETWORK, measured(height=0.2), HOVER)[2]
    disc = 0.2 + AERO.rest_height + AERO.rotors.positions[0, 2]
    gain = cheeseman_bennett.py_func(disc, AERO.gains.textbook_radius)
    assert lift == pytest.approx((gain - 1) * AERO.weight)


def test_cut_motors_stay_cut():
    c = controller("pd")
    c.phase = 2
    assert lc.control_step.py_func(c, NO_NETWORK, 0.0, measured(height=0.5)) == (0.0, 0.0, 0.0, 0.0)


def test_a_heavier_vehicle_wants_more():
    heavy = replace(AERO, body=replace(AERO.body, mass=1.6))
    force = steps(controller("pd", heavy), measured(), 1)
    assert force[2] == pytest.approx(1.6 * 9.81)
