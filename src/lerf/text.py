"""Text of users and files on one line that a terminal can show."""

from __future__ import annotations

import unicodedata

LONGEST = 300
"""Characters of a message."""
_ELLIPSIS = "..."
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that change the direction in which what follows is shown."""


def printable(text: str) -> str:
    """Text with an escape such as \\x1b for each character that a terminal would obey or cannot show: control
    characters, line ends, marks of direction, lone surrogates of undecodable file names."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def message_line(text: str, longest: int = LONGEST) -> str:
    """A message as printable text of at most `longest` characters.

    Where it is longer its longest words lose their middle, since these are paths and values: the sentence and its
    remedy stay.
    """
    text = printable(text)
    while len(text) > longest:
        word = max(text.split(" "), key=len)
        room = max(len(word) - (len(text) - longest), 24)
        if room >= len(word):
            return _without_middle(text, longest)
        text = text.replace(word, _without_middle(word, room))
    return text


def _without_middle(text: str, longest: int) -> str:
    kept = longest - len(_ELLIPSIS)
    return text[: kept - kept // 2] + _ELLIPSIS + text[len(text) - kept // 2 :]


def _escaped(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _DIRECTIONS:
        return ascii(character)[1:-1]
    return character
