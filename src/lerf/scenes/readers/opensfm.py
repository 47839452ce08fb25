"""Captures posed by OpenSfM, and by OpenDroneMap, which uses it: reconstruction.json, with its points.

Conventions, from OpenSfM's documentation (doc/source/geometry.rst and reconstruction.rst) and source (opensfm/io.py,
opensfm/features.py, src/geometry/camera_distortions_functions.h): a shot's rotation is an axis times an angle in
radians and its translation such that x_camera = R X + t, with x right, y down, z forwards; shots of rigs state theirs
as all others do. Focal lengths and principal points are normalised: a length of 1 is the photo's longer side, the
origin its middle, where the centre of the pixel in column x is (x + 0.5 - width / 2) / longer side, so that no half
pixel is to be added. Distortion is OpenCV's (k1, k2, k3, p1, p2), as is that of fisheye, whose k3 and k4 are zero, and
fisheye_opencv. Photos are as stored, in the folder `images`, masks in `masks`. A file may hold several reconstructions:
the one with the most shots is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from lerf.documents import read_document
from lerf.errors import SceneError
from lerf.scenes.listing import Listing, Optics, checked_size
from lerf.scenes.readers.axes import from_world_to_camera, rotation_of_vector
from lerf.scenes.readers.posed import Posed, PoseFile, listing_of
from lerf.scenes.readers.protocol import Reader, beginning_of, found_in, rivals_of
from lerf.scenes.readers.text_lines import AGAIN
from lerf.scenes.sparse_points import SparsePoints

NAMES = ("reconstruction.json", "reconstruction*.json")
FOLDERS = (".", "opensfm")
LARGEST = 1_000_000_000
"""Bytes of a file: a point takes 300."""
UNDISTORT = "run `opensfm undistort` and give its folder `undistorted`"

ONE_FOCAL, TWO_FOCALS = ("focal",), ("focal_x", "focal_y")
TYPES = {
    "perspective": (ONE_FOCAL, ("k1", "k2"), False),
    "simple_radial": (TWO_FOCALS, ("k1",), False),
    "radial": (TWO_FOCALS, ("k1", "k2"), False),
    "brown": (TWO_FOCALS, ("k1", "k2", "k3", "", "p1", "p2"), False),
    "fisheye": (ONE_FOCAL, ("k1", "k2"), True),
    "fisheye_opencv": (TWO_FOCALS, ("k1", "k2", "k3", "k4"), True),
    "fisheye62": (TWO_FOCALS, ("k1", "k2", "k3", "k4"), True),
    "fisheye624": (TWO_FOCALS, ("k1", "k2", "k3", "k4"), True),
}
"""Projection type -> names of focal lengths, of k1, k2, k3, k4, p1, p2, and whether it is a fisheye."""
BEYOND = {"fisheye62": ("k5", "k6", "p1", "p2"), "fisheye624": ("k5", "k6", "p1", "p2", "s0", "s1", "s2", "s3")}
"""Terms that the lenses here do not have."""


class Shot(msgspec.Struct):
    """A photo with its pose; numbers that are none are found by the check of all poses."""

    camera: str
    rotation: list[Any]
    translation: list[Any] = msgspec.field(default_factory=lambda: [0.0, 0.0, 0.0])


class Point(msgspec.Struct):
    """A point."""

    coordinates: tuple[float, float, float]
    color: tuple[float, float, float] = (128.0, 128.0, 128.0)


class Reconstruction(msgspec.Struct):
    """One of those in a file, without its points."""

    cameras: dict[str, dict[str, Any]] = {}
    shots: dict[str, Shot] = {}
    points: msgspec.Raw = msgspec.Raw()


class Cloud(msgspec.Struct):
    """The points of one of the reconstructions."""

    shots: dict[str, msgspec.Raw] = {}
    points: dict[str, Point] = {}


def find(path: Path) -> Path | None:
    """A file of OpenSfM's in the folder or its folder `opensfm`."""
    return found_in(path, NAMES, _is_one, FOLDERS)


def read(path: Path, root: Path) -> Listing:
    """Read the largest reconstruction.

    Raises:
        SceneError: the file is damaged, or has a lens that cannot be expressed.
    """
    kind = list[Reconstruction]
    parts = read_document(path, kind, error=SceneError, remedy=AGAIN, largest=LARGEST, nan_is_text=True)
    if not parts or not any(part.shots for part in parts):
        raise SceneError(f"{path} has no shots: run `opensfm reconstruct` again.")
    largest = max(parts, key=lambda part: len(part.shots))
    notes = rivals_of(path, NAMES, _is_one)
    if len(parts) > 1:
        others = ", ".join(str(len(part.shots)) for part in parts if part is not largest)
        notes.append(
            f"{path} has {len(parts)} reconstructions that are not connected: that with {len(largest.shots)} photos is "
            f"used, not {others}."
        )
    lenses: dict[str, Optics] = {}
    posed = []
    for name, shot in largest.shots.items():
        if shot.camera not in largest.cameras:
            raise SceneError(f"Photo {name} in {path} has the camera {shot.camera}, which is not there: {AGAIN}.")
        if shot.camera not in lenses:
            lenses[shot.camera] = _optics(largest.cameras[shot.camera], shot.camera, path)
        posed.append(Posed(name, _pose(shot), lenses[shot.camera]))
    has_points = len(memoryview(largest.points)) > len(b"{}")
    return listing_of(PoseFile(READER.name, path, notes, path if has_points else None), posed, root)


def points(path: Path) -> SparsePoints:
    """The points of the largest reconstruction; which photos see them is not in the file.

    Raises:
        SceneError: the file is damaged.
    """
    parts = read_document(path, list[Cloud], error=SceneError, remedy=AGAIN, largest=LARGEST)
    largest = max(parts, key=lambda part: len(part.shots), default=Cloud())
    listed = list(largest.points.values())
    positions = np.array([point.coordinates for point in listed], np.float64).reshape(-1, 3)
    colours = np.array([point.color for point in listed], np.float64).reshape(-1, 3)
    return SparsePoints(positions, np.clip(np.rint(colours), 0, 255).astype(np.uint8), names=tuple(largest.shots))


def _optics(camera: Mapping[str, Any], name: str, path: Path) -> Optics:
    """One camera as intrinsics.

    Raises:
        SceneError: its projection is not supported, or a number is missing.
    """
    kind = str(camera.get("projection_type", "perspective"))
    if kind not in TYPES:
        raise SceneError(f"{path} has a camera of type {kind}, which is not supported: {UNDISTORT}.")
    focals, terms, fisheye = TYPES[kind]
    in_the_way = [f"{key} = {camera[key]:g}" for key in BEYOND.get(kind, ()) if _number(camera, key, name, path)]
    if in_the_way:
        raise SceneError(f"{path} has a {kind} camera with {', '.join(in_the_way)}, not supported: {UNDISTORT}.")
    width, height = (_number(camera, key, name, path) for key in ("width", "height"))
    size = checked_size(width, height, f"of {path}")
    longer = max(width, height)
    fx, *fy = (_number(camera, key, name, path) * longer for key in focals)
    cx, cy = (_number(camera, key, name, path) * longer for key in ("c_x", "c_y"))
    k1, k2, k3, k4, p1, p2 = (*(_number(camera, key, name, path) for key in terms), *[0.0] * 6)[:6]
    return Optics(
        size, (fx, fy[0] if fy else fx), centre=(width / 2 + cx, height / 2 + cy),
        distortion=(k1, k2, k3, k4, p1, p2), fisheye=fisheye,
    )  # fmt: skip


def _number(camera: Mapping[str, Any], key: str, name: str, path: Path) -> float:
    """A number of a camera's, 0 where it is not stated; all that read here are finite."""
    value = camera.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e15:
        raise SceneError(f"Camera {name} in {path} has {key} = {str(value)[:40]!r}, which is no number: {AGAIN}.")
    return float(value)


def _pose(shot: Shot) -> Any:
    try:
        rotation, translation = np.array(shot.rotation, np.float64), np.array(shot.translation, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if (rotation.shape, translation.shape) != ((3,), (3,)):
        return None
    with np.errstate(all="ignore"):  # what is not finite is found by the check of all poses
        return from_world_to_camera(rotation_of_vector(rotation), translation)


def _is_one(path: Path) -> bool:
    start = beginning_of(path).lstrip()
    return start.startswith(b"[") and b'"cameras"' in start and (b'"shots"' in start or b'"projection_type"' in start)


READER = Reader("opensfm", "OpenSfM's reconstruction.json", find, read, points)
