"""The verbs that fly landings: ``land, compare``."""

from pathlib import Path
from typing import Annotated

import typer

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import require_folder
from neural_lander.scripts import exit_status
from neural_lander.scripts.cli_flight import (
    controllers_of,
    describe,
    fastest_options,
    scenarios_of,
    seeds_of,
    show_landing,
    show_pairs,
    show_runs,
    show_seeds,
)
from neural_lander.scripts.cli_options import (
    CONTROLLERS,
    Aero,
    CertificateFile,
    DescentSpeed,
    Engine,
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

app = typer.Typer()


@app.command(
    epilog="\b\nExamples:\n  neural-lander land --vehicle intel-aero --controller learned \\"
    "\n    --model model --seed 1 --out runs/learned"
    "\n  neural-lander land --vehicle intel-aero --controller observer --reference fastest \\"
    "\n    --touchdown-speed 0.15 --out runs/fast"
)
def land(
    vehicle: VehicleName,
    controller: Annotated[
        str, typer.Option(help=f"{CONTROLLERS}; or your own: module:Name, policy.zip.", metavar="C")
    ],
    out: Folder,
    model: Model = None,
    scenario: ScenarioName = "flat",
    reference: Reference = "s-curve",
    touchdown_speed: TouchdownSpeed = None,
    descent_speed: DescentSpeed = None,
    thrust_room: Room = None,
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
    from neural_lander.sim.gate import FlightOptions, flight_of
    from neural_lander.sim.rollout import fly
    from neural_lander.sim.run_folder import write_run

    with report(as_json) as tell:
        options = FlightOptions(
            vehicle,
            scenario,
            reference,
            aero,
            model,
            certificate,
            uncertified,
            engine,
            **fastest_options(reference, touchdown_speed, descent_speed, thrust_room),
        )
        require_folder(out)
        flight = flight_of(options, controller)
        landing = fly(flight, seed)
        paths = write_run(out, landing)
        tell.result = landing.summary
        show_landing(landing.summary, tell)
        if "binds" in flight.plan.metadata:
            tell.line(describe(flight.plan))
        if flight.certified and flight.limits is None:
            tell.line(
                "certified for every reference: no tube and no monitor; `certify --calibration`"
            )
        tell.wrote(*paths)
        if landing.summary["crashed"]:
            tell.status = exit_status.CRASHED


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
        str | None,
        typer.Option(
            help=f"Fly these instead, of {CONTROLLERS}; or module:Name, policy.zip.",
            metavar="C1,C2",
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(help="B excluded.", metavar="A:B")] = "0:32",
    baseline: Annotated[
        str | None,
        typer.Option(
            help="Pair the others with this one; else the strongest simple controller.", metavar="C"
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Processes; the result is the same.", metavar="N", min=1)
    ] = 1,
    video: Annotated[
        bool, typer.Option("--video", help="Animate the runs side by side: landing.gif.")
    ] = False,
    vehicle: VehicleName = "intel-aero",
    model: Model = None,
    scenario: Annotated[
        str | None,
        typer.Option(help="Bundled scenarios, or TOML files; default flat.", metavar="S1,S2"),
    ] = None,
    reference: Reference = "s-curve",
    touchdown_speed: TouchdownSpeed = None,
    thrust_room: Room = None,
    aero: Aero = "rotor",
    certificate: CertificateFile = None,
    uncertified: Uncertified = False,
    engine: Engine = "hybrid",
    as_json: Json = False,
) -> None:
    """Draw runs together, or tabulate seeds.

    Of every scenario: a table of medians with intervals, paired differences from a baseline, and
    figures as PDF and PNG. What failed loses its pair and is never dropped.
    """
    if bool(runs) == bool(controllers):
        raise InputError("give either folders of runs, or --controllers C1,C2")
    if controllers and video:
        raise InputError(
            "--video animates runs: fly each with `neural-lander land`, then `compare RUN... --video`"
        )
    with report(as_json) as tell:
        require_folder(out)
        from neural_lander.sim.compare import compare_runs, compare_seeds

        if controllers:
            from neural_lander.sim.gate import FlightOptions

            names, numbers, files = (
                controllers_of(controllers), seeds_of(seeds), scenarios_of(scenario or "flat")
            )  # fmt: skip
            options = FlightOptions(
                vehicle,
                files[0],
                reference,
                aero,
                model,
                certificate,
                uncertified,
                engine,
                **fastest_options(reference, touchdown_speed, None, thrust_room),
            )
            with progress_bar("compare") as progress:
                tell.result = compare_seeds(
                    options, names, files, numbers, out, progress, baseline, workers
                )
            tell.wrote(*(out / name for name in tell.result["pictures"]))
        else:
            certificates = [certificate] if certificate else []
            if model is not None and not certificates:
                certificates = sorted((model / "certificates").glob("*.json"))
            tell.result = compare_runs(
                runs or [], out, baseline, certificates, scenario, paper=True
            )
            show_runs(tell.result["runs"], tell)
            tell.wrote(*tell.result["pictures"])
            if video:
                from neural_lander.sim.video import animate_runs

                with progress_bar("video") as progress:
                    tell.wrote(animate_runs(runs or [], out, vehicle, scenario, progress))
        if "pairs" in tell.result:
            show_seeds(tell.result["controllers"], tell)
            show_pairs(tell.result["pairs"], tell.result["baseline_is"], tell)
        tell.wrote(out / "comparison.json")
