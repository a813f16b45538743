"""A scenario back into the TOML file that ``load_scenario`` reads, to repeat one landing."""

import json
from dataclasses import fields
from typing import Any

from neural_lander.sim.scenario import TABLES, Scenario


def scenario_text(scenario: Scenario) -> str:
    """Return a scenario as TOML; reading it gives the same scenario."""
    lines, tables = [], []
    for f in fields(Scenario):
        value = getattr(scenario, f.name)
        if value is None:
            continue
        if f.name in TABLES:
            entries = [
                f"{g.name} = {_written(getattr(value, g.name))}"
                for g in fields(value)
                if getattr(value, g.name) != g.default
            ]
            if entries:
                tables += ["", f"[{f.name}]", *entries]
        elif f.name == "terrain":
            for surface in value.surfaces:
                tables += ["", "[[surface]]"]
                tables += [
                    f"{g.name} = {_written(getattr(surface, g.name))}" for g in fields(surface)
                ]
        elif value != f.default:
            lines.append(f"{f.name} = {_written(value)}")
    return "\n".join([*lines, *tables, ""])


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # JSON's strings are TOML's, but for one character that TOML wants escaped
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return "[" + ", ".join(_written(x) for x in value) + "]"
    return repr(value)
