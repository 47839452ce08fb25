"""Kernels behind one interface: the torch reference defines each, the CPU path (numba; for dense layers oneDNN) is used
for CPU float32 tensors.

`use("reference")` forces the definition, for tests, benchmarks and doubt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from torch import Tensor

from lerf.kernels import reference
from lerf.kernels.layout import GridLayout

Backend = Literal["auto", "reference"]
_backend: Backend = "auto"


@contextmanager
def use(backend: Backend) -> Iterator[None]:
    """Choose the kernels inside a `with` block; not safe to nest across threads."""
    global _backend
    previous, _backend = _backend, backend
    try:
        yield
    finally:
        _backend = previous


def fast_path(tensor: Tensor) -> bool:
    """Whether the CPU kernels serve this tensor."""
    return _backend == "auto" and tensor.device.type == "cpu" and tensor.dtype.itemsize == 4


def hash_encode(points: Tensor, table: Tensor, layout: GridLayout) -> Tensor:
    """See `reference.hash_encode`."""
    if fast_path(table):
        from lerf.kernels import cpu

        return cpu.hash_encode(points, table, layout)
    return reference.hash_encode(points, table, layout)


def encode_composite(points: Tensor, weights: Tensor, table: Tensor, layout: GridLayout) -> Tensor:
    """See `reference.encode_composite`."""
    if fast_path(table):
        from lerf.kernels import cpu

        return cpu.encode_composite(points, weights, table, layout)
    return reference.encode_composite(points, weights, table, layout)


def render_weights(densities: Tensor, lengths: Tensor) -> Tensor:
    """See `reference.render_weights`."""
    if fast_path(densities):
        from lerf.kernels import cpu

        return cpu.render_weights(densities, lengths)
    return reference.render_weights(densities, lengths)


def composite(weights: Tensor, values: Tensor) -> Tensor:
    """See `reference.composite`."""
    if fast_path(values):
        from lerf.kernels import cpu

        return cpu.composite(weights, values)
    return reference.composite(weights, values)


def proposal_edges(origins: Tensor, directions: Tensor, density_grid: Tensor, jitter: Tensor, **settings) -> Tensor:
    """See `reference.proposal_edges`."""
    if fast_path(density_grid):
        from lerf.kernels import cpu

        return cpu.proposal_edges(origins, directions, density_grid, jitter, **settings)
    return reference.proposal_edges(origins, directions, density_grid, jitter, **settings)


def dense_layers(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> Tensor:
    """See `reference.dense_layers`."""
    if fast_path(x) and len(x):
        from lerf.kernels import cpu_dense

        if cpu_dense.available():
            return cpu_dense.dense_layers(x, weights, biases)
    return reference.dense_layers(x, weights, biases)


def unit_vectors(x: Tensor) -> Tensor:
    """See `reference.unit_vectors`."""
    if _backend == "auto":
        from lerf.kernels import unit

        return unit.unit_vectors(x)
    return reference.unit_vectors(x)
