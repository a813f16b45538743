"""One step of 2 ms between two calls of the rigid-body engine: sense, control, push.

    measure the state with noise -> controller -> latency -> rotors -> force and torque

The whole step is one compiled function; it also writes the step's row of the log.
"""

import math
from typing import Any

import numpy as np

from neural_lander.controller.allocation import Thrusts
from neural_lander.controller.cancellation import (
    NO_SOLUTION,
    STAGE,
    THRUST,
    TOLERANCE,
    minus,
    refine,
    start,
    thrust_towards,
    unfinished,
)
from neural_lander.controller.compiled import compiled
from neural_lander.controller.feed_forward import shortly
from neural_lander.controller.flight_log import QUANTITIES
from neural_lander.controller.landing_controller import (
    command,
    control_step,
    first_guess,
    stay_cut,
    thrusts_for,
    wanted_force,
)
from neural_lander.controller.measurement import NOT_FELT, Measurement
from neural_lander.controller.own_force import ORACLE
from neural_lander.controller.rotation import (
    Quaternion,
    Vector,
    cross,
    rotate,
    rotate_back,
    small_rotation,
)
from neural_lander.controller.terrain import surface_height
from neural_lander.controller.touchdown import CUT
from neural_lander.sim.accelerometer import feel
from neural_lander.sim.deck import move_deck
from neural_lander.sim.physics import (
    aerodynamic_wrench,
    clearance,
    delayed,
    ground_force,
    sent,
    spin_up,
    suppose,
)
from neural_lander.sim.range_finder import height_by_range, seen_range
from neural_lander.sim.rigid_body import fall_freely
from neural_lander.sim.sensors import CHANNELS
from neural_lander.sim.wind import blow, near_ground_force

DROP_OUT, AIR, RANGE, FELT = CHANNELS, CHANNELS + 1, CHANNELS + 7, CHANNELS + 8
MARKER, CHANCES = CHANNELS + 11, CHANNELS + 12
"""Columns of a row of chance after the sensors' noise: drop-out, air (6), range finder, accelerometer
(3), marker on a deck; and how many there are."""

LOGGED = (
    "time",
    "position",
    "velocity",
    "attitude",
    "rate",
    "rotor_thrust_command",
    "height",
    "contact",
    "range",
    "rotor_speed",
    "setpoint_position",
    "setpoint_velocity",
    "reference_height",
    "force_command",
    "learned_force",
    "observer_force",
    "solver_iterations",
    "solver_residual",
    "solver_ok",
    "phase",
    "monitor",
    "specific_force",
    "truth_position",
    "truth_velocity",
    "truth_attitude",
    "truth_rate",
    "truth_height",
    "truth_force",
    "truth_rotor_thrust",
    "truth_contact_force",
)
"""Quantities of the flight log that a simulated flight has, in the order of a row (``write_row``)."""

ROW = sum(max(len(QUANTITIES[name].components), 1) for name in LOGGED)
"""Numbers in a row of the log."""


@compiled
def measure(
    w: Any, k: int, p: Vector, q: Quaternion, v: Vector, omega: Vector, n: Any
) -> Measurement:
    """Return what the vehicle measures at step k: the true state with a row of noise on it.

    ``p, v`` are those of the vehicle file's origin; ``omega`` is the true body rate in the world
    frame [rad/s]. The height is that over the surface which the map has under the measured position, or
    what the range finder says, or over a deck, which no map knows, what a marker on it shows.
    """
    speed = v
    if w.range_finder == 1:
        w.range = seen_range(w, p, q, n[RANGE])
    if w.late > 0:
        p, v = recalled(w, k, p, v)
    if w.estimate_lag > 0.0:
        p, v = behind(w, p, v)
    position = (p[0] + n[0], p[1] + n[1], p[2] + n[2])
    velocity = (v[0] + n[3], v[1] + n[4], v[2] + n[5])
    if w.drops_out == 1:
        position, velocity = kept(w, n[DROP_OUT] > 0.0, position, velocity)
    attitude = small_rotation(q, (n[6], n[7], n[8]))
    body = rotate_back(q, omega)
    rate = (body[0] + n[9], body[1] + n[10], body[2] + n[11])
    f = w.thrusts  # thrust goes with the square of speed, which is what is measured
    thrusts = (
        f[0] * (1 + n[12]) * (1 + n[12]),
        f[1] * (1 + n[13]) * (1 + n[13]),
        f[2] * (1 + n[14]) * (1 + n[14]),
        f[3] * (1 + n[15]) * (1 + n[15]),
    )
    if w.speed_seen == 0:
        f = w.supposed_thrusts
        thrusts = (f[0], f[1], f[2], f[3])
    felt = NOT_FELT
    if w.accelerometer == 1:
        felt = feel(w, q, speed, (n[FELT], n[FELT + 1], n[FELT + 2]))
    height = position[2] - surface_height(w, position[0], position[1]) - w.rest_height
    if w.height_by_range == 1:
        height = height_by_range(w, attitude, position[2] - w.surface - w.rest_height)
    elif w.deck > 0:
        height = p[2] - surface_height(w, p[0], p[1]) - w.rest_height + n[MARKER]
    return position, attitude, velocity, rate, thrusts, height, felt


@compiled
def recalled(w: Any, k: int, p: Vector, v: Vector) -> tuple[Vector, Vector]:
    """Return position and velocity ``late`` steps before step k; before the first they are the first."""
    e, n = w.past, w.late + 1
    for i in range(3):
        e[k % n, i], e[k % n, 3 + i] = p[i], v[i]
    j = (k + 1) % n if k >= w.late else 0
    return (e[j, 0], e[j, 1], e[j, 2]), (e[j, 3], e[j, 4], e[j, 5])


@compiled
def kept(w: Any, lost: bool, position: Vector, velocity: Vector) -> tuple[Vector, Vector]:
    """Return position and velocity, or in a drop-out those that were last seen."""
    e = w.last_seen
    if not lost:
        for i in range(3):
            e[i], e[3 + i] = position[i], velocity[i]
    return (e[0], e[1], e[2]), (e[3], e[4], e[5])


@compiled
def of_origin(w: Any, p: Vector, q: Quaternion, v: Vector, omega: Vector) -> tuple[Vector, Vector]:
    """Return position and velocity of the vehicle file's origin from those of the centre of mass."""
    c = w.centre
    if c[0] == 0.0 and c[1] == 0.0 and c[2] == 0.0:
        return p, v
    r = rotate(q, (c[0], c[1], c[2]))
    turn = cross(omega, r)
    return minus(p, r), minus(v, turn)


@compiled
def behind(w: Any, p: Vector, v: Vector) -> tuple[Vector, Vector]:
    """Return position and velocity as an estimator with a first-order lag sees them."""
    e = w.estimate
    share = 1.0 if w.estimating == 0 else 1 - math.exp(-w.period / w.estimate_lag)
    w.estimating = 1
    for i in range(3):
        e[i] += share * (p[i] - e[i])
        e[3 + i] += share * (v[i] - e[3 + i])
    return (e[0], e[1], e[2]), (e[3], e[4], e[5])


@compiled
def oracle_force(w: Any, real: Any, measured: Measurement, f: Thrusts) -> Vector:
    """Return the world's true residual force law, at the measured state and thrusts f [N]."""
    p, q, v, rate = measured[0], measured[1], measured[2], measured[3]
    r = rotate(q, (w.centre[0], w.centre[1], w.centre[2]))
    omega = rotate(q, rate)
    turn = cross(omega, r)
    p, v = (p[0] + r[0], p[1] + r[1], p[2] + r[2]), (v[0] + turn[0], v[1] + turn[1], v[2] + turn[2])
    return aerodynamic_wrench(w, real, p, q, v, omega, f)[2]


@compiled
def oracle_step(c: Any, w: Any, real: Any, t: float, measured: Measurement) -> Thrusts:
    """The controller's step with the world's own force in place of a residual model."""
    if c.phase == CUT:
        return stay_cut(c)
    explained = oracle_force(w, real, measured, measured[4])
    wanted = wanted_force(c, t, measured, explained)
    search = start(first_guess(c, wanted), 4 * c.f_min, 4 * c.f_max)
    phi = (0.0, 0.0, 0.0)
    then = shortly(c, measured)
    while unfinished(search):
        phi = oracle_force(w, real, then, thrusts_for(c, search[THRUST]))
        search = refine(search, thrust_towards(wanted, phi), TOLERANCE * c.weight)
    if search[STAGE] == NO_SOLUTION:
        phi = (0.0, 0.0, 0.0)
    return command(c, measured, minus(wanted, phi), phi, search)


@compiled
def step(
    k: int,
    p: Vector,
    q: Quaternion,
    v: Vector,
    omega: Vector,
    world: Any,
    control: Any,
    learned: Any,
    real: Any,
    noise: Any,
    log: Any,
) -> tuple[Vector, Vector, float, int, float]:
    """Return force [N] and torque [N m] on the body in the world frame, clearance [m], phase, and the
    force of the ground over the step before [N], which belongs to the row before.

    ``k`` counts steps; pose and twist are the true ones; ``world, control, learned, real`` are
    records; ``noise`` (steps, 16, or ``CHANCES`` where the world has more chance in it than noise, as
    it has with an accelerometer) and ``log`` (steps, ROW) belong to the flight.
    """
    w, c, net, truth = world[0], control[0], learned[0], real[0]
    t, q, origin, speed, measured = sense(k, p, q, v, omega, world, noise)
    if c.residual == ORACLE:
        commanded = oracle_step(c, w, truth, t, measured)
    else:
        commanded = control_step(c, net, t, measured)
    return act(
        k, p, q, v, omega, world, control, real, noise, log, origin, speed, measured, commanded
    )


@compiled
def sense(
    k: int, p: Vector, q: Quaternion, v: Vector, omega: Vector, world: Any, noise: Any
) -> tuple[float, Quaternion, Vector, Vector, Measurement]:
    """First third of a step: return time, attitude, position and velocity of the vehicle file's origin,
    all true, and what is measured of them."""
    w = world[0]
    t = k * w.period
    if q[3] < 0.0:  # q and -q are one attitude; the engine turns it over as it likes
        q = (-q[0], -q[1], -q[2], -q[3])
    row = noise[k]
    blow(w, t, row, AIR)
    if w.deck > 0:
        move_deck(w, t)
    origin, speed = of_origin(w, p, q, v, omega)
    return t, q, origin, speed, measure(w, k, origin, q, speed, omega, row)


@compiled
def act(
    k: int,
    p: Vector,
    q: Quaternion,
    v: Vector,
    omega: Vector,
    world: Any,
    control: Any,
    real: Any,
    noise: Any,
    log: Any,
    origin: Vector,
    speed: Vector,
    measured: Measurement,
    commanded: Thrusts,
) -> tuple[Vector, Vector, float, int, float]:
    """Last third of a step: rotors and air follow the command [N]; return what ``step`` does."""
    w, c, truth, row = world[0], control[0], real[0], noise[k]
    t = k * w.period
    f = spin_up(w, delayed(w, k, commanded), t)
    if w.speed_seen == 0:
        suppose(w, sent(w, k - w.supposed_latency))
    force, torque, residual = aerodynamic_wrench(w, truth, p, q, v, omega, f)
    if w.near_ground > 0.0:
        above = origin[2] - surface_height(w, origin[0], origin[1]) - w.rest_height
        r = near_ground_force(w, above, row, AIR)
        force = (force[0] + r[0], force[1] + r[1], force[2] + r[2])
        residual = (residual[0] + r[0], residual[1] + r[1], residual[2] + r[2])
    write_row(log[k], t, w, c, origin, q, speed, omega, measured, commanded, residual, f)
    low = clearance(w, p, q)
    ground = ground_force(w, k, v, low)
    w.speed_before, w.lift_before = v[2], force[2]
    if k > 0:
        log[k - 1, ROW - 1] = ground
    return force, torque, low, c.phase, ground


@compiled
def fly_freely(
    k: int,
    last: int,
    p: Vector,
    q: Quaternion,
    v: Vector,
    omega: Vector,
    world: Any,
    control: Any,
    learned: Any,
    real: Any,
    noise: Any,
    log: Any,
    near: float,
    upright: float,
) -> tuple[int, Vector, Quaternion, Vector, Vector]:
    """Step from k on in compiled code alone; return the first step that wants the engine.

    Ends before step ``last``, when the vehicle comes closer than ``near`` [m] to the surface, or
    tilts so that the cosine is below ``upright``; pose and twist are those at the step returned.
    """
    w = world[0]
    while k < last and clearance(w, p, q) >= near:
        if 1 - 2 * (q[0] * q[0] + q[1] * q[1]) < upright:
            break
        force, torque, _, _, _ = step(k, p, q, v, omega, world, control, learned, real, noise, log)
        p, q, v, omega = fall_freely(w, p, q, v, omega, force, torque)
        k += 1
    return k, p, q, v, omega


@compiled
def write_row(
    row: Any,
    t: float,
    w: Any,
    c: Any,
    p: Vector,
    q: Quaternion,
    v: Vector,
    omega: Vector,
    measured: Measurement,
    commanded: Thrusts,
    residual: Vector,
    f: Thrusts,
) -> None:
    """Write one row of the log, in the order of ``LOGGED``."""
    row[0] = t
    i = _put3(row, 1, measured[0])
    i = _put3(row, i, measured[2])
    i = _put4(row, i, measured[1])
    i = _put3(row, i, measured[3])
    i = _put4(row, i, commanded)
    row[i] = measured[5]
    row[i + 1] = c.contact
    row[i + 2] = w.range
    i += 3
    for j in range(4):
        row[i + j] = np.sqrt(measured[4][j] / w.k_f)
    i += 4
    for j in range(3):
        row[i + j] = c.setpoint_position[j]
        row[i + 3 + j] = c.setpoint_velocity[j]
    row[i + 6] = c.setpoint_position[2] - c.floor - c.deck_moved
    i += 7
    for j in range(3):
        row[i + j] = c.force_command[j]
        row[i + 3 + j] = c.learned_force[j]
        row[i + 6 + j] = c.observer_force[j]
    row[i + 9] = c.solver_iterations
    row[i + 10] = c.solver_residual
    row[i + 11] = c.solver_ok
    row[i + 12] = c.phase
    row[i + 13] = c.event
    i = _put3(row, i + 14, rotate(measured[1], measured[6]))
    i = _put3(row, i, p)
    i = _put3(row, i, v)
    i = _put4(row, i, q)
    i = _put3(row, i, rotate_back(q, omega))
    row[i] = p[2] - surface_height(w, p[0], p[1]) - w.rest_height
    i = _put3(row, i + 1, residual)
    _put4(row, i, f)


@compiled
def _put3(row: Any, i: int, a: Vector) -> int:
    row[i], row[i + 1], row[i + 2] = a[0], a[1], a[2]
    return i + 3


@compiled
def _put4(row: Any, i: int, a: tuple[float, float, float, float]) -> int:
    row[i], row[i + 1], row[i + 2], row[i + 3] = a[0], a[1], a[2], a[3]
    return i + 4
