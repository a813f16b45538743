"""A deck that heaves, as the vehicle sees it: heard while hovering, then followed ahead of time.

    d = o + a,   a' = w b,   b' = -w a,   w' = 0        y = d + noise

is a swing of unknown middle, amplitude, phase and frequency. An extended Kalman filter finds them from y,
the height of the deck under the vehicle: position minus the height that a range finder measures. Such a
filter can lock on to a wrong frequency, so three of them start at different ones, and the one whose
predictions miss least is believed. Of a swing everything that the law feeds forward is known:

    d(t + s) = o + a cos(w s) + b sin(w s),  d' = w (b cos - a sin),  d'' = -w^2 (d - o),  d''' = -w^2 d'

The set-point is that of the plan, which is over the deck at rest, plus g(t) d, with g going from 0 to 1
over the last ``BLEND`` seconds of the hover, so that place, speed and acceleration never step.

Source: Kalman filter for frequency: La Scala, Bitmead, "Design of an extended Kalman filter frequency
tracker", IEEE Trans. Signal Processing 44(3), 1996; g: the polynomial of degree 7 with three
derivatives zero at both ends.
"""

import math
from typing import Any

import numpy as np

from neural_lander.controller.compiled import compiled
from neural_lander.controller.rotation import Vector
from neural_lander.controller.vehicle import Vehicle

PREDICTED, FOLLOWED = 0, 1
"""The swing is estimated and fed forward, or the deck's measured height is only smoothed."""

BAND = (0.1, 1.0)
"""Frequencies that are looked for [Hz]."""
STARTS = (0.15, 0.3, 0.6)
"""Frequencies that the filters start at [Hz], known to ``START_SPREAD``."""
START_SPREAD = 0.1
"""Standard deviation of each [Hz]."""
SWING = 0.15
"""Standard deviation of middle and amplitude before anything is known [m]."""
WANDER = (1e-8, 1e-6, 1e-4)
"""Variance that middle [m^2], amplitude [m^2] and frequency [rad^2/s^2] gain each second."""
MEMORY = 3.0
"""Time over which a filter's misses are remembered [s]."""
BLEND = 2.0
"""Time over which the set-point takes up the deck's motion, at the end of the hover [s]."""
SMOOTHING = 60.0
"""Bandwidth with which a deck that is only followed is seen [rad/s]; what is left then is what
nobody feeds forward, the acceleration over the law's stiffness, and hardly the lag of the smoothing."""

N = len(STARTS)

RECORD_FIELDS = [
    ("deck", np.int64),
    ("deck_rest", np.float64),
    ("deck_way", np.int64),
    ("deck_noise", np.float64),
    # memory
    ("deck_mean", np.float64, (N, 4)),
    ("deck_spread", np.float64, (N, 4, 4)),
    ("deck_miss", np.float64, (N,)),
    ("deck_best", np.int64),
    ("deck_moved", np.float64),
    ("deck_missed", np.float64),
]
"""What this adds to a controller's record: which box of the map moves (from 1; 0: none), the height of
its top at rest [m], how it is followed; ``deck_moved`` is what the set-point was moved by, and
``deck_missed`` how far the last reading was from what is believed since [m]."""


def store_deck(c: Any, vehicle: Vehicle, deck: int, rest: float, way: int) -> None:
    """Write into a controller's record that box ``deck`` of its map (from 1) moves about ``rest`` [m]."""
    c["deck"], c["deck_rest"], c["deck_way"] = deck, rest, way
    # two noises uniform in the bound of position, half of each white, half correlated
    steps = 2 * vehicle.noise.correlation_time / vehicle.timing.period
    c["deck_noise"] = 2 * vehicle.noise.position**2 / 3 * 0.25 * (1 + steps)
    for i, start in enumerate(STARTS):
        c["deck_mean"][i] = 0.0, 0.0, 0.0, 2 * math.pi * start
        spread = 2 * math.pi * START_SPREAD
        c["deck_spread"][i] = np.diag([SWING**2, SWING**2, SWING**2, spread**2])


@compiled
def hear_deck(c: Any, t: float, y: float) -> None:
    """Take in how far the deck is measured over its height at rest, ``y`` [m], at time t [s]."""
    if c.deck_way == FOLLOWED:
        _smooth(c, y)
    else:
        for i in range(N):
            _listen(c, i, y)
        if t < c.descent_start - BLEND:
            for i in range(N):
                if c.deck_miss[i] < c.deck_miss[c.deck_best]:
                    c.deck_best = i
    c.surfaces[c.deck - 1, 4] = c.deck_rest + deck_ahead(c, 0.0)[0]


@compiled
def _smooth(c: Any, y: float) -> None:
    """Smooth height and speed of the deck: both poles at ``SMOOTHING``."""
    m = c.deck_mean[0]
    miss = y - m[0]
    m[0] += c.period * (m[1] + 2.0 * SMOOTHING * miss)
    m[1] += c.period * SMOOTHING * SMOOTHING * miss


@compiled
def _listen(c: Any, i: int, y: float) -> None:
    """Advance filter i by one period and correct it with y [m]."""
    m, p, h = c.deck_mean[i], c.deck_spread[i], c.period
    cos, sin = math.cos(m[3] * h), math.sin(m[3] * h)
    a, b = m[1] * cos + m[2] * sin, m[2] * cos - m[1] * sin
    m[1], m[2] = a, b
    for _ in range(2):  # F P, then F (F P)^T; F turns a, b and moves them with the frequency
        for j in range(4):
            one, two = p[1, j], p[2, j]
            p[1, j] = cos * one + sin * two + h * b * p[3, j]
            p[2, j] = cos * two - sin * one - h * a * p[3, j]
        for j in range(4):
            for k in range(j):
                p[j, k], p[k, j] = p[k, j], p[j, k]
    p[0, 0] += h * WANDER[0]
    p[1, 1] += h * WANDER[1]
    p[2, 2] += h * WANDER[1]
    p[3, 3] += h * WANDER[2]
    miss = y - m[0] - m[1]
    g0, g1, g2, g3 = p[0, 0] + p[0, 1], p[1, 0] + p[1, 1], p[2, 0] + p[2, 1], p[3, 0] + p[3, 1]
    gains = (g0, g1, g2, g3)
    total = g0 + g1 + c.deck_noise
    for j in range(4):
        m[j] += gains[j] * miss / total
    for j in range(4):
        for k in range(4):
            p[j, k] -= gains[j] * gains[k] / total
    m[3] = min(max(m[3], 2.0 * math.pi * BAND[0] * 0.8), 2.0 * math.pi * BAND[1] * 1.2)
    c.deck_miss[i] += h / MEMORY * (miss * miss - c.deck_miss[i])


@compiled
def deck_ahead(c: Any, ahead: float) -> tuple[float, float, float, float]:
    """Return height over rest, speed, acceleration and jerk of the deck ``ahead`` [s] from now."""
    m = c.deck_mean[c.deck_best]
    if c.deck_way == FOLLOWED:
        return m[0] + ahead * m[1], m[1], 0.0, 0.0
    w = m[3]
    cos, sin = math.cos(w * ahead), math.sin(w * ahead)
    swing, speed = m[1] * cos + m[2] * sin, w * (m[2] * cos - m[1] * sin)
    return m[0] + swing, speed, -w * w * swing, -w * w * speed


@compiled
def deck_setpoint(c: Any, t: float, ahead: float) -> tuple[float, float, float, float]:
    """Return what the deck adds to the set-point's height, speed, acceleration, jerk at t + ahead."""
    d, v, a, j = deck_ahead(c, ahead)
    s = (t + ahead - c.descent_start) / BLEND + 1.0
    if s >= 1.0:
        return d, v, a, j
    if s <= 0.0:
        return 0.0, 0.0, 0.0, 0.0
    r, k = 1.0 - s, 1.0 / BLEND
    g = s * s * s * s * (35.0 - 84.0 * s + 70.0 * s * s - 20.0 * s * s * s)
    g1 = 140.0 * s * s * s * r * r * r * k
    g2 = 420.0 * s * s * r * r * (r - s) * k * k
    g3 = 840.0 * s * r * (r * r - 3.0 * s * r + s * s) * k * k * k
    return (
        g * d,
        g1 * d + g * v,
        g2 * d + 2.0 * g1 * v + g * a,
        g3 * d + 3.0 * g2 * v + 3.0 * g1 * a + g * j,
    )


@compiled
def replay(c: Any, t: Any, y: Any, expected: Any) -> None:
    """Hear readings y (n,) [m] at times t (n,) [s] again, and write what is believed (n, 6): the deck's
    height over rest before and after each, and what the set-point is moved by, as ``over_deck`` asks."""
    for k in range(len(t)):
        expected[k, 0] = c.surfaces[c.deck - 1, 4] - c.deck_rest
        hear_deck(c, t[k], y[k])
        expected[k, 1] = c.surfaces[c.deck - 1, 4] - c.deck_rest
        now, soon = deck_setpoint(c, t[k], 0.0), deck_setpoint(c, t[k], c.latency)
        expected[k, 2], expected[k, 3], expected[k, 4], expected[k, 5] = (
            now[0],
            now[1],
            soon[2],
            soon[3],
        )


@compiled
def over_deck(
    c: Any, t: float, z: float, height: float, p: Vector, v: Vector, a: Vector, lead: Vector
) -> tuple[Vector, Vector, Vector, Vector, float]:
    """Hear the deck, and move a set-point with it; return it so, and the deck's speed [m/s].

    Measured are ``z`` of the origin and ``height`` [m]; ``p, v, a`` are the plan's, ``lead`` [N] is what
    it feeds forward.
    """
    hear_deck(c, t, z - height - c.rest_height - c.deck_rest)
    now, soon = deck_setpoint(c, t, 0.0), deck_setpoint(c, t, c.latency)
    heavier = 1.0 + c.load
    c.deck_moved = now[0]
    c.deck_missed = z - height - c.rest_height - c.surfaces[c.deck - 1, 4]
    return (
        (p[0], p[1], p[2] + now[0]),
        (v[0], v[1], v[2] + now[1]),
        (a[0], a[1], a[2] + heavier * soon[2]),
        (lead[0], lead[1], lead[2] + heavier * c.mass * c.lead[2] * soon[3]),
        deck_ahead(c, 0.0)[1],
    )
