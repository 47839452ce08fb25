"""Captures posed by RealityCapture or RealityScan: the CSV of its "Internal/External camera parameters".

The header is `#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2`; the template can be changed in the program,
and px, py and the distortion may be missing.

Conventions, from nerfstudio's converter (nerfstudio/process_data/realitycapture_utils.py, made for this file and tried
on it) and the loader of Brush, which agree: x, y and alt are the camera's position. With angles in degrees,
Rz(-heading) Rx(pitch) Ry(roll) takes the camera to the world, with OpenGL axes. f is the focal length as on film of 36
mm, so that f / 36 of the photo's longer side is that in pixels; px and py are the principal point's distance from the
photo's middle over its longer side. k1 to k4 and t1, t2 are Brown's terms k1 to k4, p1 and p2, of r on the plane at
distance 1. No half pixel is added, since the middle is half the size. The file states no sizes: photos are taken as
shown, that is turned as their EXIF orientation says. A file written with the division model looks the same and would be
misread: the program's default is Brown's.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from lerf.errors import SceneError
from lerf.scenes.listing import Listing, Optics
from lerf.scenes.readers.posed import Posed, PoseFile, listing_of, shown_size
from lerf.scenes.readers.protocol import Reader, beginning_of, found_in, rivals_of
from lerf.scenes.readers.text_lines import AGAIN, TextLines, finite

NAMES = ("*.csv",)
FILM = 36.0
"""Millimetres of the longer side that focal lengths are for."""
NEEDED = ("name", "x", "y", "alt", "heading", "pitch", "roll", "f")
LENS = ("f", "px", "py", "k1", "k2", "k3", "k4", "t1", "t2")


def find(path: Path) -> Path | None:
    """A CSV file with the columns of this export."""
    return found_in(path, NAMES, _is_one)


def read(path: Path, root: Path) -> Listing:
    """Read the cameras of a file.

    Raises:
        SceneError: the file is damaged, or has no camera.
    """
    lines = TextLines(path, comment="")
    notes = rivals_of(path, NAMES, _is_one)
    columns: tuple[str, ...] | None = None
    posed = []
    try:
        for words in csv.reader(line for line in lines if line):
            if columns is None:
                columns = _columns(",".join(words))
            elif len(words) < len(columns):
                raise SceneError(
                    f"{path} has a line with {len(words)} of {len(columns)} values ({words[0][:40]!r}): {AGAIN}."
                )
            else:
                posed.append(_posed(dict(zip(columns, words, strict=False)), path))
    except csv.Error as error:
        raise SceneError(f"{path} is not valid CSV ({error}): {AGAIN}.") from None
    if columns is None or not posed:
        raise SceneError(f"{path} has no camera: align the photos, then export the registration again.")
    lines.finish(len(posed), "cameras", notes)
    return listing_of(PoseFile(READER.name, path, notes), posed, root)


def _posed(row: Mapping[str, str], path: Path) -> Posed:
    try:
        x, y, alt, heading, pitch, roll = (float(row[key]) for key in NEEDED[1:-1])
        lens = [finite(row.get(key) or "0") for key in LENS]
    except ValueError:
        raise SceneError(f"Photo {row['name'][:80]} in {path} has a value that is no number: {AGAIN}.") from None
    pose = np.column_stack([_rotation(heading, pitch, roll), [x, y, alt]])
    return Posed(row["name"].strip(), pose, _optics(lens))


def _rotation(heading: float, pitch: float, roll: float) -> np.ndarray:
    """Camera to world, OpenGL axes, from degrees; NaN where one is not finite."""
    angles = (-heading, pitch, roll)
    if not all(map(math.isfinite, angles)):
        return np.full((3, 3), np.nan)
    (cz, sz), (cx, sx), (cy, sy) = ((math.cos(angle), math.sin(angle)) for angle in map(math.radians, angles))
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    return about_z @ about_x @ about_y


def _optics(lens: list[float]) -> Callable[[Path], Optics]:
    f, px, py, k1, k2, k3, k4, t1, t2 = lens

    def of(photo: Path) -> Optics:
        size = shown_size(photo)
        longer = max(size or (1, 1))
        width, height = size or (1, 1)
        centre = (width / 2 + px * longer, height / 2 + py * longer)
        return Optics(size, (f * longer / FILM,) * 2, centre=centre, distortion=(k1, k2, k3, k4, t1, t2))

    return of


def _columns(line: str) -> tuple[str, ...] | None:
    """The names of the columns; None for a line that does not have those that are needed."""
    names = tuple(name.strip().lstrip("#").strip().lower() for name in line.split(","))
    return names if set(NEEDED) <= set(names) else None


def _is_one(path: Path) -> bool:
    """The header may follow a line that states the number of cameras."""
    lines = beginning_of(path, 4096).decode("latin-1").splitlines()[:2]
    return any(_columns(line) for line in lines)


READER = Reader("reality-capture", "RealityCapture's CSV of camera parameters", find, read)
