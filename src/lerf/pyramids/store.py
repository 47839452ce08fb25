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
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float16, UInt8
from torch import Tensor

from lerf.encoders.protocols import (
    DenseEncoder,
    DenseImageTextEncoder,
    FeatureGrid,
    ImageTextEncoder,
    PyramidEncoder,
)
from lerf.errors import ConfigError, EncoderError
from lerf.pyramids.manifest import (
    FOLDER,
    FORMAT,
    Archive,
    Level,
    Levels,
    Record,
    Use,
    cache_root,
    key_of,
    remove_leftovers,
)
from lerf.pyramids.tiles import STRIDE_RATIO, Border, encode_level

Mode = Literal["dense", "tiles", "map"]
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
        """All levels of a photo, memory-mapped."""
        return np.load(self.entries[photo].path, mmap_mode="r")

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


@dataclass(frozen=True)
class Plan:
    """How photos become embeddings: what decides their bytes, and so the name of their folder."""

    encoder: ImageTextEncoder | DenseEncoder
    mode: Mode
    tile_ratios: tuple[float, ...]
    border: Border

    @property
    def settings(self) -> dict[str, Any]:
        """What goes into the key of the folder."""
        settings: dict[str, Any] = {
            "format": FORMAT,
            "encoder": self.encoder.name,
            "fingerprint": self.encoder.fingerprint,
            "precision": getattr(self.encoder, "precision", "float32"),
            "width": self.encoder.width,
            "mode": self.mode,
            "tile_ratios": list(self.tile_ratios),
        }
        return settings | ({"border": self.border, "stride_ratio": STRIDE_RATIO} if self.mode == "tiles" else {})

    def embed(
        self, pixels: UInt8[np.ndarray, "height width 3"], device: str = "cpu"
    ) -> tuple[Float16[np.ndarray, "cells channels"], Levels]:
        """Embeddings of one photo, level after level, and where their cells lie."""
        image = torch.from_numpy(pixels).to(device).permute(2, 0, 1).float() / 255.0
        grids = self._grids(image)
        array = torch.cat([grid.features.flatten(0, 1) for grid in grids]).to(torch.float16).cpu().numpy()
        return array, tuple(
            Level(ratio, *grid.features.shape[:2], *map(float, (grid.x0, grid.y0, grid.dx, grid.dy)))
            for ratio, grid in zip(self.tile_ratios, grids, strict=True)
        )

    def _grids(self, image: Tensor) -> Sequence[FeatureGrid]:
        encoder: Any = self.encoder
        if self.mode == "map":
            return [encoder.encode_photo(image)]
        if self.mode == "tiles":
            return [encode_level(image, encoder, ratio, self.border) for ratio in self.tile_ratios]
        if isinstance(encoder, PyramidEncoder):
            return encoder.encode_photo_levels(image, self.tile_ratios)
        return [encoder.encode_photo_at(image, ratio) for ratio in self.tile_ratios]


Compute = Callable[[Plan, Iterator[tuple[int, np.ndarray]]], Iterator[tuple[int, np.ndarray, Levels]]]
"""Embeds photos that come as (index, pixels), and gives back (index, embeddings, levels) in any order."""


def make_plan(
    encoder: ImageTextEncoder | DenseEncoder,
    mode: Mode | None = None,
    tile_ratios: Sequence[float] | None = None,
    border: Border = "edge",
) -> Plan:
    """The plan of an encoder and what the caller overrides.

    Raises:
        EncoderError: the encoder does not offer `mode`.
        ConfigError: a tile ratio is out of range.
    """
    chosen = mode_in_use(encoder, mode)
    if chosen == "map":
        return Plan(encoder, chosen, (0.0,), border)
    ratios = tuple(sorted(tile_ratios or encoder.defaults.tile_ratios))  # type: ignore[union-attr]
    if not all(0.0 < ratio <= 1.0 for ratio in ratios):
        raise ConfigError(f"Tile ratios must lie in (0, 1], not {ratios}.")
    return Plan(encoder, chosen, ratios, border)


def build_pyramids(
    photos: Photos,
    encoder: ImageTextEncoder | DenseEncoder,
    *,
    mode: Mode | None = None,
    tile_ratios: Sequence[float] | None = None,
    border: Border = "edge",
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
        mode: `dense` (one pass a level), `tiles` (tile by tile) or `map` (dense encoder); by default the encoder's own.
        tile_ratios: heights of tiles over the photo's height; by default the encoder's own.
        border: treatment of tiles that stick out of the photo; only in mode `tiles`.
        root: cache folder; by default `cache_root()`.
        progress: called as `progress(done, total)` after each photo.
        speed: called before `progress` with the cells computed a second so far, once there are any.
        device: where the photos are handed to the encoder.
        compute: embeds the missing photos in place of this process, for example on a cluster.

    Raises:
        EncoderError: the encoder does not offer `mode`.
        ConfigError: a tile ratio is out of range.
        StorageError: the cache cannot be written.
    """
    plan = make_plan(encoder, mode, tile_ratios, border)
    folder = (root or cache_root()) / FOLDER / key_of(plan.settings)
    remove_leftovers(folder)
    use = Use(folder)
    archive = Archive(folder, plan.settings)
    # Says what the folder is for from the first moment on, and takes in what a killed build has left in the journal.
    archive.fold()
    entries: list[PhotoEntry | None] = [None] * len(photos)
    keys: dict[int, str] = {}
    sizes: dict[int, tuple[int, int]] = {}
    done = computed = 0
    start = 0.0

    def finish(index: int, record: Record) -> None:
        nonlocal done
        entries[index] = PhotoEntry(archive.path(keys.pop(index)), record.height, record.width, record.levels)
        done += 1
        if progress:
            progress(done, len(photos))

    def missing() -> Generator[tuple[int, np.ndarray], None, None]:
        nonlocal start
        with closing(_prefetched(photos, archive, plan)) as ready:
            for index, key, pixels, record in ready:
                keys[index] = key
                if record is not None:
                    finish(index, record)
                    continue
                assert pixels is not None
                sizes[index] = (pixels.shape[0], pixels.shape[1])
                start = start or time.perf_counter()
                yield index, pixels

    with closing(missing()) as wanted:
        for index, array, levels in (compute or _compute_here(device))(plan, wanted):
            record = archive.write(keys[index], array, sizes.pop(index), levels)
            computed += record.cells
            if speed:
                speed(computed / (time.perf_counter() - start))
            finish(index, record)
    archive.fold()
    whole = tuple(entry for entry in entries if entry is not None)
    return PyramidStore(
        folder, encoder.name, encoder.fingerprint, plan.mode, encoder.width, plan.tile_ratios, whole, use
    )


def _compute_here(device: str) -> Compute:
    def compute(plan: Plan, photos: Iterator[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray, Levels]]:
        for index, pixels in photos:
            yield index, *plan.embed(pixels, device)

    return compute


def _prefetched(
    photos: Photos, archive: Archive, plan: Plan
) -> Generator[tuple[int, str, np.ndarray | None, Record | None], None, None]:
    """Photos in order as (index, key, pixels or None, record or None): pixels only where there is no whole record."""

    def look(index: int) -> tuple[int, str, np.ndarray | None, Record | None]:
        pixels = np.ascontiguousarray(_pixels(photos, index))
        key = photo_key(pixels)
        record = archive.verified(key, plan.encoder.width, plan.tile_ratios)
        return index, key, pixels if record is None else None, record

    pool = ThreadPoolExecutor(DECODERS)
    waiting: deque[Future[tuple[int, str, np.ndarray | None, Record | None]]] = deque()
    try:
        for index in range(len(photos)):
            waiting.append(pool.submit(look, index))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def mode_in_use(encoder: ImageTextEncoder | DenseEncoder, mode: Mode | None) -> Mode:
    """`mode`, or what the encoder says of itself where that is None, or what it does best.

    Raises:
        EncoderError: the encoder does not offer `mode`.
    """
    offered: list[Mode] = []
    if isinstance(encoder, DenseImageTextEncoder):
        offered.append("dense")
    if isinstance(encoder, ImageTextEncoder):
        offered.append("tiles")
        offered.sort(key=lambda one: one != encoder.defaults.features)
    elif isinstance(encoder, DenseEncoder):
        offered.append("map")
    if not offered or (mode is not None and mode not in offered):
        raise EncoderError(f"The encoder '{encoder.name}' cannot make features '{mode}'; it offers {offered}.")
    return mode or offered[0]


def photo_key(pixels: UInt8[np.ndarray, "height width 3"]) -> str:
    """Name of a photo in the cache: a hash of its shape and pixels."""
    digest = hashlib.sha256(repr((pixels.shape, str(pixels.dtype))).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()[:40]


def _pixels(photos: Any, index: int) -> np.ndarray:
    return photos.pixels(index) if hasattr(photos, "pixels") else photos[index]()
