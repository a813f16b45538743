"""Axes of other stacks become ours: z up, x forward, y left, quaternions xyzw."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError
from neural_lander.learning.frames import BODIES, WORLDS, Frames

PX4 = Frames("ned", "frd", "wxyz")
ANGLES = st.tuples(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5), st.floats(-3.1, 3.1)).map(np.array)


def test_north_is_y_east_is_x_and_down_is_minus_z() -> None:
    np.testing.assert_array_equal(PX4.world_vector(np.array([1.0, 2.0, 3.0])), [2, 1, -3])


def test_right_is_minus_y_and_the_nose_stays() -> None:
    np.testing.assert_array_equal(PX4.body_vector(np.array([1.0, 2.0, 3.0])), [1, -2, -3])


def test_level_and_nose_north_is_a_quarter_turn_to_the_left_from_east() -> None:
    turn = Rotation.from_quat(PX4.attitude(np.array([[1.0, 0, 0, 0]])))
    np.testing.assert_allclose(turn.apply([1, 0, 0])[0], [0, 1, 0], atol=1e-12)  # the nose
    np.testing.assert_allclose(turn.apply([0, 0, 1])[0], [0, 0, 1], atol=1e-12)  # the thrust


@given(ANGLES, st.lists(st.floats(-5, 5), min_size=3, max_size=3).map(np.array))
def test_a_vector_turned_in_either_stack_is_the_same_vector(
    angles: np.ndarray, v: np.ndarray
) -> None:
    theirs = Rotation.from_euler("ZYX", angles[::-1])
    x, y, z, w = theirs.as_quat()
    for ours in (
        PX4.attitude(np.array([[w, x, y, z]])),
        PX4.attitude_from_angles(angles[None]),
    ):
        turned = Rotation.from_quat(ours).apply(PX4.body_vector(v))[0]
        np.testing.assert_allclose(turned, PX4.world_vector(theirs.apply(v)), atol=1e-9)


def test_our_own_frames_change_nothing() -> None:
    q = np.array([[0.5, -0.5, 0.5, -0.5], [0.6, 0, 0, 0.8]])
    np.testing.assert_array_equal(Frames().attitude(q), q)
    v = np.array([1.0, 2, 3])
    np.testing.assert_array_equal(Frames().world_vector(v), v)
    np.testing.assert_array_equal(Frames().body_vector(v), v)


def test_what_is_no_rotation_is_no_number() -> None:
    q = np.array([[0, 0, 0, 0], [0, 0, 0, 1.1], [0, 0, 0, np.nan], [0, 0, 0, 1.01]])
    for frames in (Frames(), Frames("ned", "frd")):
        bad = np.isnan(frames.attitude(q)).any(axis=1)
        np.testing.assert_array_equal(bad, [True, True, True, False])


def test_every_frame_is_right_handed() -> None:
    for axes in (*WORLDS.values(), *BODIES.values()):
        assert np.linalg.det(np.array(axes)) == pytest.approx(1)


@pytest.mark.parametrize("wrong", [{"world": "enu"}, {"body": "rfu"}, {"quaternion": "zyxw"}])
def test_an_unknown_frame_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InputError, match="expected"):
        Frames(**wrong)
