"""The hash grids of a nerfacto: nerfstudio's own in torch, and tiny-cuda-nn's, which nerfstudio trains with on GPUs.

Both have a table of features for every level and mix the eight corners of a cell. They differ in where cells lie and
in which entry a corner has: nerfstudio hashes every level; tiny-cuda-nn has a plain array where all corners of a level
fit, and moves cells by half of one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lerf.devices import sums_of_rows
from lerf.radiance.nerfacto.config import HashSizes, Implementation

PRIMES = (1, 2654435761, 805459861)
"""Factors of the three coordinates in the hash (Müller et al. 2022, eq. 4)."""


class HashTable:
    """A multi-resolution hash grid in which every level is hashed."""

    def __init__(self, table: Float[Tensor, "entries features"], sizes: HashSizes) -> None:
        self.table, self.entries = table, 1 << sizes.log2_entries
        levels = torch.arange(sizes.levels)
        # In single precision, as nerfstudio has it: the finest level may come out one cell smaller than asked for.
        ratio = torch.tensor(sizes.finest).double().log() - torch.tensor(sizes.coarsest).double().log()
        growth = float((ratio / (sizes.levels - 1)).exp()) if sizes.levels > 1 else 1.0
        self.cells = torch.floor(sizes.coarsest * growth**levels).to(table.device)
        self.starts = (levels * self.entries).to(table.device)

    def __call__(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points width"]:
        """Features of all levels at points of the unit cube, by trilinear interpolation."""
        scaled = points[:, None] * self.cells[:, None]
        low = scaled.floor()
        upper = scaled - low
        corners = torch.stack([low, scaled.ceil()], dim=-1).long() * torch.tensor(PRIMES).to(self.starts)[:, None]
        share = torch.stack([1.0 - upper, upper], dim=-1)
        rows, weights = [], []
        for x, y, z in CORNERS:
            hashed = corners[..., 0, x] ^ corners[..., 1, y] ^ corners[..., 2, z]
            rows.append(hashed % self.entries + self.starts)
            weights.append(share[..., 0, x] * share[..., 1, y] * share[..., 2, z])
        return _mixed(self.table, rows, weights)


class Level(NamedTuple):
    """A level of tiny-cuda-nn's grid."""

    scale: float
    """Cells along the unit cube, a number of single precision and seldom whole."""
    side: int
    """Corners along an edge of the level's array."""
    entries: int
    hashed: bool
    """Whether its corners are more than its entries."""


def levels_of(sizes: HashSizes) -> list[Level]:
    """Levels of tiny-cuda-nn's grid of type `Hash`, as its `grid.h` and `common_device.h` make them (commit 6ee3546).

    Its numbers are of single precision. Powers are taken in double precision and rounded here: a C library's `exp2f`
    may differ from that in the last digit.
    """
    ratio = np.log(sizes.finest) - np.log(sizes.coarsest)
    growth = np.exp(ratio / (sizes.levels - 1)) if sizes.levels > 1 else 1.0  # nerfstudio's, in double precision
    power = np.float32(np.log2(np.float64(np.float32(growth))))
    found = []
    for level in range(sizes.levels):
        cells = np.float32(2.0 ** float(np.float32(level) * power)) * np.float32(sizes.coarsest)
        scale = cells - np.float32(1.0)
        side = int(np.ceil(scale)) + 1
        corners = side**3
        entries = min(-(-corners // 8) * 8, 1 << sizes.log2_entries)
        found.append(Level(float(scale), side, entries, entries < corners))
    return found


def table_entries(sizes: HashSizes, implementation: Implementation) -> int:
    """Entries of the tables of all levels together."""
    if implementation == "torch":
        return sizes.levels << sizes.log2_entries
    return sum(level.entries for level in levels_of(sizes))


class TinyCudaTable:
    """The grid of tiny-cuda-nn: arrays where a level's corners fit, hash tables where they do not."""

    def __init__(self, table: Float[Tensor, "entries features"], sizes: HashSizes) -> None:
        levels, device = levels_of(sizes), table.device
        self.table = table
        # A fused multiply-add places points on the GPU; double precision rounds to the same, which MPS does not have.
        self.wide = torch.float32 if device.type == "mps" else torch.float64
        self.scales = torch.tensor([level.scale for level in levels], dtype=self.wide).to(device)
        factors = [PRIMES if level.hashed else (1, level.side, level.side**2) for level in levels]
        self.factors = torch.tensor(factors).to(device)
        self.hashed = torch.tensor([level.hashed for level in levels]).to(device)
        entries = torch.tensor([level.entries for level in levels])
        self.entries, self.starts = entries.to(device), (entries.cumsum(0) - entries).to(device)

    def __call__(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points width"]:
        """Features of all levels at points of the unit cube, by trilinear interpolation."""
        scaled = (points[:, None].to(self.wide) * self.scales[:, None] + 0.5).to(points.dtype)
        low = scaled.floor()
        upper = scaled - low
        corners = torch.stack([low, low + 1.0], dim=-1).long() * self.factors[..., None]
        share = torch.stack([1.0 - upper, upper], dim=-1)
        rows, weights = [], []
        for x, y, z in CORNERS:
            first, second, third = corners[..., 0, x], corners[..., 1, y], corners[..., 2, z]
            # The last corners of an array lie one beyond its end and are those of its beginning, as in the library.
            index = torch.where(self.hashed, first ^ second ^ third, first + second + third) % self.entries
            rows.append(index + self.starts)
            weights.append(share[..., 0, x] * share[..., 1, y] * share[..., 2, z])
        return _mixed(self.table, rows, weights)


CORNERS = tuple((corner & 1, corner >> 1 & 1, corner >> 2) for corner in range(8))
"""Whether a corner of a cell is its upper one, by axis."""


def grid_of(
    table: Float[Tensor, "entries features"], sizes: HashSizes, implementation: Implementation
) -> HashTable | TinyCudaTable:
    """The grid that a table belongs to."""
    return TinyCudaTable(table, sizes) if implementation == "tcnn" else HashTable(table, sizes)


def _mixed(table: Tensor, rows: list[Tensor], weights: list[Tensor]) -> Float[Tensor, "points width"]:
    """Weighted sums of entries, by point and level: one fused gather and sum for each."""
    points, levels = rows[0].shape
    index, weight = (torch.stack(parts, dim=-1).flatten(0, 1) for parts in (rows, weights))
    return sums_of_rows(table, index, weight).view(points, levels * table.shape[1])
