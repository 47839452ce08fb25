"""Reducing pictures by averaging the area that each new pixel covers, a strip of rows at a time.

A new pixel is the mean of the old ones under it, each weighted by the share of it that is covered: what a larger sensor
pixel would have measured, without ringing, and without a shift where the sides are no multiples of the new ones. Only
the strip at hand and the new picture take memory.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32
from scipy.sparse import csr_array

Size = tuple[int, int]
"""Width, height."""


class AreaMean:
    """Takes the rows of a picture from top to bottom and gives the reduced one."""

    def __init__(self, extent: tuple[float, float], size: Size, channels: int) -> None:
        """
        Args:
            extent: width and height of the picture in old pixels; may end within the last of them.
            size: width and height of the new picture.
            channels: values a pixel.
        """
        self._across = area_weights(extent[0], size[0])
        self._down = area_weights(extent[1], size[1])
        self._row_ends = np.linspace(0.0, extent[1], size[1] + 1)[1:]
        self._total = np.zeros((size[1], size[0], channels), np.float32)
        self._row = 0

    def add(self, rows: Float32[np.ndarray, "rows width channels"]) -> None:
        """The next rows."""
        count, width, channels = rows.shape
        start, stop = self._row, min(self._row + count, self._down.shape[1])
        self._row += count
        if start >= stop:
            return
        first = int(np.searchsorted(self._row_ends, start, "right"))
        last = min(int(np.searchsorted(self._row_ends, stop, "left")) + 1, len(self._total))
        part = self._down[first:last, start:stop] @ rows[: stop - start].reshape(stop - start, width * channels)
        beside = part.reshape(-1, width, channels).transpose(1, 0, 2).reshape(width, -1)
        mean = (self._across @ beside[: self._across.shape[1]]).reshape(-1, last - first, channels)
        self._total[first:last] += mean.transpose(1, 0, 2)

    def result(self) -> Float32[np.ndarray, "height width channels"]:
        """The reduced picture, once all rows are added."""
        return self._total


def area_weights(extent: float, count: int) -> csr_array:
    """Weights of old pixels in new ones along a side, [count, ceil(extent)]: shares of the new one's length.

    Args:
        extent: length of the side in old pixels.
        count: new pixels that divide it evenly.
    """
    whole = math.ceil(extent)
    ends = np.linspace(0.0, extent, count + 1)
    cuts = np.union1d(ends, np.minimum(np.arange(whole + 1), extent))
    middle, length = 0.5 * (cuts[1:] + cuts[:-1]), np.diff(cuts)
    new = np.clip(np.searchsorted(ends, middle, "right") - 1, 0, count - 1)
    weights = (length * (count / extent)).astype(np.float32)
    return csr_array((weights, (new, middle.astype(np.int64))), shape=(count, whole))
