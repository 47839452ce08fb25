"""Which photos are compared with which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lerf.poses.retrieval import most_alike, photo_vectors

Matching = Literal["exhaustive", "sequential", "retrieval"]
Pair = tuple[int, int]

EXHAUSTIVE = 150
"""Photos up to which each is compared with every other."""
OVERLAP = 10
"""Neighbours in time on each side, and beyond them those a power of two away."""
LOOPS = 5
"""Frames elsewhere in a film that look most alike: where it comes back to a place."""
LEAST_MATCHES = 15
"""Verified matches from which two photos count as connected, as in COLMAP's mappers."""
ALIKE = 25
"""Photos that look most alike, of a large collection."""


def choose_matching(photos: int, film: bool) -> Matching:
    """How so many photos are compared, where the user does not say; `film` where they are frames in order of time."""
    if film and photos > 2 * OVERLAP:
        return "sequential"
    return "exhaustive" if photos <= EXHAUSTIVE else "retrieval"


def choose_pairs(
    matching: Matching, films: Sequence[str], descriptors: Sequence[Float[np.ndarray, "_points width"]], seed: int
) -> list[Pair]:
    """Pairs of photos to compare, each once, the smaller index first, in ascending order.

    Args:
        matching: how.
        films: for each photo the film that it is a frame of; the same for all photos that are no frames.
        descriptors: of the points of each photo; used where those that look alike are looked for.
        seed: of what is drawn.
    """
    count = len(films)
    if matching == "exhaustive":
        return [(first, second) for first in range(count) for second in range(first + 1, count)]
    vectors = photo_vectors(descriptors, seed)
    pairs: set[Pair] = set()
    if matching == "retrieval":
        pairs |= _ordered(most_alike(vectors, ALIKE))
        # Photos are mostly named in the order in which they were taken.
        return sorted(pairs | {(index, index + 1) for index in range(count - 1)})
    steps = {*range(1, OVERLAP + 1), *(2**power for power in range(4, 12))}
    for index, film in enumerate(films):
        pairs |= {(index, index + step) for step in steps if index + step < count and films[index + step] == film}
    far = [
        [other for other in row if _far(index, int(other), films)]
        for index, row in enumerate(most_alike(vectors, count))
    ]
    for index, row in enumerate(far):
        pairs |= {(min(index, int(other)), max(index, int(other))) for other in row[:LOOPS]}
    return sorted(pairs)


def _far(index: int, other: int, films: Sequence[str]) -> bool:
    return abs(index - other) > 2 * OVERLAP or films[index] != films[other]


def _ordered(alike: np.ndarray) -> set[Pair]:
    return {(min(row, int(other)), max(row, int(other))) for row, others in enumerate(alike) for other in others}


def connected_photos(inliers: Mapping[Pair, int], photos: int) -> int:
    """Photos of the largest set that is connected by pairs with `LEAST_MATCHES` verified matches."""
    pairs = np.array([pair for pair, count in inliers.items() if count >= LEAST_MATCHES], np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(photos, photos))
    return int(np.bincount(connected_components(graph, directed=False)[1]).max())
