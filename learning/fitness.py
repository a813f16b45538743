"""What one flight can teach about ground effect: a report, and a verdict with its reasons.

Fit is a flight with enough labels near the ground, where the effect is, *and* clear of it, where
the flight's own offset shows (battery, mass, calibration: as large as the effect), measured well
enough. A reason is given only where it is true of the flight, and the flight is not fit if there
is any.

A force that falls with height is no ground effect where there is no ground: in a figure-eight the
height goes with vertical acceleration, and so does what lag and scale of the thrust leave over.
Far from the ground (``FAR`` rotor radii) a correlation of force with height is therefore called
what it is, and where a flight has nothing else to show, no ground effect may be read from it.

Source of the reach of ground effect: Cheeseman and Bennett, ARC R&M 3021, 1955 (1 % of thrust at
2.5 radii for one rotor); Sanchez-Cuevas et al. 2017 and the Neural-Swarm flights (felt by four
rotors up to about 6).
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import FlightLog
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.labels import Labels, raw_labels, smoothed

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

GAP = 0.05
"""Steps in time longer than this are gaps [s], unless the log is as slow as that."""

GAP_STEPS = 2.5
"""A slow log's gaps are longer than so many of its steps."""

NEAR = 3.0
"""Ground effect is learned from labels lower than this [rotor radii]."""

FAR = 8.0
"""From here on there is none [rotor radii]."""

NEAR_SECONDS = 1.0
"""Least time of labels lower than ``NEAR``: ten independent ones behind a 5 Hz low pass [s]."""

CLEAR_SECONDS = 1.0
"""Least time of labels higher than twice ``NEAR``, for the offset of the flight [s]."""

AIRBORNE_SECONDS = 0.5
"""A log with less time in the air holds no flight [s]."""

SLOWEST = 20.0
"""Slower logs give no labels [Hz]."""

NOISIEST = 0.10
"""Labels noisier than this share of weight drown an effect that is as large."""

OFFSET = 0.25
"""A force clear of the ground beyond this share of weight: not this vehicle [share of weight]."""

TREND = 0.5
"""A correlation of force with height below minus this would pass for ground effect."""

FULL = 0.999
"""A command beyond this share of the greatest is at its limit."""

OFF = 0.02
"""Less commanded thrust than this share of weight means that the motors are off."""

STAND = 2.0
"""The level of standing is the median over so long before take-off and after landing [s]."""


@dataclass(frozen=True)
class Fitness:
    """One flight in figures; None where the log does not say."""

    seconds: float
    """Length of the flight [s]."""
    rows: int
    """Samples."""
    rate: float
    """Samples per second: one over the median step [Hz]."""
    gaps: int
    """Steps longer than a gap."""
    longest_gap: float
    """Longest step [s]."""
    height_min: float | None
    """Lowest height above standing [m]; millimetres below 0 say how well standing is known."""
    height_max: float | None
    """Greatest height above standing [m]."""
    height_drift: float | None
    """Without a height: by how much z differs from one standing to the next [m]."""
    seconds_airborne: float
    """Time off the ground with motors on [s]."""
    seconds_one_radius: float | None
    """Of it, lower than one rotor radius [s]."""
    seconds_low: float | None
    """Of it, lower than three rotor radii, where the ground effect is [s]."""
    seconds_contact: float | None
    """Time during which a leg may touch [s]."""
    saturated_samples: int | None
    """Samples in the air with a rotor's command at its limit."""
    clipped_samples: int
    """Samples of the accelerometer at its limit."""
    usable_seconds: float
    """Of the time lower than three radii, that of labels fit to learn from [s]."""
    clear_seconds: float
    """Time of labels higher than twice three radii [s]."""
    label_noise: float | None
    """Standard deviation of the vertical label above the low pass's corner [share of weight]."""
    label_offset: float | None
    """Median vertical label clear of the ground [share of weight]."""
    far_correlation: float | None
    """Of vertical force with height, from ``FAR`` radii on, where no ground makes it."""
    why: tuple[str, ...]
    """Why the flight is not fit to learn ground effect from; nothing if it is."""
    remarks: tuple[str, ...]
    """What else to know."""

    @property
    def fit(self) -> bool:
        """Whether ground effect may be learned from the flight."""
        return not self.why

    @property
    def verdict(self) -> str:
        """``fit`` or ``not``."""
        return "fit" if self.fit else "not"

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, with units in the keys."""
        value = {UNITS.get(key, key): entry for key, entry in asdict(self).items()}
        return value | {
            "verdict": self.verdict,
            "why": list(self.why),
            "remarks": list(self.remarks),
        }


UNITS = {
    "rate": "rate_hz",
    "longest_gap": "longest_gap_s",
    "height_min": "height_min_m",
    "height_max": "height_max_m",
    "height_drift": "height_drift_m",
    "seconds_one_radius": "seconds_below_one_radius",
    "seconds_low": "seconds_below_three_radii",
    "label_noise": "label_noise_share_of_weight",
    "label_offset": "label_offset_share_of_weight",
}
"""Field -> its key in JSON, where the two differ."""


def judge(log: FlightLog, vehicle: Vehicle) -> Fitness:
    """Describe a flight of ``vehicle`` and say whether ground effect may be learned from it."""
    step = np.diff(log["time"])
    rate = float(1 / np.median(step))
    gap = max(GAP, GAP_STEPS / rate)
    held = np.append(np.minimum(step, gap), 0.0)  # what a sample stands for; a gap tells nothing
    airborne = _airborne(log, vehicle)
    height, contact = log.columns.get("height"), log.columns.get("contact")
    radius = vehicle.rotors.radius

    def lower(limit: float) -> float | None:
        return None if height is None else float(held[airborne & (height < limit)].sum())

    labels, refused = _labels(log, vehicle)
    near, clear, noise, offset, trend = _label_figures(labels, vehicle)
    report = Fitness(
        seconds=float(log["time"][-1] - log["time"][0]),
        rows=len(log),
        rate=rate,
        gaps=int((step > gap).sum()),
        longest_gap=float(step.max()),
        height_min=None if height is None else float(height.min()),
        height_max=None if height is None else float(height.max()),
        height_drift=None if height is not None else _drift(log),
        seconds_airborne=float(held[airborne].sum()),
        seconds_one_radius=lower(radius),
        seconds_low=lower(NEAR * radius),
        seconds_contact=None if contact is None else float(held[contact > 0.5].sum()),
        saturated_samples=_saturated(log, vehicle, airborne),
        clipped_samples=int(log.metadata.get("clipped_samples", 0)),
        usable_seconds=near,
        clear_seconds=clear,
        label_noise=noise,
        label_offset=offset,
        far_correlation=trend,
        why=(),
        remarks=tuple(log.metadata.get("remarks", ())),
    )
    return replace(report, why=tuple(_reasons(report, log, vehicle, held, refused)))


def _airborne(log: FlightLog, vehicle: Vehicle) -> Mask:
    """Return the rows off the ground with motors on, as far as the log tells."""
    airborne = np.ones(len(log), dtype=np.bool_)
    if "contact" in log:
        airborne &= log["contact"] < 0.5
    if "rotor_thrust_command" in log:
        airborne &= log["rotor_thrust_command"].sum(axis=1) > OFF * vehicle.weight
    elif "thrust_command" in log:
        airborne &= log["thrust_command"] > OFF * vehicle.weight
    elif "rotor_command" in log:
        airborne &= log["rotor_command"].max(axis=1) > OFF
    return airborne


def _saturated(log: FlightLog, vehicle: Vehicle, airborne: Mask) -> int | None:
    """Return how many samples in the air have a rotor at its limit; None if no one knows."""
    if "rotor_command" in log:
        share = log["rotor_command"]
        limit = (share >= FULL) | (share <= 0)
    elif "rotor_thrust_command" in log:
        thrust, rotors = log["rotor_thrust_command"], vehicle.rotors
        limit = (thrust >= FULL * rotors.thrust_max) | (thrust <= rotors.thrust_min)
    else:
        return None
    return int((airborne & limit.any(axis=1)).sum())


def _standing(log: FlightLog) -> tuple[float, float, float, float] | None:
    """Return time [s] and z [m] of standing before the flight and after it, if it did both."""
    if "contact" not in log or not (log["contact"] < 0.5).any():
        return None
    time, z = log["time"], log["position"][:, 2]
    flying = np.flatnonzero(log["contact"] < 0.5)
    first, last = flying[0], flying[-1] + 1
    before = z[:first][time[:first] > time[first] - STAND]
    after = z[last:][time[last:] < time[last - 1] + STAND]
    if not (len(before) and len(after)):
        return None
    return float(time[first]), float(np.median(before)), float(time[last]), float(np.median(after))


def _drift(log: FlightLog) -> float | None:
    """Return by how much z moved from standing before the flight to standing after it [m]."""
    levels = _standing(log)
    return None if levels is None else abs(levels[3] - levels[1])


def _by_estimate(log: FlightLog, limit: float, held: Array) -> str:
    """Say how long z was lower than ``limit`` [m], its drift shared out evenly over the flight."""
    levels = _standing(log)
    if levels is None:
        return ""
    start, before, end, after = levels
    height = log["position"][:, 2] - np.interp(log["time"], [start, end], [before, after])
    low = (log["contact"] < 0.5) & (height < limit)
    return f"; by the log's own z, its drift taken out, {held[low].sum():.1f} s were flown there"


def _labels(log: FlightLog, vehicle: Vehicle) -> tuple[Labels | None, str]:
    """Return the flight's labels, or why there are none.

    The sum of the thrusts is all that a label asks of the command, so a log that knows only the
    sum is judged by it, divided evenly; that division stays here.
    """
    if "rotor_thrust_command" not in log and "thrust_command" in log:
        each = np.repeat(log["thrust_command"][:, None] / 4, 4, axis=1)
        log = FlightLog({**log.columns, "rotor_thrust_command": each}, log.metadata)
    try:
        return raw_labels(log, vehicle), ""
    except InputError as error:
        return None, str(error)


def _label_figures(
    labels: Labels | None, vehicle: Vehicle
) -> tuple[float, float, float | None, float | None, float | None]:
    """Return near and clear time [s], noise and offset [share of weight], far correlation."""
    if labels is None or len(labels) < 2:
        return 0.0, 0.0, None, None, None
    low = smoothed(labels)
    valid, radii = low.valid, labels.height / vehicle.rotors.radius
    each = float(np.median(np.diff(labels.time)))
    raw, force = labels.force[:, 2] / vehicle.weight, low.force[:, 2] / vehicle.weight
    near, clear = valid & (radii < NEAR), valid & (radii > 2 * NEAR)
    steady = clear if clear.any() else valid
    noise = float(np.std((raw - force)[steady])) if steady.any() else None
    offset = float(np.median(force[clear])) if clear.any() else None
    far = valid & (radii > FAR)
    return (
        float(near.sum() * each),
        float(clear.sum() * each),
        noise,
        offset,
        _correlation(labels.height[far], force[far], CLEAR_SECONDS / each),
    )


def _correlation(x: Array, y: Array, least: float) -> float | None:
    """Return Pearson's correlation; None for too few rows, or if one hardly varies."""
    if len(x) < least or np.std(x) < 1e-6 or np.std(y) < 1e-9:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def _reasons(
    report: Fitness, log: FlightLog, vehicle: Vehicle, held: Array, refused: str
) -> list[str]:
    """Return why ground effect may not be learned from a flight; nothing if it may."""
    missing = log.metadata.get("missing", {})
    if report.seconds_airborne < AIRBORNE_SECONDS:
        why = [
            f"no flight: {report.seconds_airborne:.1f} s of {report.seconds:.1f} s in the air with "
            f"motors on, {AIRBORNE_SECONDS} s needed"
        ]
        return why + [missing[k] for k in ("rotor_command",) if k in missing]
    why = []
    radius = vehicle.rotors.radius
    if report.usable_seconds < NEAR_SECONDS:
        lowest = "" if "height" in log else _by_estimate(log, NEAR * radius, held)
        if report.height_min is not None:
            flown = float(log["height"][_airborne(log, vehicle)].min())
            lowest = f"; never lower than {flown:.2f} m above standing = {flown / radius:.1f} radii"
            if flown < NEAR * radius:
                lowest = f", of {report.seconds_low or 0:.1f} s flown there"
        why.append(
            f"{report.usable_seconds:.1f} s of usable data below three rotor radii "
            f"({NEAR * radius:.3f} m), {NEAR_SECONDS:.0f} s needed{lowest}"
        )
    if "height" not in log:
        drift = report.height_drift
        drifts = f"; here by {drift:.2f} m from standing to standing" if drift is not None else ""
        why.append(
            f"height over the surface missing: {missing.get('height', 'not logged')}{drifts}"
        )
    if "rotor_thrust_command" not in log and "thrust_command" not in log:
        why.append(f"thrust missing: {missing.get('rotor_thrust_command', 'not logged')}")
    if report.rate < SLOWEST:
        why.append(f"{report.rate:.0f} samples a second, {SLOWEST:.0f} needed to see the effect")
    if not why and refused:
        why.append(refused)
    if why and report.far_correlation is not None and report.far_correlation < -TREND:
        why.append(
            f"force falls with height (r = {report.far_correlation:+.2f}) beyond {FAR:.0f} radii, where "
            "no ground makes it: manoeuvres and thrust error, not ground effect"
        )
    if report.label_offset is not None and abs(report.label_offset) > OFFSET:
        why.append(
            f"clear of the ground {report.label_offset:+.0%} of weight are left over: mass or thrust "
            f"law of vehicle '{vehicle.name}' are not those of this one"
        )
    if not why and report.clear_seconds < CLEAR_SECONDS:
        why.append(
            f"{report.clear_seconds:.1f} s of labels above {2 * NEAR:.0f} rotor radii, "
            f"{CLEAR_SECONDS:.0f} s needed: the flight's own offset passes for ground effect"
        )
    if report.label_noise is not None and report.label_noise > NOISIEST:
        why.append(f"label noise {report.label_noise:.0%} of weight, at most {NOISIEST:.0%} of use")
    return why
