"""The residual force that a controller counts on: its network's or its formula's, by its map.

phi(p, v, f) = sum over surfaces of (mean share of the rotors' discs over it) phi(height over it, v, f)
"""

from typing import Any

from neural_lander.controller.allocation import Thrusts
from neural_lander.controller.compiled import compiled
from neural_lander.controller.ground_effect_formula import cheeseman_bennett
from neural_lander.controller.measurement import Measurement
from neural_lander.controller.network import network_force
from neural_lander.controller.rotation import Vector, rotate
from neural_lander.controller.terrain import disc_shares, distance_over, share_of_all

NONE, TEXTBOOK, NETWORK, ORACLE = 0, 1, 2, 3
"""Where the residual force comes from; ORACLE is supplied by the simulator."""


@compiled
def residual_force(c: Any, net: Any, measured: Measurement, thrusts: Thrusts) -> Vector:
    """Return the controller's own residual model at the measured state and given thrusts [N].

    Near an edge it is that over each surface, by the share of the rotors' discs over it on the map.
    """
    if c.residual != NETWORK and c.residual != TEXTBOOK:
        return (0.0, 0.0, 0.0)
    if c.surface_count == 0:
        return force_at(c, net, measured, thrusts, measured[5])
    p, q = measured[0], measured[1]
    for i in range(4):
        r = rotate(q, (c.rotors[i, 0], c.rotors[i, 1], c.rotors[i, 2]))
        disc_shares(c, i, p[0] + r[0], p[1] + r[1])
    x, y, z = 0.0, 0.0, 0.0
    for s in range(c.surface_count + 1):
        share = share_of_all(c, s)
        if share > 0.0:
            height = distance_over(c, s, p) - c.rest_height
            f = force_at(c, net, measured, thrusts, height)
            x, y, z = x + share * f[0], y + share * f[1], z + share * f[2]
    return (x, y, z)


@compiled
def force_at(c: Any, net: Any, measured: Measurement, thrusts: Thrusts, height: float) -> Vector:
    """Return the residual model's force with a level surface ``height`` [m] under standing level [N]."""
    if c.residual == NETWORK:
        return network_force(net, height, measured[2], measured[1], thrusts)
    if c.residual == TEXTBOOK:
        gain = cheeseman_bennett(height + c.disc_height, c.textbook_radius)
        return (0.0, 0.0, (gain - 1.0) * (thrusts[0] + thrusts[1] + thrusts[2] + thrusts[3]))
    return (0.0, 0.0, 0.0)
