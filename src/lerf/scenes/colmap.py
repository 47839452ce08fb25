"""Captures posed by COLMAP: cameras and images, binary or text.

The capture frame is COLMAP's world. COLMAP stores world-to-camera with x right, y down, z forwards; poses here are
camera-to-world with y up and z backwards. File layout as documented at https://colmap.github.io/format.html.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lerf.errors import SceneError
from lerf.scenes.assemble import PhotoFinder, assemble
from lerf.scenes.listing import Optics, Shot, checked_pose, checked_size, held_out
from lerf.scenes.scene import Scene

MODEL_FOLDERS = (".", "sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse")
"""Where cameras and images are looked for under a capture."""

_MODELS = (
    ("SIMPLE_PINHOLE", 3),
    ("PINHOLE", 4),
    ("SIMPLE_RADIAL", 4),
    ("RADIAL", 5),
    ("OPENCV", 8),
    ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12),
    ("FOV", 5),
    ("SIMPLE_RADIAL_FISHEYE", 4),
    ("RADIAL_FISHEYE", 5),
    ("THIN_PRISM_FISHEYE", 12),
    ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
)
"""Name and number of parameters; the position is the number that binary files use."""
_PARAMETERS = dict(_MODELS)
_SUPPORTED = _MODELS[:6]


@dataclass(frozen=True)
class _Image:
    name: str
    camera: int
    quaternion: tuple[float, ...]
    """World to camera; w, x, y, z."""
    translation: tuple[float, ...]


def find_model(path: Path) -> Path | None:
    """The folder under `path` that holds a COLMAP model, None when there is none."""
    for name in MODEL_FOLDERS:
        folder = path / name
        if any((folder / f"cameras{suffix}").is_file() for suffix in (".bin", ".txt")):
            return folder
    return None


def load_colmap(path: Path, downscale: int | None = None) -> Scene:
    """Read the COLMAP model at or under `path`, photos in the order of their names.

    Photos are looked for in the folder `images` of the capture, or else in the capture's folder itself. When `path` is
    the model's own folder, the capture is the nearest folder above it with a folder `images`. Every 8th photo is held
    out, see `held_out`.

    Raises:
        SceneError: when the model is incomplete or cut off, uses an unsupported camera model, or a photo is missing.
    """
    model = find_model(path)
    if model is None:
        raise SceneError(f"{path} holds no COLMAP model: give the folder with cameras.bin and images.bin.")
    cameras = _read_cameras(model)
    images = sorted(_read_images(model), key=lambda image: image.name)
    root = _capture_folder(path, model)
    folder = root / "images" if (root / "images").is_dir() else root
    finder = PhotoFinder()
    shots = []
    for image in images:
        if image.camera not in cameras:
            raise SceneError(f"Photo {image.name} uses camera {image.camera}, which {model} lacks: export it again.")
        photo = finder.find(folder / image.name)
        name = photo.relative_to(root).as_posix()
        shots.append(Shot(name, photo, _pose(image), cameras[image.camera]))
    split = held_out([shot.name for shot in shots])
    return assemble(root, shots, split, downscale, {"format": "colmap", "model": str(model)})


def _capture_folder(path: Path, model: Path) -> Path:
    if model.resolve() != path.resolve():
        return path
    above = [path, *path.resolve().parents[:3]]
    return next((folder for folder in above if (folder / "images").is_dir()), path)


def _pose(image: _Image) -> np.ndarray:
    w, x, y, z = image.quaternion
    length = np.sqrt(w * w + x * x + y * y + z * z)
    if not length > 0 or not np.isfinite(length):
        raise SceneError(f"The pose of photo {image.name} has no valid rotation: register the photo again.")
    w, x, y, z = (value / length for value in (w, x, y, z))
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    position = -rotation.T @ np.array(image.translation)
    return checked_pose(np.column_stack([rotation.T * [1, -1, -1], position]), image.name)


def _optics(model: str, width: int, height: int, values: Sequence[float], where: Path) -> Optics:
    if model not in dict(_SUPPORTED):
        raise SceneError(
            f"{where} uses the camera model {model}, which is not supported: convert the capture with `colmap "
            "image_undistorter`, or estimate it with OPENCV or OPENCV_FISHEYE."
        )
    if len(values) != _PARAMETERS[model]:
        raise SceneError(f"A {model} camera in {where} needs {_PARAMETERS[model]} parameters: export the model again.")
    one_focal = model in ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
    fx, fy, cx, cy, *rest = [values[0], *values] if one_focal else values
    k1, k2, third, fourth = (*rest, 0.0, 0.0, 0.0, 0.0)[:4]
    fisheye = model == "OPENCV_FISHEYE"
    # The third and fourth number are tangential in OPENCV, and two more radial terms in OPENCV_FISHEYE.
    distortion = (k1, k2, third, fourth, 0.0, 0.0) if fisheye else (k1, k2, 0.0, 0.0, third, fourth)
    size = checked_size(width, height, f"of camera in {where}")
    return Optics(size, (fx, fy), centre=(cx, cy), distortion=distortion, fisheye=fisheye)


def _read_cameras(model: Path) -> dict[int, Optics]:
    binary = model / "cameras.bin"
    return dict(_binary_cameras(binary) if binary.is_file() else _text_cameras(model / "cameras.txt"))


def _read_images(model: Path) -> list[_Image]:
    binary = model / "images.bin"
    return list(_binary_images(binary) if binary.is_file() else _text_images(model / "images.txt"))


def _binary_cameras(path: Path) -> Iterator[tuple[int, Optics]]:
    reader = _Reader(path)
    for _ in range(reader.take("<Q")[0]):
        number, kind, width, height = reader.take("<iiQQ")
        if not 0 <= kind < len(_MODELS):
            yield number, _optics(f"number {kind}", width, height, (), path)
        model, count = _MODELS[kind]
        yield number, _optics(model, width, height, reader.take(f"<{count}d"), path)


def _binary_images(path: Path) -> Iterator[_Image]:
    reader = _Reader(path)
    for _ in range(reader.take("<Q")[0]):
        _, *numbers, camera = reader.take("<i7di")
        name = reader.text()
        reader.skip(24 * reader.take("<Q")[0])  # x, y and the 3D point of each observation
        yield _Image(name, camera, tuple(numbers[:4]), tuple(numbers[4:]))


def _text_cameras(path: Path) -> Iterator[tuple[int, Optics]]:
    for line in _lines(path):
        if not line.strip():
            continue
        try:
            number, model, width, height, *values = line.split()
            fields = int(number), model, int(width), int(height), [float(value) for value in values]
        except ValueError as error:
            raise SceneError(f"{path} has a line that is not a camera ({line.strip()!r}): export it again.") from error
        yield fields[0], _optics(*fields[1:], path)


def _text_images(path: Path) -> Iterator[_Image]:
    lines = iter(_lines(path))
    for line in lines:
        if not line.strip():
            continue
        try:
            _, *numbers, camera, name = line.strip().split(maxsplit=9)
            values = [float(number) for number in numbers]
            image = _Image(name, int(camera), tuple(values[:4]), tuple(values[4:]))
        except ValueError as error:
            raise SceneError(f"{path} has a line that is not an image ({line.strip()!r}): export it again.") from error
        if len(values) != 7:
            raise SceneError(f"{path} has a line that is not an image ({line.strip()!r}): export it again.")
        yield image
        # The second line of each image lists its observations; it is there even when it is empty.
        next(lines, None)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SceneError(f"{path} cannot be read: export the COLMAP model again.") from error
    return [line for line in text.splitlines() if not line.startswith("#")]


class _Reader:
    """Takes packed numbers and texts off a file, front to back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        try:
            self._data = path.read_bytes()
        except OSError as error:
            raise SceneError(f"{path} cannot be read: export the COLMAP model again.") from error

    def take(self, form: str) -> tuple:
        try:
            values = struct.unpack_from(form, self._data, self._offset)
        except struct.error as error:
            raise self._cut_off() from error
        self._offset += struct.calcsize(form)
        return values

    def text(self) -> str:
        end = self._data.find(b"\0", self._offset)
        if end < 0:
            raise self._cut_off()
        value = self._data[self._offset : end].decode("utf-8", "replace")
        self._offset = end + 1
        return value

    def skip(self, count: int) -> None:
        self._offset += count
        if self._offset > len(self._data):
            raise self._cut_off()

    def _cut_off(self) -> SceneError:
        return SceneError(f"{self._path} is cut off: copy it again or export the COLMAP model again.")
