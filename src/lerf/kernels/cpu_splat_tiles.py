"""Splats on the CPU: numba over tiles of the picture, each thread every so manieth tile.

Within a tile Gaussians are taken front to back, and of each only the pixels that its ellipse covers, row by row.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from lerf.kernels.reference_splats import LEAST, MOST, OPAQUE

TILE = 16
"""Side of a tile in pixels."""
AT_ONCE = 16
"""Gaussians between looks at whether a tile is opaque."""
SLACK = 1e-3
"""Pixels that an ellipse is taken to be larger; whether it reaches a pixel is then decided by the opacity there."""
_LEAST, _MOST, _OPAQUE = np.float32(LEAST), np.float32(MOST), np.float32(OPAQUE)
_HALF, _ONE, _ZERO = np.float32(0.5), np.float32(1.0), np.float32(0.0)
_TERMS = tuple(np.float32(1 / math.factorial(k)) for k in range(7))
_C2, _C3, _C4, _C5, _C6 = _TERMS[2:]
_SIXTEENTH = np.float32(-0.5 / 16)


@njit(inline="always")
def density(square):  # type: ignore[no-untyped-def]
    """exp(-square / 2) for squares of 0 to 12: a polynomial to the sixteenth power, which vectorises."""
    t = _SIXTEENTH * square
    e = _ONE + t * (_ONE + t * (_C2 + t * (_C3 + t * (_C4 + t * (_C5 + t * _C6)))))
    e = e * e
    e = e * e
    e = e * e
    return e * e


@njit(parallel=True, cache=True)
def boxes_of(centres, whitening, opacities, grid, boxes, limits):  # type: ignore[no-untyped-def]
    """The tiles that each Gaussian may reach, as first and last column and row; and its largest u^2 + v^2.

    The grid of `columns` x `rows` tiles begins at the pixel (low_x, low_y). Empty ranges end before they begin.
    """
    low_x, low_y, columns, rows = grid
    for i in prange(centres.shape[0]):
        boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3] = 0, -1, 0, -1
        limits[i] = -1.0
        if opacities[i] < LEAST:
            continue
        limit = 2.0 * math.log(float(opacities[i]) / LEAST)
        a, b, c = float(whitening[i, 0]), float(whitening[i, 1]), float(whitening[i, 2])
        half_x = math.sqrt(limit * (b * b + c * c)) / (a * c) + SLACK
        half_y = math.sqrt(limit) / c + SLACK
        limits[i] = limit
        x, y = centres[i, 0] - low_x, centres[i, 1] - low_y
        boxes[i, 0] = int(min(max(math.floor((x - half_x) / TILE), 0.0), float(columns)))
        boxes[i, 1] = int(max(min(math.floor((x + half_x) / TILE), columns - 1.0), -1.0))
        boxes[i, 2] = int(min(max(math.floor((y - half_y) / TILE), 0.0), float(rows)))
        boxes[i, 3] = int(max(min(math.floor((y + half_y) / TILE), rows - 1.0), -1.0))


@njit(cache=True)
def tile_lists(boxes, columns, rows):  # type: ignore[no-untyped-def]
    """Where the list of each tile begins, and the Gaussians of all lists, each in the order of the Gaussians."""
    starts = np.zeros(columns * rows + 1, np.int64)
    for i in range(boxes.shape[0]):
        for row in range(boxes[i, 2], boxes[i, 3] + 1):
            for column in range(boxes[i, 0], boxes[i, 1] + 1):
                starts[row * columns + column + 1] += 1
    for tile in range(columns * rows):
        starts[tile + 1] += starts[tile]
    entries = np.empty(starts[-1], np.int32)
    filled = starts[:-1].copy()
    for i in range(boxes.shape[0]):
        for row in range(boxes[i, 2], boxes[i, 3] + 1):
            for column in range(boxes[i, 0], boxes[i, 1] + 1):
                tile = row * columns + column
                entries[filled[tile]] = i
                filled[tile] += 1
    return starts, entries


@njit(inline="always")
def row_span(mid, half, x0, x1):  # type: ignore[no-untyped-def]
    """First and one past the last of the columns x0..x1-1 whose centres lie within `half` of `mid`."""
    first = math.ceil(min(max(mid - half - 0.5, float(x0)), float(x1)))
    last = math.floor(max(min(mid + half - 0.5, x1 - 1.0), x0 - 1.0))
    return int(first), int(last) + 1


@njit(inline="always")
def begin_tile(light, width, height):  # type: ignore[no-untyped-def]
    """All light within the picture; beyond its edge none, so that nothing is waited for."""
    light[:] = 0.0
    for y in range(height):
        light[y * TILE : y * TILE + width] = 1.0


@njit(inline="always")
def is_opaque(light, pixels):  # type: ignore[no-untyped-def]
    most = _ZERO
    for p in range(pixels):
        most = max(most, light[p])
    return most < _OPAQUE


@njit(parallel=True, fastmath=True, cache=True)
def draw(lists, flat, size, threads, colour, transmittance, middle, last):  # type: ignore[no-untyped-def]
    """Composite the tiles of a picture; `last` is the last Gaussian that counted at a pixel, -1 for none."""
    starts, entries, columns, rows = lists
    centres, whitening, opacities, colours, limits = flat
    width, height = size
    for thread in prange(threads):
        light, ends = np.empty(TILE * TILE, np.float32), np.empty(TILE * TILE, np.int32)
        red, green, blue = (np.empty(TILE * TILE, np.float32), np.empty(TILE * TILE, np.float32),
                            np.empty(TILE * TILE, np.float32))  # fmt: skip
        middles = np.empty(TILE * TILE, np.int32)
        for tile in range(thread, columns * rows, threads):
            y0, x0 = (tile // columns) * TILE, (tile % columns) * TILE
            y1, x1 = min(y0 + TILE, height), min(x0 + TILE, width)
            begin_tile(light, x1 - x0, y1 - y0)
            red[:], green[:], blue[:], middles[:], ends[:] = 0.0, 0.0, 0.0, -1, -1
            since = 0
            for entry in range(starts[tile], starts[tile + 1]):
                if since == AT_ONCE:
                    since = 0
                    if is_opaque(light, TILE * TILE):
                        break
                since += 1
                i = entries[entry]
                cx, cy, opacity = centres[i, 0], centres[i, 1], opacities[i]
                a, b, c, limit = whitening[i, 0], whitening[i, 1], whitening[i, 2], limits[i]
                r, g, bl = colours[i, 0], colours[i, 1], colours[i, 2]
                half_y = math.sqrt(limit) / c + SLACK
                first, final = row_span(cy, half_y, y0, y1)
                for y in range(first, final):
                    dy = np.float32(y + 0.5) - cy
                    v = c * dy
                    rest = max(limit - v * v, _ZERO)
                    begin, end = row_span(cx - b * dy / a, math.sqrt(rest) / a + SLACK, x0, x1)
                    shift, base, vv = b * dy, (y - y0) * TILE - x0, v * v
                    for x in range(begin, end):
                        p = base + x
                        u = a * (np.float32(x + 0.5) - cx) + shift
                        square = u * u + vv
                        alpha = min(opacity * density(min(square, np.float32(24.0))), _MOST)
                        alpha = alpha if alpha >= _LEAST else _ZERO
                        t = light[p]
                        weight = alpha * t if t >= _OPAQUE else _ZERO
                        after = t - weight
                        red[p] += weight * r
                        green[p] += weight * g
                        blue[p] += weight * bl
                        light[p] = after
                        middles[p] = i if (t > _HALF and after <= _HALF) else middles[p]
                        ends[p] = i if weight > _ZERO else ends[p]
            for y in range(y0, y1):
                for x in range(x0, x1):
                    p = (y - y0) * TILE + x - x0
                    colour[y, x, 0], colour[y, x, 1], colour[y, x, 2] = red[p], green[p], blue[p]
                    transmittance[y, x], middle[y, x], last[y, x] = light[p], middles[p], ends[p]


@njit(parallel=True, fastmath=True, cache=True)
def gather(lists, flat, size, threads, sums):  # type: ignore[no-untyped-def]
    """What each Gaussian contributes, into `sums` [threads, n, 4]; see `reference_splats.gather_splats`."""
    starts, entries, columns, rows = lists
    centres, whitening, opacities, _, limits = flat
    width, height = size
    for thread in prange(threads):
        light = np.empty(TILE * TILE, np.float32)
        for tile in range(thread, columns * rows, threads):
            y0, x0 = (tile // columns) * TILE, (tile % columns) * TILE
            y1, x1 = min(y0 + TILE, height), min(x0 + TILE, width)
            begin_tile(light, x1 - x0, y1 - y0)
            since = 0
            for entry in range(starts[tile], starts[tile + 1]):
                if since == AT_ONCE:
                    since = 0
                    if is_opaque(light, TILE * TILE):
                        break
                since += 1
                i = entries[entry]
                cx, cy, opacity = centres[i, 0], centres[i, 1], opacities[i]
                a, b, c, limit = whitening[i, 0], whitening[i, 1], whitening[i, 2], limits[i]
                first, final = row_span(cy, math.sqrt(limit) / c + SLACK, y0, y1)
                total, total_x, total_y, most = _ZERO, _ZERO, _ZERO, _ZERO
                for y in range(first, final):
                    dy = np.float32(y + 0.5) - cy
                    v = c * dy
                    rest = max(limit - v * v, _ZERO)
                    begin, end = row_span(cx - b * dy / a, math.sqrt(rest) / a + SLACK, x0, x1)
                    shift, base, vv, of_row = b * dy, (y - y0) * TILE - x0, v * v, _ZERO
                    for x in range(begin, end):
                        p = base + x
                        u = a * (np.float32(x + 0.5) - cx) + shift
                        alpha = min(opacity * density(min(u * u + vv, np.float32(24.0))), _MOST)
                        alpha = alpha if alpha >= _LEAST else _ZERO
                        t = light[p]
                        weight = alpha * t if t >= _OPAQUE else _ZERO
                        light[p] = t - weight
                        of_row += weight
                        total_x += weight * np.float32(x + 0.5)
                        most = max(most, weight)
                    total += of_row
                    total_y += of_row * np.float32(y + 0.5)
                sums[thread, i, 0] += total
                sums[thread, i, 1] += total_x
                sums[thread, i, 2] += total_y
                sums[thread, i, 3] = max(sums[thread, i, 3], most)
