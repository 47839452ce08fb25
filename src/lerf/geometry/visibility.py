"""Whether a camera sees a point, from the depth that it sees at the point's pixel."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def unoccluded(
    depth: Float[Tensor, " photos"], surface_depth: Float[Tensor, " photos"], tolerance: float = 0.05
) -> Bool[Tensor, " photos"]:
    """Whether nothing stands before the point: it lies no deeper than the rendered surface at its pixel allows.

    `depth` is that of the point and `surface_depth` what the photo's camera renders there, both along the optical axis.
    A point passes up to `tolerance` * surface_depth behind the surface; before it, always. An unknown surface (NaN)
    hides nothing; a point behind the camera never passes.
    """
    hidden = depth > surface_depth * (1 + tolerance)
    return (depth > 0) & ~hidden


def depth_at(
    depth_map: Float[Tensor, "rows columns"], size: tuple[int, int], pixels: Float[Tensor, "pixels 2"]
) -> Float[Tensor, " pixels"]:
    """Depth at pixels (x, y) of a picture of `size` (width, height) that a raster of depths covers; NaN outside."""
    (rows, columns), (width, height) = depth_map.shape, size
    x, y = pixels.unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    column = (x.nan_to_num(0.0) * columns / width).long().clamp(0, columns - 1)
    row = (y.nan_to_num(0.0) * rows / height).long().clamp(0, rows - 1)
    return torch.where(inside, depth_map[row, column], torch.nan)
