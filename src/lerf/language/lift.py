"""An index straight from the photos' pyramids: each cell the mean of what the views that see it say, no training.

The closed form of Occam's LGS (arXiv 2412.01807): the feature of a place is the mean of the views' features under their
rendering weights. Views that disagree with the others are dropped first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lerf.encoders.protocols import ImageTextEncoder
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.visibility import unoccluded
from lerf.language.bake import SCALES, assemble, default_cell_size, gather_cells, with_dense
from lerf.language.cells import CellIndex
from lerf.language.protocol import candidate_scales
from lerf.pyramids.lookup import PyramidTable
from lerf.radiance.protocol import Radiance
from lerf.radiance.surface import TracedSurface

PIXELS_AT_ONCE = 32768
"""Cells of a photo, or of all photos, that are worked on at once: bounds the memory."""
CELLS_AT_ONCE = 1 << 18
"""Cells whose embeddings are looked up at once."""
TOLERANCE = 0.05
"""Light within this share of a cell's depth belongs to it, as in `visibility.unoccluded`."""
MIN_LIGHT = 0.1
"""A view with a smaller share of its ray's light at a cell does not see it."""
WORST_SHARE = 0.2
"""Share of a cell's views that is dropped for disagreeing most."""
DEVIATIONS = 1.5
"""A view whose agreement lies more standard deviations under the cell's mean is dropped too."""


@dataclass(frozen=True)
class Observations:
    """The cells that one photo sees."""

    cells: Int[Tensor, " seen"]
    pixels: Float[Tensor, "seen 2"]
    """Where, (x, y) at the resolution of the pyramids."""
    unit: Float[Tensor, " seen"]
    """Times a tile ratio it is the height of a tile at the cell, normalised units."""
    light: Float[Tensor, " seen"]
    """Share of the ray's light that stops at the cell."""

    def take(self, index: Tensor) -> Observations:
        """The chosen ones, by index or mask."""
        if index.dtype == torch.bool:
            index = index.nonzero().squeeze(-1)
        return Observations(self.cells[index], self.pixels[index], self.unit[index], self.light[index])


@dataclass(frozen=True)
class LiftInputs:
    """What embeddings are lifted onto: the surface of a trained radiance, and who sees it."""

    surface: TracedSurface
    radiance: Radiance
    cameras: CameraTable
    train: tuple[int, ...]
    """Training photos, as indices into `cameras`."""
    samples: int
    """Heaviest samples of a ray."""
    encoder: ImageTextEncoder
    """Whose embeddings the pyramids hold."""
    dense: PyramidTable | None = None
    """Maps of a dense encoder, of the same photos; None leaves the index without dense features."""

    def scale_range(self, targets: PyramidTable) -> tuple[float, float]:
        """1st and 99th percentile of the tile heights that the photos show the surface in, normalised units."""
        photo = self.surface.photo
        unit = self.surface.rays.median_depth * self.cameras.sizes[photo, 1] / self.cameras.focal[photo, 1]
        heights = torch.cat([unit * targets.ratios[0], unit * targets.ratios[-1]])
        low, high = torch.quantile(heights, torch.tensor([0.01, 0.99], device=heights.device)).tolist()
        return low, max(high, low * 1.001)


@torch.no_grad()
def lift(
    inputs: LiftInputs,
    targets: PyramidTable,
    checkpoint: str,
    *,
    scale_range: tuple[float, float] | None = None,
    pixel_factors: Float[Tensor, "photos 2"] | None = None,
    cell_size: float | None = None,
    scales: int = SCALES,
    progress: Callable[[int, int], None] | None = None,
) -> CellIndex:
    """An index whose embeddings come from the training photos' pyramids; no language field has a part in it.

    Args:
        inputs: its surface points are gathered into cells.
        targets: pyramids of the training photos, in the order of `inputs.train`.
        checkpoint: SHA-256 of the radiance checkpoint, kept with the index.
        scale_range: smallest and largest scale, normalised units; by default `inputs.scale_range`.
        pixel_factors: size of the pyramids' photos over that of the cameras, (x, y); by default 1.
        cell_size: side of a cell in the contracted frame; by default `bake.default_cell_size`.
        scales: how many, evenly spaced in their logarithm over the range.
        progress: called as `progress(done, total)` while photos are asked what they see.

    Raises:
        RunError: when no surface is bright enough, or no photo sees it.
    """
    rays, low_high = inputs.surface.rays, scale_range or inputs.scale_range(targets)
    positions = rays.median_position
    cells = gather_cells(rays, default_cell_size(positions) if cell_size is None else cell_size)
    factors = torch.ones(len(inputs.train), 2) if pixel_factors is None else pixel_factors
    views: list[Observations] = []
    for photo, factor in zip(inputs.train, factors, strict=True):
        views.append(_observe(inputs, photo, cells.positions, factor.to(positions.device)))
        if progress:
            progress(len(views), len(inputs.train))
    views = without_outliers(views, len(cells), targets, (low_high[0] * low_high[1]) ** 0.5)
    low, high = ranges(views, len(cells), targets)
    asked = candidate_scales(low_high, scales).to(positions.device)
    embeddings = torch.empty(scales, len(cells), targets.width, dtype=torch.float16, device=positions.device)
    for row, scale in enumerate(asked):
        wanted = torch.minimum(torch.maximum(scale, low), high)
        embeddings[row] = F.normalize(sums_of_views(views, targets, wanted), dim=-1)
    index = assemble(inputs.encoder, cells, embeddings, (low, high), asked, "lift", checkpoint)
    return with_dense(index, cells, None if inputs.dense is None else mean_dense(views, len(cells), inputs.dense))


@torch.no_grad()
def _observe(
    inputs: LiftInputs, photo: int, positions: Float[Tensor, "cells 3"], factor: Float[Tensor, " 2"]
) -> Observations:
    """The cells that a photo sees: inside its frame, nothing before them, light on them."""
    cameras, device = inputs.cameras, positions.device
    pixels, depth = cameras.project(photo, positions)
    width, height = cameras.sizes_on_host[photo]
    framed = (pixels >= 0).all(-1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
    inside = torch.nonzero((depth > 0) & framed).flatten()
    parts = []
    for part in inside.split(PIXELS_AT_ONCE):
        index = torch.full((len(part),), photo, device=device)
        rays = inputs.radiance.trace(cameras, index, pixels[part], inputs.samples)
        near = (rays.depths - depth[part, None]).abs() <= TOLERANCE * depth[part, None]
        light = (rays.weights * near).sum(-1)
        keep = rays.hit & unoccluded(depth[part], rays.median_depth, TOLERANCE) & (light >= MIN_LIGHT)
        unit = depth[part] * (cameras.sizes[photo, 1] / cameras.focal[photo, 1])
        parts.append(Observations(part, pixels[part] * factor, unit, light).take(keep))
    if not parts:
        return Observations(inside, pixels[inside], depth[inside], depth[inside])
    return Observations(*(torch.cat([getattr(p, name) for p in parts]) for name in Observations.__dataclass_fields__))


def _view_features(
    view: Observations, train_index: int, targets: PyramidTable, wanted: Float[Tensor, " cells"]
) -> Float[Tensor, "seen width"]:
    """Unit embeddings that a photo gives the cells that it sees, at the closest tile height that it has."""
    targets.load(train_index)
    ratio = (wanted[view.cells] / view.unit).clamp(*targets.ratio_range)
    return targets.interpolate(torch.full_like(view.cells, train_index), view.pixels, ratio, renormalise=True)


def sums_of_views(
    views: list[Observations], targets: PyramidTable, wanted: Float[Tensor, " cells"]
) -> Float[Tensor, "cells width"]:
    """Sums of the unit embeddings that the photos give, under their light; zero where none sees the cell."""
    sums = torch.zeros(len(wanted), targets.width, device=wanted.device)
    for train_index, view in enumerate(views):
        for part in torch.arange(len(view.cells), device=wanted.device).split(CELLS_AT_ONCE):
            own = view.take(part)
            found = _view_features(own, train_index, targets, wanted)
            sums.index_add_(0, own.cells, found * own.light[:, None])
    return sums


def mean_dense(views: list[Observations], count: int, maps: PyramidTable) -> Float[Tensor, "cells dense"]:
    """Means of the dense features that the photos give `count` cells under their light; zero where none sees a cell."""
    sums = torch.zeros(count, maps.width + 1, device=maps.cells.device)
    for train_index, view in enumerate(views):
        if len(view.cells):
            maps.load(train_index)
            photo = torch.full_like(view.cells, train_index)
            found = maps.interpolate(photo, view.pixels, torch.zeros_like(view.light))
            sums.index_add_(0, view.cells, F.pad(found, (0, 1), value=1.0) * view.light[:, None])
    return sums[:, :-1] / sums[:, -1:].clamp(min=1e-12)


def without_outliers(views: list[Observations], count: int, targets: PyramidTable, scale: float) -> list[Observations]:
    """Drop views of `count` cells that disagree with the others about them, judged at one scale, which costs least."""
    wanted = torch.full((count,), scale, device=targets.cells.device)
    mean = F.normalize(sums_of_views(views, targets, wanted), dim=-1)
    cosines = torch.full((count, len(views)), torch.nan, device=wanted.device)
    for train_index, view in enumerate(views):
        for part in torch.arange(len(view.cells), device=wanted.device).split(CELLS_AT_ONCE):
            own = view.take(part)
            found = _view_features(own, train_index, targets, wanted)
            cosines[own.cells, train_index] = (found * mean[own.cells]).sum(-1)
    drop = torch.cat([outliers(part) for part in cosines.split(PIXELS_AT_ONCE)])
    return [view.take(~drop[view.cells, train_index]) for train_index, view in enumerate(views)]


def outliers(cosines: Float[Tensor, "cells photos"]) -> Bool[Tensor, "cells photos"]:
    """Views to drop: each cell's lowest `WORST_SHARE`, rounded down, and those `DEVIATIONS` under its mean.

    `cosines` are those of each view with the mean of all, NaN where a photo does not see the cell. A cell's last two
    views are never dropped: there is no telling which of them is wrong.
    """
    known = ~cosines.isnan()
    count = known.sum(-1, keepdim=True)
    filled = torch.where(known, cosines, torch.inf)
    rank = filled.argsort(dim=-1, stable=True).int().argsort(dim=-1)
    worst = rank < (WORST_SHARE * count).floor()
    values = torch.where(known, cosines, 0.0)
    mean = values.sum(-1, keepdim=True) / count.clamp(min=1)
    spread = (torch.where(known, (values - mean).square(), 0.0).sum(-1, keepdim=True) / count.clamp(min=1)).sqrt()
    # A little slack, so that rounding alone sets no view apart.
    apart = values < mean - DEVIATIONS * spread - 1e-5
    return known & (count > 2) & (worst | apart)


def ranges(views: list[Observations], count: int, targets: PyramidTable) -> tuple[Tensor, Tensor]:
    """Smallest and largest tile height that the photos show each cell in, normalised units; inf and -inf if none."""
    low = torch.full((count,), torch.inf, device=targets.cells.device)
    high = torch.full_like(low, -torch.inf)
    for view in views:
        low.scatter_reduce_(0, view.cells, view.unit * targets.ratios[0], "amin")
        high.scatter_reduce_(0, view.cells, view.unit * targets.ratios[-1], "amax")
    return low, high
