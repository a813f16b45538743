"""``identify``: what the flights say about their vehicle, beside what its file says."""

from pathlib import Path

from neural_lander.learning.identification import Identification
from neural_lander.scripts.cli_output import Report


def show_identification(found: Identification, path: Path, out: Report) -> None:
    """Tell of what was identified, of what was not, and where the file lies."""
    rows = [
        (e.quantity, e.value, *e.interval, e.before, e.unit, "yes" if e.key else "", e.note)
        for e in found.estimates
    ]
    columns = ("quantity", "value", "95 % from", "to", "before", "unit", "in file", "note")
    out.table(
        f"identified from {found.flights} flights, {found.seconds_far:.0f} s clear of the ground",
        columns,
        rows,
    )
    out.line("")
    for e in found.estimates:
        if e.by_flight:
            each = ", ".join(f"{value:.4f}" for value in e.by_flight)
            out.line(f"{e.quantity}, flight by flight: {each}")
    for quantity, why in found.unknown:
        out.line(f"not identified  {quantity}: {why}")
    out.wrote(path)
    out.result = {"path": str(path), **found.as_dict()}
