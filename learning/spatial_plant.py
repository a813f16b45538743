"""The plant in three dimensions, the sampled controller, and the exact adjoint of both, compiled.

    p' = v,  m v' = F_a + phi(z, v_z, |F_a|) + e - m g e3,    F_a,j = C_j xi_j + c_j
    xi_j advances by its exact step under the held command; the rest by steps of the plant
    lambda(t) = (d flow / d state)' lambda(t + dt),           gradient = (d flow / d input)' lambda

``ahead`` (steps, 5) is what the law feeds forward: m (a_d + lead j_d)(t + L) [N], and how far the plan
moves height and vertical speed until then; along a plan that is not compensated m a_d(t), and 0. At
sample ``weighing`` the observer's force behind a low pass, over the share of it that shows by then,
is taken for a mass (``hover_mass``); -1: never.

``at_*`` keep the slopes of phi in z, v, T and a unit vector: along F_c, along F0, along the measured
force; ``plant`` and ``heading`` the same at every plant step.
"""

from typing import Any

import numpy as np

from neural_lander.controller.compiled import compiled
from neural_lander.learning.compiled_force import force_and_slopes


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
        force_and_slopes(net, z, v, t, work, at)
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
def simulate(
    net: Any, reference: Any, numbers: Any, gains: Any, step: Any, push: Any, look: Any, still: Any,
    latency: Any, e: Any, c: Any, noise: Any, begin: Any, errors: Any, plant: Any, heading: Any,
    newest: Any, at_command: Any, at_observer: Any, at_ideal: Any, measured: Any, ahead: Any,
    heard: Any, weighed: Any,
) -> None:  # fmt: skip
    """Fly; write errors (steps, 15) and the tangents that the adjoint needs.

    ``heard`` (steps,): vertical speed as it was measured; ``weighed`` (2,): kappa, and whether the
    observer's limit cut it.
    """
    m, h, sub, ell, g = numbers[0], numbers[1], int(numbers[2]), numbers[3], numbers[4]
    low, high, beyond = numbers[5], numbers[6], numbers[7]
    weighing, shows, limit, slow = int(numbers[8]), numbers[9], numbers[10], numbers[11]
    load, steady = 0.0, 0.0
    weighed[:] = 0.0
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
    w = m * (v + noise[0, 3:6])  # the observer begins at what it is told
    commands = np.zeros((steps, 3))
    real, ph, vh, rate, seen = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    middle, a, after = np.zeros(3), np.zeros(3), np.zeros((3, 3))
    for k in range(steps):
        for j in range(3):
            ph[j], vh[j] = p[j] + noise[k, j], v[j] + noise[k, 3 + j]
            real[j] = c[k, j]
            for i in range(3):
                real[j] += look[j, i] * xi[j, i]
        heard[k] = vh[2]
        if k == weighing:
            d_new = min(max(steady / shows, -limit), limit)
            load, steady = -d_new / (m * g), d_new
            weighed[0], weighed[1] = load, 1.0 if abs(d_new) == limit else 0.0
            w[2] = m * (1.0 + load) * vh[2] - d_new / ell
        for j in range(3):
            d, d_true = 0.0, 0.0
            flown = m * (1.0 + load) if j == 2 else m
            if ell > 0.0:
                d, d_true = ell * (flown * vh[j] - w[j]), ell * (flown * v[j] - w[j])
            if j == 2:
                steady += h * slow * (d - steady)
            rate[j] = d
            wanted[j] = ahead[k, j] * (flown / m) - d
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
            force_and_slopes(net, ph[2], vh[2], _length(seen), work, at_observer[k])
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
        _solve(
            net, ph[2] + ahead[k, 3], vh[2] + ahead[k, 4], wanted, guess, low, high, work,
            at_command[k], commands[k],
        )  # fmt: skip
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
            force_and_slopes(net, p[2], v[2], _length(middle), work, at)
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
def adjoint(
    target: int, column: int, numbers: Any, gains: Any, step: Any, push: Any, look: Any, plant: Any,
    heading: Any, newest: Any, at_command: Any, at_observer: Any, at_ideal: Any, measured: Any,
    ahead: Any, heard: Any, weighed: Any, g_e: Any, g_c: Any, g_noise: Any,
) -> None:  # fmt: skip
    """Write the gradient of one error at step ``target`` in force error, contract error, noise."""
    m, h, sub, ell = numbers[0], numbers[1], int(numbers[2]), numbers[3]
    k_p, k_v, dt = gains[0], gains[1], h / sub
    weighing, shows, slow, load = int(numbers[8]), numbers[9], numbers[11], weighed[0]
    weight, l_s, g_load = m * numbers[4], 0.0, 0.0  # of the low pass, and of kappa
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
            heavier = 1.0 + load if i == 2 and target >= weighing >= 0 else 1.0
            l_v[i] -= (k_v[i] + ell * m * heavier) * seed[i]
            l_w[i] += ell * seed[i]
            if i == 2 and target >= weighing >= 0:
                g_load -= ell * m * heard[target] * seed[i]
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
            g_noise[k, 3 + j] = -k_v[j] * share[j]
            g_noise[k, 2] -= at_command[k, j, 0] * share[j]
            g_noise[k, 5] -= at_command[k, j, 1] * share[j]
        if ell > 0.0:
            along = 0.0
            for j in range(3):
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
        knows = k >= weighing >= 0
        for j in range(3):
            g_d = g_rate[j] - share[j]
            heavier = 1.0
            if j == 2:
                g_d += h * slow * l_s
                l_s *= 1.0 - h * slow
                if knows:
                    heavier += load
                    g_load += share[j] * ahead[k, j] + ell * m * heard[k] * g_d
            if ell > 0.0:
                g_noise[k, 3 + j] += ell * m * heavier * g_d
                l_w[j] -= ell * g_d
        if k == weighing:
            g_noise[k, 5] += m * (1.0 + load) * l_w[2]
            g_new = l_s - l_w[2] / ell - (g_load + m * heard[k] * l_w[2]) / weight
            l_w[2], l_s = 0.0, g_new / shows * (1.0 - weighed[1])
        for j in range(3):
            l_p[j] += g_noise[k, j]
            l_v[j] += g_noise[k, 3 + j]
    for j in range(3):
        g_noise[0, 3 + j] += m * l_w[j]


@compiled
def _through_solver(g: Any, at: Any) -> None:
    """Turn a gradient in F into one in the wanted force: (I + u a_T')^-1 g, at = (a, u)."""
    along, bottom = 0.0, 1.0
    for j in range(3):
        along += at[j, 2] * g[j]
        bottom += at[j, 2] * at[j, 3]
    for j in range(3):
        g[j] -= at[j, 3] * along / bottom
