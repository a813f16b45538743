"""What feeding delays forward along a plan leaves of them, cell by cell, for the tube.

A sample at t sees the command held at s, u = s - t in [L, L + h]. Along a compensated plan it is

    F_c(t) + phi(z^ + Dz, v^ + Dv, |F_c|) = m (g e3 + (1 + kappa) (a_d + lead j_d)(t + L))
                                            - k_v v~^ - k_p p~^ - d^ + s
    Dz = z_d(t + L + lag) - z_d(t), Dv likewise, heights below the floor taken as 0

kappa on the vertical axis only. Against F0 at the same instant, exactly,

    F_c(t) - F0(t) = (I - beta) (noise + m (a_d(t+L) - a_d(t)) + m lead j_d(t+L)
                                 + kappa m (a_d + lead j_d)(t+L) - a_z Dz - a_v Dv)

with slopes between the two. What the plan alone asks of F0' has the model's middles as factors,
F0_d' = (1 - beta0) (m j_d - a_z0 v_d - a_v0 a_d), and so has the part of nu that the model knows,
(1 - beta0) (m lead j_d - a_z0 (z_d(s + lag) - z_d(s)) - a_v0 (v_d(s + lag) - v_d(s))) to third order
in the plan's derivatives at s, half a period later. nu(s) = F_c(t) - F0(s) is then the known part,
-integral_t^s (F0' - F0_d'), the noise, and, bounded here,

    the hold      the plan moves on during a period; the series' ends; where j_d changes along a piece,
                  m lead h |j_d'| more
    the slopes    (a_z - a_z0) Dz, (a_v - a_v0) Dv and (beta - beta0) times everything fed forward
    the load      kappa m (a_d + lead j_d)
    a border      where the middles change between t and s
    the start     until the first command arrives nothing is fed forward
    a kick        where j_d jumps, the samples before it are held for up to a period more: a nu of
                  m lead |jump|, which counts by its integral over time

The mass that is flown, kappa = -d_new / m g, is what the observer has found when the descent begins
(``hover_mass``), so that the tube of the hover bounds it: d^ and its low pass are linear in what the
observer is fed, f = e - n, and so are d_new and the step d_new - d that d takes. From then on the
observer's momentum is (1 + kappa) m v^, which feeds it kappa m v_z' and kappa l m n_v besides.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neural_lander.controller.force_slopes import ForceSlopes, Z
from neural_lander.controller.hover_mass import SETTLED, STEADY_RATE, shown
from neural_lander.controller.reference_cells import ReferenceCells
from neural_lander.controller.spatial_model import SpatialLoop
from neural_lander.controller.vehicle import GRAVITY

Array = npt.NDArray[np.float64]
PLACE, SPEED, ACCELERATION, JERK = range(4)
"""Columns of ``ReferenceCells``."""


@dataclass(frozen=True)
class LeftOver:
    """What the feed-forward leaves, for each cell and axis."""

    held: Array
    """(cells, 3) Part of nu that is not known, beside noise [N]."""
    kick: Array
    """(cells, 3) Integral of |nu| over the cell that ``held`` does not have [N s]."""


def window(values: Array, back: int, ahead: int) -> Array:
    """Return the maximum over each of values (cells, ...), ``back`` before it and ``ahead`` after."""
    n = len(values)
    padded = np.concatenate(
        [np.repeat(values[:1], back, axis=0), values, np.repeat(values[-1:], ahead, axis=0)]
    )
    return np.asarray(np.max([padded[k : k + n] for k in range(back + ahead + 1)], axis=0))


def cells_ahead(loop: SpatialLoop, cell: float) -> int:
    """Return how many cells after its own a sample asks the plan about."""
    assert loop.lead is not None
    return math.ceil((loop.lead[Z] + loop.latency + loop.period) / cell - 1e-9)


def cells_back(loop: SpatialLoop, cell: float) -> int:
    """Return how many cells before its own a held command was computed."""
    return math.ceil((loop.period + loop.latency) / cell - 1e-9)


def left_over(
    cells: Sequence[ReferenceCells],
    slopes: Sequence[tuple[ForceSlopes, float]],
    loop: SpatialLoop,
    of_cell: npt.NDArray[np.int64],
    load: Array,
) -> LeftOver:
    """Return what the feed-forward leaves.

    Args:
        cells: the reference of x, y and z.
        slopes: and tilt, of each segment.
        loop: with its ``lead``.
        of_cell: (cells,) the segment of each cell.
        load: (cells,) bound of |kappa|.
    """
    assert loop.lead is not None
    cell, h, late, m = cells[0].cell, loop.period, loop.latency, loop.mass
    lag = loop.lead[Z]
    back, ahead = cells_back(loop, cell), cells_ahead(loop, cell)
    short = math.ceil(h / cell - 1e-9)
    sizes = [np.maximum(np.abs(c.low), np.abs(c.high)) for c in cells]
    wide = [window(s, back, ahead) for s in sizes]  # over all times that a command has to do with
    near = [window(s, short, 0) for s in sizes]
    # how far j_d is from being one number over the last period, and until the command is thrust
    spread = [window(c.high[:, JERK], short, 0) + window(-c.low[:, JERK], short, 0) for c in cells]
    later = window(cells[Z].high[:, JERK], short, ahead) + window(
        -cells[Z].low[:, JERK], short, ahead
    )

    # and by how much it changes between a sample's question and the instant that it is for
    turned = [
        np.zeros(len(of_cell)) if c.snap is None else loop.lead[j] * window(c.snap, short, 0)
        for j, c in enumerate(cells)
    ]

    centre = np.array([loop.centres(s, tilt, Z) for s, tilt in slopes])
    effect = [loop.cancelled(s, tilt) for s, tilt in slopes]
    ends = np.array(
        [(s.at(0), s.at(1), e.beta) for (s, _), e in zip(slopes, effect, strict=True)]
    )  # (segments, 3, 2)
    size = window(np.array([s.magnitude for s, _ in slopes])[of_cell], back, 0)
    beta_size = window(np.array([e.beta_magnitude for e in effect])[of_cell], back, 0)
    a_z, a_v, beta = centre[of_cell].T
    off = np.maximum(
        window(ends[of_cell, :, 1], back, 0) - centre[of_cell],
        centre[of_cell] + window(-ends[of_cell, :, 0], back, 0),
    )  # (cells, 3) farthest that a_z, a_v, beta of the sample are from the middles held against

    speed, acceleration, jerk = wide[Z][:, SPEED], wide[Z][:, ACCELERATION], wide[Z][:, JERK]
    moved_z, moved_v = (late + lag) * speed, (late + lag) * acceleration
    below = np.maximum(window(-cells[Z].low[:, PLACE], back, ahead), 0.0)
    heavier = load * m * (near[Z][:, ACCELERATION] + lag * near[Z][:, JERK])
    fed = [m * (late + loop.lead[j]) * wide[j][:, JERK] for j in range(3)]
    for j in range(3):
        fed[j] = fed[j] + size[:, j, 0] * moved_z + size[:, j, 1] * moved_v
    fed[Z] = fed[Z] + heavier

    held = np.zeros((len(of_cell), 3))
    for j in range(3):
        held[:, j] = m * h * (near[j][:, JERK] / 2 + spread[j] + turned[j])
        for i in range(Z):
            held[:, j] += beta_size[:, j, i] * fed[i]
        if j < Z:
            held[:, j] += size[:, j, 0] * moved_z + size[:, j, 1] * moved_v
            held[:, j] += beta_size[:, j, Z] * fed[Z]
    keep = np.abs(1 - beta)
    place_left = h / 2 * speed + lag * h * (acceleration + lag / 2 * jerk) + lag**3 / 6 * later
    speed_left = h / 2 * acceleration + lag * h * jerk + lag**2 / 2 * later
    z = m * h * (near[Z][:, JERK] / 2 + spread[Z] + turned[Z])
    z += np.abs(a_z) * (place_left + below) + np.abs(a_v) * speed_left
    z += off[:, 0] * moved_z + off[:, 1] * moved_v + heavier
    z = keep * z + off[:, 2] * fed[Z]
    for i in range(Z):
        z += beta_size[:, Z, i] * fed[i]
    drives = np.array([loop.drive(s, tilt, Z) for s, tilt in slopes])[of_cell]
    change = np.maximum(window(drives, back, 0) - drives, drives + window(-drives, back, 0))
    z += (h + late) * (change * wide[Z][:, SPEED:]).sum(axis=1)
    held[:, Z] = z

    held[: back + 1] += _not_fed(cells, slopes[0], loop, back)

    kick = np.zeros_like(held)
    for j, c in enumerate(cells):
        gain = keep if j == Z else np.ones(len(keep))
        for at, jump in c.kinks:
            first, last = (int(t / cell + s) for t, s in ((at, -1e-9), (at + h, 1e-9)))
            for i in range(max(first, 0), min(last, len(kick) - 1) + 1):
                inside = min((i + 1) * cell, at + h) - max(i * cell, at) + 1e-9
                kick[i, j] += gain[i] * m * loop.lead[j] * abs(jump) * max(inside, 0.0)
    return LeftOver(held, kick)


def _not_fed(
    cells: Sequence[ReferenceCells], slopes: tuple[ForceSlopes, float], loop: SpatialLoop, back: int
) -> Array:
    """Return bounds (3,) of what the model has fed forward in the first ``back`` cells, when what is
    held was commanded before the flight: integral_0^s F0_d', and the known part of nu [N]."""
    found = np.zeros(3)
    for j, c in enumerate(cells):
        low, high = c.low[: back + 1, SPEED:].min(axis=0), c.high[: back + 1, SPEED:].max(axis=0)
        size = np.maximum(np.abs(low), np.abs(high))
        time = (back + 1) * c.cell
        a_z, a_v, m = np.abs(loop.drive(*slopes, j))
        passed = a_z * time * size[0] + a_v * time * size[1]
        passed += m * min(high[1] - low[1], time * size[2])
        found[j] = passed + np.abs(loop.fed_forward(*slopes, j)) @ size
    return found


def weighing_cell(loop: SpatialLoop, descent: float, cell: float) -> int:
    """Return the cell in which the observer's force is taken for a mass."""
    return max(0, int((descent - loop.latency) / cell - 1e-9))


def mass_found(
    loop: SpatialLoop, descent: float, cell: float, fed: Array, constant: float
) -> tuple[float, float]:
    """Return bounds of |kappa|, and of the step that the observer's d takes with it [N].

    Args:
        loop: with its observer.
        descent: when the descent begins [s].
        cell: length of a cell [s].
        fed: (cells,) bounds of what the observer is fed, e - n, without its constant part [N].
        constant: bound of that part [N].
    """
    h, ell, weight = loop.period, loop.observer, loop.mass * GRAVITY
    noise = ell * loop.mass * loop.noise_velocity[Z]
    shift = float(loop.shift()[Z])
    found = step = 0.0
    first = math.ceil((descent - loop.latency) / h - 1e-6)
    for last in (first, first + 1):  # rounding decides which sample it is
        share = shown(ell, last * h) if ell > 0 and last > 0 else 0.0
        if share < SETTLED * 0.999:
            continue
        weight_of = h * STEADY_RATE * (1 - h * STEADY_RATE) ** np.arange(last - 1, -1, -1.0)
        keep, passed = math.exp(-ell * h), np.zeros(last + 1)
        for i in range(last - 1, -1, -1):  # passed[i]: of d at sample i, at the low pass's end
            passed[i] = weight_of[i] + keep * passed[i + 1]
        of_new = (1 - keep) * passed[1:] / share
        of_step = of_new - (1 - keep) * keep ** np.arange(last - 1, -1, -1.0)
        ends = h * np.arange(last + 1)
        early = np.clip((ends[:-1] / cell - 1e-9).astype(np.int64), 0, len(fed) - 1)
        late = np.clip((ends[1:] / cell + 1e-9).astype(np.int64), 0, len(fed) - 1)
        size = np.maximum(fed[early], fed[late])
        begun = abs(passed[0]) / share * noise
        heard = (noise + shift) / share
        new = np.abs(of_new) @ size + abs(of_new.sum()) * constant + begun + heard
        kept = abs(passed[0] / share - keep**last) * noise
        moved = np.abs(of_step) @ size + abs(of_step.sum()) * constant + kept + heard
        limited = min(float(new), loop.observer_limit)
        found = max(found, limited / weight)
        step = max(step, float(moved) + noise * (1 + limited / weight) + shift)
    return found, step
