"""How the world is other than the controller believes: what a certificate does not cover.

Each is one number of the world that the controller, its vehicle file and its certificate do not
know: more mass, weaker rotors, a longer latency, an estimate that lags, a gust of wind
(1 - cos) / 2 long, as airworthiness codes draw it (e.g. CS-25.341).
"""

from dataclasses import dataclass, replace

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import MAX_LATENCY_STEPS, Vehicle


@dataclass(frozen=True)
class Deviation:
    """What is different; nothing by default."""

    mass_share: float = 0.0
    """More mass, as a share."""
    thrust_shares: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """More thrust of each rotor at the same speed, as a share."""
    latency: float | None = None
    """From measurement to rotors [s]; None: as the vehicle file says."""
    estimate_lag: float = 0.0
    """First-order lag of estimated position and velocity [s]."""
    gust: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Greatest speed of the air [m/s], world frame."""
    gust_start: float = 3.0
    """When it begins [s]."""
    gust_length: float = 1.5
    """How long it lasts [s]."""

    def real(self, vehicle: Vehicle) -> Vehicle:
        """Return the vehicle as it really is.

        Raises:
            InputError: a latency longer than the simulator's pipeline, or no mass left.
        """
        if not self.mass_share > -1:
            raise InputError(f"mass_share is {self.mass_share}, expected more than -1")
        body = replace(vehicle.body, mass=vehicle.mass * (1 + self.mass_share))
        timing = vehicle.timing
        if self.latency is not None:
            if not 0 <= self.latency <= MAX_LATENCY_STEPS * timing.period + 1e-12:
                raise InputError(
                    f"latency is {self.latency} s, expected 0 to "
                    f"{MAX_LATENCY_STEPS * timing.period:g} s"
                )
            timing = replace(timing, latency=self.latency)
        return replace(vehicle, body=body, timing=timing)
