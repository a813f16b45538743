"""What the pages of documentation tell a newcomer to do works as it stands there."""

import json
import shlex
import sys

import pytest

from neural_lander.scripts import cli

from .pages import DOCS, blocks_of, draw_pictures, links_of

PAGE = "your-own-controller.md"
UNWRITTEN: set[str] = set()
"""Pages that may still be missing."""


def run(command):
    """Run a line of a page; the program in this process, which is what its entry point does."""
    program, *arguments = shlex.split(command)
    assert program == "neural-lander", command
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0, command


def test_a_newcomer_gets_from_installation_to_the_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    draw_pictures(monkeypatch, 1)
    commands = []
    for block in blocks_of(PAGE):
        if block.language == "install":  # the network's part, which no test runs
            assert "pip install -e ." in block.text
        elif block.language == "python":
            (tmp_path / block.name).write_text(block.text)
        else:
            assert block.language == "sh"
            for command in block.text.strip().splitlines():
                run(command)
                commands.append(command)
    assert len(commands) == 6
    printed = capsys.readouterr().out
    for said in ("landing: landed", "my_controller.py:MyController", "with_integral:WithIntegral"):
        assert said in printed
    assert (tmp_path / "comparison" / "comparison.png").is_file()

    def table(folder):
        rows = json.loads((tmp_path / folder / "comparison.json").read_text())["controllers"]
        return {row["controller"].split(":")[0]: row for row in rows}

    flat, mine = table("table"), "my_controller.py"
    for name, row in flat.items():  # all land but pd, which hangs where the page says
        assert row["landed"] == (0 if name == "pd" else row["landings"]), name
    hangs = flat["pd"]["final_height_m"]["median"]["value"]
    assert hangs == pytest.approx(0.068, abs=0.002)
    assert table("windy")[mine]["landed"] == 2
    both = {name: row["terminal_z_error_m"] for name, row in table("integral").items()}
    mine_off, integral_off = (both[n]["median"]["value"] for n in (mine, "with_integral"))
    assert integral_off < 0.5 * mine_off


def test_the_first_controller_is_short():
    (first, *_) = (block for block in blocks_of(PAGE) if block.language == "python")
    assert len(first.text.strip().splitlines()) <= 20
    law = first.text[first.text.index("def step") :]
    assert len(law.strip().splitlines()) <= 5


@pytest.mark.parametrize("page", [PAGE, "other-simulators.md"])
def test_links_lead_somewhere(page):
    links = links_of(page)
    assert links
    assert {link for link in links if not (DOCS / link).exists()} <= UNWRITTEN
