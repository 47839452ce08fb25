"""The scene's surface as the training photos see it: points with their language features, ready for any phrase."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf.geometry.camera_table import CameraTable
from lerf.geometry.rays import RadianceSource
from lerf.language.field import LightStops
from lerf.language.lifted import Language, deferred_field, trained_field
from lerf.rendering.stops import stops_and_matter


@dataclass(frozen=True)
class Surface:
    """Points where the rays of a coarse raster of every training photo stop."""

    stops: LightStops
    features: Float[Tensor, "points features"] | None
    """Composited grid features, for the deferred estimator."""
    photo: Int[Tensor, " points"]
    depth_maps: dict[int, Float[Tensor, "rows columns"]]
    """Median depth on the raster of each training photo, normalised units; NaN where nothing stands."""

    def __len__(self) -> int:
        return len(self.photo)

    @property
    def positions(self) -> Float[Tensor, "points 3"]:
        """Normalised frame."""
        return self.stops.median_position

    def embed(
        self, field: Language, index: Tensor | slice, scale: Float[Tensor, " chosen"]
    ) -> Float[Tensor, "chosen width"]:
        """Rendered embeddings of chosen points at physical scales."""
        if self.features is not None:
            return trained_field(field).embed(self.features[index], scale)
        return field.render_at_scale(self.stops_of(index), scale)

    def stops_of(self, index: Tensor | slice) -> LightStops:
        """Where the light of chosen points' rays stops."""
        return self.stops[index]


SURFACE_POINTS = 60_000
"""Rays of the rasters of all photos together."""
CHUNK = 8192
"""Points whose samples are encoded at once: bounds the memory of the first query."""


@torch.no_grad()
def build_surface(
    source: RadianceSource, field: Language, cameras: CameraTable, photos: tuple[int, ...], points: int
) -> Surface:
    """`trace_surface` with the language's features, where its estimator composites them."""
    surface = trace_surface(source, field.config.samples, cameras, photos, points)
    deferred = deferred_field(field)
    if deferred is None:
        return surface
    parts = torch.arange(len(surface), device=surface.photo.device).split(CHUNK)
    return replace(surface, features=torch.cat([deferred.ray_features(surface.stops_of(part)) for part in parts]))


@torch.no_grad()
def trace_surface(
    source: RadianceSource, samples: int, cameras: CameraTable, photos: tuple[int, ...], points: int
) -> Surface:
    """About `points` surface points, spread over the photos in square rasters; rays that meet nothing give none.

    Of each ray the `samples` heaviest are kept.
    """
    each = max(1.0, points / len(photos))
    stops, owners, depth_maps = [], [], {}
    for photo in photos:
        width, height = cameras.sizes[photo].tolist()
        rows = max(1, round((each * height / width) ** 0.5))
        columns = max(1, round(each / rows))
        y = (torch.arange(rows) + 0.5) * (height / rows)
        x = (torch.arange(columns) + 0.5) * (width / columns)
        pixels = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)
        index = torch.full((len(pixels),), photo, device=cameras.positions.device)
        part, matter = stops_and_matter(source, cameras.rays(index, pixels.to(index.device)), samples)
        stops.append(part[matter])
        owners.append(index[matter])
        depth_maps[photo] = torch.where(matter, part.median_depth, torch.nan).view(rows, columns)
    return Surface(LightStops.joined(stops), None, torch.cat(owners), depth_maps)
