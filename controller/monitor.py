"""Watches in flight what a certificate takes for granted, and drops the learned force if it is not so.

Checked at every step in free flight, from what the vehicle can measure:

    place       |p^ - p_d| and |v^ - v_d| inside tube + noise, axis by axis
    solver      the cancellation found a thrust, and left no more than the tolerance
    timing      the time since the last step is at most one control period
    saturation  no rotor at a limit
    tilt        the thrust axis inside the cone that the slopes were bounded for
    contract    |F_a - H(F_c held)| <= c + noise, per axis, F_a from rotor speed and attitude
    residual    |d^| <= bound of the force error behind the observer's low pass + noise
    mass        the mass found in hover, which a compensated plan is flown with, inside its bound
    deck        what is measured of a deck inside what is believed, that inside the family it is of
    start       the place and speed that the set-point began at, inside the family it is of

with H_z = 1/(tau s + 1), H_xy = w^2/(tau s^3 + s^2 + 2 zeta w s + w^2). The first violation ends the
certificate: from that very step on the law flies without the learned force. An observer, now as fast
as it is without a model, takes over the force that was being cancelled, so that the thrust does not
jump:

    l <- l of ``observer``,   d^ <- d^ + phi,   w <- m v^ - d^ / l

Where the real force does not follow the commanded one, motors, latency or attitude loop are slower
than the gains take for granted: the attitude loop then goes on at ``SOFTER`` of its bandwidth.

What cannot be seen from on board is not checked: a bias of the estimate, a lag of the motors other
than its effect on F_a, and whether the flight is like those that the bounds come from.
"""

import math
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.bumpless import StartFamily
from neural_lander.controller.compiled import compiled
from neural_lander.controller.deck import BLEND, deck_ahead
from neural_lander.controller.deck_family import DeckErrors, DeckFamily
from neural_lander.controller.errors import InputError
from neural_lander.controller.inner_loop import InnerLoop
from neural_lander.controller.rotation import Quaternion, Vector, body_z

Array = npt.NDArray[np.float64]

LATE = 1.01
"""A step later than this many control periods is late; clocks are no better than a hundredth."""

SAMPLES = 256
"""Rows of the tube that a record holds."""

(
    QUIET, PLACE, SOLVER, TIMING, SATURATION, TILT, CONTRACT, RESIDUAL_FORCE, MASS, DECK, START,
) = range(11)  # fmt: skip

SOFTER = 0.6
"""Share of the attitude loop's bandwidth that is kept after ``CONTRACT``."""

EVENTS = {
    PLACE: "outside the tube",
    SOLVER: "the cancellation did not settle",
    TIMING: "a control step came late",
    SATURATION: "a rotor at its limit",
    TILT: "tilted beyond the bound",
    CONTRACT: "the real force does not follow the commanded one",
    RESIDUAL_FORCE: "an unexplained force beyond the bound",
    MASS: "another mass than the bound allows",
    DECK: "the deck moves otherwise than certified",
    START: "began farther off, or faster, than certified",
}
"""What is said of each event."""

RECORD_FIELDS = [
    ("watching", np.int64),
    ("tube_step", np.float64),
    ("tube", np.float64, (SAMPLES, 9)),
    ("tolerance", np.float64),
    ("longest_step", np.float64),
    ("least_upright", np.float64),
    ("contract", np.float64, (3,)),
    ("load_limit", np.float64),
    ("start_limit", np.float64, (2,)),
    ("deck_watched", np.int64),
    ("deck_heard", np.float64, (2,)),
    ("deck_limit", np.float64, (4,)),
    ("follow", np.float64, (3, 3)),
    ("follow_input", np.float64, (3,)),
    ("follow_z", np.float64),
    ("delay_steps", np.int64),
    ("observer_alone", np.float64),
    # memory
    ("event", np.int64),
    ("event_time", np.float64),
    ("last_step", np.float64),
    ("woken", np.int64),
    ("force_held", np.float64, (8, 3)),
    ("followed", np.float64, (3, 3)),
]
"""What the monitor adds to a controller's record."""


@dataclass(frozen=True)
class DeckLimits:
    """What a certificate lets the vehicle see of a deck."""

    heard: tuple[float, float]
    """Bounds of |measured - believed height|, before the blend and from then on, noise included [m]."""
    motion: tuple[float, float, float, float]
    """Bounds of believed height over rest [m], speed, acceleration and jerk, once it is followed."""
    setpoint: tuple[float, float]
    """By how much the set-point's height [m] and vertical speed [m/s] may be off."""

    @staticmethod
    def of(deck: dict[str, Any], noise: float) -> "DeckLimits":
        """Return the limits that a certificate's family and errors set; ``noise`` of position [m].

        Raises:
            InputError: the table lacks something.
        """
        try:
            errors = DeckErrors(*(float(deck["errors"][key]) for key in DeckErrors.NAMES))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the certificate's deck lacks {error}; run `neural-lander certify` again"
            ) from error
        off = (errors.place, errors.speed, errors.acceleration, errors.jerk)
        a, b, c, d = (float(x + e) for x, e in zip(DeckFamily.of(deck).bounds(), off, strict=False))
        seen = 2 * noise  # a reading is of position and of the height over the deck
        before = max(errors.heard, errors.surface)
        return DeckLimits(
            (before + seen, errors.surface + seen), (a, b, c, d), (errors.place, errors.speed)
        )


@dataclass(frozen=True)
class Limits:
    """What a certificate lets the vehicle see of itself."""

    step: float
    """Time between rows of the tube [s]."""
    position: Array
    """(n, 3) the tube: bounds of |p - p_d| over [i step, (i + 1) step] [m]; the last is for ever."""
    velocity: Array
    """(n, 3) of |v - v_d| [m/s]"""
    noise: tuple[float, float]
    """Bounds of what estimated position [m] and velocity [m/s] are off by."""
    tolerance: float
    """Of the cancellation [N]."""
    longest_step: float
    """Greatest time between two control steps [s]."""
    tilt: float
    """Greatest angle of the thrust axis from the vertical [rad]."""
    contract: tuple[float, float, float]
    """Bound of |F_a - H(F_c)| as it is measured, noise included [N]."""
    unexplained: Array
    """(n, 3) bounds of the observer's force over the same rows, noise included [N]."""
    mass: float = 0.0
    """Bound of the share of mass found in hover, along a compensated plan; along others none is taken."""
    deck: DeckLimits | None = None
    """Of the deck that the flight goes down to; None: a surface at rest."""
    start: tuple[float, float] = (math.inf, math.inf)
    """How far off the plan [m], and how fast [m/s], a flight may begin, as it is measured."""

    @staticmethod
    def of(tube: dict[str, Any]) -> "Limits":
        """Return the limits that a certificate's tube in three dimensions sets.

        Raises:
            InputError: the table lacks something.
        """
        try:
            xyz, watch = tube["xyz"], tube["watch"]
            x, y, z = watch["contract_n"]
            force = [*xyz["observer_n"], xyz["after_observer_n"]]
            return Limits(
                step=float(tube["cell_s"]),
                position=np.array([*xyz["p_m"], xyz["after_p_m"]], dtype=np.float64),
                velocity=np.array([*xyz["v_m_s"], xyz["after_v_m_s"]], dtype=np.float64),
                noise=(float(watch["noise_position_m"]), float(watch["noise_velocity_m_s"])),
                tolerance=float(watch["tolerance_n"]),
                longest_step=LATE * float(watch["longest_step_s"]),
                tilt=float(watch["tilt_rad"]),
                contract=(float(x), float(y), float(z)),
                unexplained=np.array(force, dtype=np.float64),
                mass=float(watch.get("mass_share", 0.0)),
                deck=DeckLimits.of(tube["deck"], float(watch["noise_position_m"]))
                if "deck" in tube
                else None,
                start=astuple(StartFamily.of(tube["start"]["joined"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the certificate's tube lacks {error}; run `neural-lander certify` again"
            ) from error

    def tube_at(self, time: Array) -> Array:
        """Return the tube's half-widths of position (n, 3) [m] at times (n,) [s]."""
        rows = np.minimum((time / self.step + 1e-9).astype(np.int64), len(self.position) - 1)
        return np.asarray(self.position[rows])


def store_limits(c: Any, limits: Limits, inner: InnerLoop) -> None:
    """Write limits into a controller's record, and switch the monitor on.

    Args:
        c: the record, after ``controller_record``.
        limits: from the certificate.
        inner: what the thrust vector makes of its command.
    """
    step, rows = _fewer_rows(limits)
    c["tube_step"], c["tube"] = step, rows
    c["tolerance"], c["longest_step"] = limits.tolerance, limits.longest_step
    c["least_upright"] = math.cos(limits.tilt)
    c["contract"], c["load_limit"], c["start_limit"] = limits.contract, limits.mass, limits.start
    if limits.deck is not None:
        c["deck_watched"] = 1
        c["deck_heard"], c["deck_limit"] = limits.deck.heard, limits.deck.motion
    period = float(c["period"])
    c["follow"], c["follow_input"] = inner.sideways(period)
    c["follow_z"] = inner.vertical(period)
    c["delay_steps"] = min(round(inner.latency / period), c["force_held"].shape[0] - 1)
    c["watching"] = 1


def _fewer_rows(limits: Limits) -> tuple[float, Array]:
    """Return step and (SAMPLES, 9) bounds, each the greatest of those it stands for."""
    p, v = limits.noise
    table = np.concatenate([limits.position + p, limits.velocity + v, limits.unexplained], axis=1)
    if limits.deck is not None:  # measured is from the set-point, the tube is about the reference
        table[:, [2, 5]] += limits.deck.setpoint
    together = math.ceil((len(table) - 1) / (SAMPLES - 1))
    whole = table[:-1]
    pad = -len(whole) % together
    rest = np.maximum(whole[-1:], table[-1:])
    whole = np.concatenate([whole, np.repeat(rest, pad, axis=0)])
    merged = whole.reshape(-1, together, table.shape[1]).max(axis=1)
    rows = np.repeat(table[-1:], SAMPLES, axis=0)
    rows[: len(merged)] = merged
    return together * limits.step, rows


@compiled
def watch(
    c: Any, t: float, p: Vector, v: Vector, q: Quaternion, thrust: float, in_flight: bool
) -> int:
    """Return the event of this step, 0 where there is none; ``thrust`` [N] is the measured one.

    To be called once a step, after the set-point is known; follows the commanded force even while
    nothing is checked, so that it is up to date when something is.
    """
    axis = body_z(q)
    if c.woken == 0:  # the certificate's start: upright, at weight, commands under way included
        c.woken, c.last_step = 1, t
        c.followed[2, 0] = c.weight
        for j in range(c.force_held.shape[0]):
            c.force_held[j, 2] = c.weight
    late = t - c.last_step > c.longest_step
    c.last_step = t
    if not in_flight:
        return QUIET
    for i in range(3):
        if not abs(c.start_offset[i]) <= c.start_limit[0]:
            return START
        if not abs(c.start_speed[i]) <= c.start_limit[1]:
            return START
    if c.deck_watched == 1 and not follows_deck(c, t):
        return DECK
    row = min(int(t / c.tube_step), SAMPLES - 1)
    for i in range(3):
        if not abs(p[i] - c.setpoint_position[i]) <= c.tube[row, i]:
            return PLACE
        if not abs(v[i] - c.setpoint_velocity[i]) <= c.tube[row, 3 + i]:
            return PLACE
    if c.solver_ok == 0.0 or not abs(c.solver_residual) <= c.tolerance:
        return SOLVER
    if late:
        return TIMING
    if c.saturated > 0.0:
        return SATURATION
    if not axis[2] >= c.least_upright:
        return TILT
    for i in range(3):
        if not abs(thrust * axis[i] - c.followed[i, 0]) <= c.contract[i]:
            return CONTRACT
        if not abs(c.observer_force[i]) <= c.tube[row, 6 + i]:
            return RESIDUAL_FORCE
    if not abs(c.load) <= c.load_limit:
        return MASS
    return QUIET


@compiled
def follows_deck(c: Any, t: float) -> bool:
    """Return whether the deck is where it is believed, and moves, once followed, as it may."""
    blending = t + c.latency >= c.descent_start - BLEND
    if not abs(c.deck_missed) <= c.deck_heard[1 if blending else 0]:
        return False
    if t < c.descent_start:
        return True
    now, soon = deck_ahead(c, 0.0), deck_ahead(c, c.latency)
    return bool(
        abs(now[0]) <= c.deck_limit[0]
        and abs(now[1]) <= c.deck_limit[1]
        and abs(soon[2]) <= c.deck_limit[2]
        and abs(soon[3]) <= c.deck_limit[3]
    )


@compiled
def follow(c: Any, force: Vector) -> None:
    """Note the force commanded in this step [N], and let the model of the inner loop advance."""
    n = c.delay_steps
    for j in range(n, 0, -1):
        for i in range(3):
            c.force_held[j, i] = c.force_held[j - 1, i]
    for i in range(3):
        c.force_held[0, i] = force[i]
    for i in range(2):
        a, b, d = c.followed[i, 0], c.followed[i, 1], c.followed[i, 2]
        u = c.force_held[n, i]
        for j in range(3):
            c.followed[i, j] = (
                c.follow[j, 0] * a + c.follow[j, 1] * b + c.follow[j, 2] * d
                + c.follow_input[j] * u
            )  # fmt: skip
    z = c.force_held[n, 2]
    c.followed[2, 0] = z + c.follow_z * (c.followed[2, 0] - z)


@compiled
def take_over(c: Any, t: float, event: int, v: Vector) -> None:
    """End the certificate: the observer takes over the force cancelled so far; ``v``: estimate [m/s]."""
    c.event, c.event_time = event, t
    c.watching = 0
    if c.observer_rate > 0.0:
        c.observer_rate = max(c.observer_rate, c.observer_alone)
        for i in range(3):
            c.observer_force[i] += c.learned_force[i]
            c.observer_steady[i] += c.learned_force[i]
            c.observer_memory[i] = c.mass * v[i] - c.observer_force[i] / c.observer_rate
    if event == CONTRACT:
        c.torque_rate = 0.0  # holds what it has found
        for i in range(2):
            c.attitude_stiffness[i] *= SOFTER * SOFTER
            c.attitude_damping[i] *= SOFTER
