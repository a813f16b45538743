"""A beam that looks down: how far it goes, over what, and what a controller makes of it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.terrain import FLAT, Surface, Terrain
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.physics import ROTOR, world_record
from neural_lander.sim.range_finder import height_by_range, ray_length, seen_range
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.sensors import Sensors

AERO = load_vehicle("intel-aero")
TABLE = Terrain((Surface(-0.6, 0.0, 0.6, 0.6, 0.75),))
"""Its edge is at x = 0."""
LEVEL = (0.0, 0.0, 0.0, 1.0)
DOWN = (0.0, 0.0, -1.0)


def world(ground=FLAT, **sensors):
    w = world_record(AERO, ROTOR, ground=ground, sensors=Sensors(range_finder=True, **sensors))
    return w.view(np.recarray)[0]


def tilted(angle, axis="y"):
    return tuple(Rotation.from_euler(axis, angle).as_quat())


def flown(sensors, scenario="flat", controller="observer", seed=0, **more):
    s = replace(load_scenario(scenario), sensors=sensors, **more)
    return fly(Flight(AERO, controller, s, engine="hybrid"), seed)


@pytest.mark.parametrize("angle", [0.0, 0.1, -0.4])
def test_over_a_floor_it_is_height_over_the_cosine_of_tilt(angle):
    seen = seen_range.py_func(world(), (0.3, 0.2, 1.5), tilted(angle), 0.0)
    assert seen == pytest.approx(1.5 / math.cos(angle), rel=1e-12)


def test_over_an_edge_it_sees_what_is_under_the_beam_not_under_the_vehicle():
    """1 m over the table's top and 1 cm beside its edge: tilted by 0.1 rad it looks 10 cm aside."""
    w, p = world(TABLE), (0.01, 0.0, 1.75)
    assert seen_range.py_func(w, p, LEVEL, 0.0) == pytest.approx(1.75)
    onto, off = (seen_range.py_func(w, p, tilted(a), 0.0) for a in (0.1, -0.1))
    assert onto == pytest.approx(1.0 / math.cos(0.1))
    assert off == pytest.approx(1.75 / math.cos(0.1))


def test_beside_a_table_the_beam_ends_at_its_side():
    seen = seen_range.py_func(world(TABLE), (0.05, 0.0, 0.6), tilted(0.5), 0.0)
    assert seen == pytest.approx(0.05 / math.sin(0.5))


@given(
    x=st.floats(-2, 2), y=st.floats(-2, 2), z=st.floats(1, 3),
    a=st.floats(-0.6, 0.6), b=st.floats(-0.6, 0.6),
)  # fmt: skip
def test_the_ray_ends_where_marching_along_it_meets_something(x, y, z, a, b):
    """In steps of 1 mm, with nothing but the height under each point."""
    w = world(TABLE)
    d = Rotation.from_euler("xy", [a, b]).apply(DOWN)
    length = ray_length.py_func(w, (x, y, z), tuple(d))
    t = np.arange(0, 6, 1e-3)
    points = np.array([x, y, z]) + t[:, None] * d
    heights = np.where(
        (np.abs(points[:, 0] + 0.6) <= 0.6) & (np.abs(points[:, 1]) <= 0.6), 0.75, 0.0
    )
    met = t[int(np.argmax(points[:, 2] <= heights))]
    grazes = np.abs(np.abs(points[:, :2] + [0.6, 0.0]) - 0.6).min(axis=1) < 2e-3
    if not (
        grazes & (np.abs(points[:, 2] - 0.75) < 2e-3)
    ).any():  # a corner, met within a step or not
        assert length == pytest.approx(met, abs=1.5e-3)


def test_a_cone_reports_the_nearest_in_view():
    """Half a cone of 0.2 rad reaches 20 cm aside 1 m below and 35 cm on the floor: a table's top 10 cm
    away is in view, of one 30 cm away the side, of one 40 cm away nothing."""
    ray, cone = world(TABLE), world(TABLE, range_cone=0.2)
    p = (0.1, 0.0, 1.75)
    assert seen_range.py_func(ray, p, LEVEL, 0.0) == pytest.approx(1.75)
    assert seen_range.py_func(cone, p, LEVEL, 0.0) == pytest.approx(1.0 / math.cos(0.2))
    side = seen_range.py_func(cone, (0.3, 0.0, 1.75), LEVEL, 0.0)
    assert side == pytest.approx(0.3 / math.sin(0.2))
    assert seen_range.py_func(cone, (0.4, 0.0, 1.75), LEVEL, 0.0) == pytest.approx(1.75)
    over_floor = seen_range.py_func(world(range_cone=0.2), p, tilted(0.2), 0.0)
    assert over_floor == pytest.approx(1.75, rel=1e-12)  # a ray of the rim hangs straight down


def test_beyond_its_range_it_says_its_range_and_the_height_comes_from_elsewhere():
    w = world(range_limit=2.0)
    for z, seen in ((1.9, 1.9), (2.1, 2.0)):
        w.range = seen_range.py_func(w, (0.0, 0.0, z), LEVEL, 0.0)
        assert w.range == pytest.approx(seen)
        height = height_by_range.py_func(w, LEVEL, 7.0)
        assert height == pytest.approx(1.9 - AERO.rest_height if z < 2 else 7.0)
    assert seen_range.py_func(w, (0.0, 0.0, 0.0), LEVEL, -0.1) == 0.0


def test_it_is_logged_within_its_noise_and_only_where_there_is_one():
    log = flown(Sensors(range_finder=True, range_noise=0.01)).log
    up = Rotation.from_quat(log["truth_attitude"]).apply([0, 0, 1])[:, 2]
    off = np.abs(log["range"] - log["truth_position"][:, 2] / up)
    assert 0.008 < off.max() <= 0.01 + 1e-12
    assert "range" not in flown(Sensors()).log


def test_a_range_finder_that_is_only_logged_changes_nothing_else():
    plain, watched = flown(Sensors()).log, flown(Sensors(range_finder=True)).log
    for name in ("truth_position", "height", "position"):
        assert_array_equal(plain[name], watched[name])
    rough = Sensors(drop_out_share=0.1, position_bias_walk=0.01)
    seen = replace(rough, range_finder=True)
    assert_array_equal(flown(rough).log["position"], flown(seen).log["position"])


def test_by_range_the_height_is_that_under_the_beam_and_it_lands_on_floor_and_table():
    """Measured within the noise, and what the attitude is off by at a range of 1.6 m."""
    by_range = Sensors(height="range")
    for scenario in ("flat", "table"):
        landing = flown(by_range, scenario, seed=1)
        log = landing.log
        assert landing.summary["outcome"] == "landed"
        low = log["truth_height"] < 0.5
        assert np.abs(log["height"] - log["truth_height"])[low].max() < 0.005 + 0.003
    blind = flown(Sensors(), "flat", seed=1).log
    assert not np.array_equal(blind["height"], log["height"][: len(blind)])


def test_by_range_a_pass_over_an_edge_shows_a_step_where_the_beam_passes_it():
    """The beam leaves the top at the edge, runs down the side as the leaning vehicle flies on, and is on
    the floor from there on; 1 cm for what the attitude is off by."""
    log = flown(Sensors(height="range", range_noise=0.0), "cross-table-off").log
    aim = Rotation.from_quat(log["truth_attitude"]).apply(DOWN)
    under = log["truth_position"] + log["range"][:, None] * aim
    over = log["truth_position"][:, 2] - AERO.rest_height
    top, floor = under[:, 0] > 1e-6, under[:, 0] < -1e-6
    assert_allclose(under[top, 2], 0.5, atol=1e-9)
    assert_allclose(under[floor, 2], 0.0, atol=1e-9)
    assert_allclose(log["height"][top], over[top] - 0.5, atol=0.01)
    assert_allclose(log["height"][floor], over[floor], atol=0.01)
    between = ~(top | floor)
    assert (under[between, 2] > 0.0).all()
    assert (under[between, 2] < 0.5).all()
    assert top[0]
    assert floor[-1]


def test_a_certificate_is_not_about_a_range_finder(tmp_path):
    from neural_lander.sim import gate

    path = tmp_path / "s.toml"
    path.write_text('name = "s"\ndescription = "x"\n[sensors]\nheight = "range"\n')
    options = gate.FlightOptions("intel-aero", str(path), "s-curve", "rotor")
    assert gate.flight_of(options, "observer").scenario.sensors.height == "range"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "load_network", lambda *_: None)
        with pytest.raises(Refused, match="takes its height from a range finder"):
            gate.flight_of(replace(options, model=tmp_path), "learned")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"range_noise": 0.6}, "range_noise is 0.6, expected a number from 0 to 0.5 m; change it"),
        ({"range_limit": 0.0}, "range_limit is 0.0, expected a number from 0.1 to 100 m"),
        ({"range_cone": 0.6}, "range_cone is 0.6, expected a number from 0 to 0.5 rad"),
        ({"height": "sonar"}, "height is 'sonar', expected 'map' or 'range'; change it, or leave"),
        ({"range_finder": "yes"}, "range_finder is 'yes', expected true or false"),
    ],
)
def test_impossible_range_finders_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Sensors(**wrong)
    Sensors(range_noise=0.5, range_limit=0.1, range_cone=0.5, height="range")
