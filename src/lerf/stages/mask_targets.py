"""What language is made of where the photos have masks: masks first, tiles for the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from lerf.encoders.hub import Files, find_local
from lerf.encoders.missing import MissingWeightsError
from lerf.masks.embed import pool_tiles
from lerf.masks.made import make_masks
from lerf.masks.mask_files import MaskFile, find_masks
from lerf.masks.masked_table import MaskedTable, masked_table
from lerf.masks.names import model_of_masks
from lerf.masks.sam import Segmenter, fingerprint_of
from lerf.masks.store import EmbeddedMasks
from lerf.pyramids.lookup import PyramidTable
from lerf.run.settings import TrainSettings
from lerf.scenes.scene import Scene
from lerf.stages.keys import DIGITS
from lerf.stages.training_photos import TrainingPhotos


def masks_of(
    scene: Scene,
    settings: TrainSettings,
    photos: TrainingPhotos,
    progress: Callable[[int, int], None] | None = None,
) -> list[MaskFile | None]:
    """Files of masks of the training photos; None for a photo without.

    Args:
        scene: the capture.
        settings: of the training, which asks for masks.
        photos: its training photos, as they are embedded; masks that a network makes are those of these.
        progress: hears how far a network that makes them is.

    Raises:
        SceneError: the folder is not there, or has masks of no photo.
        EncoderError: the network that makes them is not there, or is none.
    """
    assert settings.masks is not None
    model = model_of_masks(settings.masks)
    if model is None:
        return _in_folder(scene, settings)
    files = _network(model)
    about = {"encoder": settings.masks, "mode": "masks of things", "fingerprint": fingerprint_of(files)}
    maker = partial(Segmenter, settings.masks, files, settings.device)
    return make_masks(photos, maker, about, progress=progress)


def masks_fingerprint(scene: Scene, settings: TrainSettings) -> str:
    """Hash of what decides the masks: their content, photo by photo, or the network that makes them.

    Raises:
        SceneError, EncoderError: as `masks_of`.
    """
    assert settings.masks is not None
    model = model_of_masks(settings.masks)
    if model is not None:
        return fingerprint_of(_network(model))[:DIGITS]
    files = _in_folder(scene, settings)
    contents = " ".join("" if file is None else file.content for file in files)
    return hashlib.sha256(contents.encode()).hexdigest()[:DIGITS]


def told(scene: Scene, settings: TrainSettings) -> str | None:
    """What is said before work starts; None when every photo has masks, or a network makes them.

    Raises:
        SceneError: as `masks_of`.
    """
    if settings.masks is None or model_of_masks(settings.masks) is not None:
        return None
    files = _in_folder(scene, settings)
    missing = sum(file is None for file in files)
    return (
        f"{missing} of {len(files)} training photos have no masks in {settings.masks}: tiles stand in."
        if missing
        else None
    )


def _in_folder(scene: Scene, settings: TrainSettings) -> list[MaskFile | None]:
    """Files of masks of the training photos in the folder that `--masks` names."""
    assert settings.masks is not None
    return find_masks(Path(settings.masks), [scene.photos[index].name for index in scene.train])


def _network(model: str) -> Files:
    """Files of the network that makes masks; training has fetched them before any work.

    Raises:
        MissingWeightsError: they are not on this machine.
    """
    files = find_local(model)
    if files is None:
        raise MissingWeightsError([model], "the run's masks are made by it")
    return files


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
