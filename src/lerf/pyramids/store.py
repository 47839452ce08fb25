"""Embeddings of photos on disk: computed once, found again by content, never half written, read in part.

Where things lie is in `manifest.py`. Photos are decoded by a few threads a little ahead of the encoder, and only what
is missing is computed. Anything that does not fit together is computed again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float16, UInt8

from lerf.arrays import map_npy
from lerf.encoders.protocols import DenseEncoder, FeatureGrid, ImageTextEncoder
from lerf.errors import StorageError
from lerf.pyramids.manifest import (
    FOLDER,
    Archive,
    Use,
    cache_root,
    key_of,
    remove_leftovers,
)
from lerf.pyramids.plan import DEFAULT_OPTIONS, Compute, Mode, Plan, PyramidOptions, make_plan
from lerf.pyramids.records import Levels, Record

DECODERS = min(4, os.cpu_count() or 1)
"""Threads that decode photos and check what is stored."""
AHEAD = 2 * DECODERS
"""Photos that are decoded before they are needed."""


@runtime_checkable
class PhotoSource(Protocol):
    """Photos one at a time: 8-bit RGB as training uses them; asked for by several threads."""

    def __len__(self) -> int: ...

    def pixels(self, index: int) -> UInt8[np.ndarray, "height width 3"]: ...


Photos = PhotoSource | Sequence[Callable[[], UInt8[np.ndarray, "height width 3"]]]


@dataclass(frozen=True)
class PhotoEntry:
    """One photo of a store."""

    path: Path
    height: int
    width: int
    levels: Levels

    @property
    def cells(self) -> int:
        return sum(level.cells for level in self.levels)


@dataclass(frozen=True)
class PyramidStore:
    """Embeddings of a list of photos, in the order in which they were given; read through the page cache."""

    folder: Path
    encoder: str
    fingerprint: str
    mode: Mode
    width: int
    tile_ratios: tuple[float, ...]
    """Smallest first; one 0 for the single map of a dense encoder."""
    entries: tuple[PhotoEntry, ...]
    use: Use
    """Keeps `lerf cache prune` from deleting what is being read."""

    def __len__(self) -> int:
        return len(self.entries)

    def features(self, photo: int) -> Float16[np.ndarray, "cells width"]:
        """All levels of a photo, memory-mapped.

        Raises:
            StorageError: they were changed or removed since the store was opened.
        """
        entry = self.entries[photo]
        try:
            array = map_npy(entry.path)
        except (OSError, ValueError):
            array = None
        if array is None or array.shape != (entry.cells, self.width) or array.dtype != np.float16:
            raise StorageError(f"{entry.path} was changed or removed while it is in use; run the same command again.")
        return array

    def level(self, photo: int, level: int) -> Float16[np.ndarray, "rows columns width"]:
        """One level of a photo, memory-mapped."""
        levels = self.entries[photo].levels
        start = sum(before.cells for before in levels[:level])
        shape = (levels[level].rows, levels[level].columns, self.width)
        return self.features(photo)[start : start + levels[level].cells].reshape(shape)

    def grid(self, photo: int, level: int) -> FeatureGrid:
        """One level as a `FeatureGrid` in single precision."""
        chosen = self.entries[photo].levels[level]
        features = torch.from_numpy(np.array(self.level(photo, level), dtype=np.float32))
        return FeatureGrid(features, chosen.x0, chosen.y0, chosen.dx, chosen.dy)


def build_pyramids(
    photos: Photos,
    encoder: ImageTextEncoder | DenseEncoder,
    options: PyramidOptions = DEFAULT_OPTIONS,
    *,
    root: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    speed: Callable[[float], None] | None = None,
    device: str = "cpu",
    compute: Compute | None = None,
) -> PyramidStore:
    """Embed every photo that the cache does not hold yet, and open the result.

    Args:
        photos: an object with `__len__` and `pixels(i)`, or a list of functions without arguments.
        encoder: image-text encoder, or a dense encoder, whose one map a photo is stored as a single level.
        options: mode, tile ratios and border.
        root: cache folder; by default `cache_root()`.
        progress: called as `progress(done, total)` after each photo.
        speed: called before `progress` with the cells computed a second so far, once there are any.
        device: where the photos are handed to the encoder.
        compute: embeds the missing photos in place of this process, for example on a cluster.

    Raises:
        EncoderError: the encoder does not offer the mode.
        ConfigError: a tile ratio is out of range.
        StorageError: the cache cannot be written.
    """
    plan = make_plan(encoder, options)
    folder = (root or cache_root()) / FOLDER / key_of(plan.settings)
    remove_leftovers(folder)
    use = Use(folder)
    archive = Archive(folder, plan.settings)
    # Says what the folder is for from the first moment on, and takes in what a killed build has left in the journal.
    archive.fold()
    build = _Build(photos, plan, archive, progress, speed)
    with closing(build.missing()) as wanted:
        for index, array, levels in (compute or _compute_here(device))(plan, wanted):
            build.write(index, array, levels)
    archive.fold()
    return PyramidStore(
        folder, encoder.name, encoder.fingerprint, plan.mode, encoder.width, plan.tile_ratios, build.entries(), use
    )


class _Build:
    """The photos of one call of `build_pyramids`, and how far each of them is."""

    def __init__(
        self,
        photos: Photos,
        plan: Plan,
        archive: Archive,
        progress: Callable[[int, int], None] | None,
        speed: Callable[[float], None] | None,
    ) -> None:
        self._photos, self._plan, self._archive = photos, plan, archive
        self._progress, self._speed = progress, speed
        self._entries: list[PhotoEntry | None] = [None] * len(photos)
        self._in_work: dict[int, tuple[str, tuple[int, int]]] = {}
        """Key, and height and width, of the photos that are being embedded."""
        self._done = self._computed = 0
        self._start = 0.0

    def missing(self) -> Generator[tuple[int, np.ndarray], None, None]:
        """The photos that have to be embedded; those that the archive holds are entered on the way."""
        with closing(_prefetched(self._photos, self._archive, self._plan)) as ready:
            for index, key, pixels, record in ready:
                if record is not None:
                    self._finish(index, key, record)
                    continue
                assert pixels is not None
                self._in_work[index] = key, (pixels.shape[0], pixels.shape[1])
                self._start = self._start or time.perf_counter()
                yield index, pixels

    def write(self, index: int, array: np.ndarray, levels: Levels) -> None:
        """Store the embeddings of a missing photo."""
        key, size = self._in_work.pop(index)
        record = self._archive.write(key, array, size, levels)
        self._computed += record.cells
        if self._speed:
            self._speed(self._computed / (time.perf_counter() - self._start))
        self._finish(index, key, record)

    def entries(self) -> tuple[PhotoEntry, ...]:
        """All photos in order, once none is missing."""
        return tuple(entry for entry in self._entries if entry is not None)

    def _finish(self, index: int, key: str, record: Record) -> None:
        self._entries[index] = PhotoEntry(self._archive.path(key), record.height, record.width, record.levels)
        self._done += 1
        if self._progress:
            self._progress(self._done, len(self._photos))


def _compute_here(device: str) -> Compute:
    def compute(plan: Plan, photos: Iterator[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray, Levels]]:
        for index, pixels in photos:
            yield index, *plan.embed(pixels, device)

    return compute


def _prefetched(
    photos: Photos, archive: Archive, plan: Plan
) -> Generator[tuple[int, str, np.ndarray | None, Record | None], None, None]:
    """Photos in order as (index, key, pixels or None, record or None): pixels only where there is no whole record."""

    def read(index: int) -> tuple[int, str, np.ndarray | None, Record | None]:
        pixels = np.ascontiguousarray(_pixels(photos, index))
        key = photo_key(pixels)
        record = archive.verified(key, plan.encoder.width, plan.tile_ratios)
        if record is not None and (record.height, record.width) != pixels.shape[:2]:
            record = None
        return index, key, pixels if record is None else None, record

    pool = ThreadPoolExecutor(DECODERS)
    waiting: deque[Future[tuple[int, str, np.ndarray | None, Record | None]]] = deque()
    try:
        for index in range(len(photos)):
            waiting.append(pool.submit(read, index))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def photo_key(pixels: UInt8[np.ndarray, "height width 3"]) -> str:
    """Name of a photo in the cache: a hash of its shape and pixels."""
    digest = hashlib.sha256(repr((pixels.shape, str(pixels.dtype))).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()[:40]


def _pixels(photos: Any, index: int) -> np.ndarray:
    return photos.pixels(index) if hasattr(photos, "pixels") else photos[index]()
