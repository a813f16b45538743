"""What feeding a deck's motion forward leaves of it, cell by cell, for the tube.

A sample at t sees the command held at s, s - t in [L, L + h]. With D = g d what the deck adds to the
reference, the law commands

    F_c(t) + phi(z^, v^, |F_c|) = m (g e3 + a_d + a_D(t + L) + lead j_D(t + L)) - k_v v~^ - k_p p~^ - d^

so that against F0 at the same instant, beside noise, F_c(t) - F0(t) has
(I - beta) m (a_D(t + L) - a_D(t) + lead j_D(t + L)) e3. What j_D alone asks of F0' is, by the model's
middles, (1 - beta0) m j_D; and so nu(s) has the part (1 - beta0) m (lead - h / 2) j_D(s), which the model
knows, and, bounded here,

    the hold      (1 - beta0) m h (|j_D| / 2 + (h / 2 + lead) |j_D'|)
    the slopes    (beta - beta0) m (L + lead) |j_D|, with beta of the sample, beta0 of the moment held at
    a border      where the middles change between t and s: (L + h) m |beta0 - beta0'| |j_D|

and sideways |beta_jz| m (L + lead) |j_D|. Sups are over [t, s]; all other terms of F0' are seen by the
channel of hold and latency, as without a deck.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neural_lander.controller.force_slopes import ForceSlopes, Z
from neural_lander.controller.spatial_lead import JERK, cells_back, window
from neural_lander.controller.spatial_model import SpatialLoop

Array = npt.NDArray[np.float64]


def deck_left(
    slopes: Sequence[tuple[ForceSlopes, float]],
    loop: SpatialLoop,
    of_cell: npt.NDArray[np.int64],
    moves: Array,
    cell: float,
) -> Array:
    """Return bounds (cells, 3) of the part of nu that is left [N].

    Args:
        slopes: and tilt, of each segment.
        loop: with its ``deck_lead``.
        of_cell: (cells,) the segment of each cell.
        moves: (cells, 5) bounds of D and its derivatives.
        cell: length of a cell [s].
    """
    assert loop.deck_lead is not None
    h, late, lead, m = loop.period, loop.latency, loop.deck_lead, loop.mass
    back = cells_back(loop, cell)
    jerk, next_one = window(moves[:, JERK:], back, math.ceil(late / cell)).T
    effect = [loop.cancelled(s, tilt) for s, tilt in slopes]
    middle = np.array([loop.centres(s, tilt, Z)[2] for s, tilt in slopes])[of_cell]
    low = -window(-np.array([e.beta[0] for e in effect])[of_cell], back, 0)
    high = window(np.array([e.beta[1] for e in effect])[of_cell], back, 0)
    off = np.maximum(high - middle, middle - low)
    change = np.maximum(window(middle, back, 0) - middle, middle + window(-middle, back, 0))
    sideways = window(np.array([e.beta_magnitude[:, Z] for e in effect])[of_cell], back, 0)
    left = sideways * (m * (late + lead) * jerk)[:, None]
    held = h * (jerk / 2 + (h / 2 + lead) * next_one)
    left[:, Z] = m * (np.abs(1 - middle) * held + off * (late + lead) * jerk)
    left[:, Z] += (h + late) * m * change * jerk
    return np.asarray(left)
