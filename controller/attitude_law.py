"""Geometric attitude control on SO(3): the torque that turns the thrust axis to where it is wanted.

    e_R = 1/2 (R_d' R - R' R_d)^vee,   tau = -J (w^2 e_R + 2 zeta w Omega) + Omega x J Omega - d

with w the bandwidth and zeta the damping per body axis, d the torque that ``torque_observer`` found. The
wanted rate is taken as zero: the loop from wanted to real force is then
w^2 / (tau s^3 + s^2 + 2 zeta w s + w^2) with motor lag tau.

Source: Lee, Leok, McClamroch, "Geometric tracking control of a quadrotor UAV on SE(3)", CDC 2010.
"""

import math
from typing import Any

from neural_lander.controller.compiled import compiled
from neural_lander.controller.rotation import Quaternion, Vector, cross, norm, rotate_back


@compiled
def attitude_torque(c: Any, q: Quaternion, omega: Vector, z_wanted: Vector, yaw: float) -> Vector:
    """Return the body torque [N m] that turns body z to the unit vector ``z_wanted`` at heading yaw.

    Uses of the record: ``inertia``, ``attitude_stiffness`` = w^2, ``attitude_damping`` = 2 zeta w
    (three each). ``omega`` is the body rate [rad/s], ``yaw`` the heading of body x [rad].
    """
    heading = (math.cos(yaw), math.sin(yaw), 0.0)
    y = cross(z_wanted, heading)
    n = 1.0 / max(norm(y), 1e-9)
    y = (y[0] * n, y[1] * n, y[2] * n)
    x = cross(y, z_wanted)
    # columns of R' R_d: the wanted axes seen from the body
    a, b, d = rotate_back(q, x), rotate_back(q, y), rotate_back(q, z_wanted)
    e = (0.5 * (d[1] - b[2]), 0.5 * (a[2] - d[0]), 0.5 * (b[0] - a[1]))
    j = c.inertia
    gyroscopic = cross(omega, (j[0] * omega[0], j[1] * omega[1], j[2] * omega[2]))
    k, w, found = c.attitude_stiffness, c.attitude_damping, c.torque_found
    return (
        j[0] * (-k[0] * e[0] - w[0] * omega[0]) + gyroscopic[0] - found[0],
        j[1] * (-k[1] * e[1] - w[1] * omega[1]) + gyroscopic[1] - found[1],
        j[2] * (-k[2] * e[2] - w[2] * omega[2]) + gyroscopic[2] - found[2],
    )
