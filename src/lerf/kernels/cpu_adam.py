"""Sparse Adam on the CPU: numba, threads, float32."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from lerf.kernels.types import MARKS_A_WORD, AdamStep

WORDS = 2048
"""Words of marks that a thread goes through at a time."""
GATHERED = 256
"""Entries that are copied together, worked on as one stream and copied back."""


@njit(parallel=True, fastmath=True, cache=True)
def _adam_touched(table, grad, marks, first, second, step):  # type: ignore[no-untyped-def]
    """`marks` are of entries, as many as can be read as words of `MARKS_A_WORD`; they are cleared.

    Entries lie far apart, so what takes the time is to wait for them. Loops that only copy have so few instructions
    that the processor waits for many entries at once; between them the arithmetic runs over what lies together.
    """
    one, zero = np.float32(1.0), np.float32(0.0)
    rate, beta1, beta2, epsilon, correction1, correction2 = step
    words = marks.view(np.uint64)
    entries, features = table.shape[0], table.shape[1]
    for block in prange((words.shape[0] + WORDS - 1) // WORDS):
        rows, count = np.empty(WORDS * MARKS_A_WORD, np.int64), 0
        for word in range(block * WORDS, min((block + 1) * WORDS, words.shape[0])):
            if words[word] == 0:
                continue
            for entry in range(word * MARKS_A_WORD, min((word + 1) * MARKS_A_WORD, entries)):
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


def sparse_adam(
    table: Tensor, gradient: Tensor, first: Tensor, second: Tensor, step: AdamStep, touched: Tensor | None = None
) -> None:
    """See `reference.sparse_adam`; without marks, those of the entries that have a gradient are set first."""
    if touched is None:
        touched = torch.zeros(-(-len(table) // MARKS_A_WORD) * MARKS_A_WORD, dtype=torch.uint8)
        touched[: len(table)] = (gradient != 0).any(-1)
    numbers = tuple(np.float32(value) for value in step)
    _adam_touched(table.numpy(), gradient.numpy(), touched.numpy(), first.numpy(), second.numpy(), numbers)
