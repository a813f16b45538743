"""Thrust that a descent leaves free for its tube, as shares of the greatest collective thrust.

    BELOW:ABOVE                          the same at every height
    1=0.3:0.13,0.1=0.3:0.2,0=0.46:0.2    from each height up, until the next one [m]

A tube around a descent needs room below, because the tilt that an error sideways asks for grows as
thrust falls, and above for every error there may be. How much, the proof says, segment by segment
(``learning.room_search``). The fall uses what lies below at its heights, the brake what lies above
at its own; near the floor, where the brake is let go and the set-point stops, it is below again.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from neural_lander.controller.errors import InputError

Step = tuple[float, float, float]
"""Height from which it holds [m], share free below, share free above."""


@dataclass(frozen=True)
class ThrustRoom:
    """Shares of the greatest collective thrust left free, by height."""

    steps: tuple[Step, ...]
    """By height, the first from 0 on."""
    by_height: bool = True
    """Whether jerk is bounded by the room where it is used; else it is ``GENTLE_JERK_OUT`` for all."""

    @staticmethod
    def even(below: float, above: float) -> "ThrustRoom":
        """Return one pair for the whole descent: least thrust, and what the greatest is short of."""
        return ThrustRoom(((0.0, below, above),), by_height=False)

    @staticmethod
    def parse(text: str) -> "ThrustRoom":
        """Read ``BELOW:ABOVE`` or ``HEIGHT=BELOW:ABOVE,...``.

        Raises:
            InputError: no such shares, heights given twice, or nothing said for height 0.
        """
        try:
            steps = [_step(part) for part in text.split(",")]
            by_height = "=" in text
            room = ThrustRoom(tuple(sorted(steps)), by_height)
            heights = [h for h, _, _ in room.steps]
            good = heights[0] == 0 and len({*heights}) == len(heights)
            good = good and all(part.count("=") == by_height for part in text.split(","))
        except ValueError:
            good = False
        if not good:
            raise InputError(
                f"thrust room is '{text}', expected BELOW:ABOVE, shares of the greatest thrust that "
                "the descent leaves free, like 0.33:0.2; or by height in m, down to 0, like "
                "1=0.3:0.13,0=0.4:0.2"
            )
        return room

    def __str__(self) -> str:
        """Return what ``parse`` reads."""
        if not self.by_height:
            return f"{self.steps[0][1]:g}:{self.steps[0][2]:g}"
        return ",".join(f"{h:g}={below:g}:{above:g}" for h, below, above in reversed(self.steps))

    def below(self, low: float = 0.0, high: float = math.inf) -> float:
        """Return the share to be free below anywhere between two heights [m]."""
        return max(below for below, _ in self._between(low, high))

    def above(self, low: float = 0.0, high: float = math.inf) -> float:
        """Return the share to be free above anywhere between two heights [m]."""
        return max(above for _, above in self._between(low, high))

    def with_each(
        self, other: "ThrustRoom", choose: Callable[[float, float], float]
    ) -> "ThrustRoom":
        """Return the room that has, at each height, what ``choose`` takes of both shares."""
        heights = sorted({h for h, _, _ in (*self.steps, *other.steps)})
        return ThrustRoom(
            tuple(
                (
                    h,
                    choose(self.below(h, h), other.below(h, h)),
                    choose(self.above(h, h), other.above(h, h)),
                )
                for h in heights
            )
        )

    def _between(self, low: float, high: float) -> list[tuple[float, float]]:
        ends = [*(h for h, _, _ in self.steps[1:]), math.inf]
        low = max(low, 0.0)
        return [
            (below, above)
            for (start, below, above), end in zip(self.steps, ends, strict=True)
            if start <= max(high, low) and low < end
        ]


def _step(text: str) -> Step:
    """Read ``[HEIGHT=]BELOW:ABOVE``; a ``ValueError`` where it is none."""
    height, mark, pair = text.rpartition("=")
    below, above = (float(part) for part in pair.split(":"))
    start = float(height) if mark else 0.0
    if not (0 <= below < 1 and 0 <= above < 1 and 0 <= start < math.inf):
        raise ValueError(text)
    return start, below, above
