"""Where the light of rays stops, from any radiance source."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lerf.geometry.rays import RadianceSource, RayBundle, rays_at_once
from lerf.language.field import LightStops


def median_sample(weights: Float[Tensor, "rays samples"]) -> Int[Tensor, "rays 1"]:
    """Index of the sample at which half of the light that stops along a ray has stopped."""
    total = torch.cumsum(weights, dim=-1)
    return (total < 0.5 * total[:, -1:]).sum(-1, keepdim=True).clamp(max=total.shape[1] - 1)


@torch.no_grad()
def stops_and_matter(
    source: RadianceSource, rays: RayBundle, heaviest: int, samples: int | None = None
) -> tuple[LightStops, Bool[Tensor, " rays"]]:
    """Where the light of each ray stops, and whether it meets something: at least half of its light stops.

    Only the `heaviest` samples of a ray are kept, with weights that sum to one: the others hold a few per cent of the
    light and most of the cost. They are the heaviest of `samples`, or of as many as the source takes by itself. A ray
    past an object into the open has stops like any other, but they lie nowhere in particular.
    """
    parts = [_stops_of_few(source, rays[at], heaviest, samples) for at in _parts(rays, samples)]
    if len(parts) == 1:
        return parts[0]
    stops, matter = zip(*parts, strict=True)
    return LightStops.joined(stops), torch.cat(matter)


def _parts(rays: RayBundle, samples: int | None) -> list[slice]:
    """Slices of `rays_at_once`; one, though empty, where there are no rays."""
    size = rays_at_once(rays.origins.device, samples)
    return [slice(start, start + size) for start in range(0, max(len(rays), 1), size)]


def _stops_of_few(
    source: RadianceSource, rays: RayBundle, heaviest: int, count: int | None
) -> tuple[LightStops, Bool[Tensor, " rays"]]:
    samples = source.sample_rays(rays, count)
    median = samples.distances.gather(-1, median_sample(samples.weights))
    keep = min(heaviest, samples.weights.shape[1])
    weights, order = samples.weights.topk(keep, dim=-1)
    # A ray that meets nothing still needs a finite mean.
    weights = weights + 1e-8
    stops = LightStops(
        positions=samples.positions.gather(1, order[..., None].expand(-1, -1, 3)),
        weights=weights / weights.sum(-1, keepdim=True),
        depths=samples.distances.gather(-1, order) * rays.axis_cosine[:, None],
        median_depth=(median.squeeze(-1) * rays.axis_cosine),
        median_position=rays.origins + rays.directions * median,
    )
    return stops, samples.weights.sum(-1) >= 0.5
