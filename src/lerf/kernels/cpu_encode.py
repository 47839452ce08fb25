"""Hash-grid encoding on the CPU: numba, threads, float32, same results as `reference.hash_encode`.

Forward runs over blocks of points so that a level's part of the table stays in cache. The scatter of the table's
gradient runs over levels, because two levels never share an entry: no atomics, and the sum does not depend on timing.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import njit, prange

BLOCK = 2048
P1, P2 = np.uint32(2654435761), np.uint32(805459861)


@njit(inline="always")
def _locate(coordinate, resolution):  # type: ignore[no-untyped-def]
    """Cell and fraction of one coordinate, clamped to the unit interval."""
    scaled = min(max(coordinate, np.float32(0.0)), np.float32(1.0)) * np.float32(resolution)
    # From below too: a coordinate that is not a number converts to a negative cell, outside the table.
    cell = max(min(np.int32(scaled), np.int32(resolution - 1)), np.int32(0))
    return np.uint32(cell), scaled - np.float32(cell)


@njit(inline="always")
def _indices(x, y, z, resolution, size, dense):  # type: ignore[no-untyped-def]
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
def _weights(u, v, w):  # type: ignore[no-untyped-def]
    one = np.float32(1.0)
    a, b, c, d = (one - v) * (one - w), v * (one - w), (one - v) * w, v * w
    t = one - u
    return t * a, u * a, t * b, u * b, t * c, u * c, t * d, u * d


@njit(parallel=True, fastmath=True, cache=True)
def encode_forward(points, table, resolutions, offsets, sizes, dense, out):  # type: ignore[no-untyped-def]
    count, levels, features = points.shape[0], resolutions.shape[0], table.shape[1]
    for block in prange((count + BLOCK - 1) // BLOCK):
        start, stop = block * BLOCK, min(count, (block + 1) * BLOCK)
        for level in range(levels):
            resolution, offset, size, is_dense = resolutions[level], offsets[level], sizes[level], dense[level]
            column = level * features
            for p in range(start, stop):
                x, u = _locate(points[p, 0], resolution)
                y, v = _locate(points[p, 1], resolution)
                z, w = _locate(points[p, 2], resolution)
                i0, i1, i2, i3, i4, i5, i6, i7 = _indices(x, y, z, resolution, size, is_dense)
                w0, w1, w2, w3, w4, w5, w6, w7 = _weights(u, v, w)
                for f in range(features):
                    out[p, column + f] = (
                        w0 * table[offset + i0, f] + w1 * table[offset + i1, f]
                        + w2 * table[offset + i2, f] + w3 * table[offset + i3, f]
                        + w4 * table[offset + i4, f] + w5 * table[offset + i5, f]
                        + w6 * table[offset + i6, f] + w7 * table[offset + i7, f]
                    )  # fmt: skip


@njit(parallel=True, fastmath=True, cache=True)
def encode_backward_table(points, grad_out, resolutions, offsets, sizes, dense, order, grad_table, touched):  # type: ignore[no-untyped-def]
    """Add to `grad_table` and mark entries in `touched`; `order` deals coarse and fine levels evenly to threads."""
    count, levels, features = points.shape[0], resolutions.shape[0], grad_table.shape[1]
    for turn in prange(levels):
        level = order[turn]
        resolution, offset, size, is_dense = resolutions[level], offsets[level], sizes[level], dense[level]
        column = level * features
        for p in range(count):
            x, u = _locate(points[p, 0], resolution)
            y, v = _locate(points[p, 1], resolution)
            z, w = _locate(points[p, 2], resolution)
            i0, i1, i2, i3, i4, i5, i6, i7 = _indices(x, y, z, resolution, size, is_dense)
            w0, w1, w2, w3, w4, w5, w6, w7 = _weights(u, v, w)
            touched[offset + i0] = 1
            touched[offset + i1] = 1
            touched[offset + i2] = 1
            touched[offset + i3] = 1
            touched[offset + i4] = 1
            touched[offset + i5] = 1
            touched[offset + i6] = 1
            touched[offset + i7] = 1
            for f in range(features):
                g = grad_out[p, column + f]
                grad_table[offset + i0, f] += w0 * g
                grad_table[offset + i1, f] += w1 * g
                grad_table[offset + i2, f] += w2 * g
                grad_table[offset + i3, f] += w3 * g
                grad_table[offset + i4, f] += w4 * g
                grad_table[offset + i5, f] += w5 * g
                grad_table[offset + i6, f] += w6 * g
                grad_table[offset + i7, f] += w7 * g


@njit(parallel=True, fastmath=True, cache=True)
def encode_backward_points(points, grad_out, table, resolutions, offsets, sizes, dense, grad_points):  # type: ignore[no-untyped-def]
    """Gradient with respect to the points; zero along an axis on which a point was clamped."""
    count, levels, features = points.shape[0], resolutions.shape[0], table.shape[1]
    one, zero = np.float32(1.0), np.float32(0.0)
    for block in prange((count + BLOCK - 1) // BLOCK):
        start, stop = block * BLOCK, min(count, (block + 1) * BLOCK)
        for level in range(levels):
            resolution, offset, size, is_dense = resolutions[level], offsets[level], sizes[level], dense[level]
            column = level * features
            for p in range(start, stop):
                x, u = _locate(points[p, 0], resolution)
                y, v = _locate(points[p, 1], resolution)
                z, w = _locate(points[p, 2], resolution)
                i0, i1, i2, i3, i4, i5, i6, i7 = _indices(x, y, z, resolution, size, is_dense)
                s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = zero
                for f in range(features):
                    g = grad_out[p, column + f]
                    s0 += g * table[offset + i0, f]
                    s1 += g * table[offset + i1, f]
                    s2 += g * table[offset + i2, f]
                    s3 += g * table[offset + i3, f]
                    s4 += g * table[offset + i4, f]
                    s5 += g * table[offset + i5, f]
                    s6 += g * table[offset + i6, f]
                    s7 += g * table[offset + i7, f]
                r = np.float32(resolution)
                t, q, m = one - u, one - v, one - w
                if zero <= points[p, 0] <= one:
                    grad_points[p, 0] += r * (
                        q * m * (s1 - s0) + v * m * (s3 - s2) + q * w * (s5 - s4) + v * w * (s7 - s6)
                    )
                if zero <= points[p, 1] <= one:
                    grad_points[p, 1] += r * (
                        t * m * (s2 - s0) + u * m * (s3 - s1) + t * w * (s6 - s4) + u * w * (s7 - s5)
                    )
                if zero <= points[p, 2] <= one:
                    grad_points[p, 2] += r * (
                        t * q * (s4 - s0) + u * q * (s5 - s1) + t * v * (s6 - s2) + u * v * (s7 - s3)
                    )


def level_order(levels: int) -> np.ndarray:
    """Levels in the order in which contiguous halves hold as many coarse as fine ones, int64 [levels]."""
    threads = max(1, min(levels, numba.get_num_threads()))
    return np.concatenate([np.arange(first, levels, threads) for first in range(threads)])
