"""Relevancy and features over the picture of a camera."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.queries.exclusive import where_leading
from lerf.queries.near import Near
from lerf.queries.phrases import Phrases
from lerf.queries.refined import relevancy_of_surface
from lerf.queries.scales import at_equal_scales, relevancy_at
from lerf.queries.surface import Surface
from lerf.radiance.protocol import Radiance
from lerf.rendering.view_cache import ViewCache, camera_key
from lerf.steps import Steps

BUDGET = 256_000_000
"""Bytes of what is remembered of views; one that is larger is remembered alone."""
PIXELS_AT_ONCE = 1 << 17
"""Of a picture, looked up in one step."""
AROUND = 1 / 120
"""How far around a pixel its surroundings reach, as a share of the picture's height."""
AROUND_SHARE = 0.15
"""What they count."""


def near_pixels(
    surface: Surface, cameras: CameraTable, index: int, depth: Float[Tensor, "height width"]
) -> Steps[Near]:
    """The points of a surface next to what each pixel of a camera shows, row by row; none where nothing stands.

    Args:
        surface: that is read.
        cameras: table that `index` counts in.
        index: the camera.
        depth: of its picture, along the optical axis, normalised units; NaN where nothing stands.
    """
    height, width = depth.shape
    pixels, flat, parts = image_pixels(width, height, depth.device), depth.flatten(), []
    for start in range(0, len(flat), PIXELS_AT_ONCE):
        some = pixels[start : start + PIXELS_AT_ONCE]
        rays = cameras.rays(torch.full((len(some),), index, device=depth.device), some)
        distance = flat[start : start + PIXELS_AT_ONCE] / rays.axis_cosine
        parts.append(surface.reader.near(rays.origins + rays.directions * distance[:, None]))
        yield
    return Near(torch.cat([part.points for part in parts]), torch.cat([part.shares for part in parts]))


@torch.no_grad()
def read_maps(
    near: Near, refined: Float[Tensor, "phrases points"], size: tuple[int, int], exclusive: bool = False
) -> Float[Tensor, "phrases height width"]:
    """Relevancy of phrases over a picture, from that of the points of the surface.

    It is 0 where nothing stands, and where no training photo saw a surface within reach. Relevancy is about even on a
    thing's points, and pixels beside a rim read them as well: see `with_surroundings`.

    Args:
        near: of the pixels.
        refined: of the surface's points.
        size: width and height of the picture.
        exclusive: whether it is 0 as well where another phrase has more.
    """
    seen = (near.shares.sum(-1) > 0).reshape(size[1], size[0])
    maps = with_surroundings(near.read(refined).reshape(len(refined), size[1], size[0]), seen)
    return where_leading(maps) if exclusive else maps


def with_surroundings(
    maps: Float[Tensor, "phrases height width"], seen: Bool[Tensor, "height width"]
) -> Float[Tensor, "phrases height width"]:
    """Relevancy whose logarithmic odds are mixed with their mean over the pixels around, so that a thing is most
    relevant where it surrounds the pixel, and not on its rim.

    Args:
        maps: relevancy in 0..1.
        seen: the pixels that have one; only these count.
    """
    reach = max(round(AROUND * maps.shape[1]), 1)
    odds = torch.where(seen, torch.logit(maps, eps=1e-6), 0.0)
    around = box_sum(odds, reach) / box_sum(seen[None].to(odds), reach).clamp(min=1.0)
    return torch.sigmoid(torch.lerp(odds, around, AROUND_SHARE)) * seen


def box_sum(values: Float[Tensor, "maps height width"], reach: int) -> Float[Tensor, "maps height width"]:
    """Sum over the square that reaches so many pixels to every side, cut at the border."""
    side = 2 * reach + 1
    rows = F.avg_pool2d(values[:, None], (side, 1), 1, (reach, 0), divisor_override=1)
    return F.avg_pool2d(rows, (1, side), 1, (0, reach), divisor_override=1)[:, 0]


class NearCache:
    """Where the pixels of the views looked at last read a surface, within `budget` bytes."""

    def __init__(self, radiance: Radiance, budget: int = BUDGET) -> None:
        self.radiance, self.budget = radiance, budget
        self._kept: OrderedDict[bytes, tuple[Surface, Near]] = OrderedDict()

    def near(
        self, surface: Surface, cameras: CameraTable, index: int, depth: Float[Tensor, "height width"] | None = None
    ) -> Steps[Near]:
        """As `near_pixels`; the view is rendered where its depth is not given and it is not remembered."""
        key = camera_key(cameras, index)
        if key in self._kept and self._kept[key][0] is surface:
            self._kept.move_to_end(key)
            return self._kept[key][1]
        if depth is None:
            depth = (yield from self.radiance.render(cameras, index)).depth
        near = yield from near_pixels(surface, cameras, index, depth)
        self._kept[key] = surface, near
        while sum(held.bytes for _, held in self._kept.values()) > self.budget and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return near


@torch.no_grad()
def relevancy_maps(
    surface: Surface, near: Near, size: tuple[int, int], phrases: Phrases, scales: Sequence[float]
) -> Steps[Float[Tensor, "phrases height width"]]:
    """Relevancy of phrases over a picture, each at its scale (normalised units): that of the surface, which queries are
    answered from, where each pixel looks; arguments as in `read_maps`."""
    relevancy = yield from relevancy_of_surface(surface, replace(phrases, exclusive=False), scales)
    return read_maps(near, relevancy.refined, size, phrases.exclusive)


@torch.no_grad()
def raw_relevancy_maps(
    views: ViewCache, cameras: CameraTable, index: int, phrases: Phrases, scales: Sequence[float]
) -> Steps[Float[Tensor, "phrases height width"]]:
    """Relevancy of phrases as language has it along a camera's rays, each at its scale (normalised units); 0 where
    nothing stands or no photo supervised, and of exclusive phrases where another leads."""
    width, height = cameras.sizes_on_host[index]
    maps = torch.empty(len(phrases), height * width, device=cameras.positions.device)
    groups = [(rows, phrases.chosen(rows), scale) for scale, rows in at_equal_scales(scales).items()]
    start = 0
    for part in views.parts(cameras, index):
        stop = start + len(part.hit)
        for rows, together, scale in groups:
            maps[rows, start:stop] = relevancy_at(views.language, part.latent, together, scale) * part.hit
        start = stop
        yield
    if phrases.exclusive:
        maps = where_leading(maps)
    return maps.view(len(phrases), height, width)


@torch.no_grad()
def feature_map(
    views: ViewCache, cameras: CameraTable, index: int, scale: float | None
) -> Steps[Float[Tensor, "height width channels"]]:
    """Rendered unit embeddings at a scale (normalised units), or dense features where the scale is None.

    Raises:
        QueryError: dense features are asked for and the language has none.
    """
    width, height = cameras.sizes_on_host[index]
    language, found = views.language, []
    for part in views.parts(cameras, index):
        found.append(language.dense(part.latent) if scale is None else language.embed(part.latent, scale))
        yield
    return torch.cat(found).view(height, width, -1)
