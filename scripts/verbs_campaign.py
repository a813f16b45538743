"""The verb that flies thousands of landings: ``campaign``."""

from pathlib import Path
from typing import Annotated

import typer

from neural_lander.controller.errors import InputError
from neural_lander.scripts import exit_status
from neural_lander.scripts.cli_options import Folder, Json
from neural_lander.scripts.cli_output import progress_bar, report

app = typer.Typer()


@app.command(
    epilog="\b\nExamples:\n  neural-lander campaign docs/campaign.toml --out campaign"
    "\n  neural-lander campaign spec.toml --out big --dask tcp://10.0.0.1:8786 --resume"
    "\n  neural-lander campaign spec.toml --out big --resume --search"
)
def campaign(
    spec: Annotated[Path, typer.Argument(help="What is flown, a TOML file.", metavar="SPEC.toml")],
    out: Folder,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes; default: one for each core.", min=1, metavar="N"),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(help="Fly on this Dask scheduler's workers instead.", metavar="ADDRESS"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what is in DIR; begin if nothing is.")
    ] = False,
    search: Annotated[
        bool,
        typer.Option(
            "--search", help="Look for the worst case over the spec's parameters instead."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Fly thousands of landings, and report.

    Controllers x scenarios x aerodynamics x seeds, on all cores or a cluster. Rows are safe on disk
    as they come; after a crash or Ctrl-C --resume goes on, and loses or doubles no landing.
    """
    from neural_lander.scripts.cli_campaign import fly, look_for_the_worst
    from neural_lander.sim.campaign.run import Crew
    from neural_lander.sim.campaign.spec import read_spec

    if workers is not None and dask is not None:
        raise InputError("give --workers N or --dask ADDRESS, not both")
    with report(as_json) as tell:
        crew, read = Crew(workers or 0, dask), read_spec(spec)
        try:
            with progress_bar("campaign") as progress:
                work = look_for_the_worst if search else fly
                tell.result = work(read, out, crew, resume, progress)
        except KeyboardInterrupt:
            tell.status = exit_status.say(
                "stopped", InputError("all rows done are on disk; go on with --resume"), 130
            )
            return
        for line in tell.result["said"]:
            tell.line(line)
