"""The stage of language as a field, trained on rays through the finished radiance."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from lerf.language.field import LanguageField
from lerf.pyramids.lookup import PyramidTable, ResidentTable
from lerf.run.folder import StageName
from lerf.run.report import reported
from lerf.stages.features import FeatureStage
from lerf.stages.keys import settings_part
from lerf.stages.mask_targets import with_masks
from lerf.stages.radiance import TrainedRadiance, open_radiance
from lerf.stages.stage import Context
from lerf.stages.steps import resume_trainer, run_steps, save_trained
from lerf.training.language import LanguageTrainer
from lerf.training.pixels import allowed_pixels
from lerf.training.ray_pool import RayPool, ResidentRays, draw_pool, open_tables


class LanguageFieldStage:
    """Draws a pool of rays from the radiance and trains the language field on it."""

    name: StageName = "language"
    needs: tuple[StageName, ...] = ("radiance", "features")
    saved = True

    def __init__(self, features: FeatureStage) -> None:
        self.features = features

    def decided_by(self, context: Context) -> dict[str, Any]:
        settings = context.settings
        return {
            "language_source": "field",
            "language": settings_part(settings.language),
            "language_training": settings_part(settings.language_training),
            "seed": settings.seed,
            "device": settings.device,
            "memory": settings.memory,
        }

    def check(self, context: Context) -> None:
        """Anything that can be said beforehand is said by the stages that this one needs."""

    def run(self, context: Context) -> None:
        settings, pyramids = context.settings, self.features.pyramids
        stores = [pyramids.image_text] + ([pyramids.dense] if pyramids.dense else [])
        tiles, *others = open_tables(stores, settings.memory_bytes, settings.device)
        targets = tiles if pyramids.masks is None else with_masks(tiles, pyramids.masks, settings.device)
        dense = others[0] if others else None
        pool = _drawn_pool(context, open_radiance(context))
        field = _new_field(context, pool, targets, dense)
        # Pixels of the pool are at the radiance's resolution, cells of the pyramids at the features'.
        pixels = pool.pixels * pyramids.pixel_factors[pool.train_index]
        aligned = RayPool(pool.rays, pool.train_index, pixels, pool.height_per_depth)
        trainer = LanguageTrainer(
            field, settings.language_training, aligned, targets, dense, settings.seed + 3,
            _resident_rays(context, pool, [tiles, *others]),
        )  # fmt: skip
        resume_trainer(context, self.name, trainer)
        facts = {"width": targets.width, "dense_width": dense.width if dense else 0}
        run_steps(context, self.name, trainer, trainer.step, settings.language_training.steps, facts)
        save_trained(context, self.name, trainer, facts)


def _drawn_pool(context: Context, radiance: TrainedRadiance) -> RayPool:
    settings, scene = context.settings, radiance.scene
    generator = torch.Generator().manual_seed(settings.seed + 1)
    with reported(context.reporter, "rays", len(scene.train)) as progress:
        return draw_pool(
            radiance.source, radiance.cameras, scene.train, settings.language_training.pool_rays,
            settings.language.samples, generator, partial(allowed_pixels, scene), progress,
        )  # fmt: skip


def _new_field(context: Context, pool: RayPool, targets: PyramidTable, dense: PyramidTable | None) -> LanguageField:
    """A field at its start, which knows the range of scales that the photos show each place in."""
    settings, ratios = context.settings, targets.ratios.tolist()
    torch.manual_seed(settings.seed + 2)
    width, dense_width = targets.width, dense.width if dense else 0
    field = LanguageField(settings.language, width, dense_width, pool.scale_range(ratios)).to(settings.device)
    unit = pool.height_per_depth * pool.rays.median_depth
    field.bounds.note(pool.rays.median_position, unit * ratios[0], unit * ratios[-1])
    field.bounds.widen()
    return field


def _resident_rays(context: Context, pool: RayPool, tables: list[PyramidTable]) -> ResidentRays | None:
    """What draws the rays where the tables hold a part of the photos at a time."""
    resident = [table for table in tables if isinstance(table, ResidentTable)]
    if not resident:
        return None
    steps = context.settings.language_training.steps
    return ResidentRays(pool.train_index, resident, resident[0].cache_slots, steps, context.settings.seed + 5)
