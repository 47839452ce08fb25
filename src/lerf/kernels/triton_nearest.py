"""The nearest of many points within a reach, in Triton: a program has a block of queries and looks at the cells around
each, a row of cells at a time."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _row(starts_ptr, cx, cy, first, last, nx, ny, nz, wanted):
    """First and one past the last of the points in a row of cells along z, of each query; none outside the grid."""
    there = wanted & (cx >= 0) & (cx < nx) & (cy >= 0) & (cy < ny) & (first <= last)
    row = (cx.to(tl.int64) * ny + cy) * (nz + 1)
    begin = tl.load(starts_ptr + row + first, mask=there, other=0)
    return begin, tl.load(starts_ptr + row + last + 1, mask=there, other=0)


@triton.jit
def nearest_points(
    queries_ptr, points_ptr, starts_ptr, numbers_ptr, squares_ptr, found_ptr, count, nx, ny, nz, rings,
    MOST: tl.constexpr, KEPT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """`reference.nearest_points`, in no order: squares of the distances, and places in the sorted points, -1 for none.

    `numbers` are the lower corner of the grid, the side of a cell and the reach. Few cells are looked at first, and
    more where these do not settle it: whatever lies beyond `ring` cells is further away than `ring` sides.
    """
    q = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = q < count
    x = tl.load(queries_ptr + q * 3, mask=there, other=0.0)
    y = tl.load(queries_ptr + q * 3 + 1, mask=there, other=0.0)
    z = tl.load(queries_ptr + q * 3 + 2, mask=there, other=0.0)
    side, reach = tl.load(numbers_ptr + 3), tl.load(numbers_ptr + 4)
    # Also false where a coordinate is not a number.
    wanted = there & (tl.abs(x) < 1e6) & (tl.abs(y) < 1e6) & (tl.abs(z) < 1e6)
    ix = tl.floor((tl.where(wanted, x, 0.0) - tl.load(numbers_ptr)) / side).to(tl.int32)
    iy = tl.floor((tl.where(wanted, y, 0.0) - tl.load(numbers_ptr + 1)) / side).to(tl.int32)
    iz = tl.floor((tl.where(wanted, z, 0.0) - tl.load(numbers_ptr + 2)) / side).to(tl.int32)
    slot = tl.arange(0, KEPT)[None, :]
    # Slots that are not asked for are never the furthest.
    none = tl.zeros((BLOCK, KEPT), tl.float32) + tl.where(slot < MOST, reach * reach, -1.0)
    held, found = none, tl.full((BLOCK, KEPT), -1, tl.int32)
    ring = 1
    while ring <= rings:
        held = tl.where(wanted[:, None], none, held)
        found = tl.where(wanted[:, None], -1, found)
        first, last = tl.maximum(iz - ring, 0), tl.minimum(iz + ring, nz - 1)
        across = 2 * ring + 1
        for cell in range(across * across):
            cx, cy = ix + cell // across - ring, iy + cell % across - ring
            at, end = _row(starts_ptr, cx, cy, first, last, nx, ny, nz, wanted)
            for _step in range(tl.max(end - at, 0)):
                more = at < end
                place = at.to(tl.int64) * 3
                dx = tl.load(points_ptr + place, mask=more, other=0.0) - x
                dy = tl.load(points_ptr + place + 1, mask=more, other=0.0) - y
                dz = tl.load(points_ptr + place + 2, mask=more, other=0.0) - z
                square = dx * dx + dy * dy + dz * dz
                nearer = more & (square < tl.max(held, 1))
                chosen = (slot == tl.argmax(held, 1)[:, None]) & nearer[:, None]
                held = tl.where(chosen, square[:, None], held)
                found = tl.where(chosen, at[:, None], found)
                at += 1
        wanted = wanted & (tl.max(held, 1) > (ring * side) * (ring * side))
        ring = tl.where(tl.max(wanted.to(tl.int32), 0) > 0, ring + 1, rings + 1)
    kept = there[:, None] & (slot < MOST)
    tl.store(squares_ptr + q[:, None] * MOST + slot, held, mask=kept)
    tl.store(found_ptr + q[:, None] * MOST + slot, found, mask=kept)
