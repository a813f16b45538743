"""A certificate over a deck: which decks it flies over, what it watches, and what calibrates it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numba import njit

from neural_lander.controller.certificate import (
    Certificate,
    binding,
    certificate_path,
    write_certificate,
)
from neural_lander.controller.condition import Condition
from neural_lander.controller.deck import FOLLOWED, PREDICTED, hear_deck
from neural_lander.controller.deck_family import DeckErrors, DeckFamily
from neural_lander.controller.deck_log import deck_errors, off_the_reference
from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.flight_log import read_flight_log, write_flight_log
from neural_lander.controller.inner_loop import InnerLoop
from neural_lander.controller.landing_controller import controller_record
from neural_lander.controller.monitor import DECK, EVENTS, DeckLimits, follows_deck, store_limits
from neural_lander.controller.network import load_network
from neural_lander.controller.setpoint import plan_descent
from neural_lander.controller.terrain import Terrain
from neural_lander.controller.tube import Start
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.learning.calibration import SHAPES_DECK, calibrate, deck_shapes, until_contact
from neural_lander.learning.certify import certify
from neural_lander.scripts.cli_certify import tube_options
from neural_lander.sim.calibration_flights import collect_landings
from neural_lander.sim.deck import Deck
from neural_lander.sim.gate import FlightOptions, flight_of
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario

from .bundle_cases import bundle
from .test_monitor import limits

AERO = load_vehicle("intel-aero")
H = AERO.timing.period
SCENARIO = load_scenario("deck")
FAMILY = SCENARIO.deck.family(0.0)
PLAN = plan_descent("s-curve", SCENARIO.start, 0.0, SCENARIO.hover)
ERRORS = DeckErrors(0.13, 0.003, 0.0025, 0.005, 0.01, 0.04, 0.08)
NETWORK = "learned+observer"


# --- the gate ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model with two certificates: for every reference, and one that says yes over the deck."""
    folder = bundle(tmp_path_factory.mktemp("gate") / "model", AERO, scale=0.5)
    plain, _ = certify(folder, AERO)
    assert plain.certified
    own = over_deck(plain, folder)
    write_certificate(certificate_path(folder, own.binding), own)
    return folder


def over_deck(plain: Certificate, folder, family=FAMILY) -> Certificate:
    """A certificate along the plan of the scenario, with a tube of 10 cm."""
    bound = binding(load_network(folder, AERO), AERO, NETWORK, PLAN, family)
    inside = [Condition.of(name, "z", "made up", "1 < 2", 1.0, 2.0) for name in ("H4", "H5")]
    rows = {"p_m": [[0.1] * 3] * 4, "v_m_s": [[0.4] * 3] * 4, "observer_n": [[1.0] * 3] * 4}
    after = {f"after_{key}": values[0] for key, values in rows.items()}
    watch = {
        "contract_n": [1.0] * 3, "noise_position_m": 0.002, "noise_velocity_m_s": 0.02,
        "tolerance_n": 0.01, "longest_step_s": H, "tilt_rad": 0.3,
    }  # fmt: skip
    tube = {
        "cell_s": 4.0, "start": {"joined": {"offset_m": 0.1, "speed_m_s": 0.1}},
        "xyz": {**rows, **after}, "watch": watch,
        "deck": {**family.as_dict(), "errors": ERRORS.as_dict()},
    }  # fmt: skip
    return replace(
        plain, conditions=(*plain.conditions, *inside), binding=bound, tube=tube,
        error_bounds={"certifies": True},
    )  # fmt: skip


def ask(model, tmp_path, text="", hover=8, head="", **changes):
    """Ask the gate for a flight over a deck that is written down like this."""
    path = tmp_path / "s.toml"
    deck = text or "heave = 0.1\npitch_deg = 2.0\nfrequency_hz = 0.3\n"
    path.write_text(f"name = 's'\ndescription = 'x'\nhover = {hover}\n{head}[deck]\n{deck}")
    options = FlightOptions("intel-aero", str(path), "s-curve", "rotor", model)
    return flight_of(replace(options, **changes), NETWORK)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"heave = {0.1 - 0.5 * math.tan(math.pi / 90)}\npitch_deg = 2\nfrequency_hz = 0.3\nx = 0.5",
        "heave = 0.10000005\npitch_deg = 2\nfrequency_hz = 0.3",
    ],
)
def test_the_deck_of_the_calibration_flights_may_be_flown_over_under_watch(model, tmp_path, text):
    """Also where its swing under the vehicle is made of pitch, or rounded."""
    flight = ask(model, tmp_path, text)
    assert flight.certified
    assert flight.limits.deck.motion[0] == pytest.approx(0.1 + ERRORS.place)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("heave = 0.15\npitch_deg = 2", r"swing under .* is 0.15 m, certified is 0.1 m: 0.05 m more"),
        ("heave = 0.06\npitch_deg = 2", r"swing under .* is 0.06 m, certified is 0.1 m: 0.04 m less"),
        ("heave = 0.10000015\npitch_deg = 2", r"swing under .* certified is 0.1 m: 1.5e-07 m more"),
        ("pitch_deg = 2\nfrequency_hz = 0.4", r"is 0.4 Hz, certified is 0.3 Hz: 0.1 Hz more"),
        ("pitch_deg = 2\nfrequency_hz = 0.2", r"is 0.2 Hz, certified is 0.3 Hz: 0.1 Hz less"),
        ("pitch_deg = 3", r"tilt is 3 degrees, certified is 2 degrees: 1 degrees more"),
        ("pitch_deg = 0", r"tilt is 0 degrees, certified is 2 degrees: 2 degrees less"),
        (
            "heave = 0.05\npitch_deg = 1\nfrequency_hz = 0.2",
            r"0.05 m less and .* 0.1 Hz less and .* 1 degrees less",
        ),
        ("pitch_deg = 2\nx = 0.3", r"swing under the vehicle .* is 0.11 m"),
    ],
)  # fmt: skip
def test_every_other_deck_a_smaller_or_slower_one_too_is_refused_with_by_how_much_why_and_what_to_do(
    model, tmp_path, text, why
):
    why += r".* \(its calibration flights were over another deck; .* every smaller or slower one\)"
    cure = "certify .*collect these flights and certify over this one, both with --scenario of this"
    with pytest.raises(Refused, match=f"{why}.*{cure}"):
        ask(model, tmp_path, text)
    own = next(p for p in (model / "certificates").iterdir() if '"deck"' in p.read_text())
    with pytest.raises(Refused, match=why):
        ask(model, tmp_path, text, certificate=own)


def test_a_certificate_over_a_deck_is_for_its_plan_and_for_no_floor(model, tmp_path):
    with pytest.raises(Refused, match=r"reference: s-curve .* s-curve"):
        ask(model, tmp_path, hover=9)
    own = next(p for p in (model / "certificates").iterdir() if '"deck"' in p.read_text())
    flat = FlightOptions("intel-aero", "flat", "s-curve", "rotor", model, own)
    with pytest.raises(Refused, match="surface: a deck that moves → at rest"):
        flight_of(flat, NETWORK)
    assert flight_of(replace(flat, certificate=None), NETWORK).limits is None  # every reference


def test_a_certificate_for_every_reference_is_none_over_a_deck(tmp_path):
    folder = bundle(tmp_path / "model", AERO, scale=0.5)
    _, path = certify(folder, AERO)
    for certificate in (None, path):
        with pytest.raises(Refused, match="surface: at rest → a deck that moves"):
            ask(folder, tmp_path, certificate=certificate)
    assert ask(folder, tmp_path, uncertified=True).certified is False


@pytest.mark.parametrize(
    ("text", "head", "changes", "why"),
    [
        ("pitch_deg = 2\nhalf_x = 0.3", "", {}, "the deck ends 0.30 m .* rotors may reach 0.40 m"),
        ("", "", {"reference": "fastest"}, "fastest feeds its own delays forward, .* take s-curve"),
        ("", "[[surface]]\nx = 5\ny = 0\nhalf_x = 1\nhalf_y = 1\nheight = 1\n", {}, "with edges"),
    ],
)
def test_what_no_certificate_over_a_deck_is_about_is_refused(
    model, tmp_path, text, head, changes, why
):
    with pytest.raises(Refused, match=why):
        ask(model, tmp_path, text, head=head, **changes)


def test_certify_wants_flights_over_the_deck_and_an_uncompensated_plan():
    with pytest.raises(InputError, match=r"scenario 'deck' .* give --calibration FLIGHTS"):
        tube_options("s-curve", "deck", 0.1, 0.0)
    with pytest.raises(InputError, match="no tube along --reference fastest in scenario 'deck'"):
        tube_options("fastest", "deck", None, 0.0, object(), True)
    found = tube_options("s-curve", "deck", None, 0.0, None, True)
    assert found["deck"] == DeckFamily(0.1, 0.3, math.tan(math.radians(2)))


# --- the monitor ---------------------------------------------------------------------------------

SEEN = DeckLimits.of({**FAMILY.as_dict(), "errors": ERRORS.as_dict()}, AERO.noise.position)


@njit
def listen(record, y):
    """The first step at which the monitor has something to say of readings y [m]; -1: none."""
    c = record[0]
    for k in range(len(y)):
        t = k * c.period
        hear_deck(c, t, y[k])
        c.deck_missed = c.deck_rest + y[k] - c.surfaces[c.deck - 1, 4]
        if not follows_deck(c, t):
            return k
    return -1


def first_word(frequency, change, seconds=12.0, amplitude=0.1):
    """When the monitor speaks of a deck that goes over to another frequency after 9 s; None: never."""
    chart = Terrain((Deck().surface,))
    record = controller_record(
        AERO, "observer", PLAN, 0.0, 0.5, chart=chart, moving=1, deck_way=PREDICTED
    )
    store_limits(record[0], limits(deck=SEEN), InnerLoop.of(AERO))
    t = H * np.arange(round(seconds / H))
    phase = 2 * math.pi * H * np.where(t < 9, frequency, change).cumsum()
    noise = np.random.default_rng(1).uniform(-1, 1, (2, len(t))).sum(axis=0) * AERO.noise.position
    k = listen(record, amplitude * np.sin(phase) + noise)
    return None if k < 0 else float(t[k])


def test_it_is_silent_over_a_deck_of_the_family_and_speaks_when_that_becomes_faster():
    assert first_word(0.3, 0.3) is None
    assert first_word(0.2, 0.2, amplitude=0.05) is None
    assert 9.0 < first_word(0.3, 0.5) < 9.6
    assert first_word(0.4, 0.4) == pytest.approx(PLAN.descent_start, abs=2 * H)  # from then on
    assert first_word(0.3, 0.3, amplitude=0.14) < PLAN.descent_start + 1e-9


def test_in_flight_a_deck_that_is_too_fast_ends_the_certificate_and_a_right_one_does_not():
    wide = limits(
        deck=SEEN, position=np.full((400, 3), 0.3), velocity=np.full((400, 3), 1.0),
        unexplained=np.full((400, 3), 6.0),
    )  # fmt: skip
    for frequency, event in ((0.3, None), (0.45, EVENTS[DECK])):
        scenario = replace(SCENARIO, deck=replace(SCENARIO.deck, frequency_hz=frequency))
        flight = Flight(AERO, "observer", scenario, engine="hybrid", limits=wide)
        summary = fly(flight, 3).summary
        assert summary["monitor_event"] == event
        assert summary["landed"]


# --- calibration ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flown(tmp_path_factory):
    """A model, and two landings on the deck with it."""
    folder = tmp_path_factory.mktemp("deck")
    network = load_network(bundle(folder / "model", AERO, scale=0.5), AERO)
    flight = Flight(AERO, NETWORK, SCENARIO, network=network, engine="hybrid", certified=False)
    paths = [folder / f"{seed}.parquet" for seed in range(2)]
    for seed, path in enumerate(paths):
        log = fly(flight, seed).log
        columns = {k: v for k, v in log.columns.items() if k != "specific_force"}
        write_flight_log(path, replace(log, columns=columns))
    return paths, network


def test_what_is_scored_of_a_deck_is_how_far_the_belief_was_off(flown):
    """Against the deck's own formula and the set-point of the log."""
    paths, _ = flown
    log = read_flight_log(paths[0])
    rows = until_contact(log)
    found = deck_errors(log, AERO, PLAN, rows)
    t = log["time"][rows]
    late = t > PLAN.descent_start  # g = 1: reference - plan is the deck itself
    normal = log["truth_surface_normal"]
    slope = -normal[:, 0] / normal[:, 2]
    deck = log["truth_surface_height"] - slope * log["truth_position"][:, 0]
    moved = log["setpoint_position"][:, 2] - AERO.rest_height - log["reference_height"]
    off = np.abs(moved - deck)[rows][late]
    assert off.max() <= found.place + 1e-9
    assert 2e-4 < found.place < 3e-3
    assert found.surface < found.heard <= 0.12
    w = 2 * math.pi * 0.3
    assert found.jerk < 0.1 * 0.1 * w**3
    gains = AERO.gains
    k_p, k_v = gains.velocity[2] * gains.position[2], gains.velocity[2] + gains.position[2]
    whole = AERO.mass * np.array([k_p, k_v, 1.0, AERO.rotors.lag]) @ found.values()[2:6]
    assert 0.1 * whole < found.force <= whole


def test_the_reference_of_a_flight_over_a_deck_moves_with_the_real_one(flown):
    log = read_flight_log(flown[0][0])
    off = off_the_reference(log, PLAN.descent_start)
    late = (log["time"] > PLAN.descent_start) & (log["truth_contact_force"] == 0)
    late &= log["phase"] == 0
    height = log["truth_position"][:, 2] - log["truth_surface_height"] - AERO.rest_height
    np.testing.assert_allclose(off[late, 2], (height - log["reference_height"])[late], atol=2e-4)
    believed = (log["truth_position"] - log["setpoint_position"])[late, 2]
    assert 2e-4 < np.abs(off[late, 2] - believed).max() < 3e-3


def test_bounds_over_a_deck_are_the_shapes_times_one_score(flown):
    paths, network = flown
    found = calibrate(paths, AERO, network, NETWORK, alpha=0.4, plan=PLAN, deck=FAMILY)
    family, errors = found.deck
    assert family == FAMILY
    joint = max(s.joint(AERO.weight, SHAPES_DECK, FAMILY) for s in found.scores)
    np.testing.assert_allclose(errors.values(), joint * deck_shapes(FAMILY))
    for score in found.scores:
        assert (score.deck.values() <= errors.values() * (1 + 1e-12)).all()
    assert found.as_dict()["deck"]["force_n"] == errors.force


def test_flights_over_another_surface_do_not_calibrate(flown, tmp_path):
    paths, network = flown
    with pytest.raises(InputError, match=r"flown over a deck with .* expected a surface at rest"):
        calibrate(paths, AERO, network, NETWORK, alpha=0.4, plan=PLAN)
    other = replace(FAMILY, frequency=0.4)
    with pytest.raises(InputError, match=r"expected a deck with .*'frequency_hz': 0.4"):
        calibrate(paths, AERO, network, NETWORK, alpha=0.4, plan=PLAN, deck=other)
    log = read_flight_log(paths[0])
    followed = fly(
        Flight(AERO, NETWORK, SCENARIO, network=network, engine="hybrid", deck_way=FOLLOWED), 0
    ).log
    path = tmp_path / "followed.parquet"
    metadata = dict(log.metadata)
    columns = {k: followed[k] for k in log.columns}
    write_flight_log(path, replace(followed, columns=columns, metadata=metadata))
    with pytest.raises(InputError, match="moved otherwise than what the vehicle measured"):
        calibrate([path, paths[1]], AERO, network, NETWORK, alpha=0.4, plan=PLAN, deck=FAMILY)


# --- the whole way -------------------------------------------------------------------------------


@pytest.mark.campaign
def test_certified_landings_on_a_deck_stay_inside_their_tube(tmp_path):
    """Calibrated, certified, flown, phases as they come; none leaves, and the monitor is silent.

    Without a ground effect, from which a small learned force is not far.
    """
    folder = bundle(tmp_path / "model", AERO, scale=0.05)
    options = FlightOptions(
        "intel-aero", "deck", "s-curve", "none", folder, uncertified=True, engine="hybrid"
    )
    paths = collect_landings(flight_of(options, NETWORK), 9, 5, tmp_path / "calibration")
    network = load_network(folder, AERO)
    bounds = calibrate(paths, AERO, network, NETWORK, plan=PLAN, deck=FAMILY)
    certificate, _ = certify(
        folder,
        AERO,
        NETWORK,
        plan=PLAN,
        start=Start(0.05, 0.05, None),
        calibration=bounds,
        deck=FAMILY,
    )
    assert certificate.certified
    assert "as one pure sine" in " ".join(certificate.assumptions)
    assert "heard of the deck, nothing is proved" in certificate.tube["fallback"]["assumes"]
    flight = flight_of(replace(options, uncertified=False), NETWORK)
    for seed in range(6):
        s = fly(flight, seed).summary
        assert s["landed"]
        assert s["certified"]
        assert s["tube_violations"] == 0
        assert s["monitor_events"] == 0
        assert s["touchdown_speed_m_s"] < 0.3
    faster = replace(SCENARIO, deck=replace(SCENARIO.deck, frequency_hz=0.4))
    with pytest.raises(Refused, match=r"0\.1 Hz more"):
        flight_of(replace(options, uncertified=False), NETWORK, faster)
