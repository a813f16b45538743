"""The score of a calibration flight leaves nothing out that the flight showed."""

from dataclasses import replace

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import read_flight_log, write_flight_log
from neural_lander.controller.setpoint import plan_descent
from neural_lander.learning.calibration import calibrate

from .test_calibration import loop  # noqa: F401


def test_a_blow_too_large_for_training_is_still_scored(tmp_path, loop, intel_aero):  # noqa: F811
    """13 N for 60 ms: no label to learn from, and just what a bound of the error has to hold."""
    paths, network = loop
    before = calibrate(paths, intel_aero, network, "learned+observer", alpha=0.5)
    log = read_flight_log(paths[0])
    velocity = log["velocity"].copy()
    pushed = np.clip(log["time"] - 2.0, 0.0, 0.06)
    velocity[:, 0] += 13.0 / intel_aero.mass * pushed
    struck = tmp_path / "struck.parquet"
    write_flight_log(struck, replace(log, columns={**log.columns, "velocity": velocity}))
    after = calibrate([struck, *paths[1:]], intel_aero, network, "learned+observer", alpha=0.5)
    assert max(after.scores[0].changing) > 2 * max(before.scores[0].changing)


def test_a_flight_with_a_hole_in_it_is_no_calibration_flight(tmp_path, loop, intel_aero):  # noqa: F811
    """What the flight showed in the hole is not known, so it has no score."""
    paths, network = loop
    log = read_flight_log(paths[0])
    keep = (log["time"] < 2.0) | (log["time"] > 2.2)
    torn = tmp_path / "torn.parquet"
    write_flight_log(torn, replace(log, columns={k: v[keep] for k, v in log.columns.items()}))
    with pytest.raises(InputError, match=r"gaps, the first 2\d\d ms long"):
        calibrate([torn, *paths[1:]], intel_aero, network, "learned+observer")


def test_flights_along_another_plan_do_not_calibrate_this_one(loop, intel_aero):  # noqa: F811
    """The flights hover for 1 s and land; a plan that hovers for 2 s or stays up is another."""
    paths, network = loop
    own = plan_descent("s-curve", (0.0, 0.0, 1.5), 0.0, 1.0)
    calibrate(paths, intel_aero, network, "learned+observer", plan=own)
    for other in (
        plan_descent("s-curve", (0.0, 0.0, 1.5), 0.0, 2.0),
        plan_descent("s-curve", (0.0, 0.0, 1.5), 1.0, 1.0),
        plan_descent("exponential", (0.0, 0.0, 1.5), 0.0, 1.0),
    ):
        with pytest.raises(InputError, match="away from that of the plan"):
            calibrate(paths, intel_aero, network, "learned+observer", plan=other)
