"""RotorPy and PyFlyt as worlds that a landing controller can fly in, and a ground effect for both.

Neither has a ground effect. ``ground_effect_gain`` (the law of our own world) is added through
their own interfaces: in RotorPy a vehicle that computes its wrench, in PyFlyt forces on its links.
"""

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from neural_lander.controller.onboard import State
from neural_lander.controller.vehicle import Vehicle
from neural_lander.sim.ground_effect import ground_effect_gain

Array = npt.NDArray[np.float64]

VEHICLES = Path(__file__).parents[1] / "docs" / "vehicles"
"""Vehicle files of the peers, each number from the peer's own parameter files."""


class PeerWorld(Protocol):
    """One vehicle of a peer, in our frames."""

    def state(self) -> State:
        """Return what a controller sees: the peer's own state, which is exact."""

    def advance(self, thrusts: Array) -> None:
        """Command rotor thrusts (4,) [N] and go on by a control period."""

    def touches(self) -> bool:
        """Whether the floor carries the vehicle, as the peer sees it."""

    def close(self) -> None:
        """Give back what the peer holds."""


class RotorPyWorld:
    """RotorPy's Crazyflie; its floor stops a point at z = 0, where our vehicle stands on its legs."""

    def __init__(
        self, vehicle: Vehicle, position: Array, attitude: Rotation, ground_effect: bool
    ) -> None:
        """Start at rest at ``position`` (3,) [m] of the body's origin, rotors at hover speed."""
        from rotorpy.vehicles.crazyflie_params import quad_params
        from rotorpy.vehicles.multirotor import Multirotor

        standing = vehicle.rest_height

        class OverGround(Multirotor):  # type: ignore[misc]
            """The same multirotor, with more thrust near the floor."""

            def step(self, state: dict[str, Any], control: Any, t_step: float) -> Any:
                self.z = state["x"][2] + standing
                return super().step(state, control, t_step)

            def compute_body_wrench(self, rates: Array, speeds: Array, airspeed: Array) -> Any:
                force, torque = super().compute_body_wrench(rates, speeds, airspeed)
                more = ground_effect_gain(self.z, vehicle.rotors.radius) - 1
                push = more * self.k_eta * np.sum(speeds**2)
                return force + np.array([0.0, 0.0, push]), torque

        period = vehicle.timing.period
        self.vehicle, self.legs = vehicle, np.array([0.0, 0.0, standing])
        self.sim = (OverGround if ground_effect else Multirotor)(
            quad_params, control_abstraction="cmd_motor_thrusts", enable_ground=True,
            integrator_kwargs={"method": "RK23", "first_step": period},
        )  # fmt: skip
        hover = math.sqrt(vehicle.weight / 4 / self.sim.k_eta)
        self.s: dict[str, Any] = {name: np.zeros(3) for name in ("v", "w", "wind")}
        self.s |= {"x": position - self.legs, "q": attitude.as_quat()}
        self.s |= {"rotor_speeds": np.full(4, hover)}

    def state(self) -> State:
        """Return RotorPy's state, its point lifted by the legs."""
        s = self.s
        thrust = self.sim.k_eta * s["rotor_speeds"] ** 2
        return State(s["x"] + self.legs, s["v"], s["q"], s["w"], thrust)

    def advance(self, thrusts: Array) -> None:
        """Integrate one control period."""
        command = {"cmd_motor_thrusts": thrusts}
        self.s = self.sim.step(self.s, command, self.vehicle.timing.period)

    def touches(self) -> bool:
        """Whether RotorPy holds the point at its floor."""
        return bool(self.s["x"][2] <= 0)

    def close(self) -> None:
        """Do nothing: RotorPy holds no server."""


class PyFlytWorld:
    """PyFlyt's cf2x in mode -1, motor commands, without its motors' noise."""

    def __init__(
        self, vehicle: Vehicle, position: Array, attitude: Rotation, ground_effect: bool
    ) -> None:
        """Start at rest at ``position`` (3,) [m] of the body's origin, rotors at hover speed."""
        from PyFlyt.core import Aviary

        with _silence():
            rate = round(1 / vehicle.timing.period)
            self.sim = Aviary(
                position[None], attitude.as_euler("xyz")[None], drone_type="quadx",
                drone_options={"control_hz": rate}, physics_hz=rate,
            )  # fmt: skip
        self.vehicle, self.drone, self.ground_effect = vehicle, self.sim.drones[0], ground_effect
        self.drone.motors.noise_ratio[:] = 0
        self.strongest = vehicle.rotors.thrust_max
        self.drone.motors.throttle[:] = math.sqrt(vehicle.weight / 4 / self.strongest)
        self.drone.update_state()
        self.sim.set_mode(-1)

    def state(self) -> State:
        """Return PyFlyt's state, its velocity turned into the world."""
        rate, euler, velocity, position = self.sim.state(0)
        turn = Rotation.from_euler("xyz", euler)
        thrust = self.strongest * self.sim.aux_state(0) ** 2
        return State(position, turn.apply(velocity), turn.as_quat(), rate, thrust)

    def advance(self, thrusts: Array) -> None:
        """Step once; thrust goes with the square of the motor command."""
        self.sim.set_setpoint(0, np.sqrt(thrusts / self.strongest))
        if self.ground_effect:
            z, motors = self.sim.state(0)[3][2], self.drone.motors
            more = ground_effect_gain(z, self.vehicle.rotors.radius) - 1
            push = more * self.strongest * motors.throttle**2
            for link, f in zip(motors.motor_ids, push, strict=True):
                self.sim.applyExternalForce(
                    self.drone.Id, link, [0, 0, f], [0, 0, 0], self.sim.LINK_FRAME
                )
        self.sim.step()

    def touches(self) -> bool:
        """Whether PyFlyt reports a contact."""
        return bool(self.sim.contact_array.any())

    def close(self) -> None:
        """Give the physics server back."""
        self.sim.disconnect()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Drop what PyFlyt and Bullet write to standard output while a world is made."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


WORLDS: dict[str, tuple[str, str, Callable[..., PeerWorld]]] = {
    "RotorPy": ("rotorpy", "rotorpy-crazyflie.toml", RotorPyWorld),
    "PyFlyt": ("PyFlyt", "pyflyt-cf2x.toml", PyFlytWorld),
}
"""Name -> package, vehicle file, world."""
