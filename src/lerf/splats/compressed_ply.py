"""SuperSplat's `.compressed.ply`: four 32-bit words a Gaussian, quantised within the bounds of each 256 of them.

Element `chunk`: least and largest mean and logarithmic scale and, in newer files, colour, of 256 Gaussians. Element
`vertex`: position and scale in 11, 10 and 11 bits, rotation in 2 + 3 x 10, colour and opacity in 4 x 8. An element `sh`
may follow with a byte for each coefficient. Facts from PlayCanvas's public reader.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lerf.errors import SplatError
from lerf.geometry.harmonics import CONSTANT, COUNTS
from lerf.splats.dot_splat import logit_of_byte
from lerf.splats.packing import share_of, three_to_four
from lerf.splats.ply_file import read_header, read_table
from lerf.splats.splats import Splats, new_splats, rest_names

PER_CHUNK = 256
WORDS = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
SH_RANGE = 8.0
"""A byte of a coefficient goes from minus half of this to half of it."""


def is_compressed(path: Path, remedy: str) -> bool:
    """Whether a PLY file is a compressed one.

    Raises:
        SplatError: it is no PLY file.
    """
    elements = read_header(path, remedy)[1]
    return any(element.name == "chunk" for element in elements)


def read_compressed_ply(path: Path, remedy: str) -> Splats:
    """The Gaussians of a compressed PLY file.

    Raises:
        SplatError: it cannot be read, is cut off, or its elements do not belong together.
    """
    words, comments = read_table(path, "vertex", remedy)
    chunks, _ = read_table(path, "chunk", remedy)
    problem = ""
    if any(name not in (words.dtype.names or ()) or words.dtype[name] != np.dtype("<u4") for name in WORDS):
        problem = "its Gaussians have no packed words"
    elif len(chunks) != -(-len(words) // PER_CHUNK):
        problem = f"{len(words)} Gaussians have {len(chunks)} chunks"
    elif any(name not in (chunks.dtype.names or ()) for name in _bounds("", "xyz") + _bounds("scale_", "xyz")):
        problem = "its chunks have no bounds"
    if problem:
        raise SplatError(f"{path} cannot be read as a compressed splat ({problem}): {remedy}.")
    chunk = np.arange(len(words)) // PER_CHUNK
    position, scale, colour = (words[name] for name in ("packed_position", "packed_scale", "packed_color"))
    shades = np.stack([share_of(colour, shift, 8) for shift in (24, 16, 8)], -1)
    if "min_r" in (chunks.dtype.names or ()):
        shades = _within(chunks, chunk, "", "rgb", shades)
    harmonics = ((shades - 0.5) / CONSTANT)[:, None]
    if any(element.name == "sh" for element in read_header(path, remedy)[1]):
        harmonics = np.concatenate([harmonics, _higher(path, len(words), remedy)], 1)
    rotation = words["packed_rotation"]
    three = np.stack([(share_of(rotation, shift, 10) - 0.5) * np.float32(2**0.5) for shift in (20, 10, 0)], -1)
    splats = new_splats(
        _within(chunks, chunk, "", "xyz", _eleven(position)),
        _within(chunks, chunk, "scale_", "xyz", _eleven(scale)),
        three_to_four(three, rotation >> np.uint32(30), (0, 1, 2, 3)),
        logit_of_byte((colour & np.uint32(255)).astype(np.uint8)),
        harmonics,
    )
    return Splats(splats.table, comments)


def _bounds(prefix: str, letters: str) -> list[str]:
    return [f"{end}_{prefix}{letter}" for end in ("min", "max") for letter in letters]


def _eleven(words: np.ndarray) -> np.ndarray:
    return np.stack([share_of(words, 21, 11), share_of(words, 11, 10), share_of(words, 0, 11)], -1)


def _within(chunks: np.ndarray, chunk: np.ndarray, prefix: str, letters: str, shares: np.ndarray) -> np.ndarray:
    """Shares 0..1 of the way between the bounds of each Gaussian's chunk."""
    low, high = (
        np.stack([chunks[f"{end}_{prefix}{letter}"][chunk] for letter in letters], -1) for end in ("min", "max")
    )
    return low + (high - low) * shares


def _higher(path: Path, count: int, remedy: str) -> np.ndarray:
    """Coefficients of degrees 1 and above, [n, coefficients, 3]."""
    table, _ = read_table(path, "sh", remedy)
    names = table.dtype.names or ()
    degree = next((d for d in (1, 2, 3) if set(names) == set(rest_names(d))), None)
    if degree is None or len(table) != count or any(table.dtype[name] != np.uint8 for name in names):
        raise SplatError(f"{path} has harmonics that do not belong to its Gaussians: {remedy}.")
    numbers = np.stack([table[name] for name in rest_names(degree)], -1).astype(np.float32)
    # The ends of the range are exact, bytes between them stand for the middles of their steps.
    shares = np.where(numbers == 0, 0, np.where(numbers == 255, 1, (numbers + 0.5) / 256))
    return ((shares - 0.5) * SH_RANGE).reshape(count, 3, COUNTS[degree] - 1).transpose(0, 2, 1)
