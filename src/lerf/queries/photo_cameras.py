"""The photos of a scene as cameras, and the units of whoever asks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lerf.errors import QueryError
from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable
from lerf.scenes.scene import Scene


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

    def normalised_scale(self, scale: float) -> float:
        """A scale in capture units as one in normalised units.

        Raises:
            QueryError: when it is not a positive length.
        """
        if not (math.isfinite(scale) and scale > 0):
            raise QueryError(f"The scale must be a positive length in capture units, not {scale}.")
        return scale * self.unit
