"""Poses as tools write them -> camera to world with OpenGL axes: x right, y up, z backwards.

Nothing here checks: `lerf.scenes.pose_checks` judges the poses of all formats by one rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def from_opencv(camera_to_world: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "3 4"]:
    """A 3x4 or 4x4 camera-to-world matrix of a camera whose y is down and z forwards, as computer vision has it."""
    return np.asarray(camera_to_world, np.float64)[:3] * [1.0, -1.0, -1.0, 1.0]


def from_world_to_camera(
    rotation: Float[np.ndarray, "3 3"], translation: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "3 4"]:
    """The inverse of x_camera = rotation @ x_world + translation, of a camera whose y is down and z forwards."""
    return from_centre(rotation, -np.asarray(rotation).T @ np.asarray(translation))


def from_centre(rotation: Float[np.ndarray, "3 3"], centre: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 4"]:
    """As `from_world_to_camera`, of a camera that stands at `centre`."""
    return from_opencv(np.column_stack([np.asarray(rotation, np.float64).T, centre]))


def rotation_of_quaternion(quaternion: Sequence[float]) -> Float[np.ndarray, "3 3"]:
    """The rotation of a quaternion w, x, y, z of any length; NaN where it is zero or not finite."""
    length = math.hypot(*quaternion)
    if not 0 < length < math.inf:
        return np.full((3, 3), np.nan)
    w, x, y, z = (value / length for value in quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotation_of_vector(vector: Sequence[float] | Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """The rotation about `vector` by its length in radians (Rodrigues' formula); NaN where it is not finite."""
    axis = np.asarray(vector, np.float64)
    angle = math.hypot(*axis)
    if not angle < math.inf:
        return np.full((3, 3), np.nan)
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = axis / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross)
