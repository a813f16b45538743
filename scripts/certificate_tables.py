"""Tables that judge the proofs: how tight, how fast, what it refuses, what catches it.

    python scripts/certificate_tables.py [--only slopes,tube,observer,mistakes,scale,space,vehicles]

Needs the authors' published network: NEURAL_LANDER_DATA names the folder that has it in nets/. All
randomness is seeded; times are of the processor. The aims stand beside the figures, and a figure that
misses its aim says MISSED.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy and torch: one thread, as the aims say

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neural_lander.controller.errors import InputError
from neural_lander.controller.loop_model import VerticalLoop, VerticalSlopes
from neural_lander.controller.network import load_network
from neural_lander.controller.reference_cells import ReferenceCells
from neural_lander.controller.setpoint import Plan, SCurve, plan_descent
from neural_lander.controller.tube import ErrorBounds, Start, Tube, tube_along
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.controller.vertical_decision import decide
from neural_lander.learning.falsifier import WorstFlights, diverges, falsify
from neural_lander.learning.level_force import LevelForce
from neural_lander.learning.norm_bound import norm_bound
from neural_lander.learning.slopes import Layers, tangents_at
from neural_lander.learning.tube_proof import TubeProof, prove_tube
from neural_lander.scripts.space_tables import space_table, vehicle_table

Array = npt.NDArray[np.float64]

ERRORS = ErrorBounds(0.04)
GREATEST = 100.0
"""A network is scaled up to this, in search of a loop that diverges."""
TARGETS = (0.002, 0.006, 0.02, 0.1, 0.3, 0.8, 1.3, 1.5, 1.7, 2.1, 2.5, 3.0, 3.3, 3.6, 4.0, 4.8)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--only", default="slopes,tube,observer,mistakes,scale,space,vehicles", metavar="T1,T2"
    )
    wanted = parser.parse_args(arguments).only.split(",")
    tables: dict[str, Callable[[], Iterator[str]]] = {
        "slopes": slope_table,
        "tube": tube_table,
        "observer": observer_table,
        "mistakes": mistake_table,
        "scale": scale_table,
        "space": lambda: space_table(descent()),
        "vehicles": vehicle_table,
    }
    for name in wanted:
        if name not in tables:
            raise InputError(f"--only has {name!r}, expected some of {', '.join(tables)}")
        print(f"\n## {name}\n", flush=True)
        for line in tables[name]():
            print(line, flush=True)


# --- the instances -------------------------------------------------------------------------------


def published() -> tuple[LevelForce, Layers]:
    """Return the published network flown level, and its plain layers over all twelve inputs."""
    folder = os.environ.get("NEURAL_LANDER_DATA")
    if not folder:
        raise InputError("NEURAL_LANDER_DATA is unset: it names the folder with nets/")
    file = Path(folder) / "nets" / "Fa_net_12_3_full_Lip16.safetensors"
    network = load_network(file, load_vehicle("intel-aero"))
    layers = list(zip(network.weights, network.biases, strict=True))
    return LevelForce.of(network), layers


def standard_loop() -> VerticalLoop:
    """Return the loop of the certificate's tables."""
    mass, bandwidth, position = 1.47, 4.0, 2.0
    return VerticalLoop(
        mass=mass,
        k_p=mass * bandwidth * position,
        k_v=mass * (bandwidth + position),
        lag=(0.040, 0.040),
        period=0.002,
        latency=0.004,
        noise_position=0.002,
        noise_velocity=0.02,
        tolerance=0.005,
        thrust_limits=load_vehicle("intel-aero").thrust_limits,
    )


def quiet(loop: VerticalLoop) -> VerticalLoop:
    """Return the loop without noise."""
    return replace(loop, noise_position=0.0, noise_velocity=0.0, tolerance=0.0, noise_thrust=0.0)


def descent(hover: float = 0.7) -> Plan:
    """Return 1.0 to 0.12 m at 0.4 m/s, acceleration 0.4, jerk 1."""
    limits = SCurve(0.4, 0.4, 1.0, flare_height=0.12, flare_speed=0.4)
    return plan_descent("s-curve", (0.0, 0.0, 1.0), 0.12, hover, limits=limits)


def aim(value: float, limit: float) -> str:
    """Return what to print beside an aim."""
    return "met" if value <= limit else f"MISSED by {value - limit:.3g}"


# --- tables --------------------------------------------------------------------------------------


def slope_table() -> Iterator[str]:
    """Upper over lower bounds: twelve inputs, then level flight along the landing."""
    level, layers = published()
    tilt = np.sin(np.radians(10))
    low = np.array([0.09, *[-1.5] * 3, -tilt, -tilt, -0.05, 0.98, *[4500 / 8000] * 4])
    high = np.array([1.59, *[1.5] * 3, tilt, tilt, 0.05, 1.0, *[8500 / 8000] * 4])
    yield "twelve inputs, z 0-1.5 m, |v| <= 1.5 m/s, tilt <= 20 deg, 4500-8500 RPM"
    yield "| block | upper | best lower | ratio (aim 1.02) | of 1e6 Jacobians above | s (aim 1) |"
    norm_bound(layers[:2], low, high, [0], [0], budget_s=0.1)  # torch is loaded outside the times
    blocks = {"full Jacobian": ([0, 1, 2], list(range(12))), "df_z/du": ([2], [8, 9, 10, 11]),
              "df_z/dz": ([2], [0])}  # fmt: skip
    rng = np.random.default_rng(0)
    for name, (rows, columns) in blocks.items():
        bound = norm_bound(layers, low, high, rows, columns)
        above = 0
        for _ in range(40):
            slopes = tangents_at(layers, rng.uniform(low, high, (25_000, 12)))
            norms = np.linalg.norm(slopes[:, rows][:, :, columns], 2, axis=(1, 2))
            above += int((norms > bound.upper).sum())
        yield (
            f"| {name} | {bound.upper:.4f} | {bound.lower:.4f} | {bound.ratio:.4f} "
            f"{aim(bound.ratio, 1.02)} | {above} | {bound.seconds:.2f} {aim(bound.seconds, 1.0)} |"
        )
    yield ""
    yield "level flight (z, v_z, T), boxes of the finished proof; ratio of the steeper end"
    yield "| heights m | dz N/m | dv N s/m | dT | worst ratio (aim 1.05) | s |"
    proof = prove_tube(descent(), level, standard_loop(), ERRORS)
    for box in proof.boxes:
        begun = time.process_time()
        level.found.clear()
        bounded = level.slopes(box.height, box.vertical_speed, box.thrust)
        seconds = time.process_time() - begun
        low, high = np.array([box.height, box.vertical_speed, box.thrust]).T
        share = rng.uniform(size=(200_000, 3))
        share = np.where(rng.uniform(size=share.shape) < 0.4, np.round(share), share)
        found = level.tangents(*(low + share * (high - low)).T)  # the steepest lie at the faces
        ratios, cells = [], []
        intervals = (bounded.height, bounded.vertical_speed, bounded.thrust)
        for i, interval in enumerate(intervals):
            bound_size = max(abs(interval[0]), abs(interval[1]))
            ratios.append(bound_size / np.abs(found[:, i]).max())
            cells.append(f"{interval[0]:.3f} … {interval[1]:.3f}")
        worst = max(ratios)
        yield (
            f"| {box.name} | {' | '.join(cells)} | {worst:.3f} {aim(worst, 1.05)} | {seconds:.2f} |"
        )


def attack(
    plan: Plan, level: LevelForce, loop: VerticalLoop, errors: ErrorBounds = ERRORS
) -> WorstFlights:
    """Fly the worst that can be found along the plan and a second and a half after it."""
    times = [t for t in TARGETS if t < plan.end + 1.4]
    return falsify(plan, level, loop, errors, plan.end + 1.5, times)


def tube_table() -> Iterator[str]:
    """The vertical table: slopes used, gain, tube, with and without noise, and the falsifier."""
    level, layers = published()
    loop, plan = standard_loop(), descent()
    k_f = level.k_f or 1.0
    product = float(np.prod([np.linalg.norm(w, 2) for w, _ in layers]))
    per_rpm = 1 / (8 * k_f * (6100 * 2 * np.pi / 60)) * 60 / (2 * np.pi) / 8000
    norms = {
        "product of norms": VerticalSlopes(
            (-product, product),
            (-product, product),
            (-2 * product * per_rpm, 2 * product * per_rpm),
        ),
        "best global norms": VerticalSlopes(
            (-6.28, 6.28), (-3.0, 3.0), (-7.77 * per_rpm, 7.77 * per_rpm)
        ),
        "envelope, signed": level.slopes((0.0, 1.5), (-1.5, 1.5), (12.0, 17.0)),
    }
    yield "| slopes used | rho | tube cm | without noise cm | s |"
    for name, slopes in norms.items():
        gain = decide(slopes, loop).conditions[2].lhs
        proofs = [
            prove_tube(plan, _Constant(level, slopes), tried, ERRORS, cell=0.008)
            for tried in (loop, quiet(loop))
        ]
        cells = [f"{100 * p.height():.2f}" if p.certified else "refused" for p in proofs]
        yield f"| {name} | {gain and round(gain, 3)} | {cells[0]} | {cells[1]} | |"
    results = []
    for tried in (loop, quiet(loop)):
        begun = time.process_time()
        level.found.clear()
        results.append((prove_tube(plan, level, tried, ERRORS), time.process_time() - begun))
    (noisy, seconds), (silent, _) = results
    if not (noisy.certified and silent.certified):
        yield "| along the plan | REFUSED |"
        return
    height = 100 * noisy.height()
    gain = max(c.lhs or 0 for c in noisy.conditions if "after the plan" in c.statement and
               c.name == "H3")  # fmt: skip
    yield (
        f"| along the plan, time-varying | {gain:.3f} (last) | {height:.2f} (aim 3.3: "
        f"{aim(height, 3.3)}) | {100 * silent.height():.2f} | {seconds:.1f} (aim 15) |"
    )
    worst = [attack(plan, level, tried) for tried in (loop, quiet(loop))]
    found = [100 * w.worst[:, 0].max() for w in worst]
    yield f"| worst flight of {worst[0].flights} falsified | | {found[0]:.2f} | {found[1]:.2f} | |"
    ratio = height / found[0]
    yield f"proved over falsified: {ratio:.2f} (aim 1.5: {aim(ratio, 1.5)}), without noise "
    yield f"{100 * silent.height() / found[1]:.2f}; worst over tube per time (must stay below 1):"
    for name, w, proof in (("standard", worst[0], noisy), ("no noise", worst[1], silent)):
        assert proof.tube is not None
        z, v, delta = w.ratio_to(proof.tube)[1:].max(axis=0)
        yield f"{name}: z {z:.3f}, v {v:.3f}, delta {delta:.3f}"


class _Constant:
    """A force whose slopes are taken as the same everywhere."""

    def __init__(self, level: LevelForce, slopes: VerticalSlopes) -> None:
        self.force, self._slopes = level.force, slopes

    def slopes(self, *box: tuple[float, float]) -> VerticalSlopes:
        """Return the same slopes for every box."""
        return self._slopes


def observer_table() -> Iterator[str]:
    """The tube for several bandwidths; epsilon 0.2 N, of which a part is constant."""
    level, _ = published()
    plan = descent()
    yield "epsilon = constant + changing [N]; thrust from rotor speeds known to 0 % and 2 %"
    yield "| split | thrust | l = 0 | 0.5 | 1 | 2 | 4 | 8 | best l |"
    for constant, changing in ((0.16, 0.04), (0.36, 0.04), (0.0, 0.2)):
        for share in (0.0, 0.0201):
            row, best = [], (np.inf, 0.0)
            for bandwidth in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0):
                loop = replace(standard_loop(), observer=bandwidth, noise_thrust=share)
                proof = prove_tube(plan, level, loop, ErrorBounds(changing, constant), cell=0.016)
                row.append(f"{100 * proof.height():.2f}" if proof.certified else "refused")
                if proof.certified:
                    best = min(best, (proof.height(), bandwidth))
            yield f"| {constant} + {changing} | {share:.1%} | {' | '.join(row)} | {best[1]:g} |"


MISTAKES = ("noise forgotten", "epsilon halved", "lag halved", "slope widths dropped",
            "slopes dropped", "hold and latency dropped", "reference response dropped",
            "a_z with the wrong sign", "a_u with the wrong sign")  # fmt: skip


def mistake_table() -> Iterator[str]:
    """Worst over tube for provers with one mistake; above 1 a flight catches it."""
    level, _ = published()
    plan, loop = descent(), standard_loop()
    still_errors = ErrorBounds(1e-5)
    cases: dict[str, tuple[VerticalLoop, ErrorBounds, float]] = {
        "standard": (loop, ERRORS, 1.0),
        "reference": (quiet(loop), still_errors, 1.0),
        "latency 30 ms": (replace(quiet(loop), latency=0.030), still_errors, 1.0),
        "network x 6": (loop, ERRORS, 6.0),
    }
    table: dict[str, list[str]] = {name: [] for name in ("none", *MISTAKES)}
    heads = []
    for name, (tried, errors, scale) in cases.items():
        force = level.scaled(scale)
        proof = prove_tube(plan, force, tried, errors, cell=0.008)
        if not proof.certified:
            yield f"{name}: refused"
            continue
        heads.append(name)
        worst = attack(plan, force, tried, errors)
        for mistake in table:
            wrong = _wrong(proof, tried, errors, mistake, round(plan.end / 0.008 + 1))
            ratio = float(worst.ratio_to(wrong)[1:].max()) if wrong.finite else float("nan")
            table[mistake].append(f"{ratio:.3f}")
    yield f"| mistake | {' | '.join(heads)} | caught by |"
    for mistake, ratios in table.items():
        by = [head for head, r in zip(heads, ratios, strict=True) if float(r) > 1]
        caught = "a flight: " + ", ".join(by) if by else "no flight" if mistake != "none" else "—"
        yield f"| {mistake} | {' | '.join(ratios)} | {caught} |"
    yield "a_u: every quotient of the flown force must lie in its interval (tests/test_tube.py);"
    yield "signed kernels and a cut history: provers with changed text, same tests"


def _wrong(
    proof: TubeProof, loop: VerticalLoop, errors: ErrorBounds, mistake: str, rest: int
) -> Tube:
    slopes: Callable[[VerticalSlopes], VerticalSlopes] = lambda s: s  # noqa: E731
    cells: ReferenceCells = proof.cells
    if mistake == "noise forgotten":
        loop = replace(loop, noise_position=0.0, noise_velocity=0.0, tolerance=0.0)
    elif mistake == "epsilon halved":
        errors = ErrorBounds(errors.changing / 2)
    elif mistake == "lag halved":
        loop = replace(loop, lag=(loop.lag[0] / 2, loop.lag[1] / 2))
    elif mistake == "slope widths dropped":
        slopes = _middle
    elif mistake == "slopes dropped":

        def slopes(s: VerticalSlopes) -> VerticalSlopes:
            return s.scaled(0.0)
    elif mistake == "hold and latency dropped":
        loop = replace(loop, period=1e-6, latency=0.0)
    elif mistake == "reference response dropped":
        low, high = cells.low.copy(), cells.high.copy()
        low[:, 1:] = high[:, 1:] = 0
        cells = replace(cells, low=low, high=high)
    elif mistake == "a_z with the wrong sign":

        def slopes(s: VerticalSlopes) -> VerticalSlopes:
            return replace(s, height=(-s.height[1], -s.height[0]))
    elif mistake == "a_u with the wrong sign":

        def slopes(s: VerticalSlopes) -> VerticalSlopes:
            return replace(s, thrust=(-s.thrust[1], -s.thrust[0]))

    segments = [replace(s, slopes=slopes(s.slopes)) for s in proof.segments]
    return tube_along(cells, segments, loop, errors, Start(), rest)


def _middle(s: VerticalSlopes) -> VerticalSlopes:
    z, v, u = ((sum(i) / 2, sum(i) / 2) for i in (s.height, s.vertical_speed, s.thrust))
    return VerticalSlopes(z, v, u)


def scale_table() -> Iterator[str]:
    """Network x k, both signs: the largest certified against the least that diverges when flown."""
    level, _ = published()
    plan = descent()
    yield "| gains | sign of k | certified to | fails beyond | diverges from | share (aim 0.5) |"
    for name, bandwidth, position in (("4, 2", 4.0, 2.0), ("6, 2.5", 6.0, 2.5)):
        mass = 1.47
        loop = replace(standard_loop(), k_p=mass * bandwidth * position,
                       k_v=mass * (bandwidth + position))  # fmt: skip
        for sign in (1.0, -1.0):
            low, high, cause = 1.0, 32.0, ""
            while high / low > 1.08:
                middle = float(np.sqrt(low * high))
                proof = prove_tube(plan, level.scaled(sign * middle), loop, ERRORS, cell=0.016)
                if proof.certified:
                    low = middle
                else:
                    failed = [c.name for c in proof.conditions if not c.holds]
                    high, cause = middle, (failed or ["H4"])[0]
            limit = next(
                (float(k) for k in np.geomspace(1, GREATEST, 50)
                 if diverges(plan, level.scaled(sign * float(k)), loop, plan.end + 3.0)),
                None,
            )  # fmt: skip
            if limit is None:
                cells = f"not up to {GREATEST:g} | -"
            else:
                share = low / limit
                met = "met" if share >= 0.5 else f"MISSED by {0.5 - share:.2f}"
                cells = f"{limit:.2f} | {share:.2f} {met}"
            yield f"| {name} | {sign:+.0f} | {low:.2f} | {cause} | {cells} |"


if __name__ == "__main__":
    main()
