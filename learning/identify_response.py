"""How late and how slowly thrust follows its command.

    y(t) = g L[c](t - delay),   lag d/dt L[c] = c - L[c]

y is what came of the command c: thrust by measured rotor speed, rotor by rotor, wherever the
vehicle flies (the ground does not come between command and speed); without rotor speed, m times
the acceleration along the thrust, clear of the ground, together with a constant of each run and
slopes in height and in the speed along the thrust (a climbing rotor pushes less, which would pass
for a lead).

The command is held for a control period, hence late by half of one more, which is taken off. A log
slower than control shows a noisy command at one of many periods; what of a row is such noise lasted
for a period only. At most it is what ``expected`` takes out, at least nothing: the estimate is in
the middle, and half the distance between the two is added to the interval. Both sides go through
one zero-phase low pass. How far the estimate moves when its corner is doubled is what the model
leaves out, and is added too.

Source: first-order lag as in Shi et al., "Neural-Swarm", ICRA 2020; thrust of a climbing rotor,
Leishman, "Principles of Helicopter Aerodynamics", chapter 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, rfft
from scipy.interpolate import CubicSpline
from scipy.signal import butter, sosfiltfilt, welch

from neural_lander.controller.vehicle import GRAVITY, Vehicle
from neural_lander.learning.free_flight import Stretch
from neural_lander.learning.intervals import Interval, grouped, nonlinear

Array = npt.NDArray[np.float64]

CORNER = 5.0
"""Corner of the low pass for measured rotor speed [Hz]."""

FORCE_CORNER = 10.0
"""Corner for specific force: rotors shake it, so that there is no more to see above [Hz]."""

REACH = 0.1
"""Left out at both ends of a run for the low pass [s]."""

SPECTRUM = 128
"""Rows in a window of the command's spectrum."""

SLOWEST = 0.025
"""Logs with longer steps do not show a lag [s]."""

LAGS = (0.002, 0.5)
"""Lags looked for [s]."""

DELAYS = (-0.1, 0.3)
"""Delays looked for [s]."""


@dataclass(frozen=True)
class Response:
    """Estimates with 95 % half-widths; lag and delay are told apart less well than their sum."""

    gain: tuple[float, float]
    """What comes of one newton commanded [N/N]."""
    lag: tuple[float, float]
    """[s]"""
    delay: tuple[float, float]
    """Beyond the hold of half a control period [s]."""
    together: tuple[float, float]
    """Lag and delay [s]."""


def followed(command: Array, step: float, lag: float, delay: float) -> Array:
    """Return a command (n, k), a row every ``step`` [s], behind a lag and a delay [s].

    In frequency, H = exp(-i omega delay) / (1 + i omega lag), so what happens between the rows is
    the one band-limited curve through them; before its first row the command runs backwards.
    """
    n = len(command)
    omega = 2j * np.pi * np.fft.rfftfreq(2 * n, step)
    response = np.exp(-omega * delay) / (1 + omega * lag)
    return _filtered(command, response)


def _filtered(values: Array, response: npt.NDArray[Any]) -> Array:
    """Multiply the spectrum of values (n, k) and their mirror image by a response (n + 1,)."""
    n = len(values)
    spectrum = rfft(np.concatenate([values, values[::-1]]), axis=0)
    return np.asarray(irfft(spectrum * response[:, None], 2 * n, axis=0)[:n])


@dataclass(frozen=True)
class Channel:
    """A command and what came of it in one stretch of flight."""

    flight: int
    step: float
    """Time between rows [s]."""
    command: Array
    """Commanded thrusts (n, k) [N]."""
    answer: Array
    """What came of each (n, k) [N]."""
    beside: Array
    """What else the answer may go with, line by line (n, m); with any of it, a constant too."""
    runs: tuple[slice, ...]
    """Rows to use."""


def rotor_response(parts: Sequence[Stretch], vehicle: Vehicle) -> Response:
    """Return the response of measured rotor speed, as thrust by the file's k_f, to the command."""
    channels = [
        Channel(
            p.flight,
            p.step,
            p.columns["rotor_thrust_command"],
            vehicle.rotors.k_f * p.columns["rotor_speed"] ** 2,
            np.empty((len(p.axis), 0)),
            p.runs,
        )
        for p in parts
    ]
    return _response(channels, CORNER, vehicle)


def force_response(
    parts: Sequence[Stretch], commands: Sequence[Array], vehicle: Vehicle
) -> Response:
    """Return the response of m times acceleration to the commanded thrusts, (n, 4) or (n, 1) [N]."""
    channels = []
    for p, command in zip(parts, commands, strict=True):
        felt = p.columns["specific_force"] if "specific_force" in p.columns else _acceleration(p)
        climb = np.sum(p.columns["velocity"] * p.axis, axis=1)
        channels.append(
            Channel(
                p.flight,
                p.step,
                command.sum(axis=1, keepdims=True),
                vehicle.mass * np.sum(felt * p.axis, axis=1, keepdims=True),
                vehicle.weight * np.stack([climb, p.columns["height"]], axis=1),
                p.clear,
            )
        )
    return _response(channels, FORCE_CORNER, vehicle)


def _acceleration(part: Stretch) -> Array:
    """Return the specific force by the velocity's spline (n, 3) [m/s^2]."""
    time = np.arange(len(part.axis)) * part.step
    spline = CubicSpline(time, part.columns["velocity"])
    return np.asarray(spline(time, 1) + np.array([0.0, 0.0, GRAVITY]))


def expected(command: Array, step: float, period: float) -> Array:
    """Return what rows (n, k) say of the mean command around them, if it is held for ``period``.

    A row is s + w, with w white from period to period, so of w but a share period/step reaches
    the rotors. In frequency the best guess is W = (S_s + S_w period/step)/(S_s + S_w), a Wiener
    filter of zero phase; S_w is the floor of the spectrum in its upper quarter.
    """
    share = min(period / step, 1.0)
    n = len(command)
    if share == 1.0 or n < SPECTRUM:
        return command
    frequency, spectra = welch(command, nperseg=SPECTRUM, axis=0)
    spectrum = spectra.sum(axis=1)
    floor = float(np.median(spectrum[frequency > 0.375]))
    if floor <= 0.0:
        return command
    gain = np.clip(1 - (1 - share) * floor / np.maximum(spectrum, floor), share, 1.0)
    gain[:2] = 1.0  # the mean and slow changes, which the window blurs
    return _filtered(command, np.interp(np.fft.rfftfreq(2 * n), frequency, gain))


def _response(channels: Sequence[Channel], corner: float, vehicle: Vehicle) -> Response:
    period = vehicle.timing.period
    noisy = [replace(c, command=expected(c.command, c.step, period)) for c in channels]
    found = _fit(noisy, corner, vehicle)
    wider = _fit(noisy, 2 * corner, vehicle).value
    exact = _fit(channels, corner, vehicle).value
    half = found.half_width + np.abs(found.value - wider) + np.abs(found.value - exact) / 2
    late = np.array([0.0, 0.0, 1.0, 1.0]) * period / 2
    value = (found.value + exact) / 2 - late
    return Response(*zip(value.tolist(), half.tolist(), strict=True))


def _fit(channels: Sequence[Channel], corner: float, vehicle: Vehicle) -> Interval:
    """Return gain, lag, delay, lag + delay."""
    answers = [_low_passed(c, c.answer, corner) for c in channels]
    besides = [_low_passed(c, c.beside, corner) for c in channels]
    free = channels[0].beside.shape[1]

    @lru_cache(maxsize=2)  # most steps of the search change neither lag nor delay
    def models(lag: float, delay: float) -> list[list[Array]]:
        return [_low_passed(c, followed(c.command, c.step, lag, delay), corner) for c in channels]

    def errors(parameters: Array) -> list[Array]:
        gain, lag, delay = (float(value) for value in parameters[:3])
        result: list[Array] = []
        for runs in zip(answers, models(lag, delay), besides, strict=True):
            for y, f, b in zip(*runs, strict=True):
                error = y - gain * f
                if free:
                    error = error - (b @ parameters[3:])[:, None]
                    error = error - error.mean(axis=0)
                result.append(error.ravel() / vehicle.weight)
        return result

    low = np.array([0.05, LAGS[0], DELAYS[0], *[-np.inf] * free])
    high = np.array([20.0, LAGS[1], DELAYS[1], *[np.inf] * free])
    scale = np.array([1.0, 0.05, 0.02, *[0.1] * free])
    start = np.array([1.0, vehicle.rotors.lag, vehicle.timing.latency, *[0.0] * free])
    start = np.clip(start, low + 1e-3, high - 1e-3)
    groups = grouped([c.flight for c in channels for _ in c.runs])
    found = nonlinear(errors, start, scale, (low, high), groups)
    matrix = np.eye(4, len(start))
    matrix[3] = [0.0, 1.0, 1.0, *[0.0] * (len(start) - 3)]
    return found.combined(matrix)


def _low_passed(channel: Channel, values: Array, corner: float) -> list[Array]:
    """Return the runs of values (n, k) behind the low pass, without their ends."""
    rate = 1 / channel.step
    sections = butter(2, min(corner, 0.4 * rate), fs=rate, output="sos")
    reach = round(REACH * rate)
    return [
        sosfiltfilt(sections, values[rows], axis=0, padtype="even")[reach:-reach]
        for rows in channel.runs
    ]
