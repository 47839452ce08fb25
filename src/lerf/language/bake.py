"""Cells of a surface, and an index of their embeddings from a trained field."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from lerf.devices import wide
from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import ConfigError, RunError
from lerf.geometry.contraction import contract
from lerf.geometry.extent import robust_diagonal
from lerf.geometry.traced_rays import TracedRays
from lerf.language.cells import (
    LARGEST,
    SMALLEST,
    CellIndex,
    Provenance,
    Source,
    cell_keys,
    compress,
    compress_dense,
)
from lerf.language.protocol import LanguageSource, Latent, candidate_scales

OTHER_SURFACE = "The index is of another surface than the run's; make it again with 'lerf bake'."
SCALES = 8
CELL_SHARE = 0.006
"""Side of a cell as a share of the surface's robust diagonal: about the distance between the surface's points. Chosen
on generated scenes (seeds 201, 202)."""
MIN_LIGHT = 0.5
"""Cells in which less light stops, in rays, are left out: haze, not surface."""


@dataclass(frozen=True)
class GatheredCells:
    """Surface points gathered into the cells that they lie in, sorted by key."""

    size: float
    """Side in the contracted frame."""
    keys: Int[Tensor, " cells"]
    positions: Float[Tensor, "cells 3"]
    """Mean of the points' light that stops in the cell, normalised frame."""
    weights: Float[Tensor, " cells"]
    """That light, in rays."""
    cell_of: Int[Tensor, " points"]
    """Cell of each point; -1 where it was left out."""
    light: Float[Tensor, " points"]
    """Share of each point's ray that stops in its cell."""

    def __len__(self) -> int:
        return len(self.keys)

    def extreme(self, values: Float[Tensor, " points"], largest: bool) -> Float[Tensor, " cells"]:
        """Smallest or largest of the points' values in each cell."""
        kept = self.cell_of >= 0
        start = torch.full((len(self),), -torch.inf if largest else torch.inf, device=values.device)
        return start.scatter_reduce(0, self.cell_of[kept], values[kept], "amax" if largest else "amin")


def default_cell_size(positions: Float[Tensor, "points 3"]) -> float:
    """`CELL_SHARE` of the robust diagonal of the points in the contracted frame."""
    return max(CELL_SHARE * robust_diagonal(contract(positions)), SMALLEST)


@torch.no_grad()
def gather_cells(rays: TracedRays, size: float, min_light: float = MIN_LIGHT) -> GatheredCells:
    """Put each ray into the cell in which its median light stops, weighted by how much of its light stops there.

    Raises:
        ConfigError: when `size` is not a length that cells of the contracted frame can have.
        RunError: when no cell has `min_light`.
    """
    if not SMALLEST <= size <= LARGEST:
        raise ConfigError(
            f"The size of cells is {size}; give one from {SMALLEST} to {LARGEST:g}, in the contracted frame."
        )
    keys = cell_keys(rays.median_position, size)
    here = cell_keys(rays.positions.reshape(-1, 3), size).view(rays.weights.shape) == keys[:, None]
    within = rays.weights * here
    light = within.sum(-1)
    distinct, cell_of = (found.to(keys.device) for found in torch.unique(wide(keys), return_inverse=True))
    weights = torch.zeros(len(distinct), device=light.device).index_add_(0, cell_of, light)
    sums = torch.zeros(len(distinct), 3, device=light.device)
    sums.index_add_(0, cell_of, (within[..., None] * rays.positions).sum(1))
    lit = weights >= min_light
    if not bool(lit.any()):
        raise RunError("No surface is bright enough to bake; train the radiance with more --steps in a new folder.")
    renumbered = torch.where(lit, lit.cumsum(0) - 1, -1)
    return GatheredCells(size, distinct[lit], sums[lit] / weights[lit, None], weights[lit], renumbered[cell_of], light)


@torch.no_grad()
def bake(
    rays: TracedRays,
    latent: Latent,
    language: LanguageSource,
    encoder: ImageTextEncoder,
    checkpoint: str,
    *,
    cell_size: float | None = None,
    scales: int = SCALES,
) -> CellIndex:
    """An index of a trained field: each cell the mean of the embeddings of the surface's rays that stop in it.

    Args:
        rays: of the surface.
        latent: of these rays.
        language: the field.
        encoder: whose embeddings it holds.
        checkpoint: SHA-256 of the language checkpoint, kept with the index.
        cell_size: side of a cell in the contracted frame; by default `default_cell_size`.
        scales: how many, evenly spaced in their logarithm over those of the language.

    Raises:
        RunError: when no surface is bright enough.
    """
    positions = rays.median_position
    cells = gather_cells(rays, default_cell_size(positions) if cell_size is None else cell_size)
    asked = candidate_scales((float(language.scales[0]), float(language.scales[-1])), scales).to(positions.device)
    embeddings = torch.empty(scales, len(cells), language.width, dtype=torch.float16, device=positions.device)
    seen = latent.supported & (cells.cell_of >= 0) & (cells.light > 0)
    chosen = torch.nonzero(seen).flatten()
    for row, scale in enumerate(asked.tolist()):
        sums = torch.zeros(len(cells), language.width, device=positions.device)
        for part in chosen.split(language.rays_at_once):
            sums.index_add_(0, cells.cell_of[part], language.embed(latent[part], scale) * cells.light[part, None])
        embeddings[row] = F.normalize(sums, dim=-1)
    bounds = (
        cells.extreme(latent.low.masked_fill(~seen, torch.inf), False),
        cells.extreme(latent.high.masked_fill(~seen, -torch.inf), True),
    )
    dense = None
    if language.dense_width:
        dense = torch.zeros(len(cells), language.dense_width, device=positions.device)
        light = torch.zeros(len(cells), 1, device=positions.device)
        for part in chosen.split(language.rays_at_once):
            share = cells.light[part, None]
            dense.index_add_(0, cells.cell_of[part], language.dense(latent[part]) * share)
            light.index_add_(0, cells.cell_of[part], share)
        dense /= light.clamp(min=1e-12)
    index = assemble(encoder, cells, embeddings, bounds, asked, "field", checkpoint)
    return with_dense(index, cells, dense)


def assemble(
    encoder: ImageTextEncoder,
    cells: GatheredCells,
    embeddings: Tensor,
    bounds: tuple[Tensor, Tensor],
    scales: Float[Tensor, " scales"],
    source: Source,
    checkpoint: str,
) -> CellIndex:
    """The index of cells with unit embeddings [scales, cells, width]; those that nothing supervised are left out.

    Raises:
        RunError: when nothing is left.
    """
    low, high = bounds
    known = low <= high
    if not bool(known.any()):
        raise RunError("No cell of the surface has language; train the language with more --steps in a new folder.")
    provenance = Provenance(source, encoder.name, encoder.fingerprint, checkpoint, cells.size)
    return CellIndex(
        cells.keys[known],
        cells.positions[known],
        cells.weights[known],
        low[known],
        high[known],
        scales,
        compress(embeddings[:, known]),
        provenance,
    )


def with_dense(index: CellIndex, cells: GatheredCells, dense: Float[Tensor, "cells dense"] | None) -> CellIndex:
    """The index with dense features of the cells that it was assembled from; None leaves it without."""
    if dense is None:
        return index
    kept = torch.searchsorted(cells.keys, index.keys)
    return replace(index, dense=compress_dense(dense[kept]))


@torch.no_grad()
def with_fidelity(
    index: CellIndex, rays: TracedRays, latent: Latent, language: LanguageSource, points: int = 4096
) -> CellIndex:
    """The index, told how far it is from a field: cosines of its embeddings with those of the field along about
    `points` of the surface's rays, at the index's scales.

    Raises:
        RunError: when no ray of the surface stops in a cell of the index.
    """
    chosen = torch.arange(0, len(rays), max(1, len(rays) // points), device=latent.low.device)
    cells = index.locate(rays.median_position[chosen])
    chosen, cells = chosen[cells >= 0], cells[cells >= 0]
    some, codes = latent[chosen], index.unit_codes.view(len(index.scales), len(index), -1)
    parts = []
    for row, scale in enumerate(index.scales.tolist()):
        decoded = codes[row, cells] @ index.compressed.basis
        parts.append((language.embed(some, scale) * decoded).sum(-1)[some.supported])
    cosines = torch.cat(parts)
    if len(cosines) == 0:
        raise RunError(OTHER_SURFACE)
    lowest = float(torch.quantile(cosines, 0.05))
    return replace(index, provenance=replace(index.provenance, cosine=float(cosines.mean()), lowest_cosine=lowest))
