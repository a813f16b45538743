"""Measures learning where the truth is known: error, noise, sign of the slope, and time.

    python scripts/learning_tables.py --aero NAME.safetensors [--table noise|time] [--json]

Flights are collected in simulation with a published network as the vehicle's aerodynamics (rotor
for the simulator's own), and scored on others, against the true force at the true state. Seeded.

noise  error on unseen flights over the size of all sensor noise; the slope in the thrust u beside
       the true one, by moving the thrust of every unseen sample by `STEP` of its weight.
time   29,000 labels on one thread: ours, and the authors' recipe written afresh: Adam, batches of
       16, each layer scaled back to its bound by a singular value decomposition after every step,
       5 passes. Both see the same labels, ours thinned to what the low pass left in them; time is
       the processor's, from labels to network. Both have the full inputs, each scaled as its own.

Source of the recipe: Shi et al., "Neural Lander", ICRA 2019, and the notebook published with it.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import read_flight_log
from neural_lander.controller.network import Network, NetworkInput, to_heading
from neural_lander.controller.residual import ResidualInput, ResidualModel
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.learning.dataset import FRAME, InputSet, LabelledFlight, features, samples
from neural_lander.learning.fitting import Task, fit_networks, one_thread, thinning
from neural_lander.learning.settings import TrainingSettings
from neural_lander.learning.training import labelled
from neural_lander.sim.collect import collect
from neural_lander.sim.physics import load_aerodynamics

Array = npt.NDArray[np.float64]
Rows = list[dict[str, Any]]

FLIGHTS, UNSEEN, SECONDS = 8, 4, 60.0
SEED, UNSEEN_SEED = 0, 1000
NOISE = (0.5, 1.0, 2.0, 4.0)
"""Sizes of all sensor noise, as multiples of the vehicle file's."""

LABELS = 29_000
STEP = 0.01
"""Change of thrust from which a slope is taken [weights]."""

FULL = TrainingSettings(inputs="full", lipschitz=1.0, device="cpu")
"""Twelve inputs share one bound, so it is wider than for three."""

PASSES = (25, 50, 75, 100, 200, 300)
"""Lengths of our training that are timed."""

AUTHORS_RATE, AUTHORS_BATCH, AUTHORS_PASSES, AUTHORS_NORM = 1e-3, 16, 5, 2.0
"""Rate of Adam, rows a step, passes, bound of each layer's norm (16 in all)."""


@dataclass(frozen=True)
class Truth:
    """True states of unseen flights, in the air, and the true force there."""

    state: ResidualInput
    force: Array
    """Vertical (n,) [N]."""


def main() -> None:
    """Read options, measure, print; leave with status 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--aero", default="rotor", help="rotor, or NAME.safetensors")
    parser.add_argument("--vehicle", default="intel-aero")
    parser.add_argument("--table", choices=("noise", "time"), help="this table alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    console, result = Console(highlight=False), dict[str, Rows]()
    tables = {"noise": noise_table, "time": time_table}
    try:
        vehicle = load_vehicle(options.vehicle)
        with tempfile.TemporaryDirectory() as work:
            for name in [options.table] if options.table else tables:
                result[name] = tables[name](vehicle, options.aero, Path(work))
                if not options.json:
                    console.print(shown(name, result[name]))
    except InputError as error:
        _tell(f"error: {error}")
        sys.exit(2)
    if options.json:
        print(json.dumps(result))


def shown(title: str, rows: Rows) -> Table:
    """Return the rows as a table."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for key in rows[0]:
        table.add_column(key.replace(" ", "\n"), no_wrap=key == "recipe")
    for row in rows:
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
    return table


def noise_table(vehicle: Vehicle, aero: str, work: Path) -> Rows:
    """Return error and slope on unseen flights, by inputs and size of the noise."""
    unseen = truth(collect(vehicle, UNSEEN, SECONDS, UNSEEN_SEED, work / "unseen", aero), vehicle)
    model = load_aerodynamics(aero, vehicle)[1]
    rows: Rows = []
    for size in NOISE:
        _tell(f"noise of {size:g} times the vehicle file's")
        noisy = replace(vehicle, noise=_scaled(vehicle, size))
        paths = collect(noisy, FLIGHTS, SECONDS, SEED, work / f"noise-{size:g}", aero)
        kinds: tuple[InputSet, InputSet] = ("full", "level")
        for kind in kinds:
            settings = FULL if kind == "full" else TrainingSettings(device="cpu")
            flights, cutoff = labelled(paths, vehicle, settings)
            task = Task(tuple(flights), settings.lipschitz, settings.seed)
            fitted = fit_networks([task], vehicle, settings, thinning(cutoff["hz"]))[0]
            label = np.concatenate([f.raw.force[:, 2] for f in flights])
            rows.append(
                {
                    "noise": size,
                    "raw label RMS [N]": float(label.std()),
                    "low pass [Hz]": cutoff["hz"],
                    "inputs": kind,
                    **errors(fitted.network, unseen),
                    **slopes(fitted.network, model, unseen, vehicle),
                }
            )
    return rows


def time_table(vehicle: Vehicle, aero: str, work: Path) -> Rows:
    """Return time and error on unseen flights of our training and of the authors' recipe."""
    unseen = truth(collect(vehicle, UNSEEN, SECONDS, UNSEEN_SEED, work / "unseen", aero), vehicle)
    paths = collect(vehicle, FLIGHTS, SECONDS, SEED, work / "flights", aero)
    flights, cutoff = labelled(paths, vehicle, FULL)
    flights = first_labels(flights, LABELS)
    every = thinning(cutoff["hz"])
    rows: Rows = []
    with one_thread():
        fit_networks(
            [Task(tuple(flights), 1.0, 0)], vehicle, replace(FULL, epochs=1), every
        )  # warm
        for passes in PASSES:
            _tell(f"ours, {passes} passes")
            begun = time.process_time()
            task = Task(tuple(flights), FULL.lipschitz, 0)
            fitted = fit_networks([task], vehicle, replace(FULL, epochs=passes), every)[0]
            taken = time.process_time() - begun
            rows.append({"recipe": "ours", "passes": passes, "seconds": taken,
                         **errors(fitted.network, unseen)})  # fmt: skip
        for network, passes, taken in authors(flights, vehicle):
            rows.append({"recipe": "the authors'", "passes": passes, "seconds": taken,
                         **errors(network, unseen)})  # fmt: skip
    slowest = rows[-1]["seconds"]
    return [{**row, "times faster": slowest / row["seconds"]} for row in rows]


def authors(
    flights: Sequence[LabelledFlight], vehicle: Vehicle
) -> list[tuple[Network, int, float]]:
    """Return the network after each pass of the authors' recipe, and the seconds so far."""
    import torch
    from torch import nn

    part = samples(flights)
    inputs = (
        NetworkInput("height", "m", 1.0, 0.0),
        NetworkInput("velocity_world", "m/s", 1.0, 0.0),
        NetworkInput("quaternion_xyzw", "1", 1.0, 0.0),
        NetworkInput("rotor_speed", "rad/s", 60 / (2 * math.pi) / 8000, 0.0),
    )
    torch.manual_seed(0)
    begun = time.process_time()
    x = torch.as_tensor(features(inputs, part.state, vehicle), dtype=torch.float32)
    y = torch.as_tensor(to_heading(part.state.attitude, part.force), dtype=torch.float32)
    sizes = (x.shape[1], *FULL.hidden, 3)
    layers = [nn.Linear(n_in, n_out) for n_in, n_out in pairwise(sizes)]
    stages = [stage for layer in layers for stage in (layer, nn.ReLU())][:-1]
    model, found = nn.Sequential(*stages), []
    optimiser = torch.optim.Adam(model.parameters(), lr=AUTHORS_RATE)
    for passes in range(1, AUTHORS_PASSES + 1):
        _tell(f"the authors', pass {passes}")
        for rows in torch.split(torch.randperm(len(x)), AUTHORS_BATCH):
            optimiser.zero_grad()
            loss = nn.functional.mse_loss(model(x[rows]), y[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            with torch.no_grad():
                for layer in layers:
                    norm = torch.linalg.svdvals(layer.weight)[0]
                    if norm > AUTHORS_NORM:
                        layer.weight *= AUTHORS_NORM / norm
        taken = time.process_time() - begun
        weights = tuple(layer.weight.detach().double().numpy().copy() for layer in layers)
        biases = tuple(layer.bias.detach().double().numpy().copy() for layer in layers)
        k_f = vehicle.rotors.k_f
        network = Network(weights, biases, inputs, 1.0, k_f, vehicle.name, FRAME)
        found.append((network, passes, taken))
    return found


def truth(paths: Sequence[Path], vehicle: Vehicle) -> Truth:
    """Return true states and forces of flights where no leg touches."""
    states, forces = [], []
    for path in paths:
        log = read_flight_log(path)
        air = (log["truth_contact_force"] <= 0) & (log["contact"] < 0.5)
        columns = ("truth_height", "truth_velocity", "truth_attitude", "truth_rotor_thrust")
        states.append([log[column][air] for column in columns])
        forces.append(log["truth_force"][air, 2])
    state = ResidualInput(*(np.concatenate(column) for column in zip(*states, strict=True)))
    return Truth(state, np.concatenate(forces))


def errors(model: ResidualModel, unseen: Truth) -> dict[str, float]:
    """Return the error against the true vertical force."""
    error = model.force(unseen.state)[:, 2] - unseen.force
    low = unseen.state.height < 0.15
    spread = float(np.sum((unseen.force - unseen.force.mean()) ** 2))
    return {
        "RMSE [N]": float(np.sqrt(np.mean(error**2))),
        "below 15 cm [N]": float(np.sqrt(np.mean(error[low] ** 2))),
        "R2": float(1 - np.sum(error**2) / spread),
    }


def slopes(
    model: ResidualModel, true: Network | None, unseen: Truth, vehicle: Vehicle
) -> dict[str, float]:
    """Return the mean slope in collective thrust, learned and true, and how often signs agree."""

    def slope(of: ResidualModel) -> Array:
        rotors = unseen.state.rotor_thrust
        step = STEP * vehicle.weight / rotors.shape[1]
        up, down = (replace(unseen.state, rotor_thrust=rotors + s) for s in (step, -step))
        return np.asarray((of.force(up) - of.force(down))[:, 2] / (2 * STEP * vehicle.weight))

    learned = slope(model)
    if true is None:
        return {"df/du [N/N]": float(learned.mean())}
    real = slope(true)
    return {
        "df/du [N/N]": float(learned.mean()),
        "true df/du": float(real.mean()),
        "same sign": float(np.mean(np.sign(learned) == np.sign(real))),
    }


def first_labels(flights: Sequence[LabelledFlight], count: int) -> list[LabelledFlight]:
    """Return flights with the first ``count`` valid labels of all together."""
    kept = []
    for flight in flights:
        valid = flight.smooth.valid & (np.cumsum(flight.smooth.valid) <= count)
        count -= int(valid.sum())
        if valid.any():
            kept.append(replace(flight, smooth=replace(flight.smooth, valid=valid)))
    return kept


def _scaled(vehicle: Vehicle, size: float) -> Any:
    """Return the vehicle's noise bounds, times ``size``."""
    noise = vehicle.noise
    names = ("position", "velocity", "attitude", "rate", "rotor_speed")
    return replace(noise, **{name: size * getattr(noise, name) for name in names})


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
