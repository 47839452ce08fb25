"""Baking an index: the surface's light gathered into cells, and their embeddings from the trained field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import ConfigError, RunError
from lerf.geometry.contraction import contract
from lerf.language.cells import Facts, Index, Source, cell_keys, compress
from lerf.language.field import LightStops
from lerf.language.lifted import trained_field
from lerf.model import Model
from lerf.queries.indexed import OTHER_SURFACE, differences
from lerf.queries.instances import robust_diagonal
from lerf.queries.phrases import Phrases
from lerf.queries.scales import candidate_scales, choose_scales, surface_relevancy

SCALES = 8
CELL_SHARE = 0.01
"""Side of a cell as a share of the surface's robust diagonal: half of what joins cells into regions."""
SMALLEST = 1e-5
"""Of the sizes that a cell may have: `cell_keys` counts no further."""
MIN_LIGHT = 0.5
"""Cells in which less light stops, in rays, are left out: haze, not surface."""
CHUNK = 32768
"""Head evaluations at once."""


@dataclass(frozen=True)
class Cells:
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
def gather_cells(stops: LightStops, size: float, min_light: float = MIN_LIGHT) -> Cells:
    """Put each ray into the cell in which its median light stops, weighted by how much of its light stops there.

    Raises:
        ConfigError: when `size` is not a length that cells of the contracted frame can have.
        RunError: when no cell has `min_light`.
    """
    if not SMALLEST <= size <= 4.0:
        raise ConfigError(f"The size of cells is {size}; give one from {SMALLEST} to 4, in the contracted frame.")
    keys = cell_keys(stops.median_position, size)
    rays, samples = stops.weights.shape
    here = cell_keys(stops.positions.reshape(-1, 3), size).view(rays, samples) == keys[:, None]
    within = stops.weights * here
    light = within.sum(-1)
    distinct, cell_of = torch.unique(keys, return_inverse=True)
    weights = torch.zeros(len(distinct), device=light.device).index_add_(0, cell_of, light)
    sums = torch.zeros(len(distinct), 3, device=light.device)
    sums.index_add_(0, cell_of, (within[..., None] * stops.positions).sum(1))
    lit = weights >= min_light
    if not bool(lit.any()):
        raise RunError("No surface is bright enough to bake; train the radiance with more --steps in a new folder.")
    renumbered = torch.where(lit, lit.cumsum(0) - 1, -1)
    return Cells(size, distinct[lit], sums[lit] / weights[lit, None], weights[lit], renumbered[cell_of], light)


@torch.no_grad()
def bake(model: Model, checkpoint: str, *, cell_size: float | None = None, scales: int = SCALES) -> Index:
    """An index of the trained field: each cell the mean of the embeddings rendered at its surface points.

    Args:
        model: its surface points, built at the first query, are what is gathered.
        checkpoint: SHA-256 of the language checkpoint, kept with the index.
        cell_size: side of a cell in the contracted frame; by default `default_cell_size`.
        scales: how many, evenly spaced in their logarithm over the range seen in training.

    Raises:
        RunError: when no surface is bright enough.
    """
    surface, field = model.surface, model.language
    positions = surface.positions
    cells = gather_cells(surface.stops, default_cell_size(positions) if cell_size is None else cell_size)
    # The closest supervised scales to nothing and to everything are the ends of a place's range.
    low, seen = field.bounds.nearest_supervised(positions, torch.zeros_like(positions[:, 0]))
    high, _ = field.bounds.nearest_supervised(positions, torch.full_like(positions[:, 0], torch.inf))
    asked = candidate_scales(field.scale_range, scales).to(positions.device)
    embeddings = torch.empty(scales, len(cells), field.width, dtype=torch.float16, device=positions.device)
    seen = seen & (cells.cell_of >= 0) & (cells.light > 0)
    chosen = torch.nonzero(seen).flatten()
    chunk = CHUNK if surface.features is not None else CHUNK // surface.stops.weights.shape[1]
    for row, scale in enumerate(asked):
        sums = torch.zeros(len(cells), field.width, device=positions.device)
        for part in chosen.split(chunk):
            at = torch.minimum(torch.maximum(scale, low[part]), high[part])
            sums.index_add_(0, cells.cell_of[part], surface.embed(field, part, at) * cells.light[part, None])
        embeddings[row] = F.normalize(sums, dim=-1)
    bounds = (
        cells.extreme(low.masked_fill(~seen, torch.inf), False),
        cells.extreme(high.masked_fill(~seen, -torch.inf), True),
    )
    return assemble(model.encoder, cells, embeddings, bounds, asked, "field", checkpoint)


def assemble(
    encoder: ImageTextEncoder,
    cells: Cells,
    embeddings: Tensor,
    bounds: tuple[Tensor, Tensor],
    scales: Float[Tensor, " scales"],
    source: Source,
    checkpoint: str,
) -> Index:
    """The index of cells with unit embeddings [scales, cells, width]; those that nothing supervised are left out.

    Raises:
        RunError: when nothing is left.
    """
    low, high = bounds
    known = low <= high
    if not bool(known.any()):
        raise RunError("No cell of the surface has language; train the language with more --steps in a new folder.")
    facts = Facts(source, encoder.name, encoder.fingerprint, checkpoint, cells.size)
    return Index(
        cells.keys[known],
        cells.positions[known],
        cells.weights[known],
        low[known],
        high[known],
        scales,
        compress(embeddings[:, known]),
        facts,
    )


@torch.no_grad()
def fidelity(model: Model, index: Index, points: int = 4096) -> Index:
    """The index, told how far it is from the field: cosines of its embeddings with what the field renders at about
    `points` surface points and the index's scales, each at the closest scale supervised there.

    Raises:
        RunError: when no surface point of the field lies in a cell of the index.
    """
    surface, field = model.surface, trained_field(model.language)
    chosen = torch.arange(0, len(surface), max(1, len(surface) // points), device=model.device)
    cells = index.locate(surface.positions[chosen])
    chosen, cells = chosen[cells >= 0], cells[cells >= 0]
    codes = index.unit_codes.view(len(index.scales), len(index), -1)
    parts = []
    for row, scale in enumerate(index.scales):
        at, seen = field.bounds.nearest_supervised(surface.positions[chosen], scale.expand(len(chosen)))
        decoded = codes[row, cells] @ index.compressed.basis
        parts.append((surface.embed(field, chosen, at) * decoded).sum(-1)[seen])
    cosines = torch.cat(parts)
    if len(cosines) == 0:
        raise RunError(OTHER_SURFACE)
    lowest = torch.quantile(cosines, 0.05)
    return replace(index, facts=replace(index.facts, cosine=float(cosines.mean()), lowest_cosine=float(lowest)))


@dataclass(frozen=True)
class Agreement:
    """How far an index's answer to one phrase is from the field's."""

    text: str
    difference: float
    """Mean absolute difference of relevancy over the cells, at the index's scale."""
    distance: float
    """Between the most relevant places, capture units."""
    scale_ratio: float
    """The index's scale over the field's."""


@torch.no_grad()
def agreement(model: Model, index: Index, texts: Sequence[str]) -> list[Agreement]:
    """Compare an index with the field, whose relevancy in a cell is the mean over the surface points in it.

    Raises:
        QueryError: no phrase, or an empty one.
        RunError: when no surface point of the field lies in a cell of the index.
    """
    phrases = model.phrases(texts)
    surface = model.surface
    everything = torch.arange(len(surface), device=model.device)
    apart_by = differences(model, index, phrases)
    own = choose_scales(model.language, surface, phrases, candidate_scales(model.language.scale_range))[0]
    results = []
    for row, found in enumerate(index.find(phrases, model.threshold)):
        single = Phrases((found.text,), phrases.queries[row : row + 1], phrases.canonical, phrases.temperature)
        at_own = surface_relevancy(model.language, surface, single, everything, float(own[row]))[0]
        apart = (surface.positions[at_own.argmax()] - index.positions[found.best]).norm()
        ratio = found.scale / float(own[row])
        results.append(Agreement(found.text, apart_by[found.text], float(apart) / model.scene.similarity.scale, ratio))
    return results
