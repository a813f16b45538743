"""The vertical loop as a linear model with uncertain channels.

    plant     z' = v,  m v' = T - m g + phi(z, v, T) + e,   T' = (T_held - T) / tau
    control   every h:  T_c + phi(z^, v^, T_c) = F_d - d^ + s, |s| <= tol;  applied after L, held
              F_d = m (g + a_d) - k_v v~ - k_p z~,  k_p = K_v Lambda,  k_v = K_v + m Lambda
    observer  d^ = l (m v^ - w),  w' = T^ + phi(z^, v^, T^) - m g + d^         (where there is one)

Let T0(t) solve T0 + phi(z, v, T0) = F_d - d, with the true state and, free of noise,
d = l (m v - w); delta = T - T0, nu = T_held - T0. Along every flight there are slopes of phi such
that exactly

    m v~'  = -k_p z~ - k_v v~ + (1 + a_u1) delta + e - d
    delta' = -(delta - nu) / tau - T0',    T0' = (F_d' - d' - a_z v - a_v v') / (1 + a_u2)
    d'     = l (e - d + n),                F_d' = m j_d - k_p v~ - k_v v~'

with a_u1 a secant from T0 to T and the others tangents at T0. nu is at most the noise of the
command plus (h + L) sup |T0'|. The observer works on samples at most h old, so n is at most its
measurement noise plus h sup (|(T + phi)'| + |d'|). A velocity estimate that lags by tau_e is off by
at most tau_e sup |v'|, over all the time before. Rotors whose *speed* lags by tau have
tau_eff = tau (1 + sqrt(T_held / T)) / 2 in the place of tau.

The middles of all intervals go into a linear model x' = A x + B q, r = C x + D q with
x = (z~, v~, delta, d); what is left are channels |q_i(t)| <= sum_j S_ij sup |r_j|.

Source: the loop of Shi et al., "Neural Lander", ICRA 2019, with motor lag, latency, hold and the
momentum observer added; the channels are the package's own.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import expm

from neural_lander.controller.cancellation import TOLERANCE
from neural_lander.controller.vehicle import Vehicle

Array = npt.NDArray[np.float64]
HUGE = 1e60
"""Transients beyond this are taken as having no bound."""
Interval = tuple[float, float]


@dataclass(frozen=True)
class VerticalSlopes:
    """Intervals of the slopes of the vertical residual force."""

    height: Interval
    """In height [N/m]."""
    vertical_speed: Interval
    """In vertical speed [N/(m/s)]."""
    thrust: Interval
    """In collective thrust [N/N]."""

    def scaled(self, factor: float) -> "VerticalSlopes":
        """Return the slopes of ``factor`` times the network (factor >= 0)."""

        def times(interval: Interval) -> Interval:
            return interval[0] * factor, interval[1] * factor

        return VerticalSlopes(times(self.height), times(self.vertical_speed), times(self.thrust))


@dataclass(frozen=True)
class LinearModel:
    """x' = A x + B q, r = C x + D q, with channels |q| <= delta sup |r| and outside inputs.

    The first ``len(delta)`` columns of B and D are the channels, the others the outside inputs;
    the first ``delta.shape[1]`` rows of C and D are what the channels see, the others outputs.
    """

    A: Array
    B: Array
    C: Array
    D: Array
    names: dict[str, tuple[str, ...]]
    """Names of the "states", "channels", "outside" inputs, "seen" signals, and "outputs"."""
    delta: Array
    """S (channels, seen): |q_i(t)| <= sum_j S_ij sup |r_j|."""
    looks_back: Array
    """(channels,) The sup is over the last so many seconds; 0: now, inf: all before."""


@dataclass(frozen=True)
class VerticalLoop:
    """Numbers of the vertical loop."""

    mass: float
    """[kg]"""
    k_p: float
    """Force per height error [N/m]."""
    k_v: float
    """Force per vertical speed error [N/(m/s)]."""
    lag: Interval
    """Least and greatest motor lag [s]."""
    period: float
    """Control period h [s]."""
    latency: float
    """From a measurement to its command at the rotors, L [s]."""
    noise_position: float = 0.0
    """Bound of the height estimate's error [m]."""
    noise_velocity: float = 0.0
    """Bound of the vertical speed estimate's error [m/s]."""
    tolerance: float = 0.0
    """Bound of the residual the solver of the thrust leaves [N]."""
    observer: float = 0.0
    """Bandwidth of the disturbance observer [1/s]; 0: none."""
    noise_thrust: float = 0.0
    """Bound of the error of the thrust that the observer gets from rotor speeds, share of it."""
    estimate_lag: float = 0.0
    """First-order lag of the velocity estimate behind the velocity [s]."""
    speed_lags: bool = False
    """Whether ``lag`` is that of the rotors' speed instead of their thrust."""
    unequal_rotors: float = 0.0
    """Bound of sum_i |1/tau_i - 1/tau| |T_held,i - T_i| over the rotors [N/s]; 0: alike."""
    thrust_limits: Interval = (0.0, math.inf)
    """Least and greatest collective thrust [N]."""
    observer_limit: float = math.inf
    """Greatest disturbance that the observer reports [N]."""

    @staticmethod
    def of(vehicle: Vehicle, controller: str) -> "VerticalLoop":
        """Return the loop of a vehicle under ``controller``; '...+observer' has the observer."""
        bandwidth, position = float(vehicle.gains.velocity[2]), float(vehicle.gains.position[2])
        lag, spread = vehicle.rotors.lag, vehicle.rotors.lag_tolerance
        return VerticalLoop(
            mass=vehicle.mass,
            k_p=vehicle.mass * bandwidth * position,
            k_v=vehicle.mass * (bandwidth + position),
            lag=(lag - spread, lag + spread),
            period=vehicle.timing.period,
            latency=vehicle.timing.latency,
            noise_position=vehicle.noise.position,
            noise_velocity=vehicle.noise.velocity,
            tolerance=TOLERANCE * vehicle.weight,
            observer=vehicle.gains.observer_of(controller),
            noise_thrust=(1 + vehicle.noise.rotor_speed) ** 2 - 1,
            thrust_limits=vehicle.thrust_limits,
            observer_limit=vehicle.gains.observer_limit * vehicle.weight,
        )

    def effective_lag(self, thrust: Interval) -> Interval:
        """Return the range of the lag of thrust while thrust and command are in ``thrust`` [N]."""
        if not self.speed_lags:
            return self.lag
        ratio = math.sqrt(thrust[1] / max(thrust[0], 1e-9))
        return self.lag[0] * (1 + 1 / ratio) / 2, self.lag[1] * (1 + ratio) / 2

    def command_noise(self, slopes: VerticalSlopes) -> float:
        """Return the bound of |T_c - T0| that noise and the solver cause, nu_n [N]."""
        gain = 1 / (1 + slopes.thrust[0])
        position = _magnitude((self.k_p + slopes.height[0], self.k_p + slopes.height[1]))
        velocity = _magnitude(
            (self.k_v + slopes.vertical_speed[0], self.k_v + slopes.vertical_speed[1])
        )
        velocity += self.observer * self.mass
        return gain * (
            position * self.noise_position + velocity * self.noise_velocity + self.tolerance
        )

    def observer_noise(self, slopes: VerticalSlopes, thrust: float) -> float:
        """Return the bound of n that noise causes, with thrust at most ``thrust`` [N]."""
        if not self.observer:
            return 0.0
        velocity = self.observer * self.mass + _magnitude(slopes.vertical_speed)
        measured = (1 + _magnitude(slopes.thrust)) * self.noise_thrust * thrust
        return (
            velocity * self.noise_velocity
            + _magnitude(slopes.height) * self.noise_position
            + measured
        )

    def channels(self, slopes: VerticalSlopes, lag: Interval | None = None) -> LinearModel:
        """Return the linear model and its channels; needs 1 + slopes.thrust[0] > 0.

        ``lag``: of thrust, if it is known better than over all thrusts.
        """
        m, k_p, k_v, bandwidth = self.mass, self.k_p, self.k_v, self.observer
        a_u, a_u_half = _middle(slopes.thrust)
        b_range = (1 / (1 + slopes.thrust[1]), 1 / (1 + slopes.thrust[0]))
        b, b_half = _middle(b_range)
        b_z, b_z_half = _middle(_product(b_range, slopes.height))
        b_v, b_v_half = _middle(_product(b_range, slopes.vertical_speed))
        lag = lag or self.lag
        rate, rate_half = _middle((1 / lag[1], 1 / lag[0]))

        states: tuple[str, ...] = ("height error", "speed error", "thrust error")
        channels: tuple[str, ...] = (
            "thrust slope on thrust error",
            "thrust slope on wanted force",
            "height slope",
            "speed slope",
            "hold and latency",
            "motor lag",
        )
        seen: tuple[str, ...] = (
            "thrust error",
            "wanted force rate",
            "speed",
            "acceleration",
            "thrust rate",
            "thrust error to command",
        )
        outside: tuple[str, ...] = (
            "force error", "command noise", "reference jerk", "reference speed",
            "reference acceleration",
        )  # fmt: skip
        if bandwidth:
            states += ("disturbance",)
            channels += ("observer's sampling",)
            seen += ("disturbance rate",)
            outside += ("observer's noise",)
        if self.estimate_lag:
            channels += ("estimator's lag", "estimator's lag in the observer")[
                : 1 + bool(bandwidth)
            ]

        signals = (*states, *(f"q: {name}" for name in channels), *outside)
        unit = dict(zip(signals, np.eye(len(signals)), strict=True))
        zero = np.zeros(len(signals))

        z, v, delta = (unit[name] for name in states[:3])
        d = unit["disturbance"] if bandwidth else zero
        e = unit["force error"]
        force = -k_p * z - k_v * v + (1 + a_u) * delta + unit[f"q: {channels[0]}"] + e - d
        acceleration_error = force / m
        d_rate = zero
        if bandwidth:
            n = unit[f"q: {channels[6]}"] + unit["observer's noise"]
            if self.estimate_lag:
                n = n + unit["q: estimator's lag in the observer"]
            d_rate = bandwidth * (e - d + n)
        wanted_rate = m * unit["reference jerk"] - k_p * v - k_v * acceleration_error - d_rate
        speed = v + unit["reference speed"]
        acceleration = acceleration_error + unit["reference acceleration"]
        uncertain = (
            unit[f"q: {channels[1]}"] + unit[f"q: {channels[2]}"] + unit[f"q: {channels[3]}"]
        )
        thrust_rate = b * wanted_rate - b_z * speed - b_v * acceleration + uncertain
        to_command = delta - unit[f"q: {channels[4]}"] - unit["command noise"]
        if self.estimate_lag:
            to_command = to_command - unit["q: estimator's lag"]
        delta_rate = -rate * to_command + unit[f"q: {channels[5]}"] - thrust_rate

        derivative = np.stack([v, acceleration_error, delta_rate, d_rate][: len(states)])
        outputs = np.stack(
            [delta, wanted_rate, speed, acceleration, thrust_rate, to_command]
            + [d_rate] * bool(bandwidth)
            + [z, v, -k_p * z - k_v * v - d]
            + [d] * bool(bandwidth)
        )
        widths = np.zeros((len(channels), len(seen)))
        for row, (column, width) in enumerate(
            [
                (0, a_u_half),
                (1, b_half),
                (2, b_z_half),
                (3, b_v_half),
                (4, self.period + self.latency),
                (5, rate_half),
            ]
        ):
            widths[row, column] = width
        if bandwidth:
            widths[6, 5] = self.period * (1 + slopes.thrust[1]) / lag[0]
            widths[6, 2] = self.period * _magnitude(slopes.height)
            widths[6, 3] = self.period * _magnitude(slopes.vertical_speed)
            widths[6, 6] = self.period
        if self.estimate_lag:
            widths[channels.index("estimator's lag"), 3] = (
                self._velocity_gain(slopes) * self.estimate_lag
            )
            if bandwidth:
                widths[-1, 3] = bandwidth * m * self.estimate_lag
        back = {"hold and latency": self.period + self.latency, "observer's sampling": self.period}
        back |= dict.fromkeys(("estimator's lag", "estimator's lag in the observer"), math.inf)
        n_x = len(states)
        return LinearModel(
            A=derivative[:, :n_x],
            B=derivative[:, n_x:],
            C=outputs[:, :n_x],
            D=outputs[:, n_x:],
            names={
                "states": states,
                "channels": channels,
                "outside": outside,
                "seen": seen,
                "outputs": ("height error", "speed error", "wanted force error")
                + ("disturbance",) * bool(bandwidth),
            },
            delta=widths,
            looks_back=np.array([back.get(name, 0.0) for name in channels]),
        )

    def _velocity_gain(self, slopes: VerticalSlopes) -> float:
        """Return how far the command moves with an error of the velocity estimate [N/(m/s)]."""
        ends = (self.k_v + slopes.vertical_speed[0], self.k_v + slopes.vertical_speed[1])
        return (_magnitude(ends) + self.observer * self.mass) / (1 + slopes.thrust[0])


def peak_to_peak_gains(
    A: Array, B: Array, C: Array, D: Array, steps: int = 32_768, decays: float = 20.0
) -> Array:
    """Return upper bounds of |D| + integral_0^inf |C e^{At} B| dt, element by element.

    Inside a cell of length k a function lies below the chord of its ends by at most
    s (k - s) / 2 sup |g''|, so the integral of |g| is at most the trapezoid of |g| plus
    k^3 / 12 sup |g''|, with |g''(t + s)| <= |C A^2 e^{At}| e^{|A| k} |B|. What comes after the
    grid's end t_n is at most (integral_0^t_n |C e^{At}| dt) (I - |P|)^-1 |P| |B|, P = e^{A t_n}.

    The grid ends after ``decays`` time constants of the slowest mode and has at most ``steps``
    cells, rounded up to a power of two; less of either only loosens the bound.
    A must be Hurwitz; infinite where the grid cannot show that e^{At} decays.
    """
    rates = np.linalg.eigvals(A)
    slowest, fastest = float(-rates.real.max()), float(np.abs(rates).max())
    assert slowest > 0, "A must be Hurwitz"
    horizon = decays / slowest
    cells = 1 << max(8, math.ceil(math.log2(min(steps, 20 * horizon * fastest))))
    cell = horizon / cells

    powers = np.eye(len(A))[None]
    while len(powers) <= cells:
        step = expm(A * cell * len(powers))
        if not np.abs(step).max() < HUGE:
            return np.full(D.shape, np.inf)
        powers = np.concatenate([powers, powers @ step])
    if not np.abs(powers).max() < HUGE:  # a transient this large is none that a bound is wanted of
        return np.full(D.shape, np.inf)
    left = C @ powers[: cells + 1]
    end = np.abs(powers[cells])
    curved = np.abs(C @ A @ A @ powers[:cells]).sum(axis=0) @ expm(np.abs(A) * cell)
    curved *= cell**3 / 12
    if not np.isfinite(curved).all():
        return np.full(D.shape, np.inf)

    kernel = np.abs(left @ B)
    inside = cell * (kernel[:-1] + kernel[1:]).sum(axis=0) / 2 + curved @ np.abs(B)
    if np.abs(np.linalg.eigvals(end)).max() >= 0.5:
        return np.full(D.shape, np.inf)
    rows = np.abs(left)
    area = cell * (rows[:-1] + rows[1:]).sum(axis=0) / 2 + curved
    tail = area @ np.linalg.solve(np.eye(len(A)) - end, end @ np.abs(B))
    return np.asarray((np.abs(D) + inside + tail) * (1 + 1e-9))


def _middle(interval: Interval) -> tuple[float, float]:
    """Return the middle of an interval, and its half-width."""
    return (interval[0] + interval[1]) / 2, (interval[1] - interval[0]) / 2


def _product(a: Interval, b: Interval) -> Interval:
    corners = [x * y for x in a for y in b]
    return min(corners), max(corners)


def _magnitude(interval: Interval) -> float:
    return max(abs(interval[0]), abs(interval[1]))
