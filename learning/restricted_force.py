"""The learned force restricted to what it mostly is: phi(z, v_z, T) in R^3, level, at any heading.

    phi(z, v_z, T) = R_heading f(height z, velocity (0, 0, v_z), attitude upright, four rotors at T/4)

What the network says beyond that (attitude, sideways speed, differences between rotors) counts as
an error of the force. A network whose force turns with the vehicle may stand at any heading: along
a flight of constant heading a sideways slope is the same mixture of the two sideways slopes, so
that each world axis has at most sqrt(|a_x|^2 + |a_y|^2), of either sign.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from neural_lander.controller.force_slopes import ForceSlopes
from neural_lander.controller.loop_model import Interval
from neural_lander.controller.network import Network
from neural_lander.learning.level_force import PIECES, LevelForce, bound_box, restricted_layers
from neural_lander.learning.slopes import Layers, tangents_at

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RestrictedForce:
    """phi(z, v_z, T) of one network, all three components."""

    layers: Layers
    """Weights and biases; inputs height [m], vertical speed [m/s], and thrust [N] or speed."""
    low: Array
    """(3,) The network is flat below these values of its inputs."""
    high: Array
    """(3,) And above these."""
    k_f: float | None
    """Thrust over squared rotor speed where the third input is that speed [N s^2]; else None."""
    turns: bool
    """Whether the force turns with the vehicle's heading, so that every heading is meant."""
    found: dict[tuple[float, ...], ForceSlopes] = field(default_factory=dict)
    """Slopes bounded before, by box and effort."""

    @staticmethod
    def of(network: Network) -> "RestrictedForce":
        """Restrict a network to level flight.

        Raises:
            InputError: it takes both collective thrust and rotor speed.
        """
        return RestrictedForce(*restricted_layers(network), turns=network.frame == "heading")

    def scaled(self, factor: float) -> "RestrictedForce":
        """Return ``factor`` times this force."""
        weight, bias = self.layers[-1]
        layers = [*self.layers[:-1], (factor * weight, factor * bias)]
        return RestrictedForce(layers, self.low, self.high, self.k_f, self.turns)

    def vertical(self) -> LevelForce:
        """Return the vertical component alone."""
        weight, bias = self.layers[-1]
        layers = [*self.layers[:-1], (weight[2:3], bias[2:3])]
        return LevelForce(layers, self.low, self.high, self.k_f)

    def _inputs(self, height: Array, speed: Array, thrust: Array) -> Array:
        third = np.asarray(thrust, dtype=np.float64)
        if self.k_f is not None:
            third = np.sqrt(np.maximum(third, 0) / (4 * self.k_f))
        return np.stack(np.broadcast_arrays(height, speed, third), axis=-1)

    def force(self, height: Array, speed: Array, thrust: Array) -> Array:
        """Return the force (..., 3) [N] at heading 0."""
        y = np.clip(self._inputs(height, speed, thrust), self.low, self.high)
        for weight, bias in self.layers[:-1]:
            y = np.maximum(y @ weight.T + bias, 0)
        return np.asarray(y @ self.layers[-1][0].T + self.layers[-1][1])

    def tangents(self, height: Array, speed: Array, thrust: Array) -> Array:
        """Return the slopes (..., 3, 3) of x, y, z in height, speed, thrust, inside the clamps."""
        u = self._inputs(height, speed, thrust)
        slopes = tangents_at(self.layers, u)
        if self.k_f is not None:
            slopes[..., 2] /= 8 * self.k_f * u[..., None, 2]
        return slopes

    def slopes(
        self,
        height: Interval,
        speed: Interval,
        thrust: Interval,
        relative_gap: float = 0.03,
        max_boxes: int = 4000,
    ) -> ForceSlopes:
        """Return intervals that hold every tangent and secant of the force over a box."""
        key = (*height, *speed, *thrust, relative_gap, float(max_boxes))
        if key not in self.found:
            ends = np.linspace(*thrust, (1 if self.k_f is None else PIECES) + 1)
            ends[0], ends[-1] = thrust
            parts = [
                bound_box(self, np.array([height, speed, (a, b)]), relative_gap, max_boxes)
                for a, b in pairwise(ends)
            ]
            lower = np.min([p[0] for p in parts], axis=0)
            upper = np.max([p[1] for p in parts], axis=0)
            if self.turns:
                size = np.maximum(np.abs(lower), np.abs(upper))
                sideways = np.hypot(size[0], size[1]) * (1 + 1e-12)
                lower[:2], upper[:2] = -sideways, sideways
            self.found[key] = ForceSlopes(lower, upper)
        return self.found[key]

    def sideways(
        self, height: Interval, speed: Interval, thrust: Interval, parts: int = 1
    ) -> Array:
        """Return bounds (2,) of the force along x and y over a box [N], cut into ``parts`` a side."""
        box = np.array([height, speed, thrust])
        slopes = self.slopes(height, speed, thrust, 0.3, 500)
        half = (box[:, 1] - box[:, 0]) / 2 / parts
        sides = [np.linspace(a + r, b - r, parts) for (a, b), r in zip(box, half, strict=True)]
        centre = self.force(*np.meshgrid(*sides, indexing="ij")).reshape(-1, 3)
        reach = slopes.magnitude @ half
        force = (np.abs(centre).max(axis=0) + reach)[:2]
        if self.turns:
            force = np.full(2, np.hypot(centre[:, 0], centre[:, 1]).max() + reach[0])
        return np.asarray(force)
