"""Which photos and videos are given, and which of them one physical camera took."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import ExifTags, Image

from lerf.errors import SceneError
from lerf.files import is_file, is_folder
from lerf.scenes.photos import Size, read_header

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".heic", ".heif", ".avif", ".mpo")
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".3gp")
AS_THEY_ARE = ("JPEG", "MPO", "PNG")
"""Formats that the solver reads; photos in others are converted to PNG."""


@dataclass(frozen=True)
class SourcePhoto:
    """One photo as it was given."""

    path: Path
    name: str
    """Under `images/` of the capture, forward slashes."""
    camera: str
    """What tells its camera from others: folder, maker, model, focal length, size."""
    size: Size
    """As stored."""
    orientation: int
    """EXIF orientation, 1 to 8."""
    convert: bool
    """Whether the solver cannot read its format."""


@dataclass(frozen=True)
class Inputs:
    """What `lerf poses` was given."""

    photos: tuple[tuple[Path, str], ...]
    """Each file with its name under `images/`, in the order of the names."""
    videos: tuple[Path, ...]
    unused: tuple[str, ...]
    """Names of files that are neither."""


def find_inputs(given: Sequence[Path]) -> Inputs:
    """Photos and videos among files and folders; folders are searched with their subfolders, hidden files left out.

    Raises:
        SceneError: a path is not there, or there is neither a video nor two photos.
    """
    photos: list[tuple[Path, str]] = []
    videos: list[Path] = []
    unused: list[str] = []
    for path in given:
        if not is_file(path) and not is_folder(path):
            raise SceneError(f"{path} is no file and no folder: give photos, a folder of photos, or a video.")
        for file, name in _files(path):
            suffix = file.suffix.lower()
            if suffix in PHOTO_SUFFIXES:
                photos.append((file, name))
            elif suffix in VIDEO_SUFFIXES:
                videos.append(file)
            else:
                unused.append(name)
    if not videos and len(photos) < 2:
        count = "one photo" if photos else "no photos"
        raise SceneError(f"{given[0]} holds {count} and no video: give two photos or more, taken from other positions.")
    return Inputs(tuple(_distinct(sorted(photos, key=lambda item: item[1]))), tuple(videos), tuple(unused))


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    """Regular files at or under a path, with their names relative to it."""
    if is_file(path):
        yield path, path.name
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            file = Path(folder) / name
            if not name.startswith(".") and is_file(file):
                yield file, file.relative_to(path).as_posix()


def _distinct(photos: list[tuple[Path, str]]) -> Iterator[tuple[Path, str]]:
    """Photos with names that differ, in whatever case and Unicode form a file system compares them."""
    taken: set[str] = set()
    for path, name in photos:
        pure, number = PurePosixPath(unicodedata.normalize("NFC", name)), 1
        free = str(pure)
        while free.casefold() in taken:
            number += 1
            free = str(pure.with_name(f"{pure.stem}_{number}{pure.suffix}"))
        taken.add(free.casefold())
        yield path, free


def looked_at(photos: Sequence[tuple[Path, str]]) -> list[SourcePhoto]:
    """Photos with what their headers say.

    Raises:
        SceneError: a photo cannot be read.
    """
    found = []
    for path, name in photos:
        header = read_header(path)
        with Image.open(path) as image:
            kind, exif = image.format or "", _exif_of_camera(image)
        folder = str(PurePosixPath(name).parent)
        camera = "|".join([folder, *exif, f"{header.size[0]}x{header.size[1]}"])
        convert = kind not in AS_THEY_ARE
        if convert:
            name = str(PurePosixPath(name).with_suffix(".png"))
        found.append(SourcePhoto(path, name, camera, header.size, header.orientation, convert))
    return found


def _exif_of_camera(image: Image.Image) -> tuple[str, ...]:
    """Maker, model, lens and focal length; empty where the file does not say."""
    try:
        exif = image.getexif()
        inner = exif.get_ifd(ExifTags.IFD.Exif)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError):
        return ("", "", "", "")
    values = (
        exif.get(ExifTags.Base.Make),
        exif.get(ExifTags.Base.Model),
        inner.get(ExifTags.Base.LensModel),
        inner.get(ExifTags.Base.FocalLength),
    )
    return tuple("" if value is None else str(value).strip("\0 ") for value in values)
