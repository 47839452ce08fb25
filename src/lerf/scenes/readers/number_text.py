"""Points and what sees them in text files that are numbers alone, as Bundler and VisualSFM write them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from lerf.errors import SceneError
from lerf.files import read_bytes
from lerf.scenes.readers.text_lines import AGAIN

LARGEST = 512_000_000
"""Bytes of a file: some four million points."""
EACH = 7
"""Numbers of a point: position, colour, and how many photos see it."""

Tracks = tuple[Float[np.ndarray, "points 3"], UInt8[np.ndarray, "points 3"], Int[np.ndarray, "observations 2"]]
"""Positions, colours, and (point, photo) pairs."""


def text_of(path: Path) -> str:
    """The content of a text file without the lines that begin with #.

    Raises:
        SceneError: it cannot be read, or is larger than `LARGEST`.
    """
    data = read_bytes(path, error=SceneError, remedy=AGAIN, largest=LARGEST).removeprefix(b"\xef\xbb\xbf")
    return "\n".join(line for line in data.decode("latin-1").splitlines() if not line.startswith("#"))


class NumberText:
    """Takes numbers off a text, front to back."""

    def __init__(self, text: str, path: Path) -> None:
        """
        Args:
            text: numbers between blanks.
            path: of the file, for errors.

        Raises:
            SceneError: there is a word that is no number.
        """
        self._path = path
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", DeprecationWarning)  # what numpy before 2.3 said of such a word
                self._values = np.fromstring(text, np.float64, sep=" ")
        except (ValueError, DeprecationWarning):
            raise SceneError(f"{path} has a word where a number should be: {AGAIN}.") from None
        self._place = 0

    def counts(self, number: int) -> list[int]:
        """The next numbers, which are counts.

        Raises:
            SceneError: one is none.
        """
        return [self._whole(value) for value in self._take(number)]

    def skip(self, number: int) -> None:
        """
        Raises:
            SceneError: there are not as many.
        """
        self._take(number)

    def tracks(self, points: int, width: int) -> Tracks:
        """As many points: position, colour, how many photos see it, and for each of these its number and more.

        Args:
            points: how many.
            width: numbers for each photo that sees a point, the photo's own the first.

        Raises:
            SceneError: the text ends before, or a number cannot be what it should.
        """
        if points * EACH > len(self._values) - self._place:
            raise self._cut_off()
        starts, seen = np.zeros(points, np.int64), np.zeros(points, np.int64)
        for index in range(points):
            starts[index] = self._place
            seen[index] = self._whole(self._take(EACH)[6])
            self.skip(int(seen[index]) * width)
        positions, colours = (self._values[starts[:, None] + np.arange(at, at + 3)] for at in (0, 3))
        if not np.isfinite(positions).all():
            raise SceneError(f"{self._path} has a point whose position is not finite: {AGAIN}.")
        if not ((colours >= 0) & (colours <= 255)).all():
            raise SceneError(f"{self._path} has a point whose colour is not 0 to 255: {AGAIN}.")
        within = np.arange(seen.sum()) - np.repeat(np.cumsum(seen) - seen, seen)
        photos = self._values[np.repeat(starts + EACH, seen) + within * width]
        if not ((photos >= 0) & (photos < 1e9)).all():
            raise SceneError(f"{self._path} has a point that is seen by a photo with an impossible number: {AGAIN}.")
        pairs = np.stack([np.repeat(np.arange(points), seen), photos.astype(np.int64)], 1)
        return positions, np.rint(colours).astype(np.uint8), pairs

    def _take(self, number: int) -> Float[np.ndarray, " numbers"]:
        if number > len(self._values) - self._place:
            raise self._cut_off()
        taken = self._values[self._place : self._place + number]
        self._place += number
        return taken

    def _whole(self, value: float) -> int:
        if not 0 <= value <= len(self._values) or value != int(value):
            raise SceneError(f"{self._path} has {value:g} where a count should be: {AGAIN}.")
        return int(value)

    def _cut_off(self) -> SceneError:
        return SceneError(f"{self._path} is cut off or damaged: copy it again or {AGAIN}.")
