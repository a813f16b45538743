"""How bad a landing was: one number that orders landings and that a search can climb.

    severity = max(contact speed / 1 m/s, tilt / 60 deg, z error / 1 m, xy error / 1 m)
               + 10 if it crashed, + 5 if it should have landed and did not

so 1 is at the limit of a crash by contact speed or tilt, where these limits are those of
``sim/rollout.py``; a metre off the plan is taken as equally bad. Crashes lie above all else.
"""

from collections.abc import Mapping
from typing import Any

from neural_lander.sim.episode import CRASH_SPEED, CRASH_TILT

METRE = 1.0
"""An error of this size is as bad as contact at the speed of a crash [m]."""
LIMITS = {
    "contact_speed_max_m_s": CRASH_SPEED,
    "touchdown_speed_m_s": CRASH_SPEED,
    "tilt_max_rad": CRASH_TILT,
    "z_max_error_m": METRE,
    "xy_max_m": METRE,
}
CRASHED, NOT_LANDED = 10.0, 5.0


def severity(summary: Mapping[str, Any]) -> float:
    """Return how bad a landing was; 0 is perfect."""
    shares = [
        abs(summary[key]) / limit for key, limit in LIMITS.items() if summary[key] is not None
    ]
    worst = float(max(shares, default=0.0))
    return (
        worst
        + CRASHED * has_crashed(summary)
        + NOT_LANDED * (has_failed(summary) and not has_crashed(summary))
    )


def has_crashed(summary: Mapping[str, Any]) -> bool:
    """Whether the vehicle crashed."""
    return bool(summary["crashed"])


def has_failed(summary: Mapping[str, Any]) -> bool:
    """Whether it crashed, or should have landed and did not."""
    return has_crashed(summary) or bool(summary["lands"] and not summary["landed"])
