"""How the vehicle is other than the controller believes: the table [vehicle] of a scenario.

Each is one number of the vehicle that the controller, its vehicle file and its certificate do not
know. A rotor commanded f_c pushes, with battery loss b and weakness k - 1,

    f = k (1 - b t) s,    s' = (f_c - s) / lag  upward,   (f_c - s) / (lag (1 + down))  downward

where s is what its speed is taken for. With the centre of mass at c in the body frame of the
vehicle file, rotors and feet sit at r - c from the real one. Mass and weakness leave the principal
moments as the vehicle file has them, taken about the real centre of mass.
"""

from dataclasses import dataclass, replace

import numpy as np

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import MAX_LATENCY_STEPS, Legs, Rotors, Vehicle
from neural_lander.sim.table import check, within


@dataclass(frozen=True)
class Deviation:
    """What is different; nothing by default."""

    mass_share: float = within(0.0, -0.9, 5.0, "of the mass")
    """More mass, as a share."""
    thrust_shares: tuple[float, ...] = within((0.0,) * 4, -1.0, 1.0, "of the thrust", 4)
    """More thrust of each rotor at the same speed, as a share."""
    latency: float | None = within(None, 0.0, 1.0, "s")
    """From measurement to rotors [s]; None: as the vehicle file says."""
    estimate_lag: float = within(0.0, 0.0, 1.0, "s")
    """First-order lag of estimated position and velocity [s]."""
    lag_s: float | None = within(None, 0.001, 1.0, "s")
    """First-order lag of the rotors [s]; None: as the vehicle file says."""
    lag_down_share: float = within(0.0, 0.0, 10.0, "of the lag")
    """More lag of a rotor that slows down, as a share."""
    battery_share_s: float = within(0.0, 0.0, 0.1, "of the thrust per second")
    """Thrust lost per second, as a share [1/s]."""
    centre_of_mass: tuple[float, ...] = within((0.0,) * 3, -0.1, 0.1, "m", 3)
    """Where the real centre of mass is, in the body frame of the vehicle file [m]."""

    def __post_init__(self) -> None:
        check(self)

    def real(self, vehicle: Vehicle) -> Vehicle:
        """Return the vehicle as it really is, its body frame's origin in the real centre of mass.

        Raises:
            InputError: a latency longer than the pipeline, or a centre of mass that is not above
                and between the feet.
        """
        body = replace(vehicle.body, mass=vehicle.mass * (1 + self.mass_share))
        timing = vehicle.timing
        if self.latency is not None:
            if self.latency > MAX_LATENCY_STEPS * timing.period + 1e-12:
                raise InputError(
                    f"latency is {self.latency} s, expected 0 to "
                    f"{MAX_LATENCY_STEPS * timing.period:g} s: {MAX_LATENCY_STEPS} control periods "
                    f"of {vehicle.name}"
                )
            timing = replace(timing, latency=self.latency)
        rotors, legs = vehicle.rotors, vehicle.legs
        if self.lag_s is not None:
            rotors = replace(rotors, lag=self.lag_s)
        if any(self.centre_of_mass):
            rotors, legs = self._shifted(vehicle, rotors)
        return replace(vehicle, body=body, timing=timing, rotors=rotors, legs=legs)

    def _shifted(self, vehicle: Vehicle, rotors: Rotors) -> tuple[Rotors, Legs]:
        """Return rotors and legs about the real centre of mass."""
        c, feet = np.array(self.centre_of_mass), vehicle.legs.feet
        low, high = feet.min(axis=0), feet.max(axis=0)
        if not (np.all(low < c) and np.all(c[:2] < high[:2])):
            raise InputError(
                f"centre_of_mass is {c.tolist()} m, but {vehicle.name} stands on feet from "
                f"{low.tolist()} to {high.tolist()} m; expected a point above and between them"
            )
        return (
            replace(rotors, positions=rotors.positions - c),
            replace(vehicle.legs, feet=vehicle.legs.feet - c),
        )
