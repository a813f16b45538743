"""Landings flown to calibrate a certificate: the very loop in question, every control step logged.

They are landings like any other, of seeds that no landing has: exchangeable with the landing that
the certificate is for, as long as that one is of the same scenario, reference and world.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from neural_lander.controller.errors import InputError
from neural_lander.controller.flight_log import write_flight_log
from neural_lander.sim.collect import without_accelerometer
from neural_lander.sim.rollout import Flight, fly


def calibration_seed(seed: int, flight: int) -> int:
    """Return the seed of one flight: 96 bits that a landing's --seed does not reach."""
    words = np.random.SeedSequence(seed, spawn_key=(*b"calibration", flight)).generate_state(3)
    return int.from_bytes(words.tobytes(), "little")


def collect_landings(
    flight: Flight,
    flights: int,
    seed: int,
    out: Path,
    progress: Callable[[float, str], None] | None = None,
) -> list[Path]:
    """Fly landings and write one log each; same seed, same bytes.

    Args:
        flight: what is flown.
        flights: how many.
        seed: of starts and noise.
        out: folder for ``landing-NNN.parquet``.
        progress: told the share done and a line of text.

    Raises:
        InputError: no flights, or a flight that crashed.
    """
    if flights < 1:
        raise InputError(f"{flights} flights asked for, expected at least 1")
    paths: list[Path] = []
    for i in range(flights):
        landing = fly(flight, calibration_seed(seed, i))
        if landing.summary["crashed"]:
            raise InputError(
                f"flight {i} with '{flight.controller}' crashed "
                f"({landing.summary['crash_reason']}); there is nothing to certify in such a loop"
            )
        paths.append(out / f"landing-{i:03d}.parquet")
        write_flight_log(paths[-1], without_accelerometer(landing.log))
        if progress:
            progress((i + 1) / flights, paths[-1].name)
    return paths
