"""The compiled rotations are scipy's, and keep what rotations keep."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from neural_lander.controller import rotation

coordinates = st.floats(-10, 10)
vectors = st.tuples(coordinates, coordinates, coordinates)
quaternions = (
    st.tuples(*[st.floats(-1, 1)] * 4)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: tuple(float(x) for x in np.array(q) / np.linalg.norm(q)))
)

ROUNDING = 1e-12
"""What double precision leaves of vectors of length 17 after a dozen operations."""


@given(q=quaternions, a=vectors)
def test_rotate_turns_body_vectors_into_the_world_as_scipy_does(
    q: rotation.Quaternion, a: rotation.Vector
) -> None:
    r = Rotation.from_quat(q)
    np.testing.assert_allclose(rotation.rotate(q, a), r.apply(a), atol=ROUNDING)
    np.testing.assert_allclose(rotation.rotate_back(q, a), r.inv().apply(a), atol=ROUNDING)


@given(q=quaternions, a=vectors)
def test_there_and_back_is_where_it_was(q: rotation.Quaternion, a: rotation.Vector) -> None:
    np.testing.assert_allclose(rotation.rotate_back(q, rotation.rotate(q, a)), a, atol=ROUNDING)


@given(q=quaternions, a=vectors, b=vectors)
def test_a_rotation_keeps_lengths_angles_and_handedness(
    q: rotation.Quaternion, a: rotation.Vector, b: rotation.Vector
) -> None:
    ra, rb = rotation.rotate(q, a), rotation.rotate(q, b)
    np.testing.assert_allclose(rotation.norm(ra), rotation.norm(a), atol=ROUNDING)
    np.testing.assert_allclose(rotation.dot(ra, rb), rotation.dot(a, b), atol=100 * ROUNDING)
    np.testing.assert_allclose(
        rotation.cross(ra, rb), rotation.rotate(q, rotation.cross(a, b)), atol=100 * ROUNDING
    )


@given(q=quaternions)
def test_minus_q_is_the_same_attitude(q: rotation.Quaternion) -> None:
    minus = (-q[0], -q[1], -q[2], -q[3])
    assert rotation.rotate(minus, (1.0, 2.0, 3.0)) == rotation.rotate(q, (1.0, 2.0, 3.0))


@given(q=quaternions)
def test_the_rotors_push_along_the_turned_body_z(q: rotation.Quaternion) -> None:
    np.testing.assert_allclose(
        rotation.body_z(q), rotation.rotate(q, (0.0, 0.0, 1.0)), atol=ROUNDING
    )


@given(a=vectors, b=vectors)
def test_products_are_numpys(a: rotation.Vector, b: rotation.Vector) -> None:
    np.testing.assert_allclose(rotation.cross(a, b), np.cross(a, b), atol=ROUNDING)
    np.testing.assert_allclose(rotation.dot(a, b), np.dot(a, b), atol=100 * ROUNDING)
    np.testing.assert_allclose(rotation.norm(a), np.linalg.norm(a), atol=ROUNDING)


@given(q=quaternions, axis=vectors.filter(lambda a: np.linalg.norm(a) > 0.1))
def test_a_small_rotation_is_the_exact_one_to_third_order(
    q: rotation.Quaternion, axis: rotation.Vector
) -> None:
    """Normalised to first order, the angle is 2 atan(a/2) = a - a^3/12: the error is that."""
    for angle in (0.02, 0.01):
        a = tuple(float(x) for x in angle * np.array(axis) / np.linalg.norm(axis))
        turned = Rotation.from_quat(rotation.small_rotation(q, a))
        exact = Rotation.from_quat(q) * Rotation.from_rotvec(a)
        error = (exact.inv() * turned).magnitude()
        np.testing.assert_allclose(error, angle**3 / 12, rtol=0.01, atol=1e-13)


def test_a_yaw_to_the_left_turns_forward_into_left() -> None:
    q = (0.0, 0.0, float(np.sin(np.pi / 4)), float(np.cos(np.pi / 4)))
    np.testing.assert_allclose(rotation.rotate(q, (1.0, 0.0, 0.0)), (0, 1, 0), atol=ROUNDING)
