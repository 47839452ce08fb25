"""Embeddings of the masks of many photos: computed once, found again by content, in the cache of pyramids."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float16, UInt8
from torch import Tensor

from lerf.arrays import map_npy
from lerf.encoders.protocols import ImageTextEncoder
from lerf.masks.embed import Crop, embed_crops
from lerf.masks.langsplat import read_embeddings, refuse_other_encoder
from lerf.masks.mask_files import MaskFile, read_masks
from lerf.masks.photo_masks import PhotoMasks
from lerf.pyramids.manifest import FOLDER, Archive, Use, cache_root, key_of, remove_leftovers
from lerf.pyramids.records import FORMAT, Level
from lerf.pyramids.store import PhotoSource, photo_key

LAID_OUT = 0.0
"""Stands for the tile height in records: masks have heights of their own."""


@dataclass(frozen=True)
class EmbeddedMasks:
    """Masks of a photo and what the encoder says of them."""

    masks: PhotoMasks
    size: tuple[int, int]
    """Width and height of the photo."""
    embeddings: Float16[Tensor, "masks width"] | None
    """None where they are to be pooled from tiles."""


def embed_masks(
    photos: PhotoSource,
    files: Sequence[MaskFile | None],
    encoder: ImageTextEncoder,
    crop: Crop,
    *,
    root: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    device: str = "cpu",
) -> list[EmbeddedMasks | None]:
    """Masks of all photos, and their embeddings as far as these do not come from tiles; None for a photo without.

    Args:
        photos: as they are embedded.
        files: of each photo, or None.
        encoder: of the crops.
        crop: how they are cut out (`embed.embed_crops`); `pool` leaves the embeddings to `embed.pool_tiles`.
        root: cache folder; by default `cache_root()`.
        progress: called as `progress(done, total)` after each photo.
        device: of the encoder's network.

    Raises:
        SceneError: a file of masks cannot be used.
        StorageError: the cache cannot be written.
    """
    settings = _settings(encoder, crop)
    folder = (root or cache_root()) / FOLDER / key_of(settings)
    remove_leftovers(folder)
    use = Use(folder)
    archive = Archive(folder, settings)
    archive.fold()
    found: list[EmbeddedMasks | None] = []
    compared = False
    for index, file in enumerate(files):
        if file is None:
            found.append(None)
        else:
            pixels = np.ascontiguousarray(photos.pixels(index))
            size = pixels.shape[1], pixels.shape[0]
            masks = read_masks(file, size)
            if masks.count == 0:
                found.append(None)
            elif file.kind == "langsplat":
                embeddings = read_embeddings(file.paths[1], masks, encoder.width)
                if not compared:
                    refuse_other_encoder(file.paths[1], pixels, masks, embeddings, encoder, device)
                    compared = True
                found.append(EmbeddedMasks(masks, size, embeddings.half()))
            elif crop == "pool":
                found.append(EmbeddedMasks(masks, size, None))
            else:
                found.append(EmbeddedMasks(masks, size, _crops(archive, pixels, file, masks, encoder, crop, device)))
        if progress:
            progress(index + 1, len(files))
    archive.fold()
    del use
    return found


def _crops(
    archive: Archive,
    pixels: UInt8[np.ndarray, "rows columns 3"],
    file: MaskFile,
    masks: PhotoMasks,
    encoder: ImageTextEncoder,
    crop: Crop,
    device: str,
) -> Float16[Tensor, "masks width"]:
    """Embeddings of a photo's masks, from the archive or computed and put there."""
    key = hashlib.sha256(f"{photo_key(pixels)} {file.content}".encode()).hexdigest()[:40]
    record = archive.verified(key, encoder.width, (LAID_OUT,))
    if record is None or record.cells != masks.count:
        embeddings = embed_crops(pixels, masks, encoder, crop, device).half()
        level = Level(LAID_OUT, masks.count, 1, 0.0, 0.0, 1.0, 1.0)
        archive.write(key, embeddings.numpy(), pixels.shape[:2], (level,))
        return embeddings
    return torch.from_numpy(np.array(map_npy(archive.path(key))))


def _settings(encoder: ImageTextEncoder, crop: Crop) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "encoder": encoder.name,
        "fingerprint": encoder.fingerprint,
        "precision": getattr(encoder, "precision", "float32"),
        "width": encoder.width,
        "mode": "masks",
        "tile_ratios": [LAID_OUT],
        "crop": crop,
    }
