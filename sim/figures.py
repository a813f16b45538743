"""Pictures of landings: height, height error, and force, over time.

Colours are Okabe and Ito's, told apart by the colour-blind; every curve has its own dashes too, so
that a grey print reads.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural_lander.controller.files import write_whole
from neural_lander.controller.flight_log import FlightLog

Array = npt.NDArray[np.float64]

STYLES: dict[str, tuple[str, Any]] = {
    "pd": ("#E69F00", (0, (1, 1))),
    "pid": ("#CC79A7", (0, (4, 1.5))),
    "textbook": ("#999999", (0, (3, 1, 1, 1))),
    "observer": ("#009E73", (0, (5, 1, 1, 1, 1, 1))),
    "learned": ("#56B4E9", "-"),
    "learned+observer": ("#0072B2", "-"),
    "oracle": ("#D55E00", (0, (2, 2))),
    "oracle+observer": ("#000000", (0, (6, 2))),
}
"""Colour and dashes of each controller, the same in every picture."""

DRAWN = (
    "reference_height",
    "learned_force",
    "observer_force",
    "phase",
    "truth_height",
    "truth_force",
    "truth_contact_force",
)
"""What the log of a run has to hold, beside time."""

Run = tuple[FlightLog, dict[str, Any]]


def style_of(controller: str, index: int = 0) -> tuple[str, Any]:
    """Return colour and dashes of a controller; one from outside gets a free pair by index."""
    spare = ("#7F3C8D", "#11A579", "#3969AC", "#F2B701")
    return STYLES.get(controller, (spare[index % len(spare)], "-"))


def draw_comparison(runs: Sequence[Run], out: Path) -> list[Path]:
    """Draw height, height error and force of several landings; write ``out`` as PNG and as PDF."""
    return save(_figure(runs), out, ("png", "pdf"))


def draw_landing(log: FlightLog, summary: dict[str, Any], out: Path) -> list[Path]:
    """Draw one landing as PNG; an uncertified flight of a learned controller says so."""
    return save(_figure([(log, summary)]), out, ("png",))


def _figure(runs: Sequence[Run]) -> Figure:
    figure = Figure(figsize=(7.2, 7.8))
    height, error, force = figure.subplots(3, 1, sharex=True, height_ratios=(1.3, 1, 1))
    figure.subplots_adjust(left=0.1, right=0.98, top=0.965, bottom=0.06, hspace=0.1)
    near = height.inset_axes((0.56, 0.21, 0.42, 0.42))
    order = sorted(range(len(runs)), key=lambda i: runs[i][1]["controller"].startswith("learned"))
    _draw_reference(height, runs[0][0], 1.0)
    _draw_reference(near, runs[0][0], 1e3)
    for i in order:  # what was learned is drawn last, on top
        log, summary = runs[i]
        name = str(summary["controller"])
        colour, dashes = style_of(name, i)
        log = thinned(log)
        flying = _until_rest(log)
        t, z = log["time"][flying], log["truth_height"][flying]
        label = name + ("" if summary["certified"] in (None, True) else " (uncertified)")
        line = {"color": colour, "linestyle": dashes, "linewidth": 1.4}
        height.plot(t, z, label=label, **line)
        near.plot(t, 1e3 * z, **line)
        before = slice(0, _first_contact(log))
        shift = z - np.maximum(log["reference_height"][flying], 0.0)
        error.plot(t[before], 1e3 * shift[before], **line)
    _draw_forces(force, [(thinned(runs[i][0]), runs[i][1]) for i in order])
    descent = _descent_start(runs[0][0])
    end = _end_of_interest(runs, descent)
    force.set_xlim(max(0.0, descent - 0.5), end)
    _limit_error(error, runs, descent)
    _zoom(near, runs[0][0], end)
    height.set_ylabel("height above standing [m]")
    height.legend(loc="upper right", ncols=3, fontsize=8, frameon=False)
    error.axhline(0.0, color="0.6", linewidth=0.8)
    error.set_ylabel("height error until contact [mm]")
    force.set_ylabel("residual force up [N]")
    force.set_xlabel("time [s]")
    first = runs[0][1]
    height.set_title(
        f"{first['vehicle']}, {first['scenario']}, reference {first['reference']}, "
        f"aerodynamics {first['aero']}, seed {first['seed']}",
        fontsize=9,
    )
    for axes in (height, error, force, near):
        _tidy(axes)
    return figure


def thinned(log: FlightLog) -> FlightLog:
    """Return about a hundred rows a second: more than a picture shows."""
    return log.rows(slice(None, None, max(1, round(0.01 / float(log["time"][1] - log["time"][0])))))


def _end_of_interest(runs: Sequence[Run], descent: float) -> float:
    """Return the time to draw until: a second after the last landing, or after the reference's end."""
    ends = [float(log["time"][_until_rest(log)][-1]) for log, s in runs if s["motors_cut"]]
    reference = runs[0][0]["reference_height"]
    low = np.flatnonzero(reference > 0.005)
    still = float(runs[0][0]["time"][low[-1]]) if len(low) else descent
    return min(max([*ends, still]) + 1.0, max(float(log["time"][-1]) for log, _ in runs))


def _zoom(axes: Axes, log: FlightLog, end: float) -> None:
    """Show the last 15 cm, in millimetres."""
    low = np.flatnonzero(log["reference_height"] < 0.15)
    axes.set_xlim(float(log["time"][low[0]]) if len(low) else 0.0, end)
    axes.set_ylim(-8, 150)
    axes.set_ylabel("[mm]", fontsize=7, labelpad=1)
    axes.tick_params(labelsize=7)


def _limit_error(axes: Axes, runs: Sequence[Run], descent: float) -> None:
    """Fit the axis to the errors from the descent on; the start's offset is not of interest."""
    low, high = -5.0, 5.0
    for log, _ in runs:
        error = 1e3 * (log["truth_height"] - np.maximum(log["reference_height"], 0.0))
        flying = (log["time"] >= descent) & (np.arange(len(log)) < _first_contact(log))
        if flying.any():
            low, high = min(low, error[flying].min()), max(high, error[flying].max())
    room = 0.08 * (high - low)
    axes.set_ylim(low - room, high + room)


def _draw_reference(axes: Axes, log: FlightLog, scale: float) -> None:
    flying = _until_rest(log)
    axes.plot(
        log["time"][flying],
        scale * np.maximum(log["reference_height"][flying], 0.0),
        color="0.75",
        linewidth=4,
        label="reference",
        zorder=0,
    )


def _draw_forces(axes: Axes, runs: Sequence[Run]) -> None:
    """Draw what each controller counts on, and as dots the true force of the flight it flew."""
    learners = [r for r in runs if r[1]["controller"].startswith("learned")] or list(runs)
    log = learners[-1][0]
    before = slice(0, _first_contact(log))
    t, true = log["time"][before], log["truth_force"][before, 2]
    dots = slice(None, None, max(1, len(t) // 150))
    name = learners[-1][1]["controller"]
    axes.plot(
        t[dots], true[dots], ".", color="0.35", markersize=3.5, label=f"true, flown by {name}"
    )
    for i, (one, summary) in enumerate(runs):
        name = str(summary["controller"])
        colour, dashes = style_of(name, i)
        until = slice(0, _first_contact(one))
        total = one["learned_force"][until, 2] + one["observer_force"][until, 2]
        if not np.any(total):
            continue
        smooth = _running_mean(total, max(1, round(0.05 / float(one["time"][1] - one["time"][0]))))
        line = {"color": colour, "linestyle": dashes, "linewidth": 1.2}
        axes.plot(one["time"][until], smooth, label=FORCE_NAMES.get(name, name), **line)
    strongest = float(true.max(initial=0.1))
    axes.set_ylim(min(-0.15 * strongest, float(true.min(initial=0.0))), 1.75 * strongest)
    axes.legend(loc="upper left", ncols=2, fontsize=7, frameon=False)


FORCE_NAMES = {
    "learned": "learned",
    "learned+observer": "learned + observed",
    "textbook": "textbook's formula",
    "observer": "observed",
    "oracle": "oracle",
    "oracle+observer": "oracle + observed",
}
"""What the force is called that a controller counts on."""


def _running_mean(values: Array, width: int) -> Array:
    if len(values) < width:
        return values
    padded = np.pad(values, (width // 2, width - 1 - width // 2), mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def _first_contact(log: FlightLog) -> int:
    touching = np.flatnonzero(log["truth_contact_force"] > 0)
    return int(touching[0]) if len(touching) else len(log)


def _until_rest(log: FlightLog) -> slice:
    """Return the rows until half a second after the motors were cut."""
    cut = np.flatnonzero(log["phase"] >= 2)
    if not len(cut):
        return slice(0, len(log))
    return slice(0, int(np.searchsorted(log["time"], log["time"][cut[0]] + 0.5)))


def _descent_start(log: FlightLog) -> float:
    reference = log["reference_height"]
    moving = np.flatnonzero(reference < reference[0] - 1e-6)
    return float(log["time"][moving[0]]) if len(moving) else 0.0


def _tidy(axes: Axes) -> None:
    axes.grid(True, color="0.92", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, out: Path, kinds: Sequence[str]) -> list[Path]:
    """Write a figure whole, once for each kind (png, pdf), and return the paths."""
    paths = []
    for kind in kinds:
        path = out.with_suffix(f".{kind}")
        metadata = {"CreationDate": None} if kind == "pdf" else {"Software": None}
        options: dict[str, Any] = {"format": kind, "dpi": 140, "metadata": metadata}
        write_whole(path, partial(figure.savefig, **options))
        paths.append(path)
    return paths
