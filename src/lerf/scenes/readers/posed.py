"""From what a pose file says of each photo to a listing: photos are found, masks beside them are taken along."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerf.errors import SceneError
from lerf.files import is_file, is_folder, resolved
from lerf.scenes.finder import PhotoFinder, as_written, name_in, pictures_under
from lerf.scenes.listing import Listing, Optics, Shot
from lerf.scenes.photos import Size, read_header
from lerf.scenes.side_masks import with_side_masks

PHOTO_FOLDERS = ("images", "input")
"""Folders that names of photos may be relative to, under that of the pose file and that of the capture."""
LEVELS = 3
"""Folders above a pose file in which photos may lie."""


@dataclass(frozen=True)
class Posed:
    """One photo that has a pose."""

    name: str
    """As the file states it."""
    pose: Any
    """Camera to world, OpenGL axes, as `Shot` has it."""
    optics: Optics | Callable[[Path], Optics]
    """Intrinsics, or what makes them from the photo's file where they depend on its size; the file may be missing."""


@dataclass(frozen=True)
class PoseFile:
    """What a pose file holds, apart from its photos."""

    reader: str
    """Name of its reader."""
    path: Path
    """Of the file, or of the folder that stands for several."""
    notes: Sequence[str] = ()
    points_path: Path | None = None
    photo_folders: Sequence[str] = PHOTO_FOLDERS
    """Under the file's folder and the capture's, besides these themselves."""
    metadata: dict[str, Any] | None = None
    """Plain JSON values to be kept in the scene."""


def listing_of(file: PoseFile, posed: Sequence[Posed], root: Path) -> Listing:
    """The listing of a pose file's photos, in the order of their names.

    A name may be relative to the pose file, to the capture's folder, or to a folder of photos in one of them; else
    `PhotoFinder` looks for it.

    Args:
        file: what the file holds besides.
        posed: the photos with a pose.
        root: the capture's folder; where it holds no picture at all, photos are looked for above it.

    Raises:
        SceneError: a photo has no name, or may be one of two.
    """
    base = file.path if is_folder(file.path) else file.path.parent
    root = _with_photos(root)
    finder = PhotoFinder(root)
    folders = [place / name for place in (base, root) for name in (".", *file.photo_folders)]
    shots: list[Shot] = []
    posed = sorted(posed, key=lambda one: one.name)
    for one in posed:
        name = as_written(one.name)
        if not name.parts:
            raise SceneError(f"A photo in {file.path} has no name: export it again.")
        stated = [folder / name for folder in folders]
        # Without "..", whose folder need not be there; with it where a link leads elsewhere.
        places = list(dict.fromkeys([*(Path(os.path.normpath(place)) for place in stated), *stated]))
        photo = finder.find(places[0], places[1:])
        optics = one.optics if isinstance(one.optics, Optics) else one.optics(photo)
        shots.append(Shot(name_in(root, photo), photo, one.pose, optics))
    beside = [place for place in dict.fromkeys((base, root)) if is_folder(place)]
    shots, told = with_side_masks(shots, [one.name for one in posed], beside) if shots else (shots, ())
    metadata = {"format": file.reader, **(file.metadata or {})}
    return Listing(root, shots, None, metadata, (*file.notes, *finder.notes(), *told), file.points_path)


def stored_size(photo: Path) -> Size | None:
    """Width and height of a photo's pixels as stored, whatever its EXIF orientation; None where it is not there.

    For tools that do not turn photos and state no sizes.
    """
    return read_header(photo).size if is_file(photo) else None


def shown_size(photo: Path) -> Size | None:
    """Width and height of a photo turned as its EXIF orientation says; None where it is not there."""
    if not is_file(photo):
        return None
    header = read_header(photo)
    return header.size_when(header.orientation)


def _with_photos(root: Path) -> Path:
    """The capture's folder, or the nearest above it with a folder of photos where it holds no picture."""
    if next(iter(pictures_under(root)), None) is not None:
        return root
    above = resolved(root).parents[:LEVELS]
    return next((place for place in above if any(is_folder(place / name) for name in PHOTO_FOLDERS)), root)
