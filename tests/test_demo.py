"""The demo replaces what it wrote, results first, and touches nothing else."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest

from neural_lander.controller.errors import InputError
from neural_lander.scripts.cli_demo import demo
from neural_lander.sim import collect

MINE = ("comparison.json", "comparison.png", "flights/flight-00.parquet", "runs/pd/summary.json")


@contextmanager
def no_bar(_):
    yield lambda *_: None


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a demo left behind; the next one is broken off at its first flight."""
    for name in MINE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old")
    mark = {"what": "neural-lander demo", "seed": 0, "files": list(MINE)}
    (tmp_path / "demo.json").write_text(json.dumps(mark))

    def broken_off(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(collect, "collect", broken_off)
    return tmp_path


def files(folder: Path) -> set[str]:
    return {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()}


def test_a_demo_broken_off_leaves_no_old_result(folder):
    with pytest.raises(KeyboardInterrupt):
        demo(folder, 1, no_bar)
    assert files(folder) == {"demo.json"}
    assert json.loads((folder / "demo.json").read_text())["unfinished"] is True
    assert not (folder / "runs").exists()


def test_a_demo_never_removes_a_file_that_it_did_not_write(folder):
    foreign = ("flights/notes.txt", "runs/mine/flight.parquet", "model/thesis.tex", "notes.md")
    for name in foreign:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("precious")
    with pytest.raises(KeyboardInterrupt):
        demo(folder, 1, no_bar)
    assert files(folder) == {"demo.json", *foreign}


def test_a_demo_never_overwrites_a_file_that_it_did_not_write(folder):
    (folder / "flights/flight-07.parquet").write_text("precious")
    with pytest.raises(InputError, match=r"flight-07\.parquet: is in the way"):
        demo(folder, 1, no_bar)
    assert files(folder) == {"demo.json", "flights/flight-07.parquet", *MINE}


@pytest.mark.parametrize("name", ["../elsewhere.txt", "/etc/hosts", "runs/../../x", ".", 3])
def test_a_mark_that_points_elsewhere_is_refused(folder, name):
    mark = json.loads((folder / "demo.json").read_text())
    (folder / "demo.json").write_text(json.dumps(mark | {"files": [*MINE, name]}))
    with pytest.raises(InputError, match="files has"):
        demo(folder, 1, no_bar)
    assert files(folder) == {"demo.json", *MINE}
