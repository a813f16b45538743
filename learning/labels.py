"""A flight log turned into labels of the residual force.

    f_a = m (v' + g e3) - T R e3        world frame [N]

m (v' + g e3) is m times the accelerometer's specific force where the log has it, else m times the
derivative of a cubic spline through the velocity estimate (zero phase). T is the sum of the rotor
thrusts: k_f Omega^2 where rotor speed was measured, else the command behind the vehicle's
first-order lag. Labels and everything they may depend on go through one and the same zero-phase
low pass: the filter is linear, so both sides of the equation stay aligned.

A label is worth having only where the air alone makes the difference. Left out are rows on which a
leg may touch, motors off, gaps in time, forces that no air makes, and the ends of each run within
the filter's reach. Runs are cut *before* they are differentiated and filtered, so no touch leaks
into the centimetres above it, and those are kept.

Sources: equation of motion, Shi et al., "Neural Lander", ICRA 2019, eq. (1)-(2); lag and limits,
Shi et al., "Neural-Swarm", ICRA 2020, and its data.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from scipy.signal import butter, sosfiltfilt
from scipy.spatial.transform import Rotation

from neural_lander.controller.contact import may_touch
from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.residual import ResidualInput
from neural_lander.controller.vehicle import GRAVITY, Vehicle

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

RATE = 100.0
"""Labels a second; of faster logs whole rows are averaged, slower ones are interpolated [Hz]."""

CUTOFF = 5.0
"""Corner of the second-order Butterworth low pass, run forwards and backwards [Hz]."""

REACH = 0.1
"""Ends of a run left out for the low pass: this share of the period of its corner. Beyond it the
filter, which mirrors a run at its ends, doubles the noise there and adds no bias."""

SPLINE_REACH = 2
"""Rows at the ends of a run where a spline's derivative is mostly noise; left out."""

LONGEST_GAP = 0.05
"""Longer steps in time cut a run [s]."""

SHORTEST_RUN = 0.3
"""Shorter runs are dropped [s]."""

LARGEST_FORCE = 0.75
"""Unfiltered labels beyond this share of weight are no air: bumps, bad packets. Several times the
greatest ground effect (about 0.2); for the large Crazyflie of Neural-Swarm it is that source's own
limit of 50 gram-force."""

MOTORS_OFF = 0.02
"""Less commanded thrust than this share of weight means that the motors are off."""


@dataclass(frozen=True)
class Labels:
    """Residual force and what it may depend on, row by row; n rows in runs without gaps."""

    time: Array
    """Time of the log (n,) [s]; steps of 1/RATE within a run."""
    run: npt.NDArray[np.int64]
    """Number of the uninterrupted run each row belongs to (n,)."""
    height: Array
    """Height above standing (n,) [m]."""
    velocity: Array
    """World velocity (n, 3) [m/s]."""
    attitude: Array
    """Quaternion xyzw, body to world (n, 4)."""
    rotor_thrust: Array
    """Thrust of each rotor (n, 4) [N]."""
    force: Array
    """Residual force in the world frame (n, 3) [N]."""
    valid: Mask
    """False within the filter's reach of the ends of a run (n,)."""

    def __len__(self) -> int:
        return len(self.time)

    @property
    def state(self) -> ResidualInput:
        """The rows as input of a residual model."""
        return ResidualInput(self.height, self.velocity, self.attitude, self.rotor_thrust)

    def rows(self, keep: Mask) -> "Labels":
        """Return the rows ``keep`` alone; a row left out cuts its run, short runs are dropped."""
        cut = np.concatenate([[True], (np.diff(self.run) != 0) | ~keep[:-1]])
        run = np.cumsum(cut)
        count = np.bincount(run[keep], minlength=run[-1] + 1 if len(run) else 1)
        keep = keep & (count[run] >= SHORTEST_RUN * RATE - 0.5)
        chosen = {f.name: getattr(self, f.name)[keep] for f in fields(self)}
        chosen["run"] = np.unique(run[keep], return_inverse=True)[1].astype(np.int64)
        return Labels(**chosen)


def residual_labels(
    log: FlightLog, vehicle: Vehicle, cutoff_hz: float = CUTOFF, largest: float = LARGEST_FORCE
) -> Labels:
    """Return low-passed labels of a flight, with inputs that went through the same filter.

    Labels beyond ``largest``, a share of weight, are left out; ``math.inf`` keeps all.

    Raises:
        InputError: no run of the flight is usable, or the filter's corner is no such frequency.
    """
    return smoothed(raw_labels(log, vehicle, largest), cutoff_hz)


def smoothed(raw: Labels, cutoff_hz: float = CUTOFF) -> Labels:
    """Return labels and inputs behind the low pass, run by run; run ends become invalid."""
    columns = (raw.height[:, None], raw.velocity, raw.attitude, raw.rotor_thrust, raw.force)
    low = low_passed(np.concatenate(columns, axis=1), raw.run, cutoff_hz)
    height, velocity, attitude, thrust, force = np.split(low, [1, 4, 8, 12], axis=1)
    attitude /= np.linalg.norm(attitude, axis=1, keepdims=True)
    valid = raw.valid.copy()
    for rows in run_slices(raw.run):
        reach = round(REACH / cutoff_hz * RATE)
        valid[rows.start : rows.start + reach] = False
        valid[max(rows.stop - reach, rows.start) : rows.stop] = False
    return Labels(raw.time, raw.run, height[:, 0], velocity, attitude, thrust, force, valid)


def low_passed(values: Array, run: npt.NDArray[np.int64], cutoff_hz: float) -> Array:
    """Low-pass rows (n, k) taken at RATE: Butterworth, second order, both ways, each run alone.

    Raises:
        InputError: the corner does not lie between 0.5 Hz and 0.4 RATE.
    """
    if not 0.5 <= cutoff_hz <= 0.4 * RATE:
        raise InputError(f"cutoff is {cutoff_hz} Hz, expected 0.5 to {0.4 * RATE:g} Hz")
    sections = butter(2, cutoff_hz, fs=RATE, output="sos")
    result = np.empty_like(values)
    for rows in run_slices(run):
        result[rows] = sosfiltfilt(sections, values[rows], axis=0, padtype="even")
    return result


def run_slices(run: npt.NDArray[np.int64]) -> Iterator[slice]:
    """Yield the rows of each run, given the run's number by row (n,)."""
    edges = np.flatnonzero(np.diff(run, prepend=-1, append=-1))
    for start, stop in pairwise(edges):
        yield slice(int(start), int(stop))


def raw_labels(log: FlightLog, vehicle: Vehicle, largest: float = LARGEST_FORCE) -> Labels:
    """Return unfiltered labels at RATE up to ``largest``, a share of weight; all of them valid.

    Raises:
        InputError: the log is of another vehicle, or no run of it is usable.
    """
    name = log.metadata.get("vehicle", vehicle.name)
    if name != vehicle.name:
        raise InputError(f"the flight is of vehicle {name!r}, not of {vehicle.name!r}")
    log.require(("rotor_thrust_command", "height", "contact"), "a label of the residual force")
    thrust = rotor_thrust(log, vehicle)
    touching = (log["contact"] > 0.5) | may_touch(vehicle, log["height"], log["attitude"])
    running = log["rotor_thrust_command"].sum(axis=1) > MOTORS_OFF * vehicle.weight
    step = float(np.median(np.diff(log["time"])))
    runs = []
    for rows in _flying_runs(log["time"], running & ~touching):
        runs.append(_label_run(log, rows, thrust, vehicle, step))
    if runs:
        number = np.repeat(np.arange(len(runs)), [len(r) for r in runs])
        joined = {
            f.name: np.concatenate([getattr(r, f.name) for r in runs]) for f in fields(Labels)
        }
        labels = Labels(**(joined | {"run": number}))
        labels = labels.rows(np.linalg.norm(labels.force, axis=1) <= largest * vehicle.weight)
    if not runs or not len(labels):
        raise InputError(
            f"no {SHORTEST_RUN} s of the flight are fit for labels: of {len(log)} rows every "
            f"{step * 1e3:.0f} ms a leg may touch on {int(touching.sum())}, motors are off on "
            f"{int((~running).sum())}, {int((np.diff(log['time']) > LONGEST_GAP).sum())} steps are "
            f"longer than {LONGEST_GAP} s, forces beyond {largest:g} of weight are dropped; log a "
            "flight in the air at 50 Hz or faster, with the mass and thrust law of this vehicle"
        )
    return labels


def rotor_thrust(log: FlightLog, vehicle: Vehicle) -> Array:
    """Return the thrust of each rotor at the rows of a log (n, 4) [N]."""
    if "rotor_speed" in log:
        return np.asarray(vehicle.rotors.k_f * log["rotor_speed"] ** 2)
    return lagged_thrust(log["time"], log["rotor_thrust_command"], vehicle)


def lagged_thrust(time: Array, command: Array, vehicle: Vehicle) -> Array:
    """Return the thrusts (n, 4) [N] behind the first-order lag f' = (command - f)/lag.

    The command, taken as a straight line between rows, acts a latency and half a control period
    (it is held for one) later. One step of length h is exact:
    f1 = c1 - d lag + (f0 - c0 + d lag) exp(-h/lag), with d = (c1 - c0)/h.
    """
    lag, timing = vehicle.rotors.lag, vehicle.timing
    command = np.clip(command, vehicle.rotors.thrust_min, vehicle.rotors.thrust_max)
    thrust = np.empty_like(command)
    thrust[0] = command[0]
    steps = np.diff(time)
    decay = np.exp(-steps / lag)
    slope_lag = np.diff(command, axis=0) / steps[:, None] * lag
    for i in range(len(steps)):
        thrust[i + 1] = (
            command[i + 1] - slope_lag[i] + (thrust[i] - command[i] + slope_lag[i]) * decay[i]
        )
    late = time - timing.latency - timing.period / 2
    return np.stack([np.interp(late, time, f) for f in thrust.T], axis=1)


def _flying_runs(time: Array, keep: Mask) -> Iterator[slice]:
    """Yield the rows of each stretch that is kept and without gap, long enough to use."""
    cut = (np.diff(time) > LONGEST_GAP) | (keep[1:] != keep[:-1])
    for rows in run_slices(np.concatenate([[0], np.cumsum(cut)])):
        if keep[rows.start] and time[rows.stop - 1] - time[rows.start] >= SHORTEST_RUN:
            yield rows


def _label_run(log: FlightLog, rows: slice, thrust: Array, vehicle: Vehicle, step: float) -> Labels:
    """Return raw labels of one stretch on a uniform grid; ``step`` is the log's own [s]."""
    attitude = log["attitude"][rows]
    flip = np.cumprod(np.where(np.sum(attitude[1:] * attitude[:-1], axis=1) < 0, -1.0, 1.0))
    attitude = attitude * np.concatenate([[1.0], flip])[:, None]
    columns = [log["time"][rows, None], log["height"][rows, None], log["velocity"][rows], attitude]
    columns.append(thrust[rows])
    if "specific_force" in log:
        columns.append(log["specific_force"][rows])
    table = np.concatenate(columns, axis=1)
    together = max(1, round(1 / (RATE * step)))
    table = table[: len(table) // together * together]
    table = table.reshape(-1, together, table.shape[1]).mean(axis=1)
    spline = CubicSpline(table[:, 0], table[:, 1:], axis=0)
    count = int((table[-1, 0] - table[0, 0]) * RATE + 1e-6) + 1
    time = table[0, 0] + np.arange(count) / RATE
    if "specific_force" not in log:
        time = time[SPLINE_REACH:-SPLINE_REACH]
    values = spline(time)
    height, velocity, attitude, rotors = np.split(values[:, :12], [1, 4, 8], axis=1)
    attitude /= np.linalg.norm(attitude, axis=1, keepdims=True)
    if "specific_force" in log:
        specific_force = values[:, 12:15]
    else:
        specific_force = spline(time, 1)[:, 1:4] + [0, 0, GRAVITY]
    push = Rotation.from_quat(attitude).apply([0, 0, 1]) * rotors.sum(axis=1, keepdims=True)
    return Labels(
        time=time,
        run=np.zeros(len(time), dtype=np.int64),
        height=height[:, 0],
        velocity=velocity,
        attitude=attitude,
        rotor_thrust=rotors,
        force=vehicle.mass * specific_force - push,
        valid=np.ones(len(time), dtype=np.bool_),
    )
