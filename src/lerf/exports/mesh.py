"""The surface as triangles: rendered depths fused into a signed distance, whose zero level is the mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import binary_dilation
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from lerf.errors import ConfigError, RunError
from lerf.exports.cloud import Cloud, Progress, _silent, look_up
from lerf.geometry.camera_table import CameraTable

BAND = 4
"""Half-width in voxels of the band around the surface in which distances are kept."""
BEHIND, BEHIND_WEIGHT = 3.0, 0.25
"""Up to this many bands behind the surface a photo says "inside", with less weight than where it sees the surface:
enough to outvote the few whose depths are wrong there, not to swallow what is thin."""
TAIL = 0.01
"""Share of the points beyond each side of the box along each axis: strays must not make the voxels large."""
LEAST_PART = 0.002
"""Connected parts with less than this share of the largest part's triangles are dropped."""
NEAREST = 4
"""Points that a vertex takes colours and meanings from."""
CHUNK = 262_144
"""Voxels projected at once."""


@dataclass(frozen=True)
class Mesh:
    """Triangles in the normalised frame."""

    vertices: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    """Counter-clockwise seen from the side of the cameras."""
    normals: Float[np.ndarray, "vertices 3"]
    """Unit length, towards the cameras' side."""

    def without(self, dropped: Bool[np.ndarray, " vertices"]) -> tuple[Mesh, Int[np.ndarray, " kept"]]:
        """The mesh without some vertices and every triangle at them, and which vertices are left."""
        return self._with_faces(self.faces[~dropped[self.faces].any(1)])

    def without_specks(self, least: float = LEAST_PART) -> tuple[Mesh, Int[np.ndarray, " kept"]]:
        """The connected parts with at least this share of the largest one's triangles, and which vertices are left."""
        if len(self.faces) == 0:
            return self._with_faces(self.faces)
        a, b = self.faces[:, [0, 1]].reshape(-1), self.faces[:, [1, 2]].reshape(-1)
        graph = coo_matrix((np.ones(len(a), bool), (a, b)), shape=(len(self.vertices),) * 2)
        part_of = connected_components(graph, directed=False)[1][self.faces[:, 0]]
        sizes = np.bincount(part_of)
        return self._with_faces(self.faces[sizes[part_of] >= least * sizes.max()])

    def _with_faces(self, faces: np.ndarray) -> tuple[Mesh, np.ndarray]:
        used, renumbered = np.unique(faces, return_inverse=True)
        return Mesh(self.vertices[used], renumbered.reshape(-1, 3).astype(np.int32), self.normals[used]), used


def build_mesh(cameras: CameraTable, cloud: Cloud, resolution: int, progress: Progress = _silent) -> Mesh:
    """Fuse the depths of a cloud's rasters (Curless and Levoy 1996) and take the zero level by marching cubes.

    Args:
        cameras: of the run's photos.
        cloud: its points say where the surface is, its rasters how far along every view.
        resolution: voxels along the longest side of the points' box.
        progress: hears of the photos fused.

    Raises:
        ConfigError: without scikit-image, or when the resolution is out of range.
        RunError: when no surface comes out.
    """
    if not 8 <= resolution <= 1024:
        raise ConfigError(f"The resolution of a mesh is {resolution}; give 8 to 1024 voxels along the longest side.")
    marching_cubes = require_marching_cubes()
    points = cloud.positions.cpu().numpy()
    low, high = np.quantile(points, [TAIL, 1 - TAIL], axis=0)
    size = float((high - low).max()) / resolution
    if not size > 0:
        raise RunError("The points to make a mesh of lie all in one place; give more with --points.")
    low, shape = low - (BAND + 1) * size, np.ceil((high - low) / size).astype(int) + 2 * (BAND + 1) + 1
    active = _near_surface(points, low, size, shape)
    distance = _fuse(cameras, cloud, np.argwhere(active) * size + low, BAND * size, progress)
    # What no photo has seen is NaN: no triangle touches it.
    volume = np.full(active.shape, np.nan, np.float32)
    volume[active] = distance
    seen = np.isfinite(volume)
    whole = _whole_cells(seen)
    if not (whole.any() and np.nanmin(volume) < 0 < np.nanmax(volume)):
        raise RunError("No surface is sharp enough to make a mesh of; train the radiance with more --steps.")
    # Values outside are never used: a cell is only looked at when all its corners are seen.
    volume[~seen] = 1.0
    # "descent" turns the corners counter-clockwise seen from where values are higher: from outside.
    vertices, faces, _, _ = marching_cubes(
        volume, 0.0, spacing=(size,) * 3, gradient_direction="descent", allow_degenerate=False, mask=whole
    )
    vertices = vertices.astype(np.float64) + low
    return Mesh(vertices, faces.astype(np.int32), vertex_normals(vertices, faces)).without_specks()[0]


def vertex_normals(
    vertices: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float[np.ndarray, "vertices 3"]:
    """Unit normals of vertices: means of those of the triangles around, weighted by area; zero where there is none."""
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sums = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(sums, faces[:, corner], across)
    return sums / np.linalg.norm(sums, axis=1, keepdims=True).clip(min=1e-12)


def require_marching_cubes() -> Any:
    """scikit-image's `marching_cubes`.

    Raises:
        ConfigError: when it is not installed.
    """
    try:
        from skimage.measure import marching_cubes
    except ImportError:
        raise ConfigError("Making a mesh needs scikit-image: pip install 'lerf[mesh]'.") from None
    return marching_cubes


def _near_surface(points: np.ndarray, low: np.ndarray, size: float, shape: np.ndarray) -> np.ndarray:
    """Voxels of the grid within `BAND` of one that holds a point."""
    cells = np.round((points - low) / size).astype(int)
    cells = cells[((cells >= 0) & (cells < shape)).all(1)]
    occupied = np.zeros(tuple(shape.tolist()), bool)
    occupied[tuple(cells.T)] = True
    return binary_dilation(occupied, np.ones((3, 3, 3), bool), iterations=BAND)


@torch.no_grad()
def _fuse(cameras: CameraTable, cloud: Cloud, positions: np.ndarray, band: float, progress: Progress) -> np.ndarray:
    """Signed distance along the views to the surface, positive before it, over `band`: mean over the photos that see
    a voxel; NaN where none does. A nearer photo counts more, with the square of the distance, as its pixels are
    smaller."""
    device = cloud.positions.device
    voxels = torch.from_numpy(positions.astype(np.float32))
    total, weight = torch.zeros(len(voxels)), torch.zeros(len(voxels))
    for done, raster in enumerate(cloud.rasters):
        for part in torch.arange(len(voxels)).split(CHUNK):
            surface, depth = look_up(cameras, raster, voxels[part].to(device))
            ahead = (surface - depth) / band
            trust = (ahead > -1.0).float() + BEHIND_WEIGHT * ((ahead <= -1.0) & (ahead > -BEHIND)).float()
            counts = trust * depth.clamp(min=1e-3) ** -2
            total[part] += (counts * ahead.clamp(-1.0, 1.0).nan_to_num(0.0)).cpu()
            weight[part] += counts.cpu()
        progress("fusion", done + 1, len(cloud.rasters))
    return torch.where(weight > 0, total / weight, torch.nan).numpy()


def _whole_cells(seen: np.ndarray) -> np.ndarray:
    """Cells all eight corners of which are seen, marked at the corner that scikit-image's mask looks at: the last."""
    whole = np.zeros_like(seen)
    corner = seen[1:, 1:, 1:].copy()
    for x in (slice(None, -1), slice(1, None)):
        for y in (slice(None, -1), slice(1, None)):
            for z in (slice(None, -1), slice(1, None)):
                corner &= seen[x, y, z]
    whole[1:, 1:, 1:] = corner
    return whole


def transfer(
    points: Float[np.ndarray, "points 3"],
    values: Float[np.ndarray, "points channels"],
    vertices: Float[np.ndarray, "vertices 3"],
) -> Float[np.ndarray, "vertices channels"]:
    """Values of points at other places: means of the `NEAREST` points, by inverse distance."""
    distances, near = cKDTree(points).query(vertices, k=min(NEAREST, len(points)))
    distances, near = distances.reshape(len(vertices), -1), near.reshape(len(vertices), -1)
    weights = 1.0 / (distances + 1e-9)
    weights /= weights.sum(1, keepdims=True)
    return np.einsum("vn,vnc->vc", weights, values[near])
