"""One inequality of a certificate, with both its sides: the form that every verdict is given in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """One inequality with both its sides."""

    name: str
    axis: str
    bin: str
    """Range of heights that it is for."""
    statement: str
    lhs: float | None
    """None: could not be computed, because an earlier condition fails."""
    rhs: float
    margin: float | None
    """Distance to the limit; positive where the condition holds."""
    holds: bool

    @staticmethod
    def of(
        name: str, axis: str, bin: str, statement: str, lhs: float | None, rhs: float,
        above: bool = False,
    ) -> "Condition":  # fmt: skip
        """Return lhs < rhs, or with ``above`` lhs > rhs."""
        left, right = None if lhs is None else float(lhs), float(rhs)
        margin = None if left is None else (left - right if above else right - left)
        return Condition(
            name, axis, bin, statement, left, right, margin, margin is not None and margin > 0
        )
