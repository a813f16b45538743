"""A certificate claims no more than was proved, and says what it took for granted."""

import math

from neural_lander.controller.spatial_decision import CONE
from neural_lander.learning.certify import certify

from .bundle_cases import bundle


def test_every_reference_means_those_that_stay_in_the_cone_and_it_says_so(tmp_path, intel_aero):
    """Its conditions are of three axes and of a tilt; so must be what it assumes."""
    found, _ = certify(bundle(tmp_path / "model", intel_aero, scale=0.3), intel_aero)
    assert {c.axis for c in found.conditions} >= {"x", "y", "z"}
    said = " ".join(found.assumptions)
    assert f"{math.degrees(CONE):.0f} degrees" in said
    assert "vertical axis only" not in said
