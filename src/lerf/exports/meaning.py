"""What phrases say of a cloud's points: relevancy, embeddings, and which points they name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lerf.errors import QueryError
from lerf.exports.asked import Asked
from lerf.exports.cloud import CHUNK, Cloud, Progress, _silent
from lerf.files import write_atomically
from lerf.geometry.contraction import contract
from lerf.language.lifted import deferred_field
from lerf.model import Model
from lerf.queries.instances import JOIN_SHARE, answering_regions, robust_diagonal
from lerf.queries.phrases import Phrases, presence
from lerf.queries.scales import surface_relevancy
from lerf.queries.surface import Surface
from lerf.rendering.stops import stops_and_matter


@dataclass(frozen=True)
class Meaning:
    """What phrases say of a cloud."""

    asked: Asked
    relevancy: Float[Tensor, "phrases points"]
    """Raw, 0..1."""
    named: Bool[Tensor, "phrases points"]
    """Whether a point belongs to an instance of a phrase."""
    threshold: float
    """Relevancy from which a phrase is present."""

    def chosen(self, index: Tensor) -> Meaning:
        """Of some of the points, by index or mask."""
        return replace(self, relevancy=self.relevancy[:, index], named=self.named[:, index])


def read_meaning(model: Model, cloud: Cloud, asked: Asked, threshold: float, progress: Progress = _silent) -> Meaning:
    """Relevancy of phrases to a cloud's points, and which of them they name.

    Raises:
        QueryError: when the threshold is not in 0..1.
    """
    if not 0.0 <= threshold <= 1.0:
        raise QueryError(f"The threshold must lie in 0..1, not {threshold}.")
    relevancy = cloud_relevancy(model, cloud, asked, progress)
    return Meaning(asked, relevancy, named_points(cloud, relevancy, threshold), threshold)


@torch.no_grad()
def cloud_relevancy(
    model: Model, cloud: Cloud, asked: Asked, progress: Progress = _silent
) -> Float[Tensor, "phrases points"]:
    """Raw relevancy of each phrase, at its scale, to each point as the photo that gave the point sees it."""
    result = torch.empty(len(asked.scales), len(cloud), device=cloud.positions.device)
    for part, surface in _surfaces(model, cloud, progress, "relevancy"):
        everything = torch.arange(len(part), device=part.device)
        for scale in dict.fromkeys(asked.scales):
            rows = [row for row, own in enumerate(asked.scales) if own == scale]
            every = asked.phrases
            texts = tuple(every.texts[row] for row in rows)
            together = Phrases(texts, every.queries[rows], every.canonical, every.temperature)
            scores = surface_relevancy(model.language, surface, together, everything, scale)
            for row, own in zip(rows, scores, strict=True):
                result[row, part] = own
    return result


def _surfaces(model: Model, cloud: Cloud, progress: Progress, stage: str) -> Iterator[tuple[Tensor, Surface]]:
    """The cloud's rays, some at a time: their indices, and where their light stops."""
    field, done = deferred_field(model.language), 0
    for part in torch.arange(len(cloud), device=cloud.positions.device).split(CHUNK):
        rays = model.cameras.rays(cloud.photo[part], cloud.pixels[part])
        stops, _ = stops_and_matter(model.source, rays, model.language.config.samples)
        features = None if field is None else field.ray_features(stops)
        yield part, Surface(stops, features, cloud.photo[part], {})
        done += len(part)
        progress(stage, done, len(cloud))


def named_points(
    cloud: Cloud, relevancy: Float[Tensor, "phrases points"], threshold: float
) -> Bool[Tensor, "phrases points"]:
    """Which points each phrase names: those of its instances, as a query finds them; none of an absent phrase.

    Each leads the canonical phrases by itself: what only a walk along the surface would add is no point's own meaning.

    Args:
        cloud: the points.
        relevancy: of each phrase to each point.
        threshold: relevancy from which a phrase is present.
    """
    contracted = contract(cloud.positions)
    cell = JOIN_SHARE * robust_diagonal(contracted)
    named = torch.zeros_like(relevancy, dtype=torch.bool)
    for row, scores in enumerate(relevancy):
        score = presence(scores)
        if score < threshold:
            continue
        for region in answering_regions(contracted, scores, score, threshold, cell):
            named[row, region.indices] = True
    return named


@torch.no_grad()
def write_embeddings(
    path: Path, model: Model, cloud: Cloud, scale: float, progress: Progress = _silent
) -> tuple[int, int]:
    """Write the unit embedding of each point as NPY of half-precision numbers, [points, width]; returns its shape.

    Rows are in the order of the points. Each point answers at the supervised scale closest to `scale` (normalised
    units). Only some rows at a time are in memory.

    Raises:
        StorageError: when the file cannot be written.
    """
    shape = (len(cloud), model.language.width)

    def write(file: BinaryIO) -> None:
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for part, surface in _surfaces(model, cloud, progress, "embeddings"):
            wanted = torch.full((len(part),), scale, device=part.device)
            at, _ = model.language.bounds.nearest_supervised(surface.positions, wanted)
            embedding = surface.embed(model.language, torch.arange(len(part), device=part.device), at)
            file.write(embedding.cpu().numpy().astype("<f2").tobytes())

    write_atomically(path, write)
    return shape
