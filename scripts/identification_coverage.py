"""Measures whether `identify` finds what it should, with intervals that hold what they promise.

Forty simulated vehicles, each unlike the file in mass, k_f, motor lag, latency and centre of mass,
fly collection flights; `identify` knows the file alone. Counted is how often a 95 % interval holds
the truth: k_f over mass, thrust over command, lag, delay, centre of mass. Then the Crazyflie flights
of Neural-Swarm: is 16 1/s in the interval of the lag, and the published thrust polynomial, 1, within
what the flights' own levels span?

    NEURAL_LANDER_DATA=DATA python scripts/identification_coverage.py --vehicles 40
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import read_flight_logs
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.learning.identification import Identification, identify
from neural_lander.learning.importing import read_log
from neural_lander.scripts.exit_status import exits
from neural_lander.sim.collect import collect
from neural_lander.sim.physics import load_aerodynamics

CRAZYFLIES = {"crazyflie": ("*_small_*", "*_s_*"), "crazyflie-large": ("*_large_*", "*_l_*")}
"""Vehicle -> patterns of the names of its flights."""

DRAWS = 5
"""So often a vehicle that crashes is drawn again."""

PUBLISHED_LAG = 1 / 16
"""Motor lag in Shi et al., "Neural-Swarm", ICRA 2020 [s]."""

HALF_WIDTHS = {"thrust by rotor speed": 0.02, "motor lag": 0.10, "delay": 0.002}
"""Largest median half-width wanted: share of thrust, share of lag, seconds."""


def perturbed(vehicle: Vehicle, seed: int, draw: int = 0) -> Vehicle:
    """Return another vehicle of the same make."""
    rng = np.random.default_rng([seed, draw])
    mass = vehicle.mass * rng.uniform(0.9, 1.1)
    shift = np.array([*rng.uniform(-0.004, 0.004, 2), 0.0])
    return replace(
        vehicle,
        body=replace(vehicle.body, mass=mass),
        rotors=replace(
            vehicle.rotors,
            k_f=vehicle.rotors.k_f * rng.uniform(0.85, 1.15),
            lag=rng.uniform(0.025, 0.055),
            positions=vehicle.rotors.positions - shift,
        ),
        timing=replace(vehicle.timing, latency=float(rng.integers(0, 7)) * vehicle.timing.period),
        sources=vehicle.sources,
    )


def truths(real: Vehicle, known: Vehicle) -> dict[str, float]:
    """Return what `identify` should find, as it states it: thrusts for the file's mass."""
    heavier = known.mass / real.mass
    shift = known.rotors.positions[0] - real.rotors.positions[0]
    return {
        "thrust by rotor speed": real.rotors.k_f / known.rotors.k_f * heavier,
        "thrust by command": heavier,
        "motor lag": real.rotors.lag,
        "delay": real.timing.latency,
        "centre of mass, x": float(shift[0]),
        "centre of mass, y": float(shift[1]),
    }


def simulated(vehicles: int, flights: int, duration: float, aero: str) -> list[dict[str, Any]]:
    """Return a row for every vehicle and quantity."""
    known = load_vehicle("intel-aero")
    rows: list[dict[str, Any]] = []
    for seed in range(vehicles):
        with tempfile.TemporaryDirectory() as work:
            real, paths = _fly(known, seed, flights, duration, aero, Path(work))
            found = identify(read_flight_logs(paths), known)
        for quantity, truth in truths(real, known).items():
            rows.append({"vehicle": seed, **_row(found, quantity, truth)})
        _tell(f"vehicle {seed + 1} of {vehicles}")
    return rows


def _fly(
    known: Vehicle, seed: int, flights: int, duration: float, aero: str, work: Path
) -> tuple[Vehicle, list[Path]]:
    """Return a vehicle and its flights; one that crashes under the file's gains is drawn again."""
    for draw in range(DRAWS):
        real = perturbed(known, seed, draw)
        try:
            return real, collect(real, flights, duration, seed, work / str(draw), aero)
        except InputError as error:
            _tell(f"vehicle {seed + 1}, draw {draw + 1}: {error}")
    raise InputError(f"vehicle {seed + 1} crashed in each of {DRAWS} draws")


def _row(found: Identification, quantity: str, truth: float) -> dict[str, Any]:
    if quantity not in found:
        return {"quantity": quantity, "truth": truth, "value": None, "half_width": None}
    estimate = found[quantity]
    return {
        "quantity": quantity,
        "truth": truth,
        "value": estimate.value,
        "half_width": estimate.half_width,
    }


def crazyflies(folder: Path) -> list[dict[str, Any]]:
    """Return what was identified from the flights of each Crazyflie."""
    results: list[dict[str, Any]] = []
    for name, patterns in CRAZYFLIES.items():
        vehicle = load_vehicle(name)
        sources = sorted({f for pattern in patterns for f in folder.glob(f"{pattern}.usdlog")})
        if not sources:
            raise InputError(f"{folder}: holds no flight of {name}")
        found = identify([read_log(source, vehicle) for source in sources], vehicle)
        results.append({"vehicle": name, **found.as_dict()})
    return results


def coverage(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return for each quantity how many intervals hold the truth, and how wide they are."""
    result: list[dict[str, Any]] = []
    for quantity in dict.fromkeys(row["quantity"] for row in rows):
        of = [r for r in rows if r["quantity"] == quantity]
        said = [r for r in of if r["value"] is not None]
        relative = quantity.startswith(("thrust", "motor"))
        size = [abs(r["truth"]) if relative else 1.0 for r in said]
        result.append(
            {
                "quantity": quantity,
                "vehicles": len(of),
                "identified": len(said),
                "held": sum(abs(r["value"] - r["truth"]) <= r["half_width"] for r in said),
                "median_half_width": _median(
                    r["half_width"] / s for r, s in zip(said, size, strict=True)
                ),
                "median_error": _median(
                    abs(r["value"] - r["truth"]) / s for r, s in zip(said, size, strict=True)
                ),
                "wanted_half_width": HALF_WIDTHS.get(quantity),
                "relative": relative,
            }
        )
    return result


def _median(values: Any) -> float | None:
    listed = list(values)
    return float(np.median(listed)) if listed else None


def table(report: dict[str, Any]) -> str:
    """Return the figures as text."""
    lines = [f"{'simulated':24} {'held':>7} {'half-width':>12} {'wanted':>9} {'error':>10}"]
    for row in report["coverage"]:

        def shown(x: float | None, relative: bool = row["relative"]) -> str:
            if x is None:
                return "-"
            return f"{100 * x:.2f} %" if relative else f"{1e3 * x:.2f} m(s)"

        lines.append(
            f"{row['quantity']:24} {row['held']:3d}/{row['vehicles']:<3d} "
            f"{shown(row['median_half_width']):>12} {shown(row['wanted_half_width']):>9} "
            f"{shown(row['median_error']):>10}"
        )
    for flown in report["crazyflies"]:
        lines.append(f"{flown['vehicle']}, {flown['flights']} flights")
        for e in flown["estimates"]:
            each = " ".join(f"{x:.4f}" for x in e["by_flight"])
            lines.append(
                f"  {e['quantity']:28} {e['value']:9.5f}  {e['low']:9.5f} .. {e['high']:9.5f} "
                f"{e['unit']:14} {each}"
            )
        lines += [f"  not identified: {u['quantity']}: {u['why']}" for u in flown["not_identified"]]
        lines.append(f"  published lag {PUBLISHED_LAG} s, published thrust law 1")
    return "\n".join(lines)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@exits
def main() -> None:
    """Read options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--vehicles", type=int, default=40, help="simulated ones (default 40)")
    parser.add_argument("--flights", type=int, default=8, help="of each (default 8)")
    parser.add_argument("--duration", type=float, default=30.0, help="of each flight [s]")
    parser.add_argument("--aero", default="rotor", help="aerodynamics of the world")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    data = os.environ.get("NEURAL_LANDER_DATA")
    if options.vehicles < 0:
        raise InputError(f"--vehicles is {options.vehicles}, expected 0 or more")
    load_aerodynamics(options.aero, load_vehicle("intel-aero"))
    rows = simulated(options.vehicles, options.flights, options.duration, options.aero)
    flown = crazyflies(Path(data) / "flights" / "neural-swarm") if data else []
    if not data:
        _tell("NEURAL_LANDER_DATA is not set: the Crazyflie flights are left out")
    report = {"coverage": coverage(rows), "rows": rows, "crazyflies": flown}
    print(json.dumps(report) if options.json else table(report))


if __name__ == "__main__":
    main()
