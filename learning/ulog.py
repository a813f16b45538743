"""Reads PX4 logs (``*.ulg``), of PX4 1.11 to 1.15.

World NED and body FRD become z up and FLU; quaternions come w first. What differs by version:

    rotor commands  ``actuator_motors`` (1.13 on, 0 to 1, NaN where stopped), else
                    ``actuator_outputs`` (pulse widths; the instance that moves), from the least
                    to the greatest pulse by the log's own parameters
    body rate       ``vehicle_angular_velocity``, else ``sensor_combined``, else
                    ``vehicle_attitude``
    specific force  ``sensor_combined``, else ``vehicle_acceleration``; turned at its own rate

*Height* over the surface is there only if a range sensor was: without one ``dist_bottom`` is the
estimator's guess, and z drifts by decimetres a minute. Commands are no thrust: a thrust law has to
come with the vehicle.

*Contact*: PX4 says ``landed = 0`` when the motors spool up, seconds before lift-off, and says
``landed = 1`` seconds after touch-down. In the air is only what lies, within one such stretch,
between the first and the last vertical speed of 0.3 m/s, at commands near those of hover.

Source: PX4 user guide, "ULog file format"; message definitions of PX4 1.11, 1.13 and 1.15; the
parser is pyulog.
"""

import contextlib
import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.frames import Frames
from neural_lander.learning.recording import Recording
from neural_lander.learning.resampling import Track, increasing, values_at

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MAGIC = b"ULog\x01\x12\x35"
"""First bytes of a file."""

FRAMES = Frames(world="ned", body="frd", quaternion="wxyz")

TOPICS = (
    "vehicle_local_position", "vehicle_attitude", "vehicle_angular_velocity", "sensor_combined",
    "vehicle_acceleration", "actuator_motors", "actuator_outputs", "actuator_controls_0",
    "vehicle_thrust_setpoint", "battery_status", "vehicle_land_detected", "distance_sensor",
    "esc_status", "vehicle_local_position_setpoint",
)  # fmt: skip
"""What is read; the rest of a log is skipped."""

LEAST_DEFINITION = {
    ord(k): n for k, n in dict(B=40, F=3, I=3, M=4, P=4, Q=5, A=4, L=9, C=11).items()
}
LEAST_DATA = {
    ord(k): n for k, n in dict(A=4, D=10, R=2, I=3, M=4, P=4, Q=5, S=1, O=2, L=9, C=11).items()
}
"""Type of message -> its least size [bytes], before and after the first subscription."""

READ_DEFINITIONS, READ_DATA = b"FIPA", b"ADO"
"""What is handed to the parser of definitions and data."""

CHAIN = 8
"""So many whole messages in a row are no accident."""

QUADROTOR = 2
"""MAV_TYPE of a quadrotor."""

QUAD_X = np.array([[1, -1], [-1, 1], [1, 1], [-1, -1]])
"""Signs of x forward and y left of PX4's quad-X rotors 1 to 4, where CA_ROTOR* are not logged."""

PULSES = (800.0, 2200.0)
"""Pulse widths lie in this range [us]."""

MOVED = 50.0
"""Outputs that drive rotors move by more than this in a log [us]."""

LIFT_SPEED = 0.3
"""Vertical speed that only a vehicle in the air has; on the ground the estimate shows 0.2 [m/s]."""

NEAR_HOVER = 0.75
"""Commands of less than this share of those in hover do not carry the vehicle."""

VALID_SHARE = 0.5
"""A range sensor valid on a smaller share of the samples is no measurement of height."""

LARGEST_ARRAY = 65_535
"""No array in a message is longer than a message [elements]."""

RPM = 2 * np.pi / 60
"""One turn a minute [rad/s]."""


@dataclass(frozen=True)
class RawUlog:
    """What a file holds, in its own units and frames."""

    topics: Mapping[tuple[str, int], Mapping[str, npt.NDArray[Any]]]
    """(Topic, instance) -> field -> values (n,)."""
    start: int
    """When the log began [us]."""
    parameters: Mapping[str, Any]
    """At the start."""
    release: str | None
    """Version of PX4."""
    dropped: tuple[str, ...]
    """What was damaged or lost, a phrase each."""


def looks_like_ulog(data: bytes) -> bool:
    """Whether ``data`` begins as a ULog."""
    return data.startswith(MAGIC)


def decode(data: bytes, where: str) -> RawUlog:
    """Decode the bytes of a file; ``where`` names it in messages.

    Raises:
        InputError: it is no ULog, its parser cannot read it, or it holds no data.
    """
    if not looks_like_ulog(data):
        raise InputError(f"{where}: is no ULog: begins with {data[:8]!r}, expected {MAGIC!r}")
    if len(data) < 16:
        raise InputError(f"{where}: is cut short within the header ({len(data)} of 16 bytes)")
    whole, dropped = _clean(data, where)
    from pyulog.core import ULog

    try:
        with contextlib.redirect_stdout(sys.stderr), contextlib.redirect_stderr(io.StringIO()):
            log = ULog(io.BytesIO(whole), list(TOPICS))
    except Exception as error:  # the parser's own; on damaged bytes it fails in many ways
        raise InputError(
            f"{where}: pyulog cannot read it ({type(error).__name__}: {error}); copy the file again"
        ) from error
    if log.file_corruption:
        dropped.append("messages that do not fit their format")
    if log.dropouts:
        lost = sum(entry.duration for entry in log.dropouts) / 1000
        dropped.append(
            f"{len(log.dropouts)} dropouts of the logger on board, {lost:.2f} s together"
        )
    topics = {(d.name, int(d.multi_id)): d.data for d in log.data_list if "timestamp" in d.data}
    if not topics:
        why = f" ({dropped[0]})" if dropped else ""
        raise InputError(f"{where}: holds no data of any topic that is needed{why}")
    return RawUlog(
        topics, log.start_timestamp, log.initial_parameters, _release(log), tuple(dropped)
    )


def _clean(data: bytes, where: str) -> tuple[bytes, list[str]]:
    """Return the whole messages that are read here, and what was damaged or cut short.

    Where a message cannot be one, the next place is sought at which several follow each other.
    pyulog's own resynchronisation says nothing of what it passes over, and may never end.

    Raises:
        InputError: the log asks for what this reader does not know, or a format cannot be.
    """
    kept, lost = [data[:16]], []
    subscribed: set[int] = set()
    at = 16
    while at < len(data):
        end = _end(data, at, subscribed)
        if end is None:
            after = _next_messages(data, at, subscribed)
            place = "to the end: cut short or damaged" if after == len(data) else "on: damaged"
            lost.append(f"{after - at} bytes from byte {at} {place}")
            at = after
            continue
        kind, body = data[at + 2], data[at + 3 : end]
        if kind == ord("A"):
            subscribed.add(int.from_bytes(body[1:3], "little"))
        elif kind == ord("B") and any((body[8] & ~1, *body[9:16])):
            raise InputError(f"{where}: is a ULog of a kind that is not known (incompatible flags)")
        elif kind == ord("F"):
            _check_format(body, f"{where}: the format at byte {at}")
        if kind in (READ_DATA if subscribed else READ_DEFINITIONS):
            kept.append(data[at:end])
        at = end
    return b"".join(kept), lost


def _end(data: bytes, at: int, subscribed: set[int]) -> int | None:
    """Return where the message at ``at`` ends; None where there is none.

    Definitions come first; with the first subscription the data begins.
    """
    if at + 3 > len(data):
        return None
    size, kind = data[at] | data[at + 1] << 8, data[at + 2]
    least = (LEAST_DATA if subscribed else LEAST_DEFINITION).get(kind)
    end = at + 3 + size
    if least is None or size < least or end > len(data):
        return None
    if kind == ord("D") and data[at + 3] | data[at + 4] << 8 not in subscribed:
        return None
    return end


def _next_messages(data: bytes, at: int, subscribed: set[int]) -> int:
    """Return where, behind ``at``, whole messages follow each other again, or the end."""
    for start in range(at + 1, len(data) - 3):
        place, count = start, 0
        while count < CHAIN and place < len(data):
            end = _end(data, place, subscribed)
            if end is None:
                break
            place, count = end, count + 1
        if count == CHAIN or place == len(data):
            return start
    return len(data)


def _check_format(body: bytes, where: str) -> None:
    for part in body.split(b"[")[1:]:
        count = part.partition(b"]")[0]
        if count.isdigit() and int(count[:9]) > LARGEST_ARRAY:
            raise InputError(
                f"{where} is damaged (an array of {count[:12].decode()} elements); copy the file "
                "again"
            )


def _release(log: Any) -> str | None:
    value = log.msg_info_dict.get("ver_sw_release")
    if not isinstance(value, int):
        return None
    major, minor, patch = (value >> shift & 0xFF for shift in (24, 16, 8))
    return f"{major}.{minor}.{patch}"


def recording(raw: RawUlog, vehicle: Vehicle, where: str) -> Recording:
    """Return what a raw log says about a flight of ``vehicle``.

    Raises:
        InputError: a topic that is needed was not logged, or lacks a field; the message names it.
    """
    reader = _Reader(raw, where)
    position, state = reader.needed("vehicle_local_position")
    attitude = reader.attitude()
    missing: dict[str, str] = {}
    tracks = {
        "position": reader.world(position, state, ("x", "y", "z"), "z_valid"),
        "velocity": reader.world(position, state, ("vx", "vy", "vz"), "v_z_valid"),
        "attitude": attitude,
        "rate": reader.rate(),
    }
    tracks |= reader.specific_force(attitude) | reader.battery() | reader.setpoints()
    command = _rotor_command(reader, vehicle, missing)
    if command is not None:
        tracks["rotor_command"] = command
    speed = reader.rotor_speed()
    if speed is not None and command is not None:
        tracks["rotor_speed"] = speed
    else:
        missing["rotor_speed"] = "no rotor speeds (esc_status) of four rotors in the log"
    contact = _contact(reader, tracks["velocity"], command)
    tracks["contact"] = contact
    height = _height(reader, contact, missing)
    if height is not None:
        tracks["height"] = height
    return Recording(
        format="ulog",
        frame="world x east, y north, z up from the autopilot's origin; time from the log's start",
        tracks=tracks,
        missing=missing,
        dropped=raw.dropped,
        remarks=reader.remarks(state),
        clipped=reader.clipped(),
        more={"px4_release": raw.release},
    )


@dataclass(frozen=True)
class _Reader:
    """Takes topics of a raw log apart."""

    raw: RawUlog
    where: str

    def topic(self, name: str, instance: int | None = None) -> Mapping[str, Any] | None:
        """Return the fields of a topic, of its lowest instance unless told."""
        found = sorted(i for n, i in self.raw.topics if n == name)
        if instance is None and found:
            instance = found[0]
        return None if instance is None else self.raw.topics.get((name, instance))

    def needed(self, name: str) -> tuple[Array, Mapping[str, Any]]:
        """Return times and fields of a topic that must be there."""
        fields = self.topic(name)
        if fields is None:
            have = ", ".join(sorted({n for n, _ in self.raw.topics}))
            raise InputError(
                f"{self.where}: topic {name} was not logged (or lies behind a cut); found {have}; log "
                "with SDLOG_PROFILE's default topics"
            )
        return self.time(fields), fields

    def time(self, fields: Mapping[str, Any]) -> Array:
        """Return times since the log began (n,) [s]; stamps of before it are negative."""
        stamps = np.asarray(fields["timestamp"]).astype(np.int64) - np.int64(self.raw.start % 2**63)
        return np.asarray(stamps * 1e-6, dtype=np.float64)

    def stack(self, fields: Mapping[str, Any], names: tuple[str, ...], topic: str) -> Array:
        """Return fields side by side (n, k)."""
        for name in names:
            if name not in fields:
                raise InputError(f"{self.where}: topic {topic} has no field {name}")
        return np.stack([np.asarray(fields[name], dtype=np.float64) for name in names], axis=-1)

    def world(
        self,
        time: Array,
        fields: Mapping[str, Any],
        names: tuple[str, str, str],
        flag: str,
    ) -> Track:
        """Return a world vector; NaN where the estimator's flag says that its z is not valid."""
        values = FRAMES.world_vector(_tame(self.stack(fields, names, "vehicle_local_position")))
        if flag in fields:
            values[np.asarray(fields[flag]) == 0] = np.nan
        return Track(time, values)

    def attitude(self) -> Track:
        """Return the attitude."""
        time, fields = self.needed("vehicle_attitude")
        q = self.stack(fields, tuple(f"q[{i}]" for i in range(4)), "vehicle_attitude")
        return Track(time, FRAMES.attitude(_tame(q)), "attitude")

    def rate(self) -> Track:
        """Return the body rate."""
        for topic, names in (
            ("vehicle_angular_velocity", ("xyz[0]", "xyz[1]", "xyz[2]")),
            ("sensor_combined", ("gyro_rad[0]", "gyro_rad[1]", "gyro_rad[2]")),
            ("vehicle_attitude", ("rollspeed", "pitchspeed", "yawspeed")),
        ):
            fields = self.topic(topic)
            if fields is not None and all(name in fields for name in names):
                values = FRAMES.body_vector(_tame(self.stack(fields, names, topic)))
                return Track(self.time(fields), values)
        raise InputError(
            f"{self.where}: no body rates: neither vehicle_angular_velocity nor sensor_combined was "
            "logged"
        )

    def specific_force(self, attitude: Track) -> dict[str, Track]:
        """Return the accelerometer in the world frame, turned before it is averaged."""
        for topic, name in (
            ("sensor_combined", "accelerometer_m_s2"),
            ("vehicle_acceleration", "xyz"),
        ):
            fields = self.topic(topic)
            names = tuple(f"{name}[{i}]" for i in range(3))
            good = np.isfinite(attitude.values).all(axis=1) & np.isfinite(attitude.time)
            if fields is None or not all(n in fields for n in names) or good.sum() < 2:
                continue
            good[good] = increasing(attitude.time[good])
            turn = Track(attitude.time[good], attitude.values[good], "attitude")
            time, body = (
                self.time(fields),
                FRAMES.body_vector(_tame(self.stack(fields, names, topic))),
            )
            q = values_at(time, turn)
            q[np.linalg.norm(q, axis=1) == 0] = (0, 0, 0, 1)
            return {"specific_force": Track(time, Rotation.from_quat(q).apply(body))}
        return {}

    def battery(self) -> dict[str, Track]:
        """Return the battery's voltage."""
        fields = self.topic("battery_status")
        if fields is None or "voltage_v" not in fields:
            return {}
        volts = np.asarray(fields["voltage_v"], dtype=np.float64)
        return {"battery": Track(self.time(fields), _tame(volts))}

    def setpoints(self) -> dict[str, Track]:
        """Return the set-points of the position controller, where it had some all the time."""
        found: dict[str, Track] = {}
        fields = self.topic("vehicle_local_position_setpoint")
        for quantity, names in (
            ("setpoint_position", ("x", "y", "z")),
            ("setpoint_velocity", ("vx", "vy", "vz")),
        ):
            if fields is not None and all(name in fields for name in names):
                values = _tame(self.stack(fields, names, "vehicle_local_position_setpoint"))
                if np.isfinite(values).all():
                    found[quantity] = Track(self.time(fields), FRAMES.world_vector(values))
        return found

    def rotor_speed(self) -> Track | None:
        """Return what the speed controllers measured, if it is of four turning rotors."""
        fields = self.topic("esc_status")
        names = tuple(f"esc[{i}].esc_rpm" for i in range(4))
        if fields is None or not all(name in fields for name in names):
            return None
        speed = np.abs(self.stack(fields, names, "esc_status")) * RPM
        return Track(self.time(fields), speed) if (speed.max(axis=0) > 0).all() else None

    def clipped(self) -> int:
        """Return how many samples of the accelerometer were at its limit."""
        fields = self.topic("sensor_combined")
        if fields is None or "accelerometer_clipping" not in fields:
            return 0
        return int((np.asarray(fields["accelerometer_clipping"]) != 0).sum())

    def parameter(self, name: str) -> float | None:
        """Return a parameter, None where it is absent no number, or -1 ("general")."""
        value = self.raw.parameters.get(name)
        if not isinstance(value, int | float) or not np.isfinite(value) or value == -1:
            return None
        return float(value)

    def remarks(self, state: Mapping[str, Any]) -> tuple[str, ...]:
        """Return what a user should know about the estimate."""
        said = []
        if "z_reset_counter" in state:
            resets = int(
                (np.diff(np.asarray(state["z_reset_counter"]).astype(np.int64)) != 0).sum()
            )
            if resets:
                said.append(f"the estimator set its height anew {resets} times")
        for flag, what in (("xy_valid", "position"), ("v_xy_valid", "velocity")):
            if flag in state and not np.asarray(state[flag]).all():
                share = float((np.asarray(state[flag]) == 0).mean())
                said.append(f"the horizontal {what} was not valid for {share:.0%} of the log")
        return tuple(said)


def _tame(values: Array) -> Array:
    """Return values with those that no flight has (damaged bytes) as NaN."""
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(values) <= 1e9, values, np.nan)


def _rotor_command(reader: _Reader, vehicle: Vehicle, missing: dict[str, str]) -> Track | None:
    """Return the rotors' commands as shares in the order of ``vehicle``, or say why not."""
    kind = reader.parameter("MAV_TYPE")
    if kind is not None and kind != QUADROTOR:
        missing["rotor_command"] = f"MAV_TYPE is {kind:.0f}, not a quadrotor: outputs are no rotors"
        missing["rotor_thrust_command"] = missing["rotor_command"]
        return None
    found = _motors(reader) or _pulses(reader)
    why = "neither actuator_motors nor actuator_outputs with their pulse limits were logged"
    if found is not None:
        order = _order(reader, vehicle)
        if order is not None:
            return Track(found.time, found.values[:, order])
        why = f"the rotors of the log are not where those of vehicle '{vehicle.name}' are"
    missing["rotor_command"] = missing["rotor_thrust_command"] = why
    return None


def _motors(reader: _Reader) -> Track | None:
    fields = reader.topic("actuator_motors")
    names = tuple(f"control[{i}]" for i in range(4))
    if fields is None or not all(name in fields for name in names):
        return None
    values = reader.stack(fields, names, "actuator_motors")
    if np.isnan(values).all(axis=0).any():
        return None
    return Track(reader.time(fields), np.clip(np.nan_to_num(values, nan=0.0), 0, 1))


def _pulses(reader: _Reader) -> Track | None:
    """Return commands from pulse widths; of several instances the one that moves most."""
    names = tuple(f"output[{i}]" for i in range(4))
    best: tuple[float, Track] | None = None
    for name, instance in reader.raw.topics:
        fields = reader.topic(name, instance)
        if name != "actuator_outputs" or fields is None or not all(n in fields for n in names):
            continue
        pulse = reader.stack(fields, names, name)
        moved = float(np.ptp(np.nan_to_num(pulse), axis=0).min())
        if moved > MOVED and (best is None or moved > best[0]):
            best = moved, Track(reader.time(fields), pulse)
    if best is None:
        return None
    time, pulse = best[1].time, best[1].values
    low, high = _pulse_limit(reader, "MIN"), _pulse_limit(reader, "MAX")
    inside = (pulse >= PULSES[0]) & (pulse <= PULSES[1])
    if low is None or high is None or (low >= high).any() or inside.mean() < VALID_SHARE:
        return None
    share = np.clip((pulse - low) / (high - low), 0, 1)
    return Track(time, np.where(inside, share, np.nan))


def _pulse_limit(reader: _Reader, end: str) -> Array | None:
    """Return the least or greatest pulse of outputs 1 to 4 [us] by the log's parameters."""
    general = (f"PWM_MAIN_{end}", f"PWM_{end}")
    limits = []
    for i in (1, 2, 3, 4):
        values = [reader.parameter(name) for name in (f"PWM_MAIN_{end}{i}", *general)]
        known = [value for value in values if value is not None]
        if not known:
            return None
        limits.append(known[0])
    return np.array(limits)


def _order(reader: _Reader, vehicle: Vehicle) -> npt.NDArray[np.int64] | None:
    """Return which rotor of the log stands where each of the vehicle does; None if none does."""
    signs = QUAD_X
    x = [reader.parameter(f"CA_ROTOR{i}_PX") for i in range(4)]
    y = [reader.parameter(f"CA_ROTOR{i}_PY") for i in range(4)]
    if reader.parameter("CA_ROTOR_COUNT") == 4 and None not in x + y:
        signs = np.sign(np.array([x, y], dtype=np.float64).T * [1, -1]).astype(np.int64)
    ours = np.sign(vehicle.rotors.positions[:, :2])
    same = (ours[:, None, :] == signs[None, :, :]).all(axis=-1)
    if not ((same.sum(axis=0) == 1).all() and (same.sum(axis=1) == 1).all()):
        return None
    return np.asarray(np.argmax(same, axis=1), dtype=np.int64)


def _throttle(reader: _Reader, command: Track | None) -> Track | None:
    """Return the collective command, from whatever was logged."""
    if command is not None:
        return Track(command.time, command.values.mean(axis=1))
    for topic, name, sign in (
        ("actuator_controls_0", "control[3]", 1.0),
        ("vehicle_thrust_setpoint", "xyz[2]", -1.0),
    ):
        fields = reader.topic(topic)
        if fields is not None and name in fields:
            return Track(reader.time(fields), sign * np.asarray(fields[name], dtype=np.float64))
    return None


def _contact(reader: _Reader, velocity: Track, command: Track | None) -> Track:
    """Return 1 wherever it is not certain that the vehicle was in the air."""
    time, speed = velocity.time, np.abs(velocity.values[:, 2])
    flying = np.ones(len(time), dtype=np.bool_)
    detector = reader.topic("vehicle_land_detected")
    if detector is not None and "landed" in detector:
        stamps, landed = reader.time(detector), np.asarray(detector["landed"], dtype=np.float64)
        keep = increasing(stamps)
        flying &= values_at(time, Track(stamps[keep], landed[keep], "state")) == 0
    lifting = speed >= LIFT_SPEED
    throttle = _throttle(reader, command)
    if throttle is not None and len(throttle.time) and flying.any():
        order = increasing(throttle.time)
        share = np.interp(time, throttle.time[order], np.nan_to_num(throttle.values[order]))
        lifting &= share >= NEAR_HOVER * np.median(share[flying])
    contact = np.ones(len(time))
    for first, end in pairwise(np.flatnonzero(np.diff(flying.astype(int), prepend=0, append=0))):
        moves = first + np.flatnonzero((lifting & flying)[first:end])
        if len(moves):
            contact[moves[0] : moves[-1] + 1] = 0
    return Track(time, contact, "state")


def _height(reader: _Reader, contact: Track, missing: dict[str, str]) -> Track | None:
    """Return the range sensor's height above standing, or say why there is none."""
    fields = reader.topic("vehicle_local_position") or {}
    if "dist_bottom" not in fields or "dist_bottom_valid" not in fields:
        missing["height"] = "no height over the surface in the log"
        return None
    by_range = np.asarray(fields.get("dist_bottom_sensor_bitfield", 1)).astype(np.int64) & 1
    valid = (np.asarray(fields["dist_bottom_valid"]) == 1) & (by_range == 1)
    if reader.topic("distance_sensor") is None or valid.mean() < VALID_SHARE:
        missing["height"] = (
            "no range sensor: dist_bottom is the autopilot's own guess, and its z drifts"
        )
        return None
    distance = np.where(valid, _tame(np.asarray(fields["dist_bottom"], dtype=np.float64)), np.nan)
    standing = distance[(contact.values > 0.5) & valid]
    if not len(standing):
        missing["height"] = "the log never stands: what the range sensor reads then is not known"
        return None
    return Track(contact.time, distance - np.median(standing))
