"""Relevancy and features over the picture of a camera."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.geometry.camera_table import CameraTable
from lerf.queries.exclusive import where_leading
from lerf.queries.phrases import Phrases
from lerf.queries.scales import at_equal_scales, relevancy_at
from lerf.rendering.view_cache import ViewCache
from lerf.steps import Steps


@torch.no_grad()
def relevancy_maps(
    views: ViewCache, cameras: CameraTable, index: int, phrases: Phrases, scales: Sequence[float]
) -> Steps[Float[Tensor, "phrases height width"]]:
    """Raw relevancy of phrases, each at its scale (normalised units); 0 where nothing stands or no photo supervised,
    and of exclusive phrases where another leads."""
    width, height = cameras.sizes[index].tolist()
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
    width, height = cameras.sizes[index].tolist()
    language, found = views.language, []
    for part in views.parts(cameras, index):
        found.append(language.dense(part.latent) if scale is None else language.embed(part.latent, scale))
        yield
    return torch.cat(found).view(height, width, -1)
