"""``demo``: the whole way, from calibration flights to the comparison of all controllers."""

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.files import read_json, write_json
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.scripts.cli_flight import FlightOptions, flight_of, is_learned
from neural_lander.scripts.cli_output import Progress

VEHICLE, SCENARIO, REFERENCE, AERO = "intel-aero", "flat", "s-curve", "rotor"

CONTROLLERS = (
    "pd",
    "pid",
    "textbook",
    "observer",
    "learned",
    "learned+observer",
    "oracle",
    "oracle+observer",
)

MARK = "demo.json"
"""File that says that a folder was made by the demo."""

WHAT = "neural-lander demo"

Bar = Callable[[str], AbstractContextManager[Progress]]


def demo(
    out: Path,
    seed: int,
    bar: Bar,
    flights: int = 8,
    duration: float = 60.0,
    controllers: Sequence[str] = CONTROLLERS,
) -> dict[str, Any]:
    """Collect, train, certify, land and compare in one world; return what was found.

    Into ``out``: ``flights/``, ``model/``, ``runs/CONTROLLER/``, ``comparison.png`` and
    ``comparison.json``. A refusal is an outcome in ``refused`` and in the table, not an end.

    Raises:
        InputError: ``out`` holds something that no demo made.
    """
    from neural_lander.learning.certify import certify
    from neural_lander.learning.training import TrainingSettings, train
    from neural_lander.sim.collect import collect
    from neural_lander.sim.compare import compare_runs
    from neural_lander.sim.rollout import fly
    from neural_lander.sim.run_folder import write_run

    begun = time.perf_counter()
    _take(out, seed)
    vehicle, model = load_vehicle(VEHICLE), out / "model"
    with bar("collect") as tell:
        logs = collect(vehicle, flights, duration, seed, out / "flights", AERO, tell)
    with bar("train") as tell:
        bundle = train(logs, vehicle, TrainingSettings(seed=seed), model, tell)
    certificates = {}
    for controller in filter(is_learned, controllers):
        with bar("certify") as tell:
            certificate, path = certify(model, vehicle, controller, progress=tell)
            certificates[controller] = {"verdict": certificate.verdict, "path": str(path)}
    options = FlightOptions(VEHICLE, SCENARIO, REFERENCE, AERO, model)
    runs, refused = [], {}
    with bar("land") as tell:
        for i, controller in enumerate(controllers):
            tell(i / len(controllers), controller)
            try:
                landing = fly(flight_of(options, controller), seed)
            except Refused as refusal:
                refused[controller] = str(refusal)
                continue
            write_run(out / "runs" / controller, landing)
            runs.append(out / "runs" / controller)
    with bar("compare"):
        comparison = compare_runs(runs, out)
    result = {
        "what": WHAT,
        "seed": seed,
        "seconds": round(time.perf_counter() - begun, 1),
        "scores": bundle["scores"]["mean"],
        "certificates": certificates,
        "refused": refused,
        **comparison,
    }
    write_json(out / MARK, result)
    return result


def _take(out: Path, seed: int) -> None:
    """Make ``out`` the demo's, and empty what an earlier demo wrote there."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; the demo writes into a folder, give --out DIR")
    if out.is_dir() and any(out.iterdir()):
        if not (out / MARK).is_file() or read_json(out / MARK).get("what") != WHAT:
            raise InputError(
                f"{out}: is not empty and was not made by the demo; give another folder with "
                "--out DIR, or remove it"
            )
        for name in ("flights", "model", "runs"):
            shutil.rmtree(out / name, ignore_errors=True)
    write_json(out / MARK, {"what": WHAT, "seed": seed, "unfinished": True})
