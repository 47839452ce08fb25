"""Adam over the entries that a step has touched, against torch's fused Adam over all."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from lerf import kernels
from lerf.training.optimiser import SparseAdam
from speed import floors, scenery
from speed.machine import Rates
from speed.measure import Row, compare, row, timed
from speed.sizes import Sizes


def rows(sizes: Sizes, rates: Rates) -> Iterator[Row]:
    """One step on the language grid, gradient cleared."""
    field, pool = scenery.language_field(sizes), scenery.ray_pool(sizes, sizes.rays)
    table = field.grid.table
    dense = torch.nn.Parameter(table.detach().clone())
    sparse = SparseAdam(field.grid)
    adam = torch.optim.Adam([dense], lr=1e-2, betas=(0.9, 0.99), eps=1e-15, fused=True)
    field.features(pool.rays.positions.reshape(-1, 3)).sum().backward()
    sink = field.grid.sink
    assert sink is not None
    dense.grad = sink.values.clone()
    touched = int((sink.values != 0).any(-1).sum())
    kept, marks = sink.values.clone(), sink.touched.clone()

    def prepare() -> None:
        sink.values.copy_(kept)
        sink.touched.copy_(marks)
        assert dense.grad is not None
        dense.grad.copy_(kept)

    def dense_step() -> None:
        adam.step()
        adam.zero_grad(set_to_none=False)

    work = f"{len(table)} entries x {table.shape[1]}, {touched / len(table):.0%} touched"
    ours = {"Adam, touched entries": lambda: sparse.step(1e-2)}
    yield from compare("optimiser", work, ours, dense_step, sizes.slow_repeats, prepare=prepare)
    floor = floors.adam(touched, table.shape[1]).floor(rates)
    times = timed(lambda: sparse.step(1e-2), sizes.repeats, prepare)
    yield row("floor", "Adam, touched entries", work, [value / floor for value in times], "x floor")
    assert kernels.backend_of("sparse_adam", table) == "cpu"
