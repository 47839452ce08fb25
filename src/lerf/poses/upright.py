"""From COLMAP's world to a capture that stands upright on its ground."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from lerf.geometry.similarity import Similarity, rotation_to_z

GROUND_PERCENT = 1.0
"""Share of the points, in per cent, that may lie under the ground: some points are wrong."""

_UP = {1: (0, 1), 2: (0, 1), 3: (0, -1), 4: (0, -1), 5: (-1, 0), 6: (-1, 0), 7: (1, 0), 8: (1, 0)}
"""Where the top of the scene is in a picture as it is stored, x right and y up, by EXIF orientation."""


def upright_similarity(
    poses: Float[np.ndarray, "photos 3 4"],
    orientations: Int[np.ndarray, " photos"],
    points: Float[np.ndarray, "points 3"],
    scale: float,
) -> Similarity:
    """The frame of a capture: +z is up, the ground is at z = 0, the middle of the points is above the origin.

    Up is the mean of the photos' own up directions (nerfstudio's "up"), turned as each photo's EXIF orientation says:
    people hold cameras level more often than not.

    Args:
        poses: camera to world, OpenGL axes.
        orientations: EXIF orientation of the photos whose stored pixels the poses refer to.
        points: of the scene, world.
        scale: factor on distances.
    """
    sides = np.array([_UP[int(orientation)] for orientation in orientations], np.float64)
    up = (poses[:, :, 0] * sides[:, :1] + poses[:, :, 1] * sides[:, 1:]).mean(0)
    rotation = rotation_to_z(up)
    turned = scale * (points @ rotation.T)
    ground = float(np.percentile(turned[:, 2], GROUND_PERCENT))
    middle = np.median(turned, axis=0)
    return Similarity(rotation, -np.array([middle[0], middle[1], ground]), scale)
