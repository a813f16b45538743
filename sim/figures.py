"""Pictures of landings: height, its last 15 cm, height error, and force, over time.

Lines look as ``plots/style.py`` says. A flight that crashed ends in a cross, and the title says where.
"""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neural_lander.controller.flight_log import FlightLog
from neural_lander.sim.plots.style import save, style_of, tidy
from neural_lander.sim.summary import height_over_end, hover_of
from neural_lander.sim.verdict import REFUSED, SLIPPED

Array = npt.NDArray[np.float64]

DRAWN = (
    "rotor_thrust_command",
    "reference_height",
    "setpoint_position",
    "learned_force",
    "observer_force",
    "phase",
    "truth_position",
    "truth_force",
    "truth_contact_force",
)
"""What the log of a run has to hold, beside time."""

NEAR = 0.15
"""The panel of the end shows heights below this [m]."""
LEAST = 0.02
"""The force axis shows at least this share of the weight, and no less however weak the force is."""

Run = tuple[FlightLog, dict[str, Any]]


def draw_comparison(runs: Sequence[Run], out: Path) -> list[Path]:
    """Draw several landings over one another; write ``out`` as PNG and as PDF."""
    return save(_figure(runs), out, ("png", "pdf"))


def draw_landing(log: FlightLog, summary: dict[str, Any], out: Path) -> list[Path]:
    """Draw one landing as PNG; an uncertified flight of a learned controller says so."""
    return save(_figure([(log, summary)]), out, ("png",))


def _figure(runs: Sequence[Run]) -> Figure:
    figure = Figure(figsize=(7.2, 6.0))
    panels = figure.subplots(2, 2)
    (height, near), (error, force) = panels
    longest = max((log for log, _ in runs), key=len)
    order = sorted(range(len(runs)), key=lambda i: runs[i][1]["controller"].startswith("learned"))
    _draw_reference(height, longest, 1.0)
    _draw_reference(near, longest, 1e3)
    for i in order:  # what was learned is drawn last, on top
        _draw_run(height, near, error, runs[i], style_of(str(runs[i][1]["controller"]), i))
    _draw_forces(force, [(thinned(runs[i][0]), runs[i][1]) for i in order])
    descent = hover_of(longest)
    end = _end_of_interest(runs, longest, descent)
    crashes = [float(log["time"][-1]) - 0.5 for log, summary in runs if summary["crashed"]]
    start = max(0.0, min([descent - 0.5, *crashes]))
    for axes in (height, error, force):
        axes.set_xlim(start, end)
    _limit_error(error, runs, descent)
    _zoom(near, longest, end)
    error.axhline(0.0, color="0.6", linewidth=0.8)
    for axes, letter, label in zip(
        panels.flat,
        "abcd",
        (
            "height above standing [m]",
            f"the last {100 * NEAR:.0f} cm [mm]",
            "height error until contact [mm]",
            "residual force up, true and counted on [N]",
        ),
        strict=True,
    ):
        axes.set_title(f"({letter})  {label}", fontsize=9, loc="left")
        axes.tick_params(labelsize=8)
        tidy(axes)
    for axes in (error, force):
        axes.set_xlabel("time [s]", fontsize=9)
    title = _title(runs)
    figure.suptitle(title, fontsize=9, y=0.99, va="top")
    handles, labels = height.get_legend_handles_labels()
    top = 0.965 - 0.025 * title.count("\n")
    columns = min(3, len(labels))
    figure.legend(
        handles, labels, loc="upper center", bbox_to_anchor=(0.5, top), ncols=columns, fontsize=8,
        frameon=False, handlelength=3.2,
    )  # fmt: skip
    top -= 0.05 + 0.03 * -(-len(labels) // columns)
    figure.subplots_adjust(left=0.07, right=0.91, top=top, bottom=0.075, hspace=0.26, wspace=0.2)
    return figure


def _draw_run(height: Axes, near: Axes, error: Axes, run: Run, line: dict[str, Any]) -> None:
    log, summary = thinned(run[0]), run[1]
    flying = _until_rest(log)
    t, z = log["time"][flying], height_over_end(log)[flying]
    notes = [
        *([_failure(summary)] if _failure(summary) else []),
        *(["uncertified"] if summary["certified"] is False else []),
    ]
    label = str(summary["controller"]) + (f" ({', '.join(notes)})" if notes else "")
    shift = z - np.maximum(log["reference_height"][flying], 0.0)
    before = slice(0, _first_contact(log))
    height.plot(t, z, label=label, **line)
    near.plot(t, 1e3 * z, **line)
    error.plot(t[before], 1e3 * shift[before], **line)
    if summary.get("monitor_event"):
        error.axvline(summary["monitor_event_s"], color=line["color"], linewidth=1.0, linestyle=":")
    if summary["crashed"]:
        cross: dict[str, Any] = {"marker": "X", "markersize": 9, "markeredgecolor": "black"}
        at, up = run[0]["time"][-1:], height_over_end(run[0])[-1:]
        height.plot(at, up, color=line["color"], clip_on=False, zorder=5, **cross)
        near.plot(at, 1e3 * up, color=line["color"], zorder=5, **cross)


def _title(runs: Sequence[Run]) -> str:
    """Return what was flown, and of every flight that crashed when, how high, and why."""
    first = runs[0][1]
    seeds = sorted({summary["seed"] for _, summary in runs})
    title = (
        f"{first['vehicle']}, {first['scenario']}, reference {first['reference']}, "
        f"aerodynamics {first['aero']}, seed {', '.join(map(str, seeds))}"
    )
    crashes = [
        f"{summary['controller']} {_failure(summary)} at {log['time'][-1]:.2f} s, "
        f"{height_over_end(log)[-1]:.2f} m up ({summary['crash_reason']})"
        for log, summary in runs
        if summary["crashed"]
    ]
    dropped = [
        f"{summary['controller']}: monitor at {summary['monitor_event_s']:.2f} s "
        f"({summary['monitor_event']}), learned force dropped"
        for _, summary in runs
        if summary.get("monitor_event")
    ]
    slid = [
        f"{summary['controller']} slid {summary['slide_m']:.2f} m along the surface"
        for _, summary in runs
        if summary["outcome"] == SLIPPED
    ]
    notes = crashes + slid + dropped
    return "\n".join([title, *([fill("; ".join(notes), 110)] if notes else [])])


def _failure(summary: dict[str, Any]) -> str:
    """Return what went wrong in a word or two, or nothing."""
    if summary["outcome"] in REFUSED:
        return str(summary["outcome"])
    return "crashed" if summary["crashed"] else ""


def thinned(log: FlightLog) -> FlightLog:
    """Return about a hundred rows a second: more than a picture shows."""
    return log.rows(slice(None, None, max(1, round(0.01 / float(log["time"][1] - log["time"][0])))))


def _end_of_interest(runs: Sequence[Run], longest: FlightLog, descent: float) -> float:
    """Return the time to draw until: a second after the last landing, or after the reference's end."""
    ends = [float(log["time"][_until_rest(log)][-1]) for log, s in runs if s["motors_cut"]]
    low = np.flatnonzero(longest["reference_height"] > 0.005)
    still = float(longest["time"][low[-1]]) if len(low) else descent
    return min(max([*ends, still]) + 1.0, float(longest["time"][-1]))


def _zoom(axes: Axes, log: FlightLog, end: float) -> None:
    """Show the end, in millimetres; a flight that never came so low leaves an empty panel."""
    low = np.flatnonzero(log["reference_height"] < NEAR)
    if len(low):
        axes.set_xlim(float(log["time"][low[0]]), end)
    else:
        axes.text(
            0.5, 0.5, "the reference was not so low yet", ha="center", fontsize=8,
            transform=axes.transAxes,
        )  # fmt: skip
        axes.set_xlim(0.0, end)
    axes.set_ylim(-8, 1e3 * NEAR)


def _limit_error(axes: Axes, runs: Sequence[Run], descent: float) -> None:
    """Fit the axis to the errors from the descent on; the start's offset is not of interest."""
    low, high = -5.0, 5.0
    for log, _ in runs:
        error = 1e3 * (height_over_end(log) - np.maximum(log["reference_height"], 0.0))
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
    dots = slice(None, None, max(1, len(t) // 100))
    name = learners[-1][1]["controller"]
    for i, (one, summary) in enumerate(runs):
        until = slice(0, _first_contact(one))
        total = one["learned_force"][until, 2] + one["observer_force"][until, 2]
        if not np.any(total):
            continue
        smooth = _running_mean(total, max(1, round(0.05 / float(one["time"][1] - one["time"][0]))))
        axes.plot(one["time"][until], smooth, **style_of(str(summary["controller"]), i))
    axes.plot(
        t[dots], true[dots], "o", color="white", markeredgecolor="0.2", markeredgewidth=0.6,
        markersize=2.8, label=f"true, flown by {name}", zorder=4,
    )  # fmt: skip
    weight = _weight(log)
    strongest = float(true.max(initial=LEAST * weight))
    axes.set_ylim(min(-0.15 * strongest, float(true.min(initial=0.0))), 1.5 * strongest)
    axes.legend(loc="upper left", fontsize=7, frameon=False, handlelength=1.0)
    _share_axis(axes, weight)


def _share_axis(axes: Axes, weight: float) -> None:
    """Let the right side show a force as a share of the weight."""

    def share(force: Any) -> Any:
        return 100 * force / weight

    def force(share: Any) -> Any:
        return share * weight / 100

    right = axes.secondary_yaxis("right", functions=(share, force))
    right.set_ylabel("share of the weight [%]", fontsize=8)
    right.tick_params(labelsize=8)


def _weight(log: FlightLog) -> float:
    """Return the thrust commanded in hover, before the descent [N]: the weight, as far as it shows."""
    hover = log["time"] <= max(hover_of(log), float(log["time"][0]))
    return float(np.median(log["rotor_thrust_command"][hover].sum(axis=-1)))


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
