"""The vehicle as its control law knows it: one TOML file, a source behind every number.

Every number of the file is a table ``{ value = ..., source = "..." }`` under a key that ends in
its unit. Frames: body x forward, y left, z up, origin at the centre of mass; world z up.

    thrust of a rotor   f = k_f Omega^2 along body z,   f' = (f_commanded - f) / lag
    torque of a rotor   r x f e3 - spin * drag_torque * f e3     (spin +1: counter-clockwise from above)
"""

import hashlib
import json
import math
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError

Array = npt.NDArray[np.float64]

GRAVITY = 9.81
"""Standard acceleration of gravity used throughout [m/s^2]."""


def number(
    key: str,
    help: str,
    shape: tuple[int | None, ...] = (),
    low: float = -math.inf,
    high: float = math.inf,
    strict: bool = True,
    default: float | None = None,
) -> Any:
    """Declare a number of the vehicle file: its key, meaning, shape, and range (open if strict).

    A file may leave out one that has a ``default``.
    """
    left_out: Any = MISSING if default is None else default
    return field(
        default=left_out,
        metadata={
            "key": key,
            "help": help,
            "shape": shape,
            "low": low,
            "high": high,
            "strict": strict,
        },
    )


@dataclass(frozen=True)
class Body:
    """The rigid body."""

    mass: float = number("mass_kg", "mass, battery included", low=0)
    inertia: Array = number("inertia_kg_m2", "principal moments about body x, y, z", (3,), low=0)


@dataclass(frozen=True)
class Rotors:
    """Where the rotors sit, what one turn of them does, and how fast they follow."""

    positions: Array = number("positions_m", "rotor discs in the body frame, a row a rotor", (4, 3))
    spins: Array = number("spins", "+1 counter-clockwise seen from above, -1 clockwise", (4,))
    radius: float = number("radius_m", "radius of a rotor", low=0)
    k_f: float = number("thrust_coefficient_n_s2", "thrust over squared speed in rad/s", low=0)
    drag_torque: float = number("drag_torque_m", "drag torque over thrust", low=0)
    thrust_min: float = number("thrust_min_n", "least thrust of one rotor", low=0, strict=False)
    thrust_max: float = number("thrust_max_n", "greatest thrust of one rotor", low=0)
    lag: float = number("lag_s", "first-order lag of thrust behind its command", low=0)
    lag_tolerance: float = number("lag_tolerance_s", "the lag is known to +-", low=0, strict=False)
    drag: float = number(
        "drag_s_m",
        "sideways rotor drag: force = -drag * thrust * sideways speed",
        low=0,
        strict=False,
    )


@dataclass(frozen=True)
class Legs:
    """What the vehicle stands on."""

    feet: Array = number("feet_m", "lowest points of the legs in the body frame", (4, 3))


@dataclass(frozen=True)
class Timing:
    """When things happen on board."""

    period: float = number("control_period_s", "time between two control steps", low=0)
    latency: float = number(
        "latency_s", "from a measurement to its command at the rotors", low=0, strict=False
    )


@dataclass(frozen=True)
class Noise:
    """Bounds of what the state estimate may be off by; half white, half correlated."""

    position: float = number("position_m", "per axis", low=0, strict=False)
    velocity: float = number("velocity_m_s", "per axis", low=0, strict=False)
    attitude: float = number("attitude_rad", "per axis, as a small rotation", low=0, strict=False)
    rate: float = number("rate_rad_s", "per body axis", low=0, strict=False)
    rotor_speed: float = number(
        "rotor_speed_share", "share of the speed", low=0, high=1, strict=False
    )
    correlation_time: float = number("correlation_time_s", "of the correlated half", low=0)


@dataclass(frozen=True)
class Gains:
    """What the control law is tuned to.

    With K_v/m and Lambda per axis the position law is F = m (g + a_d) - (K_v + m Lambda) v~
    - K_v Lambda p~ (Shi et al. 2019, eq. 8, with s = v~ + Lambda p~).
    """

    velocity: Array = number("velocity_1_s", "K_v / m per world axis", (3,), low=0)
    position: Array = number("position_1_s", "Lambda per world axis", (3,), low=0)
    integral: float = number(
        "integral_1_s3", "integral gain / m of `pid` on z; on x, y the same share of what is stable",
        low=0,
    )  # fmt: skip
    integral_limit: float = number("integral_limit_share", "of weight, anti-windup of `pid`", low=0)
    attitude: float = number("attitude_rad_s", "bandwidth of roll and pitch", low=0)
    damping: float = number("attitude_damping", "damping ratio of roll and pitch", low=0)
    yaw: float = number("yaw_rad_s", "bandwidth of yaw", low=0)
    observer: float = number(
        "observer_1_s", "bandwidth of `observer`'s disturbance observer", low=0
    )
    observer_beside: float = number(
        "observer_beside_model_1_s", "bandwidth of the observer beside a model of the force", low=0
    )
    observer_limit: float = number("observer_limit_share", "of weight, anti-windup", low=0, high=1)
    textbook_radius: float = number(
        "textbook_radius_m", "effective rotor radius in the formula of `textbook`", low=0
    )
    torque_observer: float = number(
        "torque_observer_1_s", "bandwidth of the observer of torques, 0: none", low=0, strict=False,
        default=0.0,
    )  # fmt: skip

    def observer_of(self, controller: str) -> float:
        """Return the bandwidth of a controller's disturbance observer [1/s]; 0: it has none.

        ``observer`` alone has to follow the whole ground effect; beside a model of the force it
        finds what stays the same, and a slower one lets less noise through.
        """
        if controller == "observer":
            return self.observer
        return self.observer_beside if controller.endswith("+observer") else 0.0


@dataclass(frozen=True)
class Baselines:
    """What controllers from elsewhere are tuned to."""

    indi: float = number("indi_rad_s", "corner of `indi`'s second-order low pass", low=0)
    l1: float = number("l1_1_s", "bandwidth of `l1`'s low pass", low=0)


@dataclass(frozen=True)
class ThrustLaw:
    """Thrust of one rotor from PWM share p and battery share v, in newton.

    f = c00 + c10 p + c01 v + c20 p^2 + c11 p v, with p in [0, 1], v = voltage / full voltage.
    """

    coefficients: Array = number("coefficients_n", "c00, c10, c01, c20, c11", (5,))
    full_voltage: float = number("full_voltage_v", "battery voltage at v = 1", low=0)

    def thrust(self, pwm: Array, voltage: Array) -> Array:
        """Return the thrust [N] for PWM shares (..., rotors) at battery voltages (...) [V]."""
        c00, c10, c01, c20, c11 = self.coefficients
        v = np.asarray(voltage)[..., None] / self.full_voltage
        return np.asarray(c00 + c10 * pwm + c01 * v + c20 * pwm**2 + c11 * pwm * v)


@dataclass(frozen=True)
class Vehicle:
    """All that is known of one multirotor. ``sources`` names where each number comes from."""

    name: str
    body: Body
    rotors: Rotors
    legs: Legs
    timing: Timing
    noise: Noise
    gains: Gains
    thrust_law: ThrustLaw | None
    sources: dict[str, str]
    baselines: Baselines | None = None

    @property
    def mass(self) -> float:
        """Mass [kg]."""
        return self.body.mass

    @property
    def weight(self) -> float:
        """Weight [N]."""
        return self.body.mass * GRAVITY

    @cached_property
    def rest_height(self) -> float:
        """Height of the body's origin over the surface when standing level [m]."""
        return float(-self.legs.feet[:, 2].min())

    @cached_property
    def induced_velocity(self) -> float:
        """Induced velocity of the rotors in hover, from momentum theory [m/s]."""
        area = len(self.rotors.spins) * math.pi * self.rotors.radius**2
        return math.sqrt(self.weight / (2 * AIR_DENSITY * area))

    @cached_property
    def mixing(self) -> Array:
        """B (4, rotors) with [thrust, torque about x, y, z] = B @ rotor thrusts."""
        x, y, _ = self.rotors.positions.T
        return np.stack([np.ones_like(x), y, -x, -self.rotors.drag_torque * self.rotors.spins])

    @property
    def thrust_limits(self) -> tuple[float, float]:
        """Least and greatest collective thrust [N]."""
        n = len(self.rotors.spins)
        return n * self.rotors.thrust_min, n * self.rotors.thrust_max

    def numbers(self) -> Iterator[tuple[str, Any, str, str]]:
        """Yield (path in the file, value, meaning, source) of every number, but for defaults."""
        for group, cls in GROUPS.items():
            part = getattr(self, group)
            if part is None:
                continue
            for f in fields(cls):
                path, value = f"{group}.{f.metadata['key']}", getattr(part, f.name)
                if f.default is MISSING or value != f.default:
                    yield path, value, f.metadata["help"], self.sources[path]

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by group and key, as in the file, without their sources."""
        result: dict[str, Any] = {"name": self.name}
        for path, value, _, _ in self.numbers():
            group, key = path.split(".")
            result.setdefault(group, {})[key] = (
                value.tolist() if isinstance(value, np.ndarray) else value
            )
        return result

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all numbers (not of comments, sources or layout of the file)."""
        return _digest(self.as_dict())

    @cached_property
    def physical_digest(self) -> str:
        """SHA-256 of all numbers but the gains: what the vehicle is, not how it is flown."""
        return _digest({k: v for k, v in self.as_dict().items() if k not in TUNED})

    def observer_of(self, controller: str) -> float:
        """Return how fast a controller answers a force that nothing explains [1/s]; 0: it does not.

        Raises:
            InputError: the vehicle's file has no gain for this controller.
        """
        if controller not in ("indi", "l1"):
            return self.gains.observer_of(controller)
        if self.baselines is None:
            raise InputError(
                f"vehicle '{self.name}' has no table [baselines], so controller '{controller}' has no "
                "gain; `scripts/tune_baselines.py --out FILE.toml` finds one, `neural-lander vehicle "
                "new` shows the table"
            )
        if (
            controller == "indi"
        ):  # a second-order filter lags like a first-order one of w / (2 zeta)
            return self.baselines.indi / math.sqrt(2)
        return self.baselines.l1


AIR_DENSITY = 1.225
"""Density of air at sea level, ISA [kg/m^3]."""

GROUPS: dict[str, type] = {
    "body": Body,
    "rotors": Rotors,
    "legs": Legs,
    "timing": Timing,
    "noise": Noise,
    "gains": Gains,
    "baselines": Baselines,
    "thrust_law": ThrustLaw,
}

OPTIONAL = ("baselines", "thrust_law")
"""Groups that a vehicle may do without."""

TUNED = ("gains", "baselines")
"""Groups that say how a vehicle is flown, not what it is."""


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def bundled_vehicles() -> list[str]:
    """Return the names of the vehicles that come with the package."""
    folder = resources.files("neural_lander.controller") / "vehicles"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def load_vehicle(name_or_path: str | Path) -> Vehicle:
    """Load a bundled vehicle by name, or one from a TOML file.

    Raises:
        InputError: no such vehicle, or a field is missing, of the wrong shape or impossible; the
            message names the field's path and what was expected.
    """
    path = Path(name_or_path)
    bundled = resources.files("neural_lander.controller") / "vehicles" / f"{name_or_path}.toml"
    if path.suffix != ".toml":
        if "/" in str(name_or_path) or not bundled.is_file():
            raise InputError(
                f"vehicle '{name_or_path}' is unknown; take one of {', '.join(bundled_vehicles())}, "
                "or give the path of a TOML file (`neural-lander vehicle new FILE.toml` writes one)"
            )
        return parse_vehicle(bundled.read_text(encoding="utf-8"), str(name_or_path))
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text in UTF-8 ({error.reason})") from error
    return parse_vehicle(text, str(path))


def parse_vehicle(text: str, where: str) -> Vehicle:
    """Build a vehicle from the text of its TOML file; ``where`` names it in messages."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: is not TOML ({error})") from error
    name = tree.pop("name", None)
    if not isinstance(name, str) or not name:
        raise InputError(f'{where}: name is missing; expected a line like name = "my-quad"')
    unknown = set(tree) - set(GROUPS)
    if unknown:
        raise InputError(
            f"{where}: unknown table [{sorted(unknown)[0]}]; expected {', '.join(GROUPS)}"
        )
    sources: dict[str, str] = {}
    parts: dict[str, Any] = dict.fromkeys(OPTIONAL)
    for group, cls in GROUPS.items():
        if group in tree:
            parts[group] = _read_group(group, cls, tree[group], where, sources)
        elif group not in OPTIONAL:
            raise InputError(f"{where}: table [{group}] is missing")
    vehicle = Vehicle(name=name, sources=sources, **parts)
    _check_physics(vehicle, where)
    return vehicle


T = TypeVar("T")


def _read_group(group: str, cls: type[T], table: Any, where: str, sources: dict[str, str]) -> T:
    if not isinstance(table, dict):
        raise InputError(f"{where}: {group} is {table!r}, expected a table [{group}]")
    known = {f.metadata["key"] for f in fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            raise InputError(
                f"{where}: {group}.{key} is unknown; expected {', '.join(sorted(known))}"
            )
    values: dict[str, Any] = {}
    for f in fields(cls):  # type: ignore[arg-type]
        rule = f.metadata
        path = f"{group}.{rule['key']}"
        entry = table.get(rule["key"])
        if entry is None and f.default is not MISSING:
            sources[path], values[f.name] = "left out", f.default
            continue
        if entry is None:
            raise InputError(f"{where}: {path} is missing ({rule['help']})")
        if not isinstance(entry, dict) or set(entry) != {"value", "source"}:
            raise InputError(
                f'{where}: {path} is {entry!r}, expected {{ value = ..., source = "..." }}'
            )
        if not isinstance(entry["source"], str) or not entry["source"].strip():
            raise InputError(f"{where}: {path}.source is empty; say where the number comes from")
        sources[path] = entry["source"]
        values[f.name] = _read_number(entry["value"], f"{where}: {path}", **rule)
    return cls(**values)


def _read_number(
    value: Any,
    path: str,
    key: str,
    help: str,
    shape: tuple[int, ...],
    low: float,
    high: float,
    strict: bool,
) -> float | Array:
    del key
    wanted = f"numbers of shape {shape}" if shape else "a number"
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{path} is {value!r}, expected {wanted} ({help})") from None
    if isinstance(value, (str, bool)) or array.shape != shape:
        raise InputError(f"{path} has shape {array.shape}, expected {wanted} ({help})")
    inside = (array > low) & (array < high) if strict else (array >= low) & (array <= high)
    if not np.all(inside & np.isfinite(array)):
        sign = "<" if strict else "<="
        raise InputError(f"{path} is {value}, expected {low} {sign} value {sign} {high} ({help})")
    array.flags.writeable = False
    return array if shape else float(array)


def _check_physics(vehicle: Vehicle, where: str) -> None:
    """Refuse a body that cannot exist and rotors that cannot hold it."""
    ixx, iyy, izz = vehicle.body.inertia
    for largest, rest in ((ixx, iyy + izz), (iyy, ixx + izz), (izz, ixx + iyy)):
        if largest > rest * (1 + 1e-9):
            raise InputError(
                f"{where}: body.inertia_kg_m2 is {vehicle.body.inertia.tolist()}: no body has one moment "
                "larger than the sum of the other two"
            )
    if not np.all(np.abs(vehicle.rotors.spins) == 1):
        raise InputError(
            f"{where}: rotors.spins is {vehicle.rotors.spins.tolist()}, expected +1 and -1 only"
        )
    if vehicle.rotors.thrust_min >= vehicle.rotors.thrust_max:
        raise InputError(
            f"{where}: rotors.thrust_min_n is {vehicle.rotors.thrust_min} N, not below "
            f"rotors.thrust_max_n = {vehicle.rotors.thrust_max} N"
        )
    if vehicle.rotors.lag_tolerance >= vehicle.rotors.lag:
        raise InputError(f"{where}: rotors.lag_tolerance_s must be smaller than rotors.lag_s")
    if (
        np.linalg.matrix_rank(
            vehicle.mixing / np.abs(vehicle.mixing).max(axis=1, keepdims=True).clip(1e-12)
        )
        < 4
    ):
        raise InputError(
            f"{where}: rotors.positions_m and rotors.spins cannot make thrust and the three torques "
            "independently; a quadrotor has two of each spin, and no three rotors in a line"
        )
    hover = np.linalg.solve(vehicle.mixing, np.array([vehicle.weight, 0, 0, 0]))
    low, high = vehicle.rotors.thrust_min, vehicle.rotors.thrust_max
    if hover.min() <= low or hover.max() >= high:
        raise InputError(
            f"{where}: rotors cannot balance: level hover needs {np.round(hover, 4).tolist()} N, but "
            f"rotors.thrust_min_n..thrust_max_n is {low}..{high} N"
        )
    if np.ptp(vehicle.legs.feet[:, 2]) > 1e-9 or vehicle.rest_height <= 0:
        raise InputError(f"{where}: legs.feet_m must share one z below the body's origin (z < 0)")
    steps = vehicle.timing.latency / vehicle.timing.period
    if abs(steps - round(steps)) > 1e-6 or round(steps) > MAX_LATENCY_STEPS:
        raise InputError(
            f"{where}: timing.latency_s is {vehicle.timing.latency} s, expected a whole number (at most "
            f"{MAX_LATENCY_STEPS}) of control periods of {vehicle.timing.period} s"
        )


MAX_LATENCY_STEPS = 64
"""Longest latency that the controller's pipeline holds [control periods]."""
