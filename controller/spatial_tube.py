"""The tube in three dimensions: how far from its plan the vehicle can be, whatever happens.

As ``tube`` for the vertical loop: what comes from outside is put together for every cell of the
time grid, and ``causal_bounds`` turns it into bounds, here with the model of ``spatial_model``, one
block for each axis. The contract's error c enters like the force error, but where the real force
is; a jump of the wanted acceleration moves F0 by (I - beta) m times the jump.

Along a compensated plan what ``spatial_lead`` says is left is added to the command's noise, and its
kicks to the inner loop's state; the tube of the hover says first how far the mass that is flown, and
the step of the observer when it is taken, can be off.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import expm

from neural_lander.controller.causal_bounds import (
    CausalBounds,
    CoupledModel,
    bounds_along,
    running_maximum,
)
from neural_lander.controller.force_slopes import Z
from neural_lander.controller.spatial_deck import deck_left
from neural_lander.controller.spatial_lead import (
    JERK,
    LeftOver,
    left_over,
    mass_found,
    weighing_cell,
)
from neural_lander.controller.spatial_model import (
    AXES,
    OUTPUTS,
    SpatialLoop,
    channel_names,
    unknown_names,
)
from neural_lander.controller.spatial_terms import (
    AxisBounds,
    AxisCells,
    SpatialErrors,
    SpatialSegment,
    SpatialStart,
    SpatialTube,
)

Array = npt.NDArray[np.float64]


def tube_in_space(
    cells: AxisCells,
    segments: Sequence[SpatialSegment],
    loop: SpatialLoop,
    errors: SpatialErrors,
    start: SpatialStart,
    rest: int,
    descent: float = 0.0,
    moves: Array | None = None,
) -> SpatialTube:
    """Return the tube along a plan; infinite where a condition of the recursion fails.

    Args:
        cells: the reference; from cell ``rest`` on it is at rest, in the last segment.
        segments: they cover the cells in order; every ``cancelled(...).least`` above 0.
        loop: the loop's numbers.
        errors: of the learned force and of the contract.
        start: at the first cell's start, with its force.
        rest: first cell at which the plan is at rest.
        descent: when the descent of a compensated plan begins [s]; a segment begins at its
            ``weighing_cell``.
        moves: (cells, 5) bounds of what a deck adds to the reference's height and its derivatives;
            what of it slopes act on is in ``cells`` already.
    """
    assert start.force is not None
    models = [loop.channels(s.slopes, s.tilt) for s in segments]
    of_cell = np.concatenate(
        [np.full(s.end - s.first, k, dtype=np.int64) for k, s in enumerate(segments)]
    )
    n, cell = len(of_cell), cells[0].cell
    assert n == len(cells[0].low)
    begin, shapes = [], []
    inject = [np.zeros((n, len(b.A))) for b in models[0].blocks]
    first_disturbance = loop.observer * loop.mass * np.array(loop.noise_velocity)
    if start.beyond is None:  # F0 has it from the first sample on, force and pipeline do not
        effect = loop.cancelled(segments[0].slopes, segments[0].tilt)
        x, y, z = start.force + effect.rest @ first_disturbance
        start = replace(start, force=(float(x), float(y), float(z)))
    assert start.force is not None
    for j, block in enumerate(models[0].blocks):
        states = np.zeros(len(block.A))
        states[:3] = start.position[j], start.velocity[j], start.force[j]
        if loop.observer:
            states[-1] = first_disturbance[j]
        shape = np.eye(len(states))
        if start.beyond is not None:  # one that is off wants more force, and does not have it yet
            reply = loop.reply(segments[0].slopes, j)[0]
            states[2] = start.beyond[j]
            shape[2, :2] = reply * loop.k_p[j], reply * loop.k_v[j]
            if loop.observer:
                shape[2, -1] = reply
        begin.append(states)
        shapes.append(shape)
    for i, moved in _jumps(cells, segments, loop, of_cell):
        for j in range(3):
            inject[j][i, 2] += moved[j]
    reference = np.stack([c.middle[:, 1:] for c in cells], axis=1)
    constant = np.array(errors.constant, dtype=np.float64)
    base = _outside(cells, segments, loop, errors, start, of_cell, moves)
    outside, load, step = base, 0.0, 0.0
    if loop.lead is not None:
        weighing = weighing_cell(loop, descent, cell)
        if loop.observer:  # of all the time before the mass is known
            hover = slice(0, min(weighing + 3, n))
            more, kicks = _left(cells, segments, loop, of_cell, np.zeros(n))
            found = bounds_along(
                models, of_cell[hover], cell, (base + more)[hover], begin,
                [(i + k)[hover] for i, k in zip(inject, kicks, strict=True)], reference[hover],
                constant, hover.stop - 1, shapes,
            )  # fmt: skip
            fed = found.amplitude[:, _channels_named(loop, "observer's sampling")[Z]]
            fed = fed + errors.changing[Z]
            fed = fed + loop.one_noise * loop.observer * loop.mass * loop.noise_velocity[Z]
            load, step = mass_found(loop, descent, cell, fed, errors.constant[Z])
        of_load = np.where(np.arange(n) >= weighing, load, 0.0)
        models = [loop.channels(s.slopes, s.tilt, float(of_load[s.first])) for s in segments]
        more, kicks = _left(cells, segments, loop, of_cell, of_load)
        outside = base + more
        inject = [i + k for i, k in zip(inject, kicks, strict=True)]
        _take_mass(
            models, segments, loop, of_cell, (weighing, descent, cell), step, outside, inject
        )
    found = bounds_along(
        models, of_cell, cell, outside, begin, inject, reference, constant, rest, shapes
    )
    seen = [b.seen for b in models[0].blocks]
    hold = _channels_named(loop, "hold and latency")
    computed = found.amplitude[:, hold]
    if start.beyond is not None:  # what the pipeline holds at first is upright, at weight
        empty = replace(start, force=(0.0, 0.0, 0.0))
        places = _columns_named(loop, "hold and latency")
        pipeline = base - _outside(cells, segments, loop, errors, empty, of_cell, moves)
        computed = computed - pipeline[:, places]
    abscissa = np.array([np.linalg.eigvals(b.A).real.max() for b in models[-1].blocks])
    gain = np.array([loop.noise_gain(s.slopes, s.tilt)[0] for s in segments])[of_cell]
    shifted = np.array([loop.cancelled(s.slopes, s.tilt).rest @ loop.shift() for s in segments])
    shifted = shifted[of_cell]  # F0 counts with d - d2, the observer has d
    direct = loop.one_noise * running_maximum(gain, reach_of(loop, cell)) * loop.noise_velocity
    if moves is not None and loop.deck_lead is not None:
        fed = np.array([loop.deck_fed(s.slopes, s.tilt) for s in segments])[of_cell]
        direct[:, Z] += np.abs(fed) * moves[:, JERK]
    return SpatialTube(
        cell,
        np.arange(n, dtype=np.float64) * cell,
        _axis_bounds(found.rows, seen, computed + direct, shifted),
        _axis_bounds(found.rows_after, seen, found.amplitude_after[hold] + direct[-1], shifted[-1]),
        found.small_gain,
        found.small_gain_after,
        abscissa,
        _named(found, loop),
        load,
        step,
    )


def _channels_named(loop: SpatialLoop, name: str) -> list[int]:
    """Return where among all channels one of x, y, z stands."""
    names = channel_names(loop)
    return [k * len(names) + names.index(name) for k in range(3)]


def _columns_named(loop: SpatialLoop, wanted: str) -> list[int]:
    """Return where among all unknown inputs one of x, y, z stands."""
    names = [(axis, name) for axis in AXES for name in
             (*channel_names(loop), *unknown_names(loop, axis))]  # fmt: skip
    return [names.index((axis, wanted)) for axis in AXES]


def _left(
    cells: AxisCells,
    segments: Sequence[SpatialSegment],
    loop: SpatialLoop,
    of_cell: npt.NDArray[np.int64],
    load: Array,
) -> tuple[Array, list[Array]]:
    """Return what a feed-forward leaves: of the unknown inputs (cells, all), and jumps by block.

    ``load`` (cells,): bounds of |kappa|.
    """
    cell = cells[0].cell
    left: LeftOver = left_over(cells, [(s.slopes, s.tilt) for s in segments], loop, of_cell, load)
    rest = np.array([loop.cancelled(s.slopes, s.tilt).rest[:, Z] for s in segments])[of_cell]
    size = np.array([s.slopes.magnitude[:, 2] for s in segments])[of_cell]
    heard = load * loop.observer * loop.mass * loop.noise_velocity[Z]
    reach = reach_of(loop, cell)
    names = sum(len(channel_names(loop)) + len(unknown_names(loop, a)) for a in AXES)
    outside = np.zeros((len(of_cell), names))
    outside[:, _columns_named(loop, "hold and latency")] = left.held + running_maximum(
        rest * heard[:, None], reach
    )
    kicks = []
    rate = (1 / loop.lag[0] + 1 / loop.lag[1]) / 2
    unknown = (1 / loop.lag[0] - 1 / loop.lag[1]) / 2 / rate
    for j in range(3):
        _, b, _ = loop.contract(j)
        kick = np.zeros((len(of_cell), 2 + len(b) + bool(loop.observer)))
        kick[:, 1 + len(b)] = b[-1] * (1 + unknown) * left.kick[:, j]
        kicks.append(kick)
    if loop.observer:  # it does not see that step of the real force until its next sample
        sampled = size * kicks[Z][:, 2:3]
        sampled[:, Z] += kicks[Z][:, 2]
        sampled = running_maximum(sampled, math.ceil(loop.period / cell - 1e-9))
        sampled[:, Z] += heard
        outside[:, _columns_named(loop, "observer's sampling")] = sampled
    return outside, kicks


def _take_mass(
    models: Sequence[CoupledModel],
    segments: Sequence[SpatialSegment],
    loop: SpatialLoop,
    of_cell: npt.NDArray[np.int64],
    when: tuple[int, float, float],
    step: float,
    outside: Array,
    inject: Sequence[Array],
) -> None:
    """Let the observer's force step by up to ``step`` [N] when the mass is taken, and F0 with it.

    ``when``: cell, start of the descent [s], length of a cell [s]. The step comes in this cell or, up
    to two periods later, in the next: e^{At} J = e^{A (t + r)} J + e^{At} (I - e^{Ar}) J.
    """
    if step == 0:
        return
    first, descent, cell = when
    reach, places = reach_of(loop, cell), _columns_named(loop, "hold and latency")
    last = int((descent - loop.latency + 2 * loop.period) / cell)
    for i in range(first, min(last, len(of_cell) - 1) + 1):
        segment = segments[of_cell[i]]
        moved = loop.cancelled(segment.slopes, segment.tilt).rest[:, Z] * step
        for j, block in enumerate(models[of_cell[i]].blocks):
            jump = np.zeros(len(block.A))
            jump[2] = moved[j]
            jump[-1] += step * (j == Z)
            if i > first:
                jump = expm(np.abs(block.A) * 2 * loop.period) @ jump - jump
            inject[j][i] += jump
        outside[i : i + reach + 2, places] += moved


def reach_of(loop: SpatialLoop, cell: float) -> int:
    """Return over how many cells before this one a command that is held now was computed."""
    return math.ceil((loop.period + loop.latency) / cell - 1e-9)


def _axis_bounds(
    rows: Sequence[Array], seen: Sequence[int], command: Array, shifted: Array
) -> AxisBounds:
    def column(k: int) -> Array:
        return np.stack([r[..., n + k] for r, n in zip(rows, seen, strict=True)], axis=-1)

    outputs = [column(OUTPUTS.index(name)) for name in OUTPUTS]
    delta = np.stack([r[..., 0] for r in rows], axis=-1) + shifted
    position, velocity, wanted, disturbance, real = outputs
    return AxisBounds(position, velocity, delta, wanted, disturbance, real, command)


def _jumps(
    cells: AxisCells,
    segments: Sequence[SpatialSegment],
    loop: SpatialLoop,
    of_cell: npt.NDArray[np.int64],
) -> list[tuple[int, Array]]:
    """Return the cells in which the wanted acceleration jumps, and how far F0 moves (3,) [N]."""
    found = []
    for axis, c in enumerate(cells):
        for at, size in c.jumps:
            i = int(at / c.cell + 1e-9)
            if i < len(of_cell):
                segment = segments[of_cell[i]]
                rest = loop.cancelled(segment.slopes, segment.tilt).rest
                found.append((i, np.asarray(rest[:, axis] * loop.mass * abs(size))))
    return found


def _outside(
    cells: AxisCells,
    segments: Sequence[SpatialSegment],
    loop: SpatialLoop,
    errors: SpatialErrors,
    start: SpatialStart,
    of_cell: npt.NDArray[np.int64],
    moves: Array | None = None,
) -> Array:
    """Return the amplitude (cells, all unknown inputs) of what comes from outside."""
    assert start.force is not None
    cell = cells[0].cell
    reach = reach_of(loop, cell)
    noise = np.array(
        [loop.command_noise(s.slopes, s.tilt, s.surface, s.setpoint) for s in segments]
    )[of_cell]
    noise = running_maximum(noise, reach)
    noise[: reach + 1] = np.maximum(noise[: reach + 1], start.force)
    for i, moved in _jumps(cells, segments, loop, of_cell):
        noise[i : i + reach + 2] += moved
    measured = np.array(
        [
            loop.observer_noise(s.slopes, s.tilt, s.thrust[1], errors.step, s.sideways, s.surface)
            for s in segments
        ]
    )[of_cell]
    measured = running_maximum(measured, math.ceil(loop.period / cell - 1e-9))
    jerk: Array | float = 0.0
    if moves is not None and loop.deck_lead is not None:
        noise = noise + deck_left(
            [(s.slopes, s.tilt) for s in segments], loop, of_cell, moves, cell
        )
        jerk = moves[:, JERK]
    columns = []
    for j, axis in enumerate(AXES):
        radius = cells[j].radius
        bound: dict[str, Any] = {
            "hold and latency": noise[:, j],
            "observer's sampling": measured[:, j],
            "force error": errors.changing[j],
            "contract error": errors.contract[j],
            "velocity noise": loop.noise_velocity[j],
            "deck's jerk": jerk,
            "reference speed": radius[:, 1],
            "reference acceleration": radius[:, 2],
            "reference jerk": radius[:, 3],
        }
        for name in (*channel_names(loop), *unknown_names(loop, axis)):
            columns.append(np.broadcast_to(bound.get(name, 0.0), len(of_cell)))
    return np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.float64)


def _named(found: CausalBounds, loop: SpatialLoop) -> dict[str, dict[str, float]]:
    """Return the shares of the greatest position errors by name; each axis adds up to 1."""
    result = {}
    for axis, parts in zip(AXES, found.shares, strict=False):
        names = (*channel_names(loop), *unknown_names(loop, axis), "start", "reference",
                 "constant force error")  # fmt: skip
        result[axis] = dict(zip(names, map(float, parts), strict=True))
    return result
