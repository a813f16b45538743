"""The verdict on the vertical loop for every reference, without a tube, and what would pass.

With slopes of the learned force anywhere in their intervals, lag, latency and hold as in
``loop_model``, the errors of height and speed stay bounded for every bounded error of the learned
force, noise and reference, if

    H1   1 + min a_u > 0        the thrust that gives the wanted force is unique
    H2   max Re eig(A) < 0      the linear model is stable
    H3   rho(M S) < 1           small gain of the uncertain channels, M their peak-to-peak gains

(small gain on sup-norms; the spectral radius of a non-negative matrix). They say nothing of how far.

Source of the small-gain step: Desoer, Vidyasagar, "Feedback Systems: Input-Output Properties",
1975, III.2; Berman, Plemmons, "Nonnegative Matrices", 1994, for rho(M S) < 1.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.condition import Condition
from neural_lander.controller.loop_model import VerticalLoop, VerticalSlopes, peak_to_peak_gains

Array = npt.NDArray[np.float64]

EVERYWHERE = "all heights"

COARSE = 4096
"""Cells for the gains while looking for remedies: quick, and what passes there passes."""


@dataclass(frozen=True)
class Decision:
    """The conditions of one loop, and what each uncertain channel contributes."""

    conditions: tuple[Condition, ...]
    channels: dict[str, float]
    """Share of each channel in the spectral radius of H3; empty where H3 has no value."""

    @property
    def certified(self) -> bool:
        """Whether every condition holds."""
        return all(condition.holds for condition in self.conditions)


def decide(slopes: VerticalSlopes, loop: VerticalLoop, steps: int = 32_768) -> Decision:
    """Evaluate H1, H2, H3, both sides of each; ``steps`` cells for the gains (fewer: looser)."""
    unique = 1 + slopes.thrust[0]
    h1 = Condition.of(
        "H1",
        "z",
        EVERYWHERE,
        "1 + min a_u > 0: one thrust gives the wanted force",
        unique,
        0.0,
        True,
    )
    abscissa = radius = None
    shares: dict[str, float] = {}
    witnessed = False
    if h1.holds:
        model = loop.channels(slopes)
        abscissa = float(np.linalg.eigvals(model.A).real.max())
        if abscissa < 0:
            channels, seen = model.delta.shape
            gains = peak_to_peak_gains(
                model.A, model.B[:, :channels], model.C[:seen], model.D[:seen, :channels], steps
            )
            if np.isfinite(gains).all():
                radius, shares, witnessed = _small_gain(gains, model.delta, model.names["channels"])
    h2 = Condition.of(
        "H2", "z", EVERYWHERE, "max Re eig(A) < 0: the linear loop is stable [1/s]", abscissa, 0.0
    )
    h3 = Condition.of(
        "H3", "z", EVERYWHERE, "rho(M S) < 1: small gain of what is uncertain", radius, 1.0
    )
    if h3.holds and not witnessed:
        h3 = replace(h3, lhs=1.0, holds=False, margin=0.0)
    return Decision((h1, h2, h3), shares)


def _small_gain(
    gains: Array, delta: Array, names: tuple[str, ...]
) -> tuple[float, dict[str, float], bool]:
    """Return rho(gains delta), each channel's share in it, and a proof that it is below 1.

    The proof does not lean on an eigenvalue routine: it is a vector x > 0 with gains delta x < x
    in every component. A share is d log rho / d log delta_i; the shares add up to 1.
    """
    loop_gain = gains @ delta
    values, right = np.linalg.eig(loop_gain)
    radius = float(np.abs(values).max())
    r = np.abs(right[:, np.argmax(np.abs(values))])
    left_values, left = np.linalg.eig(loop_gain.T)
    p = np.abs(left[:, np.argmax(np.abs(left_values))])
    parts = (p @ gains) * (delta @ r)
    shares = {name: float(part / parts.sum()) for name, part in zip(names, parts, strict=True)}
    return radius, shares, radius < 1 and witnessed(loop_gain)


def witnessed(loop_gain: Array) -> bool:
    """Whether an x > 0 with loop_gain x < x is found, which proves the spectral radius below 1."""
    witness = np.linalg.solve(np.eye(len(loop_gain)) - loop_gain, np.ones(len(loop_gain)))
    return bool((witness > 0).all() and (loop_gain @ witness < witness).all())


def remedies(
    slopes: VerticalSlopes, loop: VerticalLoop, also: Callable[[str, float], bool] | None = None
) -> tuple[dict[str, Any], ...]:
    """Return what would pass: one parameter at a time, the largest share of its present value.

    ``also(parameter, share)`` says whether what is not vertical passes, too. Each entry has the
    parameter, its unit, its value ``now`` and the largest value found that ``passes_at`` (None:
    changing it alone does not help).
    """

    def entry(
        parameter: str, unit: str, now: float, passes: Callable[[float], bool]
    ) -> dict[str, Any]:
        share = _largest_passing(passes)
        at = None if share is None else now * share
        return {"parameter": parameter, "unit": unit, "now": now, "passes_at": at}

    def passes(tried: VerticalLoop, parameter: str, share: float) -> bool:
        scale = share if parameter == "scale" else 1.0
        vertical = decide(slopes.scaled(scale), tried, COARSE).certified
        return vertical and (also is None or also(parameter, share))

    low, high = loop.lag
    found = [
        entry("scale of the network", "1", 1.0, lambda x: passes(loop, "scale", x)),
        entry(
            "latency",
            "s",
            loop.latency,
            lambda x: passes(replace(loop, latency=loop.latency * x), "latency", x),
        ),
        entry(
            "motor lag (known to the same share)",
            "s",
            (low + high) / 2,
            lambda x: passes(replace(loop, lag=(low * x, high * x)), "lag", x),
        ),
        entry(
            "scale of the gains velocity_1_s and position_1_s",
            "1",
            1.0,
            lambda x: passes(replace(loop, k_p=loop.k_p * x * x, k_v=loop.k_v * x), "gains", x),
        ),
    ]
    return tuple(found)


def _largest_passing(passes: Callable[[float], bool]) -> float | None:
    """Return the largest share in 0.01 ... 0.99 that passes, searching downwards, to 0.002."""
    fails, share = 1000, 800
    while not passes(share / 1000):
        fails, share = share, int(0.6 * share)
        if share < 10:
            return None
    while fails - share > 2:
        middle = (share + fails) // 2
        if passes(middle / 1000):
            share = middle
        else:
            fails = middle
    return share / 1000
