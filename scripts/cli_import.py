"""``import``: what was in each flight, and whether ground effect may be learned from it."""

from collections.abc import Sequence
from typing import Any

from neural_lander.learning.importing import ImportResult
from neural_lander.scripts.cli_output import Report

FLIGHT = {
    "seconds": "time\n[s]",
    "rate_hz": "rate\n[Hz]",
    "gaps": "gaps",
    "height_min_m": "lowest\n[m]",
    "seconds_below_one_radius": "below 1\nradius [s]",
    "seconds_below_three_radii": "below 3\nradii [s]",
    "seconds_contact": "contact\n[s]",
    "saturated_samples": "rotors\nat limit",
    "clipped_samples": "accel.\nclipped",
    "label_noise_share_of_weight": "label noise\n[% weight]",
    "verdict": "verdict",
}
"""Figure of an imported flight -> head of its column."""


def show_imports(results: Sequence[ImportResult], out: Report) -> None:
    """Tell of the flights that were imported."""
    if not results:
        return
    rows = [[result.source.name, *_cells(result.as_dict())] for result in results]
    out.table("imported", ("flight", *FLIGHT.values()), rows)
    out.line("")
    for result in results:
        name, fitness = result.source.name, result.fitness
        assert fitness is not None
        if fitness.fit:
            out.line(
                f"{name}: fit to learn ground effect from, {fitness.usable_seconds:.1f} s of labels "
                "below three rotor radii"
            )
        else:
            out.line(f"{name}: not fit to learn ground effect from")
        for why in fitness.why:
            out.line(f"  because  {why}")
        for quantity, why in result.missing:
            out.line(f"  missing  {quantity}: {why}")
        for what in result.dropped:
            out.line(f"  left out {what}")
        for remark in fitness.remarks:
            out.line(f"  note     {remark}")
    out.wrote(*(str(result.path) for result in results))


def _cells(row: dict[str, Any]) -> list[Any]:
    """Return the figures of a flight as the table shows them."""
    noise = row["label_noise_share_of_weight"]
    shown = row | {"label_noise_share_of_weight": None if noise is None else 100 * noise}
    return [shown[key] for key in FLIGHT]
