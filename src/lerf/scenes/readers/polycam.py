"""Raw data that the iOS app Polycam exports: `keyframes/corrected_cameras/TIMESTAMP.json` and its photos.

`t_ij` is row i, column j of the camera-to-world matrix without its last row, of a camera with x right, y up and z
backwards; the world's y is up, as ARKit has both. `corrected_cameras` are optimised over the whole capture and belong
to `corrected_images`, which are undistorted; `cameras` and `images` are what ARKit gave (README of PolyCam/polyform,
and its polyform/core/capture_folder.py). `fx`, `fy`, `cx` and `cy` are pixels of `width` x `height`, taken as counted
from the picture's corner, as nerfstudio's converter does; the world is left as it is, where that one turns it so that
z is up (process_data/polycam_utils.py).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from lerf.documents import read_document
from lerf.errors import SceneError
from lerf.files import is_file, is_folder
from lerf.scenes.finder import PhotoFinder, name_in
from lerf.scenes.listing import Listing, Optics, Shot, checked_size
from lerf.scenes.readers.protocol import Reader, beginning_of
from lerf.scenes.readers.unnamed_photos import naturally_sorted

REMEDY = "export the raw data from Polycam again"
FOLDERS = (("corrected_cameras", "corrected_images"), ("cameras", "images"))
"""Of cameras and their photos, the better first."""
LARGEST = 1_000_000
"""Bytes of the file of one photo."""

Number = float | Literal["NaN"]


class Keyframe(msgspec.Struct, kw_only=True):
    """The file of one photo; it also has a score of its blur, its time and the like."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: float
    height: float
    t_00: Number
    t_01: Number
    t_02: Number
    t_03: Number
    t_10: Number
    t_11: Number
    t_12: Number
    t_13: Number
    t_20: Number
    t_21: Number
    t_22: Number
    t_23: Number

    @property
    def pose(self) -> list[list[Number]]:
        return [[getattr(self, f"t_{row}{column}") for column in range(4)] for row in range(3)]


def find(path: Path) -> Path | None:
    """The folder `keyframes`; a path may also be it, a folder in it, or a file of one photo."""
    if is_file(path):
        above = path.parent.parent
        return above if path.suffix == ".json" and path.parent.name in dict(FOLDERS) and _cameras(above) else None
    return next((place for place in (path / "keyframes", path, path.parent) if _cameras(place)), None)


def read(keyframes: Path, _root: Path) -> Listing:
    """Read the files of all photos, in the order of their times; every 8th photo is held out.

    Raises:
        SceneError: for anything in the files that cannot be used.
    """
    root = keyframes.parent if keyframes.name == "keyframes" else keyframes
    pairs = [pair for pair in FOLDERS if _files(keyframes / pair[0])]
    cameras, images = next((pair for pair in pairs if is_folder(keyframes / pair[1])), pairs[0])
    finder = PhotoFinder()  # depths and the other photos bear the same names
    shots = []
    for file in _files(keyframes / cameras):
        content = read_document(file, Keyframe, error=SceneError, remedy=REMEDY, largest=LARGEST, nan_is_text=True)
        photo = finder.find(keyframes / images / file.stem)
        photo = photo.with_name(f"{file.stem}.jpg") if photo.name == file.stem else photo
        name = name_in(root, photo)
        size = checked_size(content.width, content.height, name)
        optics = Optics(size, (content.fx, content.fy), centre=(content.cx, content.cy))
        shots.append(Shot(name, photo, content.pose, optics))
    return Listing(root, shots, None, {"format": READER.name, "cameras": cameras}, _notes(cameras))


def _notes(cameras: str) -> list[str]:
    if cameras == FOLDERS[0][0]:
        return []
    return [
        "Polycam's corrected_cameras and corrected_images are not there: poses are those of ARKit, and photos are not "
        "undistorted."
    ]


def _cameras(keyframes: Path) -> bool:
    """Whether a folder holds cameras of Polycam and a folder of their photos."""
    for cameras, images in FOLDERS:
        files = _files(keyframes / cameras)
        if files and is_folder(keyframes / images) and b'"t_00"' in beginning_of(files[0]):
            return True
    return False


def _files(folder: Path) -> list[Path]:
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".json") and not name.startswith(".")]
    except (OSError, ValueError):
        return []
    return naturally_sorted([folder / name for name in names])


READER = Reader("polycam", "Polycam's keyframes/corrected_cameras", find, read)
