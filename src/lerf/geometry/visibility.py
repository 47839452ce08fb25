"""Whether a camera sees a point, from the depth that it sees at the point's pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
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
    row, column, inside = _raster_places(pixels, width, height, rows, columns)
    return torch.where(inside, depth_map[row, column], torch.nan)


def depths_at(
    depth_maps: Sequence[Float[Tensor, "_rows _columns"]],
    sizes: Int[Tensor, "photos 2"],
    pixels: Float[Tensor, "photos points 2"],
) -> Float[Tensor, "photos points"]:
    """`depth_at` of several photos, each with its own raster, size and pixels."""
    shapes = torch.tensor([depth_map.shape for depth_map in depth_maps], device=pixels.device)
    (rows, columns), (widths, heights) = shapes.T[..., None], sizes.T[..., None]
    row, column, inside = _raster_places(pixels, widths, heights, rows, columns)
    ends = shapes.prod(dim=1).cumsum(0)
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])[:, None]
    depths = torch.cat([depth_map.reshape(-1) for depth_map in depth_maps])
    return torch.where(inside, depths[starts + row * columns + column], torch.nan)


def _raster_places(
    pixels: Tensor, width: int | Tensor, height: int | Tensor, rows: int | Tensor, columns: int | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Row and column of pixels in a raster that covers a picture, and whether they lie inside the picture."""
    x, y = pixels.unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    row, column = (
        (v.nan_to_num(0.0) * n / s).long().clamp(min=0) for v, n, s in ((y, rows, height), (x, columns, width))
    )
    if isinstance(rows, Tensor) and isinstance(columns, Tensor):
        return torch.minimum(row, rows - 1), torch.minimum(column, columns - 1), inside
    assert isinstance(rows, int)
    assert isinstance(columns, int)
    return row.clamp(max=rows - 1), column.clamp(max=columns - 1), inside
