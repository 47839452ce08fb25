"""Run lengths of COCO's masks: column after column, zeros and ones in turn, as numbers or in COCO's own text.

The text holds five bits a character from ASCII 48 on, the lowest first, a sixth bit where more follow; from the fourth
number on, the difference to the number two before it (`rleFrString` of COCO's API, maskApi.c).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

LARGEST_PIXELS = 1 << 28
"""Of a mask."""


def decode(counts: str | Sequence[int], height: int, width: int) -> Bool[np.ndarray, "height width"]:
    """The mask of some run lengths.

    Raises:
        ValueError: they are no run lengths, or do not fill the size.
    """
    if not 0 < height * width <= LARGEST_PIXELS:
        raise ValueError(f"a mask of {width}x{height} pixels is too small or too large")
    runs = _runs_of_text(counts, height * width) if isinstance(counts, str) else list(counts)
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise ValueError(f"its run lengths do not fill {width}x{height} pixels")
    values = np.zeros(len(runs), bool)
    values[1::2] = True
    return np.repeat(values, runs).reshape(width, height).T


def encode(mask: Bool[np.ndarray, "height width"]) -> list[int]:
    """Run lengths of a mask, as `decode` reads them."""
    flat = mask.T.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff([0, *changes.tolist(), flat.size]).tolist()
    return [0, *runs] if flat[0] else runs


def _runs_of_text(text: str, most: int) -> list[int]:
    runs: list[int] = []
    value = bits = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or bits > 40:
            raise ValueError("its text is not that of run lengths")
        value |= (code & 31) << bits
        bits += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << bits
        run = value + (runs[-2] if len(runs) > 2 else 0)
        if not 0 <= run <= most:
            raise ValueError("its run lengths are longer than the mask")
        runs.append(run)
        value = bits = 0
    if bits:
        raise ValueError("its text is cut off")
    return runs
