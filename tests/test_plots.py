"""Figures for a paper: what is in them, that nothing is cut, that they are vectors, and read in grey."""

import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from neural_lander.controller.terrain import Surface, Terrain
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.sim.pairs import compare_pairs
from neural_lander.sim.plots import differences, fan, force, path, tube
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

NAMES = ("pd", "observer", "textbook", "oracle", "oracle+observer")


@pytest.fixture(scope="module")
def flown():
    vehicle, flat = load_vehicle("intel-aero"), load_scenario("flat")
    cases = [Case(n, "flat", Flight(vehicle, n, flat, engine="hybrid")) for n in NAMES]
    return fly_seeds([*cases, Case("learned", "flat", "no certificate")], range(4), traced=4)


@pytest.fixture(scope="module")
def with_tube(flown):
    held = [trace for trace in flown.traces if trace.controller == "oracle"]
    return [replace(t, tube=np.full((len(t.time), 3), 0.08)) for t in held]


def figures(flown, with_tube) -> dict[str, Figure]:
    pairs = compare_pairs(flown.rows, "observer")
    with paper():
        return {
            "fan": fan.fan(flown.traces, "observer"),
            "path": path.path(flown.traces, Terrain((Surface(0.0, 0.0, 0.3, 0.3, 0.02),))),
            "force": force.force([t for t in flown.traces if force.knows_force(t)]),
            "force of one": force.force([t for t in flown.traces if t.controller == "oracle"][:1]),
            "tube": tube.tube(with_tube),
            "differences": differences.differences(pairs),
        }


def test_no_text_is_cut_and_widths_are_those_of_columns(flown, with_tube):
    for name, figure in figures(flown, with_tube).items():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        width, height = canvas.get_width_height()
        assert figure.get_figwidth() in (SINGLE, DOUBLE)
        texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
        assert len(texts) > 8
        for text in texts:
            if text.axes is not None and not text.axes.get_visible():
                continue
            box = text.get_window_extent(canvas.get_renderer())
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
            assert inside, (name, text.get_text(), box)


def test_a_figure_is_a_vector_file_and_a_picture_with_the_same_bytes_each_time(flown, tmp_path):
    first, again = (fan.draw_fan(flown.traces, tmp_path / name) for name in ("a", "b"))
    assert [p.suffix for p in first] == [".pdf", ".png"]
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert first[1].read_bytes()[:4] == b"\x89PNG"
    vector = first[0].read_bytes()
    assert vector[:5] == b"%PDF-"
    assert b"/Subtype /Image" not in vector
    pixels = Figure()
    pixels.subplots().imshow(np.eye(3))  # the same check sees pixels where there are some
    (file, _) = save_paper(pixels, tmp_path / "pixels")
    assert b"/Subtype /Image" in file.read_bytes()


def test_every_figure_is_written_as_vectors(flown, with_tube, tmp_path):
    for name, figure in figures(flown, with_tube).items():
        (vector, _) = save_paper(figure, tmp_path / name)
        assert b"/Subtype /Image" not in vector.read_bytes(), name


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


def test_failures_stand_in_the_picture_of_differences(flown):
    pairs = compare_pairs(flown.rows, "observer")
    figure = differences.differences(pairs)
    drawn = [entry["controller"] for entry in pairs]
    assert "learned" in drawn  # refused four times
    said = [t.get_text() for t in figure.axes[0].texts]
    assert said.count("× 4") == 2  # pd hangs, learned was refused
    assert "0–4" in said


def test_forces_are_drawn_of_those_that_have_a_model(flown, tmp_path):
    known = {t.controller for t in flown.traces if force.knows_force(t)}
    assert known == {"textbook", "oracle", "oracle+observer"}
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
