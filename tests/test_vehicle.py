"""A vehicle file says what the vehicle is; one that no vehicle can be is refused by its field."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import (
    GRAVITY,
    Vehicle,
    bundled_vehicles,
    load_vehicle,
    parse_vehicle,
)

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "controller" / "vehicles" / "intel-aero.toml").read_text(encoding="utf-8")

vehicles = pytest.mark.parametrize("name", bundled_vehicles())


def with_value(key: str, value: str, text: str = TEXT) -> str:
    """Return the vehicle file with another value of ``key``."""
    changed, count = re.subn(
        rf"^({key} = {{ value = ).*?(, source = )", rf"\g<1>{value}\g<2>", text, flags=re.MULTILINE
    )
    assert count == 1
    return changed


def without(line_start: str) -> str:
    """Return the vehicle file without the line that starts so."""
    changed, count = re.subn(rf"^{re.escape(line_start)}.*\n", "", TEXT, flags=re.MULTILINE)
    assert count == 1
    return changed


def test_the_bundled_vehicles_are_the_three_that_the_sources_describe() -> None:
    assert bundled_vehicles() == ["crazyflie", "crazyflie-large", "intel-aero"]


@vehicles
def test_every_bundled_number_has_a_source_and_a_meaning(name: str) -> None:
    for path, value, meaning, source in load_vehicle(name).numbers():
        assert source.strip(), path
        assert meaning.strip(), path
        assert np.all(np.isfinite(value)), path


@vehicles
def test_a_bundled_vehicle_hovers_well_inside_its_thrust_limits(name: str) -> None:
    vehicle = load_vehicle(name)
    low, high = vehicle.thrust_limits
    # A landing brakes: less than a fifth of thrust in reserve would not be a flying machine.
    assert low < 0.5 * vehicle.weight
    assert high > 1.2 * vehicle.weight


@vehicles
def test_rotor_thrusts_survive_the_mixing_round_trip(name: str) -> None:
    vehicle = load_vehicle(name)
    thrusts = np.array([0.3, 0.5, 0.7, 0.6]) * vehicle.rotors.thrust_max
    wrench = vehicle.mixing @ thrusts
    np.testing.assert_allclose(np.linalg.solve(vehicle.mixing, wrench), thrusts, rtol=1e-12)


@given(
    thrusts=st.lists(st.floats(0, 6), min_size=4, max_size=4).map(np.array),
)
def test_the_mixing_is_the_moment_of_every_rotor_about_the_body(thrusts: np.ndarray) -> None:
    rotors = load_vehicle("intel-aero").rotors
    torque = np.zeros(3)
    for r, spin, f in zip(rotors.positions, rotors.spins, thrusts, strict=True):
        torque += np.cross(r, [0, 0, f]) - [0, 0, spin * rotors.drag_torque * f]
    wrench = load_vehicle("intel-aero").mixing @ thrusts
    # A nanonewton metre is what rounding leaves of torques of the order of 1 N m.
    np.testing.assert_allclose(wrench, [thrusts.sum(), *torque], atol=1e-9)


def test_left_rotors_faster_roll_to_the_right(intel_aero: Vehicle) -> None:
    left = intel_aero.rotors.positions[:, 1] > 0
    _, roll, pitch, yaw = intel_aero.mixing @ np.where(left, 4.0, 3.0)
    assert roll > 0  # about body x (forward): left side up
    np.testing.assert_allclose([pitch, yaw], 0, atol=1e-12)


def test_the_intel_aero_hovers_at_the_published_rotor_speed(intel_aero: Vehicle) -> None:
    per_rotor = intel_aero.weight / 4
    rpm = math.sqrt(per_rotor / intel_aero.rotors.k_f) * 60 / (2 * math.pi)
    assert rpm == pytest.approx(6508, abs=1)  # Shi et al. 2019 state 6508 without decimals


def test_the_thrust_limit_is_the_authors_seventeen_tenths_of_weight(intel_aero: Vehicle) -> None:
    assert intel_aero.thrust_limits[1] / intel_aero.weight == pytest.approx(1.7, abs=1e-3)


def test_induced_velocity_balances_weight_by_momentum(intel_aero: Vehicle) -> None:
    area = 4 * math.pi * intel_aero.rotors.radius**2
    v = intel_aero.induced_velocity
    assert 2 * 1.225 * area * v**2 == pytest.approx(intel_aero.weight)


def test_the_crazyflie_motor_lifts_its_weight_between_half_and_full_power(
    crazyflie: Vehicle,
) -> None:
    law = crazyflie.thrust_law
    assert law is not None
    low, high = (
        float(law.thrust(np.full(4, p), np.array(law.full_voltage)).sum()) for p in (0.3, 1.0)
    )
    assert low < crazyflie.mass * GRAVITY < high


def test_thrust_law_of_a_batch_is_the_law_of_each_sample(crazyflie: Vehicle) -> None:
    law = crazyflie.thrust_law
    assert law is not None
    pwm = np.linspace(0.2, 0.9, 12).reshape(3, 4)
    volts = np.array([3.4, 3.8, 4.2])
    one_by_one = [law.thrust(p, v) for p, v in zip(pwm, volts, strict=True)]
    np.testing.assert_array_equal(law.thrust(pwm, volts), one_by_one)


REFUSED: dict[str, tuple[str, str, str]] = {
    # name: (file, field in the message, what was expected)
    "field missing": (without("mass_kg"), "body.mass_kg", "is missing"),
    "table missing": (TEXT.replace("[legs]", "[gear]"), "gear", "expected body, rotors"),
    "no table": (TEXT.split("[gains]")[0], "[gains]", "is missing"),
    "no name": (without("name"), "name", "is missing"),
    "negative mass": (with_value("mass_kg", "-1.47"), "body.mass_kg", "0 < value"),
    "no mass": (with_value("mass_kg", "0.0"), "body.mass_kg", "0 < value"),
    "impossible inertia": (
        with_value("inertia_kg_m2", "[0.01, 0.01, 0.0201]"),
        "body.inertia_kg_m2",
        "no body has one moment larger",
    ),
    "rotors too weak": (with_value("thrust_max_n", "3.6"), "rotors cannot balance", "3.6 N"),
    "rotors off centre": (
        with_value("positions_m", "[[0.4, -0.1, 0], [0.2, 0.1, 0], [0.4, 0.1, 0], [0.2, -0.1, 0]]"),
        "rotors cannot balance",
        "level hover needs",
    ),
    "all rotors turn one way": (
        with_value("spins", "[1, 1, 1, 1]"),
        "rotors.spins",
        "two of each spin",
    ),
    "half a spin": (with_value("spins", "[0.5, 1, -1, -1]"), "rotors.spins", "+1 and -1 only"),
    "rotors in a line": (
        with_value("positions_m", "[[0.1, 0, 0], [-0.1, 0, 0], [0.2, 0, 0], [-0.2, 0, 0]]"),
        "rotors.positions_m",
        "no three rotors in a line",
    ),
    "unknown field": (TEXT.replace("mass_kg", "mass_lb"), "body.mass_lb", "expected inertia_kg_m2"),
    "unknown table": (TEXT + '\n[wings]\nspan_m = { value = 1, source = "x" }\n', "wings", "body"),
    "no source": (
        re.sub(r"(mass_kg = { value = 1.47), source = .*? }", r"\1 }", TEXT),
        "body.mass_kg",
        'source = "..."',
    ),
    "empty source": (
        re.sub(r'(mass_kg = { value = 1.47, source = ").*?"', r'\1 "', TEXT),
        "body.mass_kg.source",
        "say where the number comes from",
    ),
    "bare number": (re.sub(r"mass_kg = .*", "mass_kg = 1.47", TEXT), "body.mass_kg", "{ value ="),
    "wrong shape": (with_value("inertia_kg_m2", "[0.01, 0.01]"), "body.inertia_kg_m2", "(3,)"),
    "ragged": (with_value("positions_m", "[[1, 2, 3], [1, 2]]"), "rotors.positions_m", "(4, 3)"),
    "text": (with_value("mass_kg", '"heavy"'), "body.mass_kg", "a number"),
    "number as text": (with_value("mass_kg", '"1.47"'), "body.mass_kg", "a number"),
    "true": (with_value("mass_kg", "true"), "body.mass_kg", "a number"),
    "NaN": (with_value("mass_kg", "nan"), "body.mass_kg", "0 < value"),
    "infinite": (with_value("mass_kg", "inf"), "body.mass_kg", "0 < value"),
    "feet at two heights": (
        with_value(
            "feet_m",
            "[[0.1, -0.1, -0.09], [-0.1, 0.1, -0.09], [0.1, 0.1, -0.09], [-0.1, -0.1, -0.08]]",
        ),
        "legs.feet_m",
        "share one z",
    ),
    "latency between two steps": (with_value("latency_s", "0.003"), "timing.latency_s", "whole"),
    "lag not known": (with_value("lag_tolerance_s", "0.04"), "rotors.lag_tolerance_s", "smaller"),
    "least above greatest": (with_value("thrust_min_n", "7"), "rotors.thrust_min_n", "not below"),
    "no TOML": ("name = [", "bad.toml", "is not TOML"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_file_is_refused_by_the_path_of_its_field(case: str) -> None:
    text, field, expected = REFUSED[case]
    with pytest.raises(InputError) as refusal:
        parse_vehicle(text, "bad.toml")
    message = str(refusal.value)
    assert message.startswith("bad.toml: ")
    assert field in message
    assert expected in message


def test_the_same_file_just_inside_the_bounds_is_taken() -> None:
    """Every refusal above has another side: what is barely possible is accepted."""
    for key, value in {
        "inertia_kg_m2": "[0.01, 0.01, 0.02]",  # a flat plate: the limit of what a body can be
        "thrust_max_n": "3.7",
        "lag_tolerance_s": "0.039",
        "latency_s": "0.0",
        "thrust_min_n": "3.5",
    }.items():
        assert parse_vehicle(with_value(key, value), "good.toml").name == "intel-aero"


def test_a_missing_file_an_unknown_name_and_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml: cannot be read"):
        load_vehicle(tmp_path / "nowhere.toml")
    with pytest.raises(InputError, match="'intel-hero' is unknown; take one of crazyflie"):
        load_vehicle("intel-hero")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not text in UTF-8"):
        load_vehicle(binary)


def test_a_gain_changes_how_the_vehicle_is_flown_but_not_what_it_is(intel_aero: Vehicle) -> None:
    other = parse_vehicle(with_value("observer_1_s", "5.5"), "other.toml")
    assert other.digest != intel_aero.digest
    assert other.physical_digest == intel_aero.physical_digest


def test_a_gram_changes_what_the_vehicle_is(intel_aero: Vehicle) -> None:
    other = parse_vehicle(with_value("mass_kg", "1.471"), "other.toml")
    assert other.digest != intel_aero.digest
    assert other.physical_digest != intel_aero.physical_digest


def test_comments_sources_and_layout_change_nothing(intel_aero: Vehicle) -> None:
    text = re.sub(r'source = ".*?"', 'source = "elsewhere"', TEXT).replace(" = ", "=")
    assert parse_vehicle("# another comment\n\n" + text, "other.toml").digest == intel_aero.digest


def test_the_numbers_of_a_vehicle_cannot_be_changed_behind_its_digest(intel_aero: Vehicle) -> None:
    write: Callable[[], None] = lambda: intel_aero.body.inertia.__setitem__(0, 1.0)  # noqa: E731
    with pytest.raises(ValueError, match="read-only"):
        write()
