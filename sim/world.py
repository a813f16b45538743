"""The rigid body and its contacts, in PyBullet without a display.

One world a process is kept and put back to its first state between flights: building one costs as
much as a landing. Traps that this module knows: PyBullet's default damping takes 4 % a second off
every velocity; inertia left to the shape is that of the shape; without ``physicsClientId`` a call
goes to client 0; contact points appear before the touch, with zero force.
"""

import contextlib
import ctypes
import importlib
import math
import os
from functools import partial
from typing import Any

import numpy as np

from neural_lander.controller.rotation import Quaternion, Vector, rotate_back
from neural_lander.controller.terrain import FLAT, Surface, Terrain
from neural_lander.controller.vehicle import GRAVITY, Vehicle
from neural_lander.sim.deck import Swing
from neural_lander.sim.legs import STIFF, Springs
from neural_lander.sim.physics import body_box, foot_radius


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

SOLVER_ITERATIONS = 20
"""Of contacts, instead of Bullet's 50: four legs on a floor come to rest at the same digits."""
LEVEL_NORMAL = 0.1
"""A contact whose normal rises less than this is one with a side; a foot on an edge rests steeper."""


class World:
    """A vehicle on legs over a plane and the boxes that stand on it.

    The engine's functions are bound to this world's client once: passing ``physicsClientId`` at
    every call costs a fifth of the step, so it is left out where the client is the default one.
    """

    def __init__(
        self,
        vehicle: Vehicle,
        terrain: Terrain = FLAT,
        springs: Springs = STIFF,
        moving: int = 0,
    ) -> None:
        self.vehicle, self.terrain = vehicle, terrain
        self.springs, self.moving = springs, moving
        self.frame = pybullet.WORLD_FRAME
        self.client = pybullet.connect(pybullet.DIRECT)
        self.pose = self._bind(pybullet.getBasePositionAndOrientation)
        self.twist = self._bind(pybullet.getBaseVelocity)
        self.push = self._bind(pybullet.applyExternalForce)
        self.turn = self._bind(pybullet.applyExternalTorque)
        self.advance = self._bind(pybullet.stepSimulation)
        self.contacts = self._bind(pybullet.getContactPoints)
        self._pair = self._bind(pybullet.setCollisionFilterPair)
        self.ground, self.body = self._build()
        self._clean = self._bind(pybullet.saveState)()

    def _bind(self, function: Any) -> Any:
        return function if self.client == 0 else partial(function, physicsClientId=self.client)

    def _build(self) -> tuple[list[int], int]:
        """Put the plane, the boxes and the body into the world; return what is ground, and the body."""
        here, v = {"physicsClientId": self.client}, self.springs.unloaded(self.vehicle)
        pybullet.setTimeStep(v.timing.period, **here)
        pybullet.setGravity(0, 0, -GRAVITY, **here)
        pybullet.setPhysicsEngineParameter(numSolverIterations=SOLVER_ITERATIONS, **here)
        plane = pybullet.createMultiBody(
            0, pybullet.createCollisionShape(pybullet.GEOM_PLANE, **here), **here
        )
        ground = [int(plane), *(self._box(s) for s in self.terrain.surfaces)]
        foot = foot_radius(v)
        centre, half = body_box(v)
        shape = pybullet.createCollisionShapeArray(
            [pybullet.GEOM_SPHERE] * 4 + [pybullet.GEOM_BOX],
            radii=[foot] * 4 + [0.0],
            halfExtents=[[0.0, 0.0, 0.0]] * 4 + [half.tolist()],
            collisionFramePositions=[np.add(f, (0.0, 0.0, foot)).tolist() for f in v.legs.feet]
            + [centre.tolist()],
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
            lateralFriction=self.springs.friction,
            **here,
        )
        for part in ground:
            pybullet.changeDynamics(part, -1, lateralFriction=1.0, **here)
        if self.springs.stiffness is not None:
            give = (self.springs.stiffness, self.springs.damping)
            pybullet.changeDynamics(
                body, -1, contactStiffness=give[0], contactDamping=give[1], **here
            )
            for part in ground:  # springs in a row, dampers in sum: the ground itself adds nothing
                pybullet.changeDynamics(part, -1, contactStiffness=1e18, contactDamping=0.0, **here)
        return ground, body

    def _box(self, s: Surface) -> int:
        """Put one box on the floor; return its number."""
        here, middle = {"physicsClientId": self.client}, [s.x, s.y, s.height / 2]
        if s.level:
            shape = pybullet.createCollisionShape(
                pybullet.GEOM_BOX,
                halfExtents=[s.half_x, s.half_y, s.height / 2],
                **here,
            )
        else:
            corners = [(i * s.half_x, j * s.half_y) for i in (-1, 1) for j in (-1, 1)]
            shape = pybullet.createCollisionShape(
                pybullet.GEOM_MESH,
                vertices=[
                    (x, y, z - s.height / 2)
                    for x, y in corners
                    for z in (0.0, s.top(s.x + x, s.y + y))
                ],
                **here,
            )
        box = int(pybullet.createMultiBody(0, shape, -1, middle, **here))
        if not s.level:
            pybullet.changeDynamics(box, -1, collisionMargin=0.0, **here)
        return box

    def carry(self, swing: Swing, t: float) -> None:
        """Put the box that moves where it is at t, with the velocity that takes it to its next place.

        The solver of contacts sees that velocity; a box that were only put elsewhere would press its
        way into what stands on it.
        """
        h, box = self.vehicle.timing.period, self.ground[self.moving]
        (x, y, z), (i, j, k, w), angle = swing.pose(t)
        (_, _, z_next), _, angle_next = swing.pose(t + h)
        depth = 0.5 * swing.deck.height  # the box's own place is its middle
        at = (x - depth * math.sin(angle), y, z - depth * math.cos(angle))
        turning = (angle_next - angle) / h
        pulled = (-depth * math.cos(angle) * turning, 0.0, depth * math.sin(angle) * turning)
        velocity = (pulled[0], 0.0, (z_next - z) / h + pulled[2])
        pybullet.resetBasePositionAndOrientation(box, at, (i, j, k, w), physicsClientId=self.client)
        pybullet.resetBaseVelocity(box, velocity, (0.0, turning, 0.0), physicsClientId=self.client)

    def feel_ground(self, on: bool) -> None:
        """Look for contact between the body and the ground, or save the search while far away."""
        for part in self.ground:
            self._pair(part, self.body, -1, -1, int(on))

    def reset(self, p: Vector, q: Quaternion, v: Vector, omega: Vector = (0.0, 0.0, 0.0)) -> None:
        """Put the world back to its first state, the body at pose p, q with twist v, omega."""
        here = {"physicsClientId": self.client}
        pybullet.restoreState(self._clean, **here)
        pybullet.resetBasePositionAndOrientation(self.body, p, q, **here)
        pybullet.resetBaseVelocity(self.body, v, omega, **here)
        self.feel_ground(True)

    def contact_force(self) -> float:
        """Return the sum of normal forces on the body [N]."""
        total = 0.0
        for point in self.contacts(self.body):
            total += point[9]
        return total

    def touches_with_body(self, p: Vector, q: Quaternion) -> bool:
        """Whether anything but a leg carries force, or a side of a box does, at pose p, q."""
        for point in self.contacts(self.body):
            where = point[5] if point[1] == self.body else point[6]
            inside = rotate_back(q, (where[0] - p[0], where[1] - p[1], where[2] - p[2]))
            sideways = abs(point[7][2]) < LEVEL_NORMAL
            if point[9] > 0.0 and (sideways or inside[2] > -0.7 * self.vehicle.rest_height):
                return True
        return False

    def close(self) -> None:
        """Let go of the engine's memory."""
        with contextlib.suppress(pybullet.error):
            pybullet.disconnect(physicsClientId=self.client)


_kept: World | None = None


def world_of(
    vehicle: Vehicle, terrain: Terrain = FLAT, springs: Springs = STIFF, moving: int = 0
) -> World:
    """Return this process's world of a vehicle, building it where the last was another.

    ``moving`` says which box of the terrain moves, from 1; 0: none.
    """
    global _kept
    kept = _kept and (_kept.vehicle.digest, _kept.terrain, _kept.springs, _kept.moving)
    if _kept is None or kept != (vehicle.digest, terrain, springs, moving):
        forget_world()
        _kept = World(vehicle, terrain, springs, moving)
    return _kept


def forget_world() -> None:
    """Close the world that this process keeps."""
    global _kept
    if _kept is not None:
        _kept.close()
        _kept = None
