"""The verdict for every reference in three dimensions, without a tube.

As ``vertical_decision`` for one axis, on the model of ``spatial_model`` with the slopes of the
whole envelope: there is one command for every wanted force inside a cone, each axis with its attitude
and motor lag is stable, and the small gain of everything uncertain, axes coupled, is below one.

    H1   1 + min u' a_T > 0 in the cone          H2   max Re eig(A_j) < 0          H3   rho(M S) < 1
"""

import math
from dataclasses import replace

import numpy as np
from scipy.linalg import block_diag

from neural_lander.controller.condition import Condition
from neural_lander.controller.force_slopes import ForceSlopes
from neural_lander.controller.loop_model import peak_to_peak_gains
from neural_lander.controller.spatial_model import AXES, SpatialLoop
from neural_lander.controller.vertical_decision import EVERYWHERE, witnessed

CONE = math.radians(20)
"""Tilt of wanted, commanded and real force that the verdict is for [rad]."""

COARSE, STEPS = 2048, 32_768
"""Cells for the gains while remedies are sought, and for the verdict."""


def decide_in_space(
    slopes: ForceSlopes, loop: SpatialLoop, tilt: float = CONE, steps: int = STEPS
) -> tuple[Condition, ...]:
    """Return H1, H2 of each axis, and H3, with both sides; what could not be computed has None."""

    def condition(name: str, axis: str, statement: str, lhs: float | None, rhs: float) -> Condition:
        return Condition.of(name, axis, EVERYWHERE, statement, lhs, rhs, above=name == "H1")

    least = loop.cancelled(slopes, tilt).least
    where = f"tilted up to {math.degrees(tilt):.0f} degrees"
    found = [
        condition("H1", "xyz", f"1 + min u' a_T > 0: one command for a force {where}", least, 0.0)
    ]
    stable = "max Re eig(A) < 0: position, attitude and motors together [1/s]"
    if not found[0].holds:
        missing = [condition("H2", axis, stable, None, 0.0) for axis in AXES]
        last = condition("H3", "xyz", "rho(M S) < 1: small gain, all axes coupled", None, 1.0)
        return (*found, *missing, last)
    model = loop.channels(slopes, tilt)
    abscissas = [float(np.linalg.eigvals(block.A).real.max()) for block in model.blocks]
    found += [
        condition("H2", axis, stable, a, 0.0) for axis, a in zip(AXES, abscissas, strict=True)
    ]
    radius = None
    if max(abscissas) < 0:
        gains = [
            peak_to_peak_gains(
                b.A, b.B[:, : b.channels], b.C[: b.seen], b.D[: b.seen, : b.channels], steps
            )
            for b in model.blocks
        ]
        seen = block_diag(*gains)
        if np.isfinite(seen).all():
            loop_gain = seen @ model.S
            radius = float(np.abs(np.linalg.eigvals(loop_gain)).max())
            if radius < 1 and not witnessed(loop_gain):
                radius = 1.0
    found.append(condition("H3", "xyz", "rho(M S) < 1: small gain, all axes coupled", radius, 1.0))
    return tuple(found)


def passes_in_space(slopes: ForceSlopes, loop: SpatialLoop, parameter: str, share: float) -> bool:
    """Whether every condition holds with one parameter at a share of its value.

    ``parameter``: "scale", "latency", "lag", or "gains", as ``vertical_decision.remedies`` has them.
    """
    if parameter == "scale":
        slopes = slopes.scaled(share)
    elif parameter == "latency":
        loop = replace(loop, latency=loop.latency * share)
    elif parameter == "lag":
        loop = replace(loop, lag=(loop.lag[0] * share, loop.lag[1] * share))
    elif parameter == "gains":
        x, y, z = loop.k_p
        a, b, c = loop.k_v
        loop = replace(
            loop,
            k_p=(x * share**2, y * share**2, z * share**2),
            k_v=(a * share, b * share, c * share),
        )
    return all(c.holds for c in decide_in_space(slopes, loop, steps=COARSE))
