"""One flight in the world, from its start to standing still, as a log and its figures."""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.compiled import is_cold
from neural_lander.controller.deck import PREDICTED
from neural_lander.controller.errors import InputError
from neural_lander.controller.fastest import (
    FASTEST,
    SPEED,
    TOUCHDOWN_SPEED,
    DescentLimits,
    plan_fastest,
    require_hover,
    speed_seen,
)
from neural_lander.controller.flight_log import QUANTITIES, FlightLog
from neural_lander.controller.inner_loop import InnerLoop
from neural_lander.controller.landing_controller import controller_record
from neural_lander.controller.monitor import Limits, store_limits
from neural_lander.controller.network import Network, network_record
from neural_lander.controller.own_force import NETWORK
from neural_lander.controller.pilot import Task, is_foreign, make_pilot
from neural_lander.controller.rotation import Quaternion, Vector
from neural_lander.controller.setpoint import Plan, plan_descent
from neural_lander.controller.terrain import FLAT
from neural_lander.controller.touchdown import CUT
from neural_lander.controller.transfer import TransferLimits, joined, plan_transfer
from neural_lander.controller.vehicle import Vehicle
from neural_lander.sim.accelerometer import draw_feeling
from neural_lander.sim.deck import Swing, draw_swing, store_swing
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.landing_site import check_site, touches_early
from neural_lander.sim.physics import NEAR, load_aerodynamics, reach, world_record
from neural_lander.sim.piloted import Step, fly_freely_with, piloted_step
from neural_lander.sim.scenario import Scenario
from neural_lander.sim.sensors import (
    draw_bias,
    draw_drop_outs,
    draw_marker_noise,
    draw_noise,
    draw_range_noise,
)
from neural_lander.sim.step import (
    AIR,
    CHANCES,
    DROP_OUT,
    FELT,
    LOGGED,
    MARKER,
    RANGE,
    ROW,
    fly_freely,
    step,
)
from neural_lander.sim.summary import summarise
from neural_lander.sim.verdict import Outcome, is_still
from neural_lander.sim.wind import draw_air
from neural_lander.sim.world import World, world_of

Array = npt.NDArray[np.float64]
Record = npt.NDArray[Any]
Records = tuple[Record, Record, Record, Record]
"""World, controller, learned network, network that plays the vehicle."""
Start = tuple[Vector, Quaternion, Vector, Vector]
"""Position, attitude, velocity, rate of the body, all in the world frame."""

ENGINES = ("pybullet", "hybrid")
"""Names that ``land --engine`` takes."""

STANDING = math.cos(math.radians(5))
"""Tilted less than this the legs touch a floor before anything else can."""
CRASH_TILT = math.radians(60)
"""[rad]"""
CRASH_SPEED = 1.0
"""First contact of the legs faster than this is a crash [m/s]."""
ARRIVED = 0.5
"""Hover between a level way and the descent [s]."""
AFTER_CUT = 0.3
"""How long a vehicle is watched after its motors were cut: seven motor lags [s]."""
WATCHED = 3.0
"""And how much longer at most, while it still slides or tips [s]."""


@dataclass(frozen=True)
class Flight:
    """What is flown: everything but the seed."""

    vehicle: Vehicle
    controller: str
    scenario: Scenario
    reference: str = "s-curve"
    aero: str = "rotor"
    decay: float = 2.0
    """C of the exponential reference [1/s]."""
    touchdown_speed: float = TOUCHDOWN_SPEED
    """Of the fastest reference [m/s]."""
    descent_speed: float = SPEED
    """Greatest speed of the fastest reference where the model does not set a lower one [m/s]."""
    network: Network | None = None
    """The learned residual model, for ``learned`` controllers."""
    engine: str = "pybullet"
    """``pybullet`` for everything, or ``hybrid``: compiled free flight, PyBullet near the ground."""
    deck_way: int = PREDICTED
    """How a deck that moves is followed: estimated and fed forward, or its measured height alone."""
    certified: bool | None = None
    """Whether a certificate fits; None where the controller learned nothing."""
    fitted_radius: float | None = None
    """Radius for ``textbook-fitted``, from the flights that a model learned from [m]."""
    limits: Limits | None = None
    """What the certificate lets the vehicle see of itself; None: no monitor."""
    deviation: Deviation = field(default_factory=Deviation)
    """How the vehicle is other than its file says; by default as the scenario's [vehicle] has it."""

    @property
    def real(self) -> Deviation:
        """How the vehicle really is other than its file says.

        Raises:
            InputError: the scenario and the flight both say so.
        """
        believed = Deviation()
        if self.deviation == believed:
            return self.scenario.vehicle
        if self.scenario.vehicle != believed:
            raise InputError(
                f"scenario '{self.scenario.name}' has a table [vehicle], and the flight has a deviation "
                "of its own; leave one of them out"
            )
        return self.deviation

    @property
    def plan(self) -> Plan:
        """The motion of the set-point: a level way where the scenario has one, then the descent."""
        scenario = self.scenario
        if not scenario.travels:
            return self._descent(scenario.start, scenario.hover)
        z = scenario.start[2]
        end = (*scenario.end, z)
        limits = TransferLimits(speed=scenario.travel_speed)
        way = plan_transfer(scenario.start, end, scenario.hover, limits)
        if scenario.stays_level:
            return replace(way, name=self.reference)
        return joined(way, self._descent(end, ARRIVED))

    def _descent(self, start: tuple[float, float, float], hover: float) -> Plan:
        """Plan a hover and the descent; the fastest one stays inside what the model has seen."""
        if self.scenario.travels and self.reference == "exponential":
            raise InputError(
                f"scenario '{self.scenario.name}' has a level way before the descent, which the "
                "exponential reference has no room for; take s-curve or fastest"
            )
        if self.reference == FASTEST:
            require_hover(self.vehicle, self.controller, self.scenario.hover)
            if not self.scenario.lands:
                raise InputError(
                    f"--reference {FASTEST} is for landings; scenario '{self.scenario.name}' ends "
                    f"{self.scenario.target_height} m over the surface: take s-curve"
                )
            seen = speed_seen(self.network, self.descent_speed)
            limits = DescentLimits.of(self.vehicle, self.touchdown_speed, *seen)
            return plan_fastest(start, hover, limits, touches_early(self.scenario, self.vehicle))
        return plan_descent(
            self.reference, start, self.scenario.target_height, hover, decay=self.decay
        )


@dataclass(frozen=True)
class Landing:
    """One flight flown."""

    log: FlightLog
    summary: dict[str, Any]


def fly(flight: Flight, seed: int) -> Landing:
    """Fly once; the same seed gives the same bytes.

    Raises:
        InputError: a learned controller without a network, unknown names, an unreadable network, a
            start that may be inside a table, a surface that the vehicle would slide down, a deck
            that it cannot follow.
    """
    rng = np.random.default_rng(seed)
    scenario, vehicle = flight.scenario, flight.vehicle
    plan = flight.plan
    x, y, terrain = scenario.start_x, scenario.start_y, scenario.ground
    lowest = terrain.height(x, y) + scenario.start_height - scenario.start_spread
    check_site(scenario, vehicle)
    terrain.check_start(x, y, lowest, reach(vehicle) + math.sqrt(2) * scenario.start_spread)
    off = rng.uniform(-1, 1, 3) * scenario.start_spread
    speed = rng.uniform(-1, 1, 3) * scenario.start_speed_spread
    yaw = float(rng.uniform(-math.pi, math.pi))
    start = (float(off[0]) + x, float(off[1]) + y, float(off[2]) + scenario.start[2])
    swing = None if scenario.deck is None else draw_swing(scenario.deck, rng.spawn(1)[0])
    begun = time.perf_counter()
    rows, outcome = run(
        flight, plan, rng, start, (float(speed[0]), float(speed[1]), float(speed[2])), yaw,
        plan.end + scenario.after, scenario.lands, swing=swing,
    )  # fmt: skip
    wall = time.perf_counter() - begun
    log = flight_log(rows, flight, seed, scenario=scenario.name, reference=flight.reference)
    log = with_surface(log, scenario, swing)
    summary = summarise(log, outcome, plan, flight.vehicle, flight.limits, scenario.lands)
    summary |= {"real_time_factor": round(len(rows) * vehicle.timing.period / wall, 1)}
    return Landing(log, summary)


def run(
    flight: Flight,
    plan: Plan,
    rng: np.random.Generator,
    start: tuple[float, float, float],
    velocity: tuple[float, float, float],
    yaw: float,
    duration: float,
    lands: bool,
    noise: Array | None = None,
    swing: Swing | None = None,
) -> tuple[Array, Outcome]:
    """Fly a plan from a start (x, y, height above standing) and return the log's rows.

    The start's height, like the plan's, is above standing on the surface where the plan ends.
    ``noise`` (steps, 16) is that of the sensors, drawn if not given, as ``swing`` is, the motion of the
    scenario's deck. Ends after ``duration`` [s], ``AFTER_CUT`` after the motors were cut (``WATCHED``
    later at most, if it moves on), or at a crash.
    """
    vehicle = flight.vehicle
    if flight.engine not in ENGINES:
        raise InputError(f"engine '{flight.engine}' is unknown; take one of {', '.join(ENGINES)}")
    aerodynamics, real = load_aerodynamics(flight.aero, vehicle)
    terrain, end = flight.scenario.ground, plan.coefficients[-1, :2, 0]
    surface = terrain.height(end[0], end[1])
    blind = flight.scenario.sensors.height == "range" and flight.scenario.deck is None
    chart = FLAT if blind else terrain
    foreign = is_foreign(flight.controller)
    control = controller_record(
        vehicle,
        "pd" if foreign else flight.controller,
        plan,
        yaw,
        surface,
        lands,
        age=flight.scenario.sensors.late_steps(vehicle) * vehicle.timing.period,
        chart=chart,
        fitted_radius=flight.fitted_radius,
        moving=flight.scenario.moving,
        deck_way=flight.deck_way,
    )
    if control[0]["residual"] == NETWORK and flight.network is None:
        raise InputError(f"controller '{flight.controller}' needs a model; give --model MODEL")
    if flight.limits is not None:
        store_limits(control[0], flight.limits, InnerLoop.of(vehicle))
    scenario, deviation = flight.scenario, flight.real
    world = world_record(
        vehicle,
        aerodynamics,
        deviation=deviation,
        wind=scenario.wind,
        sensors=scenario.sensors,
        ground=terrain,
        air=scenario.aerodynamics,
    )
    if scenario.deck is not None:
        swing = swing or draw_swing(scenario.deck, rng.spawn(1)[0])
        store_swing(world[0], swing, scenario.moving)
    steps = math.ceil(duration / vehicle.timing.period)
    if noise is None:
        noise = draw_noise(vehicle, steps, rng, scenario.sensors.colour)
    noise = with_chances(noise, flight, rng)
    world[0]["accelerometer"] = scenario.sensors.accelerometer
    if is_cold():
        print(
            "compiling the flight step, once on this machine (about half a minute) ...",
            file=sys.stderr,
        )
    records = (world, control, network_record(flight.network), network_record(real))
    c, s, (x, y, z) = math.cos(yaw), math.sin(yaw), deviation.centre_of_mass
    at = (
        start[0] + c * x - s * y,
        start[1] + s * x + c * y,
        start[2] + surface + vehicle.rest_height + z,
    )
    turned = (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))
    begin = (at, turned, velocity, (0.0, 0.0, 0.0))
    engine = world_of(
        deviation.real(vehicle), terrain, scenario.legs.springs(vehicle), scenario.moving
    )
    turn: Step = step
    freely: Callable[..., Any] | None = fly_freely
    if foreign:
        pilot = make_pilot(flight.controller, Task(vehicle, plan, yaw, chart, control[0]))
        turn = piloted_step(pilot, flight.controller)
        freely = partial(fly_freely_with, turn)
    if flight.engine != "hybrid":
        freely = None
    return _loop(engine, records, noise, steps, begin, turn, freely, swing)


def with_chances(noise: Array, flight: Flight, rng: np.random.Generator) -> Array:
    """Return the noise with what else the scenario leaves to chance, in the columns of ``step``.

    Air, sensors and accelerometer draw from streams of their own, so that none changes another, nor the
    noise.
    """
    wind, sensors, period = (
        flight.scenario.wind,
        flight.scenario.sensors,
        flight.vehicle.timing.period,
    )
    steps, deck = len(noise), flight.scenario.deck
    if sensors.accelerometer:
        noise = np.hstack([noise, np.zeros((steps, CHANCES - DROP_OUT))])
        noise[:, FELT:MARKER] = draw_feeling(flight.vehicle, sensors, steps, rng)
    if not (
        deck
        or wind.turbulence
        or wind.near_ground
        or sensors.position_bias_walk
        or sensors.drop_out_share
        or sensors.has_range_finder
    ):
        return noise
    for_air, for_bias, for_drop_outs, for_range, for_marker = rng.spawn(5)
    rows = np.zeros((steps, CHANCES))
    rows[:, : noise.shape[1]] = noise
    rows[:, :3] += draw_bias(sensors, steps, period, for_bias)
    rows[:, DROP_OUT] = draw_drop_outs(sensors, steps, period, for_drop_outs)
    rows[:, AIR:RANGE] = draw_air(wind, flight.scenario.start_height, steps, period, for_air)
    if sensors.has_range_finder:
        rows[:, RANGE] = draw_range_noise(sensors, flight.vehicle, steps, for_range)
    if deck:
        rows[:, MARKER] = draw_marker_noise(sensors, flight.vehicle, steps, for_marker)
    return rows


def _loop(
    engine: World,
    records: Records,
    noise: Array,
    steps: int,
    start: Start,
    step: Step,
    freely: Callable[..., Any] | None,
    swing: Swing | None = None,
) -> tuple[Array, Outcome]:
    """Step until the flight is over; everything per step is local, for speed.

    ``freely`` flies as long as nothing can be touched; None: the engine does from the first step on.
    ``swing`` is the motion of the box that moves.
    """
    world, control, learned, real = records
    log = np.zeros((steps, ROW))
    upright = math.cos(CRASH_TILT)
    first = 0
    if freely:
        first, p, q, v, omega = freely(0, steps - 1, *start, *records, noise, log, NEAR, upright)
        start = (p, q, v, omega)
    engine.reset(*start)
    engine.feel_ground(False)
    body, frame = engine.body, engine.frame
    pose, twist, push, turn, advance = (
        engine.pose,
        engine.twist,
        engine.push,
        engine.turn,
        engine.advance,
    )
    last = watched = steps - 1
    cut_at = contact_at = None
    near = False
    sides = bool(engine.terrain.surfaces)
    crash, speed_before = "", 0.0
    k = first
    for k in range(first, steps):
        p, q = pose(body)
        v, omega = twist(body)
        force, torque, low, phase, ground = step(
            k, p, q, v, omega, world, control, learned, real, noise, log
        )
        if low < NEAR and not near:
            near = True
            engine.feel_ground(True)
        if near and swing is not None:
            engine.carry(swing, k * engine.vehicle.timing.period)
        push(body, -1, force, p, frame)
        turn(body, -1, torque, frame)
        advance()
        up = 1 - 2 * (q[0] * q[0] + q[1] * q[1])
        if ground > 0.0:
            if contact_at is None:
                contact_at = k - 1
                if speed_before < -CRASH_SPEED:
                    crash = f"first contact at {-speed_before:.2f} m/s"
            if up < STANDING and engine.touches_with_body(p, q):
                crash = crash or "contact by something else than the legs"
        if sides and low < NEAR and engine.touches_with_body(p, q):
            crash = crash or "contact by something else than the legs, or with a table's side"
        if up < upright:
            crash = crash or "tilt over 60 degrees"
        if phase == CUT and cut_at is None:
            cut_at = k
            last = min(last, k + round(AFTER_CUT / engine.vehicle.timing.period))
            watched = min(steps - 1, last + round(WATCHED / engine.vehicle.timing.period))
        if swing is not None:
            v, omega = swing.seen_from(k * engine.vehicle.timing.period, p, v, omega)
        if crash or (k >= last and (cut_at is None or k >= watched or is_still(v, omega))):
            break
        speed_before = v[2]
    # the ground's force over the last step is not known yet: that row is left out
    return log[:k], Outcome(contact_at, cut_at, crash)


def with_surface(log: FlightLog, scenario: Scenario, swing: Swing | None = None) -> FlightLog:
    """Return the log with the surface that is landed on, where that is no level one at rest."""
    if swing is not None:
        x, moving = log["truth_position"][:, 0], log["truth_velocity"][:, 0]
        columns = {
            "truth_surface_height": swing.height(log["time"], x),
            "truth_surface_speed": swing.speed(log["time"], x, moving),
            "truth_surface_normal": normals(swing.gradient(log["time"])),
        }
        return replace(log, columns={**log.columns, **columns})
    surface = scenario.terrain.under(*scenario.end)
    if surface is None or surface.level:
        return log
    rise = surface.gradient
    p, v = log["truth_position"], log["truth_velocity"]
    height = surface.height + rise[0] * (p[:, 0] - surface.x) + rise[1] * (p[:, 1] - surface.y)
    columns = {
        "truth_surface_height": height,
        "truth_surface_speed": rise[0] * v[:, 0] + rise[1] * v[:, 1],
        "truth_surface_normal": normals(np.tile(rise, (len(log), 1))),
    }
    return replace(log, columns={**log.columns, **columns})


def normals(gradient: Array) -> Array:
    """Return the upward unit normals (n, 3) of planes z = gradient x, gradient (n, 2)."""
    up = np.column_stack([-gradient, np.ones(len(gradient))])
    return np.asarray(up / np.linalg.norm(up, axis=1, keepdims=True))


def flight_log(rows: Array, flight: Flight, seed: int, **metadata: Any) -> FlightLog:
    """Turn rows written by the step into a flight log."""
    columns: dict[str, Array] = {}
    i = 0
    for name in LOGGED:
        n = len(QUANTITIES[name].components)
        columns[name] = rows[:, i] if n == 0 else rows[:, i : i + n]
        i += max(n, 1)
    if not flight.scenario.sensors.has_range_finder:
        del columns["range"]
    if not flight.scenario.sensors.accelerometer:
        del columns["specific_force"]
    return FlightLog(
        columns,
        {
            "vehicle": flight.vehicle.name,
            "vehicle_digest": flight.vehicle.digest,
            "source": "simulation",
            "frame": "world ENU, body FLU, quaternion xyzw",
            "rest_height_m": flight.vehicle.rest_height,
            "controller": flight.controller,
            "aero": Path(flight.aero).stem if flight.aero.endswith(".safetensors") else flight.aero,
            "model": flight.network.digest if flight.network else None,
            "certified": flight.certified,
            "seed": seed,
            **metadata,
        },
    )
