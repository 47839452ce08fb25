"""Captures posed by OpenMVG: sfm_data.json, with its points where they were exported.

Conventions, from OpenMVG's source (src/openMVG: sfm/sfm_data_io_cereal.cpp, sfm/sfm_view_io.hpp, geometry/pose3_io.hpp,
geometry/pose3.hpp, cameras/Camera_*.hpp): a pose is a rotation in three rows and a centre, x_camera = R (X - centre),
with x right, y down, z forwards. Intrinsics are in pixels of the stated size. The centre of a pixel has whole
coordinates (cameras/Camera_undistort_image.hpp samples the photo there), so that half a pixel is added here. disto_k1,
disto_k3 and disto_t2 (k1, k2, k3, t1, t2) are OpenCV's k1, k2, k3, p1, p2, and fisheye its fisheye. The name of a
camera's type stands where it comes first, and later its number alone. A photo's path is root_path, local_path,
filename. Photos are as stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from lerf.documents import read_document
from lerf.errors import SceneError
from lerf.geometry.camera import Distortion
from lerf.scenes.listing import Listing, Optics, checked_size
from lerf.scenes.readers.axes import from_centre
from lerf.scenes.readers.posed import Posed, PoseFile, listing_of
from lerf.scenes.readers.protocol import Reader, beginning_of, found_in, rivals_of
from lerf.scenes.readers.text_lines import AGAIN
from lerf.scenes.sparse_points import SparsePoints

NAMES = ("sfm_data.json", "cameras.json", "sfm_data*.json")
FOLDERS = (".", "reconstruction", "reconstruction_sequential", "reconstruction_global", "matches")
LARGEST = 1_000_000_000
"""Bytes of a file: a point with its observations takes a thousand."""
NAMED = 0x7FFFFFFF
"""A type's number without the bit that says that its name follows."""
UNDISTORT = "undistort the photos with openMVG_main_ExportUndistortedImages, or write a COLMAP model of them"

TERMS = {
    "pinhole": ("", 0),
    "pinhole_radial_k1": ("disto_k1", 1),
    "pinhole_radial_k3": ("disto_k3", 3),
    "pinhole_brown_t2": ("disto_t2", 5),
    "fisheye": ("fisheye", 4),
}
"""Type -> key of its distortion and how many numbers that has."""


class ViewData(msgspec.Struct):
    """A photo."""

    filename: str
    id_view: int
    id_intrinsic: int
    id_pose: int
    local_path: str = ""


class LensData(msgspec.Struct):
    """A camera."""

    width: int
    height: int
    focal_length: float = 0.0
    principal_point: tuple[float, float] | None = None
    disto_k1: list[float] | None = None
    disto_k3: list[float] | None = None
    disto_t2: list[float] | None = None
    fisheye: list[float] | None = None


class ViewPointer(msgspec.Struct):
    """cereal's wrapping."""

    data: ViewData


class LensPointer(msgspec.Struct):
    """cereal's wrapping."""

    data: LensData


class ViewValue(msgspec.Struct):
    """cereal's wrapping."""

    ptr_wrapper: ViewPointer


class LensValue(msgspec.Struct):
    """cereal's wrapping, with the type."""

    ptr_wrapper: LensPointer
    polymorphic_id: int = 0
    polymorphic_name: str | None = None


class PoseValue(msgspec.Struct):
    """A rotation in rows and a centre; what is not of that form is found by the check of all poses."""

    rotation: list[list[Any]]
    center: list[Any]


class ViewEntry(msgspec.Struct):
    """An entry of `views`."""

    value: ViewValue


class LensEntry(msgspec.Struct):
    """An entry of `intrinsics`."""

    key: int
    value: LensValue


class PoseEntry(msgspec.Struct):
    """An entry of `extrinsics`."""

    key: int
    value: PoseValue


class ObservationEntry(msgspec.Struct):
    """That a view sees a point."""

    key: int


class PointValue(msgspec.Struct, rename={"position": "X"}):
    """A point."""

    position: tuple[float, float, float]
    observations: list[ObservationEntry] = []


class PointEntry(msgspec.Struct):
    """An entry of `structure`."""

    value: PointValue


class Document(msgspec.Struct):
    """The file without its points."""

    root_path: str = ""
    views: list[ViewEntry] = []
    intrinsics: list[LensEntry] = []
    extrinsics: list[PoseEntry] = []
    structure: msgspec.Raw = msgspec.Raw()


class Structure(msgspec.Struct):
    """The points of a file, and the views that see them."""

    root_path: str = ""
    views: list[ViewEntry] = []
    structure: list[PointEntry] = []


def find(path: Path) -> Path | None:
    """A file of OpenMVG's in the folder or those of its programs."""
    return found_in(path, NAMES, _is_one, FOLDERS)


def read(path: Path, root: Path) -> Listing:
    """Read the views with a pose.

    Raises:
        SceneError: the file is damaged, has no poses, or has a lens that cannot be expressed.
    """
    document = read_document(path, Document, error=SceneError, remedy=AGAIN, largest=LARGEST, nan_is_text=True)
    poses = {entry.key: entry.value for entry in document.extrinsics}
    if not poses:
        raise SceneError(
            f"{path} has no extrinsics, as before openMVG_main_SfM: give what it has written, as JSON "
            "(openMVG_main_ConvertSfM_DataFormat with -V -I -E -S)."
        )
    lenses = _lenses(document.intrinsics, path)
    posed = []
    for entry in document.views:
        view = entry.value.ptr_wrapper.data
        pose = poses.get(view.id_pose)
        if pose is None:
            continue
        if view.id_intrinsic not in lenses:
            raise SceneError(
                f"Photo {view.filename} in {path} has intrinsics {view.id_intrinsic}, which are not there: {AGAIN}."
            )
        posed.append(Posed(_name(document.root_path, view), _pose(pose), lenses[view.id_intrinsic]))
    has_points = len(memoryview(document.structure)) > len(b"[ ]")
    file = PoseFile(READER.name, path, rivals_of(path, NAMES, _is_one), path if has_points else None)
    return listing_of(file, posed, root)


def points(path: Path) -> SparsePoints:
    """The points of a file; photos that see them are those of its views.

    Raises:
        SceneError: the file is damaged.
    """
    document = read_document(path, Structure, error=SceneError, remedy=AGAIN, largest=LARGEST)
    views = [entry.value.ptr_wrapper.data for entry in document.views]
    place = {view.id_view: number for number, view in enumerate(views)}
    landmarks = [entry.value for entry in document.structure]
    pairs = [
        (number, place[seen.key])
        for number, point in enumerate(landmarks)
        for seen in point.observations
        if seen.key in place
    ]
    positions = np.array([point.position for point in landmarks], np.float64).reshape(-1, 3)
    names = tuple(_name(document.root_path, view) for view in views)
    return SparsePoints(positions, None, None, np.array(pairs, np.int64).reshape(-1, 2), names)


def _lenses(entries: Sequence[LensEntry], path: Path) -> dict[int, Optics]:
    types: dict[int, str] = {}
    lenses = {}
    for entry in entries:
        number = entry.value.polymorphic_id & NAMED
        if entry.value.polymorphic_name is not None:
            types[number] = entry.value.polymorphic_name
        lenses[entry.key] = _optics(entry.value.ptr_wrapper.data, types.get(number, "pinhole"), path)
    return lenses


def _optics(lens: LensData, kind: str, path: Path) -> Optics:
    """One camera as intrinsics.

    Raises:
        SceneError: its type is not supported, or has not the numbers that it should.
    """
    if kind not in TERMS:
        raise SceneError(f"{path} has a camera of type {kind}, which is not supported: {UNDISTORT}.")
    key, count = TERMS[kind]
    terms = (getattr(lens, key) or []) if key else []
    if len(terms) != count or lens.principal_point is None:
        raise SceneError(f"{path} has a camera of type {kind} without principal_point or {count} {key}: {AGAIN}.")
    size = checked_size(lens.width, lens.height, f"of a camera in {path}")
    x, y = lens.principal_point
    return Optics(
        size, (lens.focal_length, lens.focal_length), centre=(x + 0.5, y + 0.5), distortion=_distortion(kind, terms),
        fisheye=kind == "fisheye",
    )  # fmt: skip


def _distortion(kind: str, terms: Sequence[float]) -> Distortion:
    if kind == "pinhole_brown_t2":
        k1, k2, k3, p1, p2 = terms
        return k1, k2, k3, 0.0, p1, p2
    k1, k2, k3, k4 = (*terms, 0.0, 0.0, 0.0, 0.0)[:4]
    return k1, k2, k3, k4, 0.0, 0.0


def _pose(pose: PoseValue) -> Any:
    try:
        rotation, centre = np.array(pose.rotation, np.float64), np.array(pose.center, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return from_centre(rotation, centre) if (rotation.shape, centre.shape) == ((3, 3), (3,)) else None


def _name(root: str, view: ViewData) -> str:
    return "/".join(part.rstrip("/\\") or "/" for part in (root, view.local_path, view.filename) if part)


def _is_one(path: Path) -> bool:
    return b'"sfm_data_version"' in beginning_of(path, 4096)


READER = Reader("openmvg", "OpenMVG's sfm_data.json", find, read, points)
