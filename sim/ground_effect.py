"""The force a rotor gains near the ground: this is the one place where the world's law stands.

    gain(z) - 1 = A / (1 + (z / l)^4) + B / (1 + (z / L)^2)        z: rotor disc over the surface

The first term is the air cushion, the second the slow circulation of the room. Shape: saturates at
rest, falls faster than Cheeseman-Bennett's 1/z^2 (Sanchez-Cuevas et al. 2017 measured the same for
multirotors); strength calibrated in hover to the network published with the Neural Lander paper
(+12.8 % of weight standing, 10.3 % with the body's origin at 0.2 m, 7.1 at 0.3, 2.5 at 0.5, 1.6 at
1.0), whose values this law meets within 0.3 % of weight. Where the discs lie over surfaces of different
heights, each surface counts with its share (``mixed_gain``).

Source: Sanchez-Cuevas, Heredia, Ollero, "Characterization of the aerodynamic ground effect and its
influence in multirotor control", Int. J. Aerospace Engineering, 2017; calibration as above.
"""

import math
from typing import Any

from neural_lander.controller.compiled import compiled
from neural_lander.controller.rotation import Vector
from neural_lander.controller.terrain import distance_over, share_of_all

CUSHION = 0.1134
"""A, share of thrust."""
CUSHION_LENGTH = 2.777
"""l in rotor radii."""
ROOM = 0.0158
"""B, share of thrust."""
ROOM_LENGTH = 20.0
"""L in rotor radii."""


@compiled
def ground_effect_gain(z: float, radius: float) -> float:
    """Return thrust near the ground over thrust away from it, disc ``z`` [m] over the surface."""
    r = max(z, 0.0) / radius
    cushion = (r / CUSHION_LENGTH) ** 2
    room = r / ROOM_LENGTH
    return 1.0 + CUSHION / (1.0 + cushion * cushion) + ROOM / (1.0 + room * room)


FOUNTAIN = 2.0
"""K_b, how much the fountain between the rotors' jets gives (Sanchez-Cuevas et al. 2017)."""


@compiled
def image_term(z: float, distance: float) -> float:
    """Return z^3 / (d^2 + 4 z^2)^1.5, the term of an image 2 z below, d to the side, over R^2 / z^2."""
    share = z * z / (distance * distance + 4.0 * z * z)
    return share * math.sqrt(share)


@compiled
def mixed_gain(w: Any, i: int, at: Vector) -> float:
    """Return rotor i's thrust over that in free air where surfaces of several heights lie below.

    ``at`` is the middle of its disc in the world [m]; ``w.shares`` say how much of each disc lies over
    which surface. Over each surface the law at the distance from it is split into what the rotor's own
    image gives, what the images of the others give, and the fountain between them:

        (R / 4 z)^2 : R^2 z / (2 (d_j^2 + 4 z^2)^1.5) : 2 R^2 z K_b / (b^2 + 4 z^2)^1.5

    An image is there as far as its own rotor is over the surface; the fountain as far as all are.
    ``w.parts`` leaves parts out (``sim/aerodynamics.py``).
    """
    gain = 1.0
    for s in range(w.surface_count + 1):
        all_over = share_of_all(w, s)
        if all_over == 0.0:
            continue
        z = max(distance_over(w, s, at), 0.0)
        whole = 1.0 / 16.0
        felt = w.parts[0] * whole * w.shares[i, s]
        for j in range(4):
            if j != i:
                term = 0.5 * image_term(z, w.apart[i, j])
                whole += term
                felt += w.parts[1] * term * w.shares[j, s]
        term = 2.0 * FOUNTAIN * image_term(z, w.span)
        gain += (
            (ground_effect_gain(z, w.radius) - 1.0)
            * (felt + w.parts[2] * term * all_over)
            / (whole + term)
        )
    return gain
