"""Whether an encoder can read a phrase: one that says nothing, or that it never learnt, has an answer all the same."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import LerfWarning

STOP_WORDS = frozenset([
    "a", "about", "all", "am", "an", "and", "any", "are", "as", "at", "be", "been", "being", "but", "by", "can",
    "could", "did", "do", "does", "for", "from", "had", "has", "have", "he", "her", "here", "his", "how", "i", "if",
    "in", "into", "is", "it", "its", "just", "me", "my", "no", "nor", "not", "of", "off", "on", "onto", "or", "our",
    "out", "over", "she", "so", "some", "such", "than", "that", "the", "their", "them", "then", "there", "these",
    "they", "this", "those", "to", "too", "under", "up", "upon", "us", "very", "was", "we", "were", "what", "when",
    "where", "which", "while", "who", "whom", "whose", "why", "will", "with", "would", "you", "your", "s", "t",
])  # fmt: skip
"""Words that say nothing of what is looked for."""


class UnknownWordsWarning(LerfWarning):
    """A phrase has words that the encoder never learnt, or none that say anything."""


@runtime_checkable
class KnowsPhrases(Protocol):
    """An encoder that can tell what it knows."""

    def known(self, phrases: Sequence[str]) -> tuple[bool | None, ...]:
        """For each phrase whether all that it says can be read; None where the encoder cannot tell. Says nothing."""
        ...


@runtime_checkable
class ExplainsUnknown(KnowsPhrases, Protocol):
    """One that leaves it to whoever asks to warn; the others warn while they embed."""

    def why_unknown(self, phrase: str) -> str:
        """Why a phrase is not known: a sentence without its full stop."""
        ...


def content_words(phrase: str) -> list[str]:
    """Words, numbers and pictographs of a phrase that are no `STOP_WORDS`, in lower case."""
    words = re.findall(r"\w+", phrase.casefold())
    pictographs = [character for character in phrase if unicodedata.category(character) == "So"]
    return [word for word in words if word.strip("_") and word not in STOP_WORDS] + pictographs


def known_phrases(encoder: ImageTextEncoder, phrases: Sequence[str]) -> tuple[bool | None, ...]:
    """For each phrase whether the encoder can read it: False without content words, else as the encoder tells; None
    where it cannot. Each that is not known is a warning, unless the encoder warns itself."""
    told = encoder.known(phrases) if isinstance(encoder, KnowsPhrases) else (None,) * len(phrases)
    known = tuple(told[row] if content_words(phrase) else False for row, phrase in enumerate(phrases))
    for phrase in dict.fromkeys(phrase for phrase, state in zip(phrases, known, strict=True) if state is False):
        if not content_words(phrase):
            said = f'"{phrase}" has no word that says what to look for; its answer means nothing. Name a thing.'
        elif isinstance(encoder, ExplainsUnknown):
            said = f"{encoder.why_unknown(phrase)}. Its answer may mean nothing."
        else:
            continue
        warnings.warn(said, UnknownWordsWarning, stacklevel=3)
    return known
