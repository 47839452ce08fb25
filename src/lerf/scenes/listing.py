"""What every capture format comes down to: a list of shots, checked by the same rules whatever their file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lerf.errors import SceneError
from lerf.geometry import bounds
from lerf.geometry import distortion as lenses
from lerf.geometry.camera import NO_DISTORTION, Camera, Distortion
from lerf.geometry.similarity import outlying_positions
from lerf.scenes.photos import Size

LENS_NAMES = ("k1", "k2", "k3", "k4", "p1", "p2")
"""The numbers of `Distortion`, as files call them."""
SHEAR_TOLERANCE = 0.05
"""A pose's three axes may differ in length, and lean on each other, by this share before it is refused."""


@dataclass(frozen=True)
class Optics:
    """Intrinsics as a file states them: in pixels of `size`, or as viewing angles that hold for any size."""

    size: Size | None
    """Width and height that the numbers below refer to; None: the photo's own."""
    focal: tuple[float, float] | None
    """Pixels; None when only angles are given."""
    angles: tuple[float | None, float | None] | None = None
    """Full horizontal and vertical viewing angle in radians; with one of them pixels are square."""
    centre: tuple[float | None, float | None] = (None, None)
    """Pixels; None: the middle of the picture."""
    distortion: Distortion = NO_DISTORTION
    fisheye: bool = False

    def camera(self, size: Size, pose: Float[np.ndarray, "3 4"], name: str) -> Camera:
        """The camera for the picture of `size` that these intrinsics refer to; `name` is the photo's, for errors.

        Raises:
            SceneError: when a number is not finite or out of the bounds of `lerf.geometry.bounds`, or the distortion
                cannot be undone within the picture.
        """
        width, height = self.size or size
        if self.focal is not None:
            fx, fy = self.focal
        elif self.angles is not None:
            along = [
                None if angle is None else _focal_from_angle(angle, pixels, name)
                for angle, pixels in zip(self.angles, (width, height), strict=True)
            ]
            fx, fy = (along[0] or along[1] or 0.0, along[1] or along[0] or 0.0)
        else:
            raise SceneError(f"Photo {name} has no focal length: give fl_x and fl_y, or camera_angle_x.")
        cx = width / 2 if self.centre[0] is None else self.centre[0]
        cy = height / 2 if self.centre[1] is None else self.centre[1]
        problem = _problem(width, height, fx, fy, cx, cy, self.distortion, self.fisheye)
        if problem is not None:
            raise SceneError(problem.format(name=name))
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


def checked_pose(matrix: Any, name: str, what: str = "photo") -> Float[np.ndarray, "3 4"]:
    """A 3x4 or 4x4 camera-to-world matrix as a pose whose rotation is exact.

    A uniform scale of the axes is dropped, and small deviations from a rotation (rounded text files) are repaired by
    taking the nearest rotation, U V^T of the singular value decomposition.

    Raises:
        SceneError: when the matrix has another shape, is not finite, or is not a rotation up to scale.
    """
    try:
        pose = np.array(matrix, np.float64)
    except (TypeError, ValueError, OverflowError):
        pose = np.empty(0)
    if pose.shape not in ((3, 4), (4, 4)):
        raise SceneError(f"The pose of {what} {name} is not a 4x4 matrix of numbers: write four rows of four.")
    if not np.isfinite(pose).all():
        raise SceneError(f"The pose of {what} {name} contains NaN or infinity: estimate it again or remove it.")
    largest = float(np.abs(pose).max())
    if largest > bounds.LARGEST_COORDINATE:
        raise SceneError(
            f"The pose of {what} {name} holds the number {largest:g}, where {bounds.LARGEST_COORDINATE:g} is the "
            "largest that can be: estimate it again or remove it."
        )
    u, lengths, vt = np.linalg.svd(pose[:3, :3])
    if not _rotates(lengths, np.linalg.det(pose[:3, :3])):
        raise SceneError(
            f"The pose of {what} {name} is not a rotation (singular, sheared or mirrored): estimate it again or remove "
            "it."
        )
    if pose.shape[0] == 4 and not np.allclose(pose[3], [0, 0, 0, 1], atol=1e-6):
        raise SceneError(f"The pose of {what} {name} does not end in the row 0 0 0 1: write camera-to-world matrices.")
    return np.concatenate([u @ vt, pose[:3, 3:]], 1)


def checked_poses(
    matrices: Sequence[Any], names: Sequence[str], what: str = "photo"
) -> Float[np.ndarray, "photos 3 4"]:
    """`checked_pose` of many at once, for captures of 100,000 photos.

    Raises:
        SceneError: as `checked_pose`, for the first that cannot be used.
    """
    try:
        poses = np.array(matrices, np.float64)
    except (TypeError, ValueError, OverflowError):
        poses = np.empty(0)
    if poses.shape[1:] in ((3, 4), (4, 4)) and (np.abs(poses) <= bounds.LARGEST_COORDINATE).all():
        u, lengths, vt = np.linalg.svd(poses[:, :3, :3])
        sound = _rotates(lengths, np.linalg.det(poses[:, :3, :3])).all()
        if sound and (poses.shape[1] == 3 or np.allclose(poses[:, 3], [0, 0, 0, 1], atol=1e-6)):
            return np.concatenate([u @ vt, poses[:, :3, 3:]], 2)
    return np.stack([checked_pose(matrix, name, what) for matrix, name in zip(matrices, names, strict=True)])


def _rotates(lengths: Float[np.ndarray, "*matrices 3"], determinant: Any) -> Any:
    """Whether matrices with these singular values and determinants are rotations up to scale and rounding."""
    return (lengths[..., 2] > (1 - SHEAR_TOLERANCE) * lengths[..., 0]) & (determinant > 0)


def outlier_notes(names: Sequence[str], positions: Float[np.ndarray, "photos 3"]) -> list[str]:
    """What to tell of photos that stand far from all others, see `outlying_positions`.

    Raises:
        SceneError: one stands so far away that its rays cannot be computed.
    """
    outliers = outlying_positions(positions)
    if len(outliers) == 0:
        return []
    away = np.linalg.norm(positions - np.median(positions, axis=0), axis=1)
    usual, shown = float(np.median(away)), [f"{names[index]} ({away[index]:.3g})" for index in outliers[:3]]
    worst = int(outliers[away[outliers].argmax()])
    if away[worst] > bounds.FARTHEST_OUTLIER * usual:
        raise SceneError(
            f"Photo {names[worst]} stands {away[worst]:.3g} from the middle of all photos, where {usual:.3g} is usual: "
            "estimate its pose again or remove the photo."
        )
    more = f" and {len(outliers) - 3} more" if len(outliers) > 3 else ""
    return [
        f"Far from all other photos, whose usual distance from their middle is {usual:.3g}: {', '.join(shown)}{more}. "
        "The scene's centre and scale are those of the others; check these poses or remove the photos."
    ]


def checked_size(width: int | float, height: int | float, name: str) -> Size:
    """Width and height as whole numbers.

    Raises:
        SceneError: when either is not a positive whole number.
    """
    for value in (width, height):
        if not (math.isfinite(value) and 1 <= value <= bounds.LARGEST_SIDE and value == int(value)):
            raise SceneError(
                f"The picture size of photo {name} is {width:g} x {height:g}: give whole numbers of pixels, 1 to "
                f"{bounds.LARGEST_SIDE}."
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


@lru_cache(maxsize=4096)
def _problem(
    width: int, height: int, fx: float, fy: float, cx: float, cy: float, distortion: Distortion, fisheye: bool
) -> str | None:
    """What makes intrinsics impossible, as an error with the place of the photo's name; None where nothing does.

    Most captures have one camera for all photos, which is then looked at once.
    """
    longest = max(width, height)
    least, most = bounds.SHORTEST_FOCAL * longest, bounds.LONGEST_FOCAL * longest
    if not (least <= fx <= most and least <= fy <= most):
        return (
            f"The focal length of photo {{name}} is {fx:g} x {fy:g} pixels: give a positive number for both axes, "
            f"{least:g} to {most:g} for this size."
        )
    middle, far = (width / 2, height / 2), bounds.FARTHEST_CENTRE * longest
    if not (abs(cx - middle[0]) <= far and abs(cy - middle[1]) <= far):
        return (
            f"The principal point of photo {{name}} is ({cx:g}, {cy:g}), far from its {width}x{height} pixels: "
            "estimate its camera again."
        )
    stated = ", ".join(f"{name} {value:g}" for name, value in zip(LENS_NAMES, distortion, strict=True) if value)
    wrong = f"The distortion of photo {{name}} ({stated}) cannot be undone within the picture: estimate it again."
    corner = math.hypot(max(abs(cx), abs(width - cx)) / fx, max(abs(cy), abs(height - cy)) / fy)
    radial, shift = max(map(abs, distortion[:4])), max(map(abs, distortion[4:])) * corner
    if not (radial <= bounds.LARGEST_RADIAL and shift <= bounds.LARGEST_TANGENTIAL):
        return wrong
    if not any(distortion):
        return None
    lens = lenses.lens_of(distortion, fisheye)
    if lens[7] * min(fx, fy) < bounds.NEAREST_FOLD * min(width, height):
        return wrong
    # Little tangential distortion over the picture leaves no residue; to look at each of 100,000 lenses takes minutes.
    if fisheye or shift < bounds.HARMLESS_TANGENTIAL:
        return None
    return None if _residue((width, height), (fx, fy), (cx, cy), lens) <= bounds.LARGEST_RESIDUE else wrong


def _residue(size: Size, focal: tuple[float, float], centre: tuple[float, float], lens: lenses.Lens) -> float:
    """How far a point of the border lands from itself when distortion is undone and done again, over the longer side.

    Not zero where a picture reaches past the fold of its lens, see `lerf.geometry.distortion`.
    """
    along, low, high = np.linspace(0, 1, 9), np.zeros(9), np.ones(9)
    x = (size[0] * np.concatenate([along, along, low, high]) - centre[0]) / focal[0]
    y = (size[1] * np.concatenate([low, high, along, along]) - centre[1]) / focal[1]
    again = lenses.distort_plane(*lenses.undistort_plane(x, y, lens), lens)
    return float(np.hypot((again[0] - x) * focal[0], (again[1] - y) * focal[1]).max() / max(size))
