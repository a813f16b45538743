"""What is asked for is checked before it flies, and the file at fault is named."""

import pytest

from neural_lander.controller.errors import InputError
from neural_lander.sim.gate import FlightOptions, flight_of


@pytest.mark.parametrize(
    "table",
    ["[sensors]\nposition_latency = 9.0", "[vehicle]\ncentre_of_mass = [0.3, 0.0, 0.0]"],
)
def test_what_no_such_vehicle_can_be_in_is_refused_by_the_name_of_the_file(tmp_path, table):
    path = tmp_path / "odd.toml"
    path.write_text(f"name = 'odd'\ndescription = 'x'\n{table}\n")
    with pytest.raises(InputError, match=rf"odd\.toml: .*{table.split()[1]}"):
        flight_of(FlightOptions("intel-aero", str(path), "s-curve", "rotor"), "observer")


def test_terms_of_the_air_are_refused_where_something_else_plays_it(tmp_path):
    path = tmp_path / "odd.toml"
    path.write_text("name = 'odd'\ndescription = 'x'\n[aerodynamics]\nfountain = false\n")
    with pytest.raises(
        InputError, match=r"odd\.toml: aerodynamics: .* take --aero rotor, or leave"
    ):
        flight_of(FlightOptions("intel-aero", str(path), "s-curve", "none"), "observer")
    kept = flight_of(FlightOptions("intel-aero", str(path), "s-curve", "rotor"), "observer")
    assert not kept.scenario.aerodynamics.fountain
