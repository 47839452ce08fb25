"""What every capture format comes down to: a list of shots, checked by the same rules whatever their file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lerf.errors import SceneError
from lerf.geometry.camera import NO_DISTORTION, Camera, Distortion
from lerf.scenes.photos import Size

SHEAR_TOLERANCE = 0.05
"""A pose's three axes may differ in length, and lean on each other, by this share before it is refused."""


@dataclass(frozen=True)
class Optics:
    """Intrinsics as a file states them: in pixels of `size`, or as viewing angles that hold for any size."""

    size: Size | None
    """Width and height that the numbers below refer to; None: the photo's own."""
    focal: tuple[float, float] | None
    """Pixels; None when only angles are given."""
    angles: tuple[float, float | None] | None = None
    """Full horizontal and vertical viewing angle in radians; without the vertical one pixels are square."""
    centre: tuple[float | None, float | None] = (None, None)
    """Pixels; None: the middle of the picture."""
    distortion: Distortion = NO_DISTORTION
    fisheye: bool = False

    def camera(self, size: Size, pose: Float[np.ndarray, "3 4"], name: str) -> Camera:
        """The camera for the picture of `size` that these intrinsics refer to; `name` is the photo's, for errors.

        Raises:
            SceneError: when the focal length is not a positive number or another number is not finite.
        """
        width, height = self.size or size
        if self.focal is not None:
            fx, fy = self.focal
        elif self.angles is not None:
            fx = _focal_from_angle(self.angles[0], width, name)
            fy = fx if self.angles[1] is None else _focal_from_angle(self.angles[1], height, name)
        else:
            raise SceneError(f"Photo {name} has no focal length: give fl_x and fl_y, or camera_angle_x.")
        if not (fx > 0 and fy > 0 and math.isfinite(fx) and math.isfinite(fy)):
            raise SceneError(
                f"The focal length of photo {name} is {fx:g} x {fy:g} pixels: give a positive number for both axes."
            )
        cx = width / 2 if self.centre[0] is None else self.centre[0]
        cy = height / 2 if self.centre[1] is None else self.centre[1]
        if not all(math.isfinite(value) for value in (cx, cy, *self.distortion)):
            raise SceneError(
                f"The principal point or distortion of photo {name} is not finite: estimate its camera again."
            )
        return Camera(width, height, fx, fy, cx, cy, pose, self.distortion, self.fisheye)


@dataclass(frozen=True)
class Shot:
    """One photo as a format's reader lists it, before its file is looked at."""

    name: str
    """Path relative to the capture, forward slashes."""
    path: Path
    pose: Float[np.ndarray, "3 4"]
    """Camera to world, OpenGL axes, capture frame; checked by `checked_pose`."""
    optics: Optics
    mask_path: Path | None = None


def checked_pose(matrix: Any, name: str) -> Float[np.ndarray, "3 4"]:
    """A 3x4 or 4x4 camera-to-world matrix as a pose whose rotation is exact.

    A uniform scale of the axes is dropped, and small deviations from a rotation (rounded text files) are repaired by
    taking the nearest rotation, U V^T of the singular value decomposition.

    Raises:
        SceneError: when the matrix has another shape, is not finite, or is not a rotation up to scale.
    """
    try:
        pose = np.array(matrix, np.float64)
    except (TypeError, ValueError):
        pose = np.empty(0)
    if pose.shape not in ((3, 4), (4, 4)):
        raise SceneError(f"The pose of photo {name} is not a 4x4 matrix of numbers: write four rows of four.")
    if not np.isfinite(pose).all():
        raise SceneError(f"The pose of photo {name} contains NaN or infinity: estimate it again or remove the photo.")
    u, lengths, vt = np.linalg.svd(pose[:3, :3])
    if lengths[2] <= (1 - SHEAR_TOLERANCE) * lengths[0] or np.linalg.det(pose[:3, :3]) <= 0:
        raise SceneError(
            f"The pose of photo {name} is not a rotation (singular, sheared or mirrored): estimate it again or remove "
            "the photo."
        )
    if pose.shape[0] == 4 and not np.allclose(pose[3], [0, 0, 0, 1], atol=1e-6):
        raise SceneError(f"The pose of photo {name} does not end in the row 0 0 0 1: write camera-to-world matrices.")
    return np.concatenate([u @ vt, pose[:3, 3:]], 1)


def checked_size(width: int | float, height: int | float, name: str) -> Size:
    """Width and height as whole numbers.

    Raises:
        SceneError: when either is not a positive whole number.
    """
    for value in (width, height):
        if not (math.isfinite(value) and value >= 1 and value == int(value)):
            raise SceneError(
                f"The picture size of photo {name} is {width:g} x {height:g}: give whole numbers of pixels, 1 or more."
            )
    return int(width), int(height)


def held_out(names: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The default split, as (train, test) indices in the order of `names`.

    Every 8th photo in the order of sorted names is held out: 0, 8, 16, ... With fewer than four photos none is, since
    each of them is needed to learn from.
    """
    if len(names) < 4:
        return tuple(range(len(names))), ()
    order = sorted(range(len(names)), key=lambda index: names[index])
    test = tuple(sorted(order[::8]))
    chosen = set(test)
    return tuple(index for index in range(len(names)) if index not in chosen), test


def _focal_from_angle(angle: float, pixels: int, name: str) -> float:
    if not 0 < angle < math.pi:
        raise SceneError(
            f"The viewing angle of photo {name} is {angle:g} radians: give one between 0 and pi, or the focal length."
        )
    return 0.5 * pixels / math.tan(0.5 * angle)
