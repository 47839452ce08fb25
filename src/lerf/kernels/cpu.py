"""The numba kernels as torch functions with gradients; tensors are shared with numpy, never copied."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lerf.kernels import cpu_encode, cpu_rays
from lerf.kernels.layout import GridLayout
from lerf.kernels.reference import spacing_of


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


NO_MARKS = np.empty(0, np.uint8)


class _HashEncode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, points, table, layout):  # type: ignore[no-untyped-def,override]
        out = torch.empty(len(points), layout.width)
        cpu_encode.forward_kernel(layout.features)(_array(points), _array(table), *_shape(layout), out.numpy())
        ctx.save_for_backward(points)
        ctx.table, ctx.layout = table, layout
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):  # type: ignore[no-untyped-def,override]
        (points,), layout, table = ctx.saved_tensors, ctx.layout, ctx.table
        grad = _array(grad_out)
        grad_points = grad_table = None
        if ctx.needs_input_grad[1]:
            values, marks, collected = _gradient_of(table)
            cpu_encode.backward_table_kernel(layout.features)(
                _array(points), grad, *_shape(layout), cpu_encode.level_order(layout.levels), values.numpy(), marks
            )
            grad_table = None if collected else values
        if ctx.needs_input_grad[0]:
            grad_points = torch.zeros_like(points)
            cpu_encode.backward_points_kernel(layout.features)(
                _array(points), grad, _array(table), *_shape(layout), grad_points.numpy()
            )
        return grad_points, grad_table, None


class _EncodeComposite(torch.autograd.Function):
    @staticmethod
    def forward(ctx, points, weights, table, layout):  # type: ignore[no-untyped-def,override]
        out = torch.empty(len(points), layout.width)
        cpu_encode.composite_forward_kernel(layout.features)(
            _array(points), _array(weights), _array(table), *_shape(layout), out.numpy()
        )
        ctx.save_for_backward(points, weights)
        ctx.table, ctx.layout = table, layout
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):  # type: ignore[no-untyped-def,override]
        (points, weights), layout, table = ctx.saved_tensors, ctx.layout, ctx.table
        values, marks, collected = _gradient_of(table)
        cpu_encode.composite_backward_kernel(layout.features)(
            _array(points), _array(weights), _array(grad_out), *_shape(layout),
            cpu_encode.level_order(layout.levels), values.numpy(), marks,
        )  # fmt: skip
        return None, None, None if collected else values, None


def encode_composite(points: Tensor, weights: Tensor, table: Tensor, layout: GridLayout) -> Tensor:
    """See `reference.encode_composite`; the table's gradient is collected as by `hash_encode`."""
    return _EncodeComposite.apply(points.detach(), weights.detach(), table, layout)


def _gradient_of(table: Tensor) -> tuple[Tensor, np.ndarray, bool]:
    """Where the gradient of a table is added, where its entries are marked, and whether the table itself keeps both."""
    sink, touched = getattr(table, "gradient_sink", None), getattr(table, "gradient_touched", None)
    if sink is None:
        return torch.zeros_like(table, memory_format=torch.contiguous_format), NO_MARKS, False
    return sink, NO_MARKS if touched is None else touched.numpy(), True


def _shape(layout: GridLayout) -> tuple[np.ndarray, ...]:
    return layout.resolution_array, layout.offsets, layout.sizes, layout.dense


def hash_encode(points: Tensor, table: Tensor, layout: GridLayout) -> Tensor:
    """See `reference.hash_encode`.

    A table that carries a tensor `gradient_sink` of its own shape collects its gradient there instead of in a new
    tensor every step, and marks the entries that it adds to with a 1 in `gradient_touched`, uint8 of at least as many
    entries, if it carries that too; the optimiser that put them there (`training/optimiser.py`) clears both.
    """
    return _HashEncode.apply(points, table, layout)


class _RenderWeights(torch.autograd.Function):
    @staticmethod
    def forward(ctx, densities, lengths):  # type: ignore[no-untyped-def,override]
        weights = torch.empty_like(densities, memory_format=torch.contiguous_format)
        cpu_rays.weights_forward(_array(densities), _array(lengths), weights.numpy())
        ctx.save_for_backward(densities, lengths, weights)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_weights):  # type: ignore[no-untyped-def,override]
        densities, lengths, weights = ctx.saved_tensors
        grad = torch.empty_like(weights)
        cpu_rays.weights_backward(
            _array(densities), _array(lengths), weights.numpy(), _array(grad_weights), grad.numpy()
        )
        return grad, None


def render_weights(densities: Tensor, lengths: Tensor) -> Tensor:
    """See `reference.render_weights`; no gradient with respect to lengths."""
    return _RenderWeights.apply(densities, lengths)


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weights, values):  # type: ignore[no-untyped-def,override]
        out = torch.empty(len(weights), values.shape[-1])
        cpu_rays.composite_forward(_array(weights), _array(values), out.numpy())
        ctx.save_for_backward(weights, values)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):  # type: ignore[no-untyped-def,override]
        weights, values = ctx.saved_tensors
        grad_weights, grad_values = torch.empty(weights.shape), torch.empty(values.shape)
        cpu_rays.composite_backward(
            _array(weights), _array(values), _array(grad_out), grad_weights.numpy(), grad_values.numpy()
        )
        return grad_weights, grad_values


def composite(weights: Tensor, values: Tensor) -> Tensor:
    """See `reference.composite`."""
    return _Composite.apply(weights, values)


def proposal_edges(
    origins: Tensor,
    directions: Tensor,
    density_grid: Tensor,
    jitter: Tensor,
    *,
    samples: int,
    bins: int,
    near: float,
    far: float,
    anneal: float,
    padding: float,
    cap: float,
) -> Tensor:
    """See `reference.proposal_edges`; no gradients."""
    out = torch.empty(len(origins), samples + 1)
    low, high = spacing_of(torch.tensor([near, far], dtype=torch.float32)).tolist()
    cpu_rays.proposal_edges(
        _array(origins), _array(directions), _array(density_grid), _array(jitter), samples, bins, low, high,
        np.float32(anneal), np.float32(padding), np.float32(cap), out.numpy(),
    )  # fmt: skip
    return out
