"""Loops, plans and a force in R^3 made by hand, and tubes made with a mistake on purpose."""

from dataclasses import replace
from unittest import mock

import numpy as np

from neural_lander.controller.causal_bounds import CoupledModel
from neural_lander.controller.force_slopes import ForceSlopes
from neural_lander.controller.setpoint import plan_through
from neural_lander.controller.spatial_model import (
    AXES,
    SpatialLoop,
    channel_names,
    seen_names,
)
from neural_lander.controller.spatial_terms import SpatialErrors, SpatialStart
from neural_lander.controller.spatial_tube import tube_in_space
from neural_lander.learning.restricted_force import RestrictedForce

from .vertical_tube import ground_effect

MASS = 1.47
LOOP = SpatialLoop(
    mass=MASS,
    k_p=(MASS * 8,) * 3,
    k_v=(MASS * 6,) * 3,
    bandwidth=14.0,
    damping=0.9,
    lag=(0.04, 0.04),
    period=0.002,
    latency=0.004,
    noise_position=(0.002,) * 3,
    noise_velocity=(0.01,) * 3,
    noise_attitude=0.003,
    tolerance=0.0,
    noise_thrust=0.01,
    thrust_limits=(0.0, 24.5),
)
QUIET = LOOP.quiet()
ERRORS = SpatialErrors((0.04,) * 3, contract=(0.15, 0.15, 0.015))
NO_ERRORS = SpatialErrors((1e-5,) * 3)

SIDEWAYS = np.array([0.5, -0.3, 0.4, 0.2, 0.1, 0.0]), np.array([-0.2, 0.4, 0.1, -0.3, 0.0, 0.05])


def force(scale=1.0, in_thrust=0.03, sideways=0.3, turns=False):
    """The vertical tests' ground effect, with a part of it along x and y."""
    level = ground_effect(scale, in_thrust)
    weight, _ = level.layers[-1]
    last = np.stack([sideways * scale * SIDEWAYS[0], sideways * scale * SIDEWAYS[1], weight[0]])
    return RestrictedForce(
        [*level.layers[:-1], (last, np.zeros(3))], level.low, level.high, None, turns
    )


def between(hover, arrival, start, end):
    """A plan that hovers at ``start``, and comes to rest at ``end`` at ``arrival`` [s]."""
    return plan_through(np.array([0.0, hover, arrival]), np.array([start, start, end]))


def linear_in_thrust(slope, height_slope=3.0):
    """phi_z = slope (T - 14) + height_slope relu(0.5 - z): exact slopes above 0.5 m."""
    first = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])
    last = np.array([[0.0, 0.0], [0.0, 0.0], [slope, height_slope]])
    return RestrictedForce(
        [(first, np.array([0.0, 0.5])), (last, np.array([0.0, 0.0, -14 * slope]))],
        np.array([-1.0, -9.0, 0.0]), np.array([9.0, 9.0, 40.0]), None, False,
    )  # fmt: skip


LANDING = between(0.3, 2.3, [0.1, -0.06, 0.7], [0.0, 0.0, 0.12])
"""Down from 0.7 to 0.12 m and sideways as far as 0.1 m."""

LATER = between(7.0, 9.0, [0.0, 0.0, 0.7], [0.0, 0.0, 0.12])
"""Hovers for longer than a slow observer needs, then goes down."""

TRANSFER = between(0.3, 1.4, [0.28, 0.22, 0.8], [0.0, 0.0, 0.8])
"""Fast sideways, at one height."""

CASES = {
    "standard": (LOOP, ERRORS, force(), LANDING),
    "reference": (QUIET, NO_ERRORS, force(2.0, sideways=0.6), LANDING),
    "transfer": (QUIET, NO_ERRORS, linear_in_thrust(0.4), TRANSFER),
    "thrust": (QUIET, NO_ERRORS, linear_in_thrust(-0.35), LANDING),
    "constant": (QUIET, SpatialErrors((0.005,) * 3, (0.15, 0.1, 0.2)), force(), LANDING),
    "observer": (
        replace(LOOP, observer=3.0),
        SpatialErrors((0.02,) * 3, (0.1,) * 3, (0.05, 0.05, 0.01), "test", (0.0, 0.0, 0.0)),
        force(),
        LANDING,
    ),
    "observer, noise of speed": (
        replace(QUIET, observer=6.0, noise_velocity=(0.01,) * 3), NO_ERRORS, force(), LANDING
    ),
    "observer, noise of thrust": (
        replace(QUIET, observer=6.0, noise_attitude=0.01, noise_thrust=0.02), NO_ERRORS, force(), LANDING
    ),
    "observer, changing error": (
        replace(QUIET, observer=0.6), SpatialErrors((0.1,) * 3), linear_in_thrust(0.0), LATER
    ),
}  # fmt: skip
"""Loop, error bounds, force, plan."""

TARGETS = (0.002, 0.008, 0.05, 0.2, 0.6, 1.0, 1.5, 1.9, 2.3)


def tube_again(proof, loop, errors, slopes=lambda s: s, tilt=lambda t: t):
    """The tube of a finished proof once more, with something about it changed."""
    segments = [replace(s, slopes=slopes(s.slopes), tilt=tilt(s.tilt)) for s in proof.segments]
    return tube_in_space(proof.cells, segments, loop, errors, SpatialStart(), proof.rest)


def transposed(loop, model):
    """The model with what one axis does to another turned round."""
    seen = [(axis, name) for axis in AXES for name in seen_names(loop, axis)]
    channels = [(axis, name) for axis in AXES for name in channel_names(loop)]
    S = np.zeros_like(model.S)
    for row, (axis, channel) in enumerate(channels):
        for column, (other, signal) in enumerate(seen):
            if (axis, signal) in seen:
                S[row, column] = model.S[
                    channels.index((other, channel)), seen.index((axis, signal))
                ]
    return CoupledModel(model.blocks, S, model.looks_back)


def wrong_tube(proof, loop, errors, mistake):
    """The tube of a prover with one mistake."""
    channels, cancelled = SpatialLoop.channels, SpatialLoop.cancelled
    none = (0.0, 0.0, 0.0)
    if mistake == "c forgotten":
        return tube_again(proof, loop, replace(errors, contract=none))
    if mistake == "epsilon halved":
        half = tuple(x / 2 for x in errors.changing)
        return tube_again(proof, loop, replace(errors, changing=half))
    if mistake == "constant error halved":
        return tube_again(
            proof, loop, replace(errors, constant=tuple(x / 2 for x in errors.constant))
        )
    if mistake == "cone closed":
        return tube_again(proof, loop, errors, tilt=lambda t: 0.0)
    if mistake == "slope widths dropped":

        def middle(s):
            return ForceSlopes((s.lower + s.upper) / 2, (s.lower + s.upper) / 2)

        return tube_again(proof, loop, errors, slopes=middle)
    if mistake == "sideways slopes dropped":
        upright = np.array([[0.0], [0.0], [1.0]])
        return tube_again(
            proof, loop, errors, slopes=lambda s: ForceSlopes(s.lower * upright, s.upper * upright)
        )
    if mistake == "S transposed":
        patch = mock.patch.object(
            SpatialLoop, "channels", lambda self, *a: transposed(self, channels(self, *a))
        )
    elif mistake == "beta with the wrong sign":

        def turned(self, *a):
            effect = cancelled(self, *a)
            return replace(effect, beta=(-effect.beta[1], -effect.beta[0]))

        patch = mock.patch.object(SpatialLoop, "cancelled", turned)
    elif mistake == "noise without l m n_v":
        gain = SpatialLoop.noise_gain

        def without(self, *a):
            middle, rest = gain(self, *a)
            return middle - self.observer * self.mass, rest

        patch = mock.patch.object(SpatialLoop, "noise_gain", without)
    elif mistake == "observer's own noise forgotten":
        patch = mock.patch.object(SpatialLoop, "observer_noise", return_value=np.zeros(3))
    elif mistake == "changing error charged once":

        def once(self, *a):
            model = channels(self, *a)
            for block in model.blocks:
                block.B[-1, block.channels] = 0.0  # not in d'
                for row in range(block.seen):
                    block.D[row, block.channels] *= row == 0
            return model

        patch = mock.patch.object(SpatialLoop, "channels", once)
    else:
        raise AssertionError(mistake)
    with patch:
        return tube_again(proof, loop, errors)


MISTAKES = {
    "c forgotten": "standard",
    "epsilon halved": "standard",
    "constant error halved": "constant",
    "S transposed": "reference",
    "sideways slopes dropped": "reference",
    "slope widths dropped": "reference",
    "beta with the wrong sign": "thrust",
    "cone closed": "transfer",
    "noise without l m n_v": "observer, noise of speed",
    "observer's own noise forgotten": "observer, noise of thrust",
    "changing error charged once": "observer, changing error",
}
"""Mistake -> the case that shows it."""
