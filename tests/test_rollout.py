"""Whole landings: who lands, who hangs, and that the same seed is the same flight."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError
from neural_lander.controller.landing_controller import CONTROLLERS
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario

AERO = load_vehicle("intel-aero")
FLAT = load_scenario("flat")
UNLEARNED = [name for name in CONTROLLERS if not name.startswith("learned")]


def bytes_of(log):
    return hashlib.sha256(b"".join(v.tobytes() for v in log.columns.values())).hexdigest()


@pytest.mark.parametrize("controller", UNLEARNED)
@pytest.mark.parametrize("reference", ["exponential", "s-curve"])
def test_without_aerodynamics_everyone_lands(controller, reference):
    """All but the textbook's feed-forward of an effect that is not there, which lands too hard."""
    flight = Flight(AERO, controller, FLAT, reference, "none", fitted_radius=0.2)
    summary = fly(flight, 3).summary
    assert summary["landed"]
    assert not summary["cut_in_air"]
    assert not summary["crashed"]
    assert summary["touchdown_speed_m_s"] < (0.5 if "textbook" in controller else 0.2)
    assert summary["final_height_m"] == pytest.approx(0, abs=5e-4)
    if "textbook" not in controller:
        assert abs(summary["terminal_z_error_m"]) < 0.010


def test_pd_hangs_on_its_air_cushion_where_the_force_balance_says():
    """k_p h = ground effect: 12.8 % of weight over 22 N/m is below 84 mm; the law falls with height."""
    landing = fly(Flight(AERO, "pd", FLAT, "s-curve", "rotor"), 0)
    assert not landing.summary["landed"]
    assert landing.summary["touchdown_speed_m_s"] is None
    height = landing.summary["final_height_m"]
    lift = landing.log["truth_force"][-500:, 2].mean()
    stiffness = AERO.mass * AERO.gains.velocity[2] * AERO.gains.position[2]
    assert height == pytest.approx(lift / stiffness, rel=0.02)
    assert 0.05 < height < 0.09


@pytest.mark.parametrize("controller", ["observer", "oracle", "oracle+observer"])
def test_who_knows_the_force_lands(controller):
    summary = fly(Flight(AERO, controller, FLAT, "exponential", "rotor"), 1).summary
    assert summary["landed"]
    assert abs(summary["terminal_z_error_m"]) < 0.008
    assert summary["touchdown_speed_m_s"] < 0.2


def test_the_oracle_counts_on_the_true_force():
    summary = fly(Flight(AERO, "oracle", FLAT, "s-curve", "rotor"), 1).summary
    assert summary["force_rmse_low_n"] < 0.05  # lag and noise of thrust are all that is left


def test_same_seed_same_bytes_in_two_processes_and_after_other_flights():
    code = (
        "from neural_lander.sim.rollout import Flight, fly\n"
        "from neural_lander.controller.vehicle import load_vehicle\n"
        "from neural_lander.sim.scenario import load_scenario\n"
        "import hashlib\n"
        "log = fly(Flight(load_vehicle('intel-aero'), 'observer', load_scenario('flat')), 7).log\n"
        "print(hashlib.sha256(b''.join(v.tobytes() for v in log.columns.values())).hexdigest())\n"
    )
    flight = Flight(AERO, "observer", FLAT)
    fly(flight, 1)
    here = bytes_of(fly(flight, 7).log)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == here
    assert bytes_of(fly(flight, 8).log) != here


def test_compiled_and_uncompiled_fly_alike():
    """The same functions as plain Python, over 0.3 s of flight: the last bit may round otherwise."""
    code = (
        "import numpy as np\n"
        "from neural_lander.sim.rollout import Flight, run\n"
        "from neural_lander.controller.setpoint import plan_descent\n"
        "from neural_lander.controller.vehicle import load_vehicle\n"
        "from neural_lander.sim.scenario import load_scenario\n"
        "plan = plan_descent('s-curve', (0, 0, 0.3), 0.0, 0.05)\n"
        "flight = Flight(load_vehicle('intel-aero'), 'oracle+observer', load_scenario('flat'))\n"
        "rows, _ = run(flight, plan, np.random.default_rng(0), (0, 0, .3), (0, 0, 0), 0.4, 0.3, True)\n"
        "print(repr(rows[-1].tolist()))\n"
    )
    rows = []
    for disabled in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disabled}
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        rows.append(np.array(eval(done.stdout.splitlines()[-1])))
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-12)


def test_flying_imports_no_torch():
    code = (
        "import sys\nfrom neural_lander.sim.rollout import fly\nfrom neural_lander.sim.run_folder import "
        "write_run\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_hard_contact_is_a_crash():
    soft = replace(AERO, rotors=replace(AERO.rotors, thrust_max=3.62))  # hardly carries its weight
    summary = fly(Flight(soft, "pd", FLAT, "exponential", "none"), 0).summary
    assert summary["crashed"]
    assert "first contact at" in summary["crash_reason"]
    assert summary["landing_time_s"] is None


def test_hover_low_ends_in_the_air():
    summary = fly(
        Flight(AERO, "oracle+observer", load_scenario("hover-low"), aero="rotor"), 0
    ).summary
    assert not summary["motors_cut"]
    assert summary["final_height_m"] == pytest.approx(0.03, abs=0.005)


def test_a_learned_controller_needs_a_model():
    with pytest.raises(InputError, match="needs a model; give --model"):
        fly(Flight(AERO, "learned", FLAT), 0)


def test_noise_and_latency_are_what_the_controller_feels():
    """Measured columns differ from the truth by no more than the bounds, and by more than nothing."""
    log = fly(Flight(AERO, "observer", FLAT), 2).log
    for measured, truth, bound in [
        ("position", "truth_position", AERO.noise.position),
        ("velocity", "truth_velocity", AERO.noise.velocity),
        ("rate", "truth_rate", AERO.noise.rate),
        ("height", "truth_height", AERO.noise.position),
    ]:
        gap = np.abs(log[measured] - log[truth]).max()
        assert 0.8 * bound < gap <= bound + 1e-12


def test_attitude_and_rotor_speed_are_measured_within_their_bounds():
    log = fly(Flight(AERO, "observer", FLAT), 2).log
    truth = Rotation.from_quat(log["truth_attitude"])
    error = np.abs((truth.inv() * Rotation.from_quat(log["attitude"])).as_rotvec()).max()
    assert 0.8 * AERO.noise.attitude < error <= AERO.noise.attitude * (1 + 1e-3)
    flying = (
        log["truth_rotor_thrust"][:-1].min(axis=1) > 1.0
    )  # thrust at a sample: the row before's
    speed = np.sqrt(log["truth_rotor_thrust"][:-1] / AERO.rotors.k_f)
    share = np.abs(log["rotor_speed"][1:] / np.maximum(speed, 1.0) - 1)[flying].max()
    assert 0.8 * AERO.noise.rotor_speed < share <= AERO.noise.rotor_speed + 1e-9


def test_thrust_follows_its_command_after_latency_and_lag():
    """The logged thrust is the logged command, two steps late, through the lag of 40 ms."""
    log = fly(Flight(AERO, "pd", FLAT), 4).log
    command, thrust = log["rotor_thrust_command"], log["truth_rotor_thrust"]
    follow = 1 - np.exp(-AERO.timing.period / AERO.rotors.lag)
    late = round(AERO.timing.latency / AERO.timing.period)
    wanted = thrust[late : 2000 - 1] + follow * (command[1 : 2000 - late] - thrust[late : 2000 - 1])
    np.testing.assert_allclose(thrust[late + 1 : 2000], wanted, atol=1e-12)


def test_a_vehicle_that_tips_over_its_legs_has_crashed():
    """All feet ahead of the centre of mass: it stands only while its rotors hold it."""
    ahead = np.abs(AERO.legs.feet) * np.array([0.5, 1.0, -1.0]) + np.array([0.05, 0.0, 0.0])
    ahead[:2, 1] *= -1
    tippy = replace(AERO, legs=replace(AERO.legs, feet=ahead))
    summary = fly(Flight(tippy, "observer", FLAT, aero="none"), 0).summary
    assert summary["crash_reason"] == "contact by something else than the legs"
    assert not summary["landed"]
