"""What the baselines take from a model's folder is of the model's own training, or is refused."""

import json

import pytest

from neural_lander.controller.errors import InputError, Refused
from neural_lander.controller.files import sha256_of_file
from neural_lander.controller.model_parts import UNBOUNDED, bundle_of, fitted_radius, needs_model
from neural_lander.controller.network import load_network
from neural_lander.controller.onboard import LandingController
from neural_lander.learning.certify import certify
from neural_lander.sim.gate import FlightOptions, flight_of

from .bundle_cases import bundle
from .test_certificate import STEEP


@pytest.fixture
def model(tmp_path, intel_aero):
    """A model, and beside it one of any slope, as `train` writes them."""
    folder = tmp_path / "model"
    free = {"spectral_bound": {"asked": None}}
    bundle(folder / UNBOUNDED, intel_aero, scale=STEEP, **free)
    sha = sha256_of_file(folder / UNBOUNDED / "weights.safetensors")
    bundle(folder / UNBOUNDED, intel_aero, scale=STEEP, weights_sha256=sha, **free)
    return bundle(
        folder, intel_aero, spectral_bound={"asked": 0.3}, textbook={"radius_m": 0.21},
        unbounded={"weights_sha256": sha},
    )  # fmt: skip


def changed(model, **fields):
    info = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(info | fields))


def test_who_needs_a_model():
    names = ("pd", "textbook", "textbook-fitted", "indi", "learned", "learned-unbounded", "oracle")
    assert [n for n in names if needs_model(n)] == [
        "textbook-fitted", "learned", "learned-unbounded",
    ]  # fmt: skip


def test_each_controller_flies_its_own_network(model, intel_aero):
    assert bundle_of(model, "learned") == bundle_of(model, "learned+observer") == model
    assert bundle_of(model, "learned-unbounded") == model / UNBOUNDED
    options = FlightOptions("intel-aero", "flat", "s-curve", "rotor", model, uncertified=True)
    bounded, free = (flight_of(options, name) for name in ("learned", "learned-unbounded"))
    assert bounded.network.digest == load_network(model, intel_aero).digest
    assert free.network.digest == load_network(model / UNBOUNDED, intel_aero).digest
    assert free.network.digest != bounded.network.digest
    assert free.certified is False


def test_a_model_trained_without_bound_is_itself_the_one(model):
    assert bundle_of(model / UNBOUNDED, "learned-unbounded") == model / UNBOUNDED


def test_a_network_left_by_another_training_is_refused(model):
    changed(model, unbounded={"weights_sha256": "0" * 64})
    with pytest.raises(InputError, match=r"no network without bound .* train again"):
        bundle_of(model, "learned-unbounded")


def test_any_slope_may_be_asked_for_a_certificate_and_is_refused_like_any_other(model, intel_aero):
    options = FlightOptions("intel-aero", "flat", "s-curve", "rotor", model)
    certify(model, intel_aero, "learned")
    flight_of(options, "learned")
    certificate, path = certify(model, intel_aero, "learned-unbounded")
    assert not certificate.certified
    assert path.is_relative_to(model / UNBOUNDED)
    with pytest.raises(Refused):
        flight_of(options, "learned-unbounded")


def test_the_fitted_radius_is_the_models_and_needs_no_certificate(model):
    assert fitted_radius(model) == 0.21
    options = FlightOptions("intel-aero", "flat", "s-curve", "rotor", model)
    flight = flight_of(options, "textbook-fitted")
    assert (flight.fitted_radius, flight.network, flight.certified) == (0.21, None, None)
    pilot = LandingController("intel-aero", "textbook-fitted", model=model)
    assert pilot._memory[0]["textbook_radius"] == 0.21


@pytest.mark.parametrize("law", [None, {}, {"radius_m": "wide"}, {"radius_m": 0.0}])
def test_a_model_without_radius_is_refused(model, law):
    changed(model, textbook=law)
    with pytest.raises(InputError, match=r"holds no textbook\.radius_m"):
        fitted_radius(model)
