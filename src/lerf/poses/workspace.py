"""The folder in which poses are being solved: photos by number, COLMAP's database, and what they belong to.

It lies in the capture, as `.poses`. Its database is the checkpoint: points and matches that are there are not computed
again. Photos have numbers for names there, since COLMAP's lists part names at spaces.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from lerf.documents import read_document
from lerf.errors import RunError, SceneError, StorageError
from lerf.files import is_absent, is_file, resolved, write_atomically, write_json
from lerf.poses.inputs import SourcePhoto, kept_exif
from lerf.scenes.photos import WHITES, read_photo

FOLDER = ".poses"
STATE = "state.json"


class Workspace:
    """Reads and writes one such folder."""

    def __init__(self, capture: Path) -> None:
        self.capture = capture
        self.path = capture / FOLDER
        self.database = self.path / "database.db"
        self.numbered = self.path / "photos"
        self.models = self.path / "models"

    def start(self, about: dict[str, Any]) -> None:
        """Make the folder, or go on in it if it was begun with the same photos and settings.

        Args:
            about: what decides the outcome, as JSON values.

        Raises:
            RunError: the capture holds something else.
            StorageError: it cannot be written.
        """
        state = self.path / STATE
        if not is_absent(state):
            before = read_document(state, dict, error=RunError, remedy=f"delete {self.path} and start again")
            if before != about:
                changed = ", ".join(sorted(key for key in {*before, *about} if before.get(key) != about.get(key)))
                raise RunError(
                    f"{self.capture} was begun with other {changed}: choose another --output, or delete it to start "
                    "again."
                )
            return
        if not is_absent(self.capture) and not _is_empty(self.capture):
            raise RunError(f"{self.capture} is not empty: choose another --output for the capture with its poses.")
        write_json(state, about)

    def place(self, photos: Sequence[SourcePhoto], copy: bool, report: Callable[[int], object]) -> list[str]:
        """Put photos into the capture's `images` and, by number, into the workspace; return the numbers as names.

        Photos are hard links where the file system allows it and `copy` does not forbid it, copies otherwise. Those
        that COLMAP cannot read are PNG there and here; of those with more than 8 bits a value the workspace has 8.

        Raises:
            SceneError: a photo cannot be converted.
            StorageError: the folder cannot be written.
        """
        names = []
        for index, photo in enumerate(photos):
            target = self.capture / "images" / photo.name
            if not is_file(target):
                if photo.convert:
                    _write_png(photo, target)
                else:
                    put(photo.path, target, copy)
            lessened = photo.white is not None and not photo.convert
            names.append(f"{index:06d}{'.png' if lessened else target.suffix.lower()}")
            if not is_file(self.numbered / names[-1]):
                if lessened:
                    _write_png(photo, self.numbered / names[-1])
                else:
                    put(target, self.numbered / names[-1], False)
            report(index + 1)
        return names


def _is_empty(folder: Path) -> bool:
    try:
        return not os.listdir(folder)
    except OSError:  # no folder, or one that cannot be listed: not one to write into
        return False


def _write_png(photo: SourcePhoto, target: Path) -> None:
    """A photo's pixels as PNG of 8 bits a value, not turned, with its camera's EXIF data."""
    white = WHITES[4] if photo.white is None else photo.white
    image = Image.fromarray(read_photo(photo.path, white=white))
    write_atomically(target, partial(image.save, format="PNG", exif=kept_exif(photo)))


def put(source: Path, target: Path, copy: bool) -> None:
    """A file under another name too: a hard link, or a copy where that cannot be or `copy` is set.

    Raises:
        StorageError: the folder cannot be written.
    """
    if not copy:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(resolved(source), target)
            return
        except OSError:
            pass  # another file system, one without links, or none that can be written, which the copy then says
    try:
        with open(source, "rb") as file:
            write_atomically(target, lambda out: shutil.copyfileobj(file, out, 1 << 20))
    except OSError as error:
        raise StorageError(f"Cannot copy {source} to {target}: {error.strerror or error}.") from error


def content_of(paths: Sequence[Path]) -> str:
    """Hash of the names, sizes and times of files: whether they are those of the last time.

    Raises:
        SceneError: one cannot be looked at.
    """
    try:
        states = [(resolved(path), path.stat()) for path in paths]
    except OSError as error:
        raise SceneError(
            f"{error.filename} cannot be read ({(error.strerror or str(error)).lower()}): restore it."
        ) from None
    described = "\n".join(f"{path} {state.st_size} {state.st_mtime_ns}" for path, state in states)
    return hashlib.sha256(described.encode("utf-8", "surrogateescape")).hexdigest()[:24]
