"""Masks of things in one photo, laid over it in levels: what stands in for tiles where somebody has masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32

MOST_LEVELS = 16
"""Masks that may lie over one pixel."""


@dataclass(frozen=True)
class PhotoMasks:
    """Which masks lie over each pixel."""

    ids: Int32[np.ndarray, "levels height width"]
    """Numbers of masks from 0, -1 where there is none; in any order of levels."""
    count: int
    """Masks, also those that own no pixel."""

    @property
    def ratios(self) -> Float32[np.ndarray, " masks"]:
        """The size of each mask as a share of the photo's height, sqrt(area) / height: what a tile's height is. 0 for
        one without a pixel."""
        areas = np.zeros(self.count, np.int64)
        for level in self.ids:
            areas += np.bincount(level[level >= 0], minlength=self.count)
        return (np.sqrt(areas) / self.ids.shape[1]).astype(np.float32)

    def mask(self, number: int) -> Bool[np.ndarray, "height width"]:
        """The pixels of one mask."""
        return (self.ids == number).any(0)


def layered(masks: Sequence[Bool[np.ndarray, "height width"]], size: tuple[int, int]) -> PhotoMasks:
    """Masks that may overlap, the largest in the first level: each in the first level where it meets no other.

    Args:
        masks: all of the same size; an empty one is left out.
        size: height and width, for a photo without masks.

    Raises:
        ValueError: more than `MOST_LEVELS` lie over one place.
    """
    levels: list[Int32[np.ndarray, "height width"]] = []
    chosen = sorted((mask for mask in masks if mask.any()), key=lambda mask: -int(mask.sum()))
    for number, mask in enumerate(chosen):
        free = next((level for level in levels if (level[mask] < 0).all()), None)
        if free is None:
            if len(levels) == MOST_LEVELS:
                raise ValueError(f"more than {MOST_LEVELS} masks lie over one place")
            free = np.full(size, -1, np.int32)
            levels.append(free)
        free[mask] = number
    return PhotoMasks(np.stack(levels) if levels else np.full((1, *size), -1, np.int32), len(chosen))


def numbered(values: np.ndarray, background: int) -> PhotoMasks:
    """Levels of arbitrary numbers, [levels, height, width], as masks numbered from 0 in the numbers' order.

    A number is one mask in one level: the same in two levels is two masks.
    """
    ids = np.full(values.shape, -1, np.int32)
    count = 0
    for level, wanted in zip(values, ids, strict=True):
        found = np.unique(level)
        found = found[found != background]
        at = np.searchsorted(found, level)
        inside = (level != background) & (at < len(found))
        wanted[inside] = at[inside] + count
        count += len(found)
    return PhotoMasks(ids, count)
