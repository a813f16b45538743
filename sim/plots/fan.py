"""Landings over many seeds as a fan: median and pointwise 95 % band of height and height error.

One column a controller, four beside one another. The error is drawn until first contact, and as long
as 95 % of the flights that did not crash are in the air; a crash is a cross where it happened. With fewer
than 40 flights the band's edges lie between the outermost ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural_lander.sim.plots.style import (
    DOUBLE,
    SINGLE,
    Array,
    footnote,
    paper,
    save_paper,
    thin_style_of,
    tidy,
    wide_scale,
)
from neural_lander.sim.trace import Trace

ACROSS = 4
"""Controllers side by side."""
STILL = 0.95
"""A band of flights that end is drawn as long as this share of those that did not crash goes on."""
LINEAR = 10.0
"""Height errors up to this are drawn on a linear scale where others are much larger [mm]."""


@dataclass(frozen=True)
class Band:
    """Pointwise quantiles over flights, at m times."""

    time: Array
    low: Array
    """2.5 %"""
    median: Array
    high: Array
    """97.5 %"""


def band(traces: Sequence[Trace], values: Sequence[Array], hold: bool = False) -> Band:
    """Return median and 95 % band of ``values``, one array a trace, each from the trace's first row on.

    Args:
        traces: of one controller.
        values: (rows,) each, perhaps fewer than the trace has.
        hold: whether a flight that is over keeps its last value; else it counts no more, and the band
            ends where fewer than ``STILL`` of the flights are left.
    """
    longest = max(traces, key=lambda trace: len(trace.time))
    table = np.full((len(traces), len(longest.time)), np.nan)
    for row, value in zip(table, values, strict=True):
        row[: len(value)] = value
        if hold and len(value):
            row[len(value) :] = value[-1]
    known = np.isfinite(table).sum(axis=0)
    ends = np.array([len(value) for value in values])
    crashed = np.array([trace.crashed for trace in traces])
    left = len(traces) - (crashed[:, None] & (ends[:, None] <= np.arange(len(known)))).sum(axis=0)
    kept = np.flatnonzero((known > 0) & (known >= STILL * left))
    low, median, high = np.nanquantile(table[:, kept], (0.025, 0.5, 0.975), axis=0)
    return Band(longest.time[kept], low, median, high)


def by_controller(traces: Sequence[Trace]) -> dict[str, list[Trace]]:
    """Return the traces of each controller, in order of appearance."""
    groups: dict[str, list[Trace]] = {}
    for trace in traces:
        groups.setdefault(trace.controller, []).append(trace)
    return groups


def draw_fan(traces: Sequence[Trace], out: Path, baseline: str | None = None) -> list[Path]:
    """Draw height and height error of every controller; write ``out`` as PDF and PNG.

    Args:
        traces: of one scenario.
        out: path without suffix.
        baseline: whose median error is repeated in the other panels.
    """
    with paper():
        return save_paper(fan(traces, baseline), out)


def fan(traces: Sequence[Trace], baseline: str | None = None) -> Figure:
    """Return the figure of ``draw_fan``."""
    groups = by_controller(traces)
    across = min(ACROSS, len(groups))
    blocks = -(-len(groups) // across)
    width = SINGLE if across == 1 else DOUBLE
    figure = Figure(figsize=(width, 2.9 * blocks + 0.25), layout="constrained")
    panels = figure.subplots(2 * blocks, across, squeeze=False, sharex=True)
    start = max(0.0, min(trace.hover for trace in traces) - 0.5)
    errors = {
        name: band(mine, [1e3 * trace.error for trace in mine]) for name, mine in groups.items()
    }
    heights = {
        name: band(mine, [trace.height for trace in mine], hold=True)
        for name, mine in groups.items()
    }
    top = max(float(b.high[b.time >= start].max(initial=0.0)) for b in heights.values())
    shown = {name: b.time >= start for name, b in errors.items()}
    sizes = [
        float(np.abs([b.low[shown[name]], b.high[shown[name]]]).max(initial=0.0))
        for name, b in errors.items()
    ]
    scale = ""
    for i, (name, mine) in enumerate(groups.items()):
        line = thin_style_of(name, i)
        height, error = panels[2 * (i // across) : 2 * (i // across) + 2, i % across]
        longest = max(mine, key=lambda trace: len(trace.time))
        height.plot(longest.time, longest.reference, color="0.8", linewidth=3, zorder=1)
        _draw_band(height, heights[name], line)
        error.axhline(0.0, color="0.6", linewidth=0.6)
        if baseline in groups and name != baseline:
            b = errors[str(baseline)]
            error.plot(b.time, b.median, color="black", linewidth=0.8, linestyle=(0, (1, 1.5)))
        _draw_band(error, errors[name], line)
        for trace in mine:
            if trace.crashed:
                height.plot(trace.time[-1], trace.height[-1], "kx", markersize=4)
        certified = {trace.certified for trace in mine}
        note = "\nuncertified" if False in certified else ""
        height.set_title(f"{name}{note}")
        scale = wide_scale(error, "y", sizes, LINEAR)
        for axes in (height, error):
            tidy(axes)
            axes.label_outer(remove_inner_ticks=False)
        error.set_xlabel("time [s]")
        error.tick_params(labelbottom=True)
    for unused in range(len(groups), across * blocks):
        for axes in panels[2 * (unused // across) : 2 * (unused // across) + 2, unused % across]:
            axes.remove()
    largest = 1.08 * max([*sizes, 1.0])
    least = min(float(b.low[shown[name]].min(initial=0.0)) for name, b in errors.items())
    most = max(float(b.high[shown[name]].max(initial=0.0)) for name, b in errors.items())
    for block in range(blocks):
        height, error = panels[2 * block, 0], panels[2 * block + 1, 0]
        height.set_ylabel("height [m]")
        error.set_ylabel(
            f"height error [mm]\n{scale.strip(', ')}" if scale else "height error [mm]"
        )
        for axes in panels[2 * block + 1]:
            if axes in figure.axes:
                axes.set_ylim(
                    max(-largest, min(1.15 * least, -1.0)), min(largest, max(1.15 * most, 1.0))
                )
        for axes in panels[2 * block]:
            if axes in figure.axes:
                axes.set_ylim(-0.05 * top, 1.05 * top)
    panels[0, 0].set_xlim(left=start)
    note = (
        f"grey: reference; dotted: median of {baseline}"
        if baseline in groups
        else "grey: reference"
    )
    counts = " or ".join(dict.fromkeys(str(len(mine)) for mine in groups.values()))
    what = (
        "one flight each"
        if counts == "1"
        else f"median and 95 % of n = {counts} flights at each time"
    )
    footnote(figure, f"{what}; {note}")
    return figure


def _draw_band(axes: Axes, b: Band, line: dict[str, object]) -> None:
    colour = line["color"]
    axes.fill_between(b.time, b.low, b.high, color=colour, alpha=0.3, linewidth=0, zorder=2)
    for edge in (b.low, b.high):
        axes.plot(b.time, edge, color=colour, linewidth=0.5, zorder=2)
    axes.plot(b.time, b.median, zorder=3, **line)  # type: ignore[arg-type]
