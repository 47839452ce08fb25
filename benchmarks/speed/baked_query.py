"""A phrase asked of a baked index."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lerf.geometry.similarity import Similarity
from lerf.language.cell_language import CellLanguage
from lerf.language.cells import MAX_RANK, CellIndex, Compressed, Provenance
from lerf.queries.answer import AnswerSettings, answer
from lerf.queries.photo_cameras import PhotoCameras
from lerf.queries.phrases import Phrases
from lerf.queries.relevancy import relevancy
from lerf.queries.surface import surface_of_cells
from lerf.scenes.scene import Photo, Scene
from speed import floors, scenery
from speed.machine import Rates
from speed.measure import Row, Work, compare, row, timed
from speed.sizes import Sizes

SCALES = 8
TARGET_MS = 50.0
SHARE = 10
"""The reference holds this part of the cells: embeddings of all would take gigabytes."""


def index_of(sizes: Sizes) -> tuple[CellIndex, Phrases]:
    """Cells on a ball, of which a cap of some hundredth is what the phrase names."""
    rank = min(MAX_RANK, sizes.width)
    basis = torch.linalg.qr(torch.randn(sizes.width, rank))[0].T.contiguous()
    codes = scenery.unit(SCALES, sizes.cells, rank)
    positions = 0.8 * scenery.unit(sizes.cells, 3, seed=1)
    query = scenery.unit(1, rank, seed=2)
    near = positions[:, 2] > 0.78
    codes[:, near] = torch.nn.functional.normalize(codes[:, near] + 2.0 * query, dim=-1)
    compressed = Compressed(basis, codes.half(), torch.linalg.vector_norm(codes.half().float(), dim=-1))
    ones = torch.ones(sizes.cells)
    provenance = Provenance("field", "random-words", "none", "none", 0.02)
    scales = torch.logspace(-1, 0, SCALES)
    keys = torch.arange(sizes.cells)
    index = CellIndex(keys, positions, ones, 0.1 * ones, ones, scales, compressed, provenance)
    return index, Phrases(("phrase",), query @ basis, scenery.unit(4, sizes.width), 10.0)


def photos() -> PhotoCameras:
    """The ring, whose depth maps know nothing."""
    cameras = [scenery.camera(2 * np.pi * k / scenery.PHOTOS, 320, 240) for k in range(scenery.PHOTOS)]
    listed = tuple(Photo(f"{k}.jpg", Path(f"{k}.jpg"), camera, (320, 240)) for k, camera in enumerate(cameras))
    scene = Scene(Path(), listed, tuple(range(len(listed))), (), Similarity.identity())
    return PhotoCameras.of(scene, "cpu")


def query_on(index: CellIndex, phrases: Phrases) -> tuple[CellLanguage, Work]:
    """The index as a language, and a phrase asked of its cells."""
    language, cameras = CellLanguage(index, 1), photos()
    depth_maps = {photo: torch.full((4, 4), torch.nan) for photo in cameras.scene.train}
    surface = surface_of_cells(language, depth_maps)

    asked = itertools.count()

    def ask() -> None:
        # A surface remembers phrases: each is a little different from those before.
        moved = phrases.queries + 1e-4 * scenery.unit(1, phrases.queries.shape[1], seed=10 + next(asked))
        new = replace(phrases, queries=torch.nn.functional.normalize(moved, dim=-1))
        found = answer(surface, new, cameras, AnswerSettings(0.7))[0]
        assert found.answer.present

    return language, ask


def rows(sizes: Sizes, rates: Rates) -> Iterator[Row]:
    """The whole answer: scale, relevancy, presence, instances and best view; and the relevancy at all scales alone
    against full-length embeddings."""
    index, phrases = index_of(sizes)
    language, ask = query_on(index, phrases)
    latent = language.encode_cells()
    work = f"{sizes.cells} cells x {SCALES} scales, rank {index.compressed.basis.shape[0]}"

    def all_scales() -> torch.Tensor:
        cosines = [language.cosines(latent, phrases.vectors, scale) for scale in index.scales.tolist()]
        return torch.stack(cosines)

    ask()
    values = [1e3 * value for value in timed(ask, sizes.repeats)]
    yield row("query", "baked query", work, values, "ms", TARGET_MS)
    embeddings = scenery.unit(SCALES, max(1, sizes.cells // SHARE), sizes.width)
    yield from compare(
        "query", f"{work}; the reference on a tenth", {"baked relevancy": all_scales},
        lambda: relevancy(embeddings, phrases.queries, phrases.canonical, phrases.temperature), sizes.repeats,
        shares=(float(sizes.cells), float(embeddings.shape[1])),
    )  # fmt: skip
    rank = index.compressed.basis.shape[0]
    count = floors.Count(2.0 * sizes.cells * SCALES * rank, 4.0 * sizes.cells * SCALES * (rank + 2))
    times = timed(all_scales, sizes.repeats)
    yield row("floor", "baked relevancy", f"{work}; limit: {count.limit(rates)}",
              [value / count.floor(rates) for value in times], "x floor")  # fmt: skip
