"""``vehicle new`` and ``vehicle show``: a vehicle file with every number explained."""

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import write_whole
from neural_lander.controller.vehicle import GROUPS, Vehicle, bundled_vehicles, load_vehicle
from neural_lander.scripts.cli_output import Report

UNITS = {
    "kg_m2": "kg m^2",
    "n_s2": "N s^2",
    "rad_s": "rad/s",
    "1_s3": "1/s^3",
    "1_s": "1/s",
    "m_s": "m/s",
    "s_m": "s/m",
    "share": "share, 1 = all",
    "rad": "rad",
    "kg": "kg",
    "m": "m",
    "s": "s",
    "n": "N",
    "v": "V",
}
"""End of a key -> unit; longer ends come first."""

HEADER = """\
# A multirotor for neural-lander. The numbers below are those of {example}: replace every one of
# them by yours, and its source by where yours comes from.
#
# A source is text that lets somebody else find the number again: how it was measured ("kitchen
# scale, battery in"), a data sheet, a paper, or "assumed: ..." with the reason. None may be empty.
#
# Units are SI and stand at the end of each key. Body frame: x forward, y left, z up, origin at the
# centre of mass. World frame: x east, y north, z up. Rotors count as in PX4's quad X: front right,
# rear left, front left, rear right; the lists of positions and spins say what is where.
#
# Check it with `neural-lander vehicle show {file}`. The certificate of a model is bound to every
# number here: change one, and certify again.
"""

OPTIONAL = {
    "baselines": "Optional: gains of the controllers that are named indi and l1, which refuse to fly "
    "without.\n# Remove the single # in front of the lines to use it.",
    "thrust_law": "Optional: only for vehicles whose logs hold PWM and battery voltage instead of "
    "rotor speed.\n# Remove the single # in front of the lines to use it.",
}
"""Groups that a vehicle may do without -> what to say of them."""


def unit_of(key: str) -> str:
    """Return the unit that a key ends in."""
    return next((unit for end, unit in UNITS.items() if key.endswith(f"_{end}")), "no unit")


def template(example: Vehicle, file: Path) -> str:
    """Return the text of a commented vehicle file with the numbers of ``example``."""
    lines = [HEADER.format(example=example.name, file=file), f"name = {json.dumps(file.stem)}"]
    for group, cls in GROUPS.items():
        part = getattr(example, group)
        off = "" if part is not None else "# "
        part = part if part is not None else _anyone_with(group)
        lines += ["", f"# {(cls.__doc__ or '').splitlines()[0]}"]
        if group in OPTIONAL:
            lines.append(f"# {OPTIONAL[group]}")
        lines.append(f"{off}[{group}]")
        for f in fields(cls):
            rule = f.metadata
            value = getattr(part, f.name)
            value = value if isinstance(value, float) else value.tolist()
            lines.append(f"## {_explained(rule)}" if off else f"# {_explained(rule)}")
            lines.append(
                f'{off}{rule["key"]} = {{ value = {value}, source = "example: of {example.name}" }}'
            )
    return "\n".join(lines) + "\n"


def _explained(rule: Any) -> str:
    """Return meaning, unit, shape and range of a number in one line."""
    text = f"{rule['help']} [{unit_of(rule['key'])}]"
    if rule["shape"]:
        text += f", {' x '.join(map(str, rule['shape']))} numbers"
    sign = "<" if rule["strict"] else "<="
    low = f"{rule['low']:g} {sign} " if math.isfinite(rule["low"]) else ""
    high = f" {sign} {rule['high']:g}" if math.isfinite(rule["high"]) else ""
    return f"{text}, {low}value{high}" if low or high else text


def _anyone_with(group: str) -> Any:
    """Return the group of the first bundled vehicle that has it."""
    parts = (getattr(load_vehicle(name), group) for name in bundled_vehicles())
    return next(part for part in parts if part is not None)


def new(file: Path, example: str, out: Report) -> None:
    """Write a template to ``file``, which must not exist yet."""
    if file.suffix != ".toml":
        raise InputError(f"{file}: a vehicle file ends in .toml; try {file.with_suffix('.toml')}")
    if file.exists():
        raise InputError(f"{file}: exists already; choose another name, or remove it first")
    text = template(load_vehicle(example), file)
    write_whole(file, lambda temporary: _write_text(temporary, text))
    out.wrote(file)
    out.line(f"its numbers are those of {example}; replace them, each with its source")
    out.result = {"path": str(file), "name": file.stem, "example": example}


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def show(name_or_path: str, out: Report) -> None:
    """Print every number of a vehicle with meaning and source."""
    vehicle = load_vehicle(name_or_path)
    rows = [
        (path, str(value if isinstance(value, float) else value.tolist()), meaning, source)
        for path, value, meaning, source in vehicle.numbers()
    ]
    out.table(vehicle.name, ("number", "value", "meaning", "source"), rows)
    out.line(
        f"weight {vehicle.weight:.4g} N, greatest thrust {vehicle.thrust_limits[1]:.4g} N, induced "
        f"velocity in hover {vehicle.induced_velocity:.3g} m/s, the origin of the standing vehicle "
        f"{vehicle.rest_height:g} m above the surface"
    )
    out.result = {**vehicle.as_dict(), "sources": vehicle.sources, "digest": vehicle.digest}
