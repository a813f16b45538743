"""Quantiles and shares with intervals that hold for any distribution.

    quantile q of n samples: between the order statistics a and b with P(a <= Binomial(n, q) < b) >= 95 %
    share k of n:            Clopper and Pearson's exact interval

Source: David, Nagaraja, "Order Statistics", 3rd ed., section 7.1; Clopper, Pearson, Biometrika 1934.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, binom

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.95


def quantile(values: Array, q: float) -> dict[str, Any]:
    """Return the q-quantile (the order statistic at ceil(q n)) and its interval.

    An end of the interval that n samples cannot give is None.
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


def share(k: int, n: int) -> dict[str, float]:
    """Return k / n and its exact interval."""
    a = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(a, k, n - k + 1)) if k > 0 else 0.0
    high = float(beta.ppf(1 - a, k + 1, n - k)) if k < n else 1.0
    return {"value": k / n, "low": low, "high": high}
