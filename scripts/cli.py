"""The program ``neural-lander``: a verb reads its options, calls a room, and tells what came out.

Nothing heavy is imported before a verb runs. Exit status: 0 done; 2 bad input or usage; 3 refused
(no certificate that fits, or one that says no); 4 crashed; 1 a defect, with its traceback.
"""

import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent
from typing import Annotated, Literal

import typer

from neural_lander.controller.errors import InputError, Refused
from neural_lander.learning.column_map import EXAMPLE as COLUMN_MAP
from neural_lander.scripts import cli_output
from neural_lander.scripts.cli_flight import (
    FlightOptions,
    compare_over_seeds,
    controllers_of,
    flight_of,
    seeds_of,
    show_landing,
    show_runs,
    show_seeds,
)
from neural_lander.scripts.cli_options import (
    CONTROLLERS,
    Aero,
    CertificateFile,
    Engine,
    Flights,
    Folder,
    Json,
    Model,
    Reference,
    ScenarioName,
    Seed,
    Uncertified,
    VehicleName,
)
from neural_lander.scripts.cli_output import progress_bar, report

IMPORT_EXAMPLES = """\b
Examples:
  neural-lander import logs/*.usdlog --vehicle crazyflie --out flights
  neural-lander import log.ulg --vehicle my-quad.toml --out flights
  neural-lander import flight.csv --columns map.toml --vehicle my-quad.toml --out flights

\b
A column map of plain CSV (map.toml):
""" + indent(COLUMN_MAP, "  ").replace("\n\n", "\n\n\b\n")

SETTINGS = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=SETTINGS,
    help="Teach a multirotor to land fast and smoothly, prove it safe before it flies, and see the "
    "difference.",
    epilog="\b\nExample:\n  neural-lander demo --out demo",
)
vehicle_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=SETTINGS,
    help="Show a vehicle, or write a new vehicle file.",
    epilog="\b\nExample:\n  neural-lander vehicle show intel-aero",
)
app.add_typer(vehicle_app, name="vehicle")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and leave with its exit status."""
    # importing makes only objects that stay: collecting as often as usual takes a quarter second
    gc.set_threshold(100_000, 20, 20)
    try:
        app(args=None if arguments is None else list(arguments), prog_name="neural-lander")
    except InputError as error:
        sys.exit(_say("error", error, cli_output.BAD_INPUT))
    except Refused as refusal:
        sys.exit(_say("refused", refusal, cli_output.REFUSED))
    finally:
        # the last collection walks every module loaded and takes a third of a short command
        gc.freeze()


def _say(kind: str, what: Exception, status: int) -> int:
    print(f"{kind}: {what}", file=sys.stderr)
    return status


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"neural-lander {version('neural-lander')}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Say the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Hold the options that come before a verb."""


@app.command(epilog="\b\nExample:\n  neural-lander demo --out demo")
def demo(
    out: Folder = Path("demo"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Collect, train, certify, land, compare.

    In one world, with every controller; everything is written into one folder.
    """
    from neural_lander.scripts.cli_demo import demo as run_demo
    from neural_lander.scripts.cli_inspect import show_scores

    with report(as_json) as tell:
        result = run_demo(out, seed, progress_bar)
        tell.result = result
        show_scores({"flights": [], "mean": result["scores"]}, tell)
        for controller, certificate in result["certificates"].items():
            tell.line(f"{controller}: {certificate['verdict']}, {certificate['path']}")
        for controller, why in result["refused"].items():
            tell.line(f"{controller}: refused, {why}")
            tell.status = cli_output.REFUSED
        show_runs(result["runs"], tell)
        tell.line(f"took {result['seconds']:.0f} s; everything lies in {out}")
        tell.wrote(*result["pictures"])
        if any(run["crashed"] for run in result["runs"]):
            tell.status = cli_output.CRASHED


@vehicle_app.command(
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


@vehicle_app.command("show", epilog="\b\nExample:\n  neural-lander vehicle show intel-aero")
def vehicle_show(
    vehicle: Annotated[str, typer.Argument(help="Bundled name, or TOML file.", metavar="V")],
    as_json: Json = False,
) -> None:
    """Show every number of a vehicle, what it means, and where it comes from."""
    from neural_lander.scripts.cli_vehicle import show

    with report(as_json) as tell:
        show(vehicle, tell)


@app.command(
    epilog="\b\nExample:\n  neural-lander collect --vehicle intel-aero --flights 8 --duration 60 \\"
    "\n    --seed 1 --out flights"
)
def collect(
    vehicle: VehicleName,
    out: Folder,
    flights: Annotated[int, typer.Option(help="How many.", min=1, metavar="N")] = 8,
    duration: Annotated[float, typer.Option(help="Of each flight [s].", metavar="S")] = 60.0,
    seed: Seed = 0,
    aero: Aero = "rotor",
    as_json: Json = False,
) -> None:
    """Fly simulated flights to learn from."""
    from neural_lander.controller.flight_log import read_flight_log
    from neural_lander.controller.vehicle import load_vehicle
    from neural_lander.sim.collect import collect as run_collect

    with report(as_json) as tell:
        known = load_vehicle(vehicle)
        with progress_bar("collect") as progress:
            paths = run_collect(known, flights, duration, seed, out, aero, progress)
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
        results = import_flights(sources, load_vehicle(vehicle), out, format, columns)
        bad = [result.error for result in results if result.error is not None]
        if len(results) == 1 and bad:
            raise InputError(bad[0])
        tell.result = [result.as_dict() for result in results]
        show_imports([result for result in results if result.error is None], tell)
        for why in bad:
            tell.status = _say("error", InputError(why), cli_output.BAD_INPUT)


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


@app.command(
    epilog="\b\nExample:\n  neural-lander train flights --vehicle intel-aero --out model --seed 1"
)
def train(
    flights: Flights,
    vehicle: VehicleName,
    out: Folder,
    lipschitz: Annotated[
        float,
        typer.Option(
            help="Bound on the slope, dimensionless inputs to force over weight; 0: no bound.",
            metavar="L",
        ),
    ] = 0.3,
    inputs: Annotated[
        Literal["level", "full"],
        typer.Option(
            help="level: height, vertical speed, thrust. full: velocity, attitude, rotor speeds."
        ),
    ] = "level",
    cutoff: Annotated[
        float | None,
        typer.Option(
            help="Corner of the labels' low pass [Hz]; default: chosen from the flights.",
            metavar="HZ",
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Most passes over the data.", metavar="N")] = 300,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep",
            help="Instead of a model: the error on unseen flights over the bound, "
            "DIR/sweep.png and DIR/sweep.json.",
        ),
    ] = False,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes CUDA where present.")
    ] = "auto",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Learn the residual force from flight logs.

    The model learns from all flights; others, learned without some of them in turns, say how well
    it does on flights not seen, beside what anybody could write down. All stands in MODEL/model.json.
    """
    from neural_lander.controller.flight_log import flight_paths
    from neural_lander.controller.vehicle import load_vehicle
    from neural_lander.learning.training import TrainingSettings
    from neural_lander.learning.training import train as run_train
    from neural_lander.scripts.cli_inspect import show_model, show_sweep

    with report(as_json) as tell:
        settings = TrainingSettings(
            inputs=inputs,
            lipschitz=None if lipschitz == 0 else lipschitz,
            cutoff_hz=cutoff,
            epochs=epochs,
            device=device,
            seed=seed,
        )
        known, paths = load_vehicle(vehicle), flight_paths(flights)
        if sweep:
            from neural_lander.learning.sweep import sweep as run_sweep

            with progress_bar("sweep") as progress:
                tell.result = run_sweep(paths, known, settings, out, progress)
            show_sweep(tell.result, tell)
            tell.wrote(out / "sweep.json", out / "sweep.png")
            return
        with progress_bar("train") as progress:
            tell.result = run_train(paths, known, settings, out, progress)
        show_model(tell.result, tell)
        tell.wrote(out)


@app.command(
    epilog="\b\nExample:\n  neural-lander evaluate model other-flights --vehicle intel-aero"
)
def evaluate(
    model: Annotated[Path, typer.Argument(help="Model folder.", metavar="MODEL")],
    flights: Flights,
    vehicle: VehicleName,
    as_json: Json = False,
) -> None:
    """Score a model on flights it has not seen."""
    from neural_lander.controller.flight_log import flight_paths
    from neural_lander.controller.vehicle import load_vehicle
    from neural_lander.learning.evaluation import evaluate as run_evaluate
    from neural_lander.scripts.cli_inspect import show_scores

    with report(as_json) as tell:
        tell.result = run_evaluate(model, flight_paths(flights), load_vehicle(vehicle))
        show_scores(tell.result, tell)


@app.command(
    epilog="\b\nExamples:\n  neural-lander certify model --vehicle intel-aero --controller learned"
    "\n  neural-lander certify model --vehicle intel-aero --reference s-curve --epsilon 0.1"
)
def certify(
    model: Annotated[Path, typer.Argument(help="Model folder.", metavar="MODEL")],
    vehicle: VehicleName,
    controller: Annotated[
        str, typer.Option(help="learned or learned+observer.", metavar="C")
    ] = "learned+observer",
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write it, instead of MODEL/certificates.", metavar="FILE"),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Prove a tube along this reference: s-curve or exponential. Without: decide for "
            "every reference, no tube.",
            metavar="R",
        ),
    ] = None,
    scenario: ScenarioName = "flat",
    epsilon: Annotated[
        float | None,
        typer.Option(
            help="Bound of the learned force's error that may change in any way [N]; default: the "
            "model's own estimate, which does not certify flights.",
            min=0,
            metavar="N",
        ),
    ] = None,
    epsilon_constant: Annotated[
        float,
        typer.Option(
            help="Bound of the part of it that stays the same through a flight [N].",
            min=0,
            metavar="N",
        ),
    ] = 0.0,
    as_json: Json = False,
) -> None:
    """Decide whether a model may fly.

    With --reference the answer is a tube around that plan. The certificate is written either way;
    exit status 3 where it says no.
    """
    from neural_lander.controller.certificate import why_refused
    from neural_lander.controller.vehicle import load_vehicle
    from neural_lander.learning.certify import certify as run_certify
    from neural_lander.scripts.cli_certify import tube_options
    from neural_lander.scripts.cli_inspect import show_certificate

    with report(as_json) as tell:
        known = load_vehicle(vehicle)
        with progress_bar("certify") as progress:
            certificate, path = run_certify(
                model,
                known,
                controller,
                out,
                progress,
                **tube_options(reference, scenario, epsilon, epsilon_constant),
            )
        tell.result = certificate.as_dict()
        show_certificate(tell.result, tell)
        tell.wrote(path)
        if not certificate.certified:
            tell.status = _say("refused", Refused(why_refused(certificate)), cli_output.REFUSED)


@app.command(
    epilog="\b\nExample:\n  neural-lander land --vehicle intel-aero --controller learned \\"
    "\n    --model model --seed 1 --out runs/learned"
)
def land(
    vehicle: VehicleName,
    controller: Annotated[str, typer.Option(help=f"{CONTROLLERS}.", metavar="C")],
    out: Folder,
    model: Model = None,
    scenario: ScenarioName = "flat",
    reference: Reference = "s-curve",
    aero: Aero = "rotor",
    seed: Seed = 0,
    certificate: CertificateFile = None,
    uncertified: Uncertified = False,
    engine: Engine = "pybullet",
    as_json: Json = False,
) -> None:
    """Fly one landing in simulation.

    Learned controllers need a certificate that fits: exit status 3 without. Exit status 4: the
    vehicle crashed, and the run is written.
    """
    from neural_lander.sim.rollout import fly
    from neural_lander.sim.run_folder import write_run

    with report(as_json) as tell:
        options = FlightOptions(
            vehicle, scenario, reference, aero, model, certificate, uncertified, engine
        )
        landing = fly(flight_of(options, controller), seed)
        paths = write_run(out, landing)
        tell.result = landing.summary
        show_landing(landing.summary, tell)
        tell.wrote(*paths)
        if landing.summary["crashed"]:
            tell.status = cli_output.CRASHED


@app.command(
    epilog="\b\nExamples:\n  neural-lander compare runs/* --out comparison"
    "\n  neural-lander compare --controllers pd,learned+observer --vehicle intel-aero \\"
    "\n    --model model --seeds 0:200 --out comparison"
)
def compare(
    out: Folder,
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Folders that `land` wrote.", metavar="RUN...")
    ] = None,
    controllers: Annotated[
        str | None, typer.Option(help=f"Fly these instead, of {CONTROLLERS}.", metavar="C1,C2")
    ] = None,
    seeds: Annotated[str, typer.Option(help="B excluded.", metavar="A:B")] = "0:32",
    vehicle: VehicleName = "intel-aero",
    model: Model = None,
    scenario: ScenarioName = "flat",
    reference: Reference = "s-curve",
    aero: Aero = "rotor",
    certificate: CertificateFile = None,
    uncertified: Uncertified = False,
    engine: Engine = "hybrid",
    as_json: Json = False,
) -> None:
    """Draw runs together, or tabulate seeds."""
    if bool(runs) == bool(controllers):
        raise InputError("give either folders of runs, or --controllers C1,C2")
    with report(as_json) as tell:
        if controllers:
            names, numbers = controllers_of(controllers), seeds_of(seeds)
            options = FlightOptions(
                vehicle, scenario, reference, aero, model, certificate, uncertified, engine
            )
            with progress_bar("compare") as progress:
                tell.result = compare_over_seeds(options, names, numbers, out, progress)
            show_seeds(tell.result["controllers"], tell)
            tell.wrote(out / "comparison.json")
        else:
            from neural_lander.sim.compare import compare_runs

            tell.result = compare_runs(runs or [], out)
            show_runs(tell.result["runs"], tell)
            tell.wrote(*tell.result["pictures"], out / "comparison.json")


@app.command(
    epilog="\b\nExamples:\n  neural-lander inspect flights/flight-00.parquet --out residual.png"
    "\n  neural-lander inspect model"
)
def inspect(
    path: Annotated[
        Path,
        typer.Argument(
            help="Flight log(s), model, certificate, run or comparison.", metavar="PATH"
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where to draw residual force over height (flights; default: beside them).",
            metavar="PNG",
        ),
    ] = None,
    vehicle: Annotated[
        str | None,
        typer.Option(help="For flights of a vehicle with a file of its own.", metavar="V"),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Draw this model's force as well.", metavar="MODEL")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a file or folder holds.

    Of flights the residual force over height is drawn as well.
    """
    from neural_lander.scripts.cli_inspect import inspect as run_inspect

    with report(as_json) as tell:
        run_inspect(path, out, vehicle, model, tell)


if __name__ == "__main__":
    main()
