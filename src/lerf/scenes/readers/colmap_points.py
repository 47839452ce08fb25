"""The points of a COLMAP model, points3D.bin or .txt, as https://colmap.github.io/format.html says.

A point is its number, position, colour, mean reprojection error in pixels (-1 where it was not computed) and track:
pairs of an image's number and of one of its observations. Where these lie is in the file of images: in pixels from the
upper left corner, with the centre of the first pixel at (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lerf.errors import SceneError
from lerf.files import is_file
from lerf.scenes.readers.colmap_files import Model, files_of, image_of, is_observations, read_model
from lerf.scenes.readers.packed_file import PackedFile
from lerf.scenes.readers.text_lines import AGAIN, TextLines, finite, integer
from lerf.scenes.sparse_points import SparsePoints

STEM = "points3D"
LEAST = 51
"""Bytes of a point that no image sees."""

Point = tuple[Sequence[float], Sequence[int], float, Sequence[tuple[int, int]]]
"""Position, colour, error, and the track: the numbers of images and of their observations."""


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
    model = read_model(path.parent) if files is not None and is_file(files[1]) else None
    images = [] if model is None else model.images
    place = {image.number: number for number, image in enumerate(images)}
    positions, colours, errors = [], [], []
    pairs: list[tuple[int, int, int]] = []
    for number, (position, colour, error, track) in enumerate((_binary if path.suffix == ".bin" else _text)(path)):
        positions.append(position)
        colours.append(colour)
        errors.append(error)
        # Of an image that sees a point twice the first observation counts.
        pairs += [(number, place[image], one) for image, one in dict(reversed(track)).items() if image in place]
    known, places = np.array(errors, np.float64), np.array(positions, np.float64).reshape(-1, 3)
    if not np.isfinite(places).all():
        raise SceneError(f"{path} has a point whose position is not finite: {AGAIN}.")
    table = np.array(pairs, np.int64).reshape(-1, 3)
    return SparsePoints(
        places,
        np.array(colours, np.uint8).reshape(-1, 3),
        known if len(known) and (known >= 0).all() else None,
        None if model is None else table[:, :2],
        tuple(image.name for image in images),
        None if model is None else _places(model, table),
    )


def _places(model: Model, pairs: np.ndarray) -> np.ndarray:
    """Where observations lie, [pairs, 2]; NaN of those that their image does not have.

    Args:
        model: read already.
        pairs: of points with images, as places in the model's list, and with observations of these, [pairs, 3].
    """
    observations = _observations(model)
    found = np.full((len(pairs), 2), np.nan)
    order = np.argsort(pairs[:, 1], kind="stable")
    ends = np.searchsorted(pairs[order, 1], np.arange(len(model.images) + 1))
    for image, start, stop in zip(model.images, ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        own, rows = observations.get(image.number, np.empty((0, 2))), order[start:stop]
        rows = rows[(pairs[rows, 2] >= 0) & (pairs[rows, 2] < len(own))]
        found[rows] = own[pairs[rows, 2]]
    return found


def _observations(model: Model) -> dict[int, np.ndarray]:
    """By image, where its observations lie, [observations, 2]: x and y over the width and height of its camera."""
    files = files_of(model.folder)
    assert files is not None  # the model was read
    sizes = {number: np.array(optics.size, np.float64) for number, optics in model.cameras.items()}
    found = {}
    if files[1].suffix == ".bin":
        with PackedFile(files[1]) as reader:
            for _ in range(reader.count(least=73)):
                number, *_, camera = reader.take("<i7di")
                reader.text()
                table = reader.table("<f8", reader.take("<Q")[0], 3)
                if camera in sizes:
                    found[number] = table[:, :2] / sizes[camera]
        return found
    image = None
    for line in TextLines(files[1]):
        if line and image is not None and is_observations(line):
            if image.camera in sizes:
                found[image.number] = np.array(line.split(), np.float64).reshape(-1, 3)[:, :2] / sizes[image.camera]
            image = None
        elif line:
            image = image_of(line)
    return found


def _binary(path: Path) -> Iterator[Point]:
    with PackedFile(path) as reader:
        for _ in range(reader.count(least=LEAST)):
            _, x, y, z, red, green, blue, error, length = reader.take("<Q3d3BdQ")
            yield (x, y, z), (red, green, blue), error, list(map(tuple, reader.table("<i4", length, 2).tolist()))


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
        yield position, colour, error, list(zip(track[::2], track[1::2], strict=True))
