"""The thrust room that a tube along the fastest descent needs: plan, tube, plan again.

The tube of one plan says what the next has to leave free, segment by segment, as shares of the
greatest thrust T_max that the planner understands, which knows no learned force:

    below = (least planned - (least reached - |F_xy| / tan(tilt limit))) / T_max
    above = (T_max - most planned - (sqrt(T_max^2 - |F_xy|^2) - most reached)) / T_max

What is reached around a plan changes little with the plan, so a few proofs on the coarse grid find
where the two agree; what is said to pass has passed one of them. The errors are those measured
along the plan that was refused: a guess for another, whose own calibration flights decide.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neural_lander.controller.certificate import ROOM
from neural_lander.controller.errors import InputError
from neural_lander.controller.force_slopes import Z
from neural_lander.controller.setpoint import Plan
from neural_lander.controller.spatial_lead import JERK, cells_ahead, cells_back, window
from neural_lander.controller.spatial_model import SpatialLoop
from neural_lander.controller.spatial_terms import SpatialErrors, SpatialStart
from neural_lander.controller.thrust_room import ThrustRoom
from neural_lander.controller.vehicle import GRAVITY
from neural_lander.learning.spatial_boxes import Radii, SpatialForce, SpatialProof
from neural_lander.learning.spatial_proof import coarse_proof
from neural_lander.learning.tube_proof import Progress

STEPS = (0.0, 0.12, 0.36, 0.62, 1.0)
"""Heights between which room is said [m]: borders of the proof's segments."""
FIRST = ((0.0, 0.95, 0.7), (0.36, 0.85, 0.7))
"""Room of the first plan from heights on [m], below as a share of weight, above of what is over it."""
PROOFS = 8
"""At most so many plans are tried."""
GAIN = 0.02
"""A plan that is not so much faster is not worth a proof [s]."""
MARGIN, STEP = 0.003, 0.005
"""Share of the greatest thrust that is added to what the tube needs, and to which it is rounded up."""

Replan = Callable[[ThrustRoom | None], Plan]
"""From a room to the plan that keeps it; an ``InputError`` where there is none."""


@dataclass(frozen=True)
class RoomFound:
    """A plan whose coarse proof passed."""

    room: ThrustRoom
    plan: Plan
    proof: SpatialProof


def room_remedy(
    replan: Replan,
    plan: Plan,
    force: SpatialForce,
    loop: SpatialLoop,
    asked: SpatialProof,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the certificate's entry: the room with which another plan than ``plan`` would pass, if any.

    ``asked``: the proof along ``plan``, whose errors and start are taken.
    """
    best, tried = search_room(replan, force, loop, asked.errors, asked.start, progress)
    entry = {
        "parameter": ROOM,
        "unit": "1",
        "now": plan.metadata.get("thrust_room"),
        "passes_at": None,
        "proofs": tried,
    }
    if best is None:
        return entry
    return entry | {
        "passes_at": str(best.room),
        "touchdown_s": best.plan.metadata["touchdown_s"],
        "p_max_m": best.proof.greatest().tolist(),
        "note": "with errors as measured along the plan asked for: fly the calibration flights again "
        "along this one",
    }


def search_room(
    replan: Replan,
    force: SpatialForce,
    loop: SpatialLoop,
    errors: SpatialErrors,
    start: SpatialStart,
    progress: Progress | None = None,
) -> tuple[RoomFound | None, int]:
    """Return the room with the fastest plan that passed a coarse proof, None if none did, and how many
    proofs were tried."""
    tell = progress or (lambda share, text: None)
    weight = loop.mass * GRAVITY / loop.thrust_limits[1]
    room = ThrustRoom(tuple((h, _up(a * weight), _up(b * (1 - weight))) for h, a, b in FIRST))
    best: RoomFound | None = None
    radii: list[Radii] | None = None
    seen: set[ThrustRoom] = set()
    plan = _planned(replan, room)
    while plan is not None and room not in seen and len(seen) < PROOFS:
        tell(len(seen) / PROOFS, f"thrust room {room}")
        seen.add(room)
        proof, radii = coarse_proof(plan, force, loop, errors, start, radii)
        passed = proof.certified and (best is None or _time(plan) < _time(best.plan))
        if passed:
            best = RoomFound(room, plan, proof)
        there = room
        if radii is not None:
            needed = room_needed(proof, loop.along(plan))
            room = there.with_each(needed, min if passed else max)
            plan = _planned(replan, room)
        if best is None and radii is None:
            break
        if best is not None and not passed:
            if radii is None or plan is None or _time(plan) > _time(best.plan) - GAIN:
                room = best.room.with_each(there, lambda a, b: _up((a + b) / 2))
                plan = _planned(replan, room)
            if plan is None or _time(plan) > _time(best.plan) - GAIN:
                break
    return best, len(seen)


def _planned(replan: Replan, room: ThrustRoom) -> Plan | None:
    try:
        return replan(room)
    except InputError:
        return None


def _time(plan: Plan) -> float:
    return float(plan.metadata["touchdown_s"])


def room_needed(proof: SpatialProof, loop: SpatialLoop) -> ThrustRoom:
    """Return the room, by height, that the tube of a proof needs of its plan.

    Args:
        proof: with a tube, along a compensated plan.
        loop: with its ``lead``.
    """
    assert loop.lead is not None
    most = loop.thrust_limits[1]
    z = proof.cells[Z]
    back, ahead = cells_back(loop, z.cell), cells_ahead(loop, z.cell)
    forces = loop.mass * np.array([1.0, loop.lead[Z]])
    low = loop.mass * GRAVITY - window(-(z.low[:, 2 : JERK + 1] @ forces), back, ahead)
    high = loop.mass * GRAVITY + window(z.high[:, 2 : JERK + 1] @ forces, back, ahead)
    needs = {step: (0.0, 0.0) for step in STEPS}
    for box, segment in zip(proof.boxes, proof.segments, strict=True):
        part = slice(segment.first, segment.end)
        side = box.reached_sideways
        least, greatest = box.reached_thrust
        greatest = math.sqrt(max(greatest**2 - side**2, 0.0))  # vertical
        floor = max(side / math.tan(loop.tilt_limit), loop.thrust_limits[0])
        below = float(low[part].min()) - (least - floor)
        limit = math.sqrt(max(most**2 - side**2, 0.0))
        above = most - float(high[part].max()) - (limit - greatest)
        heights = z.middle[part, 0]
        for start, end in zip(STEPS, (*STEPS[1:], math.inf), strict=True):
            if start <= max(float(heights.max()), 0.0) and float(heights.min()) < end:
                a, b = needs[start]
                needs[start] = max(a, below / most), max(b, above / most)
    return ThrustRoom(tuple((h, _up(a + MARGIN), _up(b + MARGIN)) for h, (a, b) in needs.items()))


def _up(share: float) -> float:
    return round(math.ceil(share / STEP - 1e-9) * STEP, 4)
