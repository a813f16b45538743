"""Figures of a report, as bytes that an HTML page can hold.

An SVG stands in the page as an image, where nothing in it can run; names in it are outlines.
"""

import base64
from io import BytesIO

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from neural_lander.sim.campaign.tables import Group

Array = npt.NDArray[np.float64]

LOOKS = {
    "landed": ("#0072B2", ""),
    "flown": ("#56B4E9", ""),
    "slid": ("#009E73", "\\\\"),
    "tipped over": ("#CC79A7", "++"),
    "hangs": ("#F0E442", "//"),
    "cut in air": ("#E69F00", "--"),
    "crashed": ("#D55E00", "xx"),
    "errors": ("#000000", ""),
    "refused": ("#FFFFFF", ".."),
    "impossible": ("#BBBBBB", ""),
}
"""Outcome -> colour (Okabe and Ito) and hatching (for a grey print)."""
SPREADS = (("z_max_error_m", "greatest height error [mm]", 1e3), ("severity", "severity", 1.0))
MOST_POINTS = 2000
"""Of a scatter plot."""


def outcomes(group: Group) -> str:
    """Return outcomes, and the spread of height error and severity, as a data URL."""
    lines = group.lines
    figure = Figure(figsize=(9.6, 0.9 + 0.3 * len(lines)), layout="constrained")
    bars, *spreads = figure.subplots(1, 3, sharey=True)
    places = np.arange(len(lines))
    start = np.zeros(len(lines))
    told = [
        line["outcomes"] | {k: line[k] for k in ("errors", "refused", "impossible")}
        for line in lines
    ]
    for name, (colour, hatch) in LOOKS.items():
        counts = np.array([entry[name] for entry in told], float)
        if counts.any():
            bars.barh(
                places, counts, left=start, color=colour, hatch=hatch, label=name,
                edgecolor="0.3", linewidth=0.5,
            )  # fmt: skip
        start += counts
    bars.set_yticks(places, [_plain(line["controller"]) for line in lines])
    bars.invert_yaxis()
    bars.set_xlabel("landings")
    bars.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    figure.legend(
        *bars.get_legend_handles_labels(), loc="outside upper left", ncols=9, fontsize=7,
        frameon=False,
    )  # fmt: skip
    for axes, (key, label, scale) in zip(spreads, SPREADS, strict=True):
        for place, line in zip(places, lines, strict=True):
            _spread(axes, float(place), scale * group.figures[line["controller"]][key])
        axes.set_xlabel(f"{label}\n5–95 %, 25–75 %, median")
        if axes.has_data() and key == "z_max_error_m":
            logarithmic(axes)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(4))
    _tidy(figure)
    return _svg(figure)


def points(names: list[str], values: Array, severity: Array, crashed: npt.NDArray[np.bool_]) -> str:
    """Return severity over each parameter, as a data URL.

    Args:
        names: of the parameters.
        values: (n, parameters).
        severity: (n,).
        crashed: (n,) bool.
    """
    keep = np.linspace(0, len(values) - 1, min(len(values), MOST_POINTS)).astype(int)
    values, severity, crashed = values[keep], severity[keep], crashed[keep]
    figure = Figure(figsize=(min(2.6 * len(names) + 0.6, 11.0), 2.4), layout="constrained")
    for axes, name, x in zip(
        figure.subplots(1, len(names), sharey=True, squeeze=False)[0], names, values.T, strict=True
    ):
        axes.plot(x[~crashed], severity[~crashed], ".", color="#0072B2", markersize=3, label="flew")
        axes.plot(
            x[crashed], severity[crashed], "x", color="#D55E00", markersize=5, label="crashed"
        )
        axes.set_xlabel(_plain(name))
    figure.axes[0].set_ylabel("severity")
    if crashed.any():
        figure.axes[0].legend(fontsize=7)
    _tidy(figure)
    out = BytesIO()
    figure.savefig(out, format="png", dpi=120)
    return _url("image/png", out.getvalue())


def _spread(axes: Axes, place: float, values: Array) -> None:
    if not len(values):
        return
    a, b, c, d, e = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95))
    axes.plot([a, e], [place, place], color="0.5", linewidth=1)
    axes.plot([b, d], [place, place], color="#0072B2", linewidth=4, solid_capstyle="butt")
    axes.plot([c], [place], "o", color="white", markeredgecolor="black", markersize=5)


def logarithmic(axes: Axes) -> None:
    """Give an axis a logarithmic scale with a few plain numbers on it."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    steps = (1, 2, 5) if high < 100 * low else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def _plain(name: str) -> str:
    """Return a name that matplotlib takes for no formula."""
    return name.replace("$", r"\$")


def _tidy(figure: Figure) -> None:
    for axes in figure.axes:
        axes.tick_params(labelsize=8)
        axes.xaxis.label.set_fontsize(8)
        axes.yaxis.label.set_fontsize(8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)


def _svg(figure: Figure) -> str:
    out = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "neural-lander", "svg.fonttype": "path"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    return _url("image/svg+xml", out.getvalue())


def _url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
