"""``import``: a table and a verdict for people, one object for programs, 2 for what is bad."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from neural_lander.learning.column_map import EXAMPLE
from neural_lander.learning.plain_csv import parse_column_map
from neural_lander.scripts.cli import main

from .ulog_file import hop, ulog_file

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["import", *(str(argument) for argument in arguments)])
        said = capfd.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


def test_a_flight_is_told_of_with_verdict_reasons_and_what_is_missing(
    run: Run, tmp_path: Path
) -> None:
    source = tmp_path / "hop.ulg"
    source.write_bytes(ulog_file(hop(), {"MAV_TYPE": 2}))
    status, out, err = run(source, "--vehicle", "intel-aero", "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    assert "hop.ulg: not fit to learn ground effect from" in out
    assert "because  0.0 s of usable data below three rotor radii" in out
    assert "missing  rotor_speed: no rotor speeds" in out
    assert f"wrote {tmp_path / 'out' / 'hop.parquet'}" in out


def test_programs_get_one_list(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "hop.ulg"
    source.write_bytes(ulog_file(hop(), {"MAV_TYPE": 2}))
    status, out, _ = run(source, "--vehicle", "intel-aero", "--out", tmp_path, "--json")
    (flight,) = json.loads(out)
    assert status == 0
    assert flight["verdict"] == "not"
    assert flight["height_min_m"] is None  # not measured: null, never 0
    assert flight["seconds_below_three_radii"] is None
    assert flight["rate_hz"] == pytest.approx(10)
    assert len(flight["why"]) == 4


def test_of_several_the_bad_are_named_and_the_status_is_two(run: Run, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.ulg", tmp_path / "bad.ulg"
    good.write_bytes(ulog_file(hop(), {"MAV_TYPE": 2}))
    bad.write_bytes(b"ULog\x01\x12\x35\x01")
    options = ("--vehicle", "intel-aero", "--out", tmp_path / "out")
    status, out, err = run(good, bad, *options)
    assert status == 2
    assert "good.ulg: not fit" in out
    assert "bad.ulg: is cut short within the header" in err
    status, out, err = run(bad, *options)
    assert (status, out) == (2, "")


def test_the_help_shows_a_column_map_that_reads(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    shown = out[out.index("world = ") :]
    assert parse_column_map(shown, "help") == parse_column_map(EXAMPLE, "example")
