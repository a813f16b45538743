"""Other simulators' own loops, timed beside ours where they are installed (docs/other-simulators.md).

Each flies a hover with its own Python controller, at the rates it ships with; the number is
simulated seconds per wall second. A peer that is not installed is left out.
"""

import contextlib
import importlib.util
import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def pyflyt(seconds: float) -> float:
    """PyFlyt's QuadX in position mode: PyBullet at 240 Hz, control at 120 Hz, motors, body drag."""
    with contextlib.redirect_stdout(io.StringIO()):
        from PyFlyt.core import Aviary

        world = Aviary(
            np.array([[0.0, 0.0, 1.0]]), np.zeros((1, 3)), drone_type="quadx", render=False
        )
    world.set_mode(7)
    world.set_setpoint(0, np.array([0.0, 0.0, 0.0, 1.0]))
    world.step()
    simulated, begun = world.elapsed_time, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        world.step()
    return float((world.elapsed_time - simulated) / (time.perf_counter() - begun))


def rotorpy(seconds: float) -> float:
    """RotorPy's multirotor with its SE(3) controller at 500 Hz, scipy's integrator."""
    from rotorpy.controllers.quadrotor_control import SE3Control
    from rotorpy.vehicles.crazyflie_params import quad_params
    from rotorpy.vehicles.multirotor import Multirotor

    vehicle, controller = Multirotor(quad_params), SE3Control(quad_params)
    state: dict[str, Any] = {name: np.zeros(3) for name in ("x", "v", "w", "wind")}
    state |= {"q": np.array([0.0, 0.0, 0.0, 1.0]), "rotor_speeds": np.full(4, 1500.0)}
    wanted: dict[str, Any] = {
        name: np.zeros(3) for name in ("x", "x_dot", "x_ddot", "x_dddot", "x_ddddot")
    }
    wanted |= {"yaw": 0.0, "yaw_dot": 0.0, "yaw_ddot": 0.0}
    steps, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        state = vehicle.step(state, controller.update(steps * 0.002, state, wanted), 0.002)
        steps += 1
    return steps * 0.002 / (time.perf_counter() - begun)


PEERS: dict[str, Callable[[float], float]] = {"PyFlyt": pyflyt, "rotorpy": rotorpy}


def real_time_factors(seconds: float = 3.0) -> dict[str, float]:
    """Return simulated seconds per wall second of every peer that is installed."""
    return {name: loop(seconds) for name, loop in PEERS.items() if importlib.util.find_spec(name)}
