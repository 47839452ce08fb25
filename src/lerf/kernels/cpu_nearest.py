"""The nearest of many points within a reach, on the CPU."""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from lerf.kernels.types import PointGrid

BLOCK = 512
"""Queries of a block."""


@njit(parallel=True, fastmath=True, cache=True)
def _nearest(points, starts, low, side, queries, reach, found, squares):  # type: ignore[no-untyped-def]
    count, most = queries.shape[0], found.shape[1]
    nx, ny, nz = starts.shape[0], starts.shape[1], starts.shape[2] - 1
    rings = math.ceil(reach / side)
    for block in prange((count + BLOCK - 1) // BLOCK):
        for row in range(block * BLOCK, min(count, (block + 1) * BLOCK)):
            for k in range(most):
                found[row, k] = -1
                squares[row, k] = reach * reach
            qx, qy, qz = queries[row, 0], queries[row, 1], queries[row, 2]
            # Also false where a coordinate is not a number.
            if not (math.fabs(qx) < 1e6 and math.fabs(qy) < 1e6 and math.fabs(qz) < 1e6):
                continue
            ix = math.floor((qx - low[0]) / side)
            iy = math.floor((qy - low[1]) / side)
            iz = math.floor((qz - low[2]) / side)
            for ring in range(1, rings + 1):
                for k in range(most):
                    found[row, k] = -1
                    squares[row, k] = reach * reach
                first, last = max(iz - ring, 0), min(iz + ring, nz - 1)
                if first > last:
                    continue
                for cx in range(max(ix - ring, 0), min(ix + ring + 1, nx)):
                    for cy in range(max(iy - ring, 0), min(iy + ring + 1, ny)):
                        for at in range(starts[cx, cy, first], starts[cx, cy, last + 1]):
                            dx, dy, dz = points[at, 0] - qx, points[at, 1] - qy, points[at, 2] - qz
                            square = dx * dx + dy * dy + dz * dz
                            if square >= squares[row, most - 1]:
                                continue
                            k = most - 1
                            while k > 0 and squares[row, k - 1] > square:
                                squares[row, k] = squares[row, k - 1]
                                found[row, k] = found[row, k - 1]
                                k -= 1
                            squares[row, k] = square
                            found[row, k] = at
                # Whatever lies beyond the cells looked at is further away than this.
                if squares[row, most - 1] <= (ring * side) ** 2:
                    break


def nearest_points(queries: Tensor, grid: PointGrid, reach: float, most: int) -> tuple[Tensor, Tensor]:
    """See `reference.nearest_points`. Few cells around a query are looked at first, and more where these do not settle
    it."""
    found = torch.empty(len(queries), most, dtype=torch.int32)
    squares = torch.empty(len(queries), most)
    points, starts, low = (part.contiguous().numpy() for part in (grid.points, grid.starts, grid.low))
    rows = queries.detach().float().contiguous().numpy()
    side, within = np.float32(grid.side), np.float32(reach)
    _nearest(points, starts, low, side, rows, within, found.numpy(), squares.numpy())
    return torch.where(found >= 0, grid.order[found.clamp(min=0)], -1), squares.sqrt_()
