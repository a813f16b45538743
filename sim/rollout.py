"""One flight in the world, from its start to standing still, as a log and its figures."""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.certificate import package_version, plan_digest
from neural_lander.controller.compiled import announce
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
from neural_lander.controller.pilot import Task, is_foreign, make_pilot, require_known
from neural_lander.controller.rotation import Vector
from neural_lander.controller.setpoint import Plan, plan_descent
from neural_lander.controller.terrain import FLAT, Terrain
from neural_lander.controller.thrust_room import ThrustRoom
from neural_lander.controller.torque_observer import suppose_thrusts
from neural_lander.controller.transfer import TransferLimits, joined, plan_transfer
from neural_lander.controller.vehicle import Vehicle
from neural_lander.sim.accelerometer import draw_feeling
from neural_lander.sim.deck import Swing, draw_swing, store_swing
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.episode import UPRIGHT, Episode, Records, Start
from neural_lander.sim.landing_site import check_site, touches_early
from neural_lander.sim.physics import NEAR, load_aerodynamics, reach, world_record
from neural_lander.sim.piloted import Step, fly_freely_with, piloted_step
from neural_lander.sim.policy import load_policy as load_policy  # so that policies are controllers
from neural_lander.sim.scenario import Scenario, require_fresh
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
from neural_lander.sim.verdict import Outcome
from neural_lander.sim.wind import draw_air
from neural_lander.sim.world import world_of

Array = npt.NDArray[np.float64]

ENGINES = ("pybullet", "hybrid")
"""Names that ``land --engine`` takes."""

ARRIVED = 0.5
"""Hover between a level way and the descent [s]."""


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
    thrust_room: ThrustRoom | None = None
    """That the fastest reference leaves free for a tube; None: as little as it can."""
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

    @cached_property
    def really(self) -> Vehicle:
        """The vehicle as it really is.

        Raises:
            InputError: as ``real``; it cannot be.
        """
        return self.real.real(self.vehicle)

    @cached_property
    def air(self) -> tuple[int, Network | None]:
        """The kind of aerodynamics and its network (``load_aerodynamics``), read once.

        Raises:
            InputError: there is none of this name, or it cannot be read.
        """
        return load_aerodynamics(self.aero, self.vehicle)

    @cached_property
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
            limits = DescentLimits.of(self.vehicle, self.touchdown_speed, *seen, self.thrust_room)
            return plan_fastest(start, hover, limits, touches_early(self.scenario, self.vehicle))
        if self.thrust_room is not None:
            raise InputError(
                f"--thrust-room is for --reference {FASTEST}: {self.reference} leaves thrust as it is"
            )
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
    scenario, plan = flight.scenario, flight.plan
    start, velocity, yaw = draw_start(flight, rng)
    swing = None if scenario.deck is None else draw_swing(scenario.deck, rng.spawn(1)[0])
    begun = time.perf_counter()
    rows, outcome = run(
        flight, plan, rng, start, velocity, yaw, plan.end + scenario.after, scenario.lands,
        swing=swing,
    )  # fmt: skip
    wall = time.perf_counter() - begun
    named: dict[str, Any] = {"scenario": scenario.name, "reference": flight.reference}
    if scenario.deck is not None:
        named["deck"] = scenario.deck.family(scenario.start_x).as_dict()
    log = flight_log(rows, flight, seed, **named, **flown_by(flight, plan))
    log = with_surface(log, scenario, swing)
    summary = summarise(log, outcome, plan, flight.vehicle, flight.limits, scenario.lands)
    summary |= {"real_time_factor": round(len(rows) * flight.vehicle.timing.period / wall, 1)}
    return Landing(log, summary)


def draw_start(flight: Flight, rng: np.random.Generator) -> tuple[Vector, Vector, float]:
    """Draw where a flight begins (as ``run`` takes it) [m], its velocity [m/s], and its heading [rad].

    Raises:
        InputError: the start may be inside a table, the vehicle would slide down the surface, or could
            not follow the deck, or not hear it.
    """
    scenario, vehicle = flight.scenario, flight.vehicle
    x, y, terrain = scenario.start_x, scenario.start_y, scenario.ground
    lowest = terrain.height(x, y) + scenario.start_height - scenario.start_spread
    check_site(scenario, vehicle)
    if scenario.deck is not None:
        require_fresh(scenario.sensors, flight.real)
    terrain.check_start(x, y, lowest, reach(vehicle) + math.sqrt(2) * scenario.start_spread)
    off = rng.uniform(-1, 1, 3) * scenario.start_spread
    speed = rng.uniform(-1, 1, 3) * scenario.start_speed_spread
    yaw = float(rng.uniform(-math.pi, math.pi))
    start = (float(off[0]) + x, float(off[1]) + y, float(off[2]) + scenario.start[2])
    return start, (float(speed[0]), float(speed[1]), float(speed[2])), yaw


@dataclass(frozen=True)
class Prepared:
    """All that a flight needs before its first step."""

    records: Records
    noise: Array
    """(steps, 16), or more columns where the world has more chance in it."""
    steps: int
    """At most."""
    start: Start
    swing: Swing | None
    """The motion of the deck."""


def engine_of(flight: Flight) -> tuple[Any, ...]:
    """Return what the ``World`` of a flight is made of."""
    scenario = flight.scenario
    return flight.really, scenario.ground, scenario.legs.springs(flight.vehicle), scenario.moving


def run(
    flight: Flight,
    plan: Plan,
    rng: np.random.Generator,
    start: Vector,
    velocity: Vector,
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
    ready = prepare(flight, plan, rng, start, velocity, yaw, duration, lands, noise, swing)
    announce()
    begin = ready.start
    turn: Step = step
    freely: Callable[..., Any] = fly_freely
    if is_foreign(flight.controller):
        task = Task(flight.vehicle, plan, yaw, chart_of(flight), ready.records[1][0])
        turn = piloted_step(make_pilot(flight.controller, task), flight.controller)
        freely = partial(fly_freely_with, turn)
    rows, first = np.zeros((ready.steps, ROW)), 0
    if flight.engine == "hybrid":
        first, p, q, v, omega = freely(
            0, ready.steps - 1, *begin, *ready.records, ready.noise, rows, NEAR, UPRIGHT
        )
        begin = (p, q, v, omega)
    engine = world_of(*engine_of(flight))
    episode = Episode(engine, ready.records, ready.noise, rows, turn, first, begin, ready.swing)
    episode.advance(ready.steps)
    # the ground's force over the last step is not known yet: that row is left out
    return rows[: episode.k], episode.outcome


def chart_of(flight: Flight) -> Terrain:
    """Return the map that the vehicle has of its ground."""
    scenario = flight.scenario
    blind = scenario.sensors.height == "range" and scenario.deck is None
    return FLAT if blind else scenario.ground


def prepare(
    flight: Flight,
    plan: Plan,
    rng: np.random.Generator,
    start: Vector,
    velocity: Vector,
    yaw: float,
    duration: float,
    lands: bool,
    noise: Array | None = None,
    swing: Swing | None = None,
) -> Prepared:
    """Return what ``run`` needs before its first step; takes what it takes."""
    vehicle = flight.vehicle
    if flight.engine not in ENGINES:
        raise InputError(f"engine '{flight.engine}' is unknown; take one of {', '.join(ENGINES)}")
    aerodynamics, real = flight.air
    terrain, end = flight.scenario.ground, plan.coefficients[-1, :2, 0]
    surface = terrain.height(end[0], end[1])
    require_known(flight.controller)
    foreign = is_foreign(flight.controller)
    control = controller_record(
        vehicle,
        "pd" if foreign else flight.controller,
        plan,
        yaw,
        surface,
        lands,
        age=flight.scenario.sensors.late_steps(vehicle) * vehicle.timing.period,
        chart=chart_of(flight),
        fitted_radius=flight.fitted_radius,
        moving=flight.scenario.moving,
        deck_way=flight.deck_way,
    )
    if not flight.scenario.sensors.rotor_speed:
        suppose_thrusts(control[0])
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
    c, s, (x, y, z) = math.cos(yaw), math.sin(yaw), deviation.centre_of_mass
    at = (
        start[0] + c * x - s * y,
        start[1] + s * x + c * y,
        start[2] + surface + vehicle.rest_height + z,
    )
    turned = (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))
    records = (world, control, network_record(flight.network), network_record(real))
    return Prepared(records, noise, steps, (at, turned, velocity, (0.0, 0.0, 0.0)), swing)


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


def flown_by(flight: Flight, plan: Plan) -> dict[str, Any]:
    """Return what two logs say alike where their flights can be compared, beside the names in them."""
    return {
        "hover_s": flight.scenario.hover,
        "start_spread_m": flight.scenario.start_spread,
        "start_speed_spread_m_s": flight.scenario.start_speed_spread,
        "scenario_digest": hashlib.sha256(repr(flight.scenario).encode()).hexdigest(),
        "plan": plan_digest(plan),
        "engine": flight.engine,
        "version": _version(),
    }


@cache
def _version() -> str:
    return package_version()


def flight_log(rows: Array, flight: Flight, seed: int, **metadata: Any) -> FlightLog:
    """Turn rows written by the step into a flight log."""
    columns: dict[str, Array] = {}
    rows, i = np.asfortranarray(rows), 0  # each column in one piece: all that reads it is faster
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
            "rotor_speed_measured": flight.scenario.sensors.rotor_speed,
            **metadata,
        },
    )
