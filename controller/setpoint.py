"""The planned motion: a hover, then a descent, as pieces of polynomials or the authors' exponential.

    exponential   z_d = z_0 (1 + C t) exp(-C t)            Shi et al. 2019, simulator; C = 2 1/s
    s-curve       constant-jerk pieces down to a flare, then on to the target at flare speed

The fastest descent is planned in ``fastest``; how a start off the plan joins it is in ``bumpless``.
Heights are above standing. The exponential's
acceleration steps by -z_0 C^2 at its start; the s-curve starts and ends at rest with no step in
acceleration.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller import bumpless
from neural_lander.controller.bumpless import JOINING, moved_at_start
from neural_lander.controller.compiled import blank_record, compiled
from neural_lander.controller.errors import InputError
from neural_lander.controller.rotation import Vector

Array = npt.NDArray[np.float64]

REFERENCES = ("exponential", "s-curve")
"""Names that ``land --reference`` takes."""

MAX_PIECES = 256
DEGREE = 5


@dataclass(frozen=True)
class SCurve:
    """Limits of the s-curve."""

    speed: float = 0.8
    """Greatest descent speed [m/s]."""
    acceleration: float = 0.8
    """[m/s^2]."""
    jerk: float = 2.0
    """What motor lag and latency turn into an error [m/s^3]."""
    flare_height: float = 0.10
    """Height at which the flare speed is reached [m]."""
    flare_speed: float = 0.12
    """Descent speed from there on [m/s]."""


@dataclass(frozen=True)
class Plan:
    """A motion of the set-point in world coordinates of the height above standing."""

    name: str
    times: Array
    """Start of each piece (pieces,) [s]."""
    coefficients: Array
    """(pieces, 3, 6): position of piece i is sum_k c[i, axis, k] (t - times[i])^k [m]."""
    descent_start: float
    """When the descent begins [s]."""
    end: float
    """When the set-point comes to rest [s]."""
    decay: float = 0.0
    """C of the exponential [1/s]; 0 where the pieces say all."""
    compensated: bool = False
    """Whether the law feeds forward what motor lag, attitude loop and latency hold back."""
    metadata: dict[str, Any] = field(default_factory=dict)


def plan_descent(
    name: str,
    start: Sequence[float],
    target_height: float,
    hover: float,
    decay: float = 2.0,
    limits: SCurve | None = None,
) -> Plan:
    """Plan a hover of ``hover`` seconds at ``start`` (x, y, height) and the descent below it.

    Args:
        name: one of ``REFERENCES``.
        start: x, y and height above standing [m].
        target_height: height above standing where the set-point comes to rest [m].
        hover: time before the descent [s].
        decay: C of the exponential [1/s].
        limits: limits of the s-curve.

    Raises:
        InputError: unknown reference, or a target above the start.
    """
    if name not in REFERENCES:
        known = ", ".join((*REFERENCES, "fastest"))
        raise InputError(f"reference '{name}' is unknown; take one of {known}")
    drop = start[2] - target_height
    if drop < 0:
        raise InputError(f"target height {target_height} m is above the start at {start[2]} m")
    if name == "exponential":
        times = np.array([0.0, hover])
        coefficients = np.zeros((2, 3, DEGREE + 1))
        coefficients[:, :, 0] = [start, [start[0], start[1], target_height]]
        # from z_0 = 1.5 m the set-point is below 1 mm after 5.1 s at C = 2 1/s
        end = hover + _exponential_duration(max(drop, 1e-3) / 1e-3) / decay
        return Plan(name, times, coefficients, hover, end, decay)
    pieces = [(hover, 0.0), *_s_curve(drop, limits or SCurve())]
    times, z = integrate_jerk(start[2], pieces)
    coefficients = np.zeros((len(times), 3, DEGREE + 1))
    coefficients[:, 0, 0], coefficients[:, 1, 0] = start[0], start[1]
    coefficients[:, 2, :4] = z
    coefficients[-1, 2] = [target_height, 0, 0, 0, 0, 0]
    return Plan(name, times, coefficients, hover, float(times[-1]))


def _exponential_duration(ratio: float) -> float:
    """Return x with (1 + x) exp(-x) = 1 / ratio."""
    x = 1.0
    for _ in range(60):
        x = math.log(ratio * (1 + x)) if ratio > 1 else 0.0
    return x


Piece = tuple[float, float]
"""Duration [s] and jerk [m/s^3]."""


def ramp(change: float, acceleration: float, j: float, j_out: float = 0.0) -> list[Piece]:
    """Return pieces that change the speed by ``change`` [m/s] with no acceleration left.

    ``acceleration`` [m/s^2] and the jerks into it, ``j``, and out of it, ``j_out`` (0: the same)
    [m/s^3], are the greatest of either sign.
    """
    sign, change = math.copysign(1.0, change), abs(change)
    out = j_out or j
    reach = acceleration**2 * (1 / j + 1 / out) / 2
    if change < reach:
        a = math.sqrt(2 * change / (1 / j + 1 / out))
        return [(a / j, sign * j), (a / out, -sign * out)]
    hold = (change - reach) / acceleration
    return [(acceleration / j, sign * j), (hold, 0.0), (acceleration / out, -sign * out)]


def distance(pieces: list[Piece], speed: float) -> float:
    """Return the distance covered by ``pieces`` from a start at ``speed`` without acceleration."""
    z, v, a = 0.0, speed, 0.0
    for t, j in pieces:
        z += v * t + a * t**2 / 2 + j * t**3 / 6
        v += a * t + j * t**2 / 2
        a += j * t
    return z


def _s_curve(drop: float, limits: SCurve) -> list[Piece]:
    """Return pieces (duration, jerk of the height) that cover ``drop`` from rest to rest."""
    flare = min(limits.flare_speed, limits.speed)

    def ramp_of(change: float) -> list[Piece]:
        return ramp(change, limits.acceleration, limits.jerk)

    stop = ramp_of(-flare)
    stop_distance = distance(stop, flare)
    low = min(limits.flare_height, drop) - stop_distance
    high, low = drop - stop_distance - max(low, 0.0), max(low, 0.0)

    def fast(speed: float) -> list[Piece]:
        return [*ramp_of(speed), *ramp_of(flare - speed)]

    def length(speed: float) -> float:
        up = ramp_of(speed)
        return distance(up, 0.0) + distance(ramp_of(flare - speed), speed)

    if high < length(flare):  # too short for the flare speed: one smaller ramp up and down
        small, large = 0.0, flare
        for _ in range(60):
            middle = (small + large) / 2
            up = ramp_of(middle)
            fits = distance(up, 0) + distance(ramp_of(-middle), middle) <= drop
            small, large = (middle, large) if fits else (small, middle)
        up, down = ramp_of(small), ramp_of(-small)
        rest = drop - distance(up, 0) - distance(down, small)
        cruise = rest / small if small > 0 else 0.0
        return [(t, -j) for t, j in [*up, (cruise, 0.0), *down]]
    small, large = flare, limits.speed
    if length(large) > high:
        for _ in range(60):
            middle = (small + large) / 2
            small, large = (middle, large) if length(middle) <= high else (small, middle)
        large = small
    up, down = ramp_of(large), ramp_of(flare - large)
    cruise = (high - length(large)) / large
    pieces = [*up, (cruise, 0.0), *down, (low / flare, 0.0), *stop]
    return [(t, -j) for t, j in pieces]


def integrate_jerk(z: float, pieces: list[Piece]) -> tuple[Array, Array]:
    """Return start times and cubic coefficients of constant-jerk pieces, and a last piece at rest."""
    t, v, a = 0.0, 0.0, 0.0
    times, rows = [], []
    for duration, j in pieces:
        if duration <= 0:
            continue
        times.append(t)
        rows.append([z, v, a / 2, j / 6])
        z += v * duration + a * duration**2 / 2 + j * duration**3 / 6
        v += a * duration + j * duration**2 / 2
        a += j * duration
        t += duration
    times.append(t)
    rows.append([z, 0.0, 0.0, 0.0])
    return np.array(times), np.array(rows)


def plan_through(times: Array, points: Array) -> Plan:
    """Plan quintic pieces from rest to rest through points (n, 3) of x, y, height at ``times`` (n,)."""
    if len(times) - 1 > MAX_PIECES - 1:
        raise InputError(
            f"{len(times)} way-points are more than the {MAX_PIECES} that a plan holds"
        )
    coefficients = np.zeros((len(times), 3, DEGREE + 1))
    coefficients[:, :, 0] = points
    duration = np.diff(times)[:, None]
    step = np.diff(points, axis=0)
    coefficients[:-1, :, 3] = 10 * step / duration**3
    coefficients[:-1, :, 4] = -15 * step / duration**4
    coefficients[:-1, :, 5] = 6 * step / duration**5
    return Plan("way-points", np.asarray(times), coefficients, float(times[0]), float(times[-1]))


RECORD_FIELDS = [
    ("pieces", np.int64),
    ("piece", np.int64),
    ("piece_ahead", np.int64),
    ("piece_times", np.float64, (MAX_PIECES,)),
    ("piece_coefficients", np.float64, (MAX_PIECES, 3, DEGREE + 1)),
    ("decay", np.float64),
    ("descent_start", np.float64),
    ("floor", np.float64),
    *bumpless.RECORD_FIELDS,
]
"""What the compiled step keeps of a plan; ``floor`` is the origin's height when standing [m]."""


def store_plan(record: Any, plan: Plan, floor: float) -> None:
    """Copy a plan into a record that has ``RECORD_FIELDS``."""
    n = len(plan.times)
    record["pieces"], record["piece"], record["piece_ahead"] = n, 0, 0
    record["piece_times"][:n] = plan.times
    record["piece_coefficients"][:n] = plan.coefficients
    record["decay"], record["descent_start"], record["floor"] = (
        plan.decay,
        plan.descent_start,
        floor,
    )
    record["joining"], record["joined_from"] = JOINING, 0.0
    record["start_offset"], record["start_speed"] = 0.0, 0.0


def plan_record(plan: Plan) -> Any:
    """Return a record that knows nothing but a plan, over a floor at 0, for ``setpoint`` to read."""
    record = blank_record(np.dtype(RECORD_FIELDS, align=True))[0]
    store_plan(record, plan, 0.0)
    return record


@compiled
def setpoint(c: Any, t: float) -> tuple[Vector, Vector, Vector]:
    """Return wanted position, velocity, acceleration of the body's origin in the world at time t."""
    while c.piece + 1 < c.pieces and c.piece_times[c.piece + 1] <= t:
        c.piece += 1
    p, v, a, _ = _motion(c, c.piece, t)
    return p, v, a


@compiled
def setpoint_ahead(c: Any, t: float) -> tuple[Vector, Vector, Vector, Vector]:
    """Return position, velocity, acceleration and jerk at a time t that lies ahead of ``setpoint``'s."""
    while c.piece_ahead + 1 < c.pieces and c.piece_times[c.piece_ahead + 1] <= t:
        c.piece_ahead += 1
    return _motion(c, c.piece_ahead, t)


@compiled
def _motion(c: Any, i: int, t: float) -> tuple[Vector, Vector, Vector, Vector]:
    s = t - c.piece_times[i]
    k = c.piece_coefficients
    x, vx, ax, jx = _polynomial(k, i, 0, s)
    y, vy, ay, jy = _polynomial(k, i, 1, s)
    z, vz, az, jz = _polynomial(k, i, 2, s)
    if c.decay > 0.0 and t >= c.descent_start:
        drop = k[0, 2, 0] - k[1, 2, 0]
        r = c.decay
        e = math.exp(-r * s)
        z += drop * (1 + r * s) * e
        vz = -drop * r * r * s * e
        az = -drop * r * r * (1 - r * s) * e
        jz = drop * r * r * r * (2 - r * s) * e
    gone = (t - c.joined_from) / c.joining
    if gone < 1.0:
        gone = max(gone, 0.0)
        dx, dvx, dax, djx = moved_at_start(c, 0, gone)
        dy, dvy, day, djy = moved_at_start(c, 1, gone)
        dz, dvz, daz, djz = moved_at_start(c, 2, gone)
        x, vx, ax, jx = x + dx, vx + dvx, ax + dax, jx + djx
        y, vy, ay, jy = y + dy, vy + dvy, ay + day, jy + djy
        z, vz, az, jz = z + dz, vz + dvz, az + daz, jz + djz
    return (x, y, z + c.floor), (vx, vy, vz), (ax, ay, az), (jx, jy, jz)


@compiled
def _polynomial(k: Any, i: int, axis: int, s: float) -> tuple[float, float, float, float]:
    c0, c1, c2 = k[i, axis, 0], k[i, axis, 1], k[i, axis, 2]
    c3, c4, c5 = k[i, axis, 3], k[i, axis, 4], k[i, axis, 5]
    value = c0 + s * (c1 + s * (c2 + s * (c3 + s * (c4 + s * c5))))
    rate = c1 + s * (2 * c2 + s * (3 * c3 + s * (4 * c4 + s * 5 * c5)))
    acceleration = 2 * c2 + s * (6 * c3 + s * (12 * c4 + s * 20 * c5))
    jerk = 6 * c3 + s * (24 * c4 + s * 60 * c5)
    return value, rate, acceleration, jerk
