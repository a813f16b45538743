"""Reads the micro-SD logs of a Crazyflie (``*.usdlog``).

A file is little-endian and packed, and its header says what it holds:

    file    header, then blocks until the end
    header  count of variables (1 byte); "name(type)," for each; CRC
    block   count of rows (1 byte); rows, each with all variables in order; CRC
    CRC     bitwise not of the CRC-32 of all bytes of that header or block before it (4 bytes)

Values are fixed-point numbers (mm, mrad/s, mV, PWM of 16 bits, a quaternion in 32 bits). A
``RawLog`` keeps them as they are; a ``Recording`` has SI units.

Sources: Bitcraze, Crazyflie firmware (micro-SD deck; ``quatcompress.h``); variables and thrust law
as in Shi et al., "Neural-Swarm", ICRA 2020.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.contact import lowest_foot
from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.frames import Frames
from neural_lander.learning.recording import Recording
from neural_lander.learning.resampling import Kind, Track

Array = npt.NDArray[np.float64]

ENTRY = re.compile(rb"([\x21-\x7e]{1,60}?)\(([bBhHiIqQfd])\),")
"""One variable of the header: name and type letter."""

TYPES = dict(b="i1", B="u1", h="<i2", H="<u2", i="<i4", I="<u4", q="<i8", Q="<u8", f="<f4", d="<f8")
"""Type letter of the header -> type of numpy."""

CRC_SIZE = 4
"""Size of a checksum [bytes]."""

CONTACT_MARGIN = 0.008
"""A foot lower than this may touch [m].

Standing with motors off, the lowest foot reads -6 to +4 mm in the Neural-Swarm flights (markers,
floor and feet are not surveyed to better), and the floor's push, 10 to 150 % of weight above the
trend, shows up to 4 mm. From 8 mm on the force is the smooth ground effect. The authors drop the
lowest 20 mm (small vehicle) and 25 mm (large), half of what is there to learn.
"""

MILLI = 1000.0
"""Log units per SI unit: mm, mm/s, mm/s^2, mrad/s, mV."""

PWM_FULL = 65536.0
"""PWM at full share."""

CLIPPED = 32.767
"""Specific force at which its 16 bits end [m/s^2]."""


@dataclass(frozen=True)
class RawLog:
    """What a file holds, in its own units."""

    columns: Mapping[str, npt.NDArray[Any]]
    """Variable -> values (n,), of the type that the header gives."""
    blocks: int
    """Blocks read."""
    dropped: tuple[str, ...]
    """What was damaged and left out, a phrase each."""

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def looks_like_crazyflie(data: bytes) -> bool:
    """Whether ``data`` begins with a count and a typed variable name."""
    return ENTRY.match(data, 1) is not None


def decode(data: bytes, where: str) -> RawLog:
    """Decode the bytes of a file; ``where`` names it in messages.

    A block with a wrong checksum and a last block cut short are left out; ``dropped`` says so.

    Raises:
        InputError: the header is not one, or is damaged, or no row is left.
    """
    row_type, at = _header(data, where)
    rows: list[bytes] = []
    dropped: list[str] = []
    while at < len(data):
        end = _block_end(data, at, row_type.itemsize)
        if end is not None:
            rows.append(data[at + 1 : end - CRC_SIZE])
            at = end
            continue
        after = _next_block(data, at, row_type.itemsize)
        if after is None:
            dropped.append(
                f"{len(data) - at} bytes from byte {at} to the end: cut short or damaged"
            )
            break
        dropped.append(f"{after - at} bytes from byte {at}: wrong checksum")
        at = after
    table = np.frombuffer(b"".join(rows), row_type)
    if not len(table):
        why = f" ({dropped[0]})" if dropped else ""
        raise InputError(f"{where}: the header is good but no whole block of rows follows{why}")
    assert row_type.names is not None
    columns = {name: np.ascontiguousarray(table[name]) for name in row_type.names}
    return RawLog(columns, len(rows), tuple(dropped))


def _header(data: bytes, where: str) -> tuple[np.dtype[Any], int]:
    """Return the type of a row and where the first block begins."""
    if not looks_like_crazyflie(data):
        raise InputError(
            f"{where}: is no Crazyflie micro-SD log: begins with {data[:12]!r}, "
            "expected a count and 'name(type),' of its first variable"
        )
    fields: dict[str, str] = {}
    at = 1
    for i in range(data[0]):
        entry = ENTRY.match(data, at)
        if entry is None:
            raise InputError(
                f"{where}: the header is damaged or cut short at byte {at}: variable {i + 1} of "
                f"{data[0]} reads {data[at : at + 24]!r}, expected 'name(type),'; copy the file "
                "again"
            )
        name = entry[1].decode("ascii")
        if name in fields:
            raise InputError(f"{where}: the header names {name} twice")
        fields[name] = TYPES[entry[2].decode("ascii")]
        at = entry.end()
    if not _crc_holds(data, 0, at):
        raise InputError(
            f"{where}: the header (bytes 0 to {at + CRC_SIZE}) does not fit its checksum; "
            "copy the file again"
        )
    return np.dtype(list(fields.items())), at + CRC_SIZE


def _crc_holds(data: bytes, start: int, end: int) -> bool:
    """Whether the four bytes after ``end`` are the checksum of those from ``start`` to ``end``."""
    stored = data[end : end + CRC_SIZE]
    return (
        len(stored) == CRC_SIZE
        and int.from_bytes(stored, "little") == zlib.crc32(data[start:end]) ^ 0xFFFFFFFF
    )


def _block_end(data: bytes, at: int, row_size: int) -> int | None:
    """Return where the block at ``at`` ends; None where there is no whole block."""
    end = at + 1 + data[at] * row_size
    return end + CRC_SIZE if _crc_holds(data, at, end) else None


def _next_block(data: bytes, at: int, row_size: int) -> int | None:
    """Return where the next whole block with rows begins after a damaged one at ``at``."""
    presumed = at + 1 + data[at] * row_size + CRC_SIZE
    longest = min(1 + 255 * row_size + CRC_SIZE, 65_536)
    starts: list[int] = [presumed, *range(at + 1, at + 1 + longest)]
    for start in starts:
        if start < len(data) and data[start] and _block_end(data, start, row_size) is not None:
            return start
    return None


def unpack_quaternion(packed: npt.NDArray[np.integer[Any]]) -> Array:
    """Return quaternions xyzw (..., 4) from 32 bits each.

    Bits 31 and 30 are the index of the largest component, which is positive and left out. The
    others follow downwards in order, each with a sign and nine bits: value = bits / 511 / sqrt(2).
    """
    bits = np.asarray(packed, np.int64)
    largest = bits >> 30
    q = np.zeros((*bits.shape, 4))
    shift = np.zeros_like(bits)
    for i in (3, 2, 1, 0):
        stored = largest != i
        field = bits >> shift
        value = (field & 511) / 511 / np.sqrt(2) * np.where(field & 512, -1, 1)
        q[..., i] = np.where(stored, value, 0)
        shift += np.where(stored, 10, 0)
    rest = np.sqrt(np.maximum(1 - (q**2).sum(axis=-1), 0))
    np.put_along_axis(q, largest[..., None], rest[..., None], axis=-1)
    return q


@dataclass(frozen=True)
class Measurements:
    """What the flights measured, in SI, row for row as in the file."""

    position: Array
    """Of the markers' origin, world (n, 3) [m]."""
    velocity: Array
    """World (n, 3) [m/s]."""
    specific_force: Array
    """World (n, 3) [m/s^2]; +9.81 upwards at rest; clips at +-32.8."""
    attitude: Array
    """Quaternions xyzw, body to world (n, 4)."""
    rate: Array
    """Body rate (n, 3) [rad/s]."""
    pwm: Array
    """Share of full PWM really sent to each motor (n, 4), in [0, 1]."""
    battery: Array
    """Battery voltage (n,) [V]."""


def measurements(raw: RawLog, where: str) -> Measurements:
    """Return the measured quantities in SI.

    Raises:
        InputError: a variable that is needed was not logged; the message names it.
    """

    def vector(prefix: str, names: tuple[str, ...], unit: float) -> Array:
        missing = [prefix + name for name in names if prefix + name not in raw.columns]
        if missing:
            raise InputError(
                f"{where}: variable {missing[0]} was not logged (the header has "
                f"{len(raw.columns)} variables); add it to the log configuration of the deck"
            )
        values = np.stack([raw.columns[prefix + n].astype(np.float64) for n in names], -1) / unit
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            row, i = bad[0]
            raise InputError(
                f"{where}: variable {prefix + names[i]}, row {row} is {values[row, i]}"
            )
        return values

    state = "stateEstimateZ."
    return Measurements(
        position=vector(state, ("x", "y", "z"), MILLI),
        velocity=vector(state, ("vx", "vy", "vz"), MILLI),
        specific_force=vector(state, ("ax", "ay", "az"), MILLI),
        attitude=unpack_quaternion(_integers(raw, state + "quat", where)),
        rate=vector(state, ("rateRoll", "ratePitch", "rateYaw"), MILLI),
        pwm=vector("pwm.", ("m1_pwm", "m2_pwm", "m3_pwm", "m4_pwm"), PWM_FULL),
        battery=vector("pm.", ("vbatMV",), MILLI)[:, 0],
    )


def _integers(raw: RawLog, name: str, where: str) -> npt.NDArray[np.int64]:
    values = raw.columns.get(name)
    if values is None or values.dtype.kind not in "iu":
        found = "was not logged" if values is None else f"is of type {values.dtype}"
        raise InputError(f"{where}: variable {name} {found}, expected one of type I (uint32)")
    return values.astype(np.int64) & 0xFFFFFFFF


def elapsed(raw: RawLog, where: str) -> Array:
    """Return the time since the first row (n,) [s]; the 32-bit clock of microseconds may wrap."""
    ticks = _integers(raw, "tick", where)
    step = (np.diff(ticks) + 2**31) % 2**32 - 2**31
    return np.concatenate([[0.0], np.cumsum(step) * 1e-6])


def recording(raw: RawLog, vehicle: Vehicle, where: str) -> Recording:
    """Return what a raw log says about a flight of ``vehicle``.

    Position is that of the markers' origin over the floor; less the height at rest it is the
    height above standing. Rotor speed is not measured and stays absent.

    Raises:
        InputError: a variable is missing or not finite.
    """
    time = elapsed(raw, where)
    m = measurements(raw, where)
    height = m.position[:, 2] - vehicle.rest_height
    attitude = Frames().attitude(m.attitude)
    touching = lowest_foot(vehicle, height, attitude) < CONTACT_MARGIN
    columns = {
        "position": m.position,
        "velocity": m.velocity,
        "attitude": attitude,
        "rate": m.rate,
        "rotor_command": m.pwm,
        "height": height,
        "contact": touching.astype(np.float64),
        "specific_force": m.specific_force,
        "battery": m.battery,
        **_setpoints(raw),
    }
    kinds: dict[str, Kind] = {"attitude": "attitude", "contact": "state"}
    return Recording(
        format="crazyflie",
        frame="world x, y, z up; position of the markers' origin; time from the first row",
        tracks={k: Track(time, v, kinds.get(k, "number")) for k, v in columns.items()},
        missing={"rotor_speed": "a Crazyflie does not measure it"},
        dropped=raw.dropped,
        clipped=int((np.abs(m.specific_force) >= CLIPPED).any(axis=1).sum()),
    )


def _setpoints(raw: RawLog) -> dict[str, Array]:
    """Return set-points where they were logged; they read 0 while the motors are off."""
    found: dict[str, Array] = {}
    for quantity, names in (
        ("setpoint_position", ("x", "y", "z")),
        ("setpoint_velocity", ("vx", "vy", "vz")),
    ):
        columns = [raw.columns.get(f"ctrltargetZ.{name}") for name in names]
        if all(column is not None for column in columns):
            found[quantity] = (
                np.stack([c.astype(np.float64) for c in columns if c is not None], -1) / MILLI
            )
    return found
