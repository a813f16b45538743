"""How much the rotors really push, from the balance of momentum far from the ground.

    m (change of v_z + g t) = s (1 + ground effect) * integral of T (R e3)_z dt

over every far run. T is the thrust by the vehicle's file, from measured rotor speed (k_f Omega^2)
or from the command, late as it is; s is what the file's law must be multiplied by. A file without
law for its commands gets one, in PWM share p and battery share v, of as few of the terms

    f = c00 + c10 p + c01 v + c20 p^2 + c11 p v

as predict the flights left out best. Flight shows thrust over mass alone: the mass is the file's.
What the ground may still add at these heights lies between nothing and ``GROUND_EFFECT`` over the
height in radii: half of that is taken off the thrust, and half added to the interval.

Source: momentum balance; terms as in Shi et al., "Neural-Swarm", ICRA 2020.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.free_flight import GROUND_EFFECT, Stretch, impulse, integral
from neural_lander.learning.identify_response import followed
from neural_lander.learning.intervals import grouped, linear, ratio

Array = npt.NDArray[np.float64]

PIECE = 1.0
"""A law is fitted to momentum over pieces of runs about so long [s]."""

TERMS: tuple[tuple[int, ...], ...] = ((3,), (1, 3), (3, 4), (1, 3, 4), (0, 1, 2, 3, 4))
"""Sets of terms that a law may have, fewest first; of c00, c10, c01, c20, c11."""


@dataclass(frozen=True)
class Level:
    """What the thrust by the file must be multiplied by."""

    scale: float
    half_width: float
    """Of the 95 % interval, the ground's share included."""
    ground: float
    """The ground's share of the half-width."""
    by_flight: tuple[float, ...]
    """Scale of each flight that was far from the ground."""


def thrust_level(parts: Sequence[Stretch], thrusts: Sequence[Array], vehicle: Vehicle) -> Level:
    """Return the scale of ``thrusts``, those of all rotors together by the file (n,) [N]."""
    runs = [(i, rows) for i, p in enumerate(parts) for rows in p.far]
    gained = np.array([impulse(parts[i], rows, vehicle.mass)[2] for i, rows in runs])
    pushed = np.array(
        [integral(thrusts[i] * parts[i].axis[:, 2], rows, parts[i].step) for i, rows in runs]
    )
    flights = np.array([parts[i].flight for i, _ in runs])
    found = ratio(gained, pushed, grouped(flights.tolist()))
    ground = _ground_share(parts) / 2
    scale = found.value / (1 + ground)
    half = found.half_width + ground * scale
    by_flight = [
        gained[flights == f].sum() / pushed[flights == f].sum() / (1 + ground)
        for f in sorted(set(flights.tolist()))
    ]
    return Level(float(scale[0]), float(half[0]), float((ground * scale)[0]), tuple(by_flight))


def _ground_share(parts: Sequence[Stretch]) -> float:
    """Return what the ground adds at most, in the mean over the far runs [share of thrust]."""
    radii = np.concatenate([p.radii[rows] for p in parts for rows in p.far])
    return GROUND_EFFECT * float(np.mean(1 / radii))


@dataclass(frozen=True)
class Law:
    """A thrust law found from nothing."""

    coefficients: Array
    """c00, c10, c01, c20, c11 (5,) [N]."""
    full_voltage: float
    """Battery voltage at v = 1: the highest one seen [V]."""
    hover: tuple[float, float]
    """Share of PWM and battery voltage at which the interval holds [1, V]."""
    thrust: tuple[float, float]
    """Thrust of one rotor there, and its 95 % half-width [N]."""


def fitted_law(
    parts: Sequence[Stretch], lag: float, latency: float, vehicle: Vehicle
) -> Law | None:
    """Return a law for commands and battery; None where no increasing one can be had."""
    full = max(float(p.columns["battery"].max()) for p in parts)
    terms = [_terms(p, full, lag, latency) for p in parts]
    pieces = [(i, rows) for i, p in enumerate(parts) for run in p.far for rows in _cut(run, p.step)]
    design = np.stack(
        [integral(terms[i] * parts[i].axis[:, 2, None], rows, parts[i].step) for i, rows in pieces]
    )[:, None, :]
    target = np.array([impulse(parts[i], rows, vehicle.mass)[2] for i, rows in pieces])[:, None]
    groups = grouped([parts[i].flight for i, _ in pieces])
    rows = [
        (p.columns["rotor_command"][r].mean(axis=1), p.columns["battery"][r] / full)
        for p in parts
        for r in p.far
    ]
    share, battery = (np.concatenate(column) for column in zip(*rows, strict=True))
    best: tuple[float, tuple[int, ...]] | None = None
    for chosen in TERMS:
        some = design[:, :, list(chosen)]
        found = linear(some, target, groups)
        if _increases(_all(found.value, chosen), share, battery):
            error = sum(
                float(np.sum((target[g] - some[g] @ without) ** 2))
                for g, without in zip(groups, found.without, strict=True)
            )
            best = min(best, (error, chosen)) if best else (error, chosen)
    if best is None:
        return None
    chosen = best[1]
    found = linear(design[:, :, list(chosen)], target, groups)
    ground = _ground_share(parts) / 2
    p, v = float(share.mean()), float(battery.mean())
    at = np.array([1.0, p, v, p * p, p * v])[None, list(chosen)]
    hover = found.combined(at / (1 + ground))
    half = float(hover.half_width[0]) + ground * float(hover.value[0])
    return Law(
        _all(found.value, chosen) / (1 + ground), full, (p, v * full), (float(hover.value[0]), half)
    )


def _terms(part: Stretch, full: float, lag: float, latency: float) -> Array:
    """Return each term summed over the rotors (n, 5), as late as thrust is."""
    p, v = part.columns["rotor_command"], part.columns["battery"][:, None] / full
    each = np.stack([np.ones_like(p), p, v + 0 * p, p * p, p * v], axis=-1).sum(axis=1)
    return followed(each, part.step, lag, latency)


def _cut(run: slice, step: float) -> list[slice]:
    """Cut a run into equal pieces of about ``PIECE``."""
    count = max(1, round((run.stop - run.start) * step / PIECE))
    edges = np.linspace(run.start, run.stop - 1, count + 1).round().astype(int)
    return [slice(a, b + 1) for a, b in pairwise(edges.tolist())]


def _all(values: Array, chosen: Sequence[int]) -> Array:
    coefficients = np.zeros(5)
    coefficients[list(chosen)] = values
    return coefficients


def _increases(coefficients: Array, share: Array, battery: Array) -> bool:
    """Whether more command gives more thrust, and none is negative, wherever it was flown."""
    c00, c10, c01, c20, c11 = coefficients
    slope = c10 + 2 * c20 * share + c11 * battery
    value = c00 + c10 * share + c01 * battery + c20 * share**2 + c11 * share * battery
    return bool(np.all(slope > 0) and np.all(value > 0))
