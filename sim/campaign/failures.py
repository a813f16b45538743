"""How likely a landing fails, from independent landings alone.

    k of n failed:   Clopper and Pearson's exact interval
    none of n:       p < 1 - 0.05^(1/n) at 95 %, which the rule of three rounds to 3 / n

Neither holds for points spread evenly (Latin hypercube, Sobol) or looked for (a search): there a
share is a share of those points.

Source: Clopper, Pearson, Biometrika 26, 1934; Hanley, Lippman-Hand, JAMA 249(13), 1983.
"""

from typing import Any

from neural_lander.sim.statistics import CONFIDENCE, share


def failures(failed: int, n: int, independent: bool) -> dict[str, Any]:
    """Return how many of n landings failed, and what that says of others.

    ``probability`` is None unless the landings were drawn independently; ``below`` is the one-sided
    bound where none failed.
    """
    found: dict[str, Any] = {"failed": failed, "n": n, "share": failed / n if n else None}
    if not independent or n == 0:
        return found | {"probability": None, "below": None}
    below = 1 - (1 - CONFIDENCE) ** (1 / n) if failed == 0 else None
    return found | {"probability": share(failed, n), "below": below}
