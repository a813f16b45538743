"""Identification: flights of a known vehicle must give back what it is, and no more than they show."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import lfilter
from scipy.stats import t as student

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog, read_flight_logs, write_flight_log
from neural_lander.controller.vehicle import GRAVITY, Vehicle, load_vehicle, parse_vehicle
from neural_lander.learning.free_flight import stretches
from neural_lander.learning.identification import Identification, identify, write_identified
from neural_lander.learning.identify_response import expected, followed
from neural_lander.learning.importing import read_log
from neural_lander.learning.intervals import grouped, jackknife, linear
from neural_lander.learning.vehicle_file import Number, changed, vehicle_text
from neural_lander.scripts.cli import main
from neural_lander.sim.collect import collect

Array = npt.NDArray[np.float64]

FINE, STEP = 0.002, 0.01
"""Steps of the made flights and of their logs [s]."""


def flown(
    vehicle: Vehicle,
    seed: int,
    *,
    seconds: float = 20.0,
    height: float = 3.0,
    swing: float = 0.15,
    centre: tuple[float, float] = (0.0, 0.0),
    offset: Sequence[float] | None = None,
    leave_out: Sequence[str] = (),
) -> FlightLog:
    """Return a flight whose thrust is a sum of sines about hover, level, in still air, exact.

    ``swing`` is the largest change of thrust [weights], ``centre`` where along x and y the rotors
    balance [m], ``offset`` that of an accelerometer in the body frame [m/s^2].
    """
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds / FINE)) * FINE
    waves = rng.uniform(0.3, 8.0, 12)
    phases = rng.uniform(0, 2 * np.pi, 12)
    share = np.sin(2 * np.pi * np.outer(time, waves) + phases).mean(axis=1)
    command = vehicle.weight * (1 + swing * share)
    late = np.interp(time - vehicle.timing.latency, time, command)  # a line: held for no period
    decay = np.exp(-FINE / vehicle.rotors.lag)
    first = np.array([decay * late[0]])
    thrust = lfilter(
        [(1 - decay) / 2] * 2, [1, -decay], late, zi=first + (1 - decay) / 2 * late[0]
    )[0]
    force = thrust / vehicle.mass
    speed = np.concatenate([[0.0], np.cumsum((force[1:] + force[:-1]) / 2 - GRAVITY) * FINE])
    rows = slice(0, None, round(STEP / FINE))
    x, y, _ = vehicle.rotors.positions.T
    weights = 0.25 * (1 + np.sign(x) * centre[0] / abs(x) + np.sign(y) * centre[1] / abs(y))
    n = len(time[rows])
    noise = rng.uniform(-1, 1, (n, 4))
    columns: dict[str, Array] = {
        "time": time[rows],
        "position": np.tile([0.0, 0.0, height + vehicle.rest_height], (n, 1)),
        "velocity": np.stack([0 * speed, 0 * speed, speed], 1)[rows]
        + rng.uniform(-0.005, 0.005, (n, 3)),
        "attitude": np.tile([0.0, 0.0, 0.0, 1.0], (n, 1)),
        "rate": np.zeros((n, 3)),
        "rotor_thrust_command": np.outer(command[rows], weights),
        "height": np.full(n, height),
        "contact": np.zeros(n),
        "rotor_speed": np.sqrt(np.outer(thrust[rows], weights) / vehicle.rotors.k_f)
        * (1 + 0.002 * noise),
    }
    if offset is not None:
        felt = np.tile(np.asarray(offset, np.float64), (n, 1))
        felt[:, 2] += force[rows]
        columns["specific_force"] = felt + rng.normal(0, 0.05, (n, 3))
    kept = {name: values for name, values in columns.items() if name not in leave_out}
    return FlightLog(kept, {"vehicle": vehicle.name, "source": "made"})


def other(vehicle: Vehicle, **changes: float) -> Vehicle:
    """Return a vehicle with another ``k_f`` or ``lag``."""
    return replace(vehicle, rotors=replace(vehicle.rotors, **changes))


def holds(found: Identification, quantity: str, truth: float) -> bool:
    low, high = found[quantity].interval
    return low <= truth <= high


def why_not(found: Identification, quantity: str) -> str:
    return dict(found.unknown)[quantity]


@pytest.fixture(scope="module")
def real() -> Vehicle:
    """What really flies: 10 % more thrust a turn, and slower motors, than the file says."""
    known = load_vehicle("intel-aero")
    return other(known, k_f=1.1 * known.rotors.k_f, lag=0.055)


@pytest.fixture(scope="module")
def found(real: Vehicle) -> Identification:
    """What flights of ``real`` say to somebody who has the file."""
    logs = [flown(real, seed, centre=(0.004, 0.0)) for seed in range(4)]
    return identify(logs, load_vehicle("intel-aero"))


def test_a_sine_comes_smaller_and_later_by_the_closed_form() -> None:
    time = np.arange(1001) * STEP
    omega = 2 * np.pi * 3.0
    answer = followed(np.cos(omega * time)[:, None], STEP, 0.05, 0.0137)[:, 0]
    truth = np.real(np.exp(1j * omega * (time - 0.0137)) / (1 + 1j * omega * 0.05))
    np.testing.assert_allclose(answer[100:], truth[100:], atol=1e-3)


def test_a_resting_command_is_followed_at_once() -> None:
    np.testing.assert_allclose(followed(np.full((50, 4), 2.5), STEP, 0.05, 0.01), 2.5)


def test_a_slow_log_of_a_noisy_command_says_less_of_the_noise() -> None:
    rng = np.random.default_rng(1)
    time = np.arange(3000) * STEP
    slow = np.sin(2 * np.pi * 0.7 * time)[:, None]
    noise = rng.normal(0, 0.3, (3000, 1))
    guess = expected(slow + noise, STEP, FINE)
    assert np.std(guess - slow) < 0.5 * np.std(noise)
    np.testing.assert_array_equal(expected(slow + noise, FINE, FINE), slow + noise)


def test_leaving_flights_out_one_by_one_gives_student_s_interval_of_a_mean() -> None:
    means = np.array([1.0, 1.3, 0.8, 1.15])
    found = linear(np.ones((4, 1, 1)), means[:, None], [[0], [1], [2], [3]])
    classical = student.ppf(0.975, 3) * means.std(ddof=1) / 2
    np.testing.assert_allclose([found.value[0], found.half_width[0]], [means.mean(), classical])


def test_intervals_over_flights_hold_where_intervals_over_rows_do_not() -> None:
    """Each flight has an offset of its own, as real ones do: rows of a flight are no samples."""
    rng = np.random.default_rng(3)
    flights = np.repeat(np.arange(6), 20)
    by_flight = by_row = 0
    for _ in range(200):
        rows = rng.normal(0, 1, 6)[flights] + rng.normal(0, 0.3, len(flights))

        def mean(runs: Sequence[int], rows: Array = rows) -> Array:
            return np.array([rows[runs].mean()])

        over_flights = jackknife(mean, grouped(flights.tolist()))
        over_rows = jackknife(mean, [[i] for i in range(len(flights))])
        by_flight += bool(abs(over_flights.value[0]) <= over_flights.half_width[0])
        by_row += bool(abs(over_rows.value[0]) <= over_rows.half_width[0])
    assert by_flight >= 182  # of 200 with 95 %: fewer happen once in a hundred times
    assert by_row < 120


def test_thrust_of_a_turn_is_found_and_the_file_s_is_outside_the_interval(
    found: Identification,
) -> None:
    assert holds(found, "thrust by rotor speed", 1.1)
    assert not holds(found, "thrust by rotor speed", 1.0)
    assert found["thrust by rotor speed"].half_width < 0.02


def test_motor_lag_is_found_and_the_file_s_is_outside_the_interval(found: Identification) -> None:
    assert holds(found, "motor lag", 0.055)
    assert not holds(found, "motor lag", 0.040)
    assert found["motor lag"].half_width < 0.0055


def test_delay_is_found_to_a_part_of_a_row(found: Identification, real: Vehicle) -> None:
    held = real.timing.period / 2  # the made command is not held, so less late by that
    assert abs(found["delay"].value - (real.timing.latency - held)) < 0.001
    assert found["delay"].half_width < 0.002


def test_centre_of_mass_is_found_and_rotors_and_feet_move_to_it(found: Identification) -> None:
    known = load_vehicle("intel-aero")
    assert holds(found, "centre of mass, x", 0.004)
    assert not holds(found, "centre of mass, x", 0.0)
    for key, before in (
        ("rotors.positions_m", known.rotors.positions),
        ("legs.feet_m", known.legs.feet),
    ):
        moved = np.asarray(found.numbers[key].value) - before
        np.testing.assert_allclose(moved, np.tile([-0.004, 0, 0], (4, 1)), atol=1e-4)


def test_a_balanced_vehicle_keeps_its_geometry(real: Vehicle) -> None:
    logs = [flown(real, seed) for seed in range(3)]
    assert "rotors.positions_m" not in identify(logs, load_vehicle("intel-aero")).numbers


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_thrust_interval_holds_with_no_ground_effect_and_with_all_that_may_be(
    intel_aero: Vehicle, share: float
) -> None:
    """At 3 m, 27 radii, the ground may add up to 0.56 % of thrust."""
    logs = []
    for seed in range(3):
        log = flown(intel_aero, seed)
        radii = (3.0 + 0.09 + 0.03) / intel_aero.rotors.radius
        slower = log["rotor_speed"] / np.sqrt(1 + share * 0.15 / radii)
        logs.append(replace(log, columns={**log.columns, "rotor_speed": slower}))
    level = identify(logs, intel_aero)["thrust by rotor speed"]
    assert abs(level.value - 1) <= level.half_width < 0.005


def test_low_flights_say_nothing_of_thrust_but_still_of_the_lag(intel_aero: Vehicle) -> None:
    logs = [flown(intel_aero, seed, height=0.3) for seed in range(3)]
    found = identify(logs, intel_aero)
    assert "0.0 s" in why_not(found, "thrust")
    assert "0.83 m" in why_not(found, "thrust")  # 8 radii over the floor, less standing height
    assert holds(found, "motor lag", intel_aero.rotors.lag)
    assert "rotors.thrust_coefficient_n_s2" not in found.numbers


def test_a_hover_without_changes_of_thrust_shows_no_lag(intel_aero: Vehicle) -> None:
    found = identify([flown(intel_aero, seed, swing=0.0) for seed in range(3)], intel_aero)
    assert "change thrust faster" in why_not(found, "motor lag")
    assert "rotors.lag_s" not in found.numbers


def test_one_flight_is_compared_run_by_run(intel_aero: Vehicle) -> None:
    found = identify([flown(intel_aero, 1, seconds=60.0)], intel_aero)
    assert holds(found, "motor lag", intel_aero.rotors.lag)
    assert "from 1 flight," in found.numbers["rotors.lag_s"].source


def test_without_rotor_speed_the_accelerometer_shows_the_lag(real: Vehicle) -> None:
    logs = [flown(real, seed, offset=(0, 0, 0), leave_out=("rotor_speed",)) for seed in range(4)]
    found = identify(logs, load_vehicle("intel-aero"))
    assert holds(found, "motor lag", 0.055)
    assert "k_f" in dict(found.unknown)


def test_accelerometer_offset_is_found_in_the_body_frame(intel_aero: Vehicle) -> None:
    truth = (0.2, -0.1, 0.15)
    logs = [flown(intel_aero, seed, offset=truth) for seed in range(6)]
    found = identify(logs, intel_aero)
    for axis, value in zip("xyz", truth, strict=True):
        assert holds(found, f"accelerometer offset, {axis}", value)
        assert not holds(found, f"accelerometer offset, {axis}", 0.0)


def test_without_accelerometer_its_offset_is_named_as_unknown(found: Identification) -> None:
    assert "not logged" in why_not(found, "accelerometer offset")
    assert "weigh it" in why_not(found, "mass")


def test_a_vehicle_without_thrust_law_gets_one(crazyflie: Vehicle) -> None:
    """Thrust here is 0.3 N p^2 at any voltage; hover takes 0.512 of full PWM."""
    bare = replace(crazyflie, thrust_law=None)
    logs = []
    for seed in range(4):
        log = flown(crazyflie, seed, leave_out=("rotor_speed",))
        command = np.sqrt(log["rotor_thrust_command"] / 0.3)
        battery = np.linspace(4.1, 3.6, len(log)) + 0.02 * seed
        columns = {**log.columns, "rotor_command": command, "battery": battery}
        del columns["rotor_thrust_command"]
        logs.append(replace(log, columns=columns))
    found = identify(logs, bare)
    law = found.numbers["thrust_law.coefficients_n"].value
    full = found.numbers["thrust_law.full_voltage_v"].value
    assert isinstance(law, np.ndarray)
    share = np.sqrt(crazyflie.weight / 4 / 0.3)
    v = 3.85 / float(np.asarray(full))
    terms = np.array([1, share, v, share**2, share * v])
    hover = found["thrust of a rotor in hover"]
    assert abs(law @ terms / (crazyflie.weight / 4) - 1) < 0.02
    assert abs(hover.value / (crazyflie.weight / 4) - 1) < 0.02
    text = changed(
        vehicle_text("intel-aero"), {k: n for k, n in found.numbers.items() if "law" in k}
    )
    assert parse_vehicle(text, "made").thrust_law is not None


def test_the_truth_of_a_simulator_is_never_read(intel_aero: Vehicle, tmp_path: Path) -> None:
    logs = read_flight_logs(collect(intel_aero, 3, 8.0, 5, tmp_path))
    scrambled = [
        replace(
            log,
            columns={
                k: np.flip(v, axis=0) if k.startswith("truth") and k != "truth_attitude" else v
                for k, v in log.columns.items()
            },
        )
        for log in logs
    ]
    assert identify(logs, intel_aero).as_dict() == identify(scrambled, intel_aero).as_dict()


def test_a_simulated_vehicle_is_found_by_who_has_another_s_file(
    intel_aero: Vehicle, tmp_path: Path
) -> None:
    true = other(intel_aero, k_f=1.1 * intel_aero.rotors.k_f, lag=0.05)
    found = identify(read_flight_logs(collect(true, 4, 20.0, 2, tmp_path)), intel_aero)
    assert holds(found, "thrust by rotor speed", 1.1)
    assert holds(found, "motor lag", 0.05)
    assert holds(found, "delay", true.timing.latency)


def test_the_written_file_loads_keeps_its_comments_and_changes_nothing_else(
    found: Identification, tmp_path: Path
) -> None:
    known = load_vehicle("intel-aero")
    out = tmp_path / "identified.toml"
    written = write_identified(found, "intel-aero", out)
    assert load_vehicle(out).digest == written.digest
    text = out.read_text(encoding="utf-8")
    assert "# The Intel Aero Ready-to-Fly drone of the Neural Lander paper" in text
    assert written.name == known.name
    before = {path: value for path, value, _, _ in known.numbers()}
    for path, value, _, source in written.numbers():
        if path in found.numbers:
            assert "identified" in source
        else:
            np.testing.assert_array_equal(value, before[path])
            assert source == known.sources[path]
    assert "95 % interval" in written.sources["rotors.lag_s"]
    assert written.rotors.lag_tolerance == pytest.approx(found["motor lag"].half_width, rel=1e-5)
    assert written.rotors.k_f == pytest.approx(1.1 * known.rotors.k_f, rel=0.02)


def test_a_file_that_is_there_is_never_written_over(found: Identification, tmp_path: Path) -> None:
    out = tmp_path / "mine.toml"
    out.write_text("dear to me")
    with pytest.raises(InputError, match="exists already"):
        write_identified(found, "intel-aero", out)
    assert out.read_text() == "dear to me"
    with pytest.raises(InputError, match=r"ends in \.toml"):
        write_identified(found, "intel-aero", tmp_path / "mine.txt")


def test_nothing_is_written_where_nothing_was_identified(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="thrust: no far flight"):
        write_identified(
            Identification(1, 0.0, unknown=[("thrust", "no far flight")]),
            "intel-aero",
            tmp_path / "new.toml",
        )
    assert not list(tmp_path.iterdir())


def test_a_number_over_several_lines_is_refused_not_doubled() -> None:
    text = vehicle_text("intel-aero").replace(
        "feet_m = { value = [[0.10, -0.10, -0.09], ", "feet_m = { value = [[0.10, -0.10, -0.09],\n"
    )
    parse_vehicle(text, "made")  # a vehicle it is
    feet = Number(load_vehicle("intel-aero").legs.feet, "measured")
    with pytest.raises(InputError):
        changed(text, {"legs.feet_m": feet})


def test_a_comment_behind_a_number_stays() -> None:
    line = next(x for x in vehicle_text("intel-aero").splitlines() if x.startswith("lag_s"))
    text = vehicle_text("intel-aero").replace(line, f"{line}  # ask Ann")
    new = changed(text, {"rotors.lag_s": Number(0.05, "identified")})
    assert 'lag_s = { value = 0.05, source = "identified" }  # ask Ann' in new


def test_flights_of_another_vehicle_or_of_none_are_refused(
    intel_aero: Vehicle, crazyflie: Vehicle
) -> None:
    with pytest.raises(InputError, match="'intel-aero', not of 'crazyflie'"):
        identify([flown(intel_aero, 1, seconds=2.0)], crazyflie)
    log = flown(intel_aero, 1, seconds=2.0)
    standing = replace(log, columns={**log.columns, "contact": np.ones(len(log))})
    with pytest.raises(InputError, match="no time in the air"):
        identify([standing], intel_aero)
    blind = replace(log, columns={k: v for k, v in log.columns.items() if k != "height"})
    with pytest.raises(InputError, match="height_m is missing"):
        identify([blind], intel_aero)


def test_gaps_cut_a_flight_and_no_run_crosses_one(intel_aero: Vehicle) -> None:
    log = flown(intel_aero, 1, seconds=6.0)
    late = log["time"] + np.where(log["time"] > 3.0, 0.2, 0.0)
    parts = stretches([replace(log, columns={**log.columns, "time": late})], intel_aero)
    assert len(parts) == 2
    assert len(stretches([log], intel_aero)) == 1


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the program; returns exit status, standard output, standard error."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        said = capfd.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


def test_the_verb_writes_the_file_and_says_what_it_does_not_know(
    run: Callable[..., tuple[int, str, str]], real: Vehicle, tmp_path: Path
) -> None:
    for seed in range(3):
        write_flight_log(tmp_path / "flights" / f"{seed}.parquet", flown(real, seed))
    out = tmp_path / "mine.toml"
    arguments = ("identify", tmp_path / "flights", "--vehicle", "intel-aero", "--out", out)
    status, said, _ = run(*arguments)
    assert status == 0
    assert "not identified  mass" in said
    assert f"wrote {out}" in said
    status, said, error = run(*arguments, "--json")
    assert (status, said) == (2, "")
    assert "exists already" in error
    out.unlink()
    status, said, _ = run(*arguments, "--json")
    told: dict[str, Any] = json.loads(said)
    assert status == 0
    assert told["path"] == str(out)
    lag = next(e for e in told["estimates"] if e["quantity"] == "motor lag")
    assert lag["low"] < real.rotors.lag < lag["high"]
    assert {u["quantity"] for u in told["not_identified"]} >= {"mass", "accelerometer offset"}


def test_bad_input_of_the_verb_ends_with_2_and_writes_nothing(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    out = tmp_path / "new.toml"
    for flights in (tmp_path / "broken.parquet", tmp_path / "absent.parquet"):
        status, said, error = run("identify", flights, "--vehicle", "intel-aero", "--out", out)
        assert (status, said) == (2, "")
        assert error.startswith("error: ")
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "patterns"),
    [("crazyflie", ("*_small_*", "*_s_*")), ("crazyflie-large", ("*_large_*", "*_l_*"))],
)
def test_the_crazyflies_follow_with_the_published_lag_and_level(
    data_folder: Path, name: str, patterns: tuple[str, ...]
) -> None:
    vehicle = load_vehicle(name)
    folder = data_folder / "flights" / "neural-swarm"
    sources = sorted({f for pattern in patterns for f in folder.glob(f"{pattern}.usdlog")})
    found = identify([read_log(source, vehicle) for source in sources], vehicle)
    assert holds(found, "motor lag", 1 / 16)
    assert not holds(found, "motor lag", 0.030)
    each = np.array(found["thrust by command"].by_flight)
    # the flights' levels scatter by some per cent: the published law's, 1, is one of theirs
    assert abs(each.mean() - 1) < student.ppf(0.975, len(each) - 1) * each.std(ddof=1)
    assert np.ptp(each) > 0.03
