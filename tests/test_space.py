"""In three dimensions: the model is the loop, no flight leaves its tube, and every mistake shows."""

import math
from dataclasses import replace

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.loop_model import VerticalLoop
from neural_lander.controller.setpoint import plan_descent, plan_through
from neural_lander.controller.spatial_model import (
    AXES,
    SpatialLoop,
    channel_names,
    seen_names,
    unknown_names,
)
from neural_lander.controller.spatial_terms import SpatialErrors, SpatialStart
from neural_lander.controller.tube import ErrorBounds
from neural_lander.controller.vehicle import GRAVITY, load_vehicle
from neural_lander.learning.spatial_boxes import Radii
from neural_lander.learning.spatial_falsifier import World, falsify_in_space, fly_in_space
from neural_lander.learning.spatial_proof import prove_space
from neural_lander.learning.spatial_round import Round
from neural_lander.learning.tube_proof import prove_tube

from .spatial_cases import (
    CASES,
    ERRORS,
    LANDING,
    LATER,
    LOOP,
    MISTAKES,
    NO_ERRORS,
    QUIET,
    TRANSFER,
    force,
    linear_in_thrust,
    tube_again,
    wrong_tube,
)

CELL = 0.008
TARGETS = (0.002, 0.05, 0.2, 0.6, 1.0, 1.6, 2.3)
SLOW = ("observer", "observer, changing error")
"""Cases that take longer than a second or two."""


def cases(names):
    return [pytest.param(n, marks=[pytest.mark.campaign] * (n in SLOW)) for n in names]


@pytest.fixture(scope="session")
def attacked():
    """Proof and worst flights of a case, worked out once."""
    found = {}

    def of(case):
        if case not in found:
            loop, errors, learned, plan = CASES[case]
            proof = prove_space(plan, learned, loop, errors, cell=CELL)
            assert proof.certified, [c for c in proof.conditions if not c.holds][:2]
            targets = [t for t in TARGETS if t < plan.end + 0.2] if plan is not LATER else [6.9, 8]
            world = World(plan, learned, loop, plan.end + 0.3)
            worst = falsify_in_space(world, errors, targets, iterations=1, climbs=2)
            found[case] = proof, worst
        return found[case]

    return of


def worst_ratio(worst, tube):
    """Largest worst/tube over time and over p, v and F_a - F0, from the second sample on."""
    return float(worst.ratio_to(tube)[1:].max())


@pytest.mark.parametrize("case", cases(CASES))
def test_no_flight_leaves_its_tube(attacked, case):
    proof, worst = attacked(case)
    assert worst_ratio(worst, proof.tube) <= 1
    if case == "standard":  # from the other side: twice as wide is not done
        assert (proof.greatest() < 2 * worst.worst[:, :3].max(axis=0)).all()


@pytest.mark.parametrize(
    "mistake", [pytest.param(m, marks=[pytest.mark.campaign] * (c in SLOW)) for m, c in MISTAKES.items()]
)  # fmt: skip
def test_a_prover_with_a_mistake_is_caught_by_a_flight(attacked, mistake):
    case = MISTAKES[mistake]
    loop, errors, _, _ = CASES[case]
    proof, worst = attacked(case)
    wrong = wrong_tube(proof, loop, errors, mistake)
    assert wrong.finite
    assert worst_ratio(worst, wrong) > 1


def test_a_full_network_flown_with_the_restricted_one_certified_is_caught(attacked):
    """3 N s/m of sideways force, cancelled by the law but unknown to the proof: lag shows it."""
    proof, _ = attacked("transfer")
    loop, errors, learned, plan = CASES["transfer"]
    world = World(plan, learned, loop, plan.end + 0.3, beyond=-3.0)
    worst = falsify_in_space(world, errors, [0.8, 1.2], iterations=1, climbs=0, quantities=(0,))
    assert worst_ratio(worst, proof.tube) > 1


def test_an_inner_loop_whose_gain_is_not_1_is_no_contract(monkeypatch):
    whole = SpatialLoop.contract

    def weak(self, axis):
        A, b, C = whole(self, axis)
        return A, 0.9 * b, C

    monkeypatch.setattr(SpatialLoop, "contract", weak)
    with pytest.raises(AssertionError, match="gain 1"):
        prove_space(LANDING, force(), LOOP, ERRORS)


def test_a_box_that_does_not_hold_its_tube_proves_nothing(attacked):
    """With boxes of no size the tube is narrow, and H4 says that it counts for nothing."""
    loop, errors, learned, plan = CASES["reference"]
    learned = force(4.0, sideways=0.6)  # steep where the plan alone does not go
    at = Round.on(plan, learned, loop, errors, SpatialStart(), CELL, (0.1, 600))
    nothing = [Radii(1e-4, 1e-3, 0.01, 0.01)] * len(at.ranges)
    proof, needed = at.prove(nothing, 1)
    assert needed is not None
    assert not proof.certified
    assert {c.name for c in proof.conditions if not c.holds} >= {"H4"}


# --- the model -----------------------------------------------------------------------------------


def loop_with_everything():
    return replace(LOOP, observer=5.0, lag=(0.035, 0.047), k_p=(9.0, 13.0, 11.0), damping=0.8)


@pytest.mark.parametrize("seed", range(12))
def test_the_linear_model_with_its_channels_is_the_nonlinear_loop(seed):
    """Exactly: derivatives and seen signals to 1e-9, and every channel within S times what it sees."""
    rng = np.random.default_rng(seed)
    loop, learned = loop_with_everything(), force(1.5, sideways=0.7)
    m, ell, weight = loop.mass, loop.observer, loop.mass * GRAVITY
    k_p, k_v = np.array(loop.k_p), np.array(loop.k_v)
    tilt = 0.25
    z, v_z = rng.uniform(0.1, 0.6), rng.uniform(-0.4, 0.1)

    def phi(thrust):
        return learned.force(z, v_z, thrust)

    def upright(least):
        angle, around = rng.uniform(0, tilt), rng.uniform(0, 2 * math.pi)
        side = np.array([math.cos(around), math.sin(around)]) * math.sin(angle)
        return rng.uniform(least, 17) * np.array([*side, math.cos(angle)])

    ideal, real, held = upright(11), upright(11), upright(11)  # F0, F_a, F_held
    e, c = rng.normal(size=3), rng.normal(size=3)
    position, d = rng.normal(size=3) * 0.1, rng.normal(size=3) * 0.3
    # the velocity error that makes F0 the solution for this state
    a_d, j_d, v_d = rng.normal(size=3), rng.normal(size=3), rng.normal(size=3)
    wanted = ideal + phi(np.linalg.norm(ideal)) + d  # F_d
    velocity = (np.array([0, 0, weight]) + m * a_d - k_p * position - wanted) / k_v
    v_d[2] = v_z - velocity[2]

    # the nonlinear loop
    lag = rng.uniform(*loop.lag)
    acceleration = (real + phi(np.linalg.norm(real)) + e) / m - [0, 0, GRAVITY]
    n = rng.normal(size=3)  # what the observer's sample misses
    d_rate = ell * (e - d - n)
    wanted_rate = m * j_d - k_p * velocity - k_v * (acceleration - a_d)
    tangent = learned.tangents(z, v_z, np.linalg.norm(ideal))
    gamma = wanted_rate - d_rate - tangent[:, 0] * v_z - tangent[:, 1] * acceleration[2]
    u = ideal / np.linalg.norm(ideal)
    ideal_rate = np.linalg.solve(np.eye(3) + np.outer(tangent[:, 2], u), gamma)

    # its channels, by their definitions
    box = ((z, z), (v_z, v_z), (8.0, 20.0))
    slopes = learned.slopes(*box)
    model = loop.channels(slopes, tilt)
    effect = loop.cancelled(slopes, tilt)
    assert effect.least > 0
    delta, nu = real - ideal, held - ideal
    longer = np.linalg.norm(real) - np.linalg.norm(ideal)
    secant = (phi(np.linalg.norm(real)) - phi(np.linalg.norm(ideal))) / longer
    mean = (real + ideal) / (np.linalg.norm(real) + np.linalg.norm(ideal))
    middle = np.array([0, 0, 1.0])
    a_t0, beta0 = (sum(i) / 2 * middle for i in (effect.product, effect.beta))
    a_z0, a_v0 = (sum(slopes.at(i)) / 2 * middle for i in (0, 1))
    beta = np.outer(tangent[:, 2], u) / (1 + u @ tangent[:, 2])
    noise = rng.normal(size=3) * 0.02  # of the velocity, as command and observer share it
    gain = loop.noise_gain(slopes, tilt)[0]
    q = {
        "thrust slope on force error": secant * (mean @ delta) - a_t0 * delta[2],
        "height and speed slopes": -(tangent[:, 0] - a_z0) * v_z
        - (tangent[:, 1] - a_v0) * acceleration[2],
        "thrust slope on wanted force": -beta @ gamma + beta0 * gamma[2],
        "hold and latency": nu + gain * noise,
        "observer's sampling": n - ell * m * noise,
    }
    seen_all, channels_all = [], []
    for j, axis in enumerate(AXES):
        block = model.blocks[j]
        A, b, C = loop.contract(j)
        # xi such that F_a = C xi + c; its other states are free
        xi = rng.normal(size=len(b))
        xi[0] = real[j] - c[j]
        middle_rate = (1 / loop.lag[0] + 1 / loop.lag[1]) / 2
        true_A, true_b = A.copy(), b.copy()  # with the lag that this rotor really has
        true_A[-1], true_b[-1] = A[-1] / middle_rate / lag, b[-1] / middle_rate / lag
        xi_rate = true_A @ xi + true_b * held[j]
        eta = xi + np.linalg.solve(A, b) * ideal[j]
        eta_rate = xi_rate + np.linalg.solve(A, b) * ideal_rate[j]
        lag_input = (A[-1] @ eta + b[-1] * nu[j]) / middle_rate
        state = np.array([position[j], velocity[j], *eta, d[j]])
        rate = np.array([velocity[j], acceleration[j] - a_d[j], *eta_rate, d_rate[j]])
        known = {"force error": e[j], "contract error": c[j], "reference jerk": j_d[j],
                 "reference speed": v_d[j], "reference acceleration": a_d[j],
                 "velocity noise": noise[j],
                 "motor lag": (1 / lag - middle_rate) * lag_input}  # fmt: skip
        inputs = [known[name] if name in known else q[name][j]
                  for name in (*channel_names(loop), *unknown_names(loop, axis))]  # fmt: skip
        extra = block.B_known @ [0 if axis == "z" else v_d[j], 0 if axis == "z" else a_d[j], 0, 0]
        found = block.A @ state + block.B @ inputs + extra
        np.testing.assert_allclose(found, rate, atol=1e-9 * (1 + np.abs(rate).max()))
        signals = {
            "force error": delta[j], "wanted force rate": gamma[j], "force rate": ideal_rate[j],
            "speed": v_z, "acceleration": acceleration[2], "lag's input": lag_input,
            "disturbance rate": d_rate[j], "real force rate": C @ xi_rate,
        }  # fmt: skip
        seen = np.array([signals[name] for name in seen_names(loop, axis)])
        outputs = [position[j], velocity[j], wanted[j] - d[j] - m * a_d[j]
                   - weight * (axis == "z"), d[j]]  # fmt: skip
        rows = (block.C @ state + block.D @ inputs)[:-1]
        np.testing.assert_allclose(rows, [*seen, *outputs], atol=1e-9 * (1 + np.abs(rows).max()))
        seen_all += list(np.abs(seen))
        for name in channel_names(loop):
            channels_all.append(abs(known[name] if name in known else q[name][j]))
    bound = model.S @ np.array(seen_all)
    names = [name for _ in AXES for name in channel_names(loop)]
    for name, value, limit in zip(names, channels_all, bound, strict=True):
        if name not in ("hold and latency", "observer's sampling"):  # these two are over time
            assert value <= limit + 1e-9


def test_noise_of_the_command_stays_in_its_bound_and_comes_near_it():
    """F_c - F0 for the very noise: the exact mixture I - beta, against command_noise."""
    loop, learned = replace(LOOP, observer=4.0), force(1.5, sideways=0.7)
    rng = np.random.default_rng(0)
    world = World(TRANSFER, learned, loop, 0.6)
    inputs = world.quiet()
    inputs.noise[:, :6] = rng.choice([-1.0, 1.0], (world.steps, 6)) * world.noise_bounds()[:6]
    flown = fly_in_space(world, inputs)
    ideal = flown[:, 9:12] - flown[:, 6:9]
    off = np.abs(flown[:, 12:15] - ideal).max(axis=0)
    slopes = learned.slopes((0.7, 0.9), (-0.2, 0.2), (12.0, 17.0))
    bound = loop.command_noise(slopes, 0.3)
    bound += loop.noise_gain(slopes, 0.3)[0] * loop.noise_velocity
    assert (off <= bound * (1 + 1e-9)).all()
    assert (off > 0.8 * bound).all()


def test_the_vertical_theorem_is_the_special_case():
    """The same loop upright, sideways quiet: the vertical tube within a few percent."""
    learned = force(1.0, sideways=0.0)
    plan = plan_through(
        np.array([0.0, 0.3, 2.3]), np.array([[0, 0, 0.7], [0, 0, 0.7], [0, 0, 0.12]])
    )
    for observer in (0.0, 3.0):
        loop = replace(
            LOOP, noise_position=(0.0, 0.0, 0.002), noise_velocity=(0.0, 0.0, 0.01),
            noise_attitude=0.0, observer=observer, lag=(0.036, 0.044), latency_jitters=True,
        )  # fmt: skip
        level = VerticalLoop(
            mass=loop.mass, k_p=loop.k_p[2], k_v=loop.k_v[2], lag=loop.lag, period=loop.period,
            latency=loop.latency, noise_position=0.002, noise_velocity=0.01, observer=observer,
            noise_thrust=loop.noise_thrust, thrust_limits=loop.thrust_limits,
        )  # fmt: skip
        proof = prove_space(
            plan, learned, loop, SpatialErrors((0.0, 0.0, 0.04), (0.0, 0.0, 0.05)), cell=CELL
        )
        vertical = prove_tube(plan, learned.vertical(), level, ErrorBounds(0.04, 0.05), cell=CELL)
        assert proof.certified
        assert vertical.certified
        assert proof.greatest()[2] == pytest.approx(vertical.height(), rel=0.05)


# --- what is refused -----------------------------------------------------------------------------


def vehicle_with(sideways):
    vehicle = load_vehicle("intel-aero")
    gains = vehicle.gains
    velocity = np.array([sideways, sideways, gains.velocity[2]])
    return replace(vehicle, gains=replace(gains, velocity=velocity))


def test_a_sideways_gain_that_tumbles_is_refused_on_its_axes():
    plan = plan_descent("s-curve", (0.0, 0.0, 1.5), 0.0, 1.0)
    wild = SpatialLoop.of(vehicle_with(25.0), "learned+observer")
    errors = SpatialErrors((0.04,) * 3, (0.04,) * 3, (0.15, 0.15, 0.015))
    proof = prove_space(plan, force(), wild, errors, SpatialStart(force=None))
    assert not proof.certified
    assert {c.axis for c in proof.conditions if c.name == "H2" and not c.holds} == {"x", "y"}
    mild = replace(SpatialLoop.of(vehicle_with(6.0), "learned"), noise_velocity=(0.005,) * 3)
    assert prove_space(plan, force(), mild, errors, SpatialStart(force=None)).certified


def test_a_contract_that_allows_too_much_tilts_too_far_and_is_refused():
    loose = replace(ERRORS, contract=(1.5, 1.5, 0.1))
    proof = prove_space(LANDING, force(), LOOP, loose, cell=0.016)
    assert not proof.certified
    assert prove_space(LANDING, force(), LOOP, ERRORS, cell=0.016).certified


def test_two_thrusts_for_one_force_are_refused():
    proof = prove_space(LANDING, linear_in_thrust(-1.1), QUIET, NO_ERRORS)
    assert {c.name for c in proof.conditions if not c.holds} == {"H1"}


def test_a_plan_that_jumps_and_bounds_that_bound_nothing_are_refused():
    jumping = plan_through(np.array([0.3, 1.0]), np.array([[0, 0, 0.7], [0, 0, 0.2]]))
    jumping.coefficients[1, 0, 0] = 0.1
    with pytest.raises(InputError, match=r"x jumps by 0\.1 m"):
        prove_space(jumping, force(), LOOP, ERRORS)
    with pytest.raises(InputError, match="expected three finite numbers"):
        prove_space(LANDING, force(), LOOP, replace(ERRORS, changing=(0.0, -0.1, 0.0)))


# --- parts ---------------------------------------------------------------------------------------


def test_a_network_that_turns_with_the_vehicle_is_bounded_at_every_heading():
    learned = force(1.5, sideways=0.9, turns=True)
    sides = np.array([(0.1, 0.4), (-0.3, 0.1), (12.0, 16.0)])
    slopes = learned.slopes(*map(tuple, sides))
    rng = np.random.default_rng(0)
    low, high = sides.T
    tangents = learned.tangents(*rng.uniform(low, high, (2000, 3)).T)
    near = 0.0
    for yaw in np.linspace(0, 2 * math.pi, 9):
        c, s = math.cos(yaw), math.sin(yaw)
        turned = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ tangents
        assert (turned >= slopes.lower - 1e-12).all()
        assert (turned <= slopes.upper + 1e-12).all()
        near = max(near, float((turned[:, 0, 0] / slopes.upper[0, 0]).max()))
    assert near > 0.8
    still = learned.force(*rng.uniform(low, high, (2000, 3)).T)
    assert (np.hypot(still[:, 0], still[:, 1]) <= learned.sideways(*map(tuple, sides))[0]).all()


def test_forces_flown_stay_in_the_boxes(attacked):
    proof, _ = attacked("standard")
    loop, errors, learned, plan = CASES["standard"]
    world = World(plan, learned, loop, plan.end)
    rng = np.random.default_rng(1)
    time = np.arange(world.steps) * loop.period
    for _ in range(3):
        inputs = world.quiet()
        inputs.noise[:] = rng.choice([-1.0, 1.0], inputs.noise.shape) * world.noise_bounds()
        blocks = rng.choice([-1.0, 1.0], (world.steps // 50 + 1, 3)).repeat(50, axis=0)
        inputs.contract[:] = blocks[: world.steps] * errors.contract
        inputs.error[:] = -np.repeat(blocks[: world.steps], world.sub, axis=0) * errors.changing
        flown = fly_in_space(world, inputs)
        for box in proof.boxes:
            inside = (time >= box.start_s) & (time < box.end_s)
            for f in (flown[inside, 9:12], flown[inside, 12:15]):
                size = np.linalg.norm(f, axis=1)
                assert (size > box.reached_thrust[0]).all()
                assert (size < box.reached_thrust[1]).all()
                assert (np.arccos(f[:, 2] / size) < box.reached_tilt).all()


def test_the_tube_can_be_asked_at_any_time(attacked):
    proof, _ = attacked("standard")
    tube = proof.tube
    position, velocity, _ = tube.at(np.array([[0.0, 0.5], [CELL * 40, 1e3]]))
    assert position.shape == (2, 2, 3)
    border = np.maximum(tube.position[39], tube.position[40])
    np.testing.assert_array_equal(position[1, 0], border)
    np.testing.assert_array_equal(velocity[1, 1], tube.after.velocity)
    assert sum(tube.shares["x"].values()) == pytest.approx(1)


def test_a_contract_error_that_may_jump_between_samples_costs_room_at_the_observer(attacked):
    loop, errors, learned, plan = CASES["observer"]
    smooth = prove_space(plan, learned, loop, errors, cell=0.016)
    jumping = tube_again(smooth, loop, replace(errors, contract_step=None))
    assert (jumping.greatest > 1.03 * smooth.greatest()).all()
