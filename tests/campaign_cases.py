"""What the tests of campaigns share: a small spec, and how it is changed and flown."""

from pathlib import Path
from typing import Any

from neural_lander.sim.campaign.folder import RESULTS
from neural_lander.sim.campaign.rows import without_clock
from neural_lander.sim.campaign.run import Crew, fly_campaign
from neural_lander.sim.campaign.shards import Shards, pq
from neural_lander.sim.campaign.spec import Spec, read_spec

TEXT = """
vehicle = "intel-aero"
controllers = ["pd", "observer"]
scenarios = ["short.toml"]
seeds = "0:3"
"""
SHORT = """
name = "short"
description = "landing from 0.3 m"
start_height = 0.3
hover = 0.5
after = 1.5
"""


def write_spec(folder: Path, text: str = TEXT, **scenarios: str) -> Path:
    """Write a spec and the scenarios it names; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, scenario in {"short": SHORT, **scenarios}.items():
        (folder / f"{name}.toml").write_text(scenario, encoding="utf-8")
    path = folder / "spec.toml"
    path.write_text(text, encoding="utf-8")
    return path


def spec_in(folder: Path, text: str = TEXT, **scenarios: str) -> Spec:
    """Return a small spec."""
    return read_spec(write_spec(folder, text, **scenarios))


def fly_all(spec: Spec, out: Path, resume: bool = False) -> list[dict[str, Any]]:
    """Fly a spec in this process and return its rows without the clock, sorted."""
    fly_campaign(spec, out, Crew(1), resume)
    return rows_in(out)


def rows_in(out: Path) -> list[dict[str, Any]]:
    """Return a campaign's rows without the clock, sorted."""
    paths = sorted((out / RESULTS).glob("*.parquet"))
    shards = Shards(out / RESULTS, pq.read_schema(paths[0]))
    return sorted((without_clock(row) for row in shards.rows()), key=lambda row: row["landing"])
