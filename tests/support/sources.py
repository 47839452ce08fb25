"""Small language sources of every kind with random contents, and rays to read them along."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from colour_words import ColourWords
from jaxtyping import Float
from torch import Tensor

from lerf.geometry.traced_rays import TracedRays
from lerf.language.cell_language import CellLanguage
from lerf.language.cells import CellIndex, Provenance, cell_keys, compress
from lerf.language.config import Estimator, LanguageConfig
from lerf.language.deferred import DeferredLanguage
from lerf.language.field import LanguageField
from lerf.language.per_sample import PerSampleLanguage
from lerf.language.protocol import LanguageSource

Kind = Literal["deferred", "per-sample", "cells"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WIDTH, DENSE = 12, 5
RANGE = (0.1, 2.0)
"""Scales of the fields."""
CELL = 0.05
"""Side of a cell of the indices, contracted frame."""
SMALL = LanguageConfig(
    grids=((2, 4, 8), (2, 8, 16)), features=4, log2_entries=8, hidden=16, layers=2, dense_hidden=8, samples=6
)


def unit(*shape: int, seed: int = 0) -> Tensor:
    """Random unit vectors."""
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def traced(rays: int, samples: int = 6, seed: int = 0) -> TracedRays:
    """Random rays that hit, in and around the unit ball."""
    random = torch.Generator().manual_seed(seed)
    weights = torch.rand(rays, samples, generator=random) + 0.01
    depths = torch.rand(rays, samples, generator=random) + 0.5
    positions = 0.6 * torch.randn(rays, samples, 3, generator=random)
    hit = torch.ones(rays, dtype=torch.bool)
    return TracedRays(
        positions, weights / weights.sum(-1, keepdim=True), depths, hit, depths[:, 0].clone(), positions[:, 0].clone()
    )


def field_of(estimator: Estimator = "deferred", dense: int = DENSE, config: LanguageConfig = SMALL) -> LanguageField:
    """A field with random contents; the same for the same arguments."""
    torch.manual_seed(0)
    field = LanguageField(replace(config, estimator=estimator), WIDTH, dense, RANGE)
    with torch.no_grad():
        field.grid.table.uniform_(-1, 1)
        # Biases start small; here they must count.
        field.head[-1].bias.normal_(std=0.5)
        # So must the scale.
        field.head[0].weight[:, -1] *= 8.0
    return field.eval()


def index_of(
    positions: Float[Tensor, "cells 3"],
    embeddings: Float[Tensor, "scales cells width"],
    low: float = 0.2,
    high: float = 0.8,
) -> CellIndex:
    """An index of cells at positions of the normalised frame, no two of which lie in one cell; scales 0.1 to 1."""
    keys, order = cell_keys(positions, CELL).sort()
    count = len(keys)
    assert len(keys.unique()) == count
    return CellIndex(
        keys,
        positions[order],
        torch.ones(count),
        torch.full((count,), low),
        torch.full((count,), high),
        torch.logspace(-1, 0, len(embeddings)),
        compress(embeddings[:, order], energy=1.0),
        Provenance("field", ColourWords.name, ColourWords.fingerprint, "c" * 64, CELL),
    )


def one_a_cell(positions: Float[Tensor, "points 3"]) -> Float[Tensor, "cells 3"]:
    """The first of the points in each cell."""
    first: dict[int, Tensor] = {}
    for key, position in zip(cell_keys(positions, CELL).tolist(), positions, strict=True):
        first.setdefault(key, position)
    return torch.stack(list(first.values()))


def source_on(rays: TracedRays, kind: Kind, dense: int = DENSE) -> LanguageSource:
    """A source that was supervised where the first two thirds of the rays stop, and not around the others."""
    known = rays[: 2 * len(rays) // 3]
    if kind == "cells":
        positions = one_a_cell(known.positions.reshape(-1, 3))
        embeddings = unit(6, len(positions), WIDTH)
        # Scales that were not supervised answer with the closest that was.
        embeddings[0], embeddings[5] = embeddings[1], embeddings[4]
        scales = torch.logspace(-1, 0, 6).tolist()
        return CellLanguage(index_of(positions, embeddings, scales[1], scales[4]), 4)
    field = field_of(kind, dense)
    field.bounds.note(known.median_position, 0.15 * known.median_depth, 1.5 * known.median_depth)
    return DeferredLanguage(field) if kind == "deferred" else PerSampleLanguage(field)
