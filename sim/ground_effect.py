"""The force a rotor gains near the ground: this is the one place where the world's law stands.

    gain(z) - 1 = A / (1 + (z / l)^4) + B / (1 + (z / L)^2)        z: rotor disc over the surface

The first term is the air cushion, the second the slow circulation of the room. Shape: saturates at
rest, falls faster than Cheeseman-Bennett's 1/z^2 (Sanchez-Cuevas et al. 2017 measured the same for
multirotors); strength calibrated in hover to the network published with the Neural Lander paper
(+12.8 % of weight standing, 10.3 % with the body's origin at 0.2 m, 7.1 at 0.3, 2.5 at 0.5, 1.6 at
1.0), whose values this law meets within 0.3 % of weight.

Source: Sanchez-Cuevas, Heredia, Ollero, "Characterization of the aerodynamic ground effect and its
influence in multirotor control", Int. J. Aerospace Engineering, 2017; calibration as above.
"""

from neural_lander.controller.compiled import compiled

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
