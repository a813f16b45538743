"""What ``land``, ``compare`` and ``demo`` share: the names they take, and their tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neural_lander.controller.errors import InputError
from neural_lander.scripts.cli_output import Report

if TYPE_CHECKING:
    from neural_lander.controller.setpoint import Plan
    from neural_lander.controller.thrust_room import ThrustRoom

COMPARED: dict[str, tuple[str, float, int]] = {
    "landing_time_s": ("time\n[s]", 1.0, 2),
    "touchdown_speed_m_s": ("touch\n[m/s]", 1.0, 3),
    "terminal_z_error_m": ("z end\n[mm]", 1e3, 1),
    "z_rmse_m": ("z rms\n[mm]", 1e3, 1),
    "z_max_error_m": ("z max\n[mm]", 1e3, 1),
    "xy_end_m": ("xy\n[mm]", 1e3, 1),
    "final_height_m": ("rest\n[mm]", 1e3, 1),
    "force_rmse_low_n": ("force\n[N]", 1.0, 3),
}
"""Figure -> head of its column, what it is multiplied by to be read, and decimals."""

HEADS = tuple(head for head, _, _ in COMPARED.values())

LEGEND = (
    "z: height over reference until contact, end: mean of the last half second; xy: off target\n"
    "at the end; rest: final height; force: learned against true, below 15 cm, rms"
)


def controllers_of(text: str) -> list[str]:
    """Read ``C1,C2,...``; each must be known."""
    names = [name.strip() for name in text.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise InputError(f"--controllers is '{text}', expected different names like pd,observer")
    from neural_lander.controller.pilot import find_pilot, is_foreign, require_known
    from neural_lander.sim import policy as policy  # so that policies are controllers

    for name in names:
        require_known(name)
        if is_foreign(name):
            find_pilot(name)
    return names


def room_of(text: str | None) -> "ThrustRoom | None":
    """Read ``--thrust-room``."""
    from neural_lander.controller.thrust_room import ThrustRoom

    return None if text is None else ThrustRoom.parse(text)


def fastest_options(
    reference: str | None,
    touchdown_speed: float | None,
    descent_speed: float | None,
    thrust_room: str | None,
) -> dict[str, Any]:
    """Return what was said of the fastest reference, by the names of ``FlightOptions``.

    Raises:
        InputError: something was said, and another reference is flown.
    """
    from neural_lander.controller.fastest import FASTEST

    said = {
        "touchdown_speed": touchdown_speed,
        "descent_speed": descent_speed,
        "thrust_room": room_of(thrust_room),
    }
    given = {name: value for name, value in said.items() if value is not None}
    if given and reference != FASTEST:
        option = next(iter(given)).replace("_", "-")
        other = f"--reference {reference}" if reference else "no reference"
        raise InputError(
            f"--{option} is for --reference {FASTEST}, and here is {other}; leave it out"
        )
    return given


def scenarios_of(text: str) -> list[str]:
    """Read ``S1,S2,...``, names or files."""
    names = [name.strip() for name in text.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise InputError(f"--scenario is '{text}', expected different names like flat,cross-table")
    return names


def seeds_of(text: str) -> range:
    """Read ``A:B``, B excluded, or a single seed ``A``."""
    first, colon, end = text.partition(":")
    try:
        seeds = range(int(first), int(end) if colon else int(first) + 1)
    except ValueError:
        seeds = range(0)
    if not seeds or seeds[0] < 0 or seeds[-1] >= 2**63:
        raise InputError(f"--seeds is '{text}', expected A:B with 0 <= A < B (B excluded)")
    return seeds


def show_landing(summary: dict[str, Any], out: Report) -> None:
    """Print every figure of one landing."""
    out.table(f"landing: {outcome_of(summary)}", ("figure", "value"), list(summary.items()))


def describe(plan: "Plan") -> str:
    """Say what limits a planned descent."""
    m = plan.metadata
    return (
        f"fastest descent: {m['touchdown_s']:.2f} s to the floor, at most {m['speed_m_s']:.2f} m/s; "
        f"what binds: {m['binds']}"
    )


def show_runs(runs: Sequence[dict[str, Any]], out: Report) -> None:
    """Print the figures of several landings, one a row; what does not apply is a dash."""
    rows = []
    for run in runs:
        figures = [_read(run.get(key), key) for key in COMPARED]
        rows.append((run["controller"], outcome_of(run), run.get("touched"), *figures))
    out.table("landings", ("controller", "outcome", "touched", *HEADS), rows)
    out.line(LEGEND)


def outcome_of(run: dict[str, Any]) -> str:
    """Return what became of a flight."""
    if run.get("refused"):
        return "refused"
    outcome = run["outcome"]
    return f"{outcome}, uncertified" if run["certified"] is False else str(outcome)


def show_seeds(controllers: Sequence[dict[str, Any]], out: Report) -> None:
    """Print counts of outcomes, and median and 95 % of the size of each figure, a table a scenario."""
    for scenario in dict.fromkeys(entry.get("scenario") for entry in controllers):
        entries = [entry for entry in controllers if entry.get("scenario") == scenario]
        rows = []
        for entry in entries:
            figures = [_spread(entry, key) for key in COMPARED]
            rows.append((entry["controller"], *(entry.get(key) for key in COUNTS), *figures))
        flown = " or ".join(dict.fromkeys(str(entry["landings"]) for entry in entries))
        where = f"{scenario}, " if scenario else ""
        out.table(
            f"{where}of n = {flown} seeds each: median and 95 % of the size of each figure,\n"
            "below them the median's 95 % interval (exact; of n, where fewer had the figure)",
            ("controller", *COUNTS.values(), *HEADS),
            rows,
        )
    out.line(LEGEND)


def show_pairs(pairs: Sequence[dict[str, Any]], how: str | None, out: Report) -> None:
    """Print paired differences from the baseline, a table a scenario; ``how`` it was chosen."""
    for scenario in dict.fromkeys(entry.get("scenario") for entry in pairs):
        entries = [entry for entry in pairs if entry.get("scenario") == scenario]
        rows = []
        for entry in entries:
            failures = [
                entry[f"failed_{who}"] for who in ("only_controller", "only_baseline", "both")
            ]
            cells = [_difference(entry[key], key) for key in DIFFERENCES]
            rows.append((entry["controller"], "/".join(map(str, failures)), *cells))
        first = entries[0]
        out.table(
            f"{scenario}: {first['pairs']} pairs with {first['baseline']} ({how}), seed by seed",
            ("controller", "failed", *(COMPARED[key][0] for key in DIFFERENCES)),
            rows,
        )
    if pairs:
        out.line(PAIRS_LEGEND)


DIFFERENCES = (
    "landing_time_s",
    "touchdown_speed_m_s",
    "terminal_z_error_m",
    "z_rmse_m",
    "z_max_error_m",
    "xy_end_m",
)
"""Figures whose paired differences are shown."""

PAIRS_LEGEND = (
    "first line: median difference of sizes, negative is better than the baseline; second: its 95 % "
    "interval (exact);\nthird: wins–losses and the win rate's 95 % interval (exact). "
    "failed: this one alone / the baseline alone / both.\nNo failure is dropped: it loses its pair, a "
    "difference of ∞; two are a tie, 0. Means, with bootstrap intervals, are in the JSON"
)


def _difference(figure: dict[str, Any] | None, key: str) -> str | None:
    """Return median difference, its interval, wins and losses with the win rate's interval."""
    if figure is None:
        return None
    middle, low, high = (_signed(figure["median"][end], key) for end in ("value", "low", "high"))
    text = f"{middle}\n{low} to {high}\n{figure['wins']}–{figure['losses']}"
    if figure["win_rate"] is None:
        return text
    ends = [f"{100 * figure['win_rate'][end]:.0f}" for end in ("low", "high")]
    return f"{text}, {'–'.join(ends)} %"


def _signed(value: float | str | None, key: str) -> str:
    """Return a difference with its sign; the end of an interval that cannot be given is "?"."""
    if value is None:
        return "?"
    if isinstance(value, str):
        return "-∞" if float(value) < 0 else "+∞"
    text = _read(value, key) or ""
    return text if value < 0 or not float(text) else f"+{text}"


def _spread(entry: dict[str, Any], key: str) -> str | None:
    """Return median and 95 % of a figure, on the next line the median's interval, and of how many."""
    spread = entry[key]
    if spread is None:
        return None
    median, p95 = spread["median"], spread["p95"]
    low, high = (_read(median[end], key) or "?" for end in ("low", "high"))
    of = "" if spread["n"] == entry["landings"] else f" of {spread['n']}"
    return f"{_read(median['value'], key)} {_read(p95['value'], key)}\n{low}–{high}{of}"


COUNTS = {
    "landed": "landed",
    "touched": "touched",
    "crashed": "crashed",
    "slipped": "slid or\ntipped",
    "cut_in_air": "cut in\nair",
    "refused": "refused",
}
"""Count of outcomes -> head of its column."""


def _read(value: float | None, key: str) -> str | None:
    _, scale, decimals = COMPARED[key]
    # adding 0.0 makes a rounded -0.0 a 0.0
    return None if value is None else f"{round(scale * value, decimals) + 0.0:.{decimals}f}"
