"""Adam that moves only what a step has touched.

A step touches a part of a hash table. A dense optimiser would go on moving all other entries by their old momentum, and
make a new gradient tensor every time. Here the backward pass adds to one lasting gradient; the update visits entries
whose gradient is not zero, clears it, and leaves all others, moments included, as they were. The backward pass marks
the entries that it adds to, so that the update need not read the gradients of a whole table to find them.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from lerf import kernels

TOGETHER = 8
"""Entries whose marks are read as one 64-bit word."""


WORDS = 2048
"""Words of marks that a thread goes through at a time."""
GATHERED = 256
"""Entries that are copied together, worked on as one stream and copied back."""


@njit(parallel=True, fastmath=True, cache=True)
def _adam_touched(table, grad, marks, first, second, rate, beta1, beta2, epsilon, correction1, correction2):  # type: ignore[no-untyped-def]
    """`marks` are of entries, as many as can be read as words of `TOGETHER`; they are cleared.

    Entries lie far apart, so what takes the time is to wait for them. Loops that only copy have so few instructions
    that the processor waits for many entries at once; between them the arithmetic runs over what lies together.
    """
    one, zero = np.float32(1.0), np.float32(0.0)
    words = marks.view(np.uint64)
    entries, features = table.shape[0], table.shape[1]
    for block in prange((words.shape[0] + WORDS - 1) // WORDS):
        rows, count = np.empty(WORDS * TOGETHER, np.int64), 0
        for word in range(block * WORDS, min((block + 1) * WORDS, words.shape[0])):
            if words[word] == 0:
                continue
            for entry in range(word * TOGETHER, min((word + 1) * TOGETHER, entries)):
                if marks[entry] != 0:
                    largest = zero
                    for f in range(features):
                        largest = max(largest, abs(grad[entry, f]))
                    rows[count] = entry
                    count += largest > zero
            words[word] = 0
        size = GATHERED * features
        g, m = np.empty(size, np.float32), np.empty(size, np.float32)
        v, move = np.empty(size, np.float32), np.empty(size, np.float32)
        for start in range(0, count, GATHERED):
            held = min(GATHERED, count - start)
            for place in range(held):
                entry = rows[start + place]
                for f in range(features):
                    g[place * features + f] = grad[entry, f]
                    grad[entry, f] = zero
            for place in range(held):
                entry = rows[start + place]
                for f in range(features):
                    m[place * features + f] = first[entry, f]
            for place in range(held):
                entry = rows[start + place]
                for f in range(features):
                    v[place * features + f] = second[entry, f]
            for i in range(held * features):
                mean = beta1 * m[i] + (one - beta1) * g[i]
                square = beta2 * v[i] + (one - beta2) * g[i] * g[i]
                m[i], v[i] = mean, square
                move[i] = rate * (mean * correction1) / (np.sqrt(square * correction2) + epsilon)
            for place in range(held):
                entry = rows[start + place]
                for f in range(features):
                    first[entry, f] = m[place * features + f]
            for place in range(held):
                entry = rows[start + place]
                for f in range(features):
                    second[entry, f] = v[place * features + f]
            for place in range(held):
                entry = rows[start + place]
                for f in range(features):
                    table[entry, f] -= move[place * features + f]


class SparseAdam:
    """Adam (Kingma and Ba 2015) over the touched entries of one table [entries, features].

    An entry is touched when any of its gradient's components is not zero. Bias correction counts the optimiser's steps,
    not an entry's visits. On the CPU the kernels collect the gradient in `table.gradient_sink` and mark its entries in
    `table.gradient_touched`; elsewhere it is in `table.grad`.
    """

    def __init__(self, table: Tensor, *, beta1: float = 0.9, beta2: float = 0.99, epsilon: float = 1e-15) -> None:
        self.table, self.betas, self.epsilon = table, (beta1, beta2), epsilon
        self.steps = 0
        self.first, self.second = torch.zeros_like(table.data), torch.zeros_like(table.data)
        self.sink: Tensor | None = None
        self.touched = torch.zeros(-(-len(table) // TOGETHER) * TOGETHER, dtype=torch.uint8)
        if kernels.fast_path(table):
            self.sink = torch.zeros_like(table.data)
            table.gradient_sink = self.sink  # type: ignore[attr-defined]
            table.gradient_touched = self.touched  # type: ignore[attr-defined]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update with learning rate `rate` and clear the gradient."""
        self.steps += 1
        beta1, beta2 = self.betas
        correction1, correction2 = 1 / (1 - beta1**self.steps), 1 / (1 - beta2**self.steps)
        if self.table.grad is None and self.sink is not None:
            _adam_touched(
                self.table.data.numpy(), self.sink.numpy(), self.touched.numpy(),
                self.first.numpy(), self.second.numpy(),
                np.float32(rate), np.float32(beta1), np.float32(beta2), np.float32(self.epsilon),
                np.float32(correction1), np.float32(correction2),
            )  # fmt: skip
            return
        grad = self.table.grad
        if grad is None:
            return
        rows = (grad != 0).any(-1).nonzero().squeeze(-1)
        g = grad[rows]
        m = self.first[rows].mul_(beta1).add_(g, alpha=1 - beta1)
        v = self.second[rows].mul_(beta2).addcmul_(g, g, value=1 - beta2)
        self.first[rows], self.second[rows] = m, v
        self.table.data[rows] -= rate * (m * correction1) / ((v * correction2).sqrt_().add_(self.epsilon))
        self.table.grad = None

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
