"""A pool of training rays with where their light stops, drawn once because the radiance no longer moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf.errors import RunError
from lerf.fields.language import LightStops
from lerf.rays.bundle import RadianceSource
from lerf.rays.cameras import CameraTable
from lerf.rendering.stops import stops_and_matter

CHUNK = 16384


@dataclass(frozen=True)
class RayPool:
    """Rays of random pixels of the training photos."""

    stops: LightStops
    slots: Int[Tensor, " rays"]
    """Index among the training photos."""
    pixels: Float[Tensor, "rays 2"]
    """(x, y) at the resolution in use, centres at +0.5."""
    height_per_depth: Float[Tensor, " rays"]
    """Photo height / fy: times a tile ratio and a depth it is the tile's height in normalised units."""

    def __len__(self) -> int:
        return len(self.slots)

    def take(self, index: Int[Tensor, " batch"]) -> RayPool:
        """The chosen rays."""
        stops = LightStops(**{f.name: getattr(self.stops, f.name)[index] for f in fields(LightStops)})
        return RayPool(stops, self.slots[index], self.pixels[index], self.height_per_depth[index])

    def scale_range(self, ratios: Sequence[float]) -> tuple[float, float]:
        """1st and 99th percentile of the tile heights that these rays show, normalised units."""
        unit = self.height_per_depth * self.stops.median_depth
        sample = unit[torch.linspace(0, len(unit) - 1, min(len(unit), 200_000)).long()]
        heights = torch.cat([sample * min(ratios), sample * max(ratios)])
        low, high = torch.quantile(heights, torch.tensor([0.01, 0.99], device=heights.device)).tolist()
        return low, max(high, low * 1.001)


def draw_pool(
    source: RadianceSource,
    cameras: CameraTable,
    train: Sequence[int],
    count: int,
    heaviest: int,
    generator: torch.Generator,
    allowed: Callable[[int], Tensor | None],
    progress: Callable[[int, int], None] | None = None,
) -> RayPool:
    """About `count` rays, the same number from each training photo, at uniformly random pixels.

    `allowed(photo)` gives the flat indices of the pixels that take part, or None for all. Rays that meet nothing are
    left out.

    Raises:
        RunError: when no ray meets anything.
    """
    device = cameras.positions.device
    each = max(1, count // len(train))
    parts: list[RayPool] = []
    for slot, photo in enumerate(train):
        width, height = cameras.sizes[photo].tolist()
        choice = allowed(photo)
        if choice is not None and len(choice) == 0:
            continue
        drawn = torch.randint(width * height if choice is None else len(choice), (each,), generator=generator)
        flat = drawn if choice is None else choice[drawn]
        pixels = torch.stack([flat % width, flat // width], dim=-1).float() + 0.5
        for start in range(0, each, CHUNK):
            part = pixels[start : start + CHUNK].to(device)
            index = torch.full((len(part),), photo, device=device)
            stops, matter = stops_and_matter(source, cameras.rays(index, part), heaviest)
            ratio = torch.full((len(part),), height / float(cameras.focal[photo, 1]), device=device)
            drawn_rays = RayPool(stops, torch.full((len(part),), slot, device=device), part, ratio)
            parts.append(drawn_rays if bool(matter.all()) else drawn_rays.take(matter.nonzero().squeeze(-1)))
        if progress:
            progress(slot + 1, len(train))
    if not any(len(part) for part in parts):
        raise RunError("The radiance is transparent everywhere; train it with more --steps in a new folder.")
    stops = LightStops(**{f.name: torch.cat([getattr(p.stops, f.name) for p in parts]) for f in fields(LightStops)})
    return RayPool(
        stops,
        torch.cat([p.slots for p in parts]),
        torch.cat([p.pixels for p in parts]),
        torch.cat([p.height_per_depth for p in parts]),
    )
