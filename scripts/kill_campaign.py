"""A campaign killed with ``kill -9`` at random moments and resumed, beside one left alone.

    python scripts/kill_campaign.py --out DIR [--kills 10] [--seeds 0:100] [--seed 0] [--workers 2]

Flies the same spec twice, through the command line: once undisturbed, once killed again and again at
moments drawn from --seed, each time resumed: from its start to the first shard of the undisturbed
one, and on by twice the share of its flying that falls to one kill. Then both are sorted,
the columns of the clock on the wall left out, written as Arrow IPC, and compared byte for byte. Exit
status 1 where they differ.
"""

import argparse
import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import require_folder
from neural_lander.scripts.cli_flight import controllers_of, seeds_of
from neural_lander.scripts.exit_status import DEFECT, DONE, exits
from neural_lander.sim.campaign.folder import RESULTS
from neural_lander.sim.campaign.rows import WALL

SPEC = """
vehicle = "intel-aero"
controllers = {controllers}
scenarios = ["flat", "heavy", "gust"]
aero = ["rotor", "none"]
seeds = "{seeds}"

[[parameter]]
field = "vehicle.centre_of_mass[0]"
distribution = "uniform"
low = -0.01
high = 0.01
"""


def program(spec: Path, out: Path, workers: int) -> list[str]:
    """Return the command that flies, or goes on with, a campaign."""
    call = "from neural_lander.scripts.cli import main; main()"
    options = ["--workers", str(workers), "--resume", "--json"]
    return [sys.executable, "-c", call, "campaign", str(spec), "--out", str(out), *options]


def digest(out: Path) -> tuple[int, str]:
    """Return how many rows a campaign has, and the SHA-256 of all, sorted, without the clock."""
    paths = [str(path) for path in sorted((out / RESULTS).glob("*.parquet"))]
    table = pq.read_table(paths, partitioning=None) if paths else pa.table({"landing": []})
    kept = table.select([name for name in table.column_names if not name.startswith(WALL)])
    whole = kept.sort_by("landing").combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, whole.schema) as stream:
        stream.write_table(whole)
    return len(whole), hashlib.sha256(sink.getvalue()).hexdigest()


def fly_alone(command: list[str], out: Path) -> tuple[dict[str, Any], float]:
    """Run a command to its end; return what it told, and when its first shard was there [s]."""
    begun, first = time.monotonic(), 0.0
    with tempfile.TemporaryFile("w+") as told:
        child = subprocess.Popen(command, stdout=told)
        while child.poll() is None:
            if not first and any((out / RESULTS).glob("*.parquet")):
                first = time.monotonic() - begun
            time.sleep(0.1)
        told.seek(0)
        text = told.read()
    if child.returncode != 0:
        raise InputError(f"the undisturbed campaign ended with status {child.returncode}")
    return json.loads(text), first


def kill_at(command: list[str], moment: float) -> bool:
    """Start a command and kill it after ``moment`` seconds; return whether it was still running."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        child.wait(moment)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        child.wait()
        return True
    return False


@exits
def main() -> int:
    """Read the options, fly, kill, resume and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seeds", default="0:100")
    parser.add_argument("--controllers", default="pd,observer,oracle+observer")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    if args.kills < 1 or args.workers < 1:
        raise InputError("--kills and --workers are expected to be 1 or more")
    names, seeds = controllers_of(args.controllers), seeds_of(args.seeds)
    require_folder(args.out)
    args.out.mkdir(parents=True, exist_ok=True)
    spec = args.out / "spec.toml"
    spec.write_text(SPEC.format(controllers=json.dumps(names), seeds=f"{seeds[0]}:{seeds[-1] + 1}"))
    alone, killed = args.out / "alone", args.out / "killed"
    for folder in (alone, killed):
        if folder.exists():
            raise InputError(f"{folder}: is there already; give another --out")
    console = Console()
    told, first = fly_alone(program(spec, alone, args.workers), alone)
    console.print(
        f"undisturbed: {told['flown']} landings in {told['seconds']:.0f} s, "
        f"the first on disk {first:.0f} s after the start"
    )
    latest = first + 2 * told["seconds"] / args.kills
    moments = np.random.default_rng(args.seed).uniform(0.0, latest, args.kills)
    table = Table("kill", "after s", "killed", "rows safe", "temporary files left")
    kills = 0
    for i, moment in enumerate(moments):
        was_running = kill_at(program(spec, killed, args.workers), float(moment))
        kills += was_running
        left = len(list((killed / RESULTS).glob(".*"))) if killed.exists() else 0
        rows = digest(killed)[0] if killed.exists() else 0
        table.add_row(
            str(i + 1),
            f"{moment:.1f}",
            "yes" if was_running else "done before",
            str(rows),
            str(left),
        )
    subprocess.run(program(spec, killed, args.workers), check=True, stdout=subprocess.DEVNULL)
    console.print(table)
    (n, one), (m, other) = digest(alone), digest(killed)
    same = (n, one) == (m, other)
    console.print(
        f"{kills} kills; {m} rows of {n}; sorted and without the clock "
        + ("equal, byte for byte: " + one[:16] if same else f"DIFFERENT: {one[:16]}, {other[:16]}")
    )
    return DONE if same else DEFECT


if __name__ == "__main__":
    main()
