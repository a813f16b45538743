"""The whole way without --uncertified: collect, train, calibrate, certify, and land a thousand times.

    python scripts/certified_landings.py --out DIR [--aero rotor PATH ...] [--seeds 0:1000] [--json]
    python scripts/certified_landings.py --out DIR --scenario deck
    python scripts/certified_landings.py --out DIR --reference fastest --thrust-room 0.36:0.22 \
        --calibration-seed 3 [--trained]

--trained takes the models that an earlier run left in DIR; the calibration flights are always flown.

Two tables. Inside the assumptions: how many landings left their tube or made the monitor speak (none
should), and how much of the tube they used, x/y/z, from half a second on (at the start the tube is
the noise of one measurement). Outside, in worlds of `robustness.py`: how many landings left the
tube, how many of these after the monitor had spoken, how long before, and how all of them ended.
A monitor that speaks drops the learned force for the observer alone.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from neural_lander.controller.certificate import why_refused
from neural_lander.controller.deck_log import off_the_reference
from neural_lander.controller.errors import Refused
from neural_lander.controller.fastest import FASTEST
from neural_lander.controller.files import read_json, require_folder
from neural_lander.controller.vehicle import Vehicle, load_vehicle
from neural_lander.learning.certify import certify
from neural_lander.learning.training import TrainingSettings, train
from neural_lander.scripts.cli_certify import Flown, calibration_of, tube_options
from neural_lander.scripts.cli_flight import room_of, seeds_of
from neural_lander.scripts.exit_status import exits
from neural_lander.scripts.fast_landings import learn
from neural_lander.scripts.robustness import WORLDS, put_into
from neural_lander.sim.calibration_flights import collect_landings
from neural_lander.sim.collect import collect
from neural_lander.sim.gate import FlightOptions, flight_of
from neural_lander.sim.physics import load_aerodynamics
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.statistics import share
from neural_lander.sim.summary import along_the_plan

CONTROLLER = "learned+observer"
OUTSIDE = [name for name in WORLDS if name not in ("as believed", "latency 50 ms, known")]
SETTLED = 0.5
"""From here on the share of the tube is counted [s]."""


def certified_flight(vehicle: Vehicle, name: str, aero: str, out: Path, args: Any) -> Flight:
    """Go the whole way in one world and return the flight that its certificate allows.

    Raises:
        Refused: the certificate says no.
    """
    model, room = out / "model", room_of(args.thrust_room)
    if args.trained:
        read_json(model / "model.json")  # or say that there is none
    elif args.reference == FASTEST:  # no faster than the model has seen: it has to see some
        learn(vehicle, aero, args.touchdown_speed, args.train_seed, out)
    else:
        flights = collect(vehicle, 8, 60.0, args.train_seed, out / "flights", aero)
        train(flights, vehicle, TrainingSettings(seed=args.train_seed, baselines=False), model)
    options = FlightOptions(
        name,
        args.scenario,
        args.reference,
        aero,
        model,
        None,
        True,
        "hybrid",
        args.touchdown_speed,
        room,
    )
    uncertified = flight_of(options, CONTROLLER)
    paths = collect_landings(
        uncertified, args.calibration, args.calibration_seed, out / "calibration"
    )
    flown = Flown(model, vehicle, CONTROLLER, args.touchdown_speed, room)
    where = tube_options(args.reference, args.scenario, None, 0.0, flown, True)
    bounds = calibration_of(
        paths, args.alpha, model, vehicle, CONTROLLER, where["plan"], where["deck"]
    )
    certificate, _ = certify(model, vehicle, CONTROLLER, calibration=bounds, **where)
    if not certificate.certified:
        raise Refused(why_refused(certificate))
    return flight_of(replace(options, uncertified=False), CONTROLLER)


def land(flight: Flight, seeds: Sequence[int], what: str, console: Console) -> dict[str, Any]:
    """Fly all seeds and count."""
    count: Counter[str] = Counter()
    events: Counter[str] = Counter()
    used, errors, touchdowns, warned, after = [], [], [], [], []
    assert flight.limits is not None
    for seed in track(seeds, description=what, console=console, transient=True):
        landing = fly(flight, seed)
        log, figures = landing.log, landing.summary
        contact = np.flatnonzero(log["truth_contact_force"] > 0)
        until = along_the_plan(log, int(contact[0]) if len(contact) else None)
        off = np.abs(off_the_reference(log, flight.plan.descent_start))[:until]
        share_of_tube = off / flight.limits.tube_at(log["time"][:until])
        left = share_of_tube.max(axis=1) > 1
        count["landings"] += 1
        for key in ("landed", "crashed", "cut_in_air"):
            count[key] += bool(figures[key])
        count["violations"] += bool(left.any())
        count["events"] += figures["monitor_events"]
        if figures["monitor_event"]:
            events[figures["monitor_event"]] += 1
            after.append(figures["monitor_event_s"])
        if left.any() and figures["monitor_events"]:
            lead = log["time"][int(np.argmax(left))] - figures["monitor_event_s"]
            count["warned"] += bool(lead >= 0)
            warned.append(float(lead))
        late = log["time"][:until] > SETTLED
        used.append(share_of_tube[late].max(axis=0) if late.any() else np.zeros(3))
        if figures["terminal_z_error_m"] is not None:
            errors.append(abs(figures["terminal_z_error_m"]))
        if figures["touchdown_speed_m_s"] is not None:
            touchdowns.append(figures["touchdown_speed_m_s"])
    return {
        **{key: count[key] for key in ("landings", "landed", "crashed", "cut_in_air",
                                       "violations", "events", "warned")},
        "violations_share": share(count["violations"], count["landings"]),
        "event_kinds": dict(events),
        "first_event_s": float(np.median(after)) if after else None,
        "lead_s": float(np.median(warned)) if warned else None,
        "used_median": np.median(used, axis=0).tolist(),
        "used_max": np.max(used, axis=0).tolist(),
        "terminal_median_m": float(np.median(errors)) if errors else None,
        "touchdown_p95_m_s": float(np.quantile(touchdowns, 0.95)) if touchdowns else None,
    }  # fmt: skip


def show(aero: str, tube: Sequence[float], rows: dict[str, Any], console: Console) -> None:
    """Print one world's table."""
    heads = ("world", "landed", "crashed", "left the tube", "after an event", "lead s", "events",
             "first s", "what", "used: median", "used: most", "|end z| mm", "touch 95 % m/s")  # fmt: skip
    size = "/".join(f"{100 * x:.1f}" for x in tube)
    table = Table(*heads, title=f"{aero}: tube x/y/z {size} cm")
    for name, r in rows.items():
        kinds = ", ".join(f"{k} {n}" for k, n in r["event_kinds"].items()) or "-"
        table.add_row(
            name,
            f"{r['landed']}/{r['landings']}",
            str(r["crashed"]),
            str(r["violations"]),
            str(r["warned"]),
            _number(r["lead_s"], 1.0, 2),
            str(r["events"]),
            _number(r["first_event_s"], 1.0, 2),
            kinds,
            "/".join(f"{x:.2f}" for x in r["used_median"]),
            "/".join(f"{x:.2f}" for x in r["used_max"]),
            _number(r["terminal_median_m"], 1e3, 1),
            _number(r["touchdown_p95_m_s"], 1.0, 3),
        )
    console.print(table)


def _number(value: float | None, scale: float, digits: int) -> str:
    return "-" if value is None else f"{scale * value:.{digits}f}"


@exits
def main() -> None:
    """Go the whole way in every world asked for, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--vehicle", default="intel-aero")
    parser.add_argument("--aero", nargs="+", default=["rotor"])
    parser.add_argument("--scenario", default="flat", help="one level surface, or a deck")
    parser.add_argument("--reference", default="s-curve")
    parser.add_argument("--touchdown-speed", type=float, default=0.13, help="of fastest, m/s")
    parser.add_argument("--thrust-room", metavar="ROOM", help="of fastest, for its tube")
    parser.add_argument("--seeds", default="0:1000", help="inside the assumptions")
    parser.add_argument("--outside", default="0:200", help="seeds of the worlds outside them")
    parser.add_argument("--train-seed", type=int, default=0)
    parser.add_argument("--calibration", type=int, default=30, metavar="N", help="flights")
    parser.add_argument("--calibration-seed", type=int, default=2, metavar="SEED")
    parser.add_argument("--trained", action="store_true", help="take the models in DIR")
    parser.add_argument("--alpha", type=float, default=0.1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    inside, outside, vehicle = (
        seeds_of(args.seeds),
        seeds_of(args.outside),
        load_vehicle(args.vehicle),
    )
    for aero in args.aero:
        load_aerodynamics(aero, vehicle)
    load_scenario(args.scenario)
    require_folder(args.out)
    console = Console(stderr=args.json, width=200)
    result: dict[str, Any] = {}
    for aero in args.aero:
        name = Path(aero).stem
        flight = certified_flight(vehicle, args.vehicle, aero, args.out / name, args)
        assert flight.limits is not None
        rows = {"inside": land(flight, inside, "inside", console)}
        for world in OUTSIDE:
            other = put_into(flight, WORLDS[world])
            if flight.scenario.deck is not None and other.real.estimate_lag > 0:
                continue  # over a deck such an estimate is refused, certificate or not
            rows[world] = land(other, outside, world, console)
        tube = flight.limits.position.max(axis=0)
        show(name, tube, rows, console)
        planned = flight.plan.metadata.get("touchdown_s")
        result[name] = {"tube_m": tube.tolist(), "planned_s": planned, "worlds": rows}
    if args.json:
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
