"""The command line: what it answers, with which exit status, and on which stream."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neural_lander.controller.errors import InputError
from neural_lander.controller.vehicle import bundled_vehicles, load_vehicle, parse_vehicle
from neural_lander.scripts.cli import main
from neural_lander.scripts.cli_flight import controllers_of, seeds_of
from neural_lander.scripts.cli_options import CONTROLLERS as CONTROLLER_NAMES
from neural_lander.sim.gate import is_learned

VERBS = (
    "demo",
    "vehicle new",
    "vehicle show",
    "collect",
    "import",
    "identify",
    "train",
    "evaluate",
    "certify",
    "land",
    "compare",
    "campaign",
    "inspect",
)

Said = tuple[int, str, str]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run the program in this process; returns exit status, standard output, standard error."""

    def run(*arguments: str | Path) -> Said:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        said = capfd.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_ends_with_an_example_of_it(run: Callable[..., Said], verb: str) -> None:
    status, out, _ = run(*verb.split(), "--help")
    assert status == 0
    example = re.split(r"Examples?:", out)[-1]
    assert f"neural-lander {verb}" in example
    assert "Options:" not in example


def test_the_help_of_the_program_names_every_verb(run: Callable[..., Said]) -> None:
    status, out, _ = run("--help")
    assert status == 0
    for verb in VERBS:
        assert re.search(rf"^  {verb.split()[0]} ", out, re.MULTILINE)
    assert "..." not in out.split("Commands:")[1]  # no line of help is cut


def test_help_comes_within_a_second_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from neural_lander.scripts import cli\n"
        "try: cli.main(['land', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'scipy', 'numba', 'torch', 'pybullet', 'pyarrow', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # 0.2 s on a quiet machine; the rest is for a busy one.
    assert time.perf_counter() - begun < 2.0
    assert done.stderr.strip() == "[]"


def test_version_is_the_package_version(run: Callable[..., Said]) -> None:
    assert run("--version") == (0, f"neural-lander {version('neural-lander')}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("land", "--unknown"),
        ("land",),
        ("collect", "--vehicle", "intel-aero", "--out", "x", "--flights", "many"),
        ("train", "flights", "--vehicle", "intel-aero", "--out", "x", "--device", "abacus"),
        ("land", "--vehicle", "intel-aero", "--controller", "pd", "--out", "x", "--seed", "-1"),
    ],
)
def test_wrong_usage_is_said_with_status_2(
    run: Callable[..., Said], arguments: tuple[str, ...]
) -> None:
    status, out, err = run(*arguments)
    assert status == 2
    assert out == ""
    assert "Error" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vehicle", "show", "intel-hero"), "vehicle 'intel-hero' is unknown"),
        (("vehicle", "show", "nowhere.toml"), "nowhere.toml: cannot be read"),
        (("inspect", "nowhere"), "nowhere: no such file or folder"),
        (("inspect", "nowhere/flight.parquet"), "no such file or folder"),
        (("import", "nowhere.usdlog", "--vehicle", "crazyflie", "--out", "o"), "nowhere.usdlog"),
        (("import", "x", "--vehicle", "crazyflie", "--out", "o", "--format", "tape"), "'tape'"),
        (("train", "nowhere.parquet", "--vehicle", "intel-aero", "--out", "o"), "no such file"),
        (("evaluate", "nowhere", "x.parquet", "--vehicle", "intel-aero"), "nowhere"),
        (("certify", "nowhere", "--vehicle", "intel-aero"), "nowhere"),
        (("certify", "x", "--vehicle", "intel-aero", "--controller", "pd"), "'pd'"),
        (("land", "--vehicle", "intel-aero", "--controller", "hope", "--out", "o"), "'hope'"),
        (("land", "--vehicle", "intel-aero", "--controller", "learned", "--out", "o"), "--model"),
        (
            ("land", "--vehicle", "intel-aero", "--controller", "pd", "--scenario", "moon", "--out",
             "o"),
            "scenario 'moon' is unknown",
        ),
        (
            ("land", "--vehicle", "intel-aero", "--controller", "pd", "--reference", "brave",
             "--out", "o"),
            "brave",
        ),
        (
            ("land", "--vehicle", "intel-aero", "--controller", "pd", "--aero", "storm", "--out",
             "o"),
            "storm",
        ),
        (("collect", "--vehicle", "intel-aero", "--duration", "1", "--out", "o"), "duration is 1"),
        (
            ("collect", "--vehicle", "intel-aero", "--reference", "fastest", "--out", "o"),
            "--scenario and --reference are for landings",
        ),
        (
            ("land", "--vehicle", "intel-aero", "--controller", "pd", "--touchdown-speed", "0.2",
             "--out", "o"),
            "--touchdown-speed is for --reference fastest, and here is --reference s-curve",
        ),
        (
            ("certify", "x", "--vehicle", "intel-aero", "--thrust-room", "0.3:0.2"),
            "--thrust-room is for --reference fastest, and here is no reference",
        ),
        (
            ("compare", "--controllers", "pd", "--touchdown-speed", "0.2", "--out", "o"),
            "--touchdown-speed is for --reference fastest",
        ),
        (("compare", "--out", "o"), "give either folders of runs, or --controllers"),
        (("compare", "nowhere", "--out", "o"), "nowhere: is no run"),
        (("compare", "--controllers", "pd,", "--out", "o"), "--controllers is 'pd,'"),
        (("compare", "--controllers", "pd,hope", "--out", "o"), "controller 'hope' is unknown"),
        (("compare", "--controllers", "pd", "--seeds", "3:3", "--out", "o"), "--seeds is '3:3'"),
    ],
)  # fmt: skip
def test_bad_input_is_said_in_one_message_with_status_2_and_writes_nothing(
    run: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for flags in ((), ("--json",)):
        status, out, err = run(*arguments, *flags)
        assert status == 2
        assert out == ""
        assert "Traceback" not in err
        assert err.count("error: ") == 1
        assert message in err.split("error: ")[1]
    assert list(tmp_path.rglob("*")) == []


WRITERS: dict[str, tuple[tuple[str, ...], str]] = {
    "collect": (("--vehicle", "intel-aero"), "neural_lander.sim.collect.collect"),
    "import": (
        ("a.csv", "--vehicle", "intel-aero"),
        "neural_lander.learning.importing.import_flights",
    ),
    "train": (("a.parquet", "--vehicle", "intel-aero"), "neural_lander.learning.training.train"),
    "certify": (("model", "--vehicle", "intel-aero"), "neural_lander.learning.certify.certify"),
    "land": (
        ("--vehicle", "intel-aero", "--controller", "pd"),
        "neural_lander.sim.rollout.fly",
    ),
    "compare": (("--controllers", "pd"), "neural_lander.sim.compare.fly_seeds"),
}
"""Verb -> options, and the work that may not begin."""


@pytest.mark.parametrize("verb", WRITERS)
@pytest.mark.parametrize("out", ["taken", "taken/below/it", "/proc/nothing/here"])
def test_where_nothing_can_be_written_no_work_begins(
    run: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    verb: str,
    out: str,
) -> None:
    options, work = WRITERS[verb]
    begun: list[str] = []
    monkeypatch.setattr(work, lambda *_, **__: begun.append(verb))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("precious")
    if verb == "certify" and out == "taken":  # writes a file: a folder is what it cannot write to
        (tmp_path / "folder").mkdir()
        out = "folder"
    status, said, err = run(verb, *options, "--out", out)
    assert (status, said, begun) == (2, "", [])
    assert "error: " in err
    assert out.split("/")[0] in err
    assert (tmp_path / "taken").read_text() == "precious"
    assert {f.name for f in tmp_path.rglob("*")} <= {"taken", "folder"}


@pytest.mark.parametrize("summary", ["{}", '{"controller": 3}', "[]", "{"])
def test_a_broken_summary_is_said_not_thrown(
    run: Callable[..., Said], tmp_path: Path, summary: str
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "summary.json").write_text(summary)
    for verb in (("compare", tmp_path / "run", "--out", tmp_path / "c"),
                 ("inspect", tmp_path / "run")):  # fmt: skip
        status, out, err = run(*verb)
        assert (status, out) == (2, "")
        assert "summary.json" in err
        assert "Traceback" not in err


def test_a_run_without_summary_is_unfinished(run: Callable[..., Said], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert run("land", "--vehicle", "intel-aero", "--controller", "pid", "--out", folder)[0] == 0
    (folder / "summary.json").unlink()
    status, out, _ = run("inspect", folder)
    assert status == 0
    assert "unfinished" in out
    status, out, _ = run("inspect", folder, "--json")
    assert json.loads(out)["unfinished"] is True
    status, _, err = run("compare", folder, "--out", tmp_path / "c")
    assert status == 2
    assert "is an unfinished run" in err


def test_the_table_over_seeds_says_how_many_and_how_sure(
    run: Callable[..., Said], tmp_path: Path
) -> None:
    compare = ("compare", "--controllers", "pd,pid", "--scenario", "hover-low", "--seeds", "0:6")
    status, out, _ = run(*compare, "--out", tmp_path)
    assert status == 0
    assert "n = 6 seeds" in out
    assert "touched" in out
    table = json.loads((tmp_path / "comparison.json").read_text())
    for entry in table["controllers"]:
        touched = [
            r["touched"] for r in table["landings"] if r["controller"] == entry["controller"]
        ]
        assert entry["touched"] == sum(touched)
        median = entry["z_rmse_m"]["median"]
        assert median["low"] <= median["value"] <= median["high"]
        shown = [f"{1e3 * median[end]:.1f}" for end in ("low", "high")]
        assert "–".join(shown) in out


def test_a_defect_keeps_its_traceback_and_status_1() -> None:
    code = (
        "from neural_lander.scripts import cli, cli_flight, cli_vehicle\n"
        "def broken(*_): raise ZeroDivisionError('ours')\n"
        "cli_vehicle.show = broken\n"
        "cli.main(['vehicle', 'show', 'intel-aero', '--json'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError: ours" in done.stderr


@pytest.mark.parametrize("name", bundled_vehicles())
def test_vehicle_show_lists_every_number_with_its_source(
    run: Callable[..., Said], name: str
) -> None:
    status, out, _ = run("vehicle", "show", name)
    assert status == 0
    for path, _, _, _ in load_vehicle(name).numbers():
        assert path in out
    status, out, _ = run("vehicle", "show", name, "--json")
    shown: dict[str, Any] = json.loads(out)
    vehicle = load_vehicle(name)
    assert {key: shown[key] for key in vehicle.as_dict()} == vehicle.as_dict()
    assert shown["sources"] == vehicle.sources


@pytest.mark.parametrize("name", bundled_vehicles())
def test_a_new_vehicle_file_explains_itself_and_loads_back(
    run: Callable[..., Said], tmp_path: Path, name: str
) -> None:
    file = tmp_path / "my-quad.toml"
    status, out, _ = run("vehicle", "new", file, "--like", name, "--json")
    assert status == 0
    assert json.loads(out)["path"] == str(file)
    mine, like = load_vehicle(file), load_vehicle(name)
    assert mine.name == "my-quad"
    assert {**mine.as_dict(), "name": name} == like.as_dict()
    text = file.read_text()
    for _, _, meaning, _ in like.numbers():
        assert f"# {meaning} [" in text


def test_the_part_of_a_new_file_that_is_commented_out_can_be_used(
    run: Callable[..., Said], tmp_path: Path
) -> None:
    file = tmp_path / "my-quad.toml"
    run("vehicle", "new", file)
    assert load_vehicle(file).thrust_law is None
    text = re.sub(r"^# (\[thrust_law\]|\w+ = \{)", r"\1", file.read_text(), flags=re.MULTILINE)
    law = parse_vehicle(text, "my-quad.toml").thrust_law
    expected = load_vehicle("crazyflie").thrust_law
    assert law is not None
    assert expected is not None
    np.testing.assert_array_equal(law.coefficients, expected.coefficients)


def test_a_vehicle_file_that_exists_is_never_overwritten(
    run: Callable[..., Said], tmp_path: Path
) -> None:
    file = tmp_path / "my-quad.toml"
    file.write_text("precious")
    status, _, err = run("vehicle", "new", file)
    assert status == 2
    assert "exists already" in err
    assert file.read_text() == "precious"
    assert run("vehicle", "new", tmp_path / "my-quad")[0] == 2


def test_the_demo_leaves_a_folder_alone_that_it_did_not_make(
    run: Callable[..., Said], tmp_path: Path
) -> None:
    (tmp_path / "flights").mkdir()
    (tmp_path / "flights" / "precious.parquet").write_text("mine")
    status, _, err = run("demo", "--out", tmp_path)
    assert status == 2
    assert "was not made by the demo" in err
    assert (tmp_path / "flights" / "precious.parquet").read_text() == "mine"
    assert run("demo", "--out", tmp_path / "flights" / "precious.parquet")[0] == 2


def test_seeds_are_read_with_the_last_excluded() -> None:
    assert list(seeds_of("0:3")) == [0, 1, 2]
    assert list(seeds_of("7")) == [7]
    for bad in ("", "a", "3:1", "-1:2", "1:", ":4", "0:1:2"):
        with pytest.raises(InputError, match="--seeds"):
            seeds_of(bad)


def test_controllers_are_read_in_order_each_once() -> None:
    assert controllers_of("pd, learned+observer") == ["pd", "learned+observer"]
    for bad in ("", "pd,,pid", "pd,pd"):
        with pytest.raises(InputError, match="--controllers"):
            controllers_of(bad)


def test_only_a_learned_force_needs_a_model() -> None:
    names = CONTROLLER_NAMES.split(", ")
    assert [n for n in names if is_learned(n)] == [
        "learned",
        "learned+observer",
        "learned-unbounded",
    ]


def test_the_help_names_exactly_the_controllers_that_fly() -> None:
    from neural_lander.controller.landing_controller import CONTROLLERS

    assert set(CONTROLLER_NAMES.split(", ")) == set(CONTROLLERS)


def test_train_learns_as_its_settings_say_unless_told_otherwise():
    """The command line repeats the defaults, so as not to import what it may not need."""
    import inspect

    from neural_lander.learning.settings import TrainingSettings
    from neural_lander.scripts.cli import train

    given, settings = inspect.signature(train).parameters, TrainingSettings()
    for name in ("lipschitz", "inputs", "epochs", "device", "seed"):
        assert given[name].default == getattr(settings, name)
    assert given["cutoff"].default == settings.cutoff_hz
