"""What the rows of a campaign depend on, so that old rows are never mixed with others.

Spec, version and source text of the package, the libraries that compute, and the digests of every
file named: vehicle, scenarios, aerodynamics, models with their certificates, controllers from outside.
Workers hold the files and the source to the same digests.
"""

import hashlib
import platform
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import neural_lander.controller
import neural_lander.sim
from neural_lander.controller.errors import InputError
from neural_lander.controller.files import sha256_of_file
from neural_lander.controller.pilot import find_pilot, is_foreign
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.campaign.spec import Spec

LIBRARIES = ("numpy", "scipy", "numba", "pybullet")
"""A landing's digits come from these."""


@cache
def code_digest() -> str:
    """Return the SHA-256 of the source text and data of the rooms that fly."""
    text = hashlib.sha256()
    for room in (neural_lander.controller, neural_lander.sim):
        folder = Path(str(room.__file__)).parent
        for file in sorted([*folder.rglob("*.py"), *folder.rglob("*.toml")]):
            name = f"{folder.name}/{file.relative_to(folder).as_posix()}"
            text.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return text.hexdigest()


def digest_of_path(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's files and their names.

    Raises:
        InputError: it is not there or cannot be read.
    """
    try:
        if not path.is_dir():
            return sha256_of_file(path)
        text = hashlib.sha256()
        for file in sorted(f for f in path.rglob("*") if f.is_file()):
            name = file.relative_to(path).as_posix()
            text.update(f"{name}\0{sha256_of_file(file)}\0".encode())
        return text.hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give another path") from error


def files_of(spec: Spec) -> dict[str, Path]:
    """Return what each file that a spec names is called -> where it lies."""
    found: dict[str, Path] = {}
    for cell in spec.cells:
        o = cell.options
        if o.vehicle.endswith(".toml"):
            found["vehicle file"] = Path(o.vehicle)
        if o.scenario.endswith(".toml"):
            found[f"scenario {cell.scenario}"] = Path(o.scenario)
        if o.aero not in ("rotor", "none"):
            found[f"aerodynamics {cell.aero}"] = Path(o.aero)
            beside = Path(o.aero).with_suffix(".json")
            if beside.is_file():
                found[f"aerodynamics {cell.aero}, its JSON"] = beside
        if o.model is not None:
            found[f"model for {cell.aero}"] = o.model
        if o.certificate is not None:
            found[f"certificate for {cell.aero}"] = o.certificate
        if is_foreign(cell.flown):
            found[f"controller {cell.controller}"] = _file_of(cell.flown)
    return found


def _file_of(controller: str) -> Path:
    """Return the file of a controller from outside; what it imports goes unnoticed."""
    where = controller.rpartition(":")[0]
    if not where:  # a policy is its own file
        return Path(controller)
    if where.endswith(".py"):
        return Path(where)
    find_pilot(controller)
    return Path(str(sys.modules[where].__file__))


def identity(spec: Spec) -> dict[str, Any]:
    """Return everything that the rows depend on, as a JSON object.

    Raises:
        InputError: a file that the spec names cannot be read.
    """
    return {
        "spec": spec.tree,
        "version": version("neural-lander"),
        "code": code_digest(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "vehicle": load_vehicle(spec.cells[0].options.vehicle).digest,
        "files": {name: digest_of_path(path) for name, path in files_of(spec).items()},
    }


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what differs between two identities, one phrase each."""
    before, now = dict(_leaves(old)), dict(_leaves(new))
    return [
        f"{key} is {_shown(now.get(key))}, was {_shown(before.get(key))}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    if value is None:
        return "absent"
    return f"{value[:12]}…" if isinstance(value, str) and len(value) == 64 else repr(value)
