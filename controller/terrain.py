"""What the world stands on: a floor, and boxes with edges on it (a table, a pad, a ramp).

A rotor disc of radius R whose centre is a distance a inside an edge has over that edge's side the share

    F(a / R),   F(u) = 1/2 + (u sqrt(1 - u^2) + arcsin u) / pi,   0 and 1 beyond |u| = 1

of its area (circular segment: Bronshtein, Semendyayev, "Handbook of Mathematics", 3.1.2.6). Over a
box it is the share between the edges in x times the one between the edges in y: exact for one edge
and with the centre on a corner, and sharing out the whole disc wherever boxes lie side by side.

The top of a box is a plane, level or tilted, z = height + g . ((x, y) - centre); what a rotor feels
goes with its distance from that plane, (z - plane) / sqrt(1 + |g|^2).
"""

import math
from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.compiled import compiled
from neural_lander.controller.errors import InputError
from neural_lander.controller.rotation import Vector

Array = npt.NDArray[np.float64]

MAX_SURFACES = 8

RECORD_FIELDS = [
    ("surface", np.float64),
    ("surface_count", np.int64),
    ("surfaces", np.float64, (MAX_SURFACES, 7)),
    ("shares", np.float64, (4, 1 + MAX_SURFACES)),
]
"""What the compiled step keeps: height of the floor, the boxes (x, y, half_x, half_y, height, and the
rise of the top along x and y), and the share of each rotor's disc over the floor and over each box."""


@dataclass(frozen=True)
class Surface:
    """The top of a box that stands on the floor, its sides along x and y; level unless tilted."""

    x: float
    """Centre, east [m]."""
    y: float
    """Centre, north [m]."""
    half_x: float
    """Half extent along x [m]."""
    half_y: float
    """Half extent along y [m]."""
    height: float
    """Of the top over the floor, in its middle [m]."""
    tilt_deg: float = 0.0
    """Of the top against the level [degrees]."""
    uphill_deg: float = 0.0
    """Direction in which the top rises, from east to north [degrees]."""

    @property
    def gradient(self) -> tuple[float, float]:
        """Rise of the top along x and y."""
        rise, uphill = math.tan(math.radians(self.tilt_deg)), math.radians(self.uphill_deg)
        return rise * math.cos(uphill), rise * math.sin(uphill)

    @property
    def level(self) -> bool:
        """Whether the top is level."""
        return self.tilt_deg == 0.0

    @property
    def lowest(self) -> float:
        """Height of the lowest corner of the top [m]."""
        rise = self.gradient
        return self.height - abs(rise[0]) * self.half_x - abs(rise[1]) * self.half_y

    def inside(self, x: float, y: float) -> float:
        """Return how far inside the nearest edge a point is, negative outside [m]."""
        return min(self.half_x - abs(x - self.x), self.half_y - abs(y - self.y))

    def top(self, x: float, y: float) -> float:
        """Return the height of the top's plane at a point [m]."""
        rise = self.gradient
        return self.height + rise[0] * (x - self.x) + rise[1] * (y - self.y)

    def highest_within(self, x: float, y: float, reach: float) -> float:
        """Return the height of the highest point of the top's plane around a point [m]."""
        corner = 2 * self.height - self.lowest
        return min(self.top(x, y) + math.hypot(*self.gradient) * reach, corner)

    def overlaps(self, other: "Surface") -> bool:
        """Whether some of the floor lies under both; a common edge is none."""
        return (
            abs(self.x - other.x) < self.half_x + other.half_x
            and abs(self.y - other.y) < self.half_y + other.half_y
        )

    def distance(self, x: float, y: float) -> float:
        """Return the distance seen from above between a point and the box, 0 inside [m]."""
        return math.hypot(
            max(abs(x - self.x) - self.half_x, 0.0), max(abs(y - self.y) - self.half_y, 0.0)
        )


@dataclass(frozen=True)
class Terrain:
    """A floor at z = 0 with boxes on it.

    Raises:
        InputError: too many boxes, two that overlap, or a top that dips into the floor.
    """

    surfaces: tuple[Surface, ...] = ()

    def __post_init__(self) -> None:
        if len(self.surfaces) > MAX_SURFACES:
            raise InputError(
                f"{len(self.surfaces)} surfaces are more than the {MAX_SURFACES} that a world holds"
            )
        for j, b in enumerate(self.surfaces):
            if b.lowest < LIMITS["height"][0]:
                raise InputError(
                    f"surface {j + 1} {_extent(b)}: height = {b.height:g} m, tilt_deg = {b.tilt_deg:g}: "
                    f"its lowest corner is {b.lowest:.2f} m over the floor; raise height by more than "
                    f"{LIMITS['height'][0] - b.lowest:.2f} m, or tilt it less"
                )
            for i, a in enumerate(self.surfaces[:j]):
                if a.overlaps(b):
                    raise InputError(
                        f"surface {i + 1} {_extent(a)} and surface {j + 1} {_extent(b)} overlap; "
                        "move one of them, or make one smaller"
                    )

    def height(self, x: float, y: float) -> float:
        """Return the height of what lies under a point [m]."""
        under = self.under(x, y)
        return 0.0 if under is None else under.top(x, y)

    def under(self, x: float, y: float) -> Surface | None:
        """Return the box under a point, the higher one on a common edge; None: the floor."""
        here = [s for s in self.surfaces if s.distance(x, y) == 0.0]
        return max(here, key=lambda s: s.top(x, y), default=None)

    def array(self) -> Array:
        """Return the boxes as the compiled step keeps them (MAX_SURFACES, 7)."""
        rows = np.zeros((MAX_SURFACES, 7))
        for i, s in enumerate(self.surfaces):
            rows[i] = s.x, s.y, s.half_x, s.half_y, s.height, *s.gradient
        return rows

    def check_start(self, x: float, y: float, lowest: float, reach: float) -> None:
        """Refuse a start with some of the vehicle inside a box.

        Args:
            x: where the vehicle starts [m].
            y: likewise [m].
            lowest: world height of its lowest point [m].
            reach: largest distance of any of its points from x, y, seen from above [m].

        Raises:
            InputError: the vehicle's circle meets a box whose top is not below it.
        """
        for i, s in enumerate(self.surfaces):
            highest = s.highest_within(x, y, reach)
            if s.distance(x, y) < reach and lowest <= highest:
                raise InputError(
                    f"start_x = {x:g} m, start_y = {y:g} m, start_height: the vehicle reaches "
                    f"{reach:.2f} m around it and down to {lowest:.2f} m, into surface {i + 1} "
                    f"{_extent(s)} that is {highest:g} m high; start farther away, or raise "
                    f"start_height by more than {highest - lowest:.2f} m"
                )


FLAT = Terrain()
"""Nothing but the floor."""


def _extent(s: Surface) -> str:
    return f"(x {s.x - s.half_x:g} to {s.x + s.half_x:g}, y {s.y - s.half_y:g} to {s.y + s.half_y:g} m)"


LIMITS = {
    "x": (-100.0, 100.0),
    "y": (-100.0, 100.0),
    "half_x": (0.01, 50.0),
    "half_y": (0.01, 50.0),
    "height": (0.01, 10.0),
    "tilt_deg": (0.0, 45.0),
    "uphill_deg": (-360.0, 360.0),
}


def read_surfaces(tree: dict[str, Any], where: str) -> Terrain:
    """Take the ``[[surface]]`` tables out of a parsed TOML file and return the terrain.

    Raises:
        InputError: a field is missing, unknown, no number or out of range, or surfaces overlap.
    """
    tables = tree.pop("surface", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{where}: surface is {tables!r}, expected [[surface]] tables")
    known = [f.name for f in fields(Surface)]
    needed = [f.name for f in fields(Surface) if f.default is MISSING]
    surfaces = []
    for i, table in enumerate(tables):
        at = f"{where}: surface {i + 1}:"
        for key in table:
            if key not in known:
                raise InputError(f"{at} {key} is unknown; expected {', '.join(known)}")
        for key in needed:
            if key not in table:
                raise InputError(f"{at} {key} is missing; give a number in metres")
        for key, value in table.items():
            low, high = LIMITS[key]
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not low <= value <= high:
                unit = "degrees" if key.endswith("_deg") else "metres"
                raise InputError(
                    f"{at} {key} is {value!r}, expected a number from {low} to {high} ({unit})"
                )
        surfaces.append(Surface(**{key: float(value) for key, value in table.items()}))
    try:
        return Terrain(tuple(surfaces))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


@compiled
def surface_height(w: Any, x: float, y: float) -> float:
    """Return the height of what lies under a point of the world [m]."""
    for s in range(w.surface_count):
        b = w.surfaces[s]
        if abs(x - b[0]) <= b[2] and abs(y - b[1]) <= b[3]:
            return height_of(w, s + 1, x, y)
    return float(w.surface)


@compiled
def height_of(w: Any, s: int, x: float, y: float) -> float:
    """Return the height of the plane of the floor (s = 0) or of box s's top (from 1) at x, y [m]."""
    if s == 0:
        return float(w.surface)
    b = w.surfaces[s - 1]
    return float(b[4] + b[5] * (x - b[0]) + b[6] * (y - b[1]))


@compiled
def distance_over(w: Any, s: int, p: Vector) -> float:
    """Return the distance of a point from the plane of the floor (s = 0) or of box s's top [m]."""
    above = p[2] - height_of(w, s, p[0], p[1])
    return above * uprightness(w, s)


@compiled
def uprightness(w: Any, s: int) -> float:
    """Return the cosine of the tilt of the floor (s = 0) or of box s's top (from 1)."""
    if not is_tilted(w, s):
        return 1.0
    b = w.surfaces[s - 1]
    return float(1.0 / math.sqrt(1.0 + b[5] * b[5] + b[6] * b[6]))


@compiled
def is_tilted(w: Any, s: int) -> bool:
    """Whether the top of box s (from 1) is tilted now; the floor (s = 0) never is."""
    return s > 0 and (w.surfaces[s - 1, 5] != 0.0 or w.surfaces[s - 1, 6] != 0.0)


@compiled
def highest_within(w: Any, x: float, y: float, reach: float) -> float:
    """Return the height of the highest surface at most ``reach`` from a point along x and y [m]."""
    top = float(w.surface)
    for s in range(w.surface_count):
        b = w.surfaces[s]
        if abs(x - b[0]) <= b[2] + reach and abs(y - b[1]) <= b[3] + reach:
            top = max(top, b[4] + _climb(b, 0, x, reach) + _climb(b, 1, y, reach))
    return top


@compiled
def _climb(b: Any, axis: int, x: float, reach: float) -> float:
    """Return how far a box's top rises along an axis within ``reach`` of x, over its middle [m]."""
    low = min(max(x - reach - b[axis], -b[2 + axis]), b[2 + axis])
    high = min(max(x + reach - b[axis], -b[2 + axis]), b[2 + axis])
    return float(max(b[5 + axis] * low, b[5 + axis] * high))


@compiled
def disc_share(u: float) -> float:
    """Return the share of a disc on one side of an edge, its centre ``u`` radii on that side."""
    if u >= 1.0:
        return 1.0
    if u <= -1.0:
        return 0.0
    return 0.5 + (u * math.sqrt(1.0 - u * u) + math.asin(u)) / math.pi


@compiled
def disc_shares(w: Any, i: int, x: float, y: float) -> None:
    """Write into ``shares[i]`` how much of a rotor's disc about x, y lies over floor and boxes."""
    floor = 1.0
    for s in range(w.surface_count):
        b = w.surfaces[s]
        dx, dy, share = abs(x - b[0]), abs(y - b[1]), 0.0
        if dx < b[2] + w.radius and dy < b[3] + w.radius:
            along_x = disc_share((b[2] - dx) / w.radius) - disc_share((-b[2] - dx) / w.radius)
            along_y = disc_share((b[3] - dy) / w.radius) - disc_share((-b[3] - dy) / w.radius)
            share = along_x * along_y
        w.shares[i, s + 1] = share
        floor -= share
    w.shares[i, 0] = max(floor, 0.0)


@compiled
def share_of_all(w: Any, s: int) -> float:
    """Return the mean share of the four discs over the floor (s = 0) or box s (from 1)."""
    a = w.shares
    return float(0.25 * (a[0, s] + a[1, s] + a[2, s] + a[3, s]))
