"""A run folder holds one flight, whole, or says that it does not."""

import json
import shutil
from pathlib import Path

import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import read_flight_log, write_flight_log
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim import run_folder
from neural_lander.sim.rollout import Flight, Landing, fly
from neural_lander.sim.run_folder import read_run, write_run
from neural_lander.sim.scenario import load_scenario

AERO, FLAT = load_vehicle("intel-aero"), load_scenario("flat")


@pytest.fixture(scope="module")
def landings() -> list[Landing]:
    return [fly(Flight(AERO, "pid", FLAT, engine="hybrid"), seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def written(landings, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, landings[0])
    return folder


@pytest.fixture
def run(written, tmp_path) -> Path:
    """A run to spoil."""
    return Path(shutil.copytree(written, tmp_path / "run"))


def spoil(run: Path, **changes) -> None:
    summary = json.loads((run / "summary.json").read_text()) | changes
    kept = {key: value for key, value in summary.items() if value != "gone"}
    (run / "summary.json").write_text(json.dumps(kept))


@pytest.mark.parametrize("step", ["write_flight_log", "draw_landing", "write_json"])
def test_overwriting_that_is_broken_off_leaves_no_mix_of_two_flights(
    run, landings, monkeypatch, step
):
    def broken_off(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_folder, step, broken_off)
    with pytest.raises(KeyboardInterrupt):
        write_run(run, landings[1])
    with pytest.raises(InputError, match=r"is (an unfinished|no) run .*summary\.json"):
        read_run(run)
    monkeypatch.undo()
    write_run(run, landings[1])
    assert read_run(run)[1]["seed"] == 1


def test_a_summary_beside_the_log_of_another_flight_is_refused(run, landings):
    write_flight_log(run / "flight.parquet", landings[1].log)
    with pytest.raises(InputError, match=r"two flights \(seed is 1 in flight\.parquet, 0 in"):
        read_run(run)


@pytest.mark.parametrize(
    ("key", "value"),
    [("controller", "pd"), ("vehicle", "crazyflie"), ("aero", "none"), ("certified", False)],
)
def test_whatever_both_say_has_to_be_the_same(run, key, value):
    assert read_run(run)
    spoil(run, **{key: value})
    with pytest.raises(InputError, match=f"two flights \\({key} is"):
        read_run(run)


def test_an_empty_summary_is_said_to_lack_a_key(run):
    (run / "summary.json").write_text("{}")
    with pytest.raises(InputError, match=r"summary\.json: controller is missing, expected text"):
        read_run(run)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", "zero", "seed is 'zero', expected a whole number"),
        ("seed", True, "seed is True, expected a whole number"),
        ("crashed", None, "crashed is None, expected true or false"),
        ("landed", "gone", "landed is missing, expected true or false"),
        ("crash_reason", 3, "crash_reason is 3, expected text or null"),
        ("z_rmse_m", "small", "z_rmse_m is 'small', expected a number or null"),
        ("vehicle", ["intel-aero"], "vehicle is .*, expected text"),
    ],
)
def test_a_summary_of_the_wrong_kind_is_named_by_its_key(run, key, value, message):
    spoil(run, **{key: value})
    with pytest.raises(InputError, match=message):
        read_run(run)


def test_a_log_that_no_picture_can_be_drawn_from_is_named(run):
    log = read_flight_log(run / "flight.parquet")
    columns = {name: values for name, values in log.columns.items() if name != "truth_force"}
    write_flight_log(run / "flight.parquet", type(log)(columns, log.metadata))
    with pytest.raises(
        InputError, match=r"flight\.parquet: column truth_residual_force_.* is missing"
    ):
        read_run(run)
