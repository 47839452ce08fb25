"""The pyramids of a finished run's training photos, for lifting onto its surface."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import RunError, SceneError
from lerf.masks.store import embed_masks
from lerf.pyramids.lookup import PyramidTable, open_photo_by_photo
from lerf.pyramids.plan import PyramidOptions
from lerf.pyramids.store import build_pyramids
from lerf.run.capture_record import changes, record_capture, record_of_run
from lerf.run.folder import RunFolder
from lerf.run.settings import TrainSettings
from lerf.scenes.load import read_scene
from lerf.scenes.scene import Scene
from lerf.stages.mask_targets import masks_of, with_masks
from lerf.stages.originals import read_originals
from lerf.stages.training_photos import TrainingPhotos


def training_pyramids(
    folder: Path,
    scene: Scene,
    encoder: ImageTextEncoder,
    settings: TrainSettings,
    device: str,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[PyramidTable, Float[Tensor, "photos 2"]]:
    """Pyramids of a run's training photos as its training made them, and their photos' sizes over the cameras', (x, y).

    They are found again by content, or computed from the capture where the cache is gone.

    Args:
        folder: of the run.
        scene: the run's.
        encoder: the run's.
        settings: of the run.
        device: of the tables.
        progress: called with the photos done and their number.

    Raises:
        SceneError: the capture cannot be read.
        RunError: it has other training photos than the run, or they have changed.
    """
    try:
        capture = read_originals(settings, scene)
    except SceneError:
        # Where the originals were not shipped, training made do with the reduced photos.
        if not settings.downscale:
            raise
        capture = _as_used(settings)
    theirs, ours = ([each.photos[i] for i in each.train] for each in (capture, scene))
    if [photo.name for photo in theirs] != [photo.name for photo in ours]:
        raise RunError(f"{settings.data} has other training photos than the run; train again into a new folder.")
    _refuse_changed_photos(folder, capture, settings)
    store = build_pyramids(
        [partial(capture.pixels, index) for index in capture.train],
        encoder,
        PyramidOptions(settings.features, settings.tile_ratios, settings.border),
        progress=progress,
        device=device,
    )
    factors = [
        [sharp.camera.width / photo.camera.width, sharp.camera.height / photo.camera.height]
        for sharp, photo in zip(theirs, ours, strict=True)
    ]
    table = open_photo_by_photo(store, settings.memory_bytes, device)
    if settings.masks is not None:
        photos = TrainingPhotos(capture)
        files = masks_of(scene, settings, photos)
        masks = embed_masks(photos, files, encoder, settings.mask_crops, device=device)
        table = with_masks(table, masks, device)
    return table, torch.tensor(factors)


def _as_used(settings: TrainSettings) -> Scene:
    return read_scene(Path(settings.data), settings.downscale, settings.missing)


def _refuse_changed_photos(folder: Path, capture: Scene, settings: TrainSettings) -> None:
    before = record_of_run(folder, settings, RunFolder(folder).read_scene())
    used = _as_used(settings) if settings.downscale else capture
    if found := changes(before, record_capture(used, capture if settings.downscale else None, before)):
        raise RunError(
            f"{settings.data} is not what {folder} was trained on: {'; '.join(found)}. Undo that, or train again into "
            "a new folder."
        )
