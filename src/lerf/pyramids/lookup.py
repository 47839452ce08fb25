"""Reading a pyramid between its cells and levels, for many pixels at once.

The target of a ray through pixel (x, y) with tile ratio s is bilinear between the four cell centres around (x, y) in
each of the two levels around s, and linear in s between the levels (LERF, arXiv 2303.09553, section 3.2). Pixels beyond
the outermost centres take the border's value; ratios beyond the range take the nearest level's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float16, Int
from torch import Tensor

from lerf.devices import in_doubles, resident_bytes, sums_of_rows, upload
from lerf.errors import ConfigError
from lerf.pyramids.store import PhotoEntry, PyramidStore


@dataclass(frozen=True)
class PyramidTable:
    """All cells of all photos in one flat tensor, with where each level of each photo lies."""

    cells: Float16[Tensor, "cells width"]
    ratios: Float[Tensor, " levels"]
    """Tile heights over photo height, increasing."""
    starts: Int[Tensor, "photos levels"]
    """Row of `cells` where a level begins; its cells follow row by row."""
    shapes: Int[Tensor, "photos levels 2"]
    """Rows and columns."""
    origins: Float[Tensor, "photos levels 2"]
    """(x, y) of the first cell's centre, in pixels."""
    steps: Float[Tensor, "photos levels 2"]
    """(dx, dy) between centres, in pixels."""

    @classmethod
    def from_store(cls, store: PyramidStore, photos: Sequence[int] | None = None, device: str = "cpu") -> PyramidTable:
        """Load a store, or those of its photos, into memory; `photo` indices below count within the chosen ones."""
        chosen = list(range(len(store))) if photos is None else list(photos)
        if not chosen:
            raise ConfigError("A pyramid table needs at least one photo.")
        entries = [store.entries[index] for index in chosen]
        cells = torch.empty(sum(entry.cells for entry in entries), store.width, dtype=torch.float16)
        firsts, row = [], 0
        for index, entry in zip(chosen, entries, strict=True):
            cells[row : row + entry.cells] = torch.from_numpy(np.array(store.features(index)))
            firsts.append(row)
            row += entry.cells
        starts, shapes, origins, steps = _geometry(entries)
        ratios = torch.tensor(store.tile_ratios)
        parts = (cells, ratios, starts + torch.tensor(firsts)[:, None], shapes, origins, steps)
        return cls(*(part.to(device) for part in parts))

    @property
    def width(self) -> int:
        return self.cells.shape[1]

    @cached_property
    def ratio_range(self) -> tuple[float, float]:
        """Smallest and largest tile height over photo height."""
        return float(self.ratios[0]), float(self.ratios[-1])

    def load(self, photo: int) -> None:
        """Make sure that a photo can be looked up: all of them can."""

    def interpolate(
        self,
        photo: Int[Tensor, " n"],
        pixels: Float[Tensor, "n 2"],
        tile_ratio: Float[Tensor, " n"],
        renormalise: bool = False,
    ) -> Float[Tensor, "n width"]:
        """Embeddings at continuous pixel coordinates (x, y) and tile ratios, in single precision.

        Args:
            photo: index of each pixel's photo.
            pixels: the centre of the first pixel is (0.5, 0.5).
            tile_ratio: tile height over the photo's height.
            renormalise: scale the result to unit length; the authors leave training targets as they are.
        """
        rows, weights = self.corners(photo, pixels, tile_ratio)
        result = sums_of_rows(self.cells, rows, weights).float()
        return F.normalize(result, dim=-1) if renormalise else result

    def corners(
        self, photo: Int[Tensor, " n"], pixels: Float[Tensor, "n 2"], tile_ratio: Float[Tensor, " n"]
    ) -> tuple[Int[Tensor, "n corners"], Float[Tensor, "n corners"]]:
        """Rows of `cells` and their weights, which sum to one: four, or eight where there are several levels."""
        if len(self.ratios) == 1:
            return self._bilinear(photo, pixels, torch.zeros_like(photo))
        lower = torch.bucketize(tile_ratio.to(self.ratios), self.ratios, right=True).sub(1)
        lower = lower.clamp(0, len(self.ratios) - 2)
        below, above = self.ratios[lower], self.ratios[lower + 1]
        share = ((tile_ratio - below) / (above - below)).clamp(0.0, 1.0)[:, None]
        first_rows, first = self._bilinear(photo, pixels, lower)
        second_rows, second = self._bilinear(photo, pixels, lower + 1)
        return torch.cat([first_rows, second_rows], dim=1), torch.cat([first * (1.0 - share), second * share], dim=1)

    def nearest(
        self, photo: Int[Tensor, " n"], pixels: Float[Tensor, "n 2"], level: int = 0
    ) -> Float[Tensor, "n width"]:
        """Features of the cell whose centre is closest: the look-up of dense regulariser maps."""
        column, row = self._cell_coordinates(photo, pixels, torch.full_like(photo, level))
        shape = self.shapes[photo, level]
        rows = (
            self.starts[photo, level] + torch.floor(row + 0.5).long() * shape[:, 1] + torch.floor(column + 0.5).long()
        )
        return self.cells[rows].float()

    def _cell_coordinates(self, photo: Tensor, pixels: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Column and row of each pixel in units of cells, clamped to the grid."""
        cell = (pixels - self.origins[photo, level]) / self.steps[photo, level]
        last = self.shapes[photo, level] - 1
        column = torch.minimum(cell[:, 0].clamp_min(0.0), last[:, 1].to(cell.dtype))
        row = torch.minimum(cell[:, 1].clamp_min(0.0), last[:, 0].to(cell.dtype))
        return column, row

    def _bilinear(self, photo: Tensor, pixels: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        column, row = self._cell_coordinates(photo, pixels, level)
        shape = self.shapes[photo, level]
        left, top = column.floor().long(), row.floor().long()
        right = torch.minimum(left + 1, shape[:, 1] - 1)
        bottom = torch.minimum(top + 1, shape[:, 0] - 1)
        u, v = column - left, row - top
        start = self.starts[photo, level]
        upper, under = start + top * shape[:, 1], start + bottom * shape[:, 1]
        rows = torch.stack([upper + left, upper + right, under + left, under + right], dim=1)
        weights = torch.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], dim=1)
        return rows, weights


@dataclass(frozen=True)
class ResidentTable(PyramidTable):
    """A table that holds some photos of a store at a time, each in a cache slot; only those can be looked up."""

    store: PyramidStore
    largest: int
    """Cells of a cache slot: as many as any photo has."""
    offsets: Int[Tensor, "photos levels"]
    """Where a photo's levels begin within its cache slot."""

    @classmethod
    def empty(cls, store: PyramidStore, capacity: int, device: str = "cpu") -> ResidentTable:
        """A table of a store with `capacity` cache slots, all of them empty."""
        largest = max(entry.cells for entry in store.entries)
        cells = torch.zeros(capacity * largest, store.width, dtype=torch.float16)
        offsets, shapes, origins, steps = _geometry(store.entries)
        return cls(
            cells.to(device),
            torch.tensor(store.tile_ratios, device=device),
            torch.zeros_like(offsets).to(device),
            shapes.to(device),
            origins.to(device),
            steps.to(device),
            store,
            largest,
            offsets.to(device),
        )

    @property
    def cache_slots(self) -> int:
        """How many photos are held at a time."""
        return len(self.cells) // self.largest

    def read(self, photo: int) -> Float16[Tensor, "photo_cells width"]:
        """All cells of a photo, from the disk."""
        return torch.from_numpy(np.array(self.store.features(photo)))

    def put(self, cache_slot: int, photo: int, cells: Float16[Tensor, "photo_cells width"]) -> None:
        """Put a photo's cells in a cache slot; the photo that was there before can no longer be looked up."""
        first = cache_slot * self.largest
        self.cells[first : first + len(cells)] = upload(cells, self.cells.device)
        self.starts[photo] = first + self.offsets[photo]

    def load(self, photo: int) -> None:
        """Make sure that a photo can be looked up, by reading it into a cache slot."""
        self.put(photo % self.cache_slots, photo, self.read(photo))


def leading_basis(store: PyramidStore, rank: int, energy: float, device: str = "cpu") -> Float[Tensor, "rank width"]:
    """The orthonormal basis that keeps the most of all embeddings of a store, that of their second moments.

    It has as few vectors as keep a share `energy` of the sum of squares, at most `rank`.
    """
    moments = in_doubles(torch.zeros(store.width, store.width, device=device))
    for photo in range(len(store)):
        cells = torch.from_numpy(np.array(store.features(photo))).to(device).float()
        moments += in_doubles(cells.T @ cells)
    values, vectors = torch.linalg.eigh(moments)
    kept = values.flip(0).clamp(min=0.0).cumsum(0)
    count = min(int((kept < energy * kept[-1]).sum()) + 1, rank, store.width)
    return vectors.flip(1)[:, :count].T.float().contiguous().to(device)


def projected_table(store: PyramidStore, basis: Float[Tensor, "rank width"], device: str = "cpu") -> PyramidTable:
    """All photos of a store on a basis: a table whose embeddings are so much shorter that it fits into memory."""
    parts = [
        (torch.from_numpy(np.array(store.features(photo))).to(device).float() @ basis.T).half()
        for photo in range(len(store))
    ]
    starts, shapes, origins, steps = _geometry(store.entries)
    firsts = torch.tensor([0, *(len(part) for part in parts[:-1])]).cumsum(0)
    geometry = (part.to(device) for part in (starts + firsts[:, None], shapes, origins, steps))
    return PyramidTable(torch.cat(parts), torch.tensor(store.tile_ratios, device=device), *geometry)


def open_photo_by_photo(store: PyramidStore, budget: int, device: str = "cpu") -> PyramidTable:
    """A table for work that goes from photo to photo (`load`): whole where it fits into `budget` bytes, on a GPU into a
    share of its free memory, else with one cache slot."""
    budget = resident_bytes(device, budget)
    whole = 2 * store.width * sum(entry.cells for entry in store.entries)
    return PyramidTable.from_store(store, device=device) if whole <= budget else ResidentTable.empty(store, 1, device)


def _geometry(entries: Sequence[PhotoEntry]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Starts (counted from the first cell of each photo), shapes, origins and steps of the levels of photos."""
    levels = [level for entry in entries for level in entry.levels]
    shape = (len(entries), len(entries[0].levels))
    cells = torch.tensor([level.cells for level in levels]).reshape(shape)
    return (
        cells.cumsum(1) - cells,
        torch.tensor([[level.rows, level.columns] for level in levels]).reshape(*shape, 2),
        torch.tensor([[level.x0, level.y0] for level in levels]).reshape(*shape, 2),
        torch.tensor([[level.dx, level.dy] for level in levels]).reshape(*shape, 2),
    )
