"""A learned force of height, vertical speed and thrust with its slopes, compiled for the falsifiers.

Forward through the layers, then back from each output (reverse mode); beyond its clamps an input
does not change the force. Where rotor speed is the third input, Omega = sqrt(T / (4 k_f)).
"""

from typing import Any

import numpy as np

from neural_lander.controller.compiled import compiled


@compiled
def force_and_slopes(net: Any, z: float, v: float, thrust: float, work: Any, out: Any) -> None:
    """Write phi, row by row, into out[:, 3] and its slopes in z, v, T into out[:, :3].

    ``net`` is (sizes, weights, biases, low, high, k_f), flat; ``work`` has room for every layer and
    two more rows.
    """
    sizes, weights, biases, low, high, k_f = net
    layers = len(sizes) - 1
    third, chain = thrust, 1.0
    if k_f > 0.0:
        third = np.sqrt(max(thrust, 1e-9) / (4.0 * k_f))
        chain = 1.0 / (8.0 * k_f * third)
    value = (z, v, third)
    for i in range(3):
        work[0, i] = min(max(value[i], low[i]), high[i])
    w0, b0 = 0, 0
    for layer in range(layers):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        for j in range(n_out):
            y = biases[b0 + j]
            for i in range(n_in):
                y += weights[w0 + j * n_in + i] * work[layer, i]
            work[layer + 1, j] = y if layer == layers - 1 or y > 0.0 else 0.0
        w0 += n_in * n_out
        b0 += n_out
    a, b = work[layers + 1], work[layers + 2]
    for row in range(sizes[layers]):
        out[row, 3] = work[layers, row]
        for j in range(sizes[layers]):
            a[j] = 1.0 if j == row else 0.0
        w = w0
        for layer in range(layers - 1, -1, -1):
            n_in, n_out = sizes[layer], sizes[layer + 1]
            w -= n_in * n_out
            for i in range(n_in):
                b[i] = 0.0
            for j in range(n_out):
                if a[j] != 0.0:
                    for i in range(n_in):
                        b[i] += a[j] * weights[w + j * n_in + i]
            for i in range(n_in):
                a[i] = b[i] if layer == 0 or work[layer, i] > 0.0 else 0.0
        for i in range(3):
            inside = low[i] <= value[i] <= high[i]
            out[row, i] = a[i] if inside else 0.0
        out[row, 2] *= chain
