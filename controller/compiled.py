"""Compilation of the plain functions that run at 500 Hz.

The functions are ordinary Python over floats, tuples and record arrays; numba compiles them and
keeps the machine code. numba notices an edit of the file a function stands in, but not of the
files it calls into, so the cache folder is named after the text of all of them: a change in any
compiles anew, and an old folder is never read. ``NUMBA_DISABLE_JIT=1`` runs the same
functions uncompiled.
"""

import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

F = TypeVar("F", bound=Callable[..., Any])

NUMBA: Any = numba.config
"""numba's settings; its attributes are made at run time."""


def _compiled_sources() -> list[Path]:
    """Return the files with compiled functions and those they import from, for their constants."""
    here = Path(__file__).parent
    rooms = {name: here.parent / name for name in ("controller", "sim", "learning")}
    files = {f"{room}.{f.stem}": f for room, folder in rooms.items() for f in folder.glob("*.py")}
    texts = {name: file.read_text(encoding="utf-8") for name, file in files.items()}
    wanted = {name for name, text in texts.items() if "@compiled" in text}
    for name in list(wanted):
        wanted |= set(re.findall(r"from neural_lander\.(\w+\.\w+) import", texts[name]))
    return [files[name] for name in sorted(wanted & files.keys())]


def _cache_folder() -> Path:
    text = hashlib.sha256()
    for file in _compiled_sources():
        text.update(file.name.encode() + file.read_bytes())
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    if not os.access(Path(base).parent, os.W_OK) and not os.access(base, os.W_OK):
        base = tempfile.gettempdir()
    return Path(base) / "neural-lander" / text.hexdigest()[:16]


CACHE_FOLDER = _cache_folder()
"""Where the compiled code of exactly this source text is kept."""


def compiled(function: F) -> F:
    """Compile a function with numba, strictly (no fastmath: the same bits every time), cached."""
    before = NUMBA.CACHE_DIR
    NUMBA.CACHE_DIR = str(CACHE_FOLDER)
    try:
        return cast(F, numba.njit(cache=True, error_model="numpy")(function))
    finally:
        NUMBA.CACHE_DIR = before


def blank_record(dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return one zeroed record, as an array of one element.

    Compiled functions read its fields as attributes; uncompiled, numpy's record array does.
    """
    record = np.zeros(1, dtype)
    return record.view(np.recarray) if NUMBA.DISABLE_JIT else record


def is_cold(function: str = "step.step") -> bool:
    """Whether the flight step is not compiled yet on this machine; the first flight then waits."""
    return not NUMBA.DISABLE_JIT and not any(CACHE_FOLDER.rglob(f"{function}-*.nbi"))


@cache
def announce(function: str = "step.step") -> None:
    """Say that one has to wait, where one has; the first time that a process asks."""
    if is_cold(function):
        print(
            "compiling the flight step, once on this machine (about half a minute) ...",
            file=sys.stderr,
        )
