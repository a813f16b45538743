"""A picture of the world, by PyBullet's own renderer: no display, no graphics card."""

import numpy as np
import numpy.typing as npt

from neural_lander.controller.rotation import Quaternion, Vector
from neural_lander.sim.world import World, pybullet

WIDTH, HEIGHT = 320, 240
"""[pixels]"""


def draw_world(
    engine: World, pose: tuple[Vector, Quaternion] | None, towards: Vector
) -> npt.NDArray[np.uint8]:
    """Return a picture (HEIGHT, WIDTH, 3) from 1.5 m away of what is at ``towards``.

    ``pose`` is put into an engine that does not fly yet; None: the body is where the engine has it.
    """
    here = {"physicsClientId": engine.client}
    if pose is not None:
        pybullet.resetBasePositionAndOrientation(engine.body, *pose, **here)
    x, y, z = towards
    view = pybullet.computeViewMatrix((x + 1.2, y - 0.8, max(z, 0.0) + 0.4), (x, y, z), (0, 0, 1))
    lens = pybullet.computeProjectionMatrixFOV(50.0, WIDTH / HEIGHT, 0.05, 20.0)
    _, _, pixels, _, _ = pybullet.getCameraImage(
        WIDTH, HEIGHT, view, lens, renderer=pybullet.ER_TINY_RENDERER, **here
    )
    return np.asarray(pixels, np.uint8).reshape(HEIGHT, WIDTH, 4)[:, :, :3].copy()
