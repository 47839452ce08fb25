"""Labels and depths at pixel centres, by a z-buffer over a scene's triangles."""

from __future__ import annotations

import numba
import numpy as np
from jaxtyping import Float, Int

NEAR = 0.01
"""Near plane: metres in front of the camera."""


def seen_through(
    triangles: Float[np.ndarray, "triangles 3 3"],
    owners: Int[np.ndarray, " triangles"],
    pose: Float[np.ndarray, "4 4"],
    focal: float,
    width: int,
    height: int,
) -> tuple[Int[np.ndarray, "height width"], Float[np.ndarray, "height width"]]:
    """Owner of the nearest triangle at every pixel centre (-1 for none) and its depth along the optical axis (or 0).

    Args:
        triangles: corners in the scene's frame; both sides are seen.
        owners: any number of 0 or more for each.
        pose: camera to scene; x right, y up, looking along -z.
        focal: in pixels, on both axes; the principal point is the middle.
        width: in pixels.
        height: in pixels.
    """
    points = (triangles - pose[:3, 3]) @ pose[:3, :3] * np.array([1.0, -1.0, -1.0])
    nearest, farthest = points[..., 2].min(1), points[..., 2].max(1)
    whole = nearest >= NEAR
    cut = ~whole & (farthest > NEAR)
    clipped, sources = _clipped(points[cut])
    points = np.concatenate([points[whole], clipped])
    owners = np.concatenate([owners[whole], owners[cut][sources]])
    screen = points[..., :2] / points[..., 2:] * focal + np.array([width / 2, height / 2])
    labels = np.full((height, width), -1, dtype=np.int64)
    inverse = np.zeros((height, width))
    _fill(screen, 1.0 / points[..., 2], owners, labels, inverse)
    return labels, np.divide(1.0, inverse, out=np.zeros_like(inverse), where=inverse > 0)


def _clipped(points: np.ndarray) -> tuple[Float[np.ndarray, "pieces 3 3"], Int[np.ndarray, " pieces"]]:
    """Triangles clipped at the near plane, and for each piece the index of its triangle."""
    pieces, sources = [], []
    for number, triangle in enumerate(points):
        polygon = []
        for a, b in zip(triangle, np.roll(triangle, -1, 0), strict=True):
            if a[2] >= NEAR:
                polygon.append(a)
            if (a[2] >= NEAR) != (b[2] >= NEAR):
                polygon.append(a + (b - a) * (NEAR - a[2]) / (b[2] - a[2]))
        for k in range(1, len(polygon) - 1):
            pieces.append([polygon[0], polygon[k], polygon[k + 1]])
            sources.append(number)
    return np.array(pieces, dtype=float).reshape(-1, 3, 3), np.array(sources, dtype=np.int64)


@numba.njit(cache=True)
def _fill(
    screen: np.ndarray, inverse_depth: np.ndarray, owners: np.ndarray, labels: np.ndarray, nearest: np.ndarray
) -> None:
    """Draw triangles of pixel coordinates; 1 / depth is linear over the picture."""
    height, width = labels.shape
    for t in range(len(screen)):
        ax, ay = screen[t, 0]
        bx, by = screen[t, 1]
        cx, cy = screen[t, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        left = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        right = min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        top = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        bottom = min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                w = 1.0 - u - v
                if u < 0.0 or v < 0.0 or w < 0.0:
                    continue
                inverse = u * inverse_depth[t, 0] + v * inverse_depth[t, 1] + w * inverse_depth[t, 2]
                if inverse > nearest[row, column]:
                    nearest[row, column] = inverse
                    labels[row, column] = owners[t]
