"""Compilation of the plain functions that run at 500 Hz.

The functions are ordinary Python over floats, tuples and record arrays; numba compiles them and
keeps the machine code. numba notices an edit of the file a function stands in, but not of the
files it calls into, so the cache folder is named after the text of all compiled rooms: a change
anywhere compiles anew, and an old folder is never read. ``NUMBA_DISABLE_JIT=1`` runs the same
functions uncompiled.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

F = TypeVar("F", bound=Callable[..., Any])

NUMBA: Any = numba.config
"""numba's settings; its attributes are made at run time."""


def _cache_folder() -> Path:
    here = Path(__file__).parent
    text = hashlib.sha256()
    for room in (here, here.parent / "sim"):
        for file in sorted(room.glob("*.py")):
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


def is_cold() -> bool:
    """Whether nothing has been compiled yet on this machine (a first flight takes a minute)."""
    return not CACHE_FOLDER.exists()
