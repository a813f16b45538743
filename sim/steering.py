"""From an action in [-1, 1] to rotor thrusts: the control step of a flight that an agent steers.

    rotor_thrusts  f_i through (-1, f_min), (0, hover), (1, f_max), joined by lines
    rates          total thrust likewise, and a body rate: tau = J k (rate_wanted - rate) + rate x J rate
    residual       F_d = that of the nominal controller + a force, in the axes of the heading to keep

A step is cut in two: ``begin`` senses and asks the law what force it wants, ``finish`` makes the
command and pushes. Between the two an agent may look and choose; ``Held`` keeps what lies between.
The law's set-point, its noticing of the ground and its cutting of the motors are at work in each mode.
"""

import math
from typing import Any

import numpy as np

from neural_lander.controller.allocation import Thrusts, rotor_thrusts
from neural_lander.controller.compiled import compiled
from neural_lander.controller.landing_controller import cancel, command, stay_cut, wanted_force
from neural_lander.controller.measurement import Measurement
from neural_lander.controller.own_force import residual_force
from neural_lander.controller.rotation import Quaternion, Vector, cross
from neural_lander.controller.touchdown import CUT
from neural_lander.sim.physics import clearance
from neural_lander.sim.piloted import take
from neural_lander.sim.rigid_body import fall_freely
from neural_lander.sim.step import act, of_origin, sense

ROTOR_THRUSTS, RATES, RESIDUAL = 0, 1, 2
ACTIONS = {"rotor_thrusts": ROTOR_THRUSTS, "rates": RATES, "residual": RESIDUAL}
"""Names that the environment's ``action`` takes."""
SIZES = {ROTOR_THRUSTS: 4, RATES: 4, RESIDUAL: 3}
"""Numbers in an action."""

RATE_LIMIT = (4.0, 4.0, 2.0)
"""Body rates that an action of 1 stands for [rad/s]."""
FORCE_LIMIT = 0.3
"""Force that an action of 1 adds along each axis, as a share of weight: twice the ground effect."""

HELD = np.dtype(
    [
        ("mode", np.int64),
        ("action", np.float64, (4,)),
        ("begun", np.int64),  # the step that has been begun; -1: none
        ("position", np.float64, (3,)),
        ("attitude", np.float64, (4,)),
        ("velocity", np.float64, (3,)),
        ("rate", np.float64, (3,)),
        ("measured", np.float64, (21,)),
        ("wanted", np.float64, (3,)),
        ("cut", np.int64),  # whether the motors were cut before this step
    ],
    align=True,
)
"""Of one flight: what the agent wants, the body's true pose and twist, and the step half done."""


@compiled
def keep(h: Any, m: Measurement) -> None:
    """Put a measurement into the record."""
    a = h.measured
    for i in range(3):
        a[i], a[7 + i], a[10 + i], a[18 + i] = m[0][i], m[2][i], m[3][i], m[6][i]
    for i in range(4):
        a[3 + i], a[13 + i] = m[1][i], m[4][i]
    a[17] = m[5]


@compiled
def kept(h: Any) -> Measurement:
    """Return the measurement that was put into the record."""
    a = h.measured
    return (
        (a[0], a[1], a[2]),
        (a[3], a[4], a[5], a[6]),
        (a[7], a[8], a[9]),
        (a[10], a[11], a[12]),
        (a[13], a[14], a[15], a[16]),
        a[17],
        (a[18], a[19], a[20]),
    )


@compiled
def ponder(c: Any, net: Any, t: float, measured: Measurement, h: Any) -> None:
    """Let the law advance to time t: set-point, touchdown, and the force that it wants."""
    keep(h, measured)
    h.cut = c.phase == CUT
    if h.cut == 0:
        wanted = wanted_force(c, t, measured, residual_force(c, net, measured, measured[4]))
        for i in range(3):
            h.wanted[i] = wanted[i]


@compiled
def steer(control: Any, net: Any, h: Any) -> Thrusts:
    """Return the rotor thrusts [N] that the held action stands for, at the measurement kept."""
    c, a, measured = control[0], h.action, kept(h)
    if h.cut == 1:
        return stay_cut(c)
    if h.mode == RESIDUAL:
        wanted = (h.wanted[0], h.wanted[1], h.wanted[2])
        if a[0] != 0.0 or a[1] != 0.0 or a[2] != 0.0:  # -0.0 stays what it is
            k, cos, sin = FORCE_LIMIT * c.weight, math.cos(c.yaw), math.sin(c.yaw)
            wanted = (
                wanted[0] + k * (cos * a[0] - sin * a[1]),
                wanted[1] + k * (sin * a[0] + cos * a[1]),
                wanted[2] + k * a[2],
            )
        force, phi, search = cancel(c, net, measured, wanted)
        return command(c, measured, force, phi, search)
    if h.mode == RATES:
        total = through(a[0], 4 * c.f_min, c.weight, 4 * c.f_max)
        f, _ = rotor_thrusts(c, total, rate_torque(c, measured[3], a))
        return take(control, measured[1], f)
    hover = 0.25 * c.weight
    f = (
        through(a[0], c.f_min, hover, c.f_max),
        through(a[1], c.f_min, hover, c.f_max),
        through(a[2], c.f_min, hover, c.f_max),
        through(a[3], c.f_min, hover, c.f_max),
    )
    return take(control, measured[1], f)


@compiled
def through(a: float, low: float, middle: float, high: float) -> float:
    """Return the value at a on lines through (-1, low), (0, middle), (1, high)."""
    return middle + a * ((high - middle) if a > 0.0 else (middle - low))


@compiled
def rate_torque(c: Any, rate: Vector, a: Any) -> Vector:
    """Return the torque [N m] of the rate loop, with the attitude law's damping as its bandwidth."""
    j, k = c.inertia, c.attitude_damping
    gyroscopic = cross(rate, (j[0] * rate[0], j[1] * rate[1], j[2] * rate[2]))
    return (
        j[0] * k[0] * (RATE_LIMIT[0] * a[1] - rate[0]) + gyroscopic[0],
        j[1] * k[1] * (RATE_LIMIT[1] * a[2] - rate[1]) + gyroscopic[1],
        j[2] * k[2] * (RATE_LIMIT[2] * a[3] - rate[2]) + gyroscopic[2],
    )


@compiled
def begin(
    k: int, p: Vector, q: Quaternion, v: Vector, omega: Vector,
    world: Any, control: Any, learned: Any, noise: Any, held: Any,
) -> None:  # fmt: skip
    """Do the first half of step k, at the true pose and twist: sense, and ask the law."""
    h = held[0]
    t, _, _, _, measured = sense(k, p, q, v, omega, world, noise)
    ponder(control[0], learned[0], t, measured, h)
    for i in range(3):
        h.position[i], h.velocity[i], h.rate[i] = p[i], v[i], omega[i]
    for i in range(4):
        h.attitude[i] = q[i]
    h.begun = k


@compiled
def steered(
    k: int, p: Vector, q: Quaternion, v: Vector, omega: Vector,
    world: Any, control: Any, learned: Any, real: Any, noise: Any, log: Any, held: Any,
) -> tuple[Vector, Vector, float, int, float]:  # fmt: skip
    """Do what ``step.step`` does, as the held action wants it; half of it may have been done."""
    h = held[0]
    if h.begun != k:
        begin(k, p, q, v, omega, world, control, learned, noise, held)
    if q[3] < 0.0:  # as ``sense`` has it
        q = (-q[0], -q[1], -q[2], -q[3])
    origin, speed = of_origin(world[0], p, q, v, omega)
    commanded = steer(control, learned[0], h)
    return act(
        k, p, q, v, omega, world, control, real, noise, log, origin, speed, kept(h), commanded
    )


@compiled
def steered_freely(
    k: int, last: int, p: Vector, q: Quaternion, v: Vector, omega: Vector,
    world: Any, control: Any, learned: Any, real: Any, noise: Any, log: Any, held: Any,
    near: float, upright: float,
) -> tuple[int, Vector, Quaternion, Vector, Vector]:  # fmt: skip
    """Do what ``step.fly_freely`` does, as the held action wants it."""
    w = world[0]
    while k < last and clearance(w, p, q) >= near:
        if 1 - 2 * (q[0] * q[0] + q[1] * q[1]) < upright:
            break
        force, torque, _, _, _ = steered(
            k, p, q, v, omega, world, control, learned, real, noise, log, held
        )
        p, q, v, omega = fall_freely(w, p, q, v, omega, force, torque)
        k += 1
    return k, p, q, v, omega
