"""Text files of pose tools, line by line, and the numbers in them.

Text is taken with a byte order mark, with Windows' line ends or carriage returns alone, and in Latin-1 where it is not
UTF-8, which is told.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from lerf.errors import SceneError
from lerf.files import is_file

LONGEST_LINE = 64_000_000
"""Characters of a line: a million observations of one photo."""
AGAIN = "export it again"

_STATED = re.compile(r"#\s*Number of [a-z]+:\s*(\d{1,12})\b", re.IGNORECASE)
_INTEGER = re.compile(r"[-+]?\d{1,18}")


class TextLines:
    """The lines of a text file without comments, stripped; and how many entries its comments say that it has."""

    def __init__(self, path: Path, comment: str = "#") -> None:
        """
        Args:
            path: of the file.
            comment: what lines that are left out begin with; "" leaves none out.
        """
        self.path = path
        self._comment = comment
        self._stated: int | None = None
        self._latin = False

    def __iter__(self) -> Iterator[str]:
        with opened(self.path) as file:
            if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
                raise SceneError(f"{self.path} is written in UTF-16: save it as UTF-8.")
            file.seek(0)
            for data in iter(lambda: file.readline(LONGEST_LINE), b""):
                if len(data) == LONGEST_LINE:
                    raise SceneError(f"{self.path} has a line of {LONGEST_LINE} characters: {AGAIN}.")
                # Old programs end lines with a carriage return alone.
                for part in data.removesuffix(b"\n").removesuffix(b"\r").split(b"\r"):
                    yield from self._line(part.removeprefix(b"\xef\xbb\xbf").strip(b" \t"))

    def _line(self, data: bytes) -> Iterator[str]:
        try:
            line = data.decode()
        except UnicodeDecodeError:
            line = data.decode("latin-1")
            self._latin = True
        if not self._comment or not line.startswith(self._comment):
            yield line
        elif stated := _STATED.match(line):
            self._stated = int(stated[1])

    def finish(self, count: int, what: str, notes: list[str]) -> None:
        """Hold what was read against what the file says of itself."""
        if self._stated is not None and self._stated != count:
            notes.append(f"{self.path} says that it has {self._stated} {what} but lists {count}: these are used.")
        if self._latin:
            notes.append(f"{self.path} is not in UTF-8: its names are read as Latin-1.")


def integer(text: str) -> int:
    """A whole number of up to 18 digits.

    Raises:
        ValueError: it is none.
    """
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is no integer")
    return int(text)


def finite(text: str) -> float:
    """A number that is neither NaN nor infinite.

    Raises:
        ValueError: it is none.
    """
    value = float(text)
    if not math.isfinite(value) or "_" in text:
        raise ValueError(f"{text[:80]!r} is no number")
    return value


def numbers(texts: Sequence[str], count: int) -> list[float]:
    """As many numbers as are expected, NaN and infinity among them: what these mean is for the check of poses.

    Raises:
        ValueError: there are more or fewer, or one is none.
    """
    if len(texts) != count:
        raise ValueError(f"{len(texts)} numbers where {count} should be")
    return [float(text) for text in texts]


def opened(path: Path) -> BinaryIO:
    """A file to be read.

    Raises:
        SceneError: it is none, or may not be read.
    """
    if not is_file(path):
        raise SceneError(f"{path} cannot be read: {AGAIN}.")
    try:
        return open(path, "rb")
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise SceneError(f"{path} cannot be read ({said}): make it readable, or {AGAIN}.") from None
