"""The part of a flight that the engine flies, bit by bit: ``advance`` goes on where it stopped."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.rotation import Quaternion, Vector
from neural_lander.controller.touchdown import CUT
from neural_lander.sim.deck import Swing
from neural_lander.sim.physics import NEAR
from neural_lander.sim.piloted import Step
from neural_lander.sim.verdict import Outcome, is_still
from neural_lander.sim.world import World

Array = npt.NDArray[np.float64]
Record = npt.NDArray[Any]
Records = tuple[Record, Record, Record, Record]
"""World, controller, learned network, network that plays the vehicle."""
Start = tuple[Vector, Quaternion, Vector, Vector]
"""Position, attitude, velocity, rate of the body, all in the world frame."""

STANDING = math.cos(math.radians(5))
"""Tilted less than this the legs touch a floor before anything else can."""
CRASH_TILT = math.radians(60)
"""[rad]"""
UPRIGHT = math.cos(CRASH_TILT)
CRASH_SPEED = 1.0
"""First contact of the legs faster than this is a crash [m/s]."""
AFTER_CUT = 0.3
"""How long a vehicle is watched after its motors were cut: seven motor lags [s]."""
WATCHED = 3.0
"""And how much longer at most, while it still slides or tips [s]."""


class Episode:
    """A body in the engine from step ``first`` on; over at step ``last``, or as ``outcome`` says."""

    def __init__(
        self, engine: World, records: Records, noise: Array, log: Array, step: Step, first: int,
        start: Start, swing: Swing | None = None, *more: Any,
    ) -> None:  # fmt: skip
        """Put the body into the engine; ``more`` is what ``step`` takes after the log.

        ``swing`` is the motion of the box that moves.
        """
        engine.reset(*start)
        engine.feel_ground(False)
        self.engine, self.step, self.swing = engine, step, swing
        self._arguments = (*records, noise, log, *more)
        self.k = first
        """The step to fly next, or the one at which it was over: its row of the log is not whole."""
        self.last = self._end = len(log) - 1
        self._watched = self._end
        self.over = False
        self.outcome = Outcome(None, None, "")
        self._near, self._speed_before = False, 0.0

    @property
    def pose(self) -> Start:
        """Where the body is and how it moves."""
        return (*self.engine.pose(self.engine.body), *self.engine.twist(self.engine.body))

    def advance(self, until: int) -> None:
        """Fly the steps before ``until``, or fewer where it is over; per step all is local, for speed."""
        engine, step, swing, arguments = self.engine, self.step, self.swing, self._arguments
        pose, twist, push, turn, advance = (
            engine.pose,
            engine.twist,
            engine.push,
            engine.turn,
            engine.advance,
        )
        body, frame = engine.body, engine.frame
        sides = bool(engine.terrain.surfaces)
        contact_at, cut_at = self.outcome.contact_at, self.outcome.cut_at
        crash, last, watched = self.outcome.crash, self.last, self._watched
        period = engine.vehicle.timing.period
        near, speed_before = self._near, self._speed_before
        k = self.k
        while k < until:
            p, q = pose(body)
            v, omega = twist(body)
            force, torque, low, phase, ground = step(k, p, q, v, omega, *arguments)
            if low < NEAR and not near:
                near = True
                engine.feel_ground(True)
            if near and swing is not None:
                engine.carry(swing, k * period)
            push(body, -1, force, p, frame)
            turn(body, -1, torque, frame)
            advance()
            up = 1 - 2 * (q[0] * q[0] + q[1] * q[1])
            if ground > 0.0:
                if contact_at is None:
                    contact_at = k - 1
                    if speed_before < -CRASH_SPEED:
                        crash = f"first contact at {-speed_before:.2f} m/s"
                if up < STANDING and engine.touches_with_body(p, q):
                    crash = crash or "contact by something else than the legs"
            if sides and low < NEAR and engine.touches_with_body(p, q):
                crash = crash or "contact by something else than the legs, or with a table's side"
            if up < UPRIGHT:
                crash = crash or "tilt over 60 degrees"
            if phase == CUT and cut_at is None:
                cut_at = k
                last = min(last, k + round(AFTER_CUT / period))
                watched = min(self._end, last + round(WATCHED / period))
            if swing is not None:
                v, omega = swing.seen_from(k * period, p, v, omega)
            if crash or (k >= last and (cut_at is None or k >= watched or is_still(v, omega))):
                self.over = True
                break
            speed_before = v[2]
            k += 1
        self.k, self.last, self._watched = k, last, watched
        self._near, self._speed_before = near, speed_before
        self.outcome = Outcome(contact_at, cut_at, crash)
