"""Scenario files say what is to be flown; wrong ones are refused with the field."""

import pytest

from neural_lander.controller.errors import InputError
from neural_lander.sim.scenario import bundled_scenarios, load_scenario


@pytest.mark.parametrize("name", bundled_scenarios())
def test_bundled_scenarios_load(name):
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.description


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("description = 'x'", "name is missing"),
        ("name = 'a'\ndescription = 'x'\nwind = 3", "wind is unknown; expected"),
        (
            "name = 'a'\ndescription = 'x'\nstart_height = -1",
            "start_height is -1, expected a number from",
        ),
        ("name = 'a'\ndescription = 'x'\nhover = true", "hover is True, expected a number"),
        ("name = 'a'\ndescription = 'x'\nstart_height = 0.1\ntarget_height = 0.5", "target_height"),
        ("name = ", "is not TOML"),
    ],
)
def test_bad_files_are_refused(text, message, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_scenario(str(path))


def test_unknown_names_are_told_what_there_is():
    with pytest.raises(InputError, match="scenario 'moon' is unknown; take one of flat, hover-low"):
        load_scenario("moon")
