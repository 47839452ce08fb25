"""Label propagation of relevancy along a surface, so that an answer ends where its thing ends.

A tile sees more than the thing in its middle, so relevancy fades over a thing's outline instead of ending there. Points
on one smooth piece of surface that look alike mostly belong to one thing; where a thing stands on another the surface
turns, and what it looks like changes. Relevancy is therefore propagated on a graph of neighbouring points, fast between
points that the photos show as one thing (`one_thing.py`) and slowly between others: label propagation with restart
(Zhou et al. 2003, "Learning with local and global consistency", section 2, with a transition matrix whose rows sum to
1). Where no photo tells, normals and dense features do, which for any language that has them take the part of the
regulariser of a trained field.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int32, Int64
from torch import Tensor

from lerf import kernels
from lerf.geometry.normals import normals_of_neighbours
from lerf.kernels.types import SparseRows

NEIGHBOURS = 16
"""Of a point in the graph; those that have it among theirs are added."""
TURN = 0.1
"""Affinity falls to 1/e where 1 - |cosine between normals| is so large. Chosen on generated scenes (seeds 201 to
206)."""
UNLIKE = 0.2
"""Affinity falls to 1/e where 1 - cosine between dense features, less their mean over the surface, is so large."""
SURE = 8
"""Power of the likelihood of one thing that is the affinity of two points: AffinityNet's (Ahn and Kwak 2018, arXiv
1803.10464, section 3.3), which walks with as high a one."""
RESTART, STEPS = 0.01, 100
"""Share of a point's own relevancy at every step of the propagation, and the steps. These, `SURE`, `NEIGHBOURS` and
`UNLIKE` were chosen on generated scenes (seeds 201, 202)."""
FLOOR = 1e-4
"""Affinity at least."""
MORTON_BITS = 10
"""Of each coordinate in the order of the points."""
AT_ONCE = 4096
"""Points whose neighbours' features are compared at once: bounds the memory."""


@dataclass(frozen=True)
class Neighbours:
    """The points next to each point of a surface, in an order in which neighbours stand close together."""

    order: Int64[np.ndarray, " points"]
    """The points that are finite along a Z-order curve, then the others, which have no neighbours."""
    others: Int64[np.ndarray, "finite near"]
    """Of each point that is finite its neighbours, as places in `order`."""
    positions: Float64[np.ndarray, "finite 3"]
    """Of the points that are finite, in this order."""

    @classmethod
    def of(cls, points: Float[Tensor, "points 3"]) -> Neighbours:
        """Those of points on surfaces, in any frame; in the contracted one they are about evenly spaced."""
        finite = points.isfinite().all(dim=-1).cpu().numpy()
        positions = points.cpu().double().numpy()[finite]
        near = max(min(NEIGHBOURS, len(positions) - 1), 0)
        place = morton_order(positions) if near else np.arange(len(positions))
        order = np.concatenate([np.flatnonzero(finite)[place], np.flatnonzero(~finite)])
        positions = positions[place]
        if near == 0:
            return cls(order, np.empty((len(positions), 0), np.int64), positions)
        # Imported here: a query of a finished run needs no scipy, which takes half as long to load as torch.
        from scipy.spatial import cKDTree

        return cls(order, cKDTree(positions).query(positions, k=near + 1, workers=-1)[1][:, 1:], positions)


@dataclass(frozen=True)
class SurfaceGraph:
    """Neighbouring points of a surface and the transition matrix between them."""

    transition: SparseRows
    """[points, points]: affinities, which are symmetric, over the sums of their rows. Its points are in `order`."""
    order: Int32[Tensor, " points"]
    """The points in an order in which neighbours stand close together, so that a product reads memory in order."""

    def __len__(self) -> int:
        return len(self.transition.starts) - 1

    @classmethod
    def of(
        cls, points: Float[Tensor, "points 3"], features: Float[Tensor, "points channels"] | None = None
    ) -> SurfaceGraph:
        """The graph of points on surfaces (`Neighbours.of`), of which no photo tells which are of one thing."""
        return cls.between(Neighbours.of(points), features)

    @classmethod
    def between(
        cls,
        neighbours: Neighbours,
        features: Float[Tensor, "points channels"] | None = None,
        one_thing: Float[np.ndarray, "finite near"] | None = None,
    ) -> SurfaceGraph:
        """The graph of neighbouring points.

        Args:
            neighbours: of the points.
            features: dense features of the points, of any length; by default normals alone say what is alike.
            one_thing: how likely each of the neighbours is of one thing with its point, as photos tell
                (`one_thing.likelihoods`); NaN where none does.
        """
        count, (met, near) = len(neighbours.order), neighbours.others.shape
        if near == 0:
            return cls.alone(count)
        from scipy.sparse import csr_matrix, diags

        affinity = np.exp(-_turns(neighbours) - _differences(neighbours, features))
        if one_thing is not None:
            affinity = np.where(np.isnan(one_thing), affinity, one_thing**SURE)
        rows = np.repeat(np.arange(met), near)
        values = (affinity + FLOOR).astype(np.float32).ravel()
        graph = csr_matrix((values, (rows, neighbours.others.ravel())), shape=(count, count))
        graph = graph.maximum(graph.T) + diags((np.arange(count) >= met).astype(np.float32))
        graph = (diags(1.0 / np.asarray(graph.sum(axis=1)).ravel()) @ graph).tocsr()
        kinds = (np.int32, np.int32, np.float32)
        parts = (graph.indptr, graph.indices, graph.data)
        transition = SparseRows(*(torch.from_numpy(p.astype(k)) for p, k in zip(parts, kinds, strict=True)))
        return cls(transition, torch.from_numpy(neighbours.order.astype(np.int32)))

    @classmethod
    def alone(cls, count: int) -> SurfaceGraph:
        """Points without neighbours."""
        own = torch.arange(count + 1, dtype=torch.int32)
        return cls(SparseRows(own, own[:-1], torch.ones(count)), own[:-1])

    @classmethod
    def checked(cls, count: int, tensors: dict[str, Tensor]) -> SurfaceGraph:
        """The graph of so many points from the tensors of a file, by `tensors`.

        Raises:
            ValueError: they are those of no transition matrix.
            TypeError: there are others.
            KeyError: one is missing.
        """
        order = tensors["order"]
        transition = SparseRows(**{name: tensor for name, tensor in tensors.items() if name != "order"})
        starts, columns, values = transition
        kinds = [(tensor.dtype, tensor.ndim) for tensor in transition]
        if kinds != [(torch.int32, 1), (torch.int32, 1), (torch.float32, 1)] or len(starts) != count + 1:
            raise ValueError("no matrix by its rows")
        ends = (
            int(starts[0]) == 0 and int(starts[-1]) == len(columns) == len(values) and bool((starts.diff() > 0).all())
        )
        if not (ends and bool(((columns >= 0) & (columns < count)).all()) and bool((values >= 0).all())):
            raise ValueError("rows or columns that are not those of the points")
        sums = torch.segment_reduce(values, "sum", offsets=starts.long())
        if not torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
            raise ValueError("rows that do not sum to 1")
        if order.dtype != torch.int32 or not torch.equal(order.sort().values, torch.arange(count, dtype=torch.int32)):
            raise ValueError("an order that is not one of the points")
        return cls(transition, order)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors, by name."""
        return {**self.transition._asdict(), "order": self.order}

    def propagate(self, relevancy: Float[Tensor, "*phrases points"]) -> Float[Tensor, "*phrases points"]:
        """Relevancy of each point after `STEPS` steps, computed on its logarithmic odds, which are a difference of
        cosines times the temperature; of several phrases together for little more than of one."""
        order = self.order.long()
        own = torch.logit(torch.atleast_2d(relevancy.float()).cpu()[:, order].T.contiguous(), eps=1e-6)
        moved = torch.empty_like(own)
        moved[order] = torch.sigmoid(kernels.propagate(own, self.transition, RESTART, STEPS))
        return moved.T.to(relevancy.device).reshape(relevancy.shape)


def morton_order(points: Float[np.ndarray, "points 3"]) -> np.ndarray:
    """Order of points along a Z-order curve (Morton 1966): what is close in space is mostly close in it."""
    low, high = points.min(axis=0), points.max(axis=0)
    cells = ((points - low) / np.maximum(high - low, 1e-12) * ((1 << MORTON_BITS) - 1)).astype(np.int64)
    keys = np.zeros(len(points), np.int64)
    for bit in range(MORTON_BITS):
        for axis in range(3):
            keys |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(keys, kind="stable")


def _turns(neighbours: Neighbours) -> Float[np.ndarray, "finite near"]:
    """How much the surface turns from each point to its neighbours, over `TURN`."""
    normals = normals_of_neighbours(neighbours.positions[neighbours.others])
    return (1.0 - np.abs(np.einsum("pi,pni->pn", normals, normals[neighbours.others]))) / TURN


def _differences(
    neighbours: Neighbours, features: Float[Tensor, "points channels"] | None
) -> Float[np.ndarray, "finite near"] | float:
    """How much the features of points and of their neighbours differ, over `UNLIKE`: 1 - cosine, of features less the
    mean of all; 0 where a point has none."""
    if features is None:
        return 0.0
    others = torch.from_numpy(neighbours.others)
    features = features.cpu()[torch.from_numpy(neighbours.order[: len(others)])]
    known = (features != 0).any(-1)
    centred = torch.where(known[:, None], features - features[known].mean(0), 0.0)
    unit = F.normalize(centred.float(), dim=-1)
    parts = [
        1.0 - torch.einsum("pc,pnc->pn", unit[start : start + AT_ONCE], unit[others[start : start + AT_ONCE]])
        for start in range(0, len(unit), AT_ONCE)
    ]
    return torch.where(known[:, None] & known[others], torch.cat(parts), 0.0).double().numpy() / UNLIKE
