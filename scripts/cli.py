"""The program ``neural-lander``: a verb reads its options, calls a room, and tells what came out.

Nothing heavy is imported before a verb runs. Exit status: 0 done; 2 bad input or usage; 3 refused
(no certificate that fits, or one that says no); 4 crashed; 1 a defect, with its traceback.
"""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.files import require_file, require_folder
from neural_lander.scripts import (
    exit_status,
    verbs_campaign,
    verbs_flights,
    verbs_landing,
    verbs_vehicle,
)
from neural_lander.scripts.cli_flight import (
    show_runs,
)
from neural_lander.scripts.cli_options import (
    SETTINGS,
    DescentSpeed,
    Flights,
    Folder,
    Json,
    Room,
    ScenarioName,
    Seed,
    TouchdownSpeed,
    VehicleName,
)
from neural_lander.scripts.cli_output import progress_bar, report
from neural_lander.scripts.exit_status import exits, say

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
app.add_typer(verbs_vehicle.app, name="vehicle")


@exits
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and leave with its exit status."""
    # importing makes only objects that stay: collecting as often as usual takes a quarter second
    gc.set_threshold(100_000, 20, 20)
    try:
        app(args=None if arguments is None else list(arguments), prog_name="neural-lander")
    finally:
        # the last collection walks every module loaded and takes a third of a short command
        gc.freeze()


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
            tell.status = exit_status.REFUSED
        show_runs(result["runs"], tell)
        tell.line(f"took {result['seconds']:.0f} s; everything lies in {out}")
        tell.wrote(*result["pictures"])
        if any(run["crashed"] for run in result["runs"]):
            tell.status = exit_status.CRASHED


app.registered_commands += verbs_flights.app.registered_commands


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
            help="Bound on the slope, dimensionless inputs to force over weight; 0: no bound. A network "
            "without one is learned beside it, for `learned-unbounded`.",
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
        require_folder(out)
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
    epilog="\b\nExamples:\n  neural-lander certify model --vehicle intel-aero --calibration calibration"
    "\n  neural-lander certify model --vehicle intel-aero --scenario deck --calibration over-deck"
    "\n  neural-lander certify model --vehicle intel-aero --controller learned"
    "\n  neural-lander certify model --vehicle intel-aero --reference s-curve --epsilon 0.1"
)
def certify(
    model: Annotated[Path, typer.Argument(help="Model folder.", metavar="MODEL")],
    vehicle: VehicleName,
    controller: Annotated[
        str, typer.Option(help="learned, learned+observer or learned-unbounded.", metavar="C")
    ] = "learned+observer",
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write it, instead of MODEL/certificates.", metavar="FILE"),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Prove a tube along this reference: s-curve, exponential, or fastest (with "
            "--calibration). Without: decide for every reference, no tube.",
            metavar="R",
        ),
    ] = None,
    scenario: ScenarioName = "flat",
    touchdown_speed: TouchdownSpeed = None,
    descent_speed: DescentSpeed = None,
    thrust_room: Room = None,
    search_room: Annotated[
        bool,
        typer.Option(
            "--search-room",
            help="Along fastest: look for the thrust room that the tube needs, not only where it is "
            "refused; a plan that leaves less free lands sooner.",
        ),
    ] = False,
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
    calibration: Annotated[
        list[Path] | None,
        typer.Option(
            help="Flights of this loop (`collect --controller`), or a folder of them: bounds the "
            "errors, for a tube in three dimensions. Along the s-curve, if --reference says nothing.",
            metavar="FLIGHTS",
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="Probability that a flight leaves those bounds.", metavar="P")
    ] = 0.1,
    as_json: Json = False,
) -> None:
    """Decide whether a model may fly.

    With --reference the answer is a tube around that plan. The certificate is written either way;
    exit status 3 where it says no.
    """
    from neural_lander.controller.certificate import sooner, why_refused
    from neural_lander.controller.fastest import FASTEST
    from neural_lander.controller.vehicle import load_vehicle
    from neural_lander.learning.certify import certify as run_certify
    from neural_lander.scripts.cli_certify import Flown, calibration_of, tube_options
    from neural_lander.scripts.cli_flight import fastest_options
    from neural_lander.scripts.cli_inspect import show_certificate

    with report(as_json) as tell:
        known = load_vehicle(vehicle)
        if out is not None:
            require_file(out)
        if calibration and (epsilon is not None or epsilon_constant):
            raise InputError("--calibration measures what --epsilon would say; give one of them")
        if search_room and reference != FASTEST:
            raise InputError(
                f"--search-room is for --reference {FASTEST}: others leave thrust as they are"
            )
        along = reference or ("s-curve" if calibration else None)
        fast = fastest_options(along, touchdown_speed, descent_speed, thrust_room)
        flown = Flown(model, known, controller, **fast)
        options = tube_options(along, scenario, epsilon, epsilon_constant, flown, bool(calibration))
        with progress_bar("certify") as progress:
            bounds = calibration_of(
                calibration or [], alpha, model, known, controller, options.get("plan"),
                options.get("deck"),
            )  # fmt: skip
            certificate, path = run_certify(
                model,
                known,
                controller,
                out,
                progress,
                calibration=bounds,
                search=search_room,
                **options,
            )
        tell.result = certificate.as_dict()
        show_certificate(tell.result, tell)
        tell.wrote(path)
        if certificate.certified and (other := sooner(certificate)):
            tell.line(other)
        if not certificate.certified:
            tell.status = say("refused", Refused(why_refused(certificate)), exit_status.REFUSED)


app.registered_commands += verbs_landing.app.registered_commands
app.registered_commands += verbs_campaign.app.registered_commands


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
        if out is not None:
            require_file(out)
        run_inspect(path, out, vehicle, model, tell)


if __name__ == "__main__":
    main()
