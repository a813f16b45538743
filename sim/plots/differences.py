"""Paired differences from the baseline, a dot a seed, with the median and its exact interval.

Left of zero is better. A pair that a failure decided has an infinite difference: it is a cross at the
edge, with how many there are, and counts in the median as one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural_lander.sim.plots.style import (
    DOUBLE,
    footnote,
    marker_of,
    paper,
    save_paper,
    style_of,
    tidy,
    wide_scale,
)

DRAWN: dict[str, tuple[str, float, float]] = {
    "z_max_error_m": ("largest height error [mm]", 1e3, 5.0),
    "z_rmse_m": ("height error, RMSE [mm]", 1e3, 2.0),
    "touchdown_speed_m_s": ("touchdown speed [m/s]", 1.0, 0.1),
    "landing_time_s": ("landing time [s]", 1.0, 0.1),
}
"""Figure -> axis label, what it is multiplied by, and up to which difference the axis stays linear."""


def draw_differences(pairs: Sequence[dict[str, Any]], out: Path) -> list[Path]:
    """Draw the entries of ``pairs.compare_pairs``, of one scenario; nothing where there are none."""
    if not any(entry[key] for entry in pairs for key in DRAWN):
        return []
    with paper():
        return save_paper(differences(pairs), out)


def differences(pairs: Sequence[dict[str, Any]]) -> Figure:
    """Return the figure of ``draw_differences``."""
    figure = Figure(figsize=(DOUBLE, 0.42 * len(pairs) + 1.25), layout="constrained")
    drawn = {key: how for key, how in DRAWN.items() if any(entry[key] for entry in pairs)}
    panels = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    rng = np.random.default_rng(0)
    for axes, (key, (label, scale, linear)) in zip(panels, drawn.items(), strict=True):
        values = [
            np.array(
                [] if e[key] is None else [float(d) for d in e[key]["differences"] if d is not None]
            )
            for e in pairs
        ]
        finite = [scale * v[np.isfinite(v)] for v in values]
        reach = [float(np.abs(v).max(initial=0.0)) for v in finite]
        note = wide_scale(axes, "x", reach, linear)
        end = 1.25 * max([*reach, linear / 5])
        axes.set_xlim(-end, end)
        axes.axvline(0.0, color="0.5", linewidth=0.7)
        for i, entry in enumerate(pairs):
            spread = 0.22 * (rng.random(len(finite[i])) - 0.5)
            style = style_of(entry["controller"], i)
            axes.plot(
                finite[i], i + spread, marker_of(entry["controller"], i), color=style["color"],
                markersize=2.6, markeredgewidth=0, alpha=0.75, zorder=2,
            )  # fmt: skip
            if entry[key] is not None:
                _median(axes, entry[key], i, scale, end)
                _failures(axes, values[i], i)
            else:
                axes.text(0.5, i, "does not apply", transform=axes.get_yaxis_transform(),
                          ha="center", va="center", fontsize=6, color="0.4")  # fmt: skip
        axes.set_xlabel(f"{label}\n{note.strip(', ')}" if note else label)
        tidy(axes)
    panels[0].set_yticks(range(len(pairs)), [entry["controller"] for entry in pairs])
    panels[0].set_ylim(len(pairs) - 0.4, -0.6)
    footnote(
        figure,
        f"difference from {pairs[0]['baseline']}, n = {pairs[0]['pairs']} seeds; left is better; bar: "
        "median and its exact 95 % interval; ×: decided by a failure; right: wins–losses",
    )
    return figure


def _median(axes: Axes, figure: dict[str, Any], at: int, scale: float, end: float) -> None:
    """Draw the median and its interval just below the dots, cut at the axis' ends, and the count."""
    low, middle, high = (figure["median"][name] for name in ("low", "value", "high"))
    ends = np.clip(
        [
            scale * float("-inf" if low is None else low),
            scale * float(middle),
            scale * float("inf" if high is None else high),
        ],
        -end,
        end,
    )
    y = at + 0.24
    axes.plot(ends[[0, 2]], [y, y], color="black", linewidth=1.6, solid_capstyle="butt", zorder=3)
    infinite = np.isinf(float(middle))
    mark = "|" if not infinite else ">" if float(middle) > 0 else "<"
    axes.plot(ends[1] * (0.96 if infinite else 1.0), y, mark, color="black", zorder=4,
              markersize=4 if infinite else 7, markeredgewidth=0 if infinite else 1.6)  # fmt: skip
    axes.text(
        1.02, at, f"{figure['wins']}–{figure['losses']}", ha="left", va="center",
        transform=axes.get_yaxis_transform(), fontsize=6,
    )  # fmt: skip


def _failures(axes: Axes, values: Any, at: int) -> None:
    """Mark the pairs that a failure decided, at the edge of their side."""
    for sign, place, side in ((-1, 0.02, "left"), (1, 0.98, "right")):
        count = int((values == sign * np.inf).sum())
        if count:
            axes.text(place, at + 0.02, f"× {count}", ha=side, va="center", fontsize=7,
                      fontweight="bold", transform=axes.get_yaxis_transform())  # fmt: skip
