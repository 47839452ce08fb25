"""What people type: phrases separated by semicolons, and how they are written into the page."""

from __future__ import annotations

import html
from dataclasses import dataclass

from lerf.errors import QueryError

SEPARATOR = ";"
MOST_PHRASES = 16
MOST_LETTERS = 2000
"""Of what is typed at once."""
LABEL_LETTERS = 32
SHOWN_LETTERS = 120


@dataclass(frozen=True)
class PageQuery:
    """What is asked."""

    texts: tuple[str, ...] = ()
    canonical: tuple[str, ...] | None = None
    """Instead of the run's."""
    temperature: float | None = None
    threshold: float | None = None
    exclusive: bool = False
    scales: tuple[float | None, ...] = ()
    """For each phrase, normalised units; None chooses."""


def split_phrases(text: str) -> tuple[str, ...]:
    """Phrases of a prompt, white space tidied and blanks left out; none for a blank prompt.

    Raises:
        QueryError: more than `MOST_LETTERS`, or than `MOST_PHRASES`.
    """
    if len(text) > MOST_LETTERS:
        raise QueryError(f"This has more than {MOST_LETTERS:,} characters; ask something shorter.")
    phrases = tuple(" ".join(part.split()) for part in text.split(SEPARATOR))
    phrases = tuple(phrase for phrase in phrases if phrase)
    if len(phrases) > MOST_PHRASES:
        raise QueryError(f"These are {len(phrases)} phrases; ask at most {MOST_PHRASES} at once.")
    return phrases


def label(text: str, letters: int = LABEL_LETTERS) -> str:
    """A phrase short enough for a label: plain text, to be escaped where HTML is written."""
    return text if len(text) <= letters else text[: letters - 1].rstrip() + "…"


def escaped(text: str, letters: int = SHOWN_LETTERS) -> str:
    """A phrase as HTML that shows the very characters that were typed."""
    return html.escape(label(text, letters), quote=True)
