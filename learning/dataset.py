"""Several labelled flights made into one data set, split so that judging it is fair.

Rows of one flight resemble each other: a network judged on rows of a flight it has seen looks far
better than it is. So whole flights are kept apart, in turns, until each was unseen once; of a
single flight, blocks of time, with a gap on both sides of each.

The inputs are dimensionless, so that one unit of each is one unit of physics:

    height / rotor radius,  speed / induced velocity in hover,  thrust / weight - 1,
    rotor speed / rotor speed in hover

and one number bounds the slope in all of them. Inputs are held at the envelope, the range flown.
Velocity, attitude and force are learned in the vehicle's heading frame: what the vehicle's own
asymmetry does turns with it.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog, read_flight_log
from neural_lander.controller.network import Network, NetworkInput, to_heading
from neural_lander.controller.residual import ResidualInput
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.labels import CUTOFF, Labels, raw_labels, smoothed

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
InputSet = Literal["level", "full"]

FRAME: Literal["heading"] = "heading"
"""Axes in which velocity, attitude and force are learned."""

BLOCKS = 10
"""A single flight is cut into this many blocks of equal time."""

GUARD = 0.5
"""Rows of a single flight closer than this to a block of the other kind are left out [s]."""


@dataclass(frozen=True)
class LabelledFlight:
    """One flight, or a part of it."""

    name: str
    """Stem of the log's file name."""
    log: FlightLog
    raw: Labels
    """Unfiltered labels, for scores."""
    smooth: Labels
    """Filtered labels, to learn from."""

    def behind(self, cutoff_hz: float) -> "LabelledFlight":
        """Return the flight with labels behind another low pass."""
        return replace(self, smooth=smoothed(self.raw, cutoff_hz))

    def during(self, keep: "Blocks") -> "LabelledFlight":
        """Return the part of the flight that lies in blocks of time."""
        return replace(
            self,
            raw=self.raw.rows(keep.holds(self.raw.time)),
            smooth=self.smooth.rows(keep.holds(self.smooth.time)),
        )


@dataclass(frozen=True)
class Blocks:
    """A choice of equal blocks of the time from ``start`` to ``end`` [s]."""

    start: float
    end: float
    chosen: frozenset[int]
    """Numbers of the blocks, 0 to BLOCKS - 1."""
    guard: float
    """Distance kept from blocks that are not chosen [s]."""

    def holds(self, time: Array) -> Mask:
        """Return whether times (n,) [s] lie in a chosen block, clear of the others."""
        length = (self.end - self.start) / BLOCKS

        def chosen(t: Array) -> Mask:
            number = np.clip(((t - self.start) / length).astype(int), 0, BLOCKS - 1)
            return np.isin(number, list(self.chosen))

        return chosen(time) & chosen(time - self.guard) & chosen(time + self.guard)


@dataclass(frozen=True)
class Split:
    """What is learned from, and what judges it."""

    train: tuple[LabelledFlight, ...]
    validation: tuple[LabelledFlight, ...]


@dataclass(frozen=True)
class Samples:
    """Valid rows of several flights, one after the other."""

    state: ResidualInput
    force: Array
    """Residual force (n, 3) [N]."""
    flight: npt.NDArray[np.int64]
    """Number of the flight of each row (n,)."""


def label_flights(
    paths: Sequence[Path], vehicle: Vehicle, cutoff_hz: float = CUTOFF
) -> list[LabelledFlight]:
    """Read and label flights.

    Raises:
        InputError: a log cannot be read or used, or two have the same name.
    """
    flights: list[LabelledFlight] = []
    for path in paths:
        if any(f.name == path.stem for f in flights):
            raise InputError(f"{path}: a second flight called {path.stem}; rename one of them")
        log = read_flight_log(path)
        try:
            raw = raw_labels(log, vehicle)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        flights.append(LabelledFlight(path.stem, log, raw, smoothed(raw, cutoff_hz)))
    return flights


def held_out_splits(flights: Sequence[LabelledFlight], folds: int, seed: int) -> list[Split]:
    """Keep a random part of the flights apart, in turns, so that each flight is unseen once.

    With no more flights than ``folds`` each is left out alone.

    Raises:
        InputError: less than two folds, or a single flight is too short to be cut.
    """
    if folds < 2:
        raise InputError(
            f"folds is {folds}, expected 2 or more: one part judges, one is learned from"
        )
    generator = np.random.default_rng(seed)
    if len(flights) == 1:
        parts = np.array_split(generator.permutation(BLOCKS), min(folds, BLOCKS))
        return [_split_one(flights[0], frozenset(part.tolist())) for part in parts]
    parts = np.array_split(generator.permutation(len(flights)), min(folds, len(flights)))
    return [
        Split(
            tuple(f for i, f in enumerate(flights) if i not in part),
            tuple(f for i, f in enumerate(flights) if i in part),
        )
        for part in parts
    ]


def _split_one(flight: LabelledFlight, apart: frozenset[int]) -> Split:
    start, end = float(flight.raw.time[0]), float(flight.raw.time[-1])
    train = flight.during(Blocks(start, end, frozenset(range(BLOCKS)) - apart, GUARD))
    validation = flight.during(Blocks(start, end, apart, 0.0))
    if not (train.smooth.valid.any() and validation.smooth.valid.any()):
        raise InputError(
            f"{flight.name}: {end - start:.1f} s of one flight are too short to learn from one part"
            " and judge by another; give at least two flights"
        )
    blocks = ", ".join(str(block) for block in sorted(apart))
    return Split((train,), (replace(validation, name=f"{flight.name}, blocks {blocks}"),))


def samples(flights: Sequence[LabelledFlight], every: int = 1) -> Samples:
    """Return the valid rows of the filtered labels of ``flights``; of each, every ``every``-th."""
    rows = [np.flatnonzero(f.smooth.valid)[::every] for f in flights]
    parts = [(f.smooth, keep) for f, keep in zip(flights, rows, strict=True)]
    state = ResidualInput(
        np.concatenate([labels.height[keep] for labels, keep in parts]),
        np.concatenate([labels.velocity[keep] for labels, keep in parts]),
        np.concatenate([labels.attitude[keep] for labels, keep in parts]),
        np.concatenate([labels.rotor_thrust[keep] for labels, keep in parts]),
    )
    force = np.concatenate([labels.force[keep] for labels, keep in parts])
    flight = np.repeat(np.arange(len(flights)), [len(keep) for keep in rows])
    return Samples(state, force, flight)


def network_inputs(kind: InputSet, vehicle: Vehicle) -> tuple[NetworkInput, ...]:
    """Return the dimensionless inputs, not yet held at any envelope."""
    height = NetworkInput("height", "m", 1 / vehicle.rotors.radius, 0.0)
    per_speed = 1 / vehicle.induced_velocity
    if kind == "level":
        return (
            height,
            NetworkInput("vertical_speed", "m/s", per_speed, 0.0),
            NetworkInput("collective_thrust", "N", 1 / vehicle.weight, -1.0),
        )
    if kind == "full":
        hover = math.sqrt(vehicle.weight / len(vehicle.rotors.spins) / vehicle.rotors.k_f)
        return (
            height,
            NetworkInput("velocity_world", "m/s", per_speed, 0.0),
            NetworkInput("quaternion_xyzw", "1", 1.0, 0.0),
            NetworkInput("rotor_speed", "rad/s", 1 / hover, -1.0),
        )
    raise InputError(f"inputs are {kind!r}, expected 'level' or 'full'")


def held_at_envelope(
    inputs: Sequence[NetworkInput], state: ResidualInput, vehicle: Vehicle
) -> tuple[NetworkInput, ...]:
    """Return the inputs held at the least and greatest value that ``state`` (n rows) contains."""
    held = []
    for entry in inputs:
        plain = replace(entry, scale=1.0, offset=0.0)
        values = features((plain,), state, vehicle)
        held.append(replace(entry, low=float(values.min()), high=float(values.max())))
    return tuple(held)


def features(inputs: Sequence[NetworkInput], state: ResidualInput, vehicle: Vehicle) -> Array:
    """Return what the first layer sees (n, inputs), by the code that computes it in flight."""
    inputs, k_f = tuple(inputs), vehicle.rotors.k_f
    return Network((), (), inputs, vehicle.weight, k_f, vehicle.name, FRAME).features(state)


def targets(part: Samples, vehicle: Vehicle) -> Array:
    """Return what the last layer should give (n, 3): force over weight in the heading frame."""
    return to_heading(part.state.attitude, part.force) / vehicle.weight


def measured_digest(log: FlightLog) -> str:
    """Return the SHA-256 of the measured columns of a log: what a simulator knows is left out."""
    text = hashlib.sha256()
    for name, values in sorted(measured(log).items()):
        text.update(f"{name} {values.shape}".encode() + np.ascontiguousarray(values).tobytes())
    return text.hexdigest()


def measured(log: FlightLog) -> Mapping[str, Array]:
    """Return the columns that the vehicle measured or commanded itself."""
    return {k: v for k, v in log.columns.items() if not k.startswith("truth_")}
