"""Which terms of the rotors' air there are: the table [aerodynamics] of a scenario.

    f_i (1 + G (a + b + c) / (whole))      G: the law near the ground, a + b + c = whole: its parts
    -drag f_i (v_i - u_i) sideways         u_i: speed that the others' images give the air at rotor i

Every term of the aerodynamics ``rotor`` can be left out on its own, to see what it does; all that have
been measured are there by default. The parts of the law are those of Sanchez-Cuevas, Heredia, Ollero,
"Characterization of the aerodynamic ground effect and its influence in multirotor control", Int. J.
Aerospace Engineering, 2017, with the strength and shape of ``sim/ground_effect.py``. Wind, gusts,
turbulence and rough air near the ground are terms of their own: table [wind].

The crossflow is what the potential flow behind those parts says sideways, and the law leaves out. A
rotor of thrust f is a source of strength R^2 v / 4, v = sqrt(f / (2 rho pi R^2)) (Cheeseman, Bennett,
"The effect of the ground on a helicopter rotor in forward flight", ARC R&M 3021, 1955), and so is its
image 2 z below. At rotor i the image of rotor j, a distance d to the side, moves the air by

    u = (R^2 v_j / 4) d / (d^2 + 4 z^2)^1.5      away from j, as far as j is over a surface

which pushes with the rotor's drag. Over one level surface these forces cancel; near an edge they push
off the table. Nobody has measured it: assumed, and off by default.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from neural_lander.controller.allocation import Thrusts
from neural_lander.controller.compiled import compiled
from neural_lander.controller.errors import InputError
from neural_lander.controller.rotation import Vector, rotate
from neural_lander.controller.terrain import height_of
from neural_lander.controller.vehicle import AIR_DENSITY
from neural_lander.sim.table import check, within, yes_or_no


@dataclass(frozen=True)
class Aerodynamics:
    """What is there; everything but the crossflow by default."""

    own_image: bool = yes_or_no(True)
    """What each rotor gains over its own image (Cheeseman, Bennett 1955)."""
    other_images: bool = yes_or_no(True)
    """What it gains over the images of the others (Sanchez-Cuevas et al. 2017)."""
    fountain: bool = yes_or_no(True)
    """What the air that rises between the jets gives (Sanchez-Cuevas et al. 2017)."""
    moments: bool = yes_or_no(True)
    """Whether gains that differ turn the vehicle (partial ground effect, Sanchez-Cuevas et al. 2017)."""
    drag: bool = yes_or_no(True)
    """Rotor drag (Faessler, Franchi, Scaramuzza 2018), with the coefficient of the vehicle file."""
    crossflow: float = within(0.0, 0.0, 100.0, "of potential flow's")
    """Sideways force near the ground; 1: as strong as potential flow says; assumed."""

    def __post_init__(self) -> None:
        check(self)

    def require_none(self) -> None:
        """Refuse terms left out or added, for a flight whose aerodynamics are not ``rotor``.

        Raises:
            InputError: saying so.
        """
        if self != Aerodynamics():
            raise InputError(
                "aerodynamics: the table is about the terms of --aero rotor, and the flight has other "
                "aerodynamics; take --aero rotor, or leave the table out"
            )


RECORD_FIELDS = [
    ("parts", np.float64, (3,)),
    ("split", np.int64),
    ("moments", np.int64),
    ("crossflow", np.float64),
]
"""What the compiled step keeps: shares of the law's parts, whether one is missing, whether gains turn
the vehicle, and the crossflow's strength."""


def store_aerodynamics(w: Any, air: Aerodynamics, drag: float) -> None:
    """Write the terms into a world's record; ``drag`` is the vehicle file's [s/m]."""
    w["parts"] = air.own_image, air.other_images, air.fountain
    w["split"] = not (air.own_image and air.other_images and air.fountain)
    w["moments"], w["drag"] = air.moments, drag * air.drag
    w["crossflow"] = air.crossflow * drag


@compiled
def crossflow_force(
    w: Any, i: int, p: Vector, r: Vector, axis: Vector, f: Thrusts, q: Any
) -> Vector:
    """Return what the images of the other rotors push rotor i with, across its axis [N].

    ``p`` is the body's origin, ``r`` the rotor's arm in the world frame [m], ``q`` the attitude;
    ``w.shares`` say how much of each disc lies over which surface.
    """
    ux, uy = 0.0, 0.0
    for j in range(4):
        if j == i:
            continue
        other = rotate(q, (w.rotors[j, 0], w.rotors[j, 1], w.rotors[j, 2]))
        dx, dy = r[0] - other[0], r[1] - other[1]
        induced = math.sqrt(max(f[j], 0.0) / (2.0 * AIR_DENSITY * math.pi * w.radius * w.radius))
        strength = 0.25 * w.radius * w.radius * induced
        for s in range(w.surface_count + 1):
            share = w.shares[j, s]
            if share > 0.0:
                z = max(
                    p[2]
                    + 0.5 * (r[2] + other[2])
                    - height_of(w, s, p[0] + other[0], p[1] + other[1]),
                    0.0,
                )
                away = dx * dx + dy * dy + 4.0 * z * z
                k = strength * share / (away * math.sqrt(away))
                ux, uy = ux + k * dx, uy + k * dy
    along = ux * axis[0] + uy * axis[1]
    k = w.crossflow * f[i]
    return (k * (ux - along * axis[0]), k * (uy - along * axis[1]), -k * along * axis[2])
