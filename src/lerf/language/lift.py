"""An index straight from the photos' pyramids: each cell the mean of what the views that see it say, no training.

The closed form of Occam's LGS (arXiv 2412.01807): the feature of a place is the mean of the views' features under their
rendering weights. Views that disagree with the others are dropped first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import RunError, SceneError
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.rays import RadianceSource
from lerf.language.bake import CHUNK, SCALES, Cells, assemble, default_cell_size, gather_cells
from lerf.language.cells import Index
from lerf.model import Model
from lerf.pyramids.lookup import PyramidTable, open_photo_by_photo
from lerf.pyramids.store import build_pyramids
from lerf.queries.best_view import unoccluded
from lerf.queries.scales import candidate_scales
from lerf.queries.surface import Surface
from lerf.rendering.stops import stops_and_matter
from lerf.run.settings import TrainSettings
from lerf.scenes.load import load_scene
from lerf.scenes.scene import Scene

TOLERANCE = 0.05
"""Light within this share of a cell's depth belongs to it, as in `views.unoccluded`."""
MIN_LIGHT = 0.1
"""A view with a smaller share of its ray's light at a cell does not see it."""
WORST_SHARE = 0.2
"""Share of a cell's views that is dropped for disagreeing most."""
DEVIATIONS = 1.5
"""A view whose agreement lies more standard deviations under the cell's mean is dropped too."""


@dataclass(frozen=True)
class Sightings:
    """The cells that one photo sees."""

    cells: Int[Tensor, " seen"]
    pixels: Float[Tensor, "seen 2"]
    """Where, (x, y) at the resolution of the pyramids."""
    unit: Float[Tensor, " seen"]
    """Times a tile ratio it is the height of a tile at the cell, normalised units."""
    light: Float[Tensor, " seen"]
    """Share of the ray's light that stops at the cell."""

    def take(self, index: Tensor) -> Sightings:
        """The chosen ones."""
        return Sightings(self.cells[index], self.pixels[index], self.unit[index], self.light[index])


def training_pyramids(
    model: Model, settings: TrainSettings, progress: Callable[[int, int], None] | None = None
) -> tuple[PyramidTable, Float[Tensor, "photos 2"]]:
    """Pyramids of a run's training photos as its training made them, and their photos' sizes over the cameras', (x, y).

    They are found again by content, or computed from the capture where the cache is gone.

    Raises:
        SceneError: the capture cannot be read.
        RunError: it has other training photos than the run.
    """
    try:
        return _pyramids(model, settings, load_scene(settings.data), progress)
    except SceneError:
        # Where the originals were not shipped, training made do with the reduced photos.
        if not settings.downscale:
            raise
        return _pyramids(model, settings, load_scene(settings.data, settings.downscale), progress)


def _pyramids(
    model: Model, settings: TrainSettings, capture: Scene, progress: Callable[[int, int], None] | None
) -> tuple[PyramidTable, Tensor]:
    theirs, ours = ([scene.photos[i] for i in scene.train] for scene in (capture, model.scene))
    if [photo.name for photo in theirs] != [photo.name for photo in ours]:
        raise RunError(f"{settings.data} has other training photos than the run; train again into a new folder.")
    store = build_pyramids(
        [partial(capture.pixels, index) for index in capture.train],
        model.encoder,
        mode=settings.features,
        tile_ratios=settings.tile_ratios,
        border=settings.border,
        progress=progress,
        device=model.device,
    )
    factors = [
        [sharp.camera.width / photo.camera.width, sharp.camera.height / photo.camera.height]
        for sharp, photo in zip(theirs, ours, strict=True)
    ]
    return open_photo_by_photo(store, settings.memory_bytes, model.device), torch.tensor(factors)


@dataclass(frozen=True)
class Ground:
    """What embeddings are lifted onto: the surface of a trained radiance, and who sees it."""

    surface: Surface
    source: RadianceSource
    cameras: CameraTable
    train: tuple[int, ...]
    """Training photos, as indices into `cameras`."""
    samples: int
    """Heaviest samples of a ray."""
    encoder: ImageTextEncoder
    """Whose embeddings the pyramids hold."""

    @classmethod
    def of(cls, model: Model) -> Ground:
        """That of a trained run."""
        samples = model.language.config.samples
        return cls(model.surface, model.source, model.cameras, model.scene.train, samples, model.encoder)

    def scale_range(self, targets: PyramidTable) -> tuple[float, float]:
        """1st and 99th percentile of the tile heights that the photos show the surface in, normalised units."""
        photo = self.surface.photo
        unit = self.surface.stops.median_depth * self.cameras.sizes[photo, 1] / self.cameras.focal[photo, 1]
        heights = torch.cat([unit * targets.ratios[0], unit * targets.ratios[-1]])
        low, high = torch.quantile(heights, torch.tensor([0.01, 0.99], device=heights.device)).tolist()
        return low, max(high, low * 1.001)


@torch.no_grad()
def lift(
    ground: Ground,
    targets: PyramidTable,
    checkpoint: str,
    *,
    scale_range: tuple[float, float] | None = None,
    pixel_factors: Float[Tensor, "photos 2"] | None = None,
    cell_size: float | None = None,
    scales: int = SCALES,
    progress: Callable[[int, int], None] | None = None,
) -> Index:
    """An index whose embeddings come from the training photos' pyramids; no language field has a part in it.

    Args:
        ground: its surface points are gathered into cells.
        targets: pyramids of the training photos, in the order of `ground.train`.
        checkpoint: SHA-256 of the radiance checkpoint, kept with the index.
        scale_range: smallest and largest scale, normalised units; by default `ground.scale_range`.
        pixel_factors: size of the pyramids' photos over that of the cameras, (x, y); by default 1.
        cell_size: side of a cell in the contracted frame; by default `bake.default_cell_size`.
        scales: how many, evenly spaced in their logarithm over the range.
        progress: called as `progress(done, total)` while photos are asked what they see.

    Raises:
        RunError: when no surface is bright enough, or no photo sees it.
    """
    positions, low_high = ground.surface.positions, scale_range or ground.scale_range(targets)
    cells = gather_cells(ground.surface.stops, default_cell_size(positions) if cell_size is None else cell_size)
    factors = torch.ones(len(ground.train), 2) if pixel_factors is None else pixel_factors
    seen = []
    for photo, factor in zip(ground.train, factors, strict=True):
        seen.append(_sightings(ground, photo, cells.positions, factor.to(positions.device)))
        if progress:
            progress(len(seen), len(ground.train))
    seen = _without_outliers(seen, cells, targets, (low_high[0] * low_high[1]) ** 0.5)
    low, high = _ranges(seen, cells, targets)
    asked = candidate_scales(low_high, scales).to(positions.device)
    embeddings = torch.empty(scales, len(cells), targets.width, dtype=torch.float16, device=positions.device)
    for row, scale in enumerate(asked):
        wanted = torch.minimum(torch.maximum(scale, low), high)
        embeddings[row] = _mean(seen, cells, targets, wanted)
    return assemble(ground.encoder, cells, embeddings, (low, high), asked, "lift", checkpoint)


@torch.no_grad()
def _sightings(
    ground: Ground, photo: int, positions: Float[Tensor, "cells 3"], factor: Float[Tensor, " 2"]
) -> Sightings:
    """The cells that a photo sees: inside its frame, nothing before them, light on them."""
    cameras, device = ground.cameras, positions.device
    pixels, depth = cameras.project(photo, positions)
    size = cameras.sizes[photo]
    inside = torch.nonzero((depth > 0) & (pixels >= 0).all(-1) & (pixels < size).all(-1)).flatten()
    parts = []
    for part in inside.split(CHUNK):
        rays = cameras.rays(torch.full((len(part),), photo, device=device), pixels[part])
        stops, matter = stops_and_matter(ground.source, rays, ground.samples)
        near = (stops.depths - depth[part, None]).abs() <= TOLERANCE * depth[part, None]
        light = (stops.weights * near).sum(-1)
        keep = matter & unoccluded(depth[part], stops.median_depth, TOLERANCE) & (light >= MIN_LIGHT)
        unit = depth[part] * (size[1] / cameras.focal[photo, 1])
        parts.append(Sightings(part, pixels[part] * factor, unit, light).take(keep))
    if not parts:
        return Sightings(inside, pixels[inside], depth[inside], depth[inside])
    return Sightings(*(torch.cat([getattr(p, name) for p in parts]) for name in Sightings.__dataclass_fields__))


def _say(
    sight: Sightings, slot: int, targets: PyramidTable, wanted: Float[Tensor, " cells"]
) -> Float[Tensor, "seen width"]:
    """Unit embeddings that a photo gives the cells that it sees, at the closest tile height that it has."""
    targets.load(slot)
    ratio = (wanted[sight.cells] / sight.unit).clamp(float(targets.ratios[0]), float(targets.ratios[-1]))
    return targets.interpolate(torch.full_like(sight.cells, slot), sight.pixels, ratio, renormalise=True)


def _mean(
    seen: list[Sightings], cells: Cells, targets: PyramidTable, wanted: Float[Tensor, " cells"]
) -> Float[Tensor, "cells width"]:
    """Unit means of what the photos say under their light; zero where none sees the cell."""
    sums = torch.zeros(len(cells), targets.width, device=wanted.device)
    for slot, sight in enumerate(seen):
        if len(sight.cells):
            sums.index_add_(0, sight.cells, _say(sight, slot, targets, wanted) * sight.light[:, None])
    return F.normalize(sums, dim=-1)


def _without_outliers(seen: list[Sightings], cells: Cells, targets: PyramidTable, scale: float) -> list[Sightings]:
    """Drop views of cells that disagree with the others about them, judged at one scale, which costs least."""
    wanted = torch.full((len(cells),), scale, device=cells.positions.device)
    mean = _mean(seen, cells, targets, wanted)
    cosines = torch.full((len(cells), len(seen)), torch.nan, device=wanted.device)
    for slot, sight in enumerate(seen):
        if len(sight.cells):
            cosines[sight.cells, slot] = (_say(sight, slot, targets, wanted) * mean[sight.cells]).sum(-1)
    drop = torch.cat([outliers(part) for part in cosines.split(CHUNK)])
    return [sight.take(~drop[sight.cells, slot]) for slot, sight in enumerate(seen)]


def outliers(cosines: Float[Tensor, "cells photos"]) -> Bool[Tensor, "cells photos"]:
    """Views to drop: each cell's lowest `WORST_SHARE`, rounded down, and those `DEVIATIONS` under its mean.

    `cosines` are those of each view with the mean of all, NaN where a photo does not see the cell. A cell's last two
    views are never dropped: there is no telling which of them is wrong.
    """
    known = ~cosines.isnan()
    count = known.sum(-1, keepdim=True)
    filled = torch.where(known, cosines, torch.inf)
    rank = filled.argsort(dim=-1, stable=True).argsort(dim=-1)
    worst = rank < (WORST_SHARE * count).floor()
    values = torch.where(known, cosines, 0.0)
    mean = values.sum(-1, keepdim=True) / count.clamp(min=1)
    spread = (torch.where(known, (values - mean).square(), 0.0).sum(-1, keepdim=True) / count.clamp(min=1)).sqrt()
    # A little slack, so that rounding alone sets no view apart.
    apart = values < mean - DEVIATIONS * spread - 1e-5
    return known & (count > 2) & (worst | apart)


def _ranges(seen: list[Sightings], cells: Cells, targets: PyramidTable) -> tuple[Tensor, Tensor]:
    """Smallest and largest tile height that the photos show each cell in, normalised units; inf and -inf if none."""
    low = torch.full((len(cells),), torch.inf, device=cells.positions.device)
    high = torch.full_like(low, -torch.inf)
    for sight in seen:
        low.scatter_reduce_(0, sight.cells, sight.unit * targets.ratios[0], "amin")
        high.scatter_reduce_(0, sight.cells, sight.unit * targets.ratios[-1], "amax")
    return low, high
