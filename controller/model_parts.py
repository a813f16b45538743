"""What a model's folder holds beside the network that ships, for the baselines to be compared with it.

MODEL/model.json      textbook.radius_m, of least squares on the flights the network learned from
MODEL/unbounded/      a bundle: the same network from the same flights, with any slope; its
                      weights' SHA-256 stands in MODEL/model.json as unbounded.weights_sha256
"""

import math
from pathlib import Path

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import read_json
from neural_lander.controller.landing_controller import is_learned

UNBOUNDED = "unbounded"
"""Folder of the bundle without bound."""


def needs_model(controller: str) -> bool:
    """Whether a controller flies something that was learned from flights."""
    return controller == "textbook-fitted" or is_learned(controller)


def bundle_of(model: Path, controller: str) -> Path:
    """Return the bundle whose network a controller flies, of a model's folder.

    Raises:
        InputError: ``learned-unbounded``, and no network without bound was trained with the model.
    """
    if controller != "learned-unbounded":
        return model
    info = read_json(model / "model.json" if model.is_dir() else model.with_suffix(".json"))
    if (info.get("spectral_bound") or {"asked": 0}).get("asked") is None:
        return model
    inner, known = model / UNBOUNDED, (info.get("unbounded") or {}).get("weights_sha256")
    there = inner / "model.json"
    if known and there.is_file() and read_json(there).get("weights_sha256") == known:
        return inner
    raise InputError(
        f"{model}: holds no network without bound for controller '{controller}'; train again with "
        "this version, or give a model of `neural-lander train --lipschitz 0`"
    )


def fitted_radius(model: Path) -> float:
    """Return the radius of the textbook's ground effect that the model's flights say [m].

    Raises:
        InputError: no such model, or one without radius.
    """
    file = model / "model.json" if model.is_dir() else model.with_suffix(".json")
    law = read_json(file).get("textbook")
    radius = law.get("radius_m") if isinstance(law, dict) else None
    if not isinstance(radius, int | float) or not 0 < radius < math.inf:
        raise InputError(
            f"{file}: holds no textbook.radius_m, which controller 'textbook-fitted' flies; train the "
            "model again with this version"
        )
    return float(radius)
