"""A certificate says yes to what is proved, no to the rest, and flies nothing else."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.signal import butter, sosfiltfilt

from neural_lander.controller.certificate import (
    CERTIFIED,
    REFUSED,
    binding,
    certificate_path,
    read_certificate,
    require_certificate,
    why_refused,
    write_certificate,
)
from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.flight_log import read_flight_log, write_flight_log
from neural_lander.controller.loop_model import VerticalLoop, VerticalSlopes
from neural_lander.controller.network import load_network
from neural_lander.controller.vertical_decision import decide, remedies
from neural_lander.learning.certify import certify
from neural_lander.learning.level_force import LevelForce
from neural_lander.learning.training import TrainingSettings, train

from .bundle_cases import bundle
from .test_training import write_flights

GENTLE = VerticalSlopes((-3.0, 0.5), (-0.5, 0.5), (-0.05, 0.08))

STEEP = 30.0
"""Times the ground effect of ``bundle``: more than the loop of the Intel Aero bears."""


def with_gain(vehicle, **changes):
    return replace(vehicle, gains=replace(vehicle.gains, **changes))


# --- the decision --------------------------------------------------------------------------------


@pytest.mark.parametrize("controller", ["learned", "learned+observer"])
def test_a_gentle_network_is_certified_with_both_sides_of_every_inequality(intel_aero, controller):
    decision = decide(GENTLE, VerticalLoop.of(intel_aero, controller))
    assert decision.certified
    h1, h2, h3 = decision.conditions
    assert h1.lhs == pytest.approx(1 - 0.05)
    assert h1.margin == pytest.approx(h1.lhs - h1.rhs)
    assert h2.lhs < 0 < h2.margin
    assert 0 < h3.lhs < 1
    assert h3.margin == pytest.approx(1 - h3.lhs)
    assert sum(decision.channels.values()) == pytest.approx(1)


def test_where_the_thrust_is_not_unique_the_small_gain_is_not_computed(intel_aero):
    steep = VerticalSlopes((-3, 0.5), (-0.5, 0.5), (-1.01, 0.08))
    h1, h2, h3 = decide(steep, VerticalLoop.of(intel_aero, "learned")).conditions
    assert not h1.holds
    assert h1.lhs == pytest.approx(-0.01)
    assert h2.lhs is h3.lhs is None
    assert not h2.holds
    assert not h3.holds


def test_scaling_the_network_up_is_refused_before_the_loop_diverges(intel_aero):
    """From both sides: the largest certified scale flies, a linear loop beyond it does not.

    phi = c z is one of the loops that slopes in [-c, c] allow; its real stability limit with lag,
    hold and latency is found by flying it. The certificate has to stop before, and not at a
    hundredth of it.
    """
    loop = VerticalLoop.of(intel_aero, "learned")

    def certified(c):
        return decide(VerticalSlopes((-c, c), (0, 0), (0, 0)), loop).certified

    def diverges(c):
        dt, lag = 5e-4, loop.lag[1]
        per_step, late = round(loop.period / dt), round(loop.latency / loop.period)
        z, v, thrust, pipeline = 0.01, 0.0, 0.0, [0.0] * late  # deviations from hover
        for k in range(16_000):
            if k % per_step == 0:
                pipeline.append(-loop.k_p * z - loop.k_v * v - c * z)
                held = pipeline.pop(0)
            a = (thrust + c * z) / loop.mass
            z, v, thrust = z + dt * v, v + dt * a, thrust + dt * (held - thrust) / lag
            if abs(z) > 1:
                return True
        return False

    scales = np.geomspace(1, 4000, 60)
    refused_from = next(c for c in scales if not certified(c))
    diverges_from = min(next((c for c in scales if diverges(s * c)), np.inf) for s in (1, -1))
    assert refused_from < diverges_from < 40 * refused_from
    assert all(certified(c) for c in scales if c < refused_from)
    assert not any(certified(c) for c in scales if c > refused_from)


def test_gains_that_tumble_sideways_are_refused_though_the_vertical_loop_is_sound(
    tmp_path, intel_aero
):
    """The vertical axis knows nothing of the attitude loop: x and y are decided with it."""
    model = bundle(tmp_path / "model", intel_aero)
    assert certify(model, intel_aero)[0].certified
    eager = replace(intel_aero.gains, velocity=np.array([25.0, 25.0, 6.0]))
    certificate, _ = certify(model, replace(intel_aero, gains=eager))
    assert not certificate.certified
    failed = {(c.name, c.axis) for c in certificate.conditions if not c.holds}
    assert ("H2", "x") in failed
    assert ("H2", "y") in failed
    assert not any(axis == "z" for _, axis in failed)
    helps = {r["parameter"]: r["passes_at"] for r in certificate.remedies}
    share = helps["scale of the gains velocity_1_s and position_1_s"]
    gains = intel_aero.gains
    mended = replace(eager, velocity=eager.velocity * share, position=gains.position * share)
    assert certify(model, replace(intel_aero, gains=mended))[0].certified


def test_the_gate_says_what_of_the_vehicle_differs_and_by_how_much(tmp_path, intel_aero):
    model = bundle(tmp_path / "model", intel_aero)
    certify(model, intel_aero)
    timing = replace(intel_aero.timing, latency=0.030)
    body = replace(intel_aero.body, mass=1.617)
    other = replace(intel_aero, timing=timing, body=body)
    with pytest.raises(Refused) as refusal:
        require_certificate(model, load_network(model, other), other, "learned+observer")
    assert "body.mass_kg: 1.47 → 1.617 (+10 %)" in str(refusal.value)
    assert "timing.latency_s: 0.004 → 0.03 (+650 %)" in str(refusal.value)
    assert "noise" not in str(refusal.value)


def test_latency_raised_until_it_is_too_late(intel_aero):
    loop = VerticalLoop.of(intel_aero, "learned+observer")
    verdicts = [decide(GENTLE, replace(loop, latency=L)).certified for L in np.arange(0, 0.2, 0.01)]
    assert verdicts[0]
    assert not verdicts[-1]
    assert sum(a != b for a, b in pairwise(verdicts)) == 1


def test_remedies_pass_and_a_little_more_does_not(intel_aero):
    loop = replace(VerticalLoop.of(intel_aero, "learned"), latency=0.08)
    assert not decide(GENTLE, loop).certified
    found = {r["parameter"]: r for r in remedies(GENTLE, loop)}
    at = found["latency"]["passes_at"]
    assert found["latency"]["now"] == 0.08
    assert decide(GENTLE, replace(loop, latency=at)).certified
    assert not decide(GENTLE, replace(loop, latency=at + 0.004 * 0.08)).certified
    gains = found["scale of the gains velocity_1_s and position_1_s"]["passes_at"]
    softer = replace(loop, k_p=loop.k_p * gains**2, k_v=loop.k_v * gains)
    assert decide(GENTLE, softer).certified


# --- from the bundle to the file ----------------------------------------------------------------


def test_a_certificate_survives_the_round_trip(tmp_path, intel_aero):
    model = bundle(tmp_path / "model", intel_aero)
    steps = []
    certificate, path = certify(model, intel_aero, progress=lambda share, text: steps.append(share))
    assert certificate.verdict == CERTIFIED
    assert certificate.remedies == ()
    bound = binding(load_network(model, intel_aero), intel_aero, "learned+observer")
    assert path == certificate_path(model, bound)
    assert path.parent == model / "certificates"
    read = read_certificate(path)
    assert json.dumps(read.as_dict()) == json.dumps(certificate.as_dict())
    assert read.conditions == certificate.conditions
    assert steps == sorted(steps)
    assert steps[-1] == 1
    keys = "verdict conditions slopes tube error_bounds assumptions binding remedies reported"
    assert set(keys.split()) <= set(json.loads(path.read_text()))


def test_the_paper_is_reported_and_not_used(tmp_path, intel_aero):
    """The product of norms may refuse what is safe; the ball has its two ingredients or is null."""
    model = bundle(tmp_path / "a", intel_aero)
    first, ball = certify(model, intel_aero)[0].reported
    assert first["status"] == ball["status"] == "reported, not proved"
    assert ball["ball_m_s"] is None
    tensors = load_file(model / "weights.safetensors")
    norms = [np.linalg.norm(tensors[f"fc{i}.weight"], 2) for i in (1, 2)]
    slope = norms[0] * norms[1]  # scaled by 1 / weight at the input, weight at the output
    assert first["lhs"] == pytest.approx(slope)
    model = bundle(tmp_path / "b", intel_aero, paper_rho=5.0, error_estimate_n=0.1)
    ball = certify(model, intel_aero)[0].reported[1]
    expected = 0.1 / (intel_aero.mass * intel_aero.gains.velocity.min() - 5 * slope)
    assert ball["ball_m_s"] == pytest.approx(expected)


def test_a_network_a_little_too_steep_is_refused_and_told_what_would_pass(tmp_path, intel_aero):
    model = bundle(tmp_path / "model", intel_aero, scale=STEEP)
    certificate, path = certify(model, intel_aero, out=tmp_path / "no.json")
    assert path == tmp_path / "no.json"
    assert certificate.verdict == REFUSED
    assert not read_certificate(path).certified
    scale = next(r for r in certificate.remedies if r["parameter"] == "scale of the network")
    assert 0 < scale["passes_at"] < 1
    assert "scale of the network" in why_refused(certificate)
    passing = bundle(tmp_path / "softer", intel_aero, scale=STEEP * scale["passes_at"] * 0.99)
    assert certify(passing, intel_aero)[0].certified


def test_slopes_hold_beyond_the_clamps_and_contain_zero(tmp_path, intel_aero):
    """Units that never switch: inside the clamps every slope is one number, and not 0."""
    certificate, _ = certify(bundle(tmp_path / "model", intel_aero, bias=10.0), intel_aero)
    vertical = [e for e in certificate.slopes["intervals"] if e["force"] == "z"]
    assert all(e["upper"] - e["lower"] > 1e-3 for e in vertical)
    for entry in certificate.slopes["intervals"]:
        assert entry["lower"] <= 0 <= entry["upper"]
    assert certificate.slopes["box"]["height"] == [0.0, 1.5]


def test_what_cannot_be_certified_is_said(tmp_path, intel_aero):
    model = bundle(tmp_path / "model", intel_aero)
    with pytest.raises(InputError, match="'pd' has nothing to certify"):
        certify(model, intel_aero, "pd")
    model = bundle(tmp_path / "no-envelope", intel_aero, envelope=None)
    with pytest.raises(InputError, match="no envelope"):
        certify(model, intel_aero)
    model = bundle(tmp_path / "half", intel_aero, envelope={"height": [0, 1.5]})
    with pytest.raises(InputError, match=r"envelope\.vertical_speed"):
        certify(model, intel_aero)
    model = bundle(tmp_path / "no-clamp", intel_aero, clamp={})
    with pytest.raises(InputError, match=r"clamp\.height"):
        certify(model, intel_aero)


def test_the_papers_full_input_is_not_for_this_version(data_folder, intel_aero):
    with pytest.raises(InputError, match=r"height, vertical_speed and collective_thrust"):
        certify(data_folder / "nets" / "Fa_net_12_3_full_Lip16.safetensors", intel_aero)


@pytest.mark.parametrize("damage", ["format", "conditions", "verdict", "lhs", "binding", "extra"])
def test_a_damaged_certificate_is_not_believed(tmp_path, intel_aero, damage):
    _, path = certify(bundle(tmp_path / "model", intel_aero, scale=STEEP), intel_aero)
    info = json.loads(path.read_text())
    if damage == "format":
        info["format"] = "something else"
    elif damage == "verdict":
        info["verdict"] = CERTIFIED
    elif damage == "lhs":
        info["verdict"] = CERTIFIED
        for condition in info["conditions"]:
            condition["holds"] = True
    elif damage == "binding":
        info["binding"]["weights"] = 7
    elif damage == "extra":
        info["surprise"] = 1
    else:
        del info["conditions"]
    path.write_text(json.dumps(info))
    with pytest.raises(InputError, match="neural-lander certify"):
        read_certificate(path)


# --- the gate ------------------------------------------------------------------------------------


@pytest.fixture
def certified(tmp_path, intel_aero):
    model = bundle(tmp_path / "model", intel_aero)
    certify(model, intel_aero)
    return model, load_network(model, intel_aero)


def test_the_gate_opens_for_what_was_certified(certified, intel_aero):
    model, network = certified
    assert require_certificate(model, network, intel_aero, "learned+observer").certified


def test_the_gate_wants_a_certificate(tmp_path, intel_aero):
    model = bundle(tmp_path / "model", intel_aero)
    network = load_network(model, intel_aero)
    command = f"neural-lander certify {model} --vehicle intel-aero --controller learned"
    with pytest.raises(Refused, match="no certificate") as refusal:
        require_certificate(model, network, intel_aero, "learned")
    assert f"`{command}`" in str(refusal.value)


def test_the_gate_heeds_a_no(tmp_path, intel_aero):
    model = bundle(tmp_path / "model", intel_aero, scale=STEEP)
    certify(model, intel_aero)
    with pytest.raises(Refused, match="says refused: H") as refusal:
        require_certificate(model, load_network(model, intel_aero), intel_aero, "learned+observer")
    assert "against" in str(refusal.value)


def test_one_changed_byte_in_the_weights_is_other_weights(certified, intel_aero):
    model, network = certified
    path = model / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-9] ^= 1  # the lowest bits of a weight
    path.write_bytes(bytes(data))
    changed = load_network(model, intel_aero)
    assert changed.digest != network.digest
    with pytest.raises(Refused, match="weights: ") as refusal:
        require_certificate(model, changed, intel_aero, "learned+observer")
    assert f"{network.digest[:12]} → {changed.digest[:12]}" in str(refusal.value)


def test_another_vehicle_is_refused(certified, intel_aero):
    model, network = certified
    heavier = replace(intel_aero, body=replace(intel_aero.body, mass=1.6))
    with pytest.raises(Refused, match="vehicle: intel-aero → intel-aero"):
        require_certificate(model, network, heavier, "learned+observer")


def test_another_gain_is_refused_by_its_name_and_both_values(certified, intel_aero):
    model, network = certified
    stiffer = with_gain(intel_aero, velocity=np.array([*intel_aero.gains.velocity[:2], 8.0]))
    with pytest.raises(Refused, match=r"gains\.velocity_1_s z: 6 → 8 \(\+33\.3 %\);") as refusal:
        require_certificate(model, network, stiffer, "learned+observer")
    assert "weights" not in str(refusal.value)
    quicker = with_gain(intel_aero, observer=9.0)
    with pytest.raises(Refused, match=r"gains\.observer_1_s: .* → 9 \("):
        require_certificate(model, network, quicker, "learned+observer")


def test_another_controller_is_refused(certified, intel_aero):
    model, network = certified
    with pytest.raises(Refused, match=r"controller: learned\+observer → learned"):
        require_certificate(model, network, intel_aero, "learned")


def test_a_certificate_given_by_hand_is_checked_like_any_other(certified, tmp_path, intel_aero):
    model, network = certified
    _, path = certify(model, intel_aero, out=tmp_path / "mine.json")
    assert require_certificate(model, network, intel_aero, "learned+observer", path).certified
    stiffer = with_gain(intel_aero, velocity=np.array([*intel_aero.gains.velocity[:2], 8.0]))
    with pytest.raises(Refused, match="6 → 8"):
        require_certificate(model, network, stiffer, "learned+observer", path)
    with pytest.raises(InputError, match="cannot be read"):
        require_certificate(model, network, intel_aero, "learned+observer", tmp_path / "none.json")


def test_a_certificate_moved_to_another_name_does_not_fit(certified, intel_aero):
    """The name is a shortcut, the binding inside decides."""
    model, network = certified
    stiffer = with_gain(intel_aero, velocity=np.array([*intel_aero.gains.velocity[:2], 8.0]))
    old = read_certificate(next((model / "certificates").glob("*.json")))
    path = certificate_path(model, binding(network, stiffer, "learned+observer"))
    write_certificate(path, old)
    with pytest.raises(Refused, match="6 → 8"):
        require_certificate(model, network, stiffer, "learned+observer")


def with_noisy_rotor_speed(path, size, seed):
    """Make the logged thrust wander by a share ``size`` that the vehicle never had."""
    log = read_flight_log(path)
    rate = 1 / np.median(np.diff(log["time"]))
    wander = sosfiltfilt(
        butter(2, 3.0, output="sos", fs=rate), np.random.default_rng(seed).normal(size=len(log))
    )
    share = np.clip(1 + size * wander / wander.std(), 0.1, None)
    speed = log["rotor_speed"] * np.sqrt(share)[:, None]
    write_flight_log(path, replace(log, columns={**log.columns, "rotor_speed": speed}))


@pytest.mark.parametrize("bound", [None, 0.3])
def test_a_network_without_norm_bound_that_makes_the_loop_diverge_is_refused(
    tmp_path, intel_aero, bound
):
    """Logs whose rotor speed is mostly noise teach phi = -T: cancelled, it multiplies all gains.

    Learned without a bound on its slope the loop diverges, and is refused; within the bound, from
    the very same logs, it does not, and is certified.
    """
    paths = write_flights(tmp_path, intel_aero, 2, seconds=20, lowest=1.2)
    for i, path in enumerate(paths):
        with_noisy_rotor_speed(path, 0.5, i)
    settings = TrainingSettings(lipschitz=bound, epochs=100, batch_size=256, device="cpu")
    train(paths, intel_aero, settings, tmp_path / "model")
    certificate, _ = certify(tmp_path / "model", intel_aero, "learned")
    assert certificate.certified == (bound is not None)
    force = LevelForce.of(load_network(tmp_path / "model", intel_aero))
    hover = np.array([1.3]), np.zeros(1), np.array([intel_aero.weight])
    slope = force.tangents(*hover)[0, 2]
    assert hovering_diverges(VerticalLoop.of(intel_aero, "learned"), slope) == (bound is None)


def hovering_diverges(loop, slope):
    """Hover with T_c + slope T_c = F_d where the air, in truth, adds nothing to the thrust."""
    dt = 5e-4
    per_step, late = round(loop.period / dt), round(loop.latency / loop.period)
    z, v, thrust, pipeline = 0.01, 0.0, 0.0, [0.0] * late  # deviations from hover
    for k in range(16_000):
        if k % per_step == 0:
            pipeline.append((-loop.k_p * z - loop.k_v * v) / (1 + slope))
            held = pipeline.pop(0)
        z, v = z + dt * v, v + dt * thrust / loop.mass
        thrust += dt * (held - thrust) / loop.lag[1]
        if abs(z) > 1:
            return True
    return False
