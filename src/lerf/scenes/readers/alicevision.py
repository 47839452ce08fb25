"""Captures posed by Meshroom, that is AliceVision: cameras.sfm or sfm.json, with its points where they were exported.

Conventions, from AliceVision's source (src/aliceVision/sfmDataIO/jsonIO.cpp and .hpp, geometry/Pose3.hpp,
sfmData/SfMData.hpp): numbers are written as text. A pose has a rotation, listed by columns as Eigen stores it, and a
centre: x_camera = R (X - centre), with x right, y down, z forwards. A view's pose is that of its `poseId`; of a view of
a rig that is not independent, the `subPose` of its rig after that. Photos are as stored, of the size that intrinsics
state. What intrinsics mean is said in `lerf.scenes.readers.alicevision_lens`. Views without a pose are not listed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from lerf.documents import read_document
from lerf.errors import SceneError
from lerf.scenes.listing import Listing, Optics
from lerf.scenes.readers.alicevision_lens import Intrinsic, Version, optics_of
from lerf.scenes.readers.axes import from_centre
from lerf.scenes.readers.posed import Posed, PoseFile, listing_of
from lerf.scenes.readers.protocol import Reader, beginning_of, found_in, rivals_of
from lerf.scenes.readers.text_lines import AGAIN, finite, integer
from lerf.scenes.sparse_points import SparsePoints

NAMES = ("cameras.sfm", "sfm.json", "sfmData.json", "*.sfm")
FOLDERS = (".", "StructureFromMotion", "MeshroomCache/StructureFromMotion", "meshroom")
CACHE = "MeshroomCache/StructureFromMotion/*/"
"""Where Meshroom keeps what a node has computed, in a folder named by its content."""
LARGEST_WITH_POINTS = 1_000_000_000
"""Bytes of a file: a point with its observations takes two thousand."""

Text = str | int | float
"""What boost's property tree writes as text; later programs may write numbers."""


class Transform(msgspec.Struct):
    """A rotation, by columns, and a centre."""

    rotation: list[Text]
    center: list[Text]

    def matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """The rotation, world to camera, and the centre; NaN where what is there is none."""
        try:
            rotation, centre = ([float(value) for value in values] for values in (self.rotation, self.center))
        except ValueError:
            rotation, centre = [], []
        if (len(rotation), len(centre)) != (9, 3):
            return np.full((3, 3), np.nan), np.full(3, np.nan)
        return np.array(rotation).reshape(3, 3).T, np.array(centre)


class Pose(msgspec.Struct):
    """What `pose` holds."""

    transform: Transform


class PoseEntry(msgspec.Struct, rename="camel"):
    """An entry of `poses`."""

    pose_id: Text
    pose: Pose


class SubPose(msgspec.Struct):
    """Where one camera of a rig is: rig to camera."""

    pose: Transform
    status: str = "estimated"


class Rig(msgspec.Struct, rename="camel"):
    """Cameras that move together."""

    rig_id: Text
    sub_poses: list[SubPose] | str = ""


class View(msgspec.Struct, rename="camel"):
    """A photo."""

    path: str = ""
    view_id: Text = ""
    pose_id: Text = ""
    intrinsic_id: Text = ""
    rig_id: Text | None = None
    sub_pose_id: Text | None = None
    # sic
    is_pose_independant: Text | bool | None = None


class Document(msgspec.Struct):
    """The file without its points."""

    version: list[Text] | str = ""
    views: list[View] | str = ""
    intrinsics: list[Intrinsic] | str = ""
    poses: list[PoseEntry] | str = ""
    rigs: list[Rig] | str = ""
    structure: msgspec.Raw = msgspec.Raw()


class Observation(msgspec.Struct, rename="camel"):
    """That a view sees a point."""

    observation_id: Text


class Landmark(msgspec.Struct, rename={"position": "X"}):
    """A point."""

    position: list[Text]
    color: list[Text] | str = ""
    observations: list[Observation] | str = ""


class Structure(msgspec.Struct):
    """The points of a file, and the views that see them."""

    views: list[View] | str = ""
    structure: list[Landmark] | str = ""


def find(path: Path) -> Path | None:
    """A file of AliceVision's in the folder or where Meshroom keeps it, one with poses first."""
    cached = sorted(str(place.relative_to(path)) for place in path.glob(CACHE))
    folders = (*FOLDERS, *cached)
    return found_in(path, NAMES, _has_poses, folders) or found_in(path, NAMES, _is_one, folders)


def read(path: Path, root: Path) -> Listing:
    """Read the views with a pose.

    Raises:
        SceneError: the file is damaged, has no poses, or has a lens that cannot be expressed.
    """
    document = read_document(path, Document, error=SceneError, remedy=AGAIN, largest=LARGEST_WITH_POINTS)
    poses = {str(entry.pose_id): entry.pose.transform for entry in _list(document.poses)}
    if not poses:
        raise SceneError(
            f"{path} has no poses, as before Meshroom's StructureFromMotion: give cameras.sfm of that node's folder."
        )
    version = Version.of(_list(document.version), path)
    lenses: dict[str, Optics] = {}
    rigs = {str(rig.rig_id): _list(rig.sub_poses) for rig in _list(document.rigs)}
    together = _together(_list(document.views))
    intrinsics = {str(one.intrinsic_id): one for one in _list(document.intrinsics)}
    posed = []
    for view in _list(document.views):
        transform = poses.get(str(view.pose_id))
        if transform is None:
            continue
        number = str(view.intrinsic_id)
        if number not in intrinsics:
            raise SceneError(f"Photo {view.path} in {path} has intrinsics {number}, which are not there: {AGAIN}.")
        if number not in lenses:
            lenses[number] = optics_of(intrinsics[number], version, path)
        pose = _pose(transform, view, rigs, together)
        if pose is not None:
            posed.append(Posed(view.path, pose, lenses[number]))
    has_points = len(memoryview(document.structure)) > len(b'""')
    file = PoseFile(READER.name, path, rivals_of(path, NAMES, _has_poses), path if has_points else None)
    return listing_of(file, posed, root)


def points(path: Path) -> SparsePoints:
    """The points of a file; photos that see them are those of its views.

    Raises:
        SceneError: the file is damaged.
    """
    document = read_document(path, Structure, error=SceneError, remedy=AGAIN, largest=LARGEST_WITH_POINTS)
    views, landmarks = _list(document.views), _list(document.structure)
    place = {str(view.view_id): number for number, view in enumerate(views)}
    try:
        positions = [[finite(str(value)) for value in point.position] for point in landmarks]
        colours = [[integer(str(value)) for value in point.color or (128, 128, 128)] for point in landmarks]
        array = np.array(positions, np.float64).reshape(len(landmarks), 3)
        rgb = np.array(colours, np.int64).reshape(len(landmarks), 3)
    except (ValueError, OverflowError):
        raise SceneError(f"{path} has a point that is not three numbers with a colour: {AGAIN}.") from None
    pairs = [
        (number, place[str(seen.observation_id)])
        for number, point in enumerate(landmarks)
        for seen in _list(point.observations)
        if str(seen.observation_id) in place
    ]
    observations = np.array(pairs, np.int64).reshape(-1, 2)
    names = tuple(view.path for view in views)
    return SparsePoints(array, np.clip(rgb, 0, 255).astype(np.uint8), None, observations, names)


def _pose(
    transform: Transform, view: View, rigs: Mapping[str, Sequence[SubPose]], together: set[tuple[str, str]]
) -> np.ndarray | None:
    """A view's pose; None where the rig's has not been estimated."""
    rotation, centre = transform.matrices()
    if view.rig_id is not None and (str(view.pose_id), str(view.rig_id)) in together:
        places = rigs.get(str(view.rig_id), ())
        try:
            part = places[integer(str(view.sub_pose_id))]
        except (ValueError, IndexError):
            raise SceneError(f"Photo {view.path} is of a camera that its rig does not have: {AGAIN}.") from None
        if part.status == "uninitialized":
            return None
        turn, offset = part.pose.matrices()
        # x = turn (rotation (X - centre) - offset)
        rotation, centre = turn @ rotation, centre + rotation.T @ offset
    return from_centre(rotation, centre)


def _together(views: Sequence[View]) -> set[tuple[str, str]]:
    """Poses, with the rig, that are of a rig and not of one view.

    Files state it since 2021; before, views of one rig share a pose.
    """
    found: set[tuple[str, str]] = set()
    first: dict[tuple[str, str], str] = {}
    for view in views:
        if view.rig_id is None:
            continue
        key = str(view.pose_id), str(view.rig_id)
        said = None if view.is_pose_independant is None else str(view.is_pose_independant).lower()
        shared = first.setdefault(key, str(view.sub_pose_id)) != str(view.sub_pose_id)
        if said in ("false", "0") or (said is None and shared):
            found.add(key)
    return found


def _list(value: list[Any] | str) -> list[Any]:
    """A list that boost's property tree writes as empty text where it is empty."""
    return value if isinstance(value, list) else []


def _is_one(path: Path) -> bool:
    start = beginning_of(path)
    return b'"views"' in start and b'"version"' in start and b'"sfm_data_version"' not in start


def _has_poses(path: Path) -> bool:
    if not _is_one(path):
        return False
    with open(path, "rb") as file:
        overlap = b""
        for block in iter(lambda: file.read(1 << 20), b""):
            if b'"poses"' in overlap + block:
                return True
            overlap = block[-8:]
    return False


READER = Reader("alicevision", "Meshroom's cameras.sfm", find, read, points)
