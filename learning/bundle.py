"""A model bundle on disk: ``weights.safetensors``, and ``model.json`` that says what they are.

The JSON is what ``controller.network.load_network`` reads, and more: where the model may be
trusted, how steep it can be, which flights it came from and how it did on those it had not seen.
It names the SHA-256 of the weights, so a changed byte is noticed on loading.

The slope in one input is bounded by the norm of its own columns of the first layer, times the
norms of the other layers, times the input's and the output's scale: exact singular values.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neural_lander.controller.files import write_whole
from neural_lander.controller.network import FORMAT, Network
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.residual_network import slope_bound, spectral_norm_of

SLOPE_NAMES = {
    "height": "height_n_per_m",
    "vertical_speed": "vertical_speed_n_per_m_s",
    "collective_thrust": "collective_thrust_n_per_n",
    "velocity_world": "velocity_world_n_per_m_s",
    "quaternion_xyzw": "quaternion_xyzw_n",
    "rotor_speed": "rotor_speed_n_per_rad_s",
}
"""Input -> name of its slope bound in the JSON."""


def spectral_bound(network: Network, asked: float | None) -> dict[str, float | None]:
    """Return the bounds on the slope: asked for, of the stored weights, and by input in SI."""
    bounds: dict[str, float | None] = {
        "asked": asked,
        "dimensionless": slope_bound(network.weights),
    }
    rest = slope_bound(network.weights[1:])
    column = 0
    for entry in network.inputs:
        own = spectral_norm_of(network.weights[0][:, column : column + entry.size])
        bounds[SLOPE_NAMES[entry.name]] = own * rest * entry.scale * network.output_scale
        column += entry.size
    return bounds


def write_bundle(
    out: Path, network: Network, vehicle: Vehicle, asked: float | None, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Write a model bundle into the folder ``out`` and return its ``model.json``.

    Both files are complete under temporary names before the first takes its place; a bundle that
    was there stays whole if anything fails before. ``about`` holds what training knows.

    Raises:
        InputError: the folder cannot be written to.
    """
    from safetensors.numpy import save

    names = [f"fc{i + 1}" for i in range(len(network.weights))]
    tensors = {
        f"{n}.weight": np.ascontiguousarray(w) for n, w in zip(names, network.weights, strict=True)
    }
    tensors |= {
        f"{n}.bias": np.ascontiguousarray(b) for n, b in zip(names, network.biases, strict=True)
    }
    data = save(tensors)
    envelope = {i.name: [i.low, i.high] for i in network.inputs}
    model: dict[str, Any] = {
        "format": FORMAT,
        "layers": names,
        "activation": "relu",
        "dtype": "float64",
        "inputs": [i.as_dict() for i in network.inputs],
        "clamp": envelope,
        "output": {
            "name": "force_world",
            "size": 3,
            "unit": "weight",
            "scale": network.output_scale,
        },
        "frame": network.frame,
        "vehicle": vehicle.name,
        "vehicle_digest": vehicle.physical_digest,
        "weights_sha256": hashlib.sha256(data).hexdigest(),
        "envelope": envelope,
        "spectral_bound": spectral_bound(network, asked),
        **about,
    }
    text = json.dumps(model, indent=1, allow_nan=False) + "\n"

    def write_both(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")
        write_whole(out / "weights.safetensors", lambda weights: _write_bytes(weights, data))

    write_whole(out / "model.json", write_both)
    return model


def _write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)
