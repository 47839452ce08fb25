"""The files of a COLMAP model: cameras and images, binary or text, as https://colmap.github.io/format.html says.

Whatever a file states of itself is held against what it has: counts against its length before anything is read by them,
and against what was read. The poses are those of the images: since version 3.12 they are those of `frames` and `rigs`
too, files that older programs do not have and that add nothing to images, so that they are not read. Text is taken with
a byte order mark, with Windows' line ends, in Latin-1, and with or without the lines of observations, blank ones
included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lerf.errors import SceneError
from lerf.files import is_file
from lerf.scenes.listing import Optics
from lerf.scenes.readers.colmap_models import model_named, model_numbered, optics_of
from lerf.scenes.readers.packed_file import PackedFile
from lerf.scenes.readers.text_lines import AGAIN, TextLines, integer

_NUMBERS = re.compile(r"[-+.\deE\s]*")


@dataclass(frozen=True)
class ModelImage:
    """One photo of a model."""

    number: int
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
    if not is_file(files[1]) and any(is_file(folder / f"frames.{form}") for form in ("bin", "txt")):
        raise SceneError(
            f"{folder} has frames and rigs but no images.bin, which names the photos that their poses are of: copy it "
            "too, or write the whole model again with `colmap model_converter`."
        )
    notes: list[str] = []
    numbered = list((_binary_cameras if files[0].suffix == ".bin" else _text_cameras)(files[0], notes))
    images = list((_binary_images if files[1].suffix == ".bin" else _text_images)(files[1], notes))
    cameras = dict(numbered)
    if len(cameras) < len(numbered):
        raise SceneError(f"{files[0]} lists two cameras with the same number: {AGAIN}.")
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
    return len(read_images(folder))


def read_images(folder: Path) -> list[ModelImage]:
    """The images of a model, in the order of their file.

    Raises:
        SceneError: as `read_model`, of its images.
    """
    files = files_of(folder)
    if files is None:
        return []
    return list((_binary_images if files[1].suffix == ".bin" else _text_images)(files[1], []))


def _binary_cameras(path: Path, notes: list[str]) -> Iterator[tuple[int, Optics]]:
    with PackedFile(path) as reader:
        for _ in range(reader.count(least=40)):
            number, kind, width, height = reader.take("<iiQQ")
            model = model_numbered(kind, path)
            yield number, optics_of(model, width, height, reader.take(f"<{len(model.parameters)}d"), path)
        reader.finish(notes)


def _binary_images(path: Path, notes: list[str]) -> Iterator[ModelImage]:
    with PackedFile(path) as reader:
        for _ in range(reader.count(least=73)):
            number, *numbers, camera = reader.take("<i7di")
            name = reader.text()
            reader.skip(24 * reader.take("<Q")[0])  # x, y and the 3D point of each observation
            yield ModelImage(number, name, camera, tuple(numbers[:4]), tuple(numbers[4:]))
        reader.finish(notes)


def _text_cameras(path: Path, notes: list[str]) -> Iterator[tuple[int, Optics]]:
    lines = TextLines(path)
    count = 0
    for line in lines:
        if not line:
            continue
        try:
            number, name, width, height, *values = line.split()
            fields = integer(number), integer(width), integer(height), [float(value) for value in values]
        except ValueError:
            raise SceneError(f"{path} has a line that is not a camera ({line[:80]!r}): {AGAIN}.") from None
        yield fields[0], optics_of(model_named(name, path), *fields[1:], path)
        count += 1
    lines.finish(count, "cameras", notes)


def _text_images(path: Path, notes: list[str]) -> Iterator[ModelImage]:
    """Two lines are an image: the second lists its observations, and is blank or left out where there are none."""
    lines = TextLines(path)
    count = bare = 0
    awaits_observations = is_bare = False
    for line in lines:
        if not line:
            is_bare = False
        elif awaits_observations and is_observations(line):
            awaits_observations = is_bare = False
        else:
            image = image_of(line)
            if image is None:
                raise SceneError(f"{path} has a line that is not an image ({line[:80]!r}): {AGAIN}.")
            yield image
            bare += is_bare
            count, awaits_observations, is_bare = count + 1, True, True
    if bare:
        bare += is_bare  # of the last image alone it may be a blank line that an editor cut off
        notes.append(f"{path} lacks the line of observations of {bare} of its {count} images: all {count} are used.")
    lines.finish(count, "images", notes)


def image_of(line: str) -> ModelImage | None:
    """The image that a line of images.txt is; None where it is none."""
    parts = line.split(maxsplit=9)
    if len(parts) != 10:
        return None
    try:
        values = tuple(float(part) for part in parts[1:8])
        return ModelImage(integer(parts[0]), parts[9], integer(parts[8]), values[:4], values[4:])
    except ValueError:
        return None


def is_observations(line: str) -> bool:
    """Whether a line is triples of numbers: x, y and the 3D point of each observation."""
    return bool(_NUMBERS.fullmatch(line)) and len(line.split()) % 3 == 0
