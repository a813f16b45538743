"""The search for the worst case, the cluster, and the verb that starts them."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.scripts.cli import main
from neural_lander.sim.campaign import run
from neural_lander.sim.campaign.climb import Climb
from neural_lander.sim.campaign.folder import FOUND, REPORT, SEARCH
from neural_lander.sim.campaign.run import Crew, fly_campaign
from neural_lander.sim.campaign.search import search
from neural_lander.sim.run_folder import read_run

from .campaign_cases import TEXT, fly_all, rows_in, spec_in, write_spec

WINDY = """
[search]
points = 18
seeds = 1
[[parameter]]
field = "wind.steady[0]"
distribution = "uniform"
low = -6.0
high = 6.0
[[parameter]]
field = "vehicle.mass_share"
distribution = "uniform"
low = -0.1
high = 0.6
"""
ONE = TEXT.replace('["pd", "observer"]', '["pd"]')


def climbed(toy, dimensions: int, budget: int, seed: int) -> tuple[np.ndarray, float, list]:
    """Return the worst point found of a function, how bad it is, and all points tried."""
    climb, tried = Climb(dimensions, budget, seed), []
    while not climb.done:
        asked = climb.ask()
        assert all(x.shape == (dimensions,) and (x >= 0).all() and (x <= 1).all() for x in asked)
        tried += [(toy(x), x) for x in asked]
        climb.tell([toy(x) for x in asked])
    assert len(tried) == climb.tried <= budget
    badness, at = max(tried, key=lambda pair: pair[0])
    return at, badness, tried


@pytest.mark.parametrize("corner", [(0, 0, 0), (1, 0, 1), (1, 1, 1)])
def test_the_search_finds_the_corner_where_a_function_is_worst(corner: tuple[int, ...]) -> None:
    def toy(x: np.ndarray) -> float:
        return float(-np.abs(x - np.array(corner)).sum())

    at, badness, _ = climbed(toy, 3, 400, seed=1)
    np.testing.assert_allclose(at, corner, atol=0.02)
    by_chance = max(toy(x) for x in np.random.default_rng(1).random((400, 3)))
    assert badness > by_chance


def test_the_search_works_along_a_single_parameter() -> None:
    at, _, _ = climbed(lambda x: -abs(float(x[0]) - 0.9), 1, 150, seed=2)
    assert at[0] == pytest.approx(0.9, abs=0.01)


@pytest.mark.campaign
def test_the_search_begins_anew_where_it_has_drawn_together() -> None:
    """Two hills: the lower one is wide and near the middle, the higher one a twentieth wide."""

    def toy(x: np.ndarray) -> float:
        far = float(((x - 0.9) ** 2).sum())
        return float(np.exp(-((x - 0.4) ** 2).sum() / 0.08) + 2 * np.exp(-far / 0.005))

    found = [climbed(toy, 2, 3000, seed)[1] for seed in range(3)]
    assert max(found) > 1.9


def test_the_same_seed_asks_for_the_same_points_whoever_else_draws() -> None:
    def toy(x: np.ndarray) -> float:
        np.random.default_rng()
        return float(x.sum())

    first = climbed(toy, 2, 60, seed=3)[2]
    np.random.seed(5)  # noqa: NPY002
    again = climbed(toy, 2, 60, seed=3)[2]
    np.testing.assert_array_equal([x for _, x in first], [x for _, x in again])
    other = climbed(toy, 2, 60, seed=4)[2]
    assert not np.array_equal([x for _, x in first], [x for _, x in other])


def test_a_search_finds_worse_than_the_middle_saves_its_run_and_goes_on(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("neural_lander.sim.run_folder.draw_landing", lambda *_: None)
    spec, out = spec_in(tmp_path, ONE + WINDY), tmp_path / "out"
    (found,) = search(spec, out, Crew(1))
    assert found["landings"] == 18
    assert found["worst"] > found["start"]
    _, summary = read_run(out / found["run"])
    assert summary["z_max_error_m"] is not None
    assert json.loads((out / FOUND).read_text())["cells"] == [found]
    shards = sorted((out / SEARCH).glob("*.parquet"))
    assert len(shards) == 3  # rounds of six points
    with pytest.raises(InputError, match="--resume"):
        search(spec, out, Crew(1))
    shards[-1].unlink()
    shards[1].unlink()
    flown: list[int] = []

    class Counting(Crew):
        def fly(self, chunks):
            for rows in super().fly(chunks):
                flown.append(len(rows))
                yield rows

    assert search(spec, out, Counting(1), resume=True) == [found]
    assert sum(flown) == 12


def test_a_search_needs_parameters(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"add \[\[parameter\]\]"):
        search(spec_in(tmp_path), tmp_path / "out", Crew(1))
    assert not (tmp_path / "out").exists()


def test_dask_flies_the_same_bytes_and_says_where_nobody_answers(
    tmp_path: Path, monkeypatch
) -> None:
    """A cluster in this process, of one worker with two threads: it has one world all the same."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(run.chunks_of, "__defaults__", (1,))
    spec = spec_in(tmp_path)
    rows = fly_all(spec, tmp_path / "here")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        flown = fly_campaign(spec, tmp_path / "there", Crew(dask=cluster.scheduler_address))
    assert flown.landings == 6
    assert rows_in(tmp_path / "there") == rows
    monkeypatch.setattr("neural_lander.sim.campaign.cluster.PATIENCE", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense", "http://127.0.0.1:9"):
        with pytest.raises(InputError, match="no scheduler answers there"):
            fly_campaign(spec, tmp_path / "nowhere", Crew(dask=address))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.campaign
def test_two_dask_workers_fly_the_same_bytes_and_one_may_die(tmp_path: Path, monkeypatch) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(run.chunks_of, "__defaults__", (1,))
    spec = spec_in(tmp_path, TEXT.replace("0:3", "0:40"))
    rows = fly_all(spec, tmp_path / "here")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        killed = []

        def told(share: float, _phrase: str) -> None:
            if share > 0.2 and not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        fly_campaign(spec, tmp_path / "there", Crew(dask=cluster.scheduler_address), told=told)
    assert killed
    assert rows_in(tmp_path / "there") == rows


def test_the_verb_flies_reports_and_goes_on(tmp_path: Path, capfd) -> None:
    path, out = write_spec(tmp_path, ONE.replace("0:3", "0:1")), tmp_path / "out"
    arguments = ["campaign", str(path), "--out", str(out), "--workers", "1", "--json"]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    told = json.loads(capfd.readouterr().out)
    assert not end.value.code
    assert (told["landings"], told["flown"], told["workers_died"]) == (1, 1, 0)
    assert told["groups"][0]["lines"][0]["controller"] == "pd"
    assert Path(told["report"]) == out / REPORT
    for extra, message in (
        ([], "go on with --resume"),
        (["--resume", "--dask", "tcp://x:1"], "not both"),
    ):
        with pytest.raises(SystemExit) as end:
            main([*arguments, *extra])
        assert end.value.code == 2
        assert message in capfd.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "--resume"])
    assert json.loads(capfd.readouterr().out)["flown"] == 0
    with pytest.raises(SystemExit):
        main(["inspect", str(out), "--json"])
    (cell,) = json.loads(capfd.readouterr().out)["cells"]
    counted = [cell[key] for key in ("controller", "landings", "crashed", "refused", "errors")]
    assert counted == ["pd", 1, 0, 0, 0]


def test_an_interrupted_verb_says_how_to_go_on(tmp_path: Path, capfd, monkeypatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("neural_lander.scripts.cli_campaign.fly_campaign", interrupt)
    with pytest.raises(SystemExit) as end:
        main(["campaign", str(write_spec(tmp_path, ONE)), "--out", str(tmp_path / "out")])
    assert end.value.code == 130
    assert "--resume" in capfd.readouterr().err
