"""Turns vectors and attitudes of other stacks into ours, once, where a log is read.

    v = W v_log,    f_body = B f_log,    R = W R_log B'

W and B turn the log's world and body axes into ours: z up, and x forward, y left, z up. An attitude
is a quaternion that turns body vectors into world vectors, or roll, pitch and yaw in the log's own
axes: R_log = Rz(yaw) Ry(pitch) Rx(roll).

Sources: REP 103 (ENU, FLU); PX4 user guide, "Flight controller/sensor orientation" (NED, FRD,
quaternion w first).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from neural_lander.controller.errors import InputError

Array = npt.NDArray[np.float64]

WORLDS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "z-up": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "ned": ((0, 1, 0), (1, 0, 0), (0, 0, -1)),
}
"""World of a log -> W. ``z-up``: any right-handed axes with z up (ENU, NWU, motion capture)."""

BODIES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "flu": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "frd": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
}
"""Body axes of a log -> B."""

ORDERS = {"xyzw": (0, 1, 2, 3), "wxyz": (1, 2, 3, 0)}
"""Order of a quaternion in a log -> where x, y, z and w stand in it."""

LENGTH_TOLERANCE = 0.02
"""A quaternion may be this much longer or shorter than 1; the coarsest log has 32 bits for four."""


@dataclass(frozen=True)
class Frames:
    """How a log counts its axes."""

    world: str = "z-up"
    """One of ``WORLDS``."""
    body: str = "flu"
    """One of ``BODIES``."""
    quaternion: str = "xyzw"
    """One of ``ORDERS``."""

    def __post_init__(self) -> None:
        """Refuse frames that have no name here."""
        for what, name, known in (
            ("world", self.world, WORLDS),
            ("body", self.body, BODIES),
            ("quaternion", self.quaternion, ORDERS),
        ):
            if name not in known:
                raise InputError(f"{what} is {name!r}, expected {' or '.join(known)}")

    def world_vector(self, values: Array) -> Array:
        """Return the log's world vectors (..., 3) in our world."""
        return np.asarray(values @ np.array(WORLDS[self.world], dtype=np.float64).T)

    def body_vector(self, values: Array) -> Array:
        """Return the log's body vectors (..., 3) in our body axes."""
        return np.asarray(values @ np.array(BODIES[self.body], dtype=np.float64).T)

    def attitude(self, quaternions: Array) -> Array:
        """Return our unit quaternions xyzw (n, 4) of the log's; NaN where it is no rotation."""
        q = np.asarray(quaternions, dtype=np.float64)[..., ORDERS[self.quaternion]]
        length = np.linalg.norm(q, axis=-1, keepdims=True)
        good = np.abs(length - 1) < LENGTH_TOLERANCE
        q = np.where(good, q / np.where(good, length, 1.0), np.nan)
        if self.world == "z-up" and self.body == "flu":
            return q
        return self._turned(q)

    def attitude_from_angles(self, angles: Array) -> Array:
        """Return our quaternions xyzw (n, 4) of roll, pitch, yaw (n, 3) [rad] in the log's axes."""
        good = np.isfinite(angles).all(axis=-1)
        q = np.full((*angles.shape[:-1], 4), np.nan)
        q[good] = Rotation.from_euler("ZYX", angles[good][:, ::-1]).as_quat()
        return self._turned(q)

    def _turned(self, q: Array) -> Array:
        good = np.isfinite(q).all(axis=-1)
        world = Rotation.from_matrix(np.array(WORLDS[self.world], dtype=np.float64))
        body = Rotation.from_matrix(np.array(BODIES[self.body], dtype=np.float64))
        turned = np.full_like(q, np.nan)
        if good.any():
            turned[good] = (world * Rotation.from_quat(q[good]) * body.inv()).as_quat()
        return turned
