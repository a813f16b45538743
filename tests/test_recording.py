"""A recording becomes a flight log: what follows from what was logged is added, nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.recording import Recording, to_flight_log
from neural_lander.learning.resampling import Track

TIME = np.arange(50) / 100


def recording(**more: np.ndarray) -> Recording:
    zero = np.zeros((50, 3))
    tracks = {
        "position": Track(TIME, zero),
        "velocity": Track(TIME, zero),
        "rate": Track(TIME, zero),
        "attitude": Track(TIME, np.tile([0.0, 0, 0, 1], (50, 1)), "attitude"),
        **{name: Track(TIME, values) for name, values in more.items()},
    }
    return Recording("csv", "a frame", tracks)


def test_only_what_was_logged_is_in_the_log(crazyflie: Vehicle) -> None:
    log = to_flight_log(recording(), crazyflie, "made")
    assert set(log.columns) == {"time", "position", "velocity", "rate", "attitude"}
    assert set(log.metadata["missing"]) == {
        "rotor_thrust_command", "rotor_speed", "height", "contact", "specific_force",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["position", "velocity", "attitude", "rate"])
def test_there_is_no_flight_without_its_state(name: str, crazyflie: Vehicle) -> None:
    whole = recording()
    tracks = {k: v for k, v in whole.tracks.items() if k != name}
    with pytest.raises(InputError, match=f"made: {name} has 0 usable rows"):
        to_flight_log(replace(whole, tracks=tracks), crazyflie, "made")


def test_thrust_follows_from_command_battery_and_law_together(
    crazyflie: Vehicle, intel_aero: Vehicle
) -> None:
    command, battery = np.full((50, 4), 0.6), np.full(50, 3.7)
    assert crazyflie.thrust_law is not None
    log = to_flight_log(recording(rotor_command=command, battery=battery), crazyflie, "made")
    np.testing.assert_allclose(
        log["rotor_thrust_command"], crazyflie.thrust_law.thrust(command, battery)
    )
    for more, vehicle, why in (
        ({"rotor_command": command}, crazyflie, "asks for the battery"),
        ({"rotor_command": command, "battery": battery}, intel_aero, "has no .thrust_law."),
        ({"battery": battery}, crazyflie, "commands of the rotors were not logged"),
    ):
        log = to_flight_log(recording(**more), vehicle, "made")
        assert "rotor_thrust_command" not in log
        with pytest.raises(InputError, match=f"{why}.*; a landing cannot do without it"):
            log.require(["time", "rotor_thrust_command"], "a landing")


def test_thrust_that_was_logged_is_not_computed_again(crazyflie: Vehicle) -> None:
    thrust = np.full((50, 4), 0.05)
    log = to_flight_log(
        recording(
            rotor_command=np.full((50, 4), 0.6),
            battery=np.full(50, 3.7),
            rotor_thrust_command=thrust,
        ),
        crazyflie,
        "made",
    )
    np.testing.assert_array_equal(log["rotor_thrust_command"], thrust)


def test_contact_follows_from_height_unless_it_was_logged(crazyflie: Vehicle) -> None:
    height = np.linspace(0, 0.1, 50)
    log = to_flight_log(recording(height=height), crazyflie, "made")
    limit = 0.002 + crazyflie.noise.position
    np.testing.assert_array_equal(log["contact"], height < limit)
    logged = to_flight_log(recording(height=height, contact=np.ones(50)), crazyflie, "made")
    np.testing.assert_array_equal(logged["contact"], 1)
