"""What a log of a flight over a deck says of the deck: where it really was, and where it was believed.

The belief is heard again from what was measured, by the law's own filter. The real motion is the
simulator's; with a real deck it is what somebody else than the vehicle has seen of it.
"""

import numpy as np
import numpy.typing as npt

from neural_lander.controller.deck import BLEND, PREDICTED, replay
from neural_lander.controller.deck_family import EARLY, DeckErrors, taking_up
from neural_lander.controller.errors import InputError
from neural_lander.controller.feed_forward import lead_of
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.landing_controller import controller_record
from neural_lander.controller.setpoint import Plan
from neural_lander.controller.terrain import Surface, Terrain
from neural_lander.controller.vehicle import Vehicle

Array = npt.NDArray[np.float64]

NEEDED = ("truth_surface_height", "truth_surface_normal", "truth_position", "reference_height")
"""What of a log tells where a deck was."""

WIDE = 50.0
"""Half the side of a deck of which the log does not say how large it is [m]."""


def real_motion(log: FlightLog, rest: float) -> Array:
    """Return how far the surface at the place of the plan was over ``rest`` [m], and four derivatives.

    (n, 5); of a deck that pitches the vehicle has another height below it than its plan.

    Raises:
        InputError: the log does not say where the deck was.
    """
    log.require(NEEDED, "a flight over a deck")
    normal = log["truth_surface_normal"]
    plan_at = log["setpoint_position"][-1, :2]  # over a deck it is one place
    off = log["truth_position"][:, :2] - plan_at
    rise = -(normal[:, :2] / normal[:, 2:] * off).sum(axis=1)
    motion = [log["truth_surface_height"] - rise - rest]
    for _ in range(4):
        motion.append(np.gradient(motion[-1], log["time"], edge_order=2))
    return np.stack(motion, axis=1)


def real_setpoint(log: FlightLog, descent_start: float, ahead: float = 0.0) -> Array:
    """Return g d and its first three derivatives (n, 4), ``ahead`` [s] of each row."""
    time = log["time"]
    d = real_motion(log, rest_of(log))
    later = np.minimum(time + ahead, time[-1])
    d = np.stack([np.interp(later, time, column) for column in d.T], axis=1)
    g = taking_up(descent_start, time + ahead)
    return np.stack(
        [g[:, 0] * d[:, 0],
         g[:, 1] * d[:, 0] + g[:, 0] * d[:, 1],
         g[:, 2] * d[:, 0] + 2 * g[:, 1] * d[:, 1] + g[:, 0] * d[:, 2],
         g[:, 3] * d[:, 0] + 3 * g[:, 2] * d[:, 1] + 3 * g[:, 1] * d[:, 2] + g[:, 0] * d[:, 3]],
        axis=1,
    )  # fmt: skip


def off_the_reference(log: FlightLog, descent_start: float) -> Array:
    """Return how far the vehicle was from the reference that its certificate is about (n, 3) [m].

    Over a deck that is the plan with the deck's real motion, else the set-point.
    """
    off = log["truth_position"] - log["setpoint_position"]
    if "deck" in log.metadata:
        believed = log["setpoint_position"][:, 2] - floor_of(log) - log["reference_height"]
        off[:, 2] += believed - real_setpoint(log, descent_start)[:, 0]
    return np.asarray(off)


def floor_of(log: FlightLog) -> float:
    """Return the height of a vehicle's origin that stands on the deck at rest [m]."""
    return float(log["setpoint_position"][0, 2] - log["reference_height"][0])


def rest_of(log: FlightLog) -> float:
    """Return the height of the deck at rest [m]."""
    return floor_of(log) - float(log.metadata["rest_height_m"])


def believed(log: FlightLog, vehicle: Vehicle, plan: Plan) -> Array:
    """Return what the law believed (n, 6), as ``deck.replay`` writes it."""
    rest = rest_of(log)
    x, y = (float(v) for v in log["setpoint_position"][-1, :2])
    chart = Terrain((Surface(x, y, WIDE, WIDE, rest),))
    record = controller_record(
        vehicle, "observer", plan, 0.0, rest, chart=chart, moving=1, deck_way=PREDICTED
    )
    readings = log["position"][:, 2] - log["height"] - vehicle.rest_height - rest
    found = np.zeros((len(log), 6))
    replay(record[0], np.ascontiguousarray(log["time"]), np.ascontiguousarray(readings), found)
    return found


def deck_errors(log: FlightLog, vehicle: Vehicle, plan: Plan, rows: slice) -> DeckErrors:
    """Return the greatest errors of what was believed of the deck in ``rows`` of a flight.

    Raises:
        InputError: what is heard again is not what the set-point was moved by; or no real motion.
    """
    belief = believed(log, vehicle, plan)
    moved = log["setpoint_position"][:, 2] - floor_of(log) - log["reference_height"]
    if np.abs(moved - belief[:, 2])[rows].max() > 1e-6:
        raise InputError(
            "the set-point was moved otherwise than what the vehicle measured of the deck moves it; a "
            "flight to calibrate with has every control step, from the first one on"
        )
    start, latency = plan.descent_start, vehicle.timing.latency
    now, soon = real_setpoint(log, start), real_setpoint(log, start, latency)
    real = np.column_stack([now[:, :2], soon[:, 2:]])
    off = (belief[:, 2:] - real)[rows]
    gains, m = vehicle.gains, vehicle.mass
    k_p = m * gains.velocity[2] * gains.position[2]
    k_v = m * (gains.velocity[2] + gains.position[2])
    force = off @ np.array([k_p, k_v, m, m * lead_of(vehicle)[2]])
    under = log["truth_surface_height"] - rest_of(log)
    surface = np.abs(belief[:, :2] - under[:, None]).max(axis=1)[rows]
    begin = plan.descent_start - BLEND
    before, after = ((log["time"] < begin)[rows], (log["time"] >= begin - EARLY)[rows])
    place, speed, acceleration, jerk = (float(v) for v in np.abs(off).max(axis=0))
    return DeckErrors(
        float(surface[before].max(initial=0.0)),
        float(surface[after].max(initial=0.0)),
        place,
        speed,
        acceleration,
        jerk,
        float(np.abs(force).max()),
    )
