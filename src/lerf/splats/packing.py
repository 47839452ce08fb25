"""Numbers of packed formats: quaternions by their three smallest numbers, shares of a few bits, compressed streams."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

LARGEST_RATIO = 100
"""Bytes of a packed stream to a byte of the file: quantised splats compress by less than 20."""
HARMLESS = 1 << 24
"""Bytes that a stream may unpack to whatever the file's size."""
BLOCK = 1 << 20


def three_to_four(
    three: Float[np.ndarray, "n 3"], omitted: np.ndarray, places: tuple[int, int, int, int]
) -> Float[np.ndarray, "n 4"]:
    """Unit quaternions w, x, y, z from the three numbers that are kept.

    Args:
        three: in the order of the four without the omitted one.
        omitted: which of the four was the largest and is left out, as a number from 0 to 3.
        places: where each of the four belongs in w, x, y, z.
    """
    largest = np.sqrt(np.clip(1 - (three.astype(np.float64) ** 2).sum(-1), 0, None))
    four = np.empty((len(three), 4))
    for which in range(4):
        own = omitted == which
        rest = [number for number in range(4) if number != which]
        four[np.ix_(own, [places[number] for number in rest])] = three[own]
        four[own, places[which]] = largest[own]
    return four


def share_of(values: np.ndarray, shift: int, bits: int) -> np.ndarray:
    """Some bits of integers, 0..1."""
    most = (1 << bits) - 1
    return ((values >> np.uint32(shift)) & np.uint32(most)).astype(np.float32) / np.float32(most)


def is_bomb(packed: int, unpacked: int) -> bool:
    """Whether a stream of so many bytes claims to be one of more bytes than splats are."""
    return unpacked > HARMLESS and unpacked > LARGEST_RATIO * packed


def gunzipped(data: bytes, expected: Callable[[bytes], int], head: int) -> bytes:
    """What a gzip stream holds, with no more memory than its own beginning says.

    Args:
        data: the stream.
        expected: bytes of the whole, from its first `head` bytes.
        head: bytes that this needs.

    Raises:
        ValueError: it is no such stream, is damaged, holds another number of bytes, or swells beyond all measure.
    """
    try:
        start = zlib.decompressobj(wbits=31).decompress(data, head)
        if len(start) < head:
            raise ValueError("it is cut off")
        length = expected(start)
        if is_bomb(len(data), length):
            raise ValueError(f"its {len(data)} bytes unpack to {length}, more than splats can")
        stream = zlib.decompressobj(wbits=31)
        parts: list[bytes] = []
        left = length + 1
        while left > 0 and (part := stream.decompress(stream.unconsumed_tail if parts else data, min(left, BLOCK))):
            parts.append(part)
            left -= len(part)
    except zlib.error as problem:
        raise ValueError(f"its gzip stream is damaged: {problem}") from None
    if left != 1:
        raise ValueError("it does not hold as many Gaussians as it states")
    return b"".join(parts)
