"""A hand-made model, for tests that fly one without training it (and without importing torch)."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from neural_lander.controller.network import FORMAT


def bundle(folder: Path, vehicle, scale: float = 1.0, bias: float = 0.0, **changes) -> Path:
    """A hand-made model: about 2 N of ground effect that fades over half a metre, times scale."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    first = np.array([[-1.0, 0.1, 0.02], [-0.5, 0.2, 0.05], [0.3, -0.2, 0.1], [-1.0, 0.0, 0.0]])
    last = scale * np.array([[0.02, 0, 0.01, 0], [0, 0.01, 0, 0.01], [0.1, 0.05, 0.03, 0.1]])
    tensors = {
        "fc1.weight": first,
        "fc1.bias": np.array([0.5, 0.2, 0.0, 0.3]) + 1e-3 * rng.normal(size=4) + bias,
        "fc2.weight": last,
        "fc2.bias": np.zeros(3),
    }
    save_file(tensors, folder / "weights.safetensors")
    envelope = {
        "height": [0.0, 1.5],
        "vertical_speed": [-1.5, 1.5],
        "collective_thrust": [0.5 * vehicle.weight, 1.5 * vehicle.weight],
    }
    weight = vehicle.weight
    names = [("height", "m", 1.0, 0.0), ("vertical_speed", "m/s", 0.5, 0.0)]
    names += [("collective_thrust", "N", 1 / weight, -1.0)]
    info = {
        "format": FORMAT,
        "layers": ["fc1", "fc2"],
        "activation": "relu",
        "dtype": "float64",
        "inputs": [
            {"name": name, "size": 1, "unit": unit, "scale": s, "offset": o}
            for name, unit, s, o in names
        ],
        "clamp": envelope,
        "output": {"name": "force_world", "size": 3, "unit": "weight", "scale": weight},
        "vehicle": vehicle.name,
        "envelope": envelope,
        **changes,
    }
    (folder / "model.json").write_text(json.dumps(info))
    return folder
