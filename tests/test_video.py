"""The animation shows what the logs say: no flight is flown again, higher is drawn higher."""

import io

import numpy as np
import pytest
from PIL import Image

from neural_lander.controller.errors import InputError
from neural_lander.controller.terrain import FLAT
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.scripts.cli import main
from neural_lander.sim import video
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.run_folder import write_run
from neural_lander.sim.scenario import load_scenario

AERO = load_vehicle("intel-aero")


@pytest.fixture(scope="module")
def runs():
    flat = load_scenario("flat")
    landings = [fly(Flight(AERO, name, flat, engine="hybrid"), 0) for name in ("pd", "observer")]
    return [(landing.log, landing.summary) for landing in landings]


@pytest.fixture(scope="module")
def stage():
    stage = video.Stage(AERO, FLAT, "#0072B2")
    yield stage
    stage.close()


def blue(picture: np.ndarray) -> np.ndarray:
    """Return where the rotors are seen."""
    r, _, b = np.moveaxis(picture.astype(int), -1, 0)
    return (b - r) > 60


def seen(stage, height: float, angle: float = 0.0) -> np.ndarray:
    stage.pose(np.array([0.0, 0.0, height]), np.array([0.0, 0.0, 0.0, 1.0]), angle)
    return stage.picture(np.array([1.2, -1.6, 0.9]), np.array([0.0, 0.0, 0.3]))


def test_a_higher_vehicle_is_drawn_higher_and_rotors_are_seen_to_turn(stage):
    low, high = seen(stage, 0.1), seen(stage, 0.5)
    assert blue(low).sum() > 300
    assert np.nonzero(blue(high))[0].mean() < np.nonzero(blue(low))[0].mean() - 20
    assert (seen(stage, 0.1, 0.7) != low).any()
    np.testing.assert_array_equal(seen(stage, 0.1), low)


def test_the_floor_has_squares_so_that_motion_is_seen(stage):
    picture = seen(stage, 5.0)  # out of sight
    greys = picture[-40:].mean(axis=-1)
    assert np.ptp(greys) > 15


def test_the_film_begins_before_the_descent_and_ends_after_the_last_landing(runs):
    start, end = video.span(runs)
    cut = runs[1][0]["time"][-1]
    assert 1.5 < start < 2.0  # the descent begins at 2 s
    assert cut < end < cut + 2.0
    assert video.row_at(runs[1][0], end) == len(runs[1][0]) - 1


def test_the_animation_is_small_and_has_a_panel_a_run(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "FRAMES", 4)
    told = []
    path = video.animate(runs, AERO, FLAT, tmp_path / "landing.gif", lambda s, _: told.append(s))
    film = Image.open(io.BytesIO(path.read_bytes()))
    assert film.size == (2 * video.SIZE[0], video.SIZE[1])
    assert film.n_frames == len(told) >= 15
    assert told[-1] == 1
    assert path.stat().st_size < video.LARGEST
    film.seek(film.n_frames - 1)
    last = np.asarray(film.convert("L"))
    assert (last[:, : video.SIZE[0]] != last[:, video.SIZE[0] :]).any()  # pd hangs
    film.seek(0)
    assert (np.asarray(film.convert("L")) != last).mean() > 0.02


def test_a_film_that_is_too_large_leaves_frames_out():
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)) for _ in range(8)]
    whole, half = video.encoded(noise, 1), video.encoded(noise, 2)
    assert len(half) < 0.6 * len(whole)
    few, all_of_them = (Image.open(io.BytesIO(data)) for data in (half, whole))
    assert (few.n_frames, all_of_them.n_frames) == (4, 8)
    assert few.info["duration"] == 2 * all_of_them.info["duration"]


def test_more_runs_than_have_room_are_refused(runs, tmp_path):
    with pytest.raises(InputError, match="side by side"):
        video.animate([runs[0]] * 7, AERO, FLAT, tmp_path / "landing.gif")


def test_a_scenario_that_is_not_bundled_has_to_be_named(tmp_path, capsys):
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\ndescription = "x"\nhover = 0.5\n')
    flight = Flight(AERO, "observer", load_scenario(str(file)), engine="hybrid")
    write_run(tmp_path / "run", fly(flight, 0))
    with pytest.raises(InputError, match="--scenario FILE"):
        video.animate_runs([tmp_path / "run"], tmp_path, "intel-aero")
    other = ("--scenario", "flat", "--out", str(tmp_path / "c"))
    with pytest.raises(SystemExit) as end:
        main(["compare", str(tmp_path / "run"), *other])
    assert end.value.code == 2
    assert "is called 'flat', and the runs are of 'mine'" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
