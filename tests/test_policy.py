"""A policy is a controller: in ``land`` it sees and does what it saw and did in the environment."""

import json
import zipfile

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.pilot import is_foreign
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.scripts import cli
from neural_lander.scripts.cli_flight import controllers_of
from neural_lander.sim.env import LandingEnv
from neural_lander.sim.policy import Asked, how_asked
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario

from .pages import draw_pictures

LOW = """
name = "low"
description = "a landing from low"
start_height = 0.3
hover = 0.5
after = 2.0
"""

MINE = """
import numpy as np
from neural_lander.sim.policy import PolicyPilot

WEIGHTS = {size: np.random.default_rng(5).normal(0, 0.02, (size, 29)) for size in (3, 4)}


def act_of(size):
    return lambda observation: np.tanh(WEIGHTS[size] @ observation)


def rates(task):
    return PolicyPilot(task, act_of(4), "rates")


def rotor_thrusts(task):
    return PolicyPilot(task, act_of(4), "rotor_thrusts", frame_skip=1)


def residual(task):
    return PolicyPilot(task, act_of(3), "residual", "observer", 10)


def nothing(task):
    return PolicyPilot(task, lambda observation: np.zeros(3), "residual", "observer")


def wrong(task):
    return PolicyPilot(task, lambda observation: [0.0, 1.0], "rates")
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "low.toml").write_text(LOW)
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


def flight(folder, controller, **more):
    return Flight(
        load_vehicle("intel-aero"), controller, load_scenario(str(folder / "low.toml")), **more
    )


@pytest.mark.parametrize(
    ("action", "nominal", "frame_skip"),
    [("rates", "pd", 5), ("rotor_thrusts", "pd", 1), ("residual", "observer", 10)],
)
def test_a_callable_does_in_land_what_it_does_in_the_environment(
    folder, action, nominal, frame_skip
):
    space: dict[str, object] = {}
    exec(MINE, space)
    env = LandingEnv(
        str(folder / "low.toml"), action=action, nominal=nominal, frame_skip=frame_skip
    )
    act = space["act_of"](env.batch.size)
    observation, _ = env.reset(seed=6)
    over = False
    while not over:
        observation, _, terminated, truncated, _ = env.step(act(observation))
        over = terminated or truncated
    landing = fly(flight(folder, f"{folder}/mine.py:{action}", engine="hybrid"), 6)
    # the environment ends what is lost, and a residual's own observer is felt at the floor: see pilot.py
    until = min(len(env.log), int(np.argmax(np.append(env.log["phase"], 1) > 0)))
    assert until > 250
    for name in (
        "rotor_thrust_command",
        "position",
        "truth_position",
        "truth_attitude",
        "force_command",
    ):
        if name == "force_command" and action == "residual":
            continue  # logged is what four thrusts add up to, not what the law asked for
        np.testing.assert_array_equal(
            env.log[name][:until], landing.log[name][:until], err_msg=name
        )


@pytest.mark.parametrize("where", ["deck", "by range"])
def test_on_a_height_that_no_map_knows_a_zero_residual_flies_as_in_the_environment(folder, where):
    """A marker on a deck or a range finder says how high it is: a pilot that took its own position over
    its own map would hear only itself, and come down on a deck at rest."""
    ranged = folder / "ranged.toml"
    ranged.write_text(LOW + '[sensors]\nheight = "range"\n')
    scenario = "deck" if where == "deck" else str(ranged)
    env = LandingEnv(scenario, action="residual", nominal="observer")
    env.reset(seed=1)
    over = False
    while not over:
        _, _, terminated, truncated, info = env.step(np.zeros(3))
        over = terminated or truncated
    vehicle = load_vehicle("intel-aero")
    landing = fly(
        Flight(vehicle, f"{folder}/mine.py:nothing", load_scenario(scenario), engine="hybrid"), 1
    )
    until = int(np.argmax(env.log["phase"] > 0))
    assert until > 250
    for name in ("rotor_thrust_command", "height", "truth_position", "setpoint_position"):
        np.testing.assert_array_equal(
            env.log[name][:until], landing.log[name][:until], err_msg=name
        )
    ours, theirs = info["summary"], landing.summary
    assert theirs["landed"]
    assert theirs["z_max_error_m"] == pytest.approx(ours["z_max_error_m"], abs=0.002)
    assert theirs["touchdown_speed_m_s"] == pytest.approx(ours["touchdown_speed_m_s"], abs=0.02)


def test_a_saved_policy_flies_land_and_compare(folder, monkeypatch, capsys):
    draw_pictures(monkeypatch, 0)
    sb3 = pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    from neural_lander.sim.policy import save_policy

    env = LandingEnv(str(folder / "low.toml"), nominal="pd", action="residual")
    model = sb3.PPO("MlpPolicy", env, n_steps=16, batch_size=16, seed=0, device="cpu",
                    policy_kwargs={"net_arch": [8]})  # fmt: skip
    model.learn(16)
    path = folder / "policy.zip"
    save_policy(model, path, Asked("residual", "pd"))
    assert how_asked(path) == Asked("residual", "pd")
    observation, _ = env.reset(seed=2)
    for _ in range(100):
        observation, *_ = env.step(model.predict(observation, deterministic=True)[0])
    landing = fly(flight(folder, str(path), engine="hybrid"), 2)
    np.testing.assert_array_equal(
        env.log["rotor_thrust_command"][:500], landing.log["rotor_thrust_command"][:500]
    )
    assert np.abs(env.log["rotor_thrust_command"][250:500] - np.array(
        fly(flight(folder, "pd", engine="hybrid"), 2).log["rotor_thrust_command"][250:500]
    )).max() > 1e-3, "it does something"  # fmt: skip
    assert landing.summary["controller"] == str(path)
    assert landing.summary["force_rmse_low_n"] is None
    common = ["--scenario", str(folder / "low.toml"), "--vehicle", "intel-aero", "--json"]
    with pytest.raises(SystemExit) as ended:
        cli.main(
            [
                "compare",
                "--controllers",
                f"pd,{path}",
                "--seeds",
                "0:2",
                "--out",
                str(folder / "c"),
                *common,
            ]
        )
    assert ended.value.code in (0, None)
    rows = json.loads(capsys.readouterr().out)["controllers"]
    assert [row["controller"] for row in rows] == ["pd", str(path)]
    assert all(row["landings"] == 2 for row in rows)


def test_a_policy_of_another_world_is_refused_before_it_flies(folder):
    sb3 = pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    import gymnasium

    from neural_lander.sim.policy import save_policy

    small = {"n_steps": 16, "batch_size": 16, "device": "cpu", "policy_kwargs": {"net_arch": [8]}}
    own = LandingEnv(str(folder / "low.toml"), action="rates")
    swings = sb3.PPO("MlpPolicy", gymnasium.make("Pendulum-v1"), **small)
    lands = sb3.PPO("MlpPolicy", own, **small)
    lands.save(folder / "plain.zip")
    for name, model, asked, message in (
        (
            "swings",
            swings,
            Asked("rates"),
            r"sees \(3,\) and does \(1,\), expected \(29,\) and \(4,\)",
        ),
        ("lands", lands, Asked("residual"), r"does \(4,\), expected .* and \(3,\).*'residual'"),
        ("typo", lands, Asked("rates", algorithm="POP"), "has no algorithm POP.*like PPO"),
        ("other", lands, Asked("rates", algorithm="SAC"), "SAC cannot load it"),
    ):
        save_policy(model, folder / f"{name}.zip", asked)
        with pytest.raises(InputError, match=message):
            controllers_of(f"pd,{folder / name}.zip")
    with pytest.raises(InputError, match="a model of stable-baselines3 is saved with save_policy"):
        controllers_of(f"{folder}/plain.zip")


def test_settings_of_ppo_are_read_and_refused():
    pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    from neural_lander.sim.ppo import Settings, settings_of

    assert settings_of([]) == Settings()
    found = settings_of(["flights=16", "minibatch=256", "learning_rate=1e-4"])
    assert (found.flights, found.minibatch, found.learning_rate) == (16, 256, 1e-4)
    for given, message in (
        ("flight=16", "NAME=NUMBER with one of flights, steps"),
        ("hidden=8", "NAME=NUMBER with one of"),
        ("flights=many", "expected a whole number for flights"),
        ("flights=0", "flights is 0, expected more than 0"),
        ("minibatch=100", "expected a divisor of flights x steps"),
        ("gamma=1.5", "expected at most 1"),
        ("learning_rate=nan", "learning_rate is nan"),
    ):
        with pytest.raises(InputError, match=message):
            settings_of([given])


def test_training_twice_with_one_seed_gives_one_policy_and_its_curve(folder):
    pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    from neural_lander.sim.env import flight_to_steer
    from neural_lander.sim.ppo import Settings, train

    steered = flight_to_steer(str(folder / "low.toml"), "intel-aero", "rotor", "s-curve", "pd")
    small = Settings(flights=4, steps=16, minibatch=32, epochs=1, hidden=(8,))
    results = []
    for name in ("a.zip", "b.zip"):
        told: list[str] = []
        results.append(
            train(
                steered,
                "residual",
                10,
                3,
                2.0,
                5.0,
                range(900, 902),
                range(910, 913),
                folder / name,
                told.append,
                small,
            )
        )
        assert len(told) == len(results[-1]["curve"]) + 1 >= 3
    for a, b in zip(results[0]["curve"], results[1]["curve"], strict=True):
        assert {k: v for k, v in a.items() if k != "wall_s"} == {
            k: v for k, v in b.items() if k != "wall_s"
        }
        assert a["flown"] == 2
    assert results[0]["fresh"] == results[1]["fresh"]
    assert results[0]["fresh"]["flown"] == 3
    assert results[0]["fresh"]["flown_s"] in [look["flown_s"] for look in results[0]["curve"]]
    with pytest.raises(InputError, match=r"seeds \[901\] chose the policy and are to judge it"):
        train(
            steered, "residual", 10, 3, 2.0, 5.0, range(900, 902), range(901, 903), folder / "c.zip",
            told.append, small,
        )  # fmt: skip
    assert results[0]["flown_s"] == pytest.approx(2.56)  # two rounds of 4 x 16 actions of 20 ms
    weights = []
    for name in ("a.zip", "b.zip"):
        with zipfile.ZipFile(folder / name) as archive:
            weights.append(archive.read("policy.pth"))
    assert len(weights[0]) == len(weights[1])
    assert how_asked(folder / "a.zip") == Asked("residual", "pd", 10)


def test_what_is_no_policy_is_named(folder):
    assert is_foreign("policy.zip")
    with pytest.raises(InputError, match="there is no such file"):
        controllers_of("pd,absent.zip")
    (folder / "text.zip").write_text("no archive")
    with pytest.raises(InputError, match=r"is no policy that neural_lander\.sim\.policy"):
        fly(flight(folder, str(folder / "text.zip")), 0)
    with zipfile.ZipFile(folder / "plain.zip", "w") as archive:
        archive.writestr("data", "{}")
    with pytest.raises(InputError, match="is no policy"):
        how_asked(folder / "plain.zip")
    with pytest.raises(InputError, match="the policy's action is"):
        fly(flight(folder, f"{folder}/mine.py:wrong"), 0)
    with pytest.raises(InputError, match="action 'thrust' is unknown"):
        Asked("thrust")
