"""Label propagation of relevancy along a surface, so that an instance ends where its surface turns.

A tile sees more than the thing in its middle, so relevancy fades over a thing's outline instead of ending there. Points
on one smooth piece of surface mostly belong to one thing; where a thing stands on another the surface turns. Relevancy
is therefore propagated on a graph of neighbouring points, fast between points whose normals are alike and slowly
between others: label propagation with restart (Zhou et al. 2003, "Learning with local and global consistency", section
2, with a transition matrix whose rows sum to 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lerf import kernels
from lerf.geometry.normals import normals_of_neighbours
from lerf.kernels.types import SparseRows

NEIGHBOURS = 24
"""Of a point in the graph."""
TURN = 0.1
"""Affinity falls to 1/e where 1 - |cosine between normals| is so large."""
RESTART, STEPS = 0.1, 20
"""Share of a point's own relevancy at every step of the propagation, and the steps. All chosen on generated scenes
(seeds 201 to 206)."""
FLOOR = 1e-4
"""Affinity across any turn."""


@dataclass(frozen=True)
class SurfaceGraph:
    """Neighbouring points of a surface and the transition matrix between them."""

    transition: SparseRows
    """[points, points]: affinities, which are symmetric, over the sums of their rows."""

    def __len__(self) -> int:
        return len(self.transition.starts) - 1

    @classmethod
    def of(cls, points: Float[Tensor, "points 3"]) -> SurfaceGraph:
        """The graph of points on surfaces, in any frame; in the contracted one they are about evenly spaced.

        Points that are not finite have no neighbours.
        """
        count, finite = len(points), points.isfinite().all(dim=-1).cpu().numpy()
        index, positions = np.flatnonzero(finite), points.cpu().numpy()[finite].astype(np.float64)
        near = min(NEIGHBOURS, len(positions) - 1)
        if near < 1:
            return cls.alone(count)
        # Imported here: a query of a finished run needs no scipy, which takes half as long to load as torch.
        from scipy.sparse import csr_matrix, diags
        from scipy.spatial import cKDTree

        others = cKDTree(positions).query(positions, k=near + 1)[1][:, 1:]
        normals = normals_of_neighbours(positions[others])
        alike = np.abs(np.einsum("pi,pni->pn", normals, normals[others]))
        affinity = (np.exp((alike - 1.0) / TURN) + FLOOR).astype(np.float32)
        rows, columns = np.repeat(index, near), index[others].ravel()
        graph = csr_matrix((affinity.ravel(), (rows, columns)), shape=(count, count))
        graph = graph.maximum(graph.T) + diags((~finite).astype(np.float32))
        graph = (diags(1.0 / np.asarray(graph.sum(axis=1)).ravel()) @ graph).tocsr()
        kinds = (np.int32, np.int32, np.float32)
        parts = (graph.indptr, graph.indices, graph.data)
        return cls(SparseRows(*(torch.from_numpy(p.astype(k)) for p, k in zip(parts, kinds, strict=True))))

    @classmethod
    def alone(cls, count: int) -> SurfaceGraph:
        """Points without neighbours."""
        own = torch.arange(count + 1, dtype=torch.int32)
        return cls(SparseRows(own, own[:-1], torch.ones(count)))

    @classmethod
    def checked(cls, count: int, tensors: dict[str, Tensor]) -> SurfaceGraph:
        """The graph of so many points from the tensors of a file, by the names of `SparseRows`.

        Raises:
            ValueError: they are those of no transition matrix.
            TypeError: there are others.
        """
        transition = SparseRows(**tensors)
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
        return cls(transition)

    def propagate(self, relevancy: Float[Tensor, "*phrases points"]) -> Float[Tensor, "*phrases points"]:
        """Relevancy of each point after `STEPS` steps, computed on its logarithmic odds, which are a difference of
        cosines times the temperature; of several phrases together for little more than of one."""
        own = torch.logit(torch.atleast_2d(relevancy.float()).T.cpu(), eps=1e-6)
        moved = kernels.propagate(own, self.transition, RESTART, STEPS)
        return torch.sigmoid(moved.T.to(relevancy.device)).reshape(relevancy.shape)
