"""The rigid body and its contacts, in PyBullet without a display.

One world a process is kept and put back to its first state between flights: building one costs as
much as a landing. Traps that this module knows: PyBullet's default damping takes 4 % a second off
every velocity; inertia left to the shape is that of the shape; without ``physicsClientId`` a call
goes to client 0; contact points appear before the touch, with zero force.
"""

import contextlib
import ctypes
import importlib
import os
from functools import partial
from typing import Any

import numpy as np

from neural_lander.controller.rotation import Quaternion, Vector, rotate_back
from neural_lander.controller.vehicle import GRAVITY, Vehicle


def _import_quietly(name: str) -> Any:
    """Import an extension that prints its build time, without that line."""
    libc = ctypes.CDLL(None)
    libc.fflush(None)
    kept = [os.dup(1), os.dup(2)]
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        try:
            return importlib.import_module(name)
        finally:
            libc.fflush(None)
            for stream, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, stream)
                os.close(copy)


pybullet = _import_quietly("pybullet")

LATERAL_FRICTION = 0.6
"""Rubber feet on a smooth floor, assumed."""


class World:
    """A vehicle on legs over a plane.

    The engine's functions are bound to this world's client once: passing ``physicsClientId`` at
    every call costs a fifth of the step, so it is left out where the client is the default one.
    """

    def __init__(self, vehicle: Vehicle) -> None:
        self.vehicle = vehicle
        self.frame = pybullet.WORLD_FRAME
        self.client = pybullet.connect(pybullet.DIRECT)
        self.pose = self._bind(pybullet.getBasePositionAndOrientation)
        self.twist = self._bind(pybullet.getBaseVelocity)
        self.push = self._bind(pybullet.applyExternalForce)
        self.turn = self._bind(pybullet.applyExternalTorque)
        self.advance = self._bind(pybullet.stepSimulation)
        self.contacts = self._bind(pybullet.getContactPoints)
        self.body = self._build()
        self._clean = self._bind(pybullet.saveState)()

    def _bind(self, function: Any) -> Any:
        return function if self.client == 0 else partial(function, physicsClientId=self.client)

    def _build(self) -> int:
        """Put the plane and the body into the world and return the body."""
        here, v = {"physicsClientId": self.client}, self.vehicle
        pybullet.setTimeStep(v.timing.period, **here)
        pybullet.setGravity(0, 0, -GRAVITY, **here)
        plane = pybullet.createMultiBody(
            0, pybullet.createCollisionShape(pybullet.GEOM_PLANE, **here), **here
        )
        foot = min(0.01, 0.2 * v.rest_height)
        arm = np.abs(v.rotors.positions).max(axis=0) + 0.5 * v.rotors.radius
        half_height = 0.2 * v.rest_height
        shape = pybullet.createCollisionShapeArray(
            [pybullet.GEOM_SPHERE] * 4 + [pybullet.GEOM_BOX],
            radii=[foot] * 4 + [0.0],
            halfExtents=[[0.0, 0.0, 0.0]] * 4 + [[float(arm[0]), float(arm[1]), half_height]],
            collisionFramePositions=[np.add(f, (0.0, 0.0, foot)).tolist() for f in v.legs.feet]
            + [[0.0, 0.0, float(v.rotors.positions[:, 2].mean())]],
            **here,
        )
        body = int(pybullet.createMultiBody(v.mass, shape, -1, [0, 0, 1.0], **here))
        pybullet.changeDynamics(
            body,
            -1,
            localInertiaDiagonal=v.body.inertia.tolist(),
            linearDamping=0,
            angularDamping=0,
            restitution=0,
            lateralFriction=LATERAL_FRICTION,
            **here,
        )
        pybullet.changeDynamics(plane, -1, lateralFriction=1.0, **here)
        return body

    def reset(self, p: Vector, q: Quaternion, v: Vector) -> None:
        """Put the world back to its first state, the body at pose p, q with velocity v."""
        here = {"physicsClientId": self.client}
        pybullet.restoreState(self._clean, **here)
        pybullet.resetBasePositionAndOrientation(self.body, p, q, **here)
        pybullet.resetBaseVelocity(self.body, v, (0.0, 0.0, 0.0), **here)

    def contact_force(self, p: Vector, q: Quaternion) -> tuple[float, bool]:
        """Return the sum of normal forces [N] and whether anything but a leg touches."""
        total, other = 0.0, False
        for point in self.contacts(self.body):
            if point[9] <= 0.0:
                continue
            total += point[9]
            where = point[5] if point[1] == self.body else point[6]
            inside = rotate_back(q, (where[0] - p[0], where[1] - p[1], where[2] - p[2]))
            other = other or inside[2] > -0.7 * self.vehicle.rest_height
        return total, other

    def close(self) -> None:
        """Let go of the engine's memory."""
        with contextlib.suppress(pybullet.error):
            pybullet.disconnect(physicsClientId=self.client)


_kept: World | None = None


def world_of(vehicle: Vehicle) -> World:
    """Return this process's world for a vehicle, building it where the last was of another one."""
    global _kept
    if _kept is None or _kept.vehicle.digest != vehicle.digest:
        if _kept is not None:
            _kept.close()
        _kept = World(vehicle)
    return _kept
