"""Adam that moves only what a step has touched.

A step touches a part of a hash table. A dense optimiser would go on moving all other entries by their old momentum, and
make a new gradient tensor every time. Here the backward pass adds to one lasting gradient where the kernels can
(`kernels.types.GradientSink`), and marks the entries that it adds to; the update visits entries whose gradient is not
zero, clears it, and leaves all others, moments included, as they were.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lerf import kernels
from lerf.kernels.types import AdamStep, GradientSink
from lerf.networks.hash_grid import HashGrid
from lerf.training.step_numbers import Number, corrections


class SparseAdam:
    """Adam (Kingma and Ba 2015) over the touched entries of a hash grid's table.

    An entry is touched when any of its gradient's components is not zero. Bias correction counts the optimiser's steps,
    not an entry's visits.
    """

    def __init__(self, grid: HashGrid, *, beta1: float = 0.9, beta2: float = 0.99, epsilon: float = 1e-15) -> None:
        """From now on the grid's gradient is collected for this optimiser, where its kernels can."""
        self.grid, self.betas, self.epsilon = grid, (beta1, beta2), epsilon
        self.steps = 0
        self.first, self.second = torch.zeros_like(grid.table.data), torch.zeros_like(grid.table.data)
        backend = kernels.backend_of("hash_encode", grid.table)
        collects = backend in ("cpu", "triton")
        grid.sink = GradientSink.of(grid.table, marked=backend == "cpu") if collects else None

    def step(self, rate: float) -> None:
        """Update with learning rate `rate` and clear the gradient."""
        self.steps += 1
        self.update(rate, *(number(self.steps - 1) for number in corrections(*self.betas).values()))

    @torch.no_grad()
    def update(self, rate: Number, correction1: Number, correction2: Number) -> None:
        """As `step`, with the corrections given, and without counting it."""
        step = AdamStep(rate, *self.betas, self.epsilon, correction1, correction2)
        table, sink = self.grid.table, self.grid.sink
        if table.grad is not None:
            kernels.sparse_adam(table.data, table.grad, self.first, self.second, step)
            table.grad = None
        elif sink is not None:
            kernels.sparse_adam(table.data, sink.values, self.first, self.second, step, sink.touched)

    def clear(self) -> None:
        """Forget the gradient."""
        sink, self.grid.table.grad = self.grid.sink, None
        if sink is not None:
            sink.values.zero_()
            if sink.touched is not None:
                sink.touched.zero_()

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed run needs to continue exactly."""
        return {"first": self.first, "second": self.second, "steps": torch.tensor(self.steps)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        self.first.copy_(state["first"])
        self.second.copy_(state["second"])
        self.steps = int(state["steps"])


def exponential_decay(step: int, steps: int, start: float, end: float, warmup: int = 0) -> float:
    """Learning rate that falls exponentially from `start` to `end` over `steps`, after a linear rise over `warmup`."""
    rate = start * math.exp(math.log(end / start) * min(step / max(steps, 1), 1.0))
    return rate * min(1.0, (step + 1) / (warmup + 1)) if warmup else rate
