from dataclasses import replace

import numpy as np

from neural_lander.learning.bandwidth import CORNERS, chosen_cutoff, force_lost
from neural_lander.learning.labels import raw_labels

from .vertical_flight import vertical_flight


def labels_of(vehicle, length, noise=0.0, flights=3):
    def force(height, speed, thrust):
        return 2.0 * np.exp(-height / length)

    return [
        raw_labels(vertical_flight(vehicle, i, 30, force, noise), vehicle) for i in range(flights)
    ]


def test_a_sharper_cushion_needs_a_wider_low_pass(intel_aero):
    """Flown at the same speed, a force that dies out in 6 cm changes faster than in 50 cm."""
    soft, sharp = (force_lost(labels_of(intel_aero, length), intel_aero) for length in (0.5, 0.06))
    assert all(sharp[c] > soft[c] for c in CORNERS if c <= 8)  # above, next to nothing is left
    assert chosen_cutoff(soft) < chosen_cutoff(sharp)


def test_a_lower_corner_never_loses_less(intel_aero):
    lost = force_lost(labels_of(intel_aero, 0.15, noise=1.0), intel_aero)
    values = [lost[c] for c in CORNERS]
    assert values == sorted(values, reverse=True)
    assert 0 < values[-1] < values[0] < 1


def test_noise_of_the_labels_does_not_pass_for_force(intel_aero):
    clean, noisy = (force_lost(labels_of(intel_aero, 0.15, n), intel_aero) for n in (0.0, 1.0))
    assert chosen_cutoff(noisy) <= 2 * chosen_cutoff(clean)


def test_the_lowest_corner_that_loses_little_is_taken():
    assert chosen_cutoff({2.0: 0.3, 3.0: 0.009, 4.0: 0.001}) == 3.0
    assert chosen_cutoff({2.0: 0.3, 3.0: 0.2}) == 3.0  # the widest, if none is wide enough


def test_a_flight_without_force_loses_none(intel_aero):
    raw = labels_of(intel_aero, 0.2, flights=1)[0]
    still = replace(raw, force=0 * raw.force)
    assert force_lost([still], intel_aero) == dict.fromkeys(CORNERS, 0.0)
