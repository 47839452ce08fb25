"""The Triton kernels of splats as torch functions; drawing has gradients, the others have none.

What comes before the tiles, projection, choice and colours, is plain torch on a GPU: a few operations over all
Gaussians. Which Gaussians a tile may show is found by operations of torch as well; the number of pairs is waited for
once a picture.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Float32, Int32, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from lerf.kernels import reference_splats, triton_splats
from lerf.kernels.triton_launch import INTERPRETED, launch, power_of_two
from lerf.kernels.types import FlatSplats, SplatPicture, SplatTrace

TILE = 64 if INTERPRETED else 16
"""Side of a tile in pixels. Interpreted, few programs are started, each with more to do."""
BLOCK = TILE * TILE
"""Points of a program that keeps up to `FEW` of the heaviest; of more, fewer, so that they fit into registers."""
FEW = 8
MOST_KEPT = 32
"""Heaviest Gaussians of a point; more are found by the definition."""
SLACK = 1e-3
"""Pixels that a Gaussian is taken to be larger; whether it reaches a point is then decided by the opacity there."""


class _Tiles(NamedTuple):
    """Gaussians and points by the tiles of a picture."""

    rows: Float32[Tensor, "n 9"]
    """Centre, whitening, opacity and colour."""
    starts: Int32[Tensor, " tiles1"]
    """Where the list of each tile begins, and the end of the last."""
    entries: Int32[Tensor, " pairs"]
    """Gaussians of all lists, each front to back."""
    blocks: Int32[Tensor, "blocks 3"]
    """Tile, first point and the one after the last, of each program."""
    points: Float32[Tensor, "points 2"]
    """Sorted by tile."""


def draw_splats(flat: FlatSplats, width: int, height: int) -> SplatPicture:
    """See `reference_splats.draw_splats`."""
    if not _are_single(flat):
        return reference_splats.draw_splats(flat, width, height)
    return SplatPicture(*_Draw.apply(*flat, width, height))


def trace_splats(flat: FlatSplats, points: Tensor, heaviest: int) -> SplatTrace:
    """See `reference_splats.trace_splats`; no gradients."""
    if heaviest > MOST_KEPT or not _are_single(flat):
        return reference_splats.trace_splats(flat, points, heaviest)
    if not len(points):
        empty, marks = points.new_zeros(0, 4), torch.zeros(0, 2, dtype=torch.int32, device=points.device)
        names = marks.new_zeros(0, heaviest)
        return SplatTrace(empty[:, :3], empty[:, 3], marks[:, 0], names, empty.new_zeros(0, heaviest))
    low = points.amin(0)
    columns, rows = (((points.amax(0) - low) / TILE).long() + 1).tolist()
    tiles, order = _in_tiles(flat, points, low, (columns, rows), _points_of(heaviest))
    seen, marks, weights, names = _traced(tiles, heaviest)
    weights, by_weight = weights.sort(dim=-1, descending=True, stable=True)
    back = torch.argsort(order)
    seen, marks, weights, names = (each[back] for each in (seen, marks, weights, names.gather(1, by_weight)))
    return SplatTrace(seen[:, :3], seen[:, 3], marks[:, 0], names, weights)


def gather_splats(flat: FlatSplats, width: int, height: int) -> Tensor:
    """See `reference_splats.gather_splats`; no gradients."""
    if not _are_single(flat):
        return reference_splats.gather_splats(flat, width, height)
    tiles, _ = _of_picture(flat, width, height)
    sums = torch.zeros(len(tiles.rows), 4, device=tiles.rows.device)
    if len(tiles.blocks):
        launch(triton_splats.gather_splats, (len(tiles.blocks),), *tiles, sums, BLOCK=BLOCK)
    return sums


class _Draw(torch.autograd.Function):
    @staticmethod
    def forward(ctx, centres, whitening, opacities, colours, width, height):  # type: ignore[no-untyped-def,override]
        tiles, order = _of_picture(FlatSplats(centres, whitening, opacities, colours), width, height)
        seen, marks, _, _ = _traced(tiles, 0)
        ctx.save_for_backward(*tiles, seen, marks, order)
        back = torch.argsort(order)
        picture = seen[back].view(height, width, 4)
        middle = marks[back, 0].view(height, width)
        ctx.mark_non_differentiable(middle)
        return picture[..., :3].contiguous(), picture[..., 3].contiguous(), middle

    @staticmethod
    @once_differentiable
    def backward(ctx, of_colour, of_transmittance, _):  # type: ignore[no-untyped-def,override]
        *parts, seen, marks, order = ctx.saved_tensors
        tiles = _Tiles(*parts)
        slopes = torch.cat([of_colour, of_transmittance[..., None]], -1).view(-1, 4)[order]
        out = torch.zeros_like(tiles.rows)
        if len(tiles.blocks):
            launch(
                triton_splats.splats_back, (len(tiles.blocks),), *tiles, seen, marks, slopes.contiguous(), out,
                BLOCK=BLOCK,
            )  # fmt: skip
        return out[:, :2], out[:, 2:5], out[:, 5], out[:, 6:], None, None


def _traced(tiles: _Tiles, heaviest: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Colour and transmittance [points, 4], median and last Gaussian [points, 2], and weights and names of the heaviest
    in no order, of sorted points."""
    count, device = len(tiles.points), tiles.points.device
    seen = torch.empty(count, 4, device=device)
    weights = torch.empty(count, heaviest, device=device)
    marks, names = (torch.empty(count, each, dtype=torch.int32, device=device) for each in (2, heaviest))
    if len(tiles.blocks):
        launch(
            triton_splats.trace_splats, (len(tiles.blocks),), *tiles, seen, marks, weights, names,
            HEAVIEST=heaviest, KEPT=power_of_two(max(heaviest, 1)), BLOCK=_points_of(heaviest),
        )  # fmt: skip
    return seen, marks, weights, names


def _points_of(heaviest: int) -> int:
    """Points of a program that keeps so many of the heaviest."""
    return BLOCK * FEW // max(FEW, power_of_two(max(heaviest, 1)))


def _of_picture(flat: FlatSplats, width: int, height: int) -> tuple[_Tiles, Int64[Tensor, " points"]]:
    """`_in_tiles` of all pixels of a picture."""
    device = flat.centres.device
    x, y = (torch.arange(size, device=device) + 0.5 for size in (width, height))
    pixels = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2)
    return _in_tiles(flat, pixels, torch.zeros(2, device=device), (-(-width // TILE), -(-height // TILE)), BLOCK)


def _in_tiles(
    flat: FlatSplats, points: Float[Tensor, "points 2"], low: Float[Tensor, " 2"], grid: tuple[int, int], block: int
) -> tuple[_Tiles, Int64[Tensor, " points"]]:
    """The lists of a grid of so many columns and rows of tiles that begins at the pixel `low`, programs of at most
    `block` points, and the order in which points are sorted by tile."""
    columns, rows = grid
    own = FlatSplats(*(tensor.detach() for tensor in flat))
    packed = torch.cat([own.centres, own.whitening, own.opacities[:, None], own.colours], -1).contiguous()
    starts, entries = _lists(own, low, columns, rows)
    column, row = (
        place.long().clamp(0, most - 1) for place, most in zip(((points - low) / TILE).unbind(-1), grid, strict=True)
    )
    tile, order = torch.sort(row * columns + column, stable=True)
    ends = torch.searchsorted(tile, torch.arange(columns * rows, device=tile.device), right=True)
    counts = torch.diff(ends, prepend=ends.new_zeros(1))
    # As many programs as there can be, so that nothing is waited for: the last ones have no points.
    programs = (-(-counts // block)).cumsum(0)
    number = torch.arange(len(points) // block + min(columns * rows, len(points)), device=tile.device)
    which = torch.searchsorted(programs, number, right=True).clamp(max=len(counts) - 1)
    before = programs[which] - (-(-counts[which] // block))
    first = torch.minimum(ends[which] - counts[which] + (number - before) * block, ends[which])
    blocks = torch.stack([which, first, torch.minimum(first + block, ends[which])], -1)
    return _Tiles(packed, starts, entries, blocks.int().contiguous(), points[order].contiguous()), order


def _lists(own: FlatSplats, low: Tensor, columns: int, rows: int) -> tuple[Tensor, Tensor]:
    """Where the list of each tile begins, and the Gaussians of all lists, each front to back."""
    size, _ = reference_splats.extents(own)
    low_ends, high_ends = (((own.centres - low + sign * (size + SLACK)) / TILE).floor().unbind(-1) for sign in (-1, 1))
    left, top = (ends.clamp(0, most).long() for ends, most in zip(low_ends, (columns, rows), strict=True))
    right, bottom = (ends.clamp(-1, most - 1).long() for ends, most in zip(high_ends, (columns, rows), strict=True))
    wide, high = (right - left + 1).clamp(min=0), (bottom - top + 1).clamp(min=0)
    counts = wide * high
    pair = torch.repeat_interleave(torch.arange(len(counts), device=low.device), counts)
    number = torch.arange(len(pair), device=low.device) - (counts.cumsum(0) - counts)[pair]
    row, column = number // wide[pair].clamp(min=1), number % wide[pair].clamp(min=1)
    tile = (top[pair] + row) * columns + left[pair] + column
    sorted_tiles, order = torch.sort(tile, stable=True)
    starts = torch.searchsorted(sorted_tiles, torch.arange(columns * rows + 1, device=low.device))
    return starts.int(), pair[order].int()


def _are_single(flat: FlatSplats) -> bool:
    return all(each.dtype == torch.float32 for each in flat)
