"""A flight that starts off its plan, upright and at weight, stays in its tube from the first sample."""

from dataclasses import replace
from itertools import product
from unittest import mock

import numpy as np
import pytest

from neural_lander.controller import spatial_tube
from neural_lander.controller.spatial_terms import SpatialStart
from neural_lander.controller.vehicle import GRAVITY
from neural_lander.learning.spatial_falsifier import World, falsify_in_space
from neural_lander.learning.spatial_proof import prove_space

from .spatial_cases import ERRORS, LANDING, LOOP, MASS, force

OFF, FAST = 0.03, 0.03
TARGETS = (0.002, 0.02, 0.06, 0.15, 0.4)
GENTLE = replace(LOOP, observer=1.0, noise_velocity=(0.005,) * 3, noise_attitude=0.002)
MILD = replace(ERRORS, contract=(0.02,) * 3, contract_step=(0.0,) * 3)


@pytest.fixture(scope="module")
def started():
    """Proof, and the worst flights from corners of the start."""
    begin = SpatialStart((OFF,) * 3, (FAST,) * 3, None)
    proof = prove_space(LANDING, force(), GENTLE, MILD, begin, cell=0.008)
    assert proof.certified, [c for c in proof.conditions if not c.holds][:2]
    world = World(LANDING, force(), GENTLE, 0.6)
    worst = []
    for a, b in product((1, -1), repeat=2):
        at = np.array([a * OFF] * 3 + [b * FAST] * 3 + [0.0, 0.0, MASS * GRAVITY])
        worst.append(falsify_in_space(world, MILD, TARGETS, iterations=1, climbs=0, start=at))
    return proof, worst


def test_no_flight_leaves_it(started):
    proof, worst = started
    top = max(float(w.ratio_to(proof.tube).max()) for w in worst)
    assert 0.9 < top < 1


def test_a_start_whose_force_would_help_is_caught(started):
    """The force that is missing has the wrong sign: what is off would be pushed back at once."""
    proof, worst = started
    along = spatial_tube.bounds_along

    def turned(*args):
        *rest, shapes = args
        wrong = [s.copy() for s in shapes]
        for shape in wrong:
            shape[2, :2] *= -1
        return along(*rest, wrong)

    loop = GENTLE
    round_start = proof_start(proof)
    with mock.patch.object(spatial_tube, "bounds_along", turned):
        tube = spatial_tube.tube_in_space(
            proof.cells, proof.segments, loop, MILD, round_start, proof.rest
        )
    assert max(float(w.ratio_to(tube).max()) for w in worst) > 1


def proof_start(proof):
    """The start with its force, as the proof's last round worked it out."""
    from neural_lander.learning.spatial_round import THOROUGH, Round

    last = Round.on(LANDING, force(), GENTLE, MILD, proof.start, 0.008, THOROUGH)
    span = (float(last.thrust.min()), float(last.thrust.max()))
    return last._start(proof.segments[0], proof.boxes[0], span)
