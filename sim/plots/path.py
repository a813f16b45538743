"""Landings in space: paths, their shadows on what lies below, and the surfaces of the scenario.

A descent over one place is drawn with x and y in centimetres, a way with x and y in metres.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from neural_lander.controller.terrain import FLAT, Terrain
from neural_lander.sim.plots.fan import by_controller
from neural_lander.sim.plots.style import SINGLE, Array, marker_of, paper, save_paper, style_of
from neural_lander.sim.trace import Trace

SEEDS = 6
"""Landings drawn of each controller, the first ones: more cannot be told apart."""
EDGE = 0.005
"""A shadow that rises more than this from row to row has met an edge [m]."""
WAY = 0.5
"""A set-point that moves sideways farther than this is a way, not a descent [m]."""


def draw_path(traces: Sequence[Trace], out: Path, terrain: Terrain = FLAT) -> list[Path]:
    """Draw the first landings of every controller in space; write ``out`` as PDF and PNG."""
    with paper():
        return save_paper(path(traces, terrain), out)


def path(traces: Sequence[Trace], terrain: Terrain = FLAT) -> Figure:
    """Return the figure of ``draw_path``; ``traces`` are of one scenario."""
    groups = {name: mine[:SEEDS] for name, mine in by_controller(traces).items()}
    drawn = [trace for mine in groups.values() for trace in mine]
    places = np.concatenate([trace.place for trace in drawn])
    wanted = drawn[0].wanted
    middle = wanted[-1, :2]
    travels = float(np.ptp(wanted[:, :2], axis=0).max()) > WAY
    scale, unit = (1.0, "m") if travels else (100.0, "cm")
    origin = np.zeros(2) if travels else middle
    half = max(0.03, 1.05 * float(np.abs(places[:, :2] - middle).max()))
    low, high = (
        (places[:, :2].min(axis=0) - 0.1, places[:, :2].max(axis=0) + 0.1)
        if travels
        else (middle - half, middle + half)
    )
    if travels:  # a way may be a line: give it some breadth
        centre, breadth = (low + high) / 2, np.maximum(high - low, 0.4 * (high - low).max())
        low, high = centre - breadth / 2, centre + breadth / 2
    tall = 3.3 if travels else 4.1
    figure = Figure(figsize=(SINGLE, tall))
    room = 1.0 - (0.2 + 0.14 * (len(groups) + 2) / 2) / tall  # below the legend
    box = (0.02, 0.02, 0.86, room - 0.02)
    axes: Any = figure.add_axes(box, projection="3d", computed_zorder=False)
    _draw_ground(axes, terrain, low, high, origin, scale)
    for i, (name, mine) in enumerate(groups.items()):
        line = style_of(name, i)
        for trace in mine:
            flat = scale * (trace.place[:, :2] - origin)
            ground = np.array([terrain.height(x, y) for x, y in trace.place[:, :2]])
            ground[1:][np.abs(np.diff(ground)) > EDGE] = np.nan  # a shadow jumps at an edge
            axes.plot(*flat.T, ground, color="0.45", linewidth=0.4, zorder=2)
            axes.plot(*flat.T, trace.place[:, 2], zorder=4, **line | {"linewidth": 0.9})
            end = "X" if trace.crashed else marker_of(name, i)
            axes.plot(
                *flat[-1:].T, trace.place[-1:, 2], end, color=line["color"], markersize=4.5,
                markeredgecolor="black", markeredgewidth=0.4, zorder=5,
            )  # fmt: skip
    aim = scale * (wanted[:, :2] - origin)
    axes.plot(*aim.T, wanted[:, 2], color="black", linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=3)
    top = float(places[:, 2].max()) + 0.05
    axes.set_xlim(*(scale * (np.array([low[0], high[0]]) - origin[0])))
    axes.set_ylim(*(scale * (np.array([low[1], high[1]]) - origin[1])))
    axes.set_zlim(0.0, top)
    breadth = high - low
    axes.set_box_aspect(
        (breadth[0], breadth[1], max(top, 0.3 * breadth.max())) if travels else (1, 1, 1.25),
        zoom=1.12 if travels else 1.0,
    )
    axes.view_init(elev=18, azim=-60)
    axes.set_xlabel(f"x [{unit}]", labelpad=-4)
    axes.set_ylabel(f"y [{unit}]", labelpad=-4)
    axes.set_zlabel("z [m]", labelpad=-5)
    axes.tick_params(pad=-2)
    if travels:
        axes.set_yticks(np.round(np.linspace(low[1], high[1], 3), 1))
        axes.locator_params(axis="x", nbins=5)
        axes.locator_params(axis="z", nbins=5)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color((1, 1, 1, 0))
        axis._axinfo["grid"].update(color="0.9", linewidth=0.5)
    handles = [
        Line2D([], [], marker=marker_of(name, i), markersize=4.5, markeredgecolor="black",
               markeredgewidth=0.4, label=f"{name} (n = {len(mine)})", **style_of(name, i))
        for i, (name, mine) in enumerate(groups.items())
    ]  # fmt: skip
    handles += [
        Line2D([], [], color="black", linewidth=0.8, linestyle=(0, (1, 1.5)), label="set-point"),
        Line2D([], [], color="0.45", linewidth=0.8, label="shadow"),
    ]
    figure.legend(handles=handles, loc="upper center", ncols=2, fontsize=6.5)
    return figure


def _draw_ground(
    axes: Any, terrain: Terrain, low: Array, high: Array, origin: Array, scale: float
) -> None:
    """Draw the floor, and of each box what lies between the corners low and high (2,) [m]."""

    def put(corners: Sequence[tuple[float, float, float]], shade: str, order: float) -> None:
        at = [(scale * (x - origin[0]), scale * (y - origin[1]), z) for x, y, z in corners]
        axes.add_collection3d(
            Poly3DCollection([at], facecolor=shade, edgecolor="0.55", linewidth=0.5, zorder=order)
        )

    (a, b), (c, d) = low, high
    put([(a, b, 0), (c, b, 0), (c, d, 0), (a, d, 0)], "0.97", 0)
    for s in terrain.surfaces:
        x0, x1 = max(a, s.x - s.half_x), min(c, s.x + s.half_x)
        y0, y1 = max(b, s.y - s.half_y), min(d, s.y + s.half_y)
        if x0 >= x1 or y0 >= y1:
            continue
        sw, se, ne, nw = ((x, y, s.top(x, y)) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
        put([(x0, y0, 0), (x1, y0, 0), se, sw], "0.80", 1)
        put([(x1, y0, 0), (x1, y1, 0), ne, se], "0.86", 1)
        put([sw, se, ne, nw], "0.92", 1.1)
