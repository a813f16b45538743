"""The verbs that make flight logs or read what a vehicle is from them: ``collect, import, identify``."""

from pathlib import Path
from textwrap import indent
from typing import Annotated

import typer

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import require_folder
from neural_lander.learning.column_map import EXAMPLE as COLUMN_MAP
from neural_lander.scripts import exit_status
from neural_lander.scripts.cli_options import (
    Aero,
    DescentSpeed,
    Flights,
    Folder,
    Json,
    Model,
    Reference,
    Room,
    ScenarioName,
    Seed,
    TouchdownSpeed,
    Uncertified,
    VehicleName,
)
from neural_lander.scripts.cli_output import progress_bar, report
from neural_lander.scripts.exit_status import say

IMPORT_EXAMPLES = """\b
Examples:
  neural-lander import logs/*.usdlog --vehicle crazyflie --out flights
  neural-lander import log.ulg --vehicle my-quad.toml --out flights
  neural-lander import flight.csv --columns map.toml --vehicle my-quad.toml --out flights

\b
A column map of plain CSV (map.toml):
""" + indent(COLUMN_MAP, "  ").replace("\n\n", "\n\n\b\n")

app = typer.Typer()


@app.command(
    epilog="\b\nExamples:\n  neural-lander collect --vehicle intel-aero --flights 8 --duration 60 \\"
    "\n    --seed 1 --out flights"
    "\n  neural-lander collect --vehicle intel-aero --flights 20 --seed 2 --out calibration \\"
    "\n    --controller learned+observer --model model --uncertified"
    "\n  neural-lander collect --vehicle intel-aero --flights 8 --controller observer \\"
    "\n    --reference fastest --out fast-flights"
)
def collect(
    vehicle: VehicleName,
    out: Folder,
    flights: Annotated[int, typer.Option(help="How many.", min=1, metavar="N")] = 8,
    duration: Annotated[float, typer.Option(help="Of each flight [s].", metavar="S")] = 60.0,
    seed: Seed = 0,
    aero: Aero = "rotor",
    controller: Annotated[
        str | None,
        typer.Option(help="Fly landings with this one instead: calibration flights.", metavar="C"),
    ] = None,
    model: Model = None,
    scenario: ScenarioName = "flat",
    reference: Reference = "s-curve",
    touchdown_speed: TouchdownSpeed = None,
    descent_speed: DescentSpeed = None,
    thrust_room: Room = None,
    uncertified: Uncertified = False,
    as_json: Json = False,
) -> None:
    """Fly simulated flights to learn from.

    With --controller they are landings flown by it, to calibrate a certificate with.
    """
    from neural_lander.controller.flight_log import read_flight_log
    from neural_lander.controller.vehicle import load_vehicle
    from neural_lander.scripts.cli_flight import fastest_options
    from neural_lander.sim.calibration_flights import collect_landings
    from neural_lander.sim.collect import collect as run_collect
    from neural_lander.sim.gate import FlightOptions, flight_of

    with report(as_json) as tell:
        known = load_vehicle(vehicle)
        if controller is None and (model is not None or uncertified):
            raise InputError("--model and --uncertified are for landings; give --controller C too")
        if controller is None and (scenario, reference) != ("flat", "s-curve"):
            raise InputError("--scenario and --reference are for landings; give --controller C too")
        fast = fastest_options(reference, touchdown_speed, descent_speed, thrust_room)
        require_folder(out)
        with progress_bar("collect") as progress:
            if controller is None:
                paths = run_collect(known, flights, duration, seed, out, aero, progress)
            else:
                options = FlightOptions(
                    vehicle,
                    scenario,
                    reference,
                    aero,
                    model,
                    None,
                    uncertified,
                    "hybrid",
                    **fast,
                )
                flown = flight_of(options, controller)
                paths = collect_landings(flown, flights, seed, out, progress)
        tell.result = []
        for path in paths:
            log = read_flight_log(path)
            tell.result.append(
                {
                    "path": str(path),
                    "controller": log.metadata["controller"],
                    "seconds": float(log["time"][-1] - log["time"][0]),
                    "rows": len(log),
                }
            )
        tell.wrote(*paths)


@app.command("import", epilog=IMPORT_EXAMPLES)
def import_(
    sources: Annotated[list[Path], typer.Argument(help="Log files.", metavar="SRC...")],
    vehicle: VehicleName,
    out: Folder,
    format: Annotated[
        str, typer.Option(help="auto, crazyflie, ulog, neural-fly or csv.", metavar="FORMAT")
    ] = "auto",
    columns: Annotated[
        Path | None,
        typer.Option(
            help="What the columns of plain CSV are (default: NAME.toml beside NAME.csv).",
            metavar="MAP.toml",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn logs of other stacks into flight logs.

    The verdict says whether ground effect may be learned from a flight, and why if not. Of several
    logs the good are written and the bad are named; exit status 2 then.
    """
    from neural_lander.controller.vehicle import load_vehicle
    from neural_lander.learning.importing import import_flights
    from neural_lander.scripts.cli_import import show_imports

    with report(as_json) as tell:
        require_folder(out)
        results = import_flights(sources, load_vehicle(vehicle), out, format, columns)
        bad = [result.error for result in results if result.error is not None]
        if len(results) == 1 and bad:
            raise InputError(bad[0])
        tell.result = [result.as_dict() for result in results]
        show_imports([result for result in results if result.error is None], tell)
        for why in bad:
            tell.status = say("error", InputError(why), exit_status.BAD_INPUT)


@app.command(
    epilog="\b\nExample:\n  neural-lander identify flights --vehicle my-quad.toml --out identified.toml"
)
def identify(
    flights: Flights,
    vehicle: VehicleName,
    out: Annotated[Path, typer.Option("--out", help="Vehicle file to write.", metavar="FILE.toml")],
    as_json: Json = False,
) -> None:
    """Fit what a vehicle file lacks or has wrong.

    Thrust law, motor lag, delay, accelerometer offset and centre of mass, from flight away from the
    ground, with 95 % intervals over flights; what the flights do not settle is named.
    """
    from neural_lander.controller.flight_log import read_flight_logs
    from neural_lander.controller.vehicle import load_vehicle
    from neural_lander.learning.identification import check_output, write_identified
    from neural_lander.learning.identification import identify as run_identify
    from neural_lander.scripts.cli_identify import show_identification

    with report(as_json) as tell:
        known = load_vehicle(vehicle)
        check_output(out)
        found = run_identify(read_flight_logs(flights), known)
        write_identified(found, vehicle, out)
        show_identification(found, out, tell)
