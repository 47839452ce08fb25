"""Normals of surfaces that are known by points."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def normals_of_neighbours(neighbours: Float[np.ndarray, "points neighbours 3"]) -> Float[np.ndarray, "points 3"]:
    """Unit normal of each point from the points around it: the direction of their least variance (Hoppe et al. 1992).

    Its sign says nothing.
    """
    centred = neighbours - neighbours.mean(axis=1, keepdims=True)
    # Eigenvalues ascend: the first vector is that of least variance.
    return np.linalg.eigh(np.einsum("pni,pnj->pij", centred, centred))[1][:, :, 0]
