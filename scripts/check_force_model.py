"""Holds the world's own force law against real flights: how much of the real force does it explain?

The states and rotor thrusts of the seven Crazyflie flights of Neural-Swarm go through the force law
that simulated flights feel (sim/ground_effect.py; aerodynamics `rotor`, no number fitted), and what
it says is scored as `evaluate` scores a model: vertical force, label and prediction behind the same
zero-phase low pass at 5 Hz, the flight's own constant far from the ground taken out, touches and
stopped motors left out. Beside it stand no force at all, the textbook's law with the rotor's own
radius, and two that were fitted to the other flights of the vehicle, each flight left out in turn:
the world's law with its strength as the one free number, and an exponential with two.

    s = sum x y / sum x^2,    x the law's force, y the label, both less their median far from the
                              ground in that flight

The picture shows the force over height, flight by flight, with all that is drawn taken from its own
median far from the ground.

    NEURAL_LANDER_DATA=DATA python scripts/check_force_model.py --out DIR
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import write_whole
from neural_lander.controller.residual import ResidualInput, ResidualModel, ZeroResidual
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.learning.baselines import GroundEffectLaw, fit_exponential
from neural_lander.learning.dataset import LabelledFlight, label_flights, samples
from neural_lander.learning.evaluation import (
    FAR_FIELD_HEIGHT,
    FAR_FIELD_RADII,
    LOWEST,
    mean_scores,
    scores,
)
from neural_lander.learning.importing import import_flights
from neural_lander.learning.labels import smoothed
from neural_lander.learning.residual_plot import STYLE, medians_by_height
from neural_lander.scripts.cli_output import progress_bar
from neural_lander.scripts.exit_status import exits
from neural_lander.scripts.leave_one_flight_out import VEHICLES
from neural_lander.sim.replay import WorldForce

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]
Row = dict[str, Any]
Progress = Callable[[float, str], None]

WORLD, STRENGTH = "world's law", "world's law, fitted"
ZERO, TEXTBOOK, EXPONENTIAL = "zero", "cheeseman-bennett", "exponential, fitted"
MODELS = (ZERO, TEXTBOOK, WORLD, STRENGTH, EXPONENTIAL)
"""The models, in the order they are shown."""

LINES: dict[str, tuple[str, Any]] = {
    WORLD: ("the world's law,\nno number fitted", {"color": "black", "lw": 1.8, "ls": "-"}),
    STRENGTH: (
        "FITTED: its strength,\nto the other flights",
        {"color": "#D55E00", "lw": 1.6, "ls": (0, (4, 2))},
    ),
}
"""Models that are drawn: what they are called, and how they look."""

DOTS = 700
"""About as many labels of a flight are drawn as dots."""

TOP = 0.45
"""The picture ends here, where labels get few [m]."""


@dataclass(frozen=True)
class Scaled:
    """A model times a number. Implements ``ResidualModel``."""

    model: ResidualModel
    strength: float
    """Dimensionless."""

    def force(self, state: ResidualInput) -> Array:
        """Return the force in the world frame (n, 3) [N]."""
        return self.strength * self.model.force(state)


def fitted_strength(
    model: ResidualModel, flights: Sequence[LabelledFlight], vehicle: Vehicle
) -> float:
    """Return the strength of least squares behind 5 Hz; both sides count from their far field."""
    data = samples(scored(flights, vehicle))
    x, y = model.force(data.state)[:, 2].copy(), data.force[:, 2].copy()
    for number in range(len(flights)):
        own = data.flight == number
        height = data.state.height[own]
        x[own] = over_far_field(x[own], height, vehicle)
        y[own] = over_far_field(y[own], height, vehicle)
    return float(x @ y / (x @ x))


def over_far_field(value: Array, height: Array, vehicle: Vehicle) -> Array:
    """Return values (n,) of a flight less their median far from the ground, if it went there."""
    far = height > max(FAR_FIELD_HEIGHT, FAR_FIELD_RADII * vehicle.rotors.radius)
    return np.asarray(value - np.median(value[far])) if far.any() else value


def scored(flights: Sequence[LabelledFlight], vehicle: Vehicle) -> list[LabelledFlight]:
    """Return flights without the lowest centimetres, which are not scored either (``LOWEST``)."""
    lowest = LOWEST.get(vehicle.name, -np.inf)
    kept = [f.raw.rows(f.raw.height > lowest) for f in flights]
    return [replace(f, raw=r, smooth=smoothed(r)) for f, r in zip(flights, kept, strict=True)]


def models_for(
    out: LabelledFlight, flights: Sequence[LabelledFlight], vehicle: Vehicle
) -> dict[str, ResidualModel]:
    """Return every model by name; what is fitted has not seen the flight ``out``."""
    others = [f for f in flights if f.name != out.name]
    world = WorldForce(vehicle)
    return {
        ZERO: ZeroResidual(),
        TEXTBOOK: GroundEffectLaw(vehicle, vehicle.rotors.radius),
        WORLD: world,
        STRENGTH: Scaled(world, fitted_strength(world, others, vehicle)),
        EXPONENTIAL: fit_exponential(samples(scored(others, vehicle)), vehicle),
    }


@dataclass(frozen=True)
class Checked:
    """A flight, and what was said of it."""

    vehicle: Vehicle
    flight: LabelledFlight
    models: Mapping[str, ResidualModel]

    @property
    def rows(self) -> list[Row]:
        """A row of scores for every model."""
        about = {"flight": self.flight.name, "vehicle": self.vehicle.name}
        rows = []
        for name, model in self.models.items():
            strength = model.strength if isinstance(model, Scaled) else None
            figures = scores(model, self.flight.raw, self.vehicle)
            offset = figures["offset_n"]
            figures["offset_weight"] = None if offset is None else offset / self.vehicle.weight
            rows.append({**about, "model": name, "strength": strength, **figures})
        return rows


def check(folder: Path, work: Path, progress: Progress) -> list[Checked]:
    """Import and label the flights in ``folder`` and fit what is fitted.

    Raises:
        InputError: a flight cannot be read, or a vehicle has fewer than two.
    """
    checked: list[Checked] = []
    for number, (name, patterns) in enumerate(VEHICLES.items()):
        vehicle = load_vehicle(name)
        progress(number / len(VEHICLES), f"reading flights of {name}")
        sources = sorted({f for pattern in patterns for f in folder.glob(f"{pattern}.usdlog")})
        if len(sources) < 2:
            raise InputError(
                f"{folder}: holds {len(sources)} flights of {name} ({', '.join(patterns)}), "
                "expected 2 or more"
            )
        results = import_flights(sources, vehicle, work / name, "crazyflie")
        errors = [r.error for r in results if r.error]
        if errors:
            raise InputError("; ".join(errors))
        flights = label_flights([r.path for r in results if r.path], vehicle)
        for i, out in enumerate(flights):
            progress((number + (i + 0.5) / len(flights)) / len(VEHICLES), out.name)
            checked.append(Checked(vehicle, out, models_for(out, flights, vehicle)))
    return checked


def means(rows: Sequence[Row]) -> list[Row]:
    """Return the mean over flights of each model's scores: of each vehicle, then of all."""
    groups: list[tuple[str, list[Row]]] = [
        (name, [r for r in rows if r["vehicle"] == name]) for name in VEHICLES
    ]
    return [
        {"flights": name, "model": model, **_mean([r for r in group if r["model"] == model])}
        for name, group in [*groups, ("all", list(rows))]
        for model in MODELS
    ]


def _mean(rows: Sequence[Row]) -> dict[str, float | None]:
    text = ("flight", "vehicle", "model")
    return mean_scores([{k: v for k, v in row.items() if k not in text} for row in rows])


def verdict(averages: Sequence[Row]) -> str:
    """Say in plain words, good or bad, what the world's law is worth over all flights (``means``)."""
    of = {r["model"]: r for r in averages if r["flights"] == "all"}
    r2 = {name: of[name]["r2_z_5hz"] for name in MODELS}
    error = {name: 100 * of[name]["rmse_z_5hz_weight"] for name in MODELS}
    beside = f"{error[WORLD]:.2f} % of weight, that of no force at all {error[ZERO]:.2f} %"
    if error[WORLD] >= error[ZERO]:
        first = (
            "The world's law explains nothing of the real vertical force behind 5 Hz "
            f"(R2 {r2[WORLD]:.2f}): its error is {beside}."
        )
    else:
        first = (
            f"The world's law explains R2 {r2[WORLD]:.2f} of the real vertical force behind 5 Hz, "
            f"no number fitted: its error is {beside}."
        )
    gained, missed = r2[STRENGTH] - r2[WORLD], r2[EXPONENTIAL] - r2[STRENGTH]
    return (
        f"{first} Made {of[STRENGTH]['strength']:.2f} times as strong, as the other flights of the "
        f"vehicle want it, it explains {r2[STRENGTH]:.2f}; an exponential with two fitted numbers "
        f"{r2[EXPONENTIAL]:.2f}: "
        + (
            "more is wrong with its shape than with its strength."
            if missed > max(gained, 0.0)
            else "its shape is not what is wrong."
        )
    )


COLUMNS = (
    ("R2", "r2_z_5hz", 1.0),
    ("RMSE [%]", "rmse_z_5hz_weight", 100.0),
    ("R2\n< 15 cm", "r2_z_5hz_low", 1.0),
    ("RMSE [%]\n< 15 cm", "rmse_z_5hz_low_weight", 100.0),
    ("offset\n[%]", "offset_weight", 100.0),
)
"""Head, key and scale of the table's columns."""


def table(rows: Sequence[Row], averages: Sequence[Row]) -> Table:
    """Return all scores, flight by flight, then the means."""
    result = Table(
        title="vertical residual force behind 5 Hz; [%] of weight; the offset is taken out",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    result.add_column("flight, model", no_wrap=True)
    for head, _, _ in COLUMNS:
        result.add_column(head, justify="right")
    before = ""
    for row in [*rows, *({**r, "flight": f"mean of {r['flights']}"} for r in averages)]:
        if row["flight"] != before:
            if before:
                result.add_row()
            result.add_row(f"[bold]{row['flight']}[/bold]")
            before = row["flight"]
        name = row["model"]
        if row["strength"] is not None:
            name += f" × {row['strength']:.2f}"
        figures = [
            "–" if row[key] is None else f"{scale * row[key]:.2f}" for _, key, scale in COLUMNS
        ]
        result.add_row(f"  {name}", *figures)
    return result


def draw(checked: Sequence[Checked], out: Path) -> Path:
    """Draw measured and predicted force over height, a panel a flight, into ``out``; return it."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 5.8), layout="constrained", dpi=160)
        panels = figure.subplots(len(VEHICLES), 4, sharex=True, sharey="row", squeeze=False)
        for line, name in zip(panels, VEHICLES, strict=True):
            own = [c for c in checked if c.vehicle.name == name]
            for axes, each in zip(line, own, strict=False):
                _panel(axes, each)
            for axes in line[len(own) :]:
                axes.set_axis_off()
            line[0].set_ylabel(f"{name}\nvertical force less its far field\n[% of weight]")
        legend: Any = {"loc": "center", "handlelength": 2.4, "labelspacing": 1.1, "fontsize": 9}
        handles, names = panels[0, 0].get_legend_handles_labels()
        order = [0, len(names) - 1, *range(1, len(names) - 1)]  # bars come last by themselves
        panels[-1, -1].legend([handles[i] for i in order], [names[i] for i in order], **legend)
        write_whole(out, lambda path: figure.savefig(path, format="png"))
    return out


def _panel(axes: "Axes", checked: Checked) -> None:
    flight, vehicle = checked.flight, checked.vehicle
    labels = scored([flight], vehicle)[0].smooth
    labels = labels.rows(labels.valid)
    height = labels.height

    def shown(force: Array) -> Array:
        return over_far_field(100 * force[:, 2] / vehicle.weight, height, vehicle)

    measured = shown(labels.force)
    every = max(1, round(len(height) / DOTS))
    dots: Any = {"color": "#A8A8A8", "ms": 3.2, "mec": "none", "zorder": 1}
    axes.plot(height[::every], measured[::every], ".", label="measured", **dots)
    middle, low, median, high = medians_by_height(height, measured).T
    bars: Any = {"fmt": "o", "color": "#0072B2", "ms": 3.5, "lw": 0.9, "zorder": 2}
    around = (median - low, high - median)
    axes.errorbar(middle, median, around, label="measured: median\nand middle half", **bars)
    for name, (label, look) in LINES.items():
        middle, _, median, _ = medians_by_height(
            height, shown(checked.models[name].force(labels.state))
        ).T
        axes.plot(middle, median, label=label, zorder=3, **look)
    of = {row["model"]: row for row in checked.rows}
    law, fitted = of[WORLD], of[STRENGTH]
    axes.set_title(
        f"{flight.name}\nlaw: $R^2$ {law['r2_z_5hz']:.2f};  "
        f"fitted, × {fitted['strength']:.2f}: {fitted['r2_z_5hz']:.2f}",
        fontsize=8,
        loc="left",
    )
    axes.axhline(0, color="black", lw=0.6)
    axes.set_xlim(0, TOP)
    axes.set_xlabel("height above standing $h$ [m]")
    axes.tick_params(labelbottom=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder for the picture")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


@exits
def main() -> None:
    """Read options, check, draw, print; leave with status 2 for bad input."""
    options = _options()
    data = os.environ.get("NEURAL_LANDER_DATA")
    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"--out {options.out}: is no folder")
    if not data:
        raise InputError("NEURAL_LANDER_DATA is not set; expected the folder of real flights")
    folder = Path(data) / "flights" / "neural-swarm"
    with tempfile.TemporaryDirectory() as work, progress_bar("check") as progress:
        checked = check(folder, Path(work), progress)
        rows = [row for each in checked for row in each.rows]
    options.out.mkdir(parents=True, exist_ok=True)
    picture = draw(checked, options.out / "force_model.png")
    averages = means(rows)
    said = verdict(averages)
    if options.json:
        report = {"rows": rows, "means": averages, "verdict": said, "picture": str(picture)}
        print(json.dumps(report))
        return
    console = Console(highlight=False)
    console.print(table(rows, averages))
    console.print()
    console.print(said)
    console.print(f"picture: {picture}", soft_wrap=True)


if __name__ == "__main__":
    main()
