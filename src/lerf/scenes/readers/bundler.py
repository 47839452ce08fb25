"""Captures posed by Bundler: bundle.out, with list.txt, which names the photos.

Many programs export this format: COLMAP, Metashape, RealityCapture, OpenSfM among them.

Conventions, from Bundler's manual (README.md of github.com/snavely/bundler_sfm, "Output format and scene
representation"): P = R X + t takes the world to a camera that looks along -z with y up, which are this project's axes;
p = -P / P.z; the picture is f (1 + k1 |p|^2 + k2 |p|^4) p, in pixels from the photo's middle, x right and y up. So the
radial polynomial is OpenCV's, and the principal point is the middle of the photo. (Bundler's own key points, from
Lowe's detector, are half a pixel off that middle; exports of other programs are not, and a file does not tell who wrote
it: the manual's middle is taken.) Rotations are three rows. Photos that were not placed have zeros. Sizes are not
stated: they are those of the photos as stored, which Bundler does not turn.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from lerf.errors import SceneError
from lerf.files import is_file, is_folder
from lerf.scenes.finder import is_photo_key, pictures_under
from lerf.scenes.listing import Listing, Optics
from lerf.scenes.readers.number_text import NumberText, text_of
from lerf.scenes.readers.posed import PHOTO_FOLDERS, Posed, PoseFile, listing_of, stored_size
from lerf.scenes.readers.protocol import Reader, beginning_of, found_in, rivals_of
from lerf.scenes.readers.text_lines import AGAIN, TextLines, finite, integer, numbers
from lerf.scenes.sparse_points import SparsePoints

HEADER = b"# Bundle file v0."
NAMES, FOLDERS = ("bundle.out", "*.out"), (".", "bundle")
LISTS = ("list.txt", "image_list.txt", "list.rd.txt")
"""Names of the file that names the photos; that of COLMAP is the pose file's name and .list.txt."""
MOST_CAMERAS = 1_000_000
SAMPLE = 30
"""Points that are held against the cameras that see them."""

_ENTRY = re.compile(r"(.+?)(?:\s+\d+\s+[-+.\deE]+)?")
"""A photo's name, which a flag for fisheyes and a focal length may follow."""

Rows = list[list[float]]
"""Of one camera: f, k1, k2; three of the rotation; the translation."""


def find(path: Path) -> Path | None:
    """A file that begins as Bundler's, in the folder or its folder `bundle`."""
    return found_in(path, NAMES, _is_one, FOLDERS)


def read(path: Path, root: Path) -> Listing:
    """Read the cameras of a bundle file; photos that were not placed are not listed.

    Raises:
        SceneError: the file is damaged, or there is no list of photos that fits it.
    """
    notes = rivals_of(path, NAMES, _is_one)
    filled = (line for line in TextLines(path) if line)
    cameras = _cameras(filled, path)
    _refuse_backwards(cameras, filled, path)
    names = _names(path, root, len(cameras), notes)
    placed = [(name, rows) for name, rows in zip(names, cameras, strict=True) if any(map(any, rows))]
    if not placed:
        raise SceneError(f"{path} has placed none of its {len(cameras)} photos: estimate poses again.")
    posed = [Posed(name, _pose(rows), _optics(rows)) for name, rows in placed]
    return listing_of(PoseFile(READER.name, path, notes, path), posed, root)


def points(path: Path) -> SparsePoints:
    """The points of a bundle file. Where no list names its photos, these are called by their numbers.

    Raises:
        SceneError: the file is damaged.
    """
    text = NumberText(text_of(path), path)
    cameras, count = text.counts(2)
    text.skip(15 * cameras)
    positions, colours, seen = text.tracks(count, 4)
    names = _listed(path) or [str(number) for number in range(cameras)]
    if len(names) != cameras or (len(seen) and seen[:, 1].max() >= cameras):
        raise SceneError(f"{path} has points that other photos see than it has cameras for: {AGAIN}.")
    return SparsePoints(positions, colours, None, seen, tuple(names))


def _is_one(path: Path) -> bool:
    return beginning_of(path, 64).startswith(HEADER)


def _cameras(filled: Iterator[str], path: Path) -> list[Rows]:
    try:
        count = integer(next(filled, "").split()[0])
    except (ValueError, IndexError):
        raise SceneError(f"{path} does not say how many cameras it has: {AGAIN}.") from None
    if not 0 <= count <= MOST_CAMERAS:
        raise SceneError(f"{path} says that it has {count} cameras, which cannot be: {AGAIN}.")
    cameras = []
    for number in range(count):
        rows = [next(filled, "").split() for _ in range(5)]
        try:
            lens = [finite(value) for value in rows[0]]
            cameras.append([numbers(rows[0], 3) and lens, *(numbers(row, 3) for row in rows[1:])])
        except ValueError:
            raise SceneError(f"{path} is cut off or damaged at camera {number} of {count}: {AGAIN}.") from None
    return cameras


def _refuse_backwards(cameras: Sequence[Rows], filled: Iterator[str], path: Path) -> None:
    """Hold the first points against the cameras that see them; damaged ones are found when all are read.

    Raises:
        SceneError: most lie behind them: some programs have a form of this file with z the other way round.
    """
    depths = []
    for _ in range(SAMPLE):
        lines = [next(filled, "") for _ in range(3)]
        try:
            point, seen = numbers(lines[0].split(), 3), [float(word) for word in lines[2].split()[1:]]
            for rows in (cameras[int(number)] for number in seen[::4]):
                depths.append(sum(a * b for a, b in zip(rows[3], point, strict=True)) + rows[4][2])
        except (ValueError, IndexError, OverflowError):
            break
    if len(depths) >= SAMPLE and sum(depth > 0 for depth in depths) > len(depths) / 2:
        raise SceneError(f"The points of {path} lie behind its cameras: export it with z backwards, as Bundler does.")


def _pose(rows: Rows) -> np.ndarray:
    rotation, translation = np.array(rows[1:4]), np.array(rows[4])
    with np.errstate(all="ignore"):  # what is not finite is found by the check of all poses
        return np.column_stack([rotation.T, -rotation.T @ translation])


def _optics(rows: Rows) -> Callable[[Path], Optics]:
    focal, k1, k2 = rows[0]
    return lambda photo: Optics(stored_size(photo), (focal, focal), distortion=(k1, k2, 0.0, 0.0, 0.0, 0.0))


def _names(path: Path, root: Path, cameras: int, notes: list[str]) -> Sequence[str]:
    """The photos of the cameras, from the list beside a bundle file; else those at hand where there are as many."""
    names = _listed(path)
    if names is None:
        names = _at_hand(path, root)
        if len(names) != cameras:
            raise SceneError(
                f"{path} needs {LISTS[0]} beside it, which names the photos of its {cameras} cameras line by line."
            )
        notes.append(
            f"No {LISTS[0]} beside {path} names its photos: the {cameras} at hand are taken in the order of names."
        )
    if len(names) != cameras:
        raise SceneError(
            f"{path} has {cameras} cameras, and its list of photos {len(names)}: use the list made with it."
        )
    return names


def _listed(path: Path) -> list[str] | None:
    """The names in the list that belongs to a bundle file; None where there is none."""
    own = [f"{path.name}.list.txt", f"{path.stem}.list.txt", f"{path.stem}_list.txt"]
    places = [folder / name for folder in (path.parent, path.parent.parent) for name in (*own, *LISTS)]
    found = next((place for place in places if is_file(place)), None)
    if found is None:
        return None
    entries = [_ENTRY.fullmatch(line) for line in TextLines(found, "") if line]
    return [entry[1] for entry in entries if entry is not None]


def _at_hand(path: Path, root: Path) -> list[str]:
    """Photos in the folder of a bundle file, else in the capture's, else in a folder of photos, sorted by name."""
    for folder in (path.parent, root, *(root / name for name in PHOTO_FOLDERS)):
        files = [file for file in pictures_under(folder) if len(file.parts) == 1] if is_folder(folder) else []
        if files:
            return sorted(os.path.relpath(file.path, path.parent) for file in files if is_photo_key(file.key))
    return []


READER = Reader("bundler", "Bundler's bundle.out with list.txt", find, read, points)
