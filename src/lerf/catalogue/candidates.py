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
    store: Store, direction: Float[np.ndarray, " rank"], wanted: int, *, probes: int = PROBES, exact: bool = False
) -> list[int]:
    """Additions in the order of their best cells' dot products, at least `wanted` if cells of so many are near.

    Args:
        store: with the cells.
        direction: the phrase less the mean canonical phrase, on the catalogue's basis: its dot product with a cell
            bounds the margin over the best canonical phrase from above.
        wanted: scenes.
        probes: see `PROBES`.
        exact: look at all cells, without the index.
    """
    count = FIRST_ROWS
    while True:
        found = store.nearest(direction.astype(np.float32), count, probes, exact)
        additions = found["addition"].to_numpy()
        if len(np.unique(additions)) >= wanted or len(found) < count or count >= MOST_ROWS:
            return ranked(additions, -found["_distance"].to_numpy())
        count *= 4


def ranked(additions: Int[np.ndarray, " rows"], products: Float[np.ndarray, " rows"]) -> list[int]:
    """Additions by the mean product of their `PEAK_POINTS` best rows, best first."""
    if len(additions) == 0:
        return []
    order = np.lexsort((-products, additions))
    additions, products = additions[order], products[order]
    starts = np.flatnonzero(np.r_[True, additions[1:] != additions[:-1]])
    counts = np.minimum(np.diff(np.r_[starts, len(additions)]), PEAK_POINTS)
    place = np.arange(len(additions)) - np.repeat(starts, np.diff(np.r_[starts, len(additions)]))
    best = np.where(place < PEAK_POINTS, products, 0.0)
    means = np.add.reduceat(best, starts) / counts
    return additions[starts][np.argsort(-means, kind="stable")].tolist()
