"""What a certificate takes for granted, and what of it is watched in flight, in words."""

import math
from typing import Any

from neural_lander.controller.loop_model import VerticalLoop
from neural_lander.controller.monitor import LATE
from neural_lander.controller.spatial_decision import CONE
from neural_lander.controller.tube import ErrorBounds
from neural_lander.controller.vehicle import Vehicle
from neural_lander.learning.calibration import CONTRACT_CUTOFF, CUTOFF, Calibration


def assumptions(
    loop: VerticalLoop,
    vehicle: Vehicle,
    tube: dict[str, Any] | None,
    errors: ErrorBounds | None,
) -> tuple[str, ...]:
    """Return what a proof for every reference, or a tube of one axis, takes for granted."""
    low, high = loop.lag
    scope = (
        "vertical axis only, flown level: attitude, sideways motion and unequal rotors are not in "
        "the proof; what they add to the vertical force counts as error of the learned force"
    )
    if tube is None or errors is None:
        scope = (
            "flown at any heading that stays the same, while wanted, commanded and real force are "
            f"tilted by at most {math.degrees(CONE):.0f} degrees: no reference may ask for more; "
            "the real force follows the commanded one as attitude loop and motor lag say, what "
            "they leave is bounded, and what attitude, sideways speed and unequal rotors add "
            "to the learned force counts as its error"
        )
        far = (
            "the proof says that the errors stay bounded, not how far: no tube, because it is for "
            "every reference and no bound of the learned force's error is part of it"
        )
    else:
        far = (
            f"the learned force is off by at most {errors.constant:g} N that stays the same through "
            f"the flight and {errors.changing:g} N that may change in any way ({errors.source}); "
            f"the flight follows the plan {tube['plan']!r} and {_begins(tube)}, thrust and commands "
            "under way at weight; until first contact"
        )
    lines = [
        scope,
        far,
        "no rotor leaves its limits, and the solver of the thrust finds a solution within "
        f"{loop.tolerance:.2g} N",
        f"thrust follows its command with a first-order lag between {low:g} and {high:g} s, the "
        "same for all rotors",
        f"control every {loop.period:g} s, applied at most {loop.latency:g} s after the "
        "measurement",
        f"the estimate is off by at most {loop.noise_position:g} m and "
        f"{loop.noise_velocity:g} m/s; it does not lag",
        f"mass {vehicle.mass:g} kg as in the vehicle's file; a wrong mass counts as error",
        "free flight over a level surface at rest: no contact, and height changes with z alone",
    ]
    if loop.observer:
        lines.append(
            "the observer stays inside its limit, its rotor speeds and velocities are of the "
            f"same moment, at most {loop.period:g} s old, and the thrust it gets from them is off by "
            f"at most {loop.noise_thrust:.2%}"
        )
    return tuple(lines)


def assumptions_in_space(
    loop: VerticalLoop, vehicle: Vehicle, tube: dict[str, Any], calibration: Calibration
) -> tuple[str, ...]:
    """Return what the proof in three dimensions takes for granted."""

    def triple(values: tuple[float, float, float]) -> str:
        return "/".join(f"{value:.3g}" for value in values)

    lines = [
        f"the next flight is like the {len(calibration.scores)} calibration flights; its bounds "
        f"then hold with probability {1 - calibration.alpha:g} (k = {calibration.rank}); forces were "
        f"measured behind {CUTOFF:g} Hz, the inner loop behind {CONTRACT_CUTOFF:g} Hz, and what is "
        "faster was not seen",
        f"learned force off by at most {triple(calibration.constant)} N that stays the same and "
        f"{triple(calibration.changing)} N that may change (x/y/z)",
        "the real thrust vector follows the commanded one as its attitude loop and motor lag say, "
        f"within {triple(calibration.contract)} N (x/y/z)",
        f"the flight follows the plan {tube['plan']!r} and {_begins(tube)}, upright and at weight; "
        "until first contact, or until the touchdown logic pushes down",
        f"control every {loop.period:g} s, applied at most {loop.latency:g} s after the measurement",
        f"the estimate is off by at most {loop.noise_position:g} m, {loop.noise_velocity:g} m/s "
        f"and {vehicle.noise.attitude:g} rad; it does not lag",
        _below(tube),
    ]
    if loop.observer:
        lines.append(
            "the observer's rotor speeds and velocities are of the same moment, at most "
            f"{loop.period:g} s old, and its thrust is off by at most {loop.noise_thrust:.2%}; an error "
            "of rotor speeds that stays the same turns the vehicle, and is inside the inner loop's "
            "bound only as far as the calibration flights had it"
        )
    share = tube.get("watch", {}).get("mass_share", 0.0)
    if share:
        lines.append(
            f"the mass is the vehicle file's; what noise and errors make the hover find differs from it "
            f"by at most {share:.2%}, which is in the tube"
        )
    return tuple(lines)


def _begins(tube: dict[str, Any]) -> str:
    """Return where the flight may begin."""
    joined = tube["start"]["joined"]
    return (
        f"begins, as it is measured, within {joined['offset_m']:g} m and {joined['speed_m_s']:g} m/s of "
        "it on every axis, from where the set-point joins it"
    )


def _below(tube: dict[str, Any]) -> str:
    """Return what the vehicle comes down to."""
    deck = tube.get("deck")
    if deck is None:
        return (
            "free flight over a level surface at rest: no contact, and height changes with z alone; "
            "the heading stays the same"
        )
    errors = deck["errors"]
    return (
        "free flight, at one heading, over the deck of the calibration flights, whose surface under the "
        f"vehicle moves as one pure sine, by {deck['swing_m']:.3g} m at {deck['frequency_hz']:.3g} Hz, "
        f"and tilts by {math.degrees(math.atan(deck['slope'])):.3g} degrees; its motion is believed to "
        f"be what it is as well as in these flights, the set-point within {errors['place_m']:.2g} m and "
        f"the command within {errors['force_n']:.2g} N; no edge of it under a rotor"
    )


def watched(loop: VerticalLoop, vehicle: Vehicle, tube: dict[str, Any] | None) -> tuple[str, ...]:
    """Return what has to be watched in flight; with a tube in three dimensions the monitor does."""
    lines = [] if tube is None else ["the estimate inside tube and noise"]
    if tube is not None and "watch" in tube:
        watch = tube["watch"]
        x, y, z = watch["contract_n"]
        lines += [
            f"tilt at most {math.degrees(watch['tilt_rad']):.1f} degrees",
            f"real against commanded force within {x:.2g}/{y:.2g}/{z:.2g} N, noise included",
        ]
        a, b, c = (max(column) for column in zip(*tube["xyz"]["observer_n"], strict=True))
        if loop.observer:
            lines.append(
                f"disturbance estimate below its bound of the moment, at most {a:.3g}/{b:.3g}/{c:.3g} N"
            )
        if "deck" in tube:
            errors = tube["deck"]["errors"]
            lines.append(
                f"the deck within {errors['surface_m']:.2g} m of where it is believed, noise aside, and "
                "what is believed of its motion inside its bounds"
            )
        if watch.get("mass_share"):
            lines.append(f"mass found in hover within {watch['mass_share']:.2%} of the file's")
        lines.append(f"at most {LATE * watch['longest_step_s']:.3g} s between two control steps")
    else:
        lines.append(f"control period + latency at most {loop.period + loop.latency:g} s")
    lines += [
        f"residual of the thrust solver at most {loop.tolerance:.2g} N",
        "no rotor saturated",
    ]
    if loop.observer and (tube is None or "watch" not in tube):
        limit = vehicle.gains.observer_limit * vehicle.weight
        lines.append(f"disturbance estimate below {limit:.3g} N")
    return tuple(lines)
