"""A start off the plan is planned away: nothing steps, and the proof knows every such reference."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neural_lander.controller import landing_controller as lc
from neural_lander.controller.bumpless import (
    LONGEST,
    ORDERS,
    SHORTEST,
    StartFamily,
    begin_at,
    joining_time,
)
from neural_lander.controller.compiled import blank_record
from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.measurement import NOT_FELT
from neural_lander.controller.monitor import PLACE, QUIET, START, Limits
from neural_lander.controller.reference_cells import reference_cells
from neural_lander.controller.setpoint import (
    RECORD_FIELDS,
    plan_descent,
    setpoint,
    setpoint_ahead,
    store_plan,
)
from neural_lander.controller.spatial_lead import left_over
from neural_lander.controller.spatial_terms import SpatialStart
from neural_lander.controller.tube import Start
from neural_lander.controller.vehicle import GRAVITY, load_vehicle
from neural_lander.learning.certify import certify
from neural_lander.learning.falsifier import fly_once
from neural_lander.learning.spatial_falsifier import World, falsify_in_space, fly_in_space
from neural_lander.learning.spatial_proof import prove_space
from neural_lander.learning.spatial_round import THOROUGH, Round
from neural_lander.learning.tube_proof import prove_tube
from neural_lander.sim.gate import FlightOptions, flight_of
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.sensors import Sensors

from . import spatial_cases, test_space_ahead, vertical_tube
from .bundle_cases import bundle
from .test_monitor import Bench

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
    T = joining_time(plan.times)
    assert pytest.approx(min(max(hover, SHORTEST), LONGEST)) == T
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


def test_a_vehicle_far_off_does_not_tilt_for_it(monkeypatch):
    """30 cm off: stepped, the vehicle leans over; planned, no more than the motion asks for."""
    plain = replace(FLAT, start_spread=0.3, sensors=Sensors())

    def tilt(seed):
        log = fly(Flight(AERO, "observer", plain, engine="hybrid"), seed).log
        q = log["truth_attitude"][log["time"] < 1.9]
        return np.degrees(np.arccos(1 - 2 * (q[:, :2] ** 2).sum(axis=1)).max())

    noise = AERO.noise
    family = StartFamily(0.3 + noise.position, plain.start_speed_spread + noise.velocity)
    sideways = math.sqrt(2) * family.bounds(2.0, 0.01, 200)[:, 2].max()
    most = np.degrees(math.atan(sideways / GRAVITY)) + 1.5  # what noise tilts it by
    planned = [tilt(seed) for seed in range(6)]
    assert max(planned) < most
    monkeypatch.setattr(lc, "begin_at", lambda *args: None)
    monkeypatch.setattr(lc, "wanted_force", lc.wanted_force.py_func)
    c = lc.controller_record(AERO, "pd", Flight(AERO, "pd", FLAT).plan, 0.0).view(np.recarray)[0]
    z, still = 1.5 + AERO.rest_height, (0.0, 0.0, 0.0)
    measured = ((0.3, 0, z), (0, 0, 0, 1.0), still, still, tuple(c.thrusts), 1.5, NOT_FELT)
    x, _, up = lc.wanted_force(c, 0.0, measured, still)
    assert abs(np.degrees(math.atan(x / up))) > 1.5 * most


# --- its bounds ----------------------------------------------------------------------------------


@pytest.mark.parametrize("joining", [1.0, 1.7, 2.0])
def test_bounds_hold_every_start_and_are_no_larger_than_the_worst(joining):
    family, cell = StartFamily(0.07, 0.09), 0.012
    count = math.ceil(2.2 / cell)
    bounds = family.bounds(joining, cell, count)
    assert bounds.shape == (count, ORDERS)
    plan = plan_descent("s-curve", (0, 0, 1.5), 0.0, joining)
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
    assert (bounds[math.ceil(joining / cell) :] == 0).all()


def test_a_jerk_that_changes_is_part_of_what_the_feed_forward_leaves():
    """Exactly what the law's command is off by, sample against instant, along one start after another."""
    loop = replace(test_space_ahead.STILL, noise_position=(0.0,) * 3)
    plan, cell = test_space_ahead.PLAN, 0.012
    family = StartFamily(0.3, 0.5)
    learned = spatial_cases.linear_in_thrust(0.0, 0.0)
    begin = SpatialStart(joined=family)
    at = Round.on(plan, learned, loop, spatial_cases.NO_ERRORS, begin, cell, (0.1, 600))
    hover = at.ranges[0][1]
    of_cell = np.zeros(hover, dtype=np.int64)
    slopes = learned.slopes((0.6, 1.2), (-1.0, 1.0), (10.0, 20.0), 0.1, 600)

    def bounded(cells):
        cut = tuple(
            replace(c, low=c.low[:hover], high=c.high[:hover],
                    snap=None if c.snap is None else c.snap[:hover])
            for c in cells
        )  # fmt: skip
        return left_over(cut, [(slopes, 0.3)], at.loop, of_cell, np.zeros(hover)).held[:, 0]

    known, unknown = bounded(at.cells), bounded([replace(c, snap=None) for c in at.cells])
    h, late, m = loop.period, loop.latency, loop.mass
    lead = at.loop.lead[0]
    record = begun(plan, (family.offset, 0, 0), (-family.speed, 0, 0))
    worst = np.zeros(hover)
    for t in np.arange(0.0, 0.45, 0.0017):
        _, _, a, j = (x[0] for x in setpoint_ahead(record, float(t) + late))
        for u in np.linspace(late, late + h, 5):
            _, _, a_s, j_s = (x[0] for x in setpoint_ahead(record, float(t + u)))
            off = m * abs(a + lead * j - a_s - (lead - h / 2) * j_s)
            i = int((t + u) / cell)
            worst[i] = max(worst[i], off)
    seen = worst > 0
    assert (worst[seen] <= known[seen] + 1e-9).all()
    assert (known > unknown)[seen].any()
    assert (known - unknown)[seen].max() >= m * lead * h * at.cells[0].snap[:hover][
        seen
    ].max() * 0.9


# --- the proof -----------------------------------------------------------------------------------

GENTLE = replace(
    spatial_cases.LOOP, observer=1.0, noise_velocity=(0.005,) * 3, noise_attitude=0.002
)
MILD = replace(spatial_cases.ERRORS, contract=(0.02,) * 3, contract_step=(0.0,) * 3)
HOVERS = spatial_cases.between(1.2, 3.2, [0.1, -0.06, 0.7], [0.0, 0.0, 0.12])
WIDE = StartFamily(0.12, 0.1)


def corners(family):
    """Starts at the corners, all axes alike, and each axis its own."""
    signs = [((1, 1, 1), (1, 1, 1)), ((1, 1, 1), (-1, -1, -1)), ((-1, 1, -1), (-1, 1, -1)),
             ((-1, -1, 1), (1, -1, -1))]  # fmt: skip
    for e, v in signs:
        yield (
            tuple(float(s * family.offset) for s in e),
            tuple(float(s * family.speed) for s in v),
        )


@pytest.mark.parametrize("case", ["s-curve", "compensated"])
def test_no_flight_that_begins_off_its_plan_leaves_the_tube(case):
    family, plan, loop, errors = WIDE, HOVERS, GENTLE, MILD
    if case == "compensated":
        family, plan = StartFamily(0.04, 0.05), test_space_ahead.descent(hover=2.0)
        loop, errors = test_space_ahead.NOISY, test_space_ahead.SMALL
    learned = spatial_cases.force()
    proof = prove_space(plan, learned, loop, errors, SpatialStart(joined=family), cell=0.012)
    assert proof.certified, [c for c in proof.conditions if not c.holds][:3]
    for offset, speed in corners(family):
        world = World(plan, learned, loop, 1.6, offset=offset, speed=speed)
        found = falsify_in_space(
            world, errors, (0.15, 0.4, 0.8, 1.2), iterations=1, climbs=0, quantities=(0, 1)
        )
        assert 0.5 < found.ratio_to(proof.tube).max() < 1


def test_a_proof_that_forgets_where_flights_begin_is_left():
    """With nothing else unknown, what the moved set-point asks for is all that there is."""
    learned, loop, errors = spatial_cases.force(), spatial_cases.QUIET, spatial_cases.NO_ERRORS
    knows = prove_space(HOVERS, learned, loop, errors, SpatialStart(joined=WIDE), cell=0.012)
    forgets = prove_space(HOVERS, learned, loop, errors, cell=0.012)
    assert knows.certified
    assert forgets.certified
    top = 0.0
    for offset, speed in corners(WIDE):
        world = World(HOVERS, learned, loop, 2.0, offset=offset, speed=speed)
        flown = np.abs(fly_in_space(world, world.quiet())[1:, :9])
        time = loop.period * np.arange(1, world.steps)
        known, forgot = (np.concatenate(p.tube.at(time), axis=1) for p in (knows, forgets))
        assert (flown <= known + 1e-12).all()
        top = max(top, float((flown / np.maximum(forgot, 1e-12)).max()))
    assert top > 1.5


def test_the_vertical_tube_knows_them_too():
    plan = plan_descent("s-curve", (0.0, 0.0, 0.7), 0.12, 1.2)
    learned, loop = vertical_tube.ground_effect(), vertical_tube.QUIET
    errors = vertical_tube.NO_ERRORS
    knows = prove_tube(plan, learned, loop, errors, Start(joined=WIDE), cell=0.008)
    forgets = prove_tube(plan, learned, loop, errors, cell=0.008)
    assert knows.certified
    assert forgets.certified
    steps = round(1.9 / loop.period)
    cell = (np.arange(steps) * loop.period / 0.008 + 1e-9).astype(int)
    left = False
    for e, v in product((-1, 1), (-1, 1)):
        flown = np.abs(
            fly_once(plan, learned, loop, np.zeros(steps * 8), np.zeros((steps, 3)),
                     begun=(e * WIDE.offset, v * WIDE.speed))
        )  # fmt: skip
        assert (flown[1:, :2] <= knows.tube.errors[cell[1:], :2] + 1e-12).all()
        left |= bool((flown[1:, :2] > 1.2 * forgets.tube.errors[cell[1:], :2]).any())
    assert left


def test_widened_cells_hold_what_they_are_widened_by():
    cells = reference_cells(HOVERS, 0.012, HOVERS.end, axis=0)
    by = WIDE.bounds(joining_time(HOVERS.times), 0.012, len(cells.low))
    wide = cells.widened(by)
    assert_allclose(wide.radius - cells.radius, by[:, :4], atol=1e-12)
    assert_allclose(wide.middle, cells.middle, atol=1e-12)
    assert_array_equal(wide.snap, by[:, 4])
    assert_array_equal(wide.widened(by).snap, 2 * by[:, 4])


# --- monitor, gate, certificate ------------------------------------------------------------------


def test_the_monitor_notices_a_start_beyond_the_certified_ones(tmp_path):
    folder = tmp_path / "model"
    inside = Bench(folder, start=(0.08, 0.05))
    inside.step(dx=0.079, speed=0.049)
    assert inside.c.event == QUIET
    for dx, speed in ((0.081, 0.0), (-0.081, 0.0), (0.0, 0.051)):
        bench = Bench(folder, start=(0.08, 0.05))
        bench.step(dx=dx, speed=speed)
        assert bench.c.event == START
    far = Bench(folder)  # a tube of 10 cm about the set-point, which begins where the vehicle is
    far.step(dx=0.3)
    assert far.c.event == QUIET
    far.step(dx=0.3 + 0.11)
    assert far.c.event == PLACE


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """A bundle with a vertical tube for starts within 5 cm and 5 cm/s."""
    folder = bundle(tmp_path_factory.mktemp("certified") / "model", AERO, scale=0.3)
    plan = Flight(AERO, "learned", FLAT).plan
    found, path = certify(
        folder, AERO, "learned", plan=plan, errors=vertical_tube.ERRORS,
        start=Start(0.05, 0.05, None),
    )  # fmt: skip
    assert found.certified
    return folder, path, found


def test_the_certificate_says_where_flights_may_begin(certified):
    _, _, found = certified
    joined = found.tube["start"]["joined"]
    assert joined == {
        "offset_m": pytest.approx(0.05 + AERO.noise.position),
        "speed_m_s": pytest.approx(0.05 + AERO.noise.velocity),
    }
    assert f"within {joined['offset_m']:g} m" in " ".join(found.assumptions)


def test_the_gate_refuses_flights_that_may_begin_farther_off(certified):
    folder, *_ = certified
    options = FlightOptions("intel-aero", "flat", "s-curve", "rotor", folder)
    assert flight_of(options, "learned", FLAT).certified
    far = replace(FLAT, start_spread=0.06)
    with pytest.raises(
        Refused, match=r"start_spread is 0\.06 m, the certificate is for at most 0\.05"
    ):
        flight_of(options, "learned", far)
    fast = replace(FLAT, start_speed_spread=0.2)
    with pytest.raises(Refused, match=r"start_speed_spread is 0\.2 m/s"):
        flight_of(options, "learned", fast)
    assert flight_of(replace(options, uncertified=True), "learned", far).certified is False


def test_a_certificate_that_does_not_say_is_asked_for_again(certified):
    for table in (
        None,
        {},
        {"offset_m": 0.1},
        {"offset_m": -1.0, "speed_m_s": 0.1},
        {"offset_m": "x"},
    ):
        with pytest.raises(InputError, match=r"run `neural-lander certify` again"):
            StartFamily.of(table)
    _, _, found = certified
    tube = {k: v for k, v in found.tube.items() if k != "start"}
    with pytest.raises(InputError, match=r"lacks .*certify"):
        Limits.of({**tube, "xyz": {}, "watch": {}, "start": {}})


def test_rounds_of_a_proof_end_a_segment_where_the_start_has_joined():
    at = Round.on(
        HOVERS, spatial_cases.force(), GENTLE, MILD, SpatialStart(joined=WIDE), 0.012, THOROUGH
    )
    assert math.ceil(1.2 / 0.012) in [first for first, _ in at.ranges]


def test_a_vehicle_that_begins_on_the_floor_has_not_landed():
    plan = plan_descent("s-curve", (0, 0, 0.5), 0.0, 3.0)
    c = lc.controller_record(AERO, "pd", plan, 0.0).view(np.recarray)[0]
    z, still, hover = AERO.rest_height, (0.0, 0.0, 0.0), tuple(c.thrusts)
    for t in np.arange(0.0, 2.9, 0.01):
        standing = ((0.0, 0.0, z), (0.0, 0.0, 0.0, 1.0), still, still, hover, 0.0, NOT_FELT)
        lc.wanted_force(c, float(t), standing, still)
        assert c.phase == lc.FLYING
    assert_allclose(c.setpoint_position, [0, 0, 0.5 + z], atol=1e-9)
    assert fly(Flight(AERO, "observer", replace(FLAT, hover=0.0)), 0).summary["landed"]
