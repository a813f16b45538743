"""What goes into a tube in three dimensions, and what comes out: errors, start, segments, bounds."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neural_lander.controller.bumpless import StartFamily
from neural_lander.controller.force_slopes import ForceSlopes
from neural_lander.controller.loop_model import Interval
from neural_lander.controller.reference_cells import ReferenceCells
from neural_lander.controller.spatial_model import Triple

Array = npt.NDArray[np.float64]
AxisCells = tuple[ReferenceCells, ReferenceCells, ReferenceCells]
"""The reference of x, y and z on one time grid."""


@dataclass(frozen=True)
class SpatialErrors:
    """How far the learned force may be from the real one, and the inner loop from its contract."""

    changing: Triple
    """Bound per axis of the force error's part that may change in any way [N]."""
    constant: Triple = (0.0, 0.0, 0.0)
    """Bound per axis of the part that stays the same through the flight [N]."""
    contract: Triple = (0.0, 0.0, 0.0)
    """c_bar: bound per axis of F_a - H[F_held] [N]."""
    source: str = "given"
    """Where the numbers come from."""
    contract_step: Triple | None = None
    """Bound per axis of |c(t) - c(t_k)| from a sample t_k of the observer to the next [N]; None:
    twice ``contract``, which always holds and costs that much at the observer."""

    @property
    def step(self) -> Array:
        """(3,) Bound of c's change from one sample of the observer to the next [N]."""
        if self.contract_step is None:
            return 2 * np.array(self.contract)
        return np.asarray(np.minimum(self.contract_step, 2 * np.array(self.contract)))


@dataclass(frozen=True)
class SpatialStart:
    """What is known of the first instant; the inner loop is at rest."""

    position: Triple = (0.0, 0.0, 0.0)
    """Bound of the position error per axis [m]."""
    velocity: Triple = (0.0, 0.0, 0.0)
    """Bound of the velocity error per axis [m/s]."""
    force: Triple | None = (0.0, 0.0, 0.0)
    """Bound per axis of |H's output - F0|, and of |command in the pipeline - F0| [N]; None: both
    are upright, at weight. Without what noise makes the observer see first, which is added."""
    beyond: Triple | None = None
    """Bound per axis of what position, velocity and the observer do not explain of that force,
    |H's output - F0 - r (k_p p~ + k_v v~ + d)| with r as in ``reply`` [N]; None: explain nothing."""
    joined: StartFamily | None = None
    """How far off the plan the set-point may begin; None: it is the plan, and errors are from that."""


@dataclass(frozen=True)
class SpatialSegment:
    """Consecutive cells of the plan with one box, one set of slopes, one linear model."""

    first: int
    end: int
    """Cells first ... end - 1."""
    name: str
    """Its range of planned heights."""
    slopes: ForceSlopes
    thrust: Interval
    """Range of collective thrust in its box [N]."""
    tilt: float
    """Half angle of the cone of its box [rad]."""
    sideways: float = math.inf
    """Bound of the horizontal part of every force in its box [N]; inf: none but cone and thrust."""
    surface: float = 0.0
    """Over a deck, bound of the error of its believed height [m]."""
    setpoint: float = 0.0
    """And of what a set-point off the reference asks for [N]."""


@dataclass(frozen=True)
class AxisBounds:
    """Bounds per axis; leading axes are cells, or none."""

    position: Array
    """(..., 3) of the position error [m]."""
    velocity: Array
    """(..., 3) of the velocity error [m/s]."""
    force: Array
    """(..., 3) of F_a - F0 [N]."""
    wanted: Array
    """(..., 3) of -k_p p~ - k_v v~ - d [N]."""
    disturbance: Array
    """(..., 3) of the observer's noise-free d [N]."""
    real: Array
    """(..., 3) of the output "real force" [N]."""
    command: Array
    """(..., 3) of F_held - F0 [N], once it was computed in flight: what the pipeline holds at first
    is at weight, if the start says so."""


@dataclass(frozen=True)
class SpatialTube:
    """Bounds over each cell; ``after`` for all the time beyond the last one."""

    cell: float
    """Length of a cell [s]."""
    times: Array
    """(cells,) Start of each cell [s]."""
    bounds: AxisBounds
    """(cells, 3)"""
    after: AxisBounds
    """(3,)"""
    small_gain: Array
    """(segments,) rho(G S) inside a cell: below 1."""
    small_gain_after: float
    """rho(M S) of the last segment: below 1."""
    abscissa_after: Array
    """(3,) Largest real part of the last segment's eigenvalues per axis [1/s]: below 0."""
    shares: dict[str, dict[str, float]]
    """For each axis: where the greatest position error comes from, by channel and input."""
    load: float = 0.0
    """Bound of |kappa|, by which the mass that is flown differs from the believed one, as a share."""
    step: float = 0.0
    """Bound of the step of the observer's force when that mass is taken [N]."""

    @property
    def position(self) -> Array:
        """(cells, 3) bounds of the position error [m]."""
        return self.bounds.position

    @property
    def velocity(self) -> Array:
        """(cells, 3) bounds of the velocity error [m/s]."""
        return self.bounds.velocity

    @property
    def force(self) -> Array:
        """(cells, 3) bounds of F_a - F0 [N]."""
        return self.bounds.force

    @property
    def finite(self) -> bool:
        """Whether there is a bound at all."""
        return bool(np.isfinite(self.position).all() and np.isfinite(self.after.position).all())

    @property
    def greatest(self) -> Array:
        """(3,) Greatest position error, the time after the plan included [m]."""
        return np.asarray(np.maximum(self.position.max(axis=0), self.after.position))

    def at(self, time: npt.ArrayLike) -> tuple[Array, Array, Array]:
        """Return half-widths of position [m], velocity [m/s], force [N], (..., 3), at times [s].

        At the border of two cells the wider of the two; before the start the first cell's.
        """
        t = np.asarray(time, dtype=np.float64) / self.cell
        n = len(self.times)
        late = np.clip(np.floor(t + 1e-6), 0, n).astype(np.int64)
        early = np.clip(np.floor(t - 1e-6), 0, n).astype(np.int64)
        found = []
        for name in ("position", "velocity", "force"):
            table = np.vstack([getattr(self.bounds, name), getattr(self.after, name)])
            found.append(np.maximum(table[early], table[late]))
        return found[0], found[1], found[2]

    def over(self, segment: SpatialSegment, last: bool) -> AxisBounds:
        """Return the greatest bounds (3,) over a segment; with ``last`` over the time after, too."""

        def greatest(name: str) -> Array:
            part = getattr(self.bounds, name)[segment.first : segment.end].max(axis=0)
            return np.asarray(np.maximum(part, getattr(self.after, name)) if last else part)

        return AxisBounds(*(greatest(name) for name in AxisBounds.__dataclass_fields__))
