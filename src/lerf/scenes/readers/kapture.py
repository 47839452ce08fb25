"""Captures in kapture's form: the folder `sensors`, with points in `reconstruction/points3d.txt`.

Conventions, from kapture's definition of its form (kapture_format.adoc, version 1.1): text is comma-separated; paths of
photos are relative to `sensors/records_data`. A pose is a quaternion w x y z and a translation that take the world to a
device, a camera or a rig, as in COLMAP: x right, y down, z forwards; rigs.txt takes a rig to its sensors. Cameras are
COLMAP's models, with the picture's size before their parameters, and so is the pixel, whose centre is at +0.5
(`lerf.scenes.readers.colmap_models`). A photo has a pose where its camera, or a rig that holds it, has one at its
timestamp; others are not listed. Depths and other sensors are not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lerf.errors import SceneError
from lerf.files import is_file
from lerf.scenes.listing import Listing, Optics
from lerf.scenes.readers.axes import from_world_to_camera, rotation_of_quaternion
from lerf.scenes.readers.colmap_models import model_named
from lerf.scenes.readers.colmap_models import optics_of as colmap_optics
from lerf.scenes.readers.posed import PHOTO_FOLDERS, Posed, PoseFile, listing_of
from lerf.scenes.readers.protocol import Reader
from lerf.scenes.readers.text_lines import AGAIN, TextLines, finite, integer, numbers
from lerf.scenes.sparse_points import SparsePoints

SENSORS = "sensors"
NEEDED = ("sensors.txt", "records_camera.txt", "trajectories.txt")
RECORDS = "records_data"
POINTS, OBSERVATIONS = "reconstruction/points3d.txt", "reconstruction/observations.txt"
DEEPEST = 8
"""Rigs in rigs."""

Place = tuple[np.ndarray, np.ndarray]
"""R and t of x_device = R x + t."""
Rigs = dict[str, list[tuple[str, Place]]]
"""By the device that is held: the rigs that hold it, and from each of these to it."""


def find(path: Path) -> Path | None:
    """The folder that holds `sensors`; a path may also be that, or a file in it."""
    for folder in (path, path.parent if path.name == SENSORS else path, path.parent.parent if is_file(path) else path):
        if all(is_file(folder / SENSORS / name) for name in NEEDED[:2]):
            return folder
    return None


def read(folder: Path, _root: Path) -> Listing:
    """Read the photos with a pose.

    Raises:
        SceneError: a file is missing or damaged, or a camera is not supported.
    """
    sensors = folder / SENSORS
    if not is_file(sensors / NEEDED[2]):
        raise SceneError(f"{sensors} has no {NEEDED[2]}, so no poses: export the capture with its poses.")
    notes: list[str] = []
    cameras = _cameras(sensors / NEEDED[0])
    trajectories = _trajectories(sensors / NEEDED[2])
    rigs = _rigs(sensors / "rigs.txt")
    lenses: dict[str, Optics] = {}
    posed = []
    for row in _rows(sensors / NEEDED[1], 3):
        time, device, name = _time(row[0], sensors / NEEDED[1]), row[1], row[2]
        place = _place(time, device, trajectories, rigs)
        if place is None:
            continue
        if device not in cameras:
            raise SceneError(f"Photo {name} in {sensors} is of {device[:40]}, which {NEEDED[0]} lacks: {AGAIN}.")
        if device not in lenses:
            lenses[device] = _optics(device, cameras[device], sensors / NEEDED[0])
        with np.errstate(all="ignore"):  # what is not finite is found by the check of all poses
            posed.append(Posed(name, from_world_to_camera(*place), lenses[device]))
    if not posed:
        raise SceneError(f"No photo in {sensors} has a pose in {NEEDED[2]} at its timestamp: export them together.")
    points_path = folder / POINTS if is_file(folder / POINTS) else None
    places = (f"{SENSORS}/{RECORDS}", RECORDS, *PHOTO_FOLDERS)
    return listing_of(PoseFile(READER.name, folder, notes, points_path, places), posed, folder)


def points(path: Path) -> SparsePoints:
    """The points of a capture, and which photos see them where observations.txt is there.

    Raises:
        SceneError: a file is damaged.
    """
    folder = path.parent.parent
    try:
        rows = [[finite(value) for value in row[:6]] for row in _rows(path, 3)]
        table = np.array(rows, np.float64).reshape(len(rows), -1)
    except ValueError:
        raise SceneError(f"{path} has a line that is not a point X, Y, Z, R, G, B: {AGAIN}.") from None
    colours = np.clip(np.rint(table[:, 3:6]), 0, 255).astype(np.uint8) if table.shape[1] == 6 else None
    names = [row[2] for row in _rows(folder / SENSORS / NEEDED[1], 3)]
    seen = _observations(folder / OBSERVATIONS, names, len(table)) if is_file(folder / OBSERVATIONS) else None
    return SparsePoints(table[:, :3].reshape(-1, 3), colours, None, seen, tuple(names))


def _observations(path: Path, names: Sequence[str], count: int) -> np.ndarray:
    """(point, photo) pairs: a line has a point's number, a kind of key points, and path and feature by turns.

    Points are numbered by their lines. A photo sees a point once, whatever its kinds of key points.

    Raises:
        SceneError: a number is none, or of a point that is not there.
    """
    place = {name: number for number, name in enumerate(names)}
    pairs = []
    for row in _rows(path, 2):
        try:
            point = integer(row[0])
        except ValueError:
            point = -1
        if not 0 <= point < count:
            raise SceneError(f"{path} speaks of point {row[0][:20]!r}, which points3d.txt does not have: {AGAIN}.")
        # Before version 1.1 the kind was not stated.
        pairs += [(point, place[name]) for name in row[1 + (len(row) % 2 == 0) :: 2] if name in place]
    return np.array(list(dict.fromkeys(pairs)), np.int64).reshape(-1, 2)


def _rows(path: Path, least: int) -> Iterator[list[str]]:
    """The values of each line that is not blank.

    Raises:
        SceneError: one has fewer values.
    """
    for line in TextLines(path):
        if line:
            row = [value.strip() for value in line.split(",")]
            if len(row) < least:
                raise SceneError(f"{path} has a line with {len(row)} values ({line[:40]!r}): {AGAIN}.")
            yield row


def _cameras(path: Path) -> dict[str, list[str]]:
    """By device, the model and its numbers."""
    return {row[0]: row[3:] for row in _rows(path, 3) if row[2] == "camera"}


def _optics(device: str, values: Sequence[str], path: Path) -> Optics:
    """
    Raises:
        SceneError: the model is not supported, or its numbers are none.
    """
    if not values or values[0] == "UNKNOWN_CAMERA":
        raise SceneError(
            f"Camera {device[:40]} in {path} has no known intrinsics: calibrate it, for example with COLMAP."
        )
    try:
        width, height, *parameters = (finite(value) for value in values[1:])
        if (width, height) != (int(width), int(height)):
            raise ValueError("a size is a whole number")
        return colmap_optics(model_named(values[0], path), int(width), int(height), parameters, path)
    except ValueError:
        raise SceneError(f"Camera {device[:40]} in {path} has a value that is no number: {AGAIN}.") from None


def _trajectories(path: Path) -> dict[tuple[int, str], Place]:
    return {(_time(row[0], path), row[1]): _transform(row[2:], path) for row in _rows(path, 9)}


def _rigs(path: Path) -> Rigs:
    held: Rigs = {}
    for row in _rows(path, 9) if is_file(path) else ():
        held.setdefault(row[1], []).append((row[0], _transform(row[2:], path)))
    return held


def _transform(values: Sequence[str], path: Path) -> Place:
    """
    Raises:
        SceneError: the values are not seven numbers.
    """
    try:
        stated = numbers([value or "nan" for value in values[:7]], 7)
    except ValueError:
        raise SceneError(f"{path} has a pose that is not seven numbers ({values[0][:20]!r}): {AGAIN}.") from None
    return rotation_of_quaternion(stated[:4]), np.array(stated[4:])


def _time(text: str, path: Path) -> int:
    try:
        return integer(text)
    except ValueError:
        raise SceneError(f"{path} has {text[:40]!r} where a timestamp should be: {AGAIN}.") from None


def _place(
    time: int, device: str, trajectories: dict[tuple[int, str], Place], rigs: Rigs, depth: int = 0
) -> Place | None:
    """World to a device at a time: its own pose, or that of a rig that holds it; None where there is neither."""
    if (time, device) in trajectories:
        return trajectories[time, device]
    for rig, (turn, offset) in rigs.get(device, ()) if depth < DEEPEST else ():
        place = _place(time, rig, trajectories, rigs, depth + 1)
        if place is not None:
            with np.errstate(all="ignore"):
                return turn @ place[0], turn @ place[1] + offset
    return None


READER = Reader("kapture", "kapture's sensors/trajectories.txt", find, read, points)
