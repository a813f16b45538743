"""What a bound on the slope costs: the error on unseen flights over the bound.

For each bound L, networks are learned from all flights but some, kept apart in turns, and judged by
those; no bound at all is the last. The knee is the smallest bound that is about as good as the best:

    rmse(L) <= (1 + KNEE) min over L' of rmse(L')

The paper trained with one bound and never showed this trade.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from neural_lander.controller.files import write_json, write_whole
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.dataset import held_out_splits
from neural_lander.learning.evaluation import summary
from neural_lander.learning.fitting import Progress, Task, fit_networks, thinning
from neural_lander.learning.residual_plot import COLOURS, STYLE
from neural_lander.learning.settings import TrainingSettings
from neural_lander.learning.training import held_out_scores, labelled

BOUNDS: tuple[float | None, ...] = (0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, None)
"""Bounds tried, dimensionless inputs to force over weight."""

KNEE = 0.03
"""A bound whose error is within this share of the least is about as good."""


def sweep(
    paths: Sequence[Path],
    vehicle: Vehicle,
    settings: TrainingSettings,
    out: Path,
    progress: Progress | None = None,
    bounds: Sequence[float | None] = BOUNDS,
) -> dict[str, Any]:
    """Score networks of each bound on unseen flights; write ``sweep.json`` and ``sweep.png``.

    Raises:
        InputError: a log cannot be used, the device is absent, or the loss diverges.
    """
    tell = progress or (lambda share, phrase: None)
    tell(0.0, "reading flights")
    flights, cutoff = labelled(paths, vehicle, settings)
    splits = held_out_splits(flights, settings.folds, settings.seed)
    tasks = [Task(s.train, bound, settings.seed) for bound in bounds for s in splits]
    fits = fit_networks(
        tasks, vehicle, settings, thinning(cutoff["hz"]), lambda s, text: tell(0.05 + 0.9 * s, text)
    )
    rows = []
    for i, bound in enumerate(bounds):
        own = fits[i * len(splits) : (i + 1) * len(splits)]
        models = [f.network for f in own]
        rows.append({"bound": bound, **summary(held_out_scores(splits, models, vehicle))})
    errors = [row["mean"]["rmse_z_5hz_n"] for row in rows]
    knee = next(
        r["bound"] for r, e in zip(rows, errors, strict=True) if e <= (1 + KNEE) * min(errors)
    )
    result: dict[str, Any] = {
        "vehicle": vehicle.name,
        "unit": "dimensionless inputs to force over weight",
        "per_metre": 1 / vehicle.rotors.radius,
        "knee": knee,
        "knee_rule": f"smallest bound whose RMSE is within {KNEE:.0%} of the least",
        "bounds": rows,
        "cutoff": cutoff,
        "settings": asdict(settings),
    }
    picture = plot_sweep(result, out / "sweep.png")
    result["picture"] = str(picture)
    write_json(out / "sweep.json", result)
    tell(1.0, f"wrote {out}")
    return result


def plot_sweep(result: dict[str, Any], out: Path) -> Path:
    """Draw R^2 and RMSE over the bound into ``out`` (PNG) and a PDF beside it; return ``out``."""
    import matplotlib
    from matplotlib.figure import Figure

    rows, per_metre = result["bounds"], result["per_metre"]
    given = [row["bound"] for row in rows if row["bound"] is not None]
    free = 3 * max(given) if given else 1.0
    x = np.array([row["bound"] or free for row in rows])
    names = [flight["flight"] for flight in rows[0]["flights"]]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.5), layout="constrained", dpi=200)
        panels = figure.subplots(1, 2)
        for axes, key, scale, label in (
            (panels[0], "r2_z_5hz", 1.0, "$R^2$ on unseen flights"),
            (panels[1], "rmse_z_5hz_weight", 100.0, "RMSE on unseen flights [% of weight]"),
        ):
            for k, name in enumerate(names):
                values = [_scaled(row["flights"][k][key], scale) for row in rows]
                colour = COLOURS[k % len(COLOURS)]
                axes.plot(x, values, ".-", ms=3.5, lw=0.7, color=colour, alpha=0.8, label=name)
            mean = [_scaled(row["mean"][key], scale) for row in rows]
            axes.plot(x, mean, "o-", color="black", ms=4.5, lw=1.8, label="mean", zorder=4)
            axes.set_xscale("log")
            ticks = [*given, free]
            axes.set_xticks(ticks, [*(f"{b:g}" for b in given), "none"])
            axes.minorticks_off()
            axes.tick_params(axis="x", labelsize=8)
            axes.set_xlabel("bound $L$ on the slope, dimensionless")
            axes.set_ylabel(label)
            top = axes.secondary_xaxis("top")
            top.set_xticks(given, [f"{b * per_metre:.2g}" for b in given])
            top.minorticks_off()
            top.tick_params(labelsize=7)
            top.set_xlabel("worth, in weights per metre of height", fontsize=8)
            axes.axvline(result["knee"] or free, color="black", lw=0.8, ls=":", label="knee")
        worst = min(v for row in rows if (v := row["mean"]["r2_z_5hz"]) is not None)
        panels[0].set_ylim(bottom=max(worst - 0.3, -0.5))
        panels[0].legend(fontsize=6.5, loc="lower right")
        write_whole(out, lambda path: figure.savefig(path, format="png"))
        metadata = {"CreationDate": None}  # the same figures give the same bytes
        write_whole(
            out.with_suffix(".pdf"),
            lambda path: figure.savefig(path, format="pdf", metadata=metadata),
        )
    return out


def _scaled(value: float | None, scale: float) -> float:
    return float("nan") if value is None else scale * value
