"""Captures posed by VisualSFM: a file of the form NVM_V3, with its points.

Conventions, from VisualSFM's documentation (ccwu.me/vsfm/doc.html, "NVM") and the bundle adjuster that writes it
(`DataInterface.h` and `util.h` of Multicore Bundle Adjustment): a line is the photo's name, focal length in pixels,
world-to-camera quaternion w x y z, the camera's position, radial distortion r and 0; the camera is x right, y down, z
forwards. The form NVM_V3_R9T has a rotation in three rows and a translation instead. Distortion is that of
measurements: with m in pixels from the principal point, (1 + r |m|^2 / f^2) m is where an ideal lens would have put it.
OpenCV's polynomial goes the other way, so k1 to k4 are fitted over the picture. The principal point is the photo's
middle, or cx cy of `FixedK fx cx fy cy` in the first line; pixels have their centres at +0.5 (SiftGPU's default).
Blanks in names are written as double quotes. Sizes are not stated: they are those of the photos as stored. A file may
hold several models, and a last one without points that lists the photos without a pose: the one with the most photos is
used, of those with points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lerf.errors import SceneError
from lerf.scenes.listing import Listing, Optics
from lerf.scenes.readers.axes import from_centre, from_world_to_camera, rotation_of_quaternion
from lerf.scenes.readers.number_text import NumberText
from lerf.scenes.readers.posed import Posed, PoseFile, listing_of, stored_size
from lerf.scenes.readers.protocol import Reader, beginning_of, found_in, rivals_of
from lerf.scenes.readers.radial import LARGEST_SHIFT, TOLD_SHIFT, fit_radial
from lerf.scenes.readers.text_lines import AGAIN, TextLines, finite, integer, numbers
from lerf.scenes.sparse_points import SparsePoints

HEADER, NAMES = b"NVM_V3", ("*.nvm",)
MOST_CAMERAS = 1_000_000
MOST_POINTS = 4_000_000


@dataclass(frozen=True)
class NvmCamera:
    """One line of a camera."""

    name: str
    focal: float
    pose: np.ndarray
    radial: float


@dataclass(frozen=True)
class NvmModel:
    """One of the models of a file."""

    cameras: list[NvmCamera]
    points: list[str] = field(default_factory=list)
    """Lines, where they were asked for."""
    count: int = 0
    """Of points."""


def find(path: Path) -> Path | None:
    """A file that begins as VisualSFM's."""
    return found_in(path, NAMES, _is_one)


def read(path: Path, root: Path) -> Listing:
    """Read the cameras of the largest model in an NVM file.

    Raises:
        SceneError: the file is damaged, or a lens cannot be expressed.
    """
    lines = _Lines(path)
    models = list(lines.models(with_points=False))
    if not models or not models[0].cameras:
        raise SceneError(f"{path} has no camera with a pose: reconstruct again, then save the NVM file.")
    largest = _largest(models)
    notes = rivals_of(path, NAMES, _is_one)
    others = [model for model in models if model is not largest and (model.count or not largest.count)]
    if others:
        counts = ", ".join(str(len(model.cameras)) for model in others)
        notes.append(
            f"{path} has {len(others) + 1} models: that with {len(largest.cameras)} photos is used, not {counts}."
        )
    posed = [Posed(camera.name, camera.pose, _optics(camera, lines.fixed, notes)) for camera in largest.cameras]
    file = PoseFile(READER.name, path, notes, path if largest.count else None)
    return listing_of(file, posed, root)


def points(path: Path) -> SparsePoints:
    """The points of the largest model in an NVM file.

    Raises:
        SceneError: the file is damaged.
    """
    models = list(_Lines(path).models(with_points=True))
    if not models:
        raise SceneError(f"{path} has no model: {AGAIN}.")
    largest = _largest(models)
    names = tuple(camera.name for camera in largest.cameras)
    text = NumberText("\n".join(largest.points), path)
    positions, colours, seen = text.tracks(largest.count, 4)
    if len(seen) and seen[:, 1].max() >= len(names):
        raise SceneError(f"{path} has points that other photos see than it has cameras for: {AGAIN}.")
    return SparsePoints(positions, colours, None, seen, names)


def _is_one(path: Path) -> bool:
    return beginning_of(path, 64).startswith(HEADER)


def _largest(models: list[NvmModel]) -> NvmModel:
    return max(models, key=lambda model: (model.count > 0, len(model.cameras)))


class _Lines:
    """The lines of an NVM file, taken model by model."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = (line for line in TextLines(path) if line)
        header = next(self._lines, "").split()
        if not header or not header[0].startswith(HEADER.decode()):
            raise SceneError(f"{path} is no file of VisualSFM's form {HEADER.decode()}: save it as one.")
        self._matrices = "R9T" in header[0]
        self.fixed: tuple[float, float, float, float] | None = None
        """fx, cx, fy, cy that hold for all photos."""
        if "FixedK" in header:
            try:
                fx, cx, fy, cy = (finite(value) for value in header[header.index("FixedK") + 1 :][:4])
            except ValueError:
                raise SceneError(f"{path} has a FixedK without its four numbers fx cx fy cy: {AGAIN}.") from None
            self.fixed = fx, cx, fy, cy

    def models(self, with_points: bool) -> Iterator[NvmModel]:
        """All models; reading stops at the count 0 that ends them, or where the file does."""
        while cameras := self._count(MOST_CAMERAS):
            listed = [self._camera(self._line()) for _ in range(cameras)]
            count = self._count(MOST_POINTS)
            lines = [line for line in (self._line() for _ in range(count)) if with_points]
            yield NvmModel(listed, lines, count)

    def _line(self) -> str:
        line = next(self._lines, None)
        if line is None:
            raise SceneError(f"{self._path} is cut off: copy it again or {AGAIN}.")
        return line

    def _count(self, most: int) -> int:
        line = next(self._lines, "0")
        try:
            count = integer(line.split()[0])
        except ValueError:
            count = -1
        if not 0 <= count <= most:
            raise SceneError(f"{self._path} has {line[:40]!r} where a count should be: {AGAIN}.")
        return count

    def _camera(self, line: str) -> NvmCamera:
        size = 15 if self._matrices else 10
        words = line.rsplit(maxsplit=size)
        try:
            focal, radial = finite(words[1]), finite(words[-2])
            values = numbers(words[2:-2], size - 3)
        except (ValueError, IndexError):
            raise SceneError(f"{self._path} has a line that is not a camera ({line[:80]!r}): {AGAIN}.") from None
        with np.errstate(all="ignore"):  # what is not finite is found by the check of all poses
            if self._matrices:
                pose = from_world_to_camera(np.array(values[:9]).reshape(3, 3), np.array(values[9:]))
            else:
                pose = from_centre(rotation_of_quaternion(values[:4]), np.array(values[4:]))
        return NvmCamera(words[0].replace('"', " "), focal, pose, radial)


def _optics(
    camera: NvmCamera, fixed: tuple[float, float, float, float] | None, notes: list[str]
) -> Callable[[Path], Optics]:
    def of(photo: Path) -> Optics:
        size = stored_size(photo)
        focal, centre = (camera.focal, camera.focal), None
        if fixed is not None and fixed[0] > 0:
            focal, centre = (camera.focal, camera.focal * fixed[2] / fixed[0]), (fixed[1], fixed[3])
        if size is None or not camera.radial or not min(focal) > 0:
            return Optics(size, focal, centre=centre or (None, None))
        return Optics(size, focal, centre=centre or (None, None), distortion=(*_fitted(camera, size, notes), 0.0, 0.0))

    return of


def _fitted(camera: NvmCamera, size: tuple[int, int], notes: list[str]) -> tuple[float, float, float, float]:
    """k1 to k4 of a photo of a size.

    Raises:
        SceneError: they cannot be found.
    """
    corner = 0.5 * math.hypot(*size) / camera.focal
    found, error = fit_radial(lambda radii: radii * (1 + camera.radial * radii**2), corner)
    shift = error * camera.focal / max(size)
    if not shift <= LARGEST_SHIFT:
        raise SceneError(
            f"The distortion of photo {camera.name} ({camera.radial:g}) cannot be expressed: undistort the photos with "
            "VisualSFM's Run CMVS/PMVS, and give the folder with its bundle.rd.out."
        )
    if shift > TOLD_SHIFT:
        notes.append(
            f"The distortion of photo {camera.name} is expressed to within {error * camera.focal:.2g} pixels only."
        )
    return found


READER = Reader("visual-sfm", "VisualSFM's NVM file", find, read, points)
