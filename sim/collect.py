"""Flights that a residual can be learned from: up and down near the ground, down to standing.

Way-points are drawn with heights dense near the ground, joined by quintic pieces that stay under a
speed and an acceleration; below 15 cm a descent is slow enough for the legs. The first way-point
lies on the floor, so that every flight sees every height once; then of each ``ROUND`` some are on
the floor, low, and high, in random order. Even flights are flown by ``pd``, odd ones by ``observer``,
so that thrust varies at a given height.

These logs, and those of calibration landings, are without the accelerometer: with it as the source of
labels, the learned force is off by 0.030 N below 15 cm (rms, median of 30 landings), with the derivative
of velocity by 0.025 N, and both kinds of flights are to be labelled alike.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog, write_flight_log
from neural_lander.controller.setpoint import Plan, plan_through
from neural_lander.controller.vehicle import Vehicle
from neural_lander.sim.rollout import Flight, flight_log, run
from neural_lander.sim.scenario import load_scenario

LOG_RATE = 100.0
"""Rows a second of a collected flight [1/s]."""
TOP = 1.5
"""Greatest way-point height [m]."""
SPREAD = 0.4
"""Way-points lie within this of the origin on each horizontal axis [m]."""
SPEED, ACCELERATION = 1.0, 2.5
"""Limits on the way between two way-points [m/s, m/s^2]."""
LOW, LOW_SPEED = 0.15, 0.25
"""Descents that end below LOW [m] are flown at most this fast [m/s]."""
BELOW = 0.10
"""The lowest set-point lies this far under standing, so that every controller reaches the floor [m]."""

HEIGHTS = {"floor": (-BELOW, 0.02), "low": (0.0, 0.35), "high": (0.3, TOP)}
"""Way-point heights of each kind [m]."""
ROUND = (*4 * ("floor",), *7 * ("low",), *5 * ("high",))
"""The kinds of sixteen way-points that follow one another, before they are shuffled."""


def without_accelerometer(log: FlightLog) -> FlightLog:
    """Return a log without the column that labels would be made of."""
    columns = {name: column for name, column in log.columns.items() if name != "specific_force"}
    return replace(log, columns=columns)


def generator(seed: int, flight: int) -> np.random.Generator:
    """Return the randomness of one collection flight; no landing draws the same, whatever its seed.

    A landing's is ``default_rng(seed)``; a spawn key keeps ours apart from all of those.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(*b"collection", flight)))


def _heights(rng: np.random.Generator) -> Iterator[float]:
    """Draw way-point heights [m] for ever: first the floor, then round after round."""
    yield -BELOW
    while True:
        for kind in rng.permutation(ROUND):
            yield float(rng.uniform(*HEIGHTS[kind]))


def collection_plan(duration: float, rng: np.random.Generator) -> Plan:
    """Plan one collection flight of ``duration`` seconds, starting in hover at ``TOP``."""
    times, points = [0.0, 1.0], [(0.0, 0.0, TOP), (0.0, 0.0, TOP)]
    heights = _heights(rng)
    while times[-1] < duration:
        x, y = rng.uniform(-SPREAD, SPREAD, 2)
        z = next(heights)
        before = points[-1]
        low = min(z, before[2]) < LOW
        for x_, y_, z_ in _legs(before, (float(x), float(y), z), low):
            last = points[-1]
            way = max(abs(x_ - last[0]), abs(y_ - last[1]), abs(z_ - last[2]))
            slow = z_ < LOW and z_ < last[2] and last[2] <= LOW + 0.1
            speed = LOW_SPEED if slow else SPEED * rng.uniform(0.4, 1.0)
            # a quintic from rest to rest peaks at 1.875 way / time and 5.77 way / time^2
            time = max(1.875 * way / speed, np.sqrt(5.77 * way / ACCELERATION), 0.3)
            times.append(times[-1] + float(time))
            points.append((x_, y_, z_))
        hold = rng.uniform(0.0, 0.8)
        if hold > 0.2:
            times.append(times[-1] + float(hold))
            points.append(points[-1])
    return plan_through(np.array(times), np.array(points))


def _legs(
    start: tuple[float, float, float], end: tuple[float, float, float], low: bool
) -> list[tuple[float, float, float]]:
    """Return way-points to ``end``; a long descent to the floor slows down at LOW + 0.1 m."""
    if low and start[2] > LOW + 0.1 and end[2] < LOW:
        return [(end[0], end[1], LOW + 0.1), end]
    if start[2] < 0.02 and end[2] > 0.05:  # lift off straight before moving sideways
        return [(start[0], start[1], 0.05), end]
    return [end]


def collect(
    vehicle: Vehicle,
    flights: int,
    duration: float,
    seed: int,
    out: Path,
    aero: str = "rotor",
    progress: Callable[[float, str], None] | None = None,
) -> list[Path]:
    """Fly collection flights in simulation and write one log each; same seed, same bytes.

    Args:
        vehicle: what is flown.
        flights: how many.
        duration: of each [s].
        seed: of way-points, starts and noise.
        out: folder for ``flight-NN.parquet``.
        aero: aerodynamics of the world.
        progress: told the share done and a line of text.

    Raises:
        InputError: no flights, a duration too short, or a flight that crashed.
    """
    if flights < 1:
        raise InputError(f"{flights} flights asked for, expected at least 1")
    if not 5.0 <= duration <= 300.0:
        raise InputError(f"duration is {duration} s, expected 5 to 300 s")
    scenario = load_scenario("flat")
    keep = max(1, round(1 / (LOG_RATE * vehicle.timing.period)))
    paths: list[Path] = []
    for i in range(flights):
        controller = "pd" if i % 2 == 0 else "observer"
        rng = generator(seed, i)
        plan = collection_plan(duration, rng)
        flight = Flight(vehicle, controller, scenario, plan.name, aero)
        yaw = float(rng.uniform(-np.pi, np.pi))
        rows, outcome = run(
            flight, plan, rng, (0.0, 0.0, TOP), (0.0, 0.0, 0.0), yaw, duration, lands=False
        )
        if outcome.crash:
            raise InputError(
                f"collection flight {i} with '{controller}' crashed ({outcome.crash}); softer gains "
                f"in the vehicle file of {vehicle.name} may help"
            )
        log = flight_log(rows[::keep], flight, seed, scenario="collection", reference=plan.name)
        path = out / f"flight-{i:02d}.parquet"
        write_flight_log(path, without_accelerometer(log))
        paths.append(path)
        if progress:
            progress((i + 1) / flights, f"{path.name} flown by {controller}")
    return paths
