"""The controller that lands: set-point, position law, observer, cancellation, attitude, rotors.

    F_d = m (g e3 + a_d) - k_v v~ - k_p p~ - integral - d      k_v = K_v + m Lambda, k_p = K_v Lambda
    F_c + phi(h, v, |F_c|) = F_d                               phi: the residual model
    thrust |F_c| along body z, body z turned to F_c / |F_c|    the rest is attitude and allocation

Source: Shi et al. 2019, eq. 8 (with s = v~ + Lambda p~); see the modules named in the imports.

Along a plan that says so (``compensated``) the law also counts on its own delays (``feed_forward``) and
on the mass that the observer has found (``hover_mass``).

All memory and parameters of one controller live in one record; a step reads a measurement and
returns rotor thrusts. ``wanted_force``, the solver of ``cancellation`` and ``command`` are the three
thirds of a step, so that a residual force from elsewhere can be cancelled with the same law.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller import (
    deck,
    feed_forward,
    hover_mass,
    indi,
    l1,
    monitor,
    terrain,
    torque_observer,
)
from neural_lander.controller import setpoint as reference
from neural_lander.controller.allocation import Thrusts, rotor_thrusts
from neural_lander.controller.attitude_law import attitude_torque
from neural_lander.controller.bumpless import begin_at, height_to_go
from neural_lander.controller.cancellation import (
    ITERATIONS,
    NO_SOLUTION,
    RESIDUAL,
    STAGE,
    THRUST,
    TOLERANCE,
    Search,
    minus,
    refine,
    start,
    thrust_towards,
    unfinished,
)
from neural_lander.controller.compiled import blank_record, compiled
from neural_lander.controller.contact import lowest_foot_compiled
from neural_lander.controller.deck import over_deck, store_deck
from neural_lander.controller.errors import InputError
from neural_lander.controller.feed_forward import as_old, look_ahead, shortly, store_feed_forward
from neural_lander.controller.hover_mass import STEADY_RATE, weigh
from neural_lander.controller.indi import incremental_force, specific_force
from neural_lander.controller.l1 import adaptive_force
from neural_lander.controller.measurement import Measurement
from neural_lander.controller.monitor import QUIET, follow, take_over, watch
from neural_lander.controller.observer import observe
from neural_lander.controller.own_force import NETWORK, NONE, ORACLE, TEXTBOOK, residual_force
from neural_lander.controller.rotation import Vector, body_z, norm
from neural_lander.controller.setpoint import Plan, setpoint, setpoint_ahead, store_plan
from neural_lander.controller.terrain import FLAT, Terrain
from neural_lander.controller.torque_observer import hear_torque, store_torque_observer
from neural_lander.controller.touchdown import (
    CUT,
    FLYING,
    FORCE_BANDWIDTH,
    PUSH_SPEED,
    touchdown_phase,
)
from neural_lander.controller.vehicle import Vehicle

CONTROLLERS = {
    "pd": "position law alone, the paper's baseline",
    "pid": "with an integral and anti-windup",
    "textbook": "Cheeseman-Bennett ground effect as feed-forward, its radius tuned by landings",
    "textbook-fitted": "the same, its radius fitted to the flights that the model learned from",
    "observer": "momentum disturbance observer, nothing learned",
    "indi": "incremental nonlinear dynamic inversion of the force, by accelerometer",
    "l1": "L1 adaptive augmentation of the force",
    "learned": "the learned residual force, cancelled",
    "learned+observer": "both; what ships",
    "learned-unbounded": "a network of any slope from the same flights, cancelled",
    "oracle": "the simulator's true force at the estimated state, cancelled",
    "oracle+observer": "both; the ceiling",
}
"""Names that ``land --controller`` takes, and what they are."""

MOMENTUM, INDI, L1 = 0, 1, 2
"""What finds the force that nothing explains."""

KINDS = {
    "textbook": TEXTBOOK,
    "textbook-fitted": TEXTBOOK,
    "learned": NETWORK,
    "learned-unbounded": NETWORK,
    "oracle": ORACLE,
}
"""Controller, but for its observer -> where its residual force comes from; others have none."""


def is_learned(controller: str) -> bool:
    """Whether a controller flies a network's force, so that it needs a model and a certificate."""
    return KINDS.get(controller.removesuffix("+observer")) == NETWORK


RECORD = np.dtype(
    [
        # parameters
        ("mass", np.float64),
        ("weight", np.float64),
        ("inertia", np.float64, (3,)),
        ("unmix", np.float64, (4, 4)),
        ("f_min", np.float64),
        ("f_max", np.float64),
        ("feet", np.float64, (4, 3)),
        ("rest_height", np.float64),
        ("disc_height", np.float64),
        ("foot_margin", np.float64),
        ("period", np.float64),
        ("k_p", np.float64, (3,)),
        ("k_v", np.float64, (3,)),
        ("k_i", np.float64, (3,)),
        ("integral_limit", np.float64),
        ("attitude_stiffness", np.float64, (3,)),
        ("attitude_damping", np.float64, (3,)),
        ("estimator", np.int64),
        ("observer_rate", np.float64),
        ("observer_limit", np.float64),
        ("textbook_radius", np.float64),
        ("residual", np.int64),
        ("lands", np.int64),
        ("yaw", np.float64),
        ("rotors", np.float64, (4, 3)),
        ("radius", np.float64),
        *terrain.RECORD_FIELDS,
        *feed_forward.RECORD_FIELDS,
        *hover_mass.RECORD_FIELDS,
        *indi.RECORD_FIELDS,
        *l1.RECORD_FIELDS,
        *deck.RECORD_FIELDS,
        *torque_observer.RECORD_FIELDS,
        *reference.RECORD_FIELDS,
        *monitor.RECORD_FIELDS,
        # memory
        ("phase", np.int64),
        ("push_start", np.float64),
        ("felt", np.float64),
        ("integral", np.float64, (3,)),
        ("observer_memory", np.float64, (3,)),
        ("observer_force", np.float64, (3,)),
        ("observer_steady", np.float64, (3,)),
        ("ground_memory", np.float64, (3,)),
        ("ground_force", np.float64),
        ("thrusts", np.float64, (4,)),
        ("started", np.int64),
        # what the last step did, for the log
        ("setpoint_position", np.float64, (3,)),
        ("setpoint_velocity", np.float64, (3,)),
        ("setpoint_acceleration", np.float64, (3,)),
        ("learned_force", np.float64, (3,)),
        ("force_command", np.float64, (3,)),
        ("solver_iterations", np.float64),
        ("solver_residual", np.float64),
        ("solver_ok", np.float64),
        ("contact", np.float64),
        ("saturated", np.float64),
    ],
    align=True,
)
"""Parameters and memory of one controller, as the compiled step sees them."""


def controller_record(
    vehicle: Vehicle,
    controller: str,
    plan: Plan,
    yaw: float,
    surface: float = 0.0,
    lands: bool = True,
    age: float = 0.0,
    chart: Terrain = FLAT,
    fitted_radius: float | None = None,
    moving: int = 0,
    deck_way: int = deck.PREDICTED,
) -> npt.NDArray[Any]:
    """Return the record of a controller at rest.

    Args:
        vehicle: what is flown, with its gains.
        controller: a name of ``CONTROLLERS``.
        plan: the motion of the set-point.
        yaw: heading to keep [rad].
        surface: height of the surface under the landing [m].
        lands: whether the touchdown logic may cut the motors.
        chart: the map of what stands on the floor at z = 0.
        moving: which box of it moves, from 1; 0: none.
        deck_way: how that one is followed, ``PREDICTED`` or ``FOLLOWED`` of ``deck``.
        age: of the position and velocity estimates when they are read [s], as the vehicle knows it.
        fitted_radius: for ``textbook-fitted`` [m], see ``fitted_radius.py``.

    Raises:
        InputError: unknown controller, one that the vehicle file has no gain for, ``textbook-fitted``
            without a radius, or estimates older than the controller can remember.
    """
    if controller not in CONTROLLERS:
        raise InputError(
            f"controller '{controller}' is unknown; take one of {', '.join(CONTROLLERS)}"
        )
    kind = controller.removesuffix("+observer")
    gains, m = vehicle.gains, vehicle.mass
    record = blank_record(RECORD)
    c = record[0]
    c["mass"], c["weight"], c["inertia"] = m, vehicle.weight, vehicle.body.inertia
    c["unmix"] = np.linalg.inv(vehicle.mixing)
    c["f_min"], c["f_max"] = vehicle.rotors.thrust_min, vehicle.rotors.thrust_max
    c["feet"], c["rest_height"] = vehicle.legs.feet, vehicle.rest_height
    c["disc_height"] = vehicle.rest_height + vehicle.rotors.positions[:, 2].mean()
    c["foot_margin"] = 0.002 + vehicle.noise.position
    c["period"] = vehicle.timing.period
    c["k_p"] = m * gains.velocity * gains.position
    c["k_v"] = m * (gains.velocity + gains.position)
    if kind == "pid":
        # s^3 + k_v s^2 + k_p s + k_i is stable up to k_i = k_p k_v: the same share of it on each axis
        limit = gains.velocity * gains.position * (gains.velocity + gains.position)
        c["k_i"] = m * gains.integral * limit / limit[2]
    c["integral_limit"] = gains.integral_limit * vehicle.weight
    bandwidth = np.array([gains.attitude, gains.attitude, gains.yaw])
    damping = np.array([gains.damping, gains.damping, 1.0])
    c["attitude_stiffness"], c["attitude_damping"] = bandwidth**2, 2 * damping * bandwidth
    c["observer_rate"] = vehicle.observer_of(controller)
    store_torque_observer(c, vehicle)
    c["estimator"] = {"indi": INDI, "l1": L1}.get(controller, MOMENTUM)
    if c["estimator"] == INDI and vehicle.baselines:
        indi.store_filter(c, vehicle.baselines.indi, vehicle.timing.period)
    elif c["estimator"] == L1 and vehicle.baselines:
        l1.store_filter(c, vehicle.baselines.l1, vehicle.timing.period)
    c["observer_alone"] = gains.observer
    c["observer_limit"] = gains.observer_limit * vehicle.weight
    c["textbook_radius"] = gains.textbook_radius
    if kind == "textbook-fitted":
        if fitted_radius is None:
            raise InputError(f"controller '{controller}' needs a model; give --model MODEL")
        c["textbook_radius"] = fitted_radius
    c["residual"] = KINDS.get(kind, NONE)
    c["lands"], c["yaw"] = lands, yaw
    c["surface"], c["surfaces"], c["surface_count"] = 0.0, chart.array(), len(chart.surfaces)
    c["rotors"], c["radius"] = vehicle.rotors.positions, vehicle.rotors.radius
    store_feed_forward(c, vehicle, plan, age)
    c["thrusts"] = np.linalg.solve(vehicle.mixing, np.array([vehicle.weight, 0, 0, 0]))
    c["solver_ok"] = 1.0
    store_plan(c, plan, surface + vehicle.rest_height)
    if moving > 0:
        store_deck(c, vehicle, moving, chart.surfaces[moving - 1].height, deck_way)
    return record


@compiled
def thrusts_for(c: Any, collective: float) -> Thrusts:
    """Return rotor thrusts that sum up to ``collective``, differing as the last command did [N]."""
    f = c.thrusts
    shift = 0.25 * (collective - (f[0] + f[1] + f[2] + f[3]))
    return (
        max(f[0] + shift, 0.0),
        max(f[1] + shift, 0.0),
        max(f[2] + shift, 0.0),
        max(f[3] + shift, 0.0),
    )


@compiled
def wanted_force(c: Any, t: float, measured: Measurement, explained: Vector) -> Vector:
    """First third of a step: advance set-point, observers, touchdown; return F_d [N].

    ``explained`` is the residual model at the measured state and thrust.
    """
    p, q, v, omega, f, height, felt = measured
    asked = t - c.age_steps * c.period * c.compensated
    sp_p, sp_v, sp_a = setpoint(c, asked)
    first = c.started == 0
    if first:
        begin_at(c, asked, p, v, sp_p, sp_v)
        sp_p, sp_v, sp_a = setpoint(c, asked)
    ahead = (0.0, 0.0, 0.0)
    if c.compensated == 1:
        sp_a, ahead = look_ahead(c, t, sp_p, sp_v[2])
    over, surface_speed = height_to_go(c, asked, sp_p[2] - c.floor), 0.0
    if c.deck > 0:
        sp_p, sp_v, sp_a, ahead, surface_speed = over_deck(
            c, t, p[2], height, sp_p, sp_v, sp_a, ahead
        )
    axis = body_z(q)
    thrust = f[0] + f[1] + f[2] + f[3]
    known = (
        thrust * axis[0] + explained[0],
        thrust * axis[1] + explained[1],
        thrust * axis[2] + explained[2] - c.weight,
    )
    now = known
    if c.age_steps > 0:
        known = as_old(c, known)
    if c.compensated == 1:
        weigh(c, t, v[2])
    mass = (c.mass, c.mass, c.mass * (1.0 + c.load))
    momentum = (mass[0] * v[0], mass[1] * v[1], mass[2] * v[2])
    d = (0.0, 0.0, 0.0)
    if first:
        c.started = 1
        for i in range(3):
            c.observer_memory[i] = momentum[i]
            c.ground_memory[i] = momentum[i]
    foot = lowest_foot_compiled(c.feet, height + c.rest_height, q)
    c.contact = 1.0 if foot < c.foot_margin else 0.0
    frozen = c.phase != FLYING or c.contact > 0.0
    hear_torque(c, omega, f, first, frozen)
    if c.observer_rate > 0.0:
        steady = (c.observer_steady[0], c.observer_steady[1], c.observer_steady[2])
        if c.estimator == INDI:
            s = specific_force(c, q, v, felt)
            at_once = known if math.isnan(felt[0]) else now  # an accelerometer is never late
            d = incremental_force(c, s, mass, at_once, c.observer_limit, steady, frozen)
        elif c.estimator == L1:
            d = adaptive_force(c, v, mass, known, c.observer_limit, steady, frozen)
        else:
            d = observe(
                c.observer_memory,
                steady,
                momentum,
                known,
                c.observer_rate,
                c.observer_limit,
                c.period,
                frozen,
            )
        for i in range(3):
            c.observer_steady[i] += c.period * STEADY_RATE * (d[i] - c.observer_steady[i])
    beyond = (known[0] + d[0], known[1] + d[1], known[2] + d[2])
    unlimited = 10.0 * c.weight
    ground = observe(
        c.ground_memory,
        (0.0, 0.0, 0.0),
        momentum,
        beyond,
        FORCE_BANDWIDTH,
        unlimited,
        c.period,
        False,
    )
    c.ground_force = ground[2]
    if c.lands == 1:
        speed = norm((v[0], v[1], v[2] - surface_speed))
        touchdown_phase(c, over, height, speed, ground[2] / c.weight, t)
    if c.phase != FLYING:
        sp_p = (sp_p[0], sp_p[1], sp_p[2] - PUSH_SPEED * (t - c.push_start))
    wanted = (
        _axis_force(c, 0, p[0], v[0], sp_p[0], sp_v[0], sp_a[0]) - d[0] + ahead[0],
        _axis_force(c, 1, p[1], v[1], sp_p[1], sp_v[1], sp_a[1]) - d[1] + ahead[1],
        _axis_force(c, 2, p[2], v[2], sp_p[2], sp_v[2], sp_a[2]) - d[2] + ahead[2] + c.weight,
    )
    if (
        c.compensated == 1 and c.age_steps > 0 and c.phase == FLYING
    ):  # shown is where it is to be now
        sp_p, sp_v, _, _ = setpoint_ahead(c, t)
        c.piece_ahead = c.piece
    for i in range(3):
        c.observer_force[i] = d[i]
        c.setpoint_position[i] = sp_p[i]
        c.setpoint_velocity[i] = sp_v[i]
        c.setpoint_acceleration[i] = sp_a[i]
    return wanted


@compiled
def _axis_force(c: Any, i: int, p: float, v: float, sp_p: float, sp_v: float, sp_a: float) -> float:
    """Return m a_d - k_v v~ - k_p p~ - integral on one axis [N], and advance the integral."""
    error = p - sp_p
    if c.k_i[i] > 0.0 and c.phase == FLYING and c.contact == 0.0 and c.saturated == 0.0:
        total = c.integral[i] + c.period * c.k_i[i] * error
        c.integral[i] = min(max(total, -c.integral_limit), c.integral_limit)
    return float(c.mass * sp_a - c.k_v[i] * (v - sp_v) - c.k_p[i] * error - c.integral[i])


@compiled
def first_guess(c: Any, wanted: Vector) -> float:
    """Return the thrust [N] that would be right had the residual force not changed since last step."""
    return thrust_towards(wanted, (c.learned_force[0], c.learned_force[1], c.learned_force[2]))


@compiled
def cancel(
    c: Any, net: Any, measured: Measurement, wanted: Vector
) -> tuple[Vector, Vector, Search]:
    """Second third: return F_c, the residual force it counts on [N], and how the search ended."""
    search = start(first_guess(c, wanted), 4 * c.f_min, 4 * c.f_max)
    phi = (0.0, 0.0, 0.0)
    then = shortly(c, measured)
    while unfinished(search):
        phi = residual_force(c, net, then, thrusts_for(c, search[THRUST]))
        search = refine(search, thrust_towards(wanted, phi), TOLERANCE * c.weight)
    if search[STAGE] == NO_SOLUTION:
        phi = (0.0, 0.0, 0.0)
        if c.watching == 1:  # what the monitor hands to the observer in the next step
            phi = (c.learned_force[0], c.learned_force[1], c.learned_force[2])
    return minus(wanted, phi), phi, search


@compiled
def command(c: Any, measured: Measurement, force: Vector, phi: Vector, search: Search) -> Thrusts:
    """Last third: turn the force F_c [N] into rotor thrusts [N]; none once the motors are cut."""
    thrust = norm(force)
    n = 1.0 / max(thrust, 1e-9)
    z = (force[0] * n, force[1] * n, force[2] * n)
    torque = attitude_torque(c, measured[1], measured[3], z, c.yaw)
    f, saturated = rotor_thrusts(c, thrust, torque)
    if c.phase == CUT:  # decided in this very step
        f = (0.0, 0.0, 0.0, 0.0)
    for i in range(4):
        c.thrusts[i] = f[i]
    for i in range(3):
        c.learned_force[i] = phi[i]
        c.force_command[i] = force[i]
    c.solver_iterations = search[ITERATIONS]
    c.solver_residual = search[RESIDUAL]
    c.solver_ok = 0.0 if search[STAGE] == NO_SOLUTION else 1.0
    c.saturated = 1.0 if saturated and c.phase != CUT else 0.0
    return f


@compiled
def stay_cut(c: Any) -> Thrusts:
    """Return no thrust: motors once cut stay cut, and nothing is computed any more."""
    for i in range(4):
        c.thrusts[i] = 0.0
    return (0.0, 0.0, 0.0, 0.0)


@compiled
def control_step(c: Any, net: Any, t: float, measured: Measurement) -> Thrusts:
    """Return the rotor thrusts [N] to command at time t, from a measurement."""
    if c.phase == CUT:
        return stay_cut(c)
    explained = residual_force(c, net, measured, measured[4])
    wanted = wanted_force(c, t, measured, explained)
    if c.watching == 1:
        wanted = under_watch(c, t, measured, wanted)
    force, phi, search = cancel(c, net, measured, wanted)
    if c.watching == 1:
        follow(c, force)
    return command(c, measured, force, phi, search)


@compiled
def under_watch(c: Any, t: float, measured: Measurement, wanted: Vector) -> Vector:
    """Let the monitor look, and return F_d [N]; at its first event the learned force is dropped."""
    f = measured[4]
    thrust = f[0] + f[1] + f[2] + f[3]
    in_flight = c.phase == FLYING and c.contact == 0.0
    event = watch(c, t, measured[0], measured[2], measured[1], thrust, in_flight)
    if event == QUIET:
        return wanted
    phi = (c.learned_force[0], c.learned_force[1], c.learned_force[2])
    take_over(c, t, event, measured[2])
    c.residual = NONE
    return minus(wanted, phi)


def yaw_of(q: npt.NDArray[np.float64]) -> float:
    """Return the heading of body x [rad] for a quaternion xyzw."""
    x, y, z, w = q
    return math.atan2(2 * (x * y + w * z), 1 - 2 * (y * y + z * z))
