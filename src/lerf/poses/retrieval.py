"""Photos that look alike, by the local features that they have anyway and words learnt from the capture itself.

Each photo becomes one vector of locally aggregated descriptors (VLAD: Jegou et al. 2010, "Aggregating local descriptors
into a compact image representation"), with the square roots and the normalisation within words of Arandjelovic and
Zisserman 2013, "All about VLAD". No vocabulary is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree

WORDS = 64
PER_PHOTO = 512
"""Descriptors of a photo that words are learnt from and that it is described by."""
LEARNT_FROM = 40_000
"""Descriptors, at most, that words are learnt from."""


def photo_vectors(
    descriptors: Sequence[Float[np.ndarray, "_points width"]], seed: int
) -> Float[np.ndarray, "photos size"]:
    """A unit vector for each photo; zero for a photo without descriptors.

    Args:
        descriptors: of the points of each photo.
        seed: of what is drawn.
    """
    generator = np.random.default_rng(seed)
    chosen = [_some(values, PER_PHOTO, generator) for values in descriptors]
    every = np.concatenate(chosen)
    words, _ = kmeans2(
        _some(every, LEARNT_FROM, generator), min(WORDS, len(every)), iter=12, minit="++", seed=generator
    )
    tree = cKDTree(words)
    vectors = np.zeros((len(chosen), words.size))
    for row, values in enumerate(chosen):
        if len(values):
            vectors[row] = _aggregated(values, words, tree.query(values)[1])
    return vectors


def most_alike(vectors: Float[np.ndarray, "photos size"], count: int) -> Int[np.ndarray, "photos alike"]:
    """For each photo the `count` others (fewer in a smaller capture) whose vectors have the largest cosine with its
    own, the most alike first."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    return np.argsort(-cosines, axis=1, kind="stable")[:, : min(count, len(vectors) - 1)]


def _some(values: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    if len(values) <= count:
        return values.astype(np.float64)
    return values[np.sort(generator.choice(len(values), count, replace=False))].astype(np.float64)


def _aggregated(values: np.ndarray, words: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    sums = np.zeros_like(words)
    np.add.at(sums, nearest, values - words[nearest])
    sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    vector = (np.sign(sums) * np.sqrt(np.abs(sums))).reshape(-1)
    return vector / max(np.linalg.norm(vector), 1e-12)
