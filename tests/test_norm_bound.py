"""Norm bounds are never below a slope that exists, agree with a solver, and survive rounding."""

from itertools import pairwise

import numpy as np
import pytest

from neural_lander.learning.norm_bound import (
    _form,
    _holds,
    _minimise,
    climb,
    norm_bound,
    signed_bound,
)
from neural_lander.learning.slopes import tangents_at


def layers_of(sizes, seed, norm=1.4):
    rng = np.random.default_rng(seed)
    layers = []
    for n_in, n_out in pairwise(sizes):
        w = rng.normal(size=(n_out, n_in))
        layers.append((w * norm / np.linalg.norm(w, 2), 0.3 * rng.normal(size=n_out)))
    return layers


SHAPES = [
    (3, 8, 1), (3, 25, 30, 15, 3), (12, 25, 30, 15, 3), (5, 6, 5, 4, 2), (4, 20, 20, 3),
    (2, 40, 1), (7, 10, 10, 10, 3), (12, 15, 3), (3, 5, 5, 5, 5, 1), (6, 12, 18, 2),
]  # fmt: skip


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_no_jacobian_of_a_hundred_thousand_is_above_the_verified_bound(sizes):
    """Ten shapes, 1e5 places each: 1e6 Jacobians in all."""
    layers = layers_of(sizes, len(sizes))
    n = sizes[0]
    low, high = -np.ones(n), np.ones(n)
    rows, columns = list(range(sizes[-1])), list(range(n))
    bound = norm_bound(layers, low, high, rows, columns, budget_s=0.3)
    c, s = np.ones(sizes[-1]), np.eye(n)[0]
    signed = signed_bound(layers, low, high, c, s, budget_s=0.2)
    rng = np.random.default_rng(1)
    for _ in range(4):
        slopes = tangents_at(layers, rng.uniform(low, high, (25_000, n)))
        assert np.linalg.norm(slopes, 2, axis=(1, 2)).max() <= bound.upper
        assert (slopes[:, :, 0].sum(axis=1)).max() <= signed.upper
    product = np.prod([np.linalg.norm(w, 2) for w, _ in layers])
    assert bound.lower <= bound.upper <= product * (1 + 1e-9)
    assert signed.lower <= signed.upper


@pytest.mark.parametrize("seed", range(3))
def test_the_closed_form_agrees_with_an_independent_solver(seed):
    cp = pytest.importorskip("cvxpy", reason="the solver comes with the test extra")
    layers = layers_of((4, 8, 6, 2), seed)
    form = _form(layers, [0, 1], np.eye(4), None, None)
    n, m = form.P.shape[1], form.m
    theta, rho = cp.Variable(len(form.Y), nonneg=True), cp.Variable()
    X = form.P.T @ cp.diag(theta) @ form.Y
    Q = X + X.T - 2 * form.P.T @ cp.diag(theta) @ form.P + form.C.T @ form.C
    corner = np.zeros((n, n))
    corner[:m, :m] = np.eye(m)
    problem = cp.Problem(cp.Minimize(rho), [rho * corner - Q >> 0])
    problem.solve(solver=cp.CLARABEL)
    _, closed = _minimise(form, 3.0)
    assert closed >= rho.value * (1 - 1e-5)  # the solver's optimum cannot be beaten
    assert closed <= rho.value * 1.01


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_signed_closed_form_agrees_with_an_independent_solver(sign):
    cp = pytest.importorskip("cvxpy", reason="the solver comes with the test extra")
    layers = layers_of((3, 7, 5, 1), 5)
    form = _form(layers, [], np.eye(3)[:, :1], None, np.array([sign]))
    n, m = form.P.shape[1], form.m
    theta, rho = cp.Variable(len(form.Y), nonneg=True), cp.Variable()
    X = form.P.T @ cp.diag(theta) @ form.Y
    Q = X + X.T - 2 * form.P.T @ cp.diag(theta) @ form.P + form.objective()
    corner = np.zeros((n, n))
    corner[:m, :m] = 1.0
    cp.Problem(cp.Minimize(rho), [rho * corner - Q >> 0]).solve(solver=cp.CLARABEL)
    _, closed = _minimise(form, 3.0)
    scale = max(abs(float(rho.value)), 0.05)
    assert closed >= rho.value - 1e-4 * scale
    assert closed <= rho.value + 0.1 * scale  # it may stall a little above the optimum


def test_a_bound_a_little_too_small_is_not_verified():
    layers = layers_of((4, 8, 6, 2), 1)
    form = _form(layers, [0, 1], np.eye(4), None, None)
    multipliers, squared = _minimise(form, 1.0)
    assert _holds(form, multipliers, squared * (1 + 1e-6))
    assert not _holds(form, multipliers, squared * (1 - 1e-6))
    assert not _holds(form, multipliers - 3.0, squared * (1 + 1e-6))  # other multipliers


def test_a_linear_network_has_the_norm_of_its_matrix():
    layers = layers_of((5, 3), 2)
    bound = norm_bound(layers, -np.ones(5), np.ones(5), [0, 1, 2], list(range(5)))
    exact = np.linalg.norm(layers[0][0], 2)
    assert exact <= bound.upper <= exact * (1 + 1e-6)


def test_the_scaling_of_inputs_belongs_inside():
    layers = layers_of((3, 10, 8, 1), 3)
    low, high, scale = -np.ones(3), np.ones(3), np.array([2.0, 0.5, 3.0])
    scaled = norm_bound(layers, low, high, [0], [0, 1, 2], scale, budget_s=0.4)
    w, b = layers[0]
    inside = [(w * scale, b), *layers[1:]]
    direct = norm_bound(inside, low / scale, high / scale, [0], [0, 1, 2], budget_s=0.4)
    assert scaled.upper == pytest.approx(direct.upper, rel=1e-2)


def test_the_lower_bound_is_a_slope_that_exists():
    layers = layers_of((3, 10, 8, 1), 4)
    low, high = -np.ones(3), np.ones(3)

    def value(slopes):
        return slopes[:, 0, 0]

    rng = np.random.default_rng(0)
    sampled = value(tangents_at(layers, rng.uniform(low, high, (5000, 3)))).max()
    best = climb(layers, low, high, value)
    assert best >= sampled - 1e-12
    assert best <= signed_bound(layers, low, high, np.ones(1), np.eye(3)[0]).upper


PUBLISHED = {"full": ([0, 1, 2], list(range(12))), "df_z/du": ([2], [8, 9, 10, 11]),
             "df_z/dz": ([2], [0])}  # fmt: skip


@pytest.mark.parametrize("block", PUBLISHED)
def test_the_published_network_is_bounded_within_two_percent(data_folder, block):
    """Twelve inputs over the landing envelope; the product of norms is 1.9 to 4 times too large."""
    from safetensors.numpy import load_file

    tensors = load_file(data_folder / "nets" / "Fa_net_12_3_full_Lip16.safetensors")
    layers = [
        (tensors[f"fc{i}.weight"].astype(float), tensors[f"fc{i}.bias"].astype(float))
        for i in range(1, 5)
    ]
    tilt = np.sin(np.radians(10))
    low = np.array([0.09, *[-1.5] * 3, -tilt, -tilt, -0.05, 0.98, *[4500 / 8000] * 4])
    high = np.array([1.59, *[1.5] * 3, tilt, tilt, 0.05, 1.0, *[8500 / 8000] * 4])
    rows, columns = PUBLISHED[block]
    bound = norm_bound(layers, low, high, rows, columns)
    # 2 % is the aim, reached with the processor for itself; a crowded machine gets another 1 %
    assert bound.ratio <= 1.03
    rng = np.random.default_rng(2)
    slopes = tangents_at(layers, rng.uniform(low, high, (100_000, 12)))[:, rows][:, :, columns]
    assert np.linalg.norm(slopes, 2, axis=(1, 2)).max() <= bound.upper
