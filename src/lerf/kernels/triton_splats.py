"""Gaussian splats in Triton: a program composites a block of points of one tile, Gaussian by Gaussian of its list.

Rows of Gaussians are packed: centre 2, whitening 3, opacity, colour 3. `blocks` names for each program its tile and its
points from the first to the one after the last; points are sorted by tile.
"""

from __future__ import annotations

import triton
import triton.language as tl

from lerf.kernels import reference_splats

AT_ONCE = tl.constexpr(16)
"""Gaussians between looks at whether all points are opaque."""
LEAST = tl.constexpr(reference_splats.LEAST)
MOST = tl.constexpr(reference_splats.MOST)
OPAQUE = tl.constexpr(reference_splats.OPAQUE)


@triton.jit
def _block(blocks_ptr, starts_ptr, points_ptr, BLOCK: tl.constexpr):
    """The points of a program, which of them there are, where they lie, and the list of their tile."""
    program = tl.program_id(0)
    tile, first = tl.load(blocks_ptr + program * 3), tl.load(blocks_ptr + program * 3 + 1)
    end = tl.load(blocks_ptr + program * 3 + 2)
    p = first + tl.arange(0, BLOCK)
    there = p < end
    p = p.to(tl.int64)
    x = tl.load(points_ptr + p * 2, mask=there, other=0.0)
    y = tl.load(points_ptr + p * 2 + 1, mask=there, other=0.0)
    return p, there, x, y, tl.load(starts_ptr + tile), tl.load(starts_ptr + tile + 1)


@triton.jit
def _opacity(rows_ptr, i, x, y):
    """What a Gaussian stops of the light at points, its density there, and where the points lie in it."""
    row = rows_ptr + i.to(tl.int64) * 9
    dx, dy = x - tl.load(row), y - tl.load(row + 1)
    a, b, c = tl.load(row + 2), tl.load(row + 3), tl.load(row + 4)
    u, v = a * dx + b * dy, c * dy
    density = tl.exp(-0.5 * (u * u + v * v))
    alpha = tl.minimum(tl.load(row + 5) * density, MOST)
    return tl.where(alpha >= LEAST, alpha, 0.0), density, u, v, dx, dy


@triton.jit
def trace_splats(
    rows_ptr, starts_ptr, entries_ptr, blocks_ptr, points_ptr, seen_ptr, marks_ptr, weights_ptr, names_ptr,
    HEAVIEST: tl.constexpr, KEPT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """`reference_splats.trace_splats`: colour and transmittance to `seen` [points, 4]; the Gaussian of the median and
    the last one that counts to `marks` [points, 2]; the heaviest, in no order, to `weights` and `names`."""
    p, there, x, y, at, stop = _block(blocks_ptr, starts_ptr, points_ptr, BLOCK)
    light = tl.where(there, 1.0, 0.0)
    red, green, blue = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    middle, last = tl.full((BLOCK,), -1, tl.int32), tl.full((BLOCK,), -1, tl.int32)
    slot = tl.arange(0, KEPT)[None, :]
    # Slots that are not asked for are never the lightest.
    held = tl.zeros((BLOCK, KEPT), tl.float32) + tl.where(slot < HEAVIEST, 0.0, 2.0)
    names = tl.full((BLOCK, KEPT), -1, tl.int32)
    while at < stop:
        for entry in range(at, tl.minimum(at + AT_ONCE, stop)):
            i = tl.load(entries_ptr + entry)
            alpha = _opacity(rows_ptr, i, x, y)[0]
            weight = tl.where(light >= OPAQUE, alpha * light, 0.0)
            after = light - weight
            row = rows_ptr + i.to(tl.int64) * 9
            red += weight * tl.load(row + 6)
            green += weight * tl.load(row + 7)
            blue += weight * tl.load(row + 8)
            middle = tl.where((light > 0.5) & (after <= 0.5), i, middle)
            last = tl.where(weight > 0.0, i, last)
            light = after
            if HEAVIEST > 0:
                lightest = tl.min(held, 1)
                chosen = (slot == tl.argmin(held, 1)[:, None]) & (weight > lightest)[:, None]
                held = tl.where(chosen, weight[:, None], held)
                names = tl.where(chosen, i, names)
        at = tl.where(tl.max(light, 0) >= OPAQUE, at + AT_ONCE, stop)
    tl.store(seen_ptr + p * 4, red, mask=there)
    tl.store(seen_ptr + p * 4 + 1, green, mask=there)
    tl.store(seen_ptr + p * 4 + 2, blue, mask=there)
    tl.store(seen_ptr + p * 4 + 3, light, mask=there)
    tl.store(marks_ptr + p * 2, middle, mask=there)
    tl.store(marks_ptr + p * 2 + 1, last, mask=there)
    if HEAVIEST > 0:
        place = p[:, None] * HEAVIEST + slot
        tl.store(weights_ptr + place, held, mask=there[:, None] & (slot < HEAVIEST))
        tl.store(names_ptr + place, names, mask=there[:, None] & (slot < HEAVIEST))


@triton.jit
def gather_splats(rows_ptr, starts_ptr, entries_ptr, blocks_ptr, points_ptr, sums_ptr, BLOCK: tl.constexpr):
    """`reference_splats.gather_splats`, added to `sums` [n, 4] of zeros."""
    _p, there, x, y, at, stop = _block(blocks_ptr, starts_ptr, points_ptr, BLOCK)
    light = tl.where(there, 1.0, 0.0)
    while at < stop:
        for entry in range(at, tl.minimum(at + AT_ONCE, stop)):
            i = tl.load(entries_ptr + entry)
            alpha = _opacity(rows_ptr, i, x, y)[0]
            weight = tl.where(light >= OPAQUE, alpha * light, 0.0)
            light -= weight
            most = tl.max(weight, 0)
            if most > 0.0:
                own = sums_ptr + i.to(tl.int64) * 4
                tl.atomic_add(own, tl.sum(weight, 0), sem="relaxed")
                tl.atomic_add(own + 1, tl.sum(weight * x, 0), sem="relaxed")
                tl.atomic_add(own + 2, tl.sum(weight * y, 0), sem="relaxed")
                tl.atomic_max(own + 3, most, sem="relaxed")
        at = tl.where(tl.max(light, 0) >= OPAQUE, at + AT_ONCE, stop)


@triton.jit
def splats_back(
    rows_ptr, starts_ptr, entries_ptr, blocks_ptr, points_ptr, seen_ptr, marks_ptr, slopes_ptr, out_ptr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients of colour and transmittance, `slopes` [points, 4], added to `out` [n, 9], columns as the rows'.

    Gaussians are taken back to front; the transmittance before one is that behind it over what it lets through.
    """
    p, there, x, y, start, stop = _block(blocks_ptr, starts_ptr, points_ptr, BLOCK)
    light = tl.load(seen_ptr + p * 4 + 3, mask=there, other=1.0)
    last = tl.load(marks_ptr + p * 2 + 1, mask=there, other=-1)
    of_red = tl.load(slopes_ptr + p * 4, mask=there, other=0.0)
    of_green = tl.load(slopes_ptr + p * 4 + 1, mask=there, other=0.0)
    of_blue = tl.load(slopes_ptr + p * 4 + 2, mask=there, other=0.0)
    # What a change of the light that passes would do.
    behind = light * tl.load(slopes_ptr + p * 4 + 3, mask=there, other=0.0)
    final = tl.max(last, 0)
    for back in range(stop - start):
        i = tl.load(entries_ptr + stop - 1 - back)
        if i <= final:
            alpha, density, u, v, dx, dy = _opacity(rows_ptr, i, x, y)
            alpha = tl.where(i <= last, alpha, 0.0)
            row, out = rows_ptr + i.to(tl.int64) * 9, out_ptr + i.to(tl.int64) * 9
            before = light / (1.0 - alpha)
            weight = alpha * before
            shown = tl.load(row + 6) * of_red + tl.load(row + 7) * of_green + tl.load(row + 8) * of_blue
            # An opacity that was cut off does not change.
            moves = (alpha > 0.0) & (alpha < MOST)
            slope = tl.where(moves, before * shown - behind / (1.0 - alpha), 0.0)
            behind += weight * shown
            light = before
            # alpha = opacity exp(-(u^2 + v^2) / 2)
            of_u, of_v = -alpha * slope * u, -alpha * slope * v
            x_slope, y_slope = tl.sum(of_u, 0), tl.sum(of_v, 0)
            a, b, c = tl.load(row + 2), tl.load(row + 3), tl.load(row + 4)
            tl.atomic_add(out, -a * x_slope, sem="relaxed")
            tl.atomic_add(out + 1, -b * x_slope - c * y_slope, sem="relaxed")
            tl.atomic_add(out + 2, tl.sum(of_u * dx, 0), sem="relaxed")
            tl.atomic_add(out + 3, tl.sum(of_u * dy, 0), sem="relaxed")
            tl.atomic_add(out + 4, tl.sum(of_v * dy, 0), sem="relaxed")
            tl.atomic_add(out + 5, tl.sum(density * slope, 0), sem="relaxed")
            tl.atomic_add(out + 6, tl.sum(weight * of_red, 0), sem="relaxed")
            tl.atomic_add(out + 7, tl.sum(weight * of_green, 0), sem="relaxed")
            tl.atomic_add(out + 8, tl.sum(weight * of_blue, 0), sem="relaxed")
