"""The causal recursion behind every tube, compiled: old sources carried on, new bounds drawn.

With K(t, s) the kernel of a time-varying linear model, what its channels see obeys

    r(t) <= integral_0^t |K(t, s)| a(s) ds + |D| a(t) + |known response| + |response to the start|
    a(s)  = w(s) + S sup r over [s - look back, s]

The model falls into blocks whose states do not meet (one for the vertical loop, one for each axis
in space): a kernel leads from a block to itself, and only S leads from one block to another. Every
cell of the time grid leaves nodes: the columns of B at its two ends, and the identity for what the
chord between them leaves out. A node is carried forward by P, one cell at a time, and none is ever
dropped. How the bounds of one cell are rounded up stands in ``causal_bounds``.

All arrays are padded to the largest block; ``sizes`` (blocks, 5) has the states, unknown inputs,
channels, seen signals and rows of each. The first seen rows of C are what channels see, the first
columns of B the channels.

Source: Volterra inequalities with a non-negative kernel: Gripenberg, Londen, Staffans, "Volterra
Integral and Functional Equations", 1990, chapter 9.
"""

from typing import Any

import numpy as np

from neural_lander.controller.compiled import compiled

FIXED_POINT_STEPS = 400
"""Iterations for the bounds of one cell; more are not needed where rho(G S) < 0.95."""

GREATEST = 1e12
"""A bound beyond this is none."""


@compiled
def walk(
    of_cell: Any, sizes: Any, P: Any, C: Any, B: Any, G: Any, ends: Any, late: Any, rest: Any,
    bend: Any, A: Any, hold: Any, known_x: Any, known_r: Any, known_bend: Any, grow: Any, S: Any,
    outside: Any, back: Any, begin: Any, shapes: Any, inject: Any, reference: Any, constant: Any,
    fading: int, half: float,
) -> Any:  # fmt: skip
    """Walk over the cells; every node is the end of a source cell, carried to the present.

    Returns bounds (cells, blocks, rows), channel amplitudes (cells, all channels), what sources
    before cell ``fading`` still amount to in the states at the end (blocks, states), the known
    states at the end (blocks, states, 2: reference, unit constant error), and of what the greatest
    first output of each block is made, by column (blocks, columns + 3).

    ``of_cell``: the model of each cell; ``outside`` (cells, all unknown inputs); ``back`` (all
    channels,) cells that a channel looks back; ``begin`` (blocks, states) bounds of the start's
    independent parts, ``shapes`` (blocks, states, states) what state each of these is, by column;
    ``inject`` (cells, blocks, states) bounds of jumps; ``reference`` (cells, blocks, 3);
    ``constant`` (blocks,) bounds of the constant error; ``half``: half the length of a cell [s].
    """
    n, blocks, width = len(of_cell), len(sizes), B.shape[3] + P.shape[2]
    n_X, n_R = P.shape[2], C.shape[2]
    total_q, total_r = S.shape[1], S.shape[2]
    room = n + 2 * len(P) + 8
    X = np.zeros((blocks, room, n_X, width))
    amp = np.zeros((blocks, room, width))
    born = np.zeros(room, np.int64)
    nodes = 1
    for b in range(blocks):
        n_x, n_w = sizes[b, 0], sizes[b, 1]
        for k in range(n_x):
            for j in range(n_x):
                X[b, 0, j, n_w + k] = shapes[b, j, k]
            amp[b, 0, n_w + k] = begin[b, k]
    bounds, amplitude = np.zeros((n, blocks, n_R)), np.zeros((n, total_q))
    seen = np.zeros((n, total_r))
    x_known = np.zeros((blocks, n_X, 2))
    weight = np.zeros((blocks, n_R, width))
    at_left, at_right = np.zeros((blocks, n_R)), np.zeros((blocks, n_R))
    known, base = np.zeros((blocks, n_R, 2)), np.zeros((blocks, n_R))
    magnitude, jumped = np.zeros((blocks, n_X)), np.zeros((blocks, n_X))
    r, r_new, a = np.zeros(total_r), np.zeros(total_r), np.zeros(outside.shape[1])
    before = np.zeros((total_q, total_r))
    greatest, shares = np.zeros(blocks), np.zeros((blocks, width + 3))
    for i in range(n):
        m = of_cell[i]
        changed = i == 0 or of_cell[i - 1] != m
        for b in range(blocks):
            if changed:  # another model looks at the same past
                _look(C[m, b], X[b], amp[b], nodes, sizes[b], at_left[b])
            _carry(P[m, b], C[m, b], X[b], amp[b], nodes, sizes[b], weight[b], magnitude[b])
            _know(
                P[m, b], C[m, b], A[m, b], hold[m, b], known_x[m, b], known_r[m, b],
                known_bend[m, b], reference[i, b], x_known[b], sizes[b], known[b],
            )  # fmt: skip
            n_x, rows = sizes[b, 0], sizes[b, 4]
            for k in range(
                n_x
            ):  # a jump inside this cell: at once, and as a state from the next on
                jumped[b, k] = 0.0
                for j in range(n_x):
                    jumped[b, k] += grow[m, b, k, j] * inject[i, b, j]
            for row in range(rows):
                at_right[b, row] = weight[b, row].sum()
                base[b, row] = max(at_left[b, row], at_right[b, row])
                base[b, row] += known[b, row, 0] + constant[b] * known[b, row, 1]
                for k in range(n_x):
                    base[b, row] += bend[m, b, row, k] * magnitude[b, k]
                    base[b, row] += abs(C[m, b, row, k]) * jumped[b, k]
        for q in range(total_q):
            for j in range(total_r):
                before[q, j] = 0.0
                if S[m, q, j] > 0.0:
                    for late_cell in range(max(0, i - back[q]), i):
                        before[q, j] = max(before[q, j], seen[late_cell, j])
        r[:] = 0.0
        for _ in range(FIXED_POINT_STEPS):
            _amplitudes(S[m], outside[i], before, r, sizes, a)
            at, w_at, change = 0, 0, 0.0
            for b in range(blocks):
                n_w, n_r = sizes[b, 1], sizes[b, 3]
                for row in range(n_r):
                    value = base[b, row]
                    for c in range(n_w):
                        value += G[m, b, row, c] * a[w_at + c]
                    r_new[at + row] = value
                    change = max(change, (value - r[at + row]) / (1e-300 + value))
                at += n_r
                w_at += n_w
            r[:] = r_new
            if change < 1e-10:
                break
        for j in range(total_r):
            r[j] *= 1 + 1e-8  # past the fixed point, so that it is a bound
        q_at = _amplitudes(S[m], outside[i], before, r, sizes, a)
        at, w_at, q_at, sound = 0, 0, 0, True
        for b in range(blocks):
            n_w, n_q, n_r, rows = sizes[b, 1], sizes[b, 2], sizes[b, 3], sizes[b, 4]
            for q in range(n_q):
                amplitude[i, q_at + q] = a[w_at + q]
            for row in range(rows):
                bounds[i, b, row] = base[b, row]
                for c in range(n_w):
                    bounds[i, b, row] += G[m, b, row, c] * a[w_at + c]
                if not bounds[i, b, row] < GREATEST:
                    sound = False
                if row < n_r:
                    seen[i, at + row] = bounds[i, b, row]
                    if bounds[i, b, row] > r[at + row] * (1 + 1e-7):
                        sound = False
            at += n_r
            w_at += n_w
            q_at += n_q
        if not sound:
            bounds[:, :, :] = np.inf
            break
        w_at = 0
        for b in range(blocks):
            n_w, n_r = sizes[b, 1], sizes[b, 3]
            if bounds[i, b, n_r] > greatest[b]:
                greatest[b] = bounds[i, b, n_r]
                for c in range(width):
                    shares[b, c] = weight[b, n_r, c]
                    if c < n_w:
                        shares[b, c] += G[m, b, n_r, c] * a[w_at + c]
                shares[b, width] = known[b, n_r, 0]
                shares[b, width + 1] = constant[b] * known[b, n_r, 1]
            _leave(
                C[m, b], B[m, b], late[m, b], rest[m, b], ends[m, b], X[b], amp[b], nodes, changed,
                sizes[b], a[w_at : w_at + n_w], jumped[b], half, at_right[b], at_left[b],
            )  # fmt: skip
            w_at += n_w
        if changed:
            born[nodes] = i
            nodes += 1
        born[nodes] = i
        nodes += 1
    old = np.zeros((blocks, n_X))
    for b in range(blocks):
        for node in range(nodes):
            if born[node] < fading:
                for k in range(sizes[b, 0]):
                    for c in range(width):
                        old[b, k] += abs(X[b, node, k, c]) * amp[b, node, c]
    return bounds, amplitude, old, x_known, shares


@compiled
def _look(C: Any, X: Any, amp: Any, nodes: int, size: Any, total: Any) -> None:
    """Write what all sources before now amount to in each row, seen with the rows C."""
    n_x, rows = size[0], size[4]
    for row in range(rows):
        total[row] = 0.0
        for node in range(nodes):
            for c in range(X.shape[2]):
                value = 0.0
                for k in range(n_x):
                    value += C[row, k] * X[node, k, c]
                total[row] += abs(value) * amp[node, c]


@compiled
def _carry(
    P: Any, C: Any, X: Any, amp: Any, nodes: int, size: Any, weight: Any, magnitude: Any
) -> None:
    """Carry every node over one cell; write what it amounts to then, row by row, column by column.

    ``magnitude``: the states' bound before the cell, for the bend inside it.
    """
    n_x, rows, width = size[0], size[4], X.shape[2]
    magnitude[:] = 0.0
    weight[:, :] = 0.0
    moved = np.zeros((X.shape[1], width))
    value = np.zeros(width)
    for node in range(nodes):
        for k in range(n_x):
            for c in range(width):
                moved[k, c] = 0.0
            for j in range(n_x):
                p = P[k, j]
                if p != 0.0:
                    for c in range(width):
                        moved[k, c] += p * X[node, j, c]
        for k in range(n_x):
            total = 0.0
            for c in range(width):
                total += abs(X[node, k, c]) * amp[node, c]
                X[node, k, c] = moved[k, c]
            magnitude[k] += total
        for row in range(rows):
            for c in range(width):
                value[c] = 0.0
            for k in range(n_x):
                p = C[row, k]
                if p != 0.0:
                    for c in range(width):
                        value[c] += p * moved[k, c]
            for c in range(width):
                weight[row, c] += abs(value[c]) * amp[node, c]


@compiled
def _know(
    P: Any, C: Any, A: Any, hold: Any, known_x: Any, known_r: Any, known_bend: Any, reference: Any,
    x_known: Any, size: Any, known: Any,
) -> None:  # fmt: skip
    """Write the bounds over the cell of what is known, and carry its state: the reference with its
    middle, and the constant error as a unit step."""
    n_x, rows = size[0], size[4]
    inputs = np.zeros((2, 4))
    inputs[0, :3] = reference
    inputs[1, 3] = 1.0
    slope, later = np.zeros(n_x), np.zeros(n_x)
    for kind in range(2):
        for k in range(n_x):
            slope[k], later[k] = 0.0, 0.0
            for c in range(4):
                slope[k] += known_x[k, c] * inputs[kind, c]
                later[k] += hold[k, c] * inputs[kind, c]
            for j in range(n_x):
                slope[k] += A[k, j] * x_known[j, kind]
                later[k] += P[k, j] * x_known[j, kind]
        for row in range(rows):
            left, bent = 0.0, 0.0
            for c in range(4):
                left += known_r[row, c] * inputs[kind, c]
            right = left
            for k in range(n_x):
                left += C[row, k] * x_known[k, kind]
                right += C[row, k] * later[k]
                bent += known_bend[row, k] * abs(slope[k])
            known[row, kind] = max(abs(left), abs(right)) + bent
        for k in range(n_x):
            x_known[k, kind] = later[k]


@compiled
def _amplitudes(S: Any, outside: Any, before: Any, r: Any, sizes: Any, a: Any) -> int:
    """Write the bounds a of all unknown inputs with the channels seeing r; return their number."""
    a[:] = outside
    q, w_at = 0, 0
    for b in range(len(sizes)):
        for c in range(sizes[b, 2]):
            for j in range(len(r)):
                a[w_at + c] += S[q, j] * max(r[j], before[q, j])
            q += 1
        w_at += sizes[b, 1]
    return q


@compiled
def _leave(
    C: Any, B: Any, late: Any, rest: Any, ends: Any, X: Any, amp: Any, nodes: int, changed: bool,
    size: Any, a: Any, jumped: Any, half: float, at_right: Any, at_left: Any,
) -> None:  # fmt: skip
    """Make the cell just passed a source: its two ends, and what the chord leaves out.

    ``at_left`` becomes what all sources amount to at the start of the next cell.
    """
    n_x, n_w, rows = size[0], size[1], size[4]
    left_node = nodes - 1
    if changed:
        X[nodes, :, :] = 0.0
        for k in range(n_x):
            for c in range(n_w):
                X[nodes, k, c] = late[k, c]
        left_node = nodes
        nodes += 1
    X[nodes, :, :] = 0.0
    for k in range(n_x):
        X[nodes, k, n_w + k] = 1.0
        left_over = jumped[k]
        for c in range(n_w):
            X[nodes, k, c] = B[k, c]
            left_over += rest[k, c] * a[c]
        amp[nodes, n_w + k] = left_over
    for c in range(n_w):
        amp[left_node, c] += half * a[c]
        amp[nodes, c] += half * a[c]
    for row in range(rows):
        at_left[row] = at_right[row]
        for c in range(n_w):
            value = 0.0
            for k in range(n_x):
                value += C[row, k] * late[k, c]
            at_left[row] += (abs(value) * half + ends[row, c]) * a[c]
        for k in range(n_x):
            at_left[row] += abs(C[row, k]) * amp[nodes, n_w + k]
