"""How every figure looks: widths of a paper's columns, and a line for each controller.

Colours are Okabe and Ito's (three more are Tol's), told apart by the colour-blind; each controller has
dashes and a marker of its own too, so that a grey print reads. Widths are IEEE's column and page.

Sources: Okabe, Ito, "Color universal design", 2008; Tol, "Colour schemes", SRON, 2021.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural_lander.controller.files import write_whole

Array = npt.NDArray[np.float64]

SINGLE, DOUBLE = 3.5, 7.16
"""Width of a column and of a page [inch]."""

STYLES: dict[str, tuple[str, Any, float]] = {
    "pd": ("#E69F00", (0, (1, 1)), 1.4),
    "pid": ("#CC79A7", (0, (4, 1.5)), 1.4),
    "textbook": ("#999999", (0, (3, 1, 1, 1)), 1.4),
    "textbook-fitted": ("#999999", (0, (8, 1.5, 1, 1.5)), 1.4),
    "observer": ("#009E73", (0, (5, 1, 1, 1, 1, 1)), 1.4),
    "indi": ("#999933", (0, (2, 1, 2, 1, 8, 1)), 1.8),
    "l1": ("#332288", (0, (1, 2.5)), 2.0),
    "learned": ("#56B4E9", "-", 2.4),
    "learned+observer": ("#0072B2", "-", 1.1),
    "learned-unbounded": ("#44AA99", (0, (10, 1)), 1.1),
    "oracle": ("#D55E00", (0, (2, 2)), 1.4),
    "oracle+observer": ("#000000", (0, (6, 2)), 1.4),
}
"""Colour, dashes and width of each controller, the same in every picture."""

SPARE = ("#7F3C8D", "#11A579", "#3969AC", "#F2B701")
"""Colours of controllers from outside."""

MARKERS = "osDd^vPhX<>pH8*4"
"""Markers of the controllers of ``STYLES`` in order, then of those from outside."""

FONT: dict[Any, Any] = {
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "pdf.fonttype": 42,
    "svg.hashsalt": "neural-lander",
}
"""matplotlib's settings inside ``paper``."""


def save_paper(figure: Figure, out: Path) -> list[Path]:
    """Write a figure as vectors (PDF) and as pixels (PNG), laid out once."""
    pixels = save(figure, out, ("png",), 200)
    figure.set_layout_engine("none")
    return [*save(figure, out, ("pdf",)), *pixels]


def paper() -> Any:
    """Return the context in which a figure for a paper is made and saved."""
    return rc_context(FONT)


def style_of(controller: str, index: int = 0) -> dict[str, Any]:
    """Return how a controller's line looks; one from outside gets a free colour by index."""
    colour, dashes, width = STYLES.get(controller, (SPARE[index % len(SPARE)], "-", 1.4))
    return {"color": colour, "linestyle": dashes, "linewidth": width}


def thin_style_of(controller: str, index: int = 0) -> dict[str, Any]:
    """Return a controller's line where it has a panel of its own and hides nothing."""
    line = style_of(controller, index)
    return line | {"linewidth": min(1.2, line["linewidth"])}


def marker_of(controller: str, index: int = 0) -> str:
    """Return a controller's marker."""
    names = list(STYLES)
    at = names.index(controller) if controller in names else len(names) + index
    return MARKERS[at % len(MARKERS)]


def tidy(axes: Axes) -> None:
    """Give axes a faint grid and no box."""
    axes.grid(True, color="0.92", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def footnote(figure: Figure, text: str) -> None:
    """Say below a figure what is drawn, in lines that fit its width."""
    figure.supxlabel(fill(text, round(17 * figure.get_figwidth())), fontsize=7)


def wide_scale(axes: Axes, which: str, sizes: Sequence[float], linear: float) -> str:
    """Let an axis show small and large sizes: linear up to ``linear``, logarithmic beyond, if need be.

    Args:
        axes: of which
        which: ``x`` or ``y``.
        sizes: the largest value of each thing that is to be seen.
        linear: size up to which the axis stays linear.

    Returns:
        What to add to the axis' label.
    """
    seen = [size for size in sizes if np.isfinite(size) and size > 0]
    if not seen or max(seen) < 8 * max(min(seen), linear / 8):
        return ""
    scale = axes.set_xscale if which == "x" else axes.set_yscale
    scale("symlog", linthresh=linear, linscale=1.0)
    factors = (1, 10) if which == "x" else (1, 3)  # numbers beside one another need more room
    ends = [s * f * linear * 10**k for k in range(4) for f in factors for s in (1, -1)]
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(_fixed([0.0, *ends]))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_locator(_fixed([]))
    return f", log beyond {linear:g}"


def _fixed(ticks: Sequence[float]) -> Any:
    from matplotlib.ticker import FixedLocator

    return FixedLocator(sorted(ticks))


def save(figure: Figure, out: Path, kinds: Sequence[str], dpi: int = 140) -> list[Path]:
    """Write a figure whole, once for each kind (png, pdf), and return the paths.

    The suffix of ``out`` is replaced.
    """
    paths = []
    for kind in kinds:
        path = out.with_suffix(f".{kind}")
        metadata = {"CreationDate": None} if kind == "pdf" else {"Software": None}
        options: dict[str, Any] = {"format": kind, "dpi": dpi, "metadata": metadata}
        write_whole(path, partial(figure.savefig, **options))
        paths.append(path)
    return paths
