"""The fastest descent that a vehicle can follow: constant-jerk pieces at the limits of its rotors.

    fall      until the descent speed reaches its peak, at most the speed limit
    brake     down to the touchdown speed, as hard as the rotors allow
    settle    at touchdown speed over the last centimetre, then on below the floor until it is met

The thrust that a descent commands, motor lag fed forward, is m (g + a + lag j); the collective
thrust must keep ``RESERVE`` of its range free at both ends, for errors, attitude and a mass other
than believed. At a corner of the acceleration that is

    m (g + a_brake + lag j_2) <= (1 - reserve) T_max,     m (g - a_fall - lag j_1) >= reserve T_max

so more jerk into an acceleration leaves less of it: the jerks are those that land first. Out of an
acceleration, where m (g +- lag j) is commanded last, the jerk is ``JERK_OUT`` or what that allows. With
jerk, acceleration and speed bounded, full jerk, no jerk, full jerk is the fastest change of speed
(e.g. Biagiotti, Melchiorri, "Trajectory Planning for Automatic Machines and Robots", 2008, section 3.4).

A tube around a descent needs more room (``ThrustRoom``): below, because the tilt that an error sideways
asks for grows as thrust falls, above for every error there may be, and jerk is what latency and an
unknown mass turn into an error.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neural_lander.controller.errors import InputError
from neural_lander.controller.hover_mass import SETTLED, shown
from neural_lander.controller.network import Network
from neural_lander.controller.setpoint import DEGREE, Piece, Plan, distance, integrate_jerk, ramp
from neural_lander.controller.vehicle import GRAVITY, Vehicle

FASTEST = "fastest"
"""Name that ``land --reference`` takes."""

RESERVE = 0.03
"""Share of the greatest collective thrust that the plan leaves free at either end."""
SETTLE = 0.008
"""Height over which the descent goes on at touchdown speed [m]: an error smaller than this leaves
the touchdown speed as it is."""
OVERTRAVEL = 0.02
"""The set-point comes to rest this far below standing [m]."""
STOP, STOP_JERK = 1.0, 20.0
"""How the set-point comes to rest below the floor [m/s^2, m/s^3]."""
SPEED = 3.0
"""Greatest descent speed where no model sets one [m/s]."""
SLOWEST, QUICKEST = 0.02, 0.6
"""Touchdown speeds that can be asked for [m/s]."""
TOUCHDOWN_SPEED = 0.15
"""Descent speed at the floor where nobody asks for another [m/s]."""
JERKS = np.geomspace(10.0, 200.0, 16)
"""Jerks into an acceleration that are tried [m/s^3]."""
JERK_OUT = 100.0
"""Jerk out of an acceleration [m/s^3]: 5 ms of motor lag that nobody knows of make 0.05 g of it."""
BISECTIONS = 30
GENTLE_JERK_OUT = 12.0
"""Jerk out of an acceleration where there is to be a tube [m/s^3]."""


@dataclass(frozen=True)
class ThrustRoom:
    """Thrust that a descent leaves free for its tube, as shares of the greatest collective thrust."""

    below: float
    """Least thrust planned."""
    above: float
    """What the greatest planned is short of the greatest there is."""

    @staticmethod
    def parse(text: str) -> "ThrustRoom":
        """Read ``BELOW:ABOVE``.

        Raises:
            InputError: no such pair of shares.
        """
        try:
            below, above = (float(part) for part in text.split(":"))
            good = 0 <= below < 1 and 0 <= above < 1
        except ValueError:
            good = False
        if not good:
            raise InputError(
                f"thrust room is '{text}', expected BELOW:ABOVE, shares of the greatest thrust that "
                "the descent leaves free, like 0.33:0.2"
            )
        return ThrustRoom(below, above)


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
    greatest_jerk_out: float = JERK_OUT
    """Out of an acceleration [m/s^3]."""

    @staticmethod
    def of(
        vehicle: Vehicle,
        touchdown_speed: float,
        speed: float = SPEED,
        source: str = "the default",
        room: ThrustRoom | None = None,
    ) -> "DescentLimits":
        """Return the limits of a vehicle; ``room``: for a tube, None: ``RESERVE`` and no more.

        Raises:
            InputError: a touchdown speed out of range or above the speed limit, or rotors too weak
                to brake.
        """
        if not SLOWEST <= touchdown_speed <= QUICKEST:
            raise InputError(
                f"touchdown speed is {touchdown_speed} m/s, expected {SLOWEST} to {QUICKEST} m/s"
            )
        if not math.isfinite(speed):
            raise InputError(f"greatest descent speed is {speed} m/s ({source}), expected a number")
        if touchdown_speed >= speed:
            raise InputError(
                f"touchdown speed {touchdown_speed} m/s is not below the greatest descent speed, "
                f"{speed:.3g} m/s ({source}); ask for a slower touchdown"
            )
        low, high = vehicle.thrust_limits
        least, most = low + RESERVE * high, high - RESERVE * high
        if room is not None:
            least, most = max(least, room.below * high), min(most, (1 - room.above) * high)
        if most <= 1.05 * vehicle.weight:
            raise InputError(
                f"rotors give at most {high:.3g} N, {1 - most / high:.0%} of it kept in reserve, for a "
                f"weight of {vehicle.weight:.3g} N: too little to brake a fast descent; take "
                "--reference s-curve" + ", or less of --thrust-room" * (room is not None)
            )
        if least >= 0.95 * vehicle.weight:
            raise InputError(
                f"at least {least:.3g} N are kept under a weight of {vehicle.weight:.3g} N: too much to "
                "begin a descent; give less of --thrust-room"
            )
        return DescentLimits(
            speed, source, touchdown_speed, vehicle.weight, (least, most), vehicle.rotors.lag,
            JERK_OUT if room is None else GENTLE_JERK_OUT,
        )  # fmt: skip

    def fall(self, jerk: float) -> float:
        """Return the greatest downward acceleration [m/s^2] with ``jerk`` [m/s^3] into it."""
        return GRAVITY * (1 - self.thrust[0] / self.weight) - self.lag * jerk

    def brake(self, jerk: float) -> float:
        """Return the greatest upward acceleration [m/s^2] with ``jerk`` [m/s^3] into it."""
        return GRAVITY * (self.thrust[1] / self.weight - 1) - self.lag * jerk

    @property
    def jerk_out(self) -> float:
        """Jerk out of an acceleration [m/s^3]; weight and its lead stay inside the limits of thrust."""
        return min(self.greatest_jerk_out, self.fall(0.0) / self.lag, self.brake(0.0) / self.lag)


def speed_seen(network: Network | None, speed: float = SPEED) -> tuple[float, str]:
    """Return the greatest descent speed [m/s] that the model has seen, too, and whose limit it is."""
    source = "the limit given"
    for entry in network.inputs if network else ():
        if entry.name == "vertical_speed" and -entry.low < speed:
            speed, source = -entry.low, "what the model has seen"
    return speed, source


def require_hover(vehicle: Vehicle, controller: str, hover: float) -> None:
    """Refuse a hover too short for the controller's observer to find the mass.

    Raises:
        InputError: the observer's force would show less than ``SETTLED`` of a constant one.
    """
    rate = vehicle.observer_of(controller)
    if rate > 0 and shown(rate, hover) < SETTLED:
        raise InputError(
            f"hover is {hover} s: too short for an observer of {rate:g} 1/s to find the mass that "
            f"--reference {FASTEST} counts on; lengthen the scenario's hover"
        )


def plan_fastest(
    start: Sequence[float], hover: float, limits: DescentLimits, early: float = 0.0
) -> Plan:
    """Plan a hover of ``hover`` seconds at ``start`` (x, y, height) and the fastest landing below it.

    The plan's metadata says the limit that binds, the time from the start of the descent to the
    floor [s], and the greatest speed, accelerations [m/s, m/s^2] and jerk [m/s^3]. ``early``: how much
    higher than standing a leg may touch [m], as it does on a slope; the descent settles from there.

    Raises:
        InputError: a start too low to reach the touchdown speed and settle.
    """
    best: tuple[float, list[Piece], dict[str, float]] | None = None
    for into_fall in JERKS:
        for into_brake in JERKS:
            found = _descent(
                float(start[2]), limits, float(into_fall), float(into_brake), SETTLE + early
            )
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
    drop: float, limits: DescentLimits, into_fall: float, into_brake: float, settle: float
) -> tuple[float, list[Piece], dict[str, float]] | None:
    """Return time to the floor, pieces and numbers of the fastest descent with these jerks."""
    end, out = limits.touchdown_speed, limits.jerk_out
    down, up = limits.fall(into_fall), limits.brake(into_brake)
    fast = drop - settle
    if down <= 0 or up <= 0 or fast < 0:
        return None

    def halves(peak: float) -> tuple[list[Piece], list[Piece]]:
        return ramp(-peak, down, into_fall, out), ramp(peak - end, up, into_brake, out)

    def length(peak: float) -> float:
        fall, brake = halves(peak)
        return -distance(fall + brake, 0.0)

    low, high = end, limits.speed
    if length(low) > fast:
        return None
    if length(high) > fast:
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if length(middle) <= fast else (low, middle)
        high = low
    fall, brake = halves(high)
    way = [*fall, (max(fast - length(high), 0.0) / high, 0.0), *brake, (settle / end, 0.0)]
    numbers = {
        "speed_m_s": high, "fall_m_s2": down, "brake_m_s2": up, "jerk_m_s3": max(into_fall, into_brake)
    }  # fmt: skip
    return sum(t for t, _ in way), way, numbers
