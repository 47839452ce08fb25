"""Which photos and videos are given, and which of them one physical camera took."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path, PurePosixPath

from PIL import ExifTags, Image

from lerf.errors import SceneError
from lerf.files import is_file, is_folder
from lerf.scenes.finder import EXTENSIONS
from lerf.scenes.photos import WHITES, Size, read_header, white_of
from lerf.scenes.pictures import exif_tag, opened

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".3gp")
AS_THEY_ARE = ("JPEG", "MPO", "PNG")
"""Formats that COLMAP reads as `read_photo` does, and that other programs read too; others are converted to PNG."""
LONGEST_FOCAL = 10_000.0
"""Millimetres."""


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
    """Whether its format is none of `AS_THEY_ARE`, so that the capture gets a PNG of it."""
    white: int | None = None
    """Value that is white in it where it has more than 8 bits: the solver gets 8 of those that are in use."""
    kind: str = ""
    """Its format, as notes call it."""


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
            if suffix in EXTENSIONS:
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
    headers = [read_header(path) for path, _ in photos]
    abouts = [_about(path) for path, _ in photos]
    deep = [path for (path, _), header in zip(photos, headers, strict=True) if header.deep]
    white = white_of(deep) if deep else WHITES[0]
    renamed = [
        (path, name if about[0] in AS_THEY_ARE else str(PurePosixPath(name).with_suffix(".png")))
        for (path, name), about in zip(photos, abouts, strict=True)
    ]
    found = []
    for (path, name), header, (kind, *exif) in zip(_distinct(renamed), headers, abouts, strict=True):
        folder = str(PurePosixPath(name).parent)
        camera = "|".join([folder, *exif, f"{header.size[0]}x{header.size[1]}"])
        convert, depth = kind not in AS_THEY_ARE, white if header.deep else None
        found.append(SourcePhoto(path, name, camera, header.size, header.orientation, convert, depth, kind))
    return found


def notes_of(photos: Sequence[SourcePhoto]) -> list[str]:
    """What is done to photos before they are looked at, in sentences."""
    said = []
    converted = sorted({photo.kind for photo in photos if photo.convert})
    if converted:
        count = sum(photo.convert for photo in photos)
        many = "One photo is" if count == 1 else f"{count} photos are"
        said.append(f"{many} stored as PNG in the capture, from {', '.join(converted)}.")
    deep = [photo for photo in photos if photo.white is not None]
    if deep:
        many = "One photo has" if len(deep) == 1 else f"{len(deep)} photos have"
        said.append(f"{many} more than 8 bits a value; {deep[0].white} is taken for white.")
    return said


def _about(path: Path) -> tuple[str, str, str, str, str]:
    """Format, and of the camera maker, model, lens and focal length; empty where the file does not say."""
    try:
        with opened(path, "Photo") as image:
            values = (
                exif_tag(image, ExifTags.Base.Make),
                exif_tag(image, ExifTags.Base.Model),
                exif_tag(image, ExifTags.Base.LensModel, ExifTags.IFD.Exif),
                exif_tag(image, ExifTags.Base.FocalLength, ExifTags.IFD.Exif),
            )
            kind = image.format or ""
    except SceneError:  # a TIFF of floats has a header that Pillow does not know
        return ("TIFF", "", "", "", "")
    make, model, lens, focal = ("" if value is None else str(value).strip("\0 ") for value in values)
    return (kind, make, model, lens, focal)


def kept_exif(photo: SourcePhoto) -> Image.Exif:
    """What a photo that is converted keeps of its EXIF data: camera, focal lengths and orientation."""
    kept, lengths = Image.Exif(), {}
    kept[ExifTags.Base.Orientation] = photo.orientation
    try:
        with opened(photo.path, "Photo") as image:
            for tag in (ExifTags.Base.Make, ExifTags.Base.Model):
                if isinstance(text := exif_tag(image, tag), str):
                    kept[tag] = text
            for tag in (ExifTags.Base.FocalLength, ExifTags.Base.FocalLengthIn35mmFilm):
                value = exif_tag(image, tag, ExifTags.IFD.Exif)
                if isinstance(value, Real) and 0 < float(value) < LONGEST_FOCAL:
                    lengths[tag] = float(value) if tag == ExifTags.Base.FocalLength else round(float(value))
    except SceneError:  # as in `_about`
        pass
    if lengths:
        kept[ExifTags.IFD.Exif] = lengths
    return kept
