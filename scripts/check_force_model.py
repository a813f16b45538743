"""Holds the world's own force law against real flights: how much of the real force does it explain?

The states and rotor thrusts of the seven Crazyflie flights of Neural-Swarm go through the force law
that simulated flights feel (sim/ground_effect.py; aerodynamics `rotor`, no number fitted), and what
it says is scored as `evaluate` scores a model: vertical force, label and prediction behind the same
zero-phase low pass at 5 Hz, the flight's own constant far from the ground taken out, touches and
stopped motors left out. Beside it stand no force at all, the textbook's law with the rotor's own
radius, and two that were fitted to the other flights of the vehicle, each flight left out in turn:
the world's law with its strength as the one free number, and an exponential with two.

    s = sum x y / sum x^2,    x the law's force, y the label, both less their mean over each flight

The picture shows the force over height, flight by flight, with all that is drawn taken from its own
median far from the ground.

    NEURAL_LANDER_DATA=DATA python scripts/check_force_model.py --out DIR
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
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

WORLD, STRENGTH = "world's law", "world's law, strength fitted"
ZERO, TEXTBOOK, EXPONENTIAL = "zero", "cheeseman-bennett", "exponential, fitted"
MODELS = (ZERO, TEXTBOOK, WORLD, STRENGTH, EXPONENTIAL)
"""The models, in the order they are shown."""

LINES: dict[str, Any] = {
    WORLD: {"color": "black", "lw": 1.8, "ls": "-"},
    STRENGTH: {"color": "#D55E00", "lw": 1.6, "ls": (0, (4, 2))},
}
"""How the models that are drawn look."""

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
    """Return the strength of least squares; a constant of each flight is no part of it."""
    data = samples(scored(flights, vehicle))
    x, y = model.force(data.state)[:, 2].copy(), data.force[:, 2].copy()
    for number in range(len(flights)):
        own = data.flight == number
        x[own] -= x[own].mean()
        y[own] -= y[own].mean()
    return float(x @ y / (x @ x))


def scored(flights: Sequence[LabelledFlight], vehicle: Vehicle) -> list[LabelledFlight]:
    """Return flights without the lowest centimetres, which are not scored either (``LOWEST``)."""
    kept = [f.raw.rows(f.raw.height > LOWEST[vehicle.name]) for f in flights]
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

    def rows(self) -> list[Row]:
        """Return a row of scores for every model."""
        about = {"flight": self.flight.name, "vehicle": self.vehicle.name}
        rows = []
        for name, model in self.models.items():
            strength = model.strength if isinstance(model, Scaled) else None
            figures = scores(model, self.flight.raw, self.vehicle)
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


def verdict(rows: Sequence[Row]) -> str:
    """Say in a sentence or two what the world's law is worth, good or bad, over all flights."""
    of = {r["model"]: r for r in means(rows) if r["flights"] == "all"}
    r2, error, nothing = (
        of[WORLD]["r2_z_5hz"],
        100 * of[WORLD]["rmse_z_5hz_weight"],
        100 * of[ZERO]["rmse_z_5hz_weight"],
    )
    if error >= nothing:
        first = (
            f"The world's law explains nothing of the real force: its error is {error:.2f} % of "
            f"weight, that of no force at all {nothing:.2f} % (R2 {r2:.2f})."
        )
    else:
        first = (
            f"The world's law explains R2 {r2:.2f} of the real vertical force behind 5 Hz, without a "
            f"fitted number: its error is {error:.2f} % of weight, that of no force at all "
            f"{nothing:.2f} %."
        )
    strengths = [r["strength"] for r in rows if r["strength"] is not None]
    return (
        f"{first} Fitted to other flights of the vehicle it would be {min(strengths):.2f} to "
        f"{max(strengths):.2f} times as strong, and explain {of[STRENGTH]['r2_z_5hz']:.2f}; "
        f"an exponential with two fitted numbers explains {of[EXPONENTIAL]['r2_z_5hz']:.2f}."
    )


COLUMNS = (
    ("R2", "r2_z_5hz", 1.0),
    ("RMSE\n[% of weight]", "rmse_z_5hz_weight", 100.0),
    ("R2 below\n15 cm", "r2_z_5hz_low", 1.0),
    ("RMSE below\n15 cm [%]", "rmse_z_5hz_low_weight", 100.0),
    ("constant\n[% of weight]", "offset_weight", 100.0),
)
"""Head, key and scale of the table's columns."""


def table(rows: Sequence[Row]) -> Table:
    """Return all scores, flight by flight, then the means."""
    result = Table(
        title="vertical residual force of real flights, behind 5 Hz; fitted: to the other flights",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    result.add_column("flight", no_wrap=True)
    result.add_column("model", no_wrap=True)
    for head, _, _ in COLUMNS:
        result.add_column(head, justify="right")
    averages = [{**r, "flight": f"mean of {r['flights']}"} for r in means(rows)]
    before = ""
    for row in [*rows, *averages]:
        if before and row["flight"] != before:
            result.add_row()
        name = row["model"]
        if row["strength"] is not None:
            name += f" ({row['strength']:.2f})"
        figures = [
            "–" if row[key] is None else f"{scale * row[key]:.2f}" for _, key, scale in COLUMNS
        ]
        result.add_row(row["flight"] if row["flight"] != before else "", name, *figures)
        before = row["flight"]
    return result


def draw(checked: Sequence[Checked], out: Path) -> Path:
    """Draw measured and predicted force over height, a panel a flight, into ``out``; return it."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 5.8), layout="constrained", dpi=160)
        panels = figure.subplots(len(VEHICLES), 4, sharex=True, sharey="row", squeeze=False)
        axes: Axes
        for line, name in zip(panels, VEHICLES, strict=True):
            own = [c for c in checked if c.vehicle.name == name]
            for axes, each in zip(line, own, strict=False):
                _panel(axes, each)
            for axes in line[len(own) :]:
                axes.set_axis_off()
            line[0].set_ylabel(f"{name}\nvertical force over far field\n[% of weight]")
        for axes in panels.flat:
            if axes.axison:
                axes.set_xlabel("height above standing $h$ [m]")
                axes.tick_params(labelbottom=True)
        handles, labels = panels[0, 0].get_legend_handles_labels()
        panels[-1, -1].legend(handles, labels, loc="center left", fontsize=9, handlelength=2.4)
        write_whole(out, lambda path: figure.savefig(path, format="png"))
    return out


def _panel(axes: "Axes", checked: Checked) -> None:
    flight, vehicle = checked.flight, checked.vehicle
    labels = scored([flight], vehicle)[0].smooth
    labels = labels.rows(labels.valid)
    height = labels.height
    far = height > max(FAR_FIELD_HEIGHT, FAR_FIELD_RADII * vehicle.rotors.radius)

    def shown(force: Array) -> Array:
        share = 100 * force[:, 2] / vehicle.weight
        return np.asarray(share - np.median(share[far]))

    measured = shown(labels.force)
    every = max(1, round(len(height) / DOTS))
    axes.plot(
        height[::every], measured[::every], ".", color="#B8B8B8", ms=3, mec="none", alpha=0.7,
        label="measured, behind 5 Hz", zorder=1,
    )  # fmt: skip
    middle, low, median, high = medians_by_height(height, measured).T
    axes.errorbar(
        middle, median, (median - low, high - median), fmt="o", color="#0072B2", ms=3.5, lw=0.9,
        label="measured: median, middle half", zorder=2,
    )  # fmt: skip
    for name, look in LINES.items():
        model = checked.models[name]
        middle, _, median, _ = medians_by_height(height, shown(model.force(labels.state))).T
        label = "the world's law, nothing fitted" if name == WORLD else None
        if isinstance(model, Scaled):
            label = "the same, strength fitted to other flights"
        axes.plot(middle, median, label=label, zorder=3, **look)
    world, scaled = checked.models[WORLD], checked.models[STRENGTH]
    r2 = scores(world, flight.raw, vehicle)["r2_z_5hz"]
    assert isinstance(scaled, Scaled)
    fitted = scores(scaled, flight.raw, vehicle)["r2_z_5hz"]
    axes.set_title(
        f"{flight.name}\n$R^2$ {r2:.2f};  fitted, × {scaled.strength:.2f}:  {fitted:.2f}", fontsize=8
    )
    axes.axhline(0, color="black", lw=0.6)
    axes.set_xlim(0, TOP)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder for the picture")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


def _with_shares(checked: Sequence[Checked]) -> Iterator[Row]:
    for each in checked:
        for row in each.rows():
            offset = row["offset_n"]
            share = None if offset is None else offset / each.vehicle.weight
            yield {**row, "offset_weight": share}


@exits
def main() -> None:
    """Read options, check, draw, print; leave with status 2 for bad input."""
    options = _options(None)
    data = os.environ.get("NEURAL_LANDER_DATA")
    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"--out {options.out}: is no folder")
    if not data:
        raise InputError("NEURAL_LANDER_DATA is not set; expected the folder of real flights")
    folder = Path(data) / "flights" / "neural-swarm"
    with tempfile.TemporaryDirectory() as work, progress_bar("check") as progress:
        checked = check(folder, Path(work), progress)
        rows = list(_with_shares(checked))
    options.out.mkdir(parents=True, exist_ok=True)
    picture = draw(checked, options.out / "force_model.png")
    said = verdict(rows)
    if options.json:
        report = {"rows": rows, "means": means(rows), "verdict": said, "picture": str(picture)}
        print(json.dumps(report))
        return
    console = Console(highlight=False)
    console.print(table(rows))
    console.print()
    console.print(said)
    console.print(f"picture: {picture}", soft_wrap=True)


if __name__ == "__main__":
    main()
