"""Learns the residual force from flights, and writes a model bundle.

The model is learned from all flights; so are, for comparison in flight, a network without bound in a
bundle of its own beside it, and the textbook's radius. How far the model can be trusted is asked of
others, learned the same way from all but some flights, kept apart in turns until each flight was
unseen once; what anybody could write down is scored on the same flights. Nothing is selected by the
flights kept apart: the one figure that is read off all flights is the low pass's corner, from a
coarse grid.

It stops early when the loss finds no new low, says when it never left a plateau, and stops with a
message when the loss diverges. An interrupted
training, started again with the same flights and settings, goes on where it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from neural_lander.controller.model_parts import UNBOUNDED
from neural_lander.controller.residual import ResidualModel
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.bandwidth import LOST, chosen_cutoff, force_lost
from neural_lander.learning.baselines import (
    NAMES,
    fit_baselines,
    fit_ground_effect_law,
    parameters,
)
from neural_lander.learning.bundle import write_bundle
from neural_lander.learning.checkpoint import Checkpoint
from neural_lander.learning.dataset import (
    LabelledFlight,
    Split,
    held_out_splits,
    label_flights,
    measured_digest,
    samples,
)
from neural_lander.learning.evaluation import scores, summary
from neural_lander.learning.fitting import Fitted, Progress, Task, fit_networks, thinning
from neural_lander.learning.height_dependence import height_dependence
from neural_lander.learning.settings import TrainingSettings

__all__ = ["TrainingSettings", "train"]

PAPER_RHO_QUANTILE = 0.95
"""The paper's rho bounds |u_k - u_{k-1}| / |s|; we report this quantile of it."""

FREE = "network without bound"
"""Name of the baseline that is a network of the same size, with any slope."""

Scores = list[dict[str, Any]]


def train(
    paths: Sequence[Path],
    vehicle: Vehicle,
    settings: TrainingSettings,
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Learn a model from flight logs, write its bundle to ``out``, and return its ``model.json``.

    ``progress`` is told the share done and a phrase. On a CPU the same logs, settings and seed
    give the same bytes.

    Raises:
        InputError: a log cannot be used, the device is absent, or the loss diverges.
    """
    tell = progress or (lambda share, phrase: None)
    tell(0.0, "reading flights")
    flights, cutoff = labelled(paths, vehicle, settings)
    splits = held_out_splits(flights, settings.folds, settings.seed)
    every = thinning(cutoff["hz"])
    bounds = [settings.lipschitz] + [None] * (settings.baselines and settings.lipschitz is not None)
    tasks = [Task(tuple(flights), settings.lipschitz, settings.seed)]
    tasks += [Task(s.train, bound, settings.seed) for bound in bounds for s in splits]

    def told(share: float, phrase: str) -> None:
        tell(0.1 + 0.7 * share, phrase)

    def told_last(share: float, phrase: str) -> None:
        tell(0.8 + 0.1 * share, phrase)

    digests = {p.name: measured_digest(f.log) for p, f in zip(paths, flights, strict=True)}
    what = {"flights": digests, "vehicle": vehicle.digest, "settings": asdict(settings)}
    checkpoint = Checkpoint(out, what)
    model, *others = fit_networks(tasks, vehicle, settings, every, told, checkpoint)
    inner: Fitted | None = None
    if len(bounds) > 1:
        whole = [Task(tuple(flights), None, settings.seed)]
        at = len(tasks)
        (inner,) = fit_networks(whole, vehicle, settings, every, told_last, checkpoint, at)
    own = held_out_scores(splits, [f.network for f in others[: len(splits)]], vehicle)
    compared: dict[str, Any] = {}
    if settings.baselines:
        tell(0.9, "scoring what anybody could write down")
        compared = baseline_scores(splits, vehicle, settings, every)
        free = others[len(splits) :] or others
        free_scores = held_out_scores(splits, [f.network for f in free], vehicle)
        compared[FREE] = _in_short(free_scores)
    law = fit_ground_effect_law(samples(flights, every), vehicle)
    about: dict[str, Any] = {
        "training_logs": digests,
        "split": _split_in_words(splits, len(flights)),
        "cutoff": cutoff,
        "offsets_n": {
            flight.name: (offset * vehicle.weight).tolist()
            for flight, offset in zip(flights, model.offsets, strict=True)
        },
        "training": model.how_it_went(),
        "ground_effect": height_dependence([f.smooth for f in flights], vehicle).as_dict(),
        "scores": summary(own),
        "baselines": compared,
        "textbook": {"radius_m": law.radius, "fitted": "least squares on all flights"},
        **_error_estimate(summary(own)),
        "paper_rho": paper_rho(flights, vehicle),
        "settings": asdict(settings),
    }
    if inner is not None:
        other = {
            key: about[key] for key in ("training_logs", "split", "cutoff", "textbook", "settings")
        }
        other |= {"training": inner.how_it_went(), "scores": summary(free_scores)}
        other |= _error_estimate(other["scores"])
        beside = write_bundle(out / UNBOUNDED, inner.network, vehicle, None, other)
        about["unbounded"] = {"weights_sha256": beside["weights_sha256"]}
    written = write_bundle(out, model.network, vehicle, settings.lipschitz, about)
    checkpoint.remove()
    tell(1.0, f"wrote {out}")
    return written


def labelled(
    paths: Sequence[Path], vehicle: Vehicle, settings: TrainingSettings
) -> tuple[list[LabelledFlight], dict[str, Any]]:
    """Return flights with labels behind the low pass, and how its corner came about."""
    flights = label_flights(paths, vehicle)
    lost = force_lost([flight.raw for flight in flights], vehicle)
    corner = chosen_cutoff(lost) if settings.cutoff_hz is None else settings.cutoff_hz
    how = {
        "hz": corner,
        "chosen": "from the flights" if settings.cutoff_hz is None else "by settings",
        "force_lost_share": {f"{c:g} Hz": share for c, share in lost.items()},
        "force_lost_limit": LOST,
    }
    return [flight.behind(corner) for flight in flights], how


def held_out_scores(
    splits: Sequence[Split], models: Sequence[ResidualModel], vehicle: Vehicle
) -> Scores:
    """Return the scores of each split's model on the flights kept apart from it."""
    return [
        {"flight": flight.name, **scores(model, flight.raw, vehicle)}
        for split, model in zip(splits, models, strict=True)
        for flight in split.validation
    ]


def baseline_scores(
    splits: Sequence[Split], vehicle: Vehicle, settings: TrainingSettings, every: int
) -> dict[str, Any]:
    """Return by name the scores of what anybody could write down, fitted as the networks are."""
    fits = [fit_baselines(split.train, vehicle, settings.inputs, every) for split in splits]
    return {
        name: {
            "parameters": [parameters(fit[name]) for fit in fits],
            **_in_short(held_out_scores(splits, [fit[name] for fit in fits], vehicle)),
        }
        for name in NAMES
    }


def _in_short(flights: Scores) -> dict[str, Any]:
    """Return the summary of scores, without each flight's bands of height."""
    whole = summary(flights)
    short = [{k: v for k, v in flight.items() if k != "bands"} for flight in whole["flights"]]
    return {**whole, "flights": short}


def _split_in_words(splits: Sequence[Split], flights: int) -> dict[str, Any]:
    unit = "flights" if flights > 1 else "blocks in time of the one flight, with a guard"
    return {
        "kind": f"{unit}, kept apart in {len(splits)} turns; the model learned from all",
        "apart": [[flight.name for flight in split.validation] for split in splits],
    }


def _error_estimate(own: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("from_m", "to_m", "rmse_z_5hz_n", "rmse_z_5hz_weight", "interval_95")
    return {
        "error_estimate_n": own["mean"]["rmse_z_5hz_n"],
        "error_estimate_by_height": [{k: band[k] for k in keys} for band in own["bands"]],
        "error_estimate_note": "vertical, unseen flights, 5 Hz; an estimate, certifies nothing",
    }


def paper_rho(flights: Sequence[LabelledFlight], vehicle: Vehicle) -> float | None:
    """Return the 95 % quantile of |T_k - T_{k-1}| / |s_k| [N/(m/s)] over ``flights``.

    T is the commanded collective thrust and s = v~ + Lambda z~ on the vertical axis, both at the
    rows of the logs while the motors run and no leg may touch; None without set-points.
    """
    ratios = []
    for flight in flights:
        log = flight.log
        if "setpoint_position" not in log or "setpoint_velocity" not in log:
            continue
        thrust = log["rotor_thrust_command"].sum(axis=1)
        z_error = log["position"][:, 2] - log["setpoint_position"][:, 2]
        v_error = log["velocity"][:, 2] - log["setpoint_velocity"][:, 2]
        s = np.abs(v_error + vehicle.gains.position[2] * z_error)
        flying = (log["contact"] < 0.5) & (thrust > 0)
        use = flying[1:] & flying[:-1] & (s[1:] > 0)
        ratios.append(np.abs(np.diff(thrust))[use] / s[1:][use])
    values = np.concatenate(ratios) if ratios else np.empty(0)
    return float(np.quantile(values, PAPER_RHO_QUANTILE)) if len(values) else None
