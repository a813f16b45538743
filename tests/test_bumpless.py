"""A start off the plan is planned away: nothing steps, and the proof knows every such reference."""

import math
from dataclasses import replace
from itertools import product
from unittest import mock

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neural_lander.controller import bumpless, spatial_lead
from neural_lander.controller import landing_controller as lc
from neural_lander.controller.bumpless import (
    BENT,
    GENTLE,
    JOINING,
    ORDERS,
    TURNED,
    StartFamily,
    begin_at,
)
from neural_lander.controller.compiled import blank_record
from neural_lander.controller.errors import InputError
from neural_lander.controller.measurement import NOT_FELT
from neural_lander.controller.setpoint import (
    RECORD_FIELDS,
    plan_descent,
    setpoint,
    setpoint_ahead,
    store_plan,
)
from neural_lander.controller.spatial_lead import left_over
from neural_lander.controller.spatial_terms import SpatialStart
from neural_lander.controller.vehicle import GRAVITY, load_vehicle
from neural_lander.learning.spatial_round import Round
from neural_lander.sim.rollout import Flight, flight_log, fly, run
from neural_lander.sim.scenario import load_scenario

from . import spatial_cases, test_space_ahead

AERO = load_vehicle("intel-aero")
OFF, FAST = (0.2, -0.1, 0.05), (-0.1, 0.2, 0.15)
FLAT = load_scenario("flat")


def begun(plan, offset=OFF, speed=FAST):
    """The record of a set-point that began so far off its plan."""
    c = blank_record(np.dtype(RECORD_FIELDS, align=True))[0]
    store_plan(c, plan, 0.0)
    p, v, _ = setpoint(c, 0.0)
    begin_at(c, 0.0, tuple(np.add(p, offset)), tuple(np.add(v, speed)), p, v)
    return c


# --- the set-point -------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["s-curve", "exponential"])
@pytest.mark.parametrize("hover", [0.0, 1.4, 2.0, 8.0])
def test_it_begins_where_the_vehicle_is_and_becomes_the_plan(reference, hover):
    plan = plan_descent(reference, (0, 0, 1.5), 0.0, hover)
    off, on = begun(plan), begun(plan, (0, 0, 0), (0, 0, 0))
    T = JOINING
    p, v, a, j = (np.subtract(x, y) for x, y in
                  zip(setpoint_ahead(off, 0.0), setpoint_ahead(on, 0.0), strict=True))  # fmt: skip
    assert_allclose(p, OFF, atol=1e-12)
    assert_allclose(v, FAST, atol=1e-12)
    assert_allclose([a, j], 0.0, atol=1e-12)
    near = [np.subtract(x, y) for x, y in zip(setpoint_ahead(off, T - 1e-4),
                                              setpoint_ahead(on, T - 1e-4), strict=True)]  # fmt: skip
    assert_allclose(near, 0.0, atol=0.02)
    for t in (T, T + 0.7, plan.end + 1.0):
        assert_array_equal(setpoint_ahead(off, t), setpoint_ahead(on, t))


def test_its_derivatives_are_those_of_its_place():
    plan = plan_descent("s-curve", (0, 0, 1.5), 0.0, 2.0)
    c, dt = begun(plan), 1e-3
    times = np.arange(0.0, 2.2, dt)
    motion = np.array([setpoint_ahead(c, float(t)) for t in times])
    for k in range(3):
        slope = np.gradient(motion[:, k], dt, axis=0, edge_order=2)
        inner = times < 1.99  # after it the plan's jerk steps
        assert_allclose(slope[inner], motion[inner, k + 1], atol=2e-3)


def test_a_controller_asks_for_nothing_in_its_first_step():
    """But for what comes a latency, and along a compensated plan the estimate's age, later."""
    for controller, age in product(("pd", "pid", "observer", "indi"), (0.0, 0.05)):
        for reference in ("s-curve", "fastest"):
            flight = Flight(AERO, controller, FLAT, reference=reference)
            c = lc.controller_record(AERO, controller, flight.plan, 0.0, age=age)
            c = c.view(np.recarray)[0]
            z = 1.5 + AERO.rest_height
            v = (0.2, -0.1, 0.0)
            hover = tuple(c.thrusts)
            measured = ((0.3, -0.2, z + 0.1), (0, 0, 0, 1.0), v, (0, 0, 0), hover, 1.6, NOT_FELT)
            wanted = lc.wanted_force(c, 0.0, measured, (0.0, 0.0, 0.0))
            soon = age if reference == "fastest" else 0.0
            share = 2e-3 if soon == 0 else 0.025
            assert_allclose(wanted, [0.0, 0.0, AERO.weight], atol=share * AERO.weight)
            there = np.add(measured[0], np.multiply(soon, v))
            assert_allclose(c.setpoint_position, there, atol=1e-4 * (soon > 0) + 1e-12)
            assert_allclose(c.setpoint_velocity, v, atol=0.02 * (soon > 0) + 1e-12)


def tilts(spread, hover, seeds=6):
    """Greatest tilts [deg] before contact of flights that begin so far off, and how they ended."""
    scenario = replace(FLAT, start_spread=spread, hover=hover)
    found, crashed = [], 0
    for seed in range(seeds):
        landing = fly(Flight(AERO, "observer", scenario, engine="hybrid"), seed)
        log = landing.log
        q = log["truth_attitude"][(log["truth_contact_force"] == 0) & (log["time"] < 3.0)]
        found.append(np.degrees(np.arccos(1 - 2 * (q[:, :2] ** 2).sum(axis=1)).max()))
        crashed += landing.summary["crashed"]
    return max(found), crashed


@pytest.mark.parametrize("hover", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_a_vehicle_far_off_tilts_no_more_than_the_motion_asks_for(spread, hover):
    family = StartFamily(spread + AERO.noise.position, 0.05 + AERO.noise.velocity)
    sideways = math.sqrt(2) * family.bounds(0.01, 200)[:, 2].max()
    most, crashed = tilts(spread, hover)
    assert most < np.degrees(math.atan(sideways / GRAVITY)) + 2.0  # what noise tilts it by
    assert crashed == 0


def test_a_step_would_tilt_it(monkeypatch):
    """The law without the joining, at its first step 30 cm off: what the flights above are spared."""
    planned, _ = tilts(0.3, 2.0)
    monkeypatch.setattr(lc, "begin_at", lambda *args: None)
    c = lc.controller_record(AERO, "pd", Flight(AERO, "pd", FLAT).plan, 0.0).view(np.recarray)[0]
    z, still = 1.5 + AERO.rest_height, (0.0, 0.0, 0.0)
    measured = ((0.3, 0.0, z), (0.0, 0.0, 0.0, 1.0), still, still, tuple(c.thrusts), 1.5, NOT_FELT)
    x, _, up = lc.wanted_force.py_func(c, 0.0, measured, still)
    assert abs(np.degrees(math.atan(x / up))) > 1.5 * planned


@pytest.mark.parametrize(("e", "v"), [(0.3, 0.1), (1.38, 1.0), (5.0, 0.0), (0.0, 3.0), (20.0, 4.0)])
def test_the_farther_off_the_longer_it_takes(e, v):
    plan = plan_descent("s-curve", (0, 0, 1.5), 0.0, 60.0)
    c = begun(plan, (0, -e, 0), (0, 0, v))
    times = np.arange(0.0, c["joining"] + 0.1, 0.002)
    motion = np.array([setpoint_ahead(c, float(t)) for t in times])
    assert np.abs(motion[:, 2]).max() <= GENTLE * 1.0001
    assert_allclose(motion[-1, 0], [0, 0, 1.5])
    needed = max(e * BENT / GENTLE, (v * TURNED / GENTLE) ** 2) ** 0.5
    assert c["joining"] == pytest.approx(max(JOINING, needed))
    s = np.linspace(0, 1, 10_001)
    assert np.abs(bumpless.PLACE.deriv(2)(s)).max() == pytest.approx(BENT, rel=1e-4)
    assert np.abs(bumpless.SPEED.deriv(2)(s)).max() == pytest.approx(TURNED, rel=1e-4)


def test_starts_that_take_longer_have_no_family():
    StartFamily(1.02, 1.02)
    for offset, speed in ((1.4, 0.0), (0.0, 1.1), (-0.1, 0.0), (0.0, math.nan)):
        with pytest.raises(InputError, match="start_spread"):
            StartFamily(offset, speed)


# --- its bounds ----------------------------------------------------------------------------------


def test_bounds_hold_every_start_and_are_no_larger_than_the_worst():
    family, cell = StartFamily(0.07, 0.09), 0.012
    count = math.ceil(2.2 / cell)
    bounds = family.bounds(cell, count)
    assert bounds.shape == (count, ORDERS)
    plan = plan_descent("s-curve", (0, 0, 1.5), 0.0, 2.0)
    times = np.arange(0.0, 2.2, 0.001)
    of = np.minimum(((times + 1e-9) / cell).astype(int), count - 1)
    worst = np.zeros((len(times), 4))
    for e, v in product((-1, 1), (-1, 1)):
        off = begun(plan, (e * family.offset,) * 3, (v * family.speed,) * 3)
        on = begun(plan, (0, 0, 0), (0, 0, 0))
        moved = np.array([[np.subtract(a[0], b[0]) for a, b in
                           zip(setpoint_ahead(off, float(t)), setpoint_ahead(on, float(t)),
                               strict=True)] for t in times])  # fmt: skip
        worst = np.maximum(worst, np.abs(moved))
    assert (worst <= bounds[of, :4] + 1e-12).all()
    assert_allclose(worst.max(axis=0), bounds[:, :4].max(axis=0), rtol=0.03)
    steepest = np.abs(np.gradient(worst[:, 3], 0.001)).max()
    assert steepest <= 1.001 * bounds[:, 4].max()
    assert (bounds[math.ceil(JOINING / cell) :] == 0).all()


@pytest.mark.parametrize("axis", [0, 2])
def test_a_jerk_that_changes_is_part_of_what_the_feed_forward_leaves(axis):
    """Exactly what a command is off by that is held at t + u, of one start; before the first command
    arrives, of what the model has fed forward, too."""
    loop, plan, cell = test_space_ahead.STILL, test_space_ahead.descent(hover=2.5), 0.004
    family = StartFamily(0.3, 0.5)
    learned = spatial_cases.linear_in_thrust(0.0, 0.0)
    at = Round.on(plan, learned, loop, spatial_cases.NO_ERRORS, SpatialStart(joined=family), cell,
                  (0.1, 600))  # fmt: skip
    hover = math.ceil(JOINING / cell)
    of_cell = np.zeros(hover, dtype=np.int64)
    slopes = learned.slopes((0.6, 1.2), (-1.0, 1.0), (10.0, 20.0), 0.1, 600)

    def bounded(cells):
        cut = tuple(
            replace(c, low=c.low[:hover], high=c.high[:hover],
                    snap=None if c.snap is None else c.snap[:hover])
            for c in cells
        )  # fmt: skip
        return left_over(cut, [(slopes, 0.3)], at.loop, of_cell, np.zeros(hover)).held[:, axis]

    known, unknown = bounded(at.cells), bounded([replace(c, snap=None) for c in at.cells])
    h, late, m = loop.period, loop.latency, loop.mass
    lead = at.loop.lead[axis]
    where = np.eye(3)[axis]
    record = begun(plan, tuple(family.offset * where), tuple(-family.speed * where))

    def asked(time):
        _, _, a, j = (x[axis] for x in setpoint_ahead(record, float(time)))
        return a, j

    worst = np.zeros(hover)
    for t in np.arange(0.0, 1.9, 0.0017):
        a, j = asked(t + late)
        for u in np.linspace(late, late + h, 5):
            a_s, j_s = asked(t + u)
            i = int((t + u) / cell)
            worst[i] = max(worst[i], m * abs(a + lead * j - a_s - (lead - h / 2) * j_s))
    record = begun(plan, tuple(family.offset * where), tuple(family.speed * where))
    early = np.zeros(hover)
    for s in np.linspace(0.0, late + h, 13):  # what is held is weight
        a_s, j_s = asked(s)
        early[int(s / cell)] = max(early[int(s / cell)], m * abs(a_s + (lead - h / 2) * j_s))
    seen = worst > 0
    assert (worst[seen] <= known[seen] + 1e-9).all()
    assert (early <= known + 1e-9).all()
    with mock.patch.object(spatial_lead, "_not_fed", return_value=np.zeros(3)):
        assert axis == 2 or (early > bounded(at.cells)).any()
    later = seen & (np.arange(hover) > 2 * (late + h) / cell)
    assert (known - unknown)[later].max() >= 0.9 * m * lead * h * at.cells[axis].snap[:hover][
        later
    ].max()


def test_a_vehicle_that_begins_on_the_floor_has_not_landed():
    plan = plan_descent("s-curve", (0, 0, 0.5), 0.0, 3.0)
    c = lc.controller_record(AERO, "pd", plan, 0.0).view(np.recarray)[0]
    z, still, hover = AERO.rest_height, (0.0, 0.0, 0.0), tuple(c.thrusts)
    for t in np.arange(0.0, 2.9, 0.01):
        standing = ((0.0, 0.0, z), (0.0, 0.0, 0.0, 1.0), still, still, hover, 0.0, NOT_FELT)
        lc.wanted_force(c, float(t), standing, still)
        assert c.phase == lc.FLYING
    assert_allclose(c.setpoint_position, [0, 0, 0.5 + z], atol=1e-9)


@pytest.mark.parametrize("controller", ["pd", "observer"])
def test_a_vehicle_on_the_floor_rises_gently_and_lands(controller):
    low = replace(FLAT, hover=0.5, start_spread=0.0)
    flight = Flight(AERO, controller, low, engine="pybullet")
    rng, plan = np.random.default_rng(0), flight.plan
    rows, outcome = run(flight, plan, rng, (0.0, 0.0, 0.3), (0, 0, 0), 0.0, plan.end + 2.0, True)
    assert not outcome.crash
    log = flight_log(rows, flight, 0)
    up = 1 - 2 * (log["truth_attitude"][:, :2] ** 2).sum(axis=1)
    assert np.degrees(np.arccos(up.min())) < 3
