"""A straight level flight from one place to another, as constant-jerk pieces from rest to rest.

    s(t) along the way: full jerk, no jerk, full jerk up to ``speed``, cruise, and the same down

so that sideways offsets are flown, never stepped. Plans can be joined end to start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from neural_lander.controller.errors import InputError
from neural_lander.controller.setpoint import DEGREE, Piece, Plan, distance, integrate_jerk, ramp

BISECTIONS = 60


@dataclass(frozen=True)
class TransferLimits:
    """Limits along the way; at 4 m/s^2 a multirotor leans by 22 degrees."""

    speed: float = 1.0
    """[m/s]"""
    acceleration: float = 2.0
    """[m/s^2]"""
    jerk: float = 10.0
    """[m/s^3]"""


def plan_transfer(
    start: Sequence[float], end: Sequence[float], hover: float, limits: TransferLimits | None = None
) -> Plan:
    """Plan a hover of ``hover`` seconds at ``start`` and the way to ``end``, both (x, y, height) [m].

    Raises:
        InputError: start and end are one place.
    """
    limits = limits or TransferLimits()
    way = np.subtract(end, start)
    length = float(np.linalg.norm(way))
    if length < 1e-6:
        raise InputError(f"a transfer from {tuple(start)} to {tuple(end)} leads nowhere")
    times, s = integrate_jerk(0.0, [(hover, 0.0), *_pieces(length, limits)])
    coefficients = np.zeros((len(times), 3, DEGREE + 1))
    coefficients[:, :, :4] = (way / length)[:, None] * s[:, None, :]
    coefficients[:, :, 0] += np.asarray(start, dtype=np.float64)
    coefficients[-1, :, 0] = end
    return Plan("transfer", times, coefficients, hover, float(times[-1]), compensated=True)


def _pieces(length: float, limits: TransferLimits) -> list[Piece]:
    """Return pieces that cover ``length`` [m] from rest to rest."""

    def both(peak: float) -> list[Piece]:
        a, j = limits.acceleration, limits.jerk
        return [*ramp(peak, a, j), *ramp(-peak, a, j)]

    def covered(peak: float) -> float:
        up, down = both(peak)[: len(both(peak)) // 2], both(peak)[len(both(peak)) // 2 :]
        return distance(up, 0.0) + distance(down, peak)

    low, high = 0.0, limits.speed
    if covered(high) > length:
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if covered(middle) <= length else (low, middle)
        high = low
    pieces = both(high)
    half = len(pieces) // 2
    return [*pieces[:half], (max(length - covered(high), 0.0) / high, 0.0), *pieces[half:]]


def joined(first: Plan, second: Plan) -> Plan:
    """Return ``first``, then ``second``, which starts where the first one ends; named as the second.

    The descent is the second's; the law is compensated where either's is.
    """
    assert np.allclose(first.coefficients[-1, :, 0], second.coefficients[0, :, 0], atol=1e-9)
    shift = first.end
    return replace(
        second,
        times=np.concatenate([first.times[:-1], second.times + shift]),
        coefficients=np.concatenate([first.coefficients[:-1], second.coefficients]),
        descent_start=second.descent_start + shift,
        end=second.end + shift,
        compensated=first.compensated or second.compensated,
    )
