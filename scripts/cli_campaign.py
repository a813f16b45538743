"""What ``campaign`` does with its spec, and what it says."""

from pathlib import Path
from typing import Any

from neural_lander.scripts.cli_output import Progress
from neural_lander.sim.campaign.run import Crew, fly_campaign
from neural_lander.sim.campaign.spec import Spec


def fly(spec: Spec, out: Path, crew: Crew, resume: bool, told: Progress) -> dict[str, Any]:
    """Fly what is missing; return what the verb tells."""
    flown = fly_campaign(spec, out, crew, resume, told)
    return {
        "landings": spec.landings,
        "flown": flown.landings,
        "seconds": flown.seconds,
        "said": [
            f"{flown.landings} landings in {flown.seconds:.0f} s, {flown.rate:.1f} per second"
        ],
    }


def look_for_the_worst(
    spec: Spec, out: Path, crew: Crew, resume: bool, told: Progress
) -> dict[str, Any]:
    """Search every cell for its worst case; return what the verb tells."""
    raise NotImplementedError
