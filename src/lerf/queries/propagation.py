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
from jaxtyping import Float, Float32
from scipy.sparse import csr_matrix, diags, identity
from scipy.spatial import cKDTree
from torch import Tensor

from lerf.geometry.normals import normals_of_neighbours

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

    transition: csr_matrix
    """[points, points], single precision; rows sum to 1."""

    @classmethod
    def of(cls, points: Float[Tensor, "points 3"]) -> SurfaceGraph:
        """The graph of points on surfaces, in any frame; in the contracted one they are about evenly spaced.

        Points that are not finite have no neighbours.
        """
        count, finite = len(points), points.isfinite().all(dim=-1).cpu().numpy()
        index, positions = np.flatnonzero(finite), points.cpu().numpy()[finite].astype(np.float64)
        near = min(NEIGHBOURS, len(positions) - 1)
        if near < 1:
            return cls(identity(count, dtype=np.float32, format="csr"))
        others = cKDTree(positions).query(positions, k=near + 1)[1][:, 1:]
        normals = normals_of_neighbours(positions[others])
        alike = np.abs(np.einsum("pi,pni->pn", normals, normals[others]))
        affinity = (np.exp((alike - 1.0) / TURN) + FLOOR).astype(np.float32)
        rows, columns = np.repeat(index, near), index[others].ravel()
        graph = csr_matrix((affinity.ravel(), (rows, columns)), shape=(count, count))
        graph = graph.maximum(graph.T) + diags((~finite).astype(np.float32))
        return cls((diags(1.0 / np.asarray(graph.sum(axis=1)).ravel()) @ graph).tocsr().astype(np.float32))

    def propagate(self, relevancy: Float[Tensor, " points"]) -> Float32[Tensor, " points"]:
        """Relevancy of each point after `STEPS` steps, computed on its logarithmic odds, which are a difference of
        cosines times the temperature."""
        own = torch.logit(relevancy.double(), eps=1e-6).cpu().numpy().astype(np.float32)
        moved = own
        for _ in range(STEPS):
            moved = RESTART * own + (1.0 - RESTART) * (self.transition @ moved)
        return torch.sigmoid(torch.from_numpy(moved)).to(relevancy.device)
