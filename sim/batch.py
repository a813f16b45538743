"""Many flights in one process, side by side, each steered by an agent.

As long as nothing can touch the ground all of them fly in one compiled call; near it each has an engine
of its own (``episode.Episode``). One alone is a batch of one. ``Batch`` knows no Gymnasium.
"""

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.compiled import NUMBA, announce, compiled
from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.landing_controller import RECORD as LAW
from neural_lander.sim import physics
from neural_lander.sim.deck import Swing, draw_swing
from neural_lander.sim.episode import UPRIGHT, Episode
from neural_lander.sim.observation import SIZE, write_observation
from neural_lander.sim.physics import NEAR, clearance
from neural_lander.sim.reward import ROOM, off_setpoint, score, worth_in_flight, worth_landed
from neural_lander.sim.rollout import (
    Flight,
    Prepared,
    draw_start,
    engine_of,
    flight_log,
    flown_by,
    prepare,
    with_surface,
)
from neural_lander.sim.steering import (
    ACTIONS,
    HELD,
    SIZES,
    begin,
    kept,
    steered,
    steered_freely,
)
from neural_lander.sim.step import ROW, of_origin
from neural_lander.sim.summary import summarise
from neural_lander.sim.verdict import Outcome
from neural_lander.sim.world import World

Array = npt.NDArray[np.float64]
Observation = npt.NDArray[np.float32]

LOST = "farther than 3 m from its set-point"
"""What ends a flight that no crash ends."""


@compiled
def fly_all(
    flying: Any, step: Any, until: Any, world: Any, control: Any, learned: Any, real: Any, noise: Any,
    log: Any, held: Any,
) -> None:  # fmt: skip
    """Fly each of the ``flying`` from its ``step`` to ``until`` [steps], or to where it wants an engine,
    which ends its flying here. ``held`` has the pose, before and after."""
    for i in range(len(step)):
        if not flying[i]:
            continue
        h = held[i]
        a, b, e, o = h.position, h.attitude, h.velocity, h.rate
        k, p, q, v, omega = steered_freely(
            step[i], until[i], (a[0], a[1], a[2]), (b[0], b[1], b[2], b[3]), (e[0], e[1], e[2]),
            (o[0], o[1], o[2]), world[i : i + 1], control[i : i + 1], learned, real, noise[i], log[i],
            held[i : i + 1], NEAR, UPRIGHT,
        )  # fmt: skip
        step[i] = k
        up = 1 - 2 * (q[0] * q[0] + q[1] * q[1])
        flying[i] = clearance(world[i], p, q) >= NEAR and up >= UPRIGHT
        for j in range(3):
            h.position[j], h.velocity[j], h.rate[j] = p[j], v[j], omega[j]
        for j in range(4):
            h.attitude[j] = q[j]


@compiled
def look_all(
    looking: Any, step: Any, world: Any, control: Any, learned: Any, noise: Any, held: Any,
    observation: Any, worth: Any, off: Any,
) -> None:  # fmt: skip
    """Begin the step of each of the ``looking``, and write what its agent sees, its score and how far
    it is off its set-point [m]."""
    for i in range(len(step)):
        if not looking[i]:
            continue
        h, c = held[i], control[i]
        a, b, e, o = h.position, h.attitude, h.velocity, h.rate
        p, q, v = (a[0], a[1], a[2]), (b[0], b[1], b[2], b[3]), (e[0], e[1], e[2])
        omega = (o[0], o[1], o[2])
        begin(
            step[i], p, q, v, omega, world[i : i + 1], control[i : i + 1], learned, noise[i],
            held[i : i + 1],
        )  # fmt: skip
        write_observation(c, kept(h), h.action, observation[i])
        origin, speed = of_origin(world[i], p, q, v, omega)
        worth[i] = score(c, origin, speed, omega)
        z, sideways = off_setpoint(c, origin)
        off[i] = max(abs(z), sideways)


@dataclass(frozen=True)
class Seen:
    """What a batch answers."""

    observation: Observation
    """(n, SIZE)."""
    reward: Array
    """(n,)."""
    terminated: npt.NDArray[np.bool_]
    """(n,): landed, crashed or lost."""
    truncated: npt.NDArray[np.bool_]
    """(n,): out of time."""
    summaries: dict[int, dict[str, Any]]
    """The figures of those that just ended."""


class Batch:
    """``n`` flights; ``reset`` begins some, ``step`` flies all that are under way a little further."""

    def __init__(self, flight: Flight, n: int, action: str, frame_skip: int) -> None:
        """Prepare for ``n`` flights.

        Args:
            flight: what is flown; its controller is the nominal one of a residual.
            n: how many, 1 or more.
            action: a name of ``ACTIONS``.
            frame_skip: control periods that an action is held.

        Raises:
            InputError: one of these cannot be used.
        """
        if action not in ACTIONS:
            raise InputError(f"action '{action}' is unknown; take one of {', '.join(ACTIONS)}")
        if not isinstance(frame_skip, int) or not 1 <= frame_skip <= 100:
            raise InputError(
                f"frame_skip is {frame_skip!r}, expected a whole number of control periods, 1 to 100"
            )
        if not isinstance(n, int) or n < 1:
            raise InputError(f"a batch of {n!r} flights; expected 1 or more")
        self.flight, self.n, self.action, self.frame_skip = flight, n, action, frame_skip
        self.size = SIZES[ACTIONS[action]]
        self.plan = flight.plan
        self.label = f"neural_lander/Landing-v0:{action}"
        """Stands in summaries and logs for the controller."""
        self.seeds = [0] * n
        self._control, self._world, self._held = (
            _records(LAW, n), _records(physics.RECORD, n), _records(HELD, n),
        )  # fmt: skip
        self._held["mode"] = ACTIONS[action]
        self._step = np.zeros(n, np.int64)
        self._ready: Prepared | None = None
        self._noise, self._log = np.zeros((n, 0, 0)), np.zeros((n, 0, 0))
        self._running = np.zeros(n, np.bool_)
        self._episodes: list[Episode | None] = [None] * n
        self._engines: list[World | None] = [None] * n
        self._swings: list[Swing | None] = [None] * n
        self._chances: list[np.random.Generator | None] = [None] * n
        self._observation = np.zeros((n, SIZE), np.float32)
        self._worth, self._off = np.zeros(n), np.zeros(n)
        announce("steering.steered")

    def reset(self, which: list[int], chances: list[np.random.Generator]) -> Observation:
        """Begin the flights ``which``, each with its own source of chance; return (n, SIZE).

        A source that began the flight before gives the next one a child: what has a stream of its own,
        as the accelerometer has, hangs on the seed alone and would be the same again.
        """
        scenario = self.flight.scenario
        for i, source in zip(which, chances, strict=True):
            rng = source.spawn(1)[0] if source is self._chances[i] else source
            self._chances[i] = source
            start, velocity, yaw = draw_start(self.flight, rng)
            swing = None if scenario.deck is None else draw_swing(scenario.deck, rng.spawn(1)[0])
            ready = prepare(
                self.flight, self.plan, rng, start, velocity, yaw, self.plan.end + scenario.after,
                scenario.lands, swing=swing,
            )  # fmt: skip
            if self._ready is None:
                self._ready = ready
                self._noise = np.zeros((self.n, *ready.noise.shape))
                self._log = np.zeros((self.n, ready.steps, ROW))
            self._world[i], self._control[i] = ready.records[0][0], ready.records[1][0]
            self._noise[i], self._swings[i] = ready.noise, swing
            h = self._held[i]
            h["position"], h["attitude"], h["velocity"], h["rate"] = ready.start
            h["action"], h["begun"] = 0.0, -1
            self._step[i], self._running[i], self._episodes[i] = 0, True, None
        looking = np.zeros(self.n, np.bool_)
        looking[which] = True
        self._look(looking)
        return self._observation.copy()

    def step(self, actions: npt.ArrayLike) -> Seen:
        """Fly all that are under way for ``frame_skip`` periods, or to their end.

        Args:
            actions: (n, size), each in [-1, 1], and clipped to that.

        Raises:
            InputError: another shape, or not finite.
        """
        wanted = np.asarray(actions, np.float64)
        if wanted.shape != (self.n, self.size) or not np.isfinite(wanted).all():
            raise InputError(
                f"actions are {np.asarray(actions).tolist()}, expected {self.n} x {self.size} finite "
                "numbers in [-1, 1]"
            )
        assert self._ready is not None
        self._held["action"][:, : self.size] = np.clip(wanted, -1, 1)
        total = self._ready.steps - 1
        before = self._step.copy()
        until = np.minimum(before + self.frame_skip, total)
        flying = self._running.copy()
        for i in np.flatnonzero(self._running):
            flying[i] = self._episodes[i] is None
        learned, real = self._ready.records[2:]
        fly_all(
            flying, self._step, until, self._world, self._control, learned, real, self._noise,
            self._log, self._held,
        )  # fmt: skip
        over: dict[int, Outcome] = {}
        for i in np.flatnonzero(self._running & ~flying):
            outcome = self._fly_near(int(i), int(until[i]), total)
            if outcome is not None:
                over[int(i)] = outcome
        for i in np.flatnonzero(self._running & (self._step >= total)):
            over.setdefault(int(i), Outcome(None, None, ""))
        ended = np.zeros(self.n, np.bool_)
        ended[list(over)] = True
        self._look(self._running)  # those that are over, too: what their agents see last
        reward = worth_in_flight(self._worth, self._step - before, total)
        reward[~self._running] = 0.0
        for i in np.flatnonzero(self._running & ~ended & (self._off > ROOM)):
            over[int(i)] = Outcome(None, None, LOST)
        terminated, truncated = np.zeros(self.n, np.bool_), np.zeros(self.n, np.bool_)
        summaries = {}
        for j, outcome in over.items():
            summaries[j] = self._summary(j, outcome)
            terminated[j] = bool(outcome.crash) or outcome.cut_at is not None
            truncated[j] = not terminated[j]
            if terminated[j]:
                reward[j] = worth_landed(summaries[j], total - int(before[j]), total)
            self._running[j] = False
        return Seen(self._observation.copy(), reward, terminated, truncated, summaries)

    def _look(self, looking: npt.NDArray[np.bool_]) -> None:
        assert self._ready is not None
        look_all(
            looking, self._step, self._world, self._control, self._ready.records[2], self._noise,
            self._held, self._observation, self._worth, self._off,
        )  # fmt: skip

    def _fly_near(self, i: int, until: int, total: int) -> Outcome | None:
        """Fly one in its engine; return its outcome once it is over."""
        assert self._ready is not None
        episode = self._episodes[i]
        h = self._held[i : i + 1]
        if episode is None:
            records = self._world[i : i + 1], self._control[i : i + 1], *self._ready.records[2:]
            episode = self._episodes[i] = Episode(
                self.engine(i), records, self._noise[i], self._log[i], steered, int(self._step[i]),
                self.pose(i), self._swings[i], h,
            )  # fmt: skip
        episode.advance(until if until < total else total + 1)
        if episode.outcome.cut_at is not None:  # nothing is to be decided any more
            episode.advance(total + 1)
        self._step[i] = episode.k
        h[0]["position"], h[0]["attitude"], h[0]["velocity"], h[0]["rate"] = episode.pose
        return episode.outcome if episode.over else None

    def _summary(self, i: int, outcome: Outcome) -> dict[str, Any]:
        flight = self.flight
        return summarise(
            self.log(i), outcome, self.plan, flight.vehicle, lands=flight.scenario.lands
        )

    def log(self, i: int) -> FlightLog:
        """Return the log of flight i so far."""
        flight, rows = self.flight, self._log[i, : self._step[i]].copy()
        log = flight_log(
            rows, flight, self.seeds[i], scenario=flight.scenario.name, reference=flight.reference,
            controller=self.label, **flown_by(flight, self.plan),
        )  # fmt: skip
        return with_surface(log, flight.scenario, self._swings[i])

    def pose(self, i: int) -> Any:
        """Return true position, attitude, velocity and rate of flight i, as tuples."""
        h = self._held[i]
        return tuple(tuple(h[x].tolist()) for x in ("position", "attitude", "velocity", "rate"))

    def engine(self, i: int) -> World:
        """Return the engine of flight i, making it where it has none yet."""
        engine = self._engines[i]
        if engine is None:
            engine = self._engines[i] = World(*engine_of(self.flight))
        return engine

    def in_engine(self, i: int) -> bool:
        """Whether flight i is flown by its engine."""
        return self._episodes[i] is not None

    def close(self) -> None:
        """Let go of the engines; a second time does nothing."""
        for i, engine in enumerate(self._engines):
            if engine is not None:
                engine.close()
            self._engines[i] = self._episodes[i] = None
        self._running[:] = False

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


def _records(dtype: np.dtype[Any], n: int) -> npt.NDArray[Any]:
    """Return n zeroed records."""
    records = np.zeros(n, dtype)
    return records.view(np.recarray) if NUMBA.DISABLE_JIT else records
