"""The surface of a scene as its training photos see it: the traced rays of coarse rasters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf.geometry.camera_table import CameraTable
from lerf.geometry.traced_rays import TracedRays
from lerf.radiance.protocol import Radiance
from lerf.steps import Steps

SURFACE_POINTS = 60_000
"""Rays of the rasters of all photos together."""


@dataclass(frozen=True)
class TracedSurface:
    """Rays that meet something, from a coarse raster of every training photo."""

    rays: TracedRays
    photo: Int[Tensor, " rays"]
    """Index of the camera of each ray."""
    depth_maps: dict[int, Float[Tensor, "_rows _columns"]]
    """Median depth on the raster of each training photo, normalised units; NaN where nothing stands."""

    def __len__(self) -> int:
        return len(self.photo)


@torch.no_grad()
def trace_surface(
    radiance: Radiance, cameras: CameraTable, photos: Sequence[int], heaviest: int, points: int = SURFACE_POINTS
) -> Steps[TracedSurface]:
    """About `points` rays, spread over the photos in square rasters; rays that meet nothing are left out.

    Args:
        radiance: what the rays meet.
        cameras: of the photos.
        photos: training photos, as indices into `cameras`; a step is one of them.
        heaviest: samples of a ray that are kept.
        points: rays of all rasters together.
    """
    each = max(1.0, points / len(photos))
    parts, owners, depth_maps = [], [], {}
    for photo in photos:
        width, height = cameras.sizes_on_host[photo]
        pixels, (rows, columns) = square_raster(width, height, each, cameras.positions.device)
        index = torch.full((len(pixels),), photo, device=pixels.device)
        rays = radiance.trace(cameras, index, pixels, heaviest)
        parts.append(rays)
        owners.append(index)
        depth_maps[photo] = torch.where(rays.hit, rays.median_depth, torch.nan).view(rows, columns)
        yield
    rays = TracedRays.joined(parts)
    # A GPU is waited for once, not for each photo.
    met = rays.hit.nonzero().squeeze(-1)
    return TracedSurface(rays[met], torch.cat(owners)[met], depth_maps)


def square_raster(
    width: int, height: int, points: float, device: torch.device | str = "cpu"
) -> tuple[Float[Tensor, "pixels 2"], tuple[int, int]]:
    """About `points` pixels (x, y) in square cells over a picture, row by row; and the rows and columns."""
    rows = max(1, round((points * height / width) ** 0.5))
    columns = max(1, round(points / rows))
    y = (torch.arange(rows, device=device) + 0.5) * (height / rows)
    x = (torch.arange(columns, device=device) + 0.5) * (width / columns)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2), (rows, columns)
