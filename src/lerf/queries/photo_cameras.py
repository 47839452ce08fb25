"""The photos of a scene as cameras, and the units of whoever asks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from lerf.errors import QueryError
from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable
from lerf.scenes.scene import Scene

LENGTHS = (1e-9, 1e9)
"""Normalised units that a scale may have: what lies outside is no height of a tile, and overflows."""
FARTHEST = 1e15
"""Normalised units from the origin that a point may lie: beyond, squares overflow in single precision."""


@dataclass(frozen=True)
class PhotoCameras:
    """A scene with all its photos as cameras of the normalised frame."""

    scene: Scene
    table: CameraTable
    """In the order of the photos."""

    @staticmethod
    def of(scene: Scene, device: str) -> PhotoCameras:
        """All photos of a scene."""
        cameras = [scene.normalised_camera(index) for index in range(len(scene))]
        return PhotoCameras(scene, CameraTable.from_cameras(cameras, device=device))

    @property
    def unit(self) -> float:
        """Normalised units in one capture unit."""
        return self.scene.similarity.scale

    def row_of(self, camera: Camera | int) -> tuple[CameraTable, int]:
        """A photo's index, or a camera in the capture frame, as a table of normalised cameras and a row in it.

        Raises:
            QueryError: there is no such photo.
        """
        if isinstance(camera, Camera):
            moved = camera.moved(self.scene.similarity)
            return CameraTable.from_cameras([moved], device=self.table.positions.device, are_photos=False), 0
        if not 0 <= int(camera) < len(self.scene):
            raise QueryError(f"The run has photos 0 to {len(self.scene) - 1}, not {camera}.")
        return self.table, int(camera)

    def normalised_points(self, points: Float64[np.ndarray, "*shape"]) -> Float32[Tensor, "points 3"]:
        """Points of the capture frame in the normalised one.

        Raises:
            QueryError: they are not finite, not of shape [points, 3], or farther away than numbers reach.
        """
        if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
            raise QueryError(f"Points must be finite numbers of shape [points, 3], not of shape {list(points.shape)}.")
        inside = self.scene.similarity.apply_points(points)
        if not np.abs(inside).max(initial=0.0) <= FARTHEST:
            raise QueryError("Points lie farther from the scene than numbers reach; give them in the capture's frame.")
        return torch.from_numpy(inside.astype(np.float32))

    def normalised_scale(self, scale: float) -> float:
        """A scale in capture units as one in normalised units.

        Raises:
            QueryError: when it is not a positive length.
        """
        if not LENGTHS[0] <= scale * self.unit <= LENGTHS[1]:
            raise QueryError(
                f"The scale must be a positive length in capture units, of a size in the scene, not {scale}."
            )
        return scale * self.unit
