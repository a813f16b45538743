"""Bounds of what the certificate cannot compute, from flights of the loop that is to be certified.

The unit is the flight. Of each one, flown with the model, controller and gains in question, are scored

    e0    the constant part of the learned force's error: its median over the flight, per axis
    e1    the greatest of what changes, |m (v' + g e3) - T R e3 - phi - e0|
    c     the greatest |F_a - H(F_held)|, what the contract of the inner loop leaves
    d     over a deck, how far off its motion was believed to be (``DeckErrors``)

and one joint score is the greatest of all these over its fixed shape, S = max |x| / w. By
exchangeability the next flight's score stays below the k-th smallest of n with probability

    P(S_next <= S_(k)) >= 1 - alpha,       k = ceil((n + 1)(1 - alpha)),

so every bound is its shape times S_(k). k > n: there are too few flights.

What is measured is behind a low pass (``CUTOFF`` for forces from accelerations, ``CONTRACT_CUTOFF``
for the contract), and the noise of the measurement is inside the bounds. Errors faster than that
are not seen, which the certificate lists among its assumptions.

Sources: split conformal prediction, Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random
World", 2005; one score a trajectory: Lindemann et al., "Safe planning in dynamic environments
using conformal prediction", RA-L 2023.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter, lfilter_zi, sosfiltfilt, ss2tf
from scipy.spatial.transform import Rotation
from scipy.stats import beta

from neural_lander.controller.deck_family import DeckErrors, DeckFamily
from neural_lander.controller.deck_log import deck_errors
from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.flight_log import FlightLog, read_flight_log
from neural_lander.controller.inner_loop import InnerLoop
from neural_lander.controller.network import Network
from neural_lander.controller.setpoint import Plan
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.calibration_log import check_deck, check_loop, check_plan, starts_of
from neural_lander.learning.dataset import measured_digest
from neural_lander.learning.labels import residual_labels

Array = npt.NDArray[np.float64]

CUTOFF = 3.0
"""Low pass of the force's error: faster is mostly the noise of the differentiated velocity [Hz]."""

CONTRACT_CUTOFF = 10.0
"""Low pass of the contract's error [Hz]."""


@dataclass(frozen=True)
class Shapes:
    """Shapes w, per axis, as shares of weight: how the parts stood to each other in flights of the
    standard experiment other than those that calibrate. A wrong shape costs width, not truth."""

    constant: tuple[float, float, float]
    changing: tuple[float, float, float]
    contract: tuple[float, float, float]
    contract_step: tuple[float, float, float]

    def table(self) -> Array:
        """(4, 3) In order."""
        return np.array([self.constant, self.changing, self.contract, self.contract_step])


SHAPES = Shapes((0.004,) * 3, (0.010,) * 3, (0.008,) * 3, (0.0008,) * 3)
SHAPES_FAST = Shapes((0.0015,) * 3, (0.016,) * 3, (0.008, 0.008, 0.009), (0.0006,) * 3)
"""Along compensated plans: short flights, in which the noise of the force's label weighs more."""


SHAPES_DECK = Shapes((0.0012,) * 3, (0.015,) * 3, (0.0095,) * 3, (0.0007,) * 3)
"""Over a deck, which is heard for so long that the noise of the label weighs more, as well."""

BELIEF = DeckErrors(1.0, 0.0018, 0.0016, 0.0032, 0.0065, 0.026, 0.055)
"""Of what is believed of a deck, in SI; the first as a share of how far it swings. From flights over
decks other than those that calibrate."""


def deck_shapes(family: DeckFamily) -> Array:
    """Return the shapes (7,) of a deck's errors; ones where nothing was heard before the blend."""
    w = BELIEF.values()
    w[0] = max(w[0] * family.swing, w[1])
    return w


@dataclass(frozen=True)
class Score:
    """What one flight showed, each per axis (3,) [N]."""

    flight: str
    """Its file."""
    digest: str
    """SHA-256 of what was measured."""
    constant: Array
    changing: Array
    contract: Array
    contract_step: Array
    """How far c moves in a control period."""
    deck: DeckErrors | None = None
    """Of the deck below; None: there was none."""

    def joint(
        self, weight: float, shapes: Shapes = SHAPES, family: DeckFamily | None = None
    ) -> float:
        """Return the greatest share of a shape."""
        parts = [self.constant, self.changing, self.contract, self.contract_step]
        found = np.abs(np.stack(parts))
        most = float((found / (weight * shapes.table())).max())
        if self.deck is None or family is None:
            return most
        return max(most, float((self.deck.values() / deck_shapes(family)).max()))


@dataclass(frozen=True)
class Calibration:
    """Bounds that hold for the next flight with probability 1 - alpha, and what they come from."""

    constant: tuple[float, float, float]
    """Of the part of the force's error that stays the same through a flight, per axis [N]."""
    changing: tuple[float, float, float]
    """Of the part that changes [N]."""
    contract: tuple[float, float, float]
    """Of what the inner loop's contract leaves [N]."""
    contract_step: tuple[float, float, float]
    """Of how far that moves in a control period [N]."""
    alpha: float
    rank: int
    """k, of the flights in the order of their scores."""
    scores: tuple[Score, ...]
    deck: tuple[DeckFamily, DeckErrors] | None = None
    """Over which deck, and how far off it is believed to be; None: over a surface at rest. The next
    flight has to be over it, too: over a smaller or slower one more may be off."""

    start: tuple[float, float] | None = None
    """Within what these flights were to begin, place [m] and speed [m/s]; None: they do not say."""

    @property
    def confidence(self) -> float:
        """Probability that these very flights give bounds that hold with 1 - alpha or more."""
        n = len(self.scores)
        return float(beta.sf(1 - self.alpha, self.rank, n + 1 - self.rank))

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, which the certificate holds."""
        return {
            "constant_n": list(self.constant),
            "changing_n": list(self.changing),
            "contract_n": list(self.contract),
            "contract_step_n": list(self.contract_step),
            **({} if self.deck is None else {"deck": self.deck[1].as_dict()}),
            "alpha": self.alpha,
            "flights": len(self.scores),
            "rank": self.rank,
            "guarantee": "marginal: over calibration flights and the next flight together",
            "confidence_of_these_flights": self.confidence,
            "exchangeable_if": "the next flight is one of the same kind: vehicle, battery, "
            f"{'floor' if self.deck is None else 'deck'}, reference, start, wind, estimator",
            "cutoff_hz": CUTOFF,
            "contract_cutoff_hz": CONTRACT_CUTOFF,
            "digests": [score.digest for score in self.scores],
            "source": f"{len(self.scores)} calibration flights",
            "certifies": True,
        }


def calibrate(
    paths: Sequence[Path], vehicle: Vehicle, network: Network, controller: str,
    trained_on: Sequence[str] = (), alpha: float = 0.1, plan: Plan | None = None,
    deck: DeckFamily | None = None,
) -> Calibration:  # fmt: skip
    """Return the bounds from flights of this very loop.

    Args:
        paths: flight logs, of ``controller`` with ``network``.
        vehicle: what flew.
        network: the learned force.
        controller: name of the controller.
        trained_on: digests of the flights that training or selection saw, as the bundle has them.
        alpha: probability that the next flight leaves a bound.
        plan: what the certificate is along; None: the flights may be of any.
        deck: and over which deck; None: over a surface at rest.

    Raises:
        InputError: alpha out of range, a log of another controller, model, vehicle, plan or deck, a
            file given twice, or one that training saw.
        Refused: too few flights for alpha.
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}, expected a probability between 0 and 1, like 0.1")
    seen = set(trained_on)
    scores: list[Score] = []
    starts: dict[tuple[float, float] | None, Path] = {}
    for path in paths:
        log = read_flight_log(path)
        digest = measured_digest(log)
        if digest in seen:
            why = "was trained on" if digest in trained_on else "is given twice"
            raise InputError(
                f"{path}: {why}; calibrate on flights that neither training nor selection saw, "
                "each once"
            )
        seen.add(digest)
        check_loop(log, path, vehicle, network, controller)
        if plan is not None:
            check_plan(log, path, plan)
        check_deck(log, path, deck)
        starts.setdefault(starts_of(log), path)
        if len(starts) > 1:
            raise InputError(
                f"{path}: began within another start_spread or start_speed_spread than {paths[0]}; "
                "calibration flights are of one kind"
            )
        scores.append(_score(log, path, digest, vehicle, network, None if deck is None else plan))
    rank = math.ceil((len(paths) + 1) * (1 - alpha) - 1e-9)
    if rank > len(paths):
        needed = math.ceil((1 - alpha) / alpha - 1e-9)
        raise Refused(
            f"calibration flights: {len(paths)}, too few for alpha {alpha:g}; missing: "
            f"{needed - len(paths)}, needed in all: {needed}"
        )
    shapes = SHAPES_FAST if plan is not None and plan.compensated else SHAPES
    if deck is not None:
        shapes = SHAPES_DECK
    joint = sorted(score.joint(vehicle.weight, shapes, deck) for score in scores)[rank - 1]

    def bound(shape: tuple[float, float, float]) -> tuple[float, float, float]:
        x, y, z = (joint * s * vehicle.weight for s in shape)
        return x, y, z

    belief = None
    if deck is not None:
        belief = deck, DeckErrors(*map(float, joint * deck_shapes(deck)))
    return Calibration(
        bound(shapes.constant), bound(shapes.changing), bound(shapes.contract),
        bound(shapes.contract_step), alpha, rank,
        tuple(scores), belief, next(iter(starts), None),
    )  # fmt: skip


def _score(
    log: FlightLog, path: Path, digest: str, vehicle: Vehicle, network: Network,
    over: Plan | None = None,
) -> Score:  # fmt: skip
    """Return what one flight showed until its first contact; ``over`` a deck along this plan."""
    labels = residual_labels(log, vehicle, CUTOFF, math.inf)  # what nobody explains counts most
    error = (labels.force - network.force(labels.state))[labels.valid]
    constant = np.median(error, axis=0)
    return Score(
        path.name, digest, constant, np.abs(error - constant).max(axis=0),
        *contract_error(log, vehicle),
        None if over is None else deck_errors(log, vehicle, over, until_contact(log)),
    )  # fmt: skip


def contract_error(log: FlightLog, vehicle: Vehicle) -> tuple[Array, Array]:
    """Return the greatest |F_a - H(F_held)| (3,) until first contact, and its change in a period [N].

    Raises:
        InputError: the log's rate is not that of the control loop, or control steps are missing.
    """
    period = vehicle.timing.period
    steps = np.diff(log["time"])
    step = float(np.median(steps))
    if abs(step - period) > 0.05 * period:
        raise InputError(
            f"rows are {step * 1e3:.3g} ms apart, expected the control period of "
            f"{period * 1e3:.3g} ms: the contract of the inner loop is checked step by step"
        )
    rows = until_contact(log)
    gaps = np.flatnonzero(steps[: rows.stop - 1] > 1.5 * period)
    if len(gaps):
        raise InputError(
            f"{len(gaps)} gaps, the first {steps[gaps[0]] * 1e3:.3g} ms long at "
            f"{log['time'][gaps[0]]:.3f} s; what happened in them nobody knows: expected a row every "
            f"control step of {period * 1e3:.3g} ms until contact"
        )
    real = thrust_vector(log["attitude"][rows], log["rotor_speed"][rows], vehicle)
    before = np.array([0.0, 0.0, vehicle.weight])
    wrong = real - followed(log["force_command"][rows], before, InnerLoop.of(vehicle), period)
    sections = butter(2, CONTRACT_CUTOFF, fs=1 / period, output="sos")
    left = sosfiltfilt(sections, wrong, axis=0)
    return np.abs(left).max(axis=0), np.abs(np.diff(left, axis=0)).max(axis=0)


def until_contact(log: FlightLog) -> slice:
    """Return the rows before a leg may touch or the law pushes down."""
    free = log["contact"] < 0.5
    if "phase" in log:
        free &= log["phase"] == 0
    return slice(0, len(free) if free.all() else int(np.argmin(free)))


def followed(command: Array, before: Array, inner: InnerLoop, period: float) -> Array:
    """Return H[F_held] (n, 3) [N] for commands (n, 3) taken every ``period``.

    ``before`` (3,) is the force that the vehicle had settled at before the first command [N].
    """
    late = round(inner.latency / period) + 1  # what a command does is seen a period later
    held = np.concatenate([np.tile(before, (late, 1)), command])[: len(command)]
    P, G = inner.sideways(period)
    b, a = ss2tf(P, G[:, None], np.array([[1.0, 0, 0]]), np.zeros((1, 1)))
    keep = inner.vertical(period)
    # the delay of one period is in ``held`` already
    filters = [(b[0, 1:], a), (b[0, 1:], a), (np.array([1 - keep]), np.array([1.0, -keep]))]
    result = np.empty_like(held)
    for j, (top, bottom) in enumerate(filters):
        settled = lfilter_zi(top, bottom) * before[j]
        result[:, j] = lfilter(top, bottom, held[:, j], zi=settled)[0]
    return result


def thrust_vector(attitude: Array, rotor_speed: Array, vehicle: Vehicle) -> Array:
    """Return T R e3 (n, 3) [N] from attitudes (n, 4) xyzw and rotor speeds (n, 4) [rad/s]."""
    axis = Rotation.from_quat(attitude).apply([0, 0, 1])
    return np.asarray(axis * (vehicle.rotors.k_f * rotor_speed**2).sum(axis=1, keepdims=True))
