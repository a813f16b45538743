"""What a command tells: tables and paths for people, or exactly one JSON object for programs.

With ``--json`` standard output carries that object alone; whatever else is printed, by libraries
in C too, goes to standard error. Progress always goes to standard error.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neural_lander.scripts.exit_status import DONE

Progress = Callable[[float, str], None]
"""Told the share done, 0 to 1, and a phrase."""

WIDE = 160
"""Width of tables that go to a file or a pipe [characters]."""


@dataclass
class Report:
    """What one command has to tell; ``result`` is its JSON object, ``status`` its exit status."""

    result: Any = None
    status: int = DONE

    def line(self, text: str) -> None:
        """Print a line as it is."""
        print(text)

    def wrote(self, *paths: Path | str) -> None:
        """Say what was written."""
        for path in paths:
            self.line(f"wrote {path}")

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Print a table; the first column is text, numbers get four digits.

        Into a file or a pipe it is as wide as it needs to be.
        """
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=Text(title),
            title_justify="left",
            box=None,
            pad_edge=False,
            padding=(0, 2, 0, 0),
        )
        for i, column in enumerate(columns):
            table.add_column(Text(column), overflow="fold", no_wrap=i == 0)
        for row in rows:
            table.add_row(*(Text(shown(value)) for value in row))
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = WIDE
            table.title_style = ""
        console.print(table)


def shown(value: Any) -> str:
    """Return a value as people read it; what does not apply is a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(entry) for entry in value) + "]"
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(entry)}" for key, entry in value.items())
    return str(value)


@contextlib.contextmanager
def report(as_json: bool) -> Iterator[Report]:
    """Let a command tell what it has to; leave with its exit status.

    An exception passes through, and no JSON is printed then.
    """
    out = Report()
    with _standard_output_to_error() if as_json else contextlib.nullcontext():
        yield out
    if as_json:
        print(json.dumps(out.result, indent=1, allow_nan=False))
    if out.status != DONE:
        sys.stdout.flush()
        raise SystemExit(out.status)


@contextlib.contextmanager
def _standard_output_to_error() -> Iterator[None]:
    """Send standard output to standard error, the file descriptor included."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """Show a bar on standard error; where that is no terminal, one line at the end."""
    from rich import progress
    from rich.console import Console

    bar = progress.Progress(
        progress.TextColumn("{task.description:<12}", markup=False),
        progress.BarColumn(bar_width=24),
        progress.TaskProgressColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("{task.fields[phrase]}", markup=False),
        console=Console(stderr=True, highlight=False),
    )
    with bar:
        task = bar.add_task(title, total=1.0, phrase="")
        yield lambda share, phrase: bar.update(task, completed=share, phrase=phrase)
        bar.update(task, completed=1.0)
