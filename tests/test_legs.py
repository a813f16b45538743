"""Legs that give: how far they sag, what they let back into the air, how they rub."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import GRAVITY, load_vehicle
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.legs import STIFF, Footing, Springs
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.world import world_of

AERO, FLIE = load_vehicle("intel-aero"), load_vehicle("crazyflie")
FLAT = load_scenario("flat")
LEVEL, STILL = (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0)


def dropped(vehicle, footing, height, steps=1000, velocity=STILL, weighs=None):
    """The world after a drop from ``height`` over standing, and the heights on the way [m]."""
    world = world_of(weighs or vehicle, springs=footing.springs(vehicle))
    world.reset((0.0, 0.0, vehicle.rest_height + height), LEVEL, velocity)
    heights = []
    for _ in range(steps):
        world.advance()
        heights.append(world.pose(world.body)[0][2] - vehicle.rest_height)
    return world, np.array(heights)


def test_stiffness_and_damping_are_those_of_a_quarter_of_the_vehicle_on_each_leg():
    springs = Footing(sag=0.002, damping=0.5).springs(AERO)
    assert 4 * springs.stiffness * 0.002 == pytest.approx(AERO.weight)
    quarter = AERO.mass / 4
    assert springs.damping == pytest.approx(0.5 * 2 * math.sqrt(springs.stiffness * quarter))
    assert Footing().springs(AERO) == Footing().springs(FLIE) == STIFF


@pytest.mark.parametrize("vehicle", [AERO, FLIE], ids=lambda v: v.name)
@pytest.mark.parametrize("sag", [0.0005, 0.005])
def test_it_stands_at_its_standing_height_whatever_the_sag(vehicle, sag):
    """The legs are that much longer in the air: to 0.02 mm, where the engine's own slop is 0.01."""
    world, heights = dropped(vehicle, Footing(sag=sag), 0.01)
    assert heights[-1] == pytest.approx(0.0, abs=2e-5)
    assert world.contact_force() == pytest.approx(vehicle.weight, rel=1e-3)


def test_twice_the_weight_sags_twice_as_far():
    heavy = Deviation(mass_share=1.0).real(AERO)
    _, heights = dropped(AERO, Footing(sag=0.002), 0.01, weighs=heavy)
    assert heights[-1] == pytest.approx(-0.002, abs=2e-5)


def test_under_an_impact_the_legs_give_and_the_force_is_lower():
    """x = v / w at most for an undamped spring that a body falls on at v; rigid legs give nothing.

    Damping makes it less; gravity adds the sag and its overshoot, never more than twice."""
    v, sag = 0.3, 0.002
    w = math.sqrt(GRAVITY / sag)
    _, stiff = dropped(AERO, Footing(), 0.001, 300, (0.0, 0.0, -v))
    _, soft = dropped(AERO, Footing(sag=sag, damping=0.3), 0.001, 300, (0.0, 0.0, -v))
    assert stiff.min() > -2e-4
    assert -sag > soft.min() > -(v / w + 2 * sag)


@pytest.mark.parametrize("vehicle", [AERO, FLIE], ids=lambda v: v.name)
@pytest.mark.parametrize(
    "footing", [Footing(), Footing(sag=0.001), Footing(sag=0.002, damping=0.3)]
)
def test_a_drop_comes_back_less_than_a_millimetre(vehicle, footing):
    """From 2 cm, 0.63 m/s: after the first touch the feet, where they hang, leave the floor no more
    than 1 mm; weak damping lets some of it back, as the test below shows."""
    _, heights = dropped(vehicle, footing, 0.02 + footing.sag)
    touched = int(np.argmax(heights < footing.sag))
    assert heights[touched:].max() - footing.sag < 1e-3
    assert np.abs(heights[-200:]).max() < 5e-5


def test_legs_that_hardly_damp_do_throw_it_back():
    _, heights = dropped(AERO, Footing(sag=0.0005, damping=0.1), 0.05)
    touched = int(np.argmax(heights < 0.0005))
    assert heights[touched:].max() > 0.003


@pytest.mark.parametrize("footing", [Footing(friction=0.3), Footing(friction=0.3, sag=0.001)])
def test_feet_rub_with_coulombs_force(footing):
    """At 0.5 m/s it comes to rest after v / (mu g), within two steps of 2 ms and the first sinking in."""
    world, _ = dropped(AERO, footing, 0.0, 500)
    p, q = world.pose(world.body)
    world.reset(p, q, (0.5, 0.0, 0.0))
    speeds = []
    for _ in range(200):
        world.advance()
        speeds.append(world.twist(world.body)[0][0])
    stops = 0.002 * int(np.argmax(np.abs(speeds) < 1e-3))
    assert stops == pytest.approx(0.5 / (0.3 * GRAVITY), abs=0.008)


def test_a_landing_on_soft_legs_lands_and_stays_down():
    for sag in (0.0, 0.001):
        scenario = replace(FLAT, legs=Footing(sag=sag))
        landing = fly(Flight(AERO, "observer", scenario, engine="hybrid"), 2)
        s, log = landing.summary, landing.log
        cut = int(np.argmax(log["phase"] == 2))
        assert s["outcome"] == "landed"
        assert s["rise_after_contact_m"] < 1e-3
        assert (log["truth_contact_force"][cut:] > 0).all()  # never off the floor after the cut
        assert abs(s["final_height_m"]) < 2e-4


def test_the_file_without_a_table_flies_the_rigid_legs_it_always_had():
    plain = fly(Flight(AERO, "observer", FLAT), 3).log
    said = fly(Flight(AERO, "observer", replace(FLAT, legs=Footing(friction=0.6))), 3).log
    soft = fly(Flight(AERO, "observer", replace(FLAT, legs=Footing(sag=0.001))), 3).log
    assert_array_equal(plain["truth_position"], said["truth_position"])
    assert len(soft) != len(plain) or (soft["truth_position"] != plain["truth_position"]).any()


def test_soft_landings_of_both_engines_are_equal_to_a_nanometre():
    """The deepest legs: the engine has taken over before they can touch."""
    flight = Flight(AERO, "observer", replace(FLAT, legs=Footing(sag=0.005, damping=0.3)))
    ours, fast = (fly(replace(flight, engine=e), 4).log for e in ("pybullet", "hybrid"))
    assert_allclose(ours["truth_position"], fast["truth_position"], atol=1e-9)


def test_a_world_is_kept_for_the_same_legs_alone():
    soft = Springs(0.6, 1000.0, 10.0, 0.001)
    assert world_of(AERO, springs=soft) is world_of(AERO, springs=replace(soft))
    assert world_of(AERO).springs == STIFF


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sag": 0.006}, "sag is 0.006, expected a number from 0 to 0.005 m; change it, or leave"),
        ({"sag": -0.001}, "sag is -0.001"),
        ({"friction": 2.1}, "friction is 2.1, expected a number from 0 to 2; change it, or"),
        ({"damping": 0.0}, "damping is 0.0, expected a number from 0.1 to 5 of critical damping"),
    ],
)
def test_impossible_legs_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Footing(**wrong)
    Footing(friction=2.0, sag=0.005, damping=0.1)
