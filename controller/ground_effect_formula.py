"""The textbook's ground effect, as a feed-forward.

    T_in / T_out = 1 / (1 - (R / 4 z)^2)        z: rotor disc over the surface, R: its radius

Source: Cheeseman, Bennett, "The effect of the ground on a helicopter rotor in forward flight",
ARC R&M 3021, 1955. For a quadrotor R is an effective radius, larger than the rotor's
(Danjun et al., CCC 2015).
"""

from neural_lander.controller.compiled import compiled


@compiled
def cheeseman_bennett(z: float, radius: float) -> float:
    """Return the gain of thrust, at least 1, of a rotor disc ``z`` [m] over the surface.

    The formula has a pole at z = R/4 and was measured for z > R/2: below, it is held.
    """
    r = radius / (4.0 * max(z, 0.5 * radius))
    return 1.0 / (1.0 - r * r)
