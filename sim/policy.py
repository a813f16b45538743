"""A policy is a controller: what the environment taught flies ``land``, ``compare``, ``campaign``.

    neural-lander land --vehicle intel-aero --controller policy.zip --out runs/policy

``policy.zip`` is what ``save_policy`` writes: a model of stable-baselines3 that knows how it is to be
asked. Loading one unpickles, which runs code: fly only policies that you trust. Any callable flies, too:

    def mine(task):                                   # --controller my_file.py:mine
        return PolicyPilot(task, lambda observation: action, "rates")
"""

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError
from neural_lander.controller.landing_controller import controller_record
from neural_lander.controller.measurement import NOT_FELT
from neural_lander.controller.network import network_record
from neural_lander.controller.onboard import State
from neural_lander.controller.pilot import FILES, Pilot, Task, what_failed
from neural_lander.controller.terrain import surface_height
from neural_lander.sim.observation import SIZE, write_observation
from neural_lander.sim.steering import ACTIONS, HELD, SIZES, kept, ponder, steer

Act = Callable[[npt.NDArray[np.float32]], npt.ArrayLike]
"""From an observation (SIZE,) to an action."""

OF_THE_NAME = ("k_i", "observer_rate", "residual", "estimator", "textbook_radius")
"""Fields of the law's record that the name of a controller decides."""

KEY = "neural_lander"
"""Under which a saved model says how it is to be asked."""


@dataclass(frozen=True)
class Asked:
    """How a policy is asked: as the environment of its training did."""

    action: str
    """A name of ``ACTIONS``."""
    nominal: str = "pd"
    """What a residual is added to."""
    frame_skip: int = 5
    """Control periods that an action is held."""
    algorithm: str = "PPO"
    """The class of stable-baselines3 that loads it."""

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise InputError(f"action '{self.action}' is unknown; take one of {', '.join(ACTIONS)}")


class PolicyPilot:
    """Sees what an agent of the environment sees, and does what its actions mean there."""

    def __init__(
        self, task: Task, act: Act, action: str, nominal: str = "pd", frame_skip: int = 5
    ) -> None:
        """Take a task, and what makes actions of observations; the rest as in the environment."""
        asked = Asked(action, nominal, frame_skip)
        self.act, self.frame_skip, self.size = act, frame_skip, SIZES[ACTIONS[asked.action]]
        self._control = np.array([task.memory])  # a law of its own, before its first step
        own = controller_record(task.vehicle, nominal, task.plan, task.yaw)
        for name in OF_THE_NAME:
            self._control[name] = own[name]
        self._network = network_record(None)[0]
        self._held = np.zeros(1, HELD)
        self._held["mode"] = ACTIONS[action]
        self._observation = np.zeros(SIZE, np.float32)
        self._steps = 0

    def step(self, state: State, time: float) -> npt.NDArray[np.float64]:
        """Return rotor thrusts (4,) [N]; the policy is asked at every ``frame_skip``-th step.

        Its height is the state's, or where none is measured that over the map.

        Raises:
            InputError: rotor thrusts are not measured, or the policy's answer is no action.
        """
        if state.rotor_thrust is None:
            raise InputError("a policy sees measured rotor thrusts; this state has none")
        c, h = self._control[0], self._held[0]
        x, y, z = state.position.tolist()
        a, b, d, e = state.attitude.tolist()
        u, v, w = state.velocity.tolist()
        p, q, r = state.rate.tolist()
        f1, f2, f3, f4 = state.rotor_thrust.tolist()
        height = state.height
        if height is None:
            height = z - surface_height(c, x, y) - c["rest_height"]
        felt = NOT_FELT
        if state.specific_force is not None:
            s1, s2, s3 = state.specific_force.tolist()
            felt = (s1, s2, s3)
        measured = (x, y, z), (a, b, d, e), (u, v, w), (p, q, r), (f1, f2, f3, f4), height, felt
        ponder(c, self._network, time, measured, h)
        if self._steps % self.frame_skip == 0:
            write_observation(c, kept(h), h["action"], self._observation)
            h["action"][: self.size] = self._asked()
        self._steps += 1
        return np.array(steer(self._control, self._network, h))

    def _asked(self) -> npt.NDArray[np.float64]:
        answer = np.asarray(self.act(self._observation.copy()), np.float64)
        if answer.shape != (self.size,) or not np.isfinite(answer).all():
            action = next(name for name, code in ACTIONS.items() if code == self._held["mode"][0])
            raise InputError(
                f"the policy's action is {answer.tolist()}, expected {self.size} finite numbers, which "
                f"is what '{action}' takes"
            )
        return np.clip(answer, -1.0, 1.0)


def save_policy(model: Any, path: Path, asked: Asked) -> None:
    """Save a model of stable-baselines3 together with how it is to be asked."""
    setattr(model, KEY, asdict(asked))
    model.save(path)


def how_asked(path: Path) -> Asked:
    """Read how a saved policy is to be asked, without loading it.

    Raises:
        InputError: no such file, or none that ``save_policy`` wrote.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            told = json.loads(archive.read("data"))
        return Asked(**told[KEY])
    except FileNotFoundError:
        raise InputError(f"controller '{path}': there is no such file") from None
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, OSError) as error:
        raise InputError(
            f"controller '{path}': is no policy that neural_lander.sim.policy.save_policy wrote "
            f"({type(error).__name__}: {error}); a model of stable-baselines3 is saved with "
            'save_policy(model, Path("policy.zip"), Asked("rates")), the action it was trained with'
        ) from error


def load_policy(name: str) -> Callable[[Task], Pilot]:
    """Return what makes a pilot of a task, from a file that ``save_policy`` wrote.

    Raises:
        InputError: it cannot be read, stable-baselines3 is not installed, or the policy sees or does
            something else than what it is to be asked for.
    """
    asked = how_asked(Path(name))
    try:
        import stable_baselines3
    except ImportError as error:
        raise InputError(
            f"controller '{name}': {error}; to fly policies: pip install stable-baselines3"
        ) from error
    algorithm = getattr(stable_baselines3, asked.algorithm, None)
    if algorithm is None:
        raise InputError(
            f"controller '{name}': stable-baselines3 has no algorithm {asked.algorithm}; save it with "
            "Asked(..., algorithm=...), the name of its class there, like PPO"
        )
    try:
        model = algorithm.load(name, device="cpu")
    except Exception as error:  # whatever unpickling foreign weights meets
        raise InputError(
            f"controller '{name}': {asked.algorithm} cannot load it ({what_failed(error)}); was it "
            "trained with another algorithm or another version of stable-baselines3?"
        ) from error
    seen, done = model.observation_space.shape, model.action_space.shape
    size = SIZES[ACTIONS[asked.action]]
    if seen != (SIZE,) or done != (size,):
        raise InputError(
            f"controller '{name}' sees {seen} and does {done}, expected ({SIZE},) and ({size},): what "
            f"neural_lander/Landing-v0 with action '{asked.action}' shows and takes; train it there"
        )

    def act(observation: npt.NDArray[np.float32]) -> npt.ArrayLike:
        return model.predict(observation, deterministic=True)[0]  # type: ignore[no-any-return]

    return partial(
        PolicyPilot,
        act=act,
        action=asked.action,
        nominal=asked.nominal,
        frame_skip=asked.frame_skip,
    )


FILES[".zip"] = load_policy
