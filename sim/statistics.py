"""Quantiles, shares and means with 95 % intervals; each says by which method.

    quantile q of n samples: between the order statistics a and b with P(a <= Binomial(n, q) < b) >= 95 %,
                             exact for any distribution
    share k of n:            Clopper and Pearson's interval, exact
    mean of n samples:       no exact interval exists: bootstrap, bias-corrected and accelerated (BCa)

Sources: David, Nagaraja, "Order Statistics", 3rd ed., section 7.1; Clopper, Pearson, Biometrika 1934;
Efron, "Better bootstrap confidence intervals", JASA 82, 1987 (``scipy.stats.bootstrap``).
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import DegenerateDataWarning, beta, binom, bootstrap

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 4999
"""Of a bootstrap, drawn with a fixed seed: the same samples give the same interval."""
ORDER, BOOTSTRAP = "exact, order statistics", "bootstrap, BCa"
"""Names of the methods."""


def quantile(values: Array, q: float) -> dict[str, Any]:
    """Return the q-quantile (the order statistic at ceil(q n)) and its interval.

    An end of the interval that n samples cannot give is None. Infinite samples are ranked like any.
    """
    ordered, n = np.sort(values), len(values)
    at = int(np.clip(np.ceil(q * n), 1, n))
    low = int(binom.ppf((1 - CONFIDENCE) / 2, n, q))
    high = int(binom.ppf((1 + CONFIDENCE) / 2, n, q)) + 1
    return {
        "value": float(ordered[at - 1]),
        "low": float(ordered[low - 1]) if low >= 1 else None,
        "high": float(ordered[high - 1]) if high <= n else None,
    }


def middle(values: Array) -> dict[str, Any]:
    """Return the median (n,), halfway between the two middle samples of an even number, and its interval.

    Unlike ``quantile(values, 0.5)`` it turns its sign with the samples: what is +3 for one side is -3
    for the other. Where a half of the samples is infinite each way, the median is 0.
    """
    ordered, n = np.sort(values), len(values)
    below, above = float(ordered[(n - 1) // 2]), float(ordered[n // 2])
    opposite = np.isinf(below) and np.isinf(above) and below != above
    value = 0.0 if opposite else below if below == above else (below + above) / 2
    ends = quantile(values, 0.5)
    return {"value": value, "low": ends["low"], "high": ends["high"], "method": ORDER}


def mean(values: Array) -> dict[str, Any]:
    """Return the mean (n,) and its bootstrap interval, None at both ends where n is below 2.

    Samples that are all the same give an interval without length.
    """
    result: dict[str, Any] = {"value": float(values.mean()), "low": None, "high": None}
    result["method"] = BOOTSTRAP
    if len(values) < 2:
        return result
    if np.ptp(values) == 0:
        return result | {"low": result["value"], "high": result["value"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)
        found = bootstrap(
            (values,),
            np.mean,
            confidence_level=CONFIDENCE,
            n_resamples=RESAMPLES,
            method="BCa",
            rng=np.random.default_rng(0),
        ).confidence_interval
    return result | {"low": float(found.low), "high": float(found.high)}


def share(k: int, n: int) -> dict[str, float]:
    """Return k / n and its exact interval."""
    a = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(a, k, n - k + 1)) if k > 0 else 0.0
    high = float(beta.ppf(1 - a, k + 1, n - k)) if k < n else 1.0
    return {"value": k / n, "low": low, "high": high}
