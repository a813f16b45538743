"""All figures of a comparison: fan, paths, forces, tube, paired differences, for each scenario."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from neural_lander.sim.pairs import Row, compare_pairs
from neural_lander.sim.plots.differences import draw_differences
from neural_lander.sim.plots.fan import draw_fan
from neural_lander.sim.plots.force import draw_force
from neural_lander.sim.plots.path import draw_path
from neural_lander.sim.plots.tube import draw_tube
from neural_lander.sim.scenario import Scenario
from neural_lander.sim.trace import Trace


def draw_paper(
    out: Path,
    traces: Sequence[Trace],
    rows: Sequence[Row],
    baselines: Mapping[str, str],
    worlds: Mapping[str, Scenario | None],
) -> list[Path]:
    """Draw every figure that applies, as PDF and PNG, and return the files.

    They are called fan, path, force, tube and differences, with the scenario's name behind it where
    there are several.

    Args:
        out: folder.
        traces: what is drawn of flights.
        rows: all landings.
        baselines: scenario -> what differences are from; none are drawn of others.
        worlds: scenarios by name; where one is None its paths are not drawn.
    """
    paths: list[Path] = []
    for name, world in worlds.items():
        here = [trace for trace in traces if trace.scenario == name]
        baseline = baselines.get(name)
        end = "" if len(worlds) == 1 else "-" + re.sub(r"[^\w-]+", "_", name)
        if here:
            paths += draw_fan(here, out / f"fan{end}", baseline)
            if world is not None:
                paths += draw_path(here, out / f"path{end}", world.ground)
            paths += draw_force(here, out / f"force{end}")
            paths += draw_tube(here, out / f"tube{end}")
        if baseline is not None:
            landings = [row for row in rows if row["scenario"] == name]
            paths += draw_differences(compare_pairs(landings, baseline), out / f"differences{end}")
    return paths
