"""What flights say about their vehicle, and what they cannot say.

From flight away from the ground: how much the rotors push, how slowly and how late they follow
their command, what the accelerometer shows too much, where the centre of mass is; each with a
95 % interval over flights. What the flights do not settle is named, with the reason, and the
vehicle file keeps its number there. Columns of a simulator's truth are never read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import write_whole
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.vehicle import MAX_LATENCY_STEPS, Vehicle, load_vehicle
from neural_lander.learning.free_flight import FAR, Stretch, stretches
from neural_lander.learning.identify_offsets import accelerometer_offset, centre_of_mass
from neural_lander.learning.identify_response import (
    SLOWEST,
    Response,
    followed,
    force_response,
    rotor_response,
)
from neural_lander.learning.identify_thrust import Law, fitted_law, thrust_level
from neural_lander.learning.intervals import FEWEST, grouped
from neural_lander.learning.vehicle_file import Number, changed, vehicle_text

Array = npt.NDArray[np.float64]

Kind = Literal["runs", "clear", "far"]

LEVEL_KNOWN = 0.25
"""A thrust level with a wider half-width than this share is not identified."""

LAG_KNOWN = 0.5
"""A lag with a wider half-width than this share of it is not identified."""

DELAY_KNOWN = 0.010
"""A delay with a wider half-width is not identified [s]."""

CENTRE_KNOWN = 0.05
"""A centre of mass with a wider half-width than this share of the arm is not identified."""

EQUAL = 0.01
"""Rotors of one make may differ by so much in thrust, which looks like a shifted centre of mass:
half of it, times the arm, is added to its interval (assumed) [share]."""

OFFSET_KNOWN = 0.5
"""An accelerometer offset with a wider half-width is not identified [m/s^2]."""


@dataclass(frozen=True)
class Estimate:
    """One thing that the flights say."""

    quantity: str
    """Its name."""
    unit: str
    """Its unit; numbers here are in it."""
    value: float
    half_width: float
    """Of the 95 % interval."""
    before: float | None = None
    """What the vehicle file had; None where it has no such number."""
    key: str | None = None
    """Number of the vehicle file that follows from it."""
    by_flight: tuple[float, ...] = ()
    """The same from each flight alone."""
    note: str = ""
    """What to know about it."""

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the 95 % interval."""
        return self.value - self.half_width, self.value + self.half_width

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        low, high = self.interval
        return {
            "quantity": self.quantity,
            "unit": self.unit,
            "value": self.value,
            "low": low,
            "high": high,
            "before": self.before,
            "key": self.key,
            "by_flight": list(self.by_flight),
            "note": self.note,
        }


@dataclass
class Identification:
    """All that the flights say."""

    flights: int
    seconds_far: float
    """Time flown far from the ground [s]."""
    estimates: list[Estimate] = field(default_factory=list)
    unknown: list[tuple[str, str]] = field(default_factory=list)
    """What was not identified, and why."""
    numbers: dict[str, Number] = field(default_factory=dict)
    """What changes in the vehicle file, by "group.key"."""

    def __getitem__(self, quantity: str) -> Estimate:
        """Return an estimate by name; KeyError where there is none."""
        for estimate in self.estimates:
            if estimate.quantity == quantity:
                return estimate
        raise KeyError(quantity)

    def __contains__(self, quantity: object) -> bool:
        return any(estimate.quantity == quantity for estimate in self.estimates)

    def source(self, estimate: Estimate, more: str = "") -> str:
        """Return where a number of the vehicle file comes from."""
        low, high = estimate.interval
        flights = "flight" if self.flights == 1 else "flights"
        return (
            f"identified from {self.flights} {flights}, 95 % interval {low:.5g}..{high:.5g}"
            f"{f' {estimate.unit}' if estimate.unit else ''}{f'; {more}' if more else ''}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "flights": self.flights,
            "seconds_far": self.seconds_far,
            "estimates": [estimate.as_dict() for estimate in self.estimates],
            "not_identified": [{"quantity": q, "why": why} for q, why in self.unknown],
            "changed": sorted(self.numbers),
        }


def identify(logs: Sequence[FlightLog], vehicle: Vehicle) -> Identification:
    """Return what flights of ``vehicle`` say about it.

    Raises:
        InputError: a flight is of another vehicle, does not say how high it is, or none of them is
            ever flown.
    """
    parts = stretches(logs, vehicle)
    if not any(p.runs for p in parts):
        raise InputError(
            f"{len(logs)} flight(s) hold no time in the air with motors on; log a flight in which "
            "the vehicle hovers and moves"
        )
    far = sum(p.seconds(p.far) for p in parts)
    result = Identification(len(logs), far)
    result.unknown.append(
        (
            "mass",
            "flight shows thrust over mass alone; weigh it: all thrusts here go with the file's",
        )
    )
    lag, latency = _follow(result, parts, vehicle)
    lowest = FAR * vehicle.rotors.radius - vehicle.rest_height
    why = _too_few([p for p in parts if p.far], "far")
    if why:
        for quantity in ("thrust", "centre of mass"):
            result.unknown.append((quantity, f"{why} from {lowest:.2f} m up, clear of the ground"))
    else:
        _thrust(result, [p for p in parts if p.far], vehicle, lag, latency)
        _centre(result, [p for p in parts if p.far], vehicle, lag, latency)
    _accelerometer(result, parts)
    return result


def _too_few(parts: Sequence[Stretch], kind: Kind) -> str:
    """Say why there is too little flight for an interval; nothing if there is enough."""
    flights = [p.flight for p in parts for _ in getattr(p, kind)]
    groups = len(grouped(flights)) if flights else 0
    if groups >= FEWEST:
        return ""
    seconds = sum(p.seconds(getattr(p, kind)) for p in parts)
    return f"the flights have {groups} runs ({seconds:.1f} s), expected at least {FEWEST},"


def commands(part: Stretch, vehicle: Vehicle) -> Array | None:
    """Return commanded thrusts (n, 4), or of all rotors (n, 1) [N]; None where none is known.

    The file's law goes before what a log says in newtons, which an older law may have made.
    """
    columns, law = part.columns, vehicle.thrust_law
    if law is not None and "rotor_command" in columns and "battery" in columns:
        share = columns["rotor_command"]
        thrust = np.maximum(law.thrust(share, columns["battery"]), 0.0)
        return np.where(share > 0, thrust, 0.0)
    if "rotor_thrust_command" in columns:
        return columns["rotor_thrust_command"]
    if "thrust_command" in columns:
        return columns["thrust_command"][:, None]
    return None


def _commanded(parts: Sequence[Stretch], vehicle: Vehicle) -> Iterator[tuple[Stretch, Array]]:
    """Yield the stretches with a command in newtons, and that command."""
    for p in parts:
        command = commands(p, vehicle)
        if command is not None:
            yield p, command


def _follow(
    result: Identification, parts: Sequence[Stretch], vehicle: Vehicle
) -> tuple[float, float]:
    """Add lag and delay; return what to go on with: those, or the file's [s]."""
    known = vehicle.rotors.lag, vehicle.timing.latency
    name = "motor lag and delay"
    measured = [
        p for p in parts if "rotor_speed" in p.columns and "rotor_thrust_command" in p.columns
    ]
    if measured:
        usable, way = measured, "measured rotor speed"
        kind: Kind = "runs"
    else:
        usable, kind = [p for p, _ in _commanded(parts, vehicle) if p.clear], "clear"
        way = "acceleration"
        if not any(True for _ in _commanded(parts, vehicle)):
            result.unknown.append(
                (name, "the logs hold no command in newtons, and no law makes one")
            )
            return known
    slow = [p for p in usable if p.step > SLOWEST]
    if slow:
        step = max(p.step for p in slow)
        result.unknown.append((name, f"rows are {step * 1e3:.0f} ms apart; log at 50 Hz or faster"))
        return known
    why = _too_few(usable, kind)
    if why:
        result.unknown.append((name, f"{why} with command and {way}"))
        return known
    if measured:
        response = rotor_response(usable, vehicle)
        result.estimates.append(
            Estimate(
                "rotor speed over command",
                "N/N",
                *response.gain,
                note="thrust by the file's k_f and measured speed, of a newton commanded",
            )
        )
    else:
        with_command = [c for _, c in _commanded(usable, vehicle)]
        response = force_response(usable, with_command, vehicle)
        result.estimates.append(
            Estimate(
                "slope of thrust over command",
                "N/N",
                *response.gain,
                note="of a newton more commanded, so much comes",
            )
        )
    return _lag_and_delay(result, response, way, vehicle)


def _lag_and_delay(
    result: Identification, response: Response, way: str, vehicle: Vehicle
) -> tuple[float, float]:
    """Add lag and delay where they are settled, else the lag for the file's latency."""
    lag, delay = vehicle.rotors.lag, vehicle.timing.latency
    result.estimates.append(
        Estimate("lag and delay together", "s", *response.together, lag + delay, note=f"from {way}")
    )
    alone = response.lag[1] <= LAG_KNOWN * response.lag[0] and response.delay[1] <= DELAY_KNOWN
    if alone:
        found = Estimate("motor lag", "s", *response.lag, lag, "rotors.lag_s", note=f"from {way}")
    else:
        result.unknown.append(
            (
                "delay",
                f"these flights do not tell it from the lag ({response.delay[0] * 1e3:.0f} "
                f"+- {response.delay[1] * 1e3:.0f} ms); faster changes of thrust would, or measured "
                "rotor speed",
            )
        )
        found = Estimate(
            "motor lag",
            "s",
            response.together[0] - delay,
            response.together[1],
            lag,
            "rotors.lag_s",
            note=f"from {way}, if the file's latency of {delay * 1e3:g} ms is right",
        )
    if not 0 < found.half_width < LAG_KNOWN * found.value:
        low, high = (1e3 * end for end in found.interval)
        why = f"{low:.0f}..{high:.0f} ms is all that these flights say; change thrust faster"
        result.unknown.append(("motor lag", why))
        return lag, delay
    result.estimates.append(found)
    result.numbers["rotors.lag_s"] = Number(found.value, result.source(found, found.note))
    result.numbers["rotors.lag_tolerance_s"] = Number(
        found.half_width, "half the 95 % interval of the identified rotors.lag_s"
    )
    if alone:
        delay = _delay(result, response, way, vehicle)
    return found.value, delay


def _delay(result: Identification, response: Response, way: str, vehicle: Vehicle) -> float:
    """Add the delay; the file's latency is a whole number of control periods."""
    period, before = vehicle.timing.period, vehicle.timing.latency
    key = "timing.latency_s"
    found = Estimate("delay", "s", *response.delay, before, key, note=f"from command to {way}")
    if found.interval[1] < 0 or found.value > MAX_LATENCY_STEPS * period:
        result.estimates.append(replace(found, key=None))
        why = "no latency can be such; the channels' time stamps disagree"
        result.unknown.append(("latency", f"the delay is {found.value * 1e3:.1f} ms: {why}"))
        return before
    result.estimates.append(found)
    latency = max(round(found.value / period), 0) * period
    more = f"from command to {way}, rounded to control periods"
    result.numbers[key] = Number(latency, result.source(found, more))
    return found.value


def _thrust(
    result: Identification,
    parts: Sequence[Stretch],
    vehicle: Vehicle,
    lag: float,
    latency: float,
) -> None:
    """Add the level of every law that turns something logged into newtons."""
    k_f = vehicle.rotors.k_f
    seen = [p for p in parts if "rotor_speed" in p.columns]
    key = "rotors.thrust_coefficient_n_s2"
    if not seen:
        result.unknown.append(("k_f", "rotor speed was not measured"))
    elif not _too_few(seen, "far"):
        speeds = [k_f * np.sum(p.columns["rotor_speed"] ** 2, axis=1) for p in seen]
        estimate = _level("thrust by rotor speed", seen, speeds, vehicle, key)
        if _settled(result, estimate):
            result.numbers[key] = Number(k_f * estimate.value, _scaled(result, estimate, vehicle))
    told = [(p, c) for p, c in _commanded(parts, vehicle) if p.step <= 2 * SLOWEST]
    by_law = vehicle.thrust_law is not None and any("rotor_command" in p.columns for p in parts)
    if told and not _too_few([p for p, _ in told], "far"):
        late = [_late(p, c, lag, latency).sum(axis=1) for p, c in told]
        key = "thrust_law.coefficients_n"
        some = [p for p, _ in told]
        estimate = _level("thrust by command", some, late, vehicle, key if by_law else None)
        if _settled(result, estimate) and by_law:
            assert vehicle.thrust_law is not None
            coefficients = vehicle.thrust_law.coefficients * estimate.value
            result.numbers[key] = Number(coefficients, _scaled(result, estimate, vehicle))
    if vehicle.thrust_law is None:
        _new_law(result, parts, vehicle, lag, latency)


def _late(part: Stretch, command: Array, lag: float, latency: float) -> Array:
    return followed(command, part.step, lag, latency)


def _level(
    quantity: str,
    parts: Sequence[Stretch],
    thrusts: Sequence[Array],
    vehicle: Vehicle,
    key: str | None,
) -> Estimate:
    level = thrust_level(parts, thrusts, vehicle)
    return Estimate(
        quantity,
        "of the file's" if key else "N/N",
        level.scale,
        level.half_width,
        1.0,
        key,
        level.by_flight,
        f"{level.ground:.2%} of the half-width is what the ground may still do at these heights; "
        "higher flights lessen it",
    )


def _settled(result: Identification, estimate: Estimate) -> bool:
    """Add a thrust level if it says anything."""
    if estimate.value > 0 and estimate.half_width <= LEVEL_KNOWN * estimate.value:
        result.estimates.append(estimate)
        return True
    low, high = estimate.interval
    result.unknown.append(
        (estimate.quantity, f"{low:.2f}..{high:.2f} of the file's is all that these flights say")
    )
    return False


def _scaled(result: Identification, estimate: Estimate, vehicle: Vehicle) -> str:
    key = estimate.key
    assert key is not None
    more = f"for the mass of {vehicle.mass:g} kg; that was: {vehicle.sources[key]}"
    return result.source(estimate, more)


def _new_law(
    result: Identification,
    parts: Sequence[Stretch],
    vehicle: Vehicle,
    lag: float,
    latency: float,
) -> None:
    """Add a law for the rotors' commands, where the file has none."""
    name = "thrust law"
    shares = [p for p in parts if "rotor_command" in p.columns]
    both = [p for p in shares if "battery" in p.columns]
    if not shares:
        result.unknown.append((name, "the logs hold no command as a share of full"))
    elif not both:
        result.unknown.append((name, "the battery was not logged, which a [thrust_law] asks for"))
    elif why := _too_few(both, "far"):
        result.unknown.append((name, f"{why} with command and battery"))
    else:
        law = fitted_law(both, lag, latency, vehicle)
        if law is None or law.thrust[1] > LEVEL_KNOWN * law.thrust[0]:
            result.unknown.append((name, "no law in which thrust grows with the command fits"))
        else:
            _add_law(result, law, vehicle)


def _add_law(result: Identification, law: Law, vehicle: Vehicle) -> None:
    share, volts = law.hover
    estimate = Estimate(
        "thrust of a rotor in hover",
        "N",
        *law.thrust,
        vehicle.weight / len(vehicle.rotors.spins),
        "thrust_law.coefficients_n",
        note=f"at {share:.3f} of full command and {volts:.2f} V; far from there the law is a guess",
    )
    result.estimates.append(estimate)
    more = f"{estimate.note}; for the mass of {vehicle.mass:g} kg"
    result.numbers["thrust_law.coefficients_n"] = Number(
        law.coefficients, result.source(estimate, more)
    )
    result.numbers["thrust_law.full_voltage_v"] = Number(
        law.full_voltage, "the highest voltage in the flights of the law"
    )


def _centre(
    result: Identification,
    parts: Sequence[Stretch],
    vehicle: Vehicle,
    lag: float,
    latency: float,
) -> None:
    """Add the centre of mass; rotors and feet move in the file where rotor speed was measured."""
    name = "centre of mass"
    result.unknown.append(
        (f"height of the {name}", "it does not show without strong sideways forces")
    )
    seen = [p for p in parts if "rotor_speed" in p.columns]
    if seen:
        thrusts = [vehicle.rotors.k_f * p.columns["rotor_speed"] ** 2 for p in seen]
    else:
        pairs = [(p, c) for p, c in _commanded(parts, vehicle) if c.shape[1] > 1]
        seen = [p for p, _ in pairs]
        thrusts = [_late(p, c, lag, latency) for p, c in pairs]
    measured = bool(seen) and "rotor_speed" in seen[0].columns
    why = _too_few(seen, "far")
    if why:
        result.unknown.append((name, f"{why} with speed or command of each rotor"))
        return
    arms = np.abs(vehicle.rotors.positions[:, :2]).mean(axis=0)
    note = "a weaker rotor looks the same" if measured else "by command: rotors taken to be equal"
    found = [
        Estimate(
            f"{name}, {axis}",
            "m",
            float(e.value[0]),
            float(e.half_width[0] + EQUAL / 2 * arm),
            0.0,
            note=note,
        )
        for axis, arm, e in zip("xy", arms, centre_of_mass(seen, thrusts, vehicle), strict=True)
    ]
    if max(e.half_width for e in found) > CENTRE_KNOWN * arms.max():
        half = 1e3 * max(e.half_width for e in found)
        result.unknown.append((name, f"known to +- {half:.1f} mm only"))
        return
    result.estimates += found
    shift = np.array([e.value if abs(e.value) > e.half_width else 0.0 for e in found] + [0.0])
    if not measured:
        result.unknown.append(
            (f"{name} for the file", "without rotor speed, unequal rotors cannot be told from it")
        )
    elif shift.any():
        moved = "; ".join(f"{e.quantity} {result.source(e)}" for e in found)
        for key, value in (
            ("rotors.positions_m", vehicle.rotors.positions),
            ("legs.feet_m", vehicle.legs.feet),
        ):
            more = f"moved to the centre of mass ({moved}); that was: {vehicle.sources[key]}"
            result.numbers[key] = Number(value - shift, more)


def _accelerometer(result: Identification, parts: Sequence[Stretch]) -> None:
    """Add the accelerometer's offset; no vehicle file has a place for it."""
    name = "accelerometer offset"
    felt = [p for p in parts if "specific_force" in p.columns]
    if not felt:
        result.unknown.append((name, "specific force was not logged"))
        return
    why = _too_few(felt, "runs")
    if why:
        result.unknown.append((name, f"{why} with specific force"))
        return
    found = accelerometer_offset(felt)
    for i, axis in enumerate("xyz"):
        value, half = float(found.value[i]), float(found.half_width[i])
        if half > OFFSET_KNOWN:
            result.unknown.append((f"{name}, {axis}", f"known to +- {half:.2f} m/s^2 only"))
            continue
        note = "" if axis == "z" else "a tilt of the attitude estimate looks the same"
        result.estimates.append(Estimate(f"{name}, {axis}", "m/s^2", value, half, note=note))


def check_output(out: Path) -> None:
    """Refuse to write over a file, or one that ``load_vehicle`` would not read.

    Raises:
        InputError: ``out`` exists or does not end in .toml.
    """
    if out.suffix != ".toml":
        raise InputError(f"{out}: a vehicle file ends in .toml; try {out.with_suffix('.toml')}")
    if out.exists():
        raise InputError(f"{out}: exists already; choose another name, or remove it first")


def write_identified(result: Identification, name_or_path: str | Path, out: Path) -> Vehicle:
    """Write the vehicle file with the identified numbers, and return the vehicle in it.

    Raises:
        InputError: nothing was identified, ``out`` exists, or no vehicle can be as identified.
    """
    check_output(out)
    if not result.numbers:
        why = "; ".join(f"{quantity}: {why}" for quantity, why in result.unknown)
        raise InputError(f"no number of the vehicle file was identified ({why})")
    remarks = [
        f"{e.quantity}: {e.value:.4g} {e.unit}, 95 % interval {e.interval[0]:.4g}..{e.interval[1]:.4g}"
        for e in result.estimates
        if e.key is None
    ]
    if remarks:
        remarks = ["Identified too, without a place in a vehicle file:", *remarks]
    text = changed(vehicle_text(name_or_path), result.numbers, remarks)
    write_whole(out, lambda temporary: _write_text(temporary, text))
    return load_vehicle(out)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
