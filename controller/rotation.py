"""Rotations for the compiled step: quaternions xyzw that turn body vectors into world vectors.

Vectors are tuples of three floats, quaternions tuples of four. Outside the compiled step use
``scipy.spatial.transform.Rotation``, which has the same convention.
"""

import math

from neural_lander.controller.compiled import compiled

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


@compiled
def cross(a: Vector, b: Vector) -> Vector:
    """Return a x b."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


@compiled
def dot(a: Vector, b: Vector) -> float:
    """Return a . b."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@compiled
def norm(a: Vector) -> float:
    """Return the length of a."""
    return math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])


@compiled
def rotate(q: Quaternion, a: Vector) -> Vector:
    """Return R(q) a: a body vector in the world frame."""
    x, y, z, w = q
    tx = 2 * (y * a[2] - z * a[1])
    ty = 2 * (z * a[0] - x * a[2])
    tz = 2 * (x * a[1] - y * a[0])
    return (
        a[0] + w * tx + y * tz - z * ty,
        a[1] + w * ty + z * tx - x * tz,
        a[2] + w * tz + x * ty - y * tx,
    )


@compiled
def rotate_back(q: Quaternion, a: Vector) -> Vector:
    """Return R(q)' a: a world vector in the body frame."""
    return rotate((-q[0], -q[1], -q[2], q[3]), a)


@compiled
def body_z(q: Quaternion) -> Vector:
    """Return R(q) e3, the axis along which the rotors push, in the world frame."""
    x, y, z, w = q
    return (2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y))


@compiled
def heading(q: Quaternion) -> tuple[float, float]:
    """Return cosine and sine of the heading of body x."""
    x, y, z, w = q
    c, s = 1 - 2 * (y * y + z * z), 2 * (x * y + w * z)
    n = max(math.sqrt(c * c + s * s), 1e-9)
    return c / n, s / n


@compiled
def small_rotation(q: Quaternion, a: Vector) -> Quaternion:
    """Return q turned by the small body rotation vector a [rad], to first order, normalised."""
    x, y, z, w = q
    hx, hy, hz = 0.5 * a[0], 0.5 * a[1], 0.5 * a[2]
    rx = x + w * hx + y * hz - z * hy
    ry = y + w * hy + z * hx - x * hz
    rz = z + w * hz + x * hy - y * hx
    rw = w - x * hx - y * hy - z * hz
    n = 1 / math.sqrt(rx * rx + ry * ry + rz * rz + rw * rw)
    return (rx * n, ry * n, rz * n, rw * n)
