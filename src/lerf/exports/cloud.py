"""The scene's surface as a coloured point cloud, seen through the training photos' cameras."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from lerf.errors import ConfigError, RunError
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.rays import RayBundle
from lerf.model import Model
from lerf.radiance.hash_grid.field import RadianceField
from lerf.rendering.stops import median_sample

CHUNK = 16384
"""Rays rendered at once."""
THICKNESS = 0.05
"""Light that stops within this share of a point's distance from it is the point's own."""
LEAST_OWN = 0.6
"""Share of a ray's light that must be its point's own: less is haze, or an edge between near and far."""
AGREEMENT = 0.03
"""Two photos agree on a point when their depths there differ by less than this share."""
SEEN_THROUGH = 0.10
"""A photo contradicts a point when it sees a surface behind it, deeper by more than this share."""
NEIGHBOURS = 16
"""Points that a normal is fitted to."""
Progress = Callable[[str, int, int], None]
"""Hears the stage, how much of it is done, and of how much."""


@dataclass(frozen=True)
class Raster:
    """What one training photo's camera sees on a coarse grid of pixels."""

    photo: int
    depth: Float[Tensor, "rows columns"]
    """Median depth along the optical axis, normalised units; NaN where no surface is sure."""


@dataclass(frozen=True)
class Cloud:
    """Points of the surface."""

    positions: Float[Tensor, "points 3"]
    """Normalised frame."""
    colours: Float[Tensor, "points 3"]
    """0..1, at the mean exposure, from the direction of the photo that gave the point."""
    photo: Int[Tensor, " points"]
    """Photo whose camera saw the point."""
    pixels: Float[Tensor, "points 2"]
    """Where in it, (x, y) at the resolution in use."""
    rasters: tuple[Raster, ...]

    def __len__(self) -> int:
        return len(self.photo)

    def chosen(self, index: Tensor) -> Cloud:
        """Some of the points, by index or mask."""
        return replace(
            self,
            positions=self.positions[index],
            colours=self.colours[index],
            photo=self.photo[index],
            pixels=self.pixels[index],
        )


def _silent(stage: str, done: int, total: int) -> None:
    """Progress for nobody."""


@torch.no_grad()
def build_cloud(model: Model, points: int, reach: float = math.inf, progress: Progress = _silent) -> Cloud:
    """Points where rays of all training photos stop, without haze, edges and what other photos see through.

    Args:
        model: the run.
        points: rays, spread evenly over the photos; nearly as many points come out where the radiance is sharp.
        reach: points further than this from the origin of the normalised frame are left out; the cameras stand about 1
            from it.
        progress: hears of the photos done.

    Raises:
        ConfigError: fewer points than photos, or a reach that is not positive.
        RunError: when no surface is sure anywhere.
    """
    photos = model.scene.train
    if points < len(photos):
        raise ConfigError(f"A cloud of {points} points is less than one for each of {len(photos)} photos; give more.")
    if not reach > 0:
        raise ConfigError(f"The reach of a cloud is {reach}; give a positive number.")
    parts, rasters = [], []
    for done, photo in enumerate(photos):
        part, raster = _seen_by(model, photo, points / len(photos))
        parts.append(part)
        rasters.append(raster)
        progress("surface", done + 1, len(photos))
    positions, colours, photo_of, pixels = (torch.cat(column) for column in zip(*parts, strict=True))
    cloud = Cloud(positions, colours, photo_of, pixels, tuple(rasters))
    cloud = cloud.chosen(cloud.positions.norm(dim=-1) <= reach)
    if len(cloud):
        cloud = cloud.chosen(_agreed(model.cameras, cloud, progress))
    if len(cloud) == 0:
        raise RunError("No surface is sharp enough to export; train the radiance with more --steps in a new folder.")
    return cloud


def raster_pixels(
    width: int, height: int, points: float, device: torch.device | str = "cpu"
) -> tuple[Float[Tensor, "pixels 2"], tuple[int, int]]:
    """About `points` pixels in a grid of square cells over a picture, row by row, and its rows and columns."""
    rows = min(height, max(1, round(math.sqrt(points * height / width))))
    columns = min(width, max(1, round(points / rows)))
    y = (torch.arange(rows, device=device) + 0.5) * (height / rows)
    x = (torch.arange(columns, device=device) + 0.5) * (width / columns)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2), (rows, columns)


def _seen_by(model: Model, photo: int, points: float) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], Raster]:
    width, height = model.cameras.sizes[photo].tolist()
    pixels, shape = raster_pixels(width, height, points, model.device)
    index = torch.full((len(pixels),), photo, device=pixels.device)
    positions, colours, depths = [], [], []
    for part in torch.arange(len(pixels), device=pixels.device).split(CHUNK):
        rays = model.cameras.rays(index[part], pixels[part])
        position, colour, depth = _stop(model.radiance, rays)
        positions.append(position)
        colours.append(colour)
        depths.append(depth)
    depth = torch.cat(depths)
    sure = depth.isfinite()
    found = (torch.cat(positions)[sure], torch.cat(colours)[sure], index[sure], pixels[sure])
    return found, Raster(photo, depth.view(shape))


def _stop(field: RadianceField, rays: RayBundle) -> tuple[Tensor, Tensor, Tensor]:
    """Where rays stop, the colour there, and the depth; NaN where no single surface holds most of the light."""
    jitter = torch.full((len(rays),), 0.5, device=rays.origins.device)
    edges = field.place_samples(rays, jitter, samples=field.config.render_samples)
    out = field(rays, edges)
    middle = 0.5 * (edges[:, 1:] + edges[:, :-1])
    median = middle.gather(-1, median_sample(out.weights))
    own = out.weights * ((middle - median).abs() <= THICKNESS * median)
    share = own.sum(-1, keepdim=True)
    distance = (own * middle).sum(-1, keepdim=True) / share.clamp(min=1e-6)
    opacity = out.weights.sum(-1, keepdim=True)
    depth = torch.where(share >= LEAST_OWN, distance * rays.axis_cosine[:, None], torch.nan)
    # The light of thin rays is scaled up to what the surface would send if it were opaque.
    colour = (out.colour / opacity.clamp(min=0.5)).clamp(0, 1)
    return rays.origins + rays.directions * distance, colour, depth.squeeze(-1)


def _agreed(cameras: CameraTable, cloud: Cloud, progress: Progress) -> Bool[Tensor, " points"]:
    """Points that more photos confirm than see through; the photo that gave a point confirms it."""
    votes = torch.zeros(len(cloud), device=cloud.positions.device)
    for done, raster in enumerate(cloud.rasters):
        surface, depth = look_up(cameras, raster, cloud.positions)
        votes += ((surface - depth).abs() <= AGREEMENT * depth).float()
        votes -= (surface > depth * (1 + SEEN_THROUGH)).float()
        progress("agreement", done + 1, len(cloud.rasters))
    return votes > 0


def look_up(
    cameras: CameraTable, raster: Raster, positions: Float[Tensor, "points 3"]
) -> tuple[Float[Tensor, " points"], Float[Tensor, " points"]]:
    """Depth of the surface that a photo shows where it would show points, and their own depth; normalised units.

    The first is NaN outside the photo, behind its camera, and where its surface is not sure.
    """
    pixels, depth = cameras.project(raster.photo, positions)
    width, height = cameras.sizes[raster.photo].tolist()
    rows, columns = raster.depth.shape
    x, y = pixels.unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (depth > 0)
    column = (x.nan_to_num(0.0) * (columns / width)).long().clamp(0, columns - 1)
    row = (y.nan_to_num(0.0) * (rows / height)).long().clamp(0, rows - 1)
    return torch.where(inside, raster.depth[row, column], torch.nan), depth


def normals(model: Model, cloud: Cloud, among: Cloud, progress: Progress = _silent) -> Float[Tensor, "points 3"]:
    """Unit normals in the normalised frame, towards the camera that saw each point.

    Each is the direction of least spread of the `NEIGHBOURS` nearest points of `among` (Hoppe et al. 1992), which is
    the cloud itself or the one that it was cut from.
    """
    positions, surface = cloud.positions.cpu().numpy(), among.positions.cpu().numpy()
    tree = cKDTree(surface)
    count = min(NEIGHBOURS, len(surface))
    result = torch.empty(len(positions), 3)
    for part in _slices(len(positions)):
        _, near = tree.query(positions[part], k=count)
        around = torch.from_numpy(surface[near.reshape(-1, count)])
        around = around - around.mean(1, keepdim=True)
        # Eigenvalues ascend: the first vector is that of least spread.
        result[part] = torch.linalg.eigh(around.transpose(1, 2) @ around)[1][:, :, 0]
        progress("normals", min(part.stop, len(positions)), len(positions))
    to_camera = model.cameras.positions[cloud.photo].cpu() - cloud.positions.cpu()
    return torch.where((result * to_camera).sum(-1, keepdim=True) < 0, -result, result)


def _slices(count: int, size: int = 65536) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def capture_points(model: Model, positions: Float[Tensor, "points 3"]) -> Float[np.ndarray, "points 3"]:
    """Points of the normalised frame in the capture frame, in double precision."""
    return model.scene.similarity.inverse().apply_points(positions.cpu().double().numpy())
