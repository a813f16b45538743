"""No flight leaves its tube, the tube is not much wider than the flights, and every mistake shows.

Each of the ten places where a proof of this kind goes wrong has a test named after it, and every
deliberate mistake in the prover is caught by a flight, or by a look at the slopes flown through.
"""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from neural_lander.controller.certificate import read_certificate, require_certificate
from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.loop_model import VerticalSlopes, peak_to_peak_gains
from neural_lander.controller.network import load_network
from neural_lander.controller.reference_cells import reference_cells
from neural_lander.controller.setpoint import plan_descent, plan_through
from neural_lander.controller.tube import ErrorBounds, Segment, Start, tube_along
from neural_lander.learning.certify import certify
from neural_lander.learning.falsifier import PLANT_STEP, falsify, fly_once
from neural_lander.learning.level_force import LevelForce
from neural_lander.learning.tube_plot import plot_tube
from neural_lander.learning.tube_proof import prove_tube, reference_thrust
from neural_lander.learning.tube_report import slower

from .bundle_cases import bundle
from .vertical_tube import (
    ERRORS,
    HISTORY_CUT,
    LOOP,
    NO_ERRORS,
    PLAN,
    QUIET,
    SIGNED_KERNELS,
    ground_effect,
    middle,
    prover_with,
    tube_again,
)

CELL = 0.008
TARGETS = (0.002, 0.006, 0.02, 0.1, 0.5, 0.9, 1.3, 1.7, 2.1, 2.6, 3.4)
DURATION = PLAN.end + 0.6

CASES = {
    "standard": (LOOP, ERRORS, 1.0),
    "reference": (QUIET, NO_ERRORS, 1.0),
    "latency": (replace(QUIET, latency=0.030), NO_ERRORS, 1.0),
    "steep": (LOOP, ERRORS, 2.5),
    "constant": (QUIET, ErrorBounds(0.005, 0.2), 1.0),
    "observer": (replace(LOOP, observer=2.0, noise_thrust=0.005), ErrorBounds(0.02, 0.1), 1.0),
}
"""Loop, error bounds, scale of the network."""


@pytest.fixture(scope="session")
def attacked():
    """Proof and worst flights of a case, worked out once."""
    found = {}

    def of(case):
        if case not in found:
            loop, errors, scale = CASES[case]
            force = ground_effect(scale)
            proof = prove_tube(PLAN, force, loop, errors, cell=CELL)
            assert proof.certified, [c for c in proof.conditions if not c.holds][:2]
            worst = falsify(PLAN, force, loop, errors, DURATION, TARGETS, climbs=4, iterations=2)
            found[case] = proof, worst
        return found[case]

    return of


def worst_ratio(worst, tube):
    """Largest worst/tube over time and over z, v, delta, from the second sample on."""
    return float(worst.ratio_to(tube)[1:].max())


@pytest.mark.parametrize("case", CASES)
def test_no_flight_leaves_its_tube_and_the_tube_is_not_wide(attacked, case):
    proof, worst = attacked(case)
    assert worst_ratio(worst, proof.tube) <= 1
    if case in ("standard", "reference"):  # from the other side: twice as wide is not done
        assert proof.tube.errors[:, 0].max() < 2 * worst.worst[:, 0].max()


def still(cells):
    """The reference's motion taken out of the recursion."""
    low, high = cells.low.copy(), cells.high.copy()
    low[:, 1:] = high[:, 1:] = 0
    return replace(cells, low=low, high=high)


def turned(interval):
    return -interval[1], -interval[0]


MISTAKES = {
    "noise forgotten": ("standard", {"loop": {"noise_position": 0.0, "noise_velocity": 0.0}}),
    "epsilon halved": ("standard", {"errors": 0.5}),
    "lag halved": ("standard", {"loop": {"lag": (0.02, 0.02)}}),
    "slope widths dropped": ("reference", {"slopes": middle}),
    "slopes dropped": ("reference", {"slopes": lambda s: s.scaled(0)}),
    "hold and latency dropped": ("latency", {"loop": {"period": 1e-6, "latency": 0.0}}),
    "reference response dropped": ("reference", {"cells": still}),
    "a_z with the wrong sign": (
        "reference",
        {"slopes": lambda s: replace(s, height=turned(s.height))},
    ),
    "signed kernels": ("standard", {"module": SIGNED_KERNELS}),
    "history cut": ("standard", {"module": HISTORY_CUT}),
    "observer's noise forgotten": ("observer", {"loop": {"noise_velocity": 0.0}}),
    "constant error halved": ("constant", {"errors": 0.5}),
}
"""Mistake -> the case that shows it, and what is changed in the prover."""


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_prover_with_a_mistake_is_caught_by_a_flight(attacked, mistake):
    case, change = MISTAKES[mistake]
    loop, errors, _ = CASES[case]
    proof, worst = attacked(case)
    change = dict(change)
    loop = replace(loop, **change.pop("loop", {}))
    share = change.pop("errors", 1.0)
    errors = ErrorBounds(errors.changing * share, errors.constant * share)
    if "module" in change:
        change["module"] = prover_with(*change["module"])
    wrong = tube_again(proof, loop, errors, **change)
    assert wrong.finite
    assert worst_ratio(worst, wrong) > 1


def test_every_slope_flown_through_lies_in_its_interval_which_a_wrong_sign_does_not_survive(
    attacked,
):
    """a_u with the wrong sign is caught by no flight: look at the quotients themselves."""
    proof, _ = attacked("standard")
    force, rng = ground_effect(), np.random.default_rng(0)
    wrong = 0
    for box in proof.boxes:
        sides = (box.reached_height, box.reached_speed, box.reached_thrust)
        a, b = (rng.uniform(*np.array(sides).T, (4000, 3)) for _ in range(2))
        for i, interval in enumerate(
            (box.slopes.height, box.slopes.vertical_speed, box.slopes.thrust)
        ):
            other = a.copy()
            other[:, i] = b[:, i]
            quotient = (force.force(*other.T) - force.force(*a.T)) / (other[:, i] - a[:, i])
            assert (quotient >= interval[0] - 1e-7).all()
            assert (quotient <= interval[1] + 1e-7).all()
            if i == 2:
                wrong += int((quotient < turned(interval)[0]).any())
                wrong += int((quotient > turned(interval)[1]).any())
    assert wrong > 0


# --- the ten holes -------------------------------------------------------------------------------


def two_segments(first: VerticalSlopes, second: VerticalSlopes, cells, at: int):
    n = len(cells.low)
    return [
        Segment(0, at, "first", first, (10.0, 20.0)),
        Segment(at, n, "second", second, (10.0, 20.0)),
    ]


FLAT = VerticalSlopes((0.0, 0.0), (0.0, 0.0), (0.0, 0.0))


def resting(duration=2.0, cell=0.002):
    plan = plan_through(np.array([0.0, 1.0]), np.array([[0, 0, 0.5], [0, 0, 0.5]]))
    return reference_cells(plan, cell, duration)


def test_hole_1_what_was_commanded_in_the_segment_before_is_still_under_way():
    cells = resting()
    noisy = VerticalSlopes((-30.0, -30.0), (-9.0, -9.0), (0.0, 0.0))  # less noise gets through
    loop = replace(LOOP, latency=0.010)
    at = 500
    tube = tube_along(
        cells, two_segments(FLAT, noisy, cells, at), loop, ErrorBounds(0.0), Start(), 900
    )
    before, now = loop.command_noise(FLAT), loop.command_noise(noisy)
    assert before != pytest.approx(now)
    late = math.ceil((loop.period + loop.latency) / cells.cell)
    larger = max(before, now)
    assert (tube.command[at : at + late] >= larger * 0.999).all()


def test_hole_1_a_peak_of_the_thrust_rate_is_remembered_for_hold_and_latency():
    """After the rate's peak the bound of the held command falls only h + L later."""
    proof = prove_tube(PLAN, ground_effect(), replace(QUIET, latency=0.03), NO_ERRORS, cell=CELL)
    tube = proof.tube
    rate = tube.seen[:, tube.names["seen"].index("thrust rate")]
    cells_back = math.ceil(0.032 / CELL)
    for i in range(cells_back, len(rate)):
        assert tube.command[i] >= 0.032 * rate[i - cells_back : i + 1].max() * (1 - 1e-6)


def test_hole_2_a_coarse_grid_only_widens_the_tube(attacked):
    proof, _ = attacked("standard")
    loop, errors, _ = CASES["standard"]

    def on(cell):
        cells = reference_cells(PLAN, cell, 4.8)
        segments = [Segment(0, len(cells.low), "all", proof.segments[3].slopes, (10.0, 20.0))]
        tube = tube_along(cells, segments, loop, errors, Start(), round(PLAN.end / cell))
        return np.repeat(tube.errors[:, 0], round(cell / 0.004))[:1200]

    fine, coarse = on(0.004), on(0.016)
    assert (coarse >= fine * (1 - 1e-9)).all()
    assert coarse.max() < 1.15 * fine.max()


@pytest.mark.parametrize("cell", [0.004, 0.01])
def test_hole_2_the_whole_history_counts_up_to_the_peak_to_peak_gain(cell):
    """At rest, nothing uncertain: the bound climbs to the integral of |kernel|, not past it."""
    cells = resting(8.0, cell)
    loop = replace(QUIET, latency=0.0, period=1e-9)
    model = loop.channels(FLAT)
    force = model.names["outside"].index("force error") + len(model.delta)
    row = model.C[[len(model.names["seen"])]]
    gain = peak_to_peak_gains(model.A, model.B[:, [force]], row, np.zeros((1, 1)))[0, 0]
    segments = [Segment(0, len(cells.low), "all", FLAT, (10.0, 20.0))]
    tube = tube_along(cells, segments, loop, ErrorBounds(1.0), Start(), round(1.2 / cell))
    reached = tube.errors[-1, 0]
    assert 0.999 * gain < reached < 1.01 * gain
    assert tube.errors_after[0] >= gain * (1 - 1e-6)
    assert tube.errors_after[0] < 1.02 * gain
    steady = tube_along(cells, segments, loop, ErrorBounds(0.0, 1.0), Start(), round(1.2 / cell))
    assert steady.errors[-1, 0] == pytest.approx(1 / loop.k_p, rel=1e-3)  # no integral of |kernel|


@pytest.mark.parametrize(
    "plan",
    [
        PLAN,
        plan_descent("exponential", (0, 0, 1.5), 0.0, 0.7),
        plan_through(np.array([0.0, 0.77, 1.31, 2.0]), np.array([[0, 0, z] for z in (1, 2, 0.5, 0.6)])),
    ],
    ids=["s-curve", "exponential", "quintic"],
)  # fmt: skip
def test_hole_3_between_the_samples_the_plan_stays_in_its_cells(plan):
    from neural_lander.learning.falsifier import _samples_of

    cell = 0.0173  # meets no piece's end
    cells = reference_cells(plan, cell, 3.0)
    times = np.linspace(0, 3.0, 40_001)[:-1]
    samples = _samples_of(plan, times)
    of = (times / cell).astype(int)
    for k in range(3):
        assert (samples[:, k] >= cells.low[of, k] - 1e-12).all()
        assert (samples[:, k] <= cells.high[of, k] + 1e-12).all()
    ends = np.array([samples[of == i, 0].max() for i in range(of[-1])])
    assert (cells.high[: of[-1], 0] - ends < 1e-2).all()  # and not by being far too wide
    jerk = np.diff(samples[:, 2]) / (times[1] - times[0])
    smooth = np.ones(len(jerk), dtype=bool)
    for at, _ in cells.jumps:
        smooth &= np.abs(times[:-1] - at) > 2e-4
    smooth &= of[:-1] == of[1:]
    assert (jerk[smooth] <= cells.high[of[:-1][smooth], 3] + 1e-3).all()
    assert (jerk[smooth] >= cells.low[of[:-1][smooth], 3] - 1e-3).all()


def random_flight(rng, loop, errors, force, steps):
    sub = round(loop.period / PLANT_STEP)
    noise = rng.choice([-1.0, 1.0], (steps, 3)) * [loop.noise_position, loop.noise_velocity, 0.0]
    e = errors.changing * np.repeat(rng.choice([-1.0, 1.0], steps * sub // 100 + 1), 100)
    latency = rng.integers(0, round(loop.latency / PLANT_STEP) + 1, steps)
    return fly_once(PLAN, force, loop, e[: steps * sub], noise, latency)


def test_hole_4_commands_and_thrusts_stay_in_the_boxes(attacked):
    proof, _ = attacked("standard")
    loop, errors, _ = CASES["standard"]
    rng = np.random.default_rng(3)
    steps = round(PLAN.end / loop.period)
    time = np.arange(steps) * loop.period
    for _ in range(5):
        flown = random_flight(rng, loop, errors, ground_effect(), steps)
        for box in proof.boxes:
            inside = (time >= box.start_s) & (time < box.end_s)
            assert (flown[inside, 3:] > box.reached_thrust[0]).all()
            assert (flown[inside, 3:] < box.reached_thrust[1]).all()


def test_hole_5_a_second_root_outside_the_box_is_refused():
    """T + phi falls beyond 18 N: two thrusts give the same force, one of them far away."""
    first = np.array([[0.0, 0.0, 1.0]])
    force = LevelForce(
        [(first, np.array([-18.0])), (np.array([[-1.5]]), np.zeros(1))],
        np.array([0.0, -2.0, 0.0]), np.array([3.0, 2.0, 25.0]), None,
    )  # fmt: skip
    proof = prove_tube(PLAN, force, LOOP, ERRORS, cell=0.016)
    assert not proof.certified
    failed = [c for c in proof.conditions if not c.holds]
    assert {c.name for c in failed} == {"H1"}
    assert "every thrust" in failed[0].statement
    within = replace(LOOP, thrust_limits=(0.0, 17.9))  # no rotor reaches the second root
    assert prove_tube(PLAN, force, within, ERRORS, cell=0.016).certified


def test_hole_6_rotors_whose_speed_lags_stay_in_the_tube_made_for_them():
    loop = replace(LOOP, speed_lags=True)
    force = ground_effect()
    proof = prove_tube(PLAN, force, loop, ERRORS, cell=CELL)
    assert proof.certified
    worst = falsify(
        PLAN, force, loop, ERRORS, DURATION, TARGETS[::3], climbs=0, iterations=2, components=(0, 2)
    )
    assert worst_ratio(worst, proof.tube) <= 1
    rng = np.random.default_rng(0)
    low, high = loop.effective_lag((11.0, 18.0))
    thrust, held = rng.uniform(11, 18, (2, 1000))
    effective = 0.04 * (1 + np.sqrt(held / thrust)) / 2
    assert (effective >= low).all()
    assert (effective <= high).all()
    # T' from Omega' = (Omega_c - Omega) / tau is (T_c - T) / tau_eff
    omega, wanted = np.sqrt(thrust), np.sqrt(held)
    np.testing.assert_allclose(2 * omega * (wanted - omega) / 0.04, (held - thrust) / effective)


def test_hole_6_unequal_rotors_cost_room(attacked):
    proof, _ = attacked("standard")
    loop, errors, _ = CASES["standard"]
    tube = tube_again(proof, replace(loop, unequal_rotors=5.0), errors)
    assert (tube.errors[5:, 0] > proof.tube.errors[5:, 0]).all()


def test_hole_7_an_estimate_that_lags_is_in_the_tube_and_would_leave_the_other():
    """v^ = lag(v) of 25 ms: flown by iterating the lagged flight's own error as its noise."""
    lag, force = 0.025, ground_effect()
    loop = replace(QUIET, estimate_lag=lag)
    with_lag = prove_tube(PLAN, force, loop, NO_ERRORS, cell=CELL)
    without = prove_tube(PLAN, force, QUIET, NO_ERRORS, cell=CELL)
    assert with_lag.certified
    steps = round(DURATION / loop.period)
    noise = np.zeros((steps, 3))
    quiet = np.zeros(steps * round(loop.period / PLANT_STEP))
    from neural_lander.learning.falsifier import _samples_of

    plan_speed = _samples_of(PLAN, loop.period * np.arange(steps))[:, 1]
    for _ in range(12):
        flown = fly_once(PLAN, force, QUIET, quiet, noise)
        speed = flown[:, 1] + plan_speed
        lagged = np.zeros(steps)
        for k in range(1, steps):
            lagged[k] = speed[k] + (lagged[k - 1] - speed[k]) * math.exp(-loop.period / lag)
        change = np.abs(lagged - speed - noise[:, 1]).max()
        noise[:, 1] = lagged - speed
    assert change < 1e-6
    cell = np.minimum(
        (np.arange(steps) * loop.period / CELL).astype(int), len(with_lag.tube.errors) - 1
    )
    z, v = np.abs(flown[:, 0]), np.abs(flown[:, 1])
    assert (z <= with_lag.tube.errors[cell, 0]).all()
    assert (v <= with_lag.tube.errors[cell, 1]).all()
    assert (z > without.tube.errors[cell, 0]).any()


def test_hole_8_a_start_off_the_plan_at_the_thrust_of_weight_is_in_the_tube():
    force, loop = ground_effect(), LOOP
    start = Start(0.05, 0.05, None)
    proof = prove_tube(PLAN, force, loop, ERRORS, start, cell=CELL)
    assert proof.certified
    steps = round(2.0 / loop.period)
    cell = (np.arange(steps) * loop.period / CELL + 1e-9).astype(int)
    rest = prove_tube(PLAN, force, loop, ERRORS, cell=CELL)
    left = False
    for z in (-0.05, 0.05):
        for v in (-0.05, 0.05):
            flown = np.abs(
                fly_once(PLAN, force, loop, np.zeros(steps * 8), np.zeros((steps, 3)),
                         start=(z, v, 1e-9))
            )  # fmt: skip
            assert (flown[:, 0] <= proof.tube.errors[cell, 0]).all()
            assert (flown[:, 1] <= proof.tube.errors[cell, 1]).all()
            assert (flown[:, 2] <= proof.tube.seen[cell, 0]).all()
            left |= bool((flown[:, 0] > rest.tube.errors[cell, 0]).any())
    assert left


def test_hole_8_a_step_of_the_references_acceleration_is_paid_for():
    plan = plan_descent("exponential", (0, 0, 0.8), 0.12, 0.4, decay=1.6)
    force = ground_effect()
    proof = prove_tube(plan, force, QUIET, NO_ERRORS, cell=CELL)
    assert proof.certified
    steps = round(3.0 / QUIET.period)
    flown = np.abs(fly_once(plan, force, QUIET, np.zeros(steps * 8), np.zeros((steps, 3))))
    cell = (np.arange(steps) * QUIET.period / CELL + 1e-9).astype(int)
    assert (flown[:, 0] <= proof.tube.errors[cell, 0]).all()
    assert (flown[:, 2] <= proof.tube.seen[cell, 0]).all()
    segments = list(proof.segments)
    smooth = replace(proof.cells, jumps=())
    rest = round(plan.end / CELL) + 1
    unpaid = tube_along(smooth, segments, QUIET, NO_ERRORS, Start(), rest)
    assert (flown[:, 2] > unpaid.seen[cell, 0]).any()


def test_hole_9_an_error_bound_is_for_the_mass_and_thrust_it_was_found_with(tmp_path, intel_aero):
    model = bundle(tmp_path / "model", intel_aero)
    plan = plan_descent("s-curve", (0, 0, 0.6), 0.2, 0.5)
    certificate, path = certify(
        model, intel_aero, "learned", plan=plan, errors=ErrorBounds(0.1, source="given")
    )
    assert certificate.certified
    network = load_network(model, intel_aero)
    assert require_certificate(model, network, intel_aero, "learned", plan=plan).tube is not None
    heavier = replace(intel_aero, body=replace(intel_aero.body, mass=1.5))
    stronger = replace(intel_aero, rotors=replace(intel_aero.rotors, k_f=8e-6))
    for other in (heavier, stronger):
        with pytest.raises(Refused, match="vehicle"):
            require_certificate(model, network, other, "learned", path, plan=plan)


def test_hole_10_a_kink_on_the_edge_of_a_box_counts_on_both_sides():
    """relu(z - 0.5) on a box that ends at 0.5 to the last bit, and one bit beyond."""
    force = LevelForce(
        [(np.array([[1.0, 0.0, 0.0]]), np.array([-0.5])), (np.array([[2.0]]), np.zeros(1))],
        np.full(3, -10.0), np.full(3, 100.0), None,
    )  # fmt: skip
    for edge in (0.5, np.nextafter(0.5, 0), np.nextafter(0.5, 1)):
        low, high = force.slopes((0.2, edge), (-1, 1), (10, 20)).height
        assert low <= 0
        assert high >= 2
        low, high = force.slopes((edge, 0.9), (-1, 1), (10, 20)).height
        assert low <= 0
        assert high >= 2


# --- from the other side, and what is said -------------------------------------------------------


def test_a_plan_too_fast_is_refused_with_both_sides_and_a_slower_one_passes():
    fast = slower(PLAN, 4.0)
    proof = prove_tube(fast, ground_effect(), LOOP, ERRORS, cell=0.016)
    assert not proof.certified
    failed = [c for c in proof.conditions if not c.holds]
    assert all(c.lhs is None or c.lhs >= c.rhs for c in failed if c.name != "H1")
    assert prove_tube(slower(fast, 0.25), ground_effect(), LOOP, ERRORS, cell=0.016).certified


def test_more_noise_or_error_or_latency_is_a_wider_tube(attacked):
    proof, _ = attacked("standard")
    loop, errors, _ = CASES["standard"]
    for change in ({"noise_velocity": 0.03}, {"latency": 0.01}, {"lag": (0.03, 0.05)}):
        wider = tube_again(proof, replace(loop, **change), errors)
        assert wider.errors[:, 0].max() > proof.tube.errors[:, 0].max()
    assert (
        tube_again(proof, loop, ErrorBounds(0.05)).errors[:, 0].max()
        > proof.tube.errors[:, 0].max()
    )


def test_a_constant_error_costs_the_observer_only_its_transient():
    force = ground_effect()
    quick = replace(QUIET, observer=6.0)
    with_it = prove_tube(PLAN, force, quick, ErrorBounds(0.001, 0.3), cell=CELL)
    changing = prove_tube(PLAN, force, quick, ErrorBounds(0.301), cell=CELL)
    assert with_it.certified
    assert with_it.tube.errors_after[0] < 0.3 * changing.tube.errors_after[0]


def test_the_reference_thrust_gives_the_reference_acceleration():
    force = ground_effect()
    z, v, a = np.array([0.1, 0.5]), np.array([-0.4, 0.0]), np.array([0.5, -0.5])
    thrust = reference_thrust(force.force, LOOP.mass, LOOP.thrust_limits, z, v, a)
    np.testing.assert_allclose(thrust + force.force(z, v, thrust), 1.47 * (9.81 + a), atol=1e-9)


def test_impossible_error_bounds_are_bad_input():
    with pytest.raises(InputError, match="error bounds"):
        prove_tube(PLAN, ground_effect(), LOOP, ErrorBounds(-1.0))


# --- the certificate with a tube -----------------------------------------------------------------

SHORT = plan_descent("s-curve", (0, 0, 0.6), 0.2, 0.5)


def test_a_tube_on_an_estimate_does_not_open_the_gate(tmp_path, intel_aero, monkeypatch):
    model = bundle(tmp_path / "model", intel_aero, error_estimate_n=0.05)
    certificate, path = certify(model, intel_aero, "learned", plan=SHORT)
    assert certificate.certified
    assert "estimate" in certificate.error_bounds["source"]
    assert certificate.allows_flight  # the network is safe for every reference, tube or not
    info = json.loads(path.read_text())
    info["tube"]["every_reference"] = False
    path.write_text(json.dumps(info))
    network = load_network(model, intel_aero)
    with pytest.raises(Refused, match="estimate"):
        require_certificate(model, network, intel_aero, "learned", plan=SHORT)


def test_the_same_question_is_answered_at_once_and_another_is_not(tmp_path, intel_aero):
    model = bundle(tmp_path / "model", intel_aero)
    bounds = ErrorBounds(0.1)
    first, path = certify(model, intel_aero, "learned", plan=SHORT, errors=bounds)
    said = []
    again, _ = certify(model, intel_aero, "learned", plan=SHORT, errors=bounds,
                       progress=lambda share, text: said.append(text))  # fmt: skip
    assert said[-1].endswith("as before")
    assert json.dumps(again.as_dict()) == json.dumps(first.as_dict())
    wider, _ = certify(model, intel_aero, "learned", plan=SHORT, errors=ErrorBounds(0.12))
    assert wider.tube["p_max_m"] > first.tube["p_max_m"]
    assert read_certificate(path).question == wider.question


def test_a_tube_is_for_its_plan_only_and_can_be_drawn(tmp_path, intel_aero):
    model = bundle(tmp_path / "model", intel_aero)
    certificate, path = certify(model, intel_aero, "learned", plan=SHORT, errors=ErrorBounds(0.1))
    network = load_network(model, intel_aero)
    assert require_certificate(model, network, intel_aero, "learned", plan=SHORT).tube
    with pytest.raises(Refused, match="reference: s-curve"):
        require_certificate(model, network, intel_aero, "learned", path, plan=slower(SHORT, 0.9))
    with pytest.raises(Refused, match="reference"):
        require_certificate(model, network, intel_aero, "learned")  # plan unknown
    picture = plot_tube(certificate, tmp_path / "tube.png")
    assert picture.stat().st_size > 20_000
    certify(model, intel_aero, "learned")  # for every reference
    other = require_certificate(model, network, intel_aero, "learned", plan=slower(SHORT, 0.9))
    assert other.tube is None
    with pytest.raises(InputError, match="no tube"):
        plot_tube(other, tmp_path / "none.png")
