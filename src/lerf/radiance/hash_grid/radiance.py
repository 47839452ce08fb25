"""A trained hash-grid field as a `Radiance`."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf import kernels
from lerf.devices import in_parts
from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.geometry.rays import RayBundle, rays_at_once
from lerf.geometry.traced_rays import TracedRays, median_sample
from lerf.radiance.hash_grid.field import RadianceField
from lerf.radiance.protocol import ColourPicture
from lerf.steps import Steps


class HashGridRadiance:
    """Implements `Radiance`. The field must be in evaluation mode and not change any more."""

    def __init__(self, field: RadianceField) -> None:
        self.field = field

    @torch.no_grad()
    def trace(
        self,
        cameras: CameraTable,
        index: Int[Tensor, " rays"],
        pixels: Float[Tensor, "rays 2"],
        heaviest: int,
        samples: int | None = None,
    ) -> TracedRays:
        """See `Radiance.trace`."""

        def traced(part: slice) -> TracedRays:
            rays = cameras.rays(index[part], pixels[part])
            return self.field.sample_rays(rays, samples).traced(rays, heaviest, kernels.heaviest)

        size = rays_at_once(pixels.device, samples)
        parts = list(in_parts(len(pixels), size, pixels.device, traced))
        return parts[0] if len(parts) == 1 else TracedRays.joined(parts)

    def render(self, cameras: CameraTable, index: int, samples: int | None = None) -> Steps[ColourPicture]:
        """See `Radiance.render`."""
        width, height = cameras.sizes_on_host[index]
        device = cameras.positions.device
        pixels, parts = image_pixels(width, height, device), []

        def shown(part: slice) -> tuple[Tensor, Tensor, Tensor]:
            rays = cameras.rays(torch.full((len(pixels[part]),), index, device=device), pixels[part])
            return self._render_rays(rays, samples or self.field.config.render_samples)

        for found in in_parts(len(pixels), rays_at_once(device), device, shown):
            parts.append(found)
            yield
        colour, depth, accumulation = (torch.cat(part) for part in zip(*parts, strict=True))
        shape = (height, width)
        return ColourPicture(colour.view(*shape, 3), depth.view(shape), accumulation.view(shape))

    @torch.no_grad()
    def _render_rays(self, rays: RayBundle, samples: int) -> tuple[Tensor, Tensor, Tensor]:
        """Colour, depth and accumulation of rays, as in `ColourPicture`."""
        out = self.field.view_rays(rays, samples)
        opacity = out.weights.sum(-1, keepdim=True)
        middle = 0.5 * (out.edges[:, 1:] + out.edges[:, :-1])
        depth = middle.gather(-1, median_sample(out.weights)).squeeze(-1) * rays.axis_cosine
        colour = (out.colour + 1.0 - opacity).clamp(0.0, 1.0)
        opacity = opacity.squeeze(-1)
        return colour, torch.where(opacity >= 0.5, depth, torch.nan), opacity.clamp(max=1.0)
