"""What a campaign leaves to chance about the world: parameters, their distributions, their points.

A point is one value for each parameter; the k-th point flies with the k-th seed, in every cell of a
campaign, so that controllers meet the same worlds. With u in [0, 1] per parameter,

    value = F^-1(u),   F the distribution's function, cut off at low and high

``random`` draws u for each seed by itself: an independent sample, the only one that a probability
with a confidence bound is made of. ``latin-hypercube`` and ``sobol`` spread u evenly, for coverage.

Source: McKay, Beckman, Conover, Technometrics 21(2), 1979; Owen, J. Complexity 14(4), 1998 (both as
in ``scipy.stats.qmc``).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, qmc

from neural_lander.controller.errors import InputError
from neural_lander.sim.scenario import LIMITS, TABLES, Scenario

Array = npt.NDArray[np.float64]

RANDOM, LATIN_HYPERCUBE, SOBOL = "random", "latin-hypercube", "sobol"
SAMPLINGS = (RANDOM, LATIN_HYPERCUBE, SOBOL)
"""How points are drawn."""

NUMBERS: dict[str, tuple[str, ...]] = {
    "uniform": ("low", "high"),
    "log-uniform": ("low", "high"),
    "normal": ("mean", "deviation", "low", "high"),
}
"""Distribution -> the numbers that it takes, all of them needed."""


@dataclass(frozen=True)
class Parameter:
    """One number of a scenario that is drawn."""

    name: str
    """As the scenario file has it: ``start_height``, ``vehicle.mass_share``, ``wind.steady[0]``."""
    distribution: str
    """A name of ``NUMBERS``."""
    low: float
    """Least value, in the unit of the field."""
    high: float
    """Greatest value."""
    mean: float = 0.0
    """Of ``normal``, before it is cut off."""
    deviation: float = 1.0
    """Standard deviation of ``normal``, before it is cut off."""

    def values(self, u: Array) -> Array:
        """Return the values (n,) at shares u (n,) in [0, 1] of the distribution."""
        if self.distribution == "uniform":
            found = self.low + u * (self.high - self.low)
        elif self.distribution == "log-uniform":
            found = np.exp(np.log(self.low) + u * np.log(self.high / self.low))
        else:
            below, above = (
                norm.cdf((end - self.mean) / self.deviation) for end in (self.low, self.high)
            )
            found = self.mean + self.deviation * norm.ppf(below + u * (above - below))
        return np.asarray(np.clip(found, self.low, self.high), np.float64)


def read_parameter(tree: Any, where: str) -> Parameter:
    """Return the parameter that a TOML table [[parameter]] stands for.

    Raises:
        InputError: naming the key, what was expected, and the cure.
    """
    if not isinstance(tree, Mapping):
        raise InputError(f"{where} is {tree!r}, expected a table [[parameter]]")
    for key in ("field", "distribution"):
        if not isinstance(tree.get(key), str):
            raise InputError(f"{where}.{key} is {tree.get(key)!r}, expected text; add {key} = ...")
    name, kind = tree["field"], tree["distribution"]
    bottom, top = _range_of(name, f"{where}.field")
    if kind not in NUMBERS:
        raise InputError(
            f"{where}.distribution is '{kind}', expected one of {', '.join(NUMBERS)}; change it"
        )
    wanted = NUMBERS[kind]
    for key in tree:
        if key not in ("field", "distribution", *wanted):
            raise InputError(
                f"{where}.{key} is unknown; {kind} takes {', '.join(wanted)}, remove it"
            )
    numbers = {key: _number(tree.get(key), f"{where}.{key}", kind) for key in wanted}
    low, high = numbers["low"], numbers["high"]
    if not bottom <= low < high <= top:
        raise InputError(
            f"{where} of {name} goes from low = {low:g} to high = {high:g}, expected low < high, both "
            f"from {bottom:g} to {top:g}; change them"
        )
    if kind == "log-uniform" and low <= 0:
        raise InputError(
            f"{where}.low is {low:g}, expected more than 0 for log-uniform; raise it, or take uniform"
        )
    if kind == "normal" and not numbers["deviation"] > 0:
        raise InputError(f"{where}.deviation is {numbers['deviation']:g}, expected more than 0")
    if kind == "normal" and not low <= numbers["mean"] <= high:
        raise InputError(
            f"{where}.mean is {numbers['mean']:g}, expected from low = {low:g} to high = {high:g}; "
            "a normal distribution cut off beside its mean is mostly its cut: move one of them"
        )
    return Parameter(name, kind, **numbers)


def draw_shares(sampling: str, dimensions: int, seeds: Sequence[int], seed: int) -> Array:
    """Return shares u (seeds, dimensions) in [0, 1), a point for each seed.

    Args:
        sampling: a name of ``SAMPLINGS``.
        dimensions: how many parameters.
        seeds: of the landings; ``random`` draws each point from its landing's seed alone, so that
            more seeds leave the points of the others as they are.
        seed: of the points.
    """
    if dimensions == 0:
        return np.zeros((len(seeds), 0))
    if sampling == RANDOM:
        return np.array([_stream(seed, s).random(dimensions) for s in seeds])
    if sampling == LATIN_HYPERCUBE:
        return np.asarray(qmc.LatinHypercube(dimensions, rng=seed).random(len(seeds)))
    return np.asarray(qmc.Sobol(dimensions, rng=seed).random(len(seeds)))


def _stream(seed: int, landing: int) -> np.random.Generator:
    """Return what draws one landing's point: never the stream that its flight draws its start from."""
    key = (*b"points", landing)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def points(parameters: Sequence[Parameter], shares: Array) -> Array:
    """Return the values (n, parameters) at shares (n, parameters)."""
    columns = [p.values(shares[:, i]) for i, p in enumerate(parameters)]
    return np.stack(columns, axis=1) if columns else shares


def require_drawable(scenario: Scenario, parameter: Parameter) -> None:
    """Refuse a parameter of a table that a scenario does not have, like a deck.

    Raises:
        InputError: naming both.
    """
    table, *_ = _parts(parameter.name)
    if table and getattr(scenario, table) is None:
        raise InputError(
            f"scenario '{scenario.name}' has no table [{table}], so {parameter.name} cannot be drawn in "
            f"it; add [{table}] to it, or remove the [[parameter]]"
        )


def changed(scenario: Scenario, values: Mapping[str, float]) -> Scenario:
    """Return the scenario with other values of some parameters.

    Raises:
        InputError: the values do not go together.
    """
    for name, value in values.items():
        table, key, index = _parts(name)
        if not table:
            change: dict[str, Any] = {key: value}
            scenario = replace(scenario, **change)
            continue
        entry = getattr(scenario, table)
        if index is not None:
            now = list(getattr(entry, key))
            now[index] = value
            value = tuple(now)  # type: ignore[assignment]
        scenario = replace(scenario, **{table: replace(entry, **{key: value})})
    scenario.require_whole(f"scenario '{scenario.name}' with {dict(values)}")
    return scenario


def _parts(name: str) -> tuple[str, str, int | None]:
    """Return table, key and index of a parameter's name."""
    found = re.fullmatch(r"(?:(\w+)\.)?(\w+)(?:\[(\d+)\])?", name)
    if found is None:
        return "", "", None
    table, key, index = found.groups()
    return table or "", key, None if index is None else int(index)


def _range_of(name: str, where: str) -> tuple[float, float]:
    """Return what a parameter may be.

    Raises:
        InputError: there is no such number in a scenario.
    """
    known = sorted(LIMITS) + [
        f"{table}.{f.name}" + ("[0]" if f.metadata["size"] else "")
        for table, cls in TABLES.items()
        for f in _numbers_of(cls)
    ]
    table, key, index = _parts(name)
    if not table and key in LIMITS and index is None:
        return LIMITS[key]
    for f in _numbers_of(TABLES[table]) if table in TABLES else ():
        if f.name == key:
            size = f.metadata["size"]
            if (index is None) == (size == 0) and (index or 0) < max(size, 1):
                return f.metadata["range"]  # type: ignore[no-any-return]
            wanted = f"{table}.{key}" + (f"[0] to {table}.{key}[{size - 1}]" if size else "")
            raise InputError(f"{where} is '{name}', expected {wanted}; change it")
    raise InputError(f"{where} is '{name}', which is unknown; take one of {', '.join(known)}")


def _numbers_of(cls: type[Any]) -> list[Field[Any]]:
    return [f for f in fields(cls) if "range" in f.metadata]


def _number(value: Any, where: str, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise InputError(f"{where} is {value!r}, expected a number, which {kind} needs; set it")
    return float(value)
