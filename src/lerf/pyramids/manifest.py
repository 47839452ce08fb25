"""What a folder of embeddings holds: one manifest, a journal of what was added since, and locks.

Layout: `<root>/pyramids/<key>/` holds `manifest.json` and, for each photo, `<xx>/<photo>.npy`, where `photo` is a hash
of its pixels as used, `xx` its first two digits and `key` a hash of the settings: encoder, tiles and mode. An array is
half precision, its levels one after another, `[cells, width]`. Whoever writes an array writes `<photo>.json` after it:
the journal, one whole file a photo, so that any number of processes may write at once and a kill costs one photo. When
a build ends the journal is folded into the manifest. An array without a record does not count.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float16

from lerf.arrays import map_npy
from lerf.errors import StorageError
from lerf.files import is_file, is_still_at, write_atomically
from lerf.pyramids.records import (
    Levels,
    Record,
    json_bytes,
    levels_of,
    read_journal,
    read_manifest_file,
    record_of_row,
)

try:
    import fcntl
except ImportError:  # Windows has no such locks: there, leave the cache alone while something else writes to it
    fcntl = None  # type: ignore[assignment]

MANIFEST = "manifest.json"
FOLDER = "pyramids"
"""Inside the cache folder."""


def cache_root() -> Path:
    """`$LERF_CACHE`, or `~/.cache/lerf`."""
    given = os.environ.get("LERF_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "lerf"


def key_of(settings: dict[str, Any]) -> str:
    """Name of the folder for these settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:24]


class Archive:
    """One folder: the photos of one encoder at one set of settings."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        """Read the manifest; without a readable one of these settings the folder counts as empty."""
        self.folder, self.settings = folder, settings
        self._known = read_manifest(folder, settings) or {}

    def path(self, photo: str) -> Path:
        """Where the array of a photo is."""
        return self.folder / photo[:2] / f"{photo}.npy"

    def record(self, photo: str) -> Record | None:
        """What journal or manifest say of a photo; the array is not looked at."""
        return read_journal(self.path(photo).with_suffix(".json")) or self._known.get(photo)

    def verified(self, photo: str, width: int, ratios: Sequence[float]) -> Record | None:
        """The record of a photo if its array is whole: length, shape, levels and SHA-256 are as recorded."""
        record, path = self.record(photo), self.path(photo)
        if record is None or [level.tile_ratio for level in record.levels] != list(ratios):
            return None
        try:
            if path.stat().st_size != record.bytes:
                return None
            array = map_npy(path)
        except (OSError, ValueError):
            return None
        if array.shape != (record.cells, width) or array.dtype != np.float16:
            return None
        return record if hashlib.sha256(array.data).hexdigest() == record.sha256 else None

    def write(
        self, photo: str, array: Float16[np.ndarray, "cells width"], size: tuple[int, int], levels: Levels
    ) -> Record:
        """Keep the embeddings of a photo of `size` (height, width): the array first, then its record in the journal.

        Raises:
            StorageError: the disk is full or may not be written.
        """
        path = self.path(photo)
        write_atomically(path, lambda file: np.save(file, array))
        digest = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
        record = Record(*size, levels, path.stat().st_size, digest)
        plain = {**record.__dict__, "levels": [astuple(level) for level in levels], "check": record.check}
        write_atomically(path.with_suffix(".json"), lambda file: file.write(json_bytes(plain)))
        return record

    def fold(self) -> None:
        """Move the journal into the manifest, which is the same whatever the order in which photos were written."""
        with locked(self.folder, "manifest"):
            before = read_manifest(self.folder, self.settings)
            known = before or {}
            journals = sorted(self.folder.glob("??/*.json"))
            for path in journals:
                record = read_journal(path)
                if record is not None:
                    known[path.stem] = record
            if journals or before is None:
                write_manifest(self.folder, self.settings, known)
            for path in journals:
                path.unlink(missing_ok=True)
        self._known = known


def write_manifest(folder: Path, settings: dict[str, Any], records: dict[str, Record]) -> None:
    """Records sorted by photo; the levels of photos of one size are written once."""
    layouts = sorted({record.levels for record in records.values()}, key=lambda levels: [astuple(x) for x in levels])
    place = {levels: index for index, levels in enumerate(layouts)}
    value = {
        "settings": settings,
        "layouts": [[astuple(level) for level in levels] for levels in layouts],
        "photos": {
            photo: [record.height, record.width, place[record.levels], record.bytes, record.sha256, record.check]
            for photo, record in records.items()
        },
    }
    write_atomically(folder / MANIFEST, lambda file: file.write(json_bytes(value)))


def read_manifest(folder: Path, settings: dict[str, Any] | None = None) -> dict[str, Record] | None:
    """Records by photo, without those that are damaged; None without a readable manifest, or where it is of other
    `settings`."""
    value = read_manifest_file(folder / MANIFEST)
    if value is None or (settings is not None and value.settings != settings):
        return None
    layouts = [levels_of(levels) for levels in value.layouts]
    found = {photo: record_of_row(row, layouts) for photo, row in value.photos.items()}
    return {photo: record for photo, record in found.items() if record is not None}


def read_settings(folder: Path) -> dict[str, Any] | None:
    """The settings in a folder's manifest, with all that `Settings` has; None without a readable one of this format."""
    value = read_manifest_file(folder / MANIFEST)
    return None if value is None else value.settings


class Use:
    """Says that a folder is in use, until it is closed or forgotten; many may use one at a time."""

    def __init__(self, folder: Path) -> None:
        self._closing = weakref.finalize(self, _lock(folder, "use", shared=True).close)

    def close(self) -> None:
        self._closing()


def remove_leftovers(folder: Path) -> int:
    """Remove unfinished files that killed processes left, unless another process uses the folder; returns bytes."""
    with exclusively(folder) as alone:
        if not alone:
            return 0
        freed = 0
        for path in folder.glob("**/.*"):
            if is_file(path):
                freed += path.stat().st_size
                path.unlink(missing_ok=True)
        return freed


def remove_folder(folder: Path) -> bool:
    """Delete a folder and its locks; False, and nothing is done, while a process uses it."""
    with exclusively(folder) as alone:
        if alone:
            shutil.rmtree(folder, ignore_errors=True)
            for name in ("use", "manifest"):
                _lock_path(folder, name).unlink(missing_ok=True)
        return alone


@contextlib.contextmanager
def exclusively(folder: Path) -> Iterator[bool]:
    """Whether nobody uses the folder, and nobody begins to meanwhile."""
    try:
        file = _lock(folder, "use", shared=False)
    except BlockingIOError:
        yield False
        return
    with file:
        yield True


@contextlib.contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """One process at a time."""
    with _lock(folder, name, shared=False, wait=True):
        yield


def last_used(folder: Path) -> float:
    """When a folder was last opened, seconds since 1970."""
    lock = _lock_path(folder, "use")
    return (lock if is_file(lock) else folder).stat().st_mtime


def _lock_path(folder: Path, name: str) -> Path:
    return folder.with_name(f"{folder.name}.{name}")


def _lock(folder: Path, name: str, shared: bool, wait: bool = False) -> BinaryIO:
    """Beside the folder, so that it can be held while the folder is deleted.

    Raises:
        BlockingIOError: another process holds it, and neither `shared` nor `wait` was asked for.
        StorageError: the cache cannot be written.
    """
    path = _lock_path(folder, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            file = open(path, "ab")  # noqa: SIM115
            if fcntl is None:
                return file
            try:
                kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
                fcntl.flock(file, kind if shared or wait else kind | fcntl.LOCK_NB)
                # Whoever held it may have deleted the file meanwhile: a lock on a deleted file keeps nobody out.
                if is_still_at(path, file.fileno()):
                    if shared:
                        os.utime(path)
                    return file
            except BaseException:
                file.close()
                raise
            file.close()
    except BlockingIOError:
        raise
    except OSError as error:
        raise StorageError(
            f"Cannot write {path}: {error.strerror or error}. Free space or choose another cache with LERF_CACHE."
        ) from error
