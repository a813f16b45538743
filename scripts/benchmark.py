"""Measure how fast a landing flies, as a ratio to bare PyBullet in the same process.

    python scripts/benchmark.py [--json] [--repeats N]

Bare PyBullet: 500 Hz, a free box on a plane, four applyExternalForce, one step, pose and velocity
read, no keyword arguments. Ours: whole landings (``learned+observer`` with a random 25-30-15 network,
sensors, per-rotor ground effect, noise, log), set-up of each flight counted. One core,
the runs take turns, the best of each counts. Compilation is left out, and told on its own.
Engine hybrid beats 0.5 because it does not call PyBullet in free flight, and for no other reason.
Peers (docs/other-simulators.md) fly with their own Python controllers at their own rates.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import itertools

import numpy as np
from rich.console import Console
from rich.table import Table

from neural_lander.controller.errors import InputError
from neural_lander.controller.landing_controller import controller_record
from neural_lander.controller.network import Network, NetworkInput, network_record
from neural_lander.controller.setpoint import plan_descent
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.scripts.exit_status import exits
from neural_lander.scripts.peers import real_time_factors
from neural_lander.sim.physics import ROTOR, world_record
from neural_lander.sim.rollout import ENGINES, Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.sensors import draw_noise
from neural_lander.sim.step import ROW, step
from neural_lander.sim.world import forget_world, pybullet, world_of

CAPTION = (
    "What hybrid gains over pybullet comes from not calling PyBullet in free flight, "
    "and from nothing else."
)
SECONDS = 10.0
"""Simulated time of one bare run [s]."""


def small_network(vehicle: Vehicle) -> Network:
    """Return a network of the usual size with small random weights."""
    rng = np.random.default_rng(0)
    sizes = [3, 25, 30, 15, 3]
    weights = tuple(rng.normal(0, 0.3 / np.sqrt(n), (m, n)) for n, m in itertools.pairwise(sizes))
    inputs = (
        NetworkInput("height", "m", 1 / vehicle.rotors.radius, 0.0, 0.0, 1.5),
        NetworkInput("vertical_speed", "m/s", 1 / vehicle.induced_velocity, 0.0, -1.5, 1.5),
        NetworkInput("collective_thrust", "N", 1 / vehicle.weight, -1.0, 0.0, 2 * vehicle.weight),
    )
    biases = tuple(np.zeros(n) for n in sizes[1:])
    return Network(
        weights, biases, inputs, 0.05 * vehicle.weight, vehicle.rotors.k_f, vehicle.name, "heading"
    )


def bare_pybullet(vehicle: Vehicle) -> float:
    """Return simulated seconds per wall second of the bare loop."""
    client = pybullet.connect(pybullet.DIRECT)
    assert client == 0, "the bare loop must be client 0, so that no call names it"
    pybullet.setTimeStep(0.002)
    pybullet.setGravity(0, 0, -9.81)
    pybullet.createMultiBody(0, pybullet.createCollisionShape(pybullet.GEOM_PLANE))
    box = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=[0.1, 0.1, 0.05])
    body = pybullet.createMultiBody(vehicle.mass, box, -1, [0, 0, 2])
    force = (0.0, 0.0, vehicle.weight / 4)
    corners = ((0.1, 0.1, 0.0), (0.1, -0.1, 0.0), (-0.1, 0.1, 0.0), (-0.1, -0.1, 0.0))
    push, advance, frame = pybullet.applyExternalForce, pybullet.stepSimulation, pybullet.LINK_FRAME
    pose, twist = pybullet.getBasePositionAndOrientation, pybullet.getBaseVelocity
    steps = round(SECONDS / 0.002)
    begun = time.perf_counter()
    for _ in range(steps):
        for corner in corners:
            push(body, -1, force, corner, frame)
        advance()
        pose(body)
        twist(body)
    wall = time.perf_counter() - begun
    pybullet.disconnect(client)
    return SECONDS / wall


def landings(vehicle: Vehicle, engine: str, seeds: range) -> float:
    """Return simulated seconds per wall second of whole landings, their set-up counted."""
    flight = Flight(
        vehicle,
        "learned+observer",
        load_scenario("flat"),
        "s-curve",
        "rotor",
        network=small_network(vehicle),
        engine=engine,
    )
    begun = time.perf_counter()
    simulated = sum(float(fly(flight, seed).log["time"][-1]) for seed in seeds)
    return simulated / (time.perf_counter() - begun)


def parts(vehicle: Vehicle) -> dict[str, float]:
    """Return microseconds per step of the compiled step and of the engine's calls."""
    n = 5000
    plan = plan_descent("s-curve", (0, 0, 1.5), 0.0, 2.0)
    world = world_record(vehicle, ROTOR)
    control = controller_record(vehicle, "learned+observer", plan, 0.0)
    learned, real = network_record(small_network(vehicle)), network_record(None)
    noise, log = draw_noise(vehicle, n, np.random.default_rng(0)), np.zeros((n, ROW))
    p, q, v = (0.0, 0.0, 1.59), (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0)
    step(0, p, q, v, v, world, control, learned, real, noise, log)
    begun = time.perf_counter()
    for k in range(n):
        step(k, p, q, v, v, world, control, learned, real, noise, log)
    ours = (time.perf_counter() - begun) / n
    engine = world_of(vehicle)
    body, frame = engine.body, engine.frame
    engine.reset(p, q, v)
    begun = time.perf_counter()
    for _ in range(n):
        engine.pose(body)
        engine.twist(body)
        engine.push(body, -1, (0.0, 0.0, 14.0), p, frame)
        engine.turn(body, -1, v, frame)
        engine.advance()
    bullet = (time.perf_counter() - begun) / n
    return {"compiled_step": 1e6 * ours, "pybullet": 1e6 * bullet}


def start_up() -> dict[str, float]:
    """Return seconds of the shell's short commands, compiled before: the median of five each."""
    program = ["-m", "neural_lander.scripts.cli"]
    landing = ["--vehicle", "intel-aero", "--controller", "observer"]
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "help": [*program, "--help"],
            "import_rollout": ["-c", "from neural_lander.sim.rollout import fly"],
            "land": [*program, "land", *landing, "--out", folder],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(5):
            for name, arguments in commands.items():
                begun = time.perf_counter()
                subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
                taken[name].append(time.perf_counter() - begun)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def peers(bare: float) -> dict[str, float]:
    """Return other simulators' own loops over bare PyBullet, where they are installed."""
    factors = {}
    for name, factor in real_time_factors().items():
        factors[f"{name}, ratio to bare PyBullet"] = factor / bare
        factors[f"{name}, real-time factor"] = factor
    return factors


def measure(repeats: int) -> dict[str, Any]:
    """Return all figures, as the design names them."""
    vehicle = load_vehicle("intel-aero")
    bares = [bare_pybullet(vehicle)]  # first: it must be client 0
    begun = time.perf_counter()
    landings(vehicle, "pybullet", range(1))
    first = time.perf_counter() - begun
    ours: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    for i in range(repeats):
        forget_world()
        bares.append(bare_pybullet(vehicle))
        for engine in ENGINES:
            ours[engine].append(landings(vehicle, engine, range(8 * i, 8 * i + 8)))
    best = {engine: max(factors) for engine, factors in ours.items()}
    many = landings(vehicle, "hybrid", range(200))
    return {
        "ratio_to_bare_pybullet": {engine: best[engine] / max(bares) for engine in ENGINES}
        | {"hybrid, 200 landings": many / max(bares)},
        "real_time_factor": {"bare": max(bares)} | best | {"hybrid, 200 landings": many},
        "peers": peers(max(bares)),
        "microseconds_per_step": parts(vehicle) | {"bare_loop": 2000 / max(bares)},
        "start_up_s": start_up() | {"first_landing": first},
    }


@exits
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    if args.repeats < 1:
        raise InputError(f"--repeats is {args.repeats}, expected 1 or more")
    result = measure(args.repeats)
    if args.json:
        print(json.dumps(result, indent=1))
        return
    table = Table("figure", "of", "value", caption=CAPTION)
    for figure, values in result.items():
        for name, value in values.items():
            table.add_row(figure, name, f"{value:.3g}")
    Console().print(table)


if __name__ == "__main__":
    main()
