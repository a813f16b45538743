"""Collection flights go where the residual lives, and come back as logs one can learn from."""

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import read_flight_log
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.collect import collect, collection_plan

AERO = load_vehicle("intel-aero")


def test_plans_start_in_hover_reach_below_the_floor_and_differ_by_seed():
    plans = [collection_plan(60.0, np.random.default_rng([0, i])) for i in range(4)]
    for plan in plans:
        assert plan.coefficients[0, 2, 0] == 1.5
        assert plan.coefficients[:, 2, 0].min() < 0
        assert plan.times[-1] >= 60.0
    assert len({plan.times[-1] for plan in plans}) == 4


def test_flights_reach_the_floor_and_repeat_to_the_byte(tmp_path):
    first = collect(AERO, 2, 12.0, 5, tmp_path / "a")
    again = collect(AERO, 2, 12.0, 5, tmp_path / "b")
    other = collect(AERO, 2, 12.0, 6, tmp_path / "c")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    assert first[0].read_bytes() != other[0].read_bytes()
    logs = [read_flight_log(path) for path in first]
    assert [log.metadata["controller"] for log in logs] == ["pd", "observer"]
    for log in logs:
        assert log["time"][1] == pytest.approx(0.01)
        assert log["truth_height"].max() > 1.0
        assert log["phase"].max() == 0  # nobody cuts the motors while data is collected
    assert min(log["truth_height"].min() for log in logs) < 0.03


@pytest.mark.parametrize(("flights", "duration"), [(0, 60.0), (1, 1.0), (1, 1e6)])
def test_nonsense_is_refused_before_anything_is_written(flights, duration, tmp_path):
    with pytest.raises(InputError, match="expected"):
        collect(AERO, flights, duration, 0, tmp_path / "out")
    assert not (tmp_path / "out").exists()
