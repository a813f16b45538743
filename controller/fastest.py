"""The fastest descent that a vehicle can follow: constant-jerk pieces at the limits of its rotors.

    fall      until the descent speed reaches its peak, at most the speed limit
    brake     down to the touchdown speed, as hard as the rotors allow
    settle    at touchdown speed over the last centimetre, then on below the floor until it is met

The thrust that a descent commands, motor lag fed forward, is m (g + a + lag j); the collective
thrust must keep ``RESERVE`` of its range free at both ends, for errors, attitude and a mass other
than believed. At a corner of the acceleration that is

    m (g + a_brake + lag j) <= (1 - reserve) T_max,      m (g - a_fall - lag j) >= reserve T_max

so more jerk leaves less acceleration: the jerk is the one that lands first. With jerk, acceleration
and speed bounded, full jerk, no jerk, full jerk is the fastest change of speed (e.g. Biagiotti,
Melchiorri, "Trajectory Planning for Automatic Machines and Robots", 2008, section 3.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neural_lander.controller.errors import InputError
from neural_lander.controller.setpoint import DEGREE, Piece, Plan, distance, integrate_jerk, ramp
from neural_lander.controller.vehicle import GRAVITY, Vehicle

FASTEST = "fastest"
"""Name that ``land --reference`` takes."""

RESERVE = 0.10
"""Share of the greatest collective thrust that the plan leaves free at either end."""
SETTLE = 0.012
"""Height over which the descent goes on at touchdown speed [m]: an error smaller than this leaves
the touchdown speed as it is."""
OVERTRAVEL = 0.02
"""The set-point comes to rest this far below standing [m]."""
STOP, STOP_JERK = 1.0, 20.0
"""How the set-point comes to rest below the floor [m/s^2, m/s^3]."""
SPEED = 2.5
"""Greatest descent speed where no model sets one [m/s]."""
SLOWEST, QUICKEST = 0.02, 0.6
"""Touchdown speeds that can be asked for [m/s]."""
JERKS = np.geomspace(5.0, 400.0, 60)
"""Jerks tried [m/s^3]."""
BISECTIONS = 50


@dataclass(frozen=True)
class DescentLimits:
    """What bounds the descent."""

    speed: float
    """Greatest descent speed [m/s]."""
    speed_source: str
    """Whose limit that is, in words."""
    touchdown_speed: float
    """Descent speed at the floor [m/s]."""
    weight: float
    """[N]"""
    thrust: tuple[float, float]
    """Least and greatest collective thrust that may be planned [N]."""
    lag: float
    """Of the motors [s]."""

    @staticmethod
    def of(
        vehicle: Vehicle, touchdown_speed: float, speed: float = SPEED, source: str = "the default"
    ) -> "DescentLimits":
        """Return the limits of a vehicle.

        Raises:
            InputError: a touchdown speed out of range or above the speed limit, or rotors too weak to brake.
        """
        if not SLOWEST <= touchdown_speed <= QUICKEST:
            raise InputError(
                f"touchdown speed is {touchdown_speed} m/s, expected {SLOWEST} to {QUICKEST} m/s"
            )
        if touchdown_speed >= speed:
            raise InputError(
                f"touchdown speed {touchdown_speed} m/s is not below the greatest descent speed, "
                f"{speed:.3g} m/s ({source}); ask for a slower touchdown"
            )
        low, high = vehicle.thrust_limits
        room = RESERVE * high
        if high - room <= 1.05 * vehicle.weight:
            raise InputError(
                f"rotors give at most {high:.3g} N, {RESERVE:.0%} of it kept in reserve, for a weight of "
                f"{vehicle.weight:.3g} N: too little to brake a fast descent; take --reference s-curve"
            )
        return DescentLimits(
            speed, source, touchdown_speed, vehicle.weight, (low + room, high - room),
            vehicle.rotors.lag,
        )  # fmt: skip

    def accelerations(self, jerk: float) -> tuple[float, float]:
        """Return the greatest downward and upward acceleration [m/s^2] at a jerk [m/s^3]."""
        low, high = (GRAVITY * t / self.weight for t in self.thrust)
        return GRAVITY - low - self.lag * jerk, high - GRAVITY - self.lag * jerk


def plan_fastest(start: Sequence[float], hover: float, limits: DescentLimits) -> Plan:
    """Plan a hover of ``hover`` seconds at ``start`` (x, y, height) and the fastest landing below it.

    The plan's metadata says the limit that binds, the time from the start of the descent to the
    floor [s], and the greatest speed, accelerations [m/s, m/s^2] and jerk [m/s^3].

    Raises:
        InputError: a start too low to reach the touchdown speed and settle.
    """
    best: tuple[float, list[Piece], dict[str, float]] | None = None
    for jerk in JERKS:
        down, up = limits.accelerations(float(jerk))
        if down <= 0 or up <= 0:
            break
        found = _descent(float(start[2]), limits, float(jerk), down, up)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
    if best is None:
        raise InputError(
            f"start at {start[2]} m is too low for a descent that settles at "
            f"{limits.touchdown_speed} m/s; start higher or take --reference s-curve"
        )
    time, pieces, numbers = best
    rest = ramp(limits.touchdown_speed, STOP, STOP_JERK)
    under = max(OVERTRAVEL + distance(rest, -limits.touchdown_speed), 0.0)
    after = [(under / limits.touchdown_speed, 0.0), *rest]
    times, z = integrate_jerk(start[2], [(hover, 0.0), *pieces, *after])
    coefficients = np.zeros((len(times), 3, DEGREE + 1))
    coefficients[:, 0, 0], coefficients[:, 1, 0] = start[0], start[1]
    coefficients[:, 2, :4] = z
    binds = "the rotors' thrust"
    if numbers["speed_m_s"] >= 0.999 * limits.speed:
        binds += f", and the descent speed of {limits.speed:.3g} m/s ({limits.speed_source})"
    return Plan(
        FASTEST, times, coefficients, hover, float(times[-1]), compensated=True,
        metadata={"binds": binds, "touchdown_s": time, **numbers},
    )  # fmt: skip


def _descent(
    drop: float, limits: DescentLimits, jerk: float, down: float, up: float
) -> tuple[float, list[Piece], dict[str, float]] | None:
    """Return time to the floor, pieces and numbers of the fastest descent with this jerk."""
    end = limits.touchdown_speed
    fast = drop - SETTLE

    def pieces(peak: float) -> list[Piece]:
        return [*ramp(-peak, down, jerk), *ramp(peak - end, up, jerk)]

    low, high = end, limits.speed
    if fast < 0 or -distance(pieces(low), 0.0) > fast:
        return None
    if -distance(pieces(high), 0.0) > fast:
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if -distance(pieces(middle), 0) <= fast else (low, middle)
        high = low
    cruise = max(fast + distance(pieces(high), 0.0), 0.0) / high
    way = [*ramp(-high, down, jerk), (cruise, 0.0), *ramp(high - end, up, jerk), (SETTLE / end, 0.0)]
    numbers = {"speed_m_s": high, "fall_m_s2": down, "brake_m_s2": up, "jerk_m_s3": jerk}
    return sum(t for t, _ in way), way, numbers
