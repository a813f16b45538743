"""What a reader hands over, and the flight log made of it: one way for all formats.

A reader gives each quantity at its own times, in SI and our frames, and says what the file does
not hold and what it left out. Here the quantities come onto one row of times, thrust follows from
the command where the vehicle's law is known, and contact from height where nothing better tells.
Nothing else is added.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.contact import may_touch
from neural_lander.controller.flight_log import QUANTITIES, FlightLog, check_columns
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.resampling import Joined, Track, join

Array = npt.NDArray[np.float64]

NEEDED = ("position", "velocity", "attitude", "rate")
"""Quantities without which there is no flight log."""

COMMANDS = ("rotor_thrust_command", "rotor_command", "thrust_command")
"""Quantities that decide the rows of a log too, where they were logged."""


@dataclass(frozen=True)
class Recording:
    """What a file holds, as far as a flight log can use it."""

    format: str
    """Name of the format, as on the command line."""
    frame: str
    """What world, origin and time are, for people."""
    tracks: Mapping[str, Track]
    """Quantity of a flight log -> its values at its own times."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Quantity that the file does not hold -> why."""
    dropped: tuple[str, ...] = ()
    """Damaged parts that were left out, a phrase each."""
    remarks: tuple[str, ...] = ()
    """What else a user should know, a phrase each."""
    clipped: int = 0
    """Samples of the accelerometer at its limit."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further metadata."""


def to_flight_log(recording: Recording, vehicle: Vehicle, source_name: str) -> FlightLog:
    """Turn a recording into a flight log of ``vehicle``; ``source_name`` goes into its metadata.

    Raises:
        InputError: a quantity of ``NEEDED`` has fewer than two usable rows, or they share none.
    """
    needed = (*NEEDED, *(name for name in COMMANDS if name in recording.tracks))
    absent = [name for name in NEEDED if name not in recording.tracks]
    tracks = {**recording.tracks, **{n: Track(np.empty(0), np.empty(0)) for n in absent}}
    joined = join(tracks, needed, source_name)
    columns = joined.columns
    missing = dict(recording.missing)
    _add_thrust(columns, missing, vehicle)
    if "contact" not in columns and "height" in columns:
        columns["contact"] = may_touch(vehicle, columns["height"], columns["attitude"]).astype(
            np.float64
        )
    for name in ("rotor_thrust_command", "rotor_speed", "height", "contact", "specific_force"):
        if name not in columns:
            missing.setdefault(name, "not in the log")
    columns = {name: columns[name] for name in QUANTITIES if name in columns}
    check_columns(columns, source_name)
    return FlightLog(columns, _metadata(recording, joined, missing, vehicle, source_name))


def _add_thrust(columns: dict[str, Array], missing: dict[str, str], vehicle: Vehicle) -> None:
    """Add the thrust of each rotor where command, battery and the vehicle's law are known.

    A rotor without command stands, and none pulls.
    """
    if "rotor_thrust_command" in columns:
        missing.pop("rotor_thrust_command", None)
        return
    command, battery, law = columns.get("rotor_command"), columns.get("battery"), vehicle.thrust_law
    if command is None:
        missing.setdefault("rotor_thrust_command", "the commands of the rotors were not logged")
    elif law is None:
        missing["rotor_thrust_command"] = (
            f"vehicle '{vehicle.name}' has no [thrust_law] to turn commands into thrust"
        )
    elif battery is None:
        missing["rotor_thrust_command"] = (
            "the thrust law asks for the battery, which was not logged"
        )
    else:
        thrust = law.thrust(command, battery)
        columns["rotor_thrust_command"] = np.where(command > 0, np.maximum(thrust, 0), 0)


def _metadata(
    recording: Recording,
    joined: Joined,
    missing: Mapping[str, str],
    vehicle: Vehicle,
    source_name: str,
) -> dict[str, Any]:
    return {
        "vehicle": vehicle.name,
        "vehicle_digest": vehicle.digest,
        "source": source_name,
        "format": recording.format,
        "frame": recording.frame,
        "rest_height_m": vehicle.rest_height,
        "missing": dict(missing),
        "dropped_rows": joined.dropped_rows,
        "dropped": [*recording.dropped, *joined.notes],
        "remarks": list(recording.remarks),
        "clipped_samples": recording.clipped,
        **recording.more,
    }
