"""What ``campaign`` does with its spec, and what it says."""

from pathlib import Path
from typing import Any

from neural_lander.scripts.cli_output import Progress
from neural_lander.sim.campaign.folder import REPORT
from neural_lander.sim.campaign.report import write_report
from neural_lander.sim.campaign.run import Crew, fly_campaign
from neural_lander.sim.campaign.spec import Spec


def fly(spec: Spec, out: Path, crew: Crew, resume: bool, told: Progress) -> dict[str, Any]:
    """Fly what is missing and write the report; return what the verb tells."""
    flown = fly_campaign(spec, out, crew, resume, told)
    result = {
        "landings": spec.landings,
        "flown": flown.landings,
        "seconds": flown.seconds,
        "landings_per_s": flown.rate,
        "workers_died": flown.deaths,
        "shards_set_aside": [str(path) for path in flown.aside],
        **write_report(spec, out),
        "report": str(out / REPORT),
    }
    result["said"] = [
        f"{flown.landings} landings in {flown.seconds:.0f} s, {flown.rate:.1f} per second"
        + (f"; {flown.before} were there" if flown.before else ""),
        *(f"set aside, and flown again: {path}" for path in flown.aside),
        f"wrote {out / REPORT}",
    ]
    return result


def look_for_the_worst(
    spec: Spec, out: Path, crew: Crew, resume: bool, told: Progress
) -> dict[str, Any]:
    """Search every cell for its worst case and write the report; return what the verb tells."""
    from neural_lander.sim.campaign.search import search

    found = search(spec, out, crew, resume, told)
    return {
        "cells": found,
        **write_report(spec, out),
        "report": str(out / REPORT),
        "said": [_found(cell) for cell in found] + [f"wrote {out / REPORT}"],
    }


def _found(cell: dict[str, Any]) -> str:
    where = f"{cell['controller']}, {cell['scenario']}, {cell['aero']}"
    if cell["worst"] is None:
        return f"{where}: {cell['why']}"
    at = ", ".join(f"{name} = {value:.4g}" for name, value in cell["at"].items())
    return (
        f"{where}: severity {cell['worst']:.3g} at {at}, seed {cell['seed']} "
        f"({cell['landings']} landings; the first ones' median {cell['start']:.3g})"
    )
