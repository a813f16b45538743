"""Neural-Fly's CSV: vectors in quoted cells, throttle over hover throttle, no ground within reach."""

import csv
import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import GRAVITY, Vehicle
from neural_lander.learning.fitness import judge
from neural_lander.learning.labels import raw_labels
from neural_lander.learning.neural_fly import looks_like_neural_fly, recording
from neural_lander.learning.recording import to_flight_log

FILES = ("NF_nowind", "baseline_nowind", "baseline_35wind", "baseline_100wind")
HEAD = ",t,p,v,q,w,T_sp,hover_throttle"


def line(i: int, t: float, z: float = 2.0, throttle: float = 0.55) -> str:
    return (
        f'{i},{t},"[1.0, 2.0, {z}]","[0.1, 0.2, 0.3]","[0.0, 0.0, 0.0, -1.0]","[0.0, 0.1, 0.2]",'
        f"[{throttle}],[0.5]"
    )


def file(*lines: str, head: str = HEAD) -> bytes:
    return "\n".join([head, *lines, ""]).encode()


@pytest.fixture
def heavy(intel_aero: Vehicle) -> Vehicle:
    """A vehicle of the mass that flew, without lag or latency, as the file's own equation."""
    body = replace(intel_aero.body, mass=2.645)
    rotors = replace(intel_aero.rotors, lag=1e-6, thrust_max=20.0)
    timing = replace(intel_aero.timing, latency=0.0, period=1e-9)
    return replace(intel_aero, body=body, rotors=rotors, timing=timing)


def test_a_row_is_read_in_its_units(intel_aero: Vehicle) -> None:
    data = file(line(0, 0.0), line(1, 0.02, z=1.9))
    assert looks_like_neural_fly(data)
    log = to_flight_log(recording(data, intel_aero, "made"), intel_aero, "made")
    np.testing.assert_array_equal(log["position"], [[1, 2, 2], [1, 2, 1.9]])
    np.testing.assert_array_equal(log["velocity"][0], [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(log["rate"][0], [0, 0.1, 0.2])
    np.testing.assert_array_equal(np.abs(log["attitude"][0]), [0, 0, 0, 1])
    np.testing.assert_allclose(log["height"], np.array([2, 1.9]) - intel_aero.rest_height)
    np.testing.assert_allclose(log["thrust_command"], 1.1 * intel_aero.weight)
    assert "rotor_thrust_command" not in log  # only the sum is known
    assert "rotor_speed" not in log
    with pytest.raises(InputError, match=r"rotor_1_thrust_command_n is missing .*only their sum"):
        raw_labels(log, intel_aero)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (line(1, 0.01)[:-20], "cells, expected 8"),
        (line(1, 0.01).replace("2.0, 2.0", "2.0"), "p reads '[1.0, 2.0]', expected 3 numbers"),
        (line(1, 0.01).replace("0.3", "fast"), "v reads"),
        (line(1, 0.01)[:30] + '"' + line(1, 0.01)[30:], "1 of 4 lines; the first, 3"),
        ("x" * 70_000, "70000 characters long"),
    ],
)
def test_a_bad_line_costs_itself_alone_and_is_named(
    bad: str, said: str, intel_aero: Vehicle
) -> None:
    data = file(line(0, 0.0), bad, line(2, 0.02), line(3, 0.04))
    log = to_flight_log(recording(data, intel_aero, "made"), intel_aero, "made")
    assert len(log) == 3
    assert said in log.metadata["dropped"][0]


def test_a_last_line_without_end_may_be_half_a_number(intel_aero: Vehicle) -> None:
    data = file(line(0, 0.0), line(1, 0.02), line(2, 0.04))[:-1]
    log = to_flight_log(recording(data, intel_aero, "made"), intel_aero, "made")
    assert len(log) == 2
    assert "no line end" in log.metadata["dropped"][0]


@pytest.mark.parametrize("column", ["t", "p", "v", "q", "w"])
def test_a_missing_column_is_named(column: str, intel_aero: Vehicle) -> None:
    data = file(line(0, 0.0), line(1, 0.02), head=HEAD.replace(f",{column}", ",other"))
    with pytest.raises(InputError, match=f"made: column {column} is missing"):
        recording(data, intel_aero, "made")


@pytest.fixture
def real(data_folder: Path) -> Callable[[str], bytes]:
    folder = data_folder / "flights" / "neural-fly"
    return lambda name: gzip.decompress((folder / f"custom_figure8_{name}.csv.gz").read_bytes())


def test_labels_are_the_residual_force_of_the_file_itself(
    real: Callable[[str], bytes], heavy: Vehicle
) -> None:
    data = real("baseline_nowind")
    log = to_flight_log(recording(data, heavy, "real"), heavy, "real")
    each = np.repeat(log["thrust_command"][:, None] / 4, 4, axis=1)
    columns = {**log.columns, "rotor_thrust_command": each}
    labels = raw_labels(replace(log, columns=columns), heavy)
    rows = list(csv.DictReader(data.decode().splitlines()))
    theirs = np.array([[float(x) for x in row["fa"].strip("[]").split(",")] for row in rows])
    at = np.searchsorted(log["time"], labels.time + 1e-6) - 1
    on_row = np.abs(log["time"][at] - labels.time) < 1e-3
    difference = (labels.force - theirs[at])[on_row]
    # They differentiate velocity by differences, we by a spline: a little noise, and no bias.
    assert on_row.sum() > 1000
    assert np.abs(difference.mean(axis=0)).max() < 0.01 * heavy.weight
    assert np.corrcoef(labels.force[on_row, 2], theirs[at][on_row, 2])[0, 1] > 0.97
    assert heavy.weight == pytest.approx(2.645 * GRAVITY)


@pytest.mark.parametrize("name", FILES)
def test_no_ground_effect_is_reported_from_a_figure_eight(
    real: Callable[[str], bytes], name: str, heavy: Vehicle, intel_aero: Vehicle
) -> None:
    for vehicle in (heavy, intel_aero):
        log = to_flight_log(recording(real(name), vehicle, name), vehicle, name)
        report = judge(log, vehicle)
        assert report.verdict == "not"
        assert report.seconds_low == 0
        assert (report.height_min or 0) + vehicle.rest_height > 1.3
        assert "never lower than 1.2" in report.why[0]
        assert "force falls with height" in report.why[1]  # and says that it is no ground effect
        # -0.8 in the file's own noisy labels without wind; behind the low pass -0.9.
        assert (report.far_correlation or 0) < (-0.75 if "nowind" in name else -0.5)
