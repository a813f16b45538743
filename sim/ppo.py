"""Reinforcement learning as a baseline: PPO of stable-baselines3 on a batch of flights.

Nothing else of the package imports this module: it needs the extra ``rl``, and torch.

Source: Schulman et al., "Proximal Policy Optimization Algorithms", arXiv 1707.06347.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from neural_lander.controller.errors import InputError
from neural_lander.sim.batch import Batch
from neural_lander.sim.env import action_space, observation_space
from neural_lander.sim.policy import Asked, how_asked, save_policy
from neural_lander.sim.quality import SHARE, qualities
from neural_lander.sim.rollout import Flight

Observation = npt.NDArray[np.float32]


class SteeredFlights(VecEnv):
    """A batch as stable-baselines3 wants it: a flight that is over begins anew in the same step."""

    def __init__(self, batch: Batch, seed: int) -> None:
        super().__init__(batch.n, observation_space(), action_space(batch))
        self.batch = batch
        self._chances = [
            np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(batch.n)
        ]
        self._actions = np.zeros((batch.n, batch.size), np.float32)
        self.flown_s = 0.0
        """Flight data so far [s]."""

    def reset(self) -> Observation:
        """Begin all flights."""
        return self.batch.reset(list(range(self.num_envs)), self._chances)

    def step_async(self, actions: npt.NDArray[np.float32]) -> None:
        """Take the actions of the next step."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[Observation, npt.NDArray[Any], npt.NDArray[Any], list[dict[str, Any]]]:
        """Fly on."""
        batch = self.batch
        seen = batch.step(self._actions)
        self.flown_s += batch.n * batch.frame_skip * batch.flight.vehicle.timing.period
        infos: list[dict[str, Any]] = [{} for _ in range(batch.n)]
        over = list(seen.summaries)
        observation = seen.observation
        if over:
            for i in over:
                infos[i] = {
                    "terminal_observation": observation[i],
                    "TimeLimit.truncated": bool(seen.truncated[i]),
                }
            observation = batch.reset(over, [self._chances[i] for i in over])
        return observation, seen.reward, seen.terminated | seen.truncated, infos

    def close(self) -> None:
        """Let go of the engines."""
        self.batch.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute once a flight."""
        return [getattr(self, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute."""
        setattr(self, attr_name, value)

    def env_method(
        self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any
    ) -> list[Any]:
        """Refuse: the flights are no objects of their own."""
        raise AttributeError(f"a batch of flights has no {method_name} of each")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Return that none is."""
        return [False] * self.num_envs


@dataclass(frozen=True)
class Settings:
    """Of PPO; what is not here is as stable-baselines3 has it."""

    flights: int = 64
    """Flown side by side."""
    steps: int = 128
    """Actions of each between two updates."""
    minibatch: int = 1024
    epochs: int = 6
    learning_rate: float = 5e-4
    """At the start; falls to a tenth over the budget."""
    gamma: float = 0.99
    """Discount of an action, 10 ms: a second counts."""
    gae: float = 0.95
    log_std: float = -1.0
    """Of the first actions."""
    hidden: tuple[int, ...] = (64, 64)

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name not in ("log_std", "hidden") and not 0 < value < math.inf:
                raise InputError(f"PPO's {name} is {value}, expected more than 0")
        if self.gamma > 1 or self.gae > 1:
            raise InputError(f"PPO's gamma is {self.gamma} and gae {self.gae}, expected at most 1")
        if self.flights * self.steps % self.minibatch:
            raise InputError(
                f"PPO's minibatch is {self.minibatch}, expected a divisor of flights x steps = "
                f"{self.flights * self.steps}"
            )


def settings_of(given: Sequence[str]) -> Settings:
    """Read ``NAME=NUMBER``, each a field of ``Settings`` that holds one number.

    Raises:
        InputError: no such field, no number of its kind, or one that PPO cannot train with.
    """
    plain = Settings()
    kinds = {f.name: type(getattr(plain, f.name)) for f in fields(Settings) if f.name != "hidden"}
    found: dict[str, Any] = {}
    for one in given:
        name, _, text = one.partition("=")
        if name not in kinds:
            raise InputError(
                f"--set has '{one}', expected NAME=NUMBER with one of {', '.join(kinds)}"
            )
        try:
            found[name] = kinds[name](text)
        except ValueError:
            what = "a whole number" if kinds[name] is int else "a number"
            raise InputError(f"--set has '{one}', expected {what} for {name}") from None
    return Settings(**found)


def land_seeds(
    flight: Flight,
    action: str,
    frame_skip: int,
    act: Callable[[Observation], Any],
    seeds: Sequence[int],
) -> list[dict[str, Any]]:
    """Fly each seed once with a policy, (n, entries) -> (n, actions), and return the summaries."""
    batch = Batch(flight, len(seeds), action, frame_skip)
    batch.seeds = list(seeds)
    observation = batch.reset(
        list(range(len(seeds))), [np.random.default_rng(seed) for seed in seeds]
    )
    summaries: dict[int, dict[str, Any]] = {}
    while len(summaries) < len(seeds):
        seen = batch.step(act(observation))
        observation = seen.observation
        summaries |= seen.summaries
    batch.close()
    return [summaries[i] for i in range(len(seeds))]


def last_look(flight: Flight, policy: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Return how well a saved policy lands seeds that it was not chosen by (``quality.qualities``)."""
    asked, model = how_asked(policy), PPO.load(policy, device="cpu")

    def act(observation: Observation) -> Any:
        return model.predict(observation, deterministic=True)[0]

    return qualities(land_seeds(flight, asked.action, asked.frame_skip, act, seeds))


class _Watch(BaseCallback):
    """Looks at the policy now and then, keeps the best, and ends the training when time is up."""

    def __init__(
        self, flights: SteeredFlights, seeds: Sequence[int], minutes: float, out: Path,
        tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        super().__init__()
        self.flights, self.seeds, self.minutes, self.out, self.tell = (
            flights, seeds, minutes, out, tell,
        )  # fmt: skip
        batch = flights.batch
        self.asked = Asked(batch.action, batch.flight.controller, batch.frame_skip)
        self.next, self.begun, self.curve = 0.0, time.monotonic(), list[dict[str, Any]]()
        self.best, self.best_at = (-1, -1, 0.0), 0.0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.flights.flown_s >= self.next:
            self.look()
            self.next = 1.4 * self.flights.flown_s

    def look(self) -> None:
        """Land all seeds with the policy as it is, without its chance."""
        batch = self.flights.batch

        def act(observation: Observation) -> Any:
            return self.model.predict(observation, deterministic=True)[0]

        summaries = land_seeds(batch.flight, batch.action, batch.frame_skip, act, self.seeds)
        seen = qualities(summaries)
        self.curve.append(
            {"flown_s": self.flights.flown_s, "wall_s": time.monotonic() - self.begun, **seen}
        )
        error = seen["terminal_z_error_m"]
        rank = (seen["good"], seen["landed"], -(1.0 if error is None else error))
        if rank > self.best:
            self.best, self.best_at = rank, self.flights.flown_s
            save_policy(self.model, self.out, self.asked)
        self.tell(
            f"{self.flights.flown_s:9.0f} s flown: {seen['landed']} of {seen['flown']} landed, "
            f"{seen['good']} good, {seen['crashed']} crashed, z end {error}"
        )

    @property
    def done(self) -> bool:
        """Whether time is up, or all is learned."""
        enough = self.curve and self.curve[-1]["good"] >= SHARE * len(self.seeds)
        return bool(enough) or time.monotonic() - self.begun > 60 * self.minutes


class _Stop(BaseCallback):
    """Ends the training between two rollouts."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self.watch = watch

    def _on_step(self) -> bool:
        return not self.watch.done


def train(
    flight: Flight, action: str, frame_skip: int, seed: int, seconds: float, minutes: float,
    seeds: Sequence[int], fresh: Sequence[int], out: Path, tell: Callable[[str], None],
    settings: Settings | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train until all is learned, ``seconds`` were flown, or ``minutes`` of wall time are over.

    Args:
        flight: what is flown.
        action: a name of ``steering.ACTIONS``.
        frame_skip: control periods that an action is held.
        seed: of all that is drawn. The same seed gives the same policy on the same machine, as long
            as it is not wall time that ends the training.
        seconds: of flight data, at most [s].
        minutes: of wall time, at most.
        seeds: that the policy is looked at with, chosen by and stopped by; none is trained on.
        fresh: seeds of the last look, at the policy that was chosen; none of ``seeds``.
        out: where the best policy so far is saved (``.zip``).
        tell: is told of each look.
        settings: of PPO.

    Returns:
        The learning curve, under ``fresh`` the last look, and what was set.

    Raises:
        InputError: a fresh seed is not fresh.
    """
    if set(seeds) & set(fresh):
        raise InputError(
            f"seeds {sorted(set(seeds) & set(fresh))} chose the policy and are to judge it"
        )
    s = settings or Settings()
    torch.set_num_threads(1)
    flights = SteeredFlights(Batch(flight, s.flights, action, frame_skip), seed)
    total = int(seconds / (frame_skip * flight.vehicle.timing.period))
    model = PPO(
        "MlpPolicy",
        VecNormalize(flights, norm_obs=False, gamma=s.gamma),
        n_steps=s.steps,
        batch_size=s.minibatch,
        n_epochs=s.epochs,
        learning_rate=lambda left: s.learning_rate * (0.1 + 0.9 * left),
        gamma=s.gamma,
        gae_lambda=s.gae,
        policy_kwargs={"net_arch": list(s.hidden), "log_std_init": s.log_std},
        seed=seed,
        device="cpu",
    )
    watch = _Watch(flights, seeds, minutes, out, tell)
    model.learn(total, callback=[watch, _Stop(watch)])
    watch.look()
    flights.close()
    last = {"flown_s": watch.best_at, **last_look(flight, out, fresh)}
    tell(f"on fresh seeds: {last['landed']} of {last['flown']} landed, {last['good']} good")
    return {
        "action": action, "frame_skip": frame_skip, "seed": seed, "settings": asdict(s),
        "flown_s": flights.flown_s, "wall_s": time.monotonic() - watch.begun, "curve": watch.curve,
        "fresh": last,
    }  # fmt: skip
