"""The Triton kernels as torch functions with gradients.

What they cannot serve, numbers of other than 32 bits and features whose count is no power of two, goes to the
definition. Numbers that a step may change (`AdamStep`, `ProposalSettings.anneal`) can be tensors on the device, so that
a recorded step need not be recorded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lerf.geometry.harmonics import COUNTS
from lerf.kernels import reference, triton_adam, triton_encode, triton_rays
from lerf.kernels.layout import GridLayout
from lerf.kernels.reference import spacing_of
from lerf.kernels.triton_launch import LARGER, blocks, launch, number, power_of_two
from lerf.kernels.types import AdamStep, GradientSink, ProposalSettings

POINTS, RAYS, ENTRIES = 128 * LARGER, 64 * LARGER, 256 * LARGER
"""Points, rays and entries of a program."""
NUMBERS = 1024 * LARGER
"""Numbers of a program that has whole rays."""
MOST_PADDED = 1024
"""Samples or bins of a ray, padded; rays of more go to the definition."""


def hash_encode(points: Tensor, table: Tensor, layout: GridLayout, sink: GradientSink | None = None) -> Tensor:
    """See `reference.hash_encode`. With a sink the table's gradient is added to it, and `table.grad` stays as it is."""
    if not _fits(layout, points, table):
        return reference.hash_encode(points, table, layout, sink)
    return _HashEncode.apply(points, table, layout, sink)


def encoded_layers(
    points: Tensor, table: Tensor, layout: GridLayout, weights: Sequence[Tensor], biases: Sequence[Tensor | None]
) -> Tensor:
    """See `reference.encoded_layers`."""
    return reference.dense_layers(hash_encode(points, table, layout), weights, biases)


def encode_composite(
    points: Tensor, weights: Tensor, table: Tensor, layout: GridLayout, sink: GradientSink | None = None
) -> Tensor:
    """See `reference.encode_composite`; the table's gradient is collected as by `hash_encode`."""
    if not _fits(layout, points, weights, table):
        return reference.encode_composite(points, weights, table, layout, sink)
    return _EncodeComposite.apply(points.detach(), weights.detach(), table, layout, sink)


def render_weights(densities: Tensor, lengths: Tensor) -> Tensor:
    """See `reference.render_weights`; no gradient with respect to lengths."""
    if not _are_single(densities, lengths) or densities.shape[1] > MOST_PADDED:
        return reference.render_weights(densities, lengths)
    return _RenderWeights.apply(densities, lengths)


def composite(weights: Tensor, values: Tensor) -> Tensor:
    """See `reference.composite`."""
    return _Composite.apply(weights, values) if _are_single(weights, values) else reference.composite(weights, values)


def proposal_edges(
    origins: Tensor, directions: Tensor, density_grid: Tensor, jitter: Tensor, settings: ProposalSettings
) -> Tensor:
    """See `reference.proposal_edges`; no gradients."""
    samples, bins = settings.samples, settings.bins
    if max(bins, samples + 1) > MOST_PADDED or not _are_single(origins, directions, density_grid, jitter):
        return reference.proposal_edges(origins, directions, density_grid, jitter, settings)
    rays, padded, edges = len(origins), power_of_two(bins), power_of_two(samples + 1)
    out = torch.empty(rays, samples + 1, device=origins.device)
    block = _rays_of(max(padded, edges))
    if rays:
        launch(
            triton_rays.proposal_edges, (blocks(rays, block),), *_whole(origins, directions, density_grid, jitter),
            _proposal_numbers(settings.near, settings.far, settings.padding, settings.cap, str(origins.device)),
            number(settings.anneal, origins), out, rays, samples, bins, len(density_grid),
            PADDED=padded, EDGES=edges, BLOCK=block,
        )  # fmt: skip
    return out


def refined_edges(edges: Tensor, weights: Tensor, samples: int, padding: float) -> Tensor:
    """See `reference.refined_edges`; no gradients."""
    rays, bins = weights.shape
    if max(bins, samples + 1) > MOST_PADDED or not _are_single(edges, weights):
        return reference.refined_edges(edges, weights, samples, padding)
    out = torch.empty(rays, samples + 1, device=edges.device)
    padded, width = power_of_two(bins), power_of_two(samples + 1)
    block = _rays_of(max(padded, width))
    if rays:
        launch(
            triton_rays.refined_edges, (blocks(rays, block),), *_whole(edges, weights), number(padding, edges), out,
            rays, samples, bins, PADDED=padded, EDGES=width, BLOCK=block,
        )  # fmt: skip
    return out


def interval_points(origins: Tensor, directions: Tensor, edges: Tensor) -> Tensor:
    """See `reference.interval_points`; no gradients."""
    rays, samples = edges.shape[0], edges.shape[1] - 1
    if not _are_single(origins, directions, edges):
        return reference.interval_points(origins, directions, edges)
    out = torch.empty(rays, samples, 3, device=edges.device)
    if out.numel():
        launch(
            triton_rays.interval_points, (blocks(rays * samples, POINTS),), *_whole(origins, directions, edges), out,
            rays, samples, BLOCK=POINTS,
        )  # fmt: skip
    return out


def direction_harmonics(directions: Tensor) -> Tensor:
    """See `reference.direction_harmonics`, which it is where directions have gradients."""
    if directions.requires_grad or not _are_single(directions):
        return reference.direction_harmonics(directions)
    out = torch.empty(len(directions), COUNTS[-1], device=directions.device)
    if len(directions):
        launch(
            triton_rays.direction_harmonics, (blocks(len(directions), POINTS),), *_whole(directions), out,
            len(directions), BLOCK=POINTS,
        )  # fmt: skip
    return out


def heaviest(weights: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """See `reference.heaviest`."""
    rays, samples = weights.shape
    if samples > MOST_PADDED or not _are_single(weights):
        return reference.heaviest(weights, count)
    values = torch.empty(rays, count, device=weights.device)
    order = torch.empty(rays, count, dtype=torch.int64, device=weights.device)
    padded = power_of_two(samples)
    if values.numel():
        block = _rays_of(padded)
        launch(
            triton_rays.heaviest, (blocks(rays, block),), *_whole(weights), values, order, rays, samples, count,
            PADDED=padded, BLOCK=block,
        )  # fmt: skip
    return values, order


def sparse_adam(
    table: Tensor, gradient: Tensor, first: Tensor, second: Tensor, step: AdamStep, touched: Tensor | None = None
) -> None:
    """See `reference.sparse_adam`; marks are not looked at: to set them costs more than to read the gradient."""
    entries, features = table.shape
    ours = (table, gradient, first, second)
    if features & (features - 1) or not _are_single(*ours) or not all(each.is_contiguous() for each in ours):
        reference.sparse_adam(table, gradient, first, second, step, touched)
        return
    betas = _betas(step.beta1, step.beta2, step.epsilon, str(table.device))
    moving = (number(each, table) for each in (step.rate, step.correction1, step.correction2))
    launch(
        triton_adam.sparse_adam, (blocks(entries, ENTRIES),), *ours, *moving, betas, entries,
        FEATURES=features, BLOCK=ENTRIES,
    )  # fmt: skip
    if touched is not None:
        touched.zero_()


class _HashEncode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, points, table, layout, sink):  # type: ignore[no-untyped-def,override]
        points = points.contiguous()
        out = torch.empty(len(points), layout.width, device=table.device)
        _encode(triton_encode.forward, layout, len(points), *_whole(points, table), out)
        ctx.save_for_backward(points)
        ctx.table, ctx.layout, ctx.sink = table, layout, sink
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):  # type: ignore[no-untyped-def,override]
        (points,), layout, table = ctx.saved_tensors, ctx.layout, ctx.table
        grad, grad_points, grad_table = grad_out.contiguous(), None, None
        if ctx.needs_input_grad[1]:
            values, collected = _gradient_of(table, ctx.sink)
            _encode(triton_encode.backward_table, layout, len(points), points, grad, values)
            grad_table = None if collected else values
        if ctx.needs_input_grad[0]:
            grad_points = torch.empty_like(points)
            if len(points):
                launch(
                    triton_encode.backward_points, (blocks(len(points), POINTS),), points, grad, *_whole(table),
                    grad_points, _shape_of(layout, str(points.device)), len(points),
                    LEVELS=layout.levels, FEATURES=layout.features, BLOCK=POINTS,
                )  # fmt: skip
        return grad_points, grad_table, None, None


def _encode(kernel, layout: GridLayout, count: int, *tensors: Tensor) -> None:  # type: ignore[no-untyped-def]
    """One of the kernels that go through points and levels."""
    if count and layout.levels:
        launch(
            kernel, (blocks(count, POINTS), layout.levels), *tensors, _shape_of(layout, str(tensors[0].device)), count,
            LEVELS=layout.levels, FEATURES=layout.features, BLOCK=POINTS,
        )  # fmt: skip


class _EncodeComposite(torch.autograd.Function):
    @staticmethod
    def forward(ctx, points, weights, table, layout, sink):  # type: ignore[no-untyped-def,override]
        points, weights = _whole(points, weights)
        rays, samples = weights.shape
        out = torch.empty(rays, layout.width, device=table.device)
        if out.numel():
            launch(
                triton_encode.composite_forward, (blocks(rays, RAYS), layout.levels), points, weights, *_whole(table),
                out, _shape_of(layout, str(table.device)), rays, samples,
                LEVELS=layout.levels, FEATURES=layout.features, BLOCK=RAYS,
            )  # fmt: skip
        ctx.save_for_backward(points, weights)
        ctx.table, ctx.layout, ctx.sink = table, layout, sink
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):  # type: ignore[no-untyped-def,override]
        (points, weights), layout, table = ctx.saved_tensors, ctx.layout, ctx.table
        values, collected = _gradient_of(table, ctx.sink)
        count = weights.numel()
        if count and layout.levels:
            launch(
                triton_encode.composite_backward, (blocks(count, POINTS), layout.levels), points, weights,
                grad_out.contiguous(), values, _shape_of(layout, str(table.device)), count, weights.shape[1],
                LEVELS=layout.levels, FEATURES=layout.features, BLOCK=POINTS,
            )  # fmt: skip
        return None, None, None if collected else values, None, None


class _RenderWeights(torch.autograd.Function):
    @staticmethod
    def forward(ctx, densities, lengths):  # type: ignore[no-untyped-def,override]
        densities, lengths = _whole(densities, lengths)
        weights = torch.empty_like(densities)
        _by_rays(triton_rays.weights_forward, densities, lengths, weights)
        ctx.save_for_backward(densities, lengths, weights)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_weights):  # type: ignore[no-untyped-def,override]
        densities, lengths, weights = ctx.saved_tensors
        grad = torch.empty_like(weights)
        _by_rays(triton_rays.weights_backward, densities, lengths, weights, grad_weights.contiguous(), grad)
        return grad, None


def _by_rays(kernel, *tensors: Tensor) -> None:  # type: ignore[no-untyped-def]
    """One of the kernels that go through whole rays; all tensors are [rays, samples]."""
    rays, samples = tensors[0].shape
    if rays and samples:
        padded = power_of_two(samples)
        block = _rays_of(padded)
        launch(kernel, (blocks(rays, block),), *tensors, rays, samples, PADDED=padded, BLOCK=block)


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weights, values):  # type: ignore[no-untyped-def,override]
        weights, values = _whole(weights, values)
        rays, samples, channels = values.shape
        out = torch.empty(rays, channels, device=values.device)
        if out.numel():
            width, block = _channels_of(channels)
            launch(
                triton_rays.composite_forward, (blocks(rays, block), blocks(channels, width)), weights, values, out,
                rays, samples, channels, CHANNELS=width, BLOCK=block,
            )  # fmt: skip
        ctx.save_for_backward(weights, values)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out):  # type: ignore[no-untyped-def,override]
        weights, values = ctx.saved_tensors
        grad_weights, grad_values = torch.empty_like(weights), torch.empty_like(values)
        count, samples, channels = weights.numel(), values.shape[1], values.shape[2]
        if count:
            width, block = _channels_of(channels)
            launch(
                triton_rays.composite_backward, (blocks(count, block),), weights, values, grad_out.contiguous(),
                grad_weights, grad_values, count, samples, channels, CHANNELS=width, BLOCK=block,
            )  # fmt: skip
        return grad_weights, grad_values


def _channels_of(channels: int) -> tuple[int, int]:
    """Channels that a program of `composite` works on at once, and its rays or samples."""
    width = min(64, power_of_two(max(channels, 1)))
    return width, NUMBERS // width


def _rays_of(padded: int) -> int:
    """Whole rays of a program whose rows are so long."""
    return max(1, NUMBERS // padded)


def _gradient_of(table: Tensor, sink: GradientSink | None) -> tuple[Tensor, bool]:
    """Where the gradient of a table is added, and whether a sink keeps it."""
    return (
        (torch.zeros_like(table, memory_format=torch.contiguous_format), False) if sink is None else (sink.values, True)
    )


def _whole(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(each.detach().contiguous() for each in tensors)


def _are_single(*tensors: Tensor) -> bool:
    return all(each.dtype == torch.float32 for each in tensors)


def _fits(layout: GridLayout, *tensors: Tensor) -> bool:
    return _are_single(*tensors) and layout.features & (layout.features - 1) == 0


@cache
def _shape_of(layout: GridLayout, device: str) -> Tensor:
    """Resolution, first entry, entries and whether it is stored without hashing, of each level; int32 [levels, 4]."""
    rows = [layout.resolution_array, layout.offsets, layout.sizes, layout.dense]
    return torch.tensor([list(map(int, row)) for row in zip(*rows, strict=True)], dtype=torch.int32, device=device)


@cache
def _proposal_numbers(near: float, far: float, padding: float, cap: float, device: str) -> Tensor:
    """Spacings of near and far, padding and cap; float32 [4]."""
    low, high = spacing_of(torch.tensor([near, far], dtype=torch.float32)).tolist()
    return torch.tensor([low, high, padding, cap], dtype=torch.float32, device=device)


@cache
def _betas(beta1: float, beta2: float, epsilon: float, device: str) -> Tensor:
    """The numbers of Adam that no step changes; float32 [5]."""
    return torch.tensor([beta1, 1 - beta1, beta2, 1 - beta2, epsilon], dtype=torch.float32, device=device)
