"""The landing as a Gymnasium environment: ``neural_lander/Landing-v0``, registered on import.

import gymnasium, neural_lander.sim.env
env = gymnasium.make("neural_lander/Landing-v0", action="residual")
envs = gymnasium.make_vec("neural_lander/Landing-v0", 64, vectorization_mode="vector_entry_point")
"""

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded
from gymnasium.utils import EzPickle
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.batch import Batch
from neural_lander.sim.observation import CLIP, SIZE
from neural_lander.sim.picture import draw_world
from neural_lander.sim.rollout import Flight
from neural_lander.sim.scenario import load_scenario

Observation = npt.NDArray[np.float32]
Space = gymnasium.Space[npt.NDArray[np.float32]]

ID = "neural_lander/Landing-v0"
NOMINALS = ("pd", "pid", "textbook", "observer")
"""Controllers that a residual can be added to: what is learned is the agent's, here."""


class LandingEnv(gymnasium.Env[Observation, npt.NDArray[np.float32]], EzPickle):
    """A multirotor hovers 1.5 m over the ground, and is to come down along a set-point and land.

    The world, its scenarios, sensors and noise are those of ``neural-lander land``; ``reset(seed=N)``
    begins the very flight that ``land --seed N`` flies. An action of a residual that is zero throughout
    flies it to the last bit as the nominal controller does.

    Observation, (29,) float32, each clipped to +- 10. Measured, with noise; axes of the heading to keep:

    | entries | what | divided by |
    |---|---|---|
    | 0-2 | position - set-point | 0.1 m |
    | 3-5 | velocity - set-point's | 0.5 m/s |
    | 6-8 | attitude against level at the heading to keep, as a rotation vector | 0.2 rad |
    | 9-11 | body rate | 1 rad/s |
    | 12-15 | measured rotor thrusts, more than hover | 0.5 of hover |
    | 16-18 | set-point's velocity | 0.5 m/s |
    | 19-21 | set-point's acceleration | 1 m/s^2 |
    | 22 | height above standing on the surface below | 1 m |
    | 23 | exp(-height / rotor radius): how near the ground is | 1 |
    | 24 | 1 where the law pushes down onto the floor, else 0 | 1 |
    | 25-28 | last action, the residual's fourth number 0 | 1 |

    Action, float32 in [-1, 1], clipped to that and held for ``frame_skip`` control periods:

    | ``action`` | numbers | meaning |
    |---|---|---|
    | ``rotor_thrusts`` | 4 | f_i: -1 the least, 0 a quarter of the weight, 1 the most |
    | ``rates`` | 4 | total thrust likewise; body rates, 4, 4 and 2 rad/s at 1, through a rate loop |
    | ``residual`` | 3 | force added to the nominal law's, 0.3 of weight at 1, in the heading's axes |

    Rate loop and nominal law run at the vehicle's control rate (500 Hz), whatever ``frame_skip`` is; 5
    is an action every 10 ms. As for every controller, the set-point goes down into the floor once it
    has come down, the ground is noticed, and the motors are cut: an agent does not cut them.

    Reward: from 0 to 100 a flight, in small parts while it flies, the rest at its landing
    (``sim/reward.py`` has the formula). The best landing, on the reference and soft, is worth most.

    Terminated: the motors were cut (the 0.3 s after it, that ``land`` watches too, are in the last
    step), it crashed (anything but the legs touches, tilt over 60 degrees, first contact over 1 m/s),
    or it is farther than 3 m from its set-point. Truncated: the scenario's time is over.

    ``info`` of the last step has the figures of ``land``'s ``summary.json``, under ``summary``.

    Args:
        scenario: as ``land --scenario``: a name, or the path of a TOML file.
        vehicle: as ``land --vehicle``.
        aero: as ``land --aero``.
        reference: as ``land --reference``.
        action: ``rotor_thrusts``, ``rates`` or ``residual``.
        nominal: the controller that a residual is added to: ``pd``, ``pid``, ``textbook``, ``observer``.
        frame_skip: control periods that an action is held.
        render_mode: None or ``rgb_array``.

    Raises:
        InputError: one of these cannot be used.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 100}  # noqa: RUF012

    def __init__(
        self,
        scenario: str = "flat",
        vehicle: str = "intel-aero",
        aero: str = "rotor",
        reference: str = "s-curve",
        action: str = "residual",
        nominal: str = "pd",
        frame_skip: int = 5,
        render_mode: str | None = None,
    ) -> None:
        EzPickle.__init__(
            self, scenario, vehicle, aero, reference, action, nominal, frame_skip, render_mode
        )
        if render_mode not in (None, "rgb_array"):
            raise InputError(f"render_mode is {render_mode!r}, expected None or 'rgb_array'")
        flight = flight_to_steer(scenario, vehicle, aero, reference, nominal)
        self.batch = Batch(flight, 1, action, frame_skip)
        self.render_mode = render_mode
        self.observation_space = observation_space()
        self.action_space = action_space(self.batch)
        period = frame_skip * flight.vehicle.timing.period
        self.metadata = LandingEnv.metadata | {"render_fps": round(1 / period)}
        self._under_way = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a flight; without a seed, one whose chance comes from the last's."""
        super().reset(seed=seed)
        if seed is not None:
            self.batch.seeds[0] = seed
        observation = self.batch.reset([0], [self.np_random])
        self._under_way = True
        return observation[0], {}

    def step(
        self, action: npt.NDArray[np.float32]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Fly on with an action."""
        if not self._under_way:
            raise ResetNeeded("the flight is over, or was never begun; call reset first")
        seen = self.batch.step(np.asarray(action)[None])
        info = {"summary": seen.summaries[0]} if seen.summaries else {}
        self._under_way = not seen.summaries
        return (
            seen.observation[0], float(seen.reward[0]), bool(seen.terminated[0]),
            bool(seen.truncated[0]), info,
        )  # fmt: skip

    @property
    def log(self) -> FlightLog:
        """The flight so far, as ``land`` logs it."""
        return self.batch.log(0)

    def render(self) -> npt.NDArray[np.uint8] | None:
        """Return a picture (height, width, 3), or nothing where none was asked for."""
        if self.render_mode is None:
            return None
        engine = self.batch.engine(0)
        p, q, _, _ = self.batch.pose(0)
        return draw_world(engine, None if self.batch.in_engine(0) else (p, q), p)

    def close(self) -> None:
        """Let go of the engine."""
        self.batch.close()
        self._under_way = False


class LandingVectorEnv(VectorEnv[Observation, npt.NDArray[np.float32], npt.NDArray[Any]]):
    """``num_envs`` of ``LandingEnv`` in one process, flown in compiled code side by side.

    Takes what ``LandingEnv`` takes; flight i of ``reset(seed=N)`` is a single one's with seed N + i. A
    flight that is over begins anew at the next step, whose action it ignores (Gymnasium's
    ``NEXT_STEP``).
    """

    metadata = LandingEnv.metadata | {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        scenario: str = "flat",
        vehicle: str = "intel-aero",
        aero: str = "rotor",
        reference: str = "s-curve",
        action: str = "residual",
        nominal: str = "pd",
        frame_skip: int = 5,
        render_mode: str | None = None,
    ) -> None:
        if render_mode is not None:
            raise InputError("a batch draws no pictures: render_mode must be None")
        flight = flight_to_steer(scenario, vehicle, aero, reference, nominal)
        self.batch = Batch(flight, num_envs, action, frame_skip)
        self.num_envs = num_envs
        self.single_observation_space = observation_space()
        self.single_action_space = action_space(self.batch)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._chances: list[np.random.Generator] = []
        self._over = np.zeros(num_envs, np.bool_)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin all flights."""
        if isinstance(seed, int):
            seed = list(range(seed, seed + self.num_envs))
        if seed is None:
            seed = [None] * self.num_envs
        if len(seed) != self.num_envs:
            raise InputError(f"{len(seed)} seeds for {self.num_envs} flights")
        fresh = not self._chances
        for i, one in enumerate(seed):
            if fresh:
                self._chances.append(np.random.default_rng(one))
            elif one is not None:
                self._chances[i] = np.random.default_rng(one)
            self.batch.seeds[i] = self.batch.seeds[i] if one is None else one
        self._over[:] = False
        return self.batch.reset(list(range(self.num_envs)), self._chances), {}

    def step(
        self, actions: npt.NDArray[np.float32]
    ) -> tuple[Observation, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        """Fly all on; begin anew those that were over."""
        if not self._chances:
            raise ResetNeeded("no flight was begun; call reset first")
        seen = self.batch.step(actions)
        observation = seen.observation
        again = np.flatnonzero(self._over).tolist()
        if again:
            observation = self.batch.reset(again, [self._chances[i] for i in again])
        self._over = seen.terminated | seen.truncated
        info: dict[str, Any] = {}
        for i, summary in seen.summaries.items():
            info = self._add_info(info, {"summary": summary}, i)
        return observation, seen.reward, seen.terminated, seen.truncated, info

    def close_extras(self, **kwargs: Any) -> None:
        """Let go of the engines."""
        self.batch.close()


def flight_to_steer(scenario: str, vehicle: str, aero: str, reference: str, nominal: str) -> Flight:
    """Return the flight that an agent steers.

    Raises:
        InputError: one of these cannot be used.
    """
    if nominal not in NOMINALS:
        raise InputError(f"nominal is '{nominal}', expected one of {', '.join(NOMINALS)}")
    flight = Flight(
        load_vehicle(vehicle), nominal, load_scenario(scenario), reference, aero, engine="hybrid"
    )
    assert flight.plan  # what is wrong with it is said now
    return flight


def observation_space() -> Space:
    """Return the space of what an agent sees."""
    return gymnasium.spaces.Box(-CLIP, CLIP, (SIZE,), np.float32)


def action_space(batch: Batch) -> Space:
    """Return the space of what an agent does."""
    return gymnasium.spaces.Box(-1.0, 1.0, (batch.size,), np.float32)


gymnasium.register(
    ID,
    entry_point="neural_lander.sim.env:LandingEnv",
    vector_entry_point="neural_lander.sim.env:LandingVectorEnv",
)
