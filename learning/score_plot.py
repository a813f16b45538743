"""Draws the table of a model bundle: how well it foretells unseen flights, beside the baselines.

Left: R^2 of each model behind 5 Hz; strokes are flights, the marker is their mean, the bar its 95 %
interval. Right: RMSE by band of height, in weight, means over flights; the same markers.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import write_whole
from neural_lander.learning.residual_plot import COLOURS, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOWEST_R2 = -0.5
"""What scores less is drawn at the margin, as an arrow."""

SHADES = {"network": COLOURS[1], "network without bound": COLOURS[0], "boosting": COLOURS[2],
          "exponential": COLOURS[4], "cheeseman-bennett fitted": COLOURS[3],
          "cheeseman-bennett": COLOURS[5], "zero": COLOURS[6]}  # fmt: skip
MARKS = {"network": "o", "network without bound": "D", "boosting": "s", "exponential": "^",
         "cheeseman-bennett fitted": "v", "cheeseman-bennett": "<", "zero": "x"}  # fmt: skip


def models_by_name(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summaries of a bundle's network and of its baselines, best informed first."""
    baselines: dict[str, Any] = dict(reversed(model.get("baselines", {}).items()))
    return {"network": model["scores"], **baselines}


def plot_scores(model: Mapping[str, Any], out: Path) -> Path:
    """Draw ``model.json``'s scores into ``out`` (PNG) and a PDF beside it; return ``out``.

    Raises:
        InputError: ``out`` is no ``.png``.
    """
    import matplotlib
    from matplotlib.figure import Figure

    if out.suffix != ".png":
        raise InputError(f"{out}: the picture is a PNG, expected a name that ends in .png")
    models = models_by_name(model)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.4, 3.3), layout="constrained", dpi=200)
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        _draw_r2(left, models)
        _draw_bands(right, models)
        write_whole(out, lambda path: figure.savefig(path, format="png"))
        metadata = {"CreationDate": None}  # the same bundle gives the same bytes
        write_whole(
            out.with_suffix(".pdf"),
            lambda path: figure.savefig(path, format="pdf", metadata=metadata),
        )
    return out


def _draw_r2(axes: "Axes", models: Mapping[str, Any]) -> None:
    for row, (name, scores) in enumerate(models.items()):
        colour = SHADES.get(name, "black")
        mean, reach = scores["mean"]["r2_z_5hz"], scores["interval_95"]["r2_z_5hz"]
        if mean is not None and mean >= LOWEST_R2:
            if reach is not None:
                ends = [max(end, LOWEST_R2) for end in reach]
                axes.plot(ends, [row, row], "-", color=colour, lw=5, alpha=0.3)
            axes.plot([mean], [row], MARKS.get(name, "."), color=colour, ms=6, zorder=4)
            axes.annotate(f"{mean:.2f}", (mean, row), (0, 6), textcoords="offset points",
                          ha="center", fontsize=7)  # fmt: skip
        each = [f["r2_z_5hz"] for f in scores["flights"] if f["r2_z_5hz"] is not None]
        inside = [v for v in each if v >= LOWEST_R2]
        axes.plot(inside, np.full(len(inside), row), "|", color="black", ms=7, mew=0.9, zorder=3)
        if len(inside) < len(each):
            axes.plot([LOWEST_R2], [row], "<", color=colour, ms=5, clip_on=False)
    axes.set_yticks(range(len(models)), list(models))
    axes.set_ylim(len(models) - 0.5, -0.6)
    axes.set_xlim(LOWEST_R2 - 0.02, 1.02)
    axes.grid(visible=False, axis="y")
    flights = len(models["network"]["flights"])
    axes.set_xlabel(f"$R^2$ behind 5 Hz on {flights} unseen flights")


def _draw_bands(axes: "Axes", models: Mapping[str, Any]) -> None:
    bands = models["network"]["bands"]
    edges = [band["from_m"] for band in bands]
    names = [f"{100 * low:.0f}–{100 * high:.0f}" for low, high in pairwise(edges)]
    names.append(f"> {100 * edges[-1]:.0f}")
    for name, scores in models.items():
        values = [b["rmse_z_5hz_weight"] for b in scores["bands"]]
        share = [np.nan if v is None else 100 * v for v in values]
        bold = {"lw": 2.0, "ms": 5, "zorder": 4} if name == "network" else {"lw": 1.0, "ms": 4}
        axes.plot(range(len(share)), share, marker=MARKS.get(name, "."), label=name,
                  color=SHADES.get(name, "black"), **bold)  # type: ignore[arg-type]  # fmt: skip
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="y", which="minor", labelsize=7)
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("height above standing [cm]")
    axes.set_ylabel("RMSE [% of weight]")
