"""Over a deck: the family holds its motions and no more, no flight leaves its tube, the gate knows it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_lander.controller.deck import BLEND, deck_setpoint
from neural_lander.controller.deck_family import (
    DeckErrors,
    DeckFamily,
    deck_cells,
    taking_up,
)
from neural_lander.controller.errors import InputError
from neural_lander.controller.landing_controller import controller_record
from neural_lander.controller.reference_cells import reference_cells
from neural_lander.controller.spatial_deck import deck_left
from neural_lander.controller.spatial_terms import SpatialErrors, SpatialStart
from neural_lander.controller.spatial_tube import tube_in_space
from neural_lander.controller.terrain import Terrain
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.learning.spatial_boxes import Radii, Swinging
from neural_lander.learning.spatial_proof import prove_space
from neural_lander.learning.spatial_round import ROUGH, Round
from neural_lander.sim.deck import Deck

from .deck_flight import BELOW, PLAN, SLOPES, fly, ground, taken_up
from .spatial_cases import LOOP, NO_ERRORS, QUIET

AERO = load_vehicle("intel-aero")
CELL = 0.02
LEAD = 0.04
LIVELY = DeckFamily(0.12, 0.6)
CALM = DeckFamily(0.10, 0.3, math.tan(math.radians(2.0)))


# --- the family ----------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    share=st.floats(0, 1), slower=st.floats(0.1, 1), phases=st.tuples(*[st.floats(0, 6.28)] * 2),
    seed=st.integers(0, 999),
)  # fmt: skip
def test_no_motion_inside_the_bounds_leaves_the_cells(share, slower, phases, seed):
    """One swing, or two that share the bounds, one of them slower."""
    waves = [(share * 0.12, 0.6, phases[0]), ((1 - share) * 0.12, slower * 0.6, phases[1])]
    cell, count = 0.05, 80
    cells = deck_cells(LIVELY, PLAN, cell, count)
    times = np.random.default_rng(seed).uniform(0, cell * count, 2000)
    moves, d = taken_up(waves, times)
    at = (times / cell).astype(int)
    assert (np.abs(moves) <= cells.moves[at] * (1 + 1e-9) + 1e-12).all()
    assert (np.abs(moves - d)[:, :2] <= cells.over[at] * (1 + 1e-9) + 1e-12).all()


def test_some_motion_nearly_meets_the_bounds_and_a_faster_one_leaves_them():
    cell, count = 0.01, 420
    cells = deck_cells(LIVELY, PLAN, cell, count)
    times = np.arange(count) * cell + cell / 2
    phases = np.linspace(0, 2 * math.pi, 48, endpoint=False)

    def most(frequency):
        found = [np.abs(taken_up([(0.12, frequency, p)], times)[0]) for p in phases]
        return np.max(found, axis=0)

    share = most(0.6) / np.maximum(cells.moves, 1e-12)
    after = times > PLAN.descent_start
    assert share[after].min() > 0.995  # the bounds of a swing are met one by one
    blending = (times > PLAN.descent_start - 0.8 * BLEND) & ~after
    assert share[blending].min() > 0.45  # there several of them would have to be met together
    assert (most(0.65)[after, 1:] > cells.moves[after, 1:]).all()


def test_over_the_surface_nothing_moves_once_the_deck_is_followed():
    cells = deck_cells(LIVELY, PLAN, 0.01, 420)
    late = np.arange(420) * 0.01 > PLAN.descent_start
    assert (cells.over[late] == 0).all()
    assert cells.over[0, 0] == pytest.approx(0.12)
    assert cells.over[0, 1] == pytest.approx(0.12 * 2 * math.pi * 0.6)
    pitched = deck_cells(CALM, PLAN, 0.01, 420)
    assert pitched.over[late].min() > 0  # who is off its place has another height


def test_the_blend_is_the_one_that_flies():
    chart = Terrain((Deck().surface,))
    c = controller_record(AERO, "observer", PLAN, 0.0, chart=chart, moving=1)[0]
    c["deck_mean"][0] = 1.0, 0.0, 0.0, 1.0  # stands 1 m up: what moves the set-point is g
    times = np.linspace(PLAN.descent_start - BLEND - 0.1, PLAN.descent_start + 0.1, 301)
    flown = np.array([deck_setpoint(c, float(t), 0.0) for t in times])
    g = taking_up(PLAN.descent_start, times)
    np.testing.assert_allclose(g[:, :4], flown, atol=1e-10)
    inside = (times > PLAN.descent_start - BLEND + 0.01) & (times < PLAN.descent_start - 0.01)
    np.testing.assert_allclose(np.gradient(g[:, 3], times)[inside], g[inside, 4], atol=0.05)


def test_what_is_left_of_a_fed_forward_swing_is_bounded_and_not_by_much():
    """Without a learned force: sampled, held and late, against what the model knows of it."""
    flat = ground((0.0, 0.0, 0.0)).slopes((0, 2), (-3, 3), (5, 25))
    loop = QUIET.over(LIVELY, LEAD)
    cell = 0.01
    cells = deck_cells(LIVELY, PLAN, cell, 420)
    left = deck_left([(flat, 0.0)], loop, np.zeros(420, np.int64), cells.moves, cell)
    assert (left[:, :2] == 0).all()
    h, late, m = loop.period, loop.latency, loop.mass
    worst = np.zeros(420)
    for phase in np.linspace(0, 2 * math.pi, 24, endpoint=False):
        t = np.arange(0.5, 4.1, h)  # samples
        for wait in (late, late + h / 2, late + h):
            (soon, _), (now, _) = (taken_up([(0.12, 0.6, phase)], t + s) for s in (late, wait))
            nu = m * (soon[:, 2] - now[:, 2] + LEAD * soon[:, 3]) - m * (LEAD - h / 2) * now[:, 3]
            np.maximum.at(worst, ((t + wait) / cell).astype(int), np.abs(nu))
    seen = worst > 0
    assert (worst[seen] <= left[seen, 2]).all()
    after = seen & (np.arange(420) * cell > PLAN.descent_start)
    assert (worst[after] > 0.6 * left[after, 2]).any()


# --- the tube ------------------------------------------------------------------------------------

OFF = DeckErrors(0.05, 0.02, force=0.4)
CASES = {
    "motion": (LIVELY, DeckErrors(), SLOPES, BELOW),
    "hover": (LIVELY, DeckErrors(), (0.0, 4.0, 0.0), 1.2),
    "set-point": (DeckFamily(0.02, 0.3), DeckErrors(force=0.4), (0.0, 0.0, 0.0), BELOW),
    "surface": (DeckFamily(0.02, 0.3), DeckErrors(0.05, 0.05), (0.0, 8.0, 0.0), BELOW),
    "all": (LIVELY, OFF, SLOPES, BELOW),
}
"""Family, errors of what is believed of the deck, slopes of the learned force, and below which height."""


@pytest.fixture(scope="module")
def proved():
    found = {}

    def of(case):
        if case not in found:
            family, errors, slopes, below = CASES[case]
            found[case] = prove_space(
                PLAN, ground(slopes, below), QUIET, NO_ERRORS, cell=CELL,
                deck=Swinging(family, errors, LEAD),
            )  # fmt: skip
            proof = found[case]
            assert proof.certified, [c for c in proof.conditions if not c.holds][:3]
        return found[case]

    return of


def tube_again(proof, deck=True, force=True, surface=True, passing=True):
    """The tube of a finished proof once more, with something of the deck forgotten."""
    family, lead = proof.deck.family, proof.deck.lead
    segments = [
        replace(s, setpoint=s.setpoint * force, surface=s.surface * surface) for s in proof.segments
    ]
    n, cell = len(proof.cells[2].low), proof.cells[2].cell
    moved = deck_cells(family, PLAN, cell, n)
    z, loop, moves = proof.cells[2], QUIET.over(family, lead), moved.moves
    if not passing:  # how fast the surface comes nearer
        less = np.zeros_like(z.low)
        less[:, 1] = moved.over[:, 1]
        z = replace(z, low=z.low + less, high=z.high - less)
    if not deck:
        middle = z.middle
        z, loop, moves = replace(z, low=middle, high=middle), QUIET, None
    cells = (proof.cells[0], proof.cells[1], z)
    return tube_in_space(
        cells, segments, loop, NO_ERRORS, SpatialStart(), proof.rest, PLAN.descent_start, moves
    )


def flights(case, **changes):
    """Flights that try to leave the tube: phases of the deck, and errors that come at bad times."""
    family, errors, slopes, below = CASES[case]
    n = round((PLAN.end + 0.5) / QUIET.period)
    times = QUIET.period * np.arange(n)
    late = times > PLAN.descent_start - BLEND
    for phase in np.linspace(0, 2 * math.pi, 8, endpoint=False):
        for beat in (0.0, 0.7, 1.3):
            sign = np.sign(np.cos(2 * math.pi * beat * times + phase) + 1e-9)
            yield fly(
                QUIET, [(family.swing, family.frequency, phase)], slopes=slopes, below=below,
                off=sign * errors.force * late,
                surface=sign * np.where(late, errors.surface, errors.heard), **changes,
            )  # fmt: skip


def peaks(tube, found):
    """The largest error of any time over the largest tube of any time, of height, speed, thrust."""
    largest = np.max([np.abs(errors[:, :3]).max(axis=0) for _, errors in found], axis=0)
    bounds = [getattr(tube.bounds, name)[:, 2].max() for name in ("position", "velocity", "force")]
    return float((largest / bounds).max())


def ratios(tube, found):
    """(4,) Largest error over tube, of height, speed, thrust, held command; from the second sample on."""
    worst = np.zeros(4)
    held = np.append(tube.bounds.command[:, 2], tube.after.command[2])
    for times, errors in found:
        early, late = (
            np.clip((times / tube.cell + s).astype(int), 0, len(held) - 1) for s in (-1e-6, 1e-6)
        )
        bounds = [b[:, 2] for b in tube.at(times)] + [np.maximum(held[early], held[late])]
        shares = np.abs(errors) / np.maximum(np.stack(bounds, axis=1), 1e-12)
        worst = np.maximum(worst, shares[1:].max(axis=0))
    return worst


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[pytest.mark.campaign] * (c == "all")) for c in CASES]
)
def test_no_flight_over_a_deck_of_the_family_leaves_its_tube(proved, case):
    height, speed, thrust, command = ratios(proved(case).tube, flights(case))
    assert 0.15 < max(height, speed, thrust) <= 1
    assert 0.15 < command <= 1


@pytest.mark.parametrize(
    ("case", "forgotten"),
    [("motion", "deck"), ("hover", "passing"), ("set-point", "force"), ("surface", "surface")],
)
def test_a_prover_that_forgets_something_of_the_deck_is_caught_by_a_flight(proved, case, forgotten):
    proof = proved(case)
    np.testing.assert_array_equal(tube_again(proof).position, proof.tube.position)
    wrong = tube_again(proof, **{forgotten: False})
    assert wrong.finite
    by = ratios if forgotten == "passing" else peaks  # it passes below the hover alone
    assert np.max(by(wrong, flights(case))) > 1.2


def test_the_slopes_were_bounded_at_every_height_that_the_force_is_asked_about(proved):
    """Where the surface may be, as far as the vehicle may be off, and as wrong as the deck is known."""
    proof = proved("surface")
    error = proof.deck.errors.surface
    plan = reference_cells(PLAN, CELL, CELL * len(proof.cells[2].low), 2)
    n = len(proof.cells[2].low)
    over = deck_cells(proof.deck.family, PLAN, CELL, n).over[:, 0]
    for segment, box in zip(proof.segments, proof.boxes, strict=True):
        part = slice(segment.first, segment.end)
        tube = proof.tube.position[part, 2].max()
        lowest = max(0.0, (plan.low[:n, 0] - over)[part].min() - tube) - error
        highest = (plan.high[:n, 0] + over)[part].max() + tube + error
        assert box.height[0] <= lowest
        assert highest <= box.height[1] < highest + 0.1  # and not of every height


def test_a_law_that_does_not_feed_the_motion_forward_leaves_the_tube(proved):
    assert peaks(proved("motion").tube, flights("motion", lead=-LEAD)) > 1


def test_a_deck_livelier_than_its_family_leaves_the_tube(proved):
    family, _, slopes, _ = CASES["motion"]
    lively = fly(QUIET, [(3 * family.swing, 2 * family.frequency, 1.0)], slopes=slopes)
    assert peaks(proved("motion").tube, [lively]) > 1


def once(deck, learned=None, loop=QUIET, errors=NO_ERRORS):
    """One round of the proof, in wide boxes."""
    learned = learned or ground()
    tried = Round.on(PLAN, learned, loop, errors, SpatialStart(), CELL, ROUGH, deck)
    return tried.prove([Radii(0.3, 0.6, 6.0, 0.4)] * len(tried.ranges), 1)[0]


def test_an_observer_takes_for_a_disturbance_what_the_force_at_a_wrong_height_is_off_by():
    """At rest d^ = slope times height: 4 N/m by 5 cm; it is all that there is to find."""
    loop = replace(QUIET, observer=2.0)
    found = {}
    for error in (0.0, 0.05):
        deck = Swinging(DeckFamily(0.02, 0.3), DeckErrors(error, error), LEAD)
        tube = once(deck, ground((0.0, 4.0, 0.0), 1.2), loop).tube
        found[error] = tube.bounds.disturbance[tube.times > 2.0, 2].min()
    assert 0.2 * 0.98 < found[0.05] < 0.2 * 1.5  # after 2 s all but e^-4 of it are there
    assert found[0.0] < 0.02


def test_a_family_that_does_not_move_is_a_floor_to_the_last_byte():
    still = Swinging(DeckFamily(0.0, 0.3), DeckErrors(), LEAD)
    errors = SpatialErrors((0.01,) * 3)
    one, other = (once(deck, loop=LOOP, errors=errors) for deck in (None, still))
    assert one.tube.finite
    for name in ("position", "velocity", "force"):
        assert (
            getattr(one.tube.bounds, name).tobytes() == getattr(other.tube.bounds, name).tobytes()
        )
        assert getattr(one.after, name).tobytes() == getattr(other.after, name).tobytes()


def test_a_wider_family_has_a_wider_tube_and_a_wild_one_is_refused_by_a_limit():
    tubes = []
    for family in (None, DeckFamily(0.05, 0.3), DeckFamily(0.1, 0.3), DeckFamily(0.1, 0.6)):
        deck = None if family is None else Swinging(family, DeckErrors(), LEAD)
        tubes.append(once(deck).greatest()[2])
    assert (np.diff(tubes) > 0).all()
    wild = once(Swinging(DeckFamily(0.4, 0.8), DeckErrors(), LEAD))
    assert "H5" in {c.name for c in wild.conditions if not c.holds}


def test_a_vehicle_too_far_aside_for_the_pitch_that_was_counted_is_refused():
    """H4: with 2.5 N of changing force along x the tube there is wider than 0.2 m."""
    deck = Swinging(CALM, DeckErrors(), LEAD)
    for push, holds in ((0.5, True), (2.5, False)):
        proof = once(deck, ground((0.0, 0.0, 0.0)), errors=SpatialErrors((push, 0.01, 0.01)))
        counted = [c for c in proof.conditions if "pitch was counted" in c.statement]
        assert len(counted) == 2
        assert all(c.holds for c in counted) == holds


def test_a_plan_that_feeds_its_own_delays_forward_is_refused():
    deck = Swinging(CALM, DeckErrors(), LEAD)
    with pytest.raises(InputError, match="over a deck that moves there is no tube"):
        prove_space(replace(PLAN, compensated=True), ground(), QUIET, NO_ERRORS, deck=deck)
