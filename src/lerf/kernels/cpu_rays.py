"""Proposal sampling, rendering weights and compositing on the CPU: numba, one thread per share of the rays."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange


@njit(inline="always")
def _distance_of(spacing):  # type: ignore[no-untyped-def]
    if spacing < 0.5:
        return 2.0 * spacing
    return 0.5 / max(1.0 - spacing, 1e-6)


@njit(inline="always")
def contract(x, y, z):  # type: ignore[no-untyped-def]
    """`geometry.contraction.contract` of one point, L-infinity norm."""
    reach = max(abs(x), abs(y), abs(z))
    if reach > 1.0:
        squeeze = (np.float32(2.0) - np.float32(1.0) / reach) / reach
        x, y, z = x * squeeze, y * squeeze, z * squeeze
    return x, y, z


@njit(fastmath=True)
def _accumulate(weights, padding, cumulative):  # type: ignore[no-untyped-def]
    """Sums, from 0 on, of weights that are widened to their neighbours, divided by their sum and padded."""
    bins, total = weights.shape[0], np.float32(0.0)
    for b in range(bins):
        before, after = weights[max(b - 1, 0)], weights[min(b + 1, bins - 1)]
        weight = np.float32(0.5) * (max(before, weights[b]) + max(weights[b], after))
        cumulative[b + 1] = weight
        total += weight
    cumulative[0] = 0.0
    even = np.float32(1.0 / bins)
    for b in range(bins):
        share = cumulative[b + 1] / total if total > 1e-6 else even
        cumulative[b + 1] = cumulative[b] + (np.float32(1.0) - padding) * share + padding * even


@njit(fastmath=True)
def _quantile(cumulative, share, b):  # type: ignore[no-untyped-def]
    """The bin, not before `b`, in which a share of the whole sum is reached, and the part of the bin before it."""
    bins = cumulative.shape[0] - 1
    quantile = share * cumulative[bins]
    while b < bins - 1 and cumulative[b + 1] <= quantile:
        b += 1
    width = max(cumulative[b + 1] - cumulative[b], 1e-12)
    return b, min(max((quantile - cumulative[b]) / width, 0.0), 1.0)


@njit(parallel=True, fastmath=True, cache=True)
def proposal_edges(origins, directions, grid, jitter, settings, out):  # type: ignore[no-untyped-def]
    samples, bins, low, high, anneal, padding, cap = settings
    rays, side = origins.shape[0], grid.shape[0]
    step = (high - low) / bins
    to_cell = np.float32(side / 4.0)
    middles, lengths = np.empty(bins, np.float32), np.empty(bins, np.float32)
    for b in range(bins):
        middles[b] = _distance_of(low + (b + 0.5) * step)
        lengths[b] = _distance_of(low + (b + 1) * step) - _distance_of(low + b * step)
    for r in prange(rays):
        found, cumulative = np.empty(bins, np.float32), np.empty(bins + 1, np.float32)
        ox, oy, oz = origins[r, 0], origins[r, 1], origins[r, 2]
        dx, dy, dz = directions[r, 0], directions[r, 1], directions[r, 2]
        transmitted = np.float32(1.0)
        for b in range(bins):
            weight = np.float32(0.0)
            if transmitted > 1e-5:
                t = middles[b]
                x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
                x, y, z = contract(x, y, z)
                i = min(max(int((x + 2) * to_cell), 0), side - 1)
                j = min(max(int((y + 2) * to_cell), 0), side - 1)
                k = min(max(int((z + 2) * to_cell), 0), side - 1)
                density = grid[k, j, i]
                if density > 0.0:
                    passed = max(np.float32(math.exp(-density * lengths[b])), np.float32(1.0) - cap)
                    weight = transmitted * (np.float32(1.0) - passed)
                    transmitted *= passed
                    if anneal != 1.0 and weight > 0.0:
                        weight = np.float32(weight**anneal)
            found[b] = weight
        _accumulate(found, padding, cumulative)
        b = 0
        for s in range(samples + 1):
            b, fraction = _quantile(cumulative, (s + jitter[r]) / (samples + 1), b)
            out[r, s] = _distance_of(low + (b + fraction) * step)


@njit(parallel=True, fastmath=True, cache=True)
def refined_edges(edges, weights, padding, out):  # type: ignore[no-untyped-def]
    bins, samples = weights.shape[1], out.shape[1] - 1
    for r in prange(weights.shape[0]):
        cumulative = np.empty(bins + 1, np.float32)
        _accumulate(weights[r], padding, cumulative)
        b = 0
        for s in range(samples + 1):
            b, fraction = _quantile(cumulative, (s + np.float32(0.5)) / (samples + 1), b)
            out[r, s] = edges[r, b] + fraction * (edges[r, b + 1] - edges[r, b])


@njit(parallel=True, fastmath=True, cache=True)
def interval_points(origins, directions, edges, out):  # type: ignore[no-untyped-def]
    half, two, quarter = np.float32(0.5), np.float32(2.0), np.float32(0.25)
    for r in prange(out.shape[0]):
        for s in range(out.shape[1]):
            t = half * (edges[r, s] + edges[r, s + 1])
            x, y, z = contract(
                origins[r, 0] + t * directions[r, 0], origins[r, 1] + t * directions[r, 1],
                origins[r, 2] + t * directions[r, 2],
            )  # fmt: skip
            out[r, s, 0], out[r, s, 1], out[r, s, 2] = (x + two) * quarter, (y + two) * quarter, (z + two) * quarter


@njit(parallel=True, fastmath=True, cache=True)
def weights_forward(densities, lengths, out):  # type: ignore[no-untyped-def]
    for r in prange(densities.shape[0]):
        transmitted = np.float32(1.0)
        for s in range(densities.shape[1]):
            passed = np.float32(math.exp(-densities[r, s] * lengths[r, s]))
            out[r, s] = transmitted * (np.float32(1.0) - passed)
            transmitted *= passed


@njit(parallel=True, fastmath=True, cache=True)
def weights_backward(densities, lengths, weights, grad_weights, grad_densities):  # type: ignore[no-untyped-def]
    """d w_i / d density_i = length_i * T_{i+1}; d w_j / d density_i = -length_i * w_j for the samples j behind."""
    for r in prange(densities.shape[0]):
        samples = densities.shape[1]
        left = np.float32(1.0)
        for s in range(samples):
            left *= np.float32(math.exp(-densities[r, s] * lengths[r, s]))
            grad_densities[r, s] = left
        behind = np.float32(0.0)
        for s in range(samples - 1, -1, -1):
            grad_densities[r, s] = lengths[r, s] * (grad_densities[r, s] * grad_weights[r, s] - behind)
            behind += weights[r, s] * grad_weights[r, s]


@njit(parallel=True, fastmath=True, cache=True)
def composite_forward(weights, values, out):  # type: ignore[no-untyped-def]
    for r in prange(weights.shape[0]):
        for c in range(values.shape[2]):
            out[r, c] = 0.0
        for s in range(weights.shape[1]):
            w = weights[r, s]
            if w != 0.0:
                for c in range(values.shape[2]):
                    out[r, c] += w * values[r, s, c]


@njit(parallel=True, fastmath=True, cache=True)
def composite_backward(weights, values, grad_out, grad_weights, grad_values):  # type: ignore[no-untyped-def]
    for r in prange(weights.shape[0]):
        for s in range(weights.shape[1]):
            w = weights[r, s]
            total = np.float32(0.0)
            for c in range(values.shape[2]):
                g = grad_out[r, c]
                total += g * values[r, s, c]
                grad_values[r, s, c] = w * g
            grad_weights[r, s] = total
