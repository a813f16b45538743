"""A picture of learning: share of good landings, and their error, over seconds of flight data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from neural_lander.sim.plots.style import DOUBLE, marker_of, paper, save_paper, style_of, tidy
from neural_lander.sim.quality import SHARE, TERMINAL_Z_ERROR

BEGIN = 4.0
"""Where the axis of data begins [s]."""


def draw_efficiency(
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
    without: Mapping[str, Mapping[str, Any]],
    out: Path,
) -> list[Path]:
    """Draw curves over ``flown_s``, and left of them a point for each that flies without data.

    Writes PDF and PNG. A point without a figure (nothing came down) is left out of the lower panels;
    data of 0 s is drawn at ``BEGIN``.
    """
    with paper():
        figure = Figure(figsize=(DOUBLE, 4.4), layout="constrained")
        wide = 0.45 * max(len(without), 1)
        panels = figure.subplots(2, 2, sharex="col", sharey="row", width_ratios=(wide, 6.0))
        (no_data, above), (no_data_error, below) = panels
        for index, (name, curve) in enumerate(curves.items()):
            look = style_of(name, index) | {"marker": marker_of(name, index), "markersize": 4}
            at = [max(entry["flown_s"], BEGIN) for entry in curve]
            above.plot(at, [100 * e["good"] / e["flown"] for e in curve], label=name, **look)
            seen = [
                (t, 1e3 * e["terminal_z_error_m"])
                for t, e in zip(at, curve, strict=True)
                if e["terminal_z_error_m"] is not None
            ]
            if seen:
                below.plot(*zip(*seen, strict=True), **look)
        for place, (name, entry) in enumerate(without.items()):
            dot = {"color": style_of(name)["color"], "marker": marker_of(name), "markersize": 5}
            no_data.plot(place, 100 * entry["good"] / entry["flown"], clip_on=False, **dot)
            if entry["terminal_z_error_m"] is not None:
                no_data_error.plot(place, 1e3 * entry["terminal_z_error_m"], **dot)
        no_data_error.set_xticks(range(len(without)), list(without), rotation=60)
        no_data_error.set_xlim(-0.6, len(without) - 0.4)
        no_data_error.set_xlabel("no data")
        no_data.axhline(100 * SHARE, color="0.7", linewidth=0.8)
        no_data_error.axhline(1e3 * TERMINAL_Z_ERROR, color="0.7", linewidth=0.8)
        above.axhline(100 * SHARE, color="0.7", linewidth=0.8, label="95 % good, at most 6 mm")
        below.axhline(1e3 * TERMINAL_Z_ERROR, color="0.7", linewidth=0.8)
        no_data.set_ylabel("good landings [%]")
        above.set_ylim(-4, 104)
        no_data_error.set_ylabel("median |terminal z error| [mm]")
        below.set_yscale("log")
        below.set_xscale("log")
        below.set_xlabel("flight data [s]")
        for axes in panels.flat:
            tidy(axes)
        figure.legend(*above.get_legend_handles_labels(), loc="outside right upper")
        return save_paper(figure, out)
