"""Controllers × scenarios × seeds: the same bytes on one process or two, and clear refusals."""

import json
from pathlib import Path

import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.scripts.cli import main
from neural_lander.sim.compare import (
    SPREADS,
    compare_runs,
    compare_seeds,
    same_seeds,
    statistics_of,
)
from neural_lander.sim.gate import FlightOptions
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.run_folder import write_run
from neural_lander.sim.scenario import load_scenario

from .test_pairs import row

OPTIONS = FlightOptions("intel-aero", "flat", "s-curve", "rotor", engine="hybrid")
NAMES = ("pd", "observer", "oracle")


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Figures have their own tests, and take a second each."""
    monkeypatch.setattr("neural_lander.sim.compare.draw_paper", lambda *_: [])
    monkeypatch.setattr("neural_lander.sim.compare.draw_comparison", lambda *_: [])
    monkeypatch.setattr("neural_lander.sim.run_folder.draw_landing", lambda *_: None)


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> tuple[Path, dict, list[str]]:
    folder, said = tmp_path_factory.mktemp("one"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neural_lander.sim.compare.draw_paper", lambda *_: [])
        result = compare_seeds(
            OPTIONS, NAMES, ("flat", "hover-low"), range(3, 7), folder, lambda _, t: said.append(t)
        )
    return folder, result, said


def test_two_processes_give_the_bytes_of_one(compared, tmp_path):
    folder, _, _ = compared
    compare_seeds(OPTIONS, NAMES, ("flat", "hover-low"), range(3, 7), tmp_path, workers=2)
    names = sorted(f.name for f in folder.iterdir())
    assert names == sorted(f.name for f in tmp_path.iterdir())
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_everything_stands_in_the_json(compared):
    folder, result, _ = compared
    assert json.loads((folder / "comparison.json").read_text()) == result
    assert result["baseline"] == {"flat": "observer", "hover-low": "observer"}
    assert result["seeds"] == [3, 6]
    assert len(result["landings"]) == 3 * 2 * 4
    assert [(e["scenario"], e["controller"]) for e in result["controllers"]] == [
        (s, n) for s in ("flat", "hover-low") for n in NAMES
    ]
    assert [(e["scenario"], e["controller"]) for e in result["pairs"]] == [
        (s, n) for s in ("flat", "hover-low") for n in ("pd", "oracle")
    ]


def test_a_landing_of_the_table_is_the_landing_of_its_seed(compared):
    row = next(r for r in compared[1]["landings"] if r["controller"] == "oracle" and r["seed"] == 5)
    alone = fly(
        Flight(load_vehicle("intel-aero"), "oracle", load_scenario("flat"), engine="hybrid"), 5
    )
    same = {k: v for k, v in alone.summary.items() if k != "real_time_factor"}
    assert row == same | {"refused": None}


def test_progress_says_rate_and_time_left(compared):
    assert len(compared[2]) == 6
    assert "landings/s" in compared[2][0]
    assert compared[2][-1].endswith("0:00 left")


def test_runs_of_the_same_seeds_are_paired_and_others_are_not(tmp_path):
    folders = []
    for name in ("pid", "observer"):
        for seed in (0, 1):
            flight = Flight(
                load_vehicle("intel-aero"), name, load_scenario("flat"), engine="hybrid"
            )
            folders.append(tmp_path / f"{name}-{seed}")
            write_run(folders[-1], fly(flight, seed))
    result = compare_runs(folders, tmp_path / "c", "pid", paper=True)
    assert (result["baseline"], result["baseline_is"]) == ({"flat": "pid"}, "given")
    assert result["pairs"][0]["pairs"] == 2
    assert "pairs" not in compare_runs(folders[:3], tmp_path / "d")
    with pytest.raises(InputError, match="same two or more seeds"):
        compare_runs(folders[:3], tmp_path / "d", "pid")
    with pytest.raises(InputError, match="--baseline is 'pd'"):
        compare_runs(folders, tmp_path / "e", "pd")


def test_each_scenario_has_its_own_strongest_baseline():
    errors = {
        ("flat", "pid"): 1,
        ("flat", "observer"): 2,
        ("gust", "pid"): 9,
        ("gust", "observer"): 2,
    }
    rows = [
        row(controller, seed, 1e-3 * z, scenario=scenario, outcome="landed", touched=True)
        for (scenario, controller), z in errors.items()
        for seed in range(3)
    ]
    for each in rows:
        each.update(dict.fromkeys(SPREADS), z_rmse_m=each["z_rmse_m"], cut_in_air=False)
    found = statistics_of(rows)
    assert found["baseline"] == {"flat": "pid", "gust": "observer"}
    assert [(e["controller"], e["baseline"]) for e in found["pairs"]] == [
        ("observer", "pid"),
        ("pid", "observer"),
    ]
    assert [e["z_rmse_m"]["losses"] for e in found["pairs"]] == [3, 3]


def test_pairs_need_the_same_seeds_each_once():
    rows = [{"controller": c, "seed": s} for c in "ab" for s in (0, 1)]
    assert same_seeds(rows)
    assert not same_seeds(rows[:3])
    assert not same_seeds([*rows, rows[0]])
    assert not same_seeds([rows[0], rows[2]])


BAD = [
    (("--controllers", "pd,pid", "--baseline", "observer"), "--baseline is 'observer'"),
    (("--controllers", "pd", "--seeds", "4"), "--seeds is the single seed 4"),
    (("--controllers", "pd", "--seeds", "-1:4"), "expected A:B with 0 <= A < B"),
    (("--controllers", "pd", "--seeds", "0:99999999999"), "fly more with `neural-lander campaign`"),
    (("--controllers", "pd", "--seeds", f"0:{10**30}"), "expected A:B with 0 <= A < B"),
    (("--controllers", "pd", "--vehicle", "intel-hero"), "vehicle 'intel-hero' is unknown"),
    (("--controllers", "pd", "--aero", "storm"), "aerodynamics 'storm' is unknown"),
    (("--controllers", "pd", "--reference", "slow"), "reference 'slow' is unknown"),
    (("gone",), "gone: is no run"),
    (("--controllers", "pd", "--scenario", "moon"), "scenario 'moon' is unknown"),
    (("--controllers", "pd", "--scenario", "flat,flat"), "--scenario is 'flat,flat'"),
    (("--controllers", "pd", "--scenario", "flat,"), "--scenario is 'flat,'"),
    (("--controllers", "pd", "--video"), "--video animates runs"),
    (("--controllers", "pd", "--workers", "0"), "workers"),
    (("--controllers", "learned"), "needs a model"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_what_cannot_be_compared_is_said_before_anything_flies(
    options, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("neural_lander.sim.compare.fly_seeds", None)
    with pytest.raises(SystemExit) as end:
        main(["compare", *options, "--out", "c"])
    assert end.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_two_scenario_files_of_one_name_do_not_mix(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text('name = "same"\ndescription = "x"\n')
    files = [str(tmp_path / f"{name}.toml") for name in ("a", "b")]
    with pytest.raises(InputError, match="two of them have one name"):
        compare_seeds(OPTIONS, ["pd"], files, range(2), tmp_path / "c")
