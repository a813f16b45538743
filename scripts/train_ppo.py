"""Train PPO to land, as a baseline: learning curve and policy.

    python scripts/train_ppo.py --action rates --out ppo-rates [--minutes M] [--seconds S] [--seed N]
                                [--set flights=64 --set epochs=6 ...]

Writes ``policy.zip`` (the best seen) and ``curve.json``: seconds of flight data against how many of some
seeds, none trained on, were landed well. As these chose the policy and ended the training, the policy is
looked at once more with as many others (``fresh``). Needs the extra ``rl``.
"""

import argparse
import os
import sys
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from neural_lander.controller.errors import InputError
from neural_lander.controller.files import require_folder, write_json
from neural_lander.scripts.exit_status import exits
from neural_lander.sim.env import flight_to_steer
from neural_lander.sim.steering import ACTIONS


@exits
def main() -> None:
    """Read the options, train, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--action", choices=sorted(ACTIONS), default="rates")
    parser.add_argument("--nominal", default="pd", help="what a residual is added to")
    parser.add_argument("--scenario", default="flat")
    parser.add_argument("--vehicle", default="intel-aero")
    parser.add_argument("--aero", default="rotor")
    parser.add_argument("--reference", default="s-curve")
    parser.add_argument("--frame-skip", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=100_000.0, help="of flight, at most")
    parser.add_argument("--minutes", type=float, default=25.0, help="of wall time, at most")
    parser.add_argument("--landings", type=int, default=32, help="flown at each look, below 10^6")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=NUMBER", dest="settings",
        help="of PPO, a field of sim/ppo.py's Settings; again for another",
    )  # fmt: skip
    args = parser.parse_args()
    if args.seconds <= 0 or args.minutes <= 0 or not 0 < args.landings < 1_000_000:
        raise InputError("--seconds, --minutes and --landings must be more than 0")
    flight = flight_to_steer(args.scenario, args.vehicle, args.aero, args.reference, args.nominal)
    require_folder(args.out)
    try:
        from neural_lander.sim.ppo import settings_of, train
    except ImportError as error:
        raise InputError(f"{error}; to train: pip install stable-baselines3") from error
    settings = settings_of(args.settings)
    args.out.mkdir(parents=True, exist_ok=True)
    curve = train(
        flight, args.action, args.frame_skip, args.seed, args.seconds, args.minutes,
        range(1_000_000, 1_000_000 + args.landings), range(2_000_000, 2_000_000 + args.landings),
        args.out / "policy.zip",
        lambda line: print(line, file=sys.stderr, flush=True), settings,
    )  # fmt: skip
    write_json(
        args.out / "curve.json", curve | {"scenario": args.scenario, "nominal": args.nominal}
    )
    print(args.out / "curve.json")


if __name__ == "__main__":
    main()
