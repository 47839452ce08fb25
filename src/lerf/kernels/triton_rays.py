"""Rendering weights, compositing, proposal sampling and the choice of samples in Triton.

A program has a block of whole rays; samples and bins are padded to a power of two.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _absorbed(optical):
    """1 - exp(-x) for x >= 0, by its series where the difference would lose digits."""
    series = 1.0 - optical / 3.0 * (1.0 - optical / 4.0 * (1.0 - optical / 5.0 * (1.0 - optical / 6.0)))
    return tl.where(optical < 0.2, optical * (1.0 - optical / 2.0 * series), 1.0 - tl.exp(-optical))


@triton.jit
def weights_forward(densities_ptr, lengths_ptr, out_ptr, rays, samples, PADDED: tl.constexpr, BLOCK: tl.constexpr):
    """`reference.render_weights`."""
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)[:, None]
    s = tl.arange(0, PADDED)[None, :]
    inside = (ray < rays) & (s < samples)
    at = ray * samples + s
    optical = tl.load(densities_ptr + at, mask=inside, other=0.0) * tl.load(lengths_ptr + at, mask=inside, other=0.0)
    # What lies before a sample: taking its own part off a sum would cost all digits where an interval is endless.
    earlier = inside & (s > 0)
    nearer = tl.load(densities_ptr + at - 1, mask=earlier, other=0.0)
    before = tl.cumsum(nearer * tl.load(lengths_ptr + at - 1, mask=earlier, other=0.0), 1)
    tl.store(out_ptr + at, tl.exp(-before) * _absorbed(optical), mask=inside)


@triton.jit
def weights_backward(
    densities_ptr, lengths_ptr, weights_ptr, grad_ptr, out_ptr, rays, samples,
    PADDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradient of the densities: length_i * (what passes i * grad_i - the sum of w_j * grad_j over the j behind i)."""
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)[:, None]
    s = tl.arange(0, PADDED)[None, :]
    inside = (ray < rays) & (s < samples)
    at = ray * samples + s
    length = tl.load(lengths_ptr + at, mask=inside, other=0.0)
    passed = tl.exp(-tl.cumsum(tl.load(densities_ptr + at, mask=inside, other=0.0) * length, 1))
    later = (ray < rays) & (s < samples - 1)
    next_weight = tl.load(weights_ptr + at + 1, mask=later, other=0.0)
    behind = tl.cumsum(next_weight * tl.load(grad_ptr + at + 1, mask=later, other=0.0), 1, reverse=True)
    grad = tl.load(grad_ptr + at, mask=inside, other=0.0)
    tl.store(out_ptr + at, length * (passed * grad - behind), mask=inside)


@triton.jit
def composite_forward(
    weights_ptr, values_ptr, out_ptr, rays, samples, channels, CHANNELS: tl.constexpr, BLOCK: tl.constexpr
):
    """`reference.composite`; the second axis of programs goes through blocks of channels."""
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)[:, None]
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    inside = (ray < rays) & (c < channels)
    total = tl.zeros((BLOCK, CHANNELS), tl.float32)
    for sample in range(samples):
        row = ray * samples + sample
        weight = tl.load(weights_ptr + row, mask=ray < rays, other=0.0)
        total += weight * tl.load(values_ptr + row * channels + c, mask=inside & (weight != 0.0), other=0.0)
    tl.store(out_ptr + ray * channels + c, total, mask=inside)


@triton.jit
def composite_backward(
    weights_ptr, values_ptr, grad_ptr, weights_grad_ptr, values_grad_ptr, count, samples, channels,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients of weights and values; `count` are the samples of all rays."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)[:, None]
    ray = row // samples
    weight = tl.load(weights_ptr + row, mask=row < count, other=0.0)
    total = tl.zeros((BLOCK, CHANNELS), tl.float32)
    for first in range(0, channels, CHANNELS):
        c = first + tl.arange(0, CHANNELS)[None, :]
        inside = (row < count) & (c < channels)
        grad = tl.load(grad_ptr + ray * channels + c, mask=inside, other=0.0)
        total += grad * tl.load(values_ptr + row * channels + c, mask=inside, other=0.0)
        tl.store(values_grad_ptr + row * channels + c, weight * grad, mask=inside)
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    tl.store(weights_grad_ptr + rows, tl.sum(total, 1), mask=rows < count)


@triton.jit
def _distance(spacing):
    """`reference.distance_of`."""
    return tl.where(spacing < 0.5, 2.0 * spacing, 0.5 / tl.maximum(1.0 - spacing, 1e-6))


@triton.jit
def _along(origins_ptr, directions_ptr, ray, axis: tl.constexpr, t, inside):
    """A coordinate at a distance along rays."""
    origin = tl.load(origins_ptr + ray * 3 + axis, mask=inside, other=0.0)
    return origin + t * tl.load(directions_ptr + ray * 3 + axis, mask=inside, other=0.0)


@triton.jit
def _coordinate(value, squeeze, side):
    """Cell along an axis of the density grid of a contracted coordinate, 0 to side - 1."""
    cell = ((value * squeeze + 2.0) * (side.to(tl.float32) / 4.0)).to(tl.int64)
    return tl.minimum(tl.maximum(cell, 0), side - 1)


@triton.jit
def _opacity(origins_ptr, directions_ptr, grid_ptr, ray, b, inside, rays, side, low, step, cap):
    """Share of the light that a bin absorbs, at most `cap`."""
    t = _distance(low + (b.to(tl.float32) + 0.5) * step)
    length = _distance(low + (b.to(tl.float32) + 1.0) * step) - _distance(low + b.to(tl.float32) * step)
    there = ray < rays
    x = _along(origins_ptr, directions_ptr, ray, 0, t, there)
    y = _along(origins_ptr, directions_ptr, ray, 1, t, there)
    z = _along(origins_ptr, directions_ptr, ray, 2, t, there)
    reach = tl.maximum(tl.maximum(tl.maximum(tl.abs(x), tl.abs(y)), tl.abs(z)), 1.0)
    squeeze = (2.0 - 1.0 / reach) / reach
    cell = (_coordinate(z, squeeze, side) * side + _coordinate(y, squeeze, side)) * side + _coordinate(x, squeeze, side)
    density = tl.load(grid_ptr + cell, mask=inside, other=0.0)
    return tl.minimum(_absorbed(density * length), cap)


@triton.jit
def _product(one, other):
    return one * other


@triton.jit
def _quantiles(weights, jitter, bins, samples, padding, PADDED: tl.constexpr, EDGES: tl.constexpr, BLOCK: tl.constexpr):
    """`reference._quantiles`, the bins counted from 0."""
    b = tl.arange(0, PADDED)[None, :] + tl.zeros((BLOCK, 1), tl.int32)
    before, after = tl.maximum(b - 1, 0), tl.minimum(b + 1, bins - 1)
    widened = tl.maximum(tl.gather(weights, before, 1), weights) + tl.maximum(weights, tl.gather(weights, after, 1))
    widened = tl.where(b < bins, 0.5 * widened, 0.0)
    total = tl.sum(widened, 1)[:, None]
    even = 1.0 / bins.to(tl.float32)
    share = tl.where(total > 1e-6, widened / tl.maximum(total, 1e-6), even)
    share = tl.where(b < bins, (1.0 - padding) * share + padding * even, 0.0)
    ends = tl.cumsum(share, 1)
    edge = tl.arange(0, EDGES)[None, :]
    asked = (edge.to(tl.float32) + jitter) / (samples + 1).to(tl.float32) * tl.max(ends, 1)[:, None]
    # The first bin that ends behind the quantile, by bisection; PADDED is a power of two.
    found = tl.zeros((BLOCK, EDGES), tl.int32)
    step = PADDED // 2
    while step > 0:
        ahead = found + step
        found = tl.where((ahead < bins) & (tl.gather(ends, ahead - 1, 1) <= asked), ahead, found)
        step = step // 2
    end = tl.gather(ends, found, 1)
    start = tl.where(found > 0, tl.gather(ends, tl.maximum(found - 1, 0), 1), 0.0)
    fraction = (asked - start) / tl.maximum(end - start, 1e-12)
    return found, tl.minimum(tl.maximum(fraction, 0.0), 1.0)


@triton.jit
def proposal_edges(
    origins_ptr, directions_ptr, grid_ptr, jitter_ptr, numbers_ptr, anneal_ptr, out_ptr, rays, samples, bins, side,
    PADDED: tl.constexpr, EDGES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """`reference.proposal_edges`; the numbers are the spacings of near and far, padding and cap."""
    low, high = tl.load(numbers_ptr), tl.load(numbers_ptr + 1)
    padding, cap = tl.load(numbers_ptr + 2), tl.load(numbers_ptr + 3)
    step = (high - low) / bins.to(tl.float32)
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)[:, None]
    b = tl.arange(0, PADDED)[None, :]
    inside = (ray < rays) & (b < bins)
    opacity = _opacity(origins_ptr, directions_ptr, grid_ptr, ray, b, inside, rays, side, low, step, cap)
    # What reaches a bin is what passes those before it, whose opacity is computed anew: rows cannot be shifted.
    earlier = inside & (b > 0)
    nearer = _opacity(origins_ptr, directions_ptr, grid_ptr, ray, b - 1, earlier, rays, side, low, step, cap)
    reaches = tl.associative_scan(1.0 - nearer, 1, _product)
    weight = opacity * reaches
    lit = inside & (weight > 0.0) & (reaches > 1e-5)
    weight = tl.where(lit, tl.exp2(tl.load(anneal_ptr) * tl.log2(tl.where(lit, weight, 1.0))), 0.0)
    jitter = tl.load(jitter_ptr + ray, mask=ray < rays, other=0.0)
    found, fraction = _quantiles(weight, jitter, bins, samples, padding, PADDED, EDGES, BLOCK)
    edge = tl.arange(0, EDGES)[None, :]
    distance = _distance(low + (found.to(tl.float32) + fraction) * step)
    tl.store(out_ptr + ray * (samples + 1) + edge, distance, mask=(ray < rays) & (edge <= samples))


@triton.jit
def refined_edges(
    edges_ptr, weights_ptr, padding_ptr, out_ptr, rays, samples, bins,
    PADDED: tl.constexpr, EDGES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """`reference.refined_edges`."""
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)[:, None]
    b = tl.arange(0, PADDED)[None, :]
    weight = tl.load(weights_ptr + ray * bins + b, mask=(ray < rays) & (b < bins), other=0.0)
    found, fraction = _quantiles(weight, 0.5, bins, samples, tl.load(padding_ptr), PADDED, EDGES, BLOCK)
    edge = tl.arange(0, EDGES)[None, :]
    wanted = (ray < rays) & (edge <= samples)
    start = tl.load(edges_ptr + ray * (bins + 1) + found, mask=wanted, other=0.0)
    end = tl.load(edges_ptr + ray * (bins + 1) + found + 1, mask=wanted, other=0.0)
    tl.store(out_ptr + ray * (samples + 1) + edge, start + fraction * (end - start), mask=wanted)


@triton.jit
def interval_points(origins_ptr, directions_ptr, edges_ptr, out_ptr, rays, samples, BLOCK: tl.constexpr):
    """`reference.interval_points`."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    ray, inside = row // samples, row < rays * samples
    at = edges_ptr + row + ray
    t = 0.5 * (tl.load(at, mask=inside, other=0.0) + tl.load(at + 1, mask=inside, other=0.0))
    x = _along(origins_ptr, directions_ptr, ray, 0, t, inside)
    y = _along(origins_ptr, directions_ptr, ray, 1, t, inside)
    z = _along(origins_ptr, directions_ptr, ray, 2, t, inside)
    reach = tl.maximum(tl.maximum(tl.maximum(tl.abs(x), tl.abs(y)), tl.abs(z)), 1.0)
    squeeze = (2.0 - 1.0 / reach) / reach
    tl.store(out_ptr + row * 3, (x * squeeze + 2.0) * 0.25, mask=inside)
    tl.store(out_ptr + row * 3 + 1, (y * squeeze + 2.0) * 0.25, mask=inside)
    tl.store(out_ptr + row * 3 + 2, (z * squeeze + 2.0) * 0.25, mask=inside)


@triton.jit
def heaviest(weights_ptr, values_ptr, order_ptr, rays, samples, wanted, PADDED: tl.constexpr, BLOCK: tl.constexpr):
    """`reference.heaviest` of weights that are not negative: those have the order of their bits."""
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)[:, None]
    s = tl.arange(0, PADDED)[None, :]
    weight = tl.load(weights_ptr + ray * samples + s, mask=(ray < rays) & (s < samples), other=-1.0)
    # Of equal weights the nearer sample comes first; what only pads comes last.
    key = (weight.to(tl.int32, bitcast=True).to(tl.int64) << 32) | (PADDED - 1 - s).to(tl.int64)
    key = tl.sort(tl.where(s < samples, key, -1), dim=1, descending=True)
    kept = (ray < rays) & (s < wanted)
    tl.store(values_ptr + ray * wanted + s, (key >> 32).to(tl.int32).to(tl.float32, bitcast=True), mask=kept)
    tl.store(order_ptr + ray * wanted + s, PADDED - 1 - (key & 0xFFFFFFFF), mask=kept)


@triton.jit
def direction_harmonics(directions_ptr, out_ptr, count, BLOCK: tl.constexpr):
    """`geometry.harmonics.harmonics`."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside, at = row < count, out_ptr + row * 16
    x = tl.load(directions_ptr + row * 3, mask=inside, other=0.0)
    y = tl.load(directions_ptr + row * 3 + 1, mask=inside, other=0.0)
    z = tl.load(directions_ptr + row * 3 + 2, mask=inside, other=0.0)
    xx, yy, zz = x * x, y * y, z * z
    tl.store(at, 0.0 * x + 0.28209479177387814, mask=inside)
    tl.store(at + 1, -0.4886025119029199 * y, mask=inside)
    tl.store(at + 2, 0.4886025119029199 * z, mask=inside)
    tl.store(at + 3, -0.4886025119029199 * x, mask=inside)
    tl.store(at + 4, 1.0925484305920792 * x * y, mask=inside)
    tl.store(at + 5, -1.0925484305920792 * y * z, mask=inside)
    tl.store(at + 6, 0.31539156525252005 * (3.0 * zz - 1.0), mask=inside)
    tl.store(at + 7, -1.0925484305920792 * x * z, mask=inside)
    tl.store(at + 8, 0.5462742152960396 * (xx - yy), mask=inside)
    tl.store(at + 9, -0.5900435899266435 * y * (3.0 * xx - yy), mask=inside)
    tl.store(at + 10, 2.890611442640554 * x * y * z, mask=inside)
    tl.store(at + 11, -0.4570457994644658 * y * (5.0 * zz - 1.0), mask=inside)
    tl.store(at + 12, 0.3731763325901154 * z * (5.0 * zz - 3.0), mask=inside)
    tl.store(at + 13, -0.4570457994644658 * x * (5.0 * zz - 1.0), mask=inside)
    tl.store(at + 14, 1.445305721320277 * z * (xx - yy), mask=inside)
    tl.store(at + 15, -0.5900435899266435 * x * (xx - 3.0 * yy), mask=inside)
