"""Whole pictures of any camera, in chunks of rays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.geometry.rays import RayBundle, rays_at_once
from lerf.radiance.hash_grid.field import RadianceField
from lerf.rendering.stops import median_sample


@dataclass(frozen=True)
class ColourPicture:
    """One view of the radiance field."""

    colour: Float[Tensor, "height width 3"]
    """0..1."""
    depth: Float[Tensor, "height width"]
    """Median depth along the optical axis, normalised units; NaN where less than half of the light met something."""
    accumulation: Float[Tensor, "height width"]
    """Share of the light that met something."""


def view_rays(cameras: CameraTable, index: int, chunk: int | None = None) -> Iterator[RayBundle]:
    """All rays of a camera in rows of pixels, `chunk` (by default `rays_at_once`) at a time."""
    width, height = cameras.sizes[index].tolist()
    device = cameras.positions.device
    for pixels in image_pixels(width, height, device).split(chunk or rays_at_once(device)):
        yield cameras.rays(torch.full((len(pixels),), index, device=device), pixels)


@torch.no_grad()
def render_rays(
    field: RadianceField, rays: RayBundle, samples: int
) -> tuple[Float[Tensor, "rays 3"], Float[Tensor, " rays"], Float[Tensor, " rays"]]:
    """Colour, depth and accumulation of rays, as in `ColourPicture`."""
    edges = field.place_samples(rays, torch.full((len(rays),), 0.5, device=rays.origins.device), samples=samples)
    out = field(rays, edges)
    opacity = out.weights.sum(-1, keepdim=True)
    middle = 0.5 * (edges[:, 1:] + edges[:, :-1])
    depth = middle.gather(-1, median_sample(out.weights)).squeeze(-1) * rays.axis_cosine
    colour = (out.colour + 1.0 - opacity).clamp(0.0, 1.0)
    opacity = opacity.squeeze(-1)
    return colour, torch.where(opacity >= 0.5, depth, torch.nan), opacity.clamp(max=1.0)


def render_colour(field: RadianceField, cameras: CameraTable, index: int) -> ColourPicture:
    """Colour, depth and accumulation of a camera; white shows where the field is transparent.

    Colours are those of the mean exposure: no gain of any photo is applied.
    """
    width, height = cameras.sizes[index].tolist()
    parts = [render_rays(field, rays, field.config.render_samples) for rays in view_rays(cameras, index)]
    colour, depth, accumulation = (torch.cat(part) for part in zip(*parts, strict=True))
    return ColourPicture(colour.view(height, width, 3), depth.view(height, width), accumulation.view(height, width))
