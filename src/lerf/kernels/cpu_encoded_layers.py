"""A hash grid and the two layers on it in one pass on the CPU, for what needs no gradients.

Apart they write and read every encoding and every hidden unit through memory, which takes as long as the layers
themselves. Here a block of points goes through all levels and both layers while it is in the nearest cache, laid out so
that neighbours in memory are neighbouring points: one instruction does the same for many of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numba import njit, prange
from torch import Tensor

from lerf.kernels import reference
from lerf.kernels.cpu import array_of, grid_arrays
from lerf.kernels.cpu_encode import corner_entries, corner_weights, locate
from lerf.kernels.layout import GridLayout

BLOCK = 256
"""Points of a block: what it touches of all levels fits into the second cache of a core."""
AT_ONCE, TOGETHER = 4, 2
"""Inputs of a hidden unit, and hidden units, that a pass over the points adds up."""


@njit(inline="always")
def _corners(places, level, dense, entries, weights):  # type: ignore[no-untyped-def]
    """Entries in the table, and weights, of the corners around points; `level` is the resolution, the first entry and
    the number of entries, and `dense`, whether it is stored without hashing, is known when this is compiled."""
    resolution, first, size = level
    for q in range(BLOCK):
        x, u = locate(places[0, q], resolution)
        y, v = locate(places[1, q], resolution)
        z, w = locate(places[2, q], resolution)
        i0, i1, i2, i3, i4, i5, i6, i7 = corner_entries(x, y, z, resolution, size, dense)
        w0, w1, w2, w3, w4, w5, w6, w7 = corner_weights(u, v, w)
        entries[0, q], entries[1, q], entries[2, q], entries[3, q] = first + i0, first + i1, first + i2, first + i3
        entries[4, q], entries[5, q], entries[6, q], entries[7, q] = first + i4, first + i5, first + i6, first + i7
        weights[0, q], weights[1, q], weights[2, q], weights[3, q] = w0, w1, w2, w3
        weights[4, q], weights[5, q], weights[6, q], weights[7, q] = w4, w5, w6, w7


@njit(fastmath=True)
def _layers(encoded, parameters, hidden, out):  # type: ignore[no-untyped-def]
    """Both layers at the points of a block, `out` [outputs, BLOCK]; numbers of units are padded."""
    first, first_bias, last, last_bias = parameters
    for row in range(out.shape[0]):
        out[row, :] = last_bias[row]
    for h in range(0, first.shape[0], TOGETHER):
        one, other = hidden[0], hidden[1]
        one[:], other[:] = first_bias[h], first_bias[h + 1]
        for k in range(0, first.shape[1], AT_ONCE):
            a0, a1, a2, a3 = first[h, k], first[h, k + 1], first[h, k + 2], first[h, k + 3]
            b0, b1, b2, b3 = first[h + 1, k], first[h + 1, k + 1], first[h + 1, k + 2], first[h + 1, k + 3]
            for q in range(BLOCK):
                e0, e1, e2, e3 = encoded[k, q], encoded[k + 1, q], encoded[k + 2, q], encoded[k + 3, q]
                one[q] += a0 * e0 + a1 * e1 + a2 * e2 + a3 * e3
                other[q] += b0 * e0 + b1 * e1 + b2 * e2 + b3 * e3
        for q in range(BLOCK):
            one[q], other[q] = max(one[q], np.float32(0.0)), max(other[q], np.float32(0.0))
        for row in range(out.shape[0]):
            a, b = last[row, h], last[row, h + 1]
            for q in range(BLOCK):
                out[row, q] += a * one[q] + b * other[q]


@cache
def _kernel(features: int) -> Callable[..., Any]:
    """`kernel(points, table, grid, parameters, out)` for a number of features."""

    @njit(parallel=True, fastmath=True, cache=True)
    def encoded_layers(points, table, grid, parameters, out):  # type: ignore[no-untyped-def]
        resolutions, offsets, sizes, dense = grid
        count = points.shape[0]
        for block in prange((count + BLOCK - 1) // BLOCK):
            start = block * BLOCK
            own = min(count - start, BLOCK)
            places, entries = np.zeros((3, BLOCK), np.float32), np.empty((8, BLOCK), np.uint32)
            weights, hidden = np.empty((8, BLOCK), np.float32), np.empty((TOGETHER, BLOCK), np.float32)
            encoded = np.zeros((parameters[0].shape[1], BLOCK), np.float32)
            result = np.empty((out.shape[1], BLOCK), np.float32)
            for q in range(own):
                for axis in range(3):
                    places[axis, q] = points[start + q, axis]
            for level in range(resolutions.shape[0]):
                first, column = np.uint32(offsets[level]), np.uint64(level * features)
                here = resolutions[level], first, sizes[level]
                if dense[level]:
                    _corners(places, here, True, entries, weights)
                else:
                    _corners(places, here, False, entries, weights)
                for q in range(own):
                    i0, i1, i2, i3 = entries[0, q], entries[1, q], entries[2, q], entries[3, q]
                    i4, i5, i6, i7 = entries[4, q], entries[5, q], entries[6, q], entries[7, q]
                    w0, w1, w2, w3 = weights[0, q], weights[1, q], weights[2, q], weights[3, q]
                    w4, w5, w6, w7 = weights[4, q], weights[5, q], weights[6, q], weights[7, q]
                    for f in range(np.uint64(features)):
                        encoded[column + f, q] = (
                            w0 * table[i0, f] + w1 * table[i1, f] + w2 * table[i2, f] + w3 * table[i3, f]
                            + w4 * table[i4, f] + w5 * table[i5, f] + w6 * table[i6, f] + w7 * table[i7, f]
                        )  # fmt: skip
            _layers(encoded, parameters, hidden, result)
            for q in range(own):
                for row in range(out.shape[1]):
                    out[start + q, row] = result[row, q]

    return encoded_layers


def encoded_layers(
    points: Tensor, table: Tensor, layout: GridLayout, weights: Sequence[Tensor], biases: Sequence[Tensor | None]
) -> Tensor:
    """See `reference.encoded_layers`, which serves other than two layers."""
    if len(weights) != 2:
        return reference.encoded_layers(points, table, layout, weights, biases)
    first, last = (weight.detach() for weight in weights)
    units, inputs = first.shape
    more = -units % TOGETHER
    first, last = F.pad(first, (0, -inputs % AT_ONCE, 0, more)), F.pad(last, (0, more))
    given = [
        weight.new_zeros(len(weight)) if bias is None else bias for weight, bias in zip(weights, biases, strict=True)
    ]
    parameters = first, F.pad(given[0].detach(), (0, more)), last, given[1]
    out = torch.empty(len(points), len(last))
    _kernel(layout.features)(
        array_of(points),
        array_of(table),
        grid_arrays(layout),
        tuple(array_of(each) for each in parameters),
        out.numpy(),
    )
    return out
