"""Along a compensated plan: the proof flies the law's feed-forward, bounds what it leaves, no more."""

import math
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from neural_lander.controller import feed_forward, spatial_tube
from neural_lander.controller.certificate import REFUSED, why_refused
from neural_lander.controller.condition import Condition
from neural_lander.controller.errors import InputError
from neural_lander.controller.fastest import (
    GENTLE_JERK_OUT,
    DescentLimits,
    plan_fastest,
)
from neural_lander.controller.hover_mass import STEADY_RATE, shown
from neural_lander.controller.landing_controller import controller_record
from neural_lander.controller.reference_cells import reference_cells
from neural_lander.controller.setpoint import setpoint
from neural_lander.controller.spatial_lead import left_over, mass_found, weighing_cell
from neural_lander.controller.spatial_model import channel_names
from neural_lander.controller.spatial_terms import SpatialErrors, SpatialStart
from neural_lander.controller.spatial_tube import tube_in_space
from neural_lander.controller.thrust_room import ThrustRoom
from neural_lander.controller.vehicle import GRAVITY, load_vehicle
from neural_lander.learning.certify import certify
from neural_lander.learning.room_search import PROOFS, search_room
from neural_lander.learning.spatial_falsifier import (
    World,
    _samples_of,
    falsify_in_space,
    fed_forward,
    fly_in_space,
)
from neural_lander.learning.spatial_falsifier import _Flight as Flown
from neural_lander.learning.spatial_proof import prove_space

from .bundle_cases import bundle
from .spatial_cases import LANDING, LOOP, NO_ERRORS, QUIET, force

AERO = load_vehicle("intel-aero")
CELL = 0.012
TURNING = 2 * LOOP.damping / LOOP.bandwidth
AHEAD = (TURNING, TURNING, 0.04)
HOVER = 0.5


def descent(height=0.9, speed=1.5, hover=HOVER):
    limits = DescentLimits.of(AERO, 0.15, speed, room=ThrustRoom.even(0.33, 0.2))
    return plan_fastest((0.0, 0.0, height), hover, limits)


PLAN = descent()
NOISY = replace(LOOP, observer=6.0, lead=AHEAD)
STILL = replace(QUIET, lead=AHEAD)
SMALL = SpatialErrors((0.03,) * 3, (0.05,) * 3, (0.06, 0.06, 0.03), "test", (0.0, 0.0, 0.0))
CASES = {
    "quiet": (STILL, NO_ERRORS, force(2.0)),
    "noisy": (NOISY, SMALL, force()),
    "lag": (replace(STILL, lag=(0.036, 0.044)), NO_ERRORS, force(0.5)),
}


@pytest.fixture(scope="session")
def proved():
    found = {}

    def of(case):
        if case not in found:
            loop, errors, learned = CASES[case]
            proof = prove_space(PLAN, learned, loop, errors, cell=CELL)
            assert proof.certified, [c for c in proof.conditions if not c.holds][:3]
            found[case] = proof
        return found[case]

    return of


def again(proof, loop, errors):
    """The tube of a finished proof once more."""
    return tube_in_space(
        proof.cells, proof.segments, loop, errors, SpatialStart(), proof.rest, PLAN.descent_start
    )


def ratio(tube, time, errors):
    """Largest error over tube from the second sample on."""
    bounds = np.concatenate(tube.at(time), axis=1)
    return (np.abs(errors[1:, :9]) / np.maximum(bounds[1:], 1e-12)).max()


def flown(loop, learned, inputs=None, change=None):
    """Times and errors of one flight; ``change`` acts on the flight before it is flown."""
    world = World(PLAN, learned, loop, PLAN.end)
    flight = Flown(world)
    if change is not None:
        change(flight)
    return loop.period * np.arange(world.steps), flight.fly(inputs or world.quiet())


# --- the law -------------------------------------------------------------------------------------


def test_the_proof_feeds_forward_what_the_law_does():
    """``look_ahead``, which flies, against what falsifier and proof take it for, at every sample."""
    record = controller_record(AERO, "observer", PLAN, 0.0)[0]
    loop = replace(
        STILL, mass=AERO.mass, lead=feed_forward.lead_of(AERO), latency=AERO.timing.latency
    )
    times = AERO.timing.period * np.arange(round(PLAN.end / AERO.timing.period))
    expected = fed_forward(PLAN, loop, times)
    for t, row in zip(times, expected, strict=True):
        place, speed, _ = setpoint(record, float(t))
        a, lead = feed_forward.look_ahead(record, float(t), place, speed[2])
        np.testing.assert_allclose(AERO.mass * np.array(a) + lead, row[:3], atol=1e-9)
        np.testing.assert_allclose(record["moved"][2:], row[3:], atol=1e-12)


def test_without_a_learned_force_the_linear_model_is_the_sampled_loop():
    """Brute force: the sampled nonlinear flight against the model's known inputs, integrated."""
    flat = force(0.0)
    loop = STILL
    time, errors = flown(loop, flat)
    block = loop.channels(flat.slopes((0, 2), (-3, 3), (5, 25)), 0.0).blocks[2]
    hold = block.B[:, channel_names(loop).index("hold and latency")]
    sub = 20
    dt, state = loop.period / sub, np.zeros(len(block.A))
    fine = np.arange(len(time) * sub) * dt
    motion = _samples_of(PLAN, fine)[:, 1:, 2]
    jerk = np.append(np.diff(motion[:, 1]) / dt, 0.0)
    known = np.column_stack([motion, jerk, np.zeros(len(fine))])
    model = np.zeros((len(time), 2))
    wanted = np.zeros(len(fine))
    late = round((loop.latency + loop.period / 2) / dt)  # of what is fed back, on average
    # where the jerk steps, the sample before is held on until the next
    kicks = np.zeros(len(fine) + 100)
    for t, size in reference_cells(PLAN, 0.01, PLAN.end).kinks:
        rest = math.ceil(t / loop.period - 1e-6) * loop.period - t
        kicks[math.ceil(t / dt - 1e-6)] -= loop.mass * loop.lead[2] * size * rest / loop.lag[0]
    for k in range(len(fine)):
        state[2] += kicks[k]
        if k % sub == 0:
            model[k // sub] = state[:2]
        wanted[k] = -loop.k_p[2] * state[0] - loop.k_v[2] * state[1]
        old = wanted[k - late] - wanted[k] if k >= late else 0.0
        state = state + dt * (block.A @ state + block.B_known @ known[k] + hold * old)
    peak = np.abs(errors[:, [2, 5]]).max(axis=0)
    assert peak[1] > 1e-3  # half a period of hold at 30 m/s^3
    # what the model leaves out is the ripple of the hold, m h |j| / 2 at most, of no mean
    np.testing.assert_allclose(errors[:, 2], model[:, 0], atol=0.06 * peak[0])
    np.testing.assert_allclose(errors[:, 5], model[:, 1], atol=0.06 * peak[1])


def test_what_the_feed_forward_leaves_is_inside_its_bound_and_comes_near_it(proved):
    """nu minus its known part, at both ends of every hold, from the flight itself."""
    loop, _, learned = CASES["quiet"]
    proof = proved("quiet")
    time, found = flown(loop, learned)
    ideal = (found[:, 9:12] - found[:, 6:9])[:, 2]
    late = round(loop.latency / loop.period)
    of_cell = np.concatenate([np.full(s.end - s.first, k) for k, s in enumerate(proof.segments)])
    slopes = [(s.slopes, s.tilt) for s in proof.segments]
    left = left_over(proof.cells, slopes, loop, of_cell, np.zeros(len(of_cell)))
    z = proof.cells[2]
    rate = np.gradient(ideal, loop.period)
    used = []
    kinks = np.array([t for t, _ in z.kinks])
    for k in range(late + 10, len(time) - 2):
        if (np.abs(kinks - time[k]) < 0.015).any() or not z.middle[int(time[k] / CELL), 0] > 0.03:
            continue  # a kick counts by its integral
        i = int(time[k] / CELL)
        at = proof.segments[of_cell[i]]
        v, a, j = z.middle[i, 1:]  # jerk is one number here; speed and acceleration to half a cell
        planned = loop.drive(at.slopes, at.tilt, 2) @ [v, a, j]
        known = loop.fed_forward(at.slopes, at.tilt, 2) @ [v, a, j]
        slack = np.abs(loop.fed_forward(at.slopes, at.tilt, 2)) @ z.radius[i, 1:]
        window = slice(k - late - 1, k + 2)
        moved = (loop.period + loop.latency) * np.abs(rate[window] - planned).max()
        for now in (k, k + 1):  # the sample of k - late is held from k until k + 1
            nu = found[k - late, 14] - ideal[now]
            used.append(abs(nu - known) / (left.held[i, 2] + moved + slack + 1e-6))
    assert max(used) <= 1
    assert max(used) > 0.4


# --- the tube ------------------------------------------------------------------------------------


def test_no_flight_leaves_its_tube_and_no_lead_does(proved):
    loop, _, learned = CASES["quiet"]
    tube = proved("quiet").tube
    time, errors = flown(loop, learned)
    assert 0.05 < ratio(tube, time, errors) <= 1

    def no_lead(flight):  # the acceleration alone, and no look ahead at phi
        flight.ahead[:] = 0.0
        flight.ahead[:, :3] = loop.mass * flight.reference[:, 2]

    assert ratio(tube, *flown(loop, learned, change=no_lead)) > 1

    def no_prediction(flight):
        flight.ahead[:, 3:] *= -3.0

    assert ratio(tube, *flown(loop, learned, change=no_prediction)) > 1


def test_the_worst_noise_stays_inside_also_when_it_feigns_another_mass(proved):
    loop, errors, learned = CASES["noisy"]
    proof = proved("noisy")
    world = World(PLAN, learned, loop, PLAN.end)
    worst = falsify_in_space(
        world, errors, [0.45, 0.53, 0.8, 1.2], iterations=1, climbs=0, axes=(2,)
    )
    found = worst.ratio_to(proof.tube)[1:]
    assert found.max() <= 1
    assert found.max() > 0.6
    late = worst.time[1:] > HOVER + 0.1
    assert (
        found[late].max() > 0.25
    )  # where the mass counts; every share of it is taken as independent


@pytest.mark.parametrize("lag", [0.036, 0.044])
def test_motors_at_either_end_of_their_lag_stay_inside_and_slower_ones_do_not(proved, lag):
    loop, _, learned = CASES["lag"]
    tube = proved("lag").tube
    assert ratio(tube, *flown(replace(loop, lag=(lag, lag)), learned)) <= 1
    assert ratio(tube, *flown(replace(loop, lag=(0.09, 0.09)), learned)) > 1


def test_a_prover_that_forgets_what_is_left_is_caught_by_a_flight(proved):
    loop, errors, learned = CASES["quiet"]

    def none(*given):
        left = left_over(*given)
        return replace(left, held=0 * left.held, kick=0 * left.kick)

    with mock.patch.object(spatial_tube, "left_over", none):
        wrong = again(proved("quiet"), loop, errors)
    assert wrong.finite
    assert ratio(wrong, *flown(loop, learned)) > 1


# --- the mass found ------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1.0, 6.0, 18.0])
def test_mass_and_step_are_bounded_and_the_worst_hover_comes_near(rate):
    loop = replace(QUIET, observer=rate, mass=1.0, noise_velocity=(0.01,) * 3)
    start, cell, bound, constant = 2.0, 0.006, 0.3, 0.1
    fed = np.full(round(start / cell) + 5, bound)
    share, step = mass_found(loop, start, cell, fed, constant)
    h, last = loop.period, round((start - loop.latency) / loop.period)
    rng = np.random.default_rng(0)

    def found(f, noise):
        d, low = -rate * noise[0], 0.0
        for k in range(last):
            heard = d + rate * noise[k]
            low += h * STEADY_RATE * (heard - low)
            d += (f[k] - d) * (1 - math.exp(-rate * h))
        new = low / shown(rate, last * h)
        return new, new - d

    worst = np.zeros(2)
    seen = []
    for _ in range(20):
        f = bound * rng.choice([-1.0, 1.0], last // 50 + 1).repeat(50)[:last]
        seen.append(found(f + constant, 0.01 * rng.choice([-1.0, 1.0], last)))
    unit = np.array([found(np.eye(1, last, k)[0], np.zeros(last)) for k in range(0, last, 10)])
    for column in range(2):  # the sign of the kernel, held
        sign = np.sign(unit[:, column]).repeat(10)[:last]
        sign = np.append(sign, np.full(last - len(sign), sign[-1]))
        value = found(bound * sign + constant * np.sign(unit[:, column].sum()), np.zeros(last))
        worst[column] = abs(value[column])
        seen.append(value)
    assert np.abs(seen)[:, 0].max() <= share * GRAVITY
    assert np.abs(seen)[:, 1].max() <= step
    assert worst[0] > 0.9 * share * GRAVITY - 0.05 * rate
    assert worst[1] > 0.5 * step - 0.05 * rate


def test_an_observer_that_sees_nothing_takes_no_mass():
    assert mass_found(QUIET, 2.0, 0.006, np.full(340, 0.3), 0.1) == (0.0, 0.0)
    slow = replace(QUIET, observer=0.3)
    assert mass_found(slow, 1.0, 0.006, np.full(340, 0.3), 0.1) == (0.0, 0.0)


def test_the_mass_counts_from_the_sample_at_which_it_is_taken(proved):
    """Before it the tube is what it is without; after it it is wider."""
    loop, errors, _ = CASES["noisy"]
    proof = proved("noisy")
    with mock.patch.object(spatial_tube, "mass_found", return_value=(0.0, 0.0)):
        light = again(proof, loop, errors)
    first = weighing_cell(loop, PLAN.descent_start, CELL)
    whole = again(proof, loop, errors)
    assert whole.load > 0.005
    np.testing.assert_allclose(whole.position[:first], light.position[:first], rtol=1e-9)
    assert (whole.position[first + 1 :, 2] > light.position[first + 1 :, 2]).all()
    assert whole.greatest[2] > 1.02 * light.greatest[2]


# --- what is refused -----------------------------------------------------------------------------


def test_a_loop_without_lead_and_a_plan_of_changing_jerk_are_refused():
    with pytest.raises(InputError, match="no lead"):
        prove_space(PLAN, force(), LOOP, NO_ERRORS)
    with pytest.raises(InputError, match="constant jerk"):
        prove_space(replace(LANDING, compensated=True), force(), STILL, NO_ERRORS)
    assert replace(LANDING).compensated is False
    assert STILL.along(LANDING).lead is None


def test_a_descent_at_the_rotors_limits_has_no_room_for_a_tube_and_the_refusal_says_where():
    limits = DescentLimits.of(AERO, 0.15, 1.5)
    quick = plan_fastest((0.0, 0.0, 0.9), HOVER, limits)
    loop, errors, learned = CASES["noisy"]
    proof = prove_space(quick, learned, loop, errors, cell=CELL)
    assert not proof.certified
    assert "H5" in {c.name for c in proof.conditions if not c.holds}


def test_a_refusal_for_want_of_thrust_names_the_cure(tmp_path):
    found, _ = certify(bundle(tmp_path / "model", AERO, scale=0.3), AERO)
    along = {**found.binding, "reference_name": "fastest"}
    tilted = Condition.of("H5", "xy", "1.3 to 1.5 m", "greatest tilt below its limit", 0.6, 0.5)
    refused = replace(found, verdict=REFUSED, conditions=(tilted,), binding=along)
    assert "--thrust-room" in why_refused(refused)
    unstable = replace(tilted, name="H2")
    assert "--thrust-room" not in why_refused(replace(refused, conditions=(unstable, tilted)))


@pytest.mark.parametrize("text", ["0.3", "a:b", "0.3:1.2", "-0.1:0.2", "nan:0.1"])
def test_a_thrust_room_that_is_none_is_refused(text):
    with pytest.raises(InputError, match="BELOW:ABOVE"):
        ThrustRoom.parse(text)


def test_a_plan_leaves_the_room_it_is_asked_for():
    room = ThrustRoom.parse("0.36:0.22")
    plan = plan_fastest((0.0, 0.0, 1.5), 1.0, DescentLimits.of(AERO, 0.13, room=room))
    cells = replace(STILL, mass=AERO.mass, lead=feed_forward.lead_of(AERO))
    until = np.arange(0.0, 1.0 + plan.metadata["touchdown_s"], 0.002)
    command = fed_forward(plan, cells, until)[:, 2] + AERO.weight
    _, most = AERO.thrust_limits
    out = AERO.mass * AERO.rotors.lag * GENTLE_JERK_OUT  # lead of the jerk out of an acceleration
    assert command.min() >= 0.36 * most - out - 1e-9
    assert command.max() <= (1 - 0.22) * most + 1e-9
    with pytest.raises(InputError, match="too little to brake"):
        DescentLimits.of(AERO, 0.13, room=ThrustRoom.even(0.3, 0.5))
    with pytest.raises(InputError, match="too much to begin"):
        DescentLimits.of(AERO, 0.13, room=ThrustRoom.even(0.6, 0.1))
    assert DescentLimits.of(AERO, 0.13) == DescentLimits.of(AERO, 0.13, room=None)
    tight = plan_fastest((0.0, 0.0, 1.5), 1.0, DescentLimits.of(AERO, 0.13))
    assert tight.metadata["touchdown_s"] < plan.metadata["touchdown_s"]


def test_no_command_is_computed_ahead_of_a_fly_in_space_that_is_not_compensated():
    world = World(LANDING, force(), LOOP, 0.5)
    still = fed_forward(LANDING, LOOP, np.array([0.0, 1.0, 1.2]))
    assert (still[:, 3:] == 0).all()
    assert np.isfinite(fly_in_space(world, world.quiet())).all()


@pytest.mark.campaign
def test_the_room_that_a_search_found_is_proved_on_the_fine_grid_and_lands_sooner():
    loop, errors, learned = CASES["noisy"]

    def replan(room):
        limits = DescentLimits.of(AERO, 0.15, 1.5, room=room)
        return plan_fastest((0.0, 0.0, 0.9), HOVER, limits)

    found, tried = search_room(replan, learned, loop, errors, SpatialStart())
    assert found is not None
    assert tried <= PROOFS
    assert found.plan.metadata["touchdown_s"] < PLAN.metadata["touchdown_s"] - 0.05
    assert prove_space(found.plan, learned, loop, errors).certified
