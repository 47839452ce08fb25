"""Products of many rows on the CPU: a walk along a graph, and few texts with many codes."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from lerf.kernels import chebyshev, reference
from lerf.kernels.types import SparseRows

FEW = 12
"""Texts up to which the kernel is faster than a product of matrices."""
BLOCK = 256
"""Rows of a block."""


@njit(parallel=True, fastmath=True, cache=True)
def _turn(starts, columns, values, before, now, total, factor, share):  # type: ignore[no-untyped-def]
    back = factor - np.float32(1.0)
    for row in prange(before.shape[0]):
        drawn = np.float32(0.0)
        # Unsigned, because numba checks signed indices for negative values.
        for entry in range(np.uint64(starts[row]), np.uint64(starts[row + 1])):
            drawn += values[entry] * now[np.uint64(columns[entry])]
        moved = factor * drawn - back * before[row]
        before[row] = moved
        total[row] += share * moved


def propagate(own: Tensor, transition: SparseRows, restart: float, steps: int) -> Tensor:
    """See `reference.propagate`; torch serves several columns, which it reads the matrix for but once."""
    if own.shape[1] != 1:
        return chebyshev.propagate(own, transition, restart, steps)
    starts, columns, values = (part.contiguous().numpy() for part in transition)
    arrays = starts.view(np.uint32), columns.view(np.uint32), values

    def turn(before: Tensor, now: Tensor, total: Tensor, factor: float, share: float) -> None:
        _turn(*arrays, before.numpy(), now.numpy(), total.numpy(), np.float32(factor), np.float32(share))

    return chebyshev.summed(own[:, 0].contiguous(), restart, steps, turn)[:, None]


@njit(parallel=True, fastmath=True, cache=True)
def _few_products(rows, texts, out):  # type: ignore[no-untyped-def]
    count, width = rows.shape[0], np.uint64(rows.shape[1])
    for block in prange((count + BLOCK - 1) // BLOCK):
        for row in range(np.uint64(block * BLOCK), np.uint64(min(count, (block + 1) * BLOCK))):
            for text in range(np.uint64(texts.shape[0])):
                total = np.float32(0.0)
                for k in range(width):
                    total += rows[row, k] * texts[text, k]
                out[text, row] = total


def few_products(rows: Tensor, texts: Tensor) -> Tensor:
    """See `reference.few_products`, which serves more texts than a few."""
    if len(texts) > FEW:
        return reference.few_products(rows, texts)
    out = torch.empty(len(texts), len(rows))
    _few_products(rows.detach().contiguous().numpy(), texts.detach().contiguous().numpy(), out.numpy())
    return out
