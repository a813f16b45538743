"""A controller of one's own, from outside the package: ``--controller my_module:MyController``.

    class MyController:
        def __init__(self, task): ...                   # once a flight
        def step(self, state, time): return thrusts     # once a control period, (4,) [N]

``task`` (``Task``) says what is flown and where the set-point is now, and turns a force into rotor
thrusts for laws that think in forces; ``state`` (``onboard.State``) is what was measured, and nothing
else is. ``onboard.LandingController`` has the same ``step``. Noticing the
ground and cutting the motors is done for every such controller, as for ours: the set-point goes down
into the floor first, and once the motors are cut ``step`` is not asked any more.
"""

import importlib
import importlib.util
import math
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from neural_lander.controller.allocation import Thrusts, rotor_thrusts
from neural_lander.controller.attitude_law import attitude_torque
from neural_lander.controller.errors import InputError
from neural_lander.controller.landing_controller import CONTROLLERS
from neural_lander.controller.onboard import PHASES, State, thrusts_of, vector_of
from neural_lander.controller.setpoint import Plan
from neural_lander.controller.terrain import Terrain
from neural_lander.controller.vehicle import Vehicle

Array = npt.NDArray[np.float64]


class Pilot(Protocol):
    """What flies a vehicle: a state goes in, rotor thrusts come out."""

    def step(self, state: State, time: float) -> npt.ArrayLike:
        """Return the rotor thrusts to command (4,) [N] at ``time`` [s] since the flight began."""


@dataclass(frozen=True)
class Setpoint:
    """Where the vehicle is to be now, in the world."""

    position: Array
    """Of the body's origin (3,) [m]."""
    velocity: Array
    """(3,) [m/s]."""
    acceleration: Array
    """(3,) [m/s^2]; along ``fastest`` that of the moment at which the rotors will have obeyed."""


@dataclass(frozen=True)
class Task:
    """What a controller is told of its flight."""

    vehicle: Vehicle
    """As its file has it."""
    plan: Plan
    """The motion of the set-point; heights above standing on the surface where it ends."""
    yaw: float
    """Heading of body x to keep, from east to north [rad]."""
    terrain: Terrain
    """The map of what stands on the floor at z = 0."""
    memory: Any
    """The record that the set-point lives in."""

    @property
    def setpoint(self) -> Setpoint:
        """Where the vehicle is to be at the time of the ``step`` that asks."""
        c = self.memory
        return Setpoint(
            np.array(c["setpoint_position"]),
            np.array(c["setpoint_velocity"]),
            np.array(c["setpoint_acceleration"]),
        )

    @property
    def floor(self) -> float:
        """Height of the body's origin when the vehicle stands where the plan ends [m]."""
        return float(self.memory["floor"])

    @property
    def phase(self) -> str:
        """``flying``, or ``pushing`` down onto the floor."""
        return PHASES[int(self.memory["phase"])]

    def thrusts(self, force: npt.ArrayLike, state: State) -> Array:
        """Return the rotor thrusts (4,) [N] that push with a force (3,) [N] in the world.

        As our controllers do it: thrust is the size of the force, the attitude law turns body z
        to its direction at heading ``yaw``, less what the torque observer found, and the allocation
        keeps the rotors in their limits.

        Raises:
            InputError: the force is no three finite numbers.
        """
        x, y, z = vector_of("force", force, 3, "x, y, z in the world, in N").tolist()
        size = math.hypot(x, y, z)
        n = 1.0 / max(size, 1e-9)
        a, b, c, d = state.attitude.tolist()
        p, q, r = state.rate.tolist()
        torque = attitude_torque(
            self.memory, (a, b, c, d), (p, q, r), (x * n, y * n, z * n), self.yaw
        )
        return np.array(rotor_thrusts(self.memory, size, torque)[0])


FILES: dict[str, Callable[[str], Callable[[Task], Pilot]]] = {}
"""How a file becomes a controller, by the end of its name; ``sim.policy`` adds ``.zip``."""


def is_foreign(controller: str) -> bool:
    """Whether a controller is from outside: ``module:Name``, ``file.py:Name``, or one of ``FILES``."""
    return ":" in controller or Path(controller).suffix in FILES


def require_known(controller: str) -> None:
    """Refuse a name that is neither a controller of ours nor one from outside.

    Raises:
        InputError: it is unknown; the message says how one's own is named.
    """
    if controller in CONTROLLERS or is_foreign(controller):
        return
    own = "or one of your own: file.py:Name, module:Name, policy.zip"
    if Path(controller).suffix == ".py":
        own = f"or name the class in your file: {controller}:MyController"
    raise InputError(
        f"controller '{controller}' is unknown; take one of {', '.join(CONTROLLERS)}, {own}"
    )


def find_pilot(controller: str) -> Callable[[Task], Pilot]:
    """Return what makes the pilot of a flight from its task: see ``is_foreign``.

    Modules are looked for in the working directory, too.

    Raises:
        InputError: no such module or file, it cannot be imported, or there is no such name in it.
    """
    if ":" not in controller and Path(controller).suffix in FILES:
        return FILES[Path(controller).suffix](controller)
    where, _, name = controller.rpartition(":")
    if not where or not name:
        raise InputError(
            f"controller '{controller}' is no module:Name, like my_module:MyController or "
            "my_file.py:MyController"
        )
    module = (
        _from_file(where, controller) if where.endswith(".py") else _from_name(where, controller)
    )
    try:
        return getattr(module, name)  # type: ignore[no-any-return]
    except AttributeError:
        own = [
            key
            for key, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", None) == module.__name__
        ]
        raise InputError(
            f"controller '{controller}': '{where}' has no '{name}'; it defines "
            f"{', '.join(own) or 'no class and no function'}"
        ) from None


def make_pilot(controller: str, task: Task) -> Pilot:
    """Return the pilot of one flight.

    Raises:
        InputError: it cannot be found, making it fails, or it has no ``step``.
    """
    maker = find_pilot(controller)
    try:
        pilot = maker(task)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        cure = "; it is made as Name(task), so __init__ takes the task alone"
        raise InputError(
            f"controller '{controller}' could not be made from its task: {what_failed(error)}"
            f"{cure if _raised_here(error) else ''}"
        ) from error
    if not callable(getattr(pilot, "step", None)):
        raise InputError(
            f"controller '{controller}' made a {type(pilot).__name__} without a method "
            "step(state, time) that returns four rotor thrusts in N"
        )
    return pilot


def ask(pilot: Pilot, controller: str, state: State, time: float) -> Thrusts:
    """Return the pilot's four thrusts [N], checked.

    Raises:
        InputError: it failed, or returned anything but four finite thrusts of at least 0 N.
    """
    try:
        answer = pilot.step(state, time)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        cure = "; it is asked as step(state, time)"
        raise InputError(
            f"controller '{controller}' failed at {time:.3f} s: {what_failed(error)}"
            f"{cure if _raised_here(error) else ''}"
        ) from error
    try:
        a, b, c, d = thrusts_of("thrusts", answer).tolist()
    except InputError as error:
        raise InputError(f"controller '{controller}' at {time:.3f} s: {error}") from error
    return a, b, c, d


def what_failed(error: BaseException) -> str:
    """Return an exception as one line, with the place where it was raised unless that is this file.

    A file that Python cannot read is no place of its own: the error names the line by itself.
    """
    last = traceback.extract_tb(error.__traceback__)[-1]
    nowhere = last.filename == __file__ or last.filename.startswith("<frozen")
    where = "" if nowhere else f" ({last.filename}, line {last.lineno})"
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"


def _raised_here(error: BaseException) -> bool:
    """Whether the call itself failed: the pilot's own code was not reached."""
    return traceback.extract_tb(error.__traceback__)[-1].filename == __file__


def _from_name(where: str, controller: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(where)
    except (Exception, SystemExit) as error:
        raise InputError(
            f"controller '{controller}': module '{where}' cannot be imported ({what_failed(error)}); "
            f"it is looked for in {here} and among installed packages, a file is given as file.py:Name"
        ) from error


def _from_file(where: str, controller: str) -> Any:
    path = Path(where).resolve()
    if not path.is_file():
        raise InputError(f"controller '{controller}': there is no file {where}; looked for {path}")
    known = f"{path}, a pilot"
    if known in sys.modules:
        return sys.modules[known]
    spec = importlib.util.spec_from_file_location(known, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[known] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[known]
        raise InputError(
            f"controller '{controller}': {where} cannot be imported ({what_failed(error)})"
        ) from error
    return module
