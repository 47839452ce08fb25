"""Embeddings of photos on disk: computed once, found again by content, never half written.

Layout: `<root>/pyramids/<key>/` holds `settings.json` and, for each photo, `<photo>.npy` (half precision, the levels
one after another, `[cells, width]`) and `<photo>.json` (geometry of the levels, length and SHA-256 of the array). `key`
is a hash of the encoder, the tile settings and the mode; `photo` is a hash of its pixels as used. The JSON
is written last: without it an array does not count. Anything that does not fit together is computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float16, UInt8
from torch import Tensor

from lerf.encoders.protocols import DenseEncoder, DenseImageTextEncoder, FeatureGrid, ImageTextEncoder
from lerf.errors import ConfigError, EncoderError
from lerf.files import write_atomically, write_json
from lerf.pyramids.tiles import STRIDE_RATIO, Border, encode_level

Mode = Literal["dense", "tiles", "map"]
FORMAT = 1
"""Version of the layout on disk: part of the key."""


@runtime_checkable
class PhotoSource(Protocol):
    """Photos one at a time: 8-bit RGB as training uses them."""

    def __len__(self) -> int: ...

    def pixels(self, index: int) -> UInt8[np.ndarray, "height width 3"]: ...


@dataclass(frozen=True)
class Level:
    """One grid of cells over a photo: geometry as in `FeatureGrid`, and its tile height over the photo's height."""

    tile_ratio: float
    rows: int
    columns: int
    x0: float
    y0: float
    dx: float
    dy: float

    @property
    def cells(self) -> int:
        return self.rows * self.columns


@dataclass(frozen=True)
class PhotoEntry:
    """One photo of a store."""

    path: Path
    height: int
    width: int
    levels: tuple[Level, ...]

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

    def __len__(self) -> int:
        return len(self.entries)

    def features(self, photo: int) -> Float16[np.ndarray, "cells width"]:
        """All levels of a photo, memory-mapped."""
        return np.load(self.entries[photo].path, mmap_mode="r")

    def grid(self, photo: int, level: int) -> FeatureGrid:
        """One level as a `FeatureGrid` in single precision."""
        entry = self.entries[photo]
        chosen = entry.levels[level]
        start = sum(before.cells for before in entry.levels[:level])
        block = np.array(self.features(photo)[start : start + chosen.cells], dtype=np.float32)
        features = torch.from_numpy(block).reshape(chosen.rows, chosen.columns, self.width)
        return FeatureGrid(features, chosen.x0, chosen.y0, chosen.dx, chosen.dy)


def cache_root() -> Path:
    """`$LERF_CACHE`, or `~/.cache/lerf`."""
    given = os.environ.get("LERF_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "lerf"


def build_pyramids(
    photos: PhotoSource | Sequence[Callable[[], UInt8[np.ndarray, "height width 3"]]],
    encoder: ImageTextEncoder | DenseEncoder,
    *,
    mode: Mode | None = None,
    tile_ratios: Sequence[float] | None = None,
    border: Border = "edge",
    root: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    device: str = "cpu",
) -> PyramidStore:
    """Embed every photo that the cache does not hold yet, and open the result.

    Args:
        photos: an object with `__len__` and `pixels(i)`, or a list of functions without arguments.
        encoder: image-text encoder, or a dense encoder, whose one map a photo is stored as a single level.
        mode: `dense` (one pass a level), `tiles` (tile by tile) or `map` (dense encoder); by default what the encoder
            offers, dense first.
        tile_ratios: heights of tiles over the photo's height; by default the encoder's own.
        border: treatment of tiles that stick out of the photo; only in mode `tiles`.
        root: cache folder; by default `cache_root()`.
        progress: called as `progress(done, total)` after each photo.
        device: where the photos are handed to the encoder.

    Raises:
        EncoderError: the encoder does not offer `mode`.
        ConfigError: a tile ratio is out of range.
        StorageError: the cache cannot be written.
    """
    chosen_mode = mode_in_use(encoder, mode)
    ratios = (0.0,) if chosen_mode == "map" else tuple(sorted(tile_ratios or encoder.defaults.tile_ratios))  # type: ignore[union-attr]
    if chosen_mode != "map" and not all(0.0 < ratio <= 1.0 for ratio in ratios):
        raise ConfigError(f"Tile ratios must lie in (0, 1], not {ratios}.")
    settings: dict[str, Any] = {
        "format": FORMAT,
        "encoder": encoder.name,
        "fingerprint": encoder.fingerprint,
        "width": encoder.width,
        "mode": chosen_mode,
        "tile_ratios": list(ratios),
    }
    if chosen_mode == "tiles":
        settings |= {"border": border, "stride_ratio": STRIDE_RATIO}
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:24]
    folder = (root or cache_root()) / "pyramids" / key
    if not (folder / "settings.json").is_file():
        write_json(folder / "settings.json", settings)
    entries = []
    for index in range(len(photos)):
        pixels = np.ascontiguousarray(_pixels(photos, index))
        path = folder / f"{photo_key(pixels)}.npy"
        entry = read_entry(path, encoder.width, ratios)
        if entry is None:
            image = torch.from_numpy(pixels).to(device).permute(2, 0, 1).float() / 255.0
            grids = [_encode(image, encoder, chosen_mode, ratio, border) for ratio in ratios]
            entry = _write_entry(path, grids, ratios, (pixels.shape[0], pixels.shape[1]))
        entries.append(entry)
        if progress:
            progress(index + 1, len(photos))
    return PyramidStore(folder, encoder.name, encoder.fingerprint, chosen_mode, encoder.width, ratios, tuple(entries))


def mode_in_use(encoder: ImageTextEncoder | DenseEncoder, mode: Mode | None) -> Mode:
    """`mode`, or what the encoder does best where that is None.

    Raises:
        EncoderError: the encoder does not offer `mode`.
    """
    offered: list[Mode] = []
    if isinstance(encoder, DenseImageTextEncoder):
        offered.append("dense")
    if isinstance(encoder, ImageTextEncoder):
        offered.append("tiles")
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


def read_entry(path: Path, width: int, ratios: Sequence[float]) -> PhotoEntry | None:
    """The entry at `path` if it is whole: its JSON reads, and the array has the length and SHA-256 written there."""
    try:
        record = json.loads(path.with_suffix(".json").read_text())
        entry = PhotoEntry(path, record["height"], record["width"], tuple(Level(**level) for level in record["levels"]))
        if path.stat().st_size != record["bytes"] or [level.tile_ratio for level in entry.levels] != list(ratios):
            return None
        array = np.load(path, mmap_mode="r")
        if array.shape != (entry.cells, width) or array.dtype != np.float16:
            return None
        return entry if hashlib.sha256(array.data).hexdigest() == record["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _pixels(photos: Any, index: int) -> np.ndarray:
    return photos.pixels(index) if hasattr(photos, "pixels") else photos[index]()


def _encode(image: Tensor, encoder: Any, mode: Mode, ratio: float, border: Border) -> FeatureGrid:
    if mode == "map":
        return encoder.encode_photo(image)
    if mode == "dense":
        return encoder.encode_photo_at(image, ratio)
    return encode_level(image, encoder, ratio, border)


def _write_entry(
    path: Path, grids: Sequence[FeatureGrid], ratios: Sequence[float], size: tuple[int, int]
) -> PhotoEntry:
    array = torch.cat([grid.features.flatten(0, 1) for grid in grids]).to(torch.float16).cpu().numpy()
    levels = tuple(
        Level(ratio, grid.features.shape[0], grid.features.shape[1], grid.x0, grid.y0, grid.dx, grid.dy)
        for ratio, grid in zip(ratios, grids, strict=True)
    )
    write_atomically(path, lambda file: np.save(file, array))
    record = {
        "height": size[0],
        "width": size[1],
        "levels": [asdict(level) for level in levels],
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(np.ascontiguousarray(array).data).hexdigest(),
    }
    write_json(path.with_suffix(".json"), record)
    return PhotoEntry(path, size[0], size[1], levels)
