"""Pictures of more than 8 bits a value, at their full depth, a strip of rows at a time.

Pillow keeps 8 of 16 bits of colour: the upper half of each value, so that photos of 12 bits come out black. PNG files
are decoded twice here, once for either half (`_SWAPPED`); grey ones Pillow gives whole, and TIFF is read by `tiff`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lerf.errors import SceneError
from lerf.scenes.pictures import decode, opened, our_limit
from lerf.scenes.tiff import ROWS_AT_ONCE, deep_tiff

PIXELS_AT_ONCE = 1 << 22
"""That a few rows have at most, if there are several."""

_SWAPPED = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
"""Read in the other order of bytes, the half that Pillow keeps is the lower one."""
_BITS_TAG = 258
"""TIFF's BitsPerSample."""


def is_deep(image: Image.Image) -> bool:
    """Whether an opened picture stores more than 8 bits a value. Ink does not count: 8 of its bits are read."""
    if image.mode == "CMYK":
        return False
    # Pillow takes 16-bit TIFF files that store their channels apart for 8-bit ones, but knows what they state.
    stated = getattr(image, "tag_v2", {}).get(_BITS_TAG) or (8,)
    return image.mode.startswith("I") or image.mode == "F" or ";16" in _raw_mode(image) or max(stated) > 8


def deep_values(path: Path, what: str) -> np.ndarray:
    """All of `deep_rows` at once: [height, width, channel].

    Raises:
        SceneError: as `deep_rows`.
    """
    return np.concatenate(list(deep_rows(path, what)))


def deep_rows(path: Path, what: str) -> Iterator[np.ndarray]:
    """Stored values of a picture with more than 8 bits a value, from top to bottom: [rows, width, channel].

    Integers, or floats whose white is 1. One channel is grey, two are grey and alpha, three are colour, four are colour
    and alpha.

    Raises:
        SceneError: as `opened` and `decode`, or the values cannot be read at their full depth.
    """
    tiff = deep_tiff(path, what)
    if tiff is not None:
        yield from tiff.rows()
        return
    with opened(path, what) as image:
        mode, raw = image.mode, _raw_mode(image)
        if mode.startswith("I") or mode == "F":
            decode(image, path, what)
            for strip in strips(image):
                values = np.asarray(strip)
                yield np.asarray(values, values.dtype.newbyteorder("="))[..., None]
        elif raw == "LA;16B":
            # Four bytes a pixel: upper and lower half of grey, then of alpha.
            _read_as(image, "RGBA")
            image._mode = "RGBA"  # type: ignore[attr-defined]
            decode(image, path, what)
            for strip in strips(image):
                halves = np.asarray(strip).astype(np.uint16)
                yield halves[..., 0::2] << 8 | halves[..., 1::2]
        elif raw[:-4] in ("RGB", "RGBX", "RGBA") and raw[-4:] in _SWAPPED:
            decode(image, path, what)
            with opened(path, what) as lower:
                _read_as(lower, raw[:-4] + _SWAPPED[raw[-4:]])
                decode(lower, path, what)
                for strip, below in zip(strips(image), strips(lower), strict=True):
                    yield np.asarray(strip).astype(np.uint16) << 8 | np.asarray(below)
        else:
            raise SceneError(
                f"{what} {path} stores more than 8 bits in a way that cannot be read: save it as 16-bit PNG."
            )


def strips(image: Image.Image) -> Iterator[Image.Image]:
    """A decoded picture from top to bottom, a few rows at a time."""
    rows = max(1, min(ROWS_AT_ONCE, PIXELS_AT_ONCE // image.width))
    for top in range(0, image.height, rows):
        with our_limit():  # older versions of Pillow hold their limit against what is cut out too
            strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        yield strip


def _raw_mode(image: Image.Image) -> str:
    """How the pixels are laid out in the file, in Pillow's words; "" where it has none."""
    for tile in getattr(image, "tile", ()):
        arguments = tile[3]
        raw = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
        return raw if isinstance(raw, str) else ""
    return ""


def _read_as(image: Image.Image, raw: str) -> None:
    tiles: list[Any] = []
    for tile in image.tile:  # type: ignore[attr-defined]
        arguments = (raw, *tile[3][1:]) if isinstance(tile[3], tuple) else raw
        # Newer versions of Pillow name the parts of a tile.
        tiles.append(tile._replace(args=arguments) if hasattr(tile, "_replace") else (*tile[:3], arguments))
    image.tile = tiles  # type: ignore[attr-defined]
