"""Draws the vertical residual force over height: what the known physics leaves out near the ground.

Dots are labels of the flights, behind the low pass that learning uses, touches left out. Lines are
medians of slices of height, bands hold the middle half of each. What a learned network says is
drawn for hover: level, at rest, thrust equal to weight. Nothing is shifted: where flights lie apart
far from the ground, thrust law, mass or battery is off by as much.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import write_whole
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.network import Network
from neural_lander.controller.residual import ResidualInput
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.labels import residual_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
"""Told apart by colour-blind eyes. Source: Okabe and Ito, "Color universal design", 2008."""

DOTS = 4000
"""About as many labels are drawn as dots, all flights together."""

SLICES = 24
"""Slices of height; thin near the ground."""

SLICE_ROWS = 20
"""Slices with fewer labels (0.2 s) have no median."""

NEAR = 0.03
"""Slices are even in log(height + this) [m]."""

STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}


def plot_residual_over_height(
    logs: Mapping[str, FlightLog], vehicle: Vehicle, out: Path, network: Network | None = None
) -> Path:
    """Draw flights, by the name to show, into ``out`` (PNG) and a PDF beside it; return ``out``.

    Raises:
        InputError: there are no flights, one has no usable label, or ``out`` is no ``.png``.
    """
    import matplotlib
    from matplotlib.figure import Figure

    if out.suffix != ".png":
        raise InputError(f"{out}: the picture is a PNG, expected a name that ends in .png")
    flights = {name: _points(name, log, vehicle) for name, log in logs.items()}
    if not flights:
        raise InputError("no flights to draw; give one or more")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.6, 4.0), layout="constrained", dpi=200)
        axes = figure.add_subplot()
        _draw(axes, flights, vehicle)
        if network is not None:
            _draw_network(axes, network, vehicle, max(h.max() for h, _ in flights.values()))
        axes.legend(
            loc="upper right",
            fontsize=8,
            handlelength=1.6,
            title="dots: labels; line and band: median and middle half",
            title_fontsize=7,
            alignment="left",
        )
        write_whole(out, lambda path: figure.savefig(path, format="png"))
        metadata = {"CreationDate": None}  # the same flights give the same bytes
        write_whole(
            out.with_suffix(".pdf"),
            lambda path: figure.savefig(path, format="pdf", metadata=metadata),
        )
    return out


def medians_by_height(height: Array, value: Array) -> Array:
    """Return a row a slice of height: its middle [m], and the quartiles of ``value`` (slices, 4).

    Slices with too few rows are left out.
    """
    log_height = np.log(np.maximum(height, 0) + NEAR)
    edges = np.linspace(log_height.min(), log_height.max() + 1e-9, SLICES + 1)
    slot = np.digitize(log_height, edges) - 1
    rows = []
    for i in range(SLICES):
        inside = slot == i
        if inside.sum() >= SLICE_ROWS:
            rows.append([np.median(height[inside]), *np.quantile(value[inside], (0.25, 0.5, 0.75))])
    return np.array(rows).reshape(-1, 4)


def _points(name: str, log: FlightLog, vehicle: Vehicle) -> tuple[Array, Array]:
    """Return heights [m] and vertical residual forces [% of weight] of a flight's valid labels."""
    try:
        labels = residual_labels(log, vehicle)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    if not labels.valid.any():
        raise InputError(f"{name}: every stretch in the air is too short for a label")
    return labels.height[labels.valid], 100 * labels.force[labels.valid, 2] / vehicle.weight


def _draw(axes: "Axes", flights: Mapping[str, tuple[Array, Array]], vehicle: Vehicle) -> None:
    if len(flights) > len(COLOURS):
        height, value = (np.concatenate(part) for part in zip(*flights.values(), strict=True))
        flights = {f"{len(flights)} flights": (height, value)}
    total = sum(len(height) for height, _ in flights.values())
    every = max(1, round(total / DOTS))
    for (name, (height, value)), colour in zip(flights.items(), COLOURS, strict=False):
        dots: Any = {"ms": 3.2, "mec": "none", "alpha": 0.3}
        axes.plot(height[::every], value[::every], ".", color=colour, **dots)
        middle, low, median, high = medians_by_height(height, value).T
        axes.fill_between(middle, low, high, color=colour, alpha=0.18, lw=0)
        axes.plot(middle, median, color=colour, lw=1.6, label=name, zorder=3)
    values = np.concatenate([value for _, value in flights.values()])
    low_value, high_value = np.quantile(values, (0.0005, 0.9995))
    margin = 0.05 * (high_value - low_value)
    axes.set_ylim(low_value - margin, high_value + margin)
    axes.set_xlim(0, max(height.max() for height, _ in flights.values()) * 1.02)
    axes.axhline(0, color="black", lw=0.6)
    axes.set_xlabel("height above standing $h$ [m]")
    axes.set_ylabel(r"vertical residual force $f_{a,z}$ [% of weight]")
    radius = vehicle.rotors.radius
    in_radii, in_metres = (lambda h: np.divide(h, radius)), (lambda n: np.multiply(n, radius))
    radii = axes.secondary_xaxis("top", functions=(in_radii, in_metres))
    radii.set_xlabel("in rotor radii, $h/R$", fontsize=8)
    radii.tick_params(labelsize=8)


def _draw_network(axes: "Axes", network: Network, vehicle: Vehicle, height_max: float) -> None:
    height = np.linspace(0, height_max, 400)
    rotors = len(vehicle.rotors.spins)
    hover = ResidualInput(
        height=height,
        velocity=np.zeros((len(height), 3)),
        attitude=np.tile([0.0, 0.0, 0.0, 1.0], (len(height), 1)),
        rotor_thrust=np.full((len(height), rotors), vehicle.weight / rotors),
    )
    share = 100 * network.force(hover)[:, 2] / vehicle.weight
    axes.plot(height, share, "--", color="black", lw=1.6, label="learned, in hover", zorder=4)
