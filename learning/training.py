"""Learns the residual force from flights, and writes a model bundle.

    minimise over network and offsets   mean |f_label/weight - network(x) - o_flight|^2,   sum o = 0

with vectors in the heading frame.

The offset of a flight (battery, calibration) is a nuisance, and not shipped. The best offsets for
given network weights are means, so every batch is scored at its own best offsets: fitted in turns
they would soak up the height at which a flight happened to be flown. Their sum is held at zero, so
what all flights have in common stays in the network. Adam with large batches, a cosine from the
first rate to zero, and the weights of the pass that did best on the flights kept apart.

Source: Shi et al., "Neural Lander", ICRA 2019, section III; the offsets are ours.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError
from neural_lander.controller.network import MAX_LAYERS, MAX_WIDTH, Network
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.bundle import write_bundle
from neural_lander.learning.dataset import (
    FRAME,
    InputSet,
    LabelledFlight,
    Samples,
    features,
    held_at_envelope,
    label_flights,
    measured_digest,
    network_inputs,
    samples,
    split_flights,
    targets,
)
from neural_lander.learning.evaluation import mean_scores, scores
from neural_lander.learning.labels import CUTOFF

if TYPE_CHECKING:
    import torch


Array = npt.NDArray[np.float64]
Progress = Callable[[float, str], None]

PAPER_RHO_QUANTILE = 0.95
"""The paper's rho bounds |u_k - u_{k-1}| / |s|; we report this quantile of it."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a residual network is learned."""

    inputs: InputSet = "level"
    """``level``: height, vertical speed, thrust. ``full``: height, velocity, attitude, rotors."""
    hidden: tuple[int, ...] = (25, 30, 15)
    """Widths of the hidden layers."""
    lipschitz: float | None = 0.3
    """Bound on the slope from dimensionless inputs to force over weight; none (or infinity) leaves
    it free. Below 1 the learned force always answers a change of thrust with a smaller one."""
    cutoff_hz: float = CUTOFF
    """Corner of the low pass of labels and inputs [Hz]."""
    epochs: int = 100
    """Most passes over the data."""
    patience: int = 50
    """Passes without improvement on the flights kept apart before it stops."""
    batch_size: int = 1024
    """Rows a step."""
    learning_rate: float = 5e-3
    """First rate of Adam."""
    validation_share: float = 0.25
    """Share of the flights kept apart; at least one."""
    seed: int = 0
    """Decides the split, the first weights and the order of the rows."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` takes CUDA where it is present."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot be meant."""
        if self.lipschitz == math.inf:
            object.__setattr__(self, "lipschitz", None)
        if self.lipschitz is not None and not self.lipschitz > 0:
            raise InputError(
                f"lipschitz is {self.lipschitz}, expected a positive number, or none for no bound"
            )
        if not 1 <= len(self.hidden) < MAX_LAYERS or not all(
            1 <= width <= MAX_WIDTH for width in self.hidden
        ):
            raise InputError(
                f"hidden is {self.hidden}, expected 1 to {MAX_LAYERS - 1} widths up to {MAX_WIDTH}"
            )
        for name in ("epochs", "patience", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate is {self.learning_rate}, expected more than 0")
        if self.device not in ("auto", "cpu", "cuda"):
            raise InputError(f"device is {self.device!r}, expected auto, cpu or cuda")


def train(
    paths: Sequence[Path],
    vehicle: Vehicle,
    settings: TrainingSettings,
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Learn a model from flight logs, write its bundle to ``out``, and return its ``model.json``.

    ``progress`` is told the share done and a phrase. On a CPU the same logs, settings and seed
    give the same bytes.

    Raises:
        InputError: a log cannot be used, the device is absent, or the loss diverges.
    """
    tell = progress or (lambda share, phrase: None)
    tell(0.0, "reading flights")
    flights = label_flights(paths, vehicle, settings.cutoff_hz)
    split = split_flights(flights, settings.validation_share, settings.seed)
    learned, unseen = samples(split.train), samples(split.validation)
    inputs = network_inputs(settings.inputs, vehicle)
    inputs = held_at_envelope(inputs, learned.state, vehicle)
    x = [features(inputs, part.state, vehicle) for part in (learned, unseen)]
    y = [targets(part, vehicle) for part in (learned, unseen)]
    with one_thread_from_seed(settings.seed):
        weights, biases, offsets = _fit(x, y, learned, unseen, settings, tell)
    k_f = vehicle.rotors.k_f
    network = Network(weights, biases, inputs, vehicle.weight, k_f, vehicle.name, FRAME)
    by_flight = [{"flight": f.name, **scores(network, f.raw, vehicle)} for f in split.validation]
    mean = mean_scores(by_flight)
    names = [f.name for f in split.train]
    about = {
        "training_logs": {
            p.name: measured_digest(f.log) for p, f in zip(paths, flights, strict=True)
        },
        "split": {
            "kind": split.kind,
            "train": names,
            "validation": [f.name for f in split.validation],
        },
        "offsets_n": {n: o.tolist() for n, o in zip(names, offsets * vehicle.weight, strict=True)},
        "scores": {"flights": by_flight, "mean": mean},
        "error_estimate_n": mean["rmse_z_5hz_n"],
        "error_estimate_note": "vertical, unseen flights, 5 Hz; an estimate, certifies nothing",
        "paper_rho": paper_rho(split.train, vehicle),
        "settings": asdict(settings),
    }
    model = write_bundle(out, network, vehicle, settings.lipschitz, about)
    tell(1.0, f"wrote {out}")
    return model


def paper_rho(flights: Sequence[LabelledFlight], vehicle: Vehicle) -> float | None:
    """Return the 95 % quantile of |T_k - T_{k-1}| / |s_k| [N/(m/s)] over ``flights``.

    T is the commanded collective thrust and s = v~ + Lambda z~ on the vertical axis, both at the
    rows of the logs while the motors run and no leg may touch; None without set-points.
    """
    ratios = []
    for flight in flights:
        log = flight.log
        if "setpoint_position" not in log or "setpoint_velocity" not in log:
            continue
        thrust = log["rotor_thrust_command"].sum(axis=1)
        z_error = log["position"][:, 2] - log["setpoint_position"][:, 2]
        v_error = log["velocity"][:, 2] - log["setpoint_velocity"][:, 2]
        s = np.abs(v_error + vehicle.gains.position[2] * z_error)
        flying = (log["contact"] < 0.5) & (thrust > 0)
        use = flying[1:] & flying[:-1] & (s[1:] > 0)
        ratios.append(np.abs(np.diff(thrust))[use] / s[1:][use])
    values = np.concatenate(ratios) if ratios else np.empty(0)
    return float(np.quantile(values, PAPER_RHO_QUANTILE)) if len(values) else None


@contextmanager
def one_thread_from_seed(seed: int) -> Iterator[None]:
    """Run torch on one thread with its own random numbers, and leave its settings as they were.

    The networks are far too small to gain from threads, and sums in one order give the same bits.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def _device(name: str) -> "torch.device":
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device is cuda, but torch finds none here; take --device auto or cpu")
    present = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(present if name == "auto" else name)


def _fit(
    x: Sequence[Array],
    y: Sequence[Array],
    learned: Samples,
    unseen: Samples,
    settings: TrainingSettings,
    tell: Progress,
) -> tuple[tuple[Array, ...], tuple[Array, ...], Array]:
    """Return weights, biases and offsets by flight (flights, 3) [weights], best on ``unseen``."""
    import torch

    from neural_lander.learning.residual_network import ResidualNetwork, export

    device = _device(settings.device)
    x_learned, x_unseen = (torch.as_tensor(a, dtype=torch.float32, device=device) for a in x)
    y_learned, y_unseen = (torch.as_tensor(a, dtype=torch.float32, device=device) for a in y)
    flight, flight_unseen = (torch.as_tensor(p.flight, device=device) for p in (learned, unseen))
    network = ResidualNetwork(x_learned.shape[1], settings.hidden, settings.lipschitz).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    n = len(x_learned)
    steps = math.ceil(n / settings.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs * steps)
    order = torch.Generator().manual_seed(settings.seed)
    n_flights, n_unseen = int(flight.max()) + 1, int(flight_unseen.max()) + 1
    best, best_epoch, best_state = math.inf, 0, network.state_dict()
    for epoch in range(settings.epochs):
        network.train()
        for rows in torch.split(torch.randperm(n, generator=order).to(device), settings.batch_size):
            optimiser.zero_grad()
            rest = y_learned[rows] - network(x_learned[rows])
            with torch.no_grad():  # at the best offsets the loss does not change with them
                best_constant = _offsets(rest, flight[rows], n_flights)[flight[rows]]
            loss = torch.mean((rest - best_constant) ** 2)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            rest = y_unseen - network(x_unseen)
            rest = rest - _means(rest, flight_unseen, n_unseen)[flight_unseen]
            error = torch.mean(rest**2).item()
        if not math.isfinite(error):
            raise InputError(
                f"training diverged: the loss is {error} after {epoch + 1} passes at learning_rate "
                f"{settings.learning_rate}; lower it, or bound the slope"
            )
        if error < best:
            best, best_epoch = error, epoch
            best_state = {k: v.clone() for k, v in network.state_dict().items()}
        tell(
            (epoch + 1) / settings.epochs,
            f"unseen flights: {100 * math.sqrt(best):.2f} % of weight",
        )
        if epoch - best_epoch >= settings.patience:
            break
    network.load_state_dict(best_state)
    plain = export(network, settings.lipschitz)
    with torch.no_grad():
        offsets = _offsets(y_learned - network(x_learned), flight, n_flights)
    return plain.weights, plain.biases, offsets.cpu().numpy().astype(np.float64)


def _offsets(rest: "torch.Tensor", flight: "torch.Tensor", flights: int) -> "torch.Tensor":
    """Return what is best taken off ``rest`` (n, 3) by flight (flights, 3); the sum is zero."""
    means = _means(rest, flight, flights)
    present = (flight.bincount(minlength=flights) > 0)[:, None]
    return (means - means.sum(dim=0) / present.sum()) * present


def _means(values: "torch.Tensor", group: "torch.Tensor", groups: int) -> "torch.Tensor":
    """Return the mean of the rows of ``values`` (n, 3) in each group (groups, 3), 0 if empty."""
    total = values.new_zeros(groups, values.shape[1]).index_add_(0, group, values)
    return total / group.bincount(minlength=groups).clamp(min=1)[:, None]
