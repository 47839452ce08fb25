"""Hash-grid encoding in Triton, same results as `reference.hash_encode`; gradients are added atomically.

A program works on one level for a block of points, so that its part of the table is read by many at once. `shape_ptr`
has four numbers a level: resolution, first entry, entries, and whether it is stored without hashing.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _locate(points_ptr, rows, inside, axis: tl.constexpr, resolution):
    """Cell and fraction of one coordinate clamped to the unit interval."""
    coordinate = tl.load(points_ptr + rows * 3 + axis, mask=inside, other=0.0)
    scaled = tl.minimum(tl.maximum(coordinate, 0.0), 1.0) * resolution.to(tl.float32)
    cell = tl.maximum(tl.minimum(scaled.to(tl.int32), resolution - 1), 0)
    return cell.to(tl.uint32), scaled - cell.to(tl.float32)


@triton.jit
def _place(points_ptr, rows, inside, resolution):
    """Cells and fractions of points along the three axes."""
    x, u = _locate(points_ptr, rows, inside, 0, resolution)
    y, v = _locate(points_ptr, rows, inside, 1, resolution)
    z, w = _locate(points_ptr, rows, inside, 2, resolution)
    return x, y, z, u, v, w


@triton.jit
def _level(shape_ptr, level):
    """The four numbers of a level."""
    at = shape_ptr + level * 4
    return tl.load(at), tl.load(at + 1), tl.load(at + 2), tl.load(at + 3)


@triton.jit
def _store_free(points_ptr, points_grad_ptr, rows, inside, axis: tl.constexpr, along):
    """Store the gradient of a coordinate, 0 where it lies outside and was clamped."""
    coordinate = tl.load(points_ptr + rows * 3 + axis, mask=inside, other=0.0)
    free = (coordinate >= 0.0) & (coordinate <= 1.0)
    tl.store(points_grad_ptr + rows * 3 + axis, tl.where(free, along, 0.0), mask=inside)


@triton.jit
def _entry(x, y, z, resolution, size, dense, corner: tl.constexpr):
    """Entry within a level of a corner of cells; bit 0 of `corner` is a step along x, bit 1 along y, bit 2 along z."""
    one = tl.full((), 1, tl.uint32)
    if corner & 1:
        x = x + one
    if corner & 2:
        y = y + one
    if corner & 4:
        z = z + one
    row = (resolution + 1).to(tl.uint32)
    plain = x + (y + z * row) * row
    # The primes of `layout.HASH_PRIMES`, of which the first is 1.
    mixed = x ^ (y * tl.full((), 2654435761, tl.uint32)) ^ (z * tl.full((), 805459861, tl.uint32))
    return tl.where(dense != 0, plain, mixed & (size - 1).to(tl.uint32)).to(tl.int64)


@triton.jit
def _share(u, v, w, corner: tl.constexpr):
    """Trilinear weight of a corner."""
    along_x = u if corner & 1 else 1.0 - u
    along_y = v if corner & 2 else 1.0 - v
    along_z = w if corner & 4 else 1.0 - w
    return along_x * along_y * along_z


@triton.jit
def forward(
    points_ptr, table_ptr, out_ptr, shape_ptr, count, LEVELS: tl.constexpr, FEATURES: tl.constexpr, BLOCK: tl.constexpr
):
    """Encodings [count, LEVELS * FEATURES]."""
    level = tl.program_id(1)
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = rows < count
    resolution, offset, size, dense = _level(shape_ptr, level)
    x, y, z, u, v, w = _place(points_ptr, rows, inside, resolution)
    f = tl.arange(0, FEATURES)[None, :]
    total = tl.zeros((BLOCK, FEATURES), tl.float32)
    for corner in tl.static_range(8):
        entry = offset + _entry(x, y, z, resolution, size, dense, corner)
        read = tl.load(table_ptr + entry[:, None] * FEATURES + f, mask=inside[:, None], other=0.0)
        total += _share(u, v, w, corner)[:, None] * read
    tl.store(out_ptr + (rows * LEVELS + level)[:, None] * FEATURES + f, total, mask=inside[:, None])


@triton.jit
def backward_table(
    points_ptr, grad_ptr, table_grad_ptr, shape_ptr, count,
    LEVELS: tl.constexpr, FEATURES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Adds to the table's gradient what encodings with the gradient `grad` ask for."""
    level = tl.program_id(1)
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = rows < count
    resolution, offset, size, dense = _level(shape_ptr, level)
    x, y, z, u, v, w = _place(points_ptr, rows, inside, resolution)
    f = tl.arange(0, FEATURES)[None, :]
    grad = tl.load(grad_ptr + (rows * LEVELS + level)[:, None] * FEATURES + f, mask=inside[:, None], other=0.0)
    for corner in tl.static_range(8):
        entry = offset + _entry(x, y, z, resolution, size, dense, corner)
        change = _share(u, v, w, corner)[:, None] * grad
        tl.atomic_add(table_grad_ptr + entry[:, None] * FEATURES + f, change, mask=inside[:, None], sem="relaxed")


@triton.jit
def backward_points(
    points_ptr, grad_ptr, table_ptr, points_grad_ptr, shape_ptr, count,
    LEVELS: tl.constexpr, FEATURES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradient of the points, [count, 3]; 0 along an axis on which a point lies outside and was clamped."""
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = rows < count
    f = tl.arange(0, FEATURES)[None, :]
    along_x = tl.zeros((BLOCK,), tl.float32)
    along_y = tl.zeros((BLOCK,), tl.float32)
    along_z = tl.zeros((BLOCK,), tl.float32)
    for level in range(LEVELS):
        resolution, offset, size, dense = _level(shape_ptr, level)
        x, y, z, u, v, w = _place(points_ptr, rows, inside, resolution)
        grad = tl.load(grad_ptr + (rows * LEVELS + level)[:, None] * FEATURES + f, mask=inside[:, None], other=0.0)
        for corner in tl.static_range(8):
            entry = offset + _entry(x, y, z, resolution, size, dense, corner)
            read = tl.load(table_ptr + entry[:, None] * FEATURES + f, mask=inside[:, None], other=0.0)
            slope = tl.sum(grad * read, 1) * resolution.to(tl.float32)
            a = u if corner & 1 else 1.0 - u
            b = v if corner & 2 else 1.0 - v
            c = w if corner & 4 else 1.0 - w
            along_x += (slope if corner & 1 else -slope) * b * c
            along_y += (slope if corner & 2 else -slope) * a * c
            along_z += (slope if corner & 4 else -slope) * a * b
    _store_free(points_ptr, points_grad_ptr, rows, inside, 0, along_x)
    _store_free(points_ptr, points_grad_ptr, rows, inside, 1, along_y)
    _store_free(points_ptr, points_grad_ptr, rows, inside, 2, along_z)


@triton.jit
def composite_forward(
    points_ptr, weights_ptr, table_ptr, out_ptr, shape_ptr, rays, samples,
    LEVELS: tl.constexpr, FEATURES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Encodings of samples summed along rays, [rays, LEVELS * FEATURES]; those of the samples are never written."""
    level = tl.program_id(1)
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = ray < rays
    resolution, offset, size, dense = _level(shape_ptr, level)
    f = tl.arange(0, FEATURES)[None, :]
    total = tl.zeros((BLOCK, FEATURES), tl.float32)
    for sample in range(samples):
        rows = ray * samples + sample
        weight = tl.load(weights_ptr + rows, mask=inside, other=0.0)
        seen = inside & (weight != 0.0)
        x, y, z, u, v, w = _place(points_ptr, rows, seen, resolution)
        for corner in tl.static_range(8):
            entry = offset + _entry(x, y, z, resolution, size, dense, corner)
            read = tl.load(table_ptr + entry[:, None] * FEATURES + f, mask=seen[:, None], other=0.0)
            total += (weight * _share(u, v, w, corner))[:, None] * read
    tl.store(out_ptr + (ray * LEVELS + level)[:, None] * FEATURES + f, total, mask=inside[:, None])


@triton.jit
def composite_backward(
    points_ptr, weights_ptr, grad_ptr, table_grad_ptr, shape_ptr, count, samples,
    LEVELS: tl.constexpr, FEATURES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Adds to the table's gradient; `count` are the samples of all rays."""
    level = tl.program_id(1)
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    weight = tl.load(weights_ptr + rows, mask=rows < count, other=0.0)
    seen = (rows < count) & (weight != 0.0)
    resolution, offset, size, dense = _level(shape_ptr, level)
    x, y, z, u, v, w = _place(points_ptr, rows, seen, resolution)
    f = tl.arange(0, FEATURES)[None, :]
    ray = rows // samples
    grad = tl.load(grad_ptr + (ray * LEVELS + level)[:, None] * FEATURES + f, mask=seen[:, None], other=0.0)
    for corner in tl.static_range(8):
        entry = offset + _entry(x, y, z, resolution, size, dense, corner)
        change = (weight * _share(u, v, w, corner))[:, None] * grad
        tl.atomic_add(table_grad_ptr + entry[:, None] * FEATURES + f, change, mask=seen[:, None], sem="relaxed")
