"""The Triton kernel that finds the nearest points, as a torch function."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lerf.kernels import reference, triton_nearest
from lerf.kernels.triton_launch import LARGER, blocks, launch, power_of_two
from lerf.kernels.types import PointGrid

QUERIES = 128 * LARGER
"""Of a program."""
MOST_KEPT = 8
"""Neighbours of a query; more are found by the definition."""


def nearest_points(queries: Tensor, grid: PointGrid, reach: float, most: int) -> tuple[Tensor, Tensor]:
    """See `reference.nearest_points`."""
    if not 0 < most <= MOST_KEPT:
        return reference.nearest_points(queries, grid, reach, most)
    count, device = len(queries), queries.device
    squares = torch.empty(count, most, device=device)
    found = torch.empty(count, most, dtype=torch.int32, device=device)
    if count:
        numbers = torch.cat([grid.low, *(torch.full((1,), each, device=device) for each in (grid.side, reach))])
        nx, ny, more = grid.starts.shape
        tensors = (queries.detach().float(), grid.points, grid.starts)
        launch(
            triton_nearest.nearest_points, (blocks(count, QUERIES),), *(each.contiguous() for each in tensors), numbers,
            squares, found, count, nx, ny, more - 1, math.ceil(reach / grid.side),
            MOST=most, KEPT=power_of_two(most), BLOCK=QUERIES,
        )  # fmt: skip
    squares, order = squares.sort(dim=-1, stable=True)
    found = found.gather(1, order)
    return torch.where(found >= 0, grid.order[found.clamp(min=0)], -1), squares.sqrt()
