"""Proof, monitor and gate know every reference that a start off the plan makes."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neural_lander.controller.bumpless import (
    JOINING,
    StartFamily,
)
from neural_lander.controller.deck_family import SWAY, DeckErrors, DeckFamily
from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.monitor import EVENTS, QUIET, START, Limits
from neural_lander.controller.monitor import PLACE as OUTSIDE
from neural_lander.controller.reference_cells import reference_cells
from neural_lander.controller.setpoint import (
    plan_descent,
)
from neural_lander.controller.spatial_terms import SpatialStart
from neural_lander.controller.tube import Start
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.learning import certify as certifying
from neural_lander.learning.calibration import Calibration, Score
from neural_lander.learning.certify import certify
from neural_lander.learning.falsifier import fly_once
from neural_lander.learning.spatial_boxes import Radii, Swinging
from neural_lander.learning.spatial_falsifier import World, falsify_in_space, fly_in_space
from neural_lander.learning.spatial_proof import prove_space
from neural_lander.learning.spatial_round import THOROUGH, Round
from neural_lander.learning.tube_proof import prove_tube
from neural_lander.sim.gate import FlightOptions, flight_of
from neural_lander.sim.rollout import Flight
from neural_lander.sim.scenario import load_scenario

from . import spatial_cases, test_space_ahead, vertical_tube
from . import test_deck_certificate as deck_cases
from .bundle_cases import bundle
from .test_monitor import Bench

AERO = load_vehicle("intel-aero")
OFF, FAST = (0.2, -0.1, 0.05), (-0.1, 0.2, 0.15)
FLAT = load_scenario("flat")


# --- the proof -----------------------------------------------------------------------------------

CALM = replace(spatial_cases.LOOP, observer=1.0, noise_velocity=(0.005,) * 3, noise_attitude=0.002)
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
    family, plan, loop, errors = WIDE, HOVERS, CALM, MILD
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
    by = WIDE.bounds(0.012, len(cells.low))
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
    for axis, what in (
        (1, "start_offset"),
        (2, "start_offset"),
        (1, "start_speed"),
        (2, "start_speed"),
    ):
        bench = Bench(folder, start=(0.08, 0.05))
        bench.step()
        assert bench.c.event == QUIET
        bench.c[what][axis] = -0.09
        bench.step()
        assert EVENTS[int(bench.c.event)].startswith("began farther off")
    far = Bench(folder)  # a tube of 10 cm about the set-point, which begins where the vehicle is
    far.step(dx=0.3)
    assert far.c.event == QUIET
    far.step(dx=0.3 + 0.11)
    assert far.c.event == OUTSIDE


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
    with pytest.raises(Refused, match="start_spread"):
        flight_of(options, "learned", replace(FLAT, start_spread=0.0501))
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


CALIBRATED = Calibration(
    (0.01,) * 3,
    (0.02,) * 3,
    (0.02,) * 3,
    (0.001,) * 3,
    0.1,
    9,
    tuple(Score(f"{k}", f"{k}", *np.zeros((4, 3))) for k in range(9)),
    start=(0.05, 0.05),
)


def test_certifying_in_space_knows_the_family_and_so_does_the_fallback(tmp_path, monkeypatch):
    asked = []

    def noted(plan, learned, loop, errors, start, *more, **named):
        asked.append(start)
        return prove_space(plan, learned, loop, errors, start, *more, **named)

    monkeypatch.setattr(certifying, "prove_space", noted)
    folder = bundle(tmp_path / "model", AERO, scale=0.1)
    plan = Flight(AERO, "learned+observer", FLAT).plan
    begin = Start(0.05, 0.05, None)
    found, _ = certify(folder, AERO, "learned+observer", plan=plan, start=begin,
                       calibration=CALIBRATED)  # fmt: skip
    assert found.certified
    proof, fallback = asked
    off, fast = AERO.noise.position, AERO.noise.velocity
    assert proof.joined == fallback.joined == StartFamily(0.05 + off, 0.05 + fast)
    assert proof.position == (off,) * 3
    assert proof.velocity == (fast,) * 3
    assert found.tube["start"]["joined"] == proof.joined.as_dict()
    assert Limits.of(found.tube).start == (0.05 + off, 0.05 + fast)
    assert "began as certified" in found.tube["fallback"]["assumes"]
    for other in (Start(0.06, 0.05, None), Start(0.05, 0.04, None), None):
        with pytest.raises(InputError, match=r"the calibration flights began within 0\.05 m"):
            certify(
                folder, AERO, "learned+observer", plan=plan, start=other, calibration=CALIBRATED
            )


def test_over_a_deck_that_pitches_the_way_from_the_start_counts_as_sway():
    learned = deck_cases.ground()
    deck = Swinging(DeckFamily(0.01, 0.3, 0.02), DeckErrors(), deck_cases.LEAD)

    def sway(joined):
        tried = Round.on(deck_cases.PLAN, learned, spatial_cases.QUIET, spatial_cases.NO_ERRORS,
                         SpatialStart(joined=joined), 0.012, (0.1, 600), deck)  # fmt: skip
        proof, _ = tried.prove([Radii(0.5, 1.2, 8.0, 0.5)] * len(tried.ranges), 1)
        return {"error" if "[m]" in c.statement else "speed": c
                for c in proof.conditions if "pitch" in c.statement}  # fmt: skip

    none, wide = sway(None), sway(StartFamily(SWAY[0], 0.0))
    assert none["error"].holds
    assert none["speed"].holds
    assert not wide["error"].holds
    assert wide["error"].lhs > SWAY[0]


def test_rounds_of_a_proof_end_a_segment_where_the_start_has_joined():
    at = Round.on(
        HOVERS, spatial_cases.force(), CALM, MILD, SpatialStart(joined=WIDE), 0.012, THOROUGH
    )
    assert math.ceil(JOINING / 0.012) in [first for first, _ in at.ranges]
