"""Scenario files say what is to be flown; wrong ones are refused with the field."""

import math
import re

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.scripts.cli import main
from neural_lander.sim.aerodynamics import Aerodynamics
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.legs import Footing
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import bundled_scenarios, load_scenario
from neural_lander.sim.sensors import Sensors
from neural_lander.sim.wind import Wind


@pytest.mark.parametrize("name", bundled_scenarios())
def test_bundled_scenarios_load(name):
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.description


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("description = 'x'", "name is missing"),
        ("name = 'a'\ndescription = 'x'\nfloor = 3", "floor is unknown; expected"),
        (
            "name = 'a'\ndescription = 'x'\nstart_height = -1",
            "start_height is -1, expected a number from",
        ),
        ("name = 'a'\ndescription = 'x'\nhover = true", "hover is True, expected a number"),
        ("name = 'a'\ndescription = 'x'\nstart_height = 0.1\ntarget_height = 0.5", "target_height"),
        ("name = ", "is not TOML"),
    ],
)
def test_bad_files_are_refused(text, message, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_scenario(str(path))


WRONG_TABLES = [
    ("wind = 3", "wind is 3, expected a table [wind]"),
    ("[wind]\nspeed = 3", "wind.speed is unknown; take one of airspeed, gust, gust_length"),
    (
        "[wind]\nsteady = 3",
        "wind.steady is 3, expected 3 numbers, each from -15 to 15 m/s; change it",
    ),
    ("[wind]\nsteady = [1, 2]", "wind.steady is [1, 2], expected 3 numbers"),
    ("[wind]\nsteady = [1, 2, true]", "wind.steady is [1, 2, True], expected 3 numbers"),
    ("[wind]\nturbulence = nan", "wind.turbulence is nan, expected a number from 0 to 5 m/s"),
    ("[vehicle]\nlag_s = 0", "vehicle.lag_s is 0, expected a number from 0.001 to 1 s"),
    ("[vehicle]\nlatency = 'long'", "leave it out to take the vehicle file's"),
    ("[vehicle]\nmass_share = -1", "vehicle.mass_share is -1, expected a number from -0.9 to 5"),
    ("[vehicle]\nmass_share = [0.1]", "vehicle.mass_share is [0.1], expected a number"),
    ("[sensors]\nrotor_speed = 'no'", "sensors.rotor_speed is 'no', expected true or false"),
    ("[sensors]\nrotor_speed = 0", "change it, or leave it out for true"),
    ("[sensors]\ncolour = 3", "sensors.colour is 3, expected 'mixed' or 'white' or 'correlated'"),
    (
        "[sensors]\nheight = 'sonar'",
        "sensors.height is 'sonar', expected 'map' or 'range'; change it",
    ),
    ("[sensors]\nrange_noise = -1", "sensors.range_noise is -1, expected a number from 0 to 0.5 m"),
    ("[sensors]\nrange_limit = 0", "sensors.range_limit is 0, expected a number from 0.1 to 100 m"),
    ("[sensors]\nrange_cone = 1", "sensors.range_cone is 1, expected a number from 0 to 0.5 rad"),
    ("[sensors]\nrange_finder = 1", "sensors.range_finder is 1, expected true or false; change it"),
    ("[legs]\nspring = 3", "legs.spring is unknown; take one of damping, friction, sag"),
    ("[legs]\nfriction = -0.1", "legs.friction is -0.1, expected a number from 0 to 2; change it"),
    (
        "[legs]\nsag = 0.01",
        "legs.sag is 0.01, expected a number from 0 to 0.005 m; change it, or leave",
    ),
    (
        "[legs]\ndamping = 0",
        "legs.damping is 0, expected a number from 0.1 to 5 of critical damping",
    ),
    ("legs = 'soft'", "legs is 'soft', expected a table [legs]"),
    (
        "[aerodynamics]\nfountains = false",
        "aerodynamics.fountains is unknown; take one of crossflow, drag, fountain, moments, other_images",
    ),
    (
        "[aerodynamics]\nmoments = 0",
        "aerodynamics.moments is 0, expected true or false; change it, or leave it out for true",
    ),
    (
        "[aerodynamics]\ncrossflow = 200",
        "aerodynamics.crossflow is 200, expected a number from 0 to 100 of potential flow's; change it",
    ),
    ("[[sensors]]\ncolour = 'white'", "expected a table [sensors]"),
]


@pytest.mark.parametrize(("text", "message"), WRONG_TABLES)
def test_wrong_tables_are_refused_with_file_field_range_and_cure(text, message, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(f"name = 'a'\ndescription = 'x'\n{text}\n")
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load_scenario(str(path))
    assert str(caught.value).startswith(f"{path}: ")


def test_the_last_value_that_is_allowed_is_taken(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(
        "name = 'a'\ndescription = 'x'\n[vehicle]\nmass_share = -0.9\nlag_s = 0.001\n"
        "centre_of_mass = [0.1, 0, -0.1]\n[wind]\nsteady = [15, 0, -15]\nturbulence = 5\n"
        "[legs]\nfriction = 0\nsag = 0.005\n[aerodynamics]\nfountain = false\ncrossflow = 100\n"
        "[sensors]\ndrop_out_share = 0.9\nrotor_speed = false\ncolour = 'white'\n"
    )
    scenario = load_scenario(str(path))
    assert scenario.vehicle == Deviation(
        mass_share=-0.9, lag_s=0.001, centre_of_mass=(0.1, 0.0, -0.1)
    )
    assert scenario.wind == Wind(steady=(15.0, 0.0, -15.0), turbulence=5.0)
    assert scenario.legs == Footing(friction=0.0, sag=0.005)
    assert scenario.aerodynamics == Aerodynamics(fountain=False, crossflow=100.0)
    assert scenario.sensors == Sensors(drop_out_share=0.9, rotor_speed=False, colour="white")


def test_a_scenario_without_tables_is_the_world_as_believed():
    flat = load_scenario("flat")
    assert (flat.vehicle, flat.wind, flat.sensors) == (Deviation(), Wind(), Sensors())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[wind]\nturbulence = 9", "wind.turbulence is 9, expected a number from 0 to 5 m/s"),
        (
            "[sensors]\nposition_latency = 0.2",
            "sensors.position_latency is 0.2 s, expected 0 to 0.128",
        ),
        ("[vehicle]\ncentre_of_mass = [0.1, 0, 0]", "expected a point above and between them"),
        ("[legs]\nsag = 1", "legs.sag is 1, expected a number from 0 to 0.005 m; change it"),
    ],
)
def test_the_program_leaves_with_status_2(text, message, tmp_path, capfd):
    path = tmp_path / "s.toml"
    path.write_text(f"name = 'a'\ndescription = 'x'\n{text}\n")
    with pytest.raises(SystemExit) as left:
        main(["land", "--vehicle", "intel-aero", "--controller", "pid", "--scenario", str(path),
              "--out", str(tmp_path / "run")])  # fmt: skip
    assert left.value.code == 2
    assert message in capfd.readouterr().err


@pytest.mark.parametrize("name", ["gust", "heavy", "weak-rotor"])
def test_the_observer_lands_in_every_bundled_world(name):
    vehicle = load_vehicle("intel-aero")
    landing = fly(Flight(vehicle, "observer", load_scenario(name), engine="hybrid"), 1)
    assert landing.summary["landed"]


def test_the_bundled_gust_is_at_its_height_when_the_legs_touch():
    scenario = load_scenario("gust")
    landing = fly(Flight(load_vehicle("intel-aero"), "observer", scenario, engine="hybrid"), 1)
    touched = landing.log["time"][np.argmax(landing.log["truth_contact_force"] > 0)]
    wind = scenario.wind
    since = (touched - wind.gust_start) / wind.gust_length
    assert (1 - math.cos(2 * math.pi * since)) / 2 > 0.9


def test_unknown_names_are_told_what_there_is():
    with pytest.raises(
        InputError,
        match=r"scenario 'moon' is unknown; take one of cross-table, .*flat, gap, gust, heavy",
    ):
        load_scenario("moon")
