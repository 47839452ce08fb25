"""Functions of the radiance field whose gradients are not those of their values."""

from __future__ import annotations

import torch
from torch import Tensor


class _Exponential(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits):  # type: ignore[no-untyped-def,override]
        value = torch.exp(logits.clamp(max=15.0))
        ctx.save_for_backward(value)
        return value

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def,override]
        (value,) = ctx.saved_tensors
        return grad * value.clamp(max=1e4)


def exponential(logits: Tensor) -> Tensor:
    """exp(x) for x up to 15, and its gradient up to 10,000: one dense sample cannot blow a step up (instant-ngp)."""
    return _Exponential.apply(logits)


class _GradientScale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value, factor):  # type: ignore[no-untyped-def,override]
        ctx.save_for_backward(factor)
        return value.view_as(value)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def,override]
        return grad * ctx.saved_tensors[0], None


def scale_gradient(value: Tensor, factor: Tensor) -> Tensor:
    """The value itself, whose gradient is multiplied by `factor`."""
    return _GradientScale.apply(value, factor)
