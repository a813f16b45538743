"""What pictures need of one flight: heights, errors, places and forces on a coarse grid of time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.monitor import Limits
from neural_lander.sim.summary import along_the_plan, height_over_end, hover_of

Array = npt.NDArray[np.float64]

STEP = 0.02
"""Between rows of a trace [s]; every flight has its rows at the same times."""


@dataclass(frozen=True)
class Trace:
    """One flight, n rows at multiples of ``STEP``; the last row may be between two of them."""

    controller: str
    scenario: str
    seed: int
    crashed: bool
    certified: bool | None
    time: Array
    """(n,) [s]"""
    place: Array
    """(n, 3) true position in the world [m]."""
    wanted: Array
    """(n, 3) set-point [m]."""
    height: Array
    """(n,) above standing on the surface under the plan's end [m]."""
    clear: Array
    """(n,) above standing on whatever lies below [m]."""
    reference: Array
    """(n,) wanted height above that, never below it [m]."""
    force: Array
    """(n,) true residual force upward [N]."""
    learned: Array
    """(n,) what the controller's model says it is [N]."""
    free: int
    """Rows before first contact."""
    planned: int
    """Rows that a certificate is about: see ``summary.along_the_plan``."""
    hover: float
    """When the plan begins to move [s]."""
    tube: Array | None
    """(n, 3) half-widths of the certified tube [m]; None: it has none."""

    @property
    def error(self) -> Array:
        """Height over reference before first contact (free,) [m]."""
        return self.height[: self.free] - self.reference[: self.free]


def trace_of(log: FlightLog, summary: Mapping[str, Any], limits: Limits | None = None) -> Trace:
    """Return what is drawn of a flight; ``limits`` are those of its certificate."""
    time = log["time"]
    every = max(1, round(STEP / float(time[1] - time[0])))
    touching = np.flatnonzero(log["truth_contact_force"] > 0)
    contact = int(touching[0]) if len(touching) else None
    rows = np.unique(np.append(np.arange(0, len(log), every), len(log) - 1))
    kept = log.rows(rows)
    return Trace(
        controller=str(summary["controller"]),
        scenario=str(summary["scenario"]),
        seed=int(summary["seed"]),
        crashed=bool(summary["crashed"]),
        certified=summary["certified"],
        time=kept["time"],
        place=kept["truth_position"],
        wanted=kept["setpoint_position"],
        height=height_over_end(kept),
        clear=kept["truth_height"],
        reference=np.maximum(kept["reference_height"], 0.0),
        force=kept["truth_force"][:, 2],
        learned=kept["learned_force"][:, 2],
        free=int(np.searchsorted(rows, len(log) if contact is None else contact)),
        planned=int(np.searchsorted(rows, along_the_plan(log, contact))),
        hover=hover_of(log),
        tube=None if limits is None else limits.tube_at(kept["time"]),
    )
