"""What a program leaves with, and what it says first: the one place where errors become statuses.

0 done; 1 a defect of ours, with its traceback; 2 bad input; 3 refused (no certificate that fits, or
one that says no); 4 crashed.
"""

import functools
import sys
from collections.abc import Callable
from typing import NoReturn, ParamSpec

from neural_lander.controller.errors import InputError, Refused

DONE, DEFECT, BAD_INPUT, REFUSED, CRASHED = 0, 1, 2, 3, 4

P = ParamSpec("P")


def exits(command: Callable[P, int | None]) -> Callable[P, NoReturn]:
    """Make a program of a function: it leaves with the status returned, or with that of its error."""

    @functools.wraps(command)
    def program(*args: P.args, **kwargs: P.kwargs) -> NoReturn:
        try:
            status = command(*args, **kwargs)
        except InputError as error:
            status = say("error", error, BAD_INPUT)
        except Refused as refusal:
            status = say("refused", refusal, REFUSED)
        sys.exit(status)

    return program


def say(kind: str, what: Exception, status: int) -> int:
    """Say on standard error what went wrong, and return the status."""
    print(f"{kind}: {what}", file=sys.stderr)
    return status
