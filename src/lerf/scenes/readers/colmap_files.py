"""The files of a COLMAP model: cameras and images, binary or text, as https://colmap.github.io/format.html says.

Whatever a file states of itself is held against what it has: counts against its length before anything is read by
them, and against what was read. Text is taken with a byte order mark, with Windows' line ends, in Latin-1, and with or
without the lines of observations, blank ones included.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lerf.errors import SceneError
from lerf.files import is_file
from lerf.scenes.listing import Optics
from lerf.scenes.readers.colmap_models import model_named, model_numbered, optics_of

LONGEST_NAME = 4096
"""Bytes of a photo's name."""
LONGEST_LINE = 64_000_000
"""Characters of a line: a million observations of one photo."""

_AGAIN = "export it again"
_STATED = re.compile(r"#\s*Number of (?:cameras|images):\s*(\d{1,12})\b", re.IGNORECASE)
_NUMBERS = re.compile(r"[-+.\deE\s]*")
_INTEGER = re.compile(r"[-+]?\d{1,18}")


@dataclass(frozen=True)
class ModelImage:
    """One photo of a model."""

    name: str
    camera: int
    quaternion: tuple[float, ...]
    """World to camera; w, x, y, z."""
    translation: tuple[float, ...]


@dataclass(frozen=True)
class Model:
    """What a model's files hold."""

    folder: Path
    cameras: dict[int, Optics]
    images: list[ModelImage]
    notes: tuple[str, ...]
    """What was repaired or does not agree; see `lerf.scenes.scene.Scene.notes`."""


def files_of(folder: Path) -> tuple[Path, Path] | None:
    """The files of cameras and images in a folder, binary before text; None where there are no cameras.

    That of images may be missing.
    """
    cameras, images = (
        next(
            (file for file in (folder / f"{name}.bin", folder / f"{name}.txt") if is_file(file)), folder / f"{name}.txt"
        )
        for name in ("cameras", "images")
    )
    return (cameras, images) if is_file(cameras) else None


def read_model(folder: Path) -> Model:
    """Read the files of a model.

    Raises:
        SceneError: they are missing, cut off or malformed, or have a camera that is not supported.
    """
    files = files_of(folder)
    if files is None:
        raise SceneError(f"{folder} holds no COLMAP model: give the folder with cameras.bin and images.bin.")
    notes: list[str] = []
    numbered = list((_binary_cameras if files[0].suffix == ".bin" else _text_cameras)(files[0], notes))
    images = list((_binary_images if files[1].suffix == ".bin" else _text_images)(files[1], notes))
    cameras = dict(numbered)
    if len(cameras) < len(numbered):
        raise SceneError(f"{files[0]} lists two cameras with the same number: {_AGAIN}.")
    beside = folder / "images.txt"
    if files[1].suffix == ".bin" and is_file(beside):
        # Told only where it matters: COLMAP's own converter leaves both.
        count = len(list(_text_images(beside, [])))
        if count != len(images):
            notes.append(f"images.txt of {folder} has {count} photos and images.bin {len(images)}: images.bin is used.")
    return Model(folder, cameras, images, tuple(notes))


def count_images(folder: Path) -> int:
    """How many photos a model has.

    Raises:
        SceneError: as `read_model`, of its images.
    """
    files = files_of(folder)
    if files is None:
        return 0
    return len(list((_binary_images if files[1].suffix == ".bin" else _text_images)(files[1], [])))


def _binary_cameras(path: Path, notes: list[str]) -> Iterator[tuple[int, Optics]]:
    with _Reader(path) as reader:
        for _ in range(reader.count(least=40)):
            number, kind, width, height = reader.take("<iiQQ")
            model = model_numbered(kind, path)
            yield number, optics_of(model, width, height, reader.take(f"<{len(model.parameters)}d"), path)
        reader.finish(notes)


def _binary_images(path: Path, notes: list[str]) -> Iterator[ModelImage]:
    with _Reader(path) as reader:
        for _ in range(reader.count(least=73)):
            _, *numbers, camera = reader.take("<i7di")
            name = reader.text()
            reader.skip(24 * reader.take("<Q")[0])  # x, y and the 3D point of each observation
            yield ModelImage(name, camera, tuple(numbers[:4]), tuple(numbers[4:]))
        reader.finish(notes)


def _text_cameras(path: Path, notes: list[str]) -> Iterator[tuple[int, Optics]]:
    lines = _Lines(path)
    count = 0
    for line in lines:
        if not line:
            continue
        try:
            number, name, width, height, *values = line.split()
            fields = _integer(number), _integer(width), _integer(height), [float(value) for value in values]
        except ValueError:
            raise SceneError(f"{path} has a line that is not a camera ({line[:80]!r}): {_AGAIN}.") from None
        yield fields[0], optics_of(model_named(name, path), *fields[1:], path)
        count += 1
    lines.finish(count, "cameras", notes)


def _text_images(path: Path, notes: list[str]) -> Iterator[ModelImage]:
    """Two lines are an image: the second lists its observations, and is blank or left out where there are none."""
    lines = _Lines(path)
    count = bare = 0
    awaits_observations = is_bare = False
    for line in lines:
        if not line:
            is_bare = False
        elif awaits_observations and _is_observations(line):
            awaits_observations = is_bare = False
        else:
            image = _image_of(line)
            if image is None:
                raise SceneError(f"{path} has a line that is not an image ({line[:80]!r}): {_AGAIN}.")
            yield image
            bare += is_bare
            count, awaits_observations, is_bare = count + 1, True, True
    if bare:
        bare += is_bare  # of the last image alone it may be a blank line that an editor cut off
        notes.append(f"{path} lacks the line of observations of {bare} of its {count} images: all {count} are used.")
    lines.finish(count, "images", notes)


def _image_of(line: str) -> ModelImage | None:
    parts = line.split(maxsplit=9)
    if len(parts) != 10:
        return None
    try:
        _integer(parts[0])
        values = tuple(float(part) for part in parts[1:8])
        return ModelImage(parts[9], _integer(parts[8]), values[:4], values[4:])
    except ValueError:
        return None


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is no integer")
    return int(text)


def _is_observations(line: str) -> bool:
    """Whether a line is triples of numbers: x, y and the 3D point of each observation."""
    return bool(_NUMBERS.fullmatch(line)) and len(line.split()) % 3 == 0


class _Lines:
    """The lines of a text file without comments, stripped; and how many entries its comments say that it has."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stated: int | None = None
        self._latin = False

    def __iter__(self) -> Iterator[str]:
        with _opened(self._path) as file:
            if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
                raise SceneError(f"{self._path} is written in UTF-16: save it as UTF-8.")
            file.seek(0)
            for data in iter(lambda: file.readline(LONGEST_LINE), b""):
                if len(data) == LONGEST_LINE:
                    raise SceneError(f"{self._path} has a line of {LONGEST_LINE} characters: {_AGAIN}.")
                # Old programs end lines with a carriage return alone.
                for part in data.removesuffix(b"\n").removesuffix(b"\r").split(b"\r"):
                    yield from self._line(part.removeprefix(b"\xef\xbb\xbf").strip(b" \t"))

    def _line(self, data: bytes) -> Iterator[str]:
        try:
            line = data.decode()
        except UnicodeDecodeError:
            line = data.decode("latin-1")
            self._latin = True
        if not line.startswith("#"):
            yield line
        elif stated := _STATED.match(line):
            self._stated = int(stated[1])

    def finish(self, count: int, what: str, notes: list[str]) -> None:
        """Hold what was read against what the file says of itself."""
        if self._stated is not None and self._stated != count:
            notes.append(f"{self._path} says that it has {self._stated} {what} but lists {count}: these are used.")
        if self._latin:
            notes.append(f"{self._path} is not in UTF-8: its names are read as Latin-1.")


class _Reader:
    """Takes packed numbers and texts off a file, front to back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _opened(path)
        self._length = os.fstat(self._file.fileno()).st_size

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def count(self, least: int) -> int:
        """The number of entries, each of which has `least` bytes or more."""
        count = self.take("<Q")[0]
        if count * least > self._length - self._file.tell():
            raise self._cut_off()
        return count

    def take(self, form: str) -> tuple:
        size = struct.calcsize(form)
        data = self._file.read(size)
        if len(data) < size:
            raise self._cut_off()
        return struct.unpack(form, data)

    def text(self) -> str:
        start = self._file.tell()
        data = self._file.read(LONGEST_NAME + 1)
        end = data.find(b"\0")
        if end < 0:
            if len(data) <= LONGEST_NAME:
                raise self._cut_off()
            raise SceneError(f"{self._path} has a photo whose name does not end: {_AGAIN}.")
        self._file.seek(start + end + 1)
        try:
            return data[:end].decode()
        except UnicodeDecodeError:
            return data[:end].decode("latin-1")

    def skip(self, count: int) -> None:
        if count > self._length - self._file.tell():
            raise self._cut_off()
        self._file.seek(count, os.SEEK_CUR)

    def finish(self, notes: list[str]) -> None:
        """Tell what lies behind the last entry."""
        left = self._length - self._file.tell()
        if left:
            notes.append(f"{self._path} goes on for {left} bytes after the entries that it counts: these are not read.")

    def _cut_off(self) -> SceneError:
        return SceneError(f"{self._path} is cut off: copy it again or {_AGAIN}.")


def _opened(path: Path) -> BinaryIO:
    if not is_file(path):
        raise SceneError(f"{path} cannot be read: {_AGAIN}.")
    try:
        return open(path, "rb")
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise SceneError(f"{path} cannot be read ({said}): make it readable, or {_AGAIN}.") from None
