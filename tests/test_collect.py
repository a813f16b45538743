"""Collection flights go where the residual lives, and come back as logs one can learn from."""

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import read_flight_log
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.collect import BELOW, TOP, collect, collection_plan, generator

AERO = load_vehicle("intel-aero")


def test_plans_start_in_hover_reach_below_the_floor_and_differ_by_seed():
    plans = [collection_plan(60.0, generator(0, i)) for i in range(4)]
    for plan in plans:
        assert plan.coefficients[0, 2, 0] == 1.5
        assert plan.coefficients[:, 2, 0].min() < 0
        assert plan.times[-1] >= 60.0
    assert len({plan.times[-1] for plan in plans}) == 4


@pytest.mark.parametrize("seed", range(20))
def test_every_plan_spends_time_at_every_height(seed):
    plan = collection_plan(60.0, generator(seed, seed))
    t = np.linspace(0, 60, 6001)
    piece = np.clip(np.searchsorted(plan.times, t, side="right") - 1, 0, len(plan.times) - 2)
    s = t - plan.times[piece]
    z = sum(plan.coefficients[piece, 2, k] * s**k for k in range(plan.coefficients.shape[-1]))
    # `pd` hangs 7 cm over the set-point near the floor, so that the lowest is as low as planned
    assert z.min() == pytest.approx(-BELOW, abs=1e-6)
    shares = np.histogram(z, np.geomspace(0.01, TOP, 6))[0] / len(z)
    assert shares.min() > 0.004, shares  # a quarter of a second of 60, in the thinnest bin


@pytest.mark.parametrize("name", ["intel-aero", "crazyflie"])
def test_every_flight_of_the_usual_length_covers_1_cm_to_the_top(name, tmp_path):
    vehicle = load_vehicle(name)
    bins = np.geomspace(0.01, TOP, 9)
    for path in collect(vehicle, 2, 60.0, 1, tmp_path):  # one of `pd`, one of `observer`
        log = read_flight_log(path)
        flying = log["truth_contact_force"] <= 0
        seconds = np.histogram(log["truth_height"][flying], bins)[0] / 100
        assert seconds.min() > 0.3, (path.name, seconds)


def test_no_collection_flight_draws_what_a_landing_draws():
    seeds = range(30)
    landings = {np.random.default_rng(seed).uniform() for seed in seeds}
    flights = {generator(seed, i).uniform() for seed in seeds for i in range(30)}
    assert len(flights) == 900
    assert not landings & flights


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
        assert log["truth_height"].min() < 0.001  # down to standing, whoever flies


@pytest.mark.parametrize(("flights", "duration"), [(0, 60.0), (1, 1.0), (1, 1e6)])
def test_nonsense_is_refused_before_anything_is_written(flights, duration, tmp_path):
    with pytest.raises(InputError, match="expected"):
        collect(AERO, flights, duration, 0, tmp_path / "out")
    assert not (tmp_path / "out").exists()
