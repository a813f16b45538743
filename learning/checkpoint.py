"""A training that was interrupted goes on where it was: its state beside the model to be.

The state has everything that the passes still to come depend on: weights, Adam's moments, the
generators that draw the rows' order, the course of the loss. Its key is the digest of flights,
settings and torch's version; a state with another key is somebody else's, and is not used. So an
interrupted training ends with the bytes of one that was not. Where no state can be kept, none is.
"""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neural_lander.controller.files import sha256_of

NAME = "training-unfinished"


class Checkpoint:
    """Where a training keeps its state; with no folder it keeps none."""

    def __init__(self, folder: Path | None, about: Mapping[str, Any]) -> None:
        """Keep the state of the training that ``about`` describes, in a folder."""
        import torch

        self.folder = folder
        self.key = sha256_of({**about, "torch": torch.__version__})

    def load(self, part: int) -> dict[str, Any] | None:
        """Return the state of one part, or None if there is none of this training."""
        import torch

        path = self._path(part)
        if path is None or not path.is_file():
            return None
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
        except Exception:  # torch raises whatever its unpickler trips over; begin anew
            return None
        return state if isinstance(state, dict) and state.get("key") == self.key else None

    def save(self, part: int, state: Mapping[str, Any]) -> None:
        """Keep the state of one part, whole or not at all."""
        import torch

        path = self._path(part)
        if path is None:
            return
        new = path.with_suffix(".new")
        with contextlib.suppress(OSError, RuntimeError):  # torch says RuntimeError on a full disk
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({**state, "key": self.key}, new)
            os.replace(new, path)

    def remove(self) -> None:
        """Forget all parts: the training is done."""
        if self.folder is not None:
            for path in self.folder.glob(f"{NAME}-*"):
                path.unlink(missing_ok=True)

    def _path(self, part: int) -> Path | None:
        return None if self.folder is None else self.folder / f"{NAME}-{part}.pt"
