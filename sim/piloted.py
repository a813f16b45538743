"""The step of a flight whose controller is not ours: its pilot is asked between sensing and pushing.

The law's record stays: the set-point, the noticing of the ground and the cutting of the motors are its.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from neural_lander.controller.allocation import Thrusts
from neural_lander.controller.compiled import compiled
from neural_lander.controller.landing_controller import stay_cut, wanted_force
from neural_lander.controller.measurement import Measurement
from neural_lander.controller.onboard import State
from neural_lander.controller.pilot import Pilot, ask
from neural_lander.controller.rotation import Quaternion, Vector, body_z
from neural_lander.controller.touchdown import CUT
from neural_lander.sim.physics import clearance
from neural_lander.sim.rigid_body import fall_freely
from neural_lander.sim.step import act, sense

Step = Callable[..., tuple[Vector, Vector, float, int, float]]
"""As ``step.step`` is called, and what it returns."""


@compiled
def attend(control: Any, t: float, measured: Measurement) -> int:
    """Advance set-point and touchdown, and return the phase."""
    c = control[0]
    if c.phase != CUT:
        wanted_force(c, t, measured, (0.0, 0.0, 0.0))
    return int(c.phase)


@compiled
def take(control: Any, q: Quaternion, f: Thrusts) -> Thrusts:
    """Keep what the pilot commands [N], for the log; return it, or nothing once the motors are cut."""
    c = control[0]
    if c.phase == CUT:
        return stay_cut(c)
    axis, total = body_z(q), f[0] + f[1] + f[2] + f[3]
    c.saturated = 0.0
    for i in range(4):
        c.thrusts[i] = f[i]
        if f[i] <= c.f_min or f[i] >= c.f_max:
            c.saturated = 1.0
    for i in range(3):
        c.force_command[i] = total * axis[i]
    return f


def state_of(measured: Measurement) -> State:
    """Return a measurement as what a pilot sees."""
    p, q, v, rate, f, height, felt = measured
    position, velocity, attitude, turning, thrust = (np.array(a) for a in (p, v, q, rate, f))
    specific = None if math.isnan(felt[0]) else np.array(felt)
    return State(position, velocity, attitude, turning, thrust, specific, height)


def piloted_step(pilot: Pilot, controller: str) -> Step:
    """Return a step like ``step.step`` in which a pilot commands the rotors."""

    def step(
        k: int, p: Vector, q: Quaternion, v: Vector, omega: Vector,
        world: Any, control: Any, learned: Any, real: Any, noise: Any, log: Any,
    ) -> tuple[Vector, Vector, float, int, float]:  # fmt: skip
        t, q, origin, speed, measured = sense(k, p, q, v, omega, world, noise)
        wanted: Thrusts = (0.0, 0.0, 0.0, 0.0)
        if attend(control, t, measured) != CUT:
            wanted = ask(pilot, controller, state_of(measured), t)
        commanded = take(control, measured[1], wanted)
        return act(
            k, p, q, v, omega, world, control, real, noise, log, origin, speed, measured, commanded
        )

    return step


def fly_freely_with(
    step: Step, k: int, last: int, p: Vector, q: Quaternion, v: Vector, omega: Vector,
    world: Any, control: Any, learned: Any, real: Any, noise: Any, log: Any, near: float, upright: float,
) -> tuple[int, Vector, Quaternion, Vector, Vector]:  # fmt: skip
    """Do what ``step.fly_freely`` does, with another step."""
    w = world[0]
    while k < last and clearance(w, p, q) >= near:
        if 1 - 2 * (q[0] * q[0] + q[1] * q[1]) < upright:
            break
        force, torque, _, _, _ = step(k, p, q, v, omega, world, control, learned, real, noise, log)
        p, q, v, omega = fall_freely(w, p, q, v, omega, force, torque)
        k += 1
    return k, p, q, v, omega
