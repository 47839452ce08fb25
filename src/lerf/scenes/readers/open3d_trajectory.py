"""Camera trajectories of Open3D: `.log`, which is the Redwood project's, and JSON.

A .log has five lines a photo: three whole numbers, the first of which is the photo's place among all, from 0, and the
4x4 matrix from camera to world. The JSON (class PinholeCameraTrajectory) has for each photo the 4x4 `extrinsic` from
world to camera and a 3x3 `intrinsic_matrix`, both column by column. Cameras have x right, y down and z forwards. Pixel
centres are at whole numbers: the principal point of 640 columns is 319.5, and half a pixel is added here. So in
cpp/open3d/io/file_format/FileLOG.cpp, utility/IJsonConvertible.cpp (arrays fill Eigen's matrices in their order, by
columns) and geometry/PointCloudFactory.cpp of isl-org/Open3D, and http://redwood-data.org/indoor/fileformat.html.

Neither names photos: they are the pictures of the folder `image`, `rgb`, `color` or `images`, sorted with numbers as
numbers (`get_rgbd_file_lists` of examples/python/open3d_example.py). A .log has no intrinsics either: they are those of
a file of Open3D's beside it, such as camera_intrinsic.json, else of its default, the PrimeSense camera.
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
from lerf.files import is_file, read_bytes
from lerf.scenes.finder import name_in, some_of
from lerf.scenes.listing import Listing, Optics, Shot, checked_size
from lerf.scenes.photos import read_header, sizes_fit
from lerf.scenes.readers.protocol import Reader, beginning_of, found_in
from lerf.scenes.readers.unnamed_photos import first_with_photos, naturally_sorted, photos_in

NAMES = ("trajectory.json", "camera_trajectory.json", "trajectory.log", "camera_trajectory.log", "*.json", "*.log")
FOLDERS = (".", "scene")
"""The second is that in which the reconstruction system and the data of its tutorials have trajectories."""
PHOTO_FOLDERS = ("image", "rgb", "color", "images")
INTRINSICS = ("camera_intrinsic.json", "intrinsic.json", "camera.json", "intrinsics.json")
LARGEST = 64_000_000
"""Bytes of a .log: 300,000 photos."""
REMEDY = "write the trajectory again with Open3D"
PRIME_SENSE = Optics((640, 480), (525.0, 525.0), centre=(320.0, 240.0))
"""What Open3D reads a .log with where it is told nothing else; half a pixel added."""
Y_AND_Z = np.array([1.0, -1.0, -1.0, 1.0])
"""Turns a camera's y up and its z backwards."""

Number = float | Literal["NaN"]
Sixteen = Annotated[list[Number], msgspec.Meta(min_length=16, max_length=16)]
Nine = Annotated[list[float], msgspec.Meta(min_length=9, max_length=9)]


class Intrinsic(msgspec.Struct, kw_only=True):
    """Open3D's PinholeCameraIntrinsic."""

    width: float
    height: float
    intrinsic_matrix: Nine

    def optics(self, where: str) -> Optics:
        """
        Raises:
            SceneError: the numbers are no intrinsics.
        """
        fx, *zeros, fy, _, cx, cy, one = self.intrinsic_matrix
        if [*zeros[:2], zeros[2], one] != [0.0, 0.0, 0.0, 1.0]:
            raise SceneError(
                f"The intrinsic_matrix of {where} is not fx, 0, 0, 0, fy, 0, cx, cy, 1, column by column: {REMEDY}."
            )
        return Optics(checked_size(self.width, self.height, where), (fx, fy), centre=(cx + 0.5, cy + 0.5))


class Parameters(msgspec.Struct, kw_only=True):
    """One photo."""

    extrinsic: Sixteen
    intrinsic: Intrinsic


class Trajectory(msgspec.Struct, kw_only=True):
    """The JSON file."""

    parameters: list[Parameters]


def find(path: Path) -> Path | None:
    """A trajectory in a folder or its folder `scene`; or a file of this kind, whatever its name."""
    return found_in(path, NAMES, _is_one, FOLDERS)


def read(path: Path, root: Path) -> Listing:
    """Read a trajectory; every 8th photo is held out.

    Raises:
        SceneError: for anything in the file that cannot be used, or photos that cannot be matched with poses.
    """
    folder = first_with_photos([root, path.parent, path.parent.parent], PHOTO_FOLDERS)
    if folder is None:
        raise SceneError(f"{path} has no photos beside it: put them into a folder {PHOTO_FOLDERS[0]} there.")
    capture, photos = folder.parent, naturally_sorted(photos_in(folder))
    if path.suffix.lower() == ".json":
        parameters = read_document(path, Trajectory, error=SceneError, remedy=REMEDY, nan_is_text=True).parameters
        poses = [_from_extrinsic(one.extrinsic) for one in parameters]
        optics = [one.intrinsic.optics(f"photo {number} of {path}") for number, one in enumerate(parameters)]
        places, notes = list(range(len(poses))), list[str]()
    else:
        places, poses = _read_log(path)
        shared, notes = _intrinsics([path.parent, capture], photos[0], path)
        optics = [shared] * len(poses)
    chosen = _chosen(photos, places, path)
    names = [name_in(capture, photo) for photo in chosen]
    shots = [Shot(*parts) for parts in zip(names, chosen, poses, optics, strict=True)]
    return Listing(capture, shots, None, {"format": READER.name}, notes)


def _is_one(path: Path) -> bool:
    beginning = beginning_of(path, 4096)  # a folder may hold thousands of other JSON files
    if path.suffix.lower() == ".json":
        return b'"PinholeCameraTrajectory"' in beginning or b'"PinholeCameraParameters"' in beginning
    if path.suffix.lower() != ".log":
        return False
    try:
        place, matrix = (line.split() for line in _lines(beginning)[:2])
        return len([int(word) for word in place]) == 3 and len([float(word) for word in matrix]) == 4
    except ValueError:
        return False


def _from_extrinsic(values: Sequence[Number]) -> Float[np.ndarray, "4 4"]:
    """Sixteen numbers of a world-to-camera matrix, column by column -> the pose; NaN where there is none.

    The last row is kept, which a matrix written row by row does not end in.
    """
    matrix = np.array([np.nan if value == "NaN" else value for value in values], np.float64).reshape(4, 4).T
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-12:
        return np.full((4, 4), np.nan)
    return np.linalg.inv(matrix) * Y_AND_Z


def _lines(data: bytes) -> list[str]:
    """The lines that are neither empty nor comments."""
    return [line for line in data.decode("utf-8", "replace").splitlines() if line.strip() and line[:1] != "#"]


def _read_log(path: Path) -> tuple[list[int], list[Float[np.ndarray, "4 4"]]]:
    """Places of photos, and their poses.

    Raises:
        SceneError: the file has other lines than it should.
    """
    data = read_bytes(path, error=SceneError, remedy=REMEDY, largest=LARGEST)
    lines = _lines(data)
    places, poses = [], []
    for start in range(0, len(lines), 5):
        try:
            place, *_ = (int(word) for word in lines[start].split())
            matrix = np.array([[float(word) for word in line.split()] for line in lines[start + 1 : start + 5]])
            matrix = matrix.reshape(4, 4)
        except ValueError:
            raise SceneError(
                f"Pose {start // 5} of {path} is not a line of three whole numbers and four of a 4x4 matrix: {REMEDY}."
            ) from None
        places.append(place)
        poses.append(matrix * Y_AND_Z)
    return places, poses


def _intrinsics(folders: Sequence[Path], photo: Path, path: Path) -> tuple[Optics, list[str]]:
    """Intrinsics of all photos of a .log, and what there is to tell.

    Raises:
        SceneError: the file with them cannot be used; there is none, and photos are not of the PrimeSense's size.
    """
    for place in (folder / name for folder in folders for name in INTRINSICS):
        if is_file(place) and b'"intrinsic_matrix"' in beginning_of(place):
            content = read_document(place, Intrinsic, error=SceneError, remedy=REMEDY)
            return content.optics(str(place)), []
    size = read_header(photo).size
    assert PRIME_SENSE.size is not None
    if not sizes_fit(size, PRIME_SENSE.size):
        raise SceneError(
            f"{path} has no focal length: write Open3D's intrinsics of its {size[0]}x{size[1]} photos into "
            f"{folders[0] / INTRINSICS[0]}."
        )
    return PRIME_SENSE, [
        f"{path.name} has no focal length, nor is {INTRINSICS[0]} beside it: Open3D's default is used, 525 pixels for "
        "640x480 photos."
    ]


def _chosen(photos: list[Path], places: Sequence[int], path: Path) -> list[Path]:
    """The photos that poses are of.

    Raises:
        SceneError: there are more or fewer photos than poses, and places do not tell which is which.
    """
    if len(photos) == len(places):
        in_order = list(places) == list(range(len(places))) or sorted(places) != list(range(len(places)))
        return photos if in_order else [photos[place] for place in places]
    counted = list(places) == list(range(len(places)))
    if counted or len(set(places)) < len(places) or not 0 <= min(places, default=-1) <= max(places) < len(photos):
        raise SceneError(
            f"{path} has {len(places)} poses without names, and {photos[0].parent} has {len(photos)} photos "
            f"({some_of([photo.name for photo in photos])}): leave those alone there that poses are of."
        )
    return [photos[place] for place in places]


READER = Reader("open3d", "Open3D's trajectory.log or .json", find, read)
