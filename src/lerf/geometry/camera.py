"""One camera: where it stands, and how its lens and sensor turn directions into pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from lerf.geometry import distortion as lenses
from lerf.geometry.similarity import Similarity

Distortion = tuple[float, float, float, float, float, float]
NO_DISTORTION: Distortion = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Camera:
    """A perspective or fisheye camera at one resolution.

    Pixels: the centre of column x, row y is (x + 0.5, y + 0.5). Axes: OpenGL, x right, y up, z backwards.
    """

    width: int
    height: int
    fx: float
    """Focal length in pixels, horizontally."""
    fy: float
    cx: float
    """Principal point in pixels."""
    cy: float
    camera_to_world: Float[np.ndarray, "3 4"]
    """Rotation and position; the frame is the capture's unless a function says that it is the normalised one."""
    distortion: Distortion = NO_DISTORTION
    """k1, k2, k3, k4, p1, p2; formulas in `lerf.geometry.distortion`. A fisheye ignores p1 and p2."""
    fisheye: bool = False

    @property
    def lens(self) -> tuple[float, ...]:
        """The distortion in the form that `lerf.geometry.distortion` takes."""
        return lenses.lens_of(self.distortion, self.fisheye)

    @property
    def vertical_angle(self) -> float:
        """Vertical field of view of an ideal lens with this focal length, radians."""
        return 2.0 * math.atan(0.5 * self.height / self.fy)

    def scaled_to(self, width: int, height: int) -> Camera:
        """The same camera with its picture resampled to `width` x `height` pixels.

        Because a pixel's centre is at +0.5, the picture's corner is at 0 for every resolution and the intrinsics
        simply scale.
        """
        sx, sy = width / self.width, height / self.height
        return replace(
            self, width=width, height=height, fx=self.fx * sx, fy=self.fy * sy, cx=self.cx * sx, cy=self.cy * sy
        )

    def moved(self, similarity: Similarity) -> Camera:
        """The same camera seen from the frame that `similarity` leads to."""
        return replace(self, camera_to_world=similarity.apply_poses(self.camera_to_world[None])[0])

    def distort(self, points: Float[np.ndarray, "*points 2"]) -> Float[np.ndarray, "*points 2"]:
        """Points of the ideal plane at distance 1 (x right, y down) to where the lens puts them on that plane."""
        x, y = points[..., 0], points[..., 1]
        if not self.fisheye:
            return np.stack(lenses.distort_plane(x, y, self.lens), -1)
        radius = np.hypot(x, y)
        return points * _ratio(lenses.bend(np.arctan(radius), self.lens), radius)[..., None]

    def undistort(self, points: Float[np.ndarray, "*points 2"]) -> Float[np.ndarray, "*points 2"]:
        """Inverse of `distort`. A fisheye's directions at 90 degrees or more have no point on the plane: NaN."""
        x, y = points[..., 0], points[..., 1]
        if not self.fisheye:
            return np.stack(lenses.undistort_plane(x, y, self.lens), -1)
        radius = np.hypot(x, y)
        theta = lenses.unbend(radius, self.lens)
        tangent = np.where(theta < np.pi / 2, np.tan(theta), np.nan)
        return points * _ratio(tangent, radius)[..., None]


def _ratio(numerator: Any, denominator: Any) -> np.ndarray:
    """numerator / denominator, 1 at the optical axis where both vanish at the same rate."""
    small = denominator < 1e-12
    return np.where(small, 1.0, numerator / np.where(small, 1.0, denominator))
