"""The certificate: is the vertical loop with this network proved stable, and may it fly?

With slopes of the learned force anywhere in their intervals, lag, latency and hold as in
``loop_model``, the errors of height and speed stay bounded for every bounded error of the learned
force, noise and reference, if

    H1   1 + min a_u > 0        the thrust that gives the wanted force is unique
    H2   max Re eig(A) < 0      the linear model is stable
    H3   rho(M S) < 1           small gain of the uncertain channels, M their peak-to-peak gains

(small gain on sup-norms; the spectral radius of a non-negative matrix). These say nothing of how
far, and hold for every reference. A certificate with a tube is for one plan: its conditions are
those of ``learning.tube_proof`` along that plan, H4 (the tube is inside the boxes on which the
slopes were bounded) and H5 (no limit is met) among them.

A certificate is bound to weights, vehicle, controller, gains and, with a tube, the plan, by their
digests, and flies nothing else.

Source of the small-gain step: Desoer, Vidyasagar, "Feedback Systems: Input-Output Properties",
1975, III.2; Berman, Plemmons, "Nonnegative Matrices", 1994, for rho(M S) < 1.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.files import read_json, sha256_of, write_json
from neural_lander.controller.loop_model import VerticalLoop, VerticalSlopes, peak_to_peak_gains
from neural_lander.controller.network import Network
from neural_lander.controller.setpoint import Plan
from neural_lander.controller.vehicle import Vehicle, bundled_vehicles, load_vehicle

Array = npt.NDArray[np.float64]

CERTIFIED, REFUSED = "certified", "refused"

FORMAT = "landing certificate, version 1"

COARSE = 4096
"""Cells for the gains while looking for remedies: quick, and what passes there passes."""


@dataclass(frozen=True)
class Condition:
    """One inequality with both its sides."""

    name: str
    axis: str
    bin: str
    """Range of heights that it is for."""
    statement: str
    lhs: float | None
    """None: could not be computed, because an earlier condition fails."""
    rhs: float
    margin: float | None
    """Distance to the limit; positive where the condition holds."""
    holds: bool


@dataclass(frozen=True)
class Decision:
    """The conditions of one loop, and what each uncertain channel contributes."""

    conditions: tuple[Condition, ...]
    channels: dict[str, float]
    """Share of each channel in the spectral radius of H3; empty where H3 has no value."""

    @property
    def certified(self) -> bool:
        """Whether every condition holds."""
        return all(condition.holds for condition in self.conditions)


@dataclass(frozen=True)
class Certificate:
    """The verdict on one network in one loop; its JSON form has these keys."""

    verdict: str
    controller: str
    version: str
    """Version of the package that decided."""
    conditions: tuple[Condition, ...]
    channels: dict[str, float]
    """Share of each uncertain channel in H3."""
    slopes: dict[str, Any]
    """Box, method and intervals."""
    loop: dict[str, Any]
    """Numbers of the vertical loop, SI."""
    tube: dict[str, Any] | None
    error_bounds: dict[str, Any] | None
    reported: tuple[dict[str, Any], ...]
    """The paper's conditions: reported, not proved; the verdict does not use them."""
    assumptions: tuple[str, ...]
    monitor: tuple[str, ...]
    """What has to be watched in flight."""
    binding: dict[str, Any]
    remedies: tuple[dict[str, Any], ...]
    question: str = ""
    """SHA-256 of all that the answer depends on, the prover's own text included."""

    @property
    def certified(self) -> bool:
        """Whether everything it is about was proved."""
        return self.verdict == CERTIFIED

    @property
    def allows_flight(self) -> bool:
        """Whether it lets fly: proved, and not on an error bound that is only an estimate."""
        if not self.certified:
            return False
        if self.binding.get("reference") is None:
            return True
        bounds, tube = self.error_bounds or {}, self.tube or {}
        return bool(bounds.get("certifies") or tube.get("every_reference"))

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"format": FORMAT, **asdict(self)}


def decide(slopes: VerticalSlopes, loop: VerticalLoop, steps: int = 32_768) -> Decision:
    """Evaluate H1, H2, H3, both sides of each; ``steps`` cells for the gains (fewer: looser)."""
    unique = 1 + slopes.thrust[0]
    h1 = _condition("H1", "1 + min a_u > 0: one thrust gives the wanted force", unique, 0.0, unique)
    abscissa = radius = None
    shares: dict[str, float] = {}
    witnessed = False
    if h1.holds:
        model = loop.channels(slopes)
        abscissa = float(np.linalg.eigvals(model.A).real.max())
        if abscissa < 0:
            channels, seen = model.delta.shape
            gains = peak_to_peak_gains(
                model.A, model.B[:, :channels], model.C[:seen], model.D[:seen, :channels], steps
            )
            if np.isfinite(gains).all():
                radius, shares, witnessed = _small_gain(gains, model.delta, model.names["channels"])
    h2 = _condition(
        "H2",
        "max Re eig(A) < 0: the linear loop is stable [1/s]",
        abscissa,
        0.0,
        None if abscissa is None else -abscissa,
    )
    h3 = _condition(
        "H3",
        "rho(M S) < 1: small gain of what is uncertain",
        radius,
        1.0,
        None if radius is None else 1 - radius,
    )
    if h3.holds and not witnessed:
        h3 = replace(h3, lhs=1.0, holds=False, margin=0.0)
    return Decision((h1, h2, h3), shares)


def _condition(
    name: str, statement: str, lhs: float | None, rhs: float, margin: float | None
) -> Condition:
    holds = margin is not None and margin > 0
    return Condition(name, "z", "all heights", statement, lhs, rhs, margin, holds)


def _small_gain(
    gains: Array, delta: Array, names: tuple[str, ...]
) -> tuple[float, dict[str, float], bool]:
    """Return rho(gains delta), each channel's share in it, and a proof that it is below 1.

    The proof does not lean on an eigenvalue routine: it is a vector x > 0 with gains delta x < x
    in every component. A share is d log rho / d log delta_i; the shares add up to 1.
    """
    loop_gain = gains @ delta
    values, right = np.linalg.eig(loop_gain)
    radius = float(np.abs(values).max())
    r = np.abs(right[:, np.argmax(np.abs(values))])
    left_values, left = np.linalg.eig(loop_gain.T)
    p = np.abs(left[:, np.argmax(np.abs(left_values))])
    parts = (p @ gains) * (delta @ r)
    shares = {name: float(part / parts.sum()) for name, part in zip(names, parts, strict=True)}
    if radius >= 1:
        return radius, shares, False
    witness = np.linalg.solve(np.eye(len(gains)) - loop_gain, np.ones(len(gains)))
    return radius, shares, bool((witness > 0).all() and (loop_gain @ witness < witness).all())


def remedies(
    slopes: VerticalSlopes, loop: VerticalLoop, also: Callable[[str, float], bool] | None = None
) -> tuple[dict[str, Any], ...]:
    """Return what would pass: one parameter at a time, the largest share of its present value.

    ``also(parameter, share)`` says whether what is not vertical passes, too. Each entry has the
    parameter, its unit, its value ``now`` and the largest value found that ``passes_at`` (None:
    changing it alone does not help).
    """

    def entry(
        parameter: str, unit: str, now: float, passes: Callable[[float], bool]
    ) -> dict[str, Any]:
        share = _largest_passing(passes)
        at = None if share is None else now * share
        return {"parameter": parameter, "unit": unit, "now": now, "passes_at": at}

    def passes(tried: VerticalLoop, parameter: str, share: float) -> bool:
        scale = share if parameter == "scale" else 1.0
        vertical = decide(slopes.scaled(scale), tried, COARSE).certified
        return vertical and (also is None or also(parameter, share))

    low, high = loop.lag
    found = [
        entry("scale of the network", "1", 1.0, lambda x: passes(loop, "scale", x)),
        entry(
            "latency",
            "s",
            loop.latency,
            lambda x: passes(replace(loop, latency=loop.latency * x), "latency", x),
        ),
        entry(
            "motor lag (known to the same share)",
            "s",
            (low + high) / 2,
            lambda x: passes(replace(loop, lag=(low * x, high * x)), "lag", x),
        ),
        entry(
            "scale of the gains velocity_1_s and position_1_s",
            "1",
            1.0,
            lambda x: passes(replace(loop, k_p=loop.k_p * x * x, k_v=loop.k_v * x), "gains", x),
        ),
    ]
    return tuple(found)


def _largest_passing(passes: Callable[[float], bool]) -> float | None:
    """Return the largest share in 0.01 ... 0.99 that passes, searching downwards, to 0.002."""
    fails, share = 1000, 800
    while not passes(share / 1000):
        fails, share = share, int(0.6 * share)
        if share < 10:
            return None
    while fails - share > 2:
        middle = (share + fails) // 2
        if passes(middle / 1000):
            share = middle
        else:
            fails = middle
    return share / 1000


def plan_digest(plan: Plan) -> str:
    """Return the SHA-256 of the motion that a plan describes."""
    return sha256_of(
        {
            "times": plan.times.tolist(),
            "coefficients": plan.coefficients.tolist(),
            "decay": plan.decay,
        }
    )


def binding(
    network: Network, vehicle: Vehicle, controller: str, plan: Plan | None = None
) -> dict[str, Any]:
    """Return what a certificate is bound to: SHA-256 of weights, vehicle, gains, plan; controller.

    ``reference`` is None where the certificate is for every reference.
    """
    gains = vehicle.as_dict()["gains"]
    return {
        "weights": network.digest,
        "vehicle": vehicle.physical_digest,
        "vehicle_name": vehicle.name,
        "vehicle_values": {
            f"{group}.{key}": value
            for group, values in vehicle.as_dict().items()
            if isinstance(values, dict) and group != "gains"
            for key, value in values.items()
        },
        "controller": controller,
        "gains": sha256_of(gains),
        "gain_values": gains,
        "reference": None if plan is None else plan_digest(plan),
        "reference_name": None if plan is None else plan.name,
    }


def certificate_path(model: Path, bound: dict[str, Any]) -> Path:
    """Return where the certificate with this binding lies: MODEL/certificates/HASH.json."""
    folder = model if model.is_dir() else model.parent
    return folder / "certificates" / f"{sha256_of(bound)}.json"


def write_certificate(path: Path, certificate: Certificate) -> None:
    """Write a certificate as JSON, whole or not at all."""
    write_json(path, certificate.as_dict())


def read_certificate(path: Path) -> Certificate:
    """Read a certificate.

    Raises:
        InputError: no such file, not a certificate, or one that contradicts itself.
    """
    info = read_json(path)
    if info.get("format") != FORMAT:
        raise InputError(
            f"{path}: format is {info.get('format')!r}, expected {FORMAT!r}; "
            "run `neural-lander certify` again"
        )
    try:
        values = {key: value for key, value in info.items() if key != "format"}
        values["conditions"] = tuple(Condition(**entry) for entry in info["conditions"])
        for key in ("reported", "assumptions", "monitor", "remedies"):
            values[key] = tuple(info[key])
        certificate = Certificate(**values)
        sound = _is_consistent(certificate)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path}: is no complete certificate ({error}); run `neural-lander certify` again"
        ) from error
    if not sound:
        raise InputError(
            f"{path}: verdict {certificate.verdict!r} does not follow from its conditions; was it "
            "edited? Run `neural-lander certify` again"
        )
    return certificate


def _is_consistent(certificate: Certificate) -> bool:
    """Whether sides, margins, ``holds`` and the verdict agree, and the binding has its parts."""
    for part in ("weights", "vehicle", "controller", "gains"):
        if not isinstance(certificate.binding[part], str):
            raise TypeError(f"binding.{part} is {certificate.binding[part]!r}, expected a text")
    values = certificate.binding.get("vehicle_values", {})
    if not isinstance(values, dict):
        raise TypeError("binding.vehicle_values is no table")
    if not isinstance(certificate.binding["gain_values"], dict):
        raise TypeError("binding.gain_values is no table")
    if not isinstance(certificate.slopes["intervals"], list):
        raise TypeError("slopes.intervals is no list")
    names = {condition.name for condition in certificate.conditions}
    for c in certificate.conditions:
        holds = c.lhs is not None and (c.lhs > c.rhs if c.name == "H1" else c.lhs < c.rhs)
        if c.holds != holds:
            return False
    needed = {"H1", "H2", "H3"}
    if certificate.binding["reference"] is not None and certificate.certified:
        needed |= {"H4", "H5"}
        if certificate.tube is None or certificate.error_bounds is None:
            return False
    proved = needed <= names and all(c.holds for c in certificate.conditions)
    return certificate.verdict == (CERTIFIED if proved else REFUSED)


def require_certificate(
    model: Path,
    network: Network,
    vehicle: Vehicle,
    controller: str,
    file: Path | None = None,
    vehicle_option: str | None = None,
    plan: Plan | None = None,
) -> Certificate:
    """Return the certificate that allows this flight, or refuse.

    One with a tube for the very plan is taken first; else one that holds for every reference.

    Args:
        model: the model bundle, whose certificates are looked through.
        network: the network about to fly.
        vehicle: the vehicle and gains about to fly.
        controller: the controller about to fly.
        file: take this certificate instead of the bundle's.
        vehicle_option: how the user named the vehicle, for the command in the message.
        plan: the plan about to fly; None: not known, only a certificate for every plan will do.

    Raises:
        Refused: there is none, it says no, or it is for something else; says what differs.
        InputError: a certificate cannot be read.
    """
    bound = binding(network, vehicle, controller)
    option = vehicle_option or _option(vehicle)
    cure = f"run `neural-lander certify {model} --vehicle {option} --controller {controller}`"
    if plan is not None:
        cure += f", with --reference {plan.name} --calibration FLIGHTS for a tube and a monitor"
    path = file or certificate_path(model, bound)
    along = binding(network, vehicle, controller, plan)
    if plan is not None:
        own = file or certificate_path(model, along)
        if own.is_file():
            certificate = read_certificate(own)
            if certificate.allows_flight and not [*_differences(certificate.binding, along)]:
                return certificate
    if file is None and not path.is_file():
        if plan is not None and certificate_path(model, along).is_file():
            raise Refused(_why_not(certificate_path(model, along)))
        raise Refused(_nothing_fits(path.parent, bound, f"{model}: no certificate", cure))
    certificate = read_certificate(path)
    differences = list(_differences(certificate.binding, along if plan else bound))
    if differences:
        raise Refused(
            f"{path}: is for something else than this flight: {'; '.join(differences)}; {cure}"
        )
    if not certificate.allows_flight:
        raise Refused(_why_not(path))
    return certificate


def _why_not(path: Path) -> str:
    certificate = read_certificate(path)
    if not certificate.certified:
        return f"{path}: says refused: {why_refused(certificate)}"
    return (
        f"{path}: proved, but with an estimate of the learned force's error, which does not certify "
        "flights; certify with a bound you stand for (--epsilon N)"
    )


def why_refused(certificate: Certificate) -> str:
    """Return the conditions that fail with both sides, the dominant channel, and the remedies."""
    failed = [c for c in certificate.conditions if not c.holds]
    failed.sort(key=lambda c: ("H1", "H2", "H3", "H5", "H4").index(c.name))
    parts = [
        f"{c.name} on {c.axis}, {c.bin}: {c.statement} fails, "
        + ("it cannot be computed" if c.lhs is None else f"{c.lhs:.4g} against {c.rhs:.4g}")
        for c in failed[:1]
    ]
    if certificate.channels and failed and failed[0].name not in ("H1", "H2"):
        name, share = max(certificate.channels.items(), key=lambda item: item[1])
        parts.append(f"the channel '{name}' makes {share:.0%} of it")
    helps = [
        f"{r['parameter']} {r['passes_at']:.3g} {'' if r['unit'] == '1' else r['unit']}".rstrip()
        for r in certificate.remedies
        if r["passes_at"] is not None
    ]
    parts.append(
        f"would pass with {' or '.join(helps)}" if helps else "no single change would pass"
    )
    return "; ".join(parts)


def _nothing_fits(folder: Path, bound: dict[str, Any], start: str, cure: str) -> str:
    """Say that no certificate fits, and what the nearest one is for."""
    found: list[list[str]] = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(list(_differences(read_certificate(path).binding, bound)))
        except InputError:
            continue
    found = [differences for differences in found if differences]
    if not found:
        return f"{start} for controller {bound['controller']}; {cure}"
    fewest = min(found, key=len)
    nearest = "; ".join(fewest)
    return f"{start} for this flight, the nearest is for something else: {nearest}; {cure}"


def _differences(certified: dict[str, Any], flying: dict[str, Any]) -> Iterator[str]:
    """Yield what differs, as 'what: certified -> about to fly'."""
    if certified["weights"] != flying["weights"]:
        yield f"weights: {certified['weights'][:12]} → {flying['weights'][:12]}"
    if certified["vehicle"] != flying["vehicle"]:
        names = f"{certified.get('vehicle_name')} → {flying['vehicle_name']}"
        yield f"vehicle: {names} ({certified['vehicle'][:12]} → {flying['vehicle'][:12]})"
        before, after = certified.get("vehicle_values"), flying["vehicle_values"]
        if isinstance(before, dict):
            for key in sorted({*before, *after}):
                if before.get(key) != after.get(key):
                    yield f"{key}: {_change(before.get(key), after.get(key))}"
    if certified["controller"] != flying["controller"]:
        yield f"controller: {certified['controller']} → {flying['controller']}"
    if certified["reference"] not in (None, flying["reference"]):
        there, here = certified.get("reference_name"), flying["reference_name"] or "any"
        yield f"reference: {there} ({certified['reference'][:12]}) → {here}"
    if certified["gains"] != flying["gains"]:
        yield from _gain_differences(certified["gain_values"], flying["gain_values"])


def _change(before: Any, after: Any) -> str:
    """Return 'before → after', and by how much where both are numbers."""
    text = f"{before} → {after}"
    if isinstance(before, int | float) and isinstance(after, int | float) and before:
        text = f"{before:g} → {after:g} ({100 * (after - before) / abs(before):+.3g} %)"
    return text


def _gain_differences(certified: dict[str, Any], flying: dict[str, Any]) -> Iterator[str]:
    any_found = False
    for key in sorted({*certified, *flying}):
        before, after = certified.get(key), flying.get(key)
        if before == after:
            continue
        any_found = True
        if isinstance(before, list) and isinstance(after, list) and len(before) == len(after) == 3:
            for axis, a, b in zip("xyz", before, after, strict=True):
                if a != b:
                    yield f"gains.{key} {axis}: {_change(a, b)}"
        else:
            yield f"gains.{key}: {_change(before, after)}"
    if not any_found:
        yield "gains: their digest is not that of the values beside it"


def _option(vehicle: Vehicle) -> str:
    """Return how a vehicle is named on the command line: by name if it is the bundled one."""
    if vehicle.name in bundled_vehicles() and load_vehicle(vehicle.name).digest == vehicle.digest:
        return vehicle.name
    return f"{vehicle.name}.toml"


def package_version() -> str:
    """Return the version of this package."""
    return version("neural-lander")
