"""One reader for the tables of a scenario file: a frozen dataclass says what each field may be.

A field is declared with its default, its range and its unit; ``read_table`` turns a TOML table into
the dataclass and refuses whatever the declaration does not allow, and ``check`` holds values that
were made in Python to the same ranges.
"""

from collections.abc import Mapping
from dataclasses import Field, field, fields
from typing import Any, ClassVar, Protocol, TypeVar

from neural_lander.controller.errors import InputError


class Table(Protocol):
    """A dataclass, as mypy sees one."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


T = TypeVar("T", bound=Table)


def within(default: Any, low: float, high: float, unit: str, size: int = 0) -> Any:
    """Declare a number, or ``size`` of them, from ``low`` to ``high``; default None: not given."""
    return field(default=default, metadata={"range": (low, high), "unit": unit, "size": size})


def one_of(default: str, *choices: str) -> Any:
    """Declare a word out of a few."""
    return field(default=default, metadata={"choices": choices})


def yes_or_no(default: bool) -> Any:
    """Declare true or false."""
    return field(default=default, metadata={"choices": (True, False)})


def read_table(cls: type[T], tree: Any, table: str, where: str) -> T:
    """Return the dataclass that a TOML table stands for; ``where`` names the file.

    Raises:
        InputError: not a table, an unknown field, a wrong type or a value out of range; the message
            names file, table and field, what was expected, and the cure.
    """
    if not isinstance(tree, Mapping):
        raise InputError(f"{where}: {table} is {tree!r}, expected a table [{table}]")
    known = {f.name: f for f in fields(cls)}
    values: dict[str, Any] = {}
    for key, value in tree.items():
        if key not in known:
            raise InputError(
                f"{where}: {table}.{key} is unknown; take one of {', '.join(sorted(known))}"
            )
        values[key] = _checked(known[key], value, f"{where}: {table}.{key}")
    return cls(**values)


def check(settings: Table) -> None:
    """Hold every field of a dataclass to its declaration.

    Raises:
        InputError: naming the field.
    """
    for f in fields(settings):
        value = getattr(settings, f.name)
        if value is not None or f.default is not None:
            _checked(f, value, f.name)


def _checked(f: Field[Any], value: Any, path: str) -> Any:
    rule = f.metadata
    if "choices" in rule:
        if not any(value is c or (isinstance(c, str) and value == c) for c in rule["choices"]):
            wanted = " or ".join(_written(c) for c in rule["choices"])
            raise InputError(f"{path} is {_written(value)}, expected {wanted}; {_cure(f)}")
        return value
    low, high = rule["range"]
    size = rule["size"]
    bounds = f"from {low:g} to {high:g} {rule['unit']}".rstrip()
    wanted = f"{size} numbers, each {bounds}" if size else f"a number {bounds}"
    parts = value if size and isinstance(value, list | tuple) else [value]
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in parts)
    if len(parts) != (size or 1) or not numbers or not all(low <= x <= high for x in parts):
        raise InputError(f"{path} is {_written(value)}, expected {wanted}; {_cure(f)}")
    return tuple(float(x) for x in parts) if size else float(value)


def _cure(f: Field[Any]) -> str:
    if f.default is None:
        return "change it, or leave it out to take the vehicle file's"
    shown = list(f.default) if isinstance(f.default, tuple) else f.default
    return f"change it, or leave it out for {_written(shown)}"


def _written(value: Any) -> str:
    """Return a value as TOML writes it, near enough."""
    return str(value).lower() if isinstance(value, bool) else repr(value)
