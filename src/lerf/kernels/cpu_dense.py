"""Dense layers by oneDNN: bias and rectifier are applied while a product's result is still in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lerf.kernels import reference


@cache
def available() -> bool:
    """Whether this torch was built with oneDNN's fused linear layer."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None, after: str = "none") -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, after, [], "")


class _Layers(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, *parameters):  # type: ignore[no-untyped-def,override]
        count = len(parameters) // 2
        weights, biases = parameters[:count], parameters[count:]
        inputs = [x]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            inputs.append(_linear(inputs[-1], weight, bias, "relu"))
        ctx.save_for_backward(*inputs, *weights)
        return _linear(inputs[-1], weights[-1], biases[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def,override]
        count = len(ctx.saved_tensors) // 2
        inputs, weights = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        with_bias = ctx.needs_input_grad[1 + count :]
        of_weights: list[Tensor | None] = [None] * count
        of_biases: list[Tensor | None] = [None] * count
        for layer in reversed(range(count)):
            if layer < count - 1:
                # The rectified output is zero exactly where the rectifier stopped the input.
                grad = torch.ops.aten.threshold_backward(grad, inputs[layer + 1], 0.0)
            of_weights[layer] = grad.t() @ inputs[layer]
            of_biases[layer] = grad.sum(0) if with_bias[layer] else None
            if layer > 0 or ctx.needs_input_grad[0]:
                grad = _linear(grad, weights[layer].t(), None)
        return (grad if ctx.needs_input_grad[0] else None, *of_weights, *of_biases)


def dense_layers(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> Tensor:
    """See `reference.dense_layers`, which serves calls without rows, and builds of torch without oneDNN."""
    if not len(x) or not available():
        return reference.dense_layers(x, weights, biases)
    if torch.is_grad_enabled():
        return _Layers.apply(x, *weights, *biases)
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        x = _linear(x, weight, bias, "relu")
    return _linear(x, weights[-1], biases[-1])
