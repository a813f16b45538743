"""The controller as a library: a state goes in once a control period, rotor thrusts come out.

Any simulator or flight stack can fly it; nothing of our own world, PyBullet or torch is imported. It is
the very step that ``land`` flies, behind the same gate: what has learned wants its certificate.

World: x east, y north, z up, the floor at z = 0. Body: x forward, y left, z up. Its origin is that of
the vehicle file, and so is the order of the rotors.

Where rotor speeds are not measured, the command of a latency ago behind the motors' lag stands in, both
as the vehicle file has them: f += (1 - exp(-period / lag)) (f_commanded - f), from hover on.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.certificate import Certificate, require_certificate
from neural_lander.controller.errors import InputError
from neural_lander.controller.fastest import (
    FASTEST,
    TOUCHDOWN_SPEED,
    DescentLimits,
    plan_fastest,
    require_hover,
    speed_seen,
)
from neural_lander.controller.inner_loop import InnerLoop
from neural_lander.controller.landing_controller import (
    CONTROLLERS,
    control_step,
    controller_record,
    is_learned,
)
from neural_lander.controller.measurement import NOT_FELT, Measurement
from neural_lander.controller.model_parts import bundle_of, fitted_radius, needs_model
from neural_lander.controller.monitor import EVENTS, LATE, Limits, store_limits
from neural_lander.controller.network import Network, load_network, network_record
from neural_lander.controller.setpoint import Plan, plan_descent
from neural_lander.controller.torque_observer import suppose_thrusts
from neural_lander.controller.touchdown import CUT, FLYING, PUSHING
from neural_lander.controller.vehicle import Vehicle, load_vehicle

Array = npt.NDArray[np.float64]

PHASES = {FLYING: "flying", PUSHING: "pushing", CUT: "cut"}
"""What ``LandingController.phase`` says."""

UNIT = 1e-3
"""How far the norm of a quaternion may be from 1: below a fifth of the attitude's noise."""

TIMING = LATE - 1
"""Share of the control period by which a step may come early or late."""


@dataclass(frozen=True)
class State:
    """What is known of the vehicle at one time; checked and copied when it is made."""

    position: Array
    """Of the body's origin in the world (3,) [m]."""
    velocity: Array
    """Of the body's origin in the world (3,) [m/s]."""
    attitude: Array
    """Quaternion xyzw that turns body vectors into world vectors (4,)."""
    rate: Array
    """Angular velocity in the body frame (3,) [rad/s]."""
    rotor_thrust: Array | None = None
    """Thrust of each rotor, from its measured speed (4,) [N]; None: not measured."""
    specific_force: Array | None = None
    """What an accelerometer at the body's origin measures, body frame (3,) [m/s^2], +9.81 upwards at
    rest; None: not measured. `indi` alone uses it."""
    height: float | None = None
    """Of the body's origin over where it is when the vehicle stands on the surface below [m], as a
    range finder or a marker shows it; None: not measured, position and map are all that is known."""

    def __post_init__(self) -> None:
        """Check every array.

        Raises:
            InputError: of another shape, not finite, no unit quaternion, a rotor that pulls.
        """
        for name, size, what in (
            ("position", 3, "x, y, z in the world, in m"),
            ("velocity", 3, "x, y, z in the world, in m/s"),
            ("attitude", 4, "a quaternion x, y, z, w, body to world"),
            ("rate", 3, "about body x, y, z, in rad/s"),
        ):
            object.__setattr__(self, name, vector_of(name, getattr(self, name), size, what))
        length = float(np.linalg.norm(self.attitude))
        if abs(length - 1) > UNIT:
            raise InputError(
                f"attitude is {self.attitude.tolist()} with norm {length:.6g}, expected a unit "
                f"quaternion x, y, z, w (1 +- {UNIT:g}); divide it by its norm"
            )
        if self.rotor_thrust is not None:
            object.__setattr__(self, "rotor_thrust", thrusts_of("rotor_thrust", self.rotor_thrust))
        if self.specific_force is not None:
            what = "along body x, y, z, in m/s^2"
            felt = vector_of("specific_force", self.specific_force, 3, what)
            object.__setattr__(self, "specific_force", felt)
        if self.height is not None:
            object.__setattr__(self, "height", _number("height", self.height, "m"))


class LandingController:
    """Hovers at a start, comes down, feels the floor and cuts the motors.

    Made once (which compiles the step if need be), then asked once every ``period``; the hover begins
    with the first step, at whatever time that is.
    """

    def __init__(
        self,
        vehicle: str | Path | Vehicle,
        controller: str = "observer",
        start: Sequence[float] = (0.0, 0.0, 1.5),
        model: str | Path | None = None,
        certificate: str | Path | None = None,
        uncertified: bool = False,
        reference: str = "s-curve",
        hover: float = 2.0,
        yaw: float = 0.0,
    ) -> None:
        """Prepare one landing.

        Args:
            vehicle: a bundled name, a TOML file, or what ``load_vehicle`` returned.
            controller: what ``land --controller`` takes, but for the oracles.
            start: x, y and height above standing of the hover [m].
            model: the model bundle of a learned controller.
            certificate: the file to take; None: the bundle's own that fits.
            uncertified: whether a learned controller may fly without certificate, and so without monitor.
            reference: ``s-curve``, ``exponential`` or ``fastest``.
            hover: time before the descent [s]; wherever the vehicle begins, the set-point joins this
                start from there in two seconds.
            yaw: heading of body x to keep, from east to north [rad].

        Raises:
            InputError: something cannot be used.
            Refused: the controller has learned something, and no certificate fits it.
        """
        self.vehicle = vehicle if isinstance(vehicle, Vehicle) else load_vehicle(vehicle)
        x, y, height = vector_of("start", start, 3, "x, y and height above standing, in m").tolist()
        if height <= 0:
            raise InputError(f"start has height {height} m, expected more than 0 m above standing")
        if _number("hover", hover, "s") < 0:
            raise InputError(f"hover is {hover} s, expected at least 0 s")
        heading = _number("yaw", yaw, "rad")
        _check_controller(controller)
        self.controller, self.reference, self.hover = controller, reference, float(hover)
        network = None
        radius = None
        if needs_model(controller):
            if model is None:
                raise InputError(f"controller '{controller}' needs a model; give model=FOLDER")
            if is_learned(controller):
                model = bundle_of(Path(model), controller)
                network = load_network(model, self.vehicle)
            else:
                radius = fitted_radius(Path(model))
        if reference == FASTEST:
            require_hover(self.vehicle, controller, hover)
        plan = _plan(self.vehicle, reference, (x, y, height), float(hover), network)
        self.certificate: Certificate | None = None
        """What allows this flight; None where nothing was learned, or it flies uncertified."""
        if network is not None and not uncertified:
            self.certificate = require_certificate(
                Path(model or ""), network, self.vehicle, controller,
                None if certificate is None else Path(certificate),
                None if isinstance(vehicle, Vehicle) else str(vehicle), plan,
            )  # fmt: skip
        self._memory = controller_record(
            self.vehicle, controller, plan, heading, fitted_radius=radius
        )
        tube = self.certificate.tube if self.certificate else None
        if tube is not None and "watch" in tube:
            store_limits(self._memory[0], Limits.of(tube), InnerLoop.of(self.vehicle))
        self.model = network.digest if network else None
        """SHA-256 of the weights of what was learned."""
        self._network = network_record(network)
        standing = self.vehicle.rest_height
        self._memory[0]["setpoint_position"] = x, y, height + standing
        hovering = np.array(self._memory[0]["thrusts"])
        late = round(self.vehicle.timing.latency / self.period)
        self._sent = deque([hovering] * (late + 1), maxlen=late + 1)
        self._supposed, self._measures = hovering, True
        self._begun: float | None = None
        self._last = 0.0
        level = (0.0, 0.0, math.sin(heading / 2), math.cos(heading / 2))
        still, (a, b, c, d) = (0.0, 0.0, 0.0), hovering.tolist()
        there = ((x, y, height + standing), level, still, still, (a, b, c, d), height, NOT_FELT)
        control_step(
            self._memory.copy()[0], self._network[0], 0.0, there
        )  # compiles: no step waits

    @property
    def period(self) -> float:
        """Time between two steps, the vehicle file's [s]."""
        return self.vehicle.timing.period

    @property
    def phase(self) -> str:
        """``flying``, ``pushing`` (down onto the floor), or ``cut``: the motors are off for good."""
        return PHASES[int(self._memory[0]["phase"])]

    @property
    def setpoint(self) -> Array:
        """Wanted position of the body's origin in the world, as of the last step (3,) [m]."""
        return np.array(self._memory[0]["setpoint_position"])

    @property
    def event(self) -> str | None:
        """What made the monitor drop the learned force; None: nothing so far, or no monitor."""
        return EVENTS.get(int(self._memory[0]["event"]))

    @property
    def record(self) -> Any:
        """What the law knows and did last, by the names of ``landing_controller.RECORD``; to read."""
        return self._memory[0]

    def rotor_speeds(self, thrusts: npt.ArrayLike) -> Array:
        """Return the rotor speeds (4,) [rad/s] that make these thrusts (4,) [N]: f = k_f Omega^2."""
        return np.sqrt(thrusts_of("thrusts", thrusts) / self.vehicle.rotors.k_f)

    def step(self, state: State, time: float) -> Array:
        """Return the rotor thrusts to command (4,) [N], in the order of the vehicle file.

        Args:
            state: of the vehicle at ``time``.
            time: a ``period`` after the last step's, on any clock [s].

        Raises:
            InputError: no state, or a time that is not a period later; the controller then is as it was.
        """
        if not isinstance(state, State):
            raise InputError(f"state is a {type(state).__name__}, expected a State")
        now = self._checked(_number("time", time, "s"))
        measured = self._measurement(state)
        if self._begun is None:
            self._begun = now
        self._last = now
        f = np.array(
            control_step(self._memory[0], self._network[0], now - self._begun, measured)
        )  # what follows is how the rotors are supposed to obey
        self._sent.append(f)
        rotors = self.vehicle.rotors
        follow = 1 - math.exp(-self.period / rotors.lag)
        obeyed = np.clip(self._sent[0], rotors.thrust_min, rotors.thrust_max)
        self._supposed = self._supposed + follow * (obeyed - self._supposed)
        return f

    def _checked(self, now: float) -> float:
        """Return the time, a period after the last."""
        if self._begun is None:
            return now
        if now < self._last:
            raise InputError(
                f"time is {now} s, before the last step's {self._last} s; expected {self.period:g} s "
                "after it"
            )
        interval = now - self._last
        if abs(interval - self.period) > TIMING * self.period + 4 * math.ulp(now):
            raise InputError(
                f"this step comes {interval:.6g} s after the last, expected the control period of "
                f"'{self.vehicle.name}', {self.period:g} s +- {TIMING:.0%}; call step once every period, "
                "or set timing.control_period_s in the vehicle file"
            )
        return now

    def _measurement(self, state: State) -> Measurement:
        """Return the state as the compiled step reads it."""
        f = state.rotor_thrust
        if f is None:
            f = self._supposed
            if self._measures:
                suppose_thrusts(self._memory[0])
                self._measures = False
        x, y, z = state.position.tolist()
        a, b, c, d = state.attitude.tolist()
        u, v, w = state.velocity.tolist()
        p, q, r = state.rate.tolist()
        f1, f2, f3, f4 = f.tolist()
        height = z - self.vehicle.rest_height if state.height is None else state.height
        felt = NOT_FELT
        if state.specific_force is not None:
            s1, s2, s3 = state.specific_force.tolist()
            felt = (s1, s2, s3)
        return (x, y, z), (a, b, c, d), (u, v, w), (p, q, r), (f1, f2, f3, f4), height, felt


def _plan(
    vehicle: Vehicle,
    reference: str,
    start: tuple[float, float, float],
    hover: float,
    network: Network | None,
) -> Plan:
    """Return the landing that ``land`` would plan from there."""
    if reference == FASTEST:
        limits = DescentLimits.of(vehicle, TOUCHDOWN_SPEED, *speed_seen(network))
        return plan_fastest(start, hover, limits)
    return plan_descent(reference, start, 0.0, hover)


def _check_controller(name: str) -> None:
    """Refuse a controller that is unknown, or that only a simulator of ours can feed."""
    known = ", ".join(c for c in CONTROLLERS if not c.startswith("oracle"))
    if name not in CONTROLLERS:
        raise InputError(f"controller '{name}' is unknown; take one of {known}")
    if name.startswith("oracle"):
        raise InputError(
            f"controller '{name}' cancels the true force of neural_lander's own simulator, which is not "
            f"known elsewhere; take one of {known}"
        )


def vector_of(name: str, value: Any, size: int, what: str) -> Array:
    """Return a read-only copy of ``size`` finite numbers."""
    wanted = f"{size} finite numbers: {what}"
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is {value!r}, expected {wanted}") from error
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name} is {value!r}, expected {wanted}")
    if array.shape != (size,):
        raise InputError(f"{name} has shape {array.shape}, expected ({size},), {wanted}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{name} is {array.tolist()}, expected {wanted}")
    array.flags.writeable = False
    return array


def _number(name: str, value: Any, unit: str) -> float:
    """Return one finite number."""
    wanted = f"expected a finite number in {unit}"
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is {value!r}, {wanted}") from error
    if array.dtype.kind not in "fiu" or array.shape != () or not np.isfinite(array):
        raise InputError(f"{name} is {value!r}, {wanted}")
    return float(array)


def thrusts_of(name: str, value: Any) -> Array:
    """Return the thrusts of four rotors [N], none of which pulls."""
    f = vector_of(name, value, 4, "a rotor each, in the order of the vehicle file, in N")
    if f.min() < 0:
        raise InputError(f"{name} is {f.tolist()} N, expected at least 0 N each")
    return f
