"""`lerf cache ls|prune`: what the cache of features holds, and making it smaller."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lerf.apps.cache import Cache
from lerf.apps.sizes import size_text
from lerf.errors import ConfigError, StorageError
from lerf.files import is_folder, size_of
from lerf.masks import made
from lerf.pyramids.manifest import (
    FOLDER,
    Archive,
    cache_root,
    exclusively,
    last_used,
    read_settings,
    remove_folder,
    remove_leftovers,
)

DAY = 86400.0


@dataclass(frozen=True)
class Entry:
    """One folder of the cache; without settings it is damaged or of another version, and nothing can use it."""

    folder: Path
    settings: dict[str, Any] | None
    photos: int
    bytes: int
    unused_days: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        settings = self.settings or {}
        return {
            "folder": str(self.folder),
            "usable": self.settings is not None,
            "encoder": settings.get("encoder"),
            "mode": settings.get("mode"),
            "precision": settings.get("precision"),
            "tile_ratios": settings.get("tile_ratios"),
            "photos": self.photos,
            "bytes": self.bytes,
            "unused_days": round(self.unused_days, 2),
        }


def entries_of(root: Path) -> list[Entry]:
    """Everything under a cache folder, what was used last first."""
    found = [_entry(folder, read_settings(folder), "*/*.npy") for folder in _listed(root / FOLDER)]
    found += [_entry(folder, made.read_about(folder), "*/*.json") for folder in _listed(root / made.FOLDER)]
    return sorted(found, key=lambda entry: entry.unused_days)


def _entry(folder: Path, settings: dict[str, Any] | None, kept: str) -> Entry:
    files = [path for place, _, names in os.walk(folder) for path in (Path(place, name) for name in names)]
    photos = len(list(folder.glob(kept))) if settings else 0
    return Entry(folder, settings, photos, sum(map(size_of, files)), (time.time() - last_used(folder)) / DAY)


def _listed(folder: Path) -> list[Path]:
    """Folders in a folder."""
    try:
        return sorted(path for path in folder.iterdir() if is_folder(path)) if is_folder(folder) else []
    except OSError as error:
        raise StorageError(f"The cache {folder} cannot be listed ({error.strerror}); change its permissions.") from None


def cache(command: Cache, console: Console) -> dict[str, Any]:
    """List or prune.

    Raises:
        ConfigError: options of prune given to ls, or a negative age.
    """
    options = command.older_than is not None or command.encoder is not None or command.all
    if command.action == "ls" and options:
        raise ConfigError("--older-than, --encoder and --all are for 'lerf cache prune'; leave them out with ls.")
    if command.older_than is not None and command.older_than < 0:
        raise ConfigError(f"--older-than must not be negative, not {command.older_than}.")
    root = cache_root()
    found = entries_of(root)
    if command.action == "ls":
        _show(found, console, quiet=command.json)
        return {"cache": str(root), "bytes": sum(e.bytes for e in found), "entries": [e.to_dict() for e in found]}
    return _prune(command, found, root, console)


def _prune(command: Cache, found: list[Entry], root: Path, console: Console) -> dict[str, Any]:
    removed, kept_in_use, freed = [], [], 0
    for entry in found:
        old = command.older_than is not None and entry.unused_days >= command.older_than
        theirs = entry.settings is not None and command.encoder == entry.settings["encoder"]
        if command.all or entry.settings is None or old or theirs:
            if remove_folder(entry.folder):
                removed.append(str(entry.folder))
                freed += entry.bytes
            else:
                kept_in_use.append(str(entry.folder))
        else:
            freed += remove_leftovers(entry.folder) + _remove_unrecorded(entry)
    console.print(f"{len(removed)} folders removed, {size_text(freed)} freed.")
    if kept_in_use:
        console.print(f"In use by another process, and kept: {', '.join(kept_in_use)}.")
    return {"cache": str(root), "removed": removed, "in_use": kept_in_use, "freed_bytes": freed}


def _remove_unrecorded(entry: Entry) -> int:
    """Delete arrays that no record mentions, which a kill between the two leaves; returns bytes."""
    freed = 0
    if entry.folder.parent.name != FOLDER:
        return freed
    with exclusively(entry.folder) as alone:
        if alone and entry.settings is not None:
            archive = Archive(entry.folder, entry.settings)
            for path in entry.folder.glob("*/*.npy"):
                if archive.record(path.stem) is None:
                    freed += path.stat().st_size
                    path.unlink()
    return freed


def _show(found: list[Entry], console: Console, quiet: bool) -> None:
    if quiet:
        return
    if not found:
        console.print("The cache is empty.")
        return
    table = Table("encoder", "made by", "tile ratios", "photos", "size", "unused for")
    for entry in found:
        about = entry.settings or {}
        ratios = ", ".join(f"{ratio:g}" for ratio in about.get("tile_ratios", ()))
        table.add_row(
            str(about.get("encoder", "of no use")), str(about.get("mode", "")), ratios, str(entry.photos),
            size_text(entry.bytes), f"{entry.unused_days:.1f} days",
        )  # fmt: skip
    console.print(table)
    damaged = [entry for entry in found if entry.settings is None]
    for entry in damaged:
        console.print(f"Damaged or of another version, and of no use: {entry.folder} ({size_text(entry.bytes)}).")
    if damaged:
        console.print("Remove what is of no use with: lerf cache prune")
