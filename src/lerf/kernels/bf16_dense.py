"""Dense layers in bfloat16 while they are trained: products of two 16-bit numbers, summed in single precision.

Matrix units of a GPU multiply such numbers several times as fast as single ones, and what backward passes keep takes
half the memory. Parameters, their gradients and the result stay single.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lerf.kernels import reference

LOW = torch.bfloat16


class _Layers(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, *parameters):  # type: ignore[no-untyped-def,override]
        count = len(parameters) // 2
        weights, biases = parameters[:count], parameters[count:]
        low = _together([*weights, *(bias for bias in biases[:-1] if bias is not None)], LOW)
        low_weights, low_biases = low[:count], iter(low[count:])
        inputs = [x.to(LOW)]
        for weight, bias in zip(low_weights[:-1], biases[:-1], strict=True):
            last = inputs[-1]
            out = last @ weight.t() if bias is None else torch.addmm(next(low_biases), last, weight.t())
            inputs.append(out.relu_())
        ctx.save_for_backward(*inputs, *low_weights)
        out = (inputs[-1] @ low_weights[-1].t()).float()
        return out if biases[-1] is None else out.add_(biases[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def,override]
        count = len(ctx.saved_tensors) // 2
        inputs, low_weights = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        with_bias = ctx.needs_input_grad[1 + count :]
        of_weights: list[Tensor] = []
        of_biases: list[Tensor | None] = []
        for layer in reversed(range(count)):
            of_biases.insert(0, grad.sum(0, dtype=torch.float32) if with_bias[layer] else None)
            grad = grad.to(LOW)
            of_weights.insert(0, grad.t() @ inputs[layer])
            if layer > 0:
                # The rectified output is zero exactly where the rectifier stopped the input.
                grad = torch.ops.aten.threshold_backward(grad @ low_weights[layer], inputs[layer], 0.0)
        of_x = (grad @ low_weights[0]).float() if ctx.needs_input_grad[0] else None
        return of_x, *_together(of_weights, torch.float32), *of_biases


def _together(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Copies of another type, made by one launch."""
    copies = [torch.empty_like(each, dtype=dtype, memory_format=torch.contiguous_format) for each in tensors]
    torch._foreach_copy_(copies, list(tensors))
    return copies


def dense_layers(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> Tensor:
    """See `reference.dense_layers`, which serves calls without gradients: what is learnt is asked in single precision,
    as on a CPU."""
    if not torch.is_grad_enabled():
        return reference.dense_layers(x, weights, biases)
    return _Layers.apply(x, *weights, *biases)
