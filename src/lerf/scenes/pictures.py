"""Picture files by way of Pillow: opened with bounds, decoded at their full depth, every fault a `SceneError`.

Pillow keeps 8 of 16 bits of colour: the upper half of each value, so that photos of 12 bits come out black. Such files
are decoded twice here, once for either half (`_LOWER`); grey ones Pillow gives whole.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from lerf.errors import SceneError
from lerf.files import is_file, is_folder

LARGEST_PIXELS = 178_956_970
"""Pixels of a picture; Pillow's own limit, which other libraries in the process may have lifted."""
FORMATS = ("PNG", "JPEG", "MPO", "TIFF", "WEBP", "AVIF", "JPEG2000", "BMP", "GIF", "PPM", "TGA")
"""Formats that are tried, by content: none that runs another program or fetches other files."""

_SWAPPED = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
"""Read in the other order of bytes, the half that Pillow keeps is the lower one."""
_BITS_TAG = 258
"""TIFF's BitsPerSample."""
_OPENING = threading.Lock()
"""Filters of warnings belong to the whole process, so that threads take turns to change them."""


@contextmanager
def opened(path: Path, what: str) -> Iterator[Image.Image]:
    """A picture whose header is read and whose pixels are not; `what` names it in errors: "Photo" or "Mask".

    Raises:
        SceneError: when there is no such file, or it is not a picture, or it has too many pixels.
    """
    if not is_file(path):
        raise _no_file(path, what)
    try:
        with _OPENING, warnings.catch_warnings():
            # Large photos and broken metadata; what matters of them is checked here.
            warnings.simplefilter("ignore")
            Image.init()
            image = Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
    except Image.DecompressionBombError:
        raise _too_many(path, what) from None
    except OSError as error:
        said = f"cannot be read ({error.strerror.lower()})" if error.strerror else "cannot be read as an image"
        raise SceneError(f"{what} {path} {said}: replace it or remove its entry.") from None
    except Exception:  # decoders meet hostile bytes with errors of every class
        raise SceneError(f"{what} {path} cannot be read as an image: replace it or remove its entry.") from None
    with image:
        if image.width * image.height > LARGEST_PIXELS:
            raise _too_many(path, what)
        yield image


def exif_tag(image: Image.Image, tag: int) -> Any:
    """A value of the file's EXIF data; None where it has none or they cannot be read, as picture viewers take it."""
    try:
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Asking a PNG for its EXIF decodes it in search of a late chunk; the base class takes what the header has.
            exif = Image.Image.getexif(image) if image.format == "PNG" else image.getexif()
            return exif.get(tag)
    except Exception:  # as in `opened`
        return None


def decode(image: Image.Image, path: Path, what: str) -> None:
    """Read the pixels of an opened picture.

    Raises:
        SceneError: when they are cut off, corrupt or more than the memory holds.
    """
    # Another library in the process may have told Pillow to fill cut-off photos with grey.
    tolerated = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        image.load()
    except Exception:  # as in `opened`; MemoryError is one
        raise SceneError(
            f"The {what.lower()} {path} is cut off or corrupt: copy it again from its source or remove its entry."
        ) from None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = tolerated


def has_opacity(image: Image.Image) -> bool:
    """Whether some pixels of an opened picture may let something through."""
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def in_colour(image: Image.Image, path: Path, what: str) -> Image.Image:
    """A decoded picture as RGB, or RGBA where it `has_opacity`.

    Raises:
        SceneError: when its kind of colour is none that Pillow converts.
    """
    wanted = "RGBA" if has_opacity(image) else "RGB"
    try:
        return image if image.mode == wanted else image.convert(wanted)
    except (ValueError, OSError, MemoryError):
        raise SceneError(
            f"{what} {path} has colours of a kind that is not read ({image.mode}): save it as PNG."
        ) from None


def is_deep(image: Image.Image) -> bool:
    """Whether an opened picture stores more than 8 bits a value."""
    # Pillow takes 16-bit TIFF files that store their channels apart for 8-bit ones, but knows what they state.
    stated = getattr(image, "tag_v2", {}).get(_BITS_TAG) or (8,)
    return image.mode.startswith("I") or image.mode == "F" or ";16" in _raw_mode(image) or max(stated) > 8


def deep_values(path: Path, what: str) -> np.ndarray:
    """Stored values of a picture with more than 8 bits a value: [height, width, channel], as integers or floats.

    One channel is grey, two are grey and alpha, three are colour, four are colour and alpha.

    Raises:
        SceneError: as `opened` and `decode`, or the values cannot be read at their full depth.
    """
    with opened(path, what) as image:
        mode, raw = image.mode, _raw_mode(image)
        if mode.startswith("I") or mode == "F":
            decode(image, path, what)
            values = np.asarray(image)
            return np.asarray(values, values.dtype.newbyteorder("="))[..., None]
        if raw == "LA;16B":
            # Four bytes a pixel: upper and lower half of grey, then of alpha.
            _read_as(image, "RGBA")
            image._mode = "RGBA"  # type: ignore[attr-defined]
            decode(image, path, what)
            halves = np.asarray(image).astype(np.uint16)
            return halves[..., 0::2] << 8 | halves[..., 1::2]
        if raw[:-4] not in ("RGB", "RGBX", "RGBA") or raw[-4:] not in _SWAPPED:
            raise SceneError(f"{what} {path} stores 16 bits in a way that cannot be read: save it as 16-bit PNG.")
        decode(image, path, what)
        upper = np.asarray(image).astype(np.uint16)
    with opened(path, what) as image:
        _read_as(image, raw[:-4] + _SWAPPED[raw[-4:]])
        decode(image, path, what)
        return upper << 8 | np.asarray(image)


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


def _no_file(path: Path, what: str) -> SceneError:
    if is_folder(path):
        return SceneError(f"{what} {path} is a folder: put the picture in its place or remove its entry.")
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return SceneError(f"{what} {path} is missing: restore it or remove its entry from the capture.")
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        return SceneError(f"{what} {path} cannot be read ({said}): make it readable or remove its entry.")
    except ValueError:  # a NUL
        return SceneError(f"{what} {path} cannot be the name of a file: correct its entry in the capture.")
    return SceneError(f"{what} {path} is not a regular file: replace it or remove its entry.")


def _too_many(path: Path, what: str) -> SceneError:
    return SceneError(f"{what} {path} has too many pixels to decode safely: reduce it first.")
