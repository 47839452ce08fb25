"""Masks that a network made of photos: found once, kept in the cache by content as COCO's run lengths.

Layout: `<root>/masks/<key>/<xx>/<photo>.json`, with names as in the cache of pyramids, and `about.json` beside them.
The files are of a kind that `--masks` reads from any folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8

from lerf.documents import read_document
from lerf.errors import StorageError
from lerf.files import is_file, size_of, write_atomically, write_json
from lerf.masks.mask_files import MaskFile
from lerf.masks.photo_masks import layered
from lerf.masks.run_lengths import encode
from lerf.pyramids.manifest import Use, cache_root, key_of, remove_leftovers
from lerf.pyramids.store import PhotoSource, photo_key

FOLDER = "masks"
"""Inside the cache folder."""
ABOUT = "about.json"
NONE = b"[]"
"""Content of the file of a photo in which nothing was found."""


@runtime_checkable
class MaskMaker(Protocol):
    """What finds masks in photos."""

    name: str

    def masks(self, pixels: UInt8[np.ndarray, "rows columns 3"]) -> list[Bool[np.ndarray, "height width"]]:
        """Masks of a photo, at its resolution or at a reduction of it; the surest first."""
        ...


def make_masks(
    photos: PhotoSource,
    maker: Callable[[], MaskMaker],
    about: dict[str, Any],
    *,
    root: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[MaskFile | None]:
    """Masks of all photos; those that were found before are not looked for again. None for a photo without any.

    Args:
        photos: as they are embedded.
        maker: makes what finds masks; called only where some are lacking.
        about: everything that decides the masks of a photo, as JSON values.
        root: cache folder; by default `cache_root()`.
        progress: called as `progress(done, total)` after each photo.

    Raises:
        EncoderError: the network cannot be had or gives nothing that is finite.
        StorageError: the cache cannot be written.
    """
    folder = (root or cache_root()) / FOLDER / key_of(about)
    remove_leftovers(folder)
    use = Use(folder)
    if not is_file(folder / ABOUT):
        write_json(folder / ABOUT, about)
    ready: MaskMaker | None = None
    found: list[MaskFile | None] = []
    for index in range(len(photos)):
        pixels = np.ascontiguousarray(photos.pixels(index))
        key = photo_key(pixels)
        path = folder / key[:2] / f"{key}.json"
        if not is_file(path):
            ready = ready or maker()
            _write(path, ready.masks(pixels))
        found.append(None if size_of(path) == len(NONE) else MaskFile((path,), "runs"))
        if progress:
            progress(index + 1, len(photos))
    use.close()
    return found


def read_about(folder: Path) -> dict[str, Any] | None:
    """What a folder of this cache says of itself; None where that cannot be read."""
    try:
        about = read_document(folder / ABOUT, dict, error=StorageError, remedy="remove it with 'lerf cache prune'")
    except StorageError:
        return None
    return about if isinstance(about.get("encoder"), str) else None


def _write(path: Path, masks: list[Bool[np.ndarray, "height width"]]) -> None:
    entries = [{"segmentation": {"size": list(mask.shape), "counts": encode(mask)}} for mask in _readable(masks)]
    content = json.dumps(entries, separators=(",", ":")).encode() if entries else NONE
    write_atomically(path, lambda file: file.write(content))


def _readable(masks: list[Bool[np.ndarray, "height width"]]) -> list[Bool[np.ndarray, "height width"]]:
    """The masks that can be laid over one another: where more lie over one place than are read, the least sure quarter
    goes, as often as that takes."""
    while masks:
        try:
            layered(masks, masks[0].shape)
        except ValueError:
            masks = masks[: len(masks) * 3 // 4]
        else:
            break
    return masks
