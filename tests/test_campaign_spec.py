"""A campaign's file: what it may say, and what it is told where it says something else."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from neural_lander.controller.errors import InputError
from neural_lander.sim.campaign.distributions import (
    LATIN_HYPERCUBE,
    RANDOM,
    SOBOL,
    Parameter,
    changed,
    draw_shares,
    points,
)
from neural_lander.sim.campaign.run import require_flyable
from neural_lander.sim.campaign.spec import read_spec
from neural_lander.sim.scenario import load_scenario

from .campaign_cases import TEXT, spec_in

MASS = """
[[parameter]]
field = "vehicle.mass_share"
distribution = "uniform"
low = -0.1
high = 0.1
"""

BAD = [
    ("colour = 1", "colour is unknown"),
    ("controllers = []", "controllers is []"),
    ('controllers = ["pd", "pd"]', "expected a list of different names"),
    ('vehicle = "intel-hero"', "vehicle 'intel-hero' is unknown"),
    ('scenarios = ["gone"]', "scenario 'gone' is unknown"),
    ('scenarios = ["gone.toml"]', "gone.toml: cannot be read"),
    ('aero = ["storm.safetensors"]', "storm"),
    ('seeds = "5:5"', "seeds is '5:5', expected"),
    ('seeds = "3"', "seeds is '3', expected"),
    ("seeds = []", "seeds is [], expected"),
    ("seeds = [1, 1]", "list of different seeds"),
    ("seeds = [-1]", "seeds is [-1]"),
    ("seeds = [true]", "seeds is [True]"),
    ('baseline = "pid"', "baseline is 'pid', expected one of controllers"),
    ('engine = "warp"', "engine is 'warp'"),
    ('reference = "straight"', "reference 'straight' is unknown"),
    ("touchdown_speed = true", "touchdown_speed is True"),
    ("uncertified = 1", "uncertified is 1"),
    ('sampling = "grid"', "sampling is 'grid'"),
    ('sampling = "sobol"', "nothing to sample"),
    ("sampling_seed = -1", "sampling_seed is -1"),
    ("model = 3", "model is 3"),
    ('model = {storm = "m"}', "model.storm is of no aerodynamics"),
    ("parameter = 3", "write [[parameter]]"),
    ("search = 3", "write [search]"),
    ("search = {budget = 3}", "budget is unknown"),
    ("search = {points = 0}", "points is 0"),
    ("search = {seeds = 4}", "seeds is 4"),
    ('seeds = "0:100000000000"', "at most 10000000 in one campaign; fly several"),
    (f"seeds = [{2**63}]", 'expected "A:B" with 0 <= A < B'),
    ('vehicle = "a\\u0000.toml"', "expected text"),
    ('scenarios = ["a\\u0000.toml"]', "expected a list of different names"),
    ("touchdown_speed = [0.1]", "expected a number from 0 to 1000"),
    ('sampling = "sobol"\n' + MASS, "seeds has 3; take 4"),
    (MASS + MASS, "two [[parameter]] tables"),
    (MASS.replace("vehicle.mass_share", "vehicle.luck"), "'vehicle.luck', which is unknown"),
    (MASS.replace("vehicle.mass_share", "wind.steady"), "expected wind.steady[0]"),
    (MASS.replace("vehicle.mass_share", "wind.steady[3]"), "wind.steady[2]"),
    (MASS.replace("vehicle.mass_share", "sensors.colour"), "which is unknown"),
    (MASS.replace("vehicle.mass_share", "deck.heave").replace("-0.1", "0.01"), "no table [deck]"),
    (MASS.replace("uniform", "cauchy"), "distribution is 'cauchy'"),
    (MASS.replace("high = 0.1", ""), "high is None, expected a number"),
    (MASS.replace("high = 0.1", "high = nan"), "high is nan"),
    (MASS.replace("high = 0.1", "high = 9"), "both from -0.9 to 5"),
    (MASS.replace("high = 0.1", "high = -0.1"), "expected low < high"),
    (MASS + "mean = 0", "mean is unknown; uniform takes low, high"),
    (MASS.replace("uniform", "log-uniform"), "expected more than 0 for log-uniform"),
    (MASS.replace("uniform", "normal") + "mean = 0\ndeviation = 0", "deviation is 0"),
    (MASS.replace("uniform", "normal") + "mean = 1\ndeviation = 1", "mean is 1"),
    (MASS.replace('distribution = "uniform"', ""), "add distribution"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_a_bad_spec_is_refused_by_key(line: str, message: str, tmp_path: Path) -> None:
    key = line.split(" =")[0]
    kept = [old for old in TEXT.splitlines() if old.split(" =")[0] != key]
    with pytest.raises(InputError, match=r".") as refusal:
        require_flyable(spec_in(tmp_path, "\n".join([*kept, line])))
    assert message in str(refusal.value)


def test_unknown_controllers_and_missing_models_are_refused_before_any_landing(tmp_path) -> None:
    for name, message in (("hope", "'hope' is unknown"), ("learned", "needs a model")):
        spec = spec_in(tmp_path, TEXT.replace('"observer"', f'"{name}"'))
        with pytest.raises(InputError, match=message):
            require_flyable(spec)


def test_the_example_in_the_documents_can_be_flown() -> None:
    spec = read_spec(Path(__file__).parents[1] / "docs" / "campaign.toml")
    require_flyable(spec)
    assert spec.landings == 4 * 2 * 64
    assert spec.points.shape == (64, 2)


def test_every_key_is_needed_or_has_a_default(tmp_path: Path) -> None:
    require_flyable(spec_in(tmp_path))
    for key in ("vehicle", "controllers", "scenarios", "seeds"):
        kept = [line for line in TEXT.splitlines() if line.split(" =")[0] != key]
        with pytest.raises(InputError, match=key):
            spec_in(tmp_path, "\n".join(kept))


def test_two_scenarios_of_one_name_are_refused(tmp_path: Path) -> None:
    twin = (tmp_path / "x").with_name("twin.toml")
    text = TEXT.replace('["short.toml"]', '["short.toml", "twin.toml"]')
    with pytest.raises(InputError, match="two called 'short'"):
        spec_in(tmp_path, text, twin='name = "short"\ndescription = "again"\n')
    assert twin.is_file()


def test_a_model_may_be_one_for_each_aerodynamics(tmp_path: Path) -> None:
    text = TEXT + 'aero = ["rotor", "none"]\nmodel = {rotor = "m1", none = "m2"}\n'
    models = {cell.aero: cell.options.model for cell in spec_in(tmp_path, text).cells}
    assert models == {"rotor": tmp_path / "m1", "none": tmp_path / "m2"}


@pytest.mark.parametrize("sampling", [LATIN_HYPERCUBE, SOBOL])
def test_a_spread_sample_has_one_point_in_every_stripe(sampling: str) -> None:
    n = 64
    u = draw_shares(sampling, 3, range(n), seed=5)
    for column in u.T:
        assert sorted((column * n).astype(int)) == list(range(n))
    assert np.abs(np.corrcoef(u.T) - np.eye(3)).max() < 0.4
    np.testing.assert_array_equal(u, draw_shares(sampling, 3, range(n), seed=5))
    assert (u != draw_shares(sampling, 3, range(n), seed=6)).all()


def test_sobol_is_even_in_pairs_of_parameters_too() -> None:
    u = draw_shares(SOBOL, 2, range(64), seed=1)
    counts, *_ = np.histogram2d(u[:, 0], u[:, 1], bins=8, range=[[0, 1], [0, 1]])
    assert (counts == 1).all()


def test_a_random_point_depends_on_its_own_seed_alone() -> None:
    few, many = draw_shares(RANDOM, 2, [3, 9], 7), draw_shares(RANDOM, 2, range(12), 7)
    np.testing.assert_array_equal(few, many[[3, 9]])
    u = draw_shares(RANDOM, 1, range(400), 7)[:, 0]
    assert stats.kstest(u, "uniform").pvalue > 0.01
    # independent draws leave stripes empty, unlike a hypercube's
    assert len(set((u * 400).astype(int))) < 300


def test_a_point_says_nothing_of_the_start_it_flies_from() -> None:
    """``fly`` draws the start's offsets first of all from ``default_rng(seed)``."""
    for seed in range(3):
        starts = [np.random.default_rng(s).uniform(-1, 1, 3) for s in range(40)]
        u = draw_shares(RANDOM, 3, range(40), seed)
        assert (np.abs((np.array(starts) + 1) / 2 - u) > 1e-6).all()


@pytest.mark.parametrize(
    ("parameter", "distribution"),
    [
        (Parameter("a", "uniform", -2, 3), stats.uniform(-2, 5)),
        (Parameter("a", "log-uniform", 0.01, 10), stats.loguniform(0.01, 10)),
        (
            Parameter("a", "normal", -1, 2, 0.5, 0.7),
            stats.truncnorm(-1.5 / 0.7, 1.5 / 0.7, 0.5, 0.7),
        ),
    ],
)
def test_values_follow_their_distribution(parameter: Parameter, distribution) -> None:
    u = np.linspace(0.001, 0.999, 51)
    np.testing.assert_allclose(parameter.values(u), distribution.ppf(u), rtol=1e-9, atol=1e-12)
    ends = parameter.values(np.array([0.0, 1.0]))
    np.testing.assert_allclose(ends, [parameter.low, parameter.high], rtol=1e-12)


def test_the_marginals_of_a_hypercube_are_those_asked_for() -> None:
    p = Parameter("a", "normal", -3, 3, 0.0, 1.0)
    x = points([p], draw_shares(LATIN_HYPERCUBE, 1, range(256), 2))[:, 0]
    # an even sample of n points is nearer to its distribution than 1 / n everywhere
    assert stats.kstest(x, stats.truncnorm(-3, 3).cdf).statistic <= 1 / 256 + 1e-12


def test_a_point_changes_the_scenario_in_its_fields_alone() -> None:
    flat = load_scenario("flat")
    other = changed(flat, {"vehicle.mass_share": 0.1})
    assert other.vehicle == load_scenario("heavy").vehicle
    assert changed(other, {"vehicle.mass_share": 0.0}) == flat
    windy = changed(flat, {"wind.steady[1]": 2.0, "vehicle.thrust_shares[3]": -0.2, "hover": 1.0})
    assert windy.wind.steady == (0.0, 2.0, 0.0)
    assert windy.vehicle.thrust_shares == (0.0, 0.0, 0.0, -0.2)
    assert windy.hover == 1.0
    assert math.isclose(windy.start_height, flat.start_height)
    with pytest.raises(InputError, match="lower it, or raise start_height"):
        changed(flat, {"target_height": 2.0})
