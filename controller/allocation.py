"""From wanted thrust and torque to the thrusts of the rotors, within their limits.

    [T, tau] = B f,   f_min <= f_i <= f_max

Thrust, roll and pitch come first; yaw gets what room is left; then each rotor is clipped.

Source: B as in Mahony, Kumar, Corke, "Multirotor Aerial Vehicles", IEEE RAM 19(3), 2012; the
priority as in Faessler, Falanga, Scaramuzza, "Thrust Mixing, Saturation, and Body-Rate Control
for Accurate Aggressive Quadrotor Flight", IEEE RA-L 2(2), 2017.
"""

from typing import Any

from neural_lander.controller.compiled import compiled
from neural_lander.controller.rotation import Vector

Thrusts = tuple[float, float, float, float]


@compiled
def rotor_thrusts(c: Any, thrust: float, torque: Vector) -> tuple[Thrusts, bool]:
    """Return rotor thrusts [N] for a collective thrust [N] and body torque [N m].

    Uses of the record: ``unmix`` = B^-1 (4, 4), ``f_min``, ``f_max``.
    The flag says whether anything had to give way.
    """
    lowest_yaw, highest_yaw = -1e9, 1e9
    f0 = _without_yaw(c, 0, thrust, torque)
    f1 = _without_yaw(c, 1, thrust, torque)
    f2 = _without_yaw(c, 2, thrust, torque)
    f3 = _without_yaw(c, 3, thrust, torque)
    for i in range(4):
        f = f0 if i == 0 else (f1 if i == 1 else (f2 if i == 2 else f3))
        y = c.unmix[i, 3]
        f = min(max(f, c.f_min), c.f_max)
        if y > 0:
            lowest_yaw = max(lowest_yaw, (c.f_min - f) / y)
            highest_yaw = min(highest_yaw, (c.f_max - f) / y)
        else:
            lowest_yaw = max(lowest_yaw, (c.f_max - f) / y)
            highest_yaw = min(highest_yaw, (c.f_min - f) / y)
    yaw = min(max(torque[2], lowest_yaw), highest_yaw)
    saturated = yaw != torque[2]
    g0, g1 = f0 + c.unmix[0, 3] * yaw, f1 + c.unmix[1, 3] * yaw
    g2, g3 = f2 + c.unmix[2, 3] * yaw, f3 + c.unmix[3, 3] * yaw
    result = (
        min(max(g0, c.f_min), c.f_max),
        min(max(g1, c.f_min), c.f_max),
        min(max(g2, c.f_min), c.f_max),
        min(max(g3, c.f_min), c.f_max),
    )
    saturated = saturated or result[0] != g0 or result[1] != g1
    return result, saturated or result[2] != g2 or result[3] != g3


@compiled
def _without_yaw(c: Any, i: int, thrust: float, torque: Vector) -> float:
    u = c.unmix
    return float(u[i, 0] * thrust + u[i, 1] * torque[0] + u[i, 2] * torque[1])
