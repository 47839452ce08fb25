"""Names of files that photos and phrases give: whatever these are, every file system takes them."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

PHOTO_BYTES, PHRASE_BYTES = 120, 60
"""Most bytes of a photo's and of a phrase's part: with all that is added a name stays below its 255."""
DIGEST = 8
"""Digits that stand for the rest of a text that is too long."""
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names of devices on Windows, whatever their suffix."""


def file_stem(name: str) -> str:
    """A photo's name without its suffix, as a part of a file name."""
    stem = re.sub(r"(?<=[^/])\.[^./]*$", "", name)
    return name_part(stem)


def name_part(text: str) -> str:
    """Any text as a part of a file name; dots and dashes stay."""
    return _safe(re.sub(r"[^\w.-]+", "_", _composed(text)), PHOTO_BYTES, "unnamed")


def phrase_stem(phrase: str) -> str:
    """A phrase as a part of a file name."""
    return _safe(re.sub(r"\W+", "_", _composed(phrase)).strip("_"), PHRASE_BYTES, "phrase")


def distinct(names: Sequence[str]) -> list[str]:
    """The names in order; one that was there before, in either case of letters, gets the first free number: c, c_2."""
    taken: set[str] = set()
    wanted = {name.casefold() for name in names}
    result = []
    for name in names:
        chosen, number = name, 1
        while chosen.casefold() in taken or (number > 1 and chosen.casefold() in wanted):
            number += 1
            chosen = f"{name}_{number}"
        taken.add(chosen.casefold())
        result.append(chosen)
    return result


def _composed(text: str) -> str:
    """Letters and their marks as one character: a name is the same however it was typed."""
    return unicodedata.normalize("NFC", text)


def _safe(text: str, longest: int, otherwise: str) -> str:
    """A part of a name that is not hidden, not reserved, not empty and not too long."""
    # A leading dot hides a file, a leading dash makes it an option, and Windows drops dots at the end.
    text = text.lstrip(".-").rstrip(".") or otherwise
    if RESERVED.fullmatch(text):
        text = f"_{text}"
    data = text.encode(errors="surrogateescape")
    if len(data) <= longest:
        return text
    kept = data[: longest - DIGEST - 1].decode(errors="ignore")
    return f"{kept}_{hashlib.sha256(data).hexdigest()[:DIGEST]}"
