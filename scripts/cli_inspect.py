"""``inspect``: what is in a flight log, a model, a certificate, a run, a comparison or a campaign."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import read_json
from neural_lander.controller.flight_log import FlightLog, flight_paths, read_flight_log
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.scripts.cli_flight import show_landing, show_pairs, show_runs, show_seeds
from neural_lander.scripts.cli_output import Report

EXPECTED = (
    "a flight log (.parquet) or a folder of them, a model, a run, a comparison, a campaign, or the "
    "JSON of one of these or of a certificate"
)

FLIGHT = {
    "flight": "flight",
    "vehicle": "vehicle",
    "controller": "controller",
    "seconds": "time\n[s]",
    "rows": "rows",
    "height_min_m": "lowest\n[m]",
    "height_max_m": "highest\n[m]",
    "contact_share": "contact\n[share]",
}
"""Figure of a flight log -> head of its column."""

SCORES = {
    "flight": "flight",
    "samples": "samples",
    "r2_z": "R2",
    "r2_z_5hz": "R2\n5 Hz",
    "rmse_z_5hz_n": "RMSE\n5 Hz [N]",
    "rmse_z_5hz_weight": "RMSE 5 Hz\n[weight]",
    "rmse_z_5hz_low_n": "below\n15 cm [N]",
}
"""Score of a model -> head of its column; ``5 Hz``: behind a low-pass."""


def inspect(
    path: Path, picture: Path | None, vehicle: str | None, model: Path | None, out: Report
) -> None:
    """Say what ``path`` holds; draw flights' residual force over height, or a model's scores.

    Raises:
        InputError: nothing is there, it is nothing of ours, or a picture of it makes no sense.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; expected {EXPECTED}")
    if path.is_file() and path.suffix == ".parquet":
        return _flights([path], picture or path.with_name(f"{path.stem}-residual.png"), vehicle,
                        model, out)  # fmt: skip
    for name, show in (
        ("summary.json", _summary),
        ("model.json", _model),
        ("comparison.json", _comparison),
        ("sweep.json", _sweep),
    ):
        if path.name == name or (path / name).is_file():
            folder = path if path.is_dir() else path.parent
            if picture is not None and name in ("comparison.json", "sweep.json"):
                raise InputError(f"{path}: holds no flight to draw; leave --out {picture} away")
            out.result = read_json(folder / name)
            try:
                show(out.result, folder, out)
            except (KeyError, TypeError, AttributeError) as error:
                raise InputError(f"{folder / name}: is not complete ({error!r})") from error
            if name == "model.json":
                _draw_scores(out.result, picture or folder / "scores.png", out)
            elif picture is not None:
                _draw({"flight": read_flight_log(folder / "flight.parquet")}, picture, vehicle,
                      model, out)  # fmt: skip
            return None
    if _is_unfinished_run(path):
        return _unfinished(path, picture, vehicle, model, out)
    if (path / "demo.json").is_file():
        raise InputError(f"{path}: is an unfinished demo; run `neural-lander demo` again")
    if (path / "campaign.json").is_file():
        if picture is not None:
            raise InputError(f"{path}: holds no flight to draw; leave --out {picture} away")
        return _campaign(path, out)
    if path.is_dir():
        return _flights(flight_paths([path]), picture or path / "residual.png", vehicle, model, out)
    if path.suffix == ".json":
        return _certificate(path, picture, out)
    raise InputError(f"{path}: is nothing that can be inspected; expected {EXPECTED}")


def _campaign(folder: Path, out: Report) -> None:
    """Count the landings of a campaign that are on disk."""
    from neural_lander.sim.campaign.tables import counts

    out.result = counts(folder)
    columns = (
        "scenario",
        "aero",
        "controller",
        "landings",
        "landed",
        "crashed",
        "refused",
        "impossible",
        "errors",
    )
    rows = [[row[key] for key in columns] for row in out.result["cells"]]
    out.table(f"campaign, version {out.result['version']}", columns, rows)
    page = folder / "report.html"
    out.line(str(page) if page.is_file() else "no report yet; `neural-lander campaign --resume`")


def _is_unfinished_run(folder: Path) -> bool:
    """Whether a folder without summary holds the log of a flight that was to be a run."""
    if not (folder / "flight.parquet").is_file():
        return False
    metadata = read_flight_log(folder / "flight.parquet").metadata
    return metadata.get("source") == "simulation" and metadata.get("scenario") != "collection"


def _unfinished(
    folder: Path, picture: Path | None, vehicle: str | None, model: Path | None, out: Report
) -> None:
    """Show the flight of a run whose writing was broken off, and say that it was."""
    log = folder / "flight.parquet"
    _flights([log], picture or folder / "residual.png", vehicle, model, out)
    out.result["unfinished"] = True
    out.line(
        f"{folder}: unfinished, it has no summary.json; fly it again with `neural-lander land`"
    )


def _flights(
    paths: list[Path], picture: Path, vehicle: str | None, model: Path | None, out: Report
) -> None:
    logs = {path.stem: read_flight_log(path) for path in paths}
    rows = [_flight(path, log) for path, log in zip(paths, logs.values(), strict=True)]
    if len(rows) == 1:
        out.table(paths[0].name, ("what", "value"), list(rows[0].items()))
    else:
        out.table("flights", list(FLIGHT.values()), [[row[key] for key in FLIGHT] for row in rows])
    _draw(logs, picture, vehicle, model, out)
    out.result = rows[0] if len(rows) == 1 else rows


def _flight(path: Path, log: FlightLog) -> dict[str, Any]:
    import numpy as np

    time, height, contact = log["time"], log.columns.get("height"), log.columns.get("contact")
    command = log.columns.get("rotor_thrust_command")  # null below: a log need not have these three
    return {
        "flight": path.stem,
        "vehicle": log.metadata.get("vehicle"),
        "source": log.metadata.get("source"),
        "controller": log.metadata.get("controller"),
        "seed": log.metadata.get("seed"),
        "certified": log.metadata.get("certified"),
        "rows": len(log),
        "seconds": float(time[-1] - time[0]),
        "rate_hz": float(1 / np.median(np.diff(time))),
        "height_min_m": None if height is None else float(height.min()),
        "height_max_m": None if height is None else float(height.max()),
        "speed_max_m_s": float(np.linalg.norm(log["velocity"], axis=-1).max()),
        "thrust_median_n": None if command is None else float(np.median(command.sum(axis=-1))),
        "contact_share": None if contact is None else float((contact > 0).mean()),
        "rotor_speed_measured": "rotor_speed" in log,
    }


def _draw(
    logs: dict[str, FlightLog],
    picture: Path,
    vehicle: str | None,
    model: Path | None,
    out: Report,
) -> None:
    from neural_lander.controller.network import load_network
    from neural_lander.learning.residual_plot import plot_residual_over_height

    known = _vehicle(logs, vehicle)
    network = load_network(model, known) if model else None
    out.wrote(plot_residual_over_height(logs, known, picture, network))


def _vehicle(logs: dict[str, FlightLog], given: str | None) -> Vehicle:
    names = sorted({str(log.metadata.get("vehicle")) for log in logs.values()})
    if given is None and len(names) > 1:
        raise InputError(f"the flights are of {', '.join(names)}; inspect one vehicle at a time")
    try:
        return load_vehicle(given or names[0])
    except InputError as error:
        if given is None:
            raise InputError(
                f"the flight is of vehicle '{names[0]}', which does not come with the package; "
                "give its file with --vehicle FILE.toml"
            ) from error
        raise


def _summary(summary: dict[str, Any], folder: Path, out: Report) -> None:
    show_landing(summary, out)


def _comparison(comparison: dict[str, Any], folder: Path, out: Report) -> None:
    if "runs" in comparison:
        show_runs(comparison["runs"], out)
    if "runs" not in comparison or "controllers" in comparison:
        show_seeds(comparison["controllers"], out)
        show_pairs(comparison.get("pairs", []), comparison.get("baseline_is"), out)


def _model(model: dict[str, Any], folder: Path, out: Report) -> None:
    show_model(model, out)
    for file in sorted((folder / "certificates").glob("*.json")):
        certificate = read_json(file)
        out.line(f"{certificate.get('verdict')} for {certificate.get('controller')}: {file}")


def show_model(model: dict[str, Any], out: Report) -> None:
    """Print envelope, slope bounds and scores of a model bundle."""
    bound, units = model["spectral_bound"], {e["name"]: e["unit"] for e in model["inputs"]}
    rows = [("vehicle", model["vehicle"]), ("layers", len(model["layers"]))]
    if "cutoff" in model:
        rows.append(
            ("learned behind [Hz]", f"{model['cutoff']['hz']:g}, {model['cutoff']['chosen']}")
        )
    if "training" in model:
        rows.append(("training", model["training"]["remark"]))
    rows += [
        (f"envelope, {entry['name']} [{entry['unit']}]", model["envelope"].get(entry["name"]))
        for entry in model["inputs"]
    ]
    rows += [("slope bound asked for", bound["asked"]), ("slope bound", bound["dimensionless"])]
    for key, value in bound.items():
        name = next((n for n in units if key.startswith(n)), None)
        if name is not None:
            unit = "N" if units[name] == "1" else f"N/({units[name]})"
            rows.append((f"slope bound in {name} [{unit}]", value))
    out.table("model", ("what", "value"), rows)
    if "split" in model:
        out.line(
            f"{model['split']['kind']}; each flight is judged by a network that has not seen it"
        )
    if "ground_effect" in model:
        out.line(f"ground effect {model['ground_effect']['remark']}")
    show_scores(model["scores"], out)
    if model.get("baselines"):
        show_baselines(model, out)


def show_scores(scores: dict[str, Any], out: Report) -> None:
    """Print the scores of a model by flight, and their mean; say which flights it has seen."""
    seen = [flight["flight"] for flight in scores["flights"] if flight.get("seen")]
    which = "unseen flights" if not seen else "flights"
    flights = [*scores["flights"], {"flight": "mean", **scores["mean"]}]
    out.table(
        f"vertical force on {which}, label against model",
        list(SCORES.values()),
        [[flight.get(key) for key in SCORES] for flight in flights],
    )
    if seen:
        out.line(
            f"learned from, so these scores flatter the model: {', '.join(seen)}; its scores on "
            "unseen flights stand in model.json"
        )


def show_baselines(model: dict[str, Any], out: Report) -> None:
    """Print the network beside what anybody could write down, on the same unseen flights."""
    from neural_lander.learning.score_plot import models_by_name

    models = models_by_name(model)
    bands = [_band(b) for b in model["scores"]["bands"]]
    rows = []
    for name, scores in models.items():
        mean, reach = scores["mean"], scores["interval_95"]
        rows.append(
            [
                name,
                _digits(mean["r2_z_5hz"], 1, 3),
                _interval(reach["r2_z_5hz"], 1, 2),
                mean["rmse_z_5hz_n"],
                _digits(mean["rmse_z_5hz_weight"], 100, 2),
                _interval(reach["rmse_z_5hz_weight"], 100, 2),
                *(_digits(b["rmse_z_5hz_weight"], 100, 2) for b in scores["bands"]),
            ]
        )
    out.table(
        "vertical force on the same unseen flights, behind 5 Hz: mean and 95 % interval over "
        "flights; at the right the RMSE [% of weight] by height [cm]",
        ("model", "R2", "95 %", "RMSE\n[N]", "RMSE\n[%]", "95 %\n[%]", *bands),
        rows,
    )


def _band(band: dict[str, Any]) -> str:
    low, high = band["from_m"], band["to_m"]
    return f"> {100 * low:.0f}" if high is None else f"{100 * low:.0f} to\n{100 * high:.0f}"


def _digits(value: float | None, scale: float, digits: int) -> str | None:
    return None if value is None else f"{scale * value:.{digits}f}"


def _interval(ends: list[float] | None, scale: float, digits: int) -> str | None:
    return None if ends is None else " to ".join(f"{scale * end:.{digits}f}" for end in ends)


def _draw_scores(model: dict[str, Any], picture: Path, out: Report) -> None:
    if model.get("baselines"):
        from neural_lander.learning.score_plot import plot_scores

        out.wrote(plot_scores(model, picture))


def _sweep(sweep: dict[str, Any], folder: Path, out: Report) -> None:
    show_sweep(sweep, out)


def show_sweep(sweep: dict[str, Any], out: Report) -> None:
    """Print the scores on unseen flights over the bound on the slope."""
    rows = []
    for row in sweep["bounds"]:
        bound, mean, reach = row["bound"], row["mean"], row["interval_95"]
        rows.append(
            [
                "none" if bound is None else f"{bound:g}",
                None if bound is None else f"{bound * sweep['per_metre']:.3g}",
                _digits(mean["r2_z_5hz"], 1, 3),
                _interval(reach["r2_z_5hz"], 1, 2),
                mean["rmse_z_5hz_n"],
                _digits(mean["rmse_z_5hz_weight"], 100, 2),
                _digits(mean["rmse_z_5hz_low_weight"], 100, 2),
            ]
        )
    out.table(
        f"vertical force on {len(sweep['bounds'][0]['flights'])} unseen flights over the bound on "
        "the slope, behind 5 Hz",
        ("bound", "weights\na metre", "R2", "95 %", "RMSE\n[N]", "RMSE\n[%]", "below 15 cm\n[%]"),
        rows,
    )
    knee = sweep["knee"]
    out.line(f"knee: {'no bound' if knee is None else f'{knee:g}'}, the {sweep['knee_rule']}")


def _certificate(path: Path, picture: Path | None, out: Report) -> None:
    from neural_lander.controller.certificate import read_certificate

    certificate = read_certificate(path)
    show_certificate(certificate.as_dict(), out)
    if picture is not None:
        from neural_lander.learning.tube_plot import plot_tube

        out.wrote(plot_tube(certificate, picture))
    out.result = certificate.as_dict()


def show_certificate(certificate: dict[str, Any], out: Report) -> None:
    """Print every inequality of a certificate with both its sides, and what the paper would say."""
    out.table(
        f"verdict: {certificate['verdict']}, controller {certificate['controller']}, "
        f"vehicle {certificate['binding'].get('vehicle_name')}",
        ("condition", "axis", "heights", "statement", "left", "right", "margin", "holds"),
        [
            (c["name"], c["axis"], c["bin"], c["statement"], c["lhs"], c["rhs"], c["margin"],
             c["holds"])
            for c in _tightest(certificate["conditions"])
        ],
    )  # fmt: skip
    tube = certificate["tube"]
    if tube is not None and "p_max_m" in tube:
        out.line(_tube_in_words(tube, certificate["error_bounds"]))
        fallback = tube.get("fallback")
        if fallback and fallback["certified"]:
            size = "/".join(f"{100 * p:.3g}" for p in fallback["p_max_m"])
            known = f"; {fallback['assumes']}" if "assumes" in fallback else ""
            out.line(
                f"without the learned force, should the monitor drop it: within {size} cm{known}"
            )
        elif fallback:
            out.line(
                f"without the learned force, should the monitor drop it: not proved ({fallback['fails']})"
            )
        parts = sorted(tube["shares"].items(), key=lambda item: -item[1])[:5]
        out.line("made of " + ", ".join(f"{name} {share:.0%}" for name, share in parts))
    out.table(
        "reported, not proved (the paper's conditions)",
        ("condition", "statement", "left", "right", "holds"),
        [
            (r["name"], r["statement"], r["lhs"], r["rhs"], r["holds"])
            for r in certificate["reported"]
        ],
    )


def _tube_in_words(tube: dict[str, Any], bounds: dict[str, Any]) -> str:
    """Return how wide the tube is, and for what errors."""
    if "xyz" not in tube:
        return (
            f"tube along '{tube['plan']}': height within {100 * tube['p_max_m']:.2f} cm, at rest "
            f"after it {100 * tube['after']['p_m']:.2f} cm, with the learned force off by at most "
            f"{bounds['constant_n']:.3g} N constant + {bounds['changing_n']:.3g} N ({bounds['source']})"
        )

    def triple(values: Sequence[float], scale: float = 1.0) -> str:
        return "/".join(f"{scale * value:.3g}" for value in values)

    deck = tube.get("deck")
    over = (
        ""
        if deck is None
        else f" over decks of at most {deck['swing_m']:.3g} m and {deck['frequency_hz']:.3g} Hz"
    )
    return (
        f"tube along '{tube['plan']}'{over}, x/y/z: within {triple(tube['xyz']['p_max_m'], 100)} cm, "
        f"at rest after it {triple(tube['xyz']['after_p_m'], 100)} cm, with the learned force off by "
        f"at most {triple(bounds['constant_n'])} N constant + {triple(bounds['changing_n'])} N, and the "
        f"real force by {triple(bounds['contract_n'])} N from what the inner loop promises "
        f"({bounds['source']}, each with probability {1 - bounds['alpha']:g}, k = {bounds['rank']})"
    )


def _tightest(conditions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the conditions that fail, then of each statement the one with the least margin."""
    failed = [c for c in conditions if not c["holds"]]
    least: dict[tuple[str, str], dict[str, Any]] = {}
    for c in conditions:
        if c["holds"]:
            key = (c["name"], c["statement"])
            least[key] = min(least.get(key, c), c, key=lambda entry: entry["margin"] or 0.0)
    return failed + list(least.values())
