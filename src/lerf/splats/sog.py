"""`.sog` of PlayCanvas, version 2: a zip file of WebP pictures, a pixel a Gaussian, and meta.json that explains them.

Means are 16-bit numbers in two pictures, squeezed by a logarithm; quaternions their three smallest numbers; scales and
colours places in a codebook; harmonics places in a palette of whole sets. Facts from the format's public description.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from PIL import Image, UnidentifiedImageError

from lerf.documents import parse_document
from lerf.errors import SplatError
from lerf.files import is_file
from lerf.geometry.harmonics import COUNTS
from lerf.splats.dot_splat import logit_of_byte
from lerf.splats.packing import is_bomb, three_to_four
from lerf.splats.splats import LARGEST_COUNT, Splats, new_splats

LONGEST_META = 1 << 20
PALETTE_COLUMNS = 64

Vector = tuple[float, float, float]
Codebook = Annotated[list[float], msgspec.Meta(min_length=256, max_length=256)]
Names = Annotated[list[str], msgspec.Meta(min_length=1, max_length=2)]


class _Means(msgspec.Struct):
    mins: Vector
    maxs: Vector
    files: Annotated[list[str], msgspec.Meta(min_length=2, max_length=2)]


class _Coded(msgspec.Struct):
    codebook: Codebook
    files: Names


class _Quaternions(msgspec.Struct):
    files: Names


class _Higher(msgspec.Struct):
    count: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
    bands: Annotated[int, msgspec.Meta(ge=1, le=3)]
    codebook: Codebook
    files: Annotated[list[str], msgspec.Meta(min_length=2, max_length=2)]


class _Meta(msgspec.Struct, rename={"higher": "shN"}):
    version: Annotated[int, msgspec.Meta(ge=2, le=2)]
    count: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_COUNT)]
    means: _Means
    scales: _Coded
    quats: _Quaternions
    sh0: _Coded
    higher: _Higher | None = None


def read_sog(path: Path, remedy: str) -> Splats:
    """The Gaussians of a `.sog` file.

    Raises:
        SplatError: it cannot be read, is damaged, or of another version than 2.
    """
    if not is_file(path):
        raise SplatError(f"{path} is not there or no regular file: {remedy}.")
    try:
        with zipfile.ZipFile(path) as archive:
            text = _member(archive, "meta.json", LONGEST_META)
            meta = parse_document(text, _Meta, f"meta.json in {path}", error=SplatError, remedy=remedy)
            return _splats(archive, meta)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError) as problem:
        raise SplatError(f"{path} cannot be read as SOG ({problem}): {remedy}.") from None


def _splats(archive: zipfile.ZipFile, meta: _Meta) -> Splats:
    count = meta.count
    low, high = (_pixels(archive, name, count)[:, :3].astype(np.float64) for name in meta.means.files)
    mins, maxs = np.array(meta.means.mins), np.array(meta.means.maxs)
    squeezed = mins + (maxs - mins) * ((256 * high + low) / 65535)
    with np.errstate(over="ignore"):
        means = np.sign(squeezed) * np.expm1(np.abs(squeezed))
    turns = _pixels(archive, meta.quats.files[0], count)
    omitted = turns[:, 3].astype(np.int64) - 252
    if not bool(((omitted >= 0) & (omitted <= 3)).all()):
        raise ValueError("a quaternion does not say what it leaves out")
    quaternions = three_to_four((turns[:, :3] / 255 - 0.5) * 2**0.5, omitted, (0, 1, 2, 3))
    scales = np.array(meta.scales.codebook)[_pixels(archive, meta.scales.files[0], count)[:, :3]]
    shades = _pixels(archive, meta.sh0.files[0], count)
    harmonics = np.array(meta.sh0.codebook)[shades[:, :3]][:, None]
    if meta.higher is not None:
        harmonics = np.concatenate([harmonics, _higher(archive, meta.higher, count)], 1)
    return new_splats(means, scales, quaternions, logit_of_byte(shades[:, 3]), harmonics)


def _higher(archive: zipfile.ZipFile, told: _Higher, count: int) -> np.ndarray:
    """Coefficients of degrees 1 and above, [n, coefficients, 3]: those of each Gaussian's place in the palette."""
    bands = COUNTS[told.bands] - 1
    labels = _pixels(archive, told.files[1], count).astype(np.int64)
    place = labels[:, 0] + 256 * labels[:, 1]
    if int(place.max()) >= told.count:
        raise ValueError("a Gaussian's harmonics are beyond the palette")
    palette = _picture(archive, told.files[0], PALETTE_COLUMNS * bands * -(-told.count // PALETTE_COLUMNS))
    if palette.shape[1] != PALETTE_COLUMNS * bands:
        raise ValueError("its palette of harmonics has another width than it should")
    sets = palette.reshape(-1, bands, 4)[: told.count, :, :3]
    return np.array(told.codebook)[sets[place]]


def _pixels(archive: zipfile.ZipFile, name: str, count: int) -> np.ndarray:
    """The first `count` pixels of a picture, [n, 4]."""
    return _picture(archive, name, count).reshape(-1, 4)[:count]


def _picture(archive: zipfile.ZipFile, name: str, least: int) -> np.ndarray:
    """A picture with its opacity, [height, width, 4], which has at least so many pixels.

    Raises:
        ValueError: it has not, or is no picture.
    """
    packed = _member(archive, name, 1 << 31)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(packed), formats=("WEBP",)) as picture:
                pixels = picture.width * picture.height
                if pixels < least:
                    raise ValueError(f"{name} has fewer pixels than there are Gaussians")
                if is_bomb(len(packed), 4 * pixels) or pixels > 2 * LARGEST_COUNT:
                    raise ValueError(f"{name} unpacks to more than splats can")
                return np.asarray(picture.convert("RGBA"))
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError):
        raise ValueError(f"{name} is no WebP picture") from None


def _member(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    """A file of the archive.

    Raises:
        ValueError: it is not there, or unpacks to more than it can.
    """
    try:
        about = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"it has no {name}") from None
    if about.file_size > largest or is_bomb(about.compress_size, about.file_size):
        raise ValueError(f"{name} unpacks to more than it can")
    return archive.read(about)
