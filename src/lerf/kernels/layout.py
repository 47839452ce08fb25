"""Where a multi-resolution hash grid keeps its entries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

HASH_PRIMES = (1, 2654435761, 805459861)
"""Factors of the spatial hash of Teschner et al. 2003 as used by instant-ngp (Müller et al. 2022, eq. 4)."""


@dataclass(frozen=True)
class GridLayout:
    """Levels of a hash grid over the unit cube, stored one after another in a single table.

    Level l divides each axis into `resolutions[l]` cells and has a vertex at every corner. A level whose vertices fit
    into `2**log2_entries` is stored densely, a finer one is hashed.
    """

    resolutions: tuple[int, ...]
    features: int
    log2_entries: int

    @staticmethod
    def geometric(levels: int, coarsest: int, finest: int, features: int, log2_entries: int) -> GridLayout:
        """Levels whose resolutions grow by a constant factor from `coarsest` to `finest`."""
        steps = np.geomspace(coarsest, finest, levels)
        return GridLayout(tuple(round(float(step)) for step in steps), features, log2_entries)

    def __add__(self, other: GridLayout) -> GridLayout:
        """The levels of both; features and table size must agree."""
        if (self.features, self.log2_entries) != (other.features, other.log2_entries):
            raise ValueError("Only grids with the same features and table size can be joined.")
        return GridLayout(self.resolutions + other.resolutions, self.features, self.log2_entries)

    @property
    def levels(self) -> int:
        return len(self.resolutions)

    @property
    def width(self) -> int:
        """Length of an encoding: levels * features."""
        return self.levels * self.features

    @cached_property
    def sizes(self) -> np.ndarray:
        """Entries of each level, int64 [levels]."""
        return np.array([min((r + 1) ** 3, 1 << self.log2_entries) for r in self.resolutions], dtype=np.int64)

    @cached_property
    def dense(self) -> np.ndarray:
        """Whether a level is stored without hashing, bool [levels]."""
        return np.array([(r + 1) ** 3 <= 1 << self.log2_entries for r in self.resolutions])

    @cached_property
    def offsets(self) -> np.ndarray:
        """First entry of each level, int64 [levels]."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)

    @property
    def entries(self) -> int:
        """Entries of all levels together: the rows of the table."""
        return int(self.sizes.sum())

    @cached_property
    def resolution_array(self) -> np.ndarray:
        return np.array(self.resolutions, dtype=np.int64)
