"""Bounds from flights: exchangeable, joint, never from flights that were learned from."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lsim, lti

from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.flight_log import read_flight_log, write_flight_log
from neural_lander.controller.inner_loop import InnerLoop
from neural_lander.controller.network import load_network
from neural_lander.learning.calibration import calibrate, contract_error, followed
from neural_lander.learning.dataset import measured_digest
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.sensors import Sensors

from .bundle_cases import bundle


def test_the_contract_is_the_transfer_function_it_says(intel_aero):
    """Against scipy's continuous simulation of w^2/(tau s^3 + s^2 + 2 zeta w s + w^2), held input."""
    inner, period = InnerLoop.of(intel_aero), 0.002
    rng = np.random.default_rng(0)
    command = np.repeat(rng.normal(size=(20, 3)), 40, axis=0)
    found = followed(command, np.zeros(3), inner, period)
    fine = 8
    late = round(inner.latency / period)
    u = np.repeat(np.concatenate([np.zeros((late, 3)), command])[: len(command)], fine, axis=0)
    t = np.arange(len(u)) * period / fine
    w, zeta, tau = inner.bandwidth, inner.damping, inner.lag
    sideways, vertical = lti([w**2], [tau, 1, 2 * zeta * w, w**2]), lti([1], [tau, 1])
    for j, system in enumerate((sideways, sideways, vertical)):
        _, y, _ = lsim(system, u[:, j], t, interp=False)
        np.testing.assert_allclose(found[:, j], y[::fine], atol=2e-9)


@pytest.fixture(scope="module")
def loop(tmp_path_factory, intel_aero):
    """A model, and landings flown with it."""
    folder = tmp_path_factory.mktemp("calibration")
    model = bundle(folder / "model", intel_aero, scale=0.5)
    network = load_network(model, intel_aero)
    flight = Flight(
        intel_aero, "learned+observer",
        replace(load_scenario("flat"), hover=1.0, sensors=Sensors(accelerometer=False)),
        network=network, engine="hybrid", certified=False,
    )  # fmt: skip
    paths = []
    for seed in range(9):
        paths.append(folder / f"flight-{seed}.parquet")
        write_flight_log(paths[-1], fly(flight, seed).log)
    return paths, network


def test_bounds_cover_the_flights_they_come_from_but_for_alpha(loop, intel_aero):
    paths, network = loop
    found = calibrate(paths, intel_aero, network, "learned+observer", alpha=0.1)
    assert found.rank == 9  # ceil(10 * 0.9)
    for score in found.scores:
        assert (np.abs(score.constant) <= np.array(found.constant) + 1e-12).all()
        assert (score.changing <= np.array(found.changing) + 1e-12).all()
        assert (score.contract <= np.array(found.contract) + 1e-12).all()
    tight = [
        max(np.max(np.abs(s.constant) / found.constant), np.max(s.changing / found.changing),
            np.max(s.contract / found.contract))
        for s in found.scores
    ]  # fmt: skip
    assert max(tight) == pytest.approx(1.0)  # one of them on its bound: nothing is padded
    half = calibrate(paths, intel_aero, network, "learned+observer", alpha=0.5)
    assert half.rank == 5
    assert sum(s.joint(intel_aero.weight) <= sorted(
        t.joint(intel_aero.weight) for t in half.scores)[4] for s in half.scores) == 5  # fmt: skip
    assert half.changing[2] < found.changing[2]


def test_the_true_error_of_the_force_is_inside(loop, intel_aero):
    paths, network = loop
    found = calibrate(paths, intel_aero, network, "learned+observer")
    # the hand-made model is off by its whole effect; the constant part is found with it
    assert found.constant[2] + found.changing[2] > 0.1


def test_too_few_flights_say_how_many_are_missing(loop, intel_aero):
    paths, network = loop
    with pytest.raises(Refused, match="missing: 1, needed in all: 9"):
        calibrate(paths[:8], intel_aero, network, "learned+observer", alpha=0.1)
    with pytest.raises(Refused, match="in all: 19"):
        calibrate(paths, intel_aero, network, "learned+observer", alpha=0.05)


def test_flights_learned_from_or_given_twice_are_refused(loop, intel_aero):
    paths, network = loop
    digest = measured_digest(read_flight_log(paths[3]))
    with pytest.raises(InputError, match=f"{paths[3].name}: was trained on"):
        calibrate(paths, intel_aero, network, "learned+observer", [digest])
    with pytest.raises(InputError, match="given twice"):
        calibrate([*paths, paths[0]], intel_aero, network, "learned+observer")


def test_flights_of_another_loop_are_refused(loop, intel_aero):
    paths, network = loop
    with pytest.raises(InputError, match="flown with controller"):
        calibrate(paths, intel_aero, network, "learned")
    other = replace(intel_aero, gains=replace(intel_aero.gains, attitude=15.0))
    with pytest.raises(InputError, match="flown with another vehicle"):
        calibrate(paths, other, network, "learned+observer")
    with pytest.raises(InputError, match="alpha is 0"):
        calibrate(paths, intel_aero, network, "learned+observer", alpha=0)


def test_a_contract_with_the_wrong_bandwidth_is_seen(loop, intel_aero):
    """A flight judged by an attitude loop half as fast as its own shows a larger c."""
    log = read_flight_log(loop[0][0])
    own, _ = contract_error(log, intel_aero)
    slow = replace(intel_aero, gains=replace(intel_aero.gains, attitude=7.0))
    assert contract_error(log, slow)[0][:2].max() > 1.5 * own[:2].max()


def test_a_share_alpha_of_exchangeable_flights_leaves_the_bound():
    """The rank rule itself, on drawn scores: coverage 1 - alpha, from both sides."""
    rng = np.random.default_rng(0)
    n, alpha = 19, 0.1
    rank = math.ceil((n + 1) * (1 - alpha) - 1e-9)
    scores = rng.exponential(size=(20_000, n + 1))
    bound = np.sort(scores[:, :n], axis=1)[:, rank - 1]
    covered = (scores[:, n] <= bound).mean()
    assert 0.89 < covered < 0.91


def test_a_flight_that_leaves_the_lowest_heights_out_is_refused(loop, intel_aero, tmp_path):
    """The worst errors are near the floor: a log that ends above it would not show them."""
    paths, network = loop
    log = read_flight_log(paths[0])
    cut = tmp_path / "cut.parquet"
    write_flight_log(cut, log.rows(slice(0, int(np.argmax(log["height"] < 0.3)))))
    plan = Flight(
        intel_aero, "learned+observer", replace(load_scenario("flat"), hover=1.0)
    ).plan  # fmt: skip
    assert calibrate(paths, intel_aero, network, "learned+observer", plan=plan).rank == 9
    with pytest.raises(InputError, match=r"ends at .* s in the air"):
        calibrate([cut, *paths[1:]], intel_aero, network, "learned+observer", plan=plan)
    # and with a hole in the middle
    low = (log["height"] < 0.6) & (log["height"] > 0.4) & (log["contact"] < 0.5)
    holed = tmp_path / "holed.parquet"
    write_flight_log(holed, log.rows(~low))
    with pytest.raises(InputError, match="gaps, the first"):
        calibrate([holed, *paths[1:]], intel_aero, network, "learned+observer", plan=plan)


def test_flights_say_where_they_were_to_begin_and_begin_where_the_vehicle_is(
    loop, intel_aero, tmp_path
):
    paths, network = loop
    plan = Flight(
        intel_aero, "learned+observer", replace(load_scenario("flat"), hover=1.0)
    ).plan  # fmt: skip
    flat = load_scenario("flat")
    found = calibrate(paths, intel_aero, network, "learned+observer", plan=plan)
    assert found.start == (flat.start_spread, flat.start_speed_spread)
    log = read_flight_log(paths[0])
    stepped = log["setpoint_position"] - log["setpoint_position"][0] + [0, 0, 1.6]
    for name, changed in (
        ("stepped", replace(log, columns={**log.columns, "setpoint_position": stepped})),
        ("wider", replace(log, metadata={**log.metadata, "start_spread_m": 0.3})),
    ):
        path = tmp_path / f"{name}.parquet"
        write_flight_log(path, changed)
        what = "away from where the vehicle was" if name == "stepped" else "another start_spread"
        with pytest.raises(InputError, match=what):
            calibrate([*paths[1:], path], intel_aero, network, "learned+observer", plan=plan)
