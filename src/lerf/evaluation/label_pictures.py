"""Pictures whose pixels are labels, not colours: a value is read as it was meant, or the picture is refused.

A label is a number from 0 to 255 in a PNG of one grey channel of 8 bits. Tools that store pictures anew change the form
and keep the colours, which are greys here: 16 bits, palettes and RGB are read by their grey. Where a palette shows
colours its indices may be the labels or may be arbitrary, and where one bit is white it may mean 1 or 255: nothing in
the file says which.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile

from lerf.errors import SceneError
from lerf.evaluation.labels import LARGEST_PIXELS
from lerf.files import is_file

REMEDY = "save it as a PNG of one grey channel of 8 bits whose values are the labels"


def read_label_picture(path: Path) -> UInt8[np.ndarray, "height width"]:
    """Labels of a picture.

    Raises:
        SceneError: missing, cut off, no PNG, too large, or of pixels that do not say which label they mean.
    """
    if not is_file(path):
        raise SceneError(f"There is no picture of labels {path}; make the scene again, or restore the file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # Formats that lose detail change labels.
            image = Image.open(path, formats=["PNG"])
    except Image.DecompressionBombError:
        raise SceneError(f"The labels {path} have too many pixels; {REMEDY}.") from None
    except (OSError, SyntaxError, ValueError, OverflowError, EOFError, struct.error, zlib.error):
        raise SceneError(f"The labels {path} are not a readable PNG; {REMEDY}.") from None
    with image:
        width, height = image.size
        if width * height > LARGEST_PIXELS:
            raise SceneError(f"The labels {path} have {width}x{height} pixels, too many; {REMEDY}.")
        _decode(image, path)
        values, problem = _grey(image)
    if values is None:
        raise SceneError(f"The labels {path} {problem}; {REMEDY}.")
    return values


def _decode(image: Image.Image, path: Path) -> None:
    # Another library in the process may have told Pillow to fill what is cut off with grey.
    tolerated, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        image.load()
    except (OSError, SyntaxError, ValueError, IndexError, EOFError, OverflowError, struct.error, zlib.error):
        raise SceneError(f"The labels {path} are cut off or corrupt; make the scene again, or {REMEDY}.") from None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = tolerated


def _grey(image: Image.Image) -> tuple[UInt8[np.ndarray, "height width"] | None, str]:
    """The labels; or None and what is wrong, as it follows "the labels"."""
    mode = image.mode
    if mode == "1":
        return None, "have one bit a pixel, which may mean label 1 or label 255"
    if "transparency" in image.info or mode in ("LA", "PA", "RGBA"):
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if (alpha < 255).any():
            return None, "are transparent in places"
    if mode.startswith("I"):
        return _from_sixteen_bits(np.asarray(image).astype(np.int64))
    if mode == "L":
        return np.array(image, dtype=np.uint8), ""
    if mode not in ("LA", "P", "PA", "RGB", "RGBA"):
        return None, f"have pixels of the kind {mode}"
    colours = np.asarray(image.convert("RGB"))
    if (colours != colours[..., :1]).any():
        return None, f"are {'a palette of' if mode in ('P', 'PA') else 'in'} colours, which say no label"
    return colours[..., 0].copy(), ""


def _from_sixteen_bits(values: np.ndarray) -> tuple[UInt8[np.ndarray, "height width"] | None, str]:
    """Labels stored in 16 bits as they are, or stretched, 255 to 65535; no number can be both."""
    largest = int(values.max(initial=0))
    if largest > 255 and (values % 257 == 0).all() and largest <= 65535:
        values = values // 257
    elif largest > 255:
        return None, f"have values up to {largest}, and a label is at most 255"
    return values.astype(np.uint8), ""
