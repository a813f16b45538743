"""Comparing counts every landing, failures too, and draws what it compares."""

from dataclasses import replace
from pathlib import Path

import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.compare import compare_runs, summarise_seeds
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.run_folder import read_run, write_run
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.seeds import Case, fly_seeds

AERO, FLAT = load_vehicle("intel-aero"), load_scenario("flat")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neural_lander.sim.run_folder.draw_landing", lambda *_: None)
        for name in ("pd", "observer"):
            write_run(folder / name, fly(Flight(AERO, name, FLAT), 0))
    return [folder / "pd", folder / "observer"]


def test_a_run_survives_the_round_trip(runs):
    log, summary = read_run(runs[1])
    again = fly(Flight(AERO, "observer", FLAT), 0)
    assert (log["truth_position"] == again.log["truth_position"]).all()
    same = {k: v for k, v in again.summary.items() if k != "real_time_factor"}
    assert {k: v for k, v in summary.items() if k != "real_time_factor"} == same


def test_a_comparison_is_a_picture_a_vector_file_and_a_table(runs, tmp_path):
    result = compare_runs(runs, tmp_path)
    assert [row["controller"] for row in result["runs"]] == ["pd", "observer"]
    for name in ("comparison.png", "comparison.pdf", "comparison.json"):
        assert (tmp_path / name).stat().st_size > 1000
    assert (tmp_path / "comparison.png").read_bytes()[:4] == b"\x89PNG"


def test_runs_of_different_kinds_are_not_compared(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("neural_lander.sim.run_folder.draw_landing", lambda *_: None)
    write_run(tmp_path / "other", fly(Flight(AERO, "observer", FLAT, "exponential"), 0))
    with pytest.raises(InputError, match="differ in reference"):
        compare_runs([runs[0], tmp_path / "other"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


CHANGES = {
    "the vehicle's file": {"vehicle": replace(AERO, body=replace(AERO.body, mass=1.2))},
    "the scenario's file": {"scenario": replace(FLAT, after=FLAT.after + 0.5)},
    "the reference's motion": {"scenario": FLAT, "reference": "fastest", "touchdown_speed": 0.2},
    "the engine": {"engine": "pybullet"},
}


@pytest.mark.parametrize("what", CHANGES)
def test_runs_that_differ_behind_one_name_are_not_compared(what, tmp_path, monkeypatch):
    monkeypatch.setattr("neural_lander.sim.run_folder.draw_landing", lambda *_: None)
    reference = "fastest" if what == "the reference's motion" else "s-curve"
    usual = {"vehicle": AERO, "scenario": FLAT, "reference": reference, "engine": "hybrid"}
    for name, change in (("pid", {}), ("observer", CHANGES[what])):
        write_run(tmp_path / name, fly(Flight(controller=name, **usual | change), 0))
    with pytest.raises(InputError, match=f"differ in {what}"):
        compare_runs([tmp_path / "pid", tmp_path / "observer"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(InputError, match="is no run"):
        compare_runs([tmp_path], tmp_path / "out")


def test_failures_and_refusals_are_counted_not_dropped():
    cases = [Case(name, "flat", Flight(AERO, name, FLAT)) for name in ("pd", "observer")]
    rows = fly_seeds([*cases, Case("learned", "flat", "no certificate")], range(3)).rows
    table = {row["controller"]: row for row in summarise_seeds(rows)}
    assert [table[name]["landings"] for name in ("pd", "observer", "learned")] == [3, 3, 3]
    assert table["pd"]["landed"] == 0
    assert table["pd"]["touchdown_speed_m_s"] is None
    assert table["pd"]["terminal_z_error_m"]["n"] == 3
    assert table["observer"]["landed"] == 3
    assert table["learned"]["refused"] == 3
