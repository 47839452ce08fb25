"""Gaussian splats as a `Radiance`."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf import kernels
from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.geometry.rays import RayBundle
from lerf.geometry.traced_rays import TracedRays
from lerf.kernels.types import FlatSplats, SplatTrace
from lerf.radiance.protocol import ColourPicture
from lerf.radiance.splats.gaussians import Gaussians
from lerf.radiance.splats.views import Window, is_ideal, rays_through, windows
from lerf.steps import Steps

KEPT = 4
"""Projections that are kept: a picture's rays come in parts."""
ROWS_AT_ONCE = 1 << 16
"""Rays of a picture of a distorted lens that are looked at in a step."""


@dataclass(frozen=True)
class Contributions:
    """What Gaussians contribute to the picture of one camera."""

    gaussians: Int[Tensor, " seen"]
    """Which they are, increasing."""
    pixels: Float[Tensor, "seen 2"]
    """Mean of the pixels (x, y) under the Gaussian's weights there."""
    depths: Float[Tensor, " seen"]
    """Of the means, along the optical axis, normalised units."""
    light: Float[Tensor, " seen"]
    """Sum of the weights over the pixels."""
    largest: Float[Tensor, " seen"]
    """Largest weight at a pixel."""


class SplatRadiance:
    """Implements `Radiance`. A sample of a ray is a Gaussian, at the depth where the ray passes its densest place."""

    def __init__(self, gaussians: Gaussians) -> None:
        """In the normalised frame."""
        self.gaussians = gaussians
        self._kept: OrderedDict[tuple[float, ...], tuple[FlatSplats, Tensor]] = OrderedDict()

    @torch.no_grad()
    def trace(
        self,
        cameras: CameraTable,
        index: Int[Tensor, " rays"],
        pixels: Float[Tensor, "rays 2"],
        heaviest: int,
        samples: int | None = None,
    ) -> TracedRays:
        """See `Radiance.trace`. Half of a ray's light, where its median is, is half of all, not of what stops."""
        rays = cameras.rays(index, pixels)
        count, device = len(rays), rays.origins.device
        positions = torch.zeros(count, heaviest, 3, device=device)
        weights, depths = (torch.zeros(count, heaviest, device=device) for _ in range(2))
        stopped, median = torch.zeros(count, device=device), torch.ones(count, device=device)
        primitives = torch.full((count, heaviest), -1, dtype=torch.int32, device=device)
        for camera in torch.unique(index).tolist():
            of_camera = torch.nonzero(index == camera).flatten()
            for window, own, directions in rays_through(windows(cameras, camera), rays.directions[of_camera]):
                here = of_camera[own]
                seen, names, along = self._along(window, directions, heaviest)
                lengths = torch.linalg.vector_norm(directions, dim=-1)
                weights[here], primitives[here] = seen.weights, names
                stopped[here] = 1 - seen.transmittance
                # Depths of a window are along its own axis.
                distances = along * lengths[:, None]
                depths[here] = distances[:, 1:] * rays.axis_cosine[here, None]
                median[here] = distances[:, 0]
                positions[here] = rays.origins[here, None] + rays.directions[here, None] * distances[:, 1:, None]
        total = weights.sum(-1, keepdim=True)
        # A ray that meets nothing still needs a mean.
        even = torch.full_like(weights, 1.0 / max(heaviest, 1))
        return TracedRays(
            positions,
            torch.where(total > 0, weights / total.clamp(min=1e-12), even),
            depths,
            stopped >= 0.5,
            median * rays.axis_cosine,
            rays.origins + rays.directions * median[:, None],
            primitives,
        )

    def render(self, cameras: CameraTable, index: int, samples: int | None = None) -> Steps[ColourPicture]:
        """See `Radiance.render`. A distorted lens is evaluated ray by ray."""
        width, height = cameras.sizes_on_host[index]
        pixels = image_pixels(width, height, cameras.positions.device)
        rays = cameras.rays(torch.full((len(pixels),), index, device=pixels.device), pixels)
        if is_ideal(cameras, index):
            parts = [self._ideal(windows(cameras, index)[0], rays, width, height)]
            yield
        else:
            parts = []
            for part in torch.arange(len(pixels), device=pixels.device).split(ROWS_AT_ONCE):
                parts.append(self._by_rays(windows(cameras, index), rays[part]))
                yield
        colour, light, depth = (torch.cat(part) for part in zip(*parts, strict=True))
        shape = (height, width)
        return ColourPicture(
            (colour + light[:, None]).clamp(0.0, 1.0).view(*shape, 3), depth.view(shape), 1 - light.view(shape)
        )

    @torch.no_grad()
    def contributions(self, cameras: CameraTable, index: int) -> Contributions:
        """What each Gaussian contributes to the picture of a camera. The picture of a distorted lens is taken to be
        that of an ideal one of the same field of view."""
        parts = []
        for window in windows(cameras, index):
            left, top, right, bottom = window.bounds
            flat, which = self._flat(window)
            moved = flat._replace(centres=flat.centres - torch.tensor([left, top], device=flat.centres.device))
            sums = kernels.gather_splats(moved, max(1, round(right - left)), max(1, round(bottom - top)))
            lit = sums[:, 0] > 0
            centre = sums[lit, 1:3] / sums[lit, :1] + torch.tensor([left, top], device=sums.device)
            parts.append((which[lit], self._places(window, centre), sums[lit, 0], sums[lit, 3]))
        which, places, light, largest = (torch.cat(part) for part in zip(*parts, strict=True))
        pixels, _ = cameras.project(index, cameras.positions[index] + places)
        _, depths = cameras.project(index, self.gaussians.means[which])
        order = which.argsort(stable=True)
        return Contributions(*(part[order] for part in (which, pixels, depths, light, largest)))

    def _places(self, window: Window, centre: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
        """Directions in the world of points of a window's plane."""
        view = window.view
        shift, focal = (torch.tensor(pair, device=centre.device) for pair in (view.centre, view.focal))
        plane = (centre - shift) / focal
        return torch.cat([plane, torch.ones_like(plane[:, :1])], -1) @ view.rotation

    def _flat(self, window: Window) -> tuple[FlatSplats, Tensor]:
        """The Gaussians on a window's plane, and which they are; of the last windows they are kept."""
        view = window.view
        key = (*view.rotation.flatten().tolist(), *view.position.tolist(), *view.focal, *view.centre, *window.bounds)
        if key not in self._kept:
            self._kept[key] = self.gaussians.flattened(view, window.bounds)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _along(
        self, window: Window, directions: Float[Tensor, "rays 3"], heaviest: int
    ) -> tuple[SplatTrace, Int[Tensor, "rays heaviest"], Float[Tensor, "rays depths"]]:
        """What rays of a window see, which Gaussians stop most of it, and depths: first that of the median, then those
        of these Gaussians; 1 where there are none."""
        flat, which = self._flat(window)
        view = window.view
        shift, focal = (torch.tensor(pair, device=directions.device) for pair in (view.centre, view.focal))
        seen = kernels.trace_splats(flat, directions[:, :2] * focal + shift, max(heaviest, 1))
        # Of rays of which less than half stops, the heaviest stands for the median.
        middle = torch.where(seen.middle >= 0, seen.middle, seen.indices[:, 0])
        rows = torch.cat([middle[:, None], seen.indices[:, :heaviest]], -1)
        known = rows >= 0
        names = torch.where(known, which[rows.clamp(min=0)], -1) if len(which) else torch.full_like(rows, -1)
        depths = torch.ones(rows.shape, device=directions.device)
        ray = torch.nonzero(known)[:, 0]
        depths[known] = self.gaussians.depths_along(names[known].long(), directions[ray], view)
        cut = seen._replace(indices=seen.indices[:, :heaviest], weights=seen.weights[:, :heaviest])
        return cut, names[:, 1:].int(), depths

    @torch.no_grad()
    def _ideal(self, window: Window, rays: RayBundle, width: int, height: int) -> tuple[Tensor, Tensor, Tensor]:
        """Colour without a background, light that passes, and depth, of all pixels of an ideal lens."""
        flat, which = self._flat(window)
        picture = kernels.draw_splats(flat, width, height)
        middle = picture.middle.flatten()
        met = torch.nonzero(middle >= 0).flatten()
        directions = rays_through([window], rays.directions)[0][2]
        depth = torch.full((len(middle),), torch.nan, device=middle.device)
        depth[met] = self.gaussians.depths_along(which[middle[met]], directions[met], window.view)
        return picture.colour.view(-1, 3), picture.transmittance.flatten(), depth

    @torch.no_grad()
    def _by_rays(self, found: list[Window], rays: RayBundle) -> tuple[Tensor, Tensor, Tensor]:
        """As `_ideal`, of rays of any lens."""
        colour = torch.zeros(len(rays), 3, device=rays.origins.device)
        light = torch.ones(len(rays), device=colour.device)
        depth = torch.full_like(light, torch.nan)
        for window, own, directions in rays_through(found, rays.directions):
            seen, _, along = self._along(window, directions, 0)
            colour[own], light[own] = seen.colour, seen.transmittance
            distance = along[:, 0] * torch.linalg.vector_norm(directions, dim=-1)
            depth[own] = torch.where(seen.middle >= 0, distance * rays.axis_cosine[own], torch.nan)
        return colour, light, depth
