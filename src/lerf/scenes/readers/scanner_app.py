"""All data of a scan by the iOS app "3d Scanner App": frame_00000.json, and a photo for some of these files.

`cameraPoseARFrame` is the 4x4 matrix from camera to world, row by row, of ARKit's camera: x right, y up, z backwards,
in a world whose y is up. `intrinsics` is a 3x3 matrix, row by row, whose principal point is relative to the middle of
the first pixel: `projectionMatrix`, with which the vendor's example projects, has it half a pixel further from the
picture's corner, and gives the picture's size as well ("Point Projection Example" in laanlabs/3dScannerApp_samples).
Depths and confidences are left alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from lerf.documents import read_document
from lerf.errors import SceneError
from lerf.files import is_file
from lerf.scenes.finder import PhotoFinder, name_in
from lerf.scenes.listing import Listing, Optics, Shot, checked_size
from lerf.scenes.photos import Size
from lerf.scenes.readers.protocol import Reader, beginning_of
from lerf.scenes.readers.unnamed_photos import naturally_sorted

PATTERN = "frame_*.json"
REMEDY = "export all data of the scan again"
LARGEST = 1_000_000
"""Bytes of the file of one frame."""

Number = float | Literal["NaN"]
Sixteen = Annotated[list[Number], msgspec.Meta(min_length=16, max_length=16)]
Nine = Annotated[list[float], msgspec.Meta(min_length=9, max_length=9)]


class ScannedFrame(msgspec.Struct, kw_only=True):
    """One frame; it also has its time, how the phone moved, and how long it was exposed."""

    cameraPoseARFrame: Sixteen  # noqa: N815
    intrinsics: Nine
    projectionMatrix: Annotated[list[float], msgspec.Meta(min_length=16, max_length=16)] | None = None  # noqa: N815

    def optics(self, name: str) -> Optics:
        """Intrinsics of the photo called `name`.

        Raises:
            SceneError: they are none.
        """
        fx, skew, cx, zero, fy, cy, *last = self.intrinsics
        if [skew, zero, *last] != [0, 0, 0, 0, 1]:
            raise SceneError(f"The intrinsics of {name} are not fx, 0, cx, 0, fy, cy, 0, 0, 1: {REMEDY}.")
        return Optics(self._size(fx, fy, name), (fx, fy), centre=(cx + 0.5, cy + 0.5))

    def _size(self, fx: float, fy: float, name: str) -> Size | None:
        """The picture's size, over which twice the focal length is the scale of the projection."""
        if self.projectionMatrix is None:
            return None
        scales = self.projectionMatrix[0], self.projectionMatrix[5]
        if not min(*scales, fx, fy) > 1e-6:
            raise SceneError(f"The projectionMatrix of {name} is no projection: {REMEDY}.")
        return checked_size(round(2 * fx / scales[0]), round(2 * fy / scales[1]), name)


def find(path: Path) -> Path | None:
    """A folder with files of frames; a path may also be one of these."""
    folder = path.parent if is_file(path) else path
    if is_file(path) and not path.match(PATTERN):
        return None
    first = next(iter(folder.glob(PATTERN)), None)
    return folder if first is not None and b'"cameraPoseARFrame"' in beginning_of(first) else None


def read(folder: Path, _root: Path) -> Listing:
    """Read the frames that have a photo; every 8th is held out.

    Raises:
        SceneError: for anything in the files that cannot be used.
    """
    files = naturally_sorted([file for file in folder.glob(PATTERN) if is_file(file)])
    finder = PhotoFinder()
    pairs = [(file, finder.find(folder / file.stem)) for file in files]
    taken = [(file, photo) for file, photo in pairs if photo.name != file.stem]
    if not taken:
        raise SceneError(f"None of the {len(files)} frames in {folder} has a photo: {REMEDY}.")
    shots = []
    for file, photo in taken:
        frame = read_document(file, ScannedFrame, error=SceneError, remedy=REMEDY, largest=LARGEST, nan_is_text=True)
        values = [np.nan if value == "NaN" else value for value in frame.cameraPoseARFrame]
        name = name_in(folder, photo)
        shots.append(Shot(name, photo, np.array(values, np.float64).reshape(4, 4), frame.optics(name)))
    notes = []
    if len(taken) < len(files):
        notes = [f"{len(taken)} of the {len(files)} frames in {folder} have a photo, as the app keeps one of several."]
    return Listing(folder, shots, None, {"format": READER.name}, notes)


READER = Reader("3d-scanner-app", "3d Scanner App's frame_00000.json", find, read)
