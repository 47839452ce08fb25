"""Which pairs of kind and colour, or kind and material, training never sees.

A fifth of the pairs is held out, always the same: scenes and captions for training never join them, scenes for
evaluation do, and reports count them separately. They show whether an encoder understands "purple teapot" from other
purple things and other teapots.
"""

from __future__ import annotations

import hashlib

from lerf_scenes.kind import COLOURS, MATERIALS

SHARE = 5
"""One pair out of this many is held out."""
EXEMPT = frozenset({("cactus", "green"), ("donut", "brown"), ("glasses", "plastic"), ("shoe", "fabric")})
"""Pairs that are not held out because the kind has no other colour or material that phrases name."""


def held_out(kind: str, word: str) -> bool:
    """Whether training never joins this kind with this colour or material; False for finishes that no phrase names."""
    if word not in (*COLOURS, *MATERIALS) or (kind, word) in EXEMPT:
        return False
    return hashlib.sha256(f"{kind}|{word}".encode()).digest()[0] % SHARE == 0
