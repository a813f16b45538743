"""The loop in three dimensions as a linear model with uncertain channels, by a contract.

    plant     p' = v,  m v' = -m g e3 + F_a + phi(z, v_z, |F_a|) + e,       F_a = T R e3
    control   every h:  F_c + phi(z^, v_z^, |F_c|) = F_d - d^ + s, |s| <= tol;  applied after L, held
              F_d = m (g e3 + a_d) - k_v v~ - k_p p~
    observer  d^ = l (m v^ - w),  w' = F_a^ + phi(z^, v_z^, T^) - m g e3 + d^
    contract  F_a,j = H_j[F_held]_j + c_j,  |c_j| <= c_bar_j            (attitude loop and motors)
              H_z = 1 / (tau s + 1),   H_xy = w^2 / (tau s^3 + s^2 + 2 zeta w s + w^2)

phi in R^3 is the learned force restricted to height, vertical speed and collective thrust. With
(A, b, C)_j a realisation of H_j with state xi_j, F0 the noise-free solution at the true state,
delta = F_a - F0, nu = F_held - F0 and eta_j = xi_j + A^-1 b F0_j, exactly

    delta = C eta + c,   eta' = A eta + b nu + A^-1 b F0'
    m v~' = -k_p p~ - k_v v~ + (I + a_T u1') delta + e - d
    F0'   = (I - beta) gamma,   gamma = F_d' - d' - a_z v_z - a_v v_z',   beta = a_T u2' / (1 + u2' a_T)
    d'    = l (e - d - n)
    |nu|  <= |I - beta| (|k_p + a_z e3'| n_p + |k_v + l m + a_v e3'| n_v + tol) + (h + L) sup |F0'|

with slopes a_z, a_v, a_T of phi and unit vectors u in the tilt cone, u_z in [cos t, 1],
|u_xy| <= sin t. What the observer's samples miss is n: noise of velocity, thrust and attitude, and
up to h of change of F_a, phi and d.

The velocity's noise n_v reaches the command and the observer. With a constant latency both are one
signal n_v(t - L) and the observer's share, a low pass of the command's, is subtracted from it, not
added: d stands above for d - d2, and in nu for |d2| <= 2 l m n_v (1 - e^(-l L)), with
d2' = -l d2 - l^2 m (n_v(t) - n_v(t - L)). Where the latency may jitter they are two bounds.

A law that feeds its delays forward along the plan (``lead``) adds a known part to nu, linear in the
plan's j_d, a_d, v_d at that very instant; what it leaves stands in ``spatial_lead``. Then nu holds
(h + L) sup |F0' - F0_d'| with F0_d' what the plan alone asks of F0', and where the law flies with a
mass of (1 + kappa) m, |kappa| <= ``load``, n has kappa m v_z', too.

Over a deck the reference is the plan with the deck's motion, known by bounds alone; the law feeds
that forward, plan or not (``spatial_deck``). v_z in gamma is then the speed over the surface.

The middles of the intervals go into the linear model, those of the sideways slopes taken as 0, so
that it falls into one block for each axis; the rest are channels |q| <= S sup |r| across all of them.

Source: the position loop of Shi et al., "Neural Lander", ICRA 2019, over the attitude loop of Lee,
Leok, McClamroch, CDC 2010; contract and channels are the package's own.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from neural_lander.controller.cancellation import TOLERANCE
from neural_lander.controller.causal_bounds import KNOWN, Block, CoupledModel
from neural_lander.controller.deck_family import DeckFamily
from neural_lander.controller.errors import InputError
from neural_lander.controller.feed_forward import lead_of
from neural_lander.controller.force_slopes import (
    Cancelled,
    ForceSlopes,
    Z,
    cancelled,
    product_of,
)
from neural_lander.controller.loop_model import Interval
from neural_lander.controller.setpoint import Plan
from neural_lander.controller.vehicle import Vehicle

Array = npt.NDArray[np.float64]
Triple = tuple[float, float, float]
"""One number for each world axis."""

AXES = ("x", "y", "z")


@dataclass(frozen=True)
class SpatialLoop:
    """Numbers of the loop in three dimensions."""

    mass: float
    """[kg]"""
    k_p: Triple
    """Force per position error [N/m]."""
    k_v: Triple
    """Force per velocity error [N/(m/s)]."""
    bandwidth: float
    """Of the attitude loop, w [rad/s]."""
    damping: float
    """Of the attitude loop, zeta."""
    lag: Interval
    """Least and greatest motor lag of the contract's H [s]; one number twice: the rest is in c."""
    period: float
    """Control period h [s]."""
    latency: float
    """From a measurement to its command at the rotors, L [s]."""
    noise_position: Triple = (0.0, 0.0, 0.0)
    """Bound of the position estimate's error [m]."""
    noise_velocity: Triple = (0.0, 0.0, 0.0)
    """Bound of the velocity estimate's error [m/s]."""
    noise_attitude: float = 0.0
    """Bound of the attitude estimate's error, per axis, as the observer sees it [rad]."""
    tolerance: float = 0.0
    """Bound of the residual the solver of the command leaves, per axis [N]."""
    observer: float = 0.0
    """Bandwidth of the disturbance observer [1/s]; 0: none."""
    noise_thrust: float = 0.0
    """Bound of the error of the thrust that the observer gets from rotor speeds, share of it."""
    thrust_limits: Interval = (0.0, math.inf)
    """Least and greatest collective thrust [N]."""
    observer_limit: float = math.inf
    """Greatest disturbance that the observer reports, per axis [N]."""
    latency_jitters: bool = False
    """Whether the latency may be anything up to ``latency`` at every sample, instead of constant."""
    tilt_limit: float = math.radians(30)
    """Tilt of real, wanted and commanded force up to which the contract is meant to hold [rad]."""
    lead: Triple | None = None
    """Lag that the law feeds forward along a compensated plan, per axis [s]; None: it does not."""
    deck_lead: float | None = None
    """Lag that the law feeds forward of a deck's motion [s]; None: nothing below moves."""

    @staticmethod
    def of(vehicle: Vehicle, controller: str) -> "SpatialLoop":
        """Return the loop of a vehicle under ``controller``; '...+observer' has the observer.

        The contract is against the nominal motor lag: what a rotor's own lag adds is in c.
        """
        gains, noise, m = vehicle.gains, vehicle.noise, vehicle.mass
        return SpatialLoop(
            mass=m,
            k_p=_triple(m * gains.velocity * gains.position),
            k_v=_triple(m * (gains.velocity + gains.position)),
            bandwidth=gains.attitude,
            damping=gains.damping,
            lag=(vehicle.rotors.lag, vehicle.rotors.lag),
            period=vehicle.timing.period,
            latency=vehicle.timing.latency,
            noise_position=(noise.position,) * 3,
            noise_velocity=(noise.velocity,) * 3,
            noise_attitude=noise.attitude,
            tolerance=TOLERANCE * vehicle.weight,
            observer=gains.observer_of(controller),
            noise_thrust=(1 + noise.rotor_speed) ** 2 - 1,
            thrust_limits=vehicle.thrust_limits,
            observer_limit=gains.observer_limit * vehicle.weight,
            lead=lead_of(vehicle),
        )

    def over(self, family: DeckFamily, lead: float) -> "SpatialLoop":
        """Return the loop over a deck of the family, whose motion is fed forward with ``lead`` [s].

        A deck that does not move is like a floor.
        """
        return replace(self, deck_lead=lead) if family.swing > 0 else self

    def along(self, plan: Plan) -> "SpatialLoop":
        """Return the loop as it follows ``plan``: it feeds forward where the plan says so.

        Raises:
            InputError: the plan counts on a feed-forward that this loop does not have.
        """
        if plan.compensated and self.lead is None:
            raise InputError(
                f"the plan {plan.name!r} counts on fed-forward delays, and this loop has no lead"
            )
        return self if plan.compensated else replace(self, lead=None)

    @property
    def one_noise(self) -> bool:
        """Whether the velocity's noise reaches command and observer as one signal."""
        return bool(self.observer) and not self.latency_jitters

    def quiet(self) -> "SpatialLoop":
        """Return the loop without noise."""
        none = (0.0, 0.0, 0.0)
        return replace(
            self, noise_position=none, noise_velocity=none, noise_attitude=0.0, noise_thrust=0.0,
            tolerance=0.0,
        )  # fmt: skip

    def contract(self, axis: int) -> tuple[Array, Array, Array]:
        """Return (A, b, C) of H on one axis, at the middle of the lag's rates; C A^-1 b = -1."""
        rate = (1 / self.lag[0] + 1 / self.lag[1]) / 2
        if axis == Z:
            return np.array([[-rate]]), np.array([rate]), np.array([1.0])
        w, zeta = self.bandwidth, self.damping
        A = np.array([[0, 1, 0], [0, 0, 1], [-w * w * rate, -2 * zeta * w * rate, -rate]])
        return A, np.array([0, 0, w * w * rate]), np.array([1.0, 0, 0])

    def cancelled(self, slopes: ForceSlopes, tilt: float) -> Cancelled:
        """Return what slopes in a box and a tilt cone of half angle ``tilt`` [rad] do to commands."""
        return cancelled(slopes, tilt)

    def reply(self, slopes: ForceSlopes, axis: int) -> tuple[float, float]:
        """Return middle and half-width of how far F0 moves with the wanted force, 1 / (1 + a_T)."""
        if axis != Z:
            return 1.0, 0.0
        low, high = slopes.at(2)
        ends = 1 / (1 + high), 1 / max(1 + low, 1e-9)
        return sum(ends) / 2, _half(ends)

    def noise_gain(self, slopes: ForceSlopes, tilt: float) -> tuple[Array, Array]:
        """Return how far F_c moves with the velocity's noise [N/(m/s)]: middles (3,), rest (3, 3)."""
        effect = self.cancelled(slopes, tilt)
        k_v = np.array(self.k_v) + self.observer * self.mass
        rest = effect.beta_magnitude * k_v
        a_v = slopes.magnitude[:, 1]
        rest[:, Z] += effect.rest @ np.where(np.arange(3) == Z, 0.0, a_v)
        low, high = slopes.at(1)
        z = product_of((1 - effect.beta[1], 1 - effect.beta[0]), (k_v[Z] + low, k_v[Z] + high))
        rest[:Z, Z] += effect.beta_magnitude[:Z, Z] * a_v[Z]
        rest[Z, Z] = effect.beta_magnitude[Z, :Z] @ a_v[:Z] + _half(z)
        return np.array([k_v[0], k_v[1], sum(z) / 2]), np.asarray(rest)

    def shift(self) -> Array:
        """Return bounds (3,) of d2, what the latency between observer and command leaves of d [N]."""
        kept = self.one_noise * (1 - math.exp(-self.observer * self.latency))
        return 2 * self.observer * self.mass * kept * np.array(self.noise_velocity)

    def command_noise(
        self, slopes: ForceSlopes, tilt: float, surface: float = 0.0, setpoint: float = 0.0
    ) -> Array:
        """Return the bounds (3,) of |F_c - F0| that noise and the solver cause [N].

        Where the velocity's noise is an input of its own, without its ``noise_gain``. Over a deck
        ``surface`` [m] bounds the error of its believed height, ``setpoint`` [N] what a set-point off
        the reference asks for.
        """
        n_p, n_v = np.array(self.noise_position), np.array(self.noise_velocity)
        size, rest = slopes.magnitude, self.cancelled(slopes, tilt).rest
        wanted = np.full(3, self.tolerance) + size[:, 0] * (n_p[Z] + surface)
        wanted[:Z] += np.array(self.k_p[:Z]) * n_p[:Z]
        wanted[Z] = self.tolerance + _shifted(self.k_p[Z], slopes.at(0)) * n_p[Z]
        wanted[Z] += size[Z, 0] * surface + setpoint
        if self.one_noise:
            left = self.noise_gain(slopes, tilt)[1] @ n_v
            return np.asarray(rest @ (wanted + self.shift()) + left)
        k_v = np.array(self.k_v) + self.observer * self.mass
        moved = k_v * n_v + size[:, 1] * n_v[Z]
        moved[Z] = _shifted(float(k_v[Z]), slopes.at(1)) * n_v[Z]
        return np.asarray(rest @ (wanted + moved))

    def observer_noise(
        self,
        slopes: ForceSlopes,
        tilt: float,
        thrust: float,
        contract_step: Array,
        sideways: float = math.inf,
        surface: float = 0.0,
    ) -> Array:
        """Return the bounds (3,) of n that noise causes, with thrust at most ``thrust`` [N].

        ``contract_step`` (3,): how far c moves between a sample and the next [N]; ``sideways``: bound
        of the real force's horizontal part [N]; ``surface``: of the error of a deck's height [m].
        """
        if not self.observer:
            return np.zeros(3)
        s, a, share = math.sin(tilt), self.noise_attitude, self.noise_thrust
        level = min(s, sideways / thrust)  # the most tilted is not the strongest
        turned = np.full(3, a * (1 + level) + 1.5 * a**2)
        turned[Z] = math.sqrt(2) * a * level + 1.5 * a**2
        measured = thrust * (share * np.array([level, level, 1.0]) + (1 + share) * turned)
        size = slopes.magnitude
        felt = size @ np.array(
            [self.noise_position[Z] + surface, self.noise_velocity[Z], share * thrust
             + contract_step @ np.array([s, s, 1.0])]
        )  # fmt: skip
        moved = self.observer * self.mass * np.array(self.noise_velocity)
        if self.one_noise:  # an input of its own; left over: how far d2 moves in a period
            moved = self.period * self.observer * (self.shift() + 2 * moved)
        return np.asarray(measured + felt + moved + contract_step)

    def channels(self, slopes: ForceSlopes, tilt: float, load: float = 0.0) -> CoupledModel:
        """Return the model: a block for each axis; needs ``cancelled(...).least`` > 0.

        ``load``: bound of |kappa|, how far the flown mass is from this one, as a share of it.
        """
        effect = self.cancelled(slopes, tilt)
        gain = self.noise_gain(slopes, tilt)[0]
        blocks = tuple(self._block(j, slopes, tilt, float(gain[j])) for j in range(3))
        names = [(axis, name) for axis in AXES for name in seen_names(self, axis)]
        place = {name: i for i, name in enumerate(names)}
        channels = [(axis, name) for axis in AXES for name in channel_names(self)]
        S = np.zeros((len(channels), len(names)))
        size = slopes.magnitude
        unit = np.array([math.sin(tilt), math.sin(tilt), 1.0])
        half = (slopes.upper - slopes.lower)[Z] / 2
        for row, (axis, name) in enumerate(channels):
            j = AXES.index(axis)
            if name == "thrust slope on force error":
                for i, other in enumerate(AXES):
                    S[row, place[other, "force error"]] = size[j, 2] * unit[i]
                if j == Z:
                    S[row, place["z", "force error"]] = _half(effect.product)
            elif name == "height and speed slopes":
                S[row, place["z", "speed"]] = half[0] if j == Z else size[j, 0]
                S[row, place["z", "acceleration"]] = half[1] if j == Z else size[j, 1]
            elif name == "thrust slope on wanted force":
                for i, other in enumerate(AXES):
                    S[row, place[other, "wanted force rate"]] = effect.beta_magnitude[j, i]
                if j == Z:
                    S[row, place["z", "wanted force rate"]] = _half(effect.beta)
            elif name == "hold and latency":
                S[row, place[axis, "force rate"]] = self.period + self.latency
            elif name == "motor lag":
                S[row, place[axis, "lag's input"]] = (1 / self.lag[0] - 1 / self.lag[1]) / 2
            else:
                assert name == "observer's sampling"
                h = self.period
                for i, other in enumerate(AXES):
                    S[row, place[other, "real force rate"]] = h * size[j, 2] * unit[i]
                S[row, place[axis, "real force rate"]] += h
                S[row, place["z", "speed"]] = h * size[j, 0]
                S[row, place["z", "acceleration"]] = h * size[j, 1]
                if j == Z:
                    S[row, place["z", "acceleration"]] += load * self.mass
                S[row, place[axis, "disturbance rate"]] = h
        back = {"hold and latency": self.period + self.latency, "observer's sampling": self.period}
        return CoupledModel(blocks, S, np.array([back.get(name, 0.0) for _, name in channels]))

    def centres(self, slopes: ForceSlopes, tilt: float, j: int) -> tuple[float, float, float]:
        """Return the middles of a_z [N/m], a_v [N/(m/s)] and beta that the model has on an axis."""
        if j != Z:
            return 0.0, 0.0, 0.0
        return (
            sum(slopes.at(0)) / 2,
            sum(slopes.at(1)) / 2,
            sum(self.cancelled(slopes, tilt).beta) / 2,
        )

    def drive(self, slopes: ForceSlopes, tilt: float, j: int) -> Array:
        """Return F0_d', what the plan alone asks of F0': factors (3,) of its v_d, a_d, j_d."""
        a_z, a_v, beta = self.centres(slopes, tilt, j)
        return (1 - beta) * np.array([-a_z, -a_v, self.mass])

    def fed_forward(self, slopes: ForceSlopes, tilt: float, j: int) -> Array:
        """Return the known part of nu along a compensated plan: factors (3,) of v_d, a_d, j_d.

        To be held from a sample on average h / 2 old; needs ``lead``.
        """
        assert self.lead is not None
        a_z, a_v, beta = self.centres(slopes, tilt, j)
        ahead = self.lead[Z]
        sooner = ahead - self.period / 2
        along = np.array(
            [-a_z * sooner, -a_z * ahead**2 / 2 - a_v * sooner,
             self.mass * (self.lead[j] - self.period / 2) - a_z * ahead**3 / 6 - a_v * ahead**2 / 2]
        )  # fmt: skip
        return (1 - beta) * along

    def deck_fed(self, slopes: ForceSlopes, tilt: float) -> float:
        """Return what nu has of a deck's jerk, from a sample on average h / 2 old [N s^3/m]."""
        assert self.deck_lead is not None
        return float(self.drive(slopes, tilt, Z)[2] * (self.deck_lead - self.period / 2))

    def _block(self, j: int, slopes: ForceSlopes, tilt: float, gain: float) -> Block:
        m, k_p, k_v, ell = self.mass, self.k_p[j], self.k_v[j], self.observer
        effect = self.cancelled(slopes, tilt)
        A, b, C = self.contract(j)
        still = np.linalg.solve(A, b)
        assert abs(C @ still + 1) < 1e-9, "the contract's H must have gain 1 at rest"
        states = ["position", "velocity", *(f"inner {k}" for k in range(len(b)))]
        states += ["disturbance"] * bool(ell)
        channels, unknown = channel_names(self), unknown_names(self, AXES[j])
        names = [*states, *channels, *unknown]
        names += [name for name in KNOWN if name not in unknown]
        unit = dict(zip(names, np.eye(len(names)), strict=True))
        zero = np.zeros(len(names))
        vertical = float(j == Z)
        a_z, a_v = (vertical * sum(slopes.at(i)) / 2 for i in (0, 1))
        a_t, beta = (vertical * sum(i) / 2 for i in (effect.product, effect.beta))

        p, v, e = unit["position"], unit["velocity"], unit["force error"]
        eta = [unit[f"inner {k}"] for k in range(len(b))]
        d = unit.get("disturbance", zero)
        delta = _sum(C, eta) + unit["contract error"]
        wanted = -k_p * p - k_v * v - d
        error = (
            wanted + (1 + a_t) * delta + unit["thrust slope on force error"] + e
        ) / m  # of the acceleration
        nu, n = unit["hold and latency"], unit.get("observer's sampling", zero)
        if self.one_noise:
            nu = nu - gain * unit["velocity noise"]
            n = n + ell * m * unit["velocity noise"]
        d_rate = ell * (e - d - n)
        speed = v + unit["reference speed"]
        acceleration = error + unit["reference acceleration"]
        deck = unit.get("deck's jerk", zero)
        gamma = m * unit["reference jerk"] + m * deck - k_p * v - k_v * error - d_rate
        gamma = gamma - a_z * speed - a_v * acceleration + unit["height and speed slopes"]
        rate = (1 - beta) * gamma + unit["thrust slope on wanted force"]
        planned = zero
        if self.lead is not None:
            motion = [unit[name] for name in KNOWN[:3]]
            nu = nu + _sum(self.fed_forward(slopes, tilt, j), motion)
            planned = _sum(self.drive(slopes, tilt, j), motion)
        if "deck's jerk" in unit:
            nu = nu + self.deck_fed(slopes, tilt) * deck
            planned = planned + self.drive(slopes, tilt, Z)[2] * deck
        eta_rate = [_sum(A[k], eta) + b[k] * nu + still[k] * rate for k in range(len(b))]
        # the last row of A eta + b nu is the lag's rate times what the motors see
        lagging = (_sum(A[-1], eta) + b[-1] * nu) / -A[-1, -1]
        if "motor lag" in unit:
            eta_rate[-1] = eta_rate[-1] + unit["motor lag"]
        inner = _sum(C, [_sum(A[k], eta) + b[k] * nu for k in range(len(b))])
        if "motor lag" in unit:
            inner = inner + C[-1] * unit["motor lag"]
        signals = {
            "force error": delta, "wanted force rate": gamma, "force rate": rate - planned,
            "speed": speed, "acceleration": acceleration, "lag's input": lagging,
            "disturbance rate": d_rate, "real force rate": inner,
        }  # fmt: skip
        seen = seen_names(self, AXES[j])
        outputs = [p, v, wanted, d, self.reply(slopes, j)[0] * wanted + delta]
        derivative = np.stack([v, error, *eta_rate, *([d_rate] * bool(ell))])
        rows = np.stack([*(signals[name] for name in seen), *outputs])
        n_x, n_u = len(states), len(channels) + len(unknown)
        known = [names.index(name) for name in KNOWN]
        return Block(
            derivative[:, :n_x], derivative[:, n_x : n_x + n_u], rows[:, :n_x],
            rows[:, n_x : n_x + n_u], derivative[:, known], rows[:, known], len(channels), len(seen),
        )  # fmt: skip


OUTPUTS = ("position error", "velocity error", "wanted force error", "disturbance", "real force")
"""Outputs of each block: p~ [m], v~ [m/s], -k_p p~ - k_v v~ - d [N], d [N], and how far F_a moves
with what is wanted, (1 / (1 + a_T)) (-k_p p~ - k_v v~ - d) + delta [N]."""


def channel_names(loop: SpatialLoop) -> tuple[str, ...]:
    """Return the channels of each axis."""
    names: tuple[str, ...] = (
        "thrust slope on force error", "height and speed slopes", "thrust slope on wanted force",
        "hold and latency",
    )  # fmt: skip
    if loop.lag[1] > loop.lag[0]:
        names += ("motor lag",)
    return names + ("observer's sampling",) * bool(loop.observer)


def unknown_names(loop: SpatialLoop, axis: str) -> tuple[str, ...]:
    """Return the unknown inputs of an axis beside its channels."""
    names: tuple[str, ...] = ("force error", "contract error", "reference jerk")
    names += ("velocity noise",) * loop.one_noise
    names += ("deck's jerk",) * (axis == "z" and loop.deck_lead is not None)
    return names + ("reference speed", "reference acceleration") * (axis == "z")


def seen_names(loop: SpatialLoop, axis: str) -> tuple[str, ...]:
    """Return what channels see of an axis."""
    names: tuple[str, ...] = ("force error", "wanted force rate", "force rate")
    if axis == "z":
        names += ("speed", "acceleration")
    if loop.lag[1] > loop.lag[0]:
        names += ("lag's input",)
    return names + ("disturbance rate", "real force rate") * bool(loop.observer)


def _sum(weights: Array, signals: list[Array]) -> Array:
    return np.asarray(sum(w * s for w, s in zip(weights, signals, strict=True)))


def _triple(values: Array) -> Triple:
    x, y, z = map(float, values)
    return x, y, z


def _half(interval: Interval) -> float:
    return (interval[1] - interval[0]) / 2


def _shifted(by: float, interval: Interval) -> float:
    return max(abs(by + interval[0]), abs(by + interval[1]))
