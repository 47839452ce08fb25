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
from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.geometry.normals import normals_of_neighbours
from lerf.geometry.visibility import depth_at
from lerf.model import Model
from lerf.radiance.protocol import Radiance
from lerf.steps import finish

CHUNK = 16384
"""Rays traced at once."""
SAMPLES = 64
"""Of a ray."""
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
    """Positions, colours, photo and pixels of a photo's points, and its raster."""
    camera = model.scene.normalised_camera(photo)
    pixels, (rows, columns) = raster_pixels(camera.width, camera.height, points, model.device)
    # The pixels of the raster are those of the same camera with a picture of so many rows and columns.
    table = CameraTable.from_cameras([camera.scaled_to(columns, rows)], device=model.device)
    index = torch.zeros(rows * columns, dtype=torch.int64, device=model.device)
    picture = finish(model.radiance.render(table, 0, SAMPLES))
    parts = [
        _stop(model.radiance, table, index[part], at)
        for part, at in zip(
            torch.arange(len(index), device=index.device).split(CHUNK),
            image_pixels(columns, rows, model.device).split(CHUNK),
            strict=True,
        )
    ]
    position, depth, share = (torch.cat(part) for part in zip(*parts, strict=True))
    opacity = picture.accumulation.flatten()
    depth = torch.where(share * opacity >= LEAST_OWN, depth, torch.nan)
    # White shows where light passes; the light of thin rays is scaled up to what the surface would send if opaque.
    colour = picture.colour.view(-1, 3) - (1.0 - opacity[:, None])
    colour = (colour / opacity[:, None].clamp(min=0.5)).clamp(0, 1)
    sure = depth.isfinite()
    owner = torch.full((int(sure.sum()),), photo, device=model.device)
    return (position[sure], colour[sure], owner, pixels[sure]), Raster(photo, depth.view(rows, columns))


def _stop(radiance: Radiance, table: CameraTable, index: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where rays stop, the depth there, and the share of their stopped light that stops close by."""
    rays = radiance.trace(table, index, pixels, SAMPLES, SAMPLES)
    own = rays.weights * ((rays.depths - rays.median_depth[:, None]).abs() <= THICKNESS * rays.median_depth[:, None])
    share = own.sum(-1)
    within = own / share[:, None].clamp(min=1e-6)
    return (within[..., None] * rays.positions).sum(1), (within * rays.depths).sum(-1), share


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
    return torch.where(depth > 0, depth_at(raster.depth, (width, height), pixels), torch.nan), depth


def normals(model: Model, cloud: Cloud, among: Cloud, progress: Progress = _silent) -> Float[Tensor, "points 3"]:
    """Unit normals in the normalised frame, towards the camera that saw each point.

    They are fitted to the `NEIGHBOURS` nearest points of `among`, the cloud itself or the one that it was cut from.
    """
    positions, surface = cloud.positions.cpu().numpy(), among.positions.cpu().numpy()
    tree = cKDTree(surface)
    count = min(NEIGHBOURS, len(surface))
    result = torch.empty(len(positions), 3)
    for part in _slices(len(positions)):
        _, near = tree.query(positions[part], k=count)
        around = surface[near.reshape(-1, count)].astype(np.float64)
        result[part] = torch.from_numpy(normals_of_neighbours(around)).float()
        progress("normals", min(part.stop, len(positions)), len(positions))
    to_camera = model.cameras.positions[cloud.photo].cpu() - cloud.positions.cpu()
    return torch.where((result * to_camera).sum(-1, keepdim=True) < 0, -result, result)


def _slices(count: int, size: int = 65536) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def capture_points(model: Model, positions: Float[Tensor, "points 3"]) -> Float[np.ndarray, "points 3"]:
    """Points of the normalised frame in the capture frame, in double precision."""
    return model.scene.similarity.inverse().apply_points(positions.cpu().double().numpy())
