"""What the world's force law says along a flight that was flown elsewhere.

    f_a = F(p, q, v, omega, f) - sum f_i R e3          row by row, F as in sim/physics.py

The rows are only states and rotor thrusts, so they may come from a real vehicle: nothing is
simulated, nothing fitted, no wind blows, and the ground is level. On a flight of the simulator
without noise the answer is the force that acted in it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.compiled import compiled
from neural_lander.controller.network import network_record
from neural_lander.controller.residual import ResidualInput
from neural_lander.controller.rotation import rotate
from neural_lander.controller.vehicle import Vehicle
from neural_lander.sim.physics import aerodynamic_wrench, load_aerodynamics, world_record

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class WorldForce:
    """The world's own residual force. Implements ``ResidualModel``; the body is taken not to turn.

    Its rate moves the rotors sideways, which costs drag: with rotors placed evenly about the
    middle and the same thrust of each, nothing in sum.
    """

    vehicle: Vehicle
    aero: str = "rotor"
    """Aerodynamics as ``land --aero`` takes them."""

    def force(self, state: ResidualInput) -> Array:
        """Return the force in the world frame (n, 3) [N]."""
        return replayed_force(self.vehicle, state, np.zeros_like(state.velocity), self.aero)


def replayed_force(
    vehicle: Vehicle, state: ResidualInput, rate: Array, aero: str = "rotor"
) -> Array:
    """Return the residual force of the world in the world frame (n, 3) [N].

    ``state`` has n rows; ``rate`` (n, 3) is that of the body, in the body frame [rad/s].

    Raises:
        InputError: ``aero`` is no known aerodynamics.
    """
    kind, network = load_aerodynamics(aero, vehicle)
    columns = (state.velocity, state.attitude, state.rotor_thrust, rate)
    z = np.asarray(state.height, dtype=np.float64) + vehicle.rest_height
    out = np.empty((len(z), 3))
    _replay(world_record(vehicle, kind), network_record(network), z, *columns, out)
    return out


@compiled
def _replay(
    world: Any, real: Any, z: Any, velocity: Any, attitude: Any, thrust: Any, rate: Any, out: Any
) -> None:
    """Write the residual force of each row into ``out`` (n, 3); ``z`` (n,) is that of the origin [m]."""
    w, net = world[0], real[0]
    for i in range(len(z)):
        v = (velocity[i, 0], velocity[i, 1], velocity[i, 2])
        q = (attitude[i, 0], attitude[i, 1], attitude[i, 2], attitude[i, 3])
        f = (thrust[i, 0], thrust[i, 1], thrust[i, 2], thrust[i, 3])
        omega = rotate(q, (rate[i, 0], rate[i, 1], rate[i, 2]))
        residual = aerodynamic_wrench(w, net, (0.0, 0.0, z[i]), q, v, omega, f)[2]
        out[i, 0], out[i, 1], out[i, 2] = residual
