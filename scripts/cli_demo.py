"""``demo``: the whole way, from calibration flights to the comparison of all controllers."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.files import read_json, write_json
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.scripts.cli_certify import calibration_of, tube_options
from neural_lander.scripts.cli_output import Progress

VEHICLE, SCENARIO, REFERENCE, AERO = "intel-aero", "flat", "s-curve", "rotor"

CONTROLLERS = (
    "pd",
    "pid",
    "textbook",
    "observer",
    "indi",
    "learned",
    "learned+observer",
    "oracle",
    "oracle+observer",
)

CALIBRATED = "learned+observer"
"""What ships: it is certified with bounds from flights, and flies with its tube and monitor."""

CALIBRATION, ALPHA = 20, 0.1
"""Calibration flights, and the probability that a flight leaves the bounds they give."""

MARK = "demo.json"
"""File that says that a folder was made by the demo, and which files in it."""

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
    """Collect, train, calibrate, certify, land and compare in one world; return what was found.

    Into ``out``: ``flights/``, ``model/``, ``calibration/``, ``runs/CONTROLLER/``, ``comparison.png``
    and ``comparison.json``. A refusal is an outcome in ``refused`` and in the table, not an end.

    Raises:
        InputError: ``out`` holds something that no demo made, or cannot be written to.
    """
    from neural_lander.learning.certify import certify
    from neural_lander.learning.training import TrainingSettings, train
    from neural_lander.sim.calibration_flights import collect_landings
    from neural_lander.sim.collect import collect
    from neural_lander.sim.compare import compare_runs
    from neural_lander.sim.gate import FlightOptions, flight_of, is_learned
    from neural_lander.sim.rollout import fly
    from neural_lander.sim.run_folder import write_run

    begun = time.perf_counter()
    written = _planned(flights, controllers)
    _take(out, seed, written)
    vehicle, model = load_vehicle(VEHICLE), out / "model"
    with bar("collect") as tell:
        logs = collect(vehicle, flights, duration, seed, out / "flights", AERO, tell)
    before = _files(model)
    with bar("train") as tell:
        bundle = train(logs, vehicle, TrainingSettings(seed=seed), model, tell)
    written += [f"model/{name}" for name in sorted(_files(model) - before)]
    certificates = {}
    for controller in filter(is_learned, controllers):
        with bar("certify") as tell:
            certificate, path = certify(model, vehicle, controller, progress=tell)
            certificates[controller] = {"verdict": certificate.verdict, "path": str(path)}
            written.append(path.relative_to(out).as_posix())
            _mark(out, seed, list(dict.fromkeys(written)))
    options = FlightOptions(VEHICLE, SCENARIO, REFERENCE, AERO, model)
    if CALIBRATED in controllers:
        with bar("calibrate") as tell:
            uncertified = replace(options, uncertified=True, engine="hybrid")
            landings = collect_landings(
                flight_of(uncertified, CALIBRATED), CALIBRATION, seed, out / "calibration", tell
            )
        with bar("certify") as tell:
            where = tube_options(REFERENCE, SCENARIO, None, 0.0)
            bounds = calibration_of(landings, ALPHA, model, vehicle, CALIBRATED, where["plan"])
            certificate, path = certify(
                model, vehicle, CALIBRATED, progress=tell, calibration=bounds, **where
            )
            certificates[f"{CALIBRATED}, along {REFERENCE}"] = {
                "verdict": certificate.verdict,
                "path": str(path),
            }
            written.append(path.relative_to(out).as_posix())
            _mark(out, seed, list(dict.fromkeys(written)))
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
        "files": list(dict.fromkeys(written)),
        "seconds": round(time.perf_counter() - begun, 1),
        "scores": bundle["scores"]["mean"],
        "certificates": certificates,
        "refused": refused,
        **comparison,
    }
    write_json(out / MARK, result)
    return result


def _files(folder: Path) -> set[str]:
    """Return the names of all files below a folder."""
    return {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()}


def _planned(flights: int, controllers: Sequence[str]) -> list[str]:
    """Return the files that a demo writes, relative to its folder; certificates come on top."""
    from neural_lander.sim.run_folder import FLIGHT, PICTURE, SUMMARY

    return [
        *(f"comparison.{kind}" for kind in ("json", "png", "pdf")),
        *(f"runs/{c}/{name}" for c in controllers for name in (SUMMARY, PICTURE, FLIGHT)),
        *(f"model/{name}" for name in ("model.json", "weights.safetensors")),
        *(f"flights/flight-{i:02d}.parquet" for i in range(flights)),
        *(f"calibration/landing-{i:03d}.parquet" for i in range(CALIBRATION)),
    ]


def _take(out: Path, seed: int, planned: Sequence[str]) -> None:
    """Make ``out`` the demo's: remove what an earlier demo wrote there, results first.

    Only files are removed that the mark names; the mark names what will be written before it is.

    Raises:
        InputError: ``out`` is nobody's or somebody else's, or a file of somebody else's is in the way.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; the demo writes into a folder, give --out DIR")
    written: list[str] = []
    if out.is_dir() and any(out.iterdir()):
        mark = read_json(out / MARK) if (out / MARK).is_file() else {}
        if mark.get("what") != WHAT:
            raise InputError(
                f"{out}: is not empty and was not made by the demo; give another folder with "
                "--out DIR, or remove it"
            )
        written = _written(mark, out)
    for name in planned:
        if (out / name).is_dir() or ((out / name).exists() and name not in written):
            raise InputError(
                f"{out / name}: is in the way and was not written by the demo; move it, or give "
                "another folder with --out DIR"
            )
    _mark(out, seed, list(dict.fromkeys([*written, *planned])))
    for name in written:
        if not (out / name).is_dir():
            (out / name).unlink(missing_ok=True)
    folders = {parent for name in written for parent in Path(name).parents if parent.name}
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        with contextlib.suppress(OSError):  # holds something else, or is gone already
            (out / folder).rmdir()
    _mark(out, seed, planned)


def _written(mark: Mapping[str, Any], out: Path) -> list[str]:
    """Return the files that the mark of an earlier demo names, each inside ``out``."""
    names = mark.get("files", [])
    root = out.resolve()
    for name in names if isinstance(names, list) else [None]:
        if not isinstance(name, str) or root not in (out / name).resolve().parents:
            raise InputError(
                f"{out / MARK}: files has {name!r}, expected names of files in {out}; give another "
                "folder with --out DIR"
            )
    return list(names)


def _mark(out: Path, seed: int, files: Sequence[str]) -> None:
    """Say that the demo writes ``files`` here and is not done."""
    write_json(out / MARK, {"what": WHAT, "seed": seed, "unfinished": True, "files": list(files)})
