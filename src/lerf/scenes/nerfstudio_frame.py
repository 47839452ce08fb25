"""The frame in which nerfstudio trains on a capture with the default settings of its parser for the capture's format.

Facts are those of nerfstudio 1.1.5: `nerfstudio-data` for transforms.json, `colmap` for COLMAP models, `blender-data`
for transforms_train.json. Up becomes +z, the mean camera position the origin, and the largest coordinate of a camera 1.
The parser of COLMAP turns the axes before that, that of Blender leaves the file's frame as it is.

One camera far from the others decides the scale here, as it does there: paths saved in that frame must be read in it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from lerf.errors import SceneError
from lerf.geometry.similarity import Similarity
from lerf.scenes.scene import Scene

ORIENTATIONS = ("up", "vertical", "none", "pca")
"""What a transforms.json may say as `orientation_override`."""
FRAME_ENTRY = "nerfstudio_frame"
"""Entry of `Scene.metadata` with the frame, where the poses of the scene are no longer those of the capture."""
ASSUMED_ENTRY = "applied_transform_assumed"
"""Entry of `Scene.metadata` that says that its `applied_transform` is not the file's word."""

_COLMAP_AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""COLMAP's world to that of nerfstudio's parser: -y, which COLMAP guesses to be up, becomes +z."""
_VERTICAL_SPREAD = 0.17
"""Sideways axes of cameras determine the vertical when they spread this much (the cosine of 80 degrees) in a plane."""


def nerfstudio_frame(scene: Scene) -> Similarity:
    """The capture frame to the one in which nerfstudio trains on the same capture with its default settings.

    Raises:
        SceneError: when it cannot be known: the capture orients itself by principal components, whose signs are left
            to chance, its cameras have no common up, or all photos were taken from one point.
    """
    saved = scene.metadata.get(FRAME_ENTRY)
    if saved is not None:
        return Similarity.from_dict(saved)
    form = scene.metadata.get("format")
    if form == "blender":
        return Similarity.identity()
    axes = _COLMAP_AXES if form == "colmap" else np.eye(3)
    poses = axes @ np.stack([photo.camera.camera_to_world for photo in scene.photos])
    method = scene.metadata.get("orientation_override", "up")
    rotation = _orientation(poses, method)
    centre = poses[:, :, 3].mean(0)
    reach = float(np.abs((poses[:, :, 3] - centre) @ rotation.T).max())
    if not reach > 0:
        raise SceneError("All photos are taken from one point, so that nerfstudio's frame has no scale: give a frame.")
    return Similarity(rotation @ axes, -(rotation @ centre) / reach, 1.0 / reach)


def with_frame(scene: Scene) -> dict[str, Any]:
    """The metadata of a capture with the frame, which its own poses decide: for a scene whose poses are corrected."""
    try:
        return {**scene.metadata, FRAME_ENTRY: nerfstudio_frame(scene).to_dict()}
    except SceneError:
        return scene.metadata  # whoever needs the frame is told why there is none


def _orientation(poses: Float[np.ndarray, "photos 3 4"], method: object) -> Float[np.ndarray, "3 3"]:
    """The rotation of nerfstudio's `auto_orient_and_center_poses`."""
    if method == "none":
        return np.eye(3)
    if method not in ("up", "vertical"):
        raise SceneError(
            f"The capture asks nerfstudio for the orientation '{method}', which cannot be reproduced here; give "
            "the dataparser_transforms.json of the nerfstudio run with --transforms."
        )
    up = poses[:, :, 1].mean(0)
    length = np.linalg.norm(up)
    if length < 1e-6:
        raise SceneError(
            "The cameras have no common up, so that nerfstudio's frame cannot be reproduced; give the "
            "dataparser_transforms.json of the nerfstudio run with --transforms."
        )
    up = up / length
    return _rotation_to_z(_vertical(poses[:, :, 0], up) if method == "vertical" else up)


def _vertical(sideways: Float[np.ndarray, "photos 3"], up: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    """The direction most at right angles to the cameras' sideways axes; `up` where it is not determined by them."""
    _, spread, axes = np.linalg.svd(sideways, full_matrices=False)
    if len(spread) == 3 and spread[1] > _VERTICAL_SPREAD * math.sqrt(len(sideways)):
        return axes[2] if axes[2] @ up > 0 else -axes[2]
    level = up - axes[0] * (axes[0] @ up)
    return level / np.linalg.norm(level)


def _rotation_to_z(up: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """The smallest rotation that takes a unit vector to +z; about y, as nerfstudio has it, where it points down."""
    x, y, z = up
    if abs(x) + abs(y) < 1e-6:
        return np.eye(3) if z > 0 else np.diag([-1.0, 1.0, -1.0])
    k = 1 / (1 + z) if z > 0 else (1 - z) / (x * x + y * y)  # the same number, without a loss of digits
    return np.array([[1 - k * x * x, -k * x * y, -x], [-k * x * y, 1 - k * y * y, -y], [x, y, z]])
