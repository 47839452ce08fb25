"""Captures of the iOS app Record3D: metadata.json and a folder of photos, as "EXR + RGB" or an unpacked .r3d file.

`poses` holds for each photo a quaternion x, y, z, w and a position, camera to world, of a camera with x right, y up and
z backwards, as ARKit has it. `K` is the 3x3 matrix of intrinsics column by column: fx, 0, 0, 0, fy, 0, cx, cy, 1, in
pixels of `w` x `h`; `perFrameIntrinsicCoeffs`, where there, fx, fy, cx and cy of each photo. The principal point is
taken as counted from the picture's corner. So in instant-ngp's scripts/record3d2nerf.py, and in nerfstudio's
process_data/record3d_utils.py, except that the latter puts the principal point into the middle of the picture.

Other programs write `K` row by row: its zeros tell which it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from jaxtyping import Float

from lerf.documents import read_document
from lerf.errors import SceneError
from lerf.files import is_file, is_folder
from lerf.scenes.finder import name_in
from lerf.scenes.listing import Listing, Optics, Shot, checked_size
from lerf.scenes.readers.axes import rotation_of_quaternion
from lerf.scenes.readers.protocol import Reader, beginning_of, found_in
from lerf.scenes.readers.unnamed_photos import naturally_sorted, photos_in

REMEDY = "export the capture from Record3D again"
FOLDERS = ("rgb", "rgbd")
"""Of photos: the export's, and that of an unpacked .r3d file."""
DEPTHS = ("depth", "depths")
ARCHIVE = ".r3d"

Number = float | Literal["NaN"]
"""A pose whose estimation failed may hold NaN: that is this photo's fault, not the file's."""
Nine = Annotated[list[float], msgspec.Meta(min_length=9, max_length=9)]
Four = Annotated[list[float], msgspec.Meta(min_length=4, max_length=4)]
Seven = Annotated[list[Number], msgspec.Meta(min_length=7, max_length=7)]


class Metadata(msgspec.Struct, kw_only=True):
    """What is used of the file; it also has the times of photos, the size of depths and the pose of the first photo."""

    poses: list[Seven]
    K: Nine | None = None
    perFrameIntrinsicCoeffs: list[Four] | None = None  # noqa: N815
    w: float | None = None
    h: float | None = None


def find(path: Path) -> Path | None:
    """metadata.json in a folder or its EXR_RGBD, or the file `metadata` of an unpacked .r3d; or an .r3d."""
    if is_file(path) and path.suffix.lower() == ARCHIVE:
        return path
    return found_in(path, ("metadata.json", "metadata"), _is_one, (".", "EXR_RGBD"))


def read(path: Path, _root: Path) -> Listing:
    """Read a metadata file; every 8th photo is held out. Depths are left alone.

    Raises:
        SceneError: for anything in the file that cannot be used, or photos that cannot be matched with poses.
    """
    if path.suffix.lower() == ARCHIVE:
        raise SceneError(f"{path} is an archive: unpack it, as a .zip, and give the folder with its file metadata.")
    content = read_document(path, Metadata, error=SceneError, remedy=REMEDY, nan_is_text=True)
    root, count = path.parent, len(content.poses)
    size = None if content.w is None or content.h is None else checked_size(content.w, content.h, "0")
    per_photo = content.perFrameIntrinsicCoeffs or []
    if per_photo and len(per_photo) != count:
        raise SceneError(f"{path} has {count} poses and intrinsics for {len(per_photo)} photos: {REMEDY}.")
    if content.K is None and not per_photo:
        raise SceneError(f"{path} has neither K nor perFrameIntrinsicCoeffs: {REMEDY}.")
    lenses = per_photo or [_intrinsics(content.K or (), path)] * count
    photos = _photos(root, count, path)
    shots = []
    for photo, pose, (fx, fy, cx, cy) in zip(photos, content.poses, lenses, strict=True):
        shots.append(Shot(name_in(root, photo), photo, _pose(pose), Optics(size, (fx, fy), centre=(cx, cy))))
    return Listing(root, shots, None, {"format": READER.name}, _depths(root, photos))


def _is_one(path: Path) -> bool:
    beginning = beginning_of(path)
    return beginning.lstrip()[:1] == b"{" and any(
        name in beginning for name in (b'"poses"', b'"perFrameIntrinsicCoeffs"', b'"initPose"')
    )


def _pose(values: Sequence[Number]) -> Float[np.ndarray, "3 4"]:
    x, y, z, w, *position = (np.nan if value == "NaN" else float(value) for value in values)
    return np.column_stack([rotation_of_quaternion((w, x, y, z)), position])


def _intrinsics(values: Sequence[float], path: Path) -> list[float]:
    """fx, fy, cx, cy of a 3x3 matrix, written column by column or row by row.

    Raises:
        SceneError: it is neither.
    """
    matrix = np.array(values).reshape(3, 3)
    for way in (matrix.T, matrix):
        if way[2].tolist() == [0.0, 0.0, 1.0] and way[1, 0] == 0:
            return [float(way[0, 0]), float(way[1, 1]), float(way[0, 2]), float(way[1, 2])]
    raise SceneError(f"The K of {path} is no matrix of focal lengths and a principal point: {REMEDY}.")


def _photos(root: Path, count: int, path: Path) -> list[Path]:
    """The photo of each pose; one whose file is not there has the path where it should be.

    Photos are called by the number of their pose, from 0. Where there are as many as poses they are taken in order,
    whatever their numbers.

    Raises:
        SceneError: there is no folder of photos, or their names are no such numbers.
    """
    folder = next((root / name for name in FOLDERS if is_folder(root / name)), None)
    if folder is None:
        raise SceneError(f"{path} has no photos beside it: put the folder rgb of the export there.")
    numbered = [photo for photo in naturally_sorted(photos_in(folder)) if photo.stem.isdecimal()]
    if not numbered:
        raise SceneError(f"{folder} has no photos that are called 0.jpg, 1.jpg and so on: {REMEDY}.")
    if len(numbered) == count:
        return numbered
    places = {int(photo.stem): photo for photo in numbered if len(photo.stem) < 10}
    if len(places) < len(numbered) or max(places) >= count:
        raise SceneError(
            f"{path} has {count} poses, and {folder} {len(numbered)} photos up to {numbered[-1].name}: {REMEDY}."
        )
    ending = numbered[0].suffix
    return [places.get(number, folder / f"{number}{ending}") for number in range(count)]


def _depths(root: Path, photos: Sequence[Path]) -> list[str]:
    folders = [root / name for name in DEPTHS if is_folder(root / name)]
    beside = photos[0].parent
    if not folders and beside.name == "rgbd" and is_file(beside / f"{photos[0].stem}.depth"):
        folders = [beside]
    return [f"Depths found and not used, as depths are not learnt from: those in {folder}." for folder in folders]


READER = Reader("record3d", "Record3D's metadata.json", find, read)
