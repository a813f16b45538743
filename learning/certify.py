"""From a model bundle to its certificate: bound the slopes, decide, say what is assumed, write.

The slopes are bounded over the bundle's envelope and over the whole of the inputs' clamps, and
the intervals are widened to contain 0: beyond its clamp an input does not change the network any
more, so the slope in it is 0 there. Hence the intervals hold at every state, not only inside the
envelope.

Without a plan the verdict is for every reference, and says nothing of how far. Along a plan it is
that of ``tube_proof``, with the tube; where the bound of the learned force's error is only the
model's own estimate, the certificate says so, and the gate does not open on the strength of it.
A question that was answered before, by the same prover, is not worked out again.

Beside the verdict stand the two conditions of the paper, reported and not proved (Shi et al.,
"Neural Lander", ICRA 2019, Lemma 3.1 and Theorem 3.2).
"""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from neural_lander.controller.bumpless import StartFamily
from neural_lander.controller.certificate import (
    CERTIFIED,
    REFUSED,
    Certificate,
    binding,
    certificate_path,
    package_version,
    plan_digest,
    read_certificate,
    write_certificate,
)
from neural_lander.controller.deck_family import DeckFamily
from neural_lander.controller.errors import InputError
from neural_lander.controller.feed_forward import lead_of
from neural_lander.controller.files import read_json, sha256_of, sha256_of_file
from neural_lander.controller.force_slopes import ForceSlopes
from neural_lander.controller.loop_model import VerticalLoop
from neural_lander.controller.model_parts import bundle_of
from neural_lander.controller.network import SOURCES, Network, load_network
from neural_lander.controller.setpoint import Plan
from neural_lander.controller.spatial_decision import decide_in_space, passes_in_space
from neural_lander.controller.spatial_model import SpatialLoop
from neural_lander.controller.spatial_terms import SpatialErrors, SpatialStart
from neural_lander.controller.tube import ErrorBounds, Start
from neural_lander.controller.vehicle import Vehicle
from neural_lander.controller.vertical_decision import decide, remedies
from neural_lander.learning.assumptions import assumptions, assumptions_in_space, watched
from neural_lander.learning.calibration import Calibration
from neural_lander.learning.level_force import LevelForce
from neural_lander.learning.restricted_force import RestrictedForce
from neural_lander.learning.room_search import Replan, room_remedy
from neural_lander.learning.slopes import UNITS, Box, Interval, layer_norm_bound, slope_intervals
from neural_lander.learning.space_report import space_table
from neural_lander.learning.spatial_boxes import SpatialProof, Swinging
from neural_lander.learning.spatial_proof import prove_space
from neural_lander.learning.tube_proof import prove_tube
from neural_lander.learning.tube_report import tube_channels, tube_remedies, tube_table

CONTROLLERS = ("learned", "learned+observer", "learned-unbounded")
"""Controllers with a learned force, which is what there is to certify."""

START_KNOWN = (
    "while the flight began as certified: where the monitor said otherwise, nothing is proved"
)
"""What the proof without the learned force takes for granted."""

DECK_KNOWN = (
    "while the deck is known as in the calibration flights: where the monitor dropped it for what it "
    "heard of the deck, nothing is proved"
)
"""And over a deck."""

Progress = Callable[[float, str], None]
"""Called with the share done, 0 to 1, and what is being done."""


def certify(
    model: Path,
    vehicle: Vehicle,
    controller: str = "learned+observer",
    out: Path | None = None,
    progress: Progress | None = None,
    plan: Plan | None = None,
    errors: ErrorBounds | None = None,
    start: Start | None = None,
    calibration: Calibration | None = None,
    deck: DeckFamily | None = None,
    replan: Replan | None = None,
    search: bool = False,
) -> tuple[Certificate, Path]:
    """Decide on a model bundle in the vertical loop of ``vehicle`` and write the certificate.

    Returns the certificate, which may say ``refused``, and where it was written: ``out``, or
    MODEL/certificates/HASH.json.

    Args:
        model: the model bundle.
        vehicle: what is flown, with its gains.
        controller: one of ``CONTROLLERS``.
        out: where to write, instead of the bundle's folder.
        progress: told how far it is.
        plan: prove a tube along this plan; None: decide for every reference, without a tube.
        errors: bounds of the learned force's error, for the tube; None: the model's estimate.
        start: of the flight along the plan, how far off and how fast it may begin; None: at rest on
            it, with thrust equal to weight.
        calibration: bounds from flights of this loop: the tube is then in three dimensions.
        deck: the deck that the plan goes down to; wants a calibration over it. None: the surface
            is at rest.
        replan: from a thrust room to another plan, to say what would pass where ``plan`` does not;
        search: or, too, where it does.

    Raises:
        InputError: a deck without calibration flights over it, a controller without a learned force, a
            bundle that cannot be read, whose inputs are others than height, vertical speed and thrust,
            or without clamp or envelope.
    """
    if controller not in CONTROLLERS:
        raise InputError(
            f"controller {controller!r} has nothing to certify; "
            f"take one of {', '.join(CONTROLLERS)}"
        )
    report = progress or (lambda share, text: None)
    report(0.0, "reading the model")
    model = bundle_of(model, controller)
    network = load_network(model, vehicle)
    where = model / "model.json" if model.is_dir() else model.with_suffix(".json")
    info = read_json(where)
    box = _box(network, info, where)

    if deck is not None and (calibration is None or plan is None):
        raise InputError(
            "a tube over a deck that moves needs flights over it: give --calibration FLIGHTS, flown with "
            "`neural-lander collect --scenario` of this deck"
        )
    measured = None if calibration is None or calibration.deck is None else calibration.deck[0]
    if deck != measured:
        raise InputError(
            f"the calibration is over {measured or 'a surface at rest'}, the tube over "
            f"{deck or 'a surface at rest'}; calibrate with flights over what is certified"
        )
    bound = binding(network, vehicle, controller, plan, deck)
    path = out or certificate_path(model, bound)
    if plan is None and calibration is not None:
        raise InputError("calibration flights are for a tube; say along which --reference it is")
    if plan is not None and errors is None and calibration is None:
        errors = _estimate(info, where)
    if start is None:
        start = Start(thrust=None)
    if calibration is not None and calibration.start not in (None, (start.height, start.speed)):
        raise InputError(
            f"the calibration flights began within {calibration.start[0]:g} m and "
            f"{calibration.start[1]:g} m/s of their plan, the tube is for {start.height:g} m and "
            f"{start.speed:g} m/s; calibrate with flights in the scenario that is certified"
        )
    if plan is not None:  # the set-point begins at what is measured, so off by no more than noise
        off, fast = vehicle.noise.position, vehicle.noise.velocity
        joined = StartFamily(start.height + off, start.speed + fast)
        start = replace(start, height=off, speed=fast, joined=joined)
    question = _question(bound, info, errors, start, calibration, replan, search)
    answered = _answered(path, question)
    if answered is not None:
        report(1.0, f"{answered.verdict}, as before")
        return answered, path

    report(0.1, "bounding the slopes")
    slopes = slope_intervals(network, box).with_zero()
    report(0.2, "deciding")
    loop = VerticalLoop.of(vehicle, controller)
    vertical = slopes.vertical()
    decision = decide(vertical, loop)
    sideways = decide_in_space(_everywhere(network, box), SpatialLoop.of(vehicle, controller))
    conditions, channels = (*decision.conditions, *sideways), decision.channels
    certified = all(c.holds for c in conditions)
    every_reference = certified
    tube: dict[str, Any] | None = None
    helps: tuple[dict[str, Any], ...] = ()
    if plan is not None and calibration is not None:
        space_loop = SpatialLoop.of(vehicle, controller)
        below = None
        if calibration.deck is not None:
            below = Swinging(*calibration.deck, lead_of(vehicle)[2])
        share = 0.75 if replan is None else 0.3
        inside = _in_space(plan, network, space_loop, calibration, start, report, share, below)
        conditions, certified = inside.conditions, inside.certified
        tube = space_table(inside, plan, space_loop)
        if certified:
            report(0.95, "the loop without the learned force")
            tube["fallback"] = _fallback(plan, network, vehicle, inside, calibration)
        sound = all(c.holds for c in conditions if c.name in ("H1", "H2"))
        if replan is not None and sound and (search or not certified):
            helps = (
                room_remedy(
                    replan, plan, RestrictedForce.of(network), space_loop, inside,
                    lambda part, text: report(0.5 + 0.49 * part, text),
                ),
            )  # fmt: skip
        channels = tube.get("shares", {})
        tube["every_reference"] = every_reference
    elif plan is not None:
        assert errors is not None
        force = LevelForce.of(network)
        proof = prove_tube(
            plan, force, loop, errors, start,
            progress=lambda share, text: report(0.2 + 0.7 * share, text),
        )  # fmt: skip
        conditions, certified = proof.conditions, proof.certified
        channels = tube_channels(proof)
        tube = tube_table(proof, plan)
        tube["every_reference"] = every_reference
        if not certified:
            report(0.7, "looking for what would pass")
            helps = tube_remedies(plan, force, loop, errors, start)
    elif not certified:
        report(0.7, "looking for what would pass")
        space, space_loop = _everywhere(network, box), SpatialLoop.of(vehicle, controller)
        helps = remedies(
            vertical, loop, lambda name, share: passes_in_space(space, space_loop, name, share)
        )
    certificate = Certificate(
        verdict=CERTIFIED if certified else REFUSED,
        controller=controller,
        version=package_version(),
        conditions=conditions,
        channels=channels,
        slopes={
            **slopes.as_dict(),
            "holds": "everywhere: over the box, and beyond it the clamped inputs leave slope 0",
        },
        loop={
            **_finite(asdict(loop)),
            "lag": list(loop.lag),
            "thrust_limits": list(loop.thrust_limits),
            "command_noise_n": loop.command_noise(vertical) if vertical.thrust[0] > -1 else None,
        },
        tube=tube,
        error_bounds=_bounds(errors, calibration),
        reported=_paper(network, vehicle, info),
        assumptions=assumptions(loop, vehicle, tube, errors)
        if calibration is None or tube is None
        else assumptions_in_space(loop, vehicle, tube, calibration),
        monitor=watched(loop, vehicle, tube),
        binding=bound,
        remedies=helps,
        question=question,
    )
    write_certificate(path, certificate)
    report(1.0, certificate.verdict)
    return certificate, path


def _everywhere(network: Network, box: Box) -> ForceSlopes:
    """Return slopes of the force's three components that hold at every state, clamped or not."""
    z, v, u = (box.get(name, (0.0, 0.0)) for name in UNITS)
    found = RestrictedForce.of(network).slopes(z, v, u)
    return ForceSlopes(np.minimum(found.lower, 0.0), np.maximum(found.upper, 0.0))


def _in_space(
    plan: Plan,
    network: Network,
    loop: SpatialLoop,
    calibration: Calibration,
    start: Start,
    report: Progress,
    share_of_it: float,
    deck: Swinging | None = None,
) -> SpatialProof:
    """Prove the tube in three dimensions with the bounds of the calibration."""
    errors = SpatialErrors(
        calibration.changing,
        calibration.constant,
        calibration.contract,
        source=f"{len(calibration.scores)} calibration flights, alpha {calibration.alpha:g}",
        contract_step=calibration.contract_step,
    )
    begin = SpatialStart((start.height,) * 3, (start.speed,) * 3, None, joined=start.joined)
    force = RestrictedForce.of(network)
    return prove_space(
        plan, force, loop, errors, begin,
        progress=lambda share, text: report(0.2 + share_of_it * share, text), deck=deck,
    )  # fmt: skip


def _fallback(
    plan: Plan,
    network: Network,
    vehicle: Vehicle,
    proof: SpatialProof,
    calibration: Calibration,
) -> dict[str, Any]:
    """Return what is proved of the loop that flies on when the learned force was dropped.

    It is ``observer`` with the whole learned force as error, from anywhere in the tube. Over a deck it
    takes for granted that the deck is known as in the calibration flights, which an event of the deck
    has just refuted.
    """
    assert proof.tube is not None
    force = RestrictedForce.of(network)
    whole = np.zeros(3)
    for box in proof.boxes:
        ends = np.array([box.height, box.vertical_speed, box.thrust])
        reach = box.slopes.magnitude @ ((ends[:, 1] - ends[:, 0]) / 2)
        whole = np.maximum(whole, np.abs(force.force(*ends.mean(axis=1))) + reach)
    sideways = float(np.hypot(whole[0], whole[1]))  # whatever the heading
    whole[:2] = sideways
    x, y, z = (float(a + b) for a, b in zip(calibration.changing, whole, strict=True))
    p, v = (
        proof.tube.greatest,
        np.maximum(proof.tube.velocity.max(axis=0), proof.tube.after.velocity),
    )
    errors = SpatialErrors(
        (x, y, z), calibration.constant, calibration.contract, "the whole learned force",
        calibration.contract_step,
    )  # fmt: skip
    start = SpatialStart(
        (float(p[0]), float(p[1]), float(p[2])), (float(v[0]), float(v[1]), float(v[2])), None,
        joined=proof.start.joined,
    )  # fmt: skip
    tried = prove_space(
        plan, force.scaled(0.0), SpatialLoop.of(vehicle, "observer"), errors, start, deck=proof.deck
    )
    failed = [c for c in tried.conditions if not c.holds]
    where = [f"{c.name} on {c.axis}, {c.bin}: {c.statement}" for c in failed]
    return {
        "controller": "observer",
        "certified": tried.certified,
        "changing_n": [x, y, z],
        "p_max_m": [float(a) for a in tried.greatest()] if tried.certified else None,
        "fails": where[0] if where else None,
        "assumes": "; ".join([START_KNOWN, *([] if proof.deck is None else [DECK_KNOWN])]),
    }


def _bounds(errors: ErrorBounds | None, calibration: Calibration | None) -> dict[str, Any] | None:
    if calibration is not None:
        return calibration.as_dict()
    return None if errors is None else _error_bounds(errors)


def _question(
    bound: dict[str, Any],
    info: dict[str, Any],
    errors: ErrorBounds | None,
    start: Start,
    calibration: Calibration | None,
    replan: Replan | None,
    search: bool,
) -> str:
    """Return the digest of everything that the answer depends on."""
    rooms = Path(__file__).parent, Path(__file__).parent.parent / "controller"
    prover = [sha256_of_file(file) for room in rooms for file in sorted(room.glob("*.py"))]
    given = None if errors is None else asdict(errors)
    text: dict[str, Any] = {
        "binding": bound, "model": info, "errors": given, "start": asdict(start)
    }  # fmt: skip
    text["calibration"] = None if calibration is None else calibration.as_dict()
    if replan is not None:  # what would pass depends on all that a plan does but its room
        text["replanned"], text["search"] = plan_digest(replan(None)), search
    return sha256_of({**text, "prover": prover})


def _answered(path: Path, question: str) -> Certificate | None:
    """Return the certificate at ``path`` if it is the answer to the same question."""
    try:
        certificate = read_certificate(path)
    except InputError:
        return None
    return certificate if certificate.question == question else None


def _estimate(info: dict[str, Any], where: Path) -> ErrorBounds:
    value = _number(info.get("error_estimate_n"))
    if value is None:
        raise InputError(
            f"{where}: has no error_estimate_n; give a bound of the learned force's error with "
            "--epsilon N, or certify for every reference, without a tube"
        )
    return ErrorBounds(value, source=ESTIMATE)


ESTIMATE = "error_estimate_n of the model: an estimate, does not certify flights"


def _error_bounds(errors: ErrorBounds) -> dict[str, Any]:
    return {
        "changing_n": errors.changing,
        "constant_n": errors.constant,
        "source": errors.source,
        "certifies": errors.source != ESTIMATE,
        "flights": None,
        "alpha": None,
    }


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """Return values with None in the place of infinity, as JSON wants it."""
    return {k: None if isinstance(v, float) and math.isinf(v) else v for k, v in values.items()}


def _box(network: Network, info: dict[str, Any], where: Path) -> Box:
    """Return the box around envelope and clamps; outside the clamps the network is flat."""
    others = [entry.name for entry in network.inputs if entry.name not in UNITS]
    if others:
        raise InputError(
            f"{where}: has the inputs {', '.join(others)}; this version certifies networks of "
            "height, vertical_speed and collective_thrust: train one with these inputs"
        )
    envelope = info.get("envelope")
    if not isinstance(envelope, dict):
        raise InputError(f"{where}: has no envelope (input -> [low, high], SI); train it again")
    box: dict[str, Interval] = {}
    for entry in network.inputs:
        low, high = _interval(envelope, entry.name, where)
        si = SOURCES[entry.name][2][entry.unit]
        if not (math.isfinite(entry.low) and math.isfinite(entry.high)):
            raise InputError(
                f"{where}: clamp.{entry.name} is missing or infinite; without it the slopes cannot "
                "be bounded everywhere: expected [low, high], train it again"
            )
        box[entry.name] = (min(low, entry.low * si), max(high, entry.high * si))
    return box


def _interval(envelope: dict[str, Any], name: str, where: Path) -> Interval:
    try:
        low, high = (float(x) for x in envelope[name])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{where}: envelope.{name} is {envelope.get(name)!r}, expected [low, high] in SI"
        ) from error
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(
            f"{where}: envelope.{name} is [{low}, {high}], expected finite numbers, low < high"
        )
    return low, high


def _paper(network: Network, vehicle: Vehicle, info: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the paper's two conditions with the product of layer norms as Lipschitz constant."""
    norm = layer_norm_bound(network)
    slope = float(norm["inputs"].get("collective_thrust", 0.0))
    k_v = vehicle.mass * float(vehicle.gains.velocity.min())
    rho, error = _number(info.get("paper_rho")), _number(info.get("error_estimate_n"))
    ball = rest = None
    if rho is not None:
        rest = k_v - slope * rho
        if error is not None and rest > 0:
            ball = error / rest
    status = "reported, not proved"
    return (
        {
            "name": "contraction of the thrust iteration",
            "statement": "sigma(B0^-1) L_a < 1, L_a: product of layer norms, N/N for thrust",
            "status": status,
            "lhs": slope,
            "rhs": 1.0,
            "holds": slope < 1,
            "layer_norms": norm,
        },
        {
            "name": "ball of the composite speed error s",
            "statement": "L_a rho < lambda_min(K_v), ball epsilon / (lambda_min(K_v) - L_a rho)",
            "status": status,
            "lhs": None if rho is None else slope * rho,
            "rhs": k_v,
            "holds": None if rest is None else rest > 0,
            "rho_n_s_m": rho,
            "error_estimate_n": error,
            "ball_m_s": ball,
        },
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
