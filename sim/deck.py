"""The true motion of a deck: a box whose top heaves and pitches.

    z(x, t) = height + heave sin(w t + p) + (x - x_0) tan(pitch) sin(w t + q)       w = 2 pi frequency

with phases p and q that chance draws for each flight. So every point of the top swings harmonically, and
the surface's plane at a time says what rotors, legs and range finder meet.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.compiled import compiled
from neural_lander.controller.deck_family import DeckFamily
from neural_lander.controller.rotation import Quaternion, Vector
from neural_lander.controller.terrain import Surface
from neural_lander.sim.table import check, within

Array = npt.NDArray[np.float64]

RECORD_FIELDS = [("deck", np.int64), ("deck_rest", np.float64), ("deck_swing", np.float64, (5,))]
"""What the compiled step keeps: which box it is (from 1; 0: none), its height at rest [m]; heave [m],
greatest rise along x, angular frequency [rad/s], and the phases of both [rad]."""


@dataclass(frozen=True)
class Deck:
    """A box on the floor whose top moves, and how: the table [deck] of a scenario."""

    x: float = within(0.0, -100.0, 100.0, "m")
    """Middle, east [m]; it pitches about the line through it to the north."""
    y: float = within(0.0, -100.0, 100.0, "m")
    """Middle, north [m]."""
    half_x: float = within(1.0, 0.2, 50.0, "m")
    """Half extent along x [m]."""
    half_y: float = within(1.0, 0.2, 50.0, "m")
    """Half extent along y [m]."""
    height: float = within(0.5, 0.01, 10.0, "m")
    """Of the middle of its top over the floor, at rest [m]."""
    heave: float = within(0.1, 0.0, 1.0, "m")
    """Amplitude up and down [m]."""
    pitch_deg: float = within(0.0, 0.0, 15.0, "degrees")
    """Amplitude of the tilt along x [degrees]."""
    frequency_hz: float = within(0.3, 0.1, 1.0, "Hz")
    """Of both."""

    def __post_init__(self) -> None:
        check(self)

    @property
    def surface(self) -> Surface:
        """The box at rest, as it stands on the map."""
        return Surface(self.x, self.y, self.half_x, self.half_y, self.height)

    @property
    def omega(self) -> float:
        """Angular frequency [rad/s]."""
        return 2 * math.pi * self.frequency_hz

    def amplitude(self, x: float) -> float:
        """Return a bound of the swing of the deck's top at x, whatever the phases [m]."""
        return self.heave + abs(x - self.x) * math.tan(math.radians(self.pitch_deg))

    def family(self, x: float) -> DeckFamily:
        """Return what a certificate for a landing at x has to allow."""
        return DeckFamily(
            self.amplitude(x), self.frequency_hz, math.tan(math.radians(self.pitch_deg))
        )

    def bounds(self, x: float) -> tuple[float, float, float]:
        """Return bounds of the deck's upward speed [m/s], acceleration [m/s^2], jerk [m/s^3] at x.

        A reference that lands on it is the plan's, plus a motion inside these.
        """
        w = self.omega
        return w * self.amplitude(x), w**2 * self.amplitude(x), w**3 * self.amplitude(x)


@dataclass(frozen=True)
class Swing:
    """A deck's motion in one flight."""

    deck: Deck
    phases: tuple[float, float]
    """Of heave and pitch [rad]."""

    def height(self, t: Array, x: Array) -> Array:
        """Return the height of the top's plane at places x and times t (n,) [m]."""
        d, w = self.deck, self.deck.omega
        rise = math.tan(math.radians(d.pitch_deg)) * np.sin(w * t + self.phases[1])
        return np.asarray(
            d.height + d.heave * np.sin(w * t + self.phases[0]) + rise * (x - d.x), np.float64
        )

    def speed(self, t: Array, x: Array, moving: Array) -> Array:
        """Return how fast that changes for what moves along x with ``moving`` [m/s] (n,) [m/s]."""
        d, w = self.deck, self.deck.omega
        rise = math.tan(math.radians(d.pitch_deg))
        turning = rise * w * np.cos(w * t + self.phases[1])
        return np.asarray(
            d.heave * w * np.cos(w * t + self.phases[0])
            + turning * (x - d.x)
            + rise * np.sin(w * t + self.phases[1]) * moving,
            np.float64,
        )

    def gradient(self, t: Array) -> Array:
        """Return the slope of the top along x and y at times t (n,), (n, 2)."""
        rise = math.tan(math.radians(self.deck.pitch_deg))
        along = rise * np.sin(self.deck.omega * t + self.phases[1])
        return np.column_stack([along, np.zeros(len(t))])

    def seen_from(self, t: float, p: Vector, v: Vector, omega: Vector) -> tuple[Vector, Vector]:
        """Return velocity [m/s] and rate [rad/s] of a body at p as one who stands on the deck sees it."""
        d, w = self.deck, self.deck.omega
        greatest = math.tan(math.radians(d.pitch_deg))
        rise = greatest * math.sin(w * t + self.phases[1])
        turning = -greatest * w * math.cos(w * t + self.phases[1]) / (1 + rise * rise)  # about y
        up = d.heave * w * math.cos(w * t + self.phases[0])
        z = p[2] - self.pose(t)[0][2]
        moved = (turning * z, 0.0, up - turning * (p[0] - d.x))
        return (v[0] - moved[0], v[1], v[2] - moved[2]), (omega[0], omega[1] - turning, omega[2])

    def pose(self, t: float) -> tuple[Vector, Quaternion, float]:
        """Return place of the top's middle [m], attitude, and angle about y [rad] at time t [s]."""
        d, w = self.deck, self.deck.omega
        up = d.height + d.heave * math.sin(w * t + self.phases[0])
        rise = math.tan(math.radians(d.pitch_deg)) * math.sin(w * t + self.phases[1])
        angle = -math.atan(rise)  # about y, which turns x down
        return (d.x, d.y, up), (0.0, math.sin(angle / 2), 0.0, math.cos(angle / 2)), angle


def draw_swing(deck: Deck, rng: np.random.Generator) -> Swing:
    """Return a motion with phases drawn."""
    one, other = rng.uniform(0, 2 * math.pi, 2)
    return Swing(deck, (float(one), float(other)))


def store_swing(w: Any, swing: Swing, deck: int) -> None:
    """Write a motion into the world's record, of box ``deck`` (from 1), and put it where it begins."""
    d = swing.deck
    w["deck"], w["deck_rest"] = deck, d.height
    w["deck_swing"] = d.heave, math.tan(math.radians(d.pitch_deg)), d.omega, *swing.phases
    box = w["surfaces"][deck - 1]
    box[4] = d.height + d.heave * math.sin(swing.phases[0])
    box[5] = math.tan(math.radians(d.pitch_deg)) * math.sin(swing.phases[1])


@compiled
def move_deck(w: Any, t: float) -> None:
    """Put the deck's plane where it is at time t [s]."""
    s, box = w.deck_swing, w.surfaces[w.deck - 1]
    box[4] = w.deck_rest + s[0] * math.sin(s[2] * t + s[3])
    box[5] = s[1] * math.sin(s[2] * t + s[4])
