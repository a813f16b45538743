"""Fits residual networks and what is peculiar to each flight, together.

    minimise over network and offsets    mean |f_label/weight - network(x) - o_flight|^2,  sum o = 0

with vectors in the heading frame. The offset of a flight (battery, calibration) is a nuisance, and
not shipped. For given network weights the best offsets are means, so every batch is scored at its
own best ones: fitted in turns they would soak up the height at which a flight happened to be flown.
Their sum is held at zero, so what all flights have in common stays in the network. (A scale of
thrust for each flight beside the offset was tried: on real flights left out it gained nothing.)

Behind a low pass neighbouring labels say the same: the rows are thinned to four a period of its
corner. Adam, its rate rising for a twentieth of the steps, then a cosine down to zero.

Sources: Shi et al., "Neural Lander", ICRA 2019, section III; variable projection: Golub, Pereyra,
SIAM J. Numer. Anal. 10, 1973.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError
from neural_lander.controller.network import Network
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.checkpoint import Checkpoint
from neural_lander.learning.dataset import (
    FRAME,
    LabelledFlight,
    features,
    held_at_envelope,
    network_inputs,
    samples,
    targets,
)
from neural_lander.learning.labels import RATE
from neural_lander.learning.settings import TrainingSettings

if TYPE_CHECKING:
    import torch

    from neural_lander.learning.residual_network import NetworkStack

Array = npt.NDArray[np.float64]
Progress = Callable[[float, str], None]

ROWS_A_PERIOD = 4.0
"""Labels kept for each period of the low pass's corner."""

STEPS_A_PASS = 8
"""Least steps a pass: of few rows, smaller batches."""

ROWS_A_FLIGHT = 32
"""Least rows of a flight in a batch, on average: its offset is found from them."""

WARM_UP = 0.05
"""Share of the steps in which the rate rises."""

TOGETHER = 12
"""Networks that learn at once; more go in turns."""

KEPT_EVERY = 20
"""Passes after which the state is kept, to go on from."""

SETTLED = 0.01
"""A loss within this share of its last value has settled."""


@dataclass(frozen=True)
class Task:
    """One network to learn."""

    flights: tuple[LabelledFlight, ...]
    """What it learns from."""
    lipschitz: float | None
    """Bound on its slope, dimensionless; none leaves it free."""
    seed: int
    """Decides its first weights and the order of its rows."""


@dataclass(frozen=True)
class Fitted:
    """A network that has learned."""

    network: Network
    offsets: Array
    """Constant force of each flight, beside the network (flights, 3) [weights], heading frame."""
    course: Array
    """Mean squared error by pass (passes,) [weights^2]."""
    variance: float
    """Of the labels, constants of flights apart [weights^2]: the error of a network that says zero."""

    def how_it_went(self) -> dict[str, Any]:
        """Return passes, first and last error, and whether it settled, for people to read."""
        last = float(self.course[-1])
        settled = int(np.argmax(self.course <= (1 + SETTLED) * last)) + 1
        tail = float(self.course[int(0.9 * len(self.course))]) / last - 1
        remark = f"settled after {settled} of {len(self.course)} passes"
        if last > 0.98 * self.variance:
            remark = (
                "a plateau from the start: what the network sees explains nothing of the labels"
            )
        elif tail > 2 * SETTLED:
            remark = f"the loss still fell by {tail:.0%} in the last tenth; more epochs may help"
        return {
            "passes": len(self.course),
            "rmse_first_weight": math.sqrt(self.course[0]),
            "rmse_last_weight": math.sqrt(last),
            "spread_weight": math.sqrt(self.variance),
            "remark": remark,
        }


def thinning(cutoff_hz: float) -> int:
    """Return how many labels there are for each that says something new behind a low pass."""
    return max(1, int(RATE / (ROWS_A_PERIOD * cutoff_hz)))


def fit_networks(
    tasks: Sequence[Task],
    vehicle: Vehicle,
    settings: TrainingSettings,
    every: int,
    tell: Progress = lambda share, phrase: None,
    checkpoint: Checkpoint | None = None,
    before: int = 0,
) -> list[Fitted]:
    """Learn a network for each task, from every ``every``-th label of its flights.

    ``checkpoint`` keeps the state every ``KEPT_EVERY`` passes, and is asked for one at the start;
    ``before`` counts the tasks of earlier calls with the same one. What learns together shares
    rounding: a task's last bits depend on the others of its call.

    Raises:
        InputError: the device is absent, or the loss diverges.
    """
    results: list[Fitted] = []
    for first in range(0, len(tasks), TOGETHER):
        some = tasks[first : first + TOGETHER]

        def told(share: float, phrase: str, done: int = first, now: int = len(some)) -> None:
            tell((done + share * now) / len(tasks), phrase)

        with one_thread():
            results += _fit_together(
                some, vehicle, settings, every, told, checkpoint, before + first
            )
    return results


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread, and leave its setting as it was.

    The networks are far too small to gain from threads, and sums in one order give the same bits.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class _Rows:
    """All rows of all tasks, one after the other; tensors."""

    x: "torch.Tensor"
    y: "torch.Tensor"
    flight: "torch.Tensor"
    """Number of the flight within its task (n,)."""
    first: list[int]
    """First row of each task, and the end."""
    flights: int
    """Most flights of a task."""


def _fit_together(
    tasks: Sequence[Task],
    vehicle: Vehicle,
    settings: TrainingSettings,
    every: int,
    tell: Progress,
    checkpoint: Checkpoint | None,
    part: int,
) -> list[Fitted]:
    """Return what the tasks give, learned as one stack."""
    import torch

    from neural_lander.learning.residual_network import NetworkStack, Spread, export

    device = _device(settings.device)
    inputs = network_inputs(settings.inputs, vehicle)
    parts = [samples(task.flights, every) for task in tasks]
    x = [features(inputs, part.state, vehicle) for part in parts]
    y = [targets(part, vehicle) for part in parts]

    def tensor(arrays: Sequence[Array]) -> "torch.Tensor":
        return torch.as_tensor(np.concatenate(arrays), dtype=torch.float32, device=device)

    rows = _Rows(
        tensor(x),
        tensor(y),
        torch.as_tensor(np.concatenate([part.flight for part in parts]), device=device),
        np.cumsum([0, *(len(a) for a in x)]).tolist(),
        max(len(task.flights) for task in tasks),
    )
    bounds = [task.lipschitz for task in tasks]
    stack = NetworkStack(
        [x[0].shape[1], *settings.hidden, 3],
        bounds,
        [task.seed for task in tasks],
        [Spread.of(a, b) for a, b in zip(x, y, strict=True)],
    ).to(device)
    seeds = [task.seed for task in tasks]
    course = _descend(stack, rows, seeds, settings, tell, checkpoint, part)
    results = []
    for k, (task, plain) in enumerate(zip(tasks, export(stack, bounds), strict=True)):
        held = held_at_envelope(inputs, samples(task.flights).state, vehicle)
        network = Network(
            plain.weights,
            plain.biases,
            held,
            vehicle.weight,
            vehicle.rotors.k_f,
            vehicle.name,
            FRAME,
        )
        own = slice(rows.first[k], rows.first[k + 1])
        said = targets(replace(parts[k], force=network.force(parts[k].state)), vehicle)
        rest = rows.y[own] - tensor([said])
        count = len(task.flights)
        own_flight = rows.flight[own][None]
        offsets = _offsets(rest[None], own_flight, count)[0].cpu().double().numpy()
        nothing = _less_offsets(rows.y[own][None], own_flight, count)
        variance = float(torch.mean(nothing**2))
        results.append(Fitted(network, offsets, course[:, k], variance))
    return results


def _descend(
    stack: "NetworkStack",
    rows: _Rows,
    seeds: Sequence[int],
    settings: TrainingSettings,
    tell: Progress,
    checkpoint: Checkpoint | None = None,
    part: int = 0,
) -> Array:
    """Move the stack's parameters downhill; return the mean squared errors (passes, k)."""
    import torch

    optimiser = torch.optim.Adam(stack.parameters(), lr=settings.learning_rate, fused=True)
    sizes = np.diff(rows.first)
    steps = max(STEPS_A_PASS, math.ceil(sizes.max() / settings.batch_size))
    batch = max(math.ceil(sizes.max() / steps), min(ROWS_A_FLIGHT * rows.flights, sizes.max()))
    orders = [torch.Generator().manual_seed(seed) for seed in seeds]
    course: list[list[float]] = []
    best, since, begin = math.inf, 0, 0
    kept = None if checkpoint is None else checkpoint.load(part)
    if kept is not None:
        stack.load_state_dict(kept["stack"])
        optimiser.load_state_dict(kept["optimiser"])
        for generator, state in zip(orders, kept["orders"], strict=True):
            generator.set_state(state)
        course, best, since, begin = kept["course"], kept["best"], kept["since"], kept["passes"]

    def keep(passes: int) -> None:
        if checkpoint is not None:
            checkpoint.save(part, {
                "stack": stack.state_dict(), "optimiser": optimiser.state_dict(),
                "orders": [generator.get_state() for generator in orders],
                "course": course, "best": best, "since": since, "passes": passes,
            })  # fmt: skip

    for epoch in range(begin, settings.epochs):
        if since >= settings.patience:
            break
        drawn = [
            torch.randperm(int(n), generator=g).repeat(math.ceil(steps * batch / n))[
                : steps * batch
            ]
            + first
            for n, g, first in zip(sizes, orders, rows.first, strict=False)
        ]
        index = torch.stack(drawn).reshape(len(seeds), steps, batch).to(rows.x.device)
        errors = []
        for step in range(steps):
            rate = _rate((epoch * steps + step) / (settings.epochs * steps))
            optimiser.param_groups[0]["lr"] = rate * settings.learning_rate
            chosen = index[:, step]
            optimiser.zero_grad()
            rest = rows.y[chosen] - stack(rows.x[chosen])
            rest = _less_offsets(rest, rows.flight[chosen], rows.flights)
            error = torch.mean(rest**2, dim=(1, 2))
            error.sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            errors.append(error.detach())
        course.append(torch.stack(errors).mean(dim=0).tolist())
        if not all(math.isfinite(e) for e in course[-1]):
            raise InputError(
                f"training diverged: the loss is {max(course[-1])} after {epoch + 1} passes at "
                f"learning_rate {settings.learning_rate}; lower it, or bound the slope"
            )
        total = sum(course[-1])
        best, since = (total, 0) if total < best else (best, since + 1)
        rms = math.sqrt(total / len(seeds))
        if (epoch + 1) % KEPT_EVERY == 0:
            keep(epoch + 1)
        tell((epoch + 1) / settings.epochs, f"off by {100 * rms:.2f} % of weight")
    keep(settings.epochs)
    return np.array(course)


def _rate(done: float) -> float:
    """Return the learning rate, as a share of its highest, when a share of the steps is done."""
    if done < WARM_UP:
        return done / WARM_UP + 1e-3
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def _device(name: str) -> "torch.device":
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device is cuda, but torch finds none here; take --device auto or cpu")
    present = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(present if name == "auto" else name)


def _less_offsets(rest: "torch.Tensor", flight: "torch.Tensor", flights: int) -> "torch.Tensor":
    """Return ``rest`` (k, n, 3) less the best offsets; the loss is stationary there."""
    import torch

    own = torch.nn.functional.one_hot(flight, flights).to(rest.dtype)
    return rest - own @ _offsets(rest.detach(), flight, flights)


def _offsets(rest: "torch.Tensor", flight: "torch.Tensor", flights: int) -> "torch.Tensor":
    """Return what is best taken off ``rest`` (k, n, 3) by flight (k, flights, 3); the sum is 0."""
    import torch

    own = torch.nn.functional.one_hot(flight, flights).to(rest.dtype)
    count = own.sum(dim=1)[..., None]
    present = (count > 0).to(rest.dtype)
    mean = own.mT @ rest / count.clamp(min=1)
    centre = mean.sum(dim=1, keepdim=True) / present.sum(dim=1, keepdim=True)
    return (mean - centre) * present
