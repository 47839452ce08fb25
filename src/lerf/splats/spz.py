"""`.spz` of Niantic: quantised attributes, all of one kind together, packed by gzip (versions 1 to 3) or zstd (4).

Header: "NGSP", version, count, degree of the harmonics, fractional bits, flags. Then, for all Gaussians: positions as
24-bit fixed-point numbers (version 1: 16-bit floats), opacities, colours, scales, rotations, harmonics. Version 4 has
the header in the open and a table of its streams. Facts from the format's public library. Its axes are x right, y up,
z backwards; those of splats in PLY are x right, y down, z forwards.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from lerf.errors import SplatError
from lerf.files import read_bytes, write_atomically
from lerf.geometry.harmonics import COUNTS
from lerf.geometry.similarity import Similarity
from lerf.splats.dot_splat import logit_of_byte, opacity_of, to_byte
from lerf.splats.packing import gunzipped, is_bomb, three_to_four
from lerf.splats.splats import LARGEST_COUNT, ROTATIONS, Splats, new_splats

MAGIC = b"NGSP"
LARGEST = 4_000_000_000
COLOUR = 0.15
"""A byte of colour counts steps of this times 1/255 of the constant coefficient."""
AXES = Similarity(np.diag([1.0, -1.0, -1.0]), np.zeros(3), 1.0)
"""The format's axes to those of PLY, and back."""
MOST_FRACTION = 20
"""Fractional bits that are written at most: a millionth."""


def read_spz(path: Path, remedy: str) -> Splats:
    """The Gaussians of an `.spz` file.

    Raises:
        SplatError: it cannot be read, is damaged, of a version that is not known, or needs the extra lerf[splats].
    """
    data = read_bytes(path, error=SplatError, remedy=remedy, largest=LARGEST)
    try:
        streams, version, degree, fraction = _streams(data)
    except ValueError as problem:
        raise SplatError(f"{path} cannot be read as SPZ ({problem}): {remedy}.") from None
    positions, opacities, colours, scales, rotations, rest = streams
    count = len(opacities)
    if version == 1:
        means = np.frombuffer(positions.tobytes(), "<f2").reshape(count, 3).astype(np.float64)
    else:
        numbers = positions.reshape(count, 3, 3).astype(np.int32)
        fixed = numbers[..., 0] | (numbers[..., 1] << 8) | (numbers[..., 2] << 16)
        means = ((fixed ^ 0x800000) - 0x800000).astype(np.float64) / (1 << fraction)
    bands = COUNTS[degree] - 1
    constant = (colours.reshape(count, 1, 3) / 255 - 0.5) / COLOUR
    higher = (rest.reshape(count, bands, 3).astype(np.float64) - 128) / 128
    splats = new_splats(
        means, scales.reshape(count, 3) / 16.0 - 10, _rotations(rotations.reshape(count, -1)),
        logit_of_byte(opacities), np.concatenate([constant, higher], 1),
    )  # fmt: skip
    return _turned_over(splats)


def write_spz(path: Path, splats: Splats) -> None:
    """Write splats as `.spz` of version 3, in one move; further columns are left out.

    Raises:
        SplatError: positions are too far out for 24-bit numbers.
        StorageError: the file cannot be written.
    """
    turned = _turned_over(splats)
    means, count = turned.means, len(splats)
    reach = float(np.abs(means).max())
    if reach >= 1 << 22:
        raise SplatError(f"SPZ holds no positions as large as {reach:g}; write a .ply file, or move the splat.")
    fraction = int(min(MOST_FRACTION, np.floor(np.log2((1 << 23) - 1) - np.log2(max(reach, 1e-9)))))
    fixed = np.rint(means * (1 << fraction)).astype(np.int32)
    parts = [
        struct.pack("<4sIIBBBB", MAGIC, 3, count, turned.degree, fraction, 0, 0),
        np.stack([(fixed >> shift) & 255 for shift in (0, 8, 16)], -1).astype(np.uint8).tobytes(),
        to_byte(opacity_of(turned.logits)).tobytes(),
        _byte(turned.harmonics[:, 0] * (COLOUR * 255) + 127.5),
        _byte((turned.log_scales + 10) * 16),
        _packed_rotations(turned.quaternions.astype(np.float64)),
        _byte(turned.harmonics[:, 1:] * 128 + 128),
    ]
    packed = gzip.compress(b"".join(parts), 6, mtime=0)
    write_atomically(path, lambda file: file.write(packed))


def _turned_over(splats: Splats) -> Splats:
    """From one axes to the other. Own axes turn over too, which changes no Gaussian, as in the format's library."""
    quaternions = splats.columns(ROTATIONS) * np.array([1, 1, -1, -1], np.float32)
    return splats.moved(AXES).with_columns({name: quaternions[:, at] for at, name in enumerate(ROTATIONS)})


def _byte(values: np.ndarray) -> bytes:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8).tobytes()


def _sizes(version: int, count: int, degree: int) -> list[int]:
    """Bytes of the attributes in their order.

    Raises:
        ValueError: the version or the degree is not known, or there are too many Gaussians.
    """
    if count > LARGEST_COUNT:
        raise ValueError(f"it has {count} Gaussians, and one file has at most {LARGEST_COUNT}")
    if version not in (1, 2, 3, 4):
        raise ValueError(f"its version {version} is not known")
    if degree >= len(COUNTS):
        raise ValueError(f"it states harmonics of degree {degree}")
    each = (6 if version == 1 else 9, 1, 3, 3, 3 if version < 3 else 4, 3 * (COUNTS[degree] - 1))
    return [count * size for size in each]


def _streams(data: bytes) -> tuple[list[np.ndarray], int, int, int]:
    """The attributes as bytes, the version, the degree and the fractional bits."""
    if data.startswith(MAGIC):
        return _zstd_streams(data)
    head = struct.Struct("<4sIIBBBB")

    def length(start: bytes) -> int:
        magic, version, count, degree, *_ = head.unpack(start)
        if magic != MAGIC:
            raise ValueError("it is no SPZ file")
        return head.size + sum(_sizes(version, count, degree))

    unpacked = gunzipped(data, length, head.size)
    _, version, count, degree, fraction, _, _ = head.unpack_from(unpacked)
    if fraction > 24:
        raise ValueError(f"it states {fraction} fractional bits")
    sizes = _sizes(version, count, degree)
    stops = np.cumsum(sizes) + head.size
    whole = np.frombuffer(unpacked, np.uint8)
    streams = [whole[stop - size : stop] for size, stop in zip(sizes, stops, strict=True)]
    return streams, version, degree, fraction


def _zstd_streams(data: bytes) -> tuple[list[np.ndarray], int, int, int]:
    head = struct.Struct("<4sIIBBBBI12x")
    if len(data) < head.size:
        raise ValueError("it is cut off")
    _, version, count, degree, fraction, _, number, at = head.unpack_from(data)
    sizes = _sizes(version, count, degree)
    filled = [size for size in sizes if size]
    if version != 4 or fraction > 24 or number != len(filled) or at + 16 * number > len(data):
        raise ValueError("its header contradicts itself")
    if is_bomb(len(data), sum(sizes)):
        raise ValueError(f"its {len(data)} bytes unpack to {sum(sizes)}, more than splats can")
    decompress = _decompressor()
    start, found = at + 16 * number, []
    for row, expected in enumerate(filled):
        packed, size = struct.unpack_from("<QQ", data, at + 16 * row)
        if size != expected or packed > len(data) - start:
            raise ValueError("it does not hold as many Gaussians as it states")
        found.append(np.frombuffer(decompress(data[start : start + packed], size), np.uint8))
        start += packed
    streams = iter(found)
    return [next(streams) if size else np.empty(0, np.uint8) for size in sizes], version, degree, fraction


def _decompressor():  # type: ignore[no-untyped-def]
    try:
        import zstandard
    except ImportError:
        raise SplatError("SPZ of version 4 needs the extra lerf[splats]: pip install 'lerf[splats]'.") from None

    def decompress(packed: bytes, size: int) -> bytes:
        try:
            # A frame that states another length is not unpacked, one that states none no further than it may.
            if zstandard.frame_content_size(packed) not in (-1, size):
                raise ValueError("it does not hold as many Gaussians as it states")
            unpacked = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
        except zstandard.ZstdError as problem:
            raise ValueError(f"its zstd stream is damaged: {problem}") from None
        if len(unpacked) != size:
            raise ValueError("it does not hold as many Gaussians as it states")
        return unpacked

    return decompress


def _rotations(packed: np.ndarray) -> np.ndarray:
    """Quaternions w, x, y, z of three bytes x, y, z, or of four that hold the three smallest in 10 bits each."""
    if packed.shape[1] == 3:
        three = packed / 127.5 - 1
        return three_to_four(three, np.full(len(three), 3), (1, 2, 3, 0))
    word = np.ascontiguousarray(packed).view("<u4")[:, 0]
    # The last of the three is in the lowest bits; each has a sign and nine bits of 1 / sqrt(2).
    three = np.empty((len(word), 3))
    for at, shift in enumerate((20, 10, 0)):
        part = (word >> np.uint32(shift)) & np.uint32(1023)
        three[:, at] = np.where(part & 512, -1, 1) * (part & 511) / (511 * np.sqrt(2))
    return three_to_four(three, word >> np.uint32(30), (1, 2, 3, 0))


def _packed_rotations(quaternions: np.ndarray) -> bytes:
    ordered = quaternions[:, [1, 2, 3, 0]]
    omitted = np.abs(ordered).argmax(-1)
    rows = np.arange(len(ordered))
    ordered = ordered * np.where(ordered[rows, omitted] < 0, -1, 1)[:, None]
    kept = np.array([[number for number in range(4) if number != which] for which in range(4)])[omitted]
    three = np.take_along_axis(ordered, kept, 1)
    part = np.clip(np.rint(np.abs(three) * (511 * np.sqrt(2))), 0, 511).astype(np.uint32)
    part |= np.where(three < 0, 512, 0).astype(np.uint32)
    word = (omitted.astype(np.uint32) << 30) | (part[:, 0] << 20) | (part[:, 1] << 10) | part[:, 2]
    return word.astype("<u4").tobytes()
