"""Crops about windows of a picture, resized as the image tower wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from lerf.encoders.mini_tower import STRIDE, WINDOW, tent


@dataclass(frozen=True)
class Cut:
    """A square crop about a window, in which the window is `WINDOW` pixels across."""

    pixels: UInt8[np.ndarray, "crop crop 3"]
    x: float
    y: float
    """The window's middle, in pixels of the crop."""
    inside: tuple[float, float, float, float]
    """Left, right, upper, lower border of the picture, in pixels of the crop."""


class Canvas:
    """A picture continued by its edge, as far as crops about its windows reach."""

    def __init__(self, picture: UInt8[np.ndarray, "height width 3"], largest: float, crop: int) -> None:
        """Windows up to `largest` pixels; crops of `crop` pixels."""
        self._height, self._width = picture.shape[:2]
        self._crop = crop
        self._beyond = beyond = int(np.ceil(0.75 * crop / WINDOW * largest)) + 1
        rows, columns = (np.arange(-beyond, size + beyond).clip(0, size - 1) for size in picture.shape[:2])
        self._image = Image.fromarray(picture.take(rows, 0).take(columns, 1))

    def cut(self, x: float, y: float, side: float, shift_x: float = 0.0, shift_y: float = 0.0) -> Cut:
        """The crop about a window, whose middle lies at the crop's, shifted by less than a quarter of the crop.

        Args:
            x, y, side: of the window, in pixels of the picture.
            shift_x, shift_y: in pixels of the crop.
        """
        zoom, half = WINDOW / side, self._crop / 2
        left, top, reach = x - (half + shift_x) / zoom, y - (half + shift_y) / zoom, self._crop / zoom
        box = tuple(edge + self._beyond for edge in (left, top, left + reach, top + reach))
        pixels = np.asarray(self._image.resize((self._crop, self._crop), Image.Resampling.BILINEAR, box))
        inside = (-left * zoom, (self._width - left) * zoom, -top * zoom, (self._height - top) * zoom)
        return Cut(pixels, half + shift_x, half + shift_y, inside)


def collated(
    cuts: Sequence[Cut],
) -> tuple[Float[Tensor, "n 3 crop crop"], Float[Tensor, "n cells"], Float[Tensor, "n cells"]]:
    """Crops in 0..1, and the weights of the map's columns and rows for their windows."""
    crops = torch.from_numpy(np.stack([cut.pixels for cut in cuts])).permute(0, 3, 1, 2).float() / 255.0
    cells = crops.shape[-1] // STRIDE
    left, right, top, bottom = torch.tensor([cut.inside for cut in cuts], dtype=torch.float32).T
    x, y = torch.tensor([[cut.x, cut.y] for cut in cuts], dtype=torch.float32).T
    return crops, tent(x, cells, (left, right)), tent(y, cells, (top, bottom))
