"""Tries to break a tube in three dimensions: the worst inputs it can find, on a fine nonlinear plant.

As ``falsifier`` for the vertical loop. The plant has the learned force itself in it and the inner
loop as the contract says, F_a,j = H_j[F_held]_j + c_j, and is flown with sampled control, latency,
hold, and the sampled observer. Inputs are the force error e (at every plant step, and constant),
the contract's error c and the noise of position, velocity, measured thrust and attitude (at every
control step). The adjoint of exactly this computation gives the sensitivity of one error at one
time to each of them; bound times sign is flown, linearised again, and flown. Then single blocks
are flipped, and the latency made to jitter, and what makes the worst flight worse is kept.

Along a compensated plan the law is flown as it is: what it feeds forward, and the mass that it finds in
hover, whose effect the adjoint carries, too.

A tube that any of these flights leaves is unsound; one far above the worst of them is loose.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import expm

from neural_lander.controller.hover_mass import SETTLED, STEADY_RATE, shown
from neural_lander.controller.setpoint import Plan, plan_record, setpoint, setpoint_ahead
from neural_lander.controller.spatial_model import SpatialLoop, Triple
from neural_lander.controller.spatial_terms import SpatialErrors, SpatialTube
from neural_lander.controller.vehicle import GRAVITY
from neural_lander.learning.restricted_force import RestrictedForce
from neural_lander.learning.spatial_plant import adjoint, simulate

Array = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]

PLANT_STEP = 5e-4
"""Step of the plant [s]."""

STILL: Triple = (0.0, 0.0, 0.0)

QUANTITIES = ("position", "velocity", "force")

NOISES = 9
"""Of position (3) [m], velocity (3) [m/s], measured thrust [share], its axis in x and y [rad]."""


@dataclass(frozen=True)
class Inputs:
    """What a flight is exposed to."""

    error: Array
    """(plant steps, 3) the force error's changing part [N]."""
    steady: Array
    """(3,) its constant part [N]."""
    contract: Array
    """(control steps, 3) c [N]."""
    noise: Array
    """(control steps, 9) as ``NOISES``."""
    latency: Steps
    """(control steps,) of each sample [plant steps]."""


@dataclass(frozen=True)
class WorstInSpace:
    """The greatest errors found at every control step, over all flights tried."""

    time: Array
    """(steps,) [s]"""
    worst: Array
    """(steps, 9) errors of position [m], velocity [m/s], force F_a - F0 [N], three axes each."""
    flights: int

    def ratio_to(self, tube: SpatialTube) -> Array:
        """Return worst over tube at every step, (steps, 9); above 1 the tube is false."""
        bounds = np.concatenate(tube.at(self.time), axis=1)
        return np.asarray(self.worst / np.maximum(bounds, 1e-12))


@dataclass(frozen=True)
class World:
    """What is flown: plan, force, loop; and what the restricted force does not know."""

    plan: Plan
    force: RestrictedForce
    loop: SpatialLoop
    duration: float
    """Of every flight [s]."""
    plant_step: float = PLANT_STEP
    beyond: float = 0.0
    """A full network's slope of the force in its own sideways speed, which the plant has and the
    control law cancels [N/(m/s)]; 0: both have the restricted force."""
    offset: Triple = (0.0, 0.0, 0.0)
    """How far off the plan the set-point begins [m],"""
    speed: Triple = (0.0, 0.0, 0.0)
    """and how fast [m/s]; it joins the plan as ``bumpless`` says."""

    @property
    def sub(self) -> int:
        """Plant steps in a control step."""
        return max(1, round(self.loop.period / self.plant_step))

    @property
    def steps(self) -> int:
        """Control steps."""
        return round(self.duration / self.loop.period)

    def quiet(self) -> Inputs:
        """Return inputs of no size."""
        late = round(self.loop.latency / self.loop.period * self.sub)
        return Inputs(
            np.zeros((self.steps * self.sub, 3)), np.zeros(3), np.zeros((self.steps, 3)),
            np.zeros((self.steps, NOISES)), np.full(self.steps, late, dtype=np.int64),
        )  # fmt: skip

    def noise_bounds(self) -> Array:
        """Return bounds (9,) of the noise."""
        n = self.loop
        return np.array(
            [*n.noise_position, *n.noise_velocity, n.noise_thrust, n.noise_attitude,
             n.noise_attitude]
        )  # fmt: skip


def fly_in_space(world: World, inputs: Inputs, start: Array | None = None) -> Array:
    """Fly given inputs; return (steps, 15): errors of position, velocity, force; F_a; F_c.

    ``start`` (9,): errors of position and velocity, and force of the inner loop at rest [N]; None:
    in equilibrium on the plan.
    """
    return _Flight(world).fly(inputs, start)


def falsify_in_space(
    world: World,
    errors: SpatialErrors,
    targets: Sequence[float],
    seed: int = 0,
    iterations: int = 2,
    climbs: int = 8,
    quantities: Sequence[int] = (0, 1, 2),
    axes: Sequence[int] = (0, 1, 2),
    start: Array | None = None,
) -> WorstInSpace:
    """Fly the worst that can be found.

    Args:
        world: what is flown.
        errors: bounds of the force error and of the contract's.
        targets: times to aim at [s].
        seed: of the hill climbing.
        iterations: linearisations for each target.
        climbs: hill climbing steps on each of the four worst flights.
        quantities: which of ``QUANTITIES`` to aim at.
        axes: which axes to aim at.
        start: as ``fly_in_space`` takes it; None: from rest in equilibrium.
    """
    rng = np.random.default_rng(seed)
    flight = _Flight(world)
    worst = np.zeros((world.steps, 9))
    flights = 0
    best: list[tuple[float, int, int, int, Inputs]] = []
    for target in targets:
        k = min(world.steps - 1, max(1, round(target / world.loop.period)))
        for column in (3 * q + axis for q in quantities for axis in axes):
            for sign in (1, -1):
                inputs, top, kept = world.quiet(), -1.0, world.quiet()
                for n in range(iterations + 1):
                    flown = flight.fly(inputs, start)
                    flights += 1
                    np.maximum(worst, np.abs(flown[:, :9]), out=worst)
                    if sign * flown[k, column] > top:
                        top, kept = sign * float(flown[k, column]), inputs
                    if n == iterations or not np.isfinite(flown).all():
                        break
                    inputs = flight.worst_inputs(k, column, sign, errors)
                if column < 3:
                    best.append((top, k, column, sign, kept))
    best.sort(key=lambda entry: -entry[0])
    for top, k, column, sign, inputs in best[: 4 if climbs else 0]:
        for _ in range(climbs):
            tried = _flipped(inputs, k, rng, not world.loop.one_noise)
            flown = flight.fly(tried, start)
            flights += 1
            np.maximum(worst, np.abs(flown[:, :9]), out=worst)
            if sign * flown[k, column] > top:
                top, inputs = sign * float(flown[k, column]), tried
    time = world.loop.period * np.arange(world.steps, dtype=np.float64)
    return WorstInSpace(time, worst, flights)


def worst_inputs(
    world: World, errors: SpatialErrors, target: float, column: int, sign: int, iterations: int = 2
) -> Inputs:
    """Return the inputs found that drive one error farthest at a time, by the exact adjoint.

    ``column`` counts errors of position (0 to 2), velocity and force; ``sign`` is 1 or -1.
    """
    flight = _Flight(world)
    k = min(world.steps - 1, max(1, round(target / world.loop.period)))
    inputs, top, kept = world.quiet(), -math.inf, world.quiet()
    for n in range(iterations + 1):
        flown = flight.fly(inputs)
        if sign * flown[k, column] > top:
            top, kept = sign * float(flown[k, column]), inputs
        if n == iterations or not np.isfinite(flown).all():
            break
        inputs = flight.worst_inputs(k, column, sign, errors)
    return kept


def _flipped(inputs: Inputs, k: int, rng: np.random.Generator, jitter: bool) -> Inputs:
    """Return inputs with stretches of some turned round, and perhaps a latency that jitters."""
    error, contract, noise = inputs.error.copy(), inputs.contract.copy(), inputs.noise.copy()
    latency = inputs.latency
    steps = len(latency)
    for array in (*error.T, *contract.T, *noise.T):
        if rng.random() < 0.3:
            scale = len(array) // steps
            end = scale * max(1, k - int(rng.integers(0, 1000)))
            array[max(0, end - scale * int(rng.integers(3, 150))) : end] *= -1
    if jitter and latency.max() and rng.random() < 0.5:
        latency = rng.integers(0, int(latency.max()) + 1, steps)
    return Inputs(error, inputs.steady, contract, noise, latency)


class _Flight:
    """A world made ready to be flown again and again."""

    def __init__(self, world: World) -> None:
        self.world, loop = world, world.loop
        dt, sub = loop.period / world.sub, world.sub
        samples = loop.period * np.arange(world.steps, dtype=np.float64)
        joined = world.offset, world.speed
        self.reference = _samples_of(world.plan, samples, *joined)
        self.ahead, late = fed_forward(world.plan, loop, samples, *joined), loop.latency
        weighing, shows = -1, 1.0
        if loop.along(world.plan).lead is not None and loop.observer:
            first = int(np.argmax(samples >= world.plan.descent_start - late))
            shows = shown(loop.observer, float(samples[first]))
            if samples[-1] >= world.plan.descent_start - late and shows >= SETTLED:
                weighing = first
        force = world.force
        sizes = np.array([3, *(len(b) for _, b in force.layers)], dtype=np.int64)
        self.net = (
            sizes, np.concatenate([w.ravel() for w, _ in force.layers]),
            np.concatenate([b for _, b in force.layers]), force.low, force.high, force.k_f or 0.0,
        )  # fmt: skip
        self.step, self.push, self.look = np.zeros((3, 3, 3)), np.zeros((3, 3)), np.zeros((3, 3))
        self.still = np.zeros((3, 3))
        for j in range(3):
            A, b, C = loop.contract(j)
            n = len(b)
            grown = expm(dt * np.block([[A, b[:, None]], [np.zeros((1, n + 1))]]))
            self.step[j, :n, :n], self.push[j, :n], self.look[j, :n] = (
                grown[:n, :n],
                grown[:n, n],
                C,
            )
            self.still[j, :n] = -np.linalg.solve(A, b)
        low, high = loop.thrust_limits
        self.numbers = np.array(
            [loop.mass, loop.period, sub, loop.observer, GRAVITY, low,
             min(high, 10 * loop.mass * GRAVITY), world.beyond, weighing, shows,
             loop.observer_limit, STEADY_RATE]
        )  # fmt: skip
        self.heard, self.weighed = np.zeros(world.steps), np.zeros(2)
        self.gains = np.array([loop.k_p, loop.k_v])
        n = world.steps
        self.plant, self.heading = np.zeros((n * sub, 3, 3)), np.zeros((n * sub, 3))
        self.newest = np.zeros(n * sub, np.int64)
        self.at_command, self.at_observer = np.zeros((n, 3, 4)), np.zeros((n, 3, 4))
        self.at_ideal = np.zeros((n, 3, 4))
        self.measured = np.zeros((n, 3))

    def fly(self, inputs: Inputs, start: Array | None = None) -> Array:
        errors = np.zeros((self.world.steps, 15))
        begin = np.full(9, np.nan) if start is None else start
        simulate(
            self.net, self.reference, self.numbers, self.gains, self.step, self.push, self.look,
            self.still, inputs.latency, inputs.error + inputs.steady, inputs.contract, inputs.noise,
            begin, errors, self.plant, self.heading, self.newest, self.at_command, self.at_observer,
            self.at_ideal, self.measured, self.ahead, self.heard, self.weighed,
        )  # fmt: skip
        return errors

    def worst_inputs(self, k: int, column: int, sign: int, errors: SpatialErrors) -> Inputs:
        """Return the worst inputs for the loop linearised about the flight just flown."""
        g = self.world.quiet()
        adjoint(
            k, column, self.numbers, self.gains, self.step, self.push, self.look, self.plant,
            self.heading, self.newest, self.at_command, self.at_observer, self.at_ideal,
            self.measured, self.ahead, self.heard, self.weighed, g.error, g.contract, g.noise,
        )  # fmt: skip
        return Inputs(
            sign * np.sign(g.error) * errors.changing,
            sign * np.sign(g.error.sum(axis=0)) * errors.constant,
            sign * np.sign(g.contract) * errors.contract,
            sign * np.sign(g.noise) * self.world.noise_bounds(),
            g.latency,
        )


def fed_forward(
    plan: Plan, loop: SpatialLoop, times: Array, offset: Triple = STILL, speed: Triple = STILL
) -> Array:
    """Return what the law feeds forward at samples, (n, 5): m (a_d + lead j_d)(t + L) per axis [N],
    and how far the plan moves height [m] and vertical speed [m/s] until the command is thrust.

    The set-point begins ``offset`` [m] off the plan, at ``speed`` [m/s] against it.
    """
    record = _begun(plan, offset, speed)
    lead = loop.along(plan).lead
    fed = np.zeros((len(times), 5))
    for k, t in enumerate(times):
        record["piece_ahead"] = 0
        p, v, a, _ = setpoint_ahead(record, float(t))
        if lead is None:
            fed[k, :3] = loop.mass * np.array(a)
            continue
        soon = float(t) + loop.latency
        _, _, a, j = setpoint_ahead(record, soon)
        there, then, _, _ = setpoint_ahead(record, soon + lead[2])
        fed[k, :3] = loop.mass * (np.array(a) + np.array(lead) * j)
        fed[k, 3:] = max(there[2], 0.0) - max(p[2], 0.0), then[2] - v[2]
    return fed


def _begun(plan: Plan, offset: Triple, speed: Triple) -> Any:
    """Return the record of a set-point that begins off its plan."""
    record = plan_record(plan)
    record["start_offset"], record["start_speed"] = offset, speed
    return record


def _samples_of(plan: Plan, times: Array, offset: Triple = STILL, speed: Triple = STILL) -> Array:
    """Return position, velocity, acceleration (n, 3, 3) of the set-point at ``times``."""
    samples = np.empty((len(times), 3, 3))
    record = _begun(plan, offset, speed)
    for i, t in enumerate(times):
        samples[i] = setpoint(record, float(t))
    return samples
