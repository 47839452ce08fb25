"""A phrase asked of a baked index."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from lerf.language.cells import MAX_RANK, Compressed, Facts, Index
from lerf.queries.phrases import Phrases
from lerf.queries.relevancy import relevancy
from speed import floors, scenery
from speed.machine import Rates
from speed.measure import Row, compare, row, timed
from speed.sizes import Sizes

SCALES = 8
TARGET_MS = 50.0
SHARE = 10
"""The reference holds this part of the cells: embeddings of all would take gigabytes."""


def index_of(sizes: Sizes) -> tuple[Index, Phrases]:
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
    facts = Facts("field", "random-words", "none", "none", 0.02)
    scales = torch.logspace(-1, 0, SCALES)
    keys = torch.arange(sizes.cells)
    index = Index(keys, positions, ones, 0.1 * ones, ones, scales, compressed, facts)
    return index, Phrases(("phrase",), query @ basis, scenery.unit(4, sizes.width), 10.0)


def rows(sizes: Sizes, rates: Rates) -> Iterator[Row]:
    """Relevancy, scale, best place and regions; and the relevancy alone against full-length embeddings."""
    index, phrases = index_of(sizes)
    work = f"{sizes.cells} cells x {SCALES} scales, rank {index.compressed.basis.shape[0]}"
    index.find(phrases, 0.7)

    def forget() -> None:
        index._remembered.clear()

    whole = "baked query"
    values = [1e3 * value for value in timed(lambda: index.find(phrases, 0.7), sizes.repeats)]
    yield row("query", whole, work, values, "ms", TARGET_MS)
    other = [1e3 * value for value in timed(lambda: index.find(phrases, 0.7), sizes.repeats, forget)]
    yield row("query", "baked query, other canonical phrases", work, other, "ms")
    embeddings = scenery.unit(SCALES, max(1, sizes.cells // SHARE), sizes.width)
    yield from compare(
        "query", f"{work}; the reference on a tenth", {"baked relevancy": lambda: index.relevancy(phrases)},
        lambda: relevancy(embeddings, phrases.queries, phrases.canonical, phrases.temperature), sizes.repeats,
        shares=(float(sizes.cells), float(embeddings.shape[1])),
    )  # fmt: skip
    rank = index.compressed.basis.shape[0]
    count = floors.Count(2.0 * sizes.cells * SCALES * rank, 4.0 * sizes.cells * SCALES * (rank + 2))
    times = timed(lambda: index.relevancy(phrases), sizes.repeats)
    yield row("floor", "baked relevancy", f"{work}; limit: {count.limit(rates)}",
              [value / count.floor(rates) for value in times], "x floor")  # fmt: skip
