"""Every term of the rotors' air can be left out on its own, and then exactly that term is gone."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError
from neural_lander.controller.network import network_record
from neural_lander.controller.terrain import Surface, Terrain
from neural_lander.controller.vehicle import AIR_DENSITY, load_vehicle
from neural_lander.sim.aerodynamics import Aerodynamics
from neural_lander.sim.ground_effect import FOUNTAIN, ground_effect_gain
from neural_lander.sim.physics import (
    NETWORK,
    NO_AERODYNAMICS,
    ROTOR,
    aerodynamic_wrench,
    world_record,
)
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.wind import Wind

AERO = load_vehicle("intel-aero")
R, DRAG = AERO.rotors.radius, AERO.rotors.drag
TABLE = Terrain((Surface(-0.6, 0.0, 0.6, 2.0, 0.75),))
"""Its edge is at x = 0."""
LEVEL, STILL = (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0)
LEANING = tuple(Rotation.from_euler("xyz", [0.1, -0.06, 0.4]).as_quat())
MOVING, TURNING = (0.7, -0.4, 0.2), (0.2, -0.1, 0.3)
THRUSTS = (3.0, 3.5, 4.0, 3.2)
NET = network_record(None)[0]


def wrench(air, z=0.16, q=LEANING, v=MOVING, omega=TURNING, ground=None, x=0.0, f=THRUSTS):
    w = world_record(AERO, ROTOR, air=air, **({"ground": ground} if ground else {}))
    w = w.view(np.recarray)[0]
    return [np.array(a) for a in aerodynamic_wrench.py_func(w, NET, (x, 0.0, z), q, v, omega, f)]


def arms(q):
    return Rotation.from_quat(q).apply(AERO.rotors.positions.copy())


def shares(z):
    """Own, others' and fountain's share of the law (3,) for a disc this high, by the formula."""
    place = AERO.rotors.positions[:, :2]
    apart = np.linalg.norm(place[1:] - place[0], axis=1)
    own = (R / (4 * z)) ** 2
    others = (R**2 * z / (2 * (apart**2 + 4 * z**2) ** 1.5)).sum()
    fountain = 2 * R**2 * z * FOUNTAIN / (apart.max() ** 2 + 4 * z**2) ** 1.5
    return np.array([own, others, fountain]) / (own + others + fountain)


PARTS = ("own_image", "other_images", "fountain")


@pytest.mark.parametrize("z", [0.1, 0.16, 0.5, 2.0])
@pytest.mark.parametrize("part", PARTS)
def test_a_part_left_out_takes_its_share_of_the_law_and_nothing_else(part, z):
    with_all = wrench(Aerodynamics(), z, LEVEL)
    without = wrench(Aerodynamics(**{part: False}), z, LEVEL)
    disc = z + AERO.rotors.positions[0, 2]
    law = ground_effect_gain.py_func(disc, R) - 1
    share = shares(disc)[PARTS.index(part)]
    assert share > 0.005
    lost = with_all[0] - without[0]
    assert_allclose(lost, [0, 0, sum(THRUSTS) * law * share], rtol=1e-9, atol=1e-12)
    assert_allclose(with_all[2] - without[2], lost, atol=1e-12)


def test_the_three_parts_add_up_to_the_law_tilted_and_over_an_edge():
    for ground, x, z in ((None, 0.0, 0.2), (TABLE, 0.05, 0.95)):
        whole, none = (
            wrench(Aerodynamics(own_image=on, other_images=on, fountain=on), z, ground=ground, x=x)
            for on in (True, False)
        )
        lost = sum(
            whole[0] - wrench(Aerodynamics(**{part: False}), z, ground=ground, x=x)[0]
            for part in PARTS
        )
        assert_allclose(lost, whole[0] - none[0], atol=1e-12)
        assert np.linalg.norm(lost) > 0.01 * AERO.weight


def test_without_the_three_parts_there_is_no_ground():
    gone = Aerodynamics(own_image=False, other_images=False, fountain=False)
    for low, high in zip(wrench(gone, 0.1), wrench(gone, 30.0), strict=True):
        assert_allclose(low, high, atol=1e-15)


def test_moments_left_out_are_those_of_the_gains_and_the_force_stays():
    with_all, without = wrench(Aerodynamics()), wrench(Aerodynamics(moments=False))
    axis = Rotation.from_quat(LEANING).apply([0, 0, 1])
    r = arms(LEANING)
    gains = np.array([ground_effect_gain.py_func(0.16 + z, R) - 1 for z in r[:, 2]])
    turned = np.cross(r, (gains * THRUSTS)[:, None] * axis).sum(axis=0)
    assert_array_equal(with_all[0], without[0])
    assert_allclose(with_all[1] - without[1], turned, atol=1e-12)
    assert np.linalg.norm(turned) > 0.01


def test_drag_left_out_is_the_rotors_sideways_speed_times_thrust():
    with_all, without = wrench(Aerodynamics()), wrench(Aerodynamics(drag=False))
    axis = Rotation.from_quat(LEANING).apply([0, 0, 1])
    r = arms(LEANING)
    u = np.array(MOVING) + np.cross(TURNING, r)
    dragged = -DRAG * np.array(THRUSTS)[:, None] * (u - (u @ axis)[:, None] * axis)
    assert_allclose(with_all[0] - without[0], dragged.sum(axis=0), atol=1e-12)
    assert_allclose(with_all[1] - without[1], np.cross(r, dragged).sum(axis=0), atol=1e-12)


def crossflow(r, over, z, strength=1.0):
    """Its force on each rotor (4, 3) in level flight, by the formula; ``over`` (4,) shares of discs."""
    f = np.array(THRUSTS)
    source = R**2 / 4 * np.sqrt(f / (2 * AIR_DENSITY * math.pi * R**2))
    forces = np.zeros((4, 3))
    for i in range(4):
        for j in range(4):
            d = r[i, :2] - r[j, :2]
            u = source[j] * over[j] * d / (d @ d + 4 * z**2) ** 1.5
            forces[i, :2] += strength * DRAG * f[i] * u
    return forces


@pytest.mark.parametrize("strength", [1.0, 10.0])
def test_crossflow_is_the_flow_of_the_images_that_are_there_times_drag(strength):
    """Level, over a table that two of the discs are over, the floor far below."""
    far = Terrain((Surface(-2.0, 0.0, 2.0, 2.0, 9.0),))
    z, r = 9.1, arms(LEVEL)
    calm = wrench(Aerodynamics(), z, LEVEL, STILL, STILL, far)
    blown = wrench(Aerodynamics(crossflow=strength), z, LEVEL, STILL, STILL, far)
    over = (r[:, 0] < 0).astype(float)
    forces = crossflow(r, over, z + r[0, 2] - 9.0, strength)
    # the floor, 9 m below, adds 1e-6 of it
    assert_allclose(blown[0] - calm[0], forces.sum(axis=0), rtol=1e-5, atol=1e-9 * strength)
    assert_allclose(
        blown[1] - calm[1], np.cross(r, forces).sum(axis=0), rtol=1e-4, atol=1e-8 * strength
    )
    assert forces[:, 0].sum() > 0  # pushed off the table


def test_crossflow_cancels_over_one_level_surface_and_goes_with_drag_switched_off():
    even = (AERO.weight / 4,) * 4
    calm, blown, undragged = (
        wrench(air, 0.1, LEVEL, STILL, STILL, f=even)
        for air in (
            Aerodynamics(),
            Aerodynamics(crossflow=5.0),
            Aerodynamics(crossflow=5.0, drag=False),
        )
    )
    assert_allclose(blown[0], calm[0], atol=1e-12)
    assert_allclose(undragged[0], calm[0], atol=1e-12)
    uneven = wrench(Aerodynamics(crossflow=5.0, drag=False), 0.1, LEVEL, STILL, STILL)
    assert np.linalg.norm(uneven[0][:2]) > 0  # its strength is its own


def test_everything_there_is_the_flight_without_a_table():
    flat = load_scenario("flat")
    plain = fly(Flight(AERO, "observer", flat, engine="hybrid"), 5).log
    said = replace(flat, aerodynamics=Aerodynamics(crossflow=0.0))
    same = fly(Flight(AERO, "observer", said, engine="hybrid"), 5).log
    assert_array_equal(plain["truth_position"], same["truth_position"])


@pytest.mark.parametrize("name", [f.name for f in fields(Aerodynamics)])
def test_a_flight_knows_its_table(name):
    """The pd controller hangs on what is there, the wind drags at what drags, and edges push aside."""
    value = 50.0 if name == "crossflow" else False
    scenario = replace(
        load_scenario("table"), wind=Wind(steady=(1.0, 0.0, 0.0)), hover=0.5, after=1.0
    )
    other = replace(scenario, aerodynamics=Aerodynamics(**{name: value}))
    ends = [
        fly(Flight(AERO, "pd", s, engine="hybrid"), 0).log["truth_position"][-1]
        for s in (scenario, other)
    ]
    assert np.linalg.norm(ends[0] - ends[1]) > 1e-5


def test_terms_of_the_air_that_moves_add_up():
    """Steady wind and gust, each alone and both; turbulence and rough air are in test_wind."""
    from neural_lander.sim.wind import blow

    speeds = []
    for wind in (
        Wind(steady=(1.0, 2.0, 0.0), gust=(3.0, 0.0, -1.0)),
        Wind(steady=(1.0, 2.0, 0.0)),
        Wind(gust=(3.0, 0.0, -1.0)),
    ):
        w = world_record(AERO, ROTOR, wind=wind).view(np.recarray)[0]
        blow.py_func(w, 3.5, np.zeros(6), 0)
        speeds.append(np.array(w.wind))
    assert_allclose(speeds[0], speeds[1] + speeds[2], atol=1e-15)
    assert np.linalg.norm(speeds[2]) > 1.0


@pytest.mark.parametrize("kind", [NO_AERODYNAMICS, NETWORK])
def test_terms_of_other_aerodynamics_are_refused(kind):
    with pytest.raises(
        InputError, match=r"aerodynamics: the table is about the terms of --aero rotor, .* take"
    ):
        world_record(AERO, kind, air=Aerodynamics(fountain=False))
    world_record(AERO, kind, air=Aerodynamics())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"fountain": 1},
            "fountain is 1, expected true or false; change it, or leave it out for true",
        ),
        (
            {"crossflow": -1.0},
            "crossflow is -1.0, expected a number from 0 to 100 of potential flow's",
        ),
        ({"crossflow": 101.0}, "crossflow is 101.0"),
    ],
)
def test_impossible_terms_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Aerodynamics(**wrong)
    Aerodynamics(crossflow=100.0, fountain=False)
