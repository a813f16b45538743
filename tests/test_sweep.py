import json
from itertools import pairwise

import pytest

from neural_lander.controller.flight_log import write_flight_log
from neural_lander.learning.score_plot import models_by_name, plot_scores
from neural_lander.learning.sweep import KNEE, plot_sweep, sweep
from neural_lander.learning.training import TrainingSettings, train

from .vertical_flight import vertical_flight


@pytest.fixture(scope="module")
def paths(tmp_path_factory, intel_aero):
    folder = tmp_path_factory.mktemp("flights")
    found = [folder / f"f{i}.parquet" for i in range(3)]
    for i, path in enumerate(found):
        write_flight_log(path, vertical_flight(intel_aero, seed=i, seconds=15, noise=1.0))
    return found


def test_too_tight_a_bound_costs_and_the_knee_is_where_it_stops(tmp_path, paths, intel_aero):
    settings = TrainingSettings(epochs=30, device="cpu")
    told = []
    result = sweep(
        paths, intel_aero, settings, tmp_path, lambda s, text: told.append(s), (0.003, 0.1, 0.3)
    )
    assert json.loads((tmp_path / "sweep.json").read_text()) == json.loads(json.dumps(result))
    assert (tmp_path / "sweep.png").stat().st_size > 10_000
    errors = {r["bound"]: r["mean"]["rmse_z_5hz_n"] for r in result["bounds"]}
    assert errors[0.003] > 1.5 * errors[0.1]
    assert result["knee"] == next(
        b for b, e in errors.items() if e <= (1 + KNEE) * min(errors.values())
    )
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)
    again = plot_sweep(result, tmp_path / "again.png")
    assert again.read_bytes() == (tmp_path / "sweep.png").read_bytes()


def test_the_scores_of_a_bundle_are_drawn_beside_the_baselines(tmp_path, paths, intel_aero):
    settings = TrainingSettings(epochs=3, device="cpu")
    model = train(paths, intel_aero, settings, tmp_path / "model")
    models = models_by_name(model)
    assert next(iter(models)) == "network"
    assert set(models) == {"network", *model["baselines"]}
    for summary in models.values():  # all of them on the same flights and rows
        assert [(f["flight"], f["samples"]) for f in summary["flights"]] == [
            (f["flight"], f["samples"]) for f in model["scores"]["flights"]
        ]
        edges = [(b["from_m"], b["to_m"]) for b in summary["bands"]]
        assert all(high == low for (_, high), (low, _) in pairwise(edges))
    picture = plot_scores(model, tmp_path / "scores.png")
    assert picture.stat().st_size > 10_000
    assert picture.with_suffix(".pdf").stat().st_size > 5_000
