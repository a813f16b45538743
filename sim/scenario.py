"""What is to be flown: where it starts, how long it hovers, where it ends. One TOML file each.

Tables say how the world is other than believed: ``[vehicle]`` (``sim/deviation.py``), ``[wind]``
(``sim/wind.py``), ``[aerodynamics]`` (``sim/aerodynamics.py``), ``[legs]`` (``sim/legs.py``),
``[sensors]`` (``sim/sensors.py``). Controllers and certificates see none of it.
"""

import tomllib
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from neural_lander.controller.deck import BLEND
from neural_lander.controller.errors import InputError
from neural_lander.controller.terrain import FLAT, Terrain, read_surfaces
from neural_lander.sim.aerodynamics import Aerodynamics
from neural_lander.sim.deck import Deck
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.legs import Footing
from neural_lander.sim.sensors import Sensors
from neural_lander.sim.table import Table, read_table
from neural_lander.sim.wind import Wind


@dataclass(frozen=True)
class Scenario:
    """One kind of flight. Heights are above standing on the surface under the start."""

    name: str
    """Shown in tables."""
    description: str
    """One line for people."""
    start_height: float = 1.5
    """Where the vehicle hovers first [m]."""
    start_spread: float = 0.05
    """The real start is off by at most this much per axis [m]; the set-point begins there, too."""
    start_speed_spread: float = 0.05
    """And moves with at most this speed per axis [m/s]."""
    hover: float = 2.0
    """Time before the descent [s]."""
    target_height: float = 0.0
    """Where the descent ends; 0 is a landing [m]."""
    after: float = 4.0
    """The flight ends this long after the set-point came to rest [s]."""
    start_x: float = 0.0
    """Where the vehicle hovers first and comes down, east [m]."""
    start_y: float = 0.0
    """North [m]."""
    end_x: float | None = None
    """Where it flies to on a level way before it comes down, east [m]; None: it stays."""
    end_y: float | None = None
    """North [m]."""
    travel_speed: float = 1.0
    """Greatest speed on that way [m/s]."""
    terrain: Terrain = FLAT
    """What stands on the floor and does not move: the file's [[surface]] tables."""
    deck: Deck | None = None
    """A box whose top moves, which is landed on."""
    vehicle: Deviation = field(default_factory=Deviation)
    """How the vehicle is other than its file says."""
    wind: Wind = field(default_factory=Wind)
    """How the air moves."""
    aerodynamics: Aerodynamics = field(default_factory=Aerodynamics)
    """Which terms of the rotors' air there are."""
    legs: Footing = field(default_factory=Footing)
    """How the legs meet the ground."""
    sensors: Sensors = field(default_factory=Sensors)
    """How the estimate is worse than its noise alone; its latency may be known to the controller."""

    @property
    def end(self) -> tuple[float, float]:
        """Where the vehicle comes down, x and y [m]."""
        x, y = self.end_x, self.end_y
        return (self.start_x if x is None else x), (self.start_y if y is None else y)

    @property
    def ground(self) -> Terrain:
        """All that stands on the floor, the deck last and at rest, as the map has it."""
        if self.deck is None:
            return self.terrain
        return Terrain((*self.terrain.surfaces, self.deck.surface))

    @property
    def moving(self) -> int:
        """Which box of the ground moves, from 1; 0: none."""
        return 0 if self.deck is None else len(self.terrain.surfaces) + 1

    @property
    def travels(self) -> bool:
        """Whether it flies somewhere else first."""
        return self.end != (self.start_x, self.start_y)

    @property
    def start(self) -> tuple[float, float, float]:
        """x, y and height above standing on the surface under the *end* [m]."""
        there = self.ground.height(*self.end)
        x, y = self.start_x, self.start_y
        return x, y, self.start_height + self.ground.height(x, y) - there

    @property
    def stays_level(self) -> bool:
        """Whether the way ends at the height where it began."""
        return abs(self.target_height - self.start[2]) < 1e-9

    @property
    def lands(self) -> bool:
        """Whether the flight ends on the ground."""
        return self.target_height == 0.0

    def require_whole(self, where: str) -> None:
        """Refuse a scenario whose fields do not go together; ``where`` begins the message.

        Raises:
            InputError: of ``check_deck``; or it would have to climb: it ends above its start, and not
                at the same height on a level way.
        """
        try:
            check_deck(self)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        above = self.start[2]
        passes = self.travels and self.stays_level
        if self.target_height >= above and not passes:
            raise InputError(
                f"{where}: target_height is {self.target_height} m, expected less than start_height, "
                f"which is {above:g} m over the surface under the end; lower it, or raise start_height"
            )


def check_deck(scenario: Scenario) -> None:
    """Refuse a scenario in which a deck cannot be heard in time, or cannot be landed on as it is.

    Raises:
        InputError: naming field and cure.
    """
    deck = scenario.deck
    if deck is None:
        return
    try:
        _ = scenario.ground
    except InputError as error:
        raise InputError(f"the last surface is the deck: {error}") from error
    x, y = scenario.start_x, scenario.start_y
    if scenario.travels or deck.surface.distance(x, y) > 0:
        raise InputError(
            f"start_x = {x:g} m, start_y = {y:g} m, and where it ends, {scenario.end}: the deck is to be "
            f"heard from a hover over it; start and end in one place from {deck.x - deck.half_x:g} to "
            f"{deck.x + deck.half_x:g} m and {deck.y - deck.half_y:g} to {deck.y + deck.half_y:g} m"
        )
    needed = 1 / deck.frequency_hz + BLEND
    if scenario.hover < needed:
        raise InputError(
            f"hover is {scenario.hover:g} s, too short to hear a whole swing of the deck "
            f"(frequency_hz = {deck.frequency_hz:g}) and to take it up: make it {needed:.1f} s or more"
        )
    require_fresh(scenario.sensors, scenario.vehicle)
    low = deck.height - deck.amplitude(deck.x + deck.half_x)
    if low < LOWEST:
        raise InputError(
            f"deck.height = {deck.height:g} m: its edge comes down to {low:.2f} m over the floor; raise "
            f"it by more than {LOWEST - low:.2f} m, or lessen deck.heave or deck.pitch_deg"
        )


def require_fresh(sensors: Sensors, deviation: Deviation) -> None:
    """Refuse estimates that are older than the height over a deck, which is measured now.

    Raises:
        InputError: naming field and cure.
    """
    for name, old in (
        ("sensors.position_latency", sensors.position_latency),
        ("sensors.drop_out_share", sensors.drop_out_share),
        ("vehicle.estimate_lag", deviation.estimate_lag),
    ):
        if old > 0:
            raise InputError(
                f"{name} with a [deck]: its height is found from position and range of one "
                "moment; leave one of them out"
            )


LOWEST = 0.01
"""Least height of a deck's edge over the floor [m]."""

LIMITS = {
    "start_height": (0.05, 20.0),
    "start_spread": (0.0, 1.0),
    "start_speed_spread": (0.0, 1.0),
    "hover": (0.5, 60.0),
    "target_height": (0.0, 20.0),
    "after": (1.0, 60.0),
    "start_x": (-100.0, 100.0),
    "start_y": (-100.0, 100.0),
    "end_x": (-100.0, 100.0),
    "end_y": (-100.0, 100.0),
    "travel_speed": (0.1, 5.0),
}


TABLES: dict[str, type[Table]] = {
    "deck": Deck,
    "vehicle": Deviation,
    "wind": Wind,
    "aerodynamics": Aerodynamics,
    "legs": Footing,
    "sensors": Sensors,
}
"""What each table of a scenario file is read into."""


def bundled_scenarios() -> list[str]:
    """Return the names of the scenarios that come with the package."""
    folder = resources.files("neural_lander.sim") / "scenarios"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def load_scenario(name_or_path: str) -> Scenario:
    """Load a bundled scenario by name, or one from a TOML file.

    Raises:
        InputError: no such scenario, or a field is unknown, of the wrong type or out of range.
    """
    bundled = resources.files("neural_lander.sim") / "scenarios" / f"{name_or_path}.toml"
    if not name_or_path.endswith(".toml"):
        if "/" in name_or_path or not bundled.is_file():
            raise InputError(
                f"scenario '{name_or_path}' is unknown; take one of "
                f"{', '.join(bundled_scenarios())}, or give the path of a TOML file"
            )
        return _parse(bundled.read_text(encoding="utf-8"), name_or_path)
    try:
        text = Path(name_or_path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{name_or_path}: cannot be read ({error.strerror}); give the path of a TOML file, or one of "
            f"{', '.join(bundled_scenarios())}"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{name_or_path}: is not text in UTF-8 ({error.reason})") from error
    return _parse(text, name_or_path)


def _parse(text: str, where: str) -> Scenario:
    try:
        tree: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: is not TOML ({error})") from error
    terrain = read_surfaces(tree, where)
    known = {f.name for f in fields(Scenario)} - {"terrain"} | {"surface"}
    for key, value in tree.items():
        if key not in known:
            raise InputError(f"{where}: {key} is unknown; expected {', '.join(sorted(known))}")
        if key in TABLES:
            tree[key] = read_table(TABLES[key], value, key, where)
        elif key in LIMITS:
            low, high = LIMITS[key]
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not low <= value <= high
            ):
                raise InputError(
                    f"{where}: {key} is {value!r}, expected a number from {low} to {high}"
                )
            tree[key] = float(value)
        elif not isinstance(value, str):
            raise InputError(f"{where}: {key} is {value!r}, expected text")
    for key in ("name", "description"):
        if key not in tree:
            raise InputError(f"{where}: {key} is missing")
    scenario = Scenario(**tree, terrain=terrain)
    scenario.require_whole(where)
    return scenario
