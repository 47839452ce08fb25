"""The references: plain torch, autograd, dense optimisers, and the constants of the paper.

The encoding is that of nerfstudio's torch fallback, which the LERF authors' code runs on where tiny-cuda-nn cannot be
built: all levels at once, eight look-ups. It is several times faster than `lerf.kernels.reference`, which defines the
result level by level, so it is the fairer opponent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from lerf import kernels
from lerf.kernels import reference
from lerf.kernels.layout import HASH_PRIMES, GridLayout
from lerf.kernels.types import GradientSink
from speed.measure import Work


def hash_encode(points: Tensor, table: Tensor, layout: GridLayout, sink: GradientSink | None = None) -> Tensor:
    """`reference.hash_encode` over all levels at once."""
    resolution = torch.from_numpy(layout.resolution_array)
    offsets, sizes, dense = (torch.from_numpy(part) for part in (layout.offsets, layout.sizes, layout.dense))
    scaled = points.clamp(0.0, 1.0)[:, None] * resolution[:, None]
    cell = torch.minimum(scaled.detach().floor(), resolution[:, None].float() - 1)
    fraction, first = scaled - cell, cell.long()
    row = resolution + 1
    total: Tensor | float = 0.0
    for corner in range(8):
        step = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2 & 1])
        x, y, z = (first + step).unbind(-1)
        hashed = ((x * HASH_PRIMES[0]) ^ (y * HASH_PRIMES[1]) ^ (z * HASH_PRIMES[2])) & (sizes - 1)
        index = torch.where(dense, x + (y + z * row) * row, hashed) + offsets
        weight = torch.where(step.bool(), fraction, 1.0 - fraction).prod(-1)
        total = total + weight[..., None] * table[index]
    assert isinstance(total, Tensor)
    return total.flatten(1)


@contextmanager
def torch_only() -> Iterator[None]:
    """Inside, every kernel is plain torch."""
    defined = reference.hash_encode
    reference.hash_encode = hash_encode  # type: ignore[assignment]
    kernels.implementation.cache_clear()
    try:
        with kernels.use("reference"):
            yield
    finally:
        reference.hash_encode = defined
        kernels.implementation.cache_clear()


def plainly(work: Work) -> Work:
    """The work, done by plain torch."""

    def run() -> object:
        with torch_only():
            return work()

    return run


def by_definition(work: Work) -> Work:
    """The work, done by `lerf.kernels.reference` as it stands."""

    def run() -> object:
        with kernels.use("reference"):
            return work()

    return run


class DenseOptimiser:
    """A torch optimiser over a whole table, with the interface of `SparseAdam`."""

    def __init__(self, optimiser: torch.optim.Optimizer) -> None:
        self.optimiser, self.steps = optimiser, 0

    def update(self, rate: float, correction1: float, correction2: float) -> None:
        """Every entry moves, touched or not; torch corrects by itself."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
