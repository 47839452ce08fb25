"""What comes before the tiles, in numba: which Gaussians a picture may show, front to back, and their colours."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from lerf.geometry.harmonics import CONSTANT
from lerf.kernels.reference_splats import LEAST

DIGIT = 11
"""Bits of a depth that a pass of the sort looks at; three passes see all 32."""
_HALF, _CONSTANT = np.float32(0.5), np.float32(CONSTANT)


@njit(parallel=True, cache=True)
def reach(centres, whitening, opacities, depths, window, inside):  # type: ignore[no-untyped-def]
    """Whether each Gaussian may reach the window (least x and y, largest x and y, and the near plane)."""
    left, top, right, bottom, near = window[0], window[1], window[2], window[3], window[4]
    for i in prange(centres.shape[0]):
        inside[i] = False
        if not (opacities[i] >= LEAST and depths[i] > near):
            continue
        limit = 2.0 * math.log(float(opacities[i]) / LEAST)
        a, b, c = float(whitening[i, 0]), float(whitening[i, 1]), float(whitening[i, 2])
        half_x, half_y = math.sqrt(limit * (b * b + c * c)) / (a * c), math.sqrt(limit) / c
        x, y = centres[i, 0], centres[i, 1]
        inside[i] = x + half_x >= left and x - half_x <= right and y + half_y >= top and y - half_y <= bottom


@njit(cache=True)
def front_to_back(inside, bits):  # type: ignore[no-untyped-def]
    """Numbers of those that are inside, by the bits of their depth as whole numbers: for floats above 0 these order
    alike. Equal ones stay in their order."""
    count = 0
    for i in range(len(inside)):
        count += inside[i]
    order, other = np.empty(count, np.int64), np.empty(count, np.int64)
    at = 0
    for i in range(len(inside)):
        if inside[i]:
            order[at] = i
            at += 1
    size = 1 << DIGIT
    for place in range(0, 32, DIGIT):
        starts = np.zeros(size + 1, np.int64)
        for k in range(count):
            starts[((bits[order[k]] >> place) & (size - 1)) + 1] += 1
        for digit in range(size):
            starts[digit + 1] += starts[digit]
        for k in range(count):
            digit = (bits[order[k]] >> place) & (size - 1)
            other[starts[digit]] = order[k]
            starts[digit] += 1
        order, other = other, order
    return order


@njit(cache=True, fastmath=True)
def _basis(x, y, z, count, basis):  # type: ignore[no-untyped-def]
    """As `geometry.harmonics.harmonics`, the first `count` of them."""
    basis[0] = CONSTANT
    if count >= 4:
        basis[1], basis[2], basis[3] = -0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x
    if count >= 9:
        basis[4], basis[5] = 1.0925484305920792 * x * y, -1.0925484305920792 * y * z
        basis[6] = 0.31539156525252005 * (3 * z * z - 1)
        basis[7], basis[8] = -1.0925484305920792 * x * z, 0.5462742152960396 * (x * x - y * y)
    if count >= 16:
        xx, yy, zz = x * x, y * y, z * z
        basis[9], basis[10] = -0.5900435899266435 * y * (3 * xx - yy), 2.890611442640554 * x * y * z
        basis[11], basis[12] = -0.4570457994644658 * y * (5 * zz - 1), 0.3731763325901154 * z * (5 * zz - 3)
        basis[13], basis[14] = -0.4570457994644658 * x * (5 * zz - 1), 1.445305721320277 * z * (xx - yy)
        basis[15] = -0.5900435899266435 * x * (xx - 3 * yy)


@njit(cache=True, fastmath=True)
def _seen_from(means, i, position, count, basis):  # type: ignore[no-untyped-def]
    x, y, z = means[i, 0] - position[0], means[i, 1] - position[1], means[i, 2] - position[2]
    length = max(math.sqrt(x * x + y * y + z * z), 1e-12)
    _basis(x / length, y / length, z / length, count, basis)


@njit(parallel=True, cache=True, fastmath=True)
def colours(coefficients, given, position, threads, out):  # type: ignore[no-untyped-def]
    """As `reference_splats.splat_colours`."""
    means, which = given
    count = coefficients.shape[1]
    for thread in prange(threads):
        basis = np.empty(16, np.float32)
        for row in range(thread * len(which) // threads, (thread + 1) * len(which) // threads):
            i = which[row]
            _seen_from(means, i, position, count, basis)
            red, green, blue = _HALF, _HALF, _HALF
            for k in range(count):
                red += basis[k] * coefficients[i, k, 0]
                green += basis[k] * coefficients[i, k, 1]
                blue += basis[k] * coefficients[i, k, 2]
            out[row, 0], out[row, 1], out[row, 2] = max(red, 0.0), max(green, 0.0), max(blue, 0.0)


@njit(parallel=True, cache=True, fastmath=True)
def colours_back(given, position, threads, found, slopes, out):  # type: ignore[no-untyped-def]
    """Gradients of the coefficients; `out` is zero where nothing is seen, and no Gaussian is named twice."""
    means, which = given
    count = out.shape[1]
    for thread in prange(threads):
        basis = np.empty(16, np.float32)
        for row in range(thread * len(which) // threads, (thread + 1) * len(which) // threads):
            i = which[row]
            _seen_from(means, i, position, count, basis)
            for channel in range(3):
                if found[row, channel] > 0:
                    for k in range(count):
                        out[i, k, channel] = basis[k] * slopes[row, channel]
