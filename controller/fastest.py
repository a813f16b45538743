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

A tube around a descent needs more room (``ThrustRoom``), and less jerk, which latency and an unknown mass
turn into an error. Room by height binds each part of the descent at the heights where that part is:
the fall below, the brake above, and the jerk that lets go of the brake and stops the set-point

    m (g - lag j_out) >= below(floor) T_max

Which heights these are depends on the plan, so it is planned with the least that could be, and again
with what it turns out to cross, until it crosses nothing tighter. Where that lands sooner, the fall ends
above a step that would ask it for more.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from neural_lander.controller.errors import InputError
from neural_lander.controller.hover_mass import SETTLED, shown
from neural_lander.controller.network import Network
from neural_lander.controller.setpoint import DEGREE, Piece, Plan, distance, integrate_jerk, ramp
from neural_lander.controller.thrust_room import ThrustRoom
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
INSTANT = 1e-6
"""Descents that land so close to each other land at once [s]."""
GENTLE_JERK_OUT = 12.0
"""Jerk out of an acceleration where there is to be a tube, and no room by height says more [m/s^3]."""
ROOMY_JERK_OUT = 40.0
"""Greatest jerk out of an acceleration where room is given by height [m/s^3]: the hold and the latency
of a jerk are errors of the tube as well."""


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
    room: ThrustRoom | None = None
    """That the plan keeps, for a tube."""
    most: float = math.inf
    """Greatest collective thrust that the rotors have [N]."""
    least_low: float | None = None
    """Least thrust where the brake ends and the set-point stops [N]; None: as everywhere."""

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
        jerk = JERK_OUT
        if room is not None:
            jerk = ROOMY_JERK_OUT if room.by_height else GENTLE_JERK_OUT
        thrust = (low + RESERVE * high, high - RESERVE * high)
        limits = DescentLimits(
            speed,
            source,
            touchdown_speed,
            vehicle.weight,
            thrust,
            vehicle.rotors.lag,
            jerk,
            room,
            high,
        )
        if room is not None and room.by_height:
            return limits  # what of it binds depends on the plan
        return limits.crossing(math.inf, 0.0, math.inf, 0.0)

    def crossing(self, start: float, fallen: float, braking: float, low: float) -> "DescentLimits":
        """Return the limits with the room that a descent needs at the heights [m] of its parts.

        Args:
            start: where the fall begins.
            fallen: where it ends.
            braking: from where on thrust may be above weight.
            low: from where on the brake is let go.

        Raises:
            InputError: rotors too weak to brake, or too little left to fall.
        """
        room, (least, most) = self.room, self.thrust
        floor = self.least_low
        if room is not None:
            least = max(least, room.below(fallen, start) * self.most)
            most = min(most, (1 - room.above(0.0, braking)) * self.most)
            if room.by_height:
                floor = room.below(0.0, low) * self.most
        if most <= 1.05 * self.weight:
            raise InputError(
                f"rotors give at most {self.most:.3g} N, {1 - most / self.most:.0%} of it kept in "
                f"reserve, for a weight of {self.weight:.3g} N: too little to brake a fast descent; take "
                "--reference s-curve" + ", or less of --thrust-room" * (room is not None)
            )
        if least >= 0.95 * self.weight:
            raise InputError(
                f"at least {least:.3g} N are kept under a weight of {self.weight:.3g} N: too much to "
                "begin a descent; give less of --thrust-room"
            )
        if floor is not None and floor >= 0.99 * self.weight:
            raise InputError(
                f"at least {floor:.3g} N are kept near the floor under a weight of {self.weight:.3g} N: "
                "too much to let go of the brake; give less of --thrust-room there"
            )
        return replace(self, thrust=(least, most), least_low=floor)

    def fall(self, jerk: float) -> float:
        """Return the greatest downward acceleration [m/s^2] with ``jerk`` [m/s^3] into it."""
        return GRAVITY * (1 - self.thrust[0] / self.weight) - self.lag * jerk

    def brake(self, jerk: float) -> float:
        """Return the greatest upward acceleration [m/s^2] with ``jerk`` [m/s^3] into it."""
        return GRAVITY * (self.thrust[1] / self.weight - 1) - self.lag * jerk

    def jerks_out(self) -> tuple[float, float]:
        """Return the jerks out of fall and brake [m/s^3]; weight and their lead keep the limits."""
        up = min(self.greatest_jerk_out, self.brake(0.0) / self.lag)
        if self.least_low is None:
            both = min(up, self.fall(0.0) / self.lag)
            return both, both
        return up, min(self.greatest_jerk_out, self._low())

    def stop_jerk(self) -> float:
        """Return the jerk with which the set-point comes to rest [m/s^3]."""
        return STOP_JERK if self.least_low is None else min(STOP_JERK, self._low())

    def _low(self) -> float:
        """Return the jerk that commands ``least_low`` at weight [m/s^3]."""
        assert self.least_low is not None
        return GRAVITY * (1 - self.least_low / self.weight) / self.lag


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
    best, limits = _planned(float(start[2]), limits, SETTLE + early)
    if best is None:
        raise InputError(
            f"start at {start[2]} m is too low for a descent that settles at "
            f"{limits.touchdown_speed} m/s; start higher or take --reference s-curve"
        )
    time, pieces, numbers = best.time, best.pieces, best.numbers
    rest = ramp(limits.touchdown_speed, STOP, limits.stop_jerk())
    under = max(OVERTRAVEL + distance(rest, -limits.touchdown_speed), 0.0)
    after = [(under / limits.touchdown_speed, 0.0), *rest]
    times, z = integrate_jerk(start[2], [(hover, 0.0), *pieces, *after])
    coefficients = np.zeros((len(times), 3, DEGREE + 1))
    coefficients[:, 0, 0], coefficients[:, 1, 0] = start[0], start[1]
    coefficients[:, 2, :4] = z
    binds = "the rotors' thrust"
    if numbers["speed_m_s"] >= 0.999 * limits.speed:
        binds += f", and the descent speed of {limits.speed:.3g} m/s ({limits.speed_source})"
    room = {} if limits.room is None else {"thrust_room": str(limits.room)}
    return Plan(
        FASTEST, times, coefficients, hover, float(times[-1]), compensated=True,
        metadata={"binds": binds, "touchdown_s": time, **numbers, **room},
    )  # fmt: skip


@dataclass(frozen=True)
class _Descent:
    """From rest to the floor."""

    time: float
    """To the floor [s]."""
    pieces: list[Piece]
    numbers: dict[str, float]
    fallen: float
    """Height where the fall ends, and thrust is above weight from [m]."""
    low: float
    """Height from which the brake is let go [m]."""


def _planned(
    drop: float, limits: DescentLimits, settle: float
) -> tuple[_Descent | None, DescentLimits]:
    """Return the fastest descent from ``drop`` [m] that keeps its room, and the limits that it keeps."""
    room = limits.room
    if room is None or not room.by_height:
        return _quickest(drop, limits, settle), limits
    found: tuple[_Descent | None, DescentLimits] = (None, limits)
    refusal: InputError | None = None
    for border in (0.0, *(h for h, _, _ in room.steps if 0 < h < drop)):
        so_far = found[0]
        if so_far is not None:
            already = max(so_far.fallen, 0.0)
            if border <= already or room.below(border, drop) == room.below(already, drop):
                continue  # the fall ends above it, or would be asked for no less
        try:
            best, kept = _keeping(drop, limits, settle, border)
        except InputError as error:
            refusal = refusal or error
            continue
        if best is not None and (so_far is None or best.time < so_far.time - INSTANT):
            found = (best, kept)
        elif so_far is not None:
            break  # a fall that ends higher yet is shorter yet
    if found[0] is None and refusal is not None:
        raise refusal
    return found


def _keeping(
    drop: float, limits: DescentLimits, settle: float, border: float
) -> tuple[_Descent | None, DescentLimits]:
    """Return the fastest descent that keeps its room and falls no further than a height [m]."""
    fallen, braking, low = drop, 0.0, 0.0
    kept = limits.crossing(drop, fallen, braking, low)
    while True:
        best = _quickest(drop, kept, settle, border)
        if best is None:
            return None, kept
        fallen, braking = min(fallen, best.fallen), max(braking, best.fallen)
        low = max(low, best.low)
        tighter = limits.crossing(drop, fallen, braking, low)
        if tighter == kept:
            return best, kept
        kept = tighter


def _quickest(
    drop: float, limits: DescentLimits, settle: float, border: float = 0.0
) -> _Descent | None:
    """Return the descent with the jerks that land first; None: there is none."""
    found: list[_Descent] = []

    def tried(into_fall: float, into_brake: float) -> float:
        one = _descent(drop, limits, float(into_fall), float(into_brake), settle, border)
        if one is None:
            return math.inf
        found.append(one)
        return one.time

    if limits.least_low is None:
        for into_fall in JERKS:
            for into_brake in JERKS:
                tried(into_fall, into_brake)
        return min(found, key=lambda one: one.time, default=None)
    into_brake = JERKS[len(JERKS) // 2]  # one after the other: they meet in the peak speed alone
    for _ in range(2):
        found.clear()
        times = [tried(j, into_brake) for j in JERKS]
        into_fall = JERKS[int(np.argmin(times))]
        times = [tried(into_fall, j) for j in JERKS]
        into_brake = JERKS[int(np.argmin(times))]
    return min(found, key=lambda one: one.time, default=None)


def _descent(
    drop: float,
    limits: DescentLimits,
    into_fall: float,
    into_brake: float,
    settle: float,
    border: float = 0.0,
) -> _Descent | None:
    """Return the fastest descent with these jerks."""
    end, (let_fall, let_go) = limits.touchdown_speed, limits.jerks_out()
    down, up = limits.fall(into_fall), limits.brake(into_brake)
    fast = drop - settle
    if down <= 0 or up <= 0 or fast < 0:
        return None

    def halves(peak: float) -> tuple[list[Piece], list[Piece]]:
        return ramp(-peak, down, into_fall, let_fall), ramp(peak - end, up, into_brake, let_go)

    def length(peak: float) -> float:
        fall, brake = halves(peak)
        return -distance(fall + brake, 0.0)

    low, high = end, limits.speed
    if length(low) > fast or -distance(halves(low)[0], 0.0) > drop - border:
        return None
    if border > 0 and -distance(halves(high)[0], 0.0) > drop - border:
        high = _largest(lambda peak: -distance(halves(peak)[0], 0.0) <= drop - border, low, high)
    if length(high) > fast:
        high = _largest(lambda peak: length(peak) <= fast, low, high)
    fall, brake = halves(high)
    way = [*fall, (max(fast - length(high), 0.0) / high, 0.0), *brake, (settle / end, 0.0)]
    numbers = {
        "speed_m_s": high, "fall_m_s2": down, "brake_m_s2": up, "jerk_m_s3": max(into_fall, into_brake)
    }  # fmt: skip
    fallen = drop + distance(fall, 0.0)
    low = settle - distance(brake, -high) + distance(brake[:-1], -high)
    return _Descent(sum(t for t, _ in way), way, numbers, fallen, low)


def _largest(fits: Callable[[float], bool], low: float, high: float) -> float:
    """Return the largest value that fits, between one that does and one that does not."""
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
