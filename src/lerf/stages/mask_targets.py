"""What language is made of where the photos have masks: masks first, tiles for the rest."""

from __future__ import annotations

import hashlib
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from lerf.masks.embed import pool_tiles
from lerf.masks.mask_files import MaskFile, find_masks
from lerf.masks.masked_table import MaskedTable, masked_table
from lerf.masks.store import EmbeddedMasks
from lerf.pyramids.lookup import PyramidTable
from lerf.run.settings import TrainSettings
from lerf.scenes.scene import Scene
from lerf.stages.keys import DIGITS


def masks_of(scene: Scene, settings: TrainSettings) -> list[MaskFile | None]:
    """Files of masks of the training photos.

    Raises:
        SceneError: the folder is not there, or has masks of no photo.
    """
    assert settings.masks is not None
    return find_masks(Path(settings.masks), [scene.photos[index].name for index in scene.train])


def masks_fingerprint(files: list[MaskFile | None]) -> str:
    """Hash of the content of all masks, photo by photo."""
    contents = " ".join("" if file is None else file.content for file in files)
    return hashlib.sha256(contents.encode()).hexdigest()[:DIGITS]


def told(files: list[MaskFile | None], folder: str) -> str | None:
    """What is said before work starts; None when every photo has masks."""
    missing = sum(file is None for file in files)
    return f"{missing} of {len(files)} training photos have no masks in {folder}: tiles stand in." if missing else None


def with_masks(
    tiles: PyramidTable,
    embedded: list[EmbeddedMasks | None],
    device: str,
    basis: Float[Tensor, "rank width"] | None = None,
) -> MaskedTable:
    """A table of masks over one of tiles, of the same photos; `basis` is the one that the tiles' embeddings are on."""
    features: list[Tensor | None] = []
    for photo, own in enumerate(embedded):
        if own is not None and own.embeddings is None:
            tiles.load(photo)
            features.append(pool_tiles(tiles, photo, own.size, own.masks).half())
        else:
            rows = None if own is None else own.embeddings
            features.append(rows if rows is None or basis is None else (rows.float() @ basis.cpu().T).half())
    masks = [None if own is None else own.masks for own in embedded]
    sizes = [(1, 1) if own is None else own.size for own in embedded]
    return masked_table(tiles, masks, sizes, features, device)
