"""A photo behind the points of a page that looks from where it was taken: what fits lies on itself."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import UInt8

from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.scenes.scene import Scene
from lerf.viewer.geometry import Pose

PAPER = 255
"""Value of what lies outside the photo."""
LONGEST = 1024
"""Longest side of the photo that is taken, pixels."""
SAME_PLACE = 1e-3
"""Normalised units from where a photo was taken within which it can stand behind the points."""


def is_at(camera: Camera, pose: Pose) -> bool:
    """Whether a page looks from where a camera of the normalised frame stands."""
    return bool(np.linalg.norm(camera.camera_to_world[:, 3] - pose.position) <= SAME_PLACE)


def backdrop(scene: Scene, photo: int, pose: Pose, height: int) -> UInt8[np.ndarray, "height width 3"]:
    """A photo as a page sees it that stands where it was taken and looks wherever it likes.

    Every pixel of the page takes the photo's pixel in the same direction, with the photo's lens; so that it fits points
    also where the photo is distorted, leans or has another shape than the page.

    Args:
        scene: the capture.
        photo: which.
        pose: of the page.
        height: rows of the result.

    Raises:
        SceneError: the photo cannot be decoded.
    """
    picture = scene.pixels(photo, LONGEST)
    rows, columns = picture.shape[:2]
    page = pose.camera(height)
    cameras = [scene.normalised_camera(photo).scaled_to(columns, rows), page]
    table = CameraTable.from_cameras(cameras, device="cpu", are_photos=False)
    pixels = image_pixels(page.width, page.height)
    rays = table.rays(torch.ones(len(pixels), dtype=torch.int64), pixels)
    # From the photo's own place, so that a page that is a little off sees the photo as a whole.
    places, _ = table.project(0, table.positions[0] + rays.directions)
    column, row = (places.floor().nan_to_num(-1.0, -1.0, -1.0)).long().unbind(1)
    inside = ((column >= 0) & (column < columns) & (row >= 0) & (row < rows)).numpy()
    result = np.full((page.width * page.height, 3), PAPER, np.uint8)
    result[inside] = picture[row.numpy()[inside], column.numpy()[inside]]
    return result.reshape(page.height, page.width, 3)
