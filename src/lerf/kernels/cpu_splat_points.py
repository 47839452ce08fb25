"""Splats at scattered points of a picture, and the way back through a picture; see `cpu_splat_tiles.py`."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from lerf.kernels.cpu_splat_tiles import _HALF, _LEAST, _MOST, _ONE, _OPAQUE, _ZERO, SLACK, TILE, density, row_span


@njit(parallel=True, fastmath=True, cache=True)
def trace(lists, flat, points, begins, threads, out):  # type: ignore[no-untyped-def]
    """Composite at points that are sorted by tile, those of a tile from `begins[tile]` on."""
    starts, entries, columns, rows = lists
    centres, whitening, opacities, colours, _ = flat
    colour, transmittance, middle, indices, weights = out
    heaviest = indices.shape[1]
    for thread in prange(threads):
        for tile in range(thread, columns * rows, threads):
            for p in range(begins[tile], begins[tile + 1]):
                x, y = points[p, 0], points[p, 1]
                t, red, green, blue = _ONE, _ZERO, _ZERO, _ZERO
                held = 0
                for entry in range(starts[tile], starts[tile + 1]):
                    i = entries[entry]
                    dx, dy = x - centres[i, 0], y - centres[i, 1]
                    u, v = whitening[i, 0] * dx + whitening[i, 1] * dy, whitening[i, 2] * dy
                    square = u * u + v * v
                    if square > np.float32(12.0):
                        continue
                    alpha = min(opacities[i] * density(square), _MOST)
                    if alpha < _LEAST:
                        continue
                    weight = alpha * t
                    after = t - weight
                    red += weight * colours[i, 0]
                    green += weight * colours[i, 1]
                    blue += weight * colours[i, 2]
                    if t > _HALF and after <= _HALF:
                        middle[p] = i
                    t = after
                    if held < heaviest or (heaviest > 0 and weight > weights[p, heaviest - 1]):
                        at = held if held < heaviest else heaviest - 1
                        while at > 0 and weights[p, at - 1] < weight:
                            weights[p, at], indices[p, at] = weights[p, at - 1], indices[p, at - 1]
                            at -= 1
                        weights[p, at], indices[p, at] = weight, i
                        held = min(held + 1, heaviest)
                    if t < _OPAQUE:
                        break
                colour[p, 0], colour[p, 1], colour[p, 2], transmittance[p] = red, green, blue, t


@njit(inline="always")
def _light_behind(seen, of_transmittance, box, light, behind):  # type: ignore[no-untyped-def]
    """The light that is left at the pixels of a tile, what a change of it would do, and the last Gaussian of any."""
    transmittance, last = seen
    x0, x1, y0, y1 = box
    final = -1
    for y in range(y0, y1):
        for x in range(x0, x1):
            p = (y - y0) * TILE + x - x0
            light[p] = transmittance[y, x]
            behind[p] = transmittance[y, x] * of_transmittance[y, x]
            final = max(final, last[y, x])
    return final


@njit(parallel=True, fastmath=True, cache=True)
def draw_back(lists, flat, size, threads, seen, slopes, sums):  # type: ignore[no-untyped-def]
    """Gradients of a picture, into `sums` [threads, n, 9]: centre 2, whitening 3, opacity, colour 3.

    Gaussians are taken back to front; the transmittance before one is that behind it over what it lets through.
    """
    starts, entries, columns, rows = lists
    centres, whitening, opacities, colours, limits = flat
    last = seen[1]
    of_colour, of_transmittance = slopes
    width, height = size
    for thread in prange(threads):
        light, behind = np.empty(TILE * TILE, np.float32), np.empty(TILE * TILE, np.float32)
        own = np.empty(9, np.float32)
        for tile in range(thread, columns * rows, threads):
            y0, x0 = (tile // columns) * TILE, (tile % columns) * TILE
            y1, x1 = min(y0 + TILE, height), min(x0 + TILE, width)
            final = _light_behind(seen, of_transmittance, (x0, x1, y0, y1), light, behind)
            for entry in range(starts[tile + 1] - 1, starts[tile] - 1, -1):
                i = entries[entry]
                if i > final:
                    continue
                cx, cy, opacity = centres[i, 0], centres[i, 1], opacities[i]
                a, b, c, limit = whitening[i, 0], whitening[i, 1], whitening[i, 2], limits[i]
                r, g, bl = colours[i, 0], colours[i, 1], colours[i, 2]
                first, stop = row_span(cy, math.sqrt(limit) / c + SLACK, y0, y1)
                own[:] = 0.0
                for y in range(first, stop):
                    dy = np.float32(y + 0.5) - cy
                    v = c * dy
                    rest = max(limit - v * v, _ZERO)
                    begin, end = row_span(cx - b * dy / a, math.sqrt(rest) / a + SLACK, x0, x1)
                    for x in range(begin, end):
                        p = (y - y0) * TILE + x - x0
                        dx = np.float32(x + 0.5) - cx
                        u = a * dx + b * dy
                        e = density(min(u * u + v * v, np.float32(24.0)))
                        alpha = min(opacity * e, _MOST)
                        if alpha < _LEAST or i > last[y, x]:
                            continue
                        g0, g1, g2 = of_colour[y, x, 0], of_colour[y, x, 1], of_colour[y, x, 2]
                        before = light[p] / (_ONE - alpha)
                        weight = alpha * before
                        shown = r * g0 + g * g1 + bl * g2
                        slope = before * shown - behind[p] / (_ONE - alpha)
                        behind[p] += weight * shown
                        light[p] = before
                        own[6] += weight * g0
                        own[7] += weight * g1
                        own[8] += weight * g2
                        if alpha < _MOST:
                            own[5] += e * slope
                            # alpha = opacity exp(-(u^2 + v^2) / 2)
                            of_u, of_v = -alpha * slope * u, -alpha * slope * v
                            own[2] += of_u * dx
                            own[3] += of_u * dy
                            own[4] += of_v * dy
                            own[0] -= of_u * a
                            own[1] -= of_u * b + of_v * c
                for k in range(9):
                    sums[thread, i, k] += own[k]
