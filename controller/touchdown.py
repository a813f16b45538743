"""Noticing the ground from what the vehicle can measure, then cutting the motors for good.

    flying    arm when the reference is below 5 mm, the measured height below 25 mm and the speed
              below 0.15 m/s
    pushing   lower the set-point at 0.3 m/s, so that the legs take over the weight
    cut       when an upward force beyond the model's above 0.22 m g has stayed for 60 ms at
              less than 0.12 m/s

"Low and slow" alone would cut the motors of a vehicle that rides on its air cushion. The force must
stand out from a ground effect of 13 % of weight that `pd` and `pid` do not model, and from the noise
of the observer that feels it, which grows with its bandwidth: with 0.18 m g at 20 1/s an eager `pid`
cut its motors 3 mm over the floor.
"""

from typing import Any

from neural_lander.controller.compiled import compiled

FLYING, PUSHING, CUT = 0, 1, 2

ARM_REFERENCE = 0.005
"""[m]"""
ARM_HEIGHT = 0.025
"""[m]"""
ARM_SPEED = 0.15
"""[m/s]"""
PUSH_SPEED = 0.3
"""How fast the set-point is pushed into the ground [m/s]."""
CUT_FORCE = 0.22
"""Of weight."""
CUT_SPEED = 0.12
"""[m/s]"""
CUT_TIME = 0.060
"""[s]"""
FORCE_BANDWIDTH = 15.0
"""Of the observer that feels the ground [1/s]."""


@compiled
def touchdown_phase(
    c: Any, reference: float, height: float, speed: float, force: float, t: float
) -> int:
    """Return the phase after this step; ``c.phase``, ``c.push_start``, ``c.felt`` are its memory.

    ``force`` is the upward force beyond the model's as a share of weight.
    """
    if c.phase == FLYING:
        if reference < ARM_REFERENCE and height < ARM_HEIGHT and speed < ARM_SPEED:
            c.phase, c.push_start, c.felt = PUSHING, t, 0.0
    elif c.phase == PUSHING:
        c.felt = c.felt + c.period if force > CUT_FORCE and speed < CUT_SPEED else 0.0
        if c.felt >= CUT_TIME:
            c.phase = CUT
    return int(c.phase)
