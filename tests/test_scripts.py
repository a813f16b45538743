"""The measuring scripts: bad options are said with status 2, and their own sums are right."""

import importlib
import json
from pathlib import Path

import pytest

from neural_lander.scripts.data_efficiency import ppo_curve, reached_and_kept
from neural_lander.scripts.experiment import over_networks
from neural_lander.scripts.robustness import WORLDS, put_into
from neural_lander.scripts.tune_baselines import SOFT, chosen, cost
from neural_lander.sim.compare import summarise_seeds
from neural_lander.sim.rollout import Flight
from neural_lander.sim.scenario import load_scenario

BAD = [
    ("experiment", ("--out", "x", "--vehicle", "intel-hero"), "vehicle 'intel-hero' is unknown"),
    ("experiment", ("--out", "x", "--seeds", "many"), "--seeds is 'many'"),
    ("experiment", ("--out", "x", "--aero", "rotor", "gone.safetensors"), "gone.safetensors"),
    ("experiment", ("--out", "x", "--controllers", "pd,hope"), "controller 'hope' is unknown"),
    ("experiment", ("--out", "x", "--train-seeds", "0"), "--train-seeds is 0"),
    ("experiment", ("--out", "x", "--train-seed", "-1"), "--train-seed is -1"),
    ("experiment", ("--out", "file"), "file: is no folder"),
    ("tune_baselines", ("--vehicle", "gone.toml"), "gone.toml: cannot be read"),
    ("tune_baselines", ("--seeds", "5:5"), "--seeds is '5:5'"),
    ("tune_baselines", ("--aero", "storm"), "storm"),
    ("tune_baselines", ("--out", "file/below.toml"), "is no folder"),
    ("benchmark", ("--repeats", "0"), "--repeats is 0"),
    ("check_force_model", ("--out", "file"), "file: is no folder"),
    ("leave_one_flight_out", ("--seeds", "0"), "--seeds is 0"),
    ("identification_coverage", ("--vehicles", "-1"), "--vehicles is -1"),
    ("identification_coverage", ("--aero", "storm"), "storm"),
    ("matrix", ("--out", "file"), "file: is no folder"),
    ("matrix", ("--out", "x", "--workers", "0"), "--workers"),
    ("matrix", ("--out", "x", "--vehicle", "intel-hero"), "vehicle 'intel-hero' is unknown"),
    ("matrix", ("--out", "x", "--aero", "rotor", "storm"), "aerodynamics 'storm' is unknown"),
    ("matrix", ("--out", "x", "--scenarios", "flat,moon"), "scenario 'moon' is unknown"),
    ("kill_campaign", ("--out", "file"), "file: is no folder"),
    ("kill_campaign", ("--out", "x", "--kills", "0"), "--kills"),
    (
        "peer_landings",
        ("--out", "x", "--peers", "Gazebo"),
        "--peers has 'Gazebo', expected RotorPy",
    ),
]


@pytest.mark.parametrize(("script", "arguments", "message"), BAD)
def test_bad_options_are_said_with_status_2_and_nothing_is_written(
    script: str,
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("precious")
    monkeypatch.setattr("sys.argv", [script, *arguments])
    with pytest.raises(SystemExit) as end:
        importlib.import_module(f"neural_lander.scripts.{script}").main()
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert "error: " in err
    assert message in err
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


def row(**figures: float | bool | None) -> dict[str, object]:
    """Return a soft landing without error."""
    return {
        "controller": "learned", "refused": None, "landed": True, "crashed": False,
        "outcome": "landed",
        "touched": True, "cut_in_air": False, "z_rmse_m": 0.0, "terminal_z_error_m": 0.0,
        "touchdown_speed_m_s": 0.1, "contact_speed_max_m_s": 0.1, "rise_after_contact_m": 0.0,
        "z_max_error_m": 0.0, "force_rmse_low_n": 0.0, "landing_time_s": 4.0, "xy_end_m": 0.0,
        "final_height_m": 0.0, **figures,
    }  # fmt: skip


def test_a_soft_landing_costs_its_errors_alone() -> None:
    assert cost([row()])["score"] == 0
    assert cost([row(z_rmse_m=0.004, terminal_z_error_m=-0.003)])["score"] == pytest.approx(0.007)


@pytest.mark.parametrize(
    ("worse", "score"),
    [
        ({"landed": False, "touchdown_speed_m_s": None, "contact_speed_max_m_s": None}, 0.050),
        ({"touchdown_speed_m_s": SOFT + 0.05}, 0.005),
        ({"contact_speed_max_m_s": 0.31}, 0.050),
        ({"rise_after_contact_m": 0.006}, 0.050),
    ],
)
def test_each_way_of_landing_badly_has_its_price(worse: dict[str, float], score: float) -> None:
    assert cost([row(**worse)])["score"] == pytest.approx(score)
    assert cost([row(**worse), row()])["score"] == pytest.approx(score / 2)


def test_chosen_is_the_smallest_gain_that_is_nearly_the_best() -> None:
    assert chosen({10: 9.0, 20: 7.3, 30: 7.0, 40: 7.1}) == 20
    assert chosen({10: 9.0, 20: 7.4, 30: 7.0, 40: 7.1}) == 30


def test_several_networks_show_their_range_and_lose_no_flight() -> None:
    entries = [
        summarise_seeds([row(z_rmse_m=r) for r in errors])[0]
        for errors in ([0.001, 0.002, 0.003], [0.004, 0.005, 0.006], [0.010, 0.011, 0.012])
    ]
    together, *each = over_networks(entries, range(7, 10))
    assert together["landings"] == together["landed"] == together["touched"] == 9
    assert together["z_rmse_m"]["median"] == {"value": 0.005, "low": 0.002, "high": 0.011}
    assert together["z_rmse_m"]["n"] == 9
    assert together["landed_share"]["value"] == 1
    assert [entry["train_seed"] for entry in each] == [7, 8, 9]
    assert [entry["z_rmse_m"]["median"]["value"] for entry in each] == [0.002, 0.005, 0.011]


def test_a_flight_put_into_a_gust_or_made_heavy_is_that_of_the_bundled_scenario(intel_aero):
    flat = Flight(intel_aero, "pd", load_scenario("flat"))
    assert (
        put_into(flat, WORLDS["gust of 4 m/s"]).scenario.wind.gust
        == load_scenario("gust").wind.gust
    )
    for world, name in (("mass + 10 %", "heavy"), ("one rotor - 10 %", "weak-rotor")):
        assert put_into(flat, WORLDS[world]).real == load_scenario(name).vehicle


def test_ppo_has_reached_the_mark_where_fresh_seeds_and_every_later_look_say_so(
    tmp_path: Path,
) -> None:
    def look(seconds: float, good: int) -> dict[str, float]:
        return {"flown_s": seconds, "good": good, "flown": 32}

    path = tmp_path / "curve.json"
    for later, fresh, reached in ((32, 32, 20.0), (32, 12, None), (0, 32, None)):
        looks = [look(10, 0), look(20, 32), look(30, later)]
        path.write_text(json.dumps({"curve": looks, "fresh": look(20, fresh)}))
        curve, found = ppo_curve(path)
        assert [at["flown_s"] for at in curve] == [10, 20, 20, 30]
        assert reached_and_kept(curve, found) == reached
