"""The stage of features: pyramids of the training photos, in the cache by content."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.encoders.protocols import DenseEncoder, ImageTextEncoder
from lerf.errors import SceneError
from lerf.files import require_writable
from lerf.masks.names import model_of_masks
from lerf.masks.store import EmbeddedMasks, embed_masks
from lerf.pyramids.manifest import FOLDER, cache_root
from lerf.pyramids.plan import PyramidOptions, dense_fingerprint, mode_in_use
from lerf.pyramids.store import PyramidStore, build_pyramids
from lerf.run.folder import StageName
from lerf.run.report import reported
from lerf.run.settings import check_border
from lerf.scenes.scene import Scene
from lerf.stages.keys import capture_fingerprint
from lerf.stages.mask_targets import masks_fingerprint, masks_of, told
from lerf.stages.prepare import note_reduced
from lerf.stages.stage import Context
from lerf.stages.training_photos import TrainingPhotos


@dataclass(frozen=True)
class TrainingPyramids:
    """Embeddings of the training photos, in the order of the training photos."""

    image_text: PyramidStore
    dense: PyramidStore | None
    """The dense regulariser's maps."""
    masks: list[EmbeddedMasks | None] | None
    """Masks of the photos with their embeddings; None where nobody asked for any."""
    pixel_factors: Float[Tensor, "photos 2"]
    """Size of the photos that were embedded over that of the scene's, (x, y)."""


class FeatureStage:
    """Embeds the sharpest photos at hand, whatever resolution the radiance uses."""

    name: StageName = "features"
    needs: tuple[StageName, ...] = ()
    saved = False

    def __init__(self) -> None:
        self._pyramids: TrainingPyramids | None = None

    @property
    def pyramids(self) -> TrainingPyramids:
        """The result, once the stage has run."""
        if self._pyramids is None:
            raise RuntimeError("The stage 'features' has not run.")
        return self._pyramids

    def decided_by(self, context: Context) -> dict[str, Any]:
        settings = context.settings
        others = dense_fingerprint(context.encoder, mode_in_use(context.encoder, settings.features))
        masks = {}
        if settings.masks is not None:
            masks = {"masks": masks_fingerprint(context.scene, settings), "mask_crops": settings.mask_crops}
        return (
            ({} if others is None else {"dense_features": others})
            | masks
            | {
                "capture": capture_fingerprint(context.scene),
                "downscale": settings.downscale,
                "encoder": context.encoder.fingerprint,
                "dense": context.dense.fingerprint if context.dense else None,
                "features": settings.features,
                "border": settings.border,
                "tile_ratios": settings.tile_ratios,
            }
        )

    def check(self, context: Context) -> None:
        """Refuse features that the encoder cannot make, masks that are not there, a cache that cannot be written."""
        check_border(mode_in_use(context.encoder, context.settings.features), context.settings.border)
        require_writable(cache_root() / FOLDER, "set LERF_CACHE to another folder")
        if context.settings.masks is not None:
            said = told(context.scene, context.settings)
            if said is not None:
                context.reporter.note(said)

    def run(self, context: Context) -> None:
        sharp = context.originals or context.scene
        try:
            stores = _stores(context, sharp)
        except SceneError as error:
            if sharp is context.scene:
                raise
            note_reduced(context.reporter, error)
            sharp = context.scene
            stores = _stores(context, sharp)
        self._pyramids = TrainingPyramids(
            *stores, _masks(context, sharp), _pixel_factors(sharp, context.scene, context.settings.device)
        )


def _stores(context: Context, scene: Scene) -> tuple[PyramidStore, PyramidStore | None]:
    """Pyramids of the image-text encoder and maps of the dense one."""
    settings, photos = context.settings, TrainingPhotos(scene)
    options = PyramidOptions(settings.features, settings.tile_ratios, settings.border)
    image_text = _store(context, photos, context.encoder, options)
    dense = None if context.dense is None else _store(context, photos, context.dense, PyramidOptions())
    return image_text, dense


def _masks(context: Context, scene: Scene) -> list[EmbeddedMasks | None] | None:
    """Masks of the photos and what the encoder says of them."""
    settings, reporter = context.settings, context.reporter
    if settings.masks is None:
        return None
    making = f"masks ({settings.masks})"
    with reported(reporter, making, len(scene.train)) if model_of_masks(settings.masks) else nullcontext() as made:
        files = masks_of(context.scene, settings, TrainingPhotos(scene), made)
    with reported(reporter, f"masks ({context.encoder.name})", len(files)) as progress:
        return embed_masks(
            TrainingPhotos(scene), files, context.encoder, settings.mask_crops, progress=progress,
            device=settings.device,
        )  # fmt: skip


def _store(
    context: Context, photos: TrainingPhotos, encoder: ImageTextEncoder | DenseEncoder, options: PyramidOptions
) -> PyramidStore:
    reporter, numbers = context.reporter, dict[str, float]()
    with reported(reporter, f"features ({encoder.name})", len(photos)):
        return build_pyramids(
            photos, encoder, options, device=context.settings.device,
            progress=lambda done, _: reporter.advance(done, numbers),
            speed=lambda value: numbers.update(tiles_per_second=value),
        )  # fmt: skip


def _pixel_factors(sharp: Scene, scene: Scene, device: str) -> Float[Tensor, "photos 2"]:
    sizes = [(sharp.photos[index].camera, scene.photos[index].camera) for index in scene.train]
    return torch.tensor([[a.width / b.width, a.height / b.height] for a, b in sizes], device=device)
