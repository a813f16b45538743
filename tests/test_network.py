"""One network, whether read from disk, evaluated with numpy or inside the compiled step."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from neural_lander.controller.errors import InputError
from neural_lander.controller.network import (
    FORMAT,
    MAX_WIDTH,
    RPM,
    Network,
    NetworkInput,
    load_network,
    network_force,
    network_record,
)
from neural_lander.controller.residual import ResidualInput, ZeroResidual
from neural_lander.controller.vehicle import Vehicle

Array = npt.NDArray[np.float64]

INPUTS = (
    NetworkInput("height", "m", 0.5, -0.1, 0.0, 2.0),
    NetworkInput("velocity_world", "m/s", 0.3, 0.0, -2.0, 2.0),
    NetworkInput("quaternion_xyzw", "1", 1.0, 0.0),
    NetworkInput("rotor_speed", "RPM", 1 / 8000, 0.0, 3000.0, 9000.0),
    NetworkInput("collective_thrust", "N", 0.05, 0.2, 0.0, 30.0),
)


def random_network(vehicle: Vehicle, inputs: tuple[NetworkInput, ...] = INPUTS) -> Network:
    rng = np.random.default_rng(7)
    sizes = [sum(i.size for i in inputs), 20, 15, 3]
    return Network(
        tuple(rng.normal(size=(b, a)) for a, b in pairwise(sizes)),
        tuple(rng.normal(size=b) for b in sizes[1:]),
        inputs,
        0.7,
        vehicle.rotors.k_f,
        vehicle.name,
    )


def random_states(n: int, vehicle: Vehicle) -> ResidualInput:
    """Return states inside and outside the clamp, with attitudes of both signs."""
    rng = np.random.default_rng(8)
    q = rng.normal(size=(n, 4))
    return ResidualInput(
        rng.uniform(-0.2, 3.0, n),
        rng.uniform(-4, 4, (n, 3)),
        q / np.linalg.norm(q, axis=-1, keepdims=True),
        rng.uniform(0, 1, (n, 4)) * vehicle.rotors.thrust_max,
    )


def row(states: ResidualInput, i: int) -> ResidualInput:
    return ResidualInput(
        states.height[i], states.velocity[i], states.attitude[i], states.rotor_thrust[i]
    )


def compiled_force(network: Network | None, state: ResidualInput) -> Array:
    record = network_record(network)[0]
    return np.array(
        network_force(
            record,
            float(state.height),
            tuple(map(float, state.velocity)),
            tuple(map(float, state.attitude)),
            tuple(map(float, state.rotor_thrust)),
        )
    )


@pytest.fixture
def published(data_folder: Path, intel_aero: Vehicle) -> Network:
    return load_network(data_folder / "nets" / "Fa_net_12_3_full_Lip16.safetensors", intel_aero)


def published_vectors(data_folder: Path, vehicle: Vehicle) -> tuple[ResidualInput, Array]:
    """Return the published test vectors for which our conventions keep the input as it is.

    Left out are those outside the range that the clamp allows, and one with a negative qw: we turn
    the sign of a quaternion, because q and -q are one attitude.
    """
    table = np.loadtxt(
        data_folder / "nets" / "Fa_net_12_3_full_Lip16_test_vectors.csv", delimiter=",", skiprows=1
    )
    height, rpm = table[:, 0] - 0.09, table[:, 8:12] * 8000
    inside = (
        (height >= 0)
        & (height <= 2)
        & (np.abs(table[:, 1:4]) <= 2).all(axis=1)
        & (rpm >= 3000).all(axis=1)
        & (rpm <= 9000).all(axis=1)
        & (table[:, 7] >= 0)
    )
    table, height, rpm = table[inside], height[inside], rpm[inside]
    thrust = vehicle.rotors.k_f * (rpm * RPM) ** 2
    return ResidualInput(height, table[:, 1:4], table[:, 4:8], thrust), table[:, 12:]


def test_the_published_network_gives_the_published_forces(
    published: Network, data_folder: Path, intel_aero: Vehicle
) -> None:
    states, forces = published_vectors(data_folder, intel_aero)
    assert len(forces) >= 15
    np.testing.assert_allclose(published.force(states), forces, rtol=0, atol=1e-12)
    for i, force in enumerate(forces):
        np.testing.assert_allclose(
            compiled_force(published, row(states, i)), force, rtol=0, atol=1e-12
        )


def test_the_published_network_pushes_a_standing_vehicle_up_by_an_eighth_of_its_weight(
    published: Network, intel_aero: Vehicle
) -> None:
    hover = np.full(4, intel_aero.weight / 4)
    state = ResidualInput(np.array(0.0), np.zeros(3), np.array([0, 0, 0, 1.0]), hover)
    share = published.force(state)[2] / intel_aero.weight
    assert share == pytest.approx(0.128, abs=0.001)  # stated beside the network


def test_one_state_alone_and_the_same_in_a_batch_agree(intel_aero: Vehicle) -> None:
    network, states = random_network(intel_aero), random_states(50, intel_aero)
    together = network.force(states)
    for i in range(50):
        # Rounding of sums of 20 terms of the order of 10.
        np.testing.assert_allclose(network.force(row(states, i)), together[i], atol=1e-12)


def test_compiled_and_numpy_are_one_function(intel_aero: Vehicle) -> None:
    network, states = random_network(intel_aero), random_states(200, intel_aero)
    expected = network.force(states)
    for i in range(200):
        np.testing.assert_allclose(
            compiled_force(network, row(states, i)), expected[i], rtol=1e-12, atol=1e-12
        )


def test_no_network_is_no_force(intel_aero: Vehicle) -> None:
    states = random_states(3, intel_aero)
    assert compiled_force(None, row(states, 0)).tolist() == [0, 0, 0]
    assert ZeroResidual().force(states).tolist() == [[0, 0, 0]] * 3


def test_both_signs_of_a_quaternion_are_one_attitude(intel_aero: Vehicle) -> None:
    network, states = random_network(intel_aero), random_states(20, intel_aero)
    other = replace(states, attitude=-states.attitude)
    np.testing.assert_array_equal(network.force(other), network.force(states))
    np.testing.assert_array_equal(
        compiled_force(network, row(other, 3)), compiled_force(network, row(states, 3))
    )


def test_outside_its_range_the_network_is_held_at_the_limit(intel_aero: Vehicle) -> None:
    network, states = random_network(intel_aero), random_states(20, intel_aero)
    high, higher = (replace(states, height=np.full(20, h)) for h in (2.0, 5.0))
    below = replace(states, height=np.full(20, 1.9))
    np.testing.assert_array_equal(network.force(higher), network.force(high))
    assert not np.array_equal(network.force(below), network.force(high))
    np.testing.assert_array_equal(
        compiled_force(network, row(higher, 0)), compiled_force(network, row(high, 0))
    )


def test_rotors_that_stand_are_no_defect(intel_aero: Vehicle) -> None:
    network, states = random_network(intel_aero), random_states(5, intel_aero)
    still = replace(states, rotor_thrust=np.full((5, 4), -1e-9))
    zero = replace(states, rotor_thrust=np.zeros((5, 4)))
    np.testing.assert_allclose(network.force(still), network.force(zero), atol=1e-6)
    np.testing.assert_allclose(
        compiled_force(network, row(still, 0)), network.force(still)[0], atol=1e-12
    )


def save(folder: Path, network: Network, **changes: Any) -> Path:
    """Write a network as the bundle that a training would, with changes of its JSON."""
    folder.mkdir(exist_ok=True)
    names = [f"fc{i + 1}" for i in range(len(network.weights))]
    tensors = {f"{n}.weight": w for n, w in zip(names, network.weights, strict=True)}
    tensors |= {f"{n}.bias": b for n, b in zip(names, network.biases, strict=True)}
    save_file(tensors, folder / "weights.safetensors")
    info = {
        "format": FORMAT,
        "vehicle": network.vehicle,
        "layers": names,
        "inputs": [i.as_dict() for i in network.inputs],
        "clamp": {i.name: [i.low, i.high] for i in network.inputs if np.isfinite(i.low)},
        "output": {"name": "force_world", "unit": "N", "scale": network.output_scale},
    }
    (folder / "model.json").write_text(json.dumps({**info, **changes}))
    return folder


def test_a_bundle_comes_back_as_it_was_written(tmp_path: Path, intel_aero: Vehicle) -> None:
    network = random_network(intel_aero)
    back = load_network(save(tmp_path / "model", network), intel_aero)
    assert back.digest == network.digest
    states = random_states(5, intel_aero)
    np.testing.assert_array_equal(back.force(states), network.force(states))


def test_a_bundle_and_a_pair_of_files_are_the_same_network(
    tmp_path: Path, intel_aero: Vehicle
) -> None:
    folder = save(tmp_path / "model", random_network(intel_aero))
    shutil.copy(folder / "weights.safetensors", tmp_path / "net.safetensors")
    shutil.copy(folder / "model.json", tmp_path / "net.json")
    a = load_network(folder, intel_aero)
    assert load_network(tmp_path / "net.safetensors", intel_aero).digest == a.digest


@pytest.mark.parametrize("what", ["weight", "bias", "scale", "clamp", "output"])
def test_the_digest_is_of_everything_that_decides_the_force(intel_aero: Vehicle, what: str) -> None:
    network = random_network(intel_aero)
    weight, bias = network.weights[1].copy(), network.biases[1].copy()
    weight[0, 0] = np.nextafter(weight[0, 0], 9)
    bias[0] = np.nextafter(bias[0], 9)
    changed: dict[str, dict[str, Any]] = {
        "weight": {"weights": (network.weights[0], weight, network.weights[2])},
        "bias": {"biases": (network.biases[0], bias, network.biases[2])},
        "scale": {"inputs": (replace(INPUTS[0], scale=0.51), *INPUTS[1:])},
        "clamp": {"inputs": (replace(INPUTS[0], high=2.1), *INPUTS[1:])},
        "output": {"output_scale": 0.71},
    }
    assert replace(network, **changed[what]).digest != network.digest


def test_another_vehicles_network_is_refused(
    tmp_path: Path, intel_aero: Vehicle, crazyflie: Vehicle
) -> None:
    folder = save(tmp_path / "model", random_network(intel_aero))
    with pytest.raises(InputError, match="is of vehicle 'intel-aero', not of 'crazyflie'"):
        load_network(folder, crazyflie)


def _nan(network: Network) -> Network:
    weights = [w.copy() for w in network.weights]
    weights[1][2, 3] = np.nan
    return replace(network, weights=tuple(weights))


def _wide(network: Network) -> Network:
    n = MAX_WIDTH + 1
    rng = np.random.default_rng(0)
    first, last = rng.normal(size=(n, network.weights[0].shape[1])), rng.normal(size=(3, n))
    return replace(network, weights=(first, last), biases=(np.zeros(n), np.zeros(3)))


BAD_WEIGHTS: dict[str, tuple[Callable[[Network], Network], str]] = {
    "not finite": (_nan, "layer 2 holds numbers that are not finite"),
    "layers that do not fit": (
        lambda n: replace(n, weights=(n.weights[0], n.weights[1][:, :-1], n.weights[2])),
        r"layer 2 has weights \(15, 19\), expected \(15, 20\)",
    ),
    "two outputs": (
        lambda n: replace(
            n,
            weights=(*n.weights[:2], n.weights[2][:2]),
            biases=(*n.biases[:2], n.biases[2][:2]),
        ),
        "has 2 outputs, expected 3",
    ),
    "inputs that are not listed": (
        lambda n: replace(n, inputs=n.inputs[1:]),
        "layer 1 has weights",
    ),
    "wider than the step holds": (_wide, "more than the flight step holds"),
}


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_weights_that_cannot_fly_are_refused(
    tmp_path: Path, intel_aero: Vehicle, case: str
) -> None:
    change, message = BAD_WEIGHTS[case]
    folder = save(tmp_path / "model", change(random_network(intel_aero)))
    with pytest.raises(InputError, match=message):
        load_network(folder, intel_aero)


def test_the_widest_network_that_the_step_holds_is_taken(
    tmp_path: Path, intel_aero: Vehicle
) -> None:
    wide = _wide(random_network(intel_aero))
    just = replace(
        wide,
        weights=(wide.weights[0][:MAX_WIDTH], wide.weights[1][:, :MAX_WIDTH]),
        biases=(wide.biases[0][:MAX_WIDTH], wide.biases[1]),
    )
    network = load_network(save(tmp_path / "model", just), intel_aero)
    state = row(random_states(1, intel_aero), 0)
    np.testing.assert_allclose(compiled_force(network, state), network.force(state), atol=1e-11)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "onnx"}, "format is 'onnx', expected"),
        ({"vehicle": None}, "is of vehicle None"),
        ({"layers": ["fc1", "fc2", "fc9"]}, "does not describe weights.safetensors"),
        ({"inputs": [{"name": "height"}]}, "does not describe"),
        ({"inputs": None}, "does not describe"),
        ({"output": 3}, "does not describe"),
        (
            {"inputs": [{"name": "mood", "unit": "m", "scale": 1, "offset": 0}]},
            "input 'mood' in 'm' is unknown",
        ),
        (
            {"inputs": [{"name": "height", "unit": "ft", "scale": 1, "offset": 0}]},
            "input 'height' in 'ft' is unknown",
        ),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    tmp_path: Path, intel_aero: Vehicle, changes: dict[str, Any], message: str
) -> None:
    folder = save(tmp_path / "model", random_network(intel_aero), **changes)
    with pytest.raises(InputError, match=message):
        load_network(folder, intel_aero)


def test_missing_and_damaged_files_are_refused_by_name(tmp_path: Path, intel_aero: Vehicle) -> None:
    with pytest.raises(InputError, match=r"weights\.safetensors: no such file|nowhere: no such"):
        load_network(tmp_path / "nowhere", intel_aero)
    folder = save(tmp_path / "model", random_network(intel_aero))
    whole = (folder / "weights.safetensors").read_bytes()
    for length in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        (folder / "weights.safetensors").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"weights\.safetensors: is no safetensors file"):
            load_network(folder, intel_aero)
    (folder / "weights.safetensors").write_bytes(whole)
    (folder / "model.json").unlink()
    with pytest.raises(InputError, match=r"model\.json: cannot be read"):
        load_network(folder, intel_aero)


def test_a_changed_byte_of_the_weights_is_another_network(
    tmp_path: Path, intel_aero: Vehicle
) -> None:
    folder = save(tmp_path / "model", random_network(intel_aero))
    before = load_network(folder, intel_aero).digest
    raw = bytearray((folder / "weights.safetensors").read_bytes())
    raw[-5] ^= 1
    (folder / "weights.safetensors").write_bytes(bytes(raw))
    assert load_network(folder, intel_aero).digest != before


def test_the_published_files_hold_what_their_description_says(
    data_folder: Path, published: Network
) -> None:
    tensors = load_file(data_folder / "nets" / "Fa_net_12_3_full_Lip16.safetensors")
    sizes = [tensors["fc1.weight"].shape[1], *(len(b) for b in published.biases)]
    assert sizes == [12, 25, 30, 15, 3]
    norms = [np.linalg.norm(w, 2) for w in published.weights]
    # Spectral norms stated beside the network, to their six decimals.
    np.testing.assert_allclose(norms, [1.994889, 2.0, 1.991927, 1.997484], atol=1e-6)
