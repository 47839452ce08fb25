"""What this machine can do at most, measured: the yardstick of every floor.

Three rates: products of large matrices, copies of memory, and reads of table rows at random places. No stage can be
faster than its counted operations, bytes and random reads at these rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import torch
from numba import njit, prange

from speed.measure import seconds


@dataclass(frozen=True)
class Rates:
    """Measured rates of this machine with all its threads."""

    flops: float
    """Floating-point operations a second of a product of large matrices; a multiplication and an addition are two."""
    bytes: float
    """Bytes a second of a copy, read and written together."""
    reads: float
    """Random reads a second of 8 bytes from a table larger than the caches."""


@njit(parallel=True, cache=True)
def _gather(table, index, sums):  # type: ignore[no-untyped-def]
    share = index.shape[0] // sums.shape[0]
    for part in prange(sums.shape[0]):
        total = np.float32(0.0)
        for i in range(part * share, (part + 1) * share):
            row = index[i]
            total += table[row, 0] + table[row, 1]
        sums[part] = total


def measure(side: int, repeats: int = 5) -> Rates:
    """The best of several tries of each, because a floor is what can be reached."""
    a, b = torch.rand(side, side), torch.rand(side, side)
    out = torch.empty(side, side)
    source, target = torch.rand(16 * side * side), torch.empty(16 * side * side)
    table = np.random.default_rng(0).random((4 * side * side, 2), dtype=np.float32)
    index = np.random.default_rng(1).integers(0, len(table), 2 * side * side).astype(np.uint32)
    sums = np.zeros(4 * numba.get_num_threads(), np.float32)
    _gather(table, index, sums)
    torch.mm(a, b, out=out)
    tries = range(repeats)
    product = min(seconds(lambda: torch.mm(a, b, out=out)) for _ in tries)
    copy = min(seconds(lambda: target.copy_(source)) for _ in tries)
    reads = min(seconds(lambda: _gather(table, index, sums)) for _ in tries)
    return Rates(2 * side**3 / product, 2 * 4 * len(source) / copy, len(index) / reads)
