"""Tries to break a tube in three dimensions: the worst inputs it can find, on a fine nonlinear plant.

As ``falsifier`` for the vertical loop. The plant has the learned force itself in it and the inner
loop as the contract says, F_a,j = H_j[F_held]_j + c_j, and is flown with sampled control, latency,
hold, and the sampled observer. Inputs are the force error e (at every plant step, and constant),
the contract's error c and the noise of position, velocity, measured thrust and attitude (at every
control step). The adjoint of exactly this computation gives the sensitivity of one error at one
time to each of them; bound times sign is flown, linearised again, and flown. Then single blocks
are flipped, and the latency made to jitter, and what makes the worst flight worse is kept.

A tube that any of these flights leaves is unsound; one far above the worst of them is loose.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import expm

from neural_lander.controller.compiled import blank_record, compiled
from neural_lander.controller.setpoint import RECORD_FIELDS, Plan, setpoint, store_plan
from neural_lander.controller.spatial_model import SpatialLoop
from neural_lander.controller.spatial_tube import SpatialErrors, SpatialTube
from neural_lander.controller.vehicle import GRAVITY
from neural_lander.learning.restricted_force import RestrictedForce

Array = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]

PLANT_STEP = 5e-4
"""Step of the plant [s]."""

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
) -> WorstInSpace:
    """Fly the worst that can be found.

    Args:
        world: what is flown, from rest in equilibrium.
        errors: bounds of the force error and of the contract's.
        targets: times to aim at [s].
        seed: of the hill climbing.
        iterations: linearisations for each target.
        climbs: hill climbing steps on each of the four worst flights.
        quantities: which of ``QUANTITIES`` to aim at.
        axes: which axes to aim at.
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
                    flown = flight.fly(inputs)
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
            flown = flight.fly(tried)
            flights += 1
            np.maximum(worst, np.abs(flown[:, :9]), out=worst)
            if sign * flown[k, column] > top:
                top, inputs = sign * float(flown[k, column]), tried
    time = world.loop.period * np.arange(world.steps, dtype=np.float64)
    return WorstInSpace(time, worst, flights)


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
        self.reference = _samples_of(world.plan, samples)
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
             min(high, 10 * loop.mass * GRAVITY), world.beyond]
        )  # fmt: skip
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
        _simulate(
            self.net, self.reference, self.numbers, self.gains, self.step, self.push, self.look,
            self.still, inputs.latency, inputs.error + inputs.steady, inputs.contract, inputs.noise,
            begin, errors, self.plant, self.heading, self.newest, self.at_command, self.at_observer,
            self.at_ideal, self.measured,
        )  # fmt: skip
        return errors

    def worst_inputs(self, k: int, column: int, sign: int, errors: SpatialErrors) -> Inputs:
        """Return the worst inputs for the loop linearised about the flight just flown."""
        g = self.world.quiet()
        _adjoint(
            k, column, self.numbers, self.gains, self.step, self.push, self.look, self.plant,
            self.heading, self.newest, self.at_command, self.at_observer, self.at_ideal,
            self.measured, g.error, g.contract, g.noise,
        )  # fmt: skip
        return Inputs(
            sign * np.sign(g.error) * errors.changing,
            sign * np.sign(g.error.sum(axis=0)) * errors.constant,
            sign * np.sign(g.contract) * errors.contract,
            sign * np.sign(g.noise) * self.world.noise_bounds(),
            g.latency,
        )


def _samples_of(plan: Plan, times: Array) -> Array:
    """Return position, velocity, acceleration (n, 3, 3) of the set-point at ``times``."""
    samples = np.empty((len(times), 3, 3))
    record = blank_record(np.dtype(RECORD_FIELDS, align=True))[0]
    store_plan(record, plan, 0.0)
    for i, t in enumerate(times):
        samples[i] = setpoint(record, float(t))
    return samples


@compiled
def _phi(net: Any, z: float, v: float, thrust: float, work: Any, out: Any) -> None:
    """Write phi (3) into out[:, 3] and its slopes in z, v, T into out[:, :3]."""
    sizes, weights, biases, low, high, k_f = net
    layers = len(sizes) - 1
    third, chain = thrust, 1.0
    if k_f > 0.0:
        third = np.sqrt(max(thrust, 1e-9) / (4.0 * k_f))
        chain = 1.0 / (8.0 * k_f * third)
    value = (z, v, third)
    for i in range(3):
        work[0, i] = min(max(value[i], low[i]), high[i])
    w0, b0 = 0, 0
    for layer in range(layers):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        for j in range(n_out):
            y = biases[b0 + j]
            for i in range(n_in):
                y += weights[w0 + j * n_in + i] * work[layer, i]
            work[layer + 1, j] = y if layer == layers - 1 or y > 0.0 else 0.0
        w0 += n_in * n_out
        b0 += n_out
    a, b = work[layers + 1], work[layers + 2]
    for row in range(3):
        out[row, 3] = work[layers, row]
        for j in range(3):
            a[j] = 1.0 if j == row else 0.0
        w = w0
        for layer in range(layers - 1, -1, -1):
            n_in, n_out = sizes[layer], sizes[layer + 1]
            w -= n_in * n_out
            for i in range(n_in):
                b[i] = 0.0
            for j in range(n_out):
                if a[j] != 0.0:
                    for i in range(n_in):
                        b[i] += a[j] * weights[w + j * n_in + i]
            for i in range(n_in):
                a[i] = b[i] if layer == 0 or work[layer, i] > 0.0 else 0.0
        for i in range(3):
            inside = low[i] <= value[i] <= high[i]
            out[row, i] = a[i] if inside else 0.0
        out[row, 2] *= chain


@compiled
def _length(f: Any) -> float:
    return float(np.sqrt(f[0] * f[0] + f[1] * f[1] + f[2] * f[2]))


@compiled
def _solve(
    net: Any, z: float, v: float, wanted: Any, guess: float, low: float, high: float, work: Any,
    at: Any, force: Any,
) -> None:  # fmt: skip
    """Write the force F with F + phi(z, v, |F|) = wanted, by safeguarded steps; slopes into at."""
    t = min(max(guess, low), high)
    a, b = low, high
    for _ in range(80):
        _phi(net, z, v, t, work, at)
        for j in range(3):
            force[j] = wanted[j] - at[j, 3]
        length = _length(force)
        gap = t - length
        if abs(gap) < 1e-12:
            break
        if gap > 0.0:
            b = t
        else:
            a = t
        slope = 1.0
        for j in range(3):
            slope += force[j] / max(length, 1e-9) * at[j, 2]
        step = t - gap / slope if slope > 1e-3 else 0.5 * (a + b)
        t = step if a < step < b else 0.5 * (a + b)
        if b - a < 1e-13:
            break


@compiled
def _simulate(
    net: Any, reference: Any, numbers: Any, gains: Any, step: Any, push: Any, look: Any, still: Any,
    latency: Any, e: Any, c: Any, noise: Any, begin: Any, errors: Any, plant: Any, heading: Any,
    newest: Any, at_command: Any, at_observer: Any, at_ideal: Any, measured: Any,
) -> None:  # fmt: skip
    """Fly; write errors (steps, 15) and the tangents that the adjoint needs."""
    m, h, sub, ell, g = numbers[0], numbers[1], int(numbers[2]), numbers[3], numbers[4]
    low, high, beyond = numbers[5], numbers[6], numbers[7]
    k_p, k_v = gains[0], gains[1]
    steps, dt = len(reference), h / sub
    work = np.zeros((len(net[0]) + 3, max(net[0].max(), 3)))
    at = np.zeros((3, 4))
    p, v, xi = reference[0, 0].copy(), reference[0, 1].copy(), np.zeros((3, 3))
    wanted, wanted_true, first, ideal = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    for j in range(3):
        wanted[j] = m * reference[0, 2, j]
    wanted[2] += m * g
    _solve(net, p[2], v[2], wanted, m * g, low, high, work, at, first)
    if not np.isnan(begin[0]):
        for j in range(3):
            p[j], v[j], first[j] = p[j] + begin[j], v[j] + begin[3 + j], begin[6 + j]
    for j in range(3):
        xi[j] = still[j] * first[j]
    w = m * v
    commands = np.zeros((steps, 3))
    real, ph, vh, rate, seen = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    middle, a, after = np.zeros(3), np.zeros(3), np.zeros((3, 3))
    for k in range(steps):
        for j in range(3):
            ph[j], vh[j] = p[j] + noise[k, j], v[j] + noise[k, 3 + j]
            real[j] = c[k, j]
            for i in range(3):
                real[j] += look[j, i] * xi[j, i]
        for j in range(3):
            d, d_true = 0.0, 0.0
            if ell > 0.0:
                d, d_true = ell * (m * vh[j] - w[j]), ell * (m * v[j] - w[j])
            rate[j] = d
            wanted[j] = m * reference[k, 2, j] - d
            wanted[j] -= k_v[j] * (vh[j] - reference[k, 1, j])
            wanted[j] -= k_p[j] * (ph[j] - reference[k, 0, j])
            wanted_true[j] = m * reference[k, 2, j] - d_true
            wanted_true[j] -= k_v[j] * (v[j] - reference[k, 1, j])
            wanted_true[j] -= k_p[j] * (p[j] - reference[k, 0, j])
        wanted[2] += m * g
        wanted_true[2] += m * g
        if ell > 0.0:  # thrust times (1 + share), its axis turned by a small rotation about x and y
            share = 1.0 + noise[k, 6]
            seen[0] = share * (real[0] + noise[k, 8] * real[2])
            seen[1] = share * (real[1] - noise[k, 7] * real[2])
            seen[2] = share * (real[2] + noise[k, 7] * real[1] - noise[k, 8] * real[0])
            stretch = share * _length(real) / max(_length(seen), 1e-9)
            for j in range(3):
                seen[j] *= stretch
            _phi(net, ph[2], vh[2], _length(seen), work, at_observer[k])
            for j in range(3):
                rate[j] += seen[j] + at_observer[k, j, 3]
            rate[2] -= m * g
            if beyond != 0.0:
                rate[0] += beyond * vh[0]
                rate[1] += beyond * vh[1]
            measured[k] = real
        for j in range(2):  # what a full network knows of sideways speed is cancelled at once
            wanted[j] -= beyond * vh[j]
            wanted_true[j] -= beyond * v[j]
        guess = _length(commands[k - 1]) if k else _length(first)
        _solve(net, ph[2], vh[2], wanted, guess, low, high, work, at_command[k], commands[k])
        _solve(net, p[2], v[2], wanted_true, guess, low, high, work, at_ideal[k], ideal)
        for j in range(3):
            errors[k, j] = p[j] - reference[k, 0, j]
            errors[k, 3 + j] = v[j] - reference[k, 1, j]
            errors[k, 6 + j] = real[j] - ideal[j]
            errors[k, 9 + j], errors[k, 12 + j] = real[j], commands[k, j]
        # directions for the adjoint, in place of the values it does not need
        length, true_length = _length(commands[k]), _length(ideal)
        for j in range(3):
            at_command[k, j, 3] = commands[k, j] / length
            at_ideal[k, j, 3] = ideal[j] / true_length
            at_observer[k, j, 3] = seen[j] / max(_length(seen), 1e-9)
        if not (abs(errors[k, 0]) + abs(errors[k, 1]) + abs(errors[k, 2]) < 50.0):
            errors[k:, :] = np.inf
            return
        for s in range(sub):
            i = k * sub + s
            newest_sample = k
            while newest_sample >= 0 and newest_sample * sub + latency[newest_sample] > i:
                newest_sample -= 1
            newest[i] = newest_sample
            for j in range(3):
                held = commands[newest_sample, j] if newest_sample >= 0 else first[j]
                middle[j] = c[k, j]
                for row in range(3):
                    after[j, row] = push[j, row] * held
                    for column in range(3):
                        after[j, row] += step[j, row, column] * xi[j, column]
                    middle[j] += 0.5 * look[j, row] * (xi[j, row] + after[j, row])
            _phi(net, p[2], v[2], _length(middle), work, at)
            length = _length(middle)
            for j in range(3):
                a[j] = (middle[j] + at[j, 3] + e[i, j]) / m
                if j < 2:
                    a[j] += beyond * v[j] / m
                plant[i, j] = at[j, :3]
                heading[i, j] = middle[j] / length
            a[2] -= g
            for j in range(3):
                p[j] += dt * v[j] + 0.5 * dt * dt * a[j]
                v[j] += dt * a[j]
                w[j] += dt * rate[j]
                for row in range(3):
                    xi[j, row] = after[j, row]


@compiled
def _adjoint(
    target: int, column: int, numbers: Any, gains: Any, step: Any, push: Any, look: Any, plant: Any,
    heading: Any, newest: Any, at_command: Any, at_observer: Any, at_ideal: Any, measured: Any,
    g_e: Any, g_c: Any, g_noise: Any,
) -> None:  # fmt: skip
    """Write the gradient of one error at step ``target`` in force error, contract error, noise."""
    m, h, sub, ell = numbers[0], numbers[1], int(numbers[2]), numbers[3]
    k_p, k_v, dt = gains[0], gains[1], h / sub
    l_p, l_v, l_w, l_xi = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros((3, 3))
    if column < 3:
        l_p[column] = 1.0
    elif column < 6:
        l_v[column - 3] = 1.0
    else:
        j = column - 6
        for i in range(3):
            l_xi[j, i] = look[j, i]
        g_c[target, j] += 1.0
        seed = np.zeros(3)
        seed[j] = -1.0
        _through_solver(seed, at_ideal[target])
        for i in range(3):
            l_p[i] -= k_p[i] * seed[i]
            l_v[i] -= (k_v[i] + ell * m) * seed[i]
            l_w[i] += ell * seed[i]
            l_p[2] -= at_ideal[target, i, 0] * seed[i]
            l_v[2] -= at_ideal[target, i, 1] * seed[i]
    g_command = np.zeros((target + 1, 3))
    g_a, g_middle, g_rate, g_real = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    for k in range(target - 1, -1, -1):
        g_rate[:] = 0.0
        for s in range(sub - 1, -1, -1):
            i = k * sub + s
            along = 0.0
            for j in range(3):
                g_rate[j] += dt * l_w[j]
                g_a[j] = (0.5 * dt * dt * l_p[j] + dt * l_v[j]) / m
                g_e[i, j] = g_a[j]
                along += plant[i, j, 2] * g_a[j]
            for j in range(3):
                l_v[j] += dt * l_p[j]
            for j in range(3):
                g_middle[j] = g_a[j] + along * heading[i, j]
                g_c[k, j] += g_middle[j]
                l_p[2] += plant[i, j, 0] * g_a[j]
                l_v[2] += plant[i, j, 1] * g_a[j]
            for j in range(3):
                g_after = l_xi[j] + 0.5 * g_middle[j] * look[j]
                l_xi[j] = 0.5 * g_middle[j] * look[j]
                for row in range(3):
                    for other in range(3):
                        l_xi[j, other] += step[j, row, other] * g_after[row]
                    if newest[i] >= 0:
                        g_command[newest[i], j] += push[j, row] * g_after[row]
        share = g_command[k]
        _through_solver(share, at_command[k])
        for j in range(3):
            g_noise[k, j] = -k_p[j] * share[j]
            g_noise[k, 3 + j] = -(k_v[j] + ell * m) * share[j]
            g_noise[k, 2] -= at_command[k, j, 0] * share[j]
            g_noise[k, 5] -= at_command[k, j, 1] * share[j]
        if ell > 0.0:
            along = 0.0
            for j in range(3):
                g_noise[k, 3 + j] += ell * m * g_rate[j]
                g_noise[k, 2] += at_observer[k, j, 0] * g_rate[j]
                g_noise[k, 5] += at_observer[k, j, 1] * g_rate[j]
                along += at_observer[k, j, 2] * g_rate[j]
            real = measured[k]
            for j in range(3):
                g_real[j] = g_rate[j] + along * at_observer[k, j, 3]
                g_c[k, j] += g_real[j]
                l_xi[j] += g_real[j] * look[j]
                g_noise[k, 6] += g_real[j] * real[j]
            g_noise[k, 7] = g_real[2] * real[1] - g_real[1] * real[2]
            g_noise[k, 8] = g_real[0] * real[2] - g_real[2] * real[0]
        for j in range(3):
            l_w[j] -= ell * (g_rate[j] - share[j])
            l_p[j] += g_noise[k, j]
            l_v[j] += g_noise[k, 3 + j]


@compiled
def _through_solver(g: Any, at: Any) -> None:
    """Turn a gradient in F into one in the wanted force: (I + u a_T')^-1 g, at = (a, u)."""
    along, bottom = 0.0, 1.0
    for j in range(3):
        along += at[j, 2] * g[j]
        bottom += at[j, 2] * at[j, 3]
    for j in range(3):
        g[j] -= at[j, 3] * along / bottom
