"""Between the browser's camera and ours. The page's world is the normalised frame, where +z is up.

The browser's cameras are OpenCV's (x right, y down, z forwards), ours OpenGL's (x right, y up, z backwards).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from lerf.geometry.camera import Camera
from lerf.geometry.similarity import outlying_positions
from lerf.scenes.scene import Scene

FLIP = np.diag([1.0, -1.0, -1.0])
SMALLEST_SIDE = 8


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a page's camera stands, normalised frame, and how it sees."""

    position: Float[np.ndarray, " 3"]
    rotation: Float[np.ndarray, "3 3"]
    """Camera to world, OpenGL axes."""
    angle: float
    """Vertical field of view in radians."""
    aspect: float
    """Width over height."""

    def like(self, other: Pose) -> bool:
        """Whether another is the same but for rounding."""
        apart = abs(self.angle - other.angle), abs(self.aspect - other.aspect)
        return bool(np.allclose(self.matrix, other.matrix, atol=1e-6)) and max(apart) < 1e-6

    @staticmethod
    def of(camera: Any) -> Pose:
        """From viser's camera handle."""
        w, x, y, z = np.asarray(camera.wxyz, np.float64)
        rotation = Rotation.from_quat([x, y, z, w]).as_matrix() @ FLIP
        aspect = camera.image_width / max(camera.image_height, 1)
        return Pose(np.array(camera.position, np.float64), rotation, float(camera.fov), float(aspect))

    @property
    def matrix(self) -> Float[np.ndarray, "3 4"]:
        """Camera to world."""
        return np.concatenate([self.rotation, self.position[:, None]], axis=1)

    def camera(self, height: int) -> Camera:
        """A camera of the normalised frame whose picture has this height."""
        width = max(SMALLEST_SIDE, round(height * self.aspect))
        focal = 0.5 * height / math.tan(0.5 * self.angle)
        return Camera(width, height, focal, focal, 0.5 * width, 0.5 * height, self.matrix)


def wxyz_of(camera_to_world: Float[np.ndarray, "3 4"]) -> tuple[float, float, float, float]:
    """The browser's quaternion of a pose with OpenGL axes."""
    x, y, z, w = Rotation.from_matrix(camera_to_world[:, :3] @ FLIP).as_quat().tolist()
    return w, x, y, z


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """Where to stand and what to look at, normalised frame."""

    position: Float[np.ndarray, " 3"]
    look_at: Float[np.ndarray, " 3"]
    angle: float
    """Vertical field of view in radians."""


def photo_viewpoint(scene: Scene, photo: int, look_at: Float[np.ndarray, " 3"] | None = None) -> Viewpoint:
    """The viewpoint of a photo; by default it looks along the photo's axis, as far as the middle of the scene."""
    camera = scene.normalised_camera(photo)
    position, forwards = camera.camera_to_world[:, 3], -camera.camera_to_world[:, 2]
    if look_at is None:
        look_at = position + forwards * max(float(-position @ forwards), 0.25)
    return Viewpoint(position, look_at, camera.vertical_angle)


def opening_viewpoint(scene: Scene) -> Viewpoint:
    """The training photo closest to the middle of them all."""
    positions = np.stack([scene.normalised_camera(index).camera_to_world[:, 3] for index in scene.train])
    centre = np.delete(positions, outlying_positions(positions), axis=0).mean(0)
    middle = int(np.square(positions - centre).sum(-1).argmin())
    return photo_viewpoint(scene, scene.train[middle])
