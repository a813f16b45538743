"""Rounds that prove a tube in three dimensions: boxes, slopes on them, the tube, boxes again.

As ``tube_proof`` for the vertical loop, with the model of ``spatial_model``. The box around a
segment of the plan bounds what the slopes depend on: height, vertical speed, collective thrust, and
the tilt of the forces (real, wanted, commanded, held). Where the tube lies strictly inside, slopes
and tube hold together, by the first exit.

    H1   1 + min u' a_T > 0 in the box and its cone; |a_T| < 1 for every thrust between the limits
    H2   the last segment's linear model is stable, axis by axis                  (the time after)
    H3   rho(G S) < 1 inside every cell; rho(M S) < 1 in the last segment, for the time after
    H4   reference + tube + noise strictly inside the box, thrusts and tilts included
    H5   collective thrust inside the rotors' limits, tilt inside the contract's, the observer below its
         limit
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError
from neural_lander.controller.force_slopes import Z
from neural_lander.controller.setpoint import Plan
from neural_lander.controller.spatial_model import AXES, SpatialLoop
from neural_lander.controller.spatial_terms import SpatialErrors, SpatialStart
from neural_lander.controller.vehicle import GRAVITY
from neural_lander.learning.spatial_boxes import (
    STEEPEST,
    Radii,
    SpatialForce,
    SpatialProof,
    Swinging,
)
from neural_lander.learning.spatial_round import ROUGH, THOROUGH, Round
from neural_lander.learning.tube_proof import COARSE, GROWTH, Progress

Array = npt.NDArray[np.float64]

FINE = 0.006
"""Cells of the time grid for the proof [s]."""

COARSE_ROUNDS, FINAL_ROUNDS = 14, 3

COARSE_AHEAD = 0.008
"""Of the coarse grid along a compensated plan, whose jerk steps [s]."""

FIRST_RADII = (0.1, 0.1)
"""Of thrust, as a share of weight, and of tilt [rad]."""


PATIENCE = 4
"""Rounds after which boxes that need a wider cone are given up."""


def prove_space(
    plan: Plan,
    force: SpatialForce,
    loop: SpatialLoop,
    errors: SpatialErrors,
    start: SpatialStart | None = None,
    progress: Progress | None = None,
    cell: float = FINE,
    max_rounds: int = COARSE_ROUNDS,
    deck: Swinging | None = None,
) -> SpatialProof:
    """Prove a tube of ``loop`` with the learned ``force`` along ``plan``, or say what fails.

    Args:
        plan: the motion of the set-point; heights above standing.
        force: the learned force, restricted.
        loop: the loop's numbers.
        errors: of the learned force, and of the inner loop's contract.
        start: of the flight; None: at rest on the plan, in equilibrium.
        progress: told how far it is.
        cell: time grid of the final rounds [s].
        max_rounds: on the coarse grid.
        deck: of which family the surface below is, if it moves.

    Raises:
        InputError: error bounds that are negative or not finite, a plan that jumps, or a compensated
            one over a deck.
    """
    _check(plan, errors)
    if deck is not None:
        _check_deck(plan, deck)
    tell = progress or (lambda share, text: None)
    start = start or SpatialStart()
    coarse = _coarse(plan, force, loop, errors, start, cell, deck)
    proof, needed, radii = _sought(
        coarse, _first_radii(plan, loop, len(coarse.ranges)), max_rounds,
        lambda k: tell(0.05 + 0.45 * k / max_rounds, f"round {k + 1}"),
    )  # fmt: skip
    if needed is None or _is_steep(needed):
        return proof
    if not proof.certified and not _meets_limits_alone(proof):
        return proof
    fine = Round.on(plan, force, loop, errors, start, cell, THOROUGH, deck)
    if len(fine.ranges) == len(radii):
        radii = [r.shrunk(n) for n, r in zip(needed, radii, strict=True)]
    else:
        radii = [Radii(*np.max([r.values() for r in radii], axis=0))] * len(fine.ranges)
    best: SpatialProof | None = None
    tried = proof
    rounds = FINAL_ROUNDS if proof.certified else FINAL_ROUNDS + 2
    for k in range(rounds):
        tell(0.5 + 0.5 * k / rounds, f"final round {k + 1}")
        tried, needed = fine.prove(radii, proof.rounds + k + 1)
        if needed is None:
            break
        if tried.certified:
            gain = math.inf if best is None else float((best.greatest() / tried.greatest()).max())
            if gain > 1:
                best = tried
            if gain < 1.02:
                break
            radii = [r.shrunk(n) for n, r in zip(needed, radii, strict=True)]
        elif _meets_limits_alone(tried):
            radii = [r.shrunk(n) for n, r in zip(needed, radii, strict=True)]
        else:
            radii = [r.larger(n, 1.02) for n, r in zip(needed, radii, strict=True)]
    return best or tried


def coarse_proof(
    plan: Plan,
    force: SpatialForce,
    loop: SpatialLoop,
    errors: SpatialErrors,
    start: SpatialStart,
    radii: list[Radii] | None = None,
) -> tuple[SpatialProof, list[Radii] | None]:
    """Return a proof on the coarse grid alone, and the radii that its tube needs; None: no tube.

    ``radii``, of a proof along a plan like this one, are a beginning.
    """
    _check(plan, errors)
    coarse = _coarse(plan, force, loop, errors, start, FINE)
    n = len(coarse.ranges)
    if radii is None:
        first = _first_radii(plan, loop, n)
    elif len(radii) == n:
        first = radii
    else:
        first = [Radii(*map(float, np.max([r.values() for r in radii], axis=0)))] * n
    proof, needed, held = _sought(coarse, first, COARSE_ROUNDS, lambda k: None)
    if needed is None or _is_steep(needed):
        return proof, None
    return proof, [r.shrunk(n) for n, r in zip(needed, held, strict=True)]


def _coarse(
    plan: Plan,
    force: SpatialForce,
    loop: SpatialLoop,
    errors: SpatialErrors,
    start: SpatialStart,
    cell: float,
    deck: Swinging | None = None,
) -> Round:
    rough = COARSE_AHEAD if plan.compensated else COARSE
    return Round.on(plan, force, loop, errors, start, max(cell, rough), ROUGH, deck)


def _first_radii(plan: Plan, loop: SpatialLoop, segments: int) -> list[Radii]:
    """Return radii to begin with."""
    weight = loop.mass * GRAVITY
    first = Radii(
        max(loop.noise_position[Z], 1e-3), max(loop.noise_velocity[Z], 1e-2),
        FIRST_RADII[0] * weight, FIRST_RADII[1],
        FIRST_RADII[0] * weight if plan.compensated else math.inf,
    )  # fmt: skip
    return [first] * segments


def _sought(
    coarse: Round, radii: list[Radii], max_rounds: int, tell: Callable[[int], None]
) -> tuple[SpatialProof, list[Radii] | None, list[Radii]]:
    """Let boxes grow until they hold their own tube; return the last proof, what it needs, its radii.

    What it needs is None where there is no tube; where its cone is too wide, growing was given up.
    """
    proof: SpatialProof | None = None
    needed: list[Radii] | None = None
    for k in range(max_rounds):
        tell(k)
        proof, needed = coarse.prove(radii, k + 1)
        if needed is None:
            break
        held = [bool((n.values() < r.values()).all()) for n, r in zip(needed, radii, strict=True)]
        if _is_steep(needed) and k >= PATIENCE:
            break  # the wider the cone, the wider the tube: this ends nowhere
        if all(held):
            break  # H4 holds; if something else fails, larger boxes cannot help
        radii = [r.larger(n, GROWTH) for n, r in zip(needed, radii, strict=True)]
    assert proof is not None
    return proof, needed, radii


def _is_steep(needed: list[Radii]) -> bool:
    return max(n.tilt for n in needed) > STEEPEST


def _meets_limits_alone(proof: SpatialProof) -> bool:
    """Whether nothing fails but limits that smaller boxes may keep: tube and boxes are sound."""
    return all(c.holds or c.name == "H5" for c in proof.conditions)


def _check_deck(plan: Plan, deck: Swinging) -> None:
    """Refuse a family that bounds nothing, and a plan for which what is fed forward is not worked out."""
    if plan.compensated:
        raise InputError(
            f"the plan {plan.name!r} feeds its own delays forward, and over a deck that moves there is "
            "no tube along such a one; take --reference s-curve"
        )
    numbers = [deck.family.swing, deck.family.frequency, deck.family.slope, *deck.errors.values()]
    if not all(v >= 0 and math.isfinite(v) for v in numbers):
        raise InputError(
            f"the deck is {deck.family} with {deck.errors}; expected finite numbers >= 0"
        )


def _check(plan: Plan, errors: SpatialErrors) -> None:
    """Refuse numbers that bound nothing, and a plan that is not as smooth as the proof takes it."""
    if plan.compensated and np.abs(plan.coefficients[:, :, 4:]).max(initial=0.0) > 0:
        raise InputError(
            f"the plan {plan.name!r} feeds forward a jerk that changes along a piece; a tube needs "
            "pieces of constant jerk"
        )
    values = [*errors.changing, *errors.constant, *errors.contract, *errors.step]
    if not all(v >= 0 and math.isfinite(v) for v in values):
        raise InputError(
            f"the error bounds are {errors.changing}, {errors.constant} and {errors.contract} N; "
            "expected three finite numbers >= 0 each"
        )
    for piece in range(1, len(plan.times)):
        s = plan.times[piece] - plan.times[piece - 1]
        for axis, c in enumerate(plan.coefficients[piece - 1]):
            if plan.decay and axis == Z:
                continue
            position = np.polynomial.polynomial.polyval(s, c)
            speed = np.polynomial.polynomial.polyval(s, np.arange(1, len(c)) * c[1:])
            jump = plan.coefficients[piece, axis, :2] - (position, speed)
            if np.abs(jump).max() > 1e-6:
                raise InputError(
                    f"the plan's {AXES[axis]} jumps by {jump[0]:.3g} m and {jump[1]:.3g} m/s at "
                    f"{plan.times[piece]:.3f} s; a tube needs a continuous position and speed"
                )
