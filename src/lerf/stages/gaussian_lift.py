"""Language onto the Gaussians of a splat, photo by photo: what was seen is saved, so that the lift can be resumed."""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor

from lerf.errors import RunError
from lerf.files import sha256_of
from lerf.language.cells import ENERGY, MAX_RANK, compress_dense, index_state
from lerf.language.gaussian_lift import lift_onto_gaussians, of_some, sightings
from lerf.language.lift import Observations, mean_dense
from lerf.pyramids.lookup import leading_basis, open_photo_by_photo, projected_table
from lerf.radiance.splats.radiance import SplatRadiance
from lerf.run.folder import StageName
from lerf.run.interrupt import deferred_interrupt
from lerf.run.report import reported
from lerf.stages.features import TrainingPyramids
from lerf.stages.mask_targets import with_masks
from lerf.stages.radiance import TrainedRadiance
from lerf.stages.stage import Context

PARTS = ("cells", "pixels", "unit", "light")
"""Tensors of `Observations`."""


def lift_splat(context: Context, stage: StageName, radiance: TrainedRadiance, pyramids: TrainingPyramids) -> None:
    """Lift, and write the finished checkpoint of the stage of language.

    Raises:
        RunError: no photo shows any Gaussian, or the unfinished checkpoint is damaged.
        KeyboardInterrupt: after a checkpoint has been written.
    """
    source, train, device = radiance.source, radiance.scene.train, context.settings.device
    assert isinstance(source, SplatRadiance)
    views, largest = _seen_before(context, stage, len(source.gaussians), len(train), device)
    last = time.perf_counter()
    with reported(context.reporter, stage, len(train)) as progress, deferred_interrupt() as interrupted:
        for done in range(len(views), len(train)):
            found, weights = sightings(source, radiance.cameras, train[done], pyramids.pixel_factors[done])
            views.append(found)
            largest[found.cells] = torch.maximum(largest[found.cells], weights)
            progress(len(views), len(train))
            stop = interrupted.is_set()
            if stop or time.perf_counter() - last >= context.save_seconds:
                last = time.perf_counter()
                _save(context, stage, views, largest)
                context.clock.mark()
            if stop:
                raise KeyboardInterrupt
    basis = leading_basis(pyramids.image_text, MAX_RANK, ENERGY, device)
    targets = projected_table(pyramids.image_text, basis, device)
    if pyramids.masks is not None:
        targets = with_masks(targets, pyramids.masks, device, basis)
    about = context.encoder, sha256_of(context.run.path / "radiance.safetensors")
    index = lift_onto_gaussians(source, views, largest, targets, basis, about)
    if pyramids.dense is not None:
        maps = open_photo_by_photo(pyramids.dense, context.settings.memory_bytes, device)
        own = of_some(views, index.keys, len(source.gaussians))
        index = replace(index, dense=compress_dense(mean_dense(own, len(index), maps)))
    tensors, facts = index_state(index)
    context.save_stage(stage, tensors, {"index": facts, "step": 0, "finished": True})


def _save(context: Context, stage: StageName, views: list[Observations], largest: Tensor) -> None:
    tensors = {f"{name}.{row}": getattr(view, name) for row, view in enumerate(views) for name in PARTS}
    context.save_stage(stage, {**tensors, "largest": largest}, {"step": len(views), "finished": False})


def _seen_before(
    context: Context, stage: StageName, gaussians: int, photos: int, device: str
) -> tuple[list[Observations], Tensor]:
    """What an unfinished checkpoint has of the first photos, and the largest weights in them."""
    nothing = torch.zeros(gaussians, device=device)
    facts = context.run.read_facts(stage)
    if facts is None or facts.get("finished"):
        return [], nothing
    tensors, _ = context.run.load_stage(stage)
    done = sum(name.startswith("cells.") for name in tensors)
    with context.run.fitting(stage):
        views = [Observations(*(tensors[f"{name}.{row}"].to(device) for name in PARTS)) for row in range(done)]
        largest = tensors["largest"].to(device)
        lengths = [{len(getattr(view, name)) for name in PARTS} for view in views]
        if len(largest) != gaussians or done > photos or any(len(each) != 1 for each in lengths):
            raise ValueError("It is of another splat.")
        if any(
            len(view.cells) and not 0 <= int(view.cells.min()) <= int(view.cells.max()) < gaussians for view in views
        ):
            raise RunError(f"{context.run.path / stage}.safetensors is damaged; delete it and run 'lerf train' again.")
    return views, largest
