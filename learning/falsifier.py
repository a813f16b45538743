"""Tries to break a tube: the worst noise, error and jitter it can find, on a fine nonlinear plant.

The plant has the network itself in it, runs at a fraction of the control period, and is flown with
sampled control, latency, hold, motor lag and, where there is one, the sampled observer. For a target
time and one of z~, v~, delta, the adjoint of exactly this computation gives the sensitivity of the
target to every input at every instant,

    lambda(t) = (d flow / d state)^T lambda(t + dt),      gradient = (d flow / d input)^T lambda,

and the input that is worst for the linearised loop is bang-bang, bound times the gradient's sign
(for the constant part of the error: the sign of the gradient's sum). It is flown, linearised again
about the new flight, and so on; then single blocks are flipped and the latency is made to jitter,
and what makes the worst flight worse is kept. All flights count, at every sample of each.

A tube that any of these flights leaves is unsound; one far above the worst of them is loose.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.compiled import compiled
from neural_lander.controller.loop_model import VerticalLoop
from neural_lander.controller.setpoint import Plan, plan_record, setpoint
from neural_lander.controller.tube import ErrorBounds, Tube
from neural_lander.controller.vehicle import GRAVITY
from neural_lander.learning.compiled_force import force_and_slopes
from neural_lander.learning.level_force import LevelForce

Array = npt.NDArray[np.float64]

PLANT_STEP = 2.5e-4
"""Step of the plant [s]."""

DIVERGED = 50.0
"""A height error beyond this has diverged [m]."""

COMPONENTS = ("height error", "speed error", "thrust error")


@dataclass(frozen=True)
class WorstFlights:
    """The greatest errors found at every control step, over all flights tried."""

    time: Array
    """(steps,) [s]"""
    worst: Array
    """(steps, 3) height error [m], speed error [m/s], thrust error T - T0 [N]."""
    flights: int
    """How many were flown."""

    def ratio_to(self, tube: Tube) -> Array:
        """Return worst over tube at every step, (steps, 3); above 1 the tube is false."""
        cell = np.minimum((self.time / tube.cell).astype(int), len(tube.errors) - 1)
        bounds = np.column_stack([tube.errors[cell, :2], tube.seen[cell, 0]])
        return np.asarray(self.worst / np.maximum(bounds, 1e-12))


def falsify(
    plan: Plan,
    force: LevelForce,
    loop: VerticalLoop,
    errors: ErrorBounds,
    duration: float,
    targets: Sequence[float],
    seed: int = 0,
    iterations: int = 3,
    climbs: int = 8,
    plant_step: float = PLANT_STEP,
    components: Sequence[int] = (0, 1, 2),
) -> WorstFlights:
    """Fly the worst that can be found.

    Args:
        plan: the motion of the set-point, flown from rest in equilibrium.
        force: the learned force, which is also the real one but for the error.
        loop: the loop and the bounds of its noise; the lag at the middle of its interval, then
            at its ends.
        errors: bounds of the force error.
        duration: of every flight [s].
        targets: times to aim at [s].
        seed: of the hill climbing.
        iterations: linearisations for each target.
        climbs: hill climbing steps.
        plant_step: [s]
        components: which of ``COMPONENTS`` to aim at.
    """
    rng = np.random.default_rng(seed)
    sub = max(1, round(loop.period / plant_step))
    steps = round(duration / loop.period)
    late = round(loop.latency / loop.period * sub)
    samples = loop.period * np.arange(steps, dtype=np.float64)
    reference = _samples_of(plan, samples)
    net = _flat(force)
    worst = np.zeros((steps, 3))
    flights = 0
    lags = [(loop.lag[0] + loop.lag[1]) / 2]
    if loop.lag[1] > loop.lag[0]:
        lags += [loop.lag[0], loop.lag[1]]
    best: list[tuple[float, int, int, Array, Array, Array, float]] = []
    for lag in lags:
        numbers = _numbers(loop, sub, lag)
        latency = np.full(steps, late, dtype=np.int64)
        for target in targets:
            k = min(steps - 1, max(1, round(target / loop.period)))
            for component in components:
                for sign in (1.0, -1.0):
                    found = _attack(
                        net, reference, numbers, latency, k, component, sign, iterations,
                        errors.changing, errors.constant, _bounds(loop), worst,
                    )  # fmt: skip
                    flights += iterations
                    if component == 0:
                        best.append((found[0], k, int(sign), *found[1:], lag))
    best.sort(key=lambda entry: -entry[0])
    for value, k, sign, e, noise, constant, lag in best[: max(1, climbs // 4)] if climbs else []:
        numbers = _numbers(loop, sub, lag)
        latency = np.full(steps, late, dtype=np.int64)
        kept = value
        for _ in range(4):
            e_new, noise_new, latency_new = e.copy(), noise.copy(), latency.copy()
            for array in (e_new, *noise_new.T):
                if rng.random() < 0.6:
                    scale = len(array) // steps
                    end = scale * max(1, k - int(rng.integers(0, 1000)))
                    array[max(0, end - scale * int(rng.integers(3, 150))) : end] *= -1
            if late and rng.random() < 0.5:
                latency_new = rng.integers(0, late + 1, steps)
            errors_found = _fly(net, reference, numbers, latency_new, e_new, noise_new, constant)
            flights += 1
            np.maximum(worst, np.abs(errors_found[:, :3]), out=worst)
            if sign * errors_found[k, 0] > kept:
                kept = sign * errors_found[k, 0]
                e, noise, latency = e_new, noise_new, latency_new
    return WorstFlights(samples, worst, flights)


def diverges(plan: Plan, force: LevelForce, loop: VerticalLoop, duration: float) -> bool:
    """Whether noise inside its bounds, as square waves of 1 to 20 Hz, drives it half a metre off."""
    sub = max(1, round(loop.period / PLANT_STEP))
    steps = round(duration / loop.period)
    time = loop.period * np.arange(steps, dtype=np.float64)
    for frequency in (1.0, 2.0, 4.0, 7.0, 12.0, 20.0):
        wave = np.sign(np.sin(2 * np.pi * frequency * time))[:, None]
        errors = fly_once(plan, force, loop, np.zeros(steps * sub), wave * _bounds(loop))
        if not np.isfinite(errors).all() or np.abs(errors[:, 0]).max() > 0.5:
            return True
    return False


def fly_once(
    plan: Plan,
    force: LevelForce,
    loop: VerticalLoop,
    error: Array,
    noise: Array,
    latency: npt.NDArray[np.int64] | None = None,
    plant_step: float = PLANT_STEP,
    start: tuple[float, float, float] = (0.0, 0.0, 0.0),
    begun: tuple[float, float] = (0.0, 0.0),
) -> Array:
    """Fly given disturbances.

    Returns (steps, 5): errors of height [m], speed [m/s] and thrust [N]; thrust, command [N].

    Args:
        plan: the motion of the set-point.
        force: learned and real force.
        loop: the loop; the lag is the middle of its interval.
        error: force error at every plant step (steps * substeps,) [N].
        noise: of height [m], speed [m/s], measured thrust [share] at every control step (steps, 3).
        latency: of each sample [plant steps].
        plant_step: [s]
        start: errors of height [m] and speed [m/s], and thrust less weight [N]; with all zero the
            flight starts in equilibrium instead of at weight.
        begun: how far off the plan the set-point begins [m], and how fast [m/s].
    """
    sub = max(1, round(loop.period / plant_step))
    steps = len(noise)
    reference = _samples_of(plan, loop.period * np.arange(steps, dtype=np.float64), *begun)
    if latency is None:
        latency = np.full(steps, round(loop.latency / loop.period * sub), dtype=np.int64)
    numbers = _numbers(loop, sub, (loop.lag[0] + loop.lag[1]) / 2)
    numbers[-3:] = start
    return _fly(_flat(force), reference, numbers, latency, error, noise, np.zeros(1))


def _samples_of(plan: Plan, times: Array, off: float = 0.0, fast: float = 0.0) -> Array:
    """Return height, speed, acceleration (n, 3) of the set-point at ``times``; where it begins ``off``
    the plan [m], and how ``fast`` [m/s]."""
    samples = np.empty((len(times), 3))
    record = plan_record(plan)
    record["start_offset"][2], record["start_speed"][2] = off, fast
    for i, t in enumerate(times):
        p, v, a = setpoint(record, float(t))
        samples[i] = p[2], v[2], a[2]
    return samples


def _numbers(loop: VerticalLoop, sub: int, lag: float) -> Array:
    return np.array(
        [loop.mass, loop.k_p, loop.k_v, lag, loop.period, sub, loop.observer, GRAVITY,
         float(loop.speed_lags), loop.thrust_limits[0],
         min(loop.thrust_limits[1], 10 * loop.mass * GRAVITY), 0.0, 0.0, 0.0]
    )  # fmt: skip


def _bounds(loop: VerticalLoop) -> Array:
    return np.array([loop.noise_position, loop.noise_velocity, loop.noise_thrust])


Flat = tuple[npt.NDArray[np.int64], Array, Array, Array, Array, float]


def _flat(force: LevelForce) -> Flat:
    """Return sizes, weights [out, in] and biases one after the other, clamps, k_f (0: none)."""
    sizes = np.array([3, *(len(b) for _, b in force.layers)], dtype=np.int64)
    weights = np.concatenate([w.ravel() for w, _ in force.layers])
    biases = np.concatenate([b for _, b in force.layers])
    return sizes, weights, biases, force.low, force.high, force.k_f or 0.0


@compiled
def _phi(
    net: Any, z: float, v: float, thrust: float, work: Any
) -> tuple[float, float, float, float]:
    """Return phi and its slopes in z, v, T."""
    out = np.zeros((1, 4))
    force_and_slopes(net, z, v, thrust, work, out)
    return out[0, 3], out[0, 0], out[0, 1], out[0, 2]


@compiled
def _solve(
    net: Any, z: float, v: float, wanted: float, guess: float, low: float, high: float, work: Any
) -> float:
    """Return the thrust with T + phi(z, v, T) = wanted, by Newton inside a shrinking bracket."""
    t = min(max(guess, low), high)
    for _ in range(60):
        value, _, _, slope = _phi(net, z, v, t, work)
        gap = t + value - wanted
        if abs(gap) < 1e-12:
            break
        if gap > 0.0:
            high = t
        else:
            low = t
        step = t - gap / (1.0 + slope) if 1.0 + slope > 1e-3 else 0.5 * (low + high)
        t = step if low < step < high else 0.5 * (low + high)
        if high - low < 1e-13:
            break
    return t


@compiled
def _simulate(
    net: Any, reference: Any, numbers: Any, latency: Any, e: Any, noise: Any, constant: float,
    errors: Any, plant: Any, newest: Any, at_command: Any, at_observer: Any, at_ideal: Any,
) -> None:  # fmt: skip
    """Fly; write errors (steps, 5) and the tangents that the adjoint needs."""
    m, k_p, k_v, lag, h = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    sub, ell, g, speed_lags = int(numbers[5]), numbers[6], numbers[7], numbers[8]
    low, high = numbers[9], numbers[10]
    steps = len(reference)
    dt = h / sub
    decay = np.exp(-dt / lag)
    work = np.zeros((len(net[0]) + 3, max(net[0].max(), 3)))
    z, v = reference[0, 0], reference[0, 1]
    first = _solve(net, z, v, m * (g + reference[0, 2]), m * g, low, high, work)
    if numbers[11] != 0.0 or numbers[12] != 0.0 or numbers[13] != 0.0:
        z, v, first = z + numbers[11], v + numbers[12], m * g + numbers[13]
    thrust, held = first, first
    w = m * v
    commands = np.zeros(steps)
    for k in range(steps):
        zh, vh = z + noise[k, 0], v + noise[k, 1]
        measured = thrust * (1.0 + noise[k, 2])
        d, d_true, rate = 0.0, 0.0, 0.0
        if ell > 0.0:
            d, d_true = ell * (m * vh - w), ell * (m * v - w)
            value, p_z, p_v, p_t = _phi(net, zh, vh, measured, work)
            rate = measured + value - m * g + d
            at_observer[k, 0], at_observer[k, 1], at_observer[k, 2] = p_z, p_v, p_t
            at_observer[k, 3] = thrust
        wanted = m * (g + reference[k, 2])
        wanted_true = wanted - k_v * (v - reference[k, 1]) - k_p * (z - reference[k, 0]) - d_true
        wanted = wanted - k_v * (vh - reference[k, 1]) - k_p * (zh - reference[k, 0]) - d
        commands[k] = _solve(net, zh, vh, wanted, commands[k - 1] if k else first, low, high, work)
        _, p_z, p_v, p_t = _phi(net, zh, vh, commands[k], work)
        at_command[k, 0], at_command[k, 1], at_command[k, 2] = p_z, p_v, p_t
        ideal = _solve(net, z, v, wanted_true, commands[k], low, high, work)
        _, p_z, p_v, p_t = _phi(net, z, v, ideal, work)
        at_ideal[k, 0], at_ideal[k, 1], at_ideal[k, 2] = p_z, p_v, p_t
        errors[k, 0], errors[k, 1] = z - reference[k, 0], v - reference[k, 1]
        errors[k, 2] = thrust - ideal
        errors[k, 3], errors[k, 4] = thrust, commands[k]
        if not abs(errors[k, 0]) < 50.0:
            errors[k:, :] = np.inf
            return
        for s in range(sub):
            i = k * sub + s
            j = k
            while j >= 0 and j * sub + latency[j] > i:
                j -= 1
            newest[i] = j
            held = commands[j] if j >= 0 else first
            if speed_lags > 0.0:
                root = np.sqrt(max(held, 0.0))
                root += (np.sqrt(max(thrust, 0.0)) - root) * decay
                after = root * root
            else:
                after = held + (thrust - held) * decay
            middle = 0.5 * (thrust + after)
            value, p_z, p_v, p_t = _phi(net, z, v, middle, work)
            plant[i, 0], plant[i, 1], plant[i, 2] = p_z, p_v, p_t
            a = (middle + value + e[i] + constant) / m - g
            z += dt * v + 0.5 * dt * dt * a
            v += dt * a
            thrust = after
            w += dt * rate


@compiled
def _adjoint(
    target: int, component: int, numbers: Any, plant: Any, newest: Any, at_command: Any,
    at_observer: Any, at_ideal: Any, g_e: Any, g_noise: Any,
) -> None:  # fmt: skip
    """Write the gradient of one error at step ``target`` in the force error and the noise."""
    m, k_p, k_v, lag, h = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    sub, ell = int(numbers[5]), numbers[6]
    dt = h / sub
    decay = np.exp(-dt / lag)
    l_z, l_v, l_t, l_w = 0.0, 0.0, 0.0, 0.0
    if component == 0:
        l_z = 1.0
    elif component == 1:
        l_v = 1.0
    else:
        p_z, p_v, p_t = at_ideal[target, 0], at_ideal[target, 1], at_ideal[target, 2]
        l_t = 1.0
        l_z = (k_p + p_z) / (1 + p_t)
        l_v = (k_v + p_v + ell * m) / (1 + p_t)
        l_w = -ell / (1 + p_t)
    g_command = np.zeros(target + 1)
    g_e[:] = 0.0
    g_noise[:, :] = 0.0
    for k in range(target - 1, -1, -1):
        g_rate = 0.0
        for s in range(sub - 1, -1, -1):
            i = k * sub + s
            g_rate += dt * l_w
            g_a = 0.5 * dt * dt * l_z + dt * l_v
            g_e[i] = g_a / m
            g_middle = g_a * (1 + plant[i, 2]) / m
            g_after = l_t + 0.5 * g_middle
            l_v = l_v + dt * l_z + g_a * plant[i, 1] / m
            l_z = l_z + g_a * plant[i, 0] / m
            l_t = 0.5 * g_middle + decay * g_after
            if newest[i] >= 0:
                g_command[newest[i]] += (1 - decay) * g_after
        share = g_command[k] / (1 + at_command[k, 2])
        g_z = -(k_p + at_command[k, 0]) * share
        g_v = -(k_v + at_command[k, 1]) * share
        if ell > 0.0:
            g_d = g_rate - share
            g_z += g_rate * at_observer[k, 0]
            g_v += g_rate * at_observer[k, 1] + g_d * ell * m
            l_w -= ell * g_d
            g_t = g_rate * (1 + at_observer[k, 2])
            l_t += g_t
            g_noise[k, 2] = g_t * at_observer[k, 3]
        g_noise[k, 0], g_noise[k, 1] = g_z, g_v
        l_z += g_z
        l_v += g_v


@compiled
def _attack_compiled(
    net: Any, reference: Any, numbers: Any, latency: Any, target: int, component: int, sign: float,
    iterations: int, changing: float, constant: float, bounds: Any, worst: Any,
) -> Any:  # fmt: skip
    steps, sub = len(reference), int(numbers[5])
    e, noise = np.zeros(steps * sub), np.zeros((steps, 3))
    g_e, g_noise = np.zeros(steps * sub), np.zeros((steps, 3))
    errors, plant = np.zeros((steps, 5)), np.zeros((steps * sub, 3))
    newest = np.zeros(steps * sub, np.int64)
    at_command, at_ideal = np.zeros((steps, 3)), np.zeros((steps, 3))
    at_observer = np.zeros((steps, 4))
    best, steady = -1.0, 0.0
    best_e, best_noise, best_steady = e.copy(), noise.copy(), np.zeros(1)
    for k in range(iterations + 1):
        _simulate(net, reference, numbers, latency, e, noise, steady, errors, plant, newest,
                  at_command, at_observer, at_ideal)  # fmt: skip
        for i in range(steps):
            for c in range(3):
                worst[i, c] = max(worst[i, c], abs(errors[i, c]))
        if sign * errors[target, component] > best:
            best = sign * errors[target, component]
            best_e, best_noise = e.copy(), noise.copy()
            best_steady[0] = steady
        if k == iterations or not np.isfinite(errors[steps - 1, 0]):
            break
        _adjoint(target, component, numbers, plant, newest, at_command, at_observer, at_ideal,
                 g_e, g_noise)  # fmt: skip
        e = sign * changing * np.sign(g_e)
        for c in range(3):
            noise[:, c] = sign * bounds[c] * np.sign(g_noise[:, c])
        steady = sign * constant * np.sign(g_e.sum())
    return best, best_e, best_noise, best_steady


def _attack(*arguments: Any) -> tuple[float, Array, Array, Array]:
    best, e, noise, steady = _attack_compiled(*arguments)
    return float(best), e, noise, steady


def _fly(
    net: Flat, reference: Array, numbers: Array, latency: npt.NDArray[np.int64], e: Array,
    noise: Array, constant: Array,
) -> Array:  # fmt: skip
    steps, sub = len(reference), int(numbers[5])
    errors = np.zeros((steps, 5))
    _simulate(
        net, reference, numbers, latency, e, noise, float(constant[0]), errors,
        np.zeros((steps * sub, 3)), np.zeros(steps * sub, np.int64), np.zeros((steps, 3)),
        np.zeros((steps, 4)), np.zeros((steps, 3)),
    )  # fmt: skip
    return errors
