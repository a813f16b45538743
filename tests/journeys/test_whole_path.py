"""The whole path through the command line, small: flights, model, certificate, landing, picture."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from neural_lander.controller.flight_log import read_flight_log
from neural_lander.controller.vehicle import load_vehicle
from neural_lander.scripts.cli import main
from neural_lander.scripts.cli_demo import CONTROLLERS, demo

AERO = ("--vehicle", "intel-aero")

Said = tuple[int, str, str]
Run = Callable[..., Said]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the program in this process; returns exit status, standard output, standard error."""

    def run(*arguments: str | Path) -> Said:
        capfd.readouterr()
        status = _status(*arguments)
        said = capfd.readouterr()
        return status, said.out, said.err

    return run


def _status(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two short flights, a model of them, and its certificate for ``learned``."""
    folder = tmp_path_factory.mktemp("whole path")  # with a space in its name
    flights, model = folder / "flights", folder / "model"
    collect = ("collect", *AERO, "--flights", "4", "--duration", "30", "--out", flights)
    assert _status(*collect) == 0
    assert _status("train", flights, *AERO, "--epochs", "80", "--out", model) == 0
    assert _status("certify", model, *AERO, "--controller", "learned") == 0
    return folder


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    """A copy of the model, with its certificate, to spoil."""
    return Path(shutil.copytree(made / "model", tmp_path / "model"))


def with_value(key: str, value: str, folder: Path) -> Path:
    """Write the file of the Intel Aero with another value of ``key``."""
    text = (Path(__file__).parents[2] / "controller/vehicles/intel-aero.toml").read_text()
    changed, count = re.subn(rf"({key} = {{ value = ).*?(, source)", rf"\g<1>{value}\g<2>", text)
    assert count == 1
    file = folder / "other.toml"
    file.write_text(changed)
    return file


def test_every_verb_gives_one_json_object_of_what_it_wrote(
    made: Path, tmp_path: Path, run: Run
) -> None:
    flights, new = made / "flights", tmp_path / "model"
    collect = ("collect", *AERO, "--flights", "2", "--duration", "8", "--out", tmp_path / "f")
    status, out, _ = run(*collect, "--json")
    assert status == 0
    assert [Path(f["path"]).name for f in json.loads(out)] == [
        "flight-00.parquet",
        "flight-01.parquet",
    ]

    status, out, _ = run("train", flights, *AERO, "--epochs", "5", "--out", new, "--json")
    assert status == 0
    assert json.loads(out) == json.loads((new / "model.json").read_text())

    status, out, _ = run("evaluate", made / "model", tmp_path / "f", *AERO, "--json")
    assert status == 0
    scores = json.loads(out)
    assert [f["flight"] for f in scores["flights"]] == ["flight-00", "flight-01"]
    assert {"r2_z", "rmse_z_n", "rmse_z_5hz_weight"} <= set(scores["mean"])

    file = tmp_path / "certificate.json"
    status, out, _ = run("certify", made / "model", *AERO, "--out", file, "--json")
    assert status == 0
    assert json.loads(out) == json.loads(file.read_text())
    assert json.loads(out)["verdict"] == "certified"

    land = ("land", *AERO, "--controller", "learned", "--model", made / "model")
    status, out, _ = run(*land, "--out", tmp_path / "run", "--json")
    assert status == 0
    assert json.loads(out) == json.loads((tmp_path / "run" / "summary.json").read_text())

    status, out, _ = run("compare", tmp_path / "run", "--out", tmp_path / "compared", "--json")
    assert status == 0
    comparison = json.loads(out)
    assert comparison["runs"][0]["controller"] == "learned"
    assert all(Path(picture).stat().st_size > 10_000 for picture in comparison["pictures"])

    for what in (tmp_path / "f", made / "model", tmp_path / "run", tmp_path / "compared", file):
        status, out, _ = run("inspect", what, "--json")
        assert status == 0
        assert json.loads(out)


def test_what_a_model_is_worth_is_said_of_flights_it_has_not_seen(
    made: Path, tmp_path: Path, run: Run
) -> None:
    picture = tmp_path / "scores.png"
    status, out, _ = run("inspect", made / "model", "--out", picture)
    assert status == 0
    assert picture.stat().st_size > 10_000
    table = out[out.index("on the same unseen flights") :]
    for name in ("network", "network without bound", "boosting", "exponential", "zero"):
        assert re.search(rf"^{name} +-?[0-9.]+ +-?[0-9.]+ to ", table, re.MULTILINE), name

    status, out, _ = run("evaluate", made / "model", made / "flights" / "flight-01.parquet", *AERO)
    assert status == 0
    assert "vertical force on flights," in out  # and not on unseen ones
    assert re.search(r"learned from, so .* flatter the model: flight-01", out)
    collect = ("collect", *AERO, "--flights", "1", "--duration", "8", "--seed", "9")
    assert run(*collect, "--out", tmp_path / "new")[0] == 0
    status, out, _ = run("evaluate", made / "model", tmp_path / "new", *AERO)
    assert status == 0
    assert "vertical force on unseen flights" in out
    assert "flatter" not in out


def test_the_sweep_is_a_table_and_a_picture_and_no_model(
    made: Path, tmp_path: Path, run: Run
) -> None:
    train = ("train", made / "flights", *AERO, "--epochs", "2", "--sweep", "--out", tmp_path / "s")
    status, out, _ = run(*train, "--json")
    assert status == 0
    sweep = json.loads(out)
    assert [row["bound"] for row in sweep["bounds"]][-1] is None
    assert {f.name for f in (tmp_path / "s").iterdir()} == {"sweep.json", "sweep.png", "sweep.pdf"}
    status, out, _ = run("inspect", tmp_path / "s")
    assert status == 0
    assert re.search(r"^none +– ", out, re.MULTILINE)
    assert "knee: " in out


def test_a_certified_model_lands_softly_where_a_plain_controller_hangs(
    made: Path, tmp_path: Path, run: Run
) -> None:
    summaries: dict[str, dict[str, Any]] = {}
    for controller, more in (("pd", ()), ("learned", ("--model", made / "model"))):
        out = tmp_path / controller
        status, said, _ = run("land", *AERO, "--controller", controller, *more, "--out", out)
        assert status == 0
        assert {f.name for f in out.iterdir()} >= {"flight.parquet", "summary.json", "landing.png"}
        assert str(out / "landing.png") in said
        summaries[controller] = json.loads((out / "summary.json").read_text())
    assert summaries["learned"]["landed"]
    assert summaries["learned"]["certified"] is True
    assert summaries["learned"]["touchdown_speed_m_s"] < 0.2
    assert not summaries["pd"]["landed"]
    assert summaries["pd"]["certified"] is None
    status, said, _ = run("compare", tmp_path / "pd", tmp_path / "learned", "--out", tmp_path / "c")
    assert status == 0
    assert re.search(r"^pd +hangs", said, re.MULTILINE)
    assert re.search(r"^learned +landed", said, re.MULTILINE)


def test_a_model_without_a_certificate_is_refused_and_flies_only_on_demand(
    model: Path, tmp_path: Path, run: Run
) -> None:
    shutil.rmtree(model / "certificates")
    land = ("land", *AERO, "--controller", "learned", "--model", model, "--out", tmp_path / "run")
    status, out, err = run(*land, "--json")
    assert (status, out) == (3, "")
    assert "refused: " in err
    assert "neural-lander certify" in err
    assert not (tmp_path / "run").exists()
    status, out, _ = run(*land, "--uncertified", "--json")
    assert status == 0
    assert json.loads(out)["certified"] is False
    assert read_flight_log(tmp_path / "run" / "flight.parquet").metadata["certified"] is False


def test_the_certificate_of_one_controller_is_none_for_another(
    made: Path, tmp_path: Path, run: Run
) -> None:
    other = ("--controller", "learned+observer", "--model", made / "model")
    status, _, err = run("land", *AERO, *other, "--out", tmp_path / "run")
    assert status == 3
    assert "controller: learned → learned+observer" in err


def test_another_gain_is_refused_by_its_name(made: Path, tmp_path: Path, run: Run) -> None:
    file = with_value("velocity_1_s", "[6, 6, 6.5]", tmp_path)
    status, _, err = run("land", "--vehicle", file, "--controller", "learned", "--model",
                         made / "model", "--out", tmp_path / "run")  # fmt: skip
    assert status == 3
    assert "velocity_1_s z: 6 → 6.5" in err
    assert not (tmp_path / "run").exists()


def test_another_mass_and_another_vehicle_are_refused(made: Path, tmp_path: Path, run: Run) -> None:
    file = with_value("mass_kg", "1.48", tmp_path)
    more = ("--controller", "learned", "--model", made / "model", "--out", tmp_path / "run")
    status, _, err = run("land", "--vehicle", file, *more)
    assert status == 3
    assert "vehicle: " in err
    status, _, err = run("land", "--vehicle", "crazyflie", *more)
    assert status == 2
    assert "is of vehicle 'intel-aero', not of 'crazyflie'" in err
    assert not (tmp_path / "run").exists()


def test_one_changed_byte_of_the_weights_does_not_fly(
    model: Path, tmp_path: Path, run: Run
) -> None:
    weights = model / "weights.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-3] ^= 1
    weights.write_bytes(bytes(raw))
    status, _, err = run("land", *AERO, "--controller", "learned", "--model", model, "--out",
                         tmp_path / "run")  # fmt: skip
    assert status in (2, 3)
    assert "weights" in err
    assert not (tmp_path / "run").exists()


def test_a_network_too_steep_is_refused_with_the_failing_inequality(
    model: Path, tmp_path: Path, run: Run
) -> None:
    import hashlib

    weights, info = model / "weights.safetensors", model / "model.json"
    tensors = load_file(weights)
    last = max(name for name in tensors if name.endswith("weight"))
    save_file({**tensors, last: 1000 * tensors[last]}, weights)
    described = json.loads(info.read_text())
    described["weights_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    info.write_text(json.dumps(described))

    file = tmp_path / "certificate.json"
    status, out, err = run(
        "certify", model, *AERO, "--controller", "learned", "--out", file, "--json"
    )
    assert status == 3
    certificate = json.loads(out)
    assert certificate == json.loads(file.read_text())
    assert certificate["verdict"] == "refused"
    failed = [c for c in certificate["conditions"] if not c["holds"]]
    assert min(c["name"] for c in failed) in err
    status, _, err = run("land", *AERO, "--controller", "learned", "--model", model,
                         "--certificate", file, "--out", tmp_path / "run")  # fmt: skip
    assert status == 3
    assert min(c["name"] for c in failed) in err
    assert run("inspect", file)[0] == 0


def test_a_crash_is_written_and_said_with_status_4(tmp_path: Path, run: Run) -> None:
    # An attitude loop six times faster than its motors cannot be stable.
    file = with_value("attitude_rad_s", "150", tmp_path)
    status, out, _ = run("land", "--vehicle", file, "--controller", "pd", "--out",
                         tmp_path / "run", "--json")  # fmt: skip
    assert status == 4
    assert json.loads(out)["crashed"] is True
    assert (tmp_path / "run" / "flight.parquet").is_file()
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["landed"] is False


def test_controllers_fly_the_same_seeds_and_a_refusal_is_an_outcome(
    made: Path, tmp_path: Path, run: Run
) -> None:
    status, out, _ = run("compare", "--controllers", "pd,learned,learned+observer", *AERO,
                         "--model", made / "model", "--seeds", "3:5", "--out", tmp_path / "c",
                         "--json")  # fmt: skip
    assert status == 0
    result = json.loads(out)
    rows = {entry["controller"]: entry for entry in result["controllers"]}
    assert rows["learned"]["landed"] == 2
    assert rows["pd"]["landed"] == 0
    assert rows["learned+observer"]["refused"] == 2
    assert [landing["seed"] for landing in result["landings"]] == [3, 4] * 3
    status, out, _ = run("inspect", tmp_path / "c")
    assert status == 0
    assert "n = 2 seeds" in out
    assert re.search(r"^learned\+observer( +0){5} +2 ", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("truncated", lambda path: path.write_bytes(path.read_bytes()[:5000]), "cut short"),
        ("nan", lambda path: _spoil(path, "v_world_z_m_s", np.nan), "v_world_z_m_s, row 20"),
        ("time", lambda path: _spoil(path, "time_s", 0.0), "column time_s, row 20"),
        ("column", lambda path: _drop(path, "height_m"), "column height_m is missing"),
        ("missing", lambda path: path.unlink(), "no such file"),
    ],
)
def test_a_bad_flight_is_named_and_no_model_is_written(
    made: Path,
    tmp_path: Path,
    run: Run,
    name: str,
    spoil: Callable[[Path], Any],
    message: str,
) -> None:
    bad = tmp_path / f"{name}.parquet"
    shutil.copy(made / "flights" / "flight-01.parquet", bad)
    spoil(bad)
    good = made / "flights" / "flight-00.parquet"
    for verb in (("train", good, bad, "--out", tmp_path / "model"),
                 ("evaluate", made / "model", good, bad)):  # fmt: skip
        status, out, err = run(*verb, *AERO)
        assert (status, out) == (2, "")
        assert f"{name}.parquet" in err
        assert message in err
        assert "Traceback" not in err
    assert not (tmp_path / "model").exists()
    assert run("inspect", bad)[0] == 2


def _spoil(path: Path, column: str, value: float) -> None:
    table = pq.read_table(path)
    values = table[column].to_numpy().copy()
    values[20] = value
    at = table.column_names.index(column)
    pq.write_table(table.set_column(at, column, pa.array(values)), path)


def _drop(path: Path, column: str) -> None:
    pq.write_table(pq.read_table(path).drop_columns([column]), path)


def test_the_same_seed_gives_the_same_bytes_in_two_processes(made: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        subprocess.run(
            [sys.executable, "-m", "neural_lander.scripts.cli", "land", *AERO, "--controller",
             "learned", "--model", made / "model", "--seed", "11", "--out", tmp_path / name],
            check=True, capture_output=True,
        )  # fmt: skip
    a, b = (read_flight_log(tmp_path / name / "flight.parquet") for name in ("a", "b"))
    assert set(a.columns) == set(b.columns)
    for column in a.columns:
        assert a[column].tobytes() == b[column].tobytes()


def test_flying_imports_no_torch(made: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from neural_lander.scripts import cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "land", *AERO, "--controller", "learned", "--model",
         made / "model", "--out", tmp_path / "run"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == "False"


def test_the_demo_goes_the_whole_way_and_again(tmp_path: Path) -> None:
    from neural_lander.scripts.cli_output import progress_bar

    for seed in (1, 2):
        result = demo(
            tmp_path / "demo",
            seed,
            progress_bar,
            flights=2,
            duration=12.0,
            controllers=("pd", "learned"),
        )
        assert [r["controller"] for r in result["runs"]] == ["pd", "learned"]
        assert {r["seed"] for r in result["runs"]} == {seed}
        assert all(Path(picture).is_file() for picture in result["pictures"])
        certificates = list((tmp_path / "demo" / "model" / "certificates").iterdir())
        assert len(certificates) == 1  # the model before left none behind


def test_the_demo_flies_controllers_that_there_are() -> None:
    from neural_lander.controller.landing_controller import CONTROLLERS as KNOWN

    assert set(CONTROLLERS) <= set(KNOWN)


def test_real_flights_go_from_the_card_to_a_score(
    data_folder: Path, tmp_path: Path, run: Run
) -> None:
    cards = sorted((data_folder / "flights" / "neural-swarm").glob("*s*_cf5[01]_00.usdlog"))[:3]
    bad = tmp_path / "notes.usdlog"
    bad.write_text("battery 3 was swapped")
    vehicle, flights = ("--vehicle", "crazyflie"), tmp_path / "flights"

    status, out, err = run("import", *cards, bad, *vehicle, "--out", flights, "--json")
    assert status == 2  # one is bad: the good are written, the bad is named
    assert "notes.usdlog" in err
    assert [r["error"] is None for r in json.loads(out)] == [True] * len(cards) + [False]
    assert len(list(flights.glob("*.parquet"))) == len(cards)

    paths = sorted(flights.glob("*.parquet"))
    train = ("train", *paths[1:], *vehicle, "--epochs", "5", "--out", tmp_path / "model")
    assert run(*train)[0] == 0
    status, out, _ = run("evaluate", tmp_path / "model", paths[0], *vehicle, "--json")
    assert status == 0
    assert json.loads(out)["flights"][0]["flight"] == paths[0].stem
    picture = tmp_path / "residual.png"
    inspect = ("inspect", *paths[:1], "--model", tmp_path / "model", "--out", picture)
    assert run(*inspect)[0] == 0
    assert picture.stat().st_size > 10_000


def test_the_bundled_vehicle_is_the_one_that_the_changed_copies_start_from(tmp_path: Path) -> None:
    file = with_value("mass_kg", "1.47", tmp_path)
    assert load_vehicle(file).digest == load_vehicle("intel-aero").digest
