"""The numba kernels of splats as torch functions; projecting and drawing have gradients, the others have none."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lerf.kernels import cpu_splat_points as at_points
from lerf.kernels import cpu_splat_project as projection
from lerf.kernels import cpu_splat_seen as before
from lerf.kernels import cpu_splat_tiles as tiles
from lerf.kernels.cpu_splat_tiles import TILE
from lerf.kernels.types import FlatSplats, SplatPicture, SplatTrace, SplatView

Arrays = tuple[Any, ...]


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means, quaternions, scales, view):  # type: ignore[no-untyped-def,override]
        centres, whitening, depths = torch.empty(len(means), 2), torch.empty(len(means), 3), torch.empty(len(means))
        numbers = np.array([*view.focal, *view.centre, *view.reach, view.near], np.float64)
        turn, position = (part.detach().cpu().double().numpy() for part in (view.rotation, view.position))
        ctx.given = tuple(_array(part) for part in (means, quaternions, scales))
        ctx.camera = np.ascontiguousarray(turn), np.ascontiguousarray(position), numbers
        means, quaternions, scales = ctx.given
        outputs = (part.numpy() for part in (centres, whitening, depths))
        projection.project(means, quaternions, scales, ctx.camera, *outputs)
        return centres, whitening, depths

    @staticmethod
    @once_differentiable
    def backward(ctx, of_centres, of_whitening, of_depths):  # type: ignore[no-untyped-def,override]
        out = tuple(np.empty_like(part) for part in ctx.given)
        slopes = tuple(_array(part) for part in (of_centres, of_whitening, of_depths))
        means, quaternions, scales = ctx.given
        projection.project_back(means, quaternions, scales, ctx.camera, slopes, out)
        return *(torch.from_numpy(part) for part in out), None


def project_splats(
    means: Tensor, quaternions: Tensor, scales: Tensor, view: SplatView
) -> tuple[Tensor, Tensor, Tensor]:
    """See `reference_splats.project_splats`."""
    found: tuple[Tensor, Tensor, Tensor] = _Project.apply(means, quaternions, scales, view)
    return found


def seen_splats(flat: FlatSplats, depths: Tensor, window: tuple[float, float, float, float], near: float) -> Tensor:
    """See `reference_splats.seen_splats`."""
    centres, whitening, opacities = (_array(part) for part in (flat.centres, flat.whitening, flat.opacities))
    inside, ahead = np.empty(len(centres), np.bool_), _array(depths)
    before.reach(centres, whitening, opacities, ahead, np.array([*window, near], np.float64), inside)
    return torch.from_numpy(before.front_to_back(inside, ahead.view(np.uint32)))


class _Colours(torch.autograd.Function):
    @staticmethod
    def forward(ctx, coefficients, means, which, position):  # type: ignore[no-untyped-def,override]
        found = torch.empty(len(which), 3)
        ctx.given, ctx.position = (_array(means), _array(which)), _array(position)
        ctx.shape = coefficients.shape
        before.colours(_array(coefficients), ctx.given, ctx.position, _threads(), found.numpy())
        ctx.found = found.numpy()
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx, slopes):  # type: ignore[no-untyped-def,override]
        out = torch.zeros(ctx.shape)
        before.colours_back(ctx.given, ctx.position, _threads(), ctx.found, _array(slopes), out.numpy())
        return out, None, None, None


def splat_colours(coefficients: Tensor, means: Tensor, which: Tensor, position: Tensor) -> Tensor:
    """See `reference_splats.splat_colours`."""
    found: Tensor = _Colours.apply(coefficients, means, which, position)
    return found


class _Draw(torch.autograd.Function):
    @staticmethod
    def forward(ctx, centres, whitening, opacities, colours, width, height):  # type: ignore[no-untyped-def,override]
        flat = FlatSplats(centres, whitening, opacities, colours)
        lists, arrays = _in_tiles(flat, 0.0, 0.0, -(-width // TILE), -(-height // TILE))
        colour, transmittance = torch.empty(height, width, 3), torch.empty(height, width)
        middle, last = (torch.empty(height, width, dtype=torch.int32) for _ in range(2))
        outputs = (colour, transmittance, middle, last)
        tiles.draw(lists, arrays, (width, height), _threads(), *(out.numpy() for out in outputs))
        ctx.lists, ctx.arrays, ctx.last = lists, arrays, last
        ctx.save_for_backward(transmittance)
        ctx.mark_non_differentiable(middle)
        return colour, transmittance, middle

    @staticmethod
    @once_differentiable
    def backward(ctx, of_colour, of_transmittance, _):  # type: ignore[no-untyped-def,override]
        (transmittance,) = ctx.saved_tensors
        height, width = transmittance.shape
        sums = np.zeros((_threads(), len(ctx.arrays[0]), 9), np.float32)
        at_points.draw_back(
            ctx.lists, ctx.arrays, (width, height), len(sums), (transmittance.numpy(), ctx.last.numpy()),
            (_array(of_colour), _array(of_transmittance)), sums,
        )  # fmt: skip
        total = torch.from_numpy(sums.sum(0))
        return total[:, :2], total[:, 2:5], total[:, 5], total[:, 6:], None, None


def draw_splats(flat: FlatSplats, width: int, height: int) -> SplatPicture:
    """See `reference_splats.draw_splats`."""
    return SplatPicture(*_Draw.apply(*flat, width, height))


def trace_splats(flat: FlatSplats, points: Tensor, heaviest: int) -> SplatTrace:
    """See `reference_splats.trace_splats`; no gradients."""
    count = len(points)
    colour, transmittance = torch.zeros(count, 3), torch.ones(count)
    middle = torch.full((count,), -1, dtype=torch.int32)
    indices = torch.full((count, heaviest), -1, dtype=torch.int32)
    weights = torch.zeros(count, heaviest)
    out = (colour, transmittance, middle, indices, weights)
    if count:
        spots = _array(points)
        low, high = spots.min(0), spots.max(0)
        columns, rows = (int((high[axis] - low[axis]) // TILE) + 1 for axis in (0, 1))
        lists, arrays = _in_tiles(flat, float(low[0]), float(low[1]), columns, rows)
        place = ((spots - low) // TILE).astype(np.int64)
        tile = np.minimum(place[:, 1], rows - 1) * columns + np.minimum(place[:, 0], columns - 1)
        order = np.argsort(tile, kind="stable")
        begins = np.zeros(columns * rows + 1, np.int64)
        begins[1:] = np.cumsum(np.bincount(tile, minlength=columns * rows))
        at_points.trace(lists, arrays, spots[order], begins, _threads(), tuple(part.numpy() for part in out))
        back = torch.from_numpy(np.argsort(order, kind="stable"))
        out = tuple(part[back] for part in out)  # type: ignore[assignment]
    return SplatTrace(*out)


def gather_splats(flat: FlatSplats, width: int, height: int) -> Tensor:
    """See `reference_splats.gather_splats`; no gradients."""
    lists, arrays = _in_tiles(flat, 0.0, 0.0, -(-width // TILE), -(-height // TILE))
    sums = np.zeros((_threads(), len(flat.centres), 4), np.float32)
    tiles.gather(lists, arrays, (width, height), len(sums), sums)
    total = sums.sum(0)
    total[:, 3] = sums[:, :, 3].max(0)
    return torch.from_numpy(total)


def _in_tiles(flat: FlatSplats, x: float, y: float, columns: int, rows: int) -> tuple[Arrays, Arrays]:
    """The lists of a grid of tiles that begins at the pixel (x, y), and the Gaussians as arrays with their limits."""
    centres, whitening, opacities, colours = (_array(tensor) for tensor in flat)
    boxes, limits = np.empty((len(centres), 4), np.int32), np.empty(len(centres), np.float32)
    tiles.boxes_of(centres, whitening, opacities, (x, y, columns, rows), boxes, limits)
    starts, entries = tiles.tile_lists(boxes, columns, rows)
    return (starts, entries, columns, rows), (centres, whitening, opacities, colours, limits)


def _threads() -> int:
    return int(numba.get_num_threads())


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()
