"""The points of a COLMAP model, points3D.bin or .txt, as https://colmap.github.io/format.html says.

A point is its number, position, colour, mean reprojection error in pixels (-1 where it was not computed) and track:
pairs of an image's number and of one of its observations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lerf.errors import SceneError
from lerf.files import is_file
from lerf.scenes.readers.colmap_files import files_of, read_images
from lerf.scenes.readers.packed_file import PackedFile
from lerf.scenes.readers.text_lines import AGAIN, TextLines, finite, integer
from lerf.scenes.sparse_points import SparsePoints

STEM = "points3D"
LEAST = 51
"""Bytes of a point that no image sees."""

Point = tuple[Sequence[float], Sequence[int], float, Sequence[int]]
"""Position, colour, error, and the numbers of the images that see it."""


def points_file(folder: Path) -> Path | None:
    """The file of points in a model's folder, binary before text; None where there is none."""
    files = (folder / f"{STEM}.{form}" for form in ("bin", "txt"))
    return next((file for file in files if is_file(file)), None)


def read_points(path: Path) -> SparsePoints:
    """The points of a model, and which of its images see them, called by their names.

    Images of tracks that the model does not have are left out: they were removed from it. Without a file of images
    nothing is said of what sees points.

    Raises:
        SceneError: the file, or that of the images beside it, is damaged.
    """
    files = files_of(path.parent)
    named = files is not None and is_file(files[1])
    images = read_images(path.parent) if named else []
    place = {image.number: number for number, image in enumerate(images)}
    positions, colours, errors = [], [], []
    pairs: list[tuple[int, int]] = []
    for number, (position, colour, error, seen) in enumerate((_binary if path.suffix == ".bin" else _text)(path)):
        positions.append(position)
        colours.append(colour)
        errors.append(error)
        pairs += [(number, place[image]) for image in dict.fromkeys(seen) if image in place]
    known, places = np.array(errors, np.float64), np.array(positions, np.float64).reshape(-1, 3)
    if not np.isfinite(places).all():
        raise SceneError(f"{path} has a point whose position is not finite: {AGAIN}.")
    return SparsePoints(
        places,
        np.array(colours, np.uint8).reshape(-1, 3),
        known if len(known) and (known >= 0).all() else None,
        np.array(pairs, np.int64).reshape(-1, 2) if named else None,
        tuple(image.name for image in images),
    )


def _binary(path: Path) -> Iterator[Point]:
    with PackedFile(path) as reader:
        for _ in range(reader.count(least=LEAST)):
            _, x, y, z, red, green, blue, error, length = reader.take("<Q3d3BdQ")
            yield (x, y, z), (red, green, blue), error, reader.table("<i4", length, 2)[:, 0].tolist()


def _text(path: Path) -> Iterator[Point]:
    for line in TextLines(path):
        if not line:
            continue
        words = line.split()
        try:
            position, error = [finite(word) for word in words[1:4]], finite(words[7])
            colour, track = [integer(word) for word in words[4:7]], [integer(word) for word in words[8:]]
            if len(track) % 2 or not all(0 <= value <= 255 for value in colour):
                raise ValueError("no pairs, or no colour")
        except (ValueError, IndexError):
            raise SceneError(f"{path} has a line that is not a point ({line[:80]!r}): {AGAIN}.") from None
        yield position, colour, error, track[::2]
