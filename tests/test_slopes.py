"""Slope bounds are never below a slope that exists, and not far above it."""

from itertools import pairwise

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.network import Network, NetworkInput
from neural_lander.learning.slopes import layer_norm_bound, slope_intervals, slopes_at

BOX = {"height": (0.0, 1.5), "vertical_speed": (-1.5, 1.5), "collective_thrust": (8.0, 22.0)}
INPUTS = (
    NetworkInput("height", "m", 1.5, -1.0, 0.0, 1.5),
    NetworkInput("vertical_speed", "m/s", 0.7, 0.0, -1.5, 1.5),
    NetworkInput("collective_thrust", "N", 0.1, -1.4, 8.0, 22.0),
)
LOW, HIGH = np.array(list(BOX.values())).T


def random_network(hidden: tuple[int, ...], seed: int, norm: float = 1.5) -> Network:
    """A network whose layers have the given spectral norm."""
    rng = np.random.default_rng(seed)
    sizes = (3, *hidden, 3)
    weights, biases = [], []
    for n_in, n_out in pairwise(sizes):
        w = rng.normal(size=(n_out, n_in))
        weights.append(w * norm / np.linalg.norm(w, 2))
        biases.append(0.3 * rng.normal(size=n_out))
    return Network(tuple(weights), tuple(biases), INPUTS, 14.4, 1e-5, "test")


def places(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(LOW, HIGH, (n, 3))


def force(network: Network, u: np.ndarray) -> np.ndarray:
    """The force straight from the definition of the network, inputs in SI."""
    y = np.clip(u, LOW, HIGH) * [e.scale for e in INPUTS] + [e.offset for e in INPUTS]
    for w, b in zip(network.weights[:-1], network.biases[:-1], strict=True):
        y = np.maximum(y @ w.T + b, 0)
    return network.output_scale * (y @ network.weights[-1].T + network.biases[-1])


@pytest.mark.parametrize("hidden", [(), (8,), (25, 30, 15), (6, 5, 4, 7, 3), (40, 40)])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_slope_of_a_hundred_thousand_is_outside_its_interval(hidden, seed):
    network = random_network(hidden, seed)
    slopes = slope_intervals(network, BOX, relative_gap=0.1)
    found = slopes_at(network, places(100_000))
    assert (found >= slopes.lower).all()
    assert (found <= slopes.upper).all()


def test_no_slope_is_outside_while_the_box_is_still_whole():
    for seed in range(5):
        network = random_network((12, 9), seed, norm=2.0)
        slopes = slope_intervals(network, BOX, max_boxes=1)
        found = slopes_at(network, places(20_000))
        assert slopes.boxes == 1
        assert (found >= slopes.lower).all()
        assert (found <= slopes.upper).all()


def test_no_secant_of_the_force_is_outside_its_interval():
    """Secants, not only tangents: the proof divides differences of force by those of inputs."""
    network = random_network((25, 30, 15), 3)
    slopes = slope_intervals(network, BOX)
    a, b = places(20_000, 1), places(20_000, 2)
    for i in range(3):
        other = a.copy()
        other[:, i] = b[:, i]
        gap = other[:, i] - a[:, i]
        far = np.abs(gap) > 1e-3
        secant = ((force(network, other) - force(network, a)) / gap[:, None])[far]
        assert (secant >= slopes.lower[:, i] - 1e-9).all()
        assert (secant <= slopes.upper[:, i] + 1e-9).all()


def test_slopes_at_are_the_derivatives_of_the_force():
    network = random_network((25, 30, 15), 4)
    u, step = places(200), 1e-7
    slopes = slopes_at(network, u)
    for i in range(3):
        shift = step * np.eye(3)[i]
        difference = (force(network, u + shift) - force(network, u - shift)) / (2 * step)
        # A kink inside the step of 1e-7 is the only way to differ: hardly any of 200 places.
        close = np.isclose(difference, slopes[..., i], atol=1e-5, rtol=1e-5)
        assert close.mean() > 0.98


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_is_within_a_tenth_of_the_steepest_slope_found(seed):
    slopes = slope_intervals(random_network((25, 30, 15), seed), BOX)
    scale = np.maximum(np.abs(slopes.lower[2]), np.abs(slopes.upper[2]))
    assert (slopes.upper[2] >= slopes.sampled_upper[2]).all()
    assert (slopes.lower[2] <= slopes.sampled_lower[2]).all()
    assert ((slopes.upper - slopes.sampled_upper)[2] <= 0.1 * scale).all()
    assert ((slopes.sampled_lower - slopes.lower)[2] <= 0.1 * scale).all()


def test_a_linear_network_has_the_slope_of_its_matrix():
    network = random_network((), 5)
    exact = 14.4 * network.weights[0] * [1.5, 0.7, 0.1]
    slopes = slope_intervals(network, BOX)
    np.testing.assert_allclose(slopes.lower, exact, rtol=1e-8)
    np.testing.assert_allclose(slopes.upper, exact, rtol=1e-8)
    assert (slopes.lower <= exact).all()
    assert (exact <= slopes.upper).all()


def test_units_that_never_switch_leave_a_linear_network():
    """Biases of 100 keep every unit open: the slope is the product of the matrices."""
    network = random_network((7, 6), 6)
    network = Network(
        network.weights,
        (np.full(7, 100.0), np.full(6, 1000.0), np.zeros(3)),
        INPUTS,
        14.4,
        1e-5,
        "test",
    )
    w1, w2, w3 = network.weights
    slopes = slope_intervals(network, BOX)
    np.testing.assert_allclose(slopes.lower, 14.4 * w3 @ w2 @ w1 * [1.5, 0.7, 0.1], rtol=1e-7)
    np.testing.assert_allclose(slopes.upper, slopes.lower, rtol=1e-7)


def one_unit(bias: float) -> Network:
    """f_z = 2 relu(height + bias)."""
    weights = (np.array([[1.0, 0.0, 0.0]]), np.array([[0.0], [0.0], [2.0]]))
    inputs = (NetworkInput("height", "m", 1.0, 0.0, 0.0, 1.5), *INPUTS[1:])
    return Network(weights, (np.array([bias]), np.zeros(3)), inputs, 1.0, 1e-5, "test")


def test_a_single_kink_gives_exactly_its_two_slopes():
    low, high = slope_intervals(one_unit(-0.5), BOX).interval("z", "height")
    assert low == pytest.approx(0, abs=1e-8)
    assert high == pytest.approx(2, rel=1e-8)
    low, high = slope_intervals(one_unit(0.5), BOX).interval("z", "height")
    assert (low, high) == pytest.approx((2, 2), rel=1e-8)
    assert slope_intervals(one_unit(-2.0), BOX).interval("z", "height") == pytest.approx(
        (0, 0), abs=1e-9
    )


def test_a_kink_on_the_edge_of_the_box_counts_on_both_sides():
    low, high = slope_intervals(one_unit(0.0), BOX).interval("z", "height")
    assert low <= 0
    assert high >= 2


def test_splitting_only_tightens():
    network = random_network((25, 30, 15), 7, norm=2.0)
    before = slope_intervals(network, BOX, relative_gap=1e-3, max_boxes=1)
    widths = [before.upper - before.lower]
    for boxes in (10, 100, 1000, 3000):
        after = slope_intervals(network, BOX, relative_gap=1e-3, max_boxes=boxes)
        assert (after.lower >= before.lower - 1e-12).all()
        assert (after.upper <= before.upper + 1e-12).all()
        before = after
        widths.append(after.upper - after.lower)
    assert (widths[-1][2] < 0.7 * widths[0][2]).all()


def test_same_question_same_answer():
    network = random_network((25, 30, 15), 8)
    a, b = slope_intervals(network, BOX), slope_intervals(network, BOX)
    np.testing.assert_array_equal(a.lower, b.lower)
    np.testing.assert_array_equal(a.upper, b.upper)


def test_beyond_a_clamp_the_slope_may_be_zero():
    network = one_unit(0.5)  # slope 2 everywhere inside the clamp
    inside = slope_intervals(network, BOX).interval("z", "height")
    beyond = slope_intervals(network, {**BOX, "height": (0.0, 3.0)}).interval("z", "height")
    assert inside[0] > 1.9
    assert beyond[0] == 0
    assert beyond[1] == pytest.approx(2)
    below = slope_intervals(network, {**BOX, "height": (-1.0, 1.0)}).interval("z", "height")
    assert below[0] == 0
    assert slope_intervals(network, BOX).with_zero().interval("z", "height")[0] == 0


def test_inputs_in_other_units_give_the_same_slope_in_si():
    """Rescaling input and first layer against each other changes nothing."""
    network = random_network((10,), 9)
    scaled = Network(
        (network.weights[0] / [4.0, 1.0, 0.5], network.weights[1]),
        network.biases,
        tuple(
            NetworkInput(e.name, e.unit, e.scale * s, e.offset * s, e.low, e.high)
            for e, s in zip(INPUTS, (4.0, 1.0, 0.5), strict=True)
        ),
        network.output_scale,
        1e-5,
        "test",
    )
    a, b = slope_intervals(network, BOX), slope_intervals(scaled, BOX)
    np.testing.assert_allclose(a.upper, b.upper, rtol=1e-6)


def test_the_product_of_norms_is_never_below_the_local_bound_found_by_sampling():
    network = random_network((25, 30, 15), 10)
    bound = layer_norm_bound(network)
    assert bound["dimensionless"] == pytest.approx(1.5**4)
    assert bound["inputs"]["height"] == pytest.approx(1.5**4 * 1.5 * 14.4)
    steepest = np.linalg.norm(slopes_at(network, places(20_000)), axis=1).max(axis=0)
    assert (steepest <= list(bound["inputs"].values())).all()


def test_other_inputs_and_impossible_boxes_are_refused():
    network = random_network((4,), 11)
    wide = Network(
        (np.ones((3, 4)),),
        (np.zeros(3),),
        (NetworkInput("rotor_speed", "rad/s", 1.0, 0.0),),
        1.0,
        1e-5,
        "test",
    )
    with pytest.raises(InputError, match="rotor_speed"):
        slope_intervals(wide, BOX)
    with pytest.raises(InputError, match=r"lacks the input 'height'.*\[m\]"):
        slope_intervals(network, {})
    with pytest.raises(InputError, match=r"from 2\.0 to 1\.0 m"):
        slope_intervals(network, {**BOX, "height": (2.0, 1.0)})


def test_the_published_network_flown_level_is_as_steep_as_known(data_folder):
    """Rotors alike, level, no sideways speed: inside the bounds known for all twelve inputs."""
    from safetensors.numpy import load_file

    tensors = load_file(data_folder / "nets" / "Fa_net_12_3_full_Lip16.safetensors")
    w = [tensors[f"fc{i}.weight"].astype(float) for i in range(1, 5)]
    b = [tensors[f"fc{i}.bias"].astype(float) for i in range(1, 5)]
    level = np.stack([w[0][:, 0], w[0][:, 3], w[0][:, 8:].sum(axis=1)], axis=1)
    inputs = (
        NetworkInput("height", "m", 1.0, 0.09),
        NetworkInput("vertical_speed", "m/s", 1.0, 0.0),
        NetworkInput("collective_thrust", "N", 1.0, 0.0),  # stands for rotor speed / 8000 RPM
    )
    network = Network((level, *w[1:]), (b[0] + w[0][:, 7], *b[1:]), inputs, 1.0, 1e-5, "test")
    slopes = slope_intervals(
        network, {**BOX, "collective_thrust": (4500 / 8000, 8500 / 8000)}, relative_gap=0.02
    )
    known = {
        "height": (-6.18, 0.80),
        "vertical_speed": (-1.30, 1.04),
        "collective_thrust": (-2.02, 4.88),
    }
    for name, (low, high) in known.items():
        assert low <= slopes.interval("z", name)[0]
        assert slopes.interval("z", name)[1] <= high
    assert slopes.interval("z", "height")[0] < -5.9  # and not by pretending that it is flat
