"""What phrases say of the points of a cloud: relevancy, embeddings, and which points belong to their instances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from lerf.exports.cloud import CHUNK, Cloud, Progress, _silent
from lerf.files import write_atomically
from lerf.geometry.contraction import contract
from lerf.language.protocol import Latent
from lerf.model import Model
from lerf.queries.answer import PhraseAnswer
from lerf.queries.surface import Surface
from lerf.run.open_run import IndexUse


@dataclass(frozen=True)
class PointRelevancy:
    """Phrases and the points of a cloud."""

    answers: tuple[PhraseAnswer, ...]
    """Of the run's surface."""
    relevancy: Float[Tensor, "phrases points"]
    """0..1, at the scale of each answer, propagated along the surface."""
    named: Bool[Tensor, "phrases points"]
    """Whether a point belongs to an instance of a phrase."""

    def chosen(self, index: Tensor) -> PointRelevancy:
        """Of some of the points, by index or mask."""
        return replace(self, relevancy=self.relevancy[:, index], named=self.named[:, index])


def read_relevancy(
    model: Model,
    cloud: Cloud,
    answers: Sequence[PhraseAnswer],
    progress: Progress = _silent,
    index: IndexUse = "auto",
) -> PointRelevancy:
    """Relevancy of phrases to a cloud's points, read from the surface next to each, and which points they name.

    Args:
        model: the run.
        cloud: the points.
        answers: to the phrases, from the run (`Model.answer`): their relevancy and instances.
        progress: hears of the points done.
        index: with which the answers were asked for: whose surface their instances are of.
    """
    surface = model.surfaces.open(index)
    relevancy = torch.empty(len(answers), len(cloud), device=cloud.positions.device)
    refined = torch.stack([own.relevancy for own in answers])
    for start in range(0, len(cloud), CHUNK):
        part = slice(start, start + CHUNK)
        relevancy[:, part] = surface.reader.near(cloud.positions[part]).read(refined)
        progress("relevancy", min(start + CHUNK, len(cloud)), len(cloud))
    return PointRelevancy(tuple(answers), relevancy, named_points(cloud, surface, answers))


def _latents(model: Model, cloud: Cloud, progress: Progress, stage: str) -> Iterator[tuple[Tensor, Latent]]:
    """The cloud's rays, some at a time: their indices, and what language reads along them."""
    done = 0
    for part in torch.arange(len(cloud), device=cloud.positions.device).split(CHUNK):
        rays = model.radiance.trace(model.cameras, cloud.photo[part], cloud.pixels[part], model.language.samples)
        yield part, model.language.encode(rays)
        done += len(part)
        progress(stage, done, len(cloud))


def named_points(cloud: Cloud, surface: Surface, answers: Sequence[PhraseAnswer]) -> Bool[Tensor, "phrases points"]:
    """Which points each phrase names: those that belong to one of its instances (`instances_of`)."""
    return instances_of(cloud.positions, surface, answers)[0] >= 0


def instances_of(
    positions: Float[Tensor, "points 3"], surface: Surface, answers: Sequence[PhraseAnswer]
) -> tuple[Int[Tensor, "phrases points"], Bool[Tensor, " points"]]:
    """Which instance of each phrase points of the normalised frame belong to, by its number among the answer's; -1 for
    none: that of their nearest point of the surface. And whether a point has one.

    Nearest is in the contracted frame, and no further than the cells that join points into instances are large. So what
    is cropped is what a query finds, whatever the density of the points.
    """
    tree = cKDTree(surface.contracted.cpu().numpy())
    reach = max(surface.join_size, 1e-9)
    _, nearest = tree.query(contract(positions).cpu().numpy(), distance_upper_bound=reach)
    # A point without a neighbour within reach is said to be next to the one after the last.
    known, nearest = nearest < len(surface), np.minimum(nearest, len(surface) - 1)
    found = np.full((len(answers), len(positions)), -1)
    for row, own in enumerate(answers):
        belongs = np.full(len(surface), -1)
        # The first, which is the best, has what two claim.
        for number, members in reversed(list(enumerate(own.members))):
            belongs[members.cpu().numpy()] = number
        found[row] = np.where(known, belongs[nearest], -1)
    return torch.from_numpy(found).to(positions.device), torch.from_numpy(known).to(positions.device)


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
        for _, latent in _latents(model, cloud, progress, "embeddings"):
            file.write(model.language.embed(latent, scale).cpu().numpy().astype("<f2").tobytes())

    write_atomically(path, write)
    return shape
