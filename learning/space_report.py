"""What a proof in three dimensions says, as the certificate's table: tube, boxes, and what to watch.

Bounds are rounded up. The monitor compares measurements, so each of its limits is a bound of the
proof plus the bound of the noise that the measurement has.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.force_slopes import Z
from neural_lander.controller.setpoint import Plan
from neural_lander.controller.spatial_model import SpatialLoop
from neural_lander.learning.spatial_boxes import SpatialProof

Array = npt.NDArray[np.float64]


def space_table(proof: SpatialProof, plan: Plan, loop: SpatialLoop) -> dict[str, Any]:
    """Return the JSON form; without a tube, the boxes alone."""
    bins = [
        {
            "heights": box.name,
            "start_s": box.start_s,
            "end_s": box.end_s,
            "box": {
                "height_m": _ends(box.height),
                "vertical_speed_m_s": _ends(box.vertical_speed),
                "thrust_n": _ends(box.thrust),
                "tilt_rad": float(box.tilt),
            },
            "reached": {
                "height_m": _ends(box.reached_height),
                "vertical_speed_m_s": _ends(box.reached_speed),
                "thrust_n": _ends(box.reached_thrust),
                "tilt_rad": float(box.reached_tilt),
            },
            "planned_thrust_n": _ends(box.planned_thrust),
            "slopes": {
                "rows": ["x", "y", "z"],
                "columns": ["height [N/m]", "vertical speed [N s/m]", "thrust [N/N]"],
                "lower": box.slopes.lower.tolist(),
                "upper": box.slopes.upper.tolist(),
            },
        }
        for box in proof.boxes
    ]
    table: dict[str, Any] = {
        "plan": plan.name,
        **({"planned": plan.metadata} if plan.metadata else {}),
        "axes": 3,
        "certified": proof.certified,
        "rounds": proof.rounds,
        "start": {
            "position": list(proof.start.position),
            "velocity": list(proof.start.velocity),
            **({} if proof.start.joined is None else {"joined": proof.start.joined.as_dict()}),
        },
        "bins": bins,
        **deck_table(proof),
    }
    tube = proof.tube
    if tube is None or not tube.finite:
        return table
    after = tube.after
    noise = loop.observer * loop.mass * np.array(loop.noise_velocity) * (1 + tube.load)
    noise += loop.shift()
    return table | {
        "cell_s": tube.cell,
        "t_s": np.round(tube.times, 6).tolist(),
        "p_m": _up(tube.position[:, Z]),
        "v_m_s": _up(tube.velocity[:, Z]),
        "reference_m": np.round(proof.cells[Z].middle[:, 0], 6).tolist(),
        "after": {
            "p_m": _up(after.position)[Z],
            "v_m_s": _up(after.velocity)[Z],
        },
        "p_max_m": _up(tube.greatest)[Z],
        "xyz": {
            "p_m": [_up(row) for row in tube.position],
            "v_m_s": [_up(row) for row in tube.velocity],
            "observer_n": [_up(row) for row in tube.bounds.disturbance + noise],
            "after_observer_n": _up(after.disturbance + noise),
            "after_p_m": _up(after.position),
            "after_v_m_s": _up(after.velocity),
            "p_max_m": _up(tube.greatest),
        },
        "shares": {k: round(v, 4) for k, v in tube.shares["z"].items()},
        "shares_xy": {k: round(v, 4) for k, v in tube.shares["x"].items()},
        "watch": _watch(proof, loop),
    }


def deck_table(proof: SpatialProof) -> dict[str, Any]:
    """Return the JSON form of the decks that a proof is about; nothing for a surface at rest."""
    if proof.deck is None:
        return {}
    errors = {key: float(x) for key, x in proof.deck.errors.as_dict().items()}
    return {"deck": {**proof.deck.family.as_dict(), "errors": errors}}


def _watch(proof: SpatialProof, loop: SpatialLoop) -> dict[str, Any]:
    """Return what the monitor compares measurements with."""
    tube = proof.tube
    assert tube is not None
    tilt = max(box.reached_tilt for box in proof.boxes)
    thrust = max(box.reached_thrust[1] for box in proof.boxes)
    turned, share = math.sqrt(2) * loop.noise_attitude, loop.noise_thrust
    s = math.sin(tilt)
    seen = thrust * np.array([turned + share * s] * 2 + [share + turned * s])
    return {
        "tolerance_n": loop.tolerance,
        "longest_step_s": loop.period,
        "tilt_rad": tilt + turned,
        "contract_n": _up(np.array(proof.errors.contract) + seen),
        "noise_position_m": max(loop.noise_position),
        "noise_velocity_m_s": max(loop.noise_velocity),
        "mass_share": math.ceil(tube.load * 1e6) / 1e6,
    }


def _ends(interval: tuple[float, float]) -> list[float]:
    return [float(interval[0]), float(interval[1])]


def _up(values: Array) -> list[float]:
    return [float(x) for x in np.round(np.ceil(np.asarray(values) * 1e6) / 1e6, 6)]
