"""How the legs meet the ground: the table [legs] of a scenario.

Each leg is a spring and a damper that push, never pull, and a foot that rubs:

    F_n = k x + d x',   k = m g / (4 sag),   d = 2 damping sqrt(k m / 4),   |F_t| <= friction F_n

with the mass of the vehicle file, so that one table suits a vehicle of 30 g and one of 1.5 kg. Unloaded,
the feet are ``sag`` lower than the vehicle file has them: its standing height is that under its own
weight, and stays. One that is heavier than its file by a share s stands s sag lower.

The engine steps spring and damper implicitly, which damps more: at periods of 2 ms, a sag of 1 mm and
a damping of 0.3 hardly anything comes back. Without sag the legs are rigid, and an impact ends within
one step.

Source: Bullet's contacts with stiffness and damping (erp = h k / (h k + d), cfm = 1 / (h k + d), after
Catto, "Soft constraints", GDC 2011). The numbers are assumed: rubber feet on a smooth floor.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from neural_lander.controller.vehicle import Vehicle
from neural_lander.sim.table import check, within


@dataclass(frozen=True)
class Springs:
    """One vehicle's legs, as the engine takes them."""

    friction: float
    """Coulomb's coefficient between feet and ground."""
    stiffness: float | None = None
    """Of one leg [N/m]; None: rigid."""
    damping: float = 0.0
    """Of one leg [N s/m]."""
    sag: float = 0.0
    """How much shorter the legs are under the vehicle's weight [m]."""

    def unloaded(self, vehicle: Vehicle) -> Vehicle:
        """Return the vehicle with its legs as long as they are in the air."""
        if self.stiffness is None:
            return vehicle
        feet = vehicle.legs.feet - np.array([0.0, 0.0, self.sag])
        return replace(vehicle, legs=replace(vehicle.legs, feet=feet))


@dataclass(frozen=True)
class Footing:
    """Legs and ground; rigid legs on a floor that rubs by default."""

    friction: float = within(0.6, 0.0, 2.0, "")
    """Coulomb's coefficient between feet and ground; 0.6: rubber on a smooth floor, assumed."""
    sag: float = within(0.0, 0.0, 0.005, "m")
    """How much shorter the legs are under the vehicle's weight [m]; 0: rigid."""
    damping: float = within(1.0, 0.1, 5.0, "of critical damping")
    """Of a quarter of the vehicle on one leg, as a share of critical damping; assumed."""

    def __post_init__(self) -> None:
        check(self)

    def springs(self, vehicle: Vehicle) -> Springs:
        """Return the legs of one vehicle, of the mass that its file says."""
        if self.sag == 0.0:
            return Springs(self.friction)
        feet = len(vehicle.legs.feet)
        stiffness = vehicle.weight / (feet * self.sag)
        damping = 2 * self.damping * math.sqrt(stiffness * vehicle.mass / feet)
        return Springs(self.friction, stiffness, damping, self.sag)


STIFF = Springs(Footing().friction)
"""Legs of a scenario without a table [legs]."""
