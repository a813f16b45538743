"""Pairs are of one reference: along the fastest, no controller flies faster than any model has seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neural_lander.controller.certificate import plan_digest
from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.campaign.run import chunks_of, require_flyable
from neural_lander.sim.campaign.worker import flight_at, fly_chunk
from neural_lander.sim.campaign.worst import command_of
from neural_lander.sim.compare import compare_seeds
from neural_lander.sim.gate import FlightOptions, descent_speed_of, flight_of, require_one_plan
from neural_lander.sim.rollout import Flight

from .bundle_cases import bundle
from .campaign_cases import spec_in

AERO = load_vehicle("intel-aero")
SEEN = 0.9
"""Descent speed that the model has seen [m/s]."""
SPEC = """
vehicle = "intel-aero"
controllers = ["pid", "observer", "learned+observer"]
scenarios = ["low.toml"]
seeds = "0:1"
reference = "fastest"
model = "model"
uncertified = true
"""
LOW = """
name = "low"
description = "from 0.8 m"
start_height = 0.8
hover = 1.0
after = 1.0
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose flights were slow."""
    weight = AERO.weight
    seen = {
        "height": [0.0, 1.5],
        "vertical_speed": [-SEEN, 1.5],
        "collective_thrust": [0.5 * weight, 1.5 * weight],
    }
    return bundle(tmp_path / "model", AERO, scale=0.1, clamp=seen, envelope=seen)


def options_of(model: Path | None) -> FlightOptions:
    return FlightOptions("intel-aero", "flat", "fastest", "rotor", model, None, True, "hybrid")


def test_the_slowest_model_bounds_all_and_no_model_none(model: Path) -> None:
    mixed = options_of(model)
    assert descent_speed_of(mixed, ["pid", "learned"]) == SEEN
    assert descent_speed_of(mixed, ["pid", "observer"]) == mixed.descent_speed > SEEN
    assert descent_speed_of(replace(mixed, reference="s-curve"), ["learned"]) > SEEN
    flights = {
        name: flight_of(replace(mixed, descent_speed=SEEN), name) for name in ("pid", "learned")
    }
    require_one_plan(flights)
    assert flights["pid"].plan.metadata["speed_m_s"] == pytest.approx(SEEN, rel=1e-3)
    with pytest.raises(InputError, match="pid and learned would fly different references"):
        require_one_plan({name: flight_of(mixed, name) for name in ("pid", "learned")})


def test_a_comparison_flies_one_plan_on_one_noise(model: Path, tmp_path: Path, monkeypatch) -> None:
    met: list[Flight] = []

    def keep(cases, *_):
        met.extend(case.flight for case in cases)
        raise KeyboardInterrupt  # nothing needs to fly

    monkeypatch.setattr("neural_lander.sim.compare.fly_seeds", keep)
    with pytest.raises(KeyboardInterrupt):
        compare_seeds(options_of(model), ["pid", "learned"], ["flat"], range(2), tmp_path / "c")
    one, other = (flight.plan for flight in met)
    np.testing.assert_array_equal(one.times, other.times)
    np.testing.assert_array_equal(one.coefficients, other.coefficients)


def test_a_comparison_refuses_two_plans(model: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("neural_lander.sim.compare.descent_speed_of", lambda o, _: o.descent_speed)
    with pytest.raises(InputError, match="different references"):
        compare_seeds(options_of(model), ["pid", "learned"], ["flat"], range(2), tmp_path / "c")


def test_a_campaign_flies_one_plan_and_its_command_says_how_fast(model: Path) -> None:
    spec = spec_in(model.parent, SPEC, low=LOW)
    require_flyable(spec)
    assert {cell.options.descent_speed for cell in spec.cells} == {SEEN}
    rows = [r for c in chunks_of(spec, np.zeros(3, bool)) for r in fly_chunk(c)]
    assert [row["status"] for row in rows] == ["flown"] * 3
    command = command_of(spec.cells[0], "low.toml", 0, "again")
    assert f"--descent-speed {SEEN}" in command
    plans = [flight_at(cell, {}).plan for cell in spec.cells]
    assert len({plan_digest(plan) for plan in plans}) == 1
    assert plans[0].metadata["speed_m_s"] == pytest.approx(SEEN, rel=1e-3)


def test_a_campaign_refuses_two_plans(model: Path) -> None:
    spec = spec_in(model.parent, SPEC, low=LOW)
    cells = [replace(cell, options=replace(cell.options, descent_speed=3.0)) for cell in spec.cells]
    with pytest.raises(InputError, match="different references"):
        require_flyable(replace(spec, cells=tuple(cells)))
