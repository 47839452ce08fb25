"""What language reads in the views looked at last, kept between phrases."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.geometry.rays import rays_at_once
from lerf.language.protocol import LanguageSource, Latent
from lerf.radiance.protocol import Radiance

BUDGET = 256_000_000
"""Bytes of views that are kept; one that is larger is traced again for every phrase."""


@dataclass(frozen=True)
class ViewPart:
    """Some consecutive pixels of a view, row by row."""

    hit: Bool[Tensor, " rays"]
    """Whether the light meets anything."""
    latent: Latent

    @property
    def bytes(self) -> int:
        """Memory held."""
        return self.latent.bytes + len(self.hit)


class ViewCache:
    """The latents of views by their cameras, within `budget` bytes. Of one radiance and one language."""

    def __init__(self, radiance: Radiance, language: LanguageSource, budget: int = BUDGET) -> None:
        self.radiance, self.language, self.budget = radiance, language, budget
        self._kept: OrderedDict[bytes, list[ViewPart]] = OrderedDict()

    def parts(self, cameras: CameraTable, index: int) -> Iterator[ViewPart]:
        """The parts of a view in order, remembered or traced; a view is kept when all of it was asked for."""
        key = camera_key(cameras, index)
        if key in self._kept:
            self._kept.move_to_end(key)
            yield from self._kept[key]
            return
        width, height = cameras.sizes_on_host[index]
        device = cameras.positions.device
        parts: list[ViewPart] | None = []
        used = 0
        for pixels in image_pixels(width, height, device).split(rays_at_once(device, self.language.picture_samples[1])):
            part = self._trace(cameras, torch.full((len(pixels),), index, device=device), pixels)
            used += part.bytes
            if parts is not None:
                parts.append(part)
                if used > self.budget:
                    parts = None
            yield part
        if parts is not None:
            self._kept[key] = parts
            while sum(part.bytes for kept in self._kept.values() for part in kept) > self.budget:
                self._kept.popitem(last=False)

    @torch.no_grad()
    def _trace(self, cameras: CameraTable, index: Tensor, pixels: Tensor) -> ViewPart:
        heaviest, samples = self.language.picture_samples
        rays = self.radiance.trace(cameras, index, pixels, heaviest, samples)
        return ViewPart(rays.hit, self.language.encode(rays))


def camera_key(cameras: CameraTable, index: int) -> bytes:
    """Everything that decides a camera's rays."""
    held = (
        cameras.positions, cameras.rotations, cameras.focal, cameras.centre, cameras.sizes, cameras.lens,
        cameras.fisheye,
    )  # fmt: skip
    return b"".join(tensor[index].cpu().contiguous().numpy().tobytes() for tensor in held)
