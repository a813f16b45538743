"""The world's ground effect and the textbook's formula have the strength and shape they claim."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neural_lander.controller.ground_effect_formula import cheeseman_bennett
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.ground_effect import ground_effect_gain

AERO = load_vehicle("intel-aero")


@pytest.mark.parametrize(
    ("origin", "percent"), [(0.09, 12.8), (0.2, 10.3), (0.3, 7.1), (0.5, 2.5), (1.0, 1.6)]
)
def test_strength_in_hover_is_that_of_the_published_network(origin, percent):
    disc = origin + AERO.rotors.positions[0, 2]
    gain = ground_effect_gain.py_func(disc, AERO.rotors.radius)
    assert 100 * (gain - 1) == pytest.approx(percent, abs=0.35)


def test_it_only_grows_towards_the_ground_and_fades_above():
    z = np.linspace(0, 20, 400)
    gain = np.array([ground_effect_gain.py_func(height, 0.115) for height in z])
    assert np.all(np.diff(gain) < 0)
    assert gain[-1] - 1 < 5e-4
    assert gain[0] - 1 < 0.15


def test_it_depends_on_height_in_radii_alone():
    assert ground_effect_gain.py_func(0.2, 0.1) == ground_effect_gain.py_func(0.4, 0.2)


def test_cheeseman_bennett_is_their_formula_and_held_below_half_a_radius():
    assert_allclose(cheeseman_bennett.py_func(0.1, 0.1), 1 / (1 - 1 / 16))
    assert cheeseman_bennett.py_func(0.01, 0.1) == cheeseman_bennett.py_func(0.05, 0.1)
    assert cheeseman_bennett.py_func(10.0, 0.1) == pytest.approx(1, abs=1e-5)
