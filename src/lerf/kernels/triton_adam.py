"""Sparse Adam in Triton: the whole step in one launch."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def sparse_adam(
    table_ptr, grad_ptr, first_ptr, second_ptr, rate_ptr, correction1_ptr, correction2_ptr, betas_ptr, entries,
    FEATURES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """`reference.sparse_adam`; of entries without a gradient nothing but the gradient is read.

    Its numbers are read from the device, where they may be computed: `betas` are beta1, 1 - beta1, beta2, 1 - beta2 and
    epsilon.
    """
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    at = row[:, None] * FEATURES + tl.arange(0, FEATURES)[None, :]
    grad = tl.load(grad_ptr + at, mask=(row < entries)[:, None], other=0.0)
    touched = (tl.max((grad != 0.0).to(tl.int32), 1) > 0)[:, None]
    mean = tl.load(betas_ptr) * tl.load(first_ptr + at, mask=touched, other=0.0) + tl.load(betas_ptr + 1) * grad
    square = tl.load(betas_ptr + 2) * tl.load(second_ptr + at, mask=touched, other=0.0)
    square += tl.load(betas_ptr + 3) * grad * grad
    root = tl.sqrt(square * tl.load(correction2_ptr)) + tl.load(betas_ptr + 4)
    old = tl.load(table_ptr + at, mask=touched, other=0.0)
    new = old - tl.load(rate_ptr) * (mean * tl.load(correction1_ptr)) / root
    tl.store(first_ptr + at, mean, mask=touched)
    tl.store(second_ptr + at, square, mask=touched)
    tl.store(table_ptr + at, new, mask=touched)
    tl.store(grad_ptr + at, tl.zeros_like(grad), mask=touched)
