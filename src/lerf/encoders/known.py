"""How much of a phrase an encoder can read: one that says nothing, or that it never learnt, has an answer too."""

from __future__ import annotations

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

    def known(self, phrases: Sequence[str]) -> Sequence[float | None]:
        """For each phrase how much of what it says can be read, 0 to 1; None where the encoder cannot tell. It warns of
        nothing."""
        ...


@runtime_checkable
class ExplainsUnknown(KnowsPhrases, Protocol):
    """One that leaves it to whoever asks to warn; the others warn while they embed."""

    def why_unknown(self, phrase: str) -> str:
        """Why a phrase is not known: a sentence without its full stop."""
        ...


def normalised(text: str) -> str:
    """Text with one spelling for each character (Unicode's NFKC): an e and its accent are one letter."""
    return unicodedata.normalize("NFKC", text)


def content_words(phrase: str) -> list[str]:
    """Words, numbers and pictographs of a phrase that are no `STOP_WORDS`, in lower case.

    A word is a run of letters, digits and the marks on them, which are signs of their own in many scripts.
    """
    plain = normalised(phrase)
    runs = "".join(character if _is_of_word(character) else " " for character in plain.casefold()).split()
    words = [run for run in runs if any(unicodedata.category(character)[0] in "LN" for character in run)]
    pictographs = [character for character in plain if unicodedata.category(character) == "So"]
    return [word for word in words if word not in STOP_WORDS] + pictographs


def _is_of_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM" or character in "_\u200c\u200d"


def known_phrases(encoder: ImageTextEncoder, phrases: Sequence[str]) -> tuple[float | None, ...]:
    """For each phrase how much of it the encoder can read, 0 to 1: 0 without content words, else as the encoder tells;
    None where it cannot. Each that is not wholly known is a warning, unless the encoder warns itself."""
    told = encoder.known(phrases) if isinstance(encoder, KnowsPhrases) else (None,) * len(phrases)
    known = tuple(_share(told[row]) if content_words(phrase) else 0.0 for row, phrase in enumerate(phrases))
    partly = [phrase for phrase, share in zip(phrases, known, strict=True) if share is not None and share < 1.0]
    for phrase in dict.fromkeys(partly):
        if not content_words(phrase):
            said = f'"{phrase}" has no word that says what to look for; its answer means nothing. Name a thing.'
        elif isinstance(encoder, ExplainsUnknown):
            said = f"{encoder.why_unknown(phrase)}. Its answer may mean nothing."
        else:
            continue
        warnings.warn(said, UnknownWordsWarning, stacklevel=3)
    return known


def _share(told: float | None) -> float | None:
    """What an encoder tells, within its bounds; encoders may also tell true or false."""
    return None if told is None else round(min(1.0, max(0.0, float(told))), 3)
