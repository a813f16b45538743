"""The learned force against the true one, over height and over time, before first contact.

True forces are dots (each flight's own), what the controller's model says is a line: its median, with
the pointwise 95 % band over the flights.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from neural_lander.sim.plots.fan import ACROSS, Band, band, by_controller
from neural_lander.sim.plots.style import (
    DOUBLE,
    SINGLE,
    footnote,
    paper,
    save_paper,
    thin_style_of,
    tidy,
)
from neural_lander.sim.trace import Trace

DOTS = 250
"""True forces drawn in a panel, spread evenly over the rows."""
FEW = 5
"""Fewer flights than this are drawn one by one over height."""
BIN = 0.025
"""Width of a bin of heights [decades]."""
LOWEST = 0.003
"""Heights below this are drawn at it: an estimate of the floor is no better [m]."""


def knows_force(trace: Trace) -> bool:
    """Whether the controller had a model of the force at all."""
    return bool(np.any(trace.learned))


def draw_force(traces: Sequence[Trace], out: Path) -> list[Path]:
    """Draw the forces of the controllers that have a model; nothing where none has."""
    known = [trace for trace in traces if knows_force(trace)]
    if not known:
        return []
    with paper():
        return save_paper(force(known), out)


def force(traces: Sequence[Trace]) -> Figure:
    """Return the figure of ``draw_force``; ``traces`` are of one scenario."""
    groups = by_controller(traces)
    across = min(ACROSS, len(groups))
    blocks = -(-len(groups) // across)
    figure = Figure(
        figsize=(SINGLE if across == 1 else DOUBLE, 3.3 * blocks + 0.25), layout="constrained"
    )
    panels = figure.subplots(2 * blocks, across, squeeze=False, sharey=True, sharex="row")
    start = max(0.0, min(trace.hover for trace in traces) - 0.5)
    for i, (name, mine) in enumerate(groups.items()):
        over_height, over_time = panels[2 * (i // across) : 2 * (i // across) + 2, i % across]
        line = thin_style_of(name, i)
        _draw(over_height, mine, height=True)
        _draw(over_time, mine, height=False)
        if len(mine) < FEW:
            for t in mine:
                over_height.plot(t.clear[: t.free], t.learned[: t.free], zorder=3, **line)
        else:
            _model(over_height, _over_height(mine), line)
        learned = [trace.learned[: trace.free] for trace in mine]
        _model(over_time, band(mine, learned), line)
        over_height.set_title(f"{name} (n = {len(mine)})")
        over_height.set_xscale("log")
        over_height.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        over_height.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        over_height.xaxis.set_minor_locator(NullLocator())
        over_height.set_xlabel("height over the ground [m]")
        over_time.set_xlabel("time [s]")
        over_time.set_xlim(start, max(float(t.time[t.free - 1]) for t in traces) + 0.1)
        for axes in (over_height, over_time):
            tidy(axes)
    for block in range(blocks):
        for row in (0, 1):
            panels[2 * block + row, 0].set_ylabel("residual force up [N]")
    for unused in range(len(groups), across * blocks):
        for axes in panels[2 * (unused // across) : 2 * (unused // across) + 2, unused % across]:
            axes.remove()
    footnote(
        figure, "dots: true force; line and band: what the model says, median and 95 % of flights"
    )
    return figure


def _draw(axes: Axes, traces: Sequence[Trace], height: bool) -> None:
    """Draw true forces as dots over height or time."""
    x = np.concatenate([(t.clear if height else t.time)[: t.free] for t in traces])
    y = np.concatenate([t.force[: t.free] for t in traces])
    if height:
        x = np.maximum(x, LOWEST)
    space = np.geomspace if height else np.linspace
    order = np.argsort(x, kind="stable")
    grid = space(x[order[0]], x[order[-1]], DOTS)
    kept = order[np.unique(np.searchsorted(x[order], grid).clip(0, len(x) - 1))]
    axes.plot(
        x[kept], y[kept], "o", color="white", markeredgecolor="0.25", markeredgewidth=0.4,
        markersize=2.0, zorder=2,
    )  # fmt: skip


def _over_height(traces: Sequence[Trace]) -> Band:
    """Return median and 95 % band of the model's force in bins of height."""
    x = np.concatenate([np.maximum(t.clear[: t.free], LOWEST) for t in traces])
    y = np.concatenate([t.learned[: t.free] for t in traces])
    edges = LOWEST * 10 ** np.arange(0, BIN + np.log10(x.max(initial=2 * LOWEST) / LOWEST), BIN)
    bins = [y[(x >= a) & (x < b)] for a, b in pairwise(edges)]
    none = (np.nan,) * 3
    low, median, high = np.array(
        [np.quantile(b, (0.025, 0.5, 0.975)) if len(b) >= 3 else none for b in bins]
    ).T
    return Band(np.sqrt(edges[:-1] * edges[1:]), low, median, high)


def _model(axes: Axes, b: Band, line: dict[str, object]) -> None:
    colour = line["color"]
    axes.fill_between(b.time, b.low, b.high, color=colour, alpha=0.35, linewidth=0, zorder=1)
    axes.plot(b.time, b.median, zorder=3, **line)  # type: ignore[arg-type]
