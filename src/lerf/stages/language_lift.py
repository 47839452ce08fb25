"""The stage of language as an index lifted from the pyramids, without a gradient step."""

from __future__ import annotations

from typing import Any

from lerf.files import sha256_of
from lerf.language.cells import index_state
from lerf.language.lift import LiftInputs, lift
from lerf.pyramids.lookup import open_photo_by_photo
from lerf.radiance.splats.radiance import SplatRadiance
from lerf.radiance.surface import trace_surface
from lerf.run.folder import StageName
from lerf.run.report import reported
from lerf.stages.features import FeatureStage
from lerf.stages.gaussian_lift import lift_splat
from lerf.stages.mask_targets import with_masks
from lerf.stages.radiance import open_radiance
from lerf.stages.stage import Context
from lerf.steps import finish


class LanguageLiftStage:
    """Gathers what the photos say about the surface of the radiance; saved where a trained field would be."""

    name: StageName = "language"
    needs: tuple[StageName, ...] = ("radiance", "features")
    saved = True

    def __init__(self, features: FeatureStage) -> None:
        self.features = features

    def decided_by(self, context: Context) -> dict[str, Any]:
        settings = context.settings
        return {"language_source": "lift", "samples": settings.language.samples, "device": settings.device}

    def check(self, context: Context) -> None:
        """Anything that can be said beforehand is said by the stages that this one needs."""

    def run(self, context: Context) -> None:
        settings, pyramids = context.settings, self.features.pyramids
        radiance, samples = open_radiance(context), settings.language.samples
        if isinstance(radiance.source, SplatRadiance):
            lift_splat(context, self.name, radiance, pyramids)
            return
        train = radiance.scene.train
        budget = settings.memory_bytes
        targets = open_photo_by_photo(pyramids.image_text, budget, settings.device)
        dense = None if pyramids.dense is None else open_photo_by_photo(pyramids.dense, budget, settings.device)
        if pyramids.masks is not None:
            targets = with_masks(targets, pyramids.masks, settings.device)
        surface = finish(trace_surface(radiance.source, radiance.cameras, train, samples))
        inputs = LiftInputs(surface, radiance.source, radiance.cameras, train, samples, context.encoder, dense)
        with reported(context.reporter, self.name, len(train)) as progress:
            checkpoint = sha256_of(context.run.path / "radiance.safetensors")
            index = lift(inputs, targets, checkpoint, pixel_factors=pyramids.pixel_factors, progress=progress)
        tensors, facts = index_state(index)
        context.save_stage(self.name, tensors, {"index": facts, "step": 0, "finished": True})
