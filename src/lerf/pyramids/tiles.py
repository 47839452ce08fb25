"""Square tiles of one photo, embedded one by one.

Tiles of height r * H stand on a regular grid whose step is half a tile (method of LERF, arXiv 2303.09553, section 3.2).
The first centre lies in the corner of the photo and the last at or past the far border, so that every pixel lies
between centres; what sticks out of the photo is its replicated edge (`edge`) or black (`zero`, as the authors do).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.devices import resized
from lerf.encoders.protocols import FeatureGrid, ImageTextEncoder
from lerf.errors import ConfigError

Border = Literal["edge", "zero"]
STRIDE_RATIO = 0.5
"""Distance between tile centres over tile height."""


@dataclass(frozen=True)
class TileLayout:
    """Where the tiles of one height lie; all lengths in pixels of the photo."""

    tile: int
    step: float
    rows: int
    columns: int
    first: float
    """Coordinate of the first centre, in x as in y."""

    def corner(self, index: int) -> int:
        """Left (or upper) edge of the tile with this column (or row)."""
        return round(self.first + index * self.step - self.tile / 2)


def layout(height: int, width: int, tile_ratio: float) -> TileLayout:
    """Grid of tiles of `tile_ratio * height` pixels over a photo of `height` x `width`.

    Tiles are whole pixels, steps half of them, so corners are whole pixels where the tile height is even or the step
    lands on one, and rounded by at most half a pixel otherwise.
    """
    if not 0.0 < tile_ratio <= 1.0:
        raise ConfigError(f"A tile ratio must lie in (0, 1], not {tile_ratio}.")
    tile = max(2, 2 * round(tile_ratio * height / 2))
    step = tile * STRIDE_RATIO
    return TileLayout(tile, step, math.ceil(height / step) + 1, math.ceil(width / step) + 1, 0.0)


def cut_row(
    photo: Float[Tensor, "3 height width"], grid: TileLayout, row: int, border: Border = "edge"
) -> Float[Tensor, "columns 3 tile tile"]:
    """The tiles of one row of the grid, at the photo's own resolution."""
    _, height, width = photo.shape
    offsets = torch.arange(grid.tile, device=photo.device)
    ys = grid.corner(row) + offsets
    xs = torch.tensor([grid.corner(column) for column in range(grid.columns)], device=photo.device)[:, None] + offsets
    strip = photo[:, ys.clamp(0, height - 1)]
    tiles = strip[:, :, xs.clamp(0, width - 1)].permute(2, 0, 1, 3)
    if border == "zero":
        inside_y = ((ys >= 0) & (ys < height)).to(photo.dtype)
        inside_x = ((xs >= 0) & (xs < width)).to(photo.dtype)
        tiles = tiles * (inside_y[:, None] * inside_x[:, None, None, :])
    return tiles.contiguous()


TILES_A_BATCH = 64
"""Tiles that are resized and encoded at once on a CPU; more gain nothing there."""
BATCH_BYTES = 2_000_000_000
"""Of a GPU's free memory, at most, for a batch's tiles as the encoder takes them; networks need some times that."""


def tiles_a_batch(device: torch.device, input_size: int) -> int:
    """How many tiles are encoded at once: a fixed number on a CPU, on a GPU what a tenth of its free memory holds."""
    if device.type != "cuda":
        return TILES_A_BATCH
    free, _ = torch.cuda.mem_get_info(device)
    return max(TILES_A_BATCH, int(min(BATCH_BYTES, free // 10) // (12 * input_size**2)))


@torch.inference_mode()
def encode_level(
    photo: Float[Tensor, "3 height width"],
    encoder: ImageTextEncoder,
    tile_ratio: float,
    border: Border = "edge",
    batch: int | None = None,
) -> FeatureGrid:
    """Unit embeddings of all tiles of one height; RGB in 0..1, on the device where the encoder's network is.

    Tiles are cut and resized there, with bicubic antialiasing, and encoded at most `batch` at a time, those of a row
    with those of the next; by default `tiles_a_batch`.
    """
    if border not in ("edge", "zero"):
        raise ConfigError(f"The border of tiles is 'edge' or 'zero', not '{border}'.")
    grid = layout(photo.shape[1], photo.shape[2], tile_ratio)
    size = (encoder.input_size, encoder.input_size)
    batch = batch or tiles_a_batch(photo.device, encoder.input_size)
    encoded: list[Tensor] = []
    waiting: list[Tensor] = []
    for row in range(grid.rows):
        for part in cut_row(photo, grid, row, border).split(batch):
            waiting.append(resized(part, size, "bicubic").clamp(0.0, 1.0))
        if sum(map(len, waiting)) >= batch or row == grid.rows - 1:
            *full, rest = torch.cat(waiting).split(batch)
            last = row == grid.rows - 1 or len(rest) == batch
            encoded += [encoder.encode_tiles(part) for part in ([*full, rest] if last else full)]
            waiting = [] if last else [rest]
    features = torch.cat(encoded).reshape(grid.rows, grid.columns, -1)
    return FeatureGrid(features, grid.first, grid.first, grid.step, grid.step)
