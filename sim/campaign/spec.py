"""What a campaign flies: one TOML file, checked when it is read.

    name = "matrix"                          # of the report; default: the file's
    vehicle = "intel-aero"
    controllers = ["pd", "observer", "learned+observer"]
    scenarios = ["flat", "mine.toml"]        # bundled, or files
    aero = ["rotor", "network.safetensors"]  # default: ["rotor"]
    seeds = "0:32"                           # A:B, B left out, or a list
    baseline = "pd"                          # paired differences are to this; default: in each
                                             # world the strongest simple controller (pairs.py)
    reference = "s-curve"                    # this and the next four as in `neural-lander land`
    touchdown_speed = 0.15
    engine = "hybrid"
    uncertified = false
    model = "model"                          # or a table: an aerodynamics' name -> its model
    certificate = "certificate.json"         # likewise; default: the model's own

    sampling = "random"                      # or latin-hypercube, sobol
    sampling_seed = 0

    [[parameter]]                            # see distributions.py
    field = "vehicle.mass_share"
    distribution = "uniform"
    low = -0.1
    high = 0.1

    [search]                                 # of `campaign --search`, for each cell
    points = 200                             # tried at most
    seeds = 2                                # flown at each point, of the seeds above
    seed = 0

A *cell* is one scenario, aerodynamics and controller; each flies every seed. Paths, that of a
controller ``file.py:Name`` too, are relative to the spec's folder.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

from neural_lander.controller.errors import InputError
from neural_lander.sim.campaign.distributions import (
    RANDOM,
    SAMPLINGS,
    SOBOL,
    Array,
    Parameter,
    draw_shares,
    points,
    read_parameter,
)
from neural_lander.sim.gate import FlightOptions, descent_speed_of
from neural_lander.sim.rollout import ENGINES
from neural_lander.sim.scenario import load_scenario

MOST = 10**7
"""Seeds: two days on two cores, for one cell."""


@dataclass(frozen=True)
class Cell:
    """What is compared: one scenario, aerodynamics and controller."""

    number: int
    scenario: str
    """As rows and tables name it."""
    aero: str
    """As rows and tables name it."""
    controller: str
    """As rows and tables name it."""
    flown: str
    """The same as ``land --controller`` takes it, a file's path resolved."""
    options: FlightOptions
    """Everything about the flight but controller and seed, its paths resolved."""


@dataclass(frozen=True)
class Search:
    """How long the worst case is looked for, in each cell."""

    points: int = 200
    """Tried at most."""
    seeds: int = 2
    """Flown at each point; the worst of them counts."""
    seed: int = 0
    """Of the points tried."""


@dataclass(frozen=True)
class Spec:
    """One campaign."""

    name: str
    text: str
    """The file, as it was read."""
    tree: dict[str, Any]
    """The same as a tree; two specs are equal where their trees are."""
    cells: tuple[Cell, ...]
    seeds: Sequence[int]
    baseline: str | None
    """What differences are to; None: chosen in each world."""
    sampling: str
    sampling_seed: int
    parameters: tuple[Parameter, ...]
    search: Search

    @property
    def landings(self) -> int:
        """How many there are; number ``cell.number * len(seeds) + k`` is that of the k-th seed."""
        return len(self.cells) * len(self.seeds)

    @property
    def is_independent(self) -> bool:
        """Whether the landings of a cell are an independent random sample."""
        return self.sampling == RANDOM or not self.parameters

    @cached_property
    def points(self) -> Array:
        """Values of the parameters (seeds, parameters), the k-th for the k-th seed."""
        shares = draw_shares(self.sampling, len(self.parameters), self.seeds, self.sampling_seed)
        return points(self.parameters, shares)

    def values(self, k: int) -> dict[str, float]:
        """Return parameter -> value of the k-th seed."""
        return {p.name: float(x) for p, x in zip(self.parameters, self.points[k], strict=True)}


def read_spec(path: Path) -> Spec:
    """Read a campaign's file.

    Raises:
        InputError: it cannot be read, or a key is missing, unknown, of the wrong type or names
            something that does not exist; the message names file and key, and the cure.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree = tomllib.loads(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a TOML file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text in UTF-8 ({error.reason})") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: is not TOML ({error})") from error
    return spec_of(tree, path, text)


KEYS = (
    "name", "vehicle", "controllers", "scenarios", "aero", "seeds", "baseline", "reference",
    "touchdown_speed", "engine", "uncertified", "model", "certificate", "sampling",
    "sampling_seed", "parameter", "search",
)  # fmt: skip


def spec_of(tree: dict[str, Any], path: Path, text: str = "") -> Spec:
    """Return the campaign that a TOML tree stands for; ``path`` is its file.

    Raises:
        InputError: as ``read_spec``.
    """
    reader = _Reader(tree, str(path))
    for key in tree:
        if key not in KEYS:
            raise InputError(
                f"{path}: {key} is unknown; take one of {', '.join(sorted(KEYS))}, or remove it"
            )
    controllers = reader.names("controllers")
    baseline = reader.text("baseline") if "baseline" in tree else None
    if baseline is not None and baseline not in controllers:
        raise InputError(
            f"{path}: baseline is '{baseline}', expected one of controllers: "
            f"{', '.join(controllers)}; change it, or add it there"
        )
    folder = path.parent
    cells = _cells(reader, controllers, folder)
    seeds = _seeds(reader)
    parameters = _parameters(reader)
    sampling = reader.choice("sampling", RANDOM, SAMPLINGS)
    if sampling != RANDOM and not parameters:
        raise InputError(
            f"{path}: sampling is '{sampling}', but there is nothing to sample; add [[parameter]] "
            "tables, or remove it"
        )
    if sampling == SOBOL and len(seeds) & (len(seeds) - 1):
        raise InputError(
            f"{path}: sampling is '{SOBOL}', which is even for a power of two of points, but seeds "
            f"has {len(seeds)}; take {1 << len(seeds).bit_length()}, or latin-hypercube"
        )
    return Spec(
        name=reader.text("name", path.stem),
        text=text,
        tree=tree,
        cells=cells,
        seeds=seeds,
        baseline=baseline,
        sampling=sampling,
        sampling_seed=reader.whole("sampling_seed", 0, 0),
        parameters=parameters,
        search=_search(reader, len(seeds)),
    )


def _cells(reader: "_Reader", controllers: Sequence[str], folder: Path) -> tuple[Cell, ...]:
    where = reader.where
    vehicle = _resolved(reader.text("vehicle"), folder, ".toml")
    scenarios = [_resolved(s, folder, ".toml") for s in reader.names("scenarios")]
    aeros = [
        a if a in ("rotor", "none") else str((folder / a).resolve())
        for a in reader.names("aero", ["rotor"])
    ]
    titles = [load_scenario(s).name for s in scenarios]
    labels = [a if a in ("rotor", "none") else Path(a).stem for a in aeros]
    for key, names in (("scenarios", titles), ("aero", labels)):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(
                f"{where}: {key} has two called '{twice[0]}', and a table could not tell them apart; "
                "rename one"
            )
    model, certificate = (
        reader.path_by_aero(key, labels, folder) for key in ("model", "certificate")
    )
    reference, engine = (
        reader.text("reference", "s-curve"),
        reader.choice("engine", "hybrid", ENGINES),
    )
    uncertified, speed = reader.flag("uncertified"), reader.number("touchdown_speed", 0.15)
    cells: list[Cell] = []
    for scenario, title in zip(scenarios, titles, strict=True):
        for aero, label in zip(aeros, labels, strict=True):
            options = FlightOptions(
                vehicle, scenario, reference, aero, model(label), certificate(label), uncertified,
                engine, speed,
            )  # fmt: skip
            flown = [_flown(controller, folder) for controller in controllers]
            options = replace(options, descent_speed=descent_speed_of(options, flown))
            for controller, name in zip(controllers, flown, strict=True):
                cells.append(Cell(len(cells), title, label, controller, name, options))
    return tuple(cells)


def _resolved(name: str, folder: Path, ending: str) -> str:
    return str((folder / name).resolve()) if name.endswith(ending) else name


def _flown(controller: str, folder: Path) -> str:
    """Return a controller as ``land`` takes it: ``file.py:Name`` with the file's whole path."""
    where, _, name = controller.rpartition(":")
    return f"{(folder / where).resolve()}:{name}" if where.endswith(".py") else controller


def _seeds(reader: "_Reader") -> Sequence[int]:
    value = reader.tree.get("seeds")
    wanted = 'expected "A:B" with 0 <= A < B (B left out), or a list of different seeds'
    if isinstance(value, str):
        first, _, end = value.partition(":")
        try:
            seeds: Sequence[int] = range(int(first), int(end))
        except ValueError:
            seeds = ()
    elif isinstance(value, list) and all(type(s) is int for s in value):
        seeds = tuple(value) if len(set(value)) == len(value) else ()
    else:
        seeds = ()
    if not seeds:
        raise InputError(f"{reader.where}: seeds is {value!r}, {wanted}; change it")
    low, high = (seeds[0], seeds[-1]) if isinstance(seeds, range) else (min(seeds), max(seeds))
    if low < 0 or high >= 2**63:
        raise InputError(f"{reader.where}: seeds is {value!r}, {wanted}; change it")
    if isinstance(seeds, range) and high - low >= MOST:
        raise InputError(
            f"{reader.where}: seeds is {value!r}, which are {high - low + 1}, expected at most {MOST} in "
            "one campaign; fly several"
        )
    return seeds


def _parameters(reader: "_Reader") -> tuple[Parameter, ...]:
    tables = reader.tree.get("parameter", [])
    if not isinstance(tables, list):
        raise InputError(
            f"{reader.where}: parameter is {tables!r}, expected tables; write [[parameter]]"
        )
    found = [
        read_parameter(table, f"{reader.where}: parameter {i + 1}")
        for i, table in enumerate(tables)
    ]
    names = [p.name for p in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{reader.where}: {name} has two [[parameter]] tables; remove one")
    return tuple(found)


def _search(reader: "_Reader", seeds: int) -> Search:
    table = reader.tree.get("search", {})
    if not isinstance(table, Mapping):
        raise InputError(f"{reader.where}: search is {table!r}, expected a table; write [search]")
    known, inner = Search(), _Reader(dict(table), f"{reader.where}: [search]")
    for key in table:
        if key not in ("points", "seeds", "seed"):
            raise InputError(f"{inner.where}: {key} is unknown; take one of points, seed, seeds")
    return Search(
        inner.whole("points", known.points, 4, 10**6),
        inner.whole("seeds", min(known.seeds, seeds), 1, seeds),
        inner.whole("seed", known.seed, 0),
    )


def _is_name(value: Any) -> TypeGuard[str]:
    """Whether a value is text that can name something, a file too."""
    return isinstance(value, str) and value != "" and "\0" not in value


@dataclass(frozen=True)
class _Reader:
    """Reads the keys of one table; what is wrong is said with file, key and cure."""

    tree: dict[str, Any]
    where: str

    def text(self, key: str, default: str | None = None) -> str:
        value = self.tree.get(key, default)
        if value is None:
            raise InputError(f'{self.where}: {key} is missing; add {key} = "..."')
        if not _is_name(value):
            raise InputError(f"{self.where}: {key} is {value!r}, expected text; change it")
        return value

    def choice(self, key: str, default: str, choices: Sequence[str]) -> str:
        value = self.text(key, default)
        if value not in choices:
            raise InputError(
                f"{self.where}: {key} is '{value}', expected one of {', '.join(choices)}; change it"
            )
        return value

    def names(self, key: str, default: list[str] | None = None) -> list[str]:
        value = self.tree.get(key, default)
        good = isinstance(value, list) and all(map(_is_name, value))
        if not good or not value or len(set(value)) < len(value):
            raise InputError(
                f"{self.where}: {key} is {value!r}, expected a list of different names; "
                f'write {key} = ["..."]'
            )
        return list(value)

    def flag(self, key: str) -> bool:
        value = self.tree.get(key, False)
        if not isinstance(value, bool):
            raise InputError(f"{self.where}: {key} is {value!r}, expected true or false")
        return value

    def number(self, key: str, default: float) -> float:
        value = self.tree.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e3:
            raise InputError(f"{self.where}: {key} is {value!r}, expected a number from 0 to 1000")
        return float(value)

    def whole(self, key: str, default: int, low: int, high: int = 2**31) -> int:
        value = self.tree.get(key, default)
        if type(value) is not int or not low <= value <= high:
            raise InputError(
                f"{self.where}: {key} is {value!r}, expected a whole number from {low} to {high}; "
                "change it"
            )
        return value

    def path_by_aero(
        self, key: str, labels: Sequence[str], folder: Path
    ) -> Callable[[str], Path | None]:
        """Return label of the aerodynamics -> path, or None where none is given."""
        value = self.tree.get(key)
        table = dict.fromkeys(labels, value) if value is None or isinstance(value, str) else value
        if not isinstance(table, Mapping) or not all(
            p is None or _is_name(p) for p in table.values()
        ):
            raise InputError(
                f"{self.where}: {key} is {value!r}, expected a path, or a table of one for each "
                f"aerodynamics: {', '.join(labels)}; change it"
            )
        for label in table:
            if label not in labels:
                raise InputError(
                    f"{self.where}: {key}.{label} is of no aerodynamics in aero; "
                    f"take {', '.join(labels)}, or remove it"
                )
        paths = {label: None if p is None else (folder / p).resolve() for label, p in table.items()}
        return paths.get
