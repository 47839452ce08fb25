"""Which neighbouring points of a surface are of one thing, as the photos tell that see both.

A photo's edges are sharper than a surface's, and many photos see each place. `encoders/mini_things.py` says of two
places of a photo how likely both show one thing; the mean over the photos that see both points is what the propagation
of relevancy (`propagation.py`) goes by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lerf.encoders.protocols import FeatureGrid
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.visibility import depth_at, unoccluded
from lerf.queries.propagation import Neighbours
from lerf.steps import Steps

TOLERANCE = 0.02
"""A photo sees points up to this share of its depth behind the surface there. Points behind a thing's outline must not
count as parts of it."""
AT_ONCE = 8192
"""Points whose neighbours are compared at once: bounds the memory."""


@dataclass(frozen=True)
class ThingViews:
    """The photos that are asked."""

    cameras: CameraTable
    photos: tuple[int, ...]
    """Indices into `cameras`."""
    vectors: Callable[[int], FeatureGrid | None]
    """Of a photo; exp(-squared distance) is how likely two places show one thing. None where it cannot be read."""


@torch.no_grad()
def likelihoods(
    positions: Float[Tensor, "points 3"],
    depth_maps: dict[int, Float[Tensor, "_rows _columns"]],
    neighbours: Neighbours,
    views: ThingViews,
) -> Steps[Float[np.ndarray, "finite near"]]:
    """How likely each neighbour of a point is of one thing with it: the mean over the photos that see both, NaN where
    none does. A step is a photo.

    Args:
        positions: of the points, normalised frame.
        depth_maps: rasters of depth of the photos (`radiance.surface.TracedSurface`); photos without one see nothing.
        neighbours: of the same points.
        views: photos.
    """
    others = torch.from_numpy(neighbours.others)
    place = torch.from_numpy(neighbours.order[: len(others)])
    sums, counts = torch.zeros(others.shape), torch.zeros(others.shape)
    for photo in views.photos:
        if photo in depth_maps and (grid := views.vectors(photo)) is not None:
            pixels, seen = _seen(positions, depth_maps[photo], views.cameras, photo)
            # Read on the CPU, where the pixels are: one transfer, as a GPU is waited for at each.
            vectors = replace(grid, features=grid.features.cpu()).at(pixels[place])
            _add(sums, counts, vectors, seen[place], others)
        yield
    return torch.where(counts > 0, sums / counts.clamp(min=1.0), torch.nan).double().numpy()


def _seen(
    positions: Float[Tensor, "points 3"], depth_map: Float[Tensor, "rows columns"], cameras: CameraTable, photo: int
) -> tuple[Float[Tensor, "points 2"], Bool[Tensor, " points"]]:
    """Pixels of a photo at which points lie, and whether it sees them; on the CPU."""
    pixels, depth = cameras.project(photo, positions)
    surface = depth_at(depth_map, cameras.sizes_on_host[photo], pixels)
    seen = surface.isfinite() & unoccluded(depth, surface, TOLERANCE)
    # One transfer, as a GPU is waited for at each.
    both = torch.cat([pixels, seen[:, None].to(pixels)], dim=-1).cpu()
    return both[:, :2], both[:, 2] > 0


def _add(
    sums: Float[Tensor, "finite near"],
    counts: Float[Tensor, "finite near"],
    vectors: Float[Tensor, "finite width"],
    seen: Bool[Tensor, " finite"],
    others: Tensor,
) -> None:
    """Add what one photo says of the pairs that it sees."""
    for part in seen.nonzero().flatten().split(AT_ONCE):
        beside = others[part]
        both = seen[beside]
        apart = (vectors[part, None] - vectors[beside]).square().sum(-1)
        sums[part] += torch.where(both, torch.exp(-apart), 0.0)
        counts[part] += both
