"""A level way over a table's edge, and the map by which the controller knows where the edge is."""

from dataclasses import replace

import numpy as np
import pytest

from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.ground_effect_formula import cheeseman_bennett
from neural_lander.controller.landing_controller import controller_record
from neural_lander.controller.measurement import NOT_FELT
from neural_lander.controller.network import network_record
from neural_lander.controller.own_force import residual_force
from neural_lander.controller.setpoint import plan_descent
from neural_lander.controller.terrain import FLAT, Surface, Terrain
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.scripts.cli_flight import outcome_of
from neural_lander.sim.gate import FlightOptions, flight_of
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario

AERO = load_vehicle("intel-aero")
TABLE = Terrain((Surface(1.0, 0.0, 1.0, 1.0, 0.5),))
THRUSTS = (3.6, 3.6, 3.6, 3.6)


def textbook(x, chart, z=0.65):
    """The textbook controller's force in level hover with its origin at x, 0, z [N]."""
    plan = plan_descent("s-curve", (0, 0, 1), 0.0, 1.0)
    record = controller_record(AERO, "textbook", plan, 0.0, chart=chart)
    level, still = (0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0)
    height = z - chart.height(x, 0.0) - AERO.rest_height
    measured = ((x, 0.0, z), level, still, still, THRUSTS, height, NOT_FELT)
    return residual_force(record[0], network_record(None)[0], measured, THRUSTS)[2]


def over(height, z=0.65):
    """The same in the closed form over one level surface."""
    disc = z - height + AERO.rotors.positions[:, 2].mean()
    return (cheeseman_bennett(disc, AERO.gains.textbook_radius) - 1) * sum(THRUSTS)


def test_force_by_the_map_is_each_surfaces_far_from_the_edge_and_half_of_both_at_it():
    assert textbook(1.0, TABLE) == pytest.approx(over(0.5), rel=1e-12)
    assert textbook(-1.0, TABLE) == pytest.approx(over(0.0), rel=1e-12)
    assert textbook(0.0, TABLE) == pytest.approx((over(0.5) + over(0.0)) / 2, rel=1e-12)
    assert over(0.5) > 2 * over(0.0)  # or the test would say nothing


def test_force_by_the_map_does_not_jump_at_the_edge():
    """The rotors reach 0.242 m: within that the share moves by at most 1 % a millimetre."""
    force = np.array([textbook(x, TABLE) for x in np.arange(-0.4, 0.4, 1e-3)])
    assert np.abs(np.diff(force)).max() < 0.01 * (over(0.5) - over(0.0))
    assert (np.diff(force) >= -1e-12).all()


def test_an_empty_map_is_the_level_floor():
    assert textbook(0.3, FLAT, 0.15) == over(0.0, 0.15)


@pytest.mark.parametrize("scenario", ["cross-table", "cross-table-off"])
def test_knowing_force_and_edge_passes_closer_than_an_observer(scenario):
    def worst(controller):
        flight = Flight(AERO, controller, load_scenario(scenario), engine="hybrid")
        found = [fly(flight, seed).summary for seed in range(4)]
        assert not any(s["crashed"] or s["touched"] for s in found)
        return float(np.median([s["z_max_error_m"] for s in found]))

    known, observed, nothing = (worst(c) for c in ("oracle+observer", "observer", "pd"))
    assert known < 0.006
    assert known < 0.7 * observed
    assert nothing > 0.03


def test_both_engines_fly_the_same_way_over_the_edge():
    flights = [
        fly(Flight(AERO, "observer", load_scenario("cross-table-off"), engine=engine), 1).log
        for engine in ("pybullet", "hybrid")
    ]
    for name in ("truth_position", "truth_force", "setpoint_position"):
        np.testing.assert_allclose(flights[0][name], flights[1][name], atol=1e-9)


def test_the_way_ends_where_the_scenario_says_and_the_descent_begins_there():
    scenario = replace(load_scenario("flat"), start_x=1.0, end_x=0.0, end_y=-0.5)
    flight = Flight(AERO, "oracle+observer", scenario, "fastest", engine="hybrid")
    landing = fly(flight, 0)
    assert landing.summary["landed"]
    np.testing.assert_allclose(landing.log["truth_position"][-1, :2], [0.0, -0.5], atol=0.02)
    np.testing.assert_allclose(flight.plan.coefficients[0, :, 0], [1.0, 0.0, 1.5])


def test_a_certificate_is_not_about_edges():
    options = FlightOptions("intel-aero", "table", "s-curve", "rotor", None)
    assert flight_of(options, "observer").certified is None
    with pytest.raises(InputError, match="needs a model"):
        flight_of(options, "learned")


def test_a_learned_force_at_an_edge_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("neural_lander.sim.gate.load_network", lambda *a: None)
    options = FlightOptions("intel-aero", "table", "s-curve", "rotor", tmp_path)
    with pytest.raises(Refused, match=r"edges.*--uncertified"):
        flight_of(options, "learned")
    assert flight_of(replace(options, uncertified=True), "learned").certified is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("end_x = 'far'", "end_x is 'far', expected a number"),
        ("end_x = 1.0\ntravel_speed = 0.0", "travel_speed is 0.0, expected a number from 0.1"),
        ("target_height = 1.5", "expected less than start_height"),
    ],
)
def test_wrong_ways_are_refused(text, message, tmp_path):
    path = tmp_path / "way.toml"
    path.write_text(f"name = 'way'\ndescription = 'x'\n{text}\n")
    with pytest.raises(InputError, match=message):
        load_scenario(str(path))


def test_a_level_way_needs_somewhere_to_go(tmp_path):
    path = tmp_path / "way.toml"
    head = "name = 'way'\ndescription = 'x'\nstart_height = 0.5\ntarget_height = 0.5\n"
    path.write_text(head + "end_x = 2.0\n")
    assert load_scenario(str(path)).stays_level
    path.write_text(head)
    with pytest.raises(InputError, match="target_height"):
        load_scenario(str(path))


def test_a_flight_that_is_not_to_land_is_flown_and_one_that_is_hangs():
    def outcome(controller, scenario):
        flight = Flight(AERO, controller, load_scenario(scenario), engine="hybrid")
        return outcome_of(fly(flight, 0).summary)

    assert outcome("observer", "cross-table") == "flown"
    assert outcome("pd", "flat") == "hangs"
    assert outcome("observer", "flat") == "landed"
