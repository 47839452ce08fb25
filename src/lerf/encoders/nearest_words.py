"""Words of a vocabulary that are near to a word outside it: in meaning where a sentence encoder is installed."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.encoders.minilm import SentenceEncoder
from lerf.errors import EncoderError

CLOSE_SPELLING = 0.8
"""Share of letters in common from which a word is taken for a misspelt one."""


def nearest_words(word: str, known: Sequence[str], count: int = 3) -> tuple[list[str], Literal["spelling", "meaning"]]:
    """The nearest known words, the nearest first, and in what they are near.

    Words spelt almost alike come first of all; else those of closest meaning (`minilm.py`), or, where the extra
    `lerf[offline]` is not installed, of closest spelling.
    """
    alike = get_close_matches(word, known, count, CLOSE_SPELLING)
    if alike:
        return alike, "spelling"
    try:
        sentences, embedded = _embedded(tuple(known))
    except EncoderError:
        return get_close_matches(word, known, count, 0.0), "spelling"
    cosines = embedded @ sentences.encode([word])[0]
    return [known[index] for index in torch.topk(cosines, min(count, len(known))).indices.tolist()], "meaning"


@lru_cache(maxsize=2)
def _embedded(known: tuple[str, ...]) -> tuple[SentenceEncoder, Float[Tensor, "words 384"]]:
    sentences = SentenceEncoder()
    return sentences, sentences.encode(known)
