"""The certificate: what was proved of a loop with a learned force, and whether it may fly.

The conditions are those of ``vertical_decision`` and ``spatial_decision``, which hold for every
reference and say nothing of how far; or those of a tube along one plan, with H4 (the tube is inside
the boxes on which the slopes were bounded) and H5 (no limit is met) among them.

A certificate is bound to weights, vehicle, controller, gains and, with a tube, the plan, by their
digests, and flies nothing else. One over a deck is also bound to the deck of its calibration flights, and
flies over that one, whatever its phase: over no other, a smaller or slower one included, and no floor.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from neural_lander.controller.condition import Condition
from neural_lander.controller.deck_family import DeckFamily
from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.fastest import FASTEST
from neural_lander.controller.files import read_json, sha256_of, write_json
from neural_lander.controller.network import Network
from neural_lander.controller.setpoint import Plan
from neural_lander.controller.vehicle import TUNED, Vehicle, bundled_vehicles, load_vehicle

CERTIFIED, REFUSED = "certified", "refused"

ROOM = "--thrust-room"
"""Remedy of a tube that wants more thrust than its plan leaves free; ``passes_at`` is a text here."""

ANOTHER_DECK = (
    "its calibration flights were over another deck; how well a deck is known is not better for every "
    "smaller or slower one"
)
"""Why a certificate is for one deck."""

FORMAT = "landing certificate, version 1"


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


def plan_digest(plan: Plan) -> str:
    """Return the SHA-256 of the motion that a plan describes."""
    return sha256_of(
        {
            "times": plan.times.tolist(),
            "coefficients": plan.coefficients.tolist(),
            "decay": plan.decay,
            **({"compensated": True} if plan.compensated else {}),
        }
    )


def binding(
    network: Network, vehicle: Vehicle, controller: str, plan: Plan | None = None,
    deck: DeckFamily | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return what a certificate is bound to: SHA-256 of weights, vehicle, gains, plan; controller.

    ``reference`` is None where the certificate is for every reference; ``deck`` is there where it is
    over a deck.
    """
    gains = vehicle.as_dict()["gains"]
    return {
        "weights": network.digest,
        "vehicle": vehicle.physical_digest,
        "vehicle_name": vehicle.name,
        "vehicle_values": {
            f"{group}.{key}": value
            for group, values in vehicle.as_dict().items()
            if isinstance(values, dict) and group not in TUNED
            for key, value in values.items()
        },
        "controller": controller,
        "gains": sha256_of(gains),
        "gain_values": gains,
        "reference": None if plan is None else plan_digest(plan),
        "reference_name": None if plan is None else plan.name,
        **({} if deck is None else {"deck": deck.as_dict()}),
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
    deck: DeckFamily | None = None,
) -> Certificate:
    """Return the certificate that allows this flight, or refuse.

    One with a tube for the very plan is taken first; else one that holds for every reference. Over a
    deck only one along the plan and calibrated over this very deck will do.

    Args:
        model: the model bundle, whose certificates are looked through.
        network: the network about to fly.
        vehicle: the vehicle and gains about to fly.
        controller: the controller about to fly.
        file: take this certificate instead of the bundle's.
        vehicle_option: how the user named the vehicle, for the command in the message.
        plan: the plan about to fly; None: not known, only a certificate for every plan will do.
        deck: the deck that it goes down to, and how that may move; None: a surface at rest.

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
    along = binding(network, vehicle, controller, plan, deck)
    if deck is not None:
        return _over_deck(model, along, file, cure)
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


def _over_deck(model: Path, along: dict[str, Any], file: Path | None, cure: str) -> Certificate:
    """Return a certificate for the flight of this binding, over a deck, or refuse."""
    own = file or certificate_path(model, along)
    paths = [file] if file else [own, *sorted(own.parent.glob("*.json"))]
    refused = None
    for path in paths:
        if file is None and not path.is_file():
            continue
        try:
            certificate = read_certificate(path)
        except InputError:
            if file is not None:
                raise
            continue
        if not [*_differences(certificate.binding, along)]:
            if certificate.allows_flight:
                return certificate
            refused = refused or path
    if refused is not None:
        raise Refused(_why_not(refused))
    cure += (
        "; over a deck collect these flights and certify over this one, both with --scenario of this "
        "very deck"
    )
    if file is not None:
        differences = "; ".join(_differences(read_certificate(file).binding, along))
        raise Refused(f"{file}: is for something else than this flight: {differences}; {cure}")
    raise Refused(_nothing_fits(own.parent, along, f"{model}: no certificate", cure))


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
    for r in certificate.remedies:
        if r["parameter"] == ROOM:
            return "; ".join([*parts, _room(r)])
    helps = [
        f"{r['parameter']} {r['passes_at']:.3g} {'' if r['unit'] == '1' else r['unit']}".rstrip()
        for r in certificate.remedies
        if r["passes_at"] is not None
    ]
    limits = bool(failed) and all(c.name in ("H4", "H5") for c in failed)
    if limits and certificate.binding.get("reference_name") == FASTEST:
        parts.append(
            "errors around this plan need more thrust and tilt than it leaves free: collect, certify and "
            "land with a wider --thrust-room"
        )
        return "; ".join(parts)
    parts.append(
        f"would pass with {' or '.join(helps)}" if helps else "no single change would pass"
    )
    return "; ".join(parts)


def sooner(certificate: Certificate) -> str:
    """Return what a search for less thrust room found beside a certificate; '' where there was none."""
    now = ((certificate.tube or {}).get("planned") or {}).get("touchdown_s", 0.0)
    for r in certificate.remedies:
        if r["parameter"] == ROOM and r["passes_at"] is not None and r["touchdown_s"] < now:
            return f"another plan {_room(r)}"
    return ""


def _room(remedy: dict[str, Any]) -> str:
    """Say with which thrust room the fastest plan would pass."""
    if remedy["passes_at"] is None:
        return f"no {ROOM} was found that would pass"
    return (
        f"would pass with {ROOM} {remedy['passes_at']}: lands in {remedy['touchdown_s']:.2f} s (by a "
        "coarse proof, with the errors measured here); fly the calibration flights again along it"
    )


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
    yield from _deck_differences(certified.get("deck"), flying.get("deck"))
    if certified["gains"] != flying["gains"]:
        yield from _gain_differences(certified["gain_values"], flying["gain_values"])


def _deck_differences(certified: Any, flying: Any) -> Iterator[str]:
    if certified is None and flying is not None:
        yield "surface: at rest → a deck that moves"
    elif certified is not None and flying is None:
        yield "surface: a deck that moves → at rest"
    elif certified is not None:
        ours, theirs = DeckFamily.of(certified), DeckFamily.of(flying)
        if numbers := " and ".join(ours.differs(theirs)):
            yield f"deck: {numbers} ({ANOTHER_DECK})"


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
