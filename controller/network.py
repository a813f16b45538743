"""A ReLU network that gives the residual force, evaluated with numpy or inside the compiled step.

    x_i = clip(u_i, low_i, high_i) * scale_i + offset_i        u: height, velocity, thrust, ...
    y_1 = relu(W_1 x + b_1), ...,  f_a = output_scale * (W_n y_{n-1} + b_n)        world frame [N]

The horizontal axes of velocity and force are the world's, or, where ``frame`` says so, those of the
vehicle's heading (x forward, z up): a force that turns with the vehicle is the same at every yaw.

On disk: weights as safetensors (``LAYER.weight`` [out, in], ``LAYER.bias``) beside a JSON that
lists layers, inputs in order with unit, scale, offset and clamp, and the output. A model bundle
and a network that plays the real vehicle have the same form. Loading runs no code.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neural_lander.controller.compiled import blank_record, compiled
from neural_lander.controller.errors import InputError
from neural_lander.controller.files import read_json, sha256_of_file
from neural_lander.controller.residual import ResidualInput
from neural_lander.controller.rotation import heading
from neural_lander.controller.vehicle import Vehicle

Array = npt.NDArray[np.float64]

FORMAT = "residual-force network, version 1"

RPM = 2 * math.pi / 60
"""One revolution per minute [rad/s]."""

SOURCES: dict[str, tuple[int, int, dict[str, float]]] = {
    "height": (0, 1, {"m": 1.0}),
    "velocity_world": (1, 3, {"m/s": 1.0}),
    "vertical_speed": (3, 1, {"m/s": 1.0}),
    "quaternion_xyzw": (4, 4, {"1": 1.0}),
    "rotor_speed": (8, 4, {"rad/s": 1.0, "RPM": RPM}),
    "collective_thrust": (12, 1, {"N": 1.0}),
}
"""Input name -> (first place in the vector u, size, unit -> SI)."""

MAX_LAYERS, MAX_WIDTH, MAX_WEIGHTS, MAX_INPUTS = 8, 128, 16_384, 13


@dataclass(frozen=True)
class NetworkInput:
    """One named input: u in its unit enters the first layer as clip(u, low, high) * scale + offset."""

    name: str
    unit: str
    scale: float
    offset: float
    low: float = -math.inf
    high: float = math.inf

    @property
    def size(self) -> int:
        """Number of components."""
        return SOURCES[self.name][1]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, without the clamp."""
        return {
            "name": self.name,
            "size": self.size,
            "unit": self.unit,
            "scale": self.scale,
            "offset": self.offset,
        }


@dataclass(frozen=True)
class Network:
    """Layers, inputs and output scale of a residual network. Implements ``ResidualModel``."""

    weights: tuple[Array, ...]
    """Weight matrices [out, in]."""
    biases: tuple[Array, ...]
    inputs: tuple[NetworkInput, ...]
    output_scale: float
    """Newton per unit of output."""
    k_f: float
    """Thrust over squared rotor speed of the vehicle, for inputs in rotor speed [N s^2]."""
    vehicle: str
    """Name of the vehicle it belongs to."""
    frame: Literal["world", "heading"] = "world"
    """Axes of velocity, attitude and force."""

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides the output."""
        text = hashlib.sha256()
        for array in (*self.weights, *self.biases):
            text.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        text.update(
            repr((self.inputs, self.output_scale, self.k_f, self.vehicle, self.frame)).encode()
        )
        return text.hexdigest()

    def features(self, state: ResidualInput) -> Array:
        """Return the dimensionless first-layer inputs (..., n_inputs)."""
        thrust = np.asarray(state.rotor_thrust, dtype=np.float64)
        velocity, attitude = state.velocity, state.attitude
        if self.frame == "heading":
            velocity, attitude = to_heading(attitude, velocity), without_heading(attitude)
        attitude = np.where(attitude[..., 3:] < 0, -attitude, attitude)
        u = np.concatenate(
            [
                np.asarray(state.height, dtype=np.float64)[..., None],
                velocity,
                attitude,
                np.sqrt(np.maximum(thrust, 0) / self.k_f),
                thrust.sum(axis=-1, keepdims=True),
            ],
            axis=-1,
        )
        parts = []
        for entry in self.inputs:
            first, size, units = SOURCES[entry.name]
            si = units[entry.unit]
            value = np.clip(u[..., first : first + size] / si, entry.low, entry.high)
            parts.append(value * entry.scale + entry.offset)
        return np.concatenate(parts, axis=-1)

    def force(self, state: ResidualInput) -> Array:
        """Return the residual force in the world frame (..., 3) [N]."""
        y = self.features(state)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            y = np.maximum(y @ weight.T + bias, 0)
        force = np.asarray((y @ self.weights[-1].T + self.biases[-1]) * self.output_scale)
        return from_heading(state.attitude, force) if self.frame == "heading" else force


def _heading(attitude: Array) -> tuple[Array, Array]:
    """Return cosine and sine (..., ) of the heading of body x for quaternions xyzw (..., 4)."""
    x, y, z, w = np.moveaxis(np.asarray(attitude, dtype=np.float64), -1, 0)
    c, s = 1 - 2 * (y * y + z * z), 2 * (x * y + w * z)
    n = np.maximum(np.hypot(c, s), 1e-9)
    return c / n, s / n


def to_heading(attitude: Array, a: Array) -> Array:
    """Turn world vectors (..., 3) into the heading frame of attitudes (..., 4)."""
    c, s = _heading(attitude)
    return np.stack([c * a[..., 0] + s * a[..., 1], c * a[..., 1] - s * a[..., 0], a[..., 2]], -1)


def from_heading(attitude: Array, a: Array) -> Array:
    """Turn vectors (..., 3) of the heading frame of attitudes (..., 4) into the world frame."""
    c, s = _heading(attitude)
    return np.stack([c * a[..., 0] - s * a[..., 1], s * a[..., 0] + c * a[..., 1], a[..., 2]], -1)


def without_heading(attitude: Array) -> Array:
    """Return attitudes (..., 4) seen from their own heading frame: the tilt alone."""
    c, s = _heading(attitude)
    half_c = np.sqrt(np.maximum(0.5 * (1 + c), 0))
    half_s = np.copysign(np.sqrt(np.maximum(0.5 * (1 - c), 0)), s)
    x, y, z, w = np.moveaxis(np.asarray(attitude, dtype=np.float64), -1, 0)
    return np.stack(
        [
            half_c * x + half_s * y,
            half_c * y - half_s * x,
            half_c * z - half_s * w,
            half_c * w + half_s * z,
        ],
        -1,
    )


def load_network(path: Path, vehicle: Vehicle) -> Network:
    """Load a bundle folder, or ``NAME.safetensors`` with ``NAME.json`` beside it.

    Raises:
        InputError: a file is missing, the two disagree, the weights are not finite, the network
            is larger than the step holds, or it belongs to another vehicle.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if path.is_dir():
        weights_path, json_path = path / "weights.safetensors", path / "model.json"
    else:
        weights_path, json_path = path, path.with_suffix(".json")
    if not weights_path.is_file():
        raise InputError(
            f"{weights_path}: no such file; expected a model folder or NAME.safetensors"
        )
    info = read_json(json_path)
    if "weights_sha256" in info and info["weights_sha256"] != sha256_of_file(weights_path):
        raise InputError(
            f"{weights_path}: does not match {json_path.name}: its SHA-256 is not the weights_sha256 "
            "written there; train again, or fetch both files from the same source"
        )
    try:
        tensors = load_file(weights_path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{weights_path}: is no safetensors file ({error})") from error
    if info.get("format") != FORMAT:
        raise InputError(f"{json_path}: format is {info.get('format')!r}, expected {FORMAT!r}")
    if info.get("vehicle") != vehicle.name:
        raise InputError(
            f"{json_path}: is of vehicle {info.get('vehicle')!r}, not of {vehicle.name!r}; "
            "train one for this vehicle"
        )
    try:
        inputs = tuple(_input(entry, info.get("clamp", {})) for entry in info["inputs"])
        scale = float(info["output"].get("scale", 1.0))
        weights = tuple(np.asarray(tensors[f"{n}.weight"], np.float64) for n in info["layers"])
        biases = tuple(np.asarray(tensors[f"{n}.bias"], np.float64) for n in info["layers"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{json_path}: does not describe {weights_path.name} ({error!r})"
        ) from error
    frame = info.get("frame", "world")
    if frame not in ("world", "heading"):
        raise InputError(f"{json_path}: frame is {frame!r}, expected 'world' or 'heading'")
    network = Network(weights, biases, inputs, scale, vehicle.rotors.k_f, vehicle.name, frame)
    _check(network, weights_path)
    return network


def _input(entry: dict[str, Any], clamp: dict[str, list[float]]) -> NetworkInput:
    name, unit = entry["name"], entry["unit"]
    if name not in SOURCES or unit not in SOURCES[name][2]:
        raise ValueError(f"input {name!r} in {unit!r} is unknown; expected one of {list(SOURCES)}")
    low, high = clamp.get(name, (-math.inf, math.inf))
    return NetworkInput(
        name, unit, float(entry["scale"]), float(entry["offset"]), float(low), float(high)
    )


def _check(network: Network, where: Path) -> None:
    sizes = [sum(i.size for i in network.inputs)] + [len(b) for b in network.biases]
    for i, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        if weight.shape != (sizes[i + 1], sizes[i]):
            raise InputError(
                f"{where}: layer {i + 1} has weights {weight.shape}, expected {(sizes[i + 1], sizes[i])}"
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise InputError(f"{where}: layer {i + 1} holds numbers that are not finite")
    if sizes[-1] != 3:
        raise InputError(f"{where}: has {sizes[-1]} outputs, expected 3 (force in world x, y, z)")
    count = sum(w.size for w in network.weights)
    if len(sizes) - 1 > MAX_LAYERS or max(sizes) > MAX_WIDTH or count > MAX_WEIGHTS:
        raise InputError(
            f"{where}: layers {sizes} are more than the flight step holds (at most {MAX_LAYERS} "
            f"layers, {MAX_WIDTH} wide, {MAX_WEIGHTS} weights)"
        )


RECORD = np.dtype(
    [
        ("layers", np.int64),
        ("sizes", np.int64, (MAX_LAYERS + 1,)),
        ("weights", np.float64, (MAX_WEIGHTS,)),
        ("biases", np.float64, (MAX_LAYERS * MAX_WIDTH,)),
        ("source", np.int64, (MAX_INPUTS,)),
        ("scale", np.float64, (MAX_INPUTS,)),
        ("offset", np.float64, (MAX_INPUTS,)),
        ("low", np.float64, (MAX_INPUTS,)),
        ("high", np.float64, (MAX_INPUTS,)),
        ("heading", np.int64),
        ("output_scale", np.float64),
        ("k_f", np.float64),
        ("u", np.float64, (MAX_INPUTS,)),
        ("a", np.float64, (MAX_WIDTH,)),
        ("b", np.float64, (MAX_WIDTH,)),
    ],
    align=True,
)
"""One network, and room to evaluate it, as the compiled step sees it."""


def network_record(network: Network | None) -> npt.NDArray[Any]:
    """Return a record array of one network (no layers where there is none): zero force."""
    record = blank_record(RECORD)
    r = record[0]
    if network is None:
        return record
    r["layers"] = len(network.weights)
    r["sizes"][: len(network.biases) + 1] = [network.weights[0].shape[1], *map(len, network.biases)]
    flat = np.concatenate([w.T.ravel() for w in network.weights])  # [in, out]: column by column
    r["weights"][: len(flat)] = flat
    flat = np.concatenate(network.biases)
    r["biases"][: len(flat)] = flat
    r["output_scale"], r["k_f"] = network.output_scale, network.k_f
    r["heading"] = network.frame == "heading"
    i = 0
    for entry in network.inputs:
        first, size, units = SOURCES[entry.name]
        si = units[entry.unit]
        for j in range(size):
            r["source"][i] = first + j
            r["scale"][i], r["offset"][i] = entry.scale / si, entry.offset
            r["low"][i], r["high"][i] = entry.low * si, entry.high * si
            i += 1
    return record


@compiled
def network_force(
    net: Any,
    height: float,
    v: tuple[float, float, float],
    q: tuple[float, float, float, float],
    f: tuple[float, float, float, float],
) -> tuple[float, float, float]:
    """Return the residual force [N] of a network record at one state, rotor thrusts f [N]."""
    if net.layers == 0:
        return (0.0, 0.0, 0.0)
    u, a, b = net.u, net.a, net.b
    c, s = 1.0, 0.0
    if net.heading == 1:
        c, s = heading(q)
        v = (c * v[0] + s * v[1], c * v[1] - s * v[0], v[2])
        hc = math.sqrt(max(0.5 * (1 + c), 0.0))
        hs = math.copysign(math.sqrt(max(0.5 * (1 - c), 0.0)), s)
        q = (
            hc * q[0] + hs * q[1],
            hc * q[1] - hs * q[0],
            hc * q[2] - hs * q[3],
            hc * q[3] + hs * q[2],
        )
    sign = -1.0 if q[3] < 0 else 1.0
    u[0] = height
    for j in range(3):
        u[1 + j] = v[j]
    for j in range(4):
        u[4 + j] = sign * q[j]
        u[8 + j] = math.sqrt(max(f[j], 0.0) / net.k_f)
    u[12] = f[0] + f[1] + f[2] + f[3]
    for i in range(net.sizes[0]):
        a[i] = min(max(u[net.source[i]], net.low[i]), net.high[i]) * net.scale[i] + net.offset[i]
    w0 = 0
    b0 = 0
    for layer in range(net.layers):
        n_in, n_out = net.sizes[layer], net.sizes[layer + 1]
        for j in range(n_out):
            b[j] = net.biases[b0 + j]
        for i in range(n_in):
            x = a[i]
            if x != 0.0:
                for j in range(n_out):
                    b[j] += x * net.weights[w0 + i * n_out + j]
        w0 += n_in * n_out
        b0 += n_out
        last = layer == net.layers - 1
        for j in range(n_out):
            a[j] = b[j] if last or b[j] > 0.0 else 0.0
    k = net.output_scale
    return (k * (c * a[0] - s * a[1]), k * (s * a[0] + c * a[1]), k * a[2])
