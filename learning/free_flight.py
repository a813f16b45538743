"""The parts of a flight in which nothing but air, rotors and weight moves the vehicle.

Stretches of a log without gaps come onto a uniform grid of the log's own median step. In them, a
*run* is flown with motors on and nothing touching. A *far* run stays, besides, so many rotor radii
above the surface that the ground's force is small and bounded: ``FAR`` and ``GROUND_EFFECT``. In a
*clear* run, from ``CLEAR`` on, it may be larger, but goes with height so slowly that a straight
line takes it up.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from neural_lander.controller.contact import may_touch
from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.vehicle import GRAVITY, Vehicle

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FAR = 8.0
"""Rotor discs of a far run are at least so many rotor radii over the surface."""

CLEAR = 5.0
"""The same of a clear run."""

GROUND_EFFECT = 0.15
"""Rotor radii over disc height, times this, is what the ground may still add to thrust [share].

The network published with the Neural Lander paper has 1.6 % of weight at 8.7 radii; the textbook
(Cheeseman and Bennett, one rotor) 0.1 %. The truth is taken to lie between nothing and this.
"""

LONGEST_GAP = 0.05
"""Longer steps in time cut a flight, or longer than 2.5 steps of a slow log [s]."""

SHORTEST = 0.6
"""Shorter runs are left out: their speeds at both ends are too noisy for what is between [s]."""

LONGEST = 10.0
"""Longer runs are cut, so that few flights too give several pieces to compare [s]."""

SETTLE = 0.4
"""Time after the start of a stretch in which the rotors' state is not known yet [s]."""

MOTORS_OFF = 0.02
"""Less command than this share of hover means that the motors are off."""

COLUMNS = (
    "velocity",
    "attitude",
    "rate",
    "height",
    "contact",
    "rotor_speed",
    "rotor_thrust_command",
    "rotor_command",
    "thrust_command",
    "specific_force",
    "battery",
)
"""Quantities that identification reads, where a log has them."""


@dataclass(frozen=True)
class Stretch:
    """A part of a flight without gaps, on a uniform grid of n times."""

    flight: int
    """Number of the flight."""
    step: float
    """Time between two rows [s]."""
    columns: Mapping[str, Array]
    """Quantities of the log (n, ...) in its units."""
    axis: Array
    """Body z in the world frame, the direction of thrust (n, 3)."""
    radii: Array
    """Height of the rotor discs over the surface (n,) [rotor radii]."""
    runs: tuple[slice, ...]
    """Rows flown, with nothing touching."""
    clear: tuple[slice, ...]
    """Rows flown clear of the surface."""
    far: tuple[slice, ...]
    """Rows flown far from it."""

    def seconds(self, runs: Iterable[slice]) -> float:
        """Return how long ``runs`` last together [s]."""
        return float(sum(rows.stop - rows.start - 1 for rows in runs) * self.step)


def stretches(logs: Sequence[FlightLog], vehicle: Vehicle) -> list[Stretch]:
    """Return the usable stretches of some flights.

    Raises:
        InputError: a flight is of another vehicle, or does not say how high it is.
    """
    found: list[Stretch] = []
    for number, log in enumerate(logs):
        name = log.metadata.get("vehicle", vehicle.name)
        if name != vehicle.name:
            raise InputError(f"flight {number + 1} is of vehicle {name!r}, not of {vehicle.name!r}")
        log.require(("height", "contact"), "to tell flight away from the ground")
        step = float(np.median(np.diff(log["time"])))
        longest = max(LONGEST_GAP, 2.5 * step)
        edges = np.flatnonzero(np.diff(log["time"]) > longest) + 1
        for first, last in pairwise([0, *edges.tolist(), len(log)]):
            if log["time"][last - 1] - log["time"][first] > SETTLE + SHORTEST:
                found.append(_stretch(log.rows(slice(first, last)), number, step, vehicle))
    return found


def _stretch(log: FlightLog, number: int, step: float, vehicle: Vehicle) -> Stretch:
    time = log["time"]
    grid = time[0] + np.arange(int((time[-1] - time[0]) / step + 1e-6) + 1) * step
    columns = {name: _on(grid, time, log[name], name) for name in COLUMNS if name in log}
    columns["attitude"] /= np.linalg.norm(columns["attitude"], axis=1, keepdims=True)
    axis = Rotation.from_quat(columns["attitude"]).apply([0.0, 0.0, 1.0])
    disc = float(vehicle.rotors.positions[:, 2].mean())
    radii = (columns["height"] + vehicle.rest_height + disc) / vehicle.rotors.radius
    touching = (columns["contact"] > 0) | may_touch(vehicle, columns["height"], columns["attitude"])
    flying = _motors_on(columns, vehicle) & ~touching
    flying[: round(SETTLE / step)] = False
    kinds = (flying, flying & (radii >= CLEAR), flying & (radii >= FAR))
    return Stretch(
        number, step, columns, axis, radii, *(tuple(_runs(kept, step)) for kept in kinds)
    )


def _on(grid: Array, time: Array, values: Array, name: str) -> Array:
    """Bring a quantity onto the grid by straight lines; a quaternion's sign may jump."""
    table = values.reshape(len(time), -1)
    if name == "attitude":
        flip = np.where(np.sum(table[1:] * table[:-1], axis=1) < 0, -1.0, 1.0)
        table = table * np.concatenate([[1.0], np.cumprod(flip)])[:, None]
    result = np.stack([np.interp(grid, time, column) for column in table.T], axis=1)
    return result.reshape(len(grid), *values.shape[1:])


def _motors_on(columns: Mapping[str, Array], vehicle: Vehicle) -> Mask:
    """Return where the rotors are driven (n,); a log that does not say is taken to fly."""
    if "rotor_thrust_command" in columns:
        drive = columns["rotor_thrust_command"].sum(axis=1) / vehicle.weight
    elif "rotor_command" in columns:
        drive = columns["rotor_command"].mean(axis=1)
    elif "thrust_command" in columns:
        drive = columns["thrust_command"] / vehicle.weight
    else:
        drive = np.ones(len(columns["height"]))
    return np.asarray(drive > MOTORS_OFF)


def _runs(keep: Mask, step: float) -> Iterator[slice]:
    """Yield the kept rows in pieces of at most ``LONGEST``; short ones are left out."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], keep, [False]]).astype(np.int8)))
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        pieces = max(1, int(np.ceil((stop - start) * step / LONGEST)))
        for first, last in pairwise(np.linspace(start, stop, pieces + 1).round().astype(int)):
            if (last - first - 1) * step >= SHORTEST:
                yield slice(int(first), int(last))


def integral(values: Array, rows: slice, step: float) -> Array:
    """Return the integral over a run, by trapezes; ``values`` is (n, ...)."""
    return np.asarray(np.trapezoid(values[rows], dx=step, axis=0))


def change(values: Array, rows: slice) -> Array:
    """Return by how much a quantity changed over a run; ``values`` is (n, ...)."""
    return np.asarray(values[rows.stop - 1] - values[rows.start])


def impulse(stretch: Stretch, rows: slice, mass: float) -> Array:
    """Return what all forces but weight did over a run: m (change of v + g t e3), world [N s]."""
    time = (rows.stop - rows.start - 1) * stretch.step
    gained = change(stretch.columns["velocity"], rows)
    return np.asarray(mass * (gained + np.array([0.0, 0.0, GRAVITY * time])))
