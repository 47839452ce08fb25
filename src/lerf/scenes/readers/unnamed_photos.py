"""Photos of tools whose pose files name none: the pictures of a folder, in the order in which the tool takes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lerf.files import is_folder
from lerf.scenes.finder import pictures_under

_DIGITS = re.compile(r"(\d+)")


def photos_in(folder: Path) -> list[Path]:
    """Pictures that lie in a folder itself, sorted by their names as text; none where there is no such folder."""
    found = [file.path for file in pictures_under(folder) if len(file.parts) == 1]
    return sorted(found, key=lambda path: path.name)


def naturally_sorted(paths: Sequence[Path]) -> list[Path]:
    """By name, with the digits in it as numbers: 9.jpg before 10.jpg."""
    return sorted(paths, key=lambda path: [_part(part) for part in _DIGITS.split(path.name)])


def first_with_photos(places: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The first folder of one of `names` in one of `places` that holds pictures; None where none does."""
    for place in dict.fromkeys(places):
        for folder in (place / name for name in names):
            if is_folder(folder) and photos_in(folder):
                return folder
    return None


def _part(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdecimal() and len(part) < 4000 else (-1, part)
