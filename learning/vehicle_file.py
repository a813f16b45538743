"""A vehicle file with some numbers replaced, and everything else left as somebody wrote it.

Comments, order and layout stay; a number that the file does not have is added, with its table if
need be. What was written is read back and compared before anybody sees it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import load_vehicle, parse_vehicle

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Number:
    """A number of a vehicle file."""

    value: float | Array
    source: str

    def text(self) -> str:
        """Return it as TOML."""
        rounded = np.vectorize(lambda x: float(f"{x:.6g}"))(self.value).tolist()
        return f"{{ value = {rounded}, source = {json.dumps(self.source, ensure_ascii=False)} }}"


def vehicle_text(name_or_path: str | Path) -> str:
    """Return the text of a vehicle file that ``load_vehicle`` accepts."""
    load_vehicle(name_or_path)
    if Path(name_or_path).suffix == ".toml":
        return Path(name_or_path).read_text(encoding="utf-8")
    folder = resources.files("neural_lander.controller") / "vehicles"
    return (folder / f"{name_or_path}.toml").read_text(encoding="utf-8")


def changed(text: str, numbers: Mapping[str, Number], remarks: Sequence[str] = ()) -> str:
    """Return a vehicle file's text with ``numbers``, "group.key" each, and remarks on top.

    Raises:
        InputError: the vehicle would be none, or a number is written in a way that we cannot
            replace, over several lines for example.
    """
    lines = text.splitlines()
    for path, number in numbers.items():
        group, key = path.split(".")
        lines = _replaced(lines, group, key, number)
    result = "\n".join([*(f"# {remark}" for remark in remarks), *lines]) + "\n"
    vehicle = parse_vehicle(result, "the identified vehicle")
    known = {path: (value, source) for path, value, _, source in vehicle.numbers()}
    for path, number in numbers.items():
        value, source = known[path]
        if source != number.source or not np.allclose(value, number.value, rtol=1e-5, atol=0):
            raise InputError(
                f"the vehicle file's {path} cannot be replaced; write it in one line, "
                f'{path.split(".")[1]} = {{ value = ..., source = "..." }}'
            )
    return result


def _replaced(lines: list[str], group: str, key: str, number: Number) -> list[str]:
    """Return the lines with one number replaced, or added at the end of its table."""
    heads = [i for i, line in enumerate(lines) if re.match(r"\s*\[", line)] + [len(lines)]
    mine = [i for i in heads[:-1] if re.match(rf"\s*\[\s*{group}\s*\]", lines[i])]
    entry = f"{key} = {number.text()}"
    if not mine:
        return [*lines, "", f"[{group}]", entry]
    start = mine[0]
    end = next(i for i in heads if i > start)
    for i in range(start + 1, end):
        if re.match(rf"\s*{key}\s*=", lines[i]):
            comment = re.search(r'\}\s*(#[^"]*)$', lines[i])
            return [*lines[:i], entry + (f"  {comment[1]}" if comment else ""), *lines[i + 1 :]]
    last = max(i for i in range(start, end) if lines[i].strip())
    return [*lines[: last + 1], entry, *lines[last + 1 :]]
