"""Thrust room by height: what a plan keeps free where, and the search for what a tube needs."""

import math
from dataclasses import replace
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neural_lander.controller.certificate import REFUSED, plan_digest, sooner, why_refused
from neural_lander.controller.condition import Condition
from neural_lander.controller.errors import InputError
from neural_lander.controller.fastest import DescentLimits, plan_fastest
from neural_lander.controller.feed_forward import lead_of
from neural_lander.controller.reference_cells import reference_cells
from neural_lander.controller.setpoint import RECORD_FIELDS, setpoint_ahead, store_plan
from neural_lander.controller.spatial_model import SpatialLoop
from neural_lander.controller.spatial_terms import (
    SpatialErrors,
    SpatialSegment,
    SpatialStart,
)
from neural_lander.controller.thrust_room import ThrustRoom
from neural_lander.controller.tube import segment_ranges
from neural_lander.controller.vehicle import GRAVITY, load_vehicle
from neural_lander.learning import room_search
from neural_lander.learning.certify import certify
from neural_lander.learning.room_search import room_needed, search_room
from neural_lander.learning.spatial_boxes import Radii, SpatialBox, SpatialProof
from neural_lander.scripts.cli import main
from neural_lander.scripts.cli_certify import Flown, tube_options
from neural_lander.sim.gate import FlightOptions, flight_of

from .bundle_cases import bundle
from .spatial_cases import force

AERO = load_vehicle("intel-aero")
MOST = AERO.thrust_limits[1]
HOVER = 0.5
shares = st.floats(0.0, 0.99).map(lambda x: round(x, 3))
rooms = st.dictionaries(st.floats(0.05, 3.0).map(lambda x: round(x, 2)), st.tuples(shares, shares),
                        max_size=4).flatmap(
    lambda high: st.tuples(shares, shares).map(
        lambda low: ThrustRoom(tuple(sorted((h, *pair) for h, pair in ({0.0: low} | high).items())))
    )
)  # fmt: skip


def descent(room, start=1.5):
    limits = DescentLimits.of(AERO, 0.13, room=room)
    return plan_fastest((0.0, 0.0, start), HOVER, limits)


# --- what is said --------------------------------------------------------------------------------


@given(room=rooms)
def test_what_is_printed_is_read_again(room):
    assert ThrustRoom.parse(str(room)) == room
    pair = ThrustRoom.even(*room.steps[0][1:])
    assert ThrustRoom.parse(str(pair)) == pair


@given(room=rooms, a=st.floats(0.0, 4.0), b=st.floats(0.0, 4.0))
def test_between_two_heights_the_greatest_counts(room, a, b):
    low, high = min(a, b), max(a, b)
    at = [max(h for h, _, _ in room.steps if h <= z) for z in np.linspace(low, high, 400)]
    for column, found in ((1, room.below(low, high)), (2, room.above(low, high))):
        seen = max(step[column] for step in room.steps if step[0] in at)
        inside = [s for s in room.steps if low <= s[0] <= high or s[0] == at[0]]
        assert seen <= found == max(step[column] for step in inside)


@pytest.mark.parametrize(
    "text",
    ["1=0.3:0.1", "0=0.3:0.1,0=0.2:0.1", "0.3:0.1,1=0.3:0.1", "0=0.3", "0=1:0", "-1=0.1:0.1"],
)
def test_a_room_that_is_none_is_refused(text):
    with pytest.raises(InputError, match=r"BELOW:ABOVE.*by height"):
        ThrustRoom.parse(text)


# --- what a plan keeps ---------------------------------------------------------------------------


def commanded(plan):
    """Height and commanded thrust, lag fed forward, until the set-point rests; a row a millisecond."""
    record = np.zeros(1, np.dtype(RECORD_FIELDS, align=True)).view(np.recarray)
    store_plan(record[0], plan, 0.0)
    times = np.arange(HOVER, plan.end, 1e-3)
    z = np.array([[q[2] for q in setpoint_ahead(record[0], t)] for t in times])
    return z[:, 0], AERO.mass * (GRAVITY + z[:, 2] + lead_of(AERO)[2] * z[:, 3])


@settings(max_examples=20)
@given(
    top=st.floats(0.05, 0.5), low=st.floats(0.05, 0.56), above=st.floats(0.05, 0.3),
    lower=st.floats(0.05, 0.3), at=st.floats(0.1, 1.2), start=st.floats(0.5, 3.0),
)  # fmt: skip
def test_every_command_leaves_the_room_of_its_height(top, low, above, lower, at, start):
    room = ThrustRoom(((0.0, low, lower), (at, top, above)))
    try:
        plan = descent(room, start)
    except InputError:  # two steps that together leave nothing to fly with
        assume(False)
    heights, thrust = commanded(plan)
    for z, f in zip(heights, thrust, strict=True):
        assert room.below(z, z) * MOST - 1e-6 <= f <= (1 - room.above(z, z)) * MOST + 1e-6


def test_near_the_floor_room_bounds_the_jerk_that_lets_go_of_the_brake_and_stops():
    tight = ThrustRoom(((0.0, 0.56, 0.2), (0.3, 0.3, 0.2)))
    heights, thrust = commanded(descent(tight))
    near = heights < 0.05
    assert thrust[near].min() == pytest.approx(0.56 * MOST, rel=3e-3)  # sampled each ms
    loose = replace(tight, steps=((0.0, 0.3, 0.2), (0.3, 0.3, 0.2)))
    heights, thrust = commanded(descent(loose))
    assert thrust[heights < 0.05].min() < 0.5 * MOST
    assert descent(loose).metadata["touchdown_s"] < descent(tight).metadata["touchdown_s"]


def test_room_that_the_descent_never_crosses_costs_nothing():
    """Below counts for the fall, high up, above for the brake, low down."""
    plain = ThrustRoom(((0.0, 0.3, 0.2),))
    idle = ThrustRoom(((0.0, 0.3, 0.2), (1.2, 0.3, 0.9), (2.0, 0.9, 0.9)))
    assert plan_digest(descent(idle)) == plan_digest(descent(plain))
    felt = ThrustRoom(((0.0, 0.3, 0.2), (1.2, 0.4, 0.2)))
    assert descent(felt).metadata["touchdown_s"] > descent(plain).metadata["touchdown_s"] + 0.05


def test_a_low_start_ends_its_fall_above_heights_that_leave_nothing_to_fall_with():
    tight = ThrustRoom(((0.0, 0.57, 0.2), (0.3, 0.42, 0.2)))
    heights, thrust = commanded(descent(tight, 0.8))
    falling = thrust < 0.57 * MOST - 1e-6
    assert falling.any()
    assert heights[falling].min() >= 0.3 - 1e-6
    free = descent(replace(tight, steps=((0.0, 0.42, 0.2), (0.3, 0.42, 0.2))), 0.8)
    assert commanded(free)[0][commanded(free)[1] < 0.57 * MOST - 1e-6].min() < 0.3
    with pytest.raises(InputError, match="too much to begin"):
        descent(tight, 0.25)


def test_a_pair_and_no_room_plan_what_they_always_did():
    """The limits of the brake and the fall in closed form, and the gentle jerk out of both."""
    pair = DescentLimits.of(AERO, 0.13, room=ThrustRoom.even(0.36, 0.22))
    assert pair.fall(0.0) == pytest.approx(GRAVITY * (1 - 0.36 * MOST / AERO.weight))
    assert pair.brake(0.0) == pytest.approx(GRAVITY * (0.78 * MOST / AERO.weight - 1))
    assert pair.jerks_out() == (12.0, 12.0)
    assert pair.stop_jerk() == 20.0
    assert DescentLimits.of(AERO, 0.13).jerks_out() == (100.0, 100.0)


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (((0.0, 0.3, 0.42),), "too little to brake"),
        (((0.0, 0.3, 0.2), (1.0, 0.57, 0.2)), "too much to begin"),
        (((0.0, 0.59, 0.2), (0.2, 0.3, 0.2)), "too much to let go"),
    ],
)
def test_room_that_leaves_nothing_is_refused_with_a_cure(steps, why):
    with pytest.raises(InputError, match=rf"{why}.*less of --thrust-room|{why}.*--thrust-room"):
        descent(ThrustRoom(steps))


# --- the search ----------------------------------------------------------------------------------

LOOP = replace(SpatialLoop.of(AERO, "learned+observer"), lead=lead_of(AERO))
SIDE = 2.0
"""Of a force, in the proofs made up here [N]."""


def made_up(spread):
    """A prover whose tube reaches ``spread`` [N] beyond what any plan commands, and ``SIDE`` sideways."""
    tan = math.tan(LOOP.tilt_limit)
    limit = math.sqrt(MOST**2 - SIDE**2)

    def prove(plan, *_):
        cells = tuple(reference_cells(plan, 0.01, plan.end + 0.5, axis) for axis in range(3))
        z = cells[2]
        slopes = force().slopes((0, 1), (-1, 1), (5, 20))
        segments, boxes, conditions = [], [], []
        low = AERO.weight + LOOP.mass * (z.low[:, 2] + LOOP.lead[2] * z.low[:, 3])
        high = AERO.weight + LOOP.mass * (z.high[:, 2] + LOOP.lead[2] * z.high[:, 3])
        for first, end in segment_ranges(z, len(z.low) - 2):
            least = float(low[first:end].min()) - spread
            most = float(high[first:end].max()) + spread
            span = (least, math.hypot(most, SIDE))
            segments.append(SpatialSegment(first, end, "", slopes, span, 0.1, SIDE))
            boxes.append(
                SpatialBox("", 0.0, 1.0, (0, 1), (-1, 1), span, 0.1, slopes, (0, 1), (-1, 1), span, 0.1,
                           SIDE, SIDE)
            )  # fmt: skip
            conditions += [
                Condition.of("H5", "z", "", "tilt", SIDE / tan, least),
                Condition.of("H5", "z", "", "thrust", most, limit),
            ]
        return SpatialProof(
            tuple(conditions), SimpleNamespace(greatest=np.zeros(3)), cells, tuple(boxes),
            tuple(segments), 1, SpatialStart(), SpatialErrors((0.0,) * 3), len(z.low),
        ), [Radii(0.1, 0.1, 1.0, 0.1)]  # fmt: skip

    return prove


@pytest.mark.parametrize("spread", [1.5, 2.5])
def test_the_room_found_is_what_the_tube_needs_and_little_more(spread):
    prove = made_up(spread)
    with mock.patch.object(room_search, "coarse_proof", prove):
        found, tried = search_room(
            descent, force(), LOOP, SpatialErrors((0.0,) * 3), SpatialStart()
        )
    assert found is not None
    assert 2 <= tried <= room_search.PROOFS
    assert found.proof.certified
    below = (
        spread + SIDE / math.tan(LOOP.tilt_limit)
    ) / MOST  # closed form, the same at all heights
    above = (spread + MOST - math.sqrt(MOST**2 - SIDE**2)) / MOST
    assert below <= found.room.below(1.4, 1.5) < below + 0.02
    assert above <= found.room.above(0.0, 0.3) < above + 0.03
    less = ThrustRoom(tuple((h, a - 0.03, b - 0.03) for h, a, b in found.room.steps))
    assert not prove(descent(less))[0].certified
    wide = room_needed(prove(descent(ThrustRoom.parse("0=0.5:0.3")))[0], LOOP)
    assert wide.below(1.4, 1.5) == pytest.approx(found.room.below(1.4, 1.5), abs=0.02)


def test_where_nothing_passes_the_search_ends_and_says_so():
    prove = made_up(9.0)
    with mock.patch.object(room_search, "coarse_proof", prove):
        found, tried = search_room(
            descent, force(), LOOP, SpatialErrors((0.0,) * 3), SpatialStart()
        )
        entry = room_search.room_remedy(
            descent, descent(None), force(), LOOP, prove(descent(None))[0]
        )
    assert found is None
    assert 1 <= tried <= room_search.PROOFS
    assert entry["passes_at"] is None


def test_the_refusal_says_which_room_would_pass(tmp_path):
    found, _ = certify(bundle(tmp_path / "model", AERO, scale=0.3), AERO)
    tilted = Condition.of("H5", "xy", "1.3 to 1.5 m", "greatest tilt below its limit", 0.6, 0.5)
    remedy = {
        "parameter": "--thrust-room", "unit": "1", "now": None, "passes_at": "0=0.4:0.2",
        "touchdown_s": 1.6712, "proofs": 3,
    }  # fmt: skip
    refused = replace(found, verdict=REFUSED, conditions=(tilted,), remedies=(remedy,))
    said = why_refused(refused)
    assert "would pass with --thrust-room 0=0.4:0.2: lands in 1.67 s (by a coarse proof" in said
    none = replace(refused, remedies=({**remedy, "passes_at": None},))
    assert "no --thrust-room was found" in why_refused(none)
    passed = replace(found, remedies=(remedy,), tube={"planned": {"touchdown_s": 1.8}})
    assert "lands in 1.67 s" in sooner(passed)
    assert sooner(replace(passed, tube={"planned": {"touchdown_s": 1.6}})) == ""
    assert sooner(found) == ""


def test_a_search_along_another_reference_is_refused(tmp_path, capsys):
    model = bundle(tmp_path / "model", AERO)
    for reference in ([], ["--reference", "s-curve"]):
        with pytest.raises(SystemExit) as ended:
            main(["certify", str(model), "--vehicle", "intel-aero", "--search-room", *reference])
        assert ended.value.code == 2
        assert "--search-room is for --reference fastest" in capsys.readouterr().err


# --- the plan of certify is that of land ------------------------------------------------------------


@pytest.mark.parametrize(("asked", "flown"), [(0.7, 0.7), (None, 1.5), (2.5, 1.5)])
def test_certify_plans_what_land_flies_also_slower_than_the_model_has_seen(tmp_path, asked, flown):
    model = bundle(tmp_path / "model", AERO)  # has seen 1.5 m/s
    room = ThrustRoom.parse("0.36:0.22")
    given = Flown(model, AERO, "learned+observer", 0.13, room, asked)
    plan = tube_options("fastest", "flat", None, 0.0, given, True)["plan"]
    options = FlightOptions("intel-aero", "flat", "fastest", "rotor", model, None, True, "hybrid",
                            0.13, room)  # fmt: skip
    if asked is not None:
        options = replace(options, descent_speed=asked)
    assert plan_digest(plan) == plan_digest(flight_of(options, "learned+observer").plan)
    assert plan.metadata["speed_m_s"] <= flown + 1e-9
    if asked is not None and asked < flown:
        assert plan.metadata["speed_m_s"] == pytest.approx(asked)
    with pytest.raises(InputError, match="not below the greatest descent speed"):
        replace(given, descent_speed=0.1).plan(flight_of(options, "learned+observer").scenario)


def test_a_room_beside_another_reference_is_refused_and_not_ignored():
    options = FlightOptions(
        "intel-aero", "flat", "s-curve", "rotor", thrust_room=ThrustRoom.even(0.3, 0.2)
    )
    with pytest.raises(InputError, match="--thrust-room is for --reference fastest: s-curve"):
        flight_of(options, "pid").plan  # noqa: B018
