"""Whether a vehicle can stay where it is to land; asked before it flies."""

import math

from neural_lander.controller.errors import InputError
from neural_lander.controller.terrain import Surface
from neural_lander.controller.vehicle import Vehicle
from neural_lander.sim.scenario import Scenario
from neural_lander.sim.world import LATERAL_FRICTION


def check_site(scenario: Scenario, vehicle: Vehicle) -> None:
    """Refuse a landing on a surface that the vehicle would slide down.

    Raises:
        InputError: naming the field and how far it is off.
    """
    surface = scenario.terrain.under(*scenario.end)
    if scenario.lands and surface is not None:
        _check_slope(scenario.name, surface, vehicle)


def _check_slope(name: str, surface: Surface, vehicle: Vehicle) -> None:
    steepest = _steepest(vehicle)
    if surface.tilt_deg >= steepest:
        raise InputError(
            f"scenario '{name}': tilt_deg = {surface.tilt_deg:g} degrees under the landing, and "
            f"{vehicle.name} with friction {LATERAL_FRICTION:g} stays where it is up to "
            f"{steepest:.1f} degrees; tilt it less, or land elsewhere"
        )


def _steepest(vehicle: Vehicle) -> float:
    """Return the tilt at which a standing vehicle slides or falls over downhill [degrees].

    It falls over where its weight leaves the polygon of its feet, whatever the heading.
    """
    feet = vehicle.legs.feet
    # the polygon's inner radius: its edges join feet that are neighbours around the middle
    order = sorted(range(len(feet)), key=lambda i: math.atan2(feet[i][1], feet[i][0]))
    inner = math.inf
    for i, j in zip(order, order[1:] + order[:1], strict=True):
        (ax, ay), (bx, by) = feet[i][:2], feet[j][:2]
        inner = min(inner, abs(ax * by - ay * bx) / math.hypot(bx - ax, by - ay))
    return math.degrees(min(math.atan(LATERAL_FRICTION), math.atan(inner / vehicle.rest_height)))
