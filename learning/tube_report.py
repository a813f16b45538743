"""What a tube proof says: its table for the certificate, and, where it fails, what would pass.

A remedy changes one number of loop, network or plan and keeps the rest; the largest share of the
present value that passes is found by bisection on a coarse grid, so what passes there passes.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.loop_model import VerticalLoop
from neural_lander.controller.setpoint import Plan
from neural_lander.controller.tube import ErrorBounds, Start
from neural_lander.learning.level_force import LevelForce
from neural_lander.learning.tube_proof import TubeProof, prove_tube

Array = npt.NDArray[np.float64]

SEARCH_CELL = 0.02
"""Time grid while looking for remedies [s]."""

SEARCH_S = 40.0
"""Remedies that are not found by then are not listed [s]."""

PRECISION = 0.02
"""Remedies are found to this share of the present value."""


def tube_table(proof: TubeProof, plan: Plan) -> dict[str, Any]:
    """Return the JSON form: the bounds over time, rounded up, and the boxes."""
    cells, tube = proof.cells, proof.tube
    bins = [
        {
            "heights": box.name,
            "start_s": box.start_s,
            "end_s": box.end_s,
            "box": {
                "height_m": list(box.height),
                "vertical_speed_m_s": list(box.vertical_speed),
                "thrust_n": list(box.thrust),
            },
            "reached": {
                "height_m": list(box.reached_height),
                "vertical_speed_m_s": list(box.reached_speed),
                "thrust_n": list(box.reached_thrust),
            },
            "slopes": {
                "height_n_m": list(box.slopes.height),
                "vertical_speed_n_s_m": list(box.slopes.vertical_speed),
                "thrust_n_n": list(box.slopes.thrust),
            },
        }
        for box in proof.boxes
    ]
    start: dict[str, Any] = {"height": proof.start.height, "speed": proof.start.speed}
    if proof.start.joined is not None:
        start["joined"] = proof.start.joined.as_dict()
    table: dict[str, Any] = {
        "plan": plan.name,
        "certified": proof.certified,
        "rounds": proof.rounds,
        "cell_s": cells.cell,
        "start": start,
        "bins": bins,
    }
    if tube is None:
        return table
    column = {name: tube.errors[:, i] for i, name in enumerate(tube.names["outputs"])}
    return table | {
        "t_s": np.round(np.arange(len(cells.low)) * cells.cell, 6).tolist(),
        "p_m": _up(column["height error"]),
        "v_m_s": _up(column["speed error"]),
        "thrust_n": _up(tube.seen[:, 0]),
        "reference_m": np.round(cells.middle[:, 0], 6).tolist(),
        "after": {
            "p_m": _up(tube.errors_after[:1])[0],
            "v_m_s": _up(tube.errors_after[1:2])[0],
            "thrust_n": _up(tube.seen_after[:1])[0],
        },
        "shares": {k: round(v, 4) for k, v in tube.shares.items()},
        "p_max_m": _up(np.array([tube.bound("height error", after=True)]))[0],
    }


def _up(values: Array) -> list[float]:
    return [float(x) for x in np.round(np.ceil(values * 1e6) / 1e6, 6)]


def tube_channels(proof: TubeProof) -> dict[str, float]:
    """Return where the greatest height error comes from, share by share."""
    return {} if proof.tube is None else dict(proof.tube.shares)


def slower(plan: Plan, share: float) -> Plan:
    """Return the same path flown at ``share`` of its speed."""
    powers = share ** np.arange(plan.coefficients.shape[2])
    return replace(
        plan,
        times=plan.times / share,
        coefficients=plan.coefficients * powers,
        descent_start=plan.descent_start / share,
        end=plan.end / share,
        decay=plan.decay * share,
    )


def tube_remedies(
    plan: Plan, force: LevelForce, loop: VerticalLoop, errors: ErrorBounds, start: Start
) -> tuple[dict[str, Any], ...]:
    """Return what would pass: one parameter at a time, the largest share of its present value."""
    deadline = time.monotonic() + SEARCH_S

    def passes(
        plan: Plan = plan,
        force: LevelForce = force,
        loop: VerticalLoop = loop,
        errors: ErrorBounds = errors,
    ) -> bool:
        proof = prove_tube(plan, force, loop, errors, start, cell=SEARCH_CELL, max_rounds=10)
        return proof.certified

    low, high = loop.lag
    speed = float(np.abs(_speeds(plan)).max())
    tried: list[tuple[str, str, float, Callable[[float], bool]]] = [
        ("scale of the network", "1", 1.0, lambda x: passes(force=force.scaled(x))),
        ("descent speed (the plan flown slower)", "m/s", speed,
         lambda x: passes(plan=slower(plan, x))),
        ("error bound of the learned force", "N", errors.total,
         lambda x: passes(errors=replace(errors, changing=errors.changing * x,
                                         constant=errors.constant * x))),
        ("motor lag (known to the same share)", "s", (low + high) / 2,
         lambda x: passes(loop=replace(loop, lag=(low * x, high * x)))),
        ("latency", "s", loop.latency, lambda x: passes(loop=replace(loop, latency=x *
                                                                     loop.latency))),
        ("scale of the gains velocity_1_s z and position_1_s z", "1", 1.0,
         lambda x: passes(loop=replace(loop, k_p=loop.k_p * x * x, k_v=loop.k_v * x))),
    ]  # fmt: skip
    found = []
    for parameter, unit, now, works in tried:
        if time.monotonic() > deadline:
            break
        share = _largest(works, deadline)
        at = None if share is None else now * share
        found.append({"parameter": parameter, "unit": unit, "now": now, "passes_at": at})
    return tuple(found)


def _speeds(plan: Plan) -> Array:
    if plan.decay:
        drop = plan.coefficients[0, 2, 0] - plan.coefficients[1, 2, 0]
        return np.array([drop * plan.decay / math.e])
    ends = np.append(plan.times[1:], plan.end)
    found = []
    for begin, end, c in zip(plan.times, ends, plan.coefficients[:, 2], strict=True):
        s = np.linspace(0, max(end - begin, 0), 20)
        found.append(np.polynomial.polynomial.polyval(s, np.arange(1, len(c)) * c[1:]))
    return np.concatenate(found)


def _largest(works: Callable[[float], bool], deadline: float) -> float | None:
    """Return the largest share that works, searching downwards and then by bisection."""
    fails, share = 1.0, 0.7
    while not works(share):
        fails, share = share, 0.5 * share
        if share < 0.04 or time.monotonic() > deadline:
            return None
    while fails - share > PRECISION and time.monotonic() < deadline:
        middle = (share + fails) / 2
        if works(middle):
            share = middle
        else:
            fails = middle
    return share
