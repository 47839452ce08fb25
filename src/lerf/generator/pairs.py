"""Which pairs of kind and colour, or kind and material, training never sees.

An encoder that has learnt words, and not only whole phrases, knows a purple teapot from purple things and from other
teapots. A fifth of the pairs is set aside, always the same: scenes and captions for training never join them, scenes
for evaluation do, and reports count them apart.
"""

from __future__ import annotations

import hashlib

SHARE = 5
"""One pair in so many is held out."""


def held_out(kind: str, word: str) -> bool:
    """Whether training never joins this kind with this colour or finish."""
    return hashlib.sha256(f"{kind}|{word}".encode()).digest()[0] % SHARE == 0
