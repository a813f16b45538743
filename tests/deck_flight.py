"""The vertical loop over a deck, flown: an independent plant, and the force and plan that it is for."""

import math

import numpy as np
from numba import njit

from neural_lander.controller.compiled import blank_record
from neural_lander.controller.deck_family import ORDERS, taking_up
from neural_lander.controller.setpoint import RECORD_FIELDS, plan_descent, setpoint, store_plan
from neural_lander.controller.vehicle import GRAVITY
from neural_lander.learning.restricted_force import RestrictedForce

PLAN = plan_descent("s-curve", (0.0, 0.0, 0.9), 0.12, 2.2)
"""Hovers for as long as a deck's motion takes to be taken up, then goes down."""

SUB = 4
"""Plant steps in a control step."""

SLOPES = (0.3, 4.0, -1.0)
"""In thrust, in height below some height, and in vertical speed: N/N, N/m, N s/m."""

BELOW = 0.5
"""That height: lower than the hover, for a force that is felt on the way down alone [m]."""


def ground(slopes=SLOPES, below=BELOW):
    """phi_z = s_T (T - 14) + s_z relu(below - h) + s_v v; zero at hover above ``below``."""
    s_t, s_z, s_v = slopes
    first = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    last = np.zeros((3, 3))
    last[2] = s_t, s_z, s_v
    bias = np.array([0.0, 0.0, -14 * s_t - 9 * s_v])
    return RestrictedForce(
        [(first, np.array([0.0, below, 9.0])), (last, bias)],
        np.array([-1.0, -9.0, 0.0]), np.array([9.0, 9.0, 40.0]), None, False,
    )  # fmt: skip


def swing(waves, times):
    """Sums of amplitude sin(2 pi frequency t + phase): height and four derivatives (n, 5)."""
    found = np.zeros((len(times), ORDERS))
    for amplitude, frequency, phase in waves:
        w = 2 * math.pi * frequency
        for k in range(ORDERS):
            found[:, k] += amplitude * w**k * np.sin(w * times + phase + k * math.pi / 2)
    return found


def taken_up(waves, times, plan=PLAN):
    """g d and its derivatives (n, 5), and those of d (n, 5)."""
    d, g = swing(waves, times), taking_up(plan.descent_start, times)
    rows = [sum(math.comb(k, i) * g[:, k - i] * d[:, i] for i in range(k + 1)) for k in range(5)]
    return np.stack(rows, axis=1), d


@njit
def _fly(
    samples, jumps, ahead, deck, mass, k_p, k_v, h, late, lag, s_t, s_z, s_v, below, surface, off
):
    n = len(samples)
    found = np.zeros((n, 4))
    dt = h / 4
    z, v = samples[0, 0], samples[0, 1]
    thrust = (mass * 9.81 + 14 * s_t - s_z * max(below - z + deck[0], 0.0) - s_v * v) / (1 + s_t)
    held = np.full(late + 1, thrust)
    for k in range(n):
        e, u = z - samples[k, 0] - jumps[k, 0], v - samples[k, 1] - jumps[k, 1]
        over = z - deck[4 * k]
        rest = -14 * s_t + s_v * v
        back = -k_v * u - k_p * e
        still = mass * (9.81 + samples[k, 2] + jumps[k, 2])
        ideal = (still + back - rest - s_z * max(below - over, 0.0)) / (1 + s_t)
        found[k, 0], found[k, 1], found[k, 2] = e, u, thrust - ideal
        found[k, 3] = held[0] - ideal
        asked = mass * (9.81 + samples[k, 2]) + ahead[k] + off[k] + back
        command = (asked - rest - s_z * max(below - over - surface[k], 0.0)) / (1 + s_t)
        for i in range(late):
            held[i] = held[i + 1]
        held[late] = command
        for j in range(4):
            at = z - deck[4 * k + j]
            phi = s_t * (thrust - 14) + s_z * max(below - at, 0.0) + s_v * v
            a = (thrust + phi) / mass - 9.81
            thrust_now = thrust
            thrust = held[0] + (thrust_now - held[0]) * math.exp(-dt / lag)
            z += dt * v + dt * dt / 2 * a
            v += dt * a
    return found


def fly(loop, waves, lead=0.04, surface=0.0, off=0.0, slopes=SLOPES, below=BELOW, plan=PLAN):
    """Times (n,) and errors (n, 4) against the reference, without noise: of height and speed, and of the
    thrust and of the command that it follows, against the one wanted.

    ``surface`` [m] and ``off`` [N], numbers or (n,): errors of the believed height of the deck, and of
    the set-point as it acts on the command; ``lead``: what the law feeds forward of the deck [s].
    """
    h = loop.period
    assert GRAVITY == 9.81
    times = h * np.arange(round((plan.end + 0.5) / h))
    record = blank_record(np.dtype(RECORD_FIELDS, align=True))[0]
    store_plan(record, plan, 0.0)
    samples = np.array([[part[2] for part in setpoint(record, float(t))] for t in times])
    moves, _ = taken_up(waves, times, plan)
    soon, _ = taken_up(waves, times + loop.latency, plan)
    ahead = loop.mass * (soon[:, 2] + lead * soon[:, 3])
    fine = h / SUB * np.arange(SUB * len(times))
    full = np.ones(len(times))
    errors = _fly(
        samples, np.ascontiguousarray(moves[:, :3]), ahead, swing(waves, fine)[:, 0].copy(), loop.mass,
        loop.k_p[2], loop.k_v[2], h, round(loop.latency / h), loop.lag[0], *slopes, below, surface * full,
        off * full,
    )  # fmt: skip
    return times, errors
