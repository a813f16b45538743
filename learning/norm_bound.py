"""Tight bounds of how steep a network can be in many inputs at once, in closed form.

Over any two inputs the differences x, hidden outputs p and pre-activations Y(x, p) of a ReLU network
satisfy p_i (Y_i - p_i) >= 0 for each neuron: its slope is in [0, 1]. For every diagonal Theta > 0

    Q = P' Theta Y + Y' Theta P - 2 P' Theta P + C' C,        -Q_pp > 0
    L^2 <= lambda_max(Q_xx + Q_xp (-Q_pp)^-1 Q_px)

bounds |output|^2 / |input|^2 (LipSDP). Every Theta gives a bound; the best is sought by L-BFGS over
log Theta with gradients through the Cholesky factorisation, and no solver has to be trusted. For
the signed slope c' J s, C' C is replaced by (C' E + E' C) / 2 with x = s t, E(x, p) = t.

Neurons that stay open or shut over a box are eliminated before. The last bound is verified by a
Cholesky factorisation of the whole matrix, shifted by more than all rounding (Rump), so that it is
true for the numbers as they are stored. Theta is diagonal: the coupled multipliers once published
are unsound.

Sources: Fazlyab et al., "Efficient and Accurate Estimation of Lipschitz Constants for Deep Neural
Networks", NeurIPS 2019; Pauli et al., "Training robust neural networks using Lipschitz bounds", 2021
(the correction); Rump, "Verification of positive definiteness", BIT 46, 2006.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.learning.slopes import Layers, bound_slopes, decided_gates, tangents_at

Array = npt.NDArray[np.float64]

INFLATION = 1e-7
"""Relative room given to the bound before it is verified, multiplied until it is."""

STARTS = (0.2, 0.6, 1.2)
"""Margins (in log Theta) above the smallest multipliers that are feasible; one alone may stall."""


Gates = list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]
"""Per hidden layer: neurons open all over the box, and undecided ones."""


@dataclass(frozen=True)
class SlopeBound:
    """An upper bound with the best lower bound beside it."""

    upper: float
    """No slope in the box is above it; verified against rounding."""
    lower: float
    """A slope that the network has in the box."""
    method: str
    seconds: float = 0.0
    """Processor time that the upper bound took [s]."""

    @property
    def ratio(self) -> float:
        """Upper over lower: 1 is exact."""
        return self.upper / self.lower if self.lower > 0 else np.inf


@dataclass(frozen=True)
class _Form:
    """Matrices Y, P (neurons, n), C (outputs, n) over x (the first m of n) and p."""

    Y: Array
    P: Array
    C: Array
    E: Array | None
    """(1, n) the scalar input, for signed slopes; else None."""
    m: int
    sizes: tuple[int, ...]
    """Undecided neurons of each layer."""

    def objective(self) -> Array:
        """Return C'C, or (C'E + E'C) / 2."""
        if self.E is None:
            return np.asarray(self.C.T @ self.C)
        return np.asarray((self.C.T @ self.E + self.E.T @ self.C) / 2)


def _form(layers: Layers, rows: list[int], inputs: Array, gates: Gates | None,
          c: Array | None) -> _Form:  # fmt: skip
    """Build the matrices; inputs (n_in, m) turns x into the network's input."""
    hidden = layers[:-1]
    if gates is None:
        gates = [(np.zeros(len(b), bool), np.ones(len(b), bool)) for _, b in hidden]
    m = inputs.shape[1]
    sizes = tuple(int(undecided.sum()) for _, undecided in gates)
    identity = np.eye(m + sum(sizes))
    now = layers[0][0] @ inputs @ identity[:m]
    Y, P, at = [], [], m
    for k, (on, undecided) in enumerate(gates):
        out = now * on[:, None].astype(float)
        out[undecided] = identity[at : at + sizes[k]]
        Y.append(now[undecided])
        P.append(out[undecided])
        at += sizes[k]
        now = layers[k + 1][0] @ out
    C = now[rows] if c is None else (c @ now)[None]
    E = None if c is None else identity[:1]
    empty = [np.zeros((0, len(identity)))]
    return _Form(np.vstack(Y or empty), np.vstack(P or empty), C, E, m, sizes)


def norm_bound(
    layers: Layers,
    low: Array,
    high: Array,
    rows: list[int],
    columns: list[int],
    scale: Array | None = None,
    budget_s: float = 0.8,
) -> SlopeBound:
    """Bound the spectral norm of the Jacobian's ``rows`` and ``columns`` over a box of inputs.

    ``scale`` (columns,) multiplies each of these inputs: the norm is that of J diag(scale).
    ``budget_s`` is processor time for the search; the bound is one whenever it stops.
    """
    scale = np.ones(len(columns)) if scale is None else np.asarray(scale, dtype=np.float64)
    inputs = np.zeros((layers[0][0].shape[1], len(columns)))
    inputs[columns, np.arange(len(columns))] = scale
    found = np.inf
    method = "LipSDP, closed form, verified"
    per_try = budget_s / 2
    begun = time.process_time()
    for gates in (decided_gates(layers, low, high), None):
        form = _form(layers, rows, inputs, gates, None)
        found = min(found, _verified(form, per_try))
    lower, upper = bound_slopes(layers, low, high, 0.0, 1)
    widest = np.maximum(np.abs(lower), np.abs(upper))[np.ix_(rows, columns)] * scale
    crown = float(np.linalg.norm(widest, 2)) * (1 + 1e-12)
    if crown < found:
        found, method = crown, "CROWN"
    product = float(np.prod([np.linalg.norm(w, 2) for w, _ in layers[1:-1]]))
    product *= float(np.linalg.norm(layers[0][0] @ inputs, 2))
    product *= float(np.linalg.norm(layers[-1][0][rows], 2)) if len(layers) > 1 else 1.0
    if product * (1 + 1e-12) < found:
        found, method = product * (1 + 1e-12), "product of norms"

    def norm(slopes: Array) -> Array:
        return np.asarray(np.linalg.norm(slopes[:, rows][:, :, columns] * scale, 2, axis=(1, 2)))

    seconds = time.process_time() - begun
    return SlopeBound(found, climb(layers, low, high, norm), method, seconds)


def signed_bound(
    layers: Layers, low: Array, high: Array, c: Array, s: Array, budget_s: float = 0.6
) -> SlopeBound:
    """Bound sup c' J s over a box: the slope of the output c'f along the input direction s.

    The bound is the least of CROWN's, the closed form's over the box, and the norm's.
    """
    s = np.asarray(s, dtype=np.float64)
    begun = time.process_time()
    lower, upper = bound_slopes(layers, low, high, 0.0, 1)
    corner = np.where(np.outer(c, s) > 0, upper, lower)
    crown = float((corner * np.outer(c, s)).sum())
    form = _form(layers, [], s[:, None], decided_gates(layers, low, high), c)
    closed = _verified(form, budget_s)
    crown += 1e-12 * float(
        (np.maximum(np.abs(lower), np.abs(upper)) * np.abs(np.outer(c, s))).sum()
    )

    def slope(slopes: Array) -> Array:
        return np.asarray(np.einsum("i,bij,j->b", c, slopes, s))

    seconds = time.process_time() - begun
    best = climb(layers, low, high, slope)
    if closed < crown:
        return SlopeBound(closed, best, "LipSDP, signed, closed form, verified", seconds)
    return SlopeBound(crown, best, "CROWN", seconds)


def climb(layers: Layers, low: Array, high: Array, value: Any, seed: int = 0) -> float:
    """Return the greatest ``value`` of sampled slopes, improved by hill climbing."""
    rng = np.random.default_rng(seed)
    n = len(low)
    u = rng.uniform(low, high, (20_000, n))
    corner = rng.random(u.shape) < 0.3
    u = np.where(corner, np.where(rng.random(u.shape) < 0.5, low, high), u)
    v = value(tangents_at(layers, u))
    best = float(v.max())
    for k in range(12):
        top = u[np.argsort(-v)[:60]]
        step = 0.3 * 0.65**k
        u = np.repeat(top, 60, axis=0)
        moved = rng.random(u.shape) < 0.4
        u = np.clip(u + step * (high - low) * rng.normal(size=u.shape) * moved, low, high)
        u = np.concatenate([top, u])
        v = value(tangents_at(layers, u))
        best = max(best, float(v.max()))
    return best


def _verified(form: _Form, budget_s: float) -> float:
    """Return a verified bound of the norm (or of the signed slope) by the closed form."""
    multipliers, squared = _minimise(form, budget_s)
    if multipliers is None:
        return float(np.inf)
    inflation = INFLATION
    for _ in range(8):
        candidate = squared + inflation * max(abs(squared), 1e-9)
        if _holds(form, multipliers, candidate):
            top = candidate if form.E is not None else np.sqrt(max(candidate, 0.0))
            return float(np.nextafter(top, np.inf))
        inflation *= 10
    return float(np.inf)


def _minimise(form: _Form, budget_s: float) -> tuple[Array | None, float]:
    """Return log Theta and the bound it gives: lambda_max, before verification."""
    import torch
    from scipy.optimize import minimize

    Y, P = torch.as_tensor(form.Y), torch.as_tensor(form.P)
    extra = torch.as_tensor(form.objective())
    m = form.m
    if len(form.Y) == 0:
        return np.zeros(0), float(np.linalg.eigvalsh(form.objective()[:m, :m])[-1])

    def bound(log_theta: Any) -> Any:
        theta = log_theta.exp()[:, None]
        X = P.T @ (theta * Y)
        Q = X + X.T - 2 * P.T @ (theta * P) + extra
        factor, info = torch.linalg.cholesky_ex(-Q[m:, m:])
        if info > 0:
            return None
        Z = torch.linalg.solve_triangular(factor, Q[m:, :m], upper=False)
        return torch.linalg.eigvalsh(Q[:m, :m] + Z.T @ Z)[-1]

    best: list[Any] = [np.inf, None]
    deadline = time.process_time() + budget_s

    def evaluate(x: Array) -> tuple[float, Array]:
        if time.process_time() > deadline:
            raise TimeoutError
        log_theta = torch.tensor(x, requires_grad=True)
        value = bound(log_theta)
        if value is None:
            return 1e6, np.zeros_like(x)
        target = torch.log(value) if form.E is None else value
        target.backward()
        if value.item() < best[0]:
            best[0], best[1] = value.item(), x.copy()
        gradient = log_theta.grad
        assert gradient is not None
        return target.item(), np.nan_to_num(gradient.numpy())

    starts = []
    for margin in STARTS:
        start = _feasible(form, margin)
        if start is not None:
            for shift in (0.0,) if form.E is None else (-1.5, 0.0, 1.5):
                value = bound(torch.as_tensor(start + shift))
                if value is not None:
                    starts.append((value.item(), start + shift))
    starts.sort(key=lambda entry: entry[0])
    if not starts:
        return None, float(np.inf)
    best[0], best[1] = starts[0]
    options = {"maxiter": 400, "maxcor": 30}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # matrices of a hundred rows: more threads only wait for each other
    try:
        for _, x in starts[: 1 if form.E is None else 2]:
            limits = [(value - 4, value + 4) for value in x] if form.E is not None else None
            minimize(evaluate, x, jac=True, method="L-BFGS-B", bounds=limits, options=options)
        for _ in range(6):
            before = best[0]
            x = best[1].copy()
            limits = [(value - 3, value + 3) for value in x] if form.E is not None else None
            minimize(evaluate, x, jac=True, method="L-BFGS-B", bounds=limits, options=options)
            if before - best[0] <= 1e-4 * abs(before):
                break
    except TimeoutError:
        pass
    finally:
        torch.set_num_threads(threads)
    return best[1], best[0]


def _feasible(form: _Form, margin: float) -> Array | None:
    """Return log Theta with -Q_pp > 0, layer by layer from the output, ``margin`` above the least."""
    extra = form.objective() if form.E is None else 0.05 * form.C.T @ form.C + form.objective()
    log_theta = np.zeros(len(form.Y))
    ends = np.cumsum((0, *form.sizes))
    for k in range(len(form.sizes) - 1, -1, -1):
        part = slice(ends[k], ends[k + 1])
        for value in np.arange(-14.0, 22.0, 0.5):
            log_theta[part] = value
            theta = np.exp(log_theta)[:, None]
            X = form.P.T @ (theta * form.Y)
            Q = X + X.T - 2 * form.P.T @ (theta * form.P) + extra
            block = -Q[form.m + ends[k] :, form.m + ends[k] :]
            try:
                np.linalg.cholesky(block)
            except np.linalg.LinAlgError:
                continue
            log_theta[part] = value + margin
            break
        else:
            return None
    return log_theta


def _holds(form: _Form, log_theta: Array, bound: float) -> bool:
    """Whether bound I_x - Q >= 0 for certain: Cholesky of the matrix shifted by all rounding."""
    theta = np.exp(log_theta)[:, None]
    n, m = form.P.shape[1], form.m
    M = -(form.P.T @ (theta * form.Y) + (theta * form.Y).T @ form.P)
    M += 2 * form.P.T @ (theta * form.P) - form.objective()
    M[:m, :m] += bound * np.eye(m)
    M = (M + M.T) / 2
    size = 2 * np.abs(form.P.T) @ (theta * np.abs(form.Y))
    size += 2 * np.abs(form.P.T) @ (theta * np.abs(form.P)) + np.abs(form.C).T @ np.abs(form.C)
    size += np.abs(form.objective()) + abs(bound) * np.eye(n)
    unit = 2.0**-53
    layers_deep = len(form.sizes) + 2
    formation = float(np.abs(size + size.T).sum(axis=1).max()) * (n + 130) * layers_deep * unit * 4
    gamma = (n + 1) * unit / (1 - (n + 1) * unit)
    shift = gamma / (1 - gamma) * float(np.abs(np.diag(M)).sum()) * 2 + formation
    try:
        np.linalg.cholesky(M - shift * np.eye(n))
    except np.linalg.LinAlgError:
        return False
    return True
