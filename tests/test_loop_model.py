"""The linear model with its channels contains the loop it stands for, exactly."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from neural_lander.controller.loop_model import (
    LinearModel,
    VerticalLoop,
    VerticalSlopes,
    peak_to_peak_gains,
)
from neural_lander.controller.vehicle import GRAVITY

LOOP = VerticalLoop(
    mass=1.47,
    k_p=1.47 * 8,
    k_v=1.47 * 6,
    lag=(0.035, 0.045),
    period=0.002,
    latency=0.004,
    observer=5.0,
)


# --- peak-to-peak gains ------------------------------------------------------------------------


def gain(A, B, C, D=None, **options):
    A, B, C = (np.atleast_2d(np.asarray(x, dtype=float)) for x in (A, B, C))
    return peak_to_peak_gains(
        A, B, C, np.zeros((len(C), B.shape[1])) if D is None else D, **options
    )


def test_a_first_order_lag_passes_its_gain():
    value = gain([[-1 / 0.04]], [[3 / 0.04]], [[1.0]])[0, 0]
    assert 3 <= value <= 3 * (1 + 1e-3)


def test_a_high_pass_doubles_the_peak():
    value = gain([[-5.0]], [[5.0]], [[-1.0]], np.array([[1.0]]))[0, 0]
    assert 2 <= value <= 2 * (1 + 1e-3)


@pytest.mark.parametrize("damping", [0.05, 0.2, 0.5, 0.9, 0.999])
def test_a_second_order_system_has_the_gain_of_the_textbook(damping):
    """int |g| dt = coth(pi zeta / (2 sqrt(1 - zeta^2))) for g of a lag of second order."""
    omega = 14.0
    exact = 1 / math.tanh(math.pi * damping / (2 * math.sqrt(1 - damping**2)))
    value = gain([[0, 1], [-(omega**2), -2 * damping * omega]], [[0], [omega**2]], [[1, 0]])[0, 0]
    assert exact <= value <= exact * (1 + 1e-3)


def test_a_double_pole_without_sign_change_has_its_dc_gain():
    value = gain([[0, 1], [-9, -6]], [[0], [9]], [[1, 0]])[0, 0]
    assert 1 <= value <= 1 + 1e-3


@pytest.mark.parametrize("decays", [2.0, 4.0, 8.0])
def test_what_comes_after_the_end_of_the_grid_is_counted(decays):
    """A lag whose grid ends while e^-2 of it is still to come."""
    value = gain([[-5.0]], [[5.0]], [[1.0]], decays=decays)[0, 0]
    assert 1 <= value <= 1 + 1e-3
    A, B, C = [[0, 1], [-196, -5.6]], [[0], [196]], [[1, 0]]
    exact = 1 / math.tanh(math.pi * 0.2 / (2 * math.sqrt(1 - 0.04)))
    assert exact <= gain(A, B, C, decays=decays)[0, 0]


def test_a_coarse_grid_only_loosens_the_bound():
    A, B, C = [[0, 1], [-196, -5.6]], [[0], [196]], [[1, 0]]
    fine, coarse = gain(A, B, C)[0, 0], gain(A, B, C, steps=512)[0, 0]
    exact = 1 / math.tanh(math.pi * 0.2 / (2 * math.sqrt(1 - 0.04)))
    assert exact <= fine <= coarse


# --- the identities -----------------------------------------------------------------------------

Layers = list[tuple[np.ndarray, np.ndarray]]


def small_network(seed: int) -> Layers:
    """phi(z, v, T) in SI with slopes about as steep as the ground effect's."""
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=(12, 3)) * [1.5, 0.7, 0.1], rng.normal(size=12) * [1.0]),
        (0.3 * rng.normal(size=(8, 12)), 0.3 * rng.normal(size=8)),
        (0.4 * rng.normal(size=(1, 8)), np.zeros(1)),
    ]


def phi(net: Layers, z: float, v: float, thrust: float) -> float:
    y = np.array([z, v, thrust - 14.4])
    for w, b in net[:-1]:
        y = np.maximum(w @ y + b, 0)
    return float((net[-1][0] @ y + net[-1][1])[0])


def tangent(net: Layers, z: float, v: float, thrust: float) -> np.ndarray:
    """Slopes in z, v, T."""
    y, t = np.array([z, v, thrust - 14.4]), np.eye(3)
    for w, b in net[:-1]:
        y, t = w @ y + b, w @ t
        t = np.where(y[:, None] > 0, t, 0)
        y = np.maximum(y, 0)
    return (net[-1][0] @ t)[0]


def solve(net: Layers, z: float, v: float, wanted: float) -> float:
    """The thrust with T + phi(z, v, T) = wanted, to rounding: Newton on a piecewise line."""
    thrust = wanted
    for _ in range(60):
        gap = thrust + phi(net, z, v, thrust) - wanted
        if abs(gap) < 1e-14:
            break
        thrust -= gap / (1 + tangent(net, z, v, thrust)[2])
    assert abs(gap) < 1e-12
    return thrust


@dataclass
class Moment:
    """All that the identities need at one instant, with true quotients."""

    x: np.ndarray
    x_rate: np.ndarray
    q: dict[str, float]
    outside: dict[str, float]
    seen: dict[str, float]
    slopes: dict[str, float]


def flight(net: Layers, loop: VerticalLoop, lag: float, middle: LinearModel, mid: dict[str, float]):
    """Fly the nonlinear loop: 0.25 ms plant, hold, latency, sampled observer, no noise."""
    m, ell, h, dt = loop.mass, loop.observer, loop.period, 2.5e-4
    per_step, late = round(h / dt), round(loop.latency / h)
    z, v, thrust = 0.55, 0.1, 14.0
    w, d_hat = m * v, 0.0
    pipeline = [14.4] * late
    moments = []

    def reference(t):
        a, o = 0.2, 3.0
        return (
            0.5 + a * math.sin(o * t),
            a * o * math.cos(o * t),
            -a * o**2 * math.sin(o * t),
            -a * o**3 * math.cos(o * t),
        )

    def wanted(t, z, v, d):
        z_d, v_d, a_d, _ = reference(t)
        return m * (GRAVITY + a_d) - loop.k_v * (v - v_d) - loop.k_p * (z - z_d) - d

    for k in range(4800):
        t = k * dt
        if k % per_step == 0:
            if ell:
                d_hat = ell * (m * v - w)
            pipeline.append(solve(net, z, v, wanted(t, z, v, d_hat)))
            held = pipeline.pop(0)
            w_rate = thrust + phi(net, z, v, thrust) - m * GRAVITY + d_hat if ell else 0.0
        d = ell * (m * v - w)
        e = 0.3 * math.sin(5 * t)
        z_d, v_d, a_d, j_d = reference(t)
        force = thrust - m * GRAVITY + phi(net, z, v, thrust) + e
        a, thrust_rate = force / m, (held - thrust) / lag
        d_rate = ell * (m * a - w_rate)
        if k % 8 == 5 and k > 400:
            ideal = solve(net, z, v, wanted(t, z, v, d))

            def ideal_after(s, z=z, v=v, t=t, d=d, a=a, d_rate=d_rate):
                later = wanted(t + s, z + s * v, v + s * a, d + s * d_rate)
                return solve(net, z + s * v, v + s * a, later)

            s = 1e-5
            ideal_rate = (ideal_after(s) - ideal_after(-s)) / (2 * s)
            delta, nu = thrust - ideal, held - ideal
            u1 = (phi(net, z, v, thrust) - phi(net, z, v, ideal)) / delta
            a_z, a_v, u2 = tangent(net, z, v, ideal)
            kink = not np.allclose(
                tangent(net, z + s * v, v + s * a, ideal_after(s)), [a_z, a_v, u2]
            )
            kink |= not np.allclose(
                tangent(net, z - s * v, v - s * a, ideal_after(-s)), [a_z, a_v, u2]
            )
            if kink:
                continue
            wanted_rate = m * j_d - loop.k_p * (v - v_d) - loop.k_v * (a - a_d) - d_rate
            b = 1 / (1 + u2)
            n = d_rate / ell - e + d if ell else 0.0
            to_command = delta - nu
            moments.append(
                Moment(
                    x=np.array([z - z_d, v - v_d, delta, d][: len(middle.A)]),
                    x_rate=np.array([v - v_d, a - a_d, thrust_rate - ideal_rate, d_rate])[
                        : len(middle.A)
                    ],
                    q={
                        "thrust slope on thrust error": (u1 - mid["u"]) * delta,
                        "thrust slope on wanted force": (b - mid["b"]) * wanted_rate,
                        "height slope": -(a_z * b - mid["bz"]) * v,
                        "speed slope": -(a_v * b - mid["bv"]) * a,
                        "hold and latency": nu,
                        "motor lag": -(1 / lag - mid["rate"]) * to_command,
                        "observer's sampling": n,
                    },
                    outside={
                        "force error": e,
                        "command noise": 0.0,
                        "reference jerk": j_d,
                        "reference speed": v_d,
                        "reference acceleration": a_d,
                        "observer's noise": 0.0,
                    },
                    seen={
                        "thrust error": delta,
                        "wanted force rate": wanted_rate,
                        "speed": v,
                        "acceleration": a,
                        "thrust rate": ideal_rate,
                        "thrust error to command": to_command,
                        "disturbance rate": d_rate,
                    },
                    slopes={"z": a_z, "v": a_v, "u1": u1, "u2": u2},
                )
            )
        z, v, thrust, w = z + dt * v, v + dt * a, thrust + dt * thrust_rate, w + dt * w_rate
    return moments


def middles(slopes: VerticalSlopes, loop: VerticalLoop) -> dict[str, float]:
    b = np.array([1 / (1 + slopes.thrust[1]), 1 / (1 + slopes.thrust[0])])
    bz, bv = np.outer(b, slopes.height), np.outer(b, slopes.vertical_speed)
    return {
        "u": sum(slopes.thrust) / 2,
        "b": b.mean(),
        "bz": (bz.min() + bz.max()) / 2,
        "bv": (bv.min() + bv.max()) / 2,
        "rate": (1 / loop.lag[0] + 1 / loop.lag[1]) / 2,
    }


def steepest(net: Layers) -> VerticalSlopes:
    """Slope intervals by sampling, a fifth wider: enough for a test flight."""
    rng = np.random.default_rng(0)
    found = np.array(
        [tangent(net, *u) for u in rng.uniform([-0.5, -3, 0], [1.5, 3, 30], (4000, 3))]
    )
    low, high = found.min(axis=0), found.max(axis=0)
    spread = 0.1 * (high - low)
    (z, v, u) = zip(low - spread, high + spread, strict=True)
    return VerticalSlopes(z, v, u)


@pytest.mark.parametrize("observer", [0.0, 5.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_flown_loop_is_the_linear_model_with_the_true_quotients(seed, observer):
    """x' = A x + B q and r = C x + D q to rounding, every |q| inside its channel."""
    net, loop, lag = small_network(seed), replace(LOOP, observer=observer), 0.037
    slopes = steepest(net)
    model = loop.channels(slopes)
    moments = flight(net, loop, lag, model, middles(slopes, loop))
    assert len(moments) > 300
    assert np.ptp([m.slopes["u2"] for m in moments]) > 0.01  # it crossed pieces of the network
    names = model.names
    sup = np.array([max(abs(m.seen[name]) for m in moments) for name in names["seen"]])
    for moment in moments:
        inputs = [moment.q[name] for name in names["channels"]]
        inputs += [moment.outside[name] for name in names["outside"]]
        scale = 1 + np.abs(moment.x_rate)
        residual = model.A @ moment.x + model.B @ inputs - moment.x_rate
        # Ṫ° comes from a central difference of a root found to 1e-14 over 2e-5 s, and curvature.
        assert (np.abs(residual) < 1e-6 * scale).all(), residual
        outputs = model.C @ moment.x + model.D @ inputs
        expected = [moment.seen[name] for name in names["seen"]] + [*moment.x[:2]]
        expected += [-loop.k_p * moment.x[0] - loop.k_v * moment.x[1] - sum(moment.x[3:])]
        expected += [*moment.x[3:]]
        np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-6)
        q = np.abs([moment.q[name] for name in names["channels"]])
        assert (q <= model.delta @ sup * (1 + 1e-3) + 1e-9).all()


def test_the_channels_of_slopes_hold_at_every_instant_not_only_for_the_whole_flight():
    net, loop = small_network(2), replace(LOOP, observer=0.0)
    slopes = steepest(net)
    model = loop.channels(slopes)
    for moment in flight(net, loop, 0.044, model, middles(slopes, loop)):
        for i in (0, 1, 2, 3, 5):  # all but the delay, which looks back
            r = np.abs([moment.seen[name] for name in model.names["seen"]])
            assert abs(moment.q[model.names["channels"][i]]) <= model.delta[i] @ r + 1e-9


# --- the loop and its vehicle --------------------------------------------------------------------


def test_the_gains_are_those_of_the_vehicle(intel_aero):
    loop = VerticalLoop.of(intel_aero, "learned+observer")
    m = intel_aero.mass
    bandwidth, position = intel_aero.gains.velocity[2], intel_aero.gains.position[2]
    assert loop.k_p == pytest.approx(m * bandwidth * position)
    assert loop.k_v == pytest.approx(m * (bandwidth + position))
    assert loop.lag == pytest.approx((0.035, 0.045))
    assert loop.observer == intel_aero.gains.observer_beside
    assert VerticalLoop.of(intel_aero, "learned").observer == 0


def test_without_network_the_poles_are_those_of_the_design():
    """Lambda, K_v/m, the observer's bandwidth, and the (very quick) motor."""
    flat = VerticalSlopes((0, 0), (0, 0), (0, 0))
    lag = 1e-4
    quick = replace(LOOP, lag=(lag, lag))
    poles = np.sort(np.linalg.eigvals(quick.channels(flat).A).real)
    np.testing.assert_allclose(poles[1:], [-5, -4, -2], rtol=0.02)
    assert poles[0] == pytest.approx(-1 / lag, rel=0.02)


def test_steeper_or_later_or_less_known_means_a_larger_loop_gain():
    slopes = VerticalSlopes((-6.4, 1.16), (-1.45, 1.36), (-0.11, 0.16))

    def radius(slopes, loop):
        model = loop.channels(slopes)
        channels, seen = model.delta.shape
        gains = peak_to_peak_gains(
            model.A, model.B[:, :channels], model.C[:seen], model.D[:seen, :channels]
        )
        return np.abs(np.linalg.eigvals(gains @ model.delta)).max()

    base = radius(slopes, LOOP)
    assert radius(slopes.scaled(1.2), LOOP) > base
    assert radius(slopes, replace(LOOP, latency=0.010)) > base
    assert radius(slopes, replace(LOOP, lag=(0.03, 0.05))) > base
    assert radius(slopes, replace(LOOP, observer=0.0)) < base


def test_the_small_gain_of_the_published_slopes_is_the_known_one():
    """K_v/m 4, Lambda 2, lag 40 ms, h 2 ms, L 4 ms, no observer: rho 0.44 (0.77 for norms)."""
    loop = replace(LOOP, lag=(0.04, 0.04), observer=0.0)
    k_t = 0.089379 * 1.225 * 0.23**4 * (8000 / 60) ** 2  # thrust of a rotor = k_t (RPM/8000)^2

    def in_thrust(low, high):
        """Slope in thrust of a slope in u = RPM/8000 of all four: df/dT = df/du / (8 k_t u)."""
        ends = [x / (8 * k_t * u) for x in (low, high) for u in (6100 / 8000, 6900 / 8000)]
        return min(ends), max(ends)

    for z, v, u, known in (
        ((-6.40, 1.16), (-1.45, 1.36), (-3.77, 5.48), 0.44),
        ((-6.18, 0.80), (-1.30, 1.04), (-2.02, 4.88), 0.37),
        ((-5.42, -2.32), (-0.10, 0.53), (-0.07, 2.25), 0.18),
        ((0, 0), (0, 0), (0, 0), 0.06),
    ):
        model = loop.channels(VerticalSlopes(z, v, in_thrust(*u)))
        gains = peak_to_peak_gains(model.A, model.B[:, :6], model.C[:6], model.D[:6, :6])
        radius = np.abs(np.linalg.eigvals(gains @ model.delta)).max()
        assert radius == pytest.approx(known, abs=0.006)


def test_noise_of_the_command_is_what_the_gains_make_of_it():
    flat = VerticalSlopes((0, 0), (0, 0), (0, 0))
    loop = replace(LOOP, noise_position=0.002, noise_velocity=0.02, tolerance=0.005)
    expected = loop.k_p * 0.002 + (loop.k_v + 5 * loop.mass) * 0.02 + 0.005
    assert loop.command_noise(flat) == pytest.approx(expected)
    steep = VerticalSlopes((-3, 3), (-1, 1), (-0.5, 0.5))
    assert loop.command_noise(steep) > 2 * expected
