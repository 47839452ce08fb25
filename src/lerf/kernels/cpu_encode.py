"""Hash-grid encoding on the CPU: numba, threads, float32, same results as `reference.hash_encode`.

Forward runs over blocks of points so that a level's part of the table stays in cache. The scatter of the table's
gradient runs over levels, because two levels never share an entry: no atomics, and the sum does not depend on timing.

The kernels are compiled for each number of features, so that the loop over features is unrolled, and index with
unsigned integers, because numba checks signed ones for negative values.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import njit, prange

BLOCK = 1024
"""Points of a block."""
RAY_BLOCK = 128
"""Rays of a block, of a dozen samples each."""
P1, P2 = np.uint32(2654435761), np.uint32(805459861)


class GridArrays(NamedTuple):
    """Where the levels of a grid lie in its table (`layout.GridLayout`), one number a level."""

    resolutions: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    dense: np.ndarray


@njit(inline="always")
def locate(coordinate, resolution):  # type: ignore[no-untyped-def]
    """Cell and fraction of one coordinate, clamped to the unit interval; a coordinate that is no number stays none."""
    scaled = min(max(coordinate, np.float32(0.0)), np.float32(1.0)) * np.float32(resolution)
    cell = max(min(np.int32(scaled), np.int32(resolution - 1)), np.int32(0))
    return np.uint32(cell), scaled - np.float32(cell)


@njit(inline="always")
def corner_entries(x, y, z, resolution, size, dense):  # type: ignore[no-untyped-def]
    """Entries, within a level, of the eight corners; corner bit 0 is x, bit 1 is y, bit 2 is z."""
    one = np.uint32(1)
    if dense:
        row = np.uint32(resolution + 1)
        base = x + (y + z * row) * row
        up, back = row, row * row
        return (base, base + one, base + up, base + up + one, base + back, base + back + one, base + back + up,
                base + back + up + one)  # fmt: skip
    mask = np.uint32(size - 1)
    x1 = x + one
    y0, y1 = y * P1, (y + one) * P1
    z0, z1 = z * P2, (z + one) * P2
    a, b, c, d = y0 ^ z0, y1 ^ z0, y0 ^ z1, y1 ^ z1
    return ((x ^ a) & mask, (x1 ^ a) & mask, (x ^ b) & mask, (x1 ^ b) & mask, (x ^ c) & mask, (x1 ^ c) & mask,
            (x ^ d) & mask, (x1 ^ d) & mask)  # fmt: skip


@njit(inline="always")
def corner_weights(u, v, w):  # type: ignore[no-untyped-def]
    one = np.float32(1.0)
    a, b, c, d = (one - v) * (one - w), v * (one - w), (one - v) * w, v * w
    t = one - u
    return t * a, u * a, t * b, u * b, t * c, u * c, t * d, u * d


@cache
def forward_kernel(features: int) -> Callable[..., Any]:
    """`kernel(points, table, grid, out)` for a number of features."""

    @njit(parallel=True, fastmath=True, cache=True)
    def encode_forward(points, table, grid, out):  # type: ignore[no-untyped-def]
        resolutions, offsets, sizes, dense = grid
        count, levels = points.shape[0], resolutions.shape[0]
        for block in prange((count + BLOCK - 1) // BLOCK):
            start, stop = np.uint64(block * BLOCK), np.uint64(min(count, (block + 1) * BLOCK))
            for level in range(levels):
                resolution, size, is_dense = resolutions[level], sizes[level], dense[level]
                o, column = np.uint64(offsets[level]), np.uint64(level * features)
                for p in range(start, stop):
                    x, u = locate(points[p, 0], resolution)
                    y, v = locate(points[p, 1], resolution)
                    z, w = locate(points[p, 2], resolution)
                    i0, i1, i2, i3, i4, i5, i6, i7 = corner_entries(x, y, z, resolution, size, is_dense)
                    w0, w1, w2, w3, w4, w5, w6, w7 = corner_weights(u, v, w)
                    for f in range(np.uint64(features)):
                        out[p, column + f] = (
                            w0 * table[o + i0, f] + w1 * table[o + i1, f] + w2 * table[o + i2, f]
                            + w3 * table[o + i3, f] + w4 * table[o + i4, f] + w5 * table[o + i5, f]
                            + w6 * table[o + i6, f] + w7 * table[o + i7, f]
                        )  # fmt: skip

    return encode_forward


@cache
def backward_table_kernel(features: int) -> Callable[..., Any]:
    """`kernel(points, grad_out, grid, order, grad, touched)`, which adds to `grad`.

    `order` deals coarse and fine levels evenly to threads. Entries that are added to get a 1 in `touched`, unless that
    is empty.
    """

    @njit(parallel=True, fastmath=True, cache=True)
    def encode_backward_table(points, grad_out, grid, order, grad, touched):  # type: ignore[no-untyped-def]
        resolutions, offsets, sizes, dense = grid
        count, levels = np.uint64(points.shape[0]), resolutions.shape[0]
        marking = touched.shape[0] > 0
        for turn in prange(levels):
            level = order[turn]
            resolution, size, is_dense = resolutions[level], sizes[level], dense[level]
            o, column = np.uint64(offsets[level]), np.uint64(level * features)
            for p in range(count):
                x, u = locate(points[p, 0], resolution)
                y, v = locate(points[p, 1], resolution)
                z, w = locate(points[p, 2], resolution)
                i0, i1, i2, i3, i4, i5, i6, i7 = corner_entries(x, y, z, resolution, size, is_dense)
                w0, w1, w2, w3, w4, w5, w6, w7 = corner_weights(u, v, w)
                for f in range(np.uint64(features)):
                    g = grad_out[p, column + f]
                    grad[o + i0, f] += w0 * g
                    grad[o + i1, f] += w1 * g
                    grad[o + i2, f] += w2 * g
                    grad[o + i3, f] += w3 * g
                    grad[o + i4, f] += w4 * g
                    grad[o + i5, f] += w5 * g
                    grad[o + i6, f] += w6 * g
                    grad[o + i7, f] += w7 * g
                if marking:
                    touched[o + i0] = touched[o + i1] = touched[o + i2] = touched[o + i3] = np.uint8(1)
                    touched[o + i4] = touched[o + i5] = touched[o + i6] = touched[o + i7] = np.uint8(1)

    return encode_backward_table


@cache
def composite_forward_kernel(features: int) -> Callable[..., Any]:
    """`kernel(points, weights, table, grid, out)`: encodings summed along rays.

    `points` are [rays, samples, 3] and `out`, which it overwrites, is [rays, width]; the encodings themselves, as many
    times larger as a ray has samples, are never written.
    """

    @njit(parallel=True, fastmath=True, cache=True)
    def composite_encode_forward(points, weights, table, grid, out):  # type: ignore[no-untyped-def]
        resolutions, offsets, sizes, dense = grid
        rays, samples, levels = points.shape[0], np.uint64(points.shape[1]), resolutions.shape[0]
        zero = np.float32(0.0)
        for block in prange((rays + RAY_BLOCK - 1) // RAY_BLOCK):
            start, stop = np.uint64(block * RAY_BLOCK), np.uint64(min(rays, (block + 1) * RAY_BLOCK))
            for level in range(levels):
                resolution, size, is_dense = resolutions[level], sizes[level], dense[level]
                o, column = np.uint64(offsets[level]), np.uint64(level * features)
                for r in range(start, stop):
                    for f in range(np.uint64(features)):
                        out[r, column + f] = zero
                    for s in range(samples):
                        share = weights[r, s]
                        if share == zero:
                            continue
                        x, u = locate(points[r, s, 0], resolution)
                        y, v = locate(points[r, s, 1], resolution)
                        z, w = locate(points[r, s, 2], resolution)
                        i0, i1, i2, i3, i4, i5, i6, i7 = corner_entries(x, y, z, resolution, size, is_dense)
                        w0, w1, w2, w3, w4, w5, w6, w7 = corner_weights(u, v, w)
                        for f in range(np.uint64(features)):
                            out[r, column + f] += share * (
                                w0 * table[o + i0, f] + w1 * table[o + i1, f] + w2 * table[o + i2, f]
                                + w3 * table[o + i3, f] + w4 * table[o + i4, f] + w5 * table[o + i5, f]
                                + w6 * table[o + i6, f] + w7 * table[o + i7, f]
                            )  # fmt: skip

    return composite_encode_forward


@cache
def composite_backward_kernel(features: int) -> Callable[..., Any]:
    """`kernel(points, weights, grad_out, grid, order, grad, touched)`, which adds to
    `grad`; as `backward_table_kernel`, with the gradient of a sample's encoding its weight times that of its ray."""

    @njit(parallel=True, fastmath=True, cache=True)
    def composite_encode_backward(  # type: ignore[no-untyped-def]
        points, weights, grad_out, grid, order, grad, touched
    ):
        resolutions, offsets, sizes, dense = grid
        rays, samples, levels = np.uint64(points.shape[0]), np.uint64(points.shape[1]), resolutions.shape[0]
        marking = touched.shape[0] > 0
        for turn in prange(levels):
            level = order[turn]
            resolution, size, is_dense = resolutions[level], sizes[level], dense[level]
            o, column = np.uint64(offsets[level]), np.uint64(level * features)
            for r in range(rays):
                for s in range(samples):
                    share = weights[r, s]
                    if share == np.float32(0.0):
                        continue
                    x, u = locate(points[r, s, 0], resolution)
                    y, v = locate(points[r, s, 1], resolution)
                    z, w = locate(points[r, s, 2], resolution)
                    i0, i1, i2, i3, i4, i5, i6, i7 = corner_entries(x, y, z, resolution, size, is_dense)
                    w0, w1, w2, w3, w4, w5, w6, w7 = corner_weights(u, v, w)
                    for f in range(np.uint64(features)):
                        g = share * grad_out[r, column + f]
                        grad[o + i0, f] += w0 * g
                        grad[o + i1, f] += w1 * g
                        grad[o + i2, f] += w2 * g
                        grad[o + i3, f] += w3 * g
                        grad[o + i4, f] += w4 * g
                        grad[o + i5, f] += w5 * g
                        grad[o + i6, f] += w6 * g
                        grad[o + i7, f] += w7 * g
                    if marking:
                        touched[o + i0] = touched[o + i1] = touched[o + i2] = touched[o + i3] = np.uint8(1)
                        touched[o + i4] = touched[o + i5] = touched[o + i6] = touched[o + i7] = np.uint8(1)

    return composite_encode_backward


@cache
def backward_points_kernel(features: int) -> Callable[..., Any]:
    """`kernel(points, grad_out, table, grid, grad)`, which adds to `grad`.

    The gradient is zero along an axis on which a point was clamped.
    """

    @njit(parallel=True, fastmath=True, cache=True)
    def encode_backward_points(points, grad_out, table, grid, grad):  # type: ignore[no-untyped-def]
        resolutions, offsets, sizes, dense = grid
        count, levels = points.shape[0], resolutions.shape[0]
        one, zero = np.float32(1.0), np.float32(0.0)
        for block in prange((count + BLOCK - 1) // BLOCK):
            start, stop = np.uint64(block * BLOCK), np.uint64(min(count, (block + 1) * BLOCK))
            for level in range(levels):
                resolution, size, is_dense = resolutions[level], sizes[level], dense[level]
                o, column = np.uint64(offsets[level]), np.uint64(level * features)
                for p in range(start, stop):
                    x, u = locate(points[p, 0], resolution)
                    y, v = locate(points[p, 1], resolution)
                    z, w = locate(points[p, 2], resolution)
                    i0, i1, i2, i3, i4, i5, i6, i7 = corner_entries(x, y, z, resolution, size, is_dense)
                    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = zero
                    for f in range(np.uint64(features)):
                        g = grad_out[p, column + f]
                        s0 += g * table[o + i0, f]
                        s1 += g * table[o + i1, f]
                        s2 += g * table[o + i2, f]
                        s3 += g * table[o + i3, f]
                        s4 += g * table[o + i4, f]
                        s5 += g * table[o + i5, f]
                        s6 += g * table[o + i6, f]
                        s7 += g * table[o + i7, f]
                    r = np.float32(resolution)
                    t, q, m = one - u, one - v, one - w
                    along_x = q * m * (s1 - s0) + v * m * (s3 - s2) + q * w * (s5 - s4) + v * w * (s7 - s6)
                    along_y = t * m * (s2 - s0) + u * m * (s3 - s1) + t * w * (s6 - s4) + u * w * (s7 - s5)
                    along_z = t * q * (s4 - s0) + u * q * (s5 - s1) + t * v * (s6 - s2) + u * v * (s7 - s3)
                    if zero <= points[p, 0] <= one:
                        grad[p, 0] += r * along_x
                    if zero <= points[p, 1] <= one:
                        grad[p, 1] += r * along_y
                    if zero <= points[p, 2] <= one:
                        grad[p, 2] += r * along_z

    return encode_backward_points


def level_order(levels: int) -> np.ndarray:
    """Levels in the order in which contiguous halves hold as many coarse as fine ones, int64 [levels]."""
    threads = max(1, min(levels, numba.get_num_threads()))
    return np.concatenate([np.arange(first, levels, threads) for first in range(threads)])
