"""The torque that nothing else explains: a weak rotor, a centre of mass that is off, an edge below.

    d = l (J Omega - w),    w' = B f - Omega x J Omega + d,    |d| <= d_max per axis

The momentum observer of ``observer``, about the body axes: B f are the torques of the rotor thrusts
that were measured. The attitude law takes d off its torque. Without that, a constant torque turns the
vehicle by d / (J w^2), and what is sideways of its thrust then is a position error that no observer of
forces sees, because it believes the attitude. With torques as the vehicle file says, and thrusts
measured, d is noise, and the loop from wanted to real force is as without it.

Where thrusts are not measured, lagged commands stand in; motors slower than the file says then look like
a torque, of the wrong sign for the attitude loop. There l is ``SUPPOSED`` of the file's. What the monitor
says of the inner loop (its contract) holds d as it is from then on. A constant error of the measured
rotor speeds is a torque, too: 1 % between front and rear costs 26 mm sideways.

Source: Tomic, Haddadin, "A unified framework for external wrench estimation", IROS 2014, eq. 21.
"""

from typing import Any

import numpy as np

from neural_lander.controller.compiled import compiled
from neural_lander.controller.observer import observe
from neural_lander.controller.rotation import Vector, cross
from neural_lander.controller.vehicle import Vehicle

RECORD_FIELDS = [
    ("torque_rate", np.float64),
    ("torque_limit", np.float64),
    ("mix", np.float64, (4, 4)),
    # memory
    ("torque_memory", np.float64, (3,)),
    ("torque_found", np.float64, (3,)),
]
"""What this adds to a controller's record; ``torque_found`` is d in the body frame [N m]."""

SUPPOSED = 0.25
"""Share of the bandwidth that is kept where rotor thrusts are supposed, not measured."""

LIMIT = 0.25
"""d_max, as a share of weight times the longest arm of a rotor: a centre of mass off by as much of it."""


def store_torque_observer(c: Any, vehicle: Vehicle) -> None:
    """Write the vehicle's gains into a controller's record."""
    arm = float(np.abs(vehicle.rotors.positions[:, :2]).max())
    c["torque_rate"] = vehicle.gains.torque_observer
    c["torque_limit"] = LIMIT * vehicle.weight * arm
    c["mix"] = vehicle.mixing


def suppose_thrusts(c: Any) -> None:
    """Make a controller's record one of a vehicle that does not measure its rotors."""
    c["torque_rate"] *= SUPPOSED


@compiled
def hear_torque(c: Any, omega: Vector, thrusts: Any, first: bool, frozen: bool) -> None:
    """Advance d by one period, at body rate [rad/s] and rotor thrusts [N] as measured.

    ``first``: of the flight; ``frozen``: keep d (the floor's torque is none to take off).
    """
    if c.torque_rate <= 0.0:
        return
    j, f = c.inertia, thrusts
    momentum = (j[0] * omega[0], j[1] * omega[1], j[2] * omega[2])
    if first:
        for i in range(3):
            c.torque_memory[i] = momentum[i]
    turning = cross(omega, momentum)
    b = c.mix
    known = (
        b[1, 0] * f[0] + b[1, 1] * f[1] + b[1, 2] * f[2] + b[1, 3] * f[3] - turning[0],
        b[2, 0] * f[0] + b[2, 1] * f[1] + b[2, 2] * f[2] + b[2, 3] * f[3] - turning[1],
        b[3, 0] * f[0] + b[3, 1] * f[1] + b[3, 2] * f[2] + b[3, 3] * f[3] - turning[2],
    )
    before = (c.torque_found[0], c.torque_found[1], c.torque_found[2])
    d = observe(
        c.torque_memory, before, momentum, known, c.torque_rate, c.torque_limit, c.period, frozen
    )
    for i in range(3):
        c.torque_found[i] = d[i]
