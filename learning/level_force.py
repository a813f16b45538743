"""The vertical force of a residual network on a vehicle flown level: three inputs, one output.

    phi(z, v, T) = f_z(height z, velocity (0, 0, v), attitude upright, four rotors at T / 4)

Control law and certificate use the learned force restricted to what it mostly is. A network with
the paper's inputs becomes one of three by adding up the first layer's columns; rotor speed enters
as Omega = sqrt(T / (4 k_f)), so that along a box of thrusts

    dphi/dT = dphi/dOmega / (8 k_f Omega),

for tangents, and for secants with (Omega_1 + Omega_2) / 2 in the place of Omega.
"""

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError
from neural_lander.controller.loop_model import Interval, VerticalSlopes
from neural_lander.controller.network import SOURCES, Network
from neural_lander.learning.slopes import Layers, bound_slopes, tangents_at

Array = npt.NDArray[np.float64]

AT_REST = {"velocity_world": (0.0, 0.0, None), "quaternion_xyzw": (0.0, 0.0, 0.0, 1.0)}
"""Inputs held while flying level; None: the vertical speed."""


PIECES = 6
"""A box of thrusts is cut in so many where rotor speed is the input: 1 / Omega changes across it."""


def _hull(parts: list[VerticalSlopes]) -> VerticalSlopes:
    """Return intervals that contain those of all parts; secants across them are means of theirs."""

    def hull(intervals: list[Interval]) -> Interval:
        return min(i[0] for i in intervals), max(i[1] for i in intervals)

    return VerticalSlopes(
        hull([p.height for p in parts]),
        hull([p.vertical_speed for p in parts]),
        hull([p.thrust for p in parts]),
    )


def restricted_layers(network: Network) -> tuple[Layers, Array, Array, float | None]:
    """Return a network flown level as layers of three inputs, their clamps, and ``k_f`` or None.

    Raises:
        InputError: it takes both collective thrust and rotor speed.
    """
    weight, bias = network.weights[0], network.biases[0].copy()
    columns = np.zeros((len(weight), 3))
    low, high = np.full(3, -np.inf), np.full(3, np.inf)
    names = {entry.name for entry in network.inputs}
    if {"collective_thrust", "rotor_speed"} <= names:
        raise InputError("the network takes both collective_thrust and rotor_speed; train one")
    i = 0
    for entry in network.inputs:
        si = SOURCES[entry.name][2][entry.unit]
        place = {"height": 0, "vertical_speed": 1}.get(entry.name, 2)
        held = AT_REST.get(entry.name, (None,) * entry.size)
        for value in held:
            if value is None:
                place = 1 if entry.name == "velocity_world" else place
                columns[:, place] += weight[:, i] * entry.scale / si
                bias += weight[:, i] * entry.offset
                low[place], high[place] = entry.low * si, entry.high * si
            else:
                inside = min(max(value / si, entry.low), entry.high)
                bias += weight[:, i] * (inside * entry.scale + entry.offset)
            i += 1
    layers = [(columns, bias)]
    for w, b in zip(network.weights[1:], network.biases[1:], strict=True):
        layers.append((w.copy(), b.copy()))
    w, b = layers[-1]
    layers[-1] = (w * network.output_scale, b * network.output_scale)
    return layers, low, high, network.k_f if "rotor_speed" in names else None


@dataclass(frozen=True)
class LevelForce:
    """phi(z, v, T) of one network."""

    layers: Layers
    """Weights and biases; inputs height [m], vertical speed [m/s], and thrust [N] or speed."""
    low: Array
    """(3,) The network is flat below these values of its inputs."""
    high: Array
    """(3,) And above these."""
    k_f: float | None
    """Thrust over squared rotor speed where the third input is that speed [N s^2]; else None."""
    found: dict[tuple[float, ...], VerticalSlopes] = field(default_factory=dict)
    """Slopes bounded before, by box and effort."""

    @staticmethod
    def of(network: Network) -> "LevelForce":
        """Restrict a network to level flight.

        Raises:
            InputError: it knows neither collective thrust nor rotor speed, or both.
        """
        layers, low, high, k_f = restricted_layers(network)
        weight, bias = layers[-1]
        return LevelForce([*layers[:-1], (weight[2:3], bias[2:3])], low, high, k_f)

    def scaled(self, factor: float) -> "LevelForce":
        """Return ``factor`` times this force."""
        weight, bias = self.layers[-1]
        layers = [*self.layers[:-1], (factor * weight, factor * bias)]
        return LevelForce(layers, self.low, self.high, self.k_f)

    def force(self, height: Array, speed: Array, thrust: Array) -> Array:
        """Return the vertical force (...,) [N]."""
        y = np.clip(self._inputs(height, speed, thrust), self.low, self.high)
        for weight, bias in self.layers[:-1]:
            y = np.maximum(y @ weight.T + bias, 0)
        return np.asarray((y @ self.layers[-1][0].T + self.layers[-1][1])[..., 0])

    def _inputs(self, height: Array, speed: Array, thrust: Array) -> Array:
        third = np.asarray(thrust, dtype=np.float64)
        if self.k_f is not None:
            third = np.sqrt(np.maximum(third, 0) / (4 * self.k_f))
        return np.stack(np.broadcast_arrays(height, speed, third), axis=-1)

    def tangents(self, height: Array, speed: Array, thrust: Array) -> Array:
        """Return the slopes (..., 3) in height, speed and thrust, inside the clamps."""
        u = self._inputs(height, speed, thrust)
        slopes = tangents_at(self.layers, u)[..., 0, :]
        if self.k_f is not None:
            slopes = slopes * np.stack(
                [np.ones_like(u[..., 2]), np.ones_like(u[..., 2]), 1 / (8 * self.k_f * u[..., 2])],
                axis=-1,
            )
        return np.asarray(slopes)

    def slopes(
        self,
        height: Interval,
        speed: Interval,
        thrust: Interval,
        relative_gap: float = 0.03,
        max_boxes: int = 4000,
    ) -> VerticalSlopes:
        """Return intervals that hold every tangent and secant of the force over a box."""
        key = (*height, *speed, *thrust, relative_gap, float(max_boxes))
        if key not in self.found:
            pieces = 1 if self.k_f is None else PIECES
            ends = np.linspace(*thrust, pieces + 1)
            ends[0], ends[-1] = thrust
            self.found[key] = _hull(
                [
                    self._slopes(height, speed, (float(a), float(b)), relative_gap, max_boxes)
                    for a, b in pairwise(ends)
                ]
            )
        return self.found[key]

    def _slopes(
        self, height: Interval, speed: Interval, thrust: Interval, gap: float, boxes: int
    ) -> VerticalSlopes:
        a, b = bound_box(self, np.array([height, speed, thrust]), gap, boxes)
        z, v, u = ((float(p), float(q)) for p, q in zip(a[0], b[0], strict=True))
        return VerticalSlopes(z, v, u)


class Restricted(Protocol):
    """Layers of three inputs, as ``restricted_layers`` makes them."""

    @property
    def layers(self) -> Layers:
        """Weights and biases."""
        ...

    @property
    def low(self) -> Array:
        """(3,) Lower clamps."""
        ...

    @property
    def high(self) -> Array:
        """(3,) Upper clamps."""
        ...

    @property
    def k_f(self) -> float | None:
        """Thrust over squared rotor speed where the third input is that speed."""
        ...


def bound_box(force: Restricted, box: Array, gap: float, boxes: int) -> tuple[Array, Array]:
    """Return bounds (outputs, 3) of the slopes in height, speed, thrust over a box (3, 2)."""
    box, k_f = box.copy(), force.k_f
    if k_f is not None:
        box[2] = np.sqrt(np.maximum(box[2], 0) / (4 * k_f)) * (1 - 1e-15, 1 + 1e-15)
    low, high = np.clip(box[:, 0], force.low, force.high), np.clip(box[:, 1], force.low, force.high)
    beyond = (box[:, 0] < force.low) | (box[:, 1] > force.high)
    last = len(force.layers[-1][1]) - 1  # the vertical force decides where to look closer
    a, b = bound_slopes(force.layers, low, high, gap, boxes, [last])
    if k_f is not None:
        if low[2] <= 0:
            a[:, 2] = np.where(a[:, 2] < 0, -math.inf, 0)
            b[:, 2] = np.where(b[:, 2] > 0, math.inf, 0)
        else:
            ends = np.stack([x[:, 2] / (8 * k_f * o) for x in (a, b) for o in (low[2], high[2])])
            a[:, 2] = ends.min(axis=0) - 1e-12 * np.abs(ends.min(axis=0))
            b[:, 2] = ends.max(axis=0) + 1e-12 * np.abs(ends.max(axis=0))
    return np.where(beyond, np.minimum(a, 0), a), np.where(beyond, np.maximum(b, 0), b)
