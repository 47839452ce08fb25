"""Photos and masks on disk: cheap header checks, and decoding to arrays.

EXIF orientation. A photo file may ask to be shown rotated, but poses and intrinsics refer to the pixels as the pose
estimator saw them: some estimators rotate first, others (COLMAP among them) never do. `orientation_in_use` decides by
the picture size that the intrinsics state: if it fits the stored, unrotated pixels, these are kept as they are; if it
only fits the rotated ones, the rotation is applied; without a stated size it is applied. A rotation that leaves the
size unchanged (by half a turn, or of a square) cannot be told apart and counts as unrotated.

Range of values. A file of 8 bits states it. A file with more may hold 8, 10, 12 or 14 bits in 16: which it is shows in
the largest value of all such photos of a capture, never of one photo, or exposure would differ from photo to photo
(`white_of`). White in masks is the largest value of the capture's masks, and at least half of it takes part.

Resampling. Photos are reduced by averaging the area that each new pixel covers (Pillow's BOX; colours weighted by
alpha): what a larger sensor pixel would have measured, without ringing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from lerf.errors import SceneError
from lerf.scenes.pictures import decode, deep_values, exif_tag, has_opacity, in_colour, is_deep, opened

Size = tuple[int, int]
"""Width, height."""

ORIENTATION_TAG = 0x0112
LEAST_REDUCTION, LEAST_ROUNDED_REDUCTION = 1.05, 1.25
"""Photos are reduced by no less, and with rounded sides by no less than the second: undistorting them changes their
sizes by a few percent."""
WHITES = tuple((1 << bits) - 1 for bits in (8, 10, 12, 14, 16, 24, 32))
"""Values that may be white in files with more than 8 bits."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
    with opened(path, what) as image:
        orientation = exif_tag(image, ORIENTATION_TAG)
        if image.mode == "F" and what == "Photo":
            raise SceneError(f"{path} holds floating-point pixels: convert it to 8-bit PNG or JPEG.")
        deep = is_deep(image)
        # The one transparent value of a deep file is ignored: its pixels are decoded as opaque.
        has_alpha = has_opacity(image) and (not deep or image.mode == "RGBA")
        orientation = orientation if isinstance(orientation, int) and orientation in _TURNS else 1
        return PhotoHeader(image.size, orientation, has_alpha, deep)


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

    Raises:
        SceneError: as `read_photo`.
    """
    largest = 0
    for path in paths:
        values = deep_values(path, "Photo")
        colours = values[..., : values.shape[2] - 1 + values.shape[2] % 2]
        largest = max(largest, int(colours.max()))
    return next((white for white in WHITES if largest <= white), WHITES[-1])


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
    upright = _turned(_in_eight_bits(path, white), orientation)
    if size is not None and upright.size != size:
        upright = upright.resize(size, Image.Resampling.BOX)
    return np.array(upright, np.uint8)


def mask_values(path: Path) -> np.ndarray:
    """Values of a mask, [height, width]: the brightest channel, as integers or floats, dark where it is transparent.

    Where the colour is the same everywhere the opacity alone is the mask, as in cut-outs.

    Raises:
        SceneError: when the file is missing, cut off, corrupt, or not an image.
    """
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
    # In floating point: 8-bit averages of thin ignored lines would round up to fully kept.
    share = Image.fromarray(kept.astype(np.float32)).resize(size, Image.Resampling.BOX)
    return np.array(share) > 1 - 1e-4


def _in_eight_bits(path: Path, white: int) -> Image.Image:
    with opened(path, "Photo") as image:
        if image.mode == "F":
            raise SceneError(f"{path} holds floating-point pixels: convert it to 8-bit PNG or JPEG.")
        if not is_deep(image):
            decode(image, path, "Photo")
            return in_colour(image, path, "Photo")
    # Left to Pillow, grey above 255 would be clipped to white and colour lose its lower half.
    values = deep_values(path, "Photo")
    with_alpha = values.shape[2] % 2 == 0
    colours = _scaled(values[..., : values.shape[2] - with_alpha], white)
    rgb = colours if colours.shape[2] == 3 else colours.repeat(3, 2)
    if not with_alpha:
        return Image.fromarray(rgb)
    # Opacity fills the range of the file even where colours do not.
    alpha = values[..., -1:]
    return Image.fromarray(np.concatenate([rgb, _scaled(alpha, white if alpha.max() <= white else WHITES[4])], 2))


def _scaled(values: np.ndarray, white: int) -> np.ndarray:
    if values.dtype == np.uint16:
        return _scaled(np.arange(1 << 16), white)[values]  # looked up: large photos need no wider copy
    return ((values.astype(np.int64).clip(0, white) * 255 + white // 2) // white).astype(np.uint8)


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image if orientation not in _TURNS else image.transpose(_TURNS[orientation])
