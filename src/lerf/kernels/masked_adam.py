"""Sparse Adam in torch over the whole table: no GPU is asked which entries have a gradient and waited for."""

from __future__ import annotations

import torch
from torch import Tensor

from lerf.kernels.types import AdamStep


def sparse_adam(
    table: Tensor, gradient: Tensor, first: Tensor, second: Tensor, step: AdamStep, touched: Tensor | None = None
) -> None:
    """See `reference.sparse_adam`; entries without a gradient are written as they are."""
    moved = (gradient != 0).any(-1, keepdim=True)
    mean = (first * step.beta1).add_(gradient, alpha=1 - step.beta1)
    square = (second * step.beta2).addcmul_(gradient, gradient, value=1 - step.beta2)
    first.copy_(torch.where(moved, mean, first))
    second.copy_(torch.where(moved, square, second))
    change = step.rate * (mean * step.correction1) / (square * step.correction2).sqrt_().add_(step.epsilon)
    table -= torch.where(moved, change, 0.0)
    gradient.zero_()
    if touched is not None:
        touched.zero_()
