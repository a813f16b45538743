"""The residual network while it learns, and its plain weights with an exact norm.

    y = g_n (W_n/|W_n|) relu(... relu(g_1 (W_1/|W_1|) x + b_1) ...) + b_n,    0 < g_k <= L^(1/n)

|W| is the largest singular value, so the slope of y in x is at most g_1 ... g_n <= L. The gain of
each layer is learned: the norm is bounded, not pinned to the bound. While learning |W| is
estimated by power iteration, which errs on the wrong side; the exported weights are scaled down
until their exact singular values keep the bound.

Sources: Miyato et al., "Spectral Normalization for GANs", ICLR 2018; Shi et al., "Neural Lander",
ICRA 2019, section III-B.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Array = npt.NDArray[np.float64]

FIRST_GAIN = 0.9
"""Gain of each layer at the start, as a share of its bound."""

POWER_ITERATIONS = 60
"""Power iterations before export, to bring the estimate of |W| close."""


class BoundedLinear(nn.Module):
    """A linear layer whose norm is a learned gain in (0, bound)."""

    def __init__(self, n_in: int, n_out: int, bound: float) -> None:
        super().__init__()
        self.bound = bound
        self.linear = spectral_norm(nn.Linear(n_in, n_out))
        self.gain_logit = nn.Parameter(torch.tensor(math.log(FIRST_GAIN / (1 - FIRST_GAIN))))

    @property
    def weight(self) -> Tensor:
        """Gain times the normalised weights [out, in]."""
        gain: Tensor = self.bound * torch.sigmoid(self.gain_logit)
        normalised = self.linear.weight
        assert isinstance(normalised, Tensor)
        return gain * normalised

    @property
    def bias(self) -> Tensor:
        """Bias [out]."""
        bias = self.linear.bias
        assert isinstance(bias, Tensor)
        return bias

    def forward(self, x: Tensor) -> Tensor:
        """Return W x + b for rows x."""
        return nn.functional.linear(x, self.weight, self.bias)


class ResidualNetwork(nn.Module):
    """Dimensionless inputs (n, k) to force over weight (n, 3): an MLP with ReLU."""

    def __init__(self, n_inputs: int, hidden: Sequence[int], lipschitz: float | None) -> None:
        """Build the network; ``lipschitz`` bounds its slope, ``None`` leaves it free."""
        super().__init__()
        sizes = [n_inputs, *hidden, 3]
        pairs = list(pairwise(sizes))
        layers: list[nn.Module] = []
        for n_in, n_out in pairs:
            if lipschitz is None:
                layers.append(nn.Linear(n_in, n_out))
            else:
                layers.append(BoundedLinear(n_in, n_out, lipschitz ** (1 / len(pairs))))
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return force over weight (n, 3) for rows of dimensionless inputs."""
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        result: Tensor = self.layers[-1](x)
        return result


@dataclass(frozen=True)
class PlainWeights:
    """What is left of a network when learning is over."""

    weights: tuple[Array, ...]
    """Weight matrices [out, in]."""
    biases: tuple[Array, ...]


def export(network: ResidualNetwork, lipschitz: float | None) -> PlainWeights:
    """Return plain float64 weights; the product of their exact norms is at most ``lipschitz``."""
    weights, biases = [], []
    with torch.no_grad():
        network.train()  # in this mode reading a weight is one more step of the power iteration
        for _ in range(POWER_ITERATIONS if lipschitz is not None else 0):
            for layer in network.layers:
                _ = layer.weight
        network.eval()
        for layer in network.layers:
            assert isinstance(layer.weight, Tensor)
            assert isinstance(layer.bias, Tensor)
            weights.append(layer.weight.cpu().numpy().astype(np.float64))
            biases.append(layer.bias.cpu().numpy().astype(np.float64))
    if lipschitz is not None:
        weights = [limited(w, lipschitz ** (1 / len(weights))) for w in weights]
    return PlainWeights(tuple(weights), tuple(biases))


def limited(weight: Array, bound: float) -> Array:
    """Return the matrix, scaled down if its largest singular value exceeds ``bound``."""
    bound *= 1 - 1e-12  # room for the rounding of the product
    norm = spectral_norm_of(weight)
    return weight * (bound / norm) if norm > bound else weight


def spectral_norm_of(weight: Array) -> float:
    """Return the largest singular value, by full decomposition."""
    return float(np.linalg.svd(weight, compute_uv=False)[0])


def slope_bound(weights: Sequence[Array]) -> float:
    """Return the product of the largest singular values."""
    return math.prod(spectral_norm_of(w) for w in weights)
