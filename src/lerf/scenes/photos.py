"""Photos and masks on disk: cheap header checks, and decoding to arrays.

EXIF orientation. A photo file may ask to be shown rotated, but poses and intrinsics refer to the pixels as the pose
estimator saw them: some estimators rotate first, others (COLMAP among them) never do. `orientation_in_use` decides by
the picture size that the intrinsics state: if it fits the stored, unrotated pixels, these are kept as they are; if it
only fits the rotated ones, the rotation is applied; without a stated size it is applied. A rotation that leaves the
size unchanged (by half a turn, or of a square) cannot be told apart and counts as unrotated.

Range of values. A file of 8 bits states it. A file with more may hold 8, 10, 12 or 14 bits in 16: which it is shows in
the largest value of all such photos of a capture, never of one photo, or exposure would differ from photo to photo
(`white_of`). White in masks is the largest value of the capture's masks, and at least half of it takes part.

Range of floats. 1 is white, whatever the capture; a photo of which more than a few values exceed it is refused.

Resampling. Photos are reduced by averaging the area that each new pixel covers (`lerf.scenes.area`; colours weighted by
alpha). JPEG files are decoded at a half, a quarter or an eighth of their size where enough remains to be reduced
(`_smaller_decoding`): their blocks of 8x8 pixels are stored as frequencies, of which the low ones are the smaller
picture. The mean of a block stays what it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from lerf.errors import SceneError
from lerf.scenes.area import AreaMean, Size
from lerf.scenes.deep import deep_rows, deep_values, is_deep, strips
from lerf.scenes.pictures import UPRIGHT, decode, has_opacity, in_colour, opened, orientation_of
from lerf.scenes.tiff import deep_tiff

LEAST_REDUCTION, LEAST_ROUNDED_REDUCTION = 1.05, 1.25
"""Photos are reduced by no less, and with rounded sides by no less than the second: undistorting them changes their
sizes by a few percent."""
WHITES = tuple((1 << bits) - 1 for bits in (8, 10, 12, 14, 16, 24, 32))
"""Values that may be white in files with more than 8 bits."""
OVER_WHITE = 0.01
"""Share of a photo's floating-point values that may exceed 1, as sharpening and highlights do."""
LEFT_TO_REDUCE, LEFT_BETWEEN_PIXELS = 2, 4
"""By how much the sides of a photo are reduced at least after a smaller decoding, which evens out its errors; and where
borders of new pixels fall between those of the decoding."""
LARGE_PHOTO = 1 << 26
"""Pixels above which a photo is decoded at half its size at least if its sides are halved: whole it would take
256 MiB."""


@dataclass(frozen=True)
class PhotoHeader:
    """What a photo file says about itself before its pixels are decoded."""

    size: Size
    """As stored, before any rotation."""
    orientation: int
    """EXIF orientation, 1 (upright) to 8."""
    has_alpha: bool
    deep: bool = False
    """Whether values have more than 8 bits, so that the capture has to tell which of them is white."""

    def size_when(self, orientation: int) -> Size:
        """The size after applying `orientation`."""
        width, height = self.size
        return (height, width) if orientation >= 5 else (width, height)


def read_header(path: Path, what: str = "Photo") -> PhotoHeader:
    """Size, orientation and alpha of a file, without decoding it; `what` names it in errors.

    Raises:
        SceneError: when the file is missing, unreadable, or not an image.
    """
    tiff = deep_tiff(path, what)
    if tiff is not None:
        return PhotoHeader(tiff.size, tiff.orientation, tiff.opacity > 0, True)
    with opened(path, what) as image:
        deep = is_deep(image)
        # The one transparent value of a deep file is ignored: its pixels are decoded as opaque.
        has_alpha = has_opacity(image) and (not deep or image.mode == "RGBA")
        return PhotoHeader(image.size, orientation_of(image), has_alpha, deep)


def reduced(size: Size, factor: float) -> Size:
    """Sides divided by `factor`, rounded to whole pixels, at least 1."""
    return max(1, round(size[0] / factor)), max(1, round(size[1] / factor))


def sizes_fit(size: Size, other: Size) -> bool:
    """Whether both sizes are equal, or one is the other divided by one number and rounded to whole pixels, up or down.

    Sizes that merely have much the same shape do not fit: undistorted photos differ from those whose distortion the
    intrinsics describe by no more than that.
    """
    if size == other:
        return True
    small, large = sorted((size, other), key=lambda one: one[0] * one[1])
    # The factors that each side allows: those whose quotient lies within a pixel.
    least = max(whole / (part + 1) for part, whole in zip(small, large, strict=True))
    most = min(whole / (part - 1) if part > 1 else math.inf for part, whole in zip(small, large, strict=True))
    if small[0] * large[1] == small[1] * large[0]:
        return large[0] / small[0] >= LEAST_REDUCTION
    return least < most and most > LEAST_ROUNDED_REDUCTION


def white_of(paths: Iterable[Path]) -> int:
    """The value that is white in files with more than 8 bits: the least of `WHITES` that no colour in them exceeds.

    That of 16 bits where all files hold floats, whose white is 1.

    Raises:
        SceneError: as `read_photo`.
    """
    largest, whole = 0, False
    for path in paths:
        for values in _deep_photo_rows(path):
            if values.dtype.kind != "f":
                whole = True
                largest = max(largest, int(values[..., : _colours(values)].max()))
    return next((white for white in WHITES if largest <= white), WHITES[-1]) if whole else WHITES[4]


def orientation_in_use(header: PhotoHeader, stated: Size | None) -> int | None:
    """The EXIF orientation to apply so that the pixels are those that the intrinsics refer to (module docstring).

    `stated` is the size in the intrinsics, at any resolution. None when the photo fits it neither way.
    """
    if stated is None:
        return header.orientation
    if sizes_fit(header.size, stated):
        return 1
    if sizes_fit(header.size_when(header.orientation), stated):
        return header.orientation
    return None


def read_photo(
    path: Path, size: Size | None = None, orientation: int = 1, white: int = WHITES[4]
) -> UInt8[np.ndarray, "height width channel"]:
    """Decode a photo to 8-bit RGB, or RGBA where the file has transparency.

    Args:
        path: any of the formats in `lerf.scenes.pictures`.
        size: width and height to resample to, after rotation; None keeps the size.
        orientation: EXIF orientation to apply, whatever the file says; see `orientation_in_use`.
        white: value that becomes 255 where the file has more than 8 bits; see `white_of`.

    Raises:
        SceneError: when the file is missing, cut off, corrupt, or not an image.
    """
    stored = size if size is None or orientation < 5 else (size[1], size[0])
    header = read_header(path)
    if header.deep:
        return _turned(_joined(_eight_bit_rows(path, white), header.size, stored), orientation)
    with opened(path, "Photo") as image:
        extent = _smaller_decoding(image, stored)
        decode(image, path, "Photo")
        rows = (np.asarray(in_colour(strip, path, "Photo")) for strip in strips(image))
        return _turned(_joined(rows, extent, stored), orientation)


def mask_values(path: Path) -> np.ndarray:
    """Values of a mask, [height, width]: the brightest channel, as integers or floats, dark where it is transparent.

    Where the colour is the same everywhere the opacity alone is the mask, as in cut-outs.

    Raises:
        SceneError: when the file is missing, cut off, corrupt, or not an image.
    """
    deep = deep_tiff(path, "Mask") is not None
    if not deep:
        with opened(path, "Mask") as image:
            deep = is_deep(image)
            if not deep:
                decode(image, path, "Mask")
                values = np.asarray(in_colour(image, path, "Mask"))
    if deep:
        values = np.nan_to_num(deep_values(path, "Mask"), nan=0.0, posinf=0.0, neginf=0.0)
    if values.shape[2] % 2:
        return values.max(2)
    colour, opacity = values[..., :-1].max(2), values[..., -1]
    if (colour == colour.flat[0]).all() and not (opacity == opacity.flat[0]).all():
        return opacity
    return np.where(2 * opacity.astype(np.int64) >= int(opacity.max()), colour, 0)


def read_mask(path: Path, size: Size, white: float = 0.0) -> Bool[np.ndarray, "height width"]:
    """Decode a mask to the `size` in use: True where a pixel takes part, False where it is ignored.

    White takes part (nerfstudio's convention): values of at least half of `white`, or half of the mask's own maximum
    where that is more, so that masks saved as 0 and 1 work too, whatever the depth of the file. A pixel of a reduced
    mask takes part only when all that it covers does.

    Raises:
        SceneError: when the file is missing, cut off, corrupt, or not an image.
    """
    values = mask_values(path).astype(np.float64)
    kept = (values > 0) & (2 * values >= max(white, float(values.max())))
    if (kept.shape[1], kept.shape[0]) == size:
        return kept
    mean = AreaMean((kept.shape[1], kept.shape[0]), size, 1)
    mean.add(kept[..., None].astype(np.float32))
    return mean.result()[..., 0] > 1 - 1e-4


def _smaller_decoding(image: Image.Image, stored: Size | None) -> tuple[float, float]:
    """Have an opened JPEG file decoded at a half, a quarter or an eighth of its size, if it is to be reduced to
    `stored`; return the width and height of the photo in the pixels that come out, which may end within the last."""
    extent: tuple[float, float] = image.size
    if stored is None or image.format not in ("JPEG", "MPO"):
        return extent
    (width, height), (across, down) = image.size, stored
    # New sides are rounded to whole pixels.
    factor = min(width / (across - 0.5), height / (down - 0.5))
    scale = 2 if width * height > LARGE_PHOTO and factor >= 2 else 1
    for larger in (2, 4, 8):
        fits = width % (across * larger) == 0 and height % (down * larger) == 0
        if factor >= larger * (LEFT_TO_REDUCE if fits else LEFT_BETWEEN_PIXELS):
            scale = larger
    drafted = image.draft(None, (max(1, width // scale), max(1, height // scale))) if scale > 1 else None
    return extent if drafted is None else (drafted[1][2], drafted[1][3])


def _joined(
    rows: Iterator[np.ndarray], extent: tuple[float, float], size: Size | None
) -> UInt8[np.ndarray, "height width channels"]:
    """Rows of 8 bits as one picture of `size`; of their own size, `extent`, where it is None."""
    if size is None or size == extent:
        return np.concatenate(list(rows))
    mean: AreaMean | None = None
    for part in rows:
        mean = mean or AreaMean(extent, size, part.shape[2])
        values = part.astype(np.float32)
        if part.shape[2] == 4:
            values[..., :3] *= values[..., 3:]
        mean.add(values)
    assert mean is not None  # a picture has at least one row
    found = mean.result()
    if found.shape[2] == 4:
        found[..., :3] /= np.maximum(found[..., 3:], np.float32(1e-6))
    np.rint(found.clip(0, 255, out=found), out=found)
    return found.astype(np.uint8)


def _deep_photo_rows(path: Path) -> Iterator[np.ndarray]:
    """`deep_rows` of a photo.

    Raises:
        SceneError: also when floats are not in a range whose white is 1.
    """
    over = count = 0
    for values in deep_rows(path, "Photo"):
        if values.dtype.kind == "f":
            over += int(np.count_nonzero(~(values <= 1)))  # NaN counts
            count += values.size
        yield values
    if over > OVER_WHITE * count:
        raise SceneError(f"{path} holds floating-point pixels above 1, which is white: save it as 16-bit PNG or TIFF.")


def _eight_bit_rows(path: Path, white: int) -> Iterator[UInt8[np.ndarray, "rows width channels"]]:
    """Rows of a deep photo as RGB or RGBA. Left to Pillow, grey above 255 would be clipped to white and colour lose its
    lower half."""
    rows = _deep_photo_rows(path)
    first = next(rows)
    colours, opaque = _colours(first), white
    rows = chain([first], rows)
    if colours < first.shape[2]:
        # Opacity fills the range of the file even where colours do not.
        rows = iter(kept := list(rows))
        if first.dtype.kind != "f" and max(int(part[..., -1].max()) for part in kept) > white:
            opaque = int(np.iinfo(first.dtype).max)
    for values in rows:
        rgb = _scaled(values[..., :colours], white)
        rgb = rgb if colours == 3 else rgb.repeat(3, 2)
        yield rgb if colours == values.shape[2] else np.concatenate([rgb, _scaled(values[..., -1:], opaque)], 2)


def _colours(values: np.ndarray) -> int:
    """How many of the channels are colour: all but the opacity, which makes their number even."""
    return values.shape[2] - 1 + values.shape[2] % 2


def _scaled(values: np.ndarray, white: int) -> np.ndarray:
    if values.dtype.kind == "f":
        return np.rint(np.nan_to_num(values, nan=0.0).clip(0, 1) * 255).astype(np.uint8)
    if values.dtype == np.uint16:
        return _scaled(np.arange(1 << 16), white)[values]  # looked up: large photos need no wider copy
    return ((values.astype(np.int64).clip(0, white) * 255 + white // 2) // white).astype(np.uint8)


def _turned(pixels: UInt8[np.ndarray, "height width channels"], orientation: int) -> np.ndarray:
    """Pixels as an EXIF orientation shows them (Exif 3.0, 4.6.5.1.6): 5 to 8 exchange rows and columns first."""
    if orientation == UPRIGHT:
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    flip_rows, flip_columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return np.ascontiguousarray(pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1])
