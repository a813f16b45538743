"""The world's force law held against flights: its own flights fit, and a bad law is called bad."""

import json
from dataclasses import replace

import numpy as np
import pytest

from neural_lander.controller.flight_log import read_flight_log
from neural_lander.controller.residual import ZeroResidual
from neural_lander.learning.dataset import LabelledFlight
from neural_lander.learning.evaluation import scores
from neural_lander.learning.labels import raw_labels, smoothed
from neural_lander.scripts.check_force_model import (
    EXPONENTIAL,
    MODELS,
    STRENGTH,
    WORLD,
    ZERO,
    Scaled,
    fitted_strength,
    main,
    means,
    scored,
    verdict,
)
from neural_lander.sim.collect import collect
from neural_lander.sim.replay import WorldForce
from neural_lander.sim.rollout import Flight, flight_log, run
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.sensors import Sensors


@pytest.fixture(scope="module")
def flights(crazyflie, tmp_path_factory):
    """Two flights of the Crazyflie collected in the world, labelled from what it measured."""
    paths = collect(crazyflie, 2, 20.0, 0, tmp_path_factory.mktemp("flights"))
    raws = [raw_labels(read_flight_log(path), crazyflie) for path in paths]
    return [LabelledFlight(str(i), None, raw, smoothed(raw)) for i, raw in enumerate(raws)]


def remade(flights, vehicle, strength, offsets):
    """Return the flights with labels that are the law times ``strength``, and a constant."""
    made = []
    for flight, offset in zip(flights, offsets, strict=True):
        force = strength * WorldForce(vehicle).force(flight.raw.state) + [0, 0, offset]
        raw = type(flight.raw)(**{**vars(flight.raw), "force": force})
        made.append(LabelledFlight(flight.name, None, raw, smoothed(raw)))
    return made


def test_the_worlds_law_explains_the_worlds_own_flights(flights, crazyflie):
    """Below 15 cm the force, 2 % of weight, is three times what noise makes of it, 0.7 to 1 %."""
    for flight in flights:
        own = scores(WorldForce(crazyflie), flight.raw, crazyflie)
        nothing = scores(ZeroResidual(), flight.raw, crazyflie)
        assert own["rmse_z_5hz_low_n"] < 0.5 * nothing["rmse_z_5hz_low_n"]
        assert own["r2_z_5hz_low"] > nothing["r2_z_5hz_low"] + 1


def test_without_noise_it_explains_all_but_a_hundredth(crazyflie):
    deaf = replace(load_scenario("flat"), sensors=Sensors(accelerometer=False))
    flight = Flight(crazyflie, "observer", deaf)
    quiet = np.zeros((round(6.0 / crazyflie.timing.period), 16))
    rows, _ = run(
        flight, flight.plan, np.random.default_rng(0), (0.0, 0.0, flight.scenario.start_height),
        (0.0, 0.0, 0.0), 0.3, 6.0, True, quiet,
    )  # fmt: skip
    raw = raw_labels(flight_log(rows, flight, 0), crazyflie)
    assert scores(WorldForce(crazyflie), raw, crazyflie)["r2_z_5hz"] > 0.99
    wrong = scores(Scaled(WorldForce(crazyflie), 0.7), raw, crazyflie)["r2_z_5hz"]
    assert wrong < 0.95


def test_a_strength_is_found_whatever_constant_a_flight_has(flights, crazyflie):
    made = remade(flights, crazyflie, 1.7, (0.01, -0.02))
    found = fitted_strength(WorldForce(crazyflie), made, crazyflie)
    assert found == pytest.approx(1.7, abs=0.02)  # 1 %: a law of filtered heights
    assert scores(Scaled(WorldForce(crazyflie), found), made[0].raw, crazyflie)["r2_z_5hz"] > 0.999


def test_the_lowest_centimetres_are_not_fitted(flights, crazyflie):
    assert min(f.raw.height.min() for f in flights) < 0.02
    assert min(f.raw.height.min() for f in scored(flights, crazyflie)) > 0.02


def averages(world, zero, strength=(0.6, 1.3), exponential=0.7):
    r2 = {WORLD: world[0], ZERO: zero[0], STRENGTH: strength[0], EXPONENTIAL: exponential}
    error = {WORLD: world[1], ZERO: zero[1]}
    rows = [
        {
            "flight": "f", "vehicle": "crazyflie", "model": name, "r2_z_5hz": r2.get(name, 0.0),
            "rmse_z_5hz_weight": error.get(name, 0.02),
            "strength": strength[1] if name == STRENGTH else None,
        }
        for name in MODELS
    ]  # fmt: skip
    return means([*rows, *({**r, "vehicle": "crazyflie-large"} for r in rows)])


def test_a_law_worse_than_none_is_said_to_explain_nothing():
    bad = verdict(averages(world=(-0.4, 0.031), zero=(-0.1, 0.027)))
    assert "explains nothing" in bad
    assert "(R2 -0.40): its error is 3.10 % of weight, that of no force at all 2.70 %" in bad
    good = verdict(averages(world=(0.5, 0.017), zero=(-0.1, 0.027)))
    assert "explains R2 0.50 of the real vertical force" in good


def test_the_verdict_says_whether_strength_or_shape_is_wrong():
    shape = verdict(averages((0.55, 0.017), (-0.1, 0.027), strength=(0.57, 1.3)))
    assert "1.30 times as strong" in shape
    assert "more is wrong with its shape than with its strength" in shape
    strength = verdict(averages((0.3, 0.017), (-0.1, 0.027), strength=(0.69, 2.0)))
    assert "its shape is not what is wrong" in strength


def started(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["check_force_model", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code, capsys.readouterr()


def test_without_the_folder_of_flights_it_ends_with_status_2(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("NEURAL_LANDER_DATA", raising=False)
    code, said = started(monkeypatch, capsys, "--out", tmp_path / "out")
    assert code == 2
    assert "error: NEURAL_LANDER_DATA is not set" in said.err
    assert not (tmp_path / "out").exists()


def test_a_folder_without_flights_ends_with_status_2(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("NEURAL_LANDER_DATA", str(tmp_path))
    code, said = started(monkeypatch, capsys, "--out", tmp_path / "out")
    assert code == 2
    assert "holds 0 flights of crazyflie" in said.err
    assert not (tmp_path / "out").exists()


def test_real_flights_are_scored_unseen_and_drawn(data_folder, monkeypatch, capsys, tmp_path):
    code, said = started(monkeypatch, capsys, "--out", tmp_path / "out", "--json")
    assert code in (0, None)
    report = json.loads(said.out)
    rows = report["rows"]
    assert len(rows) == 7 * len(MODELS)
    assert (tmp_path / "out/force_model.png").read_bytes().startswith(b"\x89PNG")
    world = [r for r in rows if r["model"] == WORLD]
    assert all(np.isfinite(r["r2_z_5hz"]) and r["samples_low"] > 0 for r in world)
    fitted = [r["strength"] for r in rows if r["strength"] is not None]
    assert len(set(fitted)) == 7  # each flight's was fitted without it
    assert f"R2 {np.mean([r['r2_z_5hz'] for r in world]):.2f}" in report["verdict"]


def test_the_table_prints_every_flight(data_folder, monkeypatch, capsys, tmp_path):
    code, said = started(monkeypatch, capsys, "--out", tmp_path / "out")
    assert code in (0, None)
    assert "dc21_takeoff_s_cf51_00" in said.out
    assert "mean of all" in said.out
    assert "…" not in said.out  # nothing cut off at the width of a terminal
