import numpy as np
import pytest

from neural_lander.controller.flight_log import write_flight_log
from neural_lander.controller.residual import ResidualInput
from neural_lander.learning.baselines import (
    NAMES,
    Exponential,
    GroundEffectLaw,
    disc_height,
    fit_baselines,
    fit_exponential,
    fit_ground_effect_law,
    parameters,
)
from neural_lander.learning.boosting import BINS, DEPTH, binned, fit_boosted_trees
from neural_lander.learning.dataset import label_flights, network_inputs, samples

from .vertical_flight import vertical_flight


def flights_of(folder, vehicle, force, offsets=(0.0, 0.0)):
    paths = [folder / f"f{i}.parquet" for i in range(len(offsets))]
    for i, (path, offset) in enumerate(zip(paths, offsets, strict=True)):
        log = vertical_flight(vehicle, seed=i, seconds=20, force=force, offset=offset)
        write_flight_log(path, log)
    return label_flights(paths, vehicle)


def hover(vehicle, height):
    n = len(height)
    attitude = np.tile([0.0, 0, 0, 1], (n, 1))
    return ResidualInput(height, np.zeros((n, 3)), attitude, np.full((n, 4), vehicle.weight / 4))


def test_an_exponential_is_found_again_whatever_the_flights_constants(tmp_path, intel_aero):
    def force(height, speed, thrust):
        return 1.7 * np.exp(-height / 0.22)

    flights = flights_of(tmp_path, intel_aero, force, offsets=(0.6, -0.3))
    found = fit_exponential(samples(flights), intel_aero)
    # the low pass takes a little of the steepest part
    assert (found.amplitude, found.length) == pytest.approx((1.7, 0.22), rel=0.02)
    assert parameters(found) == {"amplitude_n": found.amplitude, "length_m": found.length}


def test_the_textbook_s_radius_is_found_again(tmp_path, intel_aero):
    radius = 1.8 * intel_aero.rotors.radius

    def force(height, speed, thrust):
        z = height + disc_height(intel_aero)
        return thrust * (1 / (1 - (radius / (4 * z)) ** 2) - 1)

    flights = flights_of(tmp_path, intel_aero, force, offsets=(0.2, -0.2))
    assert fit_ground_effect_law(samples(flights), intel_aero).radius == pytest.approx(
        radius, rel=0.02
    )


def test_the_textbook_says_what_cheeseman_and_bennett_wrote(intel_aero):
    """Discs at half a radius: 1/(1 - 1/4) = 4/3 of the thrust; ten radii up nothing is left."""
    law = GroundEffectLaw(intel_aero, 2 * disc_height(intel_aero))
    force = law.force(hover(intel_aero, np.array([0.0, 10.0])))
    np.testing.assert_allclose(force[:, 2], [intel_aero.weight / 3, 0.0], atol=1e-3)
    assert not force[:, :2].any()


def test_trees_learn_a_step_and_a_product_that_no_line_can(intel_aero):
    """Piecewise constant in 48 bins: off by less than a tenth of what there is to explain."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (6000, 3))
    flight = rng.integers(0, 2, 6000)

    def truth(x):
        return 0.1 * (x[:, 0] > 0.3) + 0.1 * x[:, 1] * x[:, 2]

    y = truth(x) + np.array([0.3, -0.3])[flight]  # constants of flights are no part of it
    inputs = network_inputs("level", intel_aero)
    trees = fit_boosted_trees(inputs, x, y, flight, intel_aero)
    new = rng.uniform(-1, 1, (2000, 3))
    state = ResidualInput(
        new[:, 0] * intel_aero.rotors.radius,
        np.stack([0 * new[:, 1], 0 * new[:, 1], new[:, 1] * intel_aero.induced_velocity], axis=1),
        np.tile([0.0, 0, 0, 1], (len(new), 1)),
        np.repeat((new[:, 2:] + 1) * intel_aero.weight / 4, 4, axis=1),
    )
    said = trees.force(state)[:, 2] / intel_aero.weight
    error = truth(new) - said
    assert np.var(error) < 0.1 * np.var(truth(new))
    assert len(trees.trees[0].leaf) == 2**DEPTH
    assert binned(x, trees.edges).max() == BINS - 1


def test_every_baseline_is_fitted_and_gives_a_force_a_row(tmp_path, intel_aero):
    flights = flights_of(tmp_path, intel_aero, lambda h, v, u: np.exp(-h / 0.2))
    models = fit_baselines(flights, intel_aero, "level", every=5)
    assert tuple(models) == NAMES
    state = hover(intel_aero, np.linspace(0.02, 1.0, 7))
    for model in models.values():
        assert model.force(state).shape == (7, 3)
        assert np.isfinite(model.force(state)).all()
    assert isinstance(models["exponential"], Exponential)
    assert parameters(models["zero"]) == {}
