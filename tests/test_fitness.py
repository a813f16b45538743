"""The verdict on a flight: fit where ground effect can be learned, else not, for its true reason."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.fitness import Fitness, judge

RATE = 100.0


def flight(
    vehicle: Vehicle,
    heights: np.ndarray,
    noise: float = 0.01,
    offset: float = 0.0,
    effect: float = 0.1,
) -> FlightLog:
    """A level flight along ``heights`` [m] at 100 Hz, with ground effect [share of weight]."""
    n, rng = len(heights), np.random.default_rng(0)
    time = np.arange(n) / RATE
    thrust = np.full(n, vehicle.weight)
    force = vehicle.weight * (
        offset + effect * np.exp(-heights / vehicle.rotors.radius) + noise * rng.normal(size=n)
    )
    zero = np.zeros((n, 3))
    z = np.array([0.0, 0.0, 1.0])
    columns = {
        "time": time,
        "position": heights[:, None] * z,
        "velocity": zero,
        "attitude": np.tile([0.0, 0.0, 0.0, 1.0], (n, 1)),
        "rate": zero,
        "rotor_thrust_command": np.repeat(thrust[:, None] / 4, 4, axis=1),
        "height": heights,
        "contact": (heights < 0.005).astype(float),
        "specific_force": ((thrust + force) / vehicle.mass)[:, None] * z,
    }
    return FlightLog(columns, {"vehicle": vehicle.name, "source": "made"})


def held(vehicle: Vehicle, *stretches: tuple[float, float]) -> np.ndarray:
    """Heights of stretches (seconds, rotor radii), a metre a second between them."""
    heights = [np.full(round(s * RATE), r * vehicle.rotors.radius) for s, r in stretches]
    joined = [heights[0]]
    for before, after in pairwise(heights):
        count = max(2, round(abs(after[0] - before[0]) * RATE))
        joined += [np.linspace(before[0], after[0], count)[1:-1], after]
    return np.concatenate(joined)


def without(log: FlightLog, *names: str, **missing: str) -> FlightLog:
    columns = {k: v for k, v in log.columns.items() if k not in names}
    return FlightLog(columns, {**log.metadata, "missing": missing})


def why(report: Fitness) -> str:
    assert report.verdict == "not"
    return "; ".join(report.why)


def test_enough_near_the_ground_and_clear_of_it_is_fit(intel_aero: Vehicle) -> None:
    report = judge(flight(intel_aero, held(intel_aero, (2, 0.5), (2, 2), (3, 10))), intel_aero)
    assert report.fit
    assert report.why == ()
    assert report.seconds_one_radius == pytest.approx(2, abs=0.1)
    assert report.seconds_low == pytest.approx(4.2, abs=0.2)
    assert report.usable_seconds == pytest.approx(4.2, abs=0.2)
    assert report.label_noise == pytest.approx(0.01, rel=0.15)
    assert report.label_offset == pytest.approx(0, abs=0.002)


@pytest.mark.parametrize(("seconds", "fit"), [(0.9, False), (1.1, True)])
def test_a_second_near_the_ground_is_needed(seconds: float, fit: bool, intel_aero: Vehicle) -> None:
    heights = held(intel_aero, (2, 10), (seconds, 2.9), (2, 10))
    report = judge(flight(intel_aero, heights), intel_aero)
    assert report.fit == fit, report.why
    if not fit:
        assert "0.9 s of usable data below three rotor radii (0.345 m), 1 s needed" in why(report)


def test_a_flight_that_stays_up_is_not_and_says_how_high(intel_aero: Vehicle) -> None:
    report = judge(flight(intel_aero, held(intel_aero, (5, 6), (5, 10))), intel_aero)
    assert "never lower than 0.69 m above standing = 6.0 radii" in why(report)


def test_a_flight_that_stays_down_cannot_tell_its_offset(intel_aero: Vehicle) -> None:
    report = judge(flight(intel_aero, held(intel_aero, (5, 1), (0.5, 7), (5, 2))), intel_aero)
    assert "offset passes for ground effect" in why(report)


def test_touching_is_not_flying_low(intel_aero: Vehicle) -> None:
    report = judge(flight(intel_aero, held(intel_aero, (5, 0.0), (3, 10))), intel_aero)
    assert report.seconds_contact == pytest.approx(5, abs=0.1)
    assert "usable data below three rotor radii" in why(report)


def test_standing_is_no_flight(intel_aero: Vehicle) -> None:
    log = flight(intel_aero, np.zeros(1000))
    assert why(judge(log, intel_aero)).startswith("no flight: 0.0 s of 10.0 s in the air")


def test_noise_that_drowns_the_effect_is_not_fit(intel_aero: Vehicle) -> None:
    heights = held(intel_aero, (4, 1), (4, 10))
    assert judge(flight(intel_aero, heights, noise=0.08), intel_aero).fit
    assert "label noise 1" in why(judge(flight(intel_aero, heights, noise=0.14), intel_aero))


def test_another_vehicle_shows_far_from_the_ground(intel_aero: Vehicle) -> None:
    heights = held(intel_aero, (4, 1), (4, 10))
    assert judge(flight(intel_aero, heights, offset=-0.2), intel_aero).fit
    said = why(judge(flight(intel_aero, heights, offset=-0.3), intel_aero))
    assert "clear of the ground -30% of weight are left over" in said


def test_a_trend_far_from_the_ground_is_no_ground_effect(intel_aero: Vehicle) -> None:
    radius = intel_aero.rotors.radius
    heights = radius * (12 + 3 * np.sin(np.arange(3000) / RATE))
    log = flight(intel_aero, heights)
    false = -0.05 * (heights / radius - 12)[:, None] * np.array([0, 0, 9.81])
    force = {**log.columns, "specific_force": log["specific_force"] + false}
    report = judge(replace(log, columns=force), intel_aero)
    assert (report.far_correlation or 0) < -0.9
    assert "beyond 8 radii, where no ground makes it" in why(report)
    assert "where no ground makes it" not in why(judge(log, intel_aero))


def test_what_is_missing_is_the_reason_and_not_a_zero(intel_aero: Vehicle) -> None:
    log = flight(intel_aero, held(intel_aero, (4, 1), (4, 10)))
    report = judge(without(log, "height", height="no range sensor"), intel_aero)
    assert report.height_min is None
    assert report.seconds_low is None
    assert "height over the surface missing: no range sensor" in why(report)
    bare = without(log, "rotor_thrust_command", rotor_thrust_command="no law")
    report = judge(bare, intel_aero)
    assert "thrust missing: no law" in why(report)
    assert (report.label_noise, report.saturated_samples) == (None, None)


def test_a_slow_log_is_not_fit_and_its_steps_are_no_gaps(intel_aero: Vehicle) -> None:
    log = flight(intel_aero, held(intel_aero, (10, 1), (10, 10))).rows(slice(None, None, 10))
    report = judge(log, intel_aero)
    assert report.rate == pytest.approx(10)
    assert report.gaps == 0
    assert "10 samples a second, 20 needed" in why(report)
    assert report.seconds_low == pytest.approx(10.2, abs=0.3)  # steps of 0.1 s count in full


def test_rotors_at_their_limit_are_counted_in_the_air(intel_aero: Vehicle) -> None:
    log = flight(intel_aero, held(intel_aero, (1, 0.0), (4, 1), (4, 10)))
    command = log["rotor_thrust_command"].copy()
    command[[300, 301, 400], 2] = intel_aero.rotors.thrust_max
    command[500, 1] = intel_aero.rotors.thrust_min
    command[10, 0] = intel_aero.rotors.thrust_max  # on the ground
    columns = {**log.columns, "rotor_thrust_command": command}
    assert judge(replace(log, columns=columns), intel_aero).saturated_samples == 4
    share = np.full((len(log), 4), 0.5)
    share[[300, 301], 0] = 1.0
    columns |= {"rotor_command": share}  # what was sent says more than what it should give
    assert judge(replace(log, columns=columns), intel_aero).saturated_samples == 2
