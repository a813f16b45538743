"""Residual networks while they learn, and their plain weights with an exact norm.

    y = g_n (W_n/|W_n|) relu(... relu(g_1 (W_1/|W_1|) x + b_1) ...) + b_n,    0 < g_k <= L^(1/n)

|W| is the largest singular value, so the slope of y in x is at most g_1 ... g_n <= L. The gain of
each layer is learned: the norm is bounded, not pinned to the bound. While learning |W| is
estimated by power iteration, which errs on the wrong side; the exported weights are scaled down
until their exact singular values keep the bound.

What the optimiser moves are not W_1 and W_n but W_1 diag(spread of x) and diag(spread of y)^-1 W_n,
about one in every entry, whatever the inputs' units; the norm is taken of W_1 and W_n themselves.
So the budget L is spent on those inputs whose slope pays, and found in a quarter of the steps.

The networks are so small that a step is mostly overhead. Several of one shape therefore learn at
once, each from its own rows: a stack, whose leading axis k counts networks.

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

Array = npt.NDArray[np.float64]

FIRST_GAIN = 0.98
"""Gain of each layer at the start, as a share of its bound."""

POWER_ITERATIONS = 60
"""Power iterations before learning and before export, to bring the estimate of |W| close."""

LEAST_SPREAD = 1e-6
"""An input or output that hardly varies is not blown up further than by the inverse of this."""


@dataclass(frozen=True)
class Spread:
    """What the rows look like that a network learns from."""

    input_mean: Array
    """Mean of each input (inputs,)."""
    input_deviation: Array
    """Standard deviation of each input (inputs,)."""
    output_deviation: Array
    """Standard deviation of each output (outputs,)."""

    @staticmethod
    def of(x: Array, y: Array) -> "Spread":
        """Return the spread of inputs (n, inputs) and outputs (n, outputs)."""
        deviations = (np.maximum(a.std(axis=0), LEAST_SPREAD) for a in (x, y))
        return Spread(x.mean(axis=0), *deviations)


class NetworkStack(nn.Module):
    """k networks: dimensionless inputs (k, n, inputs) to force over weight (k, n, 3), with ReLU."""

    def __init__(
        self,
        sizes: Sequence[int],
        lipschitz: Sequence[float | None],
        seeds: Sequence[int],
        spreads: Sequence[Spread],
    ) -> None:
        """Build networks of the widths ``sizes``, inputs and outputs included.

        ``lipschitz`` bounds the slope of each, ``None`` leaves it free; each has a seed of its own.
        """
        super().__init__()
        pairs = list(pairwise(sizes))
        bounds = [math.inf if b is None else b ** (1 / len(pairs)) for b in lipschitz]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        drawn = [torch.Generator().manual_seed(seed) for seed in seeds]
        for n_in, n_out in pairs:
            reach = n_in**-0.5
            numbers = [torch.rand(n_out, n_in + 1, generator=g) * 2 - 1 for g in drawn]
            layer = torch.stack(numbers) * reach
            self.weights.append(nn.Parameter(layer[:, :, :-1].contiguous()))
            self.biases.append(nn.Parameter(layer[:, None, :, -1].contiguous()))
        logit = math.log(FIRST_GAIN / (1 - FIRST_GAIN))
        self.gain_logits = nn.Parameter(torch.full((len(pairs), len(bounds)), logit))
        self.bounded: Tensor
        self.bound: Tensor
        self.mean: Tensor
        self.per_input: Tensor
        self.per_output: Tensor
        limit = torch.tensor(bounds, dtype=torch.float32)
        self.register_buffer("bounded", torch.isfinite(limit)[:, None, None])
        self.register_buffer("bound", torch.nan_to_num(limit, posinf=1.0))
        self.register_buffer("mean", _stacked([s.input_mean for s in spreads])[:, None, :])
        self.register_buffer(
            "per_input", 1 / _stacked([s.input_deviation for s in spreads])[:, None]
        )
        self.register_buffer(
            "per_output", _stacked([s.output_deviation for s in spreads])[:, :, None]
        )
        for i, (_, n_out) in enumerate(pairs):
            start = torch.stack([torch.rand(n_out, 1, generator=g) + 0.1 for g in drawn])
            self.register_buffer(f"left_{i}", start)
        for _ in range(POWER_ITERATIONS):
            self.effective_weights()

    def effective_weights(self) -> list[Tensor]:
        """Return the weights (k, out, in) of each layer, after one more power iteration."""
        gains = self.bound * torch.sigmoid(self.gain_logits)
        result = []
        for i, weight in enumerate(self.weights):
            if i == 0:
                weight = weight * self.per_input
            if i == len(self.weights) - 1:
                weight = weight * self.per_output
            with torch.no_grad():
                left = getattr(self, f"left_{i}")
                right = nn.functional.normalize(torch.bmm(weight.mT, left), dim=1)
                left.copy_(nn.functional.normalize(torch.bmm(weight, right), dim=1))
            norm = torch.bmm(left.mT, torch.bmm(weight, right))
            factor = gains[i][:, None, None] / norm
            result.append(weight * torch.where(self.bounded, factor, torch.ones_like(factor)))
        return result

    def effective_biases(self) -> list[Tensor]:
        """Return the biases (k, 1, out) of each layer, for inputs less their mean."""
        return [*list(self.biases)[:-1], self.biases[-1] * self.per_output.mT]

    def forward(self, x: Tensor) -> Tensor:
        """Return force over weight (k, n, 3) for rows of dimensionless inputs (k, n, inputs)."""
        y = x - self.mean
        weights, biases = self.effective_weights(), self.effective_biases()
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            y = torch.relu(torch.baddbmm(bias, y, weight.mT))
        return torch.baddbmm(biases[-1], y, weights[-1].mT)


def _stacked(arrays: Sequence[Array]) -> Tensor:
    return torch.as_tensor(np.stack(arrays), dtype=torch.float32)


@dataclass(frozen=True)
class PlainWeights:
    """What is left of a network when learning is over."""

    weights: tuple[Array, ...]
    """Weight matrices [out, in]."""
    biases: tuple[Array, ...]


def export(stack: NetworkStack, lipschitz: Sequence[float | None]) -> list[PlainWeights]:
    """Return plain float64 weights of each network.

    The product of their exact norms is at most the network's ``lipschitz``.
    """
    with torch.no_grad():
        for _ in range(POWER_ITERATIONS):
            weights = [w.cpu().double().numpy() for w in stack.effective_weights()]
        biases = [b.cpu().double().numpy()[:, 0] for b in stack.effective_biases()]
        mean = stack.mean.cpu().double().numpy()[:, 0]
    networks = []
    for k, bound in enumerate(lipschitz):
        w, b = [layer[k] for layer in weights], [layer[k] for layer in biases]
        if bound is not None:
            w = [limited(layer, bound ** (1 / len(w))) for layer in w]
        b[0] = b[0] - w[0] @ mean[k]
        networks.append(PlainWeights(tuple(w), tuple(b)))
    return networks


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
