"""TIFF files of more than 8 bits a value, which Pillow reads in part only: in strips or tiles, channels together or in
planes, whole numbers or floating point, any compression without loss.

What the numbers of the directory mean is TIFF 6.0 (Adobe 1992): sections 8 (fields), 14 (differences along rows), 15
(tiles), 18 (opacity); differences of floating-point numbers are those of Adobe Photoshop TIFF Technical Note 3 (2005).
Strips are unpacked by libtiff, to which Pillow hands each few of them as a small grey picture of 8 bits, or by zlib.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image, TiffImagePlugin

from lerf.errors import SceneError
from lerf.files import is_file
from lerf.scenes.area import Size
from lerf.scenes.pictures import (
    LARGEST_PIXELS,
    cut_off,
    our_limit,
    refuse_raw,
    too_many,
    usable_orientation,
    xmp_orientation,
)

_STARTS = (b"II*\0", b"MM\0*", b"II+\0")
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _COLOUR = 256, 257, 258, 259, 262
_FILL_ORDER, _ORIENTATION, _SAMPLES, _PLANES, _PREDICTOR = 266, 274, 277, 284, 317
_STRIPS, _ROWS, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_LENGTH, _TILES, _TILE_BYTES = 322, 323, 324, 325
_EXTRA, _FORMAT, _XMP = 338, 339, 700
_USED = (
    254, 330, 50706, _WIDTH, _LENGTH, _BITS, _COMPRESSION, _COLOUR, _FILL_ORDER, _ORIENTATION, _SAMPLES, _PLANES,
    _PREDICTOR, _STRIPS, _ROWS, _STRIP_BYTES, _TILE_WIDTH, _TILE_LENGTH, _TILES, _TILE_BYTES, _EXTRA, _FORMAT, _XMP,
)  # fmt: skip
_PLAIN, _PACK_BITS, _DEFLATE = 1, 32773, (8, 32946)
_PREDICTED = (5, *_DEFLATE, 34925, 50000)
"""Compressions that may store differences: LZW, Deflate, LZMA, Zstandard."""
_INVERTED, _GREY, _RGB = 0, 1, 2
"""Colours: grey whose 0 is white, grey, and RGB."""
_DIFFERENCES, _FLOAT_DIFFERENCES = 2, 3
_ASSOCIATED, _UNASSOCIATED = 1, 2
"""Opacity by which colours are multiplied, and opacity beside colours as they are."""
ROWS_AT_ONCE = 128
"""That are decoded together, where the file lets them."""
MOST_CHANNELS = 16


@dataclass(frozen=True)
class DeepTiff:
    """The first picture of such a file, not yet decoded."""

    path: Path
    what: str
    """"Photo" or "Mask", for errors."""
    size: Size
    kind: np.dtype
    """Of the stored values."""
    samples: int
    """Values a pixel."""
    planes: int
    """1, or as many as there are samples, each stored for itself."""
    block: Size
    """Of a strip or tile."""
    tiled: bool
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]
    compression: int
    predictor: int
    colours: int
    """Samples that are colour: 1 or 3."""
    inverted: bool
    """Whether 0 is white."""
    opacity: int
    """What the sample after the colours is: 0 nothing of use, or one of the two kinds of opacity."""
    orientation: int

    def rows(self) -> Iterator[np.ndarray]:
        """Values [rows, width, channels] from top to bottom: colours, and opacity where there is one.

        Raises:
            SceneError: pixels are cut off, corrupt or more than the memory holds.
        """
        try:
            with open(self.path, "rb") as file:
                for top, rows in self._bands():
                    parts = [self._band(file, plane, top, rows) for plane in range(self.planes)]
                    yield self._meant(parts[0] if len(parts) == 1 else np.concatenate(parts, 2))
        except Image.DecompressionBombError:
            raise SceneError(
                f"{self.what} {self.path} is packed in one piece that is too large to be read: save it as PNG."
            ) from None
        except Exception:  # libtiff and zlib meet hostile bytes with errors of every class; MemoryError is one
            raise cut_off(self.path, self.what) from None

    def _bands(self) -> Iterator[tuple[int, int]]:
        """First row and number of rows of what is decoded together: tiles side by side, whole strips, or a part of one
        that is not packed."""
        block, height = self.block[1], self.size[1]
        step = block if self.tiled else block * max(1, ROWS_AT_ONCE // block)
        part = min(step, ROWS_AT_ONCE) if self.compression == _PLAIN and not self.tiled else step
        for start in range(0, height, step):
            stop = min(start + step, height)
            for top in range(start, stop, part):
                yield top, min(part, stop - top)

    def _band(self, file: BinaryIO, plane: int, top: int, rows: int) -> np.ndarray:
        """Values [rows, width, samples of the plane] of rows from `top`."""
        across, down = blocks_of(self.size, self.block)
        first = (plane * down + top // self.block[1]) * across
        count = across if self.tiled else -(-rows // self.block[1])
        values = self._undone(self._unpacked(file, first, count, top, rows))
        if not self.tiled:
            return values
        beside = values.reshape(across, self.block[1], *values.shape[1:]).transpose(1, 0, 2, 3)
        return beside.reshape(self.block[1], -1, values.shape[2])[:rows, : self.size[0]]

    def _unpacked(self, file: BinaryIO, first: int, count: int, top: int, rows: int) -> UInt8[np.ndarray, "rows bytes"]:
        """Bytes of `count` blocks, one under the other."""
        width = self.block[0] * (self.samples // self.planes) * self.kind.itemsize
        height = count * self.block[1] if self.tiled else rows
        if self.compression == _PLAIN and not self.tiled:
            within = top % self.block[1]
            parts = []
            for number in range(count):
                size = min(self.block[1], rows - number * self.block[1])
                parts.append(_read(file, self.offsets[first + number] + within * width, size * width))
            return np.frombuffer(b"".join(parts), np.uint8).reshape(height, width)
        packed = [_read(file, self.offsets[at], self.lengths[at]) for at in range(first, first + count)]
        sizes = [min(self.block[1], height - number * self.block[1]) * width for number in range(count)]
        if self.compression == _PLAIN:
            whole = b"".join(part[:size] for part, size in zip(packed, sizes, strict=True))
        elif self.compression in _DEFLATE:
            whole = b"".join(zlib.decompressobj().decompress(*one) for one in zip(packed, sizes, strict=True))
        else:
            return _by_libtiff(packed, self.compression, width, height, self.block[1])
        return np.frombuffer(whole, np.uint8).reshape(height, width)

    def _undone(self, stored: UInt8[np.ndarray, "rows bytes"]) -> np.ndarray:
        """Values [rows, width, samples] without the differences that they are stored as."""
        samples = self.samples // self.planes
        rows = len(stored)
        if self.predictor == _FLOAT_DIFFERENCES:
            # Of all values of a row first the most significant bytes.
            sums = np.cumsum(stored.reshape(rows, -1, samples), 1, dtype=np.uint8)
            apart = sums.reshape(rows, self.kind.itemsize, -1).transpose(0, 2, 1)
            values = np.ascontiguousarray(apart).view(self.kind.newbyteorder(">"))
            return values.reshape(rows, -1, samples).astype(self.kind.newbyteorder("="))
        if self.predictor == _DIFFERENCES:
            whole = np.dtype(f"{self.kind.str[0]}u{self.kind.itemsize}")
            native = stored.view(whole).astype(whole.newbyteorder("=")).reshape(rows, -1, samples)
            return np.cumsum(native, 1, dtype=native.dtype, out=native).view(self.kind.newbyteorder("="))
        return stored.view(self.kind).astype(self.kind.newbyteorder("=")).reshape(rows, -1, samples)

    def _meant(self, values: np.ndarray) -> np.ndarray:
        """Colours, brightest at the largest value, and opacity."""
        white: Any = 1 if self.kind.kind == "f" else np.iinfo(values.dtype).max
        colour = values[..., : self.colours]
        if self.inverted:
            colour = white - colour
        if not self.opacity:
            return colour
        alpha = values[..., self.colours : self.colours + 1]
        if self.opacity == _ASSOCIATED:
            scaled = colour * (float(white) / np.maximum(alpha, 1e-6 if self.kind.kind == "f" else 1))
            colour = np.minimum(scaled, white).astype(values.dtype)
        return np.concatenate([colour, alpha], 2)


def blocks_of(size: Size, block: Size) -> Size:
    """How many strips or tiles lie beside and under each other."""
    return -(-size[0] // block[0]), -(-size[1] // block[1])


def deep_tiff(path: Path, what: str) -> DeepTiff | None:
    """The first picture of a TIFF file of more than 8 bits a value.

    None where the file is none, or its values are of a kind that is left to Pillow: ink, palettes, signed numbers,
    bits that do not fill bytes, compressions with loss.

    Raises:
        SceneError: it has too many pixels, is cut off or corrupt, or holds raw data of a camera.
    """
    order, tags = _tags(path)
    samples, colour = _number(tags, _SAMPLES, 1), _number(tags, _COLOUR, -1)
    kind, compression = _kind(order, tags), _number(tags, _COMPRESSION, _PLAIN)
    colours = 3 if colour == _RGB else 1
    most = MOST_CHANNELS if colours == 3 else 2
    if kind is None or colour not in (_INVERTED, _GREY, _RGB) or not colours <= samples <= most:
        return None
    if _number(tags, _FILL_ORDER, 1) != 1 or compression not in (_PLAIN, _PACK_BITS, *_PREDICTED):
        return None
    refuse_raw(tags, path, what)
    width, height = _number(tags, _WIDTH, 0), _number(tags, _LENGTH, 0)
    if width * height > LARGEST_PIXELS:
        raise too_many(path, what)
    tiled = _TILES in tags
    rows = min(_number(tags, _ROWS, height), height)
    block = (_number(tags, _TILE_WIDTH, 0), _number(tags, _TILE_LENGTH, 0)) if tiled else (width, rows)
    planes = samples if _number(tags, _PLANES, 1) == 2 else 1
    offsets, lengths = (_numbers(tags, tag) for tag in ((_TILES, _TILE_BYTES) if tiled else (_STRIPS, _STRIP_BYTES)))
    if min(width, height, *block) < 1 or math.prod(block) * samples * kind.itemsize > LARGEST_PIXELS * 8:
        raise cut_off(path, what)
    expected = math.prod(blocks_of((width, height), block)) * planes
    ends = map(sum, zip(offsets, lengths, strict=False))
    if not len(offsets) == len(lengths) == expected or min(*offsets, *lengths) < 0 or max(ends) > path.stat().st_size:
        raise cut_off(path, what)
    extra = (*_numbers(tags, _EXTRA), 0)[0] if samples > colours else 0
    stated = tags.get(_ORIENTATION)
    return DeepTiff(
        path, what, (width, height), kind, samples, planes, block, tiled, offsets, lengths, compression,
        _number(tags, _PREDICTOR, 1) if compression in _PREDICTED else 1, colours, colour == _INVERTED,
        extra if extra in (_ASSOCIATED, _UNASSOCIATED) else 0,
        usable_orientation(xmp_orientation(tags.get(_XMP)) if stated is None else stated),
    )  # fmt: skip


def _tags(path: Path) -> tuple[str, dict[int, Any]]:
    """Order of bytes, and the fields in use of the first directory of a TIFF file; none where the file is none."""
    if not is_file(path):  # a pipe would be waited for
        return "", {}
    try:
        with open(path, "rb") as file:
            start = file.read(8)
            if start[:4] not in _STARTS:
                return "", {}
            return _directory(file, start)
    except Exception:  # broken directories are met with errors of every class; Pillow tells of them in `opened`
        return "", {}


def _directory(file: BinaryIO, start: bytes) -> tuple[str, dict[int, Any]]:
    with our_limit():
        tags = TiffImagePlugin.ImageFileDirectory_v2(start + file.read(8) if b"+" in start[:4] else start)
        file.seek(tags.next)
        tags.load(file)
        return "<" if start[:1] == b"I" else ">", {number: tags[number] for number in _USED if number in tags}


def _kind(order: str, tags: dict[int, Any]) -> np.dtype | None:
    """The type of the stored values; None where they are of 8 bits or fewer, or of several kinds."""
    bits, formats = set(_numbers(tags, _BITS)), set(_numbers(tags, _FORMAT)) or {1}
    if len(bits) != 1 or len(formats) != 1:
        return None
    name = f"{({1: 'u', 3: 'f'}).get(formats.pop(), '-')}{bits.pop() / 8:g}"
    return np.dtype(order + name) if name in ("u2", "u4", "f2", "f4", "f8") else None


def _numbers(tags: dict[int, Any], tag: int) -> tuple[int, ...]:
    """Whole numbers of a field; none where it is missing or holds something else."""
    value = tags.get(tag, ())
    values = value if isinstance(value, tuple) else (value,)
    return values if all(isinstance(one, int) for one in values) else ()


def _number(tags: dict[int, Any], tag: int, default: int) -> int:
    values = _numbers(tags, tag)
    return values[0] if values else default


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    data = file.read(length)
    if len(data) != length:
        raise EOFError
    return data


def _by_libtiff(
    packed: list[bytes], compression: int, width: int, height: int, rows: int
) -> UInt8[np.ndarray, "height width"]:
    """Packed strips of `rows` rows each as the bytes that were packed."""
    count = len(packed)
    lists = 8 + 2 + 9 * 12 + 4
    data = lists + 8 * count
    starts = [data + sum(map(len, packed[:number])) for number in range(count)]
    lengths = [len(part) for part in packed]
    longs = {273: (starts, lists), 279: (lengths, lists + 4 * count)}
    fields = b""
    for tag, value in (
        (256, width), (257, height), (258, 8), (259, compression), (262, 1), (273, 0), (277, 1), (278, rows), (279, 0),
    ):  # fmt: skip
        values, place = longs.get(tag, ([value], 0))
        fields += struct.pack("<HHII", tag, 4, len(values), values[0] if len(values) == 1 else place)
    tables = struct.pack(f"<{2 * count}I", *starts, *lengths)
    whole = b"".join([b"II*\0\x08\0\0\0", struct.pack("<H", 9), fields, b"\0\0\0\0", tables, *packed])
    with our_limit(), Image.open(io.BytesIO(whole), formats=["TIFF"]) as image:
        image.load()
        return np.asarray(image)
