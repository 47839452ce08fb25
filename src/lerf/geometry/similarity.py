"""Rotation, translation and one scale: the map between the capture's frame and the normalised one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from lerf.errors import SceneError
from lerf.geometry.bounds import LARGEST_COORDINATE, LARGEST_SCALE, ROTATION_TOLERANCE, SMALLEST_SPREAD

AXIS_SPREAD = 0.01
"""Optical axes count as converging above this: the mean squared sine of their angles to a common direction."""
MISS_RATIO = 0.5
"""... and when they miss the common point by less than this share of the cameras' distance to it."""
FRONT_SHARE = 0.9
"""... and when it lies in front of at least this share of the cameras, or of all but one of four or more."""
FAR = 10.0
"""A position is an outlier further from the middle of all than this many times the usual distance, and when ..."""
OUTLIER_SHARE = 0.25
"""... at most this share of the positions are that far."""


@dataclass(frozen=True, eq=False)
class Similarity:
    """x -> scale * rotation @ x + translation."""

    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, " 3"]
    """In units of the frame it leads to."""
    scale: float

    @staticmethod
    def identity() -> Similarity:
        """The map that changes nothing."""
        return Similarity(np.eye(3), np.zeros(3), 1.0)

    def apply_points(self, points: Float[np.ndarray, "*points 3"]) -> Float[np.ndarray, "*points 3"]:
        """Points of the first frame in the second."""
        return self.scale * (np.asarray(points, np.float64) @ self.rotation.T) + self.translation

    def apply_poses(self, poses: Float[np.ndarray, "poses 3 4"]) -> Float[np.ndarray, "poses 3 4"]:
        """Camera-to-world poses; rotations stay rotations, only positions are scaled."""
        rotations = self.rotation @ poses[:, :, :3]
        return np.concatenate([rotations, self.apply_points(poses[:, :, 3])[..., None]], -1)

    def inverse(self) -> Similarity:
        """The way back."""
        rotation, scale = self.rotation.T, 1.0 / self.scale
        return Similarity(rotation, -scale * (rotation @ self.translation), scale)

    def after(self, first: Similarity) -> Similarity:
        """`first`, then this one."""
        translation = self.apply_points(first.translation[None])[0]
        return Similarity(self.rotation @ first.rotation, translation, self.scale * first.scale)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers for JSON; `from_dict` reads them without loss."""
        return {
            "rotation": self.rotation.tolist(),
            "translation": self.translation.tolist(),
            "scale": float(self.scale),
        }

    @staticmethod
    def from_dict(value: dict[str, Any]) -> Similarity:
        """Inverse of `to_dict`.

        Raises:
            SceneError: when an entry is missing or has the wrong shape, the rotation is none, or a number is out of
                the bounds of `lerf.geometry.bounds`.
        """
        try:
            rotation = np.asarray(value["rotation"], np.float64).reshape(3, 3)
            translation = np.asarray(value["translation"], np.float64).reshape(3)
            found = Similarity(rotation, translation, float(value["scale"]))
        except (KeyError, TypeError, ValueError, OverflowError):
            found = None
        if found is None or not found.is_sound:
            raise SceneError("A saved frame needs a 3x3 rotation, 3 numbers of translation and a scale: save it again.")
        return found

    @property
    def is_sound(self) -> bool:
        """Whether the rotation is one and all numbers are within the bounds of `lerf.geometry.bounds`."""
        return (
            is_rotation(self.rotation)
            and bool((np.abs(self.translation) <= LARGEST_COORDINATE).all())
            and 1 / LARGEST_SCALE <= self.scale <= LARGEST_SCALE
        )


def is_rotation(matrix: Float[np.ndarray, "3 3"]) -> bool:
    """Whether a matrix is a rotation, up to the rounding of text files."""
    if not (np.abs(matrix) <= 2).all():
        return False
    return bool(np.abs(matrix @ matrix.T - np.eye(3)).max() <= ROTATION_TOLERANCE and np.linalg.det(matrix) > 0)


def outlying_positions(positions: Float[np.ndarray, "photos 3"]) -> Int[np.ndarray, " outliers"]:
    """Indices of the few positions that lie far from all others, as one that was estimated wrongly does.

    Distances are measured from the median position and compared with their own median, which such positions do not
    move. Where many are far, none is an outlier: the photos were taken in several places.
    """
    distance = np.linalg.norm(positions - np.median(positions, axis=0), axis=1)
    far = np.flatnonzero(distance > FAR * np.median(distance))
    few = len(far) <= OUTLIER_SHARE * len(positions)
    return far if few and np.median(distance) > 1e-9 * np.abs(positions).max() else far[:0]


def normalising_similarity(poses: Float[np.ndarray, "photos 3 4"]) -> Similarity:
    """Capture frame to normalised frame: +z is up, the subject is at the origin, cameras are about 1 away.

    Up is the mean of the cameras' own up axes. The centre is the point closest, in least squares, to all optical axes
    if these converge in front of the cameras; otherwise (a walk through a room, a panorama, parallel views) it is the
    mean camera position. The scale makes the mean distance from camera to centre 1. Cameras that `outlying_positions`
    names take no part: one of them would shrink everything else before the nearest sample.

    Raises:
        SceneError: when all photos were taken from one point, so that nothing has depth.
    """
    poses = np.delete(poses, outlying_positions(poses[:, :, 3]), axis=0)
    positions = poses[:, :, 3]
    mean = positions.mean(0)
    spread = np.linalg.norm(positions - mean, axis=1).max()
    # Relative to the distance from the origin, so that rounding in georeferenced captures is not taken for movement,
    # yet a metre of movement at map coordinates of millions of metres still counts.
    if spread <= max(1e-9 * np.abs(positions).max(), SMALLEST_SPREAD):
        raise SceneError(
            "All photos are taken from one point, which gives no depth: add photos taken from other positions."
        )
    centre = _convergence(positions, -poses[:, :, 2])
    if centre is None:
        centre = mean
    rotation = rotation_to_z(poses[:, :, 1].mean(0))
    scale = 1.0 / float(np.linalg.norm(positions - centre, axis=1).mean())
    return Similarity(rotation, -scale * (rotation @ centre), scale)


def similarity_between(
    first: Float[np.ndarray, "cameras 3 4"], second: Float[np.ndarray, "cameras 3 4"]
) -> Similarity | None:
    """The similarity that takes the first poses to the second best; None where the cameras do not spread.

    The rotation is the nearest one, in least squares of matrix entries, to those between the cameras' axes, so that
    cameras in a row have one too; scale and translation are those of least squares of positions.
    """
    u, _, vt = np.linalg.svd(np.einsum("nij,nkj->ik", second[:, :, :3], first[:, :, :3]))
    rotation = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    middles = first[:, :, 3].mean(0), second[:, :, 3].mean(0)
    away = (first[:, :, 3] - middles[0]) @ rotation.T, second[:, :, 3] - middles[1]
    spread = float((away[0] ** 2).sum())
    if spread <= max((1e-9 * np.abs(first[:, :, 3]).max()) ** 2, SMALLEST_SPREAD**2):
        return None
    scale = float((away[0] * away[1]).sum()) / spread
    return Similarity(rotation, middles[1] - scale * (rotation @ middles[0]), scale) if scale > 0 else None


def _convergence(positions: np.ndarray, forward: np.ndarray) -> np.ndarray | None:
    """The point closest to all optical axes, or None when they do not meet in front of the cameras."""
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    normal = across.mean(0)
    if np.linalg.eigvalsh(normal)[0] < AXIS_SPREAD:
        return None
    origin = positions.mean(0)  # solved around the cameras, which keeps digits when coordinates are large
    offsets = positions - origin
    point = np.linalg.solve(normal, np.einsum("nij,nj->i", across, offsets) / len(offsets))
    to_point = point - offsets
    depth = np.einsum("ni,ni->n", to_point, forward)
    miss = np.linalg.norm(np.einsum("nij,nj->ni", across, to_point), axis=1)
    distance = np.linalg.norm(to_point, axis=1).mean()
    # One camera that looks away, or whose pose is wrong, must not decide for all of a few.
    enough = len(depth) - 1 if len(depth) >= 4 else len(depth)
    if (depth > 0).sum() < min(FRONT_SHARE * len(depth), enough) or np.sqrt((miss**2).mean()) > MISS_RATIO * distance:
        return None
    return point + origin


def rotation_to_z(up: np.ndarray) -> np.ndarray:
    """The smallest rotation that takes `up` to +z; the identity when `up` is too short to mean anything."""
    length = np.linalg.norm(up)
    if length < 1e-3:
        return np.eye(3)
    x, y, z = up / length
    if z < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    # Rodrigues' formula for the axis up x z and the angle between them, written out; 1 / (1 + z) is
    # (1 - cos) / sin^2.
    k = 1 / (1 + z)
    return np.array([[1 - k * x * x, -k * x * y, -x], [-k * x * y, 1 - k * y * y, -y], [x, y, z]])
