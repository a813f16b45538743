"""A loop, a plan and a force made by hand, small enough to be flown a thousand times."""

import types
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from neural_lander.controller import volterra
from neural_lander.controller.loop_model import VerticalLoop, VerticalSlopes
from neural_lander.controller.setpoint import SCurve, plan_descent
from neural_lander.controller.tube import ErrorBounds, Start, Tube, tube_along
from neural_lander.learning.level_force import LevelForce
from neural_lander.learning.tube_proof import TubeProof

LOOP = VerticalLoop(
    mass=1.47,
    k_p=1.47 * 8,
    k_v=1.47 * 6,
    lag=(0.04, 0.04),
    period=0.002,
    latency=0.004,
    noise_position=0.002,
    noise_velocity=0.02,
    tolerance=0.0,
    thrust_limits=(0.0, 24.5),
)
QUIET = replace(LOOP, noise_position=0.0, noise_velocity=0.0)
"""Nothing but the reference moves it."""

ERRORS = ErrorBounds(0.04)
NO_ERRORS = ErrorBounds(1e-5)

PLAN = plan_descent("s-curve", (0.0, 0.0, 0.7), 0.12, 0.5, limits=SCurve(0.4, 0.8, 4.0, 0.15, 0.15))


def ground_effect(scale: float = 1.0, in_thrust: float = 0.03) -> LevelForce:
    """About 1.9 N at the ground, as steep as 5 N/m, gone at 0.55 m; piecewise linear."""
    first = np.array(
        [[-1.0, 0.02, in_thrust], [-1.0, -0.03, 0.0], [-1.0, 0.05, -in_thrust], [-1.0, 0.0, in_thrust],
         [0.0, 0.3, 0.0], [0.0, 0.0, 0.3]]
    )  # fmt: skip
    bias = np.array([0.55, 0.42, 0.3, 0.2, 0.1, -4.0]) - first[:, 2] * 14.4 * [1, 1, 1, 1, 0, 0]
    last = scale * np.array([[1.0, 1.6, 1.6, 1.0, 0.3, 0.1]])
    return LevelForce(
        [(first, bias), (last, np.zeros(1))], np.array([0.0, -2.0, 2.0]), np.array([3.0, 2.0, 25.0]),
        None,
    )  # fmt: skip


def tube_again(proof: TubeProof, loop: VerticalLoop, errors: ErrorBounds, start: Start | None = None,
               slopes=lambda s: s, cells=lambda c: c, module=volterra) -> Tube:  # fmt: skip
    """The tube of a finished proof once more, with something about it changed."""
    segments = [replace(s, slopes=slopes(s.slopes)) for s in proof.segments]
    rest = round((PLAN.end + 0.01) / proof.cells.cell)
    with mock.patch.object(volterra, "walk", module.walk):
        return tube_along(cells(proof.cells), segments, loop, errors, start or Start(), rest)


def middle(slopes: VerticalSlopes) -> VerticalSlopes:
    """Slopes without their widths."""
    z, v, u = (
        (sum(i) / 2, sum(i) / 2) for i in (slopes.height, slopes.vertical_speed, slopes.thrust)
    )
    return VerticalSlopes(z, v, u)


def prover_with(*changes: tuple[str, str]) -> types.ModuleType:
    """The recursion with pieces of its text replaced: a prover with a mistake in it."""
    text = Path(volterra.__file__).read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the prover"
        text = text.replace(old, new)
    text = text.replace("@compiled\n", "@numba.njit(error_model='numpy')\n")
    module = types.ModuleType("mutated_volterra")
    exec(compile("import numba\n" + text, "mutated_volterra", "exec"), module.__dict__)
    return module


SIGNED_KERNELS = (
    ("weight[row, c] += abs(value[c]) * amp[node, c]", "weight[row, c] += value[c] * amp[node, c]"),
    ("at_right[b, row] = weight[b, row].sum()", "at_right[b, row] = np.abs(weight[b, row]).sum()"),
)
"""|integral of the kernel| instead of the integral of |kernel|."""

HISTORY_CUT = (
    ("        nodes += 1\n    old = np", "        nodes += 1\n        if nodes > 40:\n"
     "            amp[:, : nodes - 40] = 0.0\n    old = np"),
)  # fmt: skip
"""Sources older than 40 cells forgotten."""
