"""The Gymnasium environment flies what ``land`` flies, keeps Gymnasium's promises, and ends rightly."""

import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from neural_lander.controller.errors import InputError
from neural_lander.controller.touchdown import CUT
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.env import ID, LandingEnv, LandingVectorEnv
from neural_lander.sim.observation import CLIP, SIZE, TABLE
from neural_lander.sim.reward import BEST
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.steering import ACTIONS

LOW = """
name = "low"
description = "a landing from low"
start_height = 0.3
hover = 0.5
after = 2.0
"""


@pytest.fixture(scope="session")
def low(tmp_path_factory):
    """The path of a scenario that takes 4 s instead of 10."""
    path = tmp_path_factory.mktemp("scenario") / "low.toml"
    path.write_text(LOW)
    return str(path)


def flown(env, seed, action):
    """Fly a whole episode with what ``action`` makes of the step; return what was seen."""
    observation, info = env.reset(seed=seed)
    seen, rewards = [observation], []
    for k in range(100_000):
        observation, reward, terminated, truncated, info = env.step(action(k))
        seen.append(observation)
        rewards.append(reward)
        if terminated or truncated:
            return np.array(seen), np.array(rewards), terminated, truncated, info["summary"]
        assert "summary" not in info
    raise AssertionError("the flight never ended")


def still(size):
    return lambda k: np.zeros(size, np.float32)


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_gymnasium_and_stable_baselines_find_nothing(low, action, recwarn):
    env = gymnasium.make(ID, scenario=low, action=action, render_mode="rgb_array")
    check_env(env.unwrapped)
    checker = pytest.importorskip(
        "stable_baselines3.common.env_checker", reason="stable-baselines3 is not installed"
    )
    checker.check_env(env.unwrapped, skip_render_check=False)
    env.close()
    env.close()
    assert [str(w.message) for w in recwarn if "neural" in str(w.message).lower()] == []


@pytest.mark.parametrize("nominal", ["pd", "observer"])
def test_a_residual_of_zero_is_the_nominal_controllers_flight_to_the_last_bit(low, nominal):
    env = LandingEnv(scenario=low, nominal=nominal)
    _, _, _, _, summary = flown(env, 7, still(3))
    landing = fly(
        Flight(load_vehicle("intel-aero"), nominal, load_scenario(low), engine="hybrid"), 7
    )
    assert len(env.log) == len(landing.log)
    for name, column in landing.log.columns.items():
        np.testing.assert_array_equal(env.log[name], column, err_msg=name)
    differs = {k for k in landing.summary if landing.summary[k] != summary.get(k)}
    assert differs == {"controller", "real_time_factor"}


def test_a_steady_residual_pushes_where_it_says(low):
    """0.1 of weight up against the pd law's stiffness is a known rise, in the axes of the heading."""
    up, ahead = LandingEnv(scenario=low), LandingEnv(scenario=low)
    up.reset(seed=1)
    ahead.reset(seed=1)
    for _ in range(45):  # 0.45 s: still in hover
        a = up.step(np.array([0, 0, 0.5], np.float32))[0]
        b = ahead.step(np.array([0.5, 0, 0], np.float32))[0]
    assert a[2] - b[2] > 0.05
    assert b[0] - a[0] > 0.05
    assert abs(a[1] - b[1]) < 0.02


def test_the_same_seed_is_the_same_flight_and_another_is_not(low):
    env = LandingEnv(scenario=low, action="rotor_thrusts")
    rng = np.random.default_rng(0)
    actions = rng.uniform(-0.2, 0.2, (2000, 4)).astype(np.float32)
    first = flown(env, 3, lambda k: actions[k])
    again = flown(env, 3, lambda k: actions[k])
    other = flown(env, 4, lambda k: actions[k])
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0][0], other[0][0])
    one, _ = env.reset(seed=3)
    two, _ = env.reset()
    assert not np.array_equal(one, two), "without a seed it is a new flight"


def test_a_flight_without_a_seed_has_an_accelerometer_of_its_own(low):
    """At rest in hover all that differs between two flights is what chance gave each."""
    env = LandingEnv(scenario=low, nominal="observer")

    def felt(seed):
        env.reset(seed=seed)
        for _ in range(10):
            env.step(np.zeros(3, np.float32))
        return env.log["specific_force"], env.log["truth_velocity"]

    def noise(seed):
        force, speed = felt(seed)
        change = np.diff(speed, axis=0) / 0.002 + [0, 0, 9.81]
        return force[1:] - change

    first, second, third = noise(3), noise(None), noise(None)
    assert np.abs(first - second).max() > 0.05
    assert np.abs(second - third).max() > 0.05
    np.testing.assert_array_equal(first, noise(3))
    np.testing.assert_array_equal(second, noise(None))


def test_a_landing_is_terminated_and_a_hover_is_truncated(low):
    _, _, terminated, truncated, summary = flown(
        LandingEnv(scenario=low, nominal="observer"), 0, still(3)
    )
    assert (terminated, truncated) == (True, False)
    assert summary["landed"]
    env = LandingEnv(scenario=low, action="residual")
    up = np.array([0, 0, 0.6], np.float32)
    _, _, terminated, truncated, summary = flown(env, 0, lambda k: up)
    assert (terminated, truncated) == (False, True)
    assert not summary["motors_cut"]
    assert env.log["time"][-1] == pytest.approx(env.batch.plan.end + 2.0, abs=0.006)


def test_rotors_that_stop_crash_and_earn_nothing_at_the_end(low):
    env = LandingEnv(scenario=low, action="rotor_thrusts")
    _, rewards, terminated, truncated, summary = flown(env, 0, lambda k: -np.ones(4, np.float32))
    assert (terminated, truncated) == (True, False)
    assert summary["crashed"]
    assert rewards[-1] == 0


def test_a_vehicle_that_rolls_over_is_terminated(low):
    env = LandingEnv(scenario=low, action="rates")
    roll = np.array([0.3, 1, 0, 0], np.float32)
    _, _, terminated, _, summary = flown(env, 0, lambda k: roll)
    assert terminated
    assert "60 degrees" in summary["crash_reason"] or "legs" in summary["crash_reason"]


def test_one_that_flies_away_is_terminated(low):
    env = LandingEnv(scenario=low, action="rates")
    full = np.array([1, 0, 0, 0], np.float32)
    _, _, terminated, _, summary = flown(env, 0, lambda k: full)
    assert terminated
    assert summary["crash_reason"] == "farther than 3 m from its set-point"
    assert env.log["truth_position"][-1, 2] > 3.0


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_observations_stay_in_their_space_and_returns_between_0_and_100(low, action):
    env = LandingEnv(scenario=low, action=action)
    rng = np.random.default_rng(1)
    size = env.action_space.shape
    for seed, scale in ((0, 0.1), (1, 1.0)):
        seen, rewards, *_ = flown(
            env,
            seed,
            lambda k, most=scale: rng.uniform(-most, most, size).astype(np.float32),
        )
        assert all(env.observation_space.contains(x) for x in seen)
        assert np.abs(seen).max() <= CLIP
        assert rewards.min() >= 0
        assert rewards.sum() <= BEST


def test_a_better_landing_is_worth_more(low):
    """Observer over pd, pd that hangs over a crash; and a landing over hovering where it should be."""
    returns = [
        flown(LandingEnv(scenario=low, nominal=nominal), 2, still(3))[1].sum()
        for nominal in ("observer", "pd")
    ]
    crash = flown(
        LandingEnv(scenario=low, action="rotor_thrusts"), 2, lambda k: -np.ones(4, np.float32)
    )
    assert returns[0] > returns[1] > crash[1].sum()


def test_the_observation_is_what_is_measured_and_no_truth(low):
    env = LandingEnv(scenario=low, action="rates")
    env.reset(seed=5)
    for _ in range(20):
        observation, *_ = env.step(np.array([0.1, 0.2, -0.1, 0.5], np.float32))
    env.step(np.zeros(4, np.float32))  # its row is written now
    row = 20 * 5
    log = env.log
    off = log["position"][row] - log["setpoint_position"][row]
    assert observation[2] == pytest.approx(off[2] / 0.1, rel=1e-5)
    assert np.hypot(*observation[:2]) == pytest.approx(np.hypot(*off[:2]) / 0.1, rel=1e-5)
    np.testing.assert_allclose(observation[9:12], log["rate"][row], rtol=1e-5)
    assert observation[22] == pytest.approx(log["height"][row], rel=1e-5)
    np.testing.assert_allclose(observation[25:], [0.1, 0.2, -0.1, 0.5])
    assert np.abs(log["position"][row] - log["truth_position"][row]).max() > 0
    assert sum(entries for _, entries, _ in TABLE) == SIZE == len(observation)
    for what, _, scale in TABLE:
        assert what in " ".join((LandingEnv.__doc__ or "").split())
        assert scale in (LandingEnv.__doc__ or "")


def test_nothing_is_seen_or_decided_once_the_motors_are_cut(low):
    env = LandingEnv(scenario=low, nominal="observer")
    flown(env, 0, still(3))
    cut = np.flatnonzero(env.log["phase"] == CUT)
    assert len(env.log) - cut[0] == pytest.approx(0.3 / 0.002, abs=1)
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(3, np.float32))


def test_two_in_one_process_do_not_disturb_each_other(low):
    alone = flown(LandingEnv(scenario=low, nominal="observer"), 4, still(3))
    one, two = (LandingEnv(scenario=low, nominal=n) for n in ("observer", "pd"))
    one.reset(seed=4)
    two.reset(seed=9)
    for k in range(1, len(alone[0])):
        observation, reward, *_ = one.step(np.zeros(3, np.float32))
        if k % 3 and two._under_way:
            two.step(np.full(3, 0.1, np.float32))
        np.testing.assert_array_equal(observation, alone[0][k])
        assert reward == alone[1][k - 1]
    two.close()
    fly(Flight(load_vehicle("intel-aero"), "pd", load_scenario(low), engine="hybrid"), 0)
    np.testing.assert_array_equal(flown(one, 4, still(3))[0], alone[0])


@pytest.mark.parametrize("mode", ["sync", "async", "vector_entry_point"])
def test_many_are_as_many_alone(low, mode):
    envs = gymnasium.make_vec(
        ID, 3, vectorization_mode=mode, scenario=low, nominal="observer", action="residual"
    )
    alone = [
        flown(LandingEnv(scenario=low, nominal="observer"), 10 + i, still(3)) for i in range(3)
    ]
    observation, _ = envs.reset(seed=10)
    ended = np.zeros(3, bool)
    for k in range(1, max(len(a[0]) for a in alone)):
        before = observation
        observation, reward, terminated, truncated, info = envs.step(np.zeros((3, 3), np.float32))
        for i, (seen, rewards, *_) in enumerate(alone):
            if k < len(seen):
                np.testing.assert_array_equal(observation[i], seen[k])
                assert reward[i] == rewards[k - 1]
                assert (terminated | truncated)[i] == (k == len(seen) - 1)
            elif k == len(seen):
                assert reward[i] == 0, "this step begins a new flight"
                assert not np.array_equal(observation[i], before[i])
        ended |= terminated | truncated
    assert ended.all()
    envs.close()
    envs.close()


def test_it_survives_pickling(low):
    env = LandingEnv(scenario=low, nominal="observer", frame_skip=10)
    copy = pickle.loads(pickle.dumps(env))
    a, b = flown(env, 1, still(3)), flown(copy, 1, still(3))
    np.testing.assert_array_equal(a[0], b[0])
    assert len(a[0]) < 250, "an action every 20 ms"


def test_a_picture_shows_the_vehicle_and_changes_nothing(low):
    plain = flown(LandingEnv(scenario=low, nominal="observer"), 1, still(3))
    env = LandingEnv(scenario=low, nominal="observer", render_mode="rgb_array")
    observation, _ = env.reset(seed=1)
    pictures = [env.render()]
    for k in range(1, len(plain[0])):
        observation, *_ = env.step(np.zeros(3, np.float32))
        np.testing.assert_array_equal(observation, plain[0][k])
        if k % 50 == 0:
            pictures.append(env.render())
    pictures.append(env.render())
    assert all(p.shape == (240, 320, 3) and p.dtype == np.uint8 for p in pictures)
    assert (pictures[0] != pictures[-1]).any()
    assert len(np.unique(pictures[0].reshape(-1, 3), axis=0)) > 2, "floor, sky and vehicle"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"action": "thrust"}, "action 'thrust' is unknown; take one of rotor_thrusts, rates, residual"),
        ({"nominal": "oracle"}, "nominal is 'oracle', expected one of pd, pid, textbook, observer"),
        ({"frame_skip": 0}, "frame_skip is 0, expected a whole number of control periods, 1 to 100"),
        ({"frame_skip": 2.5}, "frame_skip is 2.5"),
        ({"render_mode": "human"}, "render_mode is 'human', expected None or 'rgb_array'"),
        ({"scenario": "mars"}, "scenario 'mars' is unknown"),
        ({"reference": "slow"}, "reference 'slow' is unknown"),
        ({"vehicle": "kite"}, "kite"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(wrong, said):
    with pytest.raises(InputError, match=said):
        LandingEnv(**wrong)


def test_wrong_actions_and_batches_are_named(low):
    env = LandingEnv(scenario=low)
    env.reset(seed=0)
    with pytest.raises(InputError, match="expected 1 x 3 finite numbers"):
        env.step(np.array([0, np.nan, 0]))
    with pytest.raises(InputError, match="expected 1 x 3 finite numbers"):
        env.step(np.zeros(4))
    with pytest.raises(InputError, match="a batch of 0 flights"):
        LandingVectorEnv(0, scenario=low)
    with pytest.raises(InputError, match="draws no pictures"):
        LandingVectorEnv(2, scenario=low, render_mode="rgb_array")
    with pytest.raises(ResetNeeded):
        LandingVectorEnv(2, scenario=low).step(np.zeros((2, 3)))
