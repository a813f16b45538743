"""How far many landings are, how fast they go, and how long the rest takes: what progress is told."""

import time
from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Told the share done, 0 to 1, and a phrase."""


class Pace:
    """Counts landings flown; ``before`` of all were there already."""

    def __init__(self, total: int, told: Progress | None, before: int = 0) -> None:
        """Start the clock."""
        self.total, self.told, self.before = total, told, before
        self.flown, self._begun = 0, time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._begun

    def add(self, more: int) -> None:
        """Count landings, and tell."""
        self.flown += more
        if self.told is None:
            return
        done, rate = self.before + self.flown, self.flown / max(self.seconds, 1e-9)
        left = round((self.total - done) / max(rate, 1e-9))
        hours, minutes = left // 3600, left % 3600 // 60
        self.told(
            done / self.total,
            f"{done} of {self.total}, {rate:.1f} landings/s, "
            f"{hours}:{minutes:02d}:{left % 60:02d} left",
        )
