"""The numba kernels as torch functions with gradients; tensors are shared with numpy, never copied."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lerf.kernels import cpu_encode, cpu_rays
from lerf.kernels.layout import GridLayout
from lerf.kernels.reference import spacing_of
from lerf.kernels.types import GradientSink, ProposalSettings


def array_of(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


NO_MARKS = np.empty(0, np.uint8)


class _HashEncode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, points, table, layout, sink):  # type: ignore[no-untyped-def,override]
        out = torch.empty(len(points), layout.width)
        cpu_encode.forward_kernel(layout.features)(array_of(points), array_of(table), grid_arrays(layout), out.numpy())
        ctx.save_for_backward(points)
        ctx.table, ctx.layout, ctx.sink = table, layout, sink
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):  # type: ignore[no-untyped-def,override]
        (points,), layout, table = ctx.saved_tensors, ctx.layout, ctx.table
        grad = array_of(grad_out)
        grad_points = grad_table = None
        if ctx.needs_input_grad[1]:
            values, marks, collected = _gradient_of(table, ctx.sink)
            cpu_encode.backward_table_kernel(layout.features)(
                array_of(points),
                grad,
                grid_arrays(layout),
                cpu_encode.level_order(layout.levels),
                values.numpy(),
                marks,
            )
            grad_table = None if collected else values
        if ctx.needs_input_grad[0]:
            grad_points = torch.zeros_like(points)
            cpu_encode.backward_points_kernel(layout.features)(
                array_of(points), grad, array_of(table), grid_arrays(layout), grad_points.numpy()
            )
        return grad_points, grad_table, None, None


class _EncodeComposite(torch.autograd.Function):
    @staticmethod
    def forward(ctx, points, weights, table, layout, sink):  # type: ignore[no-untyped-def,override]
        out = torch.empty(len(points), layout.width)
        cpu_encode.composite_forward_kernel(layout.features)(
            array_of(points), array_of(weights), array_of(table), grid_arrays(layout), out.numpy()
        )
        ctx.save_for_backward(points, weights)
        ctx.table, ctx.layout, ctx.sink = table, layout, sink
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):  # type: ignore[no-untyped-def,override]
        (points, weights), layout, table = ctx.saved_tensors, ctx.layout, ctx.table
        values, marks, collected = _gradient_of(table, ctx.sink)
        cpu_encode.composite_backward_kernel(layout.features)(
            array_of(points), array_of(weights), array_of(grad_out), grid_arrays(layout),
            cpu_encode.level_order(layout.levels), values.numpy(), marks,
        )  # fmt: skip
        return None, None, None if collected else values, None, None


def encode_composite(
    points: Tensor, weights: Tensor, table: Tensor, layout: GridLayout, sink: GradientSink | None = None
) -> Tensor:
    """See `reference.encode_composite`; the table's gradient is collected as by `hash_encode`."""
    return _EncodeComposite.apply(points.detach(), weights.detach(), table, layout, sink)


def _gradient_of(table: Tensor, sink: GradientSink | None) -> tuple[Tensor, np.ndarray, bool]:
    """Where the gradient of a table is added, where its entries are marked, and whether a sink keeps both."""
    if sink is None:
        return torch.zeros_like(table, memory_format=torch.contiguous_format), NO_MARKS, False
    return sink.values, NO_MARKS if sink.touched is None else sink.touched.numpy(), True


def grid_arrays(layout: GridLayout) -> cpu_encode.GridArrays:
    return cpu_encode.GridArrays(layout.resolution_array, layout.offsets, layout.sizes, layout.dense)


def hash_encode(points: Tensor, table: Tensor, layout: GridLayout, sink: GradientSink | None = None) -> Tensor:
    """See `reference.hash_encode`. With a sink the table's gradient is added to it and its entries are marked, and
    `table.grad` stays as it is."""
    return _HashEncode.apply(points, table, layout, sink)


class _RenderWeights(torch.autograd.Function):
    @staticmethod
    def forward(ctx, densities, lengths):  # type: ignore[no-untyped-def,override]
        weights = torch.empty_like(densities, memory_format=torch.contiguous_format)
        cpu_rays.weights_forward(array_of(densities), array_of(lengths), weights.numpy())
        ctx.save_for_backward(densities, lengths, weights)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_weights):  # type: ignore[no-untyped-def,override]
        densities, lengths, weights = ctx.saved_tensors
        grad = torch.empty_like(weights)
        cpu_rays.weights_backward(
            array_of(densities), array_of(lengths), weights.numpy(), array_of(grad_weights), grad.numpy()
        )
        return grad, None


def render_weights(densities: Tensor, lengths: Tensor) -> Tensor:
    """See `reference.render_weights`; no gradient with respect to lengths."""
    return _RenderWeights.apply(densities, lengths)


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weights, values):  # type: ignore[no-untyped-def,override]
        out = torch.empty(len(weights), values.shape[-1])
        cpu_rays.composite_forward(array_of(weights), array_of(values), out.numpy())
        ctx.save_for_backward(weights, values)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):  # type: ignore[no-untyped-def,override]
        weights, values = ctx.saved_tensors
        grad_weights, grad_values = torch.empty(weights.shape), torch.empty(values.shape)
        cpu_rays.composite_backward(
            array_of(weights), array_of(values), array_of(grad_out), grad_weights.numpy(), grad_values.numpy()
        )
        return grad_weights, grad_values


def composite(weights: Tensor, values: Tensor) -> Tensor:
    """See `reference.composite`."""
    return _Composite.apply(weights, values)


def proposal_edges(
    origins: Tensor, directions: Tensor, density_grid: Tensor, jitter: Tensor, settings: ProposalSettings
) -> Tensor:
    """See `reference.proposal_edges`; no gradients."""
    out = torch.empty(len(origins), settings.samples + 1)
    low, high = spacing_of(torch.tensor([settings.near, settings.far], dtype=torch.float32)).tolist()
    numbers = (
        settings.samples, settings.bins, low, high,
        np.float32(settings.anneal), np.float32(settings.padding), np.float32(settings.cap),
    )  # fmt: skip
    cpu_rays.proposal_edges(
        array_of(origins), array_of(directions), array_of(density_grid), array_of(jitter), numbers, out.numpy()
    )
    return out


def refined_edges(edges: Tensor, weights: Tensor, samples: int, padding: float) -> Tensor:
    """See `reference.refined_edges`; no gradients."""
    out = torch.empty(len(edges), samples + 1)
    cpu_rays.refined_edges(array_of(edges), array_of(weights), np.float32(padding), out.numpy())
    return out


def interval_points(origins: Tensor, directions: Tensor, edges: Tensor) -> Tensor:
    """See `reference.interval_points`; no gradients."""
    out = torch.empty(len(edges), edges.shape[1] - 1, 3)
    cpu_rays.interval_points(array_of(origins), array_of(directions), array_of(edges), out.numpy())
    return out
