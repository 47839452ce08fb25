"""A nerfacto of nerfstudio as a `Radiance`: what it shows is what nerfstudio shows of the same checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf import kernels
from lerf.devices import in_parts
from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.geometry.rays import RayBundle
from lerf.geometry.similarity import Similarity
from lerf.geometry.traced_rays import RaySamples, TracedRays, median_sample
from lerf.radiance.nerfacto.config import NerfactoConfig
from lerf.radiance.nerfacto.field import DensityNetwork, harmonics, layers_of, resampled
from lerf.radiance.protocol import ColourPicture
from lerf.steps import Steps

RAYS_ON_CPU = 512
"""Rays of one pass: the first round alone takes 256 samples of each."""
RAYS_ELSEWHERE = 1 << 13


class NerfactoRadiance:
    """Implements `Radiance`. As many samples are taken as the model was made for, whatever fewer would do."""

    def __init__(self, config: NerfactoConfig, tensors: Mapping[str, Tensor], to_theirs: Similarity) -> None:
        """
        Args:
            config: sizes and samples.
            tensors: as `layout.nerfacto_tensors` names them, on the device to work on.
            to_theirs: our normalised frame to that in which nerfstudio trained.
        """
        self.config, self.scale = config, to_theirs.scale
        device = tensors["box"].device
        self.rotation, self.translation = (
            torch.from_numpy(part).float().to(device) for part in (to_theirs.rotation, to_theirs.translation)
        )
        names = [*(f"proposal{at}" for at in range(len(config.proposals))), "field"]
        *self.proposals, self.field = (DensityNetwork(tensors, name, config) for name in names)
        self.head = layers_of(tensors, "field.head")
        self.appearance = tensors["appearance"]

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
            origins, directions = self._moved(rays)
            edges = self.place_samples(origins, directions)
            middles = 0.5 * (edges[:, 1:] + edges[:, :-1])
            density, _ = self.field(_points(origins, directions, edges).flatten(0, 1))
            weights = _weights(density.view_as(middles), edges)
            distances = middles / self.scale
            positions = rays.origins[:, None] + rays.directions[:, None] * distances[..., None]
            return RaySamples(positions, distances, weights).traced(rays, heaviest, kernels.heaviest)

        parts = list(in_parts(len(pixels), _rays_at_once(pixels.device), pixels.device, traced))
        return parts[0] if len(parts) == 1 else TracedRays.joined(parts)

    def render(self, cameras: CameraTable, index: int, samples: int | None = None) -> Steps[ColourPicture]:
        """See `Radiance.render`."""
        width, height = cameras.sizes_on_host[index]
        device = cameras.positions.device
        pixels, parts = image_pixels(width, height, device), []

        def shown(part: slice) -> tuple[Tensor, Tensor, Tensor]:
            return self.render_rays(cameras.rays(torch.full((len(pixels[part]),), index, device=device), pixels[part]))

        for found in in_parts(len(pixels), _rays_at_once(device), device, shown):
            parts.append(found)
            yield
        colour, depth, accumulation = (torch.cat(part) for part in zip(*parts, strict=True))
        shape = (height, width)
        return ColourPicture(colour.view(*shape, 3), depth.view(shape), accumulation.view(shape))

    @torch.no_grad()
    def render_rays(self, rays: RayBundle) -> tuple[Tensor, Tensor, Tensor]:
        """Colour, depth and accumulation of rays, as in `ColourPicture`."""
        origins, directions = self._moved(rays)
        edges = self.place_samples(origins, directions)
        middles = 0.5 * (edges[:, 1:] + edges[:, :-1])
        density, geometry = self.field(_points(origins, directions, edges).flatten(0, 1))
        weights = _weights(density.view_as(middles), edges)
        colours = self._colours(directions, geometry.view(*middles.shape, -1))
        accumulation = weights.sum(-1, keepdim=True)
        behind = colours[:, -1] if self.config.last_shows else torch.ones_like(colours[:, -1])
        colour = (kernels.composite(weights, colours) + (1.0 - accumulation) * behind).clamp(0.0, 1.0)
        depth = middles.gather(-1, median_sample(weights)).squeeze(-1) / self.scale * rays.axis_cosine
        opacity = accumulation.squeeze(-1)
        return colour, torch.where(opacity >= 0.5, depth, torch.nan), opacity.clamp(max=1.0)

    def place_samples(
        self, origins: Float[Tensor, "rays 3"], directions: Float[Tensor, "rays 3"]
    ) -> Float[Tensor, "rays edges"]:
        """Distances in nerfstudio's frame of the edges of the intervals that are rendered; rays are in that frame."""
        config = self.config
        counts = [*config.proposal_samples[1:], config.samples]
        bins = torch.linspace(0.0, 1.0, config.proposal_samples[0] + 1, device=origins.device)
        bins = bins.expand(len(origins), -1)
        for network, count in zip(self.proposals, counts, strict=True):
            edges = self._distances(bins)
            density, _ = network(_points(origins, directions, edges).flatten(0, 1))
            bins = resampled(bins, _weights(density.view(len(bins), bins.shape[1] - 1), edges), count)
        return self._distances(bins)

    def _distances(self, bins: Float[Tensor, "rays edges"]) -> Float[Tensor, "rays edges"]:
        """Distances of a coordinate that is 0 at the camera and 1 at the far end."""
        far = self.config.far
        if self.config.spacing == "uniform":
            return bins * far
        spaced = bins * (far / 2 if far < 1 else 1 - 1 / (2 * far))
        return torch.where(spaced < 0.5, 2 * spaced, 1 / (2 - 2 * spaced))

    def _colours(
        self, directions: Float[Tensor, "rays 3"], geometry: Float[Tensor, "rays samples geometry"]
    ) -> Float[Tensor, "rays samples 3"]:
        views = harmonics(directions, self.config.implementation)
        looks = self.appearance.expand(len(directions), -1)
        shape = geometry.shape[:2]
        inputs = [views[:, None].expand(*shape, -1), geometry, looks[:, None].expand(*shape, -1)]
        return torch.sigmoid(kernels.dense_layers(torch.cat(inputs, dim=-1).flatten(0, 1), *self.head)).view(*shape, 3)

    def _moved(self, rays: RayBundle) -> tuple[Float[Tensor, "rays 3"], Float[Tensor, "rays 3"]]:
        """Origins and unit directions in nerfstudio's frame."""
        return self.scale * rays.origins @ self.rotation.T + self.translation, rays.directions @ self.rotation.T


def _points(origins: Tensor, directions: Tensor, edges: Tensor) -> Float[Tensor, "rays samples 3"]:
    """Middles of the intervals between edges."""
    return origins[:, None] + directions[:, None] * (0.5 * (edges[:, 1:] + edges[:, :-1]))[..., None]


def _weights(
    density: Float[Tensor, "rays samples"], edges: Float[Tensor, "rays edges"]
) -> Float[Tensor, "rays samples"]:
    return kernels.render_weights(density, edges[:, 1:] - edges[:, :-1]).nan_to_num(0.0)


def _rays_at_once(device: torch.device) -> int:
    return RAYS_ON_CPU if device.type == "cpu" else RAYS_ELSEWHERE
