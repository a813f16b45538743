"""Draws a certificate's tube: reference, tube and boxes over time, and the margin of every condition.

Above the planned height with the tube around it (never below contact), and the boxes on which the
slopes were bounded, noise included; in the middle the bounds of the height and speed errors; below
how much of each condition's room is left, the least of each kind in each segment. The time after
the plan is drawn as the last point of the tube.
"""

from pathlib import Path
from typing import Any

import numpy as np

from neural_lander.controller.certificate import Certificate
from neural_lander.controller.errors import InputError
from neural_lander.controller.files import write_whole

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#7F7F7F"
"""Told apart by colour-blind eyes. Source: Okabe and Ito, "Color universal design", 2008."""


def plot_tube(certificate: Certificate, out: Path) -> Path:
    """Draw the certificate's tube as PNG and return its path.

    Raises:
        InputError: the certificate has no tube to draw.
    """
    tube = certificate.tube
    if tube is None or "t_s" not in tube:
        raise InputError(
            "the certificate has no tube to draw: certify along a reference (--reference s-curve), "
            "or see why it was refused"
        )
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 9), layout="constrained")
    axes = figure.subplots(3, 1, gridspec_kw={"height_ratios": (5, 3, 3)})
    _heights(axes[0], tube)
    _errors(axes[1], tube)
    _margins(axes[2], certificate)
    axes[0].set_title(
        f"{certificate.verdict}: {certificate.controller} along '{tube['plan']}', "
        f"{certificate.binding['vehicle_name']}; height error at most {tube['p_max_m'] * 100:.1f} cm"
    )
    axes[1].sharex(axes[0])
    write_whole(out, lambda path: figure.savefig(path, dpi=130, format="png"))
    return out


def _heights(axes: Any, tube: dict[str, Any]) -> None:
    t, z, r = (np.array(tube[key]) for key in ("t_s", "reference_m", "p_m"))
    for k, entry in enumerate(tube["bins"]):
        low, high = entry["box"]["height_m"]
        axes.fill_between(
            [entry["start_s"], entry["end_s"]], low, high, color=GREY, alpha=0.18, lw=0,
            label="box of the slopes, noise included" if k == 0 else None,
        )  # fmt: skip
    axes.fill_between(t, np.maximum(z - r, 0), z + r, color=BLUE, alpha=0.35, lw=0, label="tube")
    axes.plot(t, z, color=ORANGE, lw=1.5, label="reference")
    axes.axhline(0, color="black", lw=0.8)
    axes.set_ylabel("height above standing [m]")
    axes.legend(loc="upper right")


def _errors(axes: Any, tube: dict[str, Any]) -> None:
    t = np.array(tube["t_s"])
    axes.plot(t, 100 * np.array(tube["p_m"]), color=BLUE, label="height error [cm]")
    axes.plot(t, 100 * np.array(tube["v_m_s"]), color=GREEN, label="speed error [cm/s]")
    axes.plot(t[-1], 100 * tube["after"]["p_m"], "o", color=BLUE, ms=4)
    axes.plot(t[-1], 100 * tube["after"]["v_m_s"], "o", color=GREEN, ms=4, label="ever after")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("time [s]")
    axes.set_ylabel("bound")
    axes.legend(loc="lower right")


def _margins(axes: Any, certificate: Certificate) -> None:
    """Draw the share of its own room that each condition has left, the least first."""
    least: dict[tuple[str, str], float] = {}
    for c in certificate.conditions:
        if c.margin is None:
            continue
        room = max(abs(c.lhs or 0.0), abs(c.rhs), 1e-9)
        key = (c.name, c.bin)
        least[key] = min(least.get(key, np.inf), c.margin / room)
    bins = list(dict.fromkeys(c.bin for c in certificate.conditions))
    names = sorted({name for name, _ in least})
    width = 0.8 / len(names)
    colours = dict(zip(("H1", "H2", "H3", "H4", "H5"), (BLUE, "#E69F00", ORANGE, GREEN, "#CC79A7"),
                       strict=True))  # fmt: skip
    for i, name in enumerate(names):
        places = [k for k, label in enumerate(bins) if (name, label) in least]
        values = [least[(name, bins[k])] for k in places]
        axes.bar(np.array(places) + (i - len(names) / 2 + 0.5) * width,
                 np.maximum(values, 1e-3), width, label=name,
                 color=[colours[name] if v > 0 else "black" for v in values])  # fmt: skip
    axes.set_yscale("log")
    labels = [label.removesuffix(" m").replace(" to ", "–") for label in bins]
    axes.set_xticks(range(len(bins)), labels, fontsize=8, rotation=20)
    axes.set_xlabel("planned height of the segment [m]")
    axes.set_ylabel("room left, share")
    axes.set_ylim(top=10)
    axes.legend(ncols=len(names), fontsize=8, loc="upper right")
