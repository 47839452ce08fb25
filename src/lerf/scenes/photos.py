"""Photos and masks on disk: cheap header checks, and decoding to arrays.

EXIF orientation. A photo file may ask to be shown rotated, but poses and intrinsics refer to the pixels as the pose
estimator saw them: some estimators rotate first, others (COLMAP among them) never do. `orientation_in_use` decides by
the picture size that the intrinsics state: if it fits the stored, unrotated pixels, these are kept as they are; if it
only fits the rotated ones, the rotation is applied; without a stated size it is applied. A rotation that leaves the
size unchanged (by half a turn, or of a square) cannot be told apart and counts as unrotated.

Resampling. Photos are reduced by averaging the area that each new pixel covers (Pillow's BOX; colours weighted by
alpha): what a larger sensor pixel would have measured, without ringing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageFile

from lerf.errors import SceneError

Size = tuple[int, int]
"""Width, height."""

ORIENTATION_TAG = 0x0112
ASPECT_TOLERANCE = 0.02
"""Sizes fit each other when their aspect ratios differ by less than this, so that rounded-down copies still fit."""

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

    def size_when(self, orientation: int) -> Size:
        """The size after applying `orientation`."""
        width, height = self.size
        return (height, width) if orientation >= 5 else (width, height)


def read_header(path: Path, what: str = "Photo") -> PhotoHeader:
    """Size, orientation and alpha of a file, without decoding it; `what` names it in errors.

    Raises:
        SceneError: when the file is missing, unreadable, or not an image.
    """
    with _opened(path, what) as image:
        # Asking a PNG for its EXIF decodes it in search of a late chunk; the base class takes what the header has.
        exif = Image.Image.getexif(image) if image.format == "PNG" else image.getexif()
        orientation = exif.get(ORIENTATION_TAG, 1)
        has_alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
        has_alpha = has_alpha and not image.mode.startswith("I")  # decoded as grey, whose transparent value is ignored
        return PhotoHeader(image.size, orientation if orientation in _TURNS else 1, has_alpha)


def sizes_fit(size: Size, other: Size) -> bool:
    """Whether one size is a resampling of the other: equal aspect ratios, up to the rounding of whole pixels."""
    (width, height), (other_width, other_height) = size, other
    # One pixel of rounding in the smaller picture may exceed the tolerance when it is tiny.
    tolerance = max(ASPECT_TOLERANCE, 1.0 / min(*size, *other))
    return abs(width * other_height - height * other_width) <= tolerance * max(width * other_height, 1)


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


def read_photo(path: Path, size: Size | None = None, orientation: int = 1) -> UInt8[np.ndarray, "height width channel"]:
    """Decode a photo to 8-bit RGB, or RGBA where the file has transparency.

    Args:
        path: any format that Pillow reads; 16-bit grey is scaled to 8 bits.
        size: width and height to resample to, after rotation; None keeps the size.
        orientation: EXIF orientation to apply, whatever the file says; see `orientation_in_use`.

    Raises:
        SceneError: when the file is missing, cut off, corrupt, or not an image.
    """
    with _opened(path, "Photo") as image:
        _decode(image, path, "photo")
        upright = _turned(_in_eight_bits(image, path), orientation)
        if size is not None and upright.size != size:
            upright = upright.resize(size, Image.Resampling.BOX)
        return np.array(upright, np.uint8)


def read_mask(path: Path, size: Size) -> Bool[np.ndarray, "height width"]:
    """Decode a mask to the `size` in use: True where a pixel takes part, False where it is ignored.

    White takes part (nerfstudio's convention), the threshold being half of the mask's own maximum so that masks saved
    as 0 and 1 work too. A pixel of a reduced mask takes part only when all that it covers does.

    Raises:
        SceneError: when the file is missing, cut off, corrupt, or not an image.
    """
    with _opened(path, "Mask") as image:
        _decode(image, path, "mask")
        grey = np.array(_in_eight_bits(image, path).convert("L"))
    kept = (grey > 0) & (2 * grey.astype(np.int32) >= int(grey.max()))
    if (kept.shape[1], kept.shape[0]) == size:
        return kept
    # In floating point: 8-bit averages of thin ignored lines would round up to fully kept.
    share = Image.fromarray(kept.astype(np.float32)).resize(size, Image.Resampling.BOX)
    return np.array(share) > 1 - 1e-4


@contextmanager
def _opened(path: Path, what: str) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            # Large photos are legitimate here; Pillow still refuses those twice as large as its warning.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
    except FileNotFoundError as error:
        raise SceneError(f"{what} {path} is missing: restore it or remove its entry from the capture.") from error
    except Image.DecompressionBombError as error:
        raise SceneError(f"{what} {path} has too many pixels to decode safely: reduce it first.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise SceneError(f"{what} {path} cannot be read as an image: replace it or remove its entry.") from error
    with image:
        yield image


def _decode(image: Image.Image, path: Path, what: str) -> None:
    # Another library in the process may have told Pillow to fill cut-off photos with grey.
    tolerated = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        image.load()
    except (OSError, SyntaxError, ValueError, IndexError, EOFError) as error:
        raise SceneError(
            f"The {what} {path} is cut off or corrupt: copy it again from its source or remove its entry."
        ) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = tolerated


def _in_eight_bits(image: Image.Image, path: Path) -> Image.Image:
    if image.mode in ("RGB", "RGBA"):
        return image
    if image.mode.startswith("I"):
        # Converting 16-bit grey directly would clip everything above 255 to white.
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray((np.clip(values, 0, 65535) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise SceneError(f"{path} holds floating-point pixels: convert it to 8-bit PNG or JPEG.")
    transparent = image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB")


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image if orientation not in _TURNS else image.transpose(_TURNS[orientation])
