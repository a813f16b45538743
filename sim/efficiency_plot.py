"""A picture of learning: share of good landings, and their error, over seconds of flight data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from neural_lander.sim.figures import save, style_of
from neural_lander.sim.quality import SHARE, TERMINAL_Z_ERROR

MARKERS = "osD^vP"
"""One a curve, so that a grey print reads."""


def draw_efficiency(
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
    without: Mapping[str, Mapping[str, Any]],
    out: Path,
) -> list[Path]:
    """Draw curves over ``flown_s`` and, dashed, what flies without data; write PNG and PDF.

    A point without a figure (nothing came down) is left out of the lower panel.
    """
    figure = Figure(figsize=(7.2, 5.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for index, (name, curve) in enumerate(curves.items()):
        look = style_of(name, index) | {"marker": MARKERS[index % len(MARKERS)], "markersize": 4}
        at = [max(entry["flown_s"], 1.0) for entry in curve]
        above.plot(at, [100 * e["good"] / e["flown"] for e in curve], label=name, **look)
        seen = [
            (t, 1e3 * e["terminal_z_error_m"])
            for t, e in zip(at, curve, strict=True)
            if e["terminal_z_error_m"] is not None
        ]
        if seen:
            below.plot(*zip(*seen, strict=True), **look)
    for index, (name, entry) in enumerate(without.items()):
        look = style_of(name, index)
        above.axhline(100 * entry["good"] / entry["flown"], label=f"{name}, without data", **look)
        if entry["terminal_z_error_m"] is not None:
            below.axhline(1e3 * entry["terminal_z_error_m"], **look)
    above.axhline(100 * SHARE, color="0.7", linewidth=0.8)
    below.axhline(1e3 * TERMINAL_Z_ERROR, color="0.7", linewidth=0.8)
    above.set_ylabel("good landings [%]")
    above.set_ylim(-4, 104)
    below.set_ylabel("median |terminal z error| [mm]")
    below.set_yscale("log")
    below.set_xscale("log")
    below.set_xlabel("flight data [s] (grey: 95 % good; 6 mm)")
    for axes in (above, below):
        axes.grid(True, color="0.92", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*above.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return save(figure, out, ("png", "pdf"))
