"""Keeps what a landing controller saw and did in somebody else's simulator, as a flight log.

    flight = Recorder(pilot)                    # in the place of the pilot
    ... thrusts = flight.step(state, time) ...
    write_flight_log(Path("flights/one.parquet"), flight.log())

What it writes is what ``train``, ``identify``, ``evaluate`` and ``inspect`` read.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.onboard import LandingController, State

Array = npt.NDArray[np.float64]

OF_THE_LAW = (
    "setpoint_position",
    "setpoint_velocity",
    "force_command",
    "learned_force",
    "observer_force",
    "solver_iterations",
    "solver_residual",
    "solver_ok",
    "contact",
    "phase",
)
"""Quantities that the record of the law has by the same name."""


class Recorder:
    """A pilot that remembers every step it took."""

    def __init__(self, pilot: LandingController, source: str = "onboard") -> None:
        """Record ``pilot`` from its next step on; ``source`` says in the log where it was flown."""
        self.pilot, self.source = pilot, source
        self._rows: list[dict[str, Any]] = []

    def step(self, state: State, time: float) -> Array:
        """Do what ``LandingController.step`` does, and remember it."""
        thrusts = self.pilot.step(state, time)
        record, vehicle = self.pilot.record, self.pilot.vehicle
        standing = vehicle.rest_height
        row: dict[str, Any] = {
            name: np.array(record[name], dtype=np.float64) for name in OF_THE_LAW
        }
        row |= {
            "time": np.float64(time),
            "position": state.position,
            "velocity": state.velocity,
            "attitude": state.attitude,
            "rate": state.rate,
            "rotor_thrust_command": thrusts,
            "height": state.position[2] - standing if state.height is None else state.height,
            "reference_height": row["setpoint_position"][2] - standing,
            "monitor": np.float64(record["event"]),
        }
        if state.rotor_thrust is not None:
            row["rotor_speed"] = np.sqrt(state.rotor_thrust / vehicle.rotors.k_f)
        if state.specific_force is not None:
            turn = Rotation.from_quat(state.attitude)
            row["specific_force"] = turn.apply(np.array(state.specific_force))
        self._rows.append(row)
        return thrusts

    def log(self, **metadata: Any) -> FlightLog:
        """Return the flight so far, time counted from its first step; ``metadata`` joins its own.

        Rotor speeds and specific force are left out where some step had none.

        Raises:
            InputError: fewer than two steps were taken.
        """
        if len(self._rows) < 2:
            raise InputError(f"{len(self._rows)} steps were recorded, expected at least 2")
        names = set.intersection(*({*row} for row in self._rows))
        columns = {name: np.array([row[name] for row in self._rows]) for name in sorted(names)}
        columns["time"] = columns["time"] - columns["time"][0]
        pilot = self.pilot
        certified = None if pilot.model is None else pilot.certificate is not None
        about = {
            "vehicle": pilot.vehicle.name,
            "vehicle_digest": pilot.vehicle.digest,
            "source": self.source,
            "frame": "world ENU, body FLU, quaternion xyzw",
            "rest_height_m": pilot.vehicle.rest_height,
            "controller": pilot.controller,
            "reference": pilot.reference,
            "model": pilot.model,
            "certified": certified,
            "hover_s": pilot.hover,
        }
        return FlightLog(columns, about | metadata)
