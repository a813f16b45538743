import math

import numpy as np
import pytest
import torch

from neural_lander.learning.residual_network import (
    NetworkStack,
    Spread,
    export,
    limited,
    slope_bound,
    spectral_norm_of,
)

HIDDEN = (25, 30, 15)


AS_THEY_ARE = Spread(np.zeros(3), np.ones(3), np.ones(3))


def steep_stack(bounds, steps=150, spread=AS_THEY_ARE):
    """Networks taught to be as steep as they can: their output should grow without end."""
    stack = NetworkStack([3, *HIDDEN, 3], bounds, range(len(bounds)), [spread] * len(bounds))
    optimiser = torch.optim.Adam(stack.parameters(), lr=0.02)
    x = torch.randn(len(bounds), 256, 3, generator=torch.Generator().manual_seed(0))
    for _ in range(steps):
        optimiser.zero_grad()
        loss = torch.mean((stack(x) - 100 * x) ** 2)
        loss.backward()
        optimiser.step()
    return stack


def steep_network(lipschitz, steps=150, spread=AS_THEY_ARE):
    return export(steep_stack([lipschitz], steps, spread), [lipschitz])[0]


def forward(plain, x):
    for w, b in zip(plain.weights[:-1], plain.biases[:-1], strict=True):
        x = np.maximum(x @ w.T + b, 0)
    return x @ plain.weights[-1].T + plain.biases[-1]


@pytest.mark.parametrize("lipschitz", [0.05, 0.3, 1.0, 16.0])
def test_the_exported_norm_keeps_the_bound_exactly(lipschitz):
    plain = steep_network(lipschitz)
    assert slope_bound(plain.weights) <= lipschitz
    assert slope_bound(plain.weights) > 0.9 * lipschitz  # it wanted more, and got what there was
    assert all(w.dtype == np.float64 for w in plain.weights)


def test_without_a_bound_the_same_lesson_makes_it_far_steeper():
    assert slope_bound(steep_network(None).weights) > 50


def test_the_norm_is_bounded_and_not_pinned():
    """The norm of a layer is its gain, and the gain may be anything below the bound."""
    stack = steep_stack([1.0], steps=1)
    for share in (0.99, 0.5, 0.05):
        stack.gain_logits.data[:] = math.log(share / (1 - share))
        plain = export(stack, [1.0])[0]
        assert slope_bound(plain.weights) == pytest.approx(share**4, rel=1e-3)


def test_networks_learn_together_what_they_learn_alone():
    """Four digits: a float has seven, and sums over a batch of networks are ordered otherwise."""
    together = export(steep_stack([0.3, 0.3], steps=20), [0.3, 0.3])
    stack = NetworkStack([3, *HIDDEN, 3], [0.3], [1], [AS_THEY_ARE])
    x = torch.randn(2, 256, 3, generator=torch.Generator().manual_seed(0))[1:]
    optimiser = torch.optim.Adam(stack.parameters(), lr=0.02)
    for _ in range(20):
        optimiser.zero_grad()
        (torch.mean((stack(x) - 100 * x) ** 2) / 2).backward()
        optimiser.step()
    rows = np.random.default_rng(0).normal(size=(100, 3))
    np.testing.assert_allclose(
        forward(together[1], rows), forward(export(stack, [0.3])[0], rows), atol=1e-3
    )
    assert not np.allclose(forward(together[0], rows), forward(together[1], rows), atol=1e-2)


def test_the_bound_is_on_the_inputs_themselves_and_not_on_their_spread():
    """An input that spreads over 0.01 and an output that spreads over 0.02 keep the same bound."""
    spread = Spread(np.array([5.0, 0.0, -2.0]), np.array([4.0, 0.01, 0.1]), np.full(3, 0.02))
    plain = steep_network(0.3, spread=spread)
    assert 0.05 < slope_bound(plain.weights) <= 0.3
    a, b = np.random.default_rng(0).normal(size=(2, 5000, 3))
    slope = np.linalg.norm(forward(plain, a) - forward(plain, b), axis=1)
    assert (slope / np.linalg.norm(a - b, axis=1)).max() <= 0.3


def test_no_two_points_are_further_apart_than_the_bound_says():
    plain = steep_network(0.3)
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
    spread = Spread(np.array([1.0, 0.0, -2.0]), np.array([4.0, 0.5, 1.0]), np.full(3, 0.7))
    stack = steep_stack([lipschitz], steps=60, spread=spread)
    plain = export(stack, [lipschitz])[0]
    x = torch.randn(500, 3)
    with torch.no_grad():
        expected = stack(x[None])[0].numpy()
    # a float has 7 digits; the outputs without bound reach a hundred
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(
        forward(plain, x.numpy().astype(np.float64)), expected, atol=1e-6 * scale
    )


def test_the_bound_is_shared_by_the_layers():
    plain = steep_network(16.0)
    assert all(spectral_norm_of(w) <= 2.0 for w in plain.weights)
    assert math.prod(spectral_norm_of(w) for w in plain.weights) == slope_bound(plain.weights)
