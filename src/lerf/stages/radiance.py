"""The stage of radiance: trained on the photos' pixels, or taken from another run; and its result for later stages."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lerf.devices import resident_bytes
from lerf.errors import ConfigError, RunError
from lerf.geometry.camera_table import CameraTable
from lerf.radiance.hash_grid.field import RadianceField
from lerf.radiance.protocol import Radiance
from lerf.run.capture_record import changes, record_of_run
from lerf.run.differences import differences, listed
from lerf.run.folder import RunFolder, StageName
from lerf.run.nerfstudio_run import is_nerfstudio_run
from lerf.run.open_run import NERFACTO, is_splat
from lerf.run.open_run import open_radiance as open_source
from lerf.run.report import reported
from lerf.run.settings import to_plain
from lerf.scenes.scene import Scene
from lerf.stages.keys import capture_fingerprint, settings_part
from lerf.stages.nerfacto import lent_nerfacto, note_unused
from lerf.stages.refined_poses import apply_refined_poses, new_pose_refinement
from lerf.stages.sparse_prior import SparsePrior, sparse_prior
from lerf.stages.stage import Context
from lerf.stages.steps import resume_trainer, run_steps, save_trained
from lerf.training.checkpoint import trained_state
from lerf.training.pixels import PixelPool, camera_table, open_pixels
from lerf.training.radiance import RadianceTrainer
from lerf.training.step_numbers import Number, StepValues


class RadianceStage:
    """Trains the radiance field, with corrections of the poses where the settings ask for them."""

    name: StageName = "radiance"
    needs: tuple[StageName, ...] = ()
    saved = True

    def decided_by(self, context: Context) -> dict[str, Any]:
        settings = context.settings
        common = {"capture": capture_fingerprint(context.scene), "radiance": settings_part(settings.radiance)}
        if settings.radiance_run:
            return {**common, "radiance_run": settings.radiance_run}
        return {
            **common,
            "radiance_training": settings_part(settings.radiance_training),
            "seed": settings.seed,
            "device": settings.device,
            "memory": settings.memory,
        }

    def check(self, context: Context) -> None:
        """Refuse a radiance of another run that does not fit."""
        if context.settings.radiance_run:
            _lent_radiance(context)

    def run(self, context: Context) -> None:
        if context.settings.radiance_run:
            tensors, facts = _lent_radiance(context)
            if NERFACTO in facts:
                note_unused(context)
            apply_refined_poses(context, tensors)
            context.save_stage(self.name, tensors, facts)
            return
        points = sparse_prior(context)
        pixels = _decoded(context)
        trainer = self._trainer(context, points)
        resume_trainer(context, self.name, trainer)

        def step() -> StepValues:
            if pixels.go_to(trainer.step_count):
                trainer.recorded.forget()
            values = trainer.step(pixels.draw)
            values["psnr"] = _decibels(values.pop("colour_loss"))
            return values

        run_steps(context, self.name, trainer, step, context.settings.radiance_training.steps, points.facts)
        pixels.release()
        # The scene comes first: a run whose radiance is finished has the cameras that belong to it.
        apply_refined_poses(context, trained_state(trainer))
        save_trained(context, self.name, trainer, points.facts)

    def _trainer(self, context: Context, points: SparsePrior) -> RadianceTrainer:
        settings, scene = context.settings, context.scene
        torch.manual_seed(settings.seed)
        field = RadianceField(points.sizes, len(scene.train))
        field = field.to(settings.device)
        poses = new_pose_refinement(scene, settings.device) if settings.radiance_training.refine_poses else None
        return RadianceTrainer(field, settings.radiance_training, settings.seed, poses, points.rays)


def _decibels(loss: Number) -> Number:
    """Peak signal-to-noise ratio of a mean squared error of colours in 0..1."""
    if isinstance(loss, Tensor):
        return -10.0 * loss.clamp(min=1e-10).log10()
    return -10.0 * math.log10(max(loss, 1e-10))


def _decoded(context: Context) -> PixelPool:
    settings, scene = context.settings, context.scene
    with context.clock.stage("decode"), reported(context.reporter, "photos", len(scene.train)) as progress:
        return open_pixels(
            scene, settings.device, progress, budget=resident_bytes(settings.device, settings.memory_bytes),
            steps=settings.radiance_training.steps,
            seed=settings.seed + 4,
        )  # fmt: skip


def _lent_radiance(context: Context) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of the finished radiance of the run that the settings name.

    Raises:
        ConfigError: it does not fit the settings or the capture.
        RunError: there is no such run, or its radiance is not finished.
    """
    settings = context.settings
    if is_nerfstudio_run(settings.radiance_run or ""):
        return lent_nerfacto(context)
    source = RunFolder(Path(settings.radiance_run or ""))
    theirs = source.read_config()["settings"]
    if found := differences(to_plain(theirs.radiance), to_plain(settings.radiance), "--radiance"):
        raise ConfigError(
            f"The radiance of {source.path} has other sizes: {listed(found)}; use --preset {theirs.preset}."
        )
    lent = source.read_scene()
    before = record_of_run(source.path, theirs, lent)
    if apart := changes(before, context.record):
        raise ConfigError(
            f"{source.path} was trained on another capture; its radiance does not fit this one: {'; '.join(apart)}. "
            "Leave --radiance out."
        )
    # Its field is in its own normalised frame.
    context.scene = replace(context.scene, similarity=lent.similarity)
    tensors, facts = source.load_stage("radiance")
    if not facts.get("finished"):
        raise RunError(f"The radiance of {source.path} is not finished; run its training to the end first.")
    return tensors, facts


@dataclass(frozen=True)
class TrainedRadiance:
    """The radiance of a run, as the stages after it use it."""

    source: Radiance
    scene: Scene
    """The capture, with corrected poses where the radiance corrected them."""
    cameras: CameraTable
    """Of all photos, normalised frame."""


def open_radiance(context: Context) -> TrainedRadiance:
    """The finished radiance of the run, and its cameras.

    Raises:
        RunError: missing, unfinished or damaged.
    """
    run, settings = context.run, context.settings
    source = open_source(run, settings, context.scene, settings.device)
    scene = context.scene if is_splat(run) else apply_refined_poses(context, run.load_stage("radiance")[0])
    return TrainedRadiance(source, scene, camera_table(scene, settings.device))
