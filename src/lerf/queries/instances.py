"""Instances of a phrase: connected regions of relevant points."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf.devices import in_doubles
from lerf.errors import QueryError
from lerf.geometry.extent import robust_extent
from lerf.queries.phrases import presence

EDGE = 0.2
"""Share of the best point's margin over the canonical phrases with which a thing ends. What lies just behind a thing's
outline shares its tiles in every photo and still has a small margin. Chosen on generated scenes (seeds 201, 202)."""
AS_SURE = 0.6
"""Share of the best point's margin over the canonical phrases that another instance's must reach: what is far less sure
than the best is more likely something alike than one more of them. Chosen on generated scenes (seeds 201, 202)."""


@dataclass(frozen=True)
class Region:
    """One connected region, in the frame of the points that it was found among."""

    indices: Int[Tensor, " members"]
    """Its points, ascending, as indices into the points given."""
    best: int
    """Index of its most relevant point; the first of equals."""
    peak: float
    """Relevancy there."""
    minimum: Float[Tensor, " 3"]
    """Lower corner of the robust extent (`robust_extent`)."""
    maximum: Float[Tensor, " 3"]
    """Upper corner."""
    evidence: float
    """Sum of (relevancy - threshold) over the points that it was found by."""


def answering_regions(
    points: Float[Tensor, "points 3"],
    relevancy: Float[Tensor, " points"],
    score: float,
    threshold: float,
    cell_size: float,
    propagated: Float[Tensor, " points"],
) -> list[Region]:
    """Instances of a phrase that is present.

    A thing ends where the margin over the canonical phrases is small beside the best point's (`EDGE`), and counts when
    somewhere inside it passes the threshold and comes near the best (`AS_SURE`). How many there are and where is told
    by relevancy as it is; how far each reaches by relevancy propagated along the surface, which ends where things do
    but lets neighbours of one kind run together.

    Args:
        points: in the contracted frame, where cells grow with the distance, as the spacing of the points does.
        relevancy: of each point.
        score: the phrase's relevancy to the scene (`phrases.presence`).
        threshold: from which it is present.
        cell_size: see `find_regions`.
        propagated: relevancy of each point after the propagation (`propagation.SurfaceGraph`).
    """
    edge, near = _share_of_margin(score, EDGE), _share_of_margin(score, AS_SURE)
    regions = find_regions(points, relevancy, threshold=edge, cell_size=cell_size, min_peak=max(threshold, near))
    if not regions:
        return regions
    ends = _share_of_margin(presence(propagated), EDGE)
    reaches = find_regions(points, propagated, threshold=ends, cell_size=cell_size, min_share=0.0)
    return _as_far_as(regions, reaches, points)


def _share_of_margin(score: float, share: float) -> float:
    """Relevancy whose logarithmic odds are a share of those of `score`; just under `score` where these are negative."""
    margin = torch.logit(torch.tensor(score, dtype=torch.float64), eps=1e-9)
    return min(float(torch.sigmoid(share * margin)), score - 1e-6)


def _as_far_as(regions: list[Region], reaches: list[Region], points: Float[Tensor, "points 3"]) -> list[Region]:
    """Regions with the members of the reach that their best point lies in, where no other's does."""
    owner = torch.full((len(points),), -1, device=points.device)
    for number, reach in enumerate(reaches):
        owner[reach.indices] = number
    found = [int(owner[region.best]) for region in regions]
    result = []
    for region, number in zip(regions, found, strict=True):
        if number < 0 or found.count(number) > 1:
            result.append(region)
            continue
        indices = reaches[number].indices
        minimum, maximum = robust_extent(points[indices], points[region.best])
        result.append(replace(region, indices=indices, minimum=minimum, maximum=maximum))
    return result


def find_regions(
    points: Float[Tensor, "points 3"],
    relevancy: Float[Tensor, " points"],
    *,
    threshold: float,
    cell_size: float,
    min_points: int = 4,
    min_share: float = 0.05,
    min_peak: float = 0.0,
) -> list[Region]:
    """Regions of points above `threshold` that touch, the highest peak first.

    Points fall into cubes of side `cell_size` aligned with the origin; cubes that share a face, an edge or a corner
    (26 neighbours) are one region. Memory grows with the occupied cubes, never with the space that they span.

    Args:
        points: Any frame; `cell_size` and the extents are in its units. Points that are not finite are ignored.
        relevancy: In 0..1. Only points strictly above `threshold` take part.
        min_points: Regions with fewer points are dropped.
        min_share: Regions with less than this share of the strongest region's evidence are dropped.
        min_peak: Regions whose best point scores lower are dropped, before the strongest is looked for.

    Raises:
        QueryError: when `cell_size` is not a positive number.
    """
    if not (math.isfinite(cell_size) and cell_size > 0):
        raise QueryError(f"The cell size of instances is {cell_size}; give a positive number in scene units.")
    chosen = torch.nonzero(relevancy > threshold).flatten()
    chosen = chosen[points[chosen].isfinite().all(dim=-1)]
    if len(chosen) == 0:
        return []
    cells = torch.floor(in_doubles(points[chosen]) / cell_size).cpu().numpy()
    label_of_cube, cube_of_point = _connect(cells)
    sure = in_doubles(relevancy[chosen])
    label_of_point = torch.from_numpy(label_of_cube[cube_of_point]).long().to(sure.device)

    # What is dropped is dropped for all regions at once: a phrase may scatter thousands of specks.
    counts = torch.bincount(label_of_point)
    peaks = torch.full((len(counts),), -torch.inf, dtype=sure.dtype, device=sure.device)
    peaks = peaks.scatter_reduce(0, label_of_point, sure, "amax")
    kept_labels = (counts >= min_points) & (peaks >= min_peak)

    regions = []
    order = torch.argsort(label_of_point, stable=True).to(points.device)
    ends = counts.cumsum(0)
    for label in torch.nonzero(kept_labels).flatten().tolist():
        members = order[int(ends[label] - counts[label]) : int(ends[label])]
        indices = chosen[members]
        scores = relevancy[indices]
        evidence = float(in_doubles(scores - threshold).sum())
        best = int(indices[scores == scores.max()][0])
        minimum, maximum = robust_extent(points[indices], points[best])
        regions.append(Region(indices, best, float(relevancy[best]), minimum, maximum, evidence))
    strongest = max((region.evidence for region in regions), default=0.0)
    kept = [region for region in regions if region.evidence >= min_share * strongest]
    return sorted(kept, key=lambda region: (-region.peak, region.best))


def _connect(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Component of each distinct cube, and the cube of each point, from the points' cubes [points, 3].

    Cubes touch when they differ by at most 1 on each axis.
    """
    low = cells.min(axis=0)
    spans = cells.max(axis=0) - low + 3.0
    if spans.prod() < 2.0**62:
        # One number a cube, with a margin of one cube on every side so that a neighbour's number is a fixed step away.
        row, layer = int(spans[0]), int(spans[0] * spans[1])
        offset = (cells - low).astype(np.int64) + 1
        keys, cube_of_point = np.unique(offset[:, 0] + row * offset[:, 1] + layer * offset[:, 2], return_inverse=True)
        steps = [x + row * y + layer * z for x, y, z in product((-1, 0, 1), repeat=3)]
        found = []
        for step in (step for step in steps if step > 0):
            place = np.minimum(np.searchsorted(keys, keys + step), len(keys) - 1)
            first = np.nonzero(keys[place] == keys + step)[0]
            found.append(np.stack([first, place[first]], axis=1))
        pairs = np.concatenate(found)
    else:
        keys, cube_of_point = np.unique(cells, axis=0, return_inverse=True)
        # Imported here, as in `propagation.SurfaceGraph.of`.
        from scipy.spatial import cKDTree

        pairs = cKDTree(keys).query_pairs(1.5, p=np.inf, output_type="ndarray")
    return _components(len(keys), *pairs.T), cube_of_point.reshape(-1)


def _components(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Component, counted from 0, of each node of a graph with edges between `first` and `second`.

    Each node points to another of its component with a smaller number, in the end to the smallest.
    """
    root = np.arange(count)
    while True:
        one, other = root[first], root[second]
        apart = one != other
        if not apart.any():
            return np.unique(root, return_inverse=True)[1].reshape(-1)
        first, second, one, other = first[apart], second[apart], one[apart], other[apart]
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(root[root], root):
            root = root[root]
