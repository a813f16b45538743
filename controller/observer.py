"""The momentum disturbance observer: the force that nothing else explains, without accelerometer.

    d = l (m v - w),    w' = T R e3 + phi - m g e3 + d,    |d| <= d_max per axis

so that d' = l (f - d) with f the unexplained force. The learned force phi stands inside the model,
or it would be cancelled twice; the thrust T comes from rotor speeds measured at the time of v.
Where d meets its limit, or is frozen, w follows v so that nothing winds up.

Source: De Luca et al., "Collision detection and safe reaction with the DLR-III", IROS 2006 (the
momentum form); Tomic, Haddadin, "A unified framework for external wrench estimation", IROS 2014.
"""

from typing import Any

from neural_lander.controller.compiled import compiled
from neural_lander.controller.rotation import Vector


@compiled
def observe(
    w: Any,
    before: Vector,
    momentum: Vector,
    known: Vector,
    rate: float,
    limit: float,
    period: float,
    frozen: bool,
) -> Vector:
    """Return the unexplained force d [N] and advance the memory w (3,) [N s] by one period.

    Args:
        w: the observer's memory, changed in place.
        before: d of the step before [N], kept while frozen.
        momentum: m v [N s], world frame.
        known: thrust, residual model and gravity together [N], world frame.
        rate: bandwidth l [1/s].
        limit: d_max [N].
        period: time between two steps [s].
        frozen: keep d (in contact the floor's force is no disturbance to cancel).
    """
    return (
        _observe_axis(w, 0, before[0], momentum[0], known[0], rate, limit, period, frozen),
        _observe_axis(w, 1, before[1], momentum[1], known[1], rate, limit, period, frozen),
        _observe_axis(w, 2, before[2], momentum[2], known[2], rate, limit, period, frozen),
    )


@compiled
def _observe_axis(
    w: Any,
    i: int,
    before: float,
    momentum: float,
    known: float,
    rate: float,
    limit: float,
    period: float,
    frozen: bool,
) -> float:
    free = rate * (momentum - w[i])
    d = before if frozen else min(max(free, -limit), limit)
    if d != free:
        w[i] = momentum - d / rate
    w[i] += period * (known + d)
    return d
