"""Whether a vehicle can stay where it is to land; asked before it flies."""

import math

from neural_lander.controller.errors import InputError
from neural_lander.controller.fastest import TOUCHDOWN_SPEED, DescentLimits
from neural_lander.controller.terrain import Surface
from neural_lander.controller.vehicle import Vehicle
from neural_lander.sim.deck import Deck
from neural_lander.sim.legs import STIFF
from neural_lander.sim.physics import reach
from neural_lander.sim.scenario import Scenario

SHARE = 0.5
"""Of the acceleration that the rotors have to spare, what following a deck may take."""
ROOM = 0.1
"""Least distance between a hovering vehicle and the deck at its highest [m]."""


def check_site(scenario: Scenario, vehicle: Vehicle) -> None:
    """Refuse a landing on a surface that the vehicle would slide down, or on a deck too lively for it.

    Raises:
        InputError: naming the field and how far it is off.
    """
    surface = scenario.ground.under(*scenario.end)
    if scenario.lands and surface is not None:
        _check_slope(surface, vehicle, _dry(scenario))
    if scenario.deck is not None:
        _check_deck(scenario, scenario.deck, vehicle)


def touches_early(scenario: Scenario, vehicle: Vehicle) -> float:
    """Return how much higher than standing a level vehicle's leg may meet the surface [m].

    On a slope it is the leg uphill, whatever the heading.
    """
    surface = scenario.ground.under(*scenario.end)
    tilt = 0.0 if surface is None else surface.tilt_deg
    if scenario.deck is not None:
        tilt = scenario.deck.pitch_deg
    farthest = max(math.hypot(x, y) for x, y, _ in vehicle.legs.feet.tolist())
    return farthest * math.tan(math.radians(tilt))


def _check_deck(scenario: Scenario, deck: Deck, vehicle: Vehicle) -> None:
    """Refuse a deck that is faster than the vehicle, that tips it over, or that meets it in hover."""
    place = scenario.start_x
    steepest = _steepest(vehicle, _dry(scenario))
    if deck.pitch_deg > 0 and deck.pitch_deg >= steepest:
        raise InputError(
            f"deck.pitch_deg = {deck.pitch_deg:g}, and {vehicle.name} stays where it is up to "
            f"{steepest:.1f} degrees; lessen it"
        )
    near = reach(vehicle)
    if deck.surface.inside(scenario.start_x, scenario.start_y) < near:
        raise InputError(
            f"start_x = {scenario.start_x:g} m, start_y = {scenario.start_y:g} m is less than "
            f"{near:.2f} m from the deck's edge, too near to land; start nearer to its middle"
        )
    limits = DescentLimits.of(vehicle, TOUCHDOWN_SPEED)
    _, acceleration, jerk = deck.bounds(place)
    needed = acceleration + vehicle.rotors.lag * jerk
    allowed = SHARE * min(limits.brake(0.0), limits.fall(0.0))
    if needed > allowed:
        raise InputError(
            f"deck.heave = {deck.heave:g} m at deck.frequency_hz = {deck.frequency_hz:g}: to follow "
            f"it takes {needed:.2f} m/s^2, and {vehicle.name} has {allowed:.2f} m/s^2 for that; lessen "
            "one of them"
        )
    highest = deck.amplitude(abs(place - deck.x) + near + deck.x)
    lowest = scenario.start_height - scenario.start_spread
    if lowest - highest < ROOM:
        raise InputError(
            f"start_height = {scenario.start_height:g} m: the deck comes up by {highest:.2f} m into "
            f"the hovering vehicle; make it more than {highest + scenario.start_spread + ROOM:.2f} m"
        )


def _check_slope(surface: Surface, vehicle: Vehicle, friction: float) -> None:
    steepest = _steepest(vehicle, friction)
    if surface.tilt_deg > 0 and surface.tilt_deg >= steepest:
        raise InputError(
            f"tilt_deg = {surface.tilt_deg:g} degrees under the landing, and "
            f"{vehicle.name} with friction {friction:g} stays where it is up to "
            f"{steepest:.1f} degrees; tilt it less, or land elsewhere"
        )


def _dry(scenario: Scenario) -> float:
    """Return the friction that is asked of a site: feet that slip on it are for the flight to show."""
    return max(scenario.legs.friction, STIFF.friction)


def _steepest(vehicle: Vehicle, friction: float) -> float:
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
    return math.degrees(min(math.atan(friction), math.atan(inner / vehicle.rest_height)))
