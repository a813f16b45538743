import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import read_flight_log, write_flight_log
from neural_lander.controller.model_parts import UNBOUNDED, bundle_of, fitted_radius
from neural_lander.controller.network import load_network
from neural_lander.controller.residual import ResidualInput
from neural_lander.learning.baselines import NAMES
from neural_lander.learning.bundle import spectral_bound
from neural_lander.learning.checkpoint import NAME as UNFINISHED
from neural_lander.learning.dataset import held_out_splits, label_flights
from neural_lander.learning.evaluation import evaluate
from neural_lander.learning.residual_network import slope_bound
from neural_lander.learning.training import FREE, TrainingSettings, paper_rho, train

from .vertical_flight import cushion, vertical_flight

QUICK = TrainingSettings(epochs=3, baselines=False, device="cpu")


def write_flights(folder, vehicle, count, seconds=10.0, scrambled=False, **kwargs):
    paths = [folder / f"f{i}.parquet" for i in range(count)]
    rng = np.random.default_rng(0)
    for i, path in enumerate(paths):
        log = vertical_flight(vehicle, seed=i, seconds=seconds, noise=1.0, **kwargs)
        if scrambled:
            wrong = {k: rng.permutation(a) for k, a in log.columns.items() if k[:6] == "truth_"}
            log = replace(log, columns={**log.columns, **wrong})
        write_flight_log(path, log)
    return paths


def bytes_of(folder):
    return {f.name: f.read_bytes() for f in sorted(folder.iterdir())}


def level_state(height, speed, thrust):
    zero = np.zeros_like(height)
    attitude = np.tile([0.0, 0, 0, 1], (len(height), 1))
    each = np.repeat(thrust[:, None] / 4, 4, axis=1)
    return ResidualInput(height, np.stack([zero, zero, speed], axis=1), attitude, each)


@pytest.fixture(scope="module")
def paths(tmp_path_factory, intel_aero):
    return write_flights(tmp_path_factory.mktemp("flights"), intel_aero, 4)


@pytest.fixture(scope="module")
def quick(tmp_path_factory, paths, intel_aero):
    """A bundle of three passes, and its JSON."""
    out = tmp_path_factory.mktemp("quick") / "model"
    return out, train(paths, intel_aero, QUICK, out)


def test_the_force_is_learned_from_noisy_flights(tmp_path, intel_aero):
    """Below 15 cm the learned force is off by less than 0.09 N, a twentieth of the effect."""
    paths = write_flights(tmp_path, intel_aero, 4, seconds=40)
    settings = TrainingSettings(epochs=80, device="cpu")
    model = train(paths, intel_aero, settings, tmp_path / "model")
    network = load_network(tmp_path / "model", intel_aero)
    unseen = vertical_flight(intel_aero, seed=99, seconds=40)
    thrust = unseen["truth_rotor_thrust"].sum(axis=1)
    state = level_state(unseen["truth_height"], unseen["truth_velocity"][:, 2], thrust)
    wrong = network.force(state)[:, 2] - unseen["truth_force"][:, 2]
    low = unseen["truth_height"] < 0.15
    assert np.sqrt(np.mean(wrong[low] ** 2)) < 0.09
    assert network.force(state).shape == (len(unseen), 3)
    own, others = model["scores"]["mean"], model["baselines"]
    assert own["r2_z_5hz"] > 0.9
    assert tuple(others) == (*NAMES, FREE)
    for name in ("zero", "cheeseman-bennett", "cheeseman-bennett fitted"):  # it is none of these
        assert own["rmse_z_5hz_n"] < 0.8 * others[name]["mean"]["rmse_z_5hz_n"]
    for name in (FREE, "boosting"):  # nothing left to find that a network without bound would
        assert own["rmse_z_5hz_n"] < 1.1 * others[name]["mean"]["rmse_z_5hz_n"]
    inside = model["scores"]["interval_95"]["rmse_z_5hz_n"]
    assert inside[0] < own["rmse_z_5hz_n"] < inside[1]
    assert "settled" in model["training"]["remark"]
    # what flies beside it comes from the same flights
    beside = json.loads((tmp_path / "model" / UNBOUNDED / "model.json").read_text())
    assert beside["training_logs"] == model["training_logs"]
    assert beside["spectral_bound"]["asked"] is None
    assert beside["spectral_bound"]["dimensionless"] > 1.0 > model["spectral_bound"]["asked"]
    assert bundle_of(tmp_path / "model", "learned-unbounded") == tmp_path / "model" / UNBOUNDED
    folds = [p["radius_m"] for p in others["cheeseman-bennett fitted"]["parameters"]]
    assert min(folds) < fitted_radius(tmp_path / "model") < max(folds)


def test_offsets_by_flight_are_found_and_not_shipped(tmp_path, intel_aero):
    """Flights off by -0.8 to 0.8 N, 5 % of weight, teach the same force as flights that are not."""
    offsets = np.array([0.8, -0.8, 0.4, -0.4, 0.0])
    paths = []
    for i, offset in enumerate(offsets):
        paths.append(tmp_path / f"f{i}.parquet")
        log = vertical_flight(intel_aero, seed=i, seconds=20, noise=1.0, offset=float(offset))
        write_flight_log(paths[-1], log)
    settings = TrainingSettings(epochs=80, baselines=False, folds=2, device="cpu")
    model = train(paths, intel_aero, settings, tmp_path / "model")
    names = list(model["offsets_n"])
    assert names == [p.stem for p in paths]
    found = np.array([model["offsets_n"][n][2] for n in names])
    true = np.array([offsets[int(n[1:])] for n in names])
    assert found.sum() == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(found, (true - true.mean()), atol=0.12)
    network = load_network(tmp_path / "model", intel_aero)
    height = np.linspace(0.02, 1.4, 50)
    state = level_state(height, 0 * height, np.full(50, intel_aero.weight))
    expected = cushion(height, 0 * height, np.full(50, intel_aero.weight)) + true.mean()
    assert np.sqrt(np.mean((network.force(state)[:, 2] - expected) ** 2)) < 0.12


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    tmp_path, quick, paths, intel_aero
):
    torch.rand(7)  # whatever was drawn before
    train(paths, intel_aero, QUICK, tmp_path / "again")
    assert bytes_of(tmp_path / "again") == bytes_of(quick[0])
    train(paths, intel_aero, replace(QUICK, seed=1), tmp_path / "other")
    assert bytes_of(tmp_path / "other") != bytes_of(quick[0])


def test_training_leaves_torch_as_it_was(tmp_path, paths, intel_aero):
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    train(paths[:2], intel_aero, replace(QUICK, epochs=1), tmp_path / "model")
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_scrambling_what_the_simulator_knows_changes_no_byte(tmp_path, quick, intel_aero):
    scrambled = write_flights(tmp_path, intel_aero, 4, scrambled=True)
    train(scrambled, intel_aero, QUICK, tmp_path / "model")
    assert bytes_of(tmp_path / "model") == bytes_of(quick[0])


def test_the_bundle_says_how_steep_it_is_by_its_stored_weights(quick, intel_aero):
    network, bound = load_network(quick[0], intel_aero), quick[1]["spectral_bound"]
    assert bound["asked"] == QUICK.lipschitz
    assert bound["dimensionless"] == slope_bound(network.weights) <= QUICK.lipschitz
    rng = np.random.default_rng(0)
    n = 4000
    height, speed = rng.uniform(0.02, 1.4, n), rng.uniform(-0.8, 0.8, n)
    thrust = rng.uniform(12, 17, n)
    step = 1e-4
    for name, moved in (
        ("height_n_per_m", (step, 0, 0)),
        ("vertical_speed_n_per_m_s", (0, step, 0)),
        ("collective_thrust_n_per_n", (0, 0, step)),
    ):
        a = network.force(level_state(height, speed, thrust))
        b = network.force(level_state(height + moved[0], speed + moved[1], thrust + moved[2]))
        assert np.linalg.norm(b - a, axis=1).max() / step <= bound[name]


def test_without_a_bound_the_network_is_steeper_than_one_that_was_asked_for(
    tmp_path, quick, paths, intel_aero
):
    free = train(paths, intel_aero, replace(QUICK, lipschitz=float("inf")), tmp_path / "free")
    assert free["spectral_bound"]["asked"] is None
    assert free["spectral_bound"]["dimensionless"] > QUICK.lipschitz
    network = load_network(tmp_path / "free", intel_aero)
    assert spectral_bound(network, None) == free["spectral_bound"]


def test_the_bundle_knows_its_flights_envelope_and_vehicle(quick, paths, intel_aero):
    model = quick[1]
    assert json.loads((quick[0] / "model.json").read_text()) == json.loads(json.dumps(model))
    assert set(model["training_logs"]) == {p.name for p in paths}
    assert sorted(name for turn in model["split"]["apart"] for name in turn) == [
        p.stem for p in paths
    ]
    assert set(model["offsets_n"]) == {p.stem for p in paths}
    assert set(model["envelope"]) == {"height", "vertical_speed", "collective_thrust"}
    assert model["vehicle_digest"] == intel_aero.physical_digest
    assert model["error_estimate_n"] == model["scores"]["mean"]["rmse_z_5hz_n"]


def test_each_flight_is_scored_by_a_network_that_learned_from_the_others(
    tmp_path, quick, paths, intel_aero
):
    """Trained on those others alone, behind the same low pass, the same network says the same."""
    settings = replace(QUICK, cutoff_hz=quick[1]["cutoff"]["hz"])
    split = held_out_splits(label_flights(paths, intel_aero), QUICK.folds, QUICK.seed)[0]
    others = [p for p in paths if p.stem in {f.name for f in split.train}]
    apart = [p for p in paths if p not in others]
    train(others, intel_aero, settings, tmp_path / "others")
    again = evaluate(tmp_path / "others", apart, intel_aero)["flights"]
    before = {f["flight"]: f for f in quick[1]["scores"]["flights"]}
    for flight in again:
        assert flight["seen"] is False
        expected = before[flight["flight"]]["rmse_z_5hz_n"]
        # the same rows in stacks of other sizes: float32 sums are ordered otherwise
        assert flight["rmse_z_5hz_n"] == pytest.approx(expected, rel=0.02)


def test_a_flight_that_was_learned_from_is_called_seen_whatever_its_name(
    tmp_path, quick, paths, intel_aero
):
    renamed = tmp_path / "holiday.parquet"
    renamed.write_bytes(paths[2].read_bytes())
    other = tmp_path / "f2.parquet"
    write_flight_log(other, vertical_flight(intel_aero, seed=77, seconds=10, noise=1.0))
    flights = evaluate(quick[0], [renamed, other], intel_aero)["flights"]
    assert [f["seen"] for f in flights] == [True, False]


def test_the_error_is_estimated_by_height(quick):
    bands = quick[1]["error_estimate_by_height"]
    assert bands[0]["from_m"] == 0
    assert bands[-1]["to_m"] is None
    scored = [b for b in bands if b["rmse_z_5hz_n"] is not None]
    assert len(scored) >= 4
    for band in scored:
        low, high = band["interval_95"]["rmse_z_5hz_n"]
        assert low <= band["rmse_z_5hz_n"] <= high


def test_a_force_that_nothing_explains_is_called_a_plateau(tmp_path, intel_aero):
    """Noise without any force: the network is told to have found nothing."""
    paths = []
    for i in range(2):
        paths.append(tmp_path / f"f{i}.parquet")
        log = vertical_flight(
            intel_aero, seed=i, seconds=20, noise=1.0, force=lambda h, v, u: 0 * h
        )
        write_flight_log(paths[-1], log)
    settings = replace(QUICK, lipschitz=1e-4, epochs=6)
    model = train(paths, intel_aero, settings, tmp_path / "model")
    assert "plateau" in model["training"]["remark"]


def test_it_stops_when_the_loss_finds_no_new_low(tmp_path, paths, intel_aero):
    """Rates that jump about the floor of the loss: far less than all passes are flown through."""
    settings = replace(QUICK, epochs=400, patience=5, learning_rate=0.3)
    model = train(paths[:2], intel_aero, settings, tmp_path / "model")
    assert 5 < model["training"]["passes"] < 200


def test_one_changed_byte_in_the_weights_is_noticed(tmp_path, paths, intel_aero):
    train(paths[:2], intel_aero, replace(QUICK, epochs=1), tmp_path)
    weights = tmp_path / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(InputError, match=r"does not match model\.json"):
        load_network(tmp_path, intel_aero)
    data[-1] ^= 1
    weights.write_bytes(data)
    load_network(tmp_path, intel_aero)


def test_a_model_that_cannot_be_written_leaves_the_old_one(
    tmp_path, paths, intel_aero, monkeypatch
):
    train(paths[:2], intel_aero, replace(QUICK, epochs=1), tmp_path)
    before = bytes_of(tmp_path)

    def full_disk(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("neural_lander.learning.bundle._write_bytes", full_disk)
    with pytest.raises(InputError, match="No space left"):
        train(paths[:2], intel_aero, replace(QUICK, epochs=1, seed=5), tmp_path)
    after = {k: v for k, v in bytes_of(tmp_path).items() if not k.startswith(UNFINISHED)}
    assert after == before


def test_a_single_flight_is_learned_in_blocks_of_time(tmp_path, paths, intel_aero):
    model = train(paths[:1], intel_aero, replace(QUICK, epochs=1), tmp_path)
    assert "blocks" in model["split"]["kind"]


def test_the_full_input_flies_too(tmp_path, paths, intel_aero):
    model = train(paths, intel_aero, replace(QUICK, inputs="full", epochs=1), tmp_path)
    assert model["spectral_bound"]["rotor_speed_n_per_rad_s"] > 0
    network = load_network(tmp_path, intel_aero)
    height = np.array([0.1])
    assert np.isfinite(network.force(level_state(height, 0 * height, height + 14))).all()


def test_progress_goes_from_nothing_to_all(tmp_path, paths, intel_aero):
    told = []
    settings = replace(QUICK, epochs=2)
    train(paths[:2], intel_aero, settings, tmp_path, lambda share, text: told.append((share, text)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert all(text for _, text in told)


def test_rho_of_a_law_that_steps_by_two_per_unit_of_s_is_two(intel_aero, tmp_path):
    """T rises by 2 |s| a row: |dT|/|s| is 2 at every row; without set-points nothing is said."""
    log = vertical_flight(intel_aero, seed=0, seconds=3, lowest=0.2)
    s = 0.01 * np.sin(np.arange(len(log)) / 20 + 0.1)
    thrust = 14 + np.cumsum(2 * np.abs(s))
    position, velocity = log["position"].copy(), log["velocity"].copy()
    columns = {
        **log.columns,
        "rotor_thrust_command": np.repeat(thrust[:, None] / 4, 4, axis=1),
        "setpoint_position": position,
        "setpoint_velocity": velocity - s[:, None],
    }
    steps = replace(log, columns=columns)

    class Flown:
        def __init__(self, log):
            self.log = log

    assert paper_rho([Flown(steps)], intel_aero) == pytest.approx(2.0)
    assert paper_rho([Flown(log)], intel_aero) is None


def test_a_diverging_loss_stops_with_the_remedy(tmp_path, paths, intel_aero):
    settings = replace(QUICK, lipschitz=None, learning_rate=1e30)
    with pytest.raises(InputError, match=r"diverged.*learning_rate.*lower it"):
        train(paths[:2], intel_aero, settings, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lipschitz": -1.0}, "lipschitz is -1"),
        ({"lipschitz": float("nan")}, "lipschitz is nan"),
        ({"epochs": 0}, "epochs is 0"),
        ({"folds": 1}, "folds is 1, expected 2"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"hidden": (25, 500)}, "hidden is"),
        ({"hidden": ()}, "hidden is"),
        ({"device": "tpu"}, "device is 'tpu'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        TrainingSettings(**wrong)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is present here")
def test_an_absent_device_is_named(tmp_path, paths, intel_aero):
    with pytest.raises(InputError, match="device is cuda, but torch finds none"):
        train(paths[:2], intel_aero, replace(QUICK, device="cuda"), tmp_path)


def test_a_flight_of_another_vehicle_is_refused_by_name(tmp_path, paths, crazyflie):
    with pytest.raises(InputError, match=r"f0\.parquet: the flight is of vehicle 'intel-aero'"):
        train(paths, crazyflie, QUICK, tmp_path)
    assert read_flight_log(paths[0]).metadata["vehicle"] == "intel-aero"


class Interrupted(Exception):
    """Somebody pressed Ctrl-C."""


def test_an_interrupted_training_goes_on_where_it_was(tmp_path, paths, intel_aero, quick):
    """Same bytes as the one that was not; the passes already flown are not flown again."""
    settings = replace(QUICK, epochs=60, baselines=False)
    train(paths, intel_aero, settings, tmp_path / "whole")
    told = []

    def interrupt(share, phrase):
        told.append(share)
        if share > 0.5:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(paths, intel_aero, settings, tmp_path / "model", interrupt)
    assert not (tmp_path / "model" / "model.json").exists()
    again = []
    train(
        paths, intel_aero, settings, tmp_path / "model", lambda share, phrase: again.append(share)
    )
    assert bytes_of(tmp_path / "model") == bytes_of(tmp_path / "whole")
    assert len(again) < len(told) + 25  # of 60 passes, 20 to 40 were left
    assert len(told) > 20


def test_a_state_of_another_training_is_not_gone_on_with(tmp_path, paths, intel_aero):
    def interrupt(share, phrase):
        if share > 0.5:
            raise Interrupted

    settings = replace(QUICK, epochs=60, baselines=False)
    with pytest.raises(Interrupted):
        train(paths, intel_aero, settings, tmp_path / "model", interrupt)
    state = next((tmp_path / "model").iterdir())
    other = replace(settings, seed=1)
    train(paths, intel_aero, other, tmp_path / "model")
    train(paths, intel_aero, other, tmp_path / "clean")
    assert bytes_of(tmp_path / "model") == bytes_of(tmp_path / "clean")
    state.parent.mkdir(exist_ok=True)
    state.write_bytes(b"not a state")
    train(paths, intel_aero, other, tmp_path / "model")
    assert bytes_of(tmp_path / "model") == bytes_of(tmp_path / "clean")
