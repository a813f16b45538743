"""Every command on docs/gymnasium.md runs as it stands, but for the time that training takes."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from neural_lander.controller.vehicle import load_vehicle
from neural_lander.scripts import cli
from neural_lander.scripts.exit_status import CRASHED, DONE
from neural_lander.sim.rollout import Flight, fly
from neural_lander.sim.scenario import load_scenario

from .pages import draw_pictures

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "gymnasium.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def commands_of(block):
    return blocks("sh")[block].splitlines()


def run(command, monkeypatch):
    """Run one command line in this process; return its exit status."""
    program, *arguments = shlex.split(command)
    if program == "neural-lander":
        return left_with(lambda: cli.main(arguments))
    assert program == "python"
    script, *arguments = arguments
    if script.endswith("train_ppo.py"):
        arguments += ["--seconds", "1", "--landings", "2"]
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    return left_with(lambda: runpy.run_path(str(ROOT / script), run_name="__main__"))


def left_with(program):
    with pytest.raises(SystemExit) as ended:
        program()
    return ended.value.code or DONE


def test_its_python_runs(capsys):
    space: dict[str, object] = {}
    single, batch, _ = blocks("python")
    exec(single, space)
    assert capsys.readouterr().out.startswith("False 0.06"), "pd hangs on the ground effect"
    exec(batch, space)
    assert space["observations"].shape == (64, 29)


def test_its_own_controller_flies(tmp_path):
    (tmp_path / "mine.py").write_text(blocks("python")[-1])
    flight = Flight(
        load_vehicle("intel-aero"),
        f"{tmp_path}/mine.py:mine",
        load_scenario("flat"),
        engine="hybrid",
    )
    summary = fly(flight, 0).summary
    assert summary["controller"].endswith("mine.py:mine")
    assert not summary["landed"], "a thrust by height alone keeps no attitude"


def test_its_shell_commands_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    monkeypatch.chdir(tmp_path)
    draw_pictures(monkeypatch, 0)
    commands = commands_of(0) + commands_of(1)
    assert len(commands) == 3
    for command in commands:
        status = run(command, monkeypatch)
        assert status in ((DONE, CRASHED) if " land " in command else (DONE,)), command
    assert (tmp_path / "ppo-rates" / "curve.json").is_file()
    assert (tmp_path / "runs" / "ppo" / "summary.json").is_file()
    assert (tmp_path / "comparison" / "comparison.json").is_file()
    capsys.readouterr()


@pytest.mark.campaign
def test_its_measurements_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in commands_of(2):
        assert run(command, monkeypatch) == DONE, command
    assert "good from" in capsys.readouterr().out
    assert (tmp_path / "efficiency" / "data_efficiency.pdf").is_file()
