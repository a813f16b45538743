"""A table has edges: each disc feels what it is over, and the vehicle stands on it or runs into it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError
from neural_lander.controller.network import Network, NetworkInput, network_force, network_record
from neural_lander.controller.setpoint import plan_through
from neural_lander.controller.terrain import (
    FLAT,
    MAX_SURFACES,
    Surface,
    Terrain,
    disc_share,
    disc_shares,
    surface_height,
)
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.ground_effect import ground_effect_gain, mixed_gain
from neural_lander.sim.physics import (
    MIXED,
    NEAR,
    NETWORK,
    ROTOR,
    aerodynamic_wrench,
    clearance,
    look_below,
    reach,
    world_record,
)
from neural_lander.sim.rollout import Flight, fly, run
from neural_lander.sim.scenario import Scenario, load_scenario
from neural_lander.sim.step import measure
from neural_lander.sim.world import world_of

AERO = load_vehicle("intel-aero")
R = AERO.rotors.radius
TABLE = Surface(-0.45, 0.0, 0.6, 0.6, 0.75)
"""Its edge is at x = 0.15 m."""
LEVEL, STILL = (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0)
HOVER = (AERO.weight / 4,) * 4


def world(*surfaces, aerodynamics=ROTOR, vehicle=AERO):
    return world_record(vehicle, aerodynamics, ground=Terrain(surfaces)).view(np.recarray)[0]


def shares(w, x, y):
    disc_shares.py_func(w, 0, x, y)
    return w.shares[0].copy()


def wrench(w, p, q=LEVEL, net=None):
    found = aerodynamic_wrench(w, network_record(net)[0], p, q, STILL, STILL, HOVER)
    return [np.array(x) for x in found]


def edge_under(share_over_table):
    """A table to the west whose edge the discs at x = +-0.127 m meet with that share, y endless."""
    a = np.linspace(-1, 1, 200_001)
    u = a[np.argmin(abs(np.vectorize(disc_share.py_func)(a) - share_over_table))]
    return Surface(-50 + 0.127 + u * R, 0.0, 50.0, 50.0, 0.75)


# shares of a disc


def test_half_of_a_disc_lies_on_each_side_of_an_edge_through_its_centre():
    w = world(TABLE)
    assert_allclose(shares(w, 0.15, 0.0)[:2], [0.5, 0.5], atol=1e-15)


def test_a_quarter_of_a_disc_lies_over_a_corner_under_its_centre():
    assert shares(world(TABLE), 0.15, -0.6)[1] == pytest.approx(0.25, abs=1e-15)


@pytest.mark.parametrize("u", [-1.2, -1.0, -0.99, -0.5, -0.1, 0.0, 0.3, 0.8, 1.0, 1.5])
def test_the_share_beside_an_edge_is_the_integral_of_the_discs_chords(u):
    x = np.linspace(-1, 1, 2_000_001)
    middle = 0.5 * (x[1:] + x[:-1])
    chords = 2 * np.sqrt(1 - middle**2) * np.diff(x)
    # the mid-point rule errs by the chord's square root at the rim: h^1.5
    assert disc_share.py_func(u) == pytest.approx(chords[middle < u].sum() / math.pi, abs=1e-6)


@given(u=st.floats(-3, 3))
def test_both_sides_of_an_edge_make_a_whole_disc(u):
    assert disc_share.py_func(u) + disc_share.py_func(-u) == pytest.approx(1, abs=1e-15)


@given(x=st.floats(-1.3, 1.3), y=st.floats(-1.3, 1.3))
def test_floor_and_boxes_share_out_the_whole_disc(x, y):
    beside = Surface(0.45, 0.0, 0.3, 0.6, 0.3)  # has the table's edge in common
    small = Surface(-0.2, 0.75, 0.02, 0.05, 0.1)  # smaller than a disc
    all_shares = shares(world(TABLE, beside, small), x, y)
    assert all_shares.sum() == pytest.approx(1, abs=1e-12)
    assert all_shares.min() >= 0


@given(x=st.floats(-1.3, 1.3))
def test_two_boxes_side_by_side_are_one(x):
    left, right = Surface(-0.5, 0.0, 0.5, 0.4, 0.2), Surface(0.5, 0.0, 0.5, 0.4, 0.2)
    together = shares(world(left, right), x, 0.35)[1:].sum()
    one = shares(world(Surface(0.0, 0.0, 1.0, 0.4, 0.2)), x, 0.35)[1]
    assert together == pytest.approx(one, abs=1e-12)


def test_a_disc_just_beside_a_box_has_no_share_of_it_and_just_inside_all():
    w = world(TABLE)
    assert shares(w, 0.15 + R, 0.0)[0] == 1.0
    assert 0 < shares(w, 0.15 + R - 1e-3, 0.0)[1] < 1e-3
    assert shares(w, 0.15 - R, 0.0)[1] == 1.0
    assert 0 < shares(w, 0.15 - R + 1e-3, 0.0)[0] < 1e-3


# forces


@given(z=st.floats(0.0, 3.0))
def test_the_parts_of_the_law_add_up_to_it_over_one_surface(z):
    w = world(TABLE)
    for s in range(2):
        w.shares[:] = 0.0
        w.shares[:, s] = 1.0
        gain = mixed_gain.py_func(w, 0, (0.0, 0.0, z + (0.75 if s else 0.0)))
        assert gain == pytest.approx(ground_effect_gain.py_func(z, R), abs=1e-12)


def test_a_table_without_an_edge_near_is_a_higher_floor():
    high = wrench(world(Surface(0.0, 0.0, 5.0, 5.0, 0.75)), (0.1, 0.2, 0.9))
    low = wrench(world(), (0.1, 0.2, 0.15))
    for a, b in zip(high, low, strict=True):
        assert_allclose(a, b, atol=1e-12)


def test_a_table_far_away_is_no_table():
    with_table = wrench(world(replace(TABLE, x=-1.5)), (0.0, 0.0, 0.12))
    for a, b in zip(with_table, wrench(world(), (0.0, 0.0, 0.12)), strict=True):
        assert_allclose(a, b, atol=0)


def test_a_rotor_half_over_an_edge_feels_the_mean_of_both_surfaces():
    """All discs are: each over an edge of its own, as two strips of table meet them."""
    a = AERO.rotors.positions[0, 0]
    strips = [Surface(x, 0.0, 0.05, 5.0, 0.5) for x in (a + 0.05, -a - 0.05)]
    w = world(*[replace(s, half_x=0.5, x=math.copysign(a + 0.5, s.x)) for s in strips])
    p = (0.0, 0.0, 0.62)
    assert look_below(w, p, LEVEL) == MIXED
    assert_allclose(w.shares[:, 0], 0.5, atol=1e-15)
    disc = p[2] + AERO.rotors.positions[0, 2]
    mean = 0.5 * (ground_effect_gain.py_func(disc, R) + ground_effect_gain.py_func(disc - 0.5, R))
    force, torque, _ = wrench(w, p)
    assert force[2] == pytest.approx(AERO.weight * mean, abs=1e-12)
    assert_allclose(torque, 0, atol=1e-12)


def test_a_rotor_over_the_floor_feels_those_over_the_table_through_their_images_alone():
    w = world(Surface(-50.0, 0.0, 50.0, 50.0, 0.75))  # edge under the origin: rear discs over it
    p = (0.0, 0.0, 0.87)
    wrench(w, p)
    disc = p[2] + AERO.rotors.positions[0, 2]
    front, rear = (mixed_gain.py_func(w, i, (0.0, 0.0, disc)) - 1 for i in (0, 1))
    whole, none = (ground_effect_gain.py_func(disc - h, R) - 1 for h in (0.75, 0.0))
    z = disc - 0.75
    d, b = 2 * 0.127, 2 * 0.127 * math.sqrt(2)
    own = (R / (4 * z)) ** 2
    near, across = (R**2 * z / 2 / (x**2 + 4 * z**2) ** 1.5 for x in (d, b))
    fountain = 2 * R**2 * z / (b**2 + 4 * z**2) ** 1.5 * 2
    total = own + 2 * near + across + fountain
    of_table = (near + across + fountain / 2) / total  # the rear rotors' images, half the fountain
    z = disc
    own, mirror = (R / (4 * z)) ** 2, [R**2 * z / 2 / (x**2 + 4 * z**2) ** 1.5 for x in (d, b)]
    fountain = 4 * R**2 * z / (b**2 + 4 * z**2) ** 1.5
    of_floor = (own + mirror[0] + fountain / 2) / (own + 2 * mirror[0] + mirror[1] + fountain)
    assert front == pytest.approx(whole * of_table + none * of_floor, abs=1e-12)
    assert none < front < rear < whole


@pytest.mark.parametrize("yaw", [0.0, math.pi / 4, math.pi])
def test_the_rotors_over_the_table_lift_more_and_roll_away_from_it(yaw):
    """The table lies to the west; the west side comes up: about north (y) that is positive."""
    q = tuple(Rotation.from_euler("z", yaw).as_quat())
    force, torque, _ = wrench(world(TABLE), (0.15, 0.0, 0.9), q)
    # the fountain lifts all rotors alike, so it is less than with each rotor's gain for itself
    alone = 0.127 * AERO.weight / 2 * (ground_effect_gain.py_func(0.18, R) - 1)
    assert 0.08 * alone < torque[1] < 0.3 * alone
    assert torque[0] == pytest.approx(0, abs=1e-12)
    lifts = [wrench(world(*s), (0.15, 0.0, 0.9), q)[0][2] for s in ((), (replace(TABLE, x=0.0),))]
    assert lifts[0] < force[2] < lifts[1]


@given(x=st.floats(-0.5, 0.5))
def test_the_force_does_not_jump_when_a_disc_comes_over_the_edge(x):
    a, b = (wrench(world(TABLE), (x + dx, 0.0, 0.9)) for dx in (0.0, 1e-6))
    # 13 % of weight shared out over a disc: at most 0.13 * 14 N / 0.1 m = 20 N/m
    assert_allclose(a[0], b[0], atol=1e-4)
    assert_allclose(a[1], b[1], atol=1e-4)


LIFT = Network(
    weights=(np.array([[0.01], [0.02], [-0.1]]),),
    biases=(np.array([0.0, 0.01, 0.12]),),
    inputs=(NetworkInput("height", "m", 1.0, 0.0, 0.0, 1.0),),
    output_scale=AERO.weight,
    k_f=AERO.rotors.k_f,
    vehicle=AERO.name,
)
"""12 % of weight standing, falling with height, and something sideways."""


def test_a_network_over_one_surface_is_the_same_with_a_table_and_without():
    """A strip of table under no disc, or one under all of them that is made of two boxes."""
    p, q = (0.0, 0.0, 0.87), tuple(Rotation.from_euler("xyz", [0.1, 0.05, 0.3]).as_quat())
    floor = wrench(world(aerodynamics=NETWORK), (0.0, 0.0, 0.12), q, LIFT)
    halves = [Surface(x, 0.0, 1.0, 5.0, 0.75) for x in (-1.0, 1.0)]
    w = world(*halves, aerodynamics=NETWORK)
    assert look_below(w, p, q) == MIXED
    for a, b in zip(wrench(w, p, q, LIFT), floor, strict=True):
        assert_allclose(a, b, atol=1e-12)


def test_each_rotor_carries_a_quarter_of_the_networks_force_over_what_it_is_over():
    w = world(Surface(-50.0, 0.0, 50.0, 50.0, 0.75), aerodynamics=NETWORK)
    p = (0.0, 0.0, 0.87)
    force, torque, residual = wrench(w, p, LEVEL, LIFT)
    net = network_record(LIFT)[0]
    low, high = (
        np.array(network_force(net, p[2] - h - AERO.rest_height, STILL, LEVEL, HOVER))
        for h in (0.75, 0.0)
    )
    assert_allclose(residual, (low + high) / 2, atol=1e-12)
    assert_allclose(force - [0, 0, AERO.weight], residual, atol=1e-12)
    assert torque[1] == pytest.approx(0.127 * (low[2] - high[2]) / 2, abs=1e-12)
    assert torque[1] > 0  # the side over the table comes up


def test_the_published_network_is_asked_over_each_surface(data_folder):
    network = str(data_folder / "nets/Fa_net_12_3_full_Lip16.safetensors")
    landing = fly(Flight(AERO, "observer", load_scenario("table"), aero=network), 0)
    assert landing.summary["landed"]
    assert landing.summary["final_height_m"] == pytest.approx(0, abs=5e-4)


# heights and clearance


def test_height_is_measured_over_the_map_at_the_measured_position():
    w, noise = world(TABLE), np.zeros(16)
    assert surface_height.py_func(w, 0.15, 0.6) == 0.75  # the edge belongs to the table
    assert surface_height.py_func(w, 0.1501, 0.0) == 0.0
    p = (0.149, 0.0, 1.0)
    assert measure(w, 0, p, LEVEL, STILL, STILL, noise)[5] == pytest.approx(0.25 - AERO.rest_height)
    noise[0] = 0.002  # thinks that it is beside the table
    assert measure(w, 0, p, LEVEL, STILL, STILL, noise)[5] == pytest.approx(1.0 - AERO.rest_height)


def test_clearance_near_a_table_is_never_more_than_what_is_left():
    w, far = world(TABLE), 0.15 + reach(AERO) + NEAR
    assert clearance.py_func(w, (0.0, 0.0, 1.0), LEVEL) == pytest.approx(1.0 - 0.09 - 0.75)
    assert clearance.py_func(w, (far - 1e-6, 0.0, 1.0), LEVEL) == pytest.approx(1.0 - 0.09 - 0.75)
    assert clearance.py_func(w, (far + 1e-6, 0.0, 1.0), LEVEL) == pytest.approx(1.0 - 0.09)


# the engine


def stand(terrain, p, steps=1000):
    engine = world_of(AERO, terrain)
    engine.reset(p, LEVEL, STILL)
    for _ in range(steps):
        engine.advance()
    return engine, *engine.pose(engine.body)


def test_it_stands_on_the_table_at_its_rest_height_and_beside_it_on_the_floor():
    for x, ground in ((0.0, 0.75), (0.5, 0.0)):
        engine, p, q = stand(Terrain((TABLE,)), (x, 0.0, ground + AERO.rest_height + 0.01))
        assert p[2] == pytest.approx(ground + AERO.rest_height, abs=1e-4)
        assert engine.contact_force() == pytest.approx(AERO.weight, rel=1e-3)
        assert not engine.touches_with_body(p, q)


def test_with_two_feet_beyond_the_edge_it_falls_and_with_all_inside_it_stands():
    height = 0.75 + AERO.rest_height
    _, p, _ = stand(Terrain((TABLE,)), (0.07, 0.0, height + 0.01))  # feet 2 cm beyond the edge
    assert p[2] < height - 0.1
    _, p, _ = stand(Terrain((TABLE,)), (0.04, 0.0, height + 0.01))  # 1 cm inside
    assert p[2] == pytest.approx(height, abs=1e-4)


def test_a_leg_against_the_side_of_a_low_pad_is_seen_and_a_foot_on_its_edge_is_none():
    pad = Terrain((replace(TABLE, height=0.04),))  # lower than the arms
    engine = world_of(AERO, pad)
    engine.reset((0.28, 0.0, AERO.rest_height), LEVEL, (-0.5, 0.0, 0.0))
    seen = []
    for _ in range(100):
        engine.advance()
        seen.append(engine.touches_with_body(*engine.pose(engine.body)))
    p, _ = engine.pose(engine.body)
    assert any(seen)
    assert p[0] - 0.10 >= 0.15  # it came no farther than its feet
    engine.reset((0.053, 0.0, 0.04 + AERO.rest_height + 1e-3), LEVEL, STILL)
    for _ in range(15):
        engine.advance()
        assert not engine.touches_with_body(*engine.pose(engine.body))
    assert engine.contact_force() > 0


def test_another_terrain_is_another_world():
    assert world_of(AERO, Terrain((TABLE,))) is world_of(AERO, Terrain((replace(TABLE),)))
    assert world_of(AERO).terrain == FLAT
    assert world_of(AERO, Terrain((TABLE,))).terrain.surfaces == (TABLE,)


def test_without_a_search_for_contact_it_falls_through_the_table():
    engine = world_of(AERO, Terrain((TABLE,)))
    for on, below in ((False, True), (True, False)):
        engine.reset((0.0, 0.0, 0.85), LEVEL, STILL)
        engine.feel_ground(on)
        for _ in range(200):
            engine.advance()
        assert (engine.pose(engine.body)[0][2] < 0.7) == below


# flights


@pytest.mark.parametrize("controller", ["observer", "oracle+observer"])
def test_it_lands_on_the_table(controller):
    for seed in range(5):
        landing = fly(Flight(AERO, controller, load_scenario("table")), seed)
        summary, log = landing.summary, landing.log
        assert summary["landed"]
        assert not summary["crashed"]
        assert not summary["cut_in_air"]
        assert summary["touchdown_speed_m_s"] < 0.1
        assert summary["final_height_m"] == pytest.approx(0, abs=5e-4)
        assert log["truth_position"][-1, 2] == pytest.approx(0.75 + AERO.rest_height, abs=5e-4)
        # the observer of 1 1/s beside the oracle follows late; 1.5 cm is far from the edge's 5
        assert summary["xy_max_m"] < 0.015


def test_without_a_table_the_same_flight_is_the_one_on_the_floor():
    table = load_scenario("table")
    wide = replace(table, terrain=Terrain((Surface(0.0, 0.0, 9.0, 9.0, 0.75),)))
    high = fly(Flight(AERO, "oracle+observer", wide), 2).log
    low = fly(Flight(AERO, "oracle+observer", replace(table, terrain=FLAT)), 2).log
    flying = slice(0, np.flatnonzero(low["truth_contact_force"])[0])
    for name in ("truth_height", "height", "reference_height", "truth_velocity"):
        assert_allclose(high[name][flying], low[name][flying], atol=1e-9)


def test_a_landing_elsewhere_is_the_same_landing():
    flat = load_scenario("flat")
    there = fly(Flight(AERO, "observer", replace(flat, start_x=3.0, start_y=-2.0)), 1).log
    here = fly(Flight(AERO, "observer", flat), 1).log
    flying = slice(0, np.flatnonzero(here["truth_contact_force"])[0])
    moved = there["truth_position"][flying] - [3.0, -2.0, 0.0]
    assert_allclose(moved, here["truth_position"][flying], atol=1e-9)


@pytest.mark.parametrize("engine", ["pybullet", "hybrid"])
def test_coming_down_across_the_edge_is_a_crash(engine):
    scenario = replace(load_scenario("table"), start_x=0.2)
    summary = fly(Flight(AERO, "observer", scenario, engine=engine), 0).summary
    assert summary["crashed"]
    assert not summary["landed"]
    clear = replace(scenario, start_x=0.15 + 0.4)
    assert fly(Flight(AERO, "observer", clear, engine=engine), 0).summary["landed"]


@pytest.mark.parametrize("engine", ["pybullet", "hybrid"])
@pytest.mark.parametrize(("height", "crashes"), [(0.3, True), (1.0, False)])
def test_flying_into_the_side_of_a_table_is_a_crash_and_over_it_none(engine, height, crashes):
    scenario = Scenario("past", "past a table", terrain=Terrain((replace(TABLE, x=0.0),)))
    flight = Flight(AERO, "observer", scenario, engine=engine)
    plan = plan_through(
        np.array([0.5, 4.5]), np.array([[-2.0, 0.0, height], [2.0, 0.0, height]])
    )  # ends over the floor, so its heights are above that
    rng = np.random.default_rng(0)
    start = (-2.0, 0.0, height)
    rows, outcome = run(flight, plan, rng, start, STILL, 0.0, plan.end + 1.0, False)
    if crashes:
        assert "table's side" in outcome.crash
        assert rows[-1, 1] == pytest.approx(-0.6 - 0.127 - R / 2, abs=0.02)  # arms at the side
    else:
        assert outcome.crash == ""
        assert rows[-1, 1] == pytest.approx(2.0, abs=0.05)


# files


def test_a_start_with_the_vehicle_inside_a_table_is_refused():
    scenario = replace(load_scenario("table"), start_x=0.25, start_height=0.3, start_spread=0.0)
    with pytest.raises(InputError, match=r"start_x = 0.25 m.*into surface 1 .*raise start_height"):
        fly(Flight(AERO, "observer", scenario), 0)
    beside = replace(scenario, start_x=0.191 + reach(AERO) + 0.02)
    assert fly(Flight(AERO, "observer", beside), 0).summary["landed"]
    fly(Flight(AERO, "observer", replace(scenario, start_height=0.751)), 0)
    for seed in range(3):  # a start that some seed might put there is refused for every seed
        with pytest.raises(InputError, match="into surface 1"):
            fly(Flight(AERO, "observer", replace(beside, start_spread=0.02)), seed)


HEAD = "name = 'a'\ndescription = 'x'\n"
GOOD = "x = 0\ny = 0.0\nhalf_x = 1\nhalf_y = 1\nheight = 0.5\n"


def scenario_of(text, folder):
    path = folder / "s.toml"
    path.write_text(HEAD + text)
    return load_scenario(str(path))


def test_surfaces_and_start_are_read(tmp_path):
    second = GOOD.replace("x = 0", "x = 2", 1)  # has an edge in common with the first
    scenario = scenario_of(f"start_x = 1\n[[surface]]\n{GOOD}[[surface]]\n{second}", tmp_path)
    assert scenario.start_x == 1.0
    assert scenario.terrain.surfaces == (Surface(0, 0, 1, 1, 0.5), Surface(2, 0, 1, 1, 0.5))
    assert load_scenario("flat").terrain == FLAT
    assert load_scenario("table").terrain.surfaces == (Surface(-0.409, 0, 0.6, 0.6, 0.75),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[[surface]]\n" + GOOD + "depth = 1",
            "surface 1: depth is unknown; expected x, y, half_x",
        ),
        ("[[surface]]\nx = 0", "surface 1: y is missing"),
        ("[[surface]]\n" + GOOD.replace("0.5", "0"), "height is 0, expected a number from 0.01"),
        ("[[surface]]\n" + GOOD.replace("0.5", "10.1"), "height is 10.1, expected a number from"),
        ("[[surface]]\n" + GOOD.replace("0.5", "nan"), "height is nan, expected a number"),
        ("[[surface]]\n" + GOOD.replace("half_x = 1", "half_x = true"), "half_x is True, expected"),
        ("[[surface]]\n" + GOOD.replace("half_y = 1", "half_y = -1"), "half_y is -1, expected"),
        ("[[surface]]\n" + GOOD.replace("x = 0", "x = '0'"), "x is '0', expected a number"),
        ("surface = 3", "surface is 3, expected .*surface.* tables"),
        ("surface = [1]", "expected .*surface.* tables"),
        ("terrain = 'hills'", "terrain is unknown"),
        ("start_x = 101", "start_x is 101, expected a number from -100.0 to 100.0"),
        ("start_y = 'here'", "start_y is 'here', expected a number"),
        (
            "[[surface]]\n" + GOOD + "[[surface]]\n" + GOOD.replace("x = 0", "x = 1.9", 1),
            "surface 1 .x -1 to 1, y -1 to 1 m. and surface 2 .x 0.9 to 2.9, .* overlap",
        ),
    ],
)
def test_bad_files_are_refused(text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        scenario_of(text, tmp_path)


def test_a_world_holds_eight_surfaces_and_no_more():
    row = tuple(Surface(2.0 * i, 0.0, 1.0, 1.0, 0.5) for i in range(MAX_SURFACES + 1))
    assert world(*row[:-1]).surface_count == MAX_SURFACES
    with pytest.raises(InputError, match="9 surfaces are more than the 8"):
        Terrain(row)
