"""A rigid body in free flight, stepped exactly as the engine steps it.

    omega' = J^-1 (M - omega x J omega)  in the body frame,   v' = F / m - g e3
    semi-implicit: first v and omega, then  p += h v,  q <- exp(h omega) q

This is the scheme of Bullet's multibody base (Featherstone with one link), so a flight can be handed
over to the engine when something comes near, and not even the touchdown step differs.
"""

import math
from typing import Any

from neural_lander.controller.compiled import compiled
from neural_lander.controller.rotation import Quaternion, Vector, cross, norm, rotate, rotate_back
from neural_lander.controller.vehicle import GRAVITY


@compiled
def fall_freely(
    w: Any, p: Vector, q: Quaternion, v: Vector, omega: Vector, force: Vector, torque: Vector
) -> tuple[Vector, Quaternion, Vector, Vector]:
    """Return pose and twist after one period under a force [N] and torque [N m], world frame.

    Uses of the record: ``mass``, ``inertia``, ``period``. ``omega`` is in the world frame [rad/s].
    """
    h, j = w.period, w.inertia
    rate, turn = rotate_back(q, omega), rotate_back(q, torque)
    gyroscopic = cross(rate, (j[0] * rate[0], j[1] * rate[1], j[2] * rate[2]))
    rate = (
        rate[0] + h * (turn[0] - gyroscopic[0]) / j[0],
        rate[1] + h * (turn[1] - gyroscopic[1]) / j[1],
        rate[2] + h * (turn[2] - gyroscopic[2]) / j[2],
    )
    omega = rotate(q, rate)
    v = (
        v[0] + h * force[0] / w.mass,
        v[1] + h * force[1] / w.mass,
        v[2] + h * (force[2] / w.mass - GRAVITY),
    )
    p = (p[0] + h * v[0], p[1] + h * v[1], p[2] + h * v[2])
    return p, turned(q, omega, h), v, omega


@compiled
def turned(q: Quaternion, omega: Vector, h: float) -> Quaternion:
    """Return exp(h omega) q for a world-frame rate held for h [s], normalised."""
    speed = norm(omega)
    # sin(x / 2) / speed, by its series where the quotient would lose digits
    k = math.sin(0.5 * speed * h) / speed if speed > 1e-3 else 0.5 * h - h**3 * speed**2 / 48
    ax, ay, az, aw = omega[0] * k, omega[1] * k, omega[2] * k, math.cos(0.5 * speed * h)
    x = aw * q[0] + ax * q[3] + ay * q[2] - az * q[1]
    y = aw * q[1] + ay * q[3] + az * q[0] - ax * q[2]
    z = aw * q[2] + az * q[3] + ax * q[1] - ay * q[0]
    s = aw * q[3] - ax * q[0] - ay * q[1] - az * q[2]
    n = 1 / math.sqrt(x * x + y * y + z * z + s * s)
    return (x * n, y * n, z * n, s * n)
