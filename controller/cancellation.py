"""Cancelling a residual force that depends on the very thrust being computed.

    find F_c with   F_c + phi(T_c) = F_d,   T_c = |F_c|      =>   T = |F_d - phi(T)|

First the paper's fixed-point iteration T <- |F_d - phi(T)|, which contracts where the slope of phi
in T is below one; where it does not settle, bisection of +-|F_d - phi(T)| - T between the thrust
limits, negative where F_d - phi would turn against F_d. When there is no sign change there is no
solution, and the step says so.

The solver asks for phi at one thrust after another, so it need not know where phi comes from:

    s = start(T_before, low, high)
    while unfinished(s):
        phi = residual force at thrust s[THRUST]
        s = refine(s, thrust_towards(F_d, phi), tolerance)

Source: Shi et al. 2019, eq. 10 and Lemma 3.1 (the iteration); the safeguard is standard.
"""

from neural_lander.controller.compiled import compiled
from neural_lander.controller.rotation import Vector, dot, norm

TOLERANCE = 1e-4
"""The force that the solved step may miss by, as a share of weight."""

THRUST, ITERATIONS, RESIDUAL, STAGE = 0, 1, 2, 3
FIXED_POINT, AT_LOW, AT_HIGH, BISECTION, SOLVED, NO_SOLUTION = 0.0, 1.0, 2.0, 3.0, 4.0, 5.0
MAX_FIXED_POINT = 10

Search = tuple[float, float, float, float, float, float]
"""(thrust to evaluate next, iterations so far, last residual, stage, low end, high end)"""


@compiled
def minus(a: Vector, b: Vector) -> Vector:
    """Return a - b."""
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


@compiled
def thrust_towards(wanted: Vector, phi: Vector) -> float:
    """Return |F_d - phi| [N], negative where that force points away from F_d."""
    force = minus(wanted, phi)
    return norm(force) if dot(force, wanted) >= 0.0 else -norm(force)


@compiled
def start(thrust: float, low: float, high: float) -> Search:
    """Begin at a guess of the collective thrust, limits ``low`` and ``high`` [N]."""
    return (min(max(thrust, low), high), 0.0, 1e9, FIXED_POINT, low, high)


@compiled
def unfinished(search: Search) -> bool:
    """Whether another evaluation of the residual force is wanted."""
    return search[STAGE] < SOLVED


@compiled
def refine(search: Search, wanted: float, tolerance: float) -> Search:
    """Use ``wanted`` = ``thrust_towards(F_d, phi(T))`` at the thrust asked for; say what comes next."""
    thrust, iterations, before, stage, low, high = search
    iterations += 1.0
    gap = wanted - thrust
    if abs(gap) <= tolerance and low <= thrust <= high:
        return (thrust, iterations, gap, SOLVED, low, high)
    if stage == FIXED_POINT:
        settling = abs(gap) < 0.7 * abs(before) and iterations < MAX_FIXED_POINT
        if settling and low <= wanted <= high:
            return (wanted, iterations, gap, FIXED_POINT, low, high)
        return (low, iterations, gap, AT_LOW, low, high)
    if stage == AT_LOW:
        if gap < 0.0:
            return (low, iterations, gap, NO_SOLUTION, low, high)
        return (high, iterations, gap, AT_HIGH, low, high)
    if stage == AT_HIGH:
        if gap > 0.0:
            return (high, iterations, gap, NO_SOLUTION, low, high)
        return (0.5 * (low + high), iterations, gap, BISECTION, low, high)
    if gap > 0.0:
        low = thrust
    else:
        high = thrust
    if high - low < 1e-9:  # a jump in phi: no thrust gives the force
        return (thrust, iterations, gap, NO_SOLUTION, low, high)
    return (0.5 * (low + high), iterations, gap, BISECTION, low, high)
