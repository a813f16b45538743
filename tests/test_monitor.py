"""Every assumption that can be seen from on board is made to fail, and the switch comes at once."""

import math
from dataclasses import replace

import numpy as np
import pytest

from neural_lander.controller import landing_controller as lc
from neural_lander.controller.inner_loop import InnerLoop
from neural_lander.controller.measurement import NOT_FELT
from neural_lander.controller.monitor import (
    CONTRACT,
    EVENTS,
    MASS,
    PLACE,
    QUIET,
    RESIDUAL_FORCE,
    SATURATION,
    SOLVER,
    TILT,
    TIMING,
    Limits,
    store_limits,
)
from neural_lander.controller.network import load_network, network_record
from neural_lander.controller.setpoint import plan_descent
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario

from .bundle_cases import bundle

AERO = load_vehicle("intel-aero")
PERIOD = AERO.timing.period
SLOW = np.full((400, 3), 0.05)
HOVER = (AERO.weight / 4,) * 4


def limits(**changes):
    """Wide enough for a landing, tight enough to notice."""
    wide = Limits(
        step=0.01,
        position=np.full((400, 3), 0.10),
        velocity=np.full((400, 3), 0.5),
        noise=(0.0, 0.0),
        tolerance=0.01,
        longest_step=1.5 * PERIOD,
        tilt=math.radians(20),
        contract=(2.0, 2.0, 2.0),
        unexplained=np.full((400, 3), 2.0),
    )
    return replace(wide, **changes)


class Bench:
    """A controller on a bench: it is told what it measures."""

    def __init__(self, folder, controller="learned+observer", **changes):
        network = load_network(bundle(folder, AERO, scale=2.0), AERO)
        plan = plan_descent("s-curve", (0, 0, 0.3), 0.3, 1000.0)
        record = lc.controller_record(AERO, controller, plan, 0.0)
        store_limits(record[0], limits(**changes), InnerLoop.of(AERO))
        self.c, self.net = record.view(np.recarray)[0], network_record(network).view(np.recarray)[0]
        self.t = 0.0

    def step(self, dx=0.0, speed=0.0, tilt=0.0, thrust=None, dt=PERIOD):
        """One step of hover at 0.3 m, off by what is said; thrust is that which balances phi."""
        q = (0.0, math.sin(tilt / 2), 0.0, math.cos(tilt / 2))
        each = HOVER[0] if thrust is None else thrust / 4
        p = (dx, 0.0, 0.3 + AERO.rest_height)
        measured = (p, q, (speed, 0.0, 0.0), (0.0, 0.0, 0.0), (each,) * 4, 0.3, NOT_FELT)
        f = lc.control_step.py_func(self.c, self.net, self.t, measured)
        self.t += dt
        return sum(f)

    def settle(self, n=5):
        """Hover until phi is cancelled; the thrust measured is the one commanded."""
        total = AERO.weight
        for _ in range(n):
            total = self.step(thrust=total)
        assert self.c.event == QUIET
        return total


def test_quiet_in_hover_and_nothing_is_dropped(tmp_path):
    bench = Bench(tmp_path)
    bench.settle(200)
    assert bench.c.residual == lc.NETWORK
    assert bench.c.watching == 1


@pytest.mark.parametrize(
    ("event", "changes", "disturbed"),
    [
        (PLACE, {}, {"dx": 0.101}),
        (PLACE, {"velocity": SLOW}, {"speed": 0.051}),
        (TIMING, {}, {"dt": 3 * PERIOD}),
        (TILT, {}, {"tilt": math.radians(21)}),
        (CONTRACT, {}, {"thrust": 1.3 * AERO.weight}),
    ],
)
def test_each_assumption_made_to_fail_is_noticed_within_two_steps(
    tmp_path, event, changes, disturbed
):
    bench = Bench(tmp_path, **changes)
    total = bench.settle()
    for _ in range(2):
        bench.step(**{"thrust": total, **disturbed})
    assert bench.c.event == event
    assert bench.c.residual == lc.NONE
    assert bench.c.watching == 0
    assert event in EVENTS


@pytest.mark.parametrize(
    "disturbed", [{"dx": 0.099}, {"speed": 0.049}, {"dt": 1.4 * PERIOD}, {"tilt": math.radians(19)}]
)
def test_and_just_inside_the_bound_nothing_is(tmp_path, disturbed):
    changes = {"velocity": SLOW} if "speed" in disturbed else {}
    bench = Bench(tmp_path, contract=(9.0,) * 3, unexplained=np.full((400, 3), 9.0), **changes)
    total = bench.settle()
    for _ in range(2):
        bench.step(**{"thrust": total, **disturbed})
    assert bench.c.event == QUIET


def test_a_rotor_at_its_limit_and_a_solver_that_fails_are_noticed(tmp_path):
    bench = Bench(tmp_path / "a")
    bench.settle()
    bench.c.saturated = 1.0
    bench.step()
    assert bench.c.event == SATURATION
    bench = Bench(tmp_path / "b")
    bench.settle()
    bench.c.solver_residual = -0.02
    bench.step()
    assert bench.c.event == SOLVER


def test_a_mass_beyond_its_bound_is_noticed_and_one_inside_is_not(tmp_path):
    for found, event in ((0.04, QUIET), (-0.06, MASS)):
        bench = Bench(tmp_path / str(found), mass=0.05)
        bench.settle()
        bench.c.load = found
        bench.step()
        assert bench.c.event == event


def test_a_force_that_nothing_explains_is_noticed_as_fast_as_the_observer_is(tmp_path):
    """10 % of weight more than the file says: hovering takes 10 % more thrust."""
    bench = Bench(tmp_path, contract=(9.0, 9.0, 9.0), unexplained=np.full((400, 3), 0.5))
    bench.settle()
    heavy = 1.1 * AERO.weight
    for _ in range(200):
        bench.step(thrust=heavy)
        if bench.c.event:
            break
    assert bench.c.event == RESIDUAL_FORCE
    # 1.44 N through a low pass of 1/s is over 0.5 N after 0.43 s, in which 10 % less lift make 4 cm
    assert bench.c.event_time < 0.5


def test_the_thrust_does_not_jump_when_the_learned_force_is_dropped(tmp_path):
    """The observer takes over 1 to 2 N; without that the command jumps by as much."""
    bench = Bench(tmp_path, position=np.full((400, 3), 0.005))
    before = bench.settle(50)
    phi = bench.c.learned_force[2]
    assert phi > 0.5
    after = bench.step(dx=0.0051, thrust=before)
    assert bench.c.event == PLACE
    assert after == pytest.approx(before, abs=0.05)
    assert bench.c.observer_force[2] == pytest.approx(phi, abs=0.05)
    for _ in range(5):
        after = bench.step(thrust=before)
    assert after == pytest.approx(before, abs=0.15)


def test_the_tube_is_coarsened_outward(tmp_path):
    rng = np.random.default_rng(0)
    rough = rng.uniform(0.05, 0.2, (1000, 3))
    record = lc.controller_record(AERO, "learned+observer", plan_descent(
        "s-curve", (0, 0, 1), 0.0, 1.0), 0.0)  # fmt: skip
    store_limits(
        record[0], limits(position=rough, velocity=rough, unexplained=rough), InnerLoop.of(AERO)
    )
    c = record[0]
    for i in range(0, 1000, 7):
        row = min(int(i * 0.01 / c["tube_step"] + 1e-9), len(c["tube"]) - 1)
        assert (c["tube"][row, :3] >= rough[i]).all()
    np.testing.assert_array_equal(c["tube"][-1, :3], rough[-1])


@pytest.mark.parametrize("wrong", [False, True])
def test_in_flight_a_wrong_learned_force_voids_the_certificate_and_the_vehicle_lands(
    tmp_path, wrong
):
    """Air without any ground effect; a learned force of next to nothing, and one of 2 N."""
    network = load_network(bundle(tmp_path, AERO, scale=3.0 if wrong else 0.1), AERO)
    flight = Flight(
        AERO, "learned+observer", replace(load_scenario("flat"), hover=1.0), network=network,
        aero="none", certified=True, limits=limits(unexplained=np.full((400, 3), 1.0)),
    )  # fmt: skip
    landing = fly(flight, 0)
    events = landing.log["monitor"]
    assert landing.summary["landed"]
    assert not landing.summary["crashed"]
    assert (events.max() > 0) == wrong
    if wrong:
        at = int(np.argmax(events > 0))
        assert (landing.log["learned_force"][at + 1 :] == 0).all()
