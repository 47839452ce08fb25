"""Which scenes of a catalogue are worth asking a phrase: those with the cells that beat the canonical phrases most."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from lerf.catalogue.store import Store
from lerf.queries.phrases import PEAK_POINTS

FIRST_ROWS, MOST_ROWS = 4096, 65_536
"""Cells that are looked up at first, and at most: a large thing takes thousands of cells of one scene."""
PROBES = 32
"""Partitions of the vector index that are looked into."""


def candidates(
    store: Store,
    query: Float[np.ndarray, " rank"],
    canonical: Float[np.ndarray, "canonical rank"],
    wanted: int,
    *,
    probes: int = PROBES,
    exact: bool = False,
) -> list[int]:
    """Additions in the order of the mean margin of their best cells, at least `wanted` if cells of so many are near.

    The index finds cells by their dot product with the phrase less the mean canonical phrase, which bounds the margin
    over the best canonical phrase from above; the margins themselves are then computed from the cells' embeddings.

    Args:
        store: with the cells.
        query: the phrase's embedding on the catalogue's basis.
        canonical: those that it must beat.
        wanted: scenes.
        probes: see `PROBES`.
        exact: look at all cells, without the index.
    """
    count = FIRST_ROWS
    while True:
        found = store.nearest((query - canonical.mean(0)).astype(np.float32), count, probes, exact)
        additions = found["addition"].to_numpy()
        if len(found) == 0:
            return []
        scenes = len(np.unique(additions))
        if scenes >= wanted or len(found) < count or count >= MOST_ROWS:
            break
        count *= 4
    vectors = found["vector"].combine_chunks().flatten().to_numpy().reshape(len(found), -1)
    margins = vectors @ query - (vectors @ canonical.T).max(1)
    return ranked(additions, margins)


def ranked(additions: Int[np.ndarray, " rows"], margins: Float[np.ndarray, " rows"]) -> list[int]:
    """Additions by the mean margin of their `PEAK_POINTS` best rows, best first."""
    order = np.lexsort((-margins, additions))
    additions, margins = additions[order], margins[order]
    starts = np.flatnonzero(np.r_[True, additions[1:] != additions[:-1]])
    counts = np.minimum(np.diff(np.r_[starts, len(additions)]), PEAK_POINTS)
    place = np.arange(len(additions)) - np.repeat(starts, np.diff(np.r_[starts, len(additions)]))
    best = np.where(place < PEAK_POINTS, margins, 0.0)
    means = np.add.reduceat(best, starts) / counts
    return additions[starts][np.argsort(-means, kind="stable")].tolist()
