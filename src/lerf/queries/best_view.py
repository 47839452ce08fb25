"""Which photo shows a point best."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class BestView:
    """The photo that shows a point best."""

    photo: int
    """Index among the photos given."""
    pixel: tuple[float, float]
    """The point in that photo, (x, y); the centre of the first pixel is (0.5, 0.5)."""
    score: float
    """See `view_scores`."""


def view_scores(
    pixels: Float[Tensor, "photos 2"],
    depth: Float[Tensor, " photos"],
    visible: Bool[Tensor, " photos"],
    sizes: Float[Tensor, "photos 2"],
    focal: Float[Tensor, " photos"],
) -> Float[Tensor, " photos"]:
    """How well each photo shows the point: pixels per scene unit at the point, discounted towards the borders.

    score = (fy / depth) * (1 - u^2) * (1 - v^2), where u and v run from -1 to 1 across the photo: full at its centre, 0
    at its border. It is 0 where the point is not visible, outside the photo, behind the camera or not finite.

    Args:
        pixels: The point in each photo, (x, y), the photo's upper left corner being (0, 0).
        depth: Of the point along each optical axis.
        visible: Whether the photo sees the point (`geometry.visibility.unoccluded`).
        sizes: (width, height) of each photo.
        focal: fy of each photo in pixels.
    """
    uv = 2 * pixels / sizes - 1
    usable = visible & (depth > 0) & (uv.abs() < 1).all(dim=-1) & depth.isfinite()
    scores = focal / depth * (1 - uv.square()).prod(dim=-1)
    return torch.where(usable, scores, torch.zeros_like(scores))


def best_view(
    pixels: Float[Tensor, "photos 2"],
    depth: Float[Tensor, " photos"],
    visible: Bool[Tensor, " photos"],
    sizes: Float[Tensor, "photos 2"],
    focal: Float[Tensor, " photos"],
) -> BestView | None:
    """The photo of the highest `view_scores`, the first of equals; None when no photo shows the point."""
    scores = view_scores(pixels, depth, visible, sizes, focal)
    if len(scores) == 0 or not float(scores.max()) > 0:
        return None
    photo = int((scores == scores.max()).nonzero()[0])
    x, y = pixels[photo].tolist()
    return BestView(photo, (x, y), float(scores[photo]))
