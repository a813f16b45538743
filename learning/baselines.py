"""What anybody could write down: models of the ground effect that a network has to beat.

    zero                        the known physics alone
    cheeseman-bennett           f = T (1 / (1 - (R / 4 z)^2) - 1), R the rotor's radius
    cheeseman-bennett fitted    the same, R fitted
    exponential                 f = A exp(-h / l), A and l fitted
    boosting                    boosted trees over the network's own inputs

z is the height of the rotor discs over the ground, h that of the vehicle above standing. A constant
of each flight is a nuisance in every fit, as it is for the network.

Source: Cheeseman, Bennett, ARC R&M 3021, 1955.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from neural_lander.controller.ground_effect_formula import cheeseman_bennett
from neural_lander.controller.residual import ResidualInput, ResidualModel, ZeroResidual
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.boosting import fit_boosted_trees
from neural_lander.learning.dataset import (
    InputSet,
    LabelledFlight,
    Samples,
    features,
    network_inputs,
    samples,
    targets,
)

Array = npt.NDArray[np.float64]

FITTED_RADII = (0.2, 12.0)
"""Limits of the fitted radius, in rotor radii."""

FITTED_LENGTHS = (0.2, 30.0)
"""Limits of the fitted length, in rotor radii."""

NAMES = ("zero", "cheeseman-bennett", "cheeseman-bennett fitted", "exponential", "boosting")
"""The baselines, in the order they are shown."""


@dataclass(frozen=True)
class GroundEffectLaw:
    """Thrust gained over ground by the textbook's law. Implements ``ResidualModel``."""

    vehicle: Vehicle
    radius: float
    """Effective radius [m]."""

    def force(self, state: ResidualInput) -> Array:
        """Return the force in the world frame (n, 3) [N]."""
        z = np.atleast_1d(state.height) + disc_height(self.vehicle)
        gain = np.array([cheeseman_bennett(float(each), self.radius) for each in z])
        return _upward(np.asarray(state.rotor_thrust).sum(axis=-1) * (gain - 1))


@dataclass(frozen=True)
class Exponential:
    """A force that dies out with height. Implements ``ResidualModel``."""

    amplitude: float
    """Vertical force when standing [N]."""
    length: float
    """Height over which it falls to 1/e [m]."""

    def force(self, state: ResidualInput) -> Array:
        """Return the force in the world frame (n, 3) [N]."""
        return _upward(self.amplitude * np.exp(-np.asarray(state.height) / self.length))


def disc_height(vehicle: Vehicle) -> float:
    """Return the height of the rotor discs over the ground when standing [m]."""
    return float(vehicle.rest_height + vehicle.rotors.positions[:, 2].mean())


def fit_ground_effect_law(data: Samples, vehicle: Vehicle) -> GroundEffectLaw:
    """Return the textbook's law with the radius of least squares."""

    def error(radius: float) -> float:
        up = GroundEffectLaw(vehicle, radius).force(data.state)[:, 2]
        return float(np.sum(_without_constants(data.force[:, 2] - up, data) ** 2))

    low, high = (share * vehicle.rotors.radius for share in FITTED_RADII)
    return GroundEffectLaw(vehicle, _least(error, low, high))


def fit_exponential(data: Samples, vehicle: Vehicle) -> Exponential:
    """Return the exponential of least squares."""
    y = _without_constants(data.force[:, 2], data)

    def fitted(length: float) -> tuple[float, float]:
        shape = _without_constants(np.exp(-data.state.height / length), data)
        amplitude = float(shape @ y / max(float(shape @ shape), 1e-300))
        return amplitude, float(np.sum((y - amplitude * shape) ** 2))

    low, high = (share * vehicle.rotors.radius for share in FITTED_LENGTHS)
    length = _least(lambda each: fitted(each)[1], low, high)
    return Exponential(fitted(length)[0], length)


def fit_baselines(
    flights: Sequence[LabelledFlight], vehicle: Vehicle, inputs: InputSet, every: int = 1
) -> dict[str, ResidualModel]:
    """Return every baseline by name, fitted to every ``every``-th label of ``flights``."""
    data = samples(flights, every)
    entries = network_inputs(inputs, vehicle)
    x, y = features(entries, data.state, vehicle), targets(data, vehicle)[:, 2]
    models: tuple[ResidualModel, ...] = (
        ZeroResidual(),
        GroundEffectLaw(vehicle, vehicle.rotors.radius),
        fit_ground_effect_law(data, vehicle),
        fit_exponential(data, vehicle),
        fit_boosted_trees(entries, x, y, data.flight, vehicle),
    )
    return dict(zip(NAMES, models, strict=True))


def parameters(model: ResidualModel) -> dict[str, float]:
    """Return what was fitted, by name with unit."""
    if isinstance(model, GroundEffectLaw):
        return {"radius_m": model.radius}
    if isinstance(model, Exponential):
        return {"amplitude_n": model.amplitude, "length_m": model.length}
    return {}


def _least(error: Callable[[float], float], low: float, high: float) -> float:
    """Return where ``error`` is least between two positive limits, sought over the logarithm."""
    grid = np.geomspace(low, high, 25)
    best = int(np.argmin([error(float(each)) for each in grid]))
    limits = np.log(grid[max(best - 1, 0)]), np.log(grid[min(best + 1, len(grid) - 1)])
    found = minimize_scalar(lambda s: error(float(np.exp(s))), bounds=limits, method="bounded")
    return float(np.exp(found.x))


def _without_constants(values: Array, data: Samples) -> Array:
    """Return ``values`` (n,) less their mean over each flight."""
    count = np.maximum(np.bincount(data.flight), 1)
    return values - (np.bincount(data.flight, values) / count)[data.flight]


def _upward(vertical: Array) -> Array:
    return np.stack([np.zeros_like(vertical), np.zeros_like(vertical), vertical], axis=-1)
