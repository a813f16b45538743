"""``neural-lander vehicle``: show a vehicle, or write a new vehicle file."""

from pathlib import Path
from typing import Annotated

import typer

from neural_lander.scripts.cli_options import (
    SETTINGS,
    Json,
)
from neural_lander.scripts.cli_output import report

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=SETTINGS,
    help="Show a vehicle, or write a new vehicle file.",
    epilog="\b\nExample:\n  neural-lander vehicle show intel-aero",
)


@app.command(
    "new", epilog="\b\nExample:\n  neural-lander vehicle new my-quad.toml --like crazyflie"
)
def vehicle_new(
    file: Annotated[Path, typer.Argument(help="File to write.", metavar="FILE.toml")],
    like: Annotated[
        str, typer.Option(help="Vehicle whose numbers stand there as examples.", metavar="V")
    ] = "intel-aero",
    as_json: Json = False,
) -> None:
    """Write a commented vehicle file to fill in."""
    from neural_lander.scripts.cli_vehicle import new

    with report(as_json) as tell:
        new(file, like, tell)


@app.command("show", epilog="\b\nExample:\n  neural-lander vehicle show intel-aero")
def vehicle_show(
    vehicle: Annotated[str, typer.Argument(help="Bundled name, or TOML file.", metavar="V")],
    as_json: Json = False,
) -> None:
    """Show every number of a vehicle, what it means, and where it comes from."""
    from neural_lander.scripts.cli_vehicle import show

    with report(as_json) as tell:
        show(vehicle, tell)
