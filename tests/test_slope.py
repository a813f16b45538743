"""A tilted surface is a floor seen askew: forces, contact and landing know its plane."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError
from neural_lander.controller.network import network_record
from neural_lander.controller.terrain import Surface, Terrain
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.legs import STIFF, Footing
from neural_lander.sim.physics import (
    ROTOR,
    aerodynamic_wrench,
    clearance,
    hull_points,
    world_record,
)
from neural_lander.sim.range_finder import ray_length
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.step import measure
from neural_lander.sim.world import world_of

AERO = load_vehicle("intel-aero")
LEVEL, STILL = (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0)
HOVER = (AERO.weight / 4,) * 4


def ramp(tilt=8.0, uphill=0.0):
    return Surface(0.0, 0.0, 2.0, 2.0, 2.5, tilt, uphill)


def world(surface):
    return world_record(AERO, ROTOR, ground=Terrain((surface,))).view(np.recarray)[0]


def normal(surface):
    gx, gy = surface.gradient
    return np.array([-gx, -gy, 1.0]) / math.hypot(gx, gy, 1.0)


def aligned(surface):
    """The rotation that lays a level thing onto the surface."""
    uphill = Rotation.from_euler("z", surface.uphill_deg, degrees=True)
    return uphill * Rotation.from_euler("y", -surface.tilt_deg, degrees=True) * uphill.inv()


def forces(w, p, q):
    found = aerodynamic_wrench(w, network_record(None)[0], tuple(p), tuple(q), STILL, STILL, HOVER)
    return [np.array(x) for x in found]


@given(tilt=st.floats(0.1, 40), uphill=st.floats(-180, 180), height=st.floats(0.09, 1.0))
def test_laid_onto_the_slope_the_air_pushes_as_it_does_over_a_floor(tilt, uphill, height):
    surface = ramp(tilt, uphill)
    turned = aligned(surface)
    p = np.array([0.0, 0.0, surface.height]) + height * normal(surface)
    askew = forces(world(surface), p, turned.as_quat())
    flat = forces(world(ramp(0.0)), (0.0, 0.0, 2.5 + height), LEVEL)
    for a, b in zip(askew, flat, strict=True):
        assert_allclose(a, turned.apply(b), atol=1e-9)


def test_level_over_a_slope_the_uphill_rotors_gain_more_and_turn_it_downhill():
    _, torque, force = forces(world(ramp(8.0, 0.0)), (0.0, 0.0, 2.65), LEVEL)
    _, none, level = forces(world(ramp(0.0)), (0.0, 0.0, 2.65), LEVEL)
    assert torque[1] < -1e-3  # about y (north): the east side, uphill, comes up
    assert_allclose(none[:2], 0.0, atol=1e-12)
    assert force[2] == pytest.approx(level[2], rel=0.05)  # the middle is as high as before


def test_height_is_measured_over_the_slope_under_the_place():
    w = world(ramp(8.0, 90.0))
    for y in (-0.5, 0.0, 1.0):
        found = measure(w, 0, (0.3, y, 4.0), LEVEL, STILL, STILL, np.zeros(16))[5]
        expected = 4.0 - 2.5 - math.tan(math.radians(8.0)) * y - AERO.rest_height
        assert found == pytest.approx(expected, abs=1e-12)


@given(tilt=st.floats(0.0, 30), uphill=st.floats(-180, 180), height=st.floats(0.09, 1.0))
def test_a_beam_along_the_surfaces_normal_is_as_long_as_the_distance_and_one_straight_down_longer(
    tilt, uphill, height
):
    surface = ramp(tilt, uphill)
    p = np.array([0.1, -0.1, surface.top(0.1, -0.1)]) + height * normal(surface)
    w = world(surface)
    down = tuple(-normal(surface))
    assert ray_length.py_func(w, tuple(p), down) == pytest.approx(height, abs=1e-9)
    straight = ray_length.py_func(w, tuple(p), (0.0, 0.0, -1.0))
    assert straight == pytest.approx(height / normal(surface)[2], abs=1e-9)


@given(
    tilt=st.floats(0.0, 40), uphill=st.floats(-180, 180), x=st.floats(-2.5, 2.5),
    yaw=st.floats(-3, 3), lean=st.floats(-0.3, 0.3),
)  # fmt: skip
def test_clearance_is_never_more_than_the_way_down_from_any_point(tilt, uphill, x, yaw, lean):
    surface = ramp(tilt, uphill)
    turned = Rotation.from_euler("zy", [yaw, lean])
    p = np.array([x, 0.3, 5.0])
    points = p + turned.apply(hull_points(AERO))
    over = [z - surface.top(px, py) if surface.distance(px, py) == 0 else z for px, py, z in points]
    low = clearance.py_func(world(surface), tuple(p), tuple(turned.as_quat()))
    assert low <= min(over) + 1e-12


def slid(tilt, uphill, yaw, seconds=2.0):
    """Put it onto a slope, wait, and return engine, pose and how far it has gone [m]."""
    surface = ramp(tilt, uphill)
    engine = world_of(AERO, Terrain((surface,)))
    turned = aligned(surface) * Rotation.from_euler("z", yaw)
    p = np.array([0.0, 0.0, surface.height]) + AERO.rest_height * normal(surface)
    engine.reset(tuple(p), tuple(turned.as_quat()), STILL)
    for _ in range(round(seconds / AERO.timing.period)):
        engine.advance()
    there, q = engine.pose(engine.body)
    return surface, engine, np.array(there), q, float(np.linalg.norm(there - p))


@pytest.mark.parametrize(("uphill", "yaw"), [(0.0, 0.0), (30.0, 0.7), (200.0, 2.0)])
def test_it_stands_on_the_slope_laid_onto_it_and_the_normal_forces_carry_their_share(uphill, yaw):
    surface, engine, p, q, way = slid(8.0, uphill, yaw)
    over = (p[2] - surface.top(p[0], p[1])) * normal(surface)[2]
    assert over == pytest.approx(AERO.rest_height, abs=2e-4)  # what the engine's search leaves
    up = Rotation.from_quat(q).apply([0.0, 0.0, 1.0])
    assert math.degrees(math.acos(min(1.0, up @ normal(surface)))) < 0.01
    share = engine.contact_force() / AERO.weight
    assert share == pytest.approx(math.cos(math.radians(8.0)), rel=1e-3)
    assert not engine.touches_with_body(tuple(p), q)
    assert way < 1e-3


def test_it_stays_below_the_angle_of_friction_and_slides_above():
    angle = math.degrees(math.atan(STIFF.friction))
    assert slid(angle - 2.0, 0.0, 0.3, 0.5)[4] < 1e-3
    below = slid(angle + 2.0, 0.0, 0.3, 0.5)[4]
    a = math.radians(angle + 2.0)
    free = 9.81 * (math.sin(a) - STIFF.friction * math.cos(a)) * 0.5**2 / 2
    assert below == pytest.approx(free, rel=0.05)


@pytest.mark.parametrize("controller", ["observer", "oracle+observer", "pid"])
def test_it_lands_on_the_slope_and_stays(controller):
    scenario = load_scenario("slope")
    surface = scenario.terrain.surfaces[0]
    for seed in range(4):
        landing = fly(Flight(AERO, controller, scenario, engine="hybrid"), seed)
        summary, log = landing.summary, landing.log
        assert summary["landed"]
        assert not summary["crashed"]
        assert not summary["cut_in_air"]
        assert summary["touchdown_speed_m_s"] < 0.3
        # standing askew the body's origin is rest_height / cos(tilt) over the plane; a millimetre
        # more for pid, which is still moving
        assert summary["final_height_m"] < 0.004
        end = Rotation.from_quat(log["truth_attitude"][-1]).apply([0.0, 0.0, 1.0])
        assert math.degrees(math.acos(end @ normal(surface))) < 1.0
        assert np.linalg.norm(log["truth_velocity"][-1]) < 0.05


@pytest.mark.parametrize(("controller", "seeds"), [("indi", (52, 72, 83)), ("l1", (18, 73, 112))])
def test_the_fast_ones_stay_on_the_slope_too(controller, seeds):
    """With the noise of one step held as their force, these seeds slid by more than 50 mm."""
    for seed in seeds:
        summary = fly(
            Flight(AERO, controller, load_scenario("slope"), engine="hybrid"), seed
        ).summary
        assert summary["outcome"] == "landed"
        assert summary["slide_m"] < 0.04


def test_a_slope_that_hardly_holds_it_is_one_it_slides_down():
    """With friction a little over tan 8 degrees = 0.141 it would stay where it is put, but not come
    to a stop within 5 cm; with rubber's 0.6 it does."""
    for friction, outcome in ((0.05, "slid"), (0.145, "slid"), (0.6, "landed")):
        scenario = replace(load_scenario("slope"), legs=Footing(friction=friction))
        summary = fly(Flight(AERO, "observer", scenario, engine="hybrid"), 1).summary
        assert summary["outcome"] == outcome


def test_the_fastest_descent_is_slow_before_the_leg_uphill_touches():
    """It does up to 2 cm before the others would, where on a floor the descent still brakes."""
    scenario = load_scenario("slope")
    for seed in range(4):
        flight = Flight(AERO, "oracle+observer", scenario, "fastest", engine="hybrid")
        summary = fly(flight, seed).summary
        assert summary["outcome"] == "landed"
        assert summary["touchdown_speed_m_s"] < 0.18  # 0.15 asked for
    level = replace(scenario, terrain=Terrain((replace(scenario.terrain.surfaces[0], tilt_deg=0),)))
    floor = replace(flight, scenario=level).plan.metadata["touchdown_s"]
    settled = 0.141 * math.tan(math.radians(8.0)) / 0.15
    assert 0 < flight.plan.metadata["touchdown_s"] - floor < settled


def test_figures_are_over_the_slope():
    """Off sideways by e, uphill, the slope is nearer by e tan(tilt): that much sooner it touches."""
    log = fly(Flight(AERO, "observer", load_scenario("slope"), engine="hybrid"), 0).log
    rise = math.tan(math.radians(8.0))
    height = log["truth_surface_height"]
    assert_allclose(height, 0.3 + rise * log["truth_position"][:, 0], atol=1e-12)
    assert_allclose(log["truth_surface_speed"], rise * log["truth_velocity"][:, 0], atol=1e-12)
    period = AERO.timing.period
    assert_allclose(np.diff(height) / period, log["truth_surface_speed"][1:], atol=2e-3)


def test_a_level_surface_adds_nothing_to_the_log():
    log = fly(Flight(AERO, "observer", load_scenario("table"), engine="hybrid"), 0).log
    assert "truth_surface_height" not in log


def test_both_ways_of_flying_land_alike_on_a_slope():
    flight = Flight(AERO, "observer", load_scenario("slope"))
    one = fly(flight, 3).summary
    other = fly(replace(flight, engine="hybrid"), 3).summary
    for key in ("terminal_z_error_m", "touchdown_speed_m_s", "z_rmse_m"):
        assert one[key] == pytest.approx(other[key], abs=1e-9)


# files

HEAD = "name = 'a'\ndescription = 'x'\n[[surface]]\nx = 0\ny = 0\nhalf_x = 1\nhalf_y = 1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("height = 0.5\ntilt_deg = 46", "tilt_deg is 46, expected a number from 0.0 to 45.0 .deg"),
        ("height = 0.5\ntilt_deg = -1", "tilt_deg is -1, expected"),
        ("height = 0.5\nuphill_deg = 'north'", "uphill_deg is 'north', expected a number"),
        ("height = 0.5\nslope = 3", "slope is unknown; expected .*tilt_deg, uphill_deg"),
        ("height = 0.1\ntilt_deg = 8", "lowest corner is -0.04 m over the floor; raise height by"),
    ],
)
def test_bad_files_are_refused(text, message, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(HEAD + text)
    with pytest.raises(InputError, match=message):
        load_scenario(str(path))


def test_a_slope_too_steep_to_stand_on_is_refused_and_the_last_one_that_is_not_is_flown(tmp_path):
    path = tmp_path / "s.toml"

    def scenario(tilt):
        path.write_text(HEAD + f"height = 1\ntilt_deg = {tilt}")
        return load_scenario(str(path))

    message = "tilt_deg = 31 degrees under the landing.* friction 0.6 stays .* up to 31.0 degrees"
    with pytest.raises(InputError, match=message):
        fly(Flight(AERO, "observer", scenario(31)), 0)
    fly(Flight(AERO, "observer", replace(scenario(30.9), hover=0.5), engine="hybrid"), 0)


def test_a_start_inside_the_high_side_of_a_ramp_is_refused(tmp_path):
    scenario = load_scenario("slope")
    beside = replace(scenario, start_x=1.7, start_height=0.42, start_spread=0.0)
    with pytest.raises(InputError, match=r"into surface 1 .* 0.5\d+ m high"):
        fly(Flight(AERO, "observer", beside), 0)
