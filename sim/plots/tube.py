"""The certified tube, and the flights that flew inside it: deviation from the plan, axis by axis.

A flight is drawn as long as the certificate is about it: until contact, or until the law pushes down.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from neural_lander.sim.plots.fan import by_controller
from neural_lander.sim.plots.style import DOUBLE, footnote, paper, save_paper, style_of, tidy
from neural_lander.sim.trace import Trace


def draw_tube(traces: Sequence[Trace], out: Path) -> list[Path]:
    """Draw the tubes of the flights that have one; nothing where none has."""
    held = [trace for trace in traces if trace.tube is not None]
    if not held:
        return []
    with paper():
        return save_paper(tube(held), out)


def tube(traces: Sequence[Trace]) -> Figure:
    """Return the figure of ``draw_tube``; every trace has a tube, one for each controller."""
    groups = by_controller(traces)
    figure = Figure(figsize=(DOUBLE, 1.9 * len(groups) + 0.3), layout="constrained")
    panels = figure.subplots(len(groups), 3, squeeze=False, sharex=True)
    for i, (name, mine) in enumerate(groups.items()):
        longest = max(mine, key=lambda trace: trace.planned)
        t = longest.time[: longest.planned]
        for k, axes in enumerate(panels[i]):
            assert longest.tube is not None
            bound = 100 * longest.tube[: longest.planned, k]
            axes.fill_between(t, -bound, bound, color="0.9", linewidth=0, zorder=0)
            for side in (-bound, bound):
                axes.plot(t, side, color="black", linewidth=0.9, zorder=1)
            used = 0.0
            for trace in mine:
                assert trace.tube is not None
                rows = slice(0, trace.planned)
                off = 100 * (trace.place[rows, k] - trace.wanted[rows, k])
                used = max(
                    used, float((np.abs(off) / (100 * trace.tube[rows, k])).max(initial=0.0))
                )
                line = style_of(name, i) | {"linewidth": 0.4}
                axes.plot(trace.time[rows], off, zorder=2, **line)
            axes.set_title(f"{'xyz'[k]}: at most {100 * used:.0f} % used")
            tidy(axes)
        panels[i, 0].set_ylabel(f"{name}, n = {len(mine)}\noff the plan [cm]")
    for axes in panels[-1]:
        axes.set_xlabel("time [s]")
    footnote(figure, "black: certified tube; lines: flights until contact")
    return figure
