"""A deck that moves: its contact obeys mechanics, its swing is found, and landings on it are soft."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from neural_lander.controller.deck import (
    BLEND,
    FOLLOWED,
    N,
    deck_ahead,
    deck_setpoint,
    hear_deck,
)
from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.landing_controller import controller_record
from neural_lander.controller.setpoint import plan_descent
from neural_lander.controller.terrain import Terrain
from neural_lander.controller.vehicle import GRAVITY, load_vehicle
from neural_lander.sim.deck import Deck, Swing, draw_swing, move_deck, store_swing
from neural_lander.sim.deviation import Deviation
from neural_lander.sim.gate import FlightOptions, flight_of
from neural_lander.sim.legs import STIFF
from neural_lander.sim.physics import ROTOR, world_record
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.sensors import Sensors, draw_marker_noise
from neural_lander.sim.world import world_of

AERO = load_vehicle("intel-aero")
H = AERO.timing.period
STILL = (0.0, 0.0, 0.0)


# the motion


@given(
    t=st.floats(0, 20), x=st.floats(-1, 1), v=st.floats(-2, 2), pitch=st.floats(0, 15),
    p=st.floats(0, 6.28), q=st.floats(0, 6.28), f=st.floats(0.1, 1.0),
)  # fmt: skip
def test_speed_is_how_the_height_changes_and_neither_leaves_its_bounds(t, x, v, pitch, p, q, f):
    deck = Deck(x=0.3, pitch_deg=pitch, frequency_hz=f)
    swing = Swing(deck, (p, q))
    d = 1e-4
    before, after = (swing.height(t + s, x + s * v) for s in (-d, d))
    assert swing.speed(t, x, v) == pytest.approx((after - before) / (2 * d), abs=1e-5)
    speed, acceleration, jerk = deck.bounds(x)
    assert abs(swing.speed(t, x, 0.0)) <= speed + 1e-12
    change = (swing.speed(t + d, x, 0.0) - swing.speed(t - d, x, 0.0)) / (2 * d)
    assert abs(change) <= acceleration + 1e-6
    twice = swing.speed(t + d, x, 0.0) + swing.speed(t - d, x, 0.0) - 2 * swing.speed(t, x, 0.0)
    assert abs(twice / d**2) <= jerk + 1e-5


def test_the_bounds_are_met_by_some_motion():
    deck = Deck(pitch_deg=5.0)
    t = np.linspace(0, 10, 20001)
    swing = Swing(deck, (1.0, 1.0))  # in phase: both lift the side to the east together
    speeds = swing.speed(t, np.full_like(t, 0.5), 0.0)
    assert np.abs(speeds).max() == pytest.approx(deck.bounds(0.5)[0], rel=1e-6)


def test_who_stands_on_the_deck_moves_and_turns_as_it_does():
    """A point fixed to the pitching box is at rest for one who stands on it."""
    deck = Deck(x=0.2, pitch_deg=6.0)
    swing, t, d = Swing(deck, (0.5, 2.5)), 1.7, 1e-5

    def at(time):
        place, q, _ = swing.pose(time)
        return np.array(place) + Rotation.from_quat(q).apply([0.4, 0.1, 0.3]), Rotation.from_quat(q)

    (before, turned_before), (now, _), (after, turned_after) = at(t - d), at(t), at(t + d)
    velocity = (after - before) / (2 * d)
    omega = (turned_after * turned_before.inv()).as_rotvec() / (2 * d)
    for left in swing.seen_from(t, tuple(now), tuple(velocity), tuple(omega)):
        assert_allclose(left, 0.0, atol=1e-6)
    assert np.linalg.norm(velocity) > 0.05


@given(t=st.floats(0, 20), p=st.floats(0, 6.28), q=st.floats(0, 6.28))
def test_forces_and_contact_meet_the_same_plane(t, p, q):
    """The compiled step's plane, the engine's pose and the log's height are one."""
    deck = Deck(x=0.2, pitch_deg=6.0)
    swing = Swing(deck, (p, q))
    w = world_record(AERO, ROTOR, ground=Terrain((deck.surface,))).view(np.recarray)[0]
    store_swing(w, swing, 1)
    move_deck.py_func(w, t)
    place, quaternion, _ = swing.pose(t)
    corner = place + Rotation.from_quat(quaternion).apply([0.5, 0.0, 0.0])
    assert swing.height(t, corner[0]) == pytest.approx(corner[2], abs=1e-12)
    box = w.surfaces[0]
    plane = box[4] + box[5] * (corner[0] - box[0])
    assert plane == pytest.approx(corner[2], abs=1e-12)


# contact


def carried(deck, phases=(0.4, 2.0), seconds=4.0, x=0.0):
    """Stand on a deck; return over time heights over it, ground forces [N], places, attitudes."""
    engine = world_of(AERO, Terrain((deck.surface,)), STIFF, 1)
    swing = Swing(deck, phases)
    engine.carry(swing, 0.0)
    tilt = -swing.pose(0.0)[2]
    turned = tuple(Rotation.from_euler("y", -tilt).as_quat())
    up = np.array([-math.sin(tilt), 0.0, math.cos(tilt)])
    p = np.array([x, 0.0, float(swing.height(0.0, x))]) + AERO.rest_height * up
    speed = float(swing.speed(0.0, x, 0.0))
    engine.reset(tuple(p), turned, (0.0, 0.0, speed))
    height, force, places, attitudes = [], [], [], []
    for k in range(round(seconds / H)):
        engine.carry(swing, k * H)
        before = engine.twist(engine.body)[0][2]
        engine.advance()
        after = engine.twist(engine.body)[0][2]
        place, q = engine.pose(engine.body)
        height.append(place[2] - swing.height((k + 1) * H, place[0]))
        force.append(AERO.mass * ((after - before) / H + GRAVITY))
        places.append(place)
        attitudes.append(q)
    return swing, *(np.array(a) for a in (height, force, places, attitudes))


def test_what_stands_on_a_heaving_deck_is_carried_with_m_times_g_plus_a_and_stays():
    deck = Deck(heave=0.1, frequency_hz=0.3)
    swing, height, force, places, _ = carried(deck)
    settled = slice(100, None)
    assert_allclose(height[settled], AERO.rest_height, atol=5e-5)  # a twentieth of a millimetre
    t = H * np.arange(len(force))
    a = (swing.speed(t + H, 0.0, 0.0) - swing.speed(t, 0.0, 0.0)) / H
    assert_allclose(force[settled], AERO.mass * (GRAVITY + a)[settled], rtol=2e-3)
    assert np.ptp(force[settled]) > 0.06 * AERO.weight  # 2 x 3.6 % of it come and go
    assert np.linalg.norm(places[-1, :2] - places[100, :2]) < 1e-3


def test_what_stands_on_a_pitching_deck_turns_with_it_and_does_not_creep():
    deck = Deck(heave=0.05, pitch_deg=4.0, frequency_hz=0.3)
    swing, _, _, places, attitudes = carried(deck)
    for k in range(200, len(places), 100):
        angle = swing.pose((k + 1) * H)[2]
        turned = Rotation.from_quat(attitudes[k]) * Rotation.from_euler("y", angle).inv()
        assert turned.magnitude() < math.radians(0.1)
    # it turns about the top's middle: the body's origin, 9 cm up, goes to and fro by 2 x 6 mm
    there = places[:, 0] - AERO.rest_height * np.array(
        [math.sin(swing.pose((k + 1) * H)[2]) for k in range(len(places))]
    )
    assert np.ptp(there[200:]) < 2e-3


def test_a_deck_that_falls_away_faster_than_g_lets_go_and_one_a_little_slower_does_not():
    for share, leaves in ((0.9, False), (1.3, True)):
        deck = Deck(height=2.0, heave=share * GRAVITY / (2 * math.pi * 1.0) ** 2, frequency_hz=1.0)
        _, height, force, _, _ = carried(deck, (0.0, 0.0), 1.0)
        assert (height.max() > AERO.rest_height + 1e-3) == leaves
        assert (np.abs(force[50:]).min() < 1e-6) == leaves


# what the vehicle hears


def listener(way=0, hover=8.0):
    deck = Deck()
    plan = plan_descent("s-curve", (0.0, 0.0, 1.5), 0.0, hover)
    record = controller_record(
        AERO, "observer", plan, 0.0, deck.height, chart=Terrain((deck.surface,)), moving=1,
        deck_way=way,
    )  # fmt: skip
    return record


@njit
def hear_all(record, t, y):
    """Hear one reading after the other; return what each leads to expect 50 ms later [m]."""
    found = np.empty(len(t))
    for k in range(len(t)):
        hear_deck(record[0], t[k], y[k])
        found[k] = deck_ahead(record[0], 0.05)[0]
    return found


def heard(frequency, phase, amplitude, seed=0, seconds=10.0, middle=0.004):
    """Hear a swing with the noise of position and range; return errors 50 ms ahead, and the record."""
    record, rng = listener(), np.random.default_rng(seed)
    steps = round(seconds / H)
    noise = sum(draw_marker_noise(Sensors(), AERO, steps, rng) for _ in range(2))
    t, w = H * np.arange(steps), 2 * math.pi * frequency
    ahead = middle + amplitude * np.sin(w * (t + 0.05) + phase)
    found = hear_all(record, t, middle + amplitude * np.sin(w * t + phase) + noise)
    return found - ahead, record


@settings(max_examples=30)
@given(
    frequency=st.floats(0.2, 1.0), phase=st.floats(0, 6.28), amplitude=st.floats(0.02, 0.2),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_any_swing_in_the_band_is_found_in_six_seconds(frequency, phase, amplitude, seed):
    missed, record = heard(frequency, phase, amplitude, seed)
    assert np.abs(missed[round(6 / H) :]).max() < 3e-3  # less than noise (4 mm) puts on one reading
    best = record["deck_mean"][0, record["deck_best"][0]]
    assert best[3] == pytest.approx(2 * math.pi * frequency, rel=0.03)
    spread = record["deck_spread"][0]
    assert_allclose(spread, spread.transpose(0, 2, 1), atol=1e-15)
    assert all(np.linalg.eigvalsh(spread[i]).min() > 0 for i in range(N))


def test_a_swing_outside_the_band_is_not():
    missed, _ = heard(2.0, 0.3, 0.1)
    assert np.abs(missed[round(6 / H) :]).max() > 0.02


def test_what_moves_the_set_point_fits_together_from_hover_to_landing():
    """Speed, acceleration and jerk are derivatives, also while the motion is taken up."""
    record = listener()
    c = record[0]
    c["deck_mean"][0] = 0.01, 0.06, -0.05, 2.0
    start = 8.0 - BLEND
    s = np.linspace(start - 0.2, 8.3, 20001)
    found = np.array([deck_setpoint(c, start, float(x - start)) for x in s])
    assert_allclose(found[s < start], 0.0, atol=0)
    after = s > 8.0
    ahead = np.array([deck_ahead(c, float(x - start)) for x in s[after]])
    assert_allclose(found[after], ahead, atol=0)
    step = s[1] - s[0]
    for i in range(3):
        slope = np.gradient(found[:, i], step)
        assert_allclose(slope[2:-2], found[2:-2, i + 1], atol=2e-3)


def test_a_deck_that_is_only_followed_is_seen_without_its_acceleration():
    record = listener(FOLLOWED)
    c = record[0]
    t = H * np.arange(2000)
    hear_all(record, t, 0.1 + 0.05 * t)
    d, v, a, j = deck_ahead(c, 0.0)
    assert d == pytest.approx(0.1 + 0.05 * 2000 * H, abs=1e-6)
    assert v == pytest.approx(0.05, abs=1e-6)
    assert (a, j) == (0.0, 0.0)


# flights


def land(controller="observer", scenario=None, seeds=4, **changes):
    flight = Flight(AERO, controller, scenario or load_scenario("deck"), engine="hybrid", **changes)
    return [fly(flight, seed) for seed in range(seeds)]


@pytest.mark.parametrize("controller", ["observer", "oracle+observer", "pid"])
def test_it_lands_on_the_deck_softly_and_rides_it(controller):
    for landing in land(controller):
        s, log = landing.summary, landing.log
        assert s["outcome"] == "landed"
        assert not s["cut_in_air"]
        assert s["slide_m"] < 0.02
        assert s["touchdown_speed_m_s"] < 0.3
        assert s["rise_after_contact_m"] < 2e-3
        assert s["final_height_m"] == pytest.approx(0.0, abs=5e-4)
        still = log["truth_velocity"][-50:, 2] - log["truth_surface_speed"][-50:]
        assert np.abs(still).max() < 0.01


def test_what_is_fed_forward_halves_the_error_that_following_leaves():
    ahead = [abs(x.summary["terminal_z_error_m"]) for x in land()]
    behind = [abs(x.summary["terminal_z_error_m"]) for x in land(deck_way=FOLLOWED)]
    assert np.median(ahead) < 0.008
    assert np.median(behind) > 2 * np.median(ahead)


def test_a_deck_at_rest_is_a_table():
    calm = replace(load_scenario("deck"), deck=Deck(heave=0.0))
    deck = calm.deck
    table = replace(calm, deck=None, terrain=Terrain((deck.surface,)))
    for one, other in zip(land(scenario=calm), land(scenario=table), strict=True):
        assert one.summary["landed"]
        assert other.summary["landed"]
        a, b = one.log, other.log
        flying = slice(0, round(11.0 / H))
        gap = a["truth_position"][flying] - b["truth_position"][flying]
        assert np.abs(gap).max() < 2e-3  # what noise makes the filter think that it hears


def test_the_same_seed_is_the_same_flight_and_another_one_another_sea():
    one, other = land(seeds=2)
    again = land(seeds=1)[0]
    for name, column in one.log.columns.items():
        assert np.array_equal(column, again.log[name])
    sea, calm = one.log["truth_surface_height"], other.log["truth_surface_height"]
    n = min(len(sea), len(calm))
    assert np.abs(sea[:n] - calm[:n]).max() > 0.01


def test_height_over_the_deck_is_measured_within_its_bound_and_not_known_from_the_map():
    log = land(seeds=1)[0].log
    off = log["height"] - log["truth_height"]
    assert np.abs(off).max() <= AERO.noise.position
    assert np.abs(off).max() > 0.8 * AERO.noise.position
    position = log["position"][:, 2] - log["truth_position"][:, 2]
    assert abs(np.corrcoef(off, position)[0, 1]) < 0.2  # two sensors, two noises


# files

HEAD = "name = 'a'\ndescription = 'x'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[deck]\nroll_deg = 3", "deck.roll_deg is unknown; take one of .*frequency_hz"),
        ("[deck]\nfrequency_hz = 3", "deck.frequency_hz is 3, expected a number from 0.1 to 1 Hz"),
        ("deck = 3", r"deck is 3, expected a table \[deck\]"),
        ("[deck]", r"hover is 2 s, too short to hear a whole swing .* make it 5.3 s or more"),
        ("hover = 8\nstart_x = 2\n[deck]", "start and end in one place from -1 to 1 m"),
        ("hover = 8\nend_x = 0.5\n[deck]", "the deck is to be heard from a hover over it"),
        (
            "hover = 8\n[sensors]\nposition_latency = 0.05\n[deck]",
            "sensors.position_latency with a .deck.: .* leave one of them out",
        ),
        (
            "hover = 8\n[sensors]\ndrop_out_share = 0.1\n[deck]",
            "sensors.drop_out_share with a .deck.",
        ),
        (
            "hover = 8\n[vehicle]\nestimate_lag = 0.02\n[deck]",
            "vehicle.estimate_lag with a .deck.: .* leave one of them out",
        ),
        ("hover = 8\n[deck]\nheave = 0.6", "its edge comes down to -0.10 m .* raise it by more"),
        (
            "hover = 8\n[[surface]]\nx = 1\ny = 0\nhalf_x = 1\nhalf_y = 1\nheight = 1\n[deck]",
            "the last surface is the deck: surface 1 .* and surface 2 .* overlap",
        ),
    ],
)
def test_bad_files_are_refused(text, message, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(HEAD + text)
    with pytest.raises(InputError, match=message) as caught:
        load_scenario(str(path))
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heave": 0.4, "height": 1.0, "frequency_hz": 0.6}, "takes .* m/s.2, and intel-aero has"),
        ({"pitch_deg": 15.0, "height": 2.0, "x": 0.8}, "less than 0.2. m from the deck's edge"),
        ({"heave": 0.9, "height": 1.0, "frequency_hz": 0.1, "half_x": 2.0}, None),
        ({"heave": 1.0, "height": 1.1, "frequency_hz": 0.1}, None),
    ],
)
def test_a_deck_too_lively_for_the_vehicle_is_refused(changes, message):
    scenario = replace(load_scenario("deck"), deck=Deck(**changes), hover=12.0)
    flight = Flight(AERO, "observer", scenario, engine="hybrid")
    if message is None:
        fly(flight, 0)
    else:
        with pytest.raises(InputError, match=message):
            fly(flight, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"deviation": Deviation(estimate_lag=0.02)}, "vehicle.estimate_lag with a .deck."),
        ({"sensors": Sensors(drop_out_share=0.1)}, "sensors.drop_out_share with a .deck."),
    ],
)
def test_an_estimate_older_than_the_measured_height_is_refused_without_a_file(changes, message):
    sensors = changes.pop("sensors", Sensors())
    flight = Flight(AERO, "observer", replace(load_scenario("deck"), sensors=sensors), **changes)
    with pytest.raises(InputError, match=message):
        fly(flight, 0)


def test_a_deck_that_comes_up_into_the_hovering_vehicle_is_refused():
    scenario = replace(load_scenario("deck"), start_height=0.25)
    with pytest.raises(InputError, match=r"the deck comes up by 0.11 m into the hovering vehicle"):
        fly(Flight(AERO, "observer", scenario), 0)
    assert fly(Flight(AERO, "observer", replace(scenario, start_height=0.27)), 0).summary["landed"]


def test_the_file_at_fault_is_named(tmp_path):
    path = tmp_path / "wild.toml"
    path.write_text(HEAD + "hover = 8\n[deck]\nheight = 1\nheave = 0.4\nfrequency_hz = 0.6\n")
    with pytest.raises(InputError, match=r"wild.toml: deck.heave = 0.4 m at deck.frequency_hz"):
        flight_of(FlightOptions("intel-aero", str(path), "s-curve", "rotor"), "observer")


def test_a_learned_force_over_a_slope_is_refused_a_certificate(monkeypatch, tmp_path):
    monkeypatch.setattr("neural_lander.sim.gate.load_network", lambda *a: None)
    options = FlightOptions("intel-aero", "slope", "s-curve", "rotor", tmp_path)
    with pytest.raises(Refused, match=r"surfaces with edges.*--uncertified"):
        flight_of(options, "learned+observer")
    open_eyed = replace(options, uncertified=True)
    assert flight_of(open_eyed, "learned+observer").certified is False


def test_phases_are_drawn_over_the_whole_circle():
    rng = np.random.default_rng(0)
    phases = np.array([draw_swing(Deck(), rng).phases for _ in range(400)])
    assert phases.min() < 0.1
    assert phases.max() > 6.2
    assert abs(np.corrcoef(phases.T)[0, 1]) < 0.15
