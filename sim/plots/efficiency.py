"""A picture of learning: share of good landings, and their error, over seconds of flight data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from neural_lander.sim.plots.style import DOUBLE, marker_of, paper, save_paper, style_of, tidy
from neural_lander.sim.quality import SHARE, TERMINAL_Z_ERROR


def draw_efficiency(
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
    without: Mapping[str, Mapping[str, Any]],
    out: Path,
) -> list[Path]:
    """Draw curves over ``flown_s`` and, level, what flies without data; write PDF and PNG.

    A point without a figure (nothing came down) is left out of the lower panel; data of 0 s is drawn
    at 10 s, where the axis begins.
    """
    with paper():
        figure = Figure(figsize=(DOUBLE, 4.4), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        for index, (name, curve) in enumerate(curves.items()):
            look = style_of(name, index) | {"marker": marker_of(name, index), "markersize": 4}
            at = [max(entry["flown_s"], 10.0) for entry in curve]
            above.plot(at, [100 * e["good"] / e["flown"] for e in curve], label=name, **look)
            seen = [
                (t, 1e3 * e["terminal_z_error_m"])
                for t, e in zip(at, curve, strict=True)
                if e["terminal_z_error_m"] is not None
            ]
            if seen:
                below.plot(*zip(*seen, strict=True), **look)
        for name, entry in without.items():
            look = style_of(name)
            share = 100 * entry["good"] / entry["flown"]
            above.axhline(share, label=f"{name}, no data", **look)
            if entry["terminal_z_error_m"] is not None:
                below.axhline(1e3 * entry["terminal_z_error_m"], **look)
        above.axhline(100 * SHARE, color="0.7", linewidth=0.8, label="95 % good, at most 6 mm")
        below.axhline(1e3 * TERMINAL_Z_ERROR, color="0.7", linewidth=0.8)
        above.set_ylabel("good landings [%]")
        above.set_ylim(-4, 104)
        below.set_ylabel("median |terminal z error| [mm]")
        below.set_yscale("log")
        below.set_xscale("log")
        below.set_xlabel("flight data [s]")
        for axes in (above, below):
            tidy(axes)
        figure.legend(*above.get_legend_handles_labels(), loc="outside right upper")
        return save_paper(figure, out)
