"""Which pairs of kind and colour, or kind and material, training never sees.

An encoder that has learnt words, and not only whole phrases, knows a purple teapot from purple things and from other
teapots. A fifth of the pairs is set aside, always the same: scenes and captions for training never join them, scenes
for evaluation do, and reports count them apart.
"""

from __future__ import annotations

import hashlib

from lerf.generator.kind import COLOURS, MATERIALS

SHARE = 5
"""One pair in so many is held out."""
EXEMPT = frozenset({("cactus", "green"), ("donut", "brown"), ("glasses", "plastic"), ("shoe", "fabric")})
"""Pairs that would be held out although the kind has nothing else that is said: training joins them."""


def held_out(kind: str, word: str) -> bool:
    """Whether training never joins this kind with this colour or material; finishes that nobody says are not asked."""
    if word not in (*COLOURS, *MATERIALS) or (kind, word) in EXEMPT:
        return False
    return hashlib.sha256(f"{kind}|{word}".encode()).digest()[0] % SHARE == 0
