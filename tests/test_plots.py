"""Figures for a paper: what is in them, that nothing is cut, that they are vectors, and read in grey."""

import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from neural_lander.controller.terrain import Surface, Terrain
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.pairs import compare_pairs
from neural_lander.sim.plots import differences, fan, force, path, tube
from neural_lander.sim.plots.paper import draw_paper
from neural_lander.sim.plots.style import (
    DOUBLE,
    MARKERS,
    SINGLE,
    STYLES,
    marker_of,
    paper,
    save_paper,
)
from neural_lander.sim.rollout import Flight
from neural_lander.sim.scenario import load_scenario
from neural_lander.sim.seeds import Case, fly_seeds

NAMES = ("pd", "observer", "oracle")


@pytest.fixture(scope="module")
def flown():
    vehicle, flat = load_vehicle("intel-aero"), load_scenario("flat")
    cases = [Case(n, "flat", Flight(vehicle, n, flat, engine="hybrid")) for n in NAMES]
    return fly_seeds([*cases, Case("learned", "flat", "no certificate")], range(4), traced=4)


@pytest.fixture(scope="module")
def with_tube(flown):
    held = [trace for trace in flown.traces if trace.controller == "oracle"]
    return [replace(t, tube=np.full((len(t.time), 3), 0.08)) for t in held]


@pytest.fixture(scope="module")
def figures(flown, with_tube) -> dict[str, Figure]:
    pairs = compare_pairs(flown.rows, "observer")
    table = Terrain((Surface(0.0, 0.0, 0.3, 0.3, 0.02),))
    with paper():
        return {
            "fan": fan.fan(flown.traces, "observer"),
            "path": path.path(flown.traces, table),
            "force": force.force([t for t in flown.traces if force.knows_force(t)]),
            "tube": tube.tube(with_tube),
            "differences": differences.differences(pairs),
        }


def beyond(figure: Figure) -> float:
    """Return how far anything drawn reaches over the figure's edge [inch]."""
    box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
    width, height = figure.get_size_inches()
    return float(max(-box.x0, -box.y0, box.x1 - width, box.y1 - height))


def test_nothing_is_cut_and_widths_are_those_of_columns(figures):
    for name, figure in figures.items():
        FigureCanvasAgg(figure).draw()
        assert figure.get_figwidth() in (SINGLE, DOUBLE)
        assert beyond(figure) < 0.01, name
    long = Figure(figsize=(SINGLE, 1.0))
    long.text(0.5, 0.5, "a line of text that is much too long for the width of a column")
    assert beyond(long) > 0.1  # the same check sees a text that is cut


def test_every_figure_is_a_vector_file_and_a_picture(flown, with_tube, tmp_path):
    held = [*with_tube, *(t for t in flown.traces if t.controller == "observer")]
    rows = [row for row in flown.rows if row["controller"] != "pd"]
    files = draw_paper(tmp_path, held, rows, {"flat": "observer"}, {"flat": load_scenario("flat")})
    kinds = ("fan", "path", "force", "tube", "differences")
    assert {f.name for f in files} == {f"{k}.{end}" for k in kinds for end in ("pdf", "png")}
    assert {f.name for f in tmp_path.iterdir()} == {f.name for f in files}
    for file in files:
        data = file.read_bytes()
        assert data[:4] == (b"%PDF" if file.suffix == ".pdf" else b"\x89PNG")
        assert b"/Subtype /Image" not in data
    pixels = Figure()
    pixels.subplots().imshow(np.eye(3))  # the same check sees pixels where there are some
    (vector, _) = save_paper(pixels, tmp_path / "pixels")
    assert b"/Subtype /Image" in vector.read_bytes()


def test_a_figure_has_the_same_bytes_each_time(with_tube, tmp_path):
    first, again = (tube.draw_tube(with_tube, tmp_path / name) for name in ("a", "b"))
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_of_several_scenarios_each_has_its_files_and_an_unknown_one_no_paths(
    flown, tmp_path, monkeypatch
):
    drawn = []
    for kind in ("fan", "path", "force", "tube", "differences"):
        note = lambda _, out, *__, kind=kind: drawn.append((kind, out.name)) or []  # noqa: E731
        monkeypatch.setattr(f"neural_lander.sim.plots.paper.draw_{kind}", note)
    there = [t for t in flown.traces if t.seed == 0]
    other = [replace(t, scenario="my/own.x") for t in there]
    rows = [*flown.rows, *(row | {"scenario": "my/own.x"} for row in flown.rows)]
    worlds = {"flat": load_scenario("flat"), "my/own.x": None}
    assert (
        draw_paper(tmp_path, there + other, rows, dict.fromkeys(worlds, "observer"), worlds) == []
    )
    assert [name for kind, name in drawn if kind == "fan"] == ["fan-flat", "fan-my_own_x"]
    assert [name for kind, name in drawn if kind == "path"] == ["path-flat"]


def test_every_controller_has_a_marker_of_its_own():
    assert len({marker_of(name) for name in STYLES}) == len(STYLES)
    assert marker_of("mine:Controller", 0) in set(MARKERS) - {marker_of(name) for name in STYLES}


def test_the_band_is_the_quantiles_of_the_flights(flown):
    mine = [t for t in flown.traces if t.controller == "pd"]
    band = fan.band(mine, [t.error for t in mine])
    table = np.array([t.error[: len(band.time)] for t in mine])
    np.testing.assert_allclose(band.median, np.median(table, axis=0))
    np.testing.assert_allclose(band.low, np.quantile(table, 0.025, axis=0))
    assert (band.low <= band.median).all()


def test_the_band_of_the_error_ends_with_the_first_contact_but_not_with_a_crash(flown):
    mine = [t for t in flown.traces if t.controller == "observer"]
    whole = fan.band(mine, [t.error for t in mine])
    assert len(whole.time) == min(t.free for t in mine)
    errors = [mine[0].error[:50], *(t.error for t in mine[1:])]
    crashed = [replace(mine[0], crashed=True), *mine[1:]]
    assert len(fan.band(mine, errors).time) == 50
    assert len(fan.band(crashed, errors).time) == min(t.free for t in mine[1:])


def test_failures_stand_in_the_picture_of_differences(figures):
    said = [t.get_text() for t in figures["differences"].axes[0].texts]
    assert said.count("× 4") == 2  # pd hangs, learned was refused
    assert "0–4" in said


def test_forces_are_drawn_of_those_that_have_a_model(flown, tmp_path):
    known = {t.controller for t in flown.traces if force.knows_force(t)}
    assert known == {"oracle"}
    assert force.draw_force([t for t in flown.traces if t.controller == "pd"], tmp_path / "f") == []
    assert not list(tmp_path.iterdir())


def test_the_tube_says_how_much_of_it_was_used(with_tube):
    used = max(
        float(np.abs(t.place[: t.planned, 2] - t.wanted[: t.planned, 2]).max()) / 0.08
        for t in with_tube
    )
    titles = [axes.get_title() for axes in tube.tube(with_tube).axes]
    assert titles[2] == f"z: at most {100 * used:.0f} % used"
    assert tube.draw_tube([replace(t, tube=None) for t in with_tube], None) == []


def test_paths_end_where_the_flights_end(flown):
    figure = path.path(flown.traces)
    ends = [line.get_data_3d() for line in figure.axes[0].lines if line.get_marker() != "None"]
    assert len(ends) == 4 * len(NAMES)
    last = flown.traces[0].place[-1]
    np.testing.assert_allclose(
        np.ravel(ends[0]), [100 * last[0], 100 * last[1], last[2]], atol=1e-9
    )


def test_traces_are_on_one_grid_of_time_and_rows_are_plain(flown):
    times = [t.time[:-1] for t in flown.traces]
    longest = max(times, key=len)
    for time in times:
        np.testing.assert_array_equal(time, longest[: len(time)])
    json.dumps(flown.rows, allow_nan=False)
    assert not any("real_time_factor" in row for row in flown.rows)
