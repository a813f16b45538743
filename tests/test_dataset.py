import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import write_flight_log
from neural_lander.learning.dataset import (
    GUARD,
    Blocks,
    features,
    held_at_envelope,
    held_out_splits,
    label_flights,
    measured_digest,
    network_inputs,
    samples,
    targets,
)

from .vertical_flight import vertical_flight


@pytest.fixture(scope="module")
def paths(tmp_path_factory, intel_aero):
    folder = tmp_path_factory.mktemp("flights")
    found = [folder / f"f{i}.parquet" for i in range(5)]
    for i, path in enumerate(found):
        write_flight_log(path, vertical_flight(intel_aero, seed=i, seconds=8, noise=1.0))
    return found


@pytest.fixture(scope="module")
def flights(paths, intel_aero):
    return label_flights(paths, intel_aero)


@pytest.mark.parametrize("folds", [2, 3, 4, 5, 9])
@pytest.mark.parametrize("seed", range(3))
def test_every_flight_is_judged_once_by_what_has_not_seen_it(flights, folds, seed):
    splits = held_out_splits(flights, folds, seed)
    assert len(splits) == min(folds, len(flights))
    names = {f.name for f in flights}
    judged = []
    for split in splits:
        learned, apart = ({f.name for f in part} for part in (split.train, split.validation))
        assert learned
        assert apart
        assert not learned & apart
        assert learned | apart == names
        judged += sorted(apart)
    assert sorted(judged) == sorted(names)


def test_the_split_is_the_seed_s(flights):
    def names(seed):
        return [f.name for f in held_out_splits(flights, 2, seed)[0].validation]

    assert names(3) == names(3)
    assert len({tuple(sorted(names(seed))) for seed in range(20)}) > 3


def test_of_a_single_flight_times_are_kept_apart_by_the_guard(flights):
    split = held_out_splits(flights[:1], 4, 0)[0]
    learned, judged = split.train[0].smooth.time, split.validation[0].smooth.time
    apart = np.abs(learned[:, None] - judged[None, :]).min()
    assert apart > GUARD - 0.011
    assert len(judged) > 0.15 * len(flights[0].smooth)
    raw = split.validation[0].raw
    for run in np.unique(raw.run):  # a filter must not run across what was cut out
        np.testing.assert_allclose(np.diff(raw.time[raw.run == run]), 0.01, atol=1e-9)


def test_blocks_keep_their_guard_inside_only():
    blocks = Blocks(0.0, 10.0, frozenset({0, 1, 9}), 0.2)
    times = np.array([0.05, 1.0, 1.79, 1.81, 5.0, 9.1, 9.3, 9.95])
    expected = [True, True, True, False, False, False, True, True]
    np.testing.assert_array_equal(blocks.holds(times), expected)


def test_too_little_of_one_flight_is_refused(tmp_path, intel_aero):
    path = tmp_path / "short.parquet"
    write_flight_log(path, vertical_flight(intel_aero, seed=0, seconds=1))
    with pytest.raises(InputError, match=r"too short.*two flights"):
        held_out_splits(label_flights([path], intel_aero), 4, 0)


def test_hover_at_one_rotor_radius_is_one_zero_zero(flights, intel_aero):
    part = samples(flights)
    x = features(network_inputs("level", intel_aero), part.state, intel_aero)
    np.testing.assert_allclose(x[:, 0] * intel_aero.rotors.radius, part.state.height)
    np.testing.assert_allclose(x[:, 1] * intel_aero.induced_velocity, part.state.velocity[:, 2])
    thrust = part.state.rotor_thrust.sum(axis=1)
    np.testing.assert_allclose((x[:, 2] + 1) * intel_aero.weight, thrust)


def test_the_full_input_has_twelve_numbers_and_zero_means_hover(flights, intel_aero):
    part = samples(flights)
    x = features(network_inputs("full", intel_aero), part.state, intel_aero)
    assert x.shape[1] == 12
    hover = np.sqrt(intel_aero.weight / 4 / intel_aero.rotors.k_f)
    speed = np.sqrt(part.state.rotor_thrust / intel_aero.rotors.k_f)
    np.testing.assert_allclose(x[:, 8:], speed / hover - 1)


def test_inputs_are_held_at_what_was_flown(flights, intel_aero):
    state = samples(flights).state
    height, speed, thrust = held_at_envelope(network_inputs("level", intel_aero), state, intel_aero)
    assert (height.low, height.high) == (state.height.min(), state.height.max())
    assert (speed.low, speed.high) == (state.velocity[:, 2].min(), state.velocity[:, 2].max())
    total = state.rotor_thrust.sum(axis=1)
    assert (thrust.low, thrust.high) == (total.min(), total.max())


def test_targets_are_force_over_weight(flights, intel_aero):
    part = samples(flights)
    up = targets(part, intel_aero)[:, 2]
    np.testing.assert_allclose(up * intel_aero.weight, part.force[:, 2])


def test_the_digest_of_a_log_sees_what_was_measured_and_nothing_else(intel_aero):
    log = vertical_flight(intel_aero, seed=0, seconds=1)
    before = measured_digest(log)
    log["truth_force"][3] += 1
    assert measured_digest(log) == before
    log["height"][3] += 1e-9
    assert measured_digest(log) != before


def test_two_flights_of_one_name_and_unknown_inputs_are_refused(paths, flights, intel_aero):
    with pytest.raises(InputError, match="second flight called f0"):
        label_flights([paths[0], paths[0]], intel_aero)
    with pytest.raises(InputError, match="expected 'level' or 'full'"):
        network_inputs("half", intel_aero)
    with pytest.raises(InputError, match="folds is 1, expected 2"):
        held_out_splits(flights, 1, 0)


def test_every_third_label_is_a_third_of_them(flights):
    whole, thin = samples(flights), samples(flights, 3)
    assert abs(len(whole.flight) / 3 - len(thin.flight)) <= len(flights)
    first = whole.flight == 0
    np.testing.assert_array_equal(
        thin.state.height[thin.flight == 0], whole.state.height[first][::3]
    )
