"""Rows that survive: what a campaign flies, loses to a crash, and flies again."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.sim.campaign import run
from neural_lander.sim.campaign.folder import IDENTITY, RESULTS, SPEC
from neural_lander.sim.campaign.rows import ERROR, FLOWN, IMPOSSIBLE, REFUSED, schema
from neural_lander.sim.campaign.run import (
    Crew,
    chunks_of,
    claimed,
    fly_campaign,
)
from neural_lander.sim.campaign.shards import Shards
from neural_lander.sim.campaign.worker import fly_chunk
from neural_lander.sim.gate import flight_of
from neural_lander.sim.processes import WorkerDied
from neural_lander.sim.rollout import fly

from .bundle_cases import bundle
from .campaign_cases import SHORT, TEXT, fly_all, rows_in, spec_in, write_spec

DRAWN = """
[[parameter]]
field = "vehicle.mass_share"
distribution = "uniform"
low = -0.1
high = 0.1
"""


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory):
    """A small campaign in shards of two rows: its spec, its folder and its rows."""
    folder = tmp_path_factory.mktemp("flown")
    spec = spec_in(folder, TEXT + DRAWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neural_lander.sim.campaign.shards.ROWS", 2)
        patch.setattr(run, "CHUNK", 2)
        patch.setattr(run.chunks_of, "__defaults__", (2,))
        rows = fly_all(spec, folder / "out")
    return spec, folder / "out", rows


@pytest.fixture
def copy(flown, tmp_path: Path):
    """The same, to be damaged."""
    spec, out, rows = flown
    shutil.copytree(out, tmp_path / "out")
    return spec, tmp_path / "out", rows


def test_a_row_is_what_land_says_of_the_same_flight(flown) -> None:
    spec, _, rows = flown
    assert [row["landing"] for row in rows] == list(range(6))
    assert {row["status"] for row in rows} == {FLOWN}
    cell = spec.cells[1]
    row = rows[3 + 2]
    assert (row["controller"], row["seed"]) == ("observer", 2)
    scenario = run.flight_of(cell.options, "observer").scenario
    mass = row["parameter vehicle.mass_share"]
    assert mass == spec.values(2)["vehicle.mass_share"]
    heavier = type(scenario.vehicle)(mass_share=mass)
    from dataclasses import replace

    summary = fly(
        flight_of(cell.options, "observer", replace(scenario, vehicle=heavier)), 2
    ).summary
    for key in summary.keys() - {"real_time_factor"}:
        assert row[key] == summary[key], key


def test_controllers_meet_the_same_worlds(flown) -> None:
    _, _, rows = flown
    masses = [row["parameter vehicle.mass_share"] for row in rows]
    assert masses[:3] == masses[3:]
    assert len(set(masses)) == 3


def test_the_same_bytes_in_any_order_and_chunk(flown, tmp_path: Path) -> None:
    spec, _, rows = flown
    done = np.zeros(spec.landings, bool)
    shuffled = list(chunks_of(spec, done, 1))[::-1]
    again = [row for chunk in shuffled for row in fly_chunk(chunk)]
    for row in sorted(again, key=lambda row: row["landing"]):
        expected = rows[row["landing"]]
        assert {key: row[key] for key in expected} == expected


def test_a_campaign_is_not_begun_twice_and_resuming_a_whole_one_flies_nothing(copy) -> None:
    spec, out, rows = copy
    with pytest.raises(InputError, match="--resume"):
        fly_campaign(spec, out, Crew(1))
    again = fly_campaign(spec, out, Crew(1), resume=True)
    assert (again.landings, again.before) == (0, 6)
    assert rows_in(out) == rows


def test_a_shard_removed_is_flown_again(copy) -> None:
    spec, out, rows = copy
    path = sorted((out / RESULTS).glob("*.parquet"))[1]
    lost = pq.read_metadata(path).num_rows
    path.unlink()
    again = fly_campaign(spec, out, Crew(1), resume=True)
    assert (again.landings, again.before) == (lost, 6 - lost)
    assert 0 < lost < 6
    assert rows_in(out) == rows


@pytest.mark.parametrize("keep", [0, 100, -20])
def test_a_shard_cut_short_is_set_aside_and_flown_again(copy, keep: int) -> None:
    spec, out, rows = copy
    path = sorted((out / RESULTS).glob("*.parquet"))[0]
    path.write_bytes(path.read_bytes()[:keep])
    again = fly_campaign(spec, out, Crew(1), resume=True)
    assert again.landings == 2
    assert again.aside == (path,)
    assert rows_in(out) == rows
    assert path.with_name(path.name + ".damaged").is_file()


def test_what_a_killed_writer_left_is_removed(copy) -> None:
    spec, out, rows = copy
    left = out / RESULTS / ".shard-000001.parquet.abc123"
    left.write_bytes(b"half a shard")
    fly_campaign(spec, out, Crew(1), resume=True)
    assert not left.exists()
    assert rows_in(out) == rows


def test_a_landing_on_disk_twice_is_refused(copy) -> None:
    spec, out, _ = copy
    path = sorted((out / RESULTS).glob("*.parquet"))[0]
    shutil.copy(path, path.with_name("shard-000009.parquet"))
    with pytest.raises(InputError, match="in another shard, too"):
        fly_campaign(spec, out, Crew(1), resume=True)


def test_a_shard_of_another_campaign_is_refused(copy, tmp_path: Path) -> None:
    spec, out, _ = copy
    other = spec_in(tmp_path / "other")
    fly_campaign(other, tmp_path / "foreign", Crew(1))
    shutil.copy(
        tmp_path / "foreign" / RESULTS / "shard-000000.parquet",
        out / RESULTS / "shard-000000.parquet",
    )
    with pytest.raises(InputError, match="other columns"):
        fly_campaign(spec, out, Crew(1), resume=True)


CHANGES = [
    ('seeds = "0:4"', "spec.seeds is '0:4', was '0:3'"),
    ('controllers = ["pd", "pid"]', "spec.controllers"),
    ("uncertified = true", "spec.uncertified is True, was absent"),
]


@pytest.mark.parametrize(("line", "message"), CHANGES)
def test_a_changed_spec_does_not_mix(copy, tmp_path: Path, line: str, message: str) -> None:
    _, out, rows = copy
    key = line.split(" =")[0]
    kept = [old for old in (TEXT + DRAWN).splitlines() if old.split(" =")[0] != key]
    with pytest.raises(InputError) as refusal:
        fly_campaign(spec_in(tmp_path, "\n".join([line, *kept])), out, Crew(1), resume=True)
    assert message in str(refusal.value)
    assert "--out DIR" in str(refusal.value)
    assert rows_in(out) == rows


def test_a_comment_in_the_spec_is_no_change(copy, tmp_path: Path) -> None:
    _, out, _ = copy
    assert (
        fly_campaign(
            spec_in(tmp_path, "# better said\n" + TEXT + DRAWN), out, Crew(1), resume=True
        ).landings
        == 0
    )
    assert (out / SPEC).read_text().startswith("# better said")


@pytest.mark.parametrize("what", ["version", "code", "numpy", "scenario short"])
def test_another_version_source_library_or_file_does_not_mix(copy, tmp_path: Path, what) -> None:
    spec, out, _ = copy
    text = (out / IDENTITY).read_text()
    found = run.identity(spec)
    value = found.get(what) or found["libraries"].get(what) or found["files"][what]
    assert text.count(f'"{value}"') >= 1
    (out / IDENTITY).write_text(text.replace(f'"{value}"', '"0.0.9"'))
    with pytest.raises(InputError, match=rf"{what}.*was '0\.0\.9'"):
        fly_campaign(spec, out, Crew(1), resume=True)


def test_two_campaigns_do_not_write_into_one_folder(copy) -> None:
    spec, out, _ = copy
    with claimed(spec, out, True), pytest.raises(InputError, match="another process"):
        fly_campaign(spec, out, Crew(1), resume=True)


def test_a_world_that_no_vehicle_can_be_in_is_no_failure(tmp_path: Path) -> None:
    late = DRAWN.replace("mass_share", "latency").replace("-0.1", "0.001").replace("0.1", "0.4")
    rows = fly_all(spec_in(tmp_path, TEXT + late), tmp_path / "out")
    assert len(rows) == 6
    for row in rows:
        beyond = row["parameter vehicle.latency"] > 0.128  # 64 periods of 2 ms
        assert row["status"] == (IMPOSSIBLE if beyond else FLOWN)
        assert (row["error"] is not None) == beyond
        if beyond:
            assert row["error"].startswith("InputError: ")
            assert "latency is" in row["error"]
            assert "in flight_at" in row["traceback"]
            assert row["crashed"] is None
    assert {row["status"] for row in rows} == {IMPOSSIBLE, FLOWN}


def test_a_controller_that_raises_is_a_row_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PILOT.replace("SHARE", "no_such_name"))
    text = TEXT.replace('"pd", "observer"', '"mine.py:Hover"').replace("0:3", "0:1")
    (row,) = fly_all(spec_in(tmp_path, text), tmp_path / "out")
    assert (row["status"], row["crashed"]) == (ERROR, None)
    assert "NameError: name 'no_such_name'" in row["error"]


@pytest.mark.parametrize("error", [MemoryError("no room"), OSError(5, "I/O error")])
def test_a_machine_that_fails_is_no_outcome_of_a_landing(
    tmp_path: Path, monkeypatch, error: Exception
) -> None:
    spec = spec_in(tmp_path, TEXT.replace("0:3", "0:1"))

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("neural_lander.sim.campaign.worker.fly", fail)
        with pytest.raises(InputError, match=r"landing 0 was not flown.*--resume"):
            fly_campaign(spec, tmp_path / "out", Crew(1))
    again = fly_campaign(spec, tmp_path / "out", Crew(1), resume=True)
    assert (again.landings, {row["status"] for row in rows_in(tmp_path / "out")}) == (2, {FLOWN})


def test_a_refused_certificate_is_a_row_with_the_refusal(tmp_path: Path, intel_aero) -> None:
    bundle(tmp_path / "model", intel_aero)
    text = TEXT.replace('"observer"', '"learned+observer"') + 'model = "model"\n'
    rows = fly_all(spec_in(tmp_path, text), tmp_path / "out")
    assert [row["status"] for row in rows] == [FLOWN] * 3 + [REFUSED] * 3
    assert "certify" in rows[3]["refused"]
    rows = fly_all(
        spec_in(tmp_path / "b", text.replace('"model"', '"../model"') + DRAWN), tmp_path / "drawn"
    )
    assert [row["status"] for row in rows] == [FLOWN] * 3 + [REFUSED] * 3
    uncertified = text.replace('"model"', '"../model"') + "uncertified = true\n" + DRAWN
    rows = fly_all(spec_in(tmp_path / "c", uncertified), tmp_path / "all")
    assert [row["status"] for row in rows] == [FLOWN] * 6
    assert [row["certified"] for row in rows] == [None] * 3 + [False] * 3


def test_a_model_that_changes_does_not_mix(tmp_path: Path, intel_aero) -> None:
    bundle(tmp_path / "model", intel_aero)
    text = TEXT.replace('"observer"', '"learned"') + 'model = "model"\nuncertified = true\n'
    fly_all(spec_in(tmp_path, text), tmp_path / "out")
    bundle(tmp_path / "model", intel_aero, bias=0.01)
    with pytest.raises(InputError, match=r"files.model for rotor is"):
        fly_campaign(spec_in(tmp_path, text), tmp_path / "out", Crew(1), resume=True)


PILOT = """
import numpy as np

class Hover:
    def __init__(self, task):
        self.thrusts = np.full(4, task.vehicle.weight / 4)

    def step(self, state, time):
        return SHARE * self.thrusts
"""


def test_a_controller_from_a_file_flies_and_another_one_of_that_name_does_not_mix(
    tmp_path: Path,
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(PILOT.replace("SHARE", "0.9"))
    text = TEXT.replace('"observer"', '"mine.py:Hover"')
    rows = fly_all(spec_in(tmp_path, text), tmp_path / "out")
    assert [row["controller"] for row in rows] == ["pd"] * 3 + ["mine.py:Hover"] * 3
    assert [row["status"] for row in rows] == [FLOWN] * 6
    assert all(row["touched"] for row in rows[3:])  # it falls
    mine.write_text(PILOT.replace("SHARE", "0.8"))
    with pytest.raises(InputError, match=r"files\.controller mine\.py:Hover is"):
        fly_campaign(spec_in(tmp_path, text), tmp_path / "out", Crew(1), resume=True)


def test_a_policy_flies_and_another_one_of_that_name_does_not_mix(tmp_path: Path) -> None:
    """In a campaign, too, what stable-baselines3 saved is a controller, known by its bytes."""
    sb3 = pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    from neural_lander.sim.env import LandingEnv
    from neural_lander.sim.policy import Asked, save_policy

    small = {"n_steps": 16, "batch_size": 16, "device": "cpu", "policy_kwargs": {"net_arch": [8]}}
    path = tmp_path / "policy.zip"
    env = LandingEnv(action="residual")
    save_policy(sb3.PPO("MlpPolicy", env, seed=0, **small), path, Asked("residual"))
    text = TEXT.replace('"observer"', f'"{path}"')
    rows = fly_all(spec_in(tmp_path, text), tmp_path / "out")
    assert [row["controller"] for row in rows] == ["pd"] * 3 + [str(path)] * 3
    assert [row["status"] for row in rows] == [FLOWN] * 6
    save_policy(sb3.PPO("MlpPolicy", env, seed=1, **small), path, Asked("residual"))
    with pytest.raises(InputError, match=r"files\.controller .*policy\.zip is"):
        fly_campaign(spec_in(tmp_path, text), tmp_path / "out", Crew(1), resume=True)


def test_a_process_that_lives_on_flies_the_files_of_each_campaign(
    tmp_path: Path, intel_aero
) -> None:
    """As a Dask worker does, which flies one campaign after another at the same paths."""
    scenario, mine = SHORT, tmp_path / "mine.py"
    text = TEXT.replace('"pd", "observer"', '"learned", "mine.py:Hover"').replace("0:3", "0:1")
    text += 'model = "model"\nuncertified = true\n'
    met = []
    for bias, share, height in ((0.0, "0.9", "0.3"), (0.4, "0.85", "0.3"), (0.4, "0.85", "0.25")):
        bundle(tmp_path / "model", intel_aero, bias=bias)
        mine.write_text(PILOT.replace("SHARE", share))
        spec = spec_in(tmp_path, text, short=scenario.replace("0.3", height))
        rows = [r for c in chunks_of(spec, np.zeros(2, bool)) for r in fly_chunk(c)]
        met.append([row["landing_time_s"] or row["xy_end_m"] for row in rows])
        fresh = [fly(flight_of(c.options, c.flown), 0).summary for c in spec.cells[:1]]
        assert rows[0]["z_rmse_m"] == fresh[0]["z_rmse_m"]
    assert len({times[0] for times in met}) == 3
    assert len({times[1] for times in met}) == 3


def test_a_full_disk_is_said_and_what_was_written_stays(tmp_path: Path, monkeypatch) -> None:
    """Files are held to 2 kB each, half a shard, for a while: the disk of this test is full."""
    spec = spec_in(tmp_path, TEXT)
    whole = fly_all(spec, tmp_path / "whole")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(run, "write_json", _with_limit(run.write_json, before, 4096))
    monkeypatch.setattr(run.chunks_of, "__defaults__", (2,))
    monkeypatch.setattr("neural_lander.sim.campaign.shards.ROWS", 2)
    try:
        with pytest.raises(InputError, match="cannot be written"):
            fly_campaign(spec, tmp_path / "out", Crew(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "out" / RESULTS).iterdir()) == []  # nothing half-written
    monkeypatch.undo()
    assert fly_all(spec, tmp_path / "out", resume=True) == whole


def _with_limit(write, before: tuple[int, int], size: int):
    """Let a call pass, and hold all files after it to a size."""

    def limited(*args: object) -> None:
        write(*args)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    return limited


def test_an_interrupt_leaves_the_rows_done_on_disk(tmp_path: Path, monkeypatch) -> None:
    spec = spec_in(tmp_path, TEXT)
    monkeypatch.setattr(run.chunks_of, "__defaults__", (1,))
    said: list[str] = []

    def told(_share: float, phrase: str) -> None:
        said.append(phrase)
        if len(said) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fly_campaign(spec, tmp_path / "out", Crew(1), told=told)
    assert said[3].startswith("4 of 6, ")
    assert len(rows_in(tmp_path / "out")) == 4
    again = fly_campaign(spec, tmp_path / "out", Crew(1), resume=True)
    assert (again.before, again.landings) == (4, 2)


def test_a_dead_worker_is_replaced_and_after_several_the_campaign_gives_up(
    tmp_path: Path, monkeypatch
) -> None:
    spec = spec_in(tmp_path, TEXT)
    lives = [1, 0]

    def fly_and_die(_function, chunks, _workers):
        for chunk in chunks:
            if lives and lives.pop(0) == 0:
                raise WorkerDied("killed by signal 9")
            yield fly_chunk(chunk)

    monkeypatch.setattr(run, "spread", fly_and_die)
    monkeypatch.setattr(run.chunks_of, "__defaults__", (2,))
    first = fly_campaign(spec, tmp_path / "out", Crew(1))
    assert (first.landings, first.deaths) == (6, 1)
    assert [row["landing"] for row in rows_in(tmp_path / "out")] == list(range(6))
    lives[:] = [0] * 9
    with pytest.raises(InputError, match=r"died 4 times.*--resume"):
        fly_campaign(spec, tmp_path / "other", Crew(1))


@pytest.mark.campaign
def test_kill_9_loses_doubles_and_halves_nothing(flown, tmp_path: Path) -> None:
    spec, _, rows = flown
    path = write_spec(tmp_path, TEXT + DRAWN)
    code = (
        "import sys, pathlib\n"
        "from neural_lander.sim.campaign import run, shards, spec\n"
        "shards.ROWS = 1\nrun.chunks_of.__defaults__ = (1,)\n"
        "def told(share, phrase): print(phrase, flush=True)\n"
        "run.fly_campaign(spec.read_spec(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2]),\n"
        "                 run.Crew(1), True, told)\n"
    )
    out = tmp_path / "out"
    child = subprocess.Popen(
        [sys.executable, "-c", code, path, out], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for _ in range(3):
        child.stdout.readline()
    child.kill()
    child.wait()
    there = len(rows_in(out))
    assert 3 <= there <= 6
    again = fly_campaign(spec_in(tmp_path, TEXT + DRAWN), out, Crew(1), resume=True)
    assert (again.before, again.landings) == (there, 6 - there)
    assert rows_in(out) == rows


@pytest.mark.campaign
def test_workers_of_this_machine_fly_the_same_bytes_and_leave_with_their_parent(
    tmp_path: Path,
) -> None:
    """Two processes; one of them is killed on the way and replaced; then the parent is killed."""
    text = TEXT.replace("0:3", "0:40") + DRAWN
    rows = fly_all(spec_in(tmp_path / "one", text), tmp_path / "one" / "out")
    path = write_spec(tmp_path / "two", text)
    code = (
        "import os, sys, pathlib, signal\n"
        "from neural_lander.sim.campaign import run, spec\n"
        "from joblib.externals.loky import reusable_executor as pool\n"
        "run.chunks_of.__defaults__ = (1,)\n"
        "dead = []\n"
        "def told(share, phrase):\n"
        "    pids = list(pool._executor._processes)\n"
        "    if not dead:\n"
        "        dead.append(pids[0]); os.kill(pids[0], signal.SIGKILL)\n"
        "    print(*pids, flush=True)\n"
        "if __name__ == '__main__':\n"
        "    f = run.fly_campaign(spec.read_spec(pathlib.Path(sys.argv[1])),\n"
        "        pathlib.Path(sys.argv[2]), run.Crew(2), True, told)\n"
        "    assert f.deaths == 1 and 'torch' not in sys.modules\n"
        "    print(*pool._executor._processes, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    out = tmp_path / "two" / "out"
    done = subprocess.run(
        [sys.executable, "-c", code, path, out], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert rows_in(out) == rows
    until = time.monotonic() + 10
    pids = {int(pid) for pid in done.stdout.split()}
    assert len(pids) >= 3
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < until, "workers outlive the campaign"
        time.sleep(0.1)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_shards_hold_what_they_were_given_and_number_on(tmp_path: Path) -> None:
    names = schema(("a",)).names
    shards = Shards(tmp_path, schema(("a",)))
    blank = dict.fromkeys(names)
    assert not shards.flush()
    shards.add([blank | {"landing": 3, "parameter a": 1.5, "tube_xyz_m": [1.0, 2.0, 3.0]}])
    assert shards.flush()
    again = Shards(tmp_path, schema(("a",)))
    again.add([blank | {"landing": 1}])
    again.flush()
    assert [p.name for p in again.paths()] == ["shard-000000.parquet", "shard-000001.parquet"]
    done, aside = again.landings_done(4)
    assert done.tolist() == [False, True, False, True]
    assert aside == []
    first = next(again.rows())
    assert first["tube_xyz_m"] == [1.0, 2.0, 3.0]
    assert first["parameter a"] == 1.5
