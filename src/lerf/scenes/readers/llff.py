"""Captures with LLFF's poses_bounds.npy: a row of seventeen numbers for each photo, and no names.

A row is a 3x5 matrix, row by row, and two depths between which the photo shows anything. The matrix is camera to world
with axes down, right, backwards; its fifth column is height, width and focal length. The principal point is the middle
of the photo, and pixels are square. Photos are the pictures of the folder `images`, sorted by name: see "Using your own
poses without running COLMAP" in the README of Fyusion/LLFF, and `load_data` in its llff/poses/pose_utils.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lerf.arrays import read_npy
from lerf.errors import SceneError
from lerf.files import folders_in, is_file, read_bytes
from lerf.scenes.finder import name_in, some_of
from lerf.scenes.listing import Listing, Optics, Shot, checked_size
from lerf.scenes.readers.protocol import Reader, beginning_of
from lerf.scenes.readers.unnamed_photos import photos_in

FILE = "poses_bounds.npy"
REMEDY = "export it again with LLFF's imgs2poses.py, or load the COLMAP model that it was made from"
LARGEST = 64_000_000
"""Bytes of a file: 400,000 photos."""
FILMS = (".mp4", ".mov", ".avi", ".mkv")

_HEADER = re.compile(rb"\x93NUMPY.{2,6}\{[^}]*'shape': \(\d{1,9}, 17\)", re.DOTALL)
_REDUCED = re.compile(r"images_(\d{1,2})")


def find(path: Path) -> Path | None:
    """poses_bounds.npy in a folder; or an NPY file with rows of seventeen numbers."""
    if is_file(path):
        return path if path.name == FILE or _HEADER.match(beginning_of(path, 256)) else None
    return path / FILE if is_file(path / FILE) else None


def read(path: Path, _root: Path) -> Listing:
    """Read a poses_bounds.npy; every 8th photo is held out.

    Depth bounds are kept in the metadata, by photo.

    Raises:
        SceneError: the file is no such array, or there are not as many photos as rows.
    """
    root = path.parent
    rows = _rows(path)
    photos, notes = _photos(root, len(rows), path)
    shots = []
    bounds: dict[str, list[float]] = {}
    for row, photo in zip(rows, photos, strict=True):
        name = name_in(root, photo)
        matrix = row[:15].reshape(3, 5)
        height, width, focal = map(float, matrix[:, 4])
        shots.append(Shot(name, photo, _pose(matrix), Optics(checked_size(width, height, name), (focal, focal))))
        near, far = map(float, row[15:])
        if np.isfinite([near, far]).all():
            bounds[name] = [near, far]
    metadata: dict[str, Any] = {"format": READER.name, "bounds": bounds}
    return Listing(root, shots, None, metadata, notes)


def _rows(path: Path) -> Float[np.ndarray, "photos 17"]:
    data = read_bytes(path, error=SceneError, remedy=REMEDY, largest=LARGEST)
    try:
        rows = read_npy(data)
    except ValueError as problem:
        raise SceneError(f"{path} is damaged ({problem}): {REMEDY}.") from None
    if rows.ndim != 2 or rows.shape[1] != 17:
        raise SceneError(f"{path} holds an array of shape {list(rows.shape)} and not rows of 17 numbers: {REMEDY}.")
    with np.errstate(all="ignore"):
        return rows.astype(np.float64)


def _pose(matrix: Float[np.ndarray, "3 5"]) -> Float[np.ndarray, "3 4"]:
    """Columns down, right, backwards, position -> right, up, backwards, position."""
    down, right, backwards, position = matrix[:, :4].T
    return np.column_stack([right, -down, backwards, position])


def _photos(root: Path, count: int, path: Path) -> tuple[list[Path], list[str]]:
    """As many photos as there are rows, in their order, and what there is to tell.

    Raises:
        SceneError: there are more or fewer.
    """
    photos = photos_in(root / "images")
    reduced = {
        int(found[1]): photos_in(folder)
        for folder in folders_in(root)
        if (found := _REDUCED.fullmatch(folder.name)) and int(found[1]) > 1
    }
    reduced = {factor: found for factor, found in sorted(reduced.items()) if found}
    if len(photos) == count:
        return photos, []
    fitting = [factor for factor, found in reduced.items() if len(found) == count]
    if not photos and fitting:
        place = reduced[fitting[0]][0].parent
        return reduced[fitting[0]], [f"{root} has no folder images: the photos are those of {place.name}."]
    if not photos:
        raise SceneError(_without_photos(root, count, path))
    hint = f"images_{fitting[0]} has {count}" if fitting else "LLFF has one pose for each that could be placed"
    raise SceneError(
        f"{path} has {count} poses without names, and {root / 'images'} has {len(photos)} photos "
        f"({some_of([photo.name for photo in photos])}), where {hint}: remove those without a pose, or load the COLMAP "
        "model that it was made from."
    )


def _without_photos(root: Path, count: int, path: Path) -> str:
    try:
        films = sorted(file.name for file in root.iterdir() if file.suffix.lower() in FILMS)
    except OSError:
        films = []
    if films:
        return (
            f"{path} has {count} poses and {root} has films, {some_of(films)}, of a scene that moves, which is not "
            "supported: put one frame of each film, in the films' order, into its folder images."
        )
    return f"{path} has {count} poses and {root} has no folder images: put its photos there."


READER = Reader("llff", f"LLFF's {FILE}", find, read, is_copy=True)
