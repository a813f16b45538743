import math

import numpy as np
import pytest
import torch

from neural_lander.learning.residual_network import (
    ResidualNetwork,
    export,
    limited,
    slope_bound,
    spectral_norm_of,
)

HIDDEN = (25, 30, 15)


def steep_network(lipschitz, seed=0, steps=150):
    """A network taught to be as steep as it can: its output should grow without end."""
    torch.manual_seed(seed)
    network = ResidualNetwork(3, HIDDEN, lipschitz)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    x = torch.randn(256, 3)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = torch.mean((network(x) - 100 * x) ** 2)
        loss.backward()
        optimiser.step()
    return network


def forward(plain, x):
    for w, b in zip(plain.weights[:-1], plain.biases[:-1], strict=True):
        x = np.maximum(x @ w.T + b, 0)
    return x @ plain.weights[-1].T + plain.biases[-1]


@pytest.mark.parametrize("lipschitz", [0.05, 0.3, 1.0, 16.0])
def test_the_exported_norm_keeps_the_bound_exactly(lipschitz):
    plain = export(steep_network(lipschitz), lipschitz)
    assert slope_bound(plain.weights) <= lipschitz
    assert slope_bound(plain.weights) > 0.9 * lipschitz  # it wanted more, and got what there was
    assert all(w.dtype == np.float64 for w in plain.weights)


def test_without_a_bound_the_same_lesson_makes_it_far_steeper():
    assert slope_bound(export(steep_network(None), None).weights) > 50


def test_the_norm_is_bounded_and_not_pinned():
    """The norm of a layer is its gain, and the gain may be anything below the bound."""
    network = steep_network(1.0, steps=1)
    for share in (0.99, 0.5, 0.05):
        for layer in network.layers:
            layer.gain_logit.data = torch.tensor(math.log(share / (1 - share)))
        assert slope_bound(export(network, 1.0).weights) == pytest.approx(share**4, rel=1e-3)


def test_no_two_points_are_further_apart_than_the_bound_says():
    plain = export(steep_network(0.3), 0.3)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5000, 3)) * 3
    slope = np.linalg.norm(forward(plain, a) - forward(plain, b), axis=1)
    slope /= np.linalg.norm(a - b, axis=1)
    assert slope.max() <= 0.3


def test_a_layer_a_little_too_steep_is_scaled_down_and_a_flatter_one_kept():
    weight = np.random.default_rng(0).normal(size=(30, 25))
    weight *= 0.74 / spectral_norm_of(weight)
    assert spectral_norm_of(limited(weight * 1.003, 0.74)) <= 0.74
    np.testing.assert_allclose(limited(weight * 1.003, 0.74), weight, rtol=1e-9)
    np.testing.assert_array_equal(limited(weight * 0.99, 0.74), weight * 0.99)


@pytest.mark.parametrize("lipschitz", [0.3, None])
def test_exported_weights_compute_what_torch_computes(lipschitz):
    network = steep_network(lipschitz, steps=60)
    plain = export(network, lipschitz)
    x = torch.randn(500, 3)
    with torch.no_grad():
        expected = network.eval()(x).numpy()
    # a float has 7 digits; the outputs without bound reach a hundred
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(
        forward(plain, x.numpy().astype(np.float64)), expected, atol=1e-6 * scale
    )


def test_the_bound_is_shared_by_the_layers():
    plain = export(steep_network(16.0), 16.0)
    assert all(spectral_norm_of(w) <= 2.0 for w in plain.weights)
    assert math.prod(spectral_norm_of(w) for w in plain.weights) == slope_bound(plain.weights)
